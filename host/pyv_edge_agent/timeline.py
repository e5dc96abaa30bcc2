"""When a board's uptime was, in the host's time, with a bound on the error.

A board has no clock. Each time exchange says that its uptime `u` was read
between the host's `sent` and `received`, so the offset (host minus board) lies
in `[sent - u, received - u]`. The intervals of successive exchanges are
intersected; between them they widen by DRIFT_PPM, the worst crystal we expect.
Host time here is the monotonic clock, so that a step of the computer's clock
moves no reading against another.
"""

import math

DRIFT_PPM = 500
_EXCHANGE_SLACK_MS = 1  # both sides read clocks of whole milliseconds


class Timeline:
    """The offset between one boot's uptime and the host's monotonic clock."""

    def __init__(self) -> None:
        self.disagreements_total = 0  # exchanges that contradicted the ones before
        self._low_ms = 0.0  # offset, at uptime `_at_ms`
        self._high_ms = 0.0
        self._at_ms = 0
        self._is_known = False

    def exchange(self, uptime_ms: int, sent_ms: int, received_ms: int) -> None:
        """Learn that the uptime was read between two moments of the host."""
        low = float(sent_ms - uptime_ms - _EXCHANGE_SLACK_MS)
        high = float(received_ms - uptime_ms + _EXCHANGE_SLACK_MS)
        if self._is_known:
            drift = self._drift_ms(uptime_ms)
            joint_low = max(low, self._low_ms - drift)
            joint_high = min(high, self._high_ms + drift)
            if joint_low > joint_high:
                self.disagreements_total += 1
            else:
                low, high = joint_low, joint_high
        self._low_ms, self._high_ms, self._at_ms = low, high, uptime_ms
        self._is_known = True

    def at(self, uptime_ms: int) -> tuple[int, int] | None:
        """Return (monotonic_ms, error_ms) of an uptime, None before the first exchange."""
        if not self._is_known:
            return None
        drift = self._drift_ms(uptime_ms)
        middle = (self._low_ms + self._high_ms) / 2
        half = (self._high_ms - self._low_ms) / 2 + drift
        # Rounding costs up to a half, and an uptime of whole milliseconds is up to one too early.
        return uptime_ms + round(middle), math.ceil(half + 1.5)

    def _drift_ms(self, uptime_ms: int) -> float:
        return abs(uptime_ms - self._at_ms) * DRIFT_PPM / 1_000_000
