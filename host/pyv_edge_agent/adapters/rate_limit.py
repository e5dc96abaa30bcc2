"""A token bucket: so many a second on average, more for a short while."""

import threading

from ..clock import Clock

BURST_S = 10.0  # what came in less than that is not held against anybody


class RateLimit:
    """Says whether more may come now, and when. Thread-safe.

    What comes is as large as it is: it is taken as long as there is anything left, and
    what it takes beyond that is owed.
    """

    def __init__(self, per_second: float, clock: Clock) -> None:
        """Allow `per_second`; 0: any number."""
        self._per_second = per_second
        self._most = per_second * BURST_S
        self._left = self._most
        self._clock = clock
        self._seen_ms = clock.monotonic_ms()
        self._lock = threading.Lock()

    def wait_s(self) -> float:
        """Return how long nothing may come yet; 0: it may."""
        if not self._per_second:
            return 0.0
        with self._lock:
            self._fill()
            return 0.0 if self._left > 0 else -self._left / self._per_second + 1e-3

    def take(self, count: int) -> None:
        """Note what has come."""
        with self._lock:
            self._fill()
            self._left -= count

    def _fill(self) -> None:
        now_ms = self._clock.monotonic_ms()
        earned = (now_ms - self._seen_ms) / 1000 * self._per_second
        self._left = min(self._most, self._left + earned)
        self._seen_ms = now_ms
