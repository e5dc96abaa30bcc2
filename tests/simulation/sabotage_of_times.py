"""Ways to break times on purpose: each must be found by the invariant that it breaks."""

from dataclasses import replace

from .sabotage import SpoilingStore

_LAG_US = 30_000_000
_LATE_MS = 60_000


class MisdatingStore(SpoilingStore):
    """Dates the last reading of a commit a little beyond its bound."""

    def spoil(self, batch):
        if not batch.readings:
            return batch
        *row, utc_ms, error_ms, quality, value = batch.readings[-1]
        wrong = (*row, utc_ms + 2 * error_ms + 20, error_ms, quality, value)
        return replace(batch, readings=[*batch.readings[:-1], wrong])


class _MisdatingEvents(SpoilingStore):
    is_of_board = False

    def spoil(self, batch):
        events = [
            (*row[:6], row[6] + _LATE_MS * ((row[2] is not None) == self.is_of_board), *row[7:])
            for row in batch.events
        ]
        return replace(batch, events=events)


class LateStore(_MisdatingEvents):
    """Dates events of the host's rules a minute late."""


class LateBoardStore(_MisdatingEvents):
    """Dates events of boards a minute late."""

    is_of_board = True


class LaggingClock:
    """A clock that is set, as the agent sees it, half a minute after it was."""

    def __init__(self, clock):
        self._clock = clock

    def __getattr__(self, name):
        return getattr(self._clock, name)

    def utc_ms(self):
        clock = self._clock
        then_us = clock.now_us - _LAG_US
        offset_us = [state[1] for state in clock.states if state[0] <= max(0, then_us)][-1]
        return (clock.now_us + offset_us) // 1000


class UnmarkedStore(SpoilingStore):
    """Says that all times are good."""

    spared = 0

    def spoil(self, batch):
        rows = [(*row[:6], row[6] & 3, row[7]) for row in batch.readings]
        return replace(batch, readings=rows)


class TwiceStore(SpoilingStore):
    """Moves a corrected reading once more, by what was the clock's error."""

    def commit(self, batch):
        super().commit(batch)
        with self._store.transaction() as tx:
            tx.execute(
                "UPDATE reading SET utc_ms = utc_ms + ? WHERE id ="
                " (SELECT min(id) FROM reading WHERE quality >> 2 = 2)",
                (_LATE_MS,),
            )

    def spoil(self, batch):
        return batch


class ForgetfulStore(SpoilingStore):
    """Finds nothing to correct."""

    def has_row(self, query, parameters):
        return False

    def spoil(self, batch):
        return batch


class ConfidentClock:
    """A clock that always says it is right."""

    def __init__(self, clock):
        self._clock = clock

    def __getattr__(self, name):
        return getattr(self._clock, name)

    def is_synchronised(self):
        return True
