"""The agent's only reader of time. Everything else is given a `Clock`."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two kinds of time: one that never jumps, and one that people understand."""

    def monotonic_ms(self) -> int:
        """Return milliseconds that only ever rise, from an arbitrary start."""
        ...

    def utc_ms(self) -> int:
        """Return milliseconds since 1970 UTC, as wrong as the computer's clock is."""
        ...


class SystemClock:
    """The computer's clocks."""

    def monotonic_ms(self) -> int:
        """Return milliseconds of CLOCK_MONOTONIC."""
        return time.monotonic_ns() // 1_000_000

    def utc_ms(self) -> int:
        """Return milliseconds of CLOCK_REALTIME."""
        return time.time_ns() // 1_000_000
