"""The latest values of a device in memory, added by the batch as they are committed.

A `RingBuffer` that takes many at once: a batch is two copies in C where one value after the
other would cost as much as all the rest of a reading's way to the store.
"""

from array import array

from pyv_edge_core.errors import FieldError
from pyv_edge_core.ring import RingBuffer


class Recent(RingBuffer):
    """A ring buffer for one writer and any readers."""

    def extend(self, values: list[float], times_ms: list[int]) -> int:
        """Add finite values in their order; return how many the typecode can't hold."""
        if not values:
            return 0
        with self._lock:
            is_rising = not self._count or times_ms[0] >= self._newest_ms
            if (
                is_rising
                and not self._is_integer
                and self._low <= min(values)
                and max(values) <= self._high
                and times_ms == sorted(times_ms)
            ):
                self._put(values, times_ms)
                return 0
        return sum(not self._fits(*one) for one in zip(values, times_ms, strict=True))

    def _fits(self, value: float, time_ms: int) -> bool:
        try:
            self.append(value, time_ms)
        except FieldError:
            return False
        return True

    def _put(self, values: list[float], times_ms: list[int]) -> None:
        """Add values that fit and whose times rise."""
        over = self._count + len(values) - self.capacity
        if over > 0:
            self.dropped_total += over
            freed = min(over, self._count)
            self._free(freed)
            values, times_ms = values[over - freed :], times_ms[over - freed :]
        start = (self._head + self._count) % self.capacity
        count = len(values)
        until_end = min(count, self.capacity - start)
        new, new_times = array(self.dtype, values), array("q", times_ms)
        times = memoryview(self._times)
        self._view[start : start + until_end] = new[:until_end]
        self._view[: count - until_end] = new[until_end:]
        times[start : start + until_end] = new_times[:until_end]
        times[: count - until_end] = new_times[until_end:]
        self._newest_ms = times_ms[-1]
        self._count += count
