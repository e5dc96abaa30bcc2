"""Whether a source is there: told once on the way down and once on the way up."""

import logging

from ..submission import Feed

logger = logging.getLogger(__name__)


class Availability:
    """The state of what one adapter depends on. For one thread."""

    def __init__(self, feed: Feed) -> None:
        """Begin with a source that is there, as far as is known."""
        self.failures_total = 0
        self._feed = feed
        self._failures = 0  # in a row

    @property
    def is_down(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def down(self, problem: str) -> None:
        """Note a failed attempt. `problem` must repeat neither a value nor a secret."""
        if not self._failures:
            logger.warning("device %s: %s; trying again", self._feed.name, problem)
        self._failures += 1
        self.failures_total += 1
        self._feed.problem = problem

    def up(self) -> None:
        """Note an attempt that succeeded."""
        if self._failures:
            logger.warning(
                "device %s: is there again after %d failures", self._feed.name, self._failures
            )
            self._failures = 0
            self._feed.problem = ""
