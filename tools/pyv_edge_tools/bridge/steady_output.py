"""Standard output of a command that somebody depends on: it may fail, and the command goes on.

A failure is told once on standard error. What comes then is kept, up to KEPT_MAX bytes,
and tried again every RETRY_NS: a disk may get room. What found no place is counted, and
a remark stands where it is missing. Lines stay whole and in order. Where nobody depends
on the command it is there for its output, and a failure ends it.

Writing may wait for whoever reads, so it is done in a thread of its own (`Observer`'s: this
is a Looker), and by `say` and `conclude` with a limit on time.
"""

import json
import os
import select
import sys
from collections.abc import Callable
from typing import Any

from . import PROGRAM, stdio
from .carrier import now_ns
from .chunk import Note, Seen
from .description import as_lines, as_object
from .errors import BridgeError, OutputStuckError

KEPT_MAX = 65_536  # bytes that wait for room on a disk
RETRY_NS = 5_000_000_000
_WRITE_SIZE = 65_536
_END_TIMEOUT_S = 5.0


class SteadyOutput:
    """What a command prints, line by line."""

    def __init__(
        self,
        *,
        is_json: bool,
        is_needed: bool,
        write: Callable[[bytes], int] | None = None,
        complain: Callable[[str], None] = stdio.complain,
        clock: Callable[[], int] = now_ns,
    ) -> None:
        """Begin; `is_needed` says whether the command goes on, whatever becomes of this."""
        self.begun_ns = clock()  # what the times of remarks count from
        self.is_json = is_json
        self._is_needed = is_needed
        self._write = write or _writer()
        self._complain = complain
        self._clock = clock
        self._waiting = bytearray()
        self._dropped_total = 0  # lines
        self._untold_total = 0  # and those of them that the output doesn't tell of yet
        self._problem = ""  # why it couldn't be written the last time; "": it could
        self._is_told = False
        self._has_failed = False  # other than by a reader that has left
        self._again_ns = 0
        self._is_last = False  # whether the command is at its end

    @property
    def unwritten_lines_total(self) -> int:
        """Lines that were lost, or still wait though it can't be written."""
        waiting = self._waiting.count(b"\n") if self._problem else 0
        return self._dropped_total + waiting

    @property
    def status(self) -> int:
        """What the command ends with: 1 if lines are missing, but for those nobody wanted."""
        return 1 if self._has_failed and self.unwritten_lines_total else 0

    def tell(self, told: dict[str, Any], line: str) -> None:
        """Add `told` as JSON if that is asked for, else `line`."""
        self.add((json.dumps(told) if self.is_json else line) + "\n")

    def tell_note(self, note: Note) -> None:
        """Add what happened to the line itself."""
        lines = as_lines(note, self.begun_ns)
        self.tell(as_object(note, self.begun_ns), "\n".join(lines))

    def add(self, text: str) -> None:
        """Add `text`, to be written soon. Raises as `flush` does."""
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        data = text.encode(encoding, "backslashreplace")
        is_full = bool(self._problem) and len(self._waiting) + len(data) > KEPT_MAX
        if self._untold_total or is_full:
            self._untold_total += data.count(b"\n")
            self._dropped_total += data.count(b"\n")
            return
        self._waiting += data
        if len(self._waiting) >= _WRITE_SIZE:
            self.flush()

    def flush(self) -> None:
        """Write what waits, unless that failed a moment ago.

        Where nobody depends on the command: raises BrokenPipeError if nobody reads any more,
        and BridgeError for any other failure.
        """
        if self._problem and self._clock() < self._again_ns:
            return
        try:
            self._write_waiting()
            if self._untold_total:
                text = f"{self._untold_total} lines are missing here: {self._problem}"
                self._untold_total = 0
                self.tell_note(Note(self._clock(), text))
                self._write_waiting()
        except OSError as error:
            self._fail(error)
        else:
            self._problem = ""

    def _write_waiting(self) -> None:
        while self._waiting:
            written = self._write(bytes(self._waiting[:_WRITE_SIZE]))
            del self._waiting[:written]

    def _fail(self, error: OSError) -> None:
        is_left = isinstance(error, BrokenPipeError)
        why = "nobody reads standard output" if is_left else stdio.why_unwritable(error)
        if not self._is_needed:
            self._waiting.clear()
            if is_left:
                raise error
            raise BridgeError(why) from error
        self._problem = why
        self._has_failed |= not is_left
        self._again_ns = self._clock() + RETRY_NS
        if not self._is_told:
            self._is_told = True
            if self._is_last and is_left:
                return  # it has not missed anything that it wanted
            onward = "" if self._is_last else "; all else goes on, Ctrl-C ends it"
            self._complain(f"{PROGRAM}: {why}{onward}")

    def say(self, told: dict[str, Any], line: str) -> None:
        """Tell it and write all there is, within a limit on time. No other thread may write.

        Raises as `flush` does, and OutputStuckError if nobody takes it.
        """

        def work() -> None:
            self.end()  # else there may be no room
            self.tell(told, line)
            self.end()

        if not stdio.is_done_in_time(work, _END_TIMEOUT_S):
            raise OutputStuckError("what was said last can't be written; is the output stopped?")

    def conclude(self, told: dict[str, Any], line: str) -> None:
        """Say what comes last. Raises as `say` does."""
        self._is_last = True
        self.say(told, line)

    # -- as a Looker -------------------------------------------------------------------

    def take(self, seen: Seen) -> None:
        """Do nothing: what is shown of it, others decide."""

    def tick(self) -> None:
        """Write what waits. Raises as `flush` does."""
        self.flush()

    def end(self) -> None:
        """Try once more, however short ago it failed. Raises as `flush` does."""
        self._again_ns = 0
        self.flush()


def _writer() -> Callable[[bytes], int]:
    """Return what writes to standard output, and waits for room even where that is set not to."""
    descriptor = sys.stdout.fileno()

    def write(data: bytes) -> int:
        while True:
            try:
                return os.write(descriptor, data)
            except BlockingIOError:
                poll = select.poll()
                poll.register(descriptor, select.POLLOUT)
                poll.poll()

    return write
