"""Inbox: what links and adapters bring, until the thread that stores takes it.

Bounded, and it knows how urgent it is: a commit is due sooner if much waits, or something
that can't go on without it.
"""

import threading
from collections import deque
from typing import Any

from pyv_edge_core.host_event import Greeting

from .dating import TimedBatch
from .submission import Remembered, Submission

EVENTS_MAX = 20_000  # each link's window keeps its share far below
SUBMITTED_MAX = 20_000  # readings or submissions, from which on adapters have to wait
SHARE_MIN = 1000  # of an adapter, whatever others have
SOONER_MS_MAX = 200  # a commit is moved up for a waiting reading by no more


class Inbox:
    """Events with who has brought each. `put` is for any thread, the rest for one."""

    def __init__(self, wake: threading.Event, commit_max: int) -> None:
        """Begin empty; set `wake` when there is something to do before its time.

        That is when `commit_max` readings wait, which may be changed at any time.
        """
        self.commit_max = commit_max
        self.is_urgent = False  # whether it should be looked at now
        self._wake = wake
        self._events: deque[tuple[Any, Any]] = deque()
        self._waiting = 0  # readings, about
        self._oldest_ms: int | None = None  # when the oldest of them was taken, monotonic
        self._is_closed = False
        self._shares: dict[Any, int] = {}  # readings of submissions that wait, by who brought them
        self._submitted = 0  # their sum
        self._submissions = 0
        self._lock = threading.Lock()  # of the three

    def __len__(self) -> int:
        return len(self._events)

    def put(self, origin: Any, event: Any) -> bool:
        """Take what a link has learned or an adapter submits; return False if there is no room."""
        is_submission = isinstance(event, Submission)
        if is_submission or isinstance(event, Remembered):
            # Adapters have no windows that would keep their share small.
            if self._is_closed or not self._admit(origin, _size(event)):
                return False
        elif len(self._events) - self._submissions >= EVENTS_MAX:
            return False
        self._events.append((origin, event))
        if isinstance(event, TimedBatch):
            self._note(event.count, event.base_ms)
        elif is_submission:
            self._note(len(event.samples), event.taken_ms)
        is_urgent = isinstance(event, Greeting) or (is_submission and event.is_urgent)
        if is_urgent or self._waiting >= self.commit_max:
            self.is_urgent = True
            self._wake.set()
        return True

    def _admit(self, origin: Any, size: int) -> bool:
        """Note that who has brought it has so much more; return False if that is too much."""
        with self._lock:
            share = self._shares.get(origin, 0)
            if self._submitted >= SUBMITTED_MAX and share >= SHARE_MIN:
                return False
            self._shares[origin] = share + size
            self._submitted += size
            self._submissions += 1
        return True

    def _release(self, origin: Any, size: int) -> None:
        with self._lock:
            self._shares[origin] -= size
            if not self._shares[origin]:
                del self._shares[origin]
            self._submitted -= size
            self._submissions -= 1

    def _note(self, count: int, taken_ms: int) -> None:
        self._waiting += count
        if self._oldest_ms is None:
            self._oldest_ms = taken_ms
            self._wake.set()  # what `due_ms` says is another time now

    def due_ms(self, last_ms: int, interval_ms: int) -> int:
        """Return when it is to be emptied on the monotonic clock, after a last time at `last_ms`.

        Every `interval_ms`, and a little sooner if a reading would else wait longer than that
        from when its board took it: on its way it waits for a fuller frame.
        """
        if self.is_urgent:
            return last_ms
        latest_ms = last_ms + interval_ms
        if self._oldest_ms is None:
            return latest_ms
        earliest_ms = latest_ms - min(SOONER_MS_MAX, interval_ms // 2)
        return max(earliest_ms, min(latest_ms, self._oldest_ms + interval_ms))

    def begin(self) -> None:
        """Note that it is being emptied: what comes from now on is for the next time."""
        self._oldest_ms = None
        self.is_urgent = False

    def take(self) -> tuple[Any, Any]:
        """Return the oldest event with who has brought it, which is out."""
        return self._events.popleft()

    def put_back(self, origin: Any, event: Any) -> None:
        """Have it in again as the oldest: it has to wait."""
        self._events.appendleft((origin, event))

    def taken(self, origin: Any, event: Any) -> None:
        """Note that the readings of an event wait here no longer."""
        if isinstance(event, TimedBatch):
            self._waiting -= event.count
        elif isinstance(event, Submission):
            self._waiting -= len(event.samples)
        if isinstance(event, (Submission, Remembered)):
            self._release(origin, _size(event))
        if not self._events:
            self._waiting = 0  # it is counted without a lock

    def close(self) -> None:
        """Take no more from adapters."""
        self._is_closed = True

    def left(self) -> list[tuple[Any, Any]]:
        """Return what is still in."""
        return list(self._events)


def _size(event: Submission | Remembered) -> int:
    """Return how much room it takes: one without readings takes some, too."""
    return max(1, len(event.samples if isinstance(event, Submission) else event.keys))
