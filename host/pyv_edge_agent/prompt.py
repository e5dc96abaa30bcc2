"""A board that sits at its prompt instead of running: noticed, and told to start again.

A damaged byte on the line can be a Ctrl-C, and then the board waits for a person.
As long as the agent has the port, which is for itself alone, that person can't be
there. Bytes, frames and times in; what to type out: nothing while frames come.

A prompt says nothing by itself, and what it said before the port was open is
lost: so it is asked, with bytes that a program that runs takes for noise. Both
are done less and less often if they lead to nothing. Knows no port.
"""

NO_FRAME_MS = 10_000  # a board that runs sends something every few seconds
SETTLE_MS = 2_000  # what looks like a prompt may be the beginning of a line
AGAIN_MS = 30_000  # the first time; twice as long each further one
_DOUBLINGS_MAX = 5

# Also while a paste, or a statement of several lines, waits for its end.
_PROMPTS = (b">>> ", b"... ", b"=== ")
_START_SIZE = 4
# The end of a half-typed line; from the prompt for programs to the one for people.
ASK = b"\r\x02"
# All that, Ctrl-C against whatever still runs or waits, and the soft reset that starts main.py.
RESTART = b"\r\x03\r\x02\x04"


class Prompt:
    """What is known of the prompt at the far end of one line."""

    def __init__(self) -> None:
        self.restarts_total = 0
        self._start = b""  # of the line that has not ended yet
        self._began_ms = 0  # when that was heard first
        self._frames_total = 0
        self._quiet_ms: int | None = None  # since when no frame has come, None: not open yet
        self._asked = 0  # times, since then
        self._ask_ms = 0  # not before
        self._restarts = 0
        self._restart_ms = 0

    def reopen(self, now_ms: int) -> None:
        """Forget what was heard: another program may have had the port meanwhile."""
        self._start = b""
        self._frames_total = 0
        self._quiet_ms = now_ms
        self._asked = 0
        self._ask_ms = now_ms

    def take(self, data: bytes, frames_total: int, now_ms: int) -> None:
        """Take what the board sent; `frames_total` is the session's, these bytes included."""
        if frames_total != self._frames_total:
            self._frames_total = frames_total
            self._quiet_ms = now_ms
            self._asked = self._restarts = 0
        _, newline, rest = data.rpartition(b"\n")
        if newline:
            self._start = b""
        if len(self._start) < _START_SIZE:
            self._start = (self._start + rest)[:_START_SIZE]
            self._began_ms = now_ms

    def due(self, now_ms: int) -> bytes:
        """Return what is to be typed now: ASK, RESTART (which is counted), or nothing."""
        if self._quiet_ms is None or now_ms - self._quiet_ms < NO_FRAME_MS:
            return b""
        if self._start in _PROMPTS:
            if now_ms < self._restart_ms or now_ms - self._began_ms < SETTLE_MS:
                return b""
            self.restarts_total += 1
            self._start = b""
            self._restart_ms = now_ms + _pause_ms(self._restarts)
            self._ask_ms = now_ms + AGAIN_MS  # it is to boot in peace
            self._restarts += 1
            return RESTART
        if now_ms < self._ask_ms:
            return b""
        self._ask_ms = now_ms + _pause_ms(self._asked)
        self._asked += 1
        return ASK


def _pause_ms(times: int) -> int:
    return AGAIN_MS << min(times, _DOUBLINGS_MAX)
