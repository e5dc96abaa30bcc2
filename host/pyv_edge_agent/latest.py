"""Latest: the newest reading of each channel, as it was committed, for whoever shows them.

What is on a page is in the store. One thread notes; any number of others look, or wait for
something new.
"""

import threading
from collections.abc import Iterable

from pyv_edge_core.reading import QUALITY_BAD

from .store import QUALITY_MASK, TIME_QUALITY_SHIFT, TIME_SENDER, WriteBatch
from .store.write_batch import ReadingRow

AHEAD_MS = 60_000  # by so much a sender's clock may be ahead of ours


class Latest:
    """The newest readings since the start."""

    def __init__(self, generation: str) -> None:
        """Begin with none, of the store as it is open now: its ids mean nothing in another."""
        self.generation = generation
        self.version = 0  # grows with each commit that brings readings or events
        self.events_total = 0
        self.is_closed = False
        self._rows: dict[int, tuple[int, ReadingRow]] = {}  # (version, row) by channel
        self._is_bad: dict[int, bool] = {}  # by channel, of what came last
        self._changed = threading.Condition()

    def note(self, batch: WriteBatch, now_ms: int) -> None:
        """Take over what was committed; it is `now_ms`, UTC."""
        if not (batch.readings or batch.events):
            return
        last = {row[0]: row for row in batch.readings}
        dated = {channel_id for channel_id, row in last.items() if _is_dated(row)}
        with self._changed:
            self.version += 1
            self.events_total += len(batch.events)
            for channel_id, row in last.items():
                self._is_bad[channel_id] = row[6] & QUALITY_MASK == QUALITY_BAD
                if channel_id not in dated:  # its readings come in their order
                    self._rows[channel_id] = (self.version, row)
            for row in batch.readings if dated else ():
                if row[0] in dated:
                    self._take(row, self.version, now_ms)
            self._changed.notify_all()

    def adopt(self, generation: str, *, is_same: bool) -> None:
        """Go on with a store that was opened since; if it isn't the same, with none."""
        with self._changed:
            self.generation = generation
            if not is_same:
                self._rows.clear()
                self._is_bad.clear()

    def load(self, rows: Iterable[ReadingRow], now_ms: int, generation: str) -> None:
        """Take over what is known from before, which is no news; if it is of this store."""
        with self._changed:
            for row in rows if generation == self.generation else ():
                version, known = self._rows.get(row[0], (0, None))
                is_newer = known is None or _age(row, now_ms) < _age(known, now_ms)
                if known is None or (is_newer and _is_dated(known)):
                    self._rows[row[0]] = (version, row)

    def _take(self, row: ReadingRow, version: int, now_ms: int) -> None:
        """Take a reading if it is the newest: what is of time to come is older than anything."""
        known = self._rows.get(row[0])
        if known is None or _age(row, now_ms) <= _age(known[1], now_ms):
            self._rows[row[0]] = (version, row)

    def all(self) -> list[ReadingRow]:
        """Return the newest reading of each channel, also those from before the start."""
        with self._changed:
            return [row for _, row in self._rows.values()]

    def since(self, version: int) -> tuple[int, list[ReadingRow]]:
        """Return the version there is, and the newest readings behind an earlier one."""
        with self._changed:
            found = [row for at, row in self._rows.values() if at > version]
            return self.version, found

    def bad_count(self, channel_ids: Iterable[int]) -> int:
        """Return of how many of these channels the reading that came last is bad."""
        with self._changed:
            return sum(self._is_bad.get(one, False) for one in channel_ids)

    def wait(self, version: int, timeout_s: float) -> bool:
        """Wait until there is something behind `version`; return whether there is."""
        with self._changed:
            self._changed.wait_for(lambda: self.version > version or self.is_closed, timeout_s)
            return self.version > version

    def rest(self, time_s: float) -> None:
        """Wait for so long, whatever is new, unless nothing new comes any more."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_closed, time_s)

    def close(self) -> None:
        """Let nobody wait any more: nothing new comes."""
        with self._changed:
            self.is_closed = True
            self._changed.notify_all()


def _is_dated(row: ReadingRow) -> bool:
    """Return whether its sender has dated a reading: it may come behind newer ones."""
    return row[6] >> TIME_QUALITY_SHIFT == TIME_SENDER


def _age(row: ReadingRow, now_ms: int) -> tuple[bool, int]:
    """Return what rises with age; of time to come, with how far it is."""
    utc_ms = row[4]
    return (True, utc_ms) if utc_ms > now_ms + AHEAD_MS else (False, -utc_ms)
