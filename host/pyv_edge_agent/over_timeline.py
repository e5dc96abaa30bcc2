"""When the uptime of a boot that is over was, in the host's time, with a bound on the error.

Nobody knows for how long a board was without power before its present boot. What
is known of the offset (host minus uptime) of a boot that is over:

    at most   the board says how long ago, at least, the boot was at the end of what is
              known of it: so long the boots since then have run
    at least  what the store had of the device, when the boot was welcomed, was taken
              before the first reading that it still has

All its readings get one offset, the middle of the two, so that they keep their
distances; the bound is what lies between them, and what both clocks may drift.
"""

import math

from .timeline import DRIFT_PPM, ERROR_MS_MAX

_SLACK_MS = 1  # both sides read clocks of whole milliseconds


def _drift_ms(span_ms: float) -> float:
    return abs(span_ms) * DRIFT_PPM / 1_000_000


class OverTimeline:
    """The offset of one boot that is over."""

    def __init__(self) -> None:
        self.disagreements_total = 0  # the two bounds contradicted one another
        self._high = math.inf  # of the offset at the uptime `_end_ms`
        self._end_ms = 0
        self._low = -math.inf  # of the offset at the uptime `_from_ms`
        self._from_ms = 0
        self._after_ms: int | None = None
        self._is_first_due = False  # whether the first reading is still to come

    def exchange(self, uptime_ms: int, received_ms: int, end_ms: int) -> None:
        """Learn that at `received_ms` later boots had run for `uptime_ms` in all.

        `end_ms` is the uptime up to which the one that is over is known.
        """
        began_ms = received_ms - uptime_ms + _drift_ms(uptime_ms) + _SLACK_MS
        if began_ms - end_ms < self._high:
            self._high = began_ms - end_ms
            self._end_ms = end_ms

    def welcomed(self, after_ms: int | None, *, is_new: bool) -> None:
        """Learn that what it still has was taken after `after_ms`; None: that isn't known.

        A boot that `is_new` to the store began after that, too.
        """
        self._after_ms = after_ms
        self._is_first_due = after_ms is not None
        if after_ms is not None:
            self._at_least(after_ms, 0 if is_new else self._end_ms)

    def first(self, uptime_ms: int) -> None:
        """Learn the uptime of the first reading that it still has."""
        if self._is_first_due and self._after_ms is not None:
            self._is_first_due = False
            self._at_least(self._after_ms, uptime_ms)

    def _at_least(self, after_ms: int, uptime_ms: int) -> None:
        low = after_ms - uptime_ms - _SLACK_MS
        if low > self._low:
            self._low = low
            self._from_ms = uptime_ms

    def bound(self, first_uptime_ms: int, last_uptime_ms: int) -> tuple[int, int]:
        """Return (offset, error) in ms for all times from first to last uptime."""
        places = (first_uptime_ms, last_uptime_ms, self._end_ms, self._from_ms)
        drift_ms = _drift_ms(max(places) - min(places))
        width_ms = self._high - self._low
        if width_ms < -2 * drift_ms:  # a clock was set, or what the store has is dated wrong
            self.disagreements_total = 1
            width_ms = math.inf
        if width_ms == math.inf:
            return round(self._high), ERROR_MS_MAX  # nothing is known but that it was no later
        offset = round(self._high - width_ms / 2)
        error_ms = math.ceil(max(0.0, width_ms / 2) + 2 * drift_ms + 1.5)
        return offset, min(error_ms, ERROR_MS_MAX)
