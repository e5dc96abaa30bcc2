"""Availability: whether a source can be had. Told once when it can't, and once when it can."""

import logging
from typing import Any

from ..clock import Clock

logger = logging.getLogger(__name__)


class Availability:
    """That of one device's source. One thread changes it, any may ask."""

    def __init__(self, name: str, clock: Clock) -> None:
        """Begin with a source that nobody has asked yet."""
        self.is_there = False
        self.problem = ""  # why it isn't, one line; also what is wrong although it is
        self.failures_total = 0
        self._name = name
        self._clock = clock
        self._since_ms = clock.monotonic_ms()
        self._failures = 0  # in a row

    def lost(self, problem: str) -> None:
        """Note that the source can't be had, and why. Told if either is news."""
        self.failures_total += 1
        self._failures += 1
        if problem != self.problem:
            logger.warning("device %s: %s; trying again", self._name, problem)
        self.problem = problem
        self._change(is_there=False)

    def found(self, what: str) -> None:
        """Note that it can be had: told with `what`, how long it was away, and after how much."""
        away_s = (self._clock.monotonic_ms() - self._since_ms) / 1000
        logger.info(
            "device %s: %s, after %.1f s and %d failed attempts",
            *(self._name, what, away_s, self._failures),
        )
        self._failures = 0
        self.problem = ""
        self._change(is_there=True)

    def back(self) -> None:
        """Note that it can be had, though it won't last if it is as before: nobody is told."""
        self._change(is_there=True)

    def _change(self, *, is_there: bool) -> None:
        if is_there != self.is_there:
            self.is_there = is_there
            self._since_ms = self._clock.monotonic_ms()

    def status(self) -> dict[str, Any]:
        """Return all that as JSON types."""
        return {
            "is_connected": self.is_there,
            "since_seconds": (self._clock.monotonic_ms() - self._since_ms) / 1000,
            "connection_problem": self.problem,
            "failures_total": self.failures_total,
        }
