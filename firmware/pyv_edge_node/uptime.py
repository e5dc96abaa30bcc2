"""Milliseconds since boot that outlive the wrap of a board's ticks.

`ticks_ms()` wraps at 2**30 ms (12.4 days), and so do small integers on a
32-bit board; uptime is therefore two of them, seconds and milliseconds, good
for 34 years without allocating. `update()` must be called at least once every
12 days; the main loop does so every pass.
"""

from pyv_edge_core.session import elapsed_ms


class Uptime:
    """Time since construction as `s` and `ms` (0 to 999)."""

    def __init__(self, now_ms: int) -> None:
        self.s = 0
        self.ms = 0
        self._then_ms = now_ms

    def update(self, now_ms: int) -> None:
        """Move on to `now_ms`, a tick count modulo 2**30."""
        ms = self.ms + elapsed_ms(now_ms, self._then_ms)
        self._then_ms = now_ms
        self.s += ms // 1000
        self.ms = ms % 1000
