"""Summaries of readings over time: buckets that are aligned to the clock.

`Summary` adds up one bucket exactly, in any order: integers in, integers out.
`Window` is the last stretch of time in panes, each a bucket; a late reading goes
into the pane it belongs to. `Rollup` gathers what is new in each bucket of one
period, so that a late reading changes the summary that is stored already:
summaries are merged, never recomputed from readings.
"""

from ._compat import TYPE_CHECKING, const
from .errors import FieldError

if TYPE_CHECKING:
    from typing import Any


PANE_COUNT_MAX = const(64)


class Summary:
    """What is known of the readings of one bucket."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.count = 0  # measurements; bad ones are none
        self.bad_count = 0
        self.total: Any = 0
        self.low: Any = 0
        self.high: Any = 0
        self.last: Any = 0
        self.last_ms = 0

    def add(self, time_ms: int, value: "Any") -> None:
        """Take one measurement."""
        if not self.count or value < self.low:
            self.low = value
        if not self.count or value > self.high:
            self.high = value
        if not self.count or time_ms >= self.last_ms:
            self.last = value
            self.last_ms = time_ms
        self.count += 1
        self.total += value

    def merge(self, other: "Summary") -> None:
        """Take all that `other` has taken."""
        if other.count:
            if not self.count or other.low < self.low:
                self.low = other.low
            if not self.count or other.high > self.high:
                self.high = other.high
            if not self.count or other.last_ms >= self.last_ms:
                self.last = other.last
                self.last_ms = other.last_ms
            self.count += other.count
            self.total += other.total
        self.bad_count += other.bad_count


class Window:
    """The last `length_ms` in panes of `step_ms`: sliding, or tumbling if there is one pane.

    Times are milliseconds modulo `mask` + 1; differences up to half of that are
    told apart. Allocates nothing once it is made, as long as its sum is a small integer.
    """

    def __init__(self, length_ms: int, step_ms: int, mask: int) -> None:
        """Raise FieldError unless `step_ms` divides `length_ms` into 1 to PANE_COUNT_MAX panes.

        `mask` is a power of two less one, and more than twice `length_ms`.
        """
        if mask & (mask + 1) or mask >> 1 <= length_ms:
            raise FieldError("mask: %d can't tell times of %d ms apart" % (mask, length_ms))
        if step_ms < 1 or length_ms % step_ms or not 1 <= length_ms // step_ms <= PANE_COUNT_MAX:
            raise FieldError(
                "step: %d ms does not divide %d ms into 1 to %d panes"
                % (step_ms, length_ms, PANE_COUNT_MAX)
            )
        self.late_total = 0  # readings older than the window
        self.total = Summary()  # of the whole window, the newest pane included
        self._step_ms = step_ms
        self._mask = mask
        self._panes = [Summary() for _ in range(length_ms // step_ms)]
        self._newest = 0
        self._start_ms = -1  # of the newest pane; -1: nothing has come yet

    def add(self, time_ms: int, value: "Any") -> bool:
        """Take a measurement; return False (and count it) if it is older than the window."""
        step_ms = self._step_ms
        count = len(self._panes)
        if self._start_ms < 0:
            self._start_ms = time_ms - time_ms % step_ms
        ahead_ms = (time_ms - self._start_ms) & self._mask
        index = self._newest
        if ahead_ms > self._mask >> 1:  # it belongs into an earlier pane
            back = (self._mask - ahead_ms) // step_ms + 1
            if back >= count:
                self.late_total += 1
                return False
            index = (index - back) % count
        elif ahead_ms >= step_ms:
            self._slide(ahead_ms // step_ms)
            index = self._newest
        self._panes[index].add(time_ms, value)
        self.total.add(time_ms, value)
        return True

    def restart(self) -> None:
        """Forget everything."""
        self._start_ms = -1
        self.total.clear()
        for pane in self._panes:
            pane.clear()

    def is_over(self, time_ms: int) -> bool:
        """Return whether `time_ms` lies behind the newest pane, which then is complete."""
        ahead_ms = (time_ms - self._start_ms) & self._mask
        return self._start_ms >= 0 and self._step_ms <= ahead_ms <= self._mask >> 1

    def _slide(self, steps: int) -> None:
        # The wrap first: the sum could have 31 bits, which is no small int on a board.
        start_ms = self._start_ms - self._mask + steps * self._step_ms
        self._start_ms = (start_ms - 1) & self._mask
        count = len(self._panes)
        for _ in range(min(steps, count)):
            self._newest = (self._newest + 1) % count
            self._panes[self._newest].clear()
        self.total.clear()
        for pane in self._panes:
            self.total.merge(pane)


class Rollup:
    """Summaries of the buckets of one period, as far as they are new."""

    def __init__(self, period_ms: int) -> None:
        """Raise FieldError unless `period_ms` is above 0."""
        if period_ms < 1:
            raise FieldError("period_ms: %r is not above 0" % (period_ms,))
        self.period_ms = period_ms
        self._buckets: dict[int, Summary] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def add(self, time_ms: int, value: "Any", is_bad: bool) -> bool:
        """Take a reading of UTC `time_ms`; return whether it is the first of its bucket.

        There are as many buckets as its readings fall into: make a new one for each commit.
        """
        start_ms = time_ms - time_ms % self.period_ms
        summary = self._buckets.get(start_ms)
        is_new = summary is None
        if summary is None:
            summary = self._buckets[start_ms] = Summary()
        if is_bad:
            summary.bad_count += 1
        else:
            summary.add(time_ms, value)
        return is_new

    def buckets(self) -> "list[tuple[int, Summary]]":
        """Return (start_ms, what is new) of each bucket, earliest first."""
        return [(start_ms, self._buckets[start_ms]) for start_ms in sorted(self._buckets)]
