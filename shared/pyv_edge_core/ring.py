"""The latest numbers of one channel in bounded memory, with what can be said of them.

Allocated once; when full it drops its OLDEST value and counts it; it never
blocks or grows. Statistics look at the values where they are and copy nothing.
Values out of a window of time are found by bisection while times only rise, as
they nearly always do, and by looking at each if a late one is among them.

NaN and the infinities are no values: a reading that has one is of quality bad.
"""

from array import array

from ._compat import TYPE_CHECKING, const
from .errors import FieldError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any

CAPACITY_MAX = const(16777216)

# typecode: bits of an integer, 0 for a float
_TYPECODES = {"b": 8, "B": 8, "h": 16, "H": 16, "i": 32, "I": 32, "q": 64, "f": 0, "d": 0}
# The greatest of f and d; what is greater would become infinite. Whole numbers, because
# mpy-cross makes infinity of the greatest float's digits.
_FLOAT_MAX = 2**128 - 2**104
_DOUBLE_MAX = 2**1024 - 2**971
_TIME_MS_MAX = 2**62


class _NoLock:
    """Stands in for a lock where there is only one thread."""

    def __enter__(self) -> "_NoLock":
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        return None


class RingBuffer:
    """The latest `capacity` values with their times in milliseconds.

    Thread-safe if it is given a lock (the agent passes `threading.Lock()`).
    Windows are half open: from_ms <= time < to_ms; None means no bound.
    """

    def __init__(self, capacity: int, dtype: str = "d", lock: "object | None" = None) -> None:
        """Allocate room for `capacity` values of `array` typecode `dtype`.

        Raises FieldError unless 1 <= capacity <= CAPACITY_MAX and `dtype` is
        one of b B h H i I q f d.
        """
        is_bool = capacity is True or capacity is False
        if is_bool or not isinstance(capacity, int) or not 1 <= capacity <= CAPACITY_MAX:
            raise FieldError("capacity: %r is outside 1..%d" % (capacity, CAPACITY_MAX))
        if not isinstance(dtype, str) or dtype not in _TYPECODES:
            raise FieldError("dtype: %r is not one of b B h H i I q f d" % (dtype,))
        if lock is not None and not hasattr(lock, "__enter__"):
            raise FieldError("lock: %r is no lock" % (lock,))
        self.capacity = capacity
        self.dtype = dtype
        self.dropped_total = 0  # values overwritten since construction
        self._lock: _NoLock = _NoLock() if lock is None else lock  # type: ignore[assignment]
        bits = _TYPECODES[dtype]
        self._is_integer = bits > 0
        self._low: float
        self._high: float
        if bits and dtype <= "Z":  # unsigned
            self._low, self._high = 0, 2**bits - 1
        elif bits:
            self._low, self._high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        else:
            self._high = _FLOAT_MAX if dtype == "f" else _DOUBLE_MAX
            self._low = -self._high
        self._values: array[float] = array(dtype, [0] * capacity)
        self._times: array[int] = array("q", [0] * capacity)
        self._view = memoryview(self._values)
        self._head = 0  # index of the oldest value
        self._count = 0
        self._newest_ms = -_TIME_MS_MAX
        self._unordered = 0  # the oldest so many may be out of the order of time

    def __len__(self) -> int:
        return self._count

    def append(self, value: float, time_ms: int = 0) -> bool:
        """Add a value; return False if the oldest one had to be dropped.

        Raises FieldError for what the typecode can't hold, NaN and infinity.
        """
        # MicroPython would truncate silently; the comparison is false for NaN too.
        if not self._low <= value <= self._high or (
            self._is_integer and (not isinstance(value, int) or value is True or value is False)
        ):
            raise FieldError("value: %r does not fit typecode %s" % (value, self.dtype))
        if not isinstance(time_ms, int) or not -_TIME_MS_MAX <= time_ms <= _TIME_MS_MAX:
            raise FieldError("time_ms: %r is no time" % (time_ms,))
        with self._lock:
            kept_all = self._count < self.capacity
            if not kept_all:
                self._free(1)
                self.dropped_total += 1
            index = self._head + self._count
            if index >= self.capacity:
                index -= self.capacity
            self._values[index] = value
            self._times[index] = time_ms
            if self._count and time_ms < self._newest_ms:
                self._unordered = self._count
            self._newest_ms = time_ms
            self._count += 1
            return kept_all

    def peek(self, index: int = 0) -> "tuple[int, float]":
        """Return (time_ms, value) `index` places from the oldest, leaving it in.

        Raises IndexError unless 0 <= index < len(self).
        """
        with self._lock:
            return self._at(index)

    def pop(self) -> "tuple[int, float]":
        """Remove and return the oldest (time_ms, value). Raises IndexError if empty."""
        with self._lock:
            oldest = self._at(0)
            self._free(1)
            return oldest

    def discard(self, count: int) -> None:
        """Free the `count` oldest values. Raises FieldError if there are fewer."""
        with self._lock:
            if not 0 <= count <= self._count:
                raise FieldError("count: %d is outside 0..%d" % (count, self._count))
            self._free(count)

    def latest(self, count: int) -> "list[tuple[int, float]]":
        """Return up to `count` of the newest (time_ms, value), oldest first."""
        with self._lock:
            start = max(0, self._count - max(0, count))
            return [self._at(index) for index in range(start, self._count)]

    def between(self, from_ms: "int | None", to_ms: "int | None") -> "list[tuple[int, float]]":
        """Return the (time_ms, value) of a window, in the order in which they were appended."""
        with self._lock:
            spans = self._spans(from_ms, to_ms)
            return [self._at(index) for first, last in spans for index in range(first, last)]

    def __iter__(self) -> "Iterator[tuple[int, float]]":
        """Iterate over a copy of (time_ms, value), oldest first."""
        return iter(self.latest(self.capacity))

    # -- statistics of a window ----------------------------------------------------

    def count(self, from_ms: "int | None" = None, to_ms: "int | None" = None) -> int:
        """Return how many values there are."""
        with self._lock:
            return sum([last - first for first, last in self._spans(from_ms, to_ms)])

    def min(self, from_ms: "int | None" = None, to_ms: "int | None" = None) -> "float | None":
        """Return the smallest value, None if there is none."""
        with self._lock:
            return min([min(part) for part in self._parts(from_ms, to_ms)], default=None)

    def max(self, from_ms: "int | None" = None, to_ms: "int | None" = None) -> "float | None":
        """Return the greatest value, None if there is none."""
        with self._lock:
            return max([max(part) for part in self._parts(from_ms, to_ms)], default=None)

    def mean(self, from_ms: "int | None" = None, to_ms: "int | None" = None) -> "float | None":
        """Return the arithmetic mean, None if there is no value."""
        with self._lock:
            return _mean(self._parts(from_ms, to_ms))

    def std(self, from_ms: "int | None" = None, to_ms: "int | None" = None) -> "float | None":
        """Return the standard deviation of the population (divided by n), None without values."""
        with self._lock:
            parts = self._parts(from_ms, to_ms)
            mean = _mean(parts)
            if mean is None:
                return None
            total: float = 0
            for part in parts:
                for value in part:
                    total += (value - mean) * (value - mean)
            return float((total / sum([len(part) for part in parts])) ** (1 / 2))

    def rate(self, from_ms: "int | None" = None, to_ms: "int | None" = None) -> "float | None":
        """Return the change per second from the earliest to the latest value.

        None unless there are two of different times.
        """
        with self._lock:
            spans = self._spans(from_ms, to_ms)
            if not spans:
                return None
            earliest, latest = spans[0][0], spans[-1][1] - 1
            if self._unordered:
                for first, last in spans:
                    for index in range(first, last):
                        if self._time(index) < self._time(earliest):
                            earliest = index
                        if self._time(index) >= self._time(latest):
                            latest = index
            (first_ms, oldest), (last_ms, newest) = self._at(earliest), self._at(latest)
            return (newest - oldest) * 1000 / (last_ms - first_ms) if last_ms > first_ms else None

    def _spans(self, from_ms: "int | None", to_ms: "int | None") -> "list[tuple[int, int]]":
        """Return the (first, behind the last) places of the values in a window."""
        if not self._unordered or (from_ms is None and to_ms is None):
            first = 0 if from_ms is None else self._bisect(from_ms)
            last = self._count if to_ms is None else self._bisect(to_ms)
            return [(first, last)] if first < last else []
        spans = []
        first = -1
        for index in range(self._count + 1):
            is_in = (
                index < self._count
                and (from_ms is None or self._time(index) >= from_ms)
                and (to_ms is None or self._time(index) < to_ms)
            )
            if is_in and first < 0:
                first = index
            elif not is_in and first >= 0:
                spans.append((first, index))
                first = -1
        return spans

    def _bisect(self, time_ms: int) -> int:
        """Return the first place whose time is not below `time_ms`."""
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            if self._time(middle) < time_ms:
                low = middle + 1
            else:
                high = middle
        return low

    def _parts(self, from_ms: "int | None", to_ms: "int | None") -> "list[Any]":
        """Return views of the values in a window, none of them empty."""
        parts = []
        for first, last in self._spans(from_ms, to_ms):
            start = (self._head + first) % self.capacity
            end = start + last - first
            parts.append(self._view[start : min(end, self.capacity)])
            if end > self.capacity:
                parts.append(self._view[: end - self.capacity])
        return parts

    def _time(self, index: int) -> int:
        return self._times[(self._head + index) % self.capacity]

    def _at(self, index: int) -> "tuple[int, float]":
        if not 0 <= index < self._count:
            raise IndexError("no such value")
        place = (self._head + index) % self.capacity
        return self._times[place], self._values[place]

    def _free(self, count: int) -> None:
        self._head = (self._head + count) % self.capacity
        self._count -= count
        self._unordered = max(0, self._unordered - count)


def _mean(parts: "list[Any]") -> "float | None":
    count = sum([len(part) for part in parts])
    return sum([sum(part) for part in parts]) / count if count else None
