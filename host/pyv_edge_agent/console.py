"""What a board prints beside its frames, logged line by line and in moderation."""

import logging

from .clock import Clock

logger = logging.getLogger(__name__)

LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
LINES_MAX = 20  # logged per minute; the rest is counted
LINE_SIZE_MAX = 200


def visible(text: str) -> str:
    """Return a board's words with all that could forge a line of a log, or a terminal, escaped."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


class Console:
    """The console text of one link."""

    def __init__(self, name: str, clock: Clock) -> None:
        """Log for the link called `name`."""
        self.lines_total = 0
        self._name = name
        self._clock = clock
        self._rest = b""  # of a line that has not ended yet
        self._minute = -1
        self._count = 0

    def take(self, text: bytes) -> None:
        """Log the lines that end in `text`; the rest waits for its end."""
        lines = (self._rest + text).split(b"\n")
        self._rest = lines.pop()[-LINE_SIZE_MAX:]
        for line in lines:
            shown = line[:LINE_SIZE_MAX].decode("utf-8", "replace").strip()
            if shown:
                self.log("prints", shown)

    def log(self, verb: str, text: str, level: int = logging.INFO) -> None:
        """Log a line of the board's; beyond LINES_MAX a minute only count it.

        A `level` that is none of LEVELS is INFO.
        """
        minute = self._clock.monotonic_ms() // 60_000
        if minute != self._minute:
            self._minute = minute
            self._count = 0
        self.lines_total += 1
        self._count += 1
        if self._count <= LINES_MAX:
            known = level if level in LEVELS else logging.INFO
            logger.log(known, "link %s: board %s: %s", self._name, verb, visible(text))
