"""The log of what boards have lost: now and then a line, with all that is missing by then.

Each gap is in the store, whatever the log says.
"""

import logging

from pyv_edge_core import message
from pyv_edge_core.host_event import Loss
from pyv_edge_core.reading import STREAM_NAMES

from .clock import Clock

logger = logging.getLogger(__name__)

INTERVAL_MS = 10_000  # between two lines
CAUSES = {
    message.GAP_OVERWRITTEN: "its memory was full",
    message.GAP_RELEASED: "it gave them to another store; this one is new, or an old copy",
}


class LossLog:
    """Says which numbers are missing, and why."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._missing = 0  # readings lost since the last line
        self._logged_ms: int | None = None

    def add(self, alias: str, loss: Loss) -> None:
        """Log what the board of that name has lost, unless a line was logged just now."""
        self._missing += loss.last_seq - loss.first_seq + 1
        now_ms = self._clock.monotonic_ms()
        if self._logged_ms is None or now_ms - self._logged_ms >= INTERVAL_MS:
            logger.warning(
                "board %s: %d readings of its %s are missing, up to number %d: %s",
                alias,
                self._missing,
                STREAM_NAMES[loss.stream],
                loss.last_seq,
                CAUSES.get(loss.cause, "it doesn't say why"),
            )
            self._missing = 0
            self._logged_ms = now_ms
