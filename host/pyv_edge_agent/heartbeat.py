"""Heartbeats: by which it is known whether every worker of the agent still moves.

Each thread that has something to do for ever has one. It says that it is here, and within
how long it will say so again, however long what it does next may take: a worker that is
waiting is not one that hangs. Who is late without having said so does.

Any thread may ask; each heartbeat belongs to one.
"""

from typing import Any, NamedTuple

from .clock import Clock

STEP_MS = 60_000  # longest that one step of a worker takes, if it says nothing else


class Beat(NamedTuple):
    """A sign of life, and when the next is to come."""

    seen_ms: int  # monotonic
    due_ms: int  # at the latest
    is_shared: bool = False  # whoever waits for this worker has as long


class Heartbeat:
    """One worker's sign of life. A new one counts as a first beat."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._last: Beat | None  # replaced as a whole: other threads read it
        self.beat()

    def beat(self, within_ms: int = STEP_MS) -> None:
        """Say that the worker is here, and will be again within so many milliseconds."""
        now_ms = self._clock.monotonic_ms()
        self._last = Beat(now_ms, now_ms + within_ms)

    def hold(self, within_ms: int) -> None:
        """Say the same, and that others may have to wait for this worker until then."""
        now_ms = self._clock.monotonic_ms()
        self._last = Beat(now_ms, now_ms + within_ms, is_shared=True)

    def end(self) -> None:
        """Say that the worker has ended as it should: no beat is to come any more."""
        self._last = None

    @property
    def last(self) -> Beat | None:
        """The last beat; None once the worker has ended."""
        return self._last

    def quiet_ms(self) -> int:
        """Return how long ago the last beat was."""
        last = self._last
        return 0 if last is None else self._clock.monotonic_ms() - last.seen_ms


class Heartbeats:
    """Those of all workers of one start of the agent."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._all: dict[str, Heartbeat] = {}
        self._excused_ms = 0  # before that, nobody is late

    def open(self, name: str) -> Heartbeat:
        """Return the heartbeat of a new worker, in the place of another one of that name."""
        made = self._all[name] = Heartbeat(name, self._clock)
        return made

    def late(self) -> list[Heartbeat]:
        """Return those of workers that do not move."""
        now_ms = self._clock.monotonic_ms()
        lasts = [(one, last) for one in list(self._all.values()) if (last := one.last)]
        if any(last.is_shared and now_ms <= last.due_ms for _, last in lasts):
            # Whoever has waited for that worker needs a moment of his own afterwards.
            self._excused_ms = now_ms + STEP_MS
        if now_ms <= self._excused_ms:
            return []
        return [one for one, last in lasts if now_ms > last.due_ms]

    def running(self) -> list[tuple[str, Beat]]:
        """Return (name, last beat) of each worker that has not ended."""
        return [(name, last) for name, one in list(self._all.items()) if (last := one.last)]

    def status(self) -> dict[str, Any]:
        """Return of each worker whether it moves and when it last said so, as JSON types."""
        late = self.late()
        return {
            name: {"is_late": one in late, "quiet_seconds": one.quiet_ms() / 1000}
            for name, one in list(self._all.items())
            if one.last
        }
