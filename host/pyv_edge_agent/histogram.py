"""A histogram: how often a figure was at most so much."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Histogram:
    """Counts of one figure by its size. One thread adds, any may look."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """Count up to and including each of `bounds`, which rise, and what is above them."""
        self.bounds = tuple(bounds)
        self.total = 0.0
        self._counts = [0] * (len(self.bounds) + 1)

    def add(self, figure: float) -> None:
        """Count one."""
        self._counts[bisect_left(self.bounds, figure)] += 1
        self.total += figure

    def cumulative(self) -> list[int]:
        """Return how many were at most each of the bounds; all, last."""
        return list(accumulate(list(self._counts)))
