"""Lets others look at what a line carries, in a thread of its own, so that they hold up nobody.

A terminal that is stopped with Ctrl-S, a slow card under a capture, a pipe that
nobody empties: all of that makes this thread wait and never the line. What finds
no room meanwhile is not shown and not recorded, and is counted.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from .chunk import Chunk, Seen
from .errors import BridgeError, OutputStuckError

WAITING_MAX = 8_388_608  # bytes of chunks, each counted with what it costs beside them
_COST = 200
_END_TIMEOUT_S = 5.0  # for what waits when all ends; a stopped terminal would never take it
_TICK_S = 0.25


class Looker(Protocol):
    """Somebody who looks on."""

    def take(self, seen: Seen) -> None:
        """Take the next of what happened. May raise OSError, BridgeError: then all ends."""
        ...

    def tick(self) -> None:
        """Do what is due when nothing happens, several times a second."""
        ...

    def end(self) -> None:
        """Take it that nothing more comes."""
        ...


class Observer:
    """The thread, and the queue before it."""

    def __init__(self, lookers: Sequence[Looker], on_end: Callable[[], None]) -> None:
        """Hand on to `lookers` in turn; `on_end` is called when one of them has failed."""
        self.unseen_bytes_total = 0  # that found no room
        self.error: Exception | None = None
        self._lookers = lookers
        self._on_end = on_end
        self._waiting: deque[Seen | Callable[[], None]] = deque()
        self._size = 0
        self._changed = threading.Condition()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def observe(self, seen: Seen) -> None:
        """Take what happened; never waits for those who look on."""
        size = len(seen.data if isinstance(seen, Chunk) else seen.text) + _COST
        with self._changed:
            if self._size + size > WAITING_MAX:
                self.unseen_bytes_total += len(seen.data) if isinstance(seen, Chunk) else 0
                return
            self._waiting.append(seen)
            self._size += size
            self._changed.notify()

    def do(self, work: Callable[[], None]) -> None:
        """Have `work` done after what was observed; it may wait, and fail, as lookers may."""
        with self._changed:
            self._waiting.append(work)
            self._changed.notify()

    def end(self) -> None:
        """Let them see what waits, for a while, and end. Raises what one of them has failed with.

        Raises OutputStuckError if they don't come to an end in time, and BridgeError for what
        can only be a fault of ours.
        """
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        self._thread.join(_END_TIMEOUT_S)
        if isinstance(self.error, OSError | BridgeError):
            raise self.error
        if self.error is not None:
            name = type(self.error).__name__
            raise BridgeError(f"what passes can't be shown: {name}: {str(self.error)!r}") from (
                self.error
            )
        if self._thread.is_alive():
            raise OutputStuckError("what was seen last can't be written; is the output stopped?")

    def _run(self) -> None:
        try:
            while self._step():
                pass
            for looker in self._lookers:
                looker.end()
        except Exception as error:  # top of a thread
            self.error = error
            if not self._is_ending:
                self._on_end()

    def _step(self) -> bool:
        with self._changed:
            if not self._waiting and not self._is_ending:
                self._changed.wait(_TICK_S)
            batch, self._waiting = self._waiting, deque()
            self._size = 0
            is_ending = self._is_ending
        for seen in batch:
            if callable(seen):
                seen()
                continue
            for looker in self._lookers:
                looker.take(seen)
        for looker in self._lookers:
            looker.tick()
        return bool(batch) or not is_ending
