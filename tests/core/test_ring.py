"""The latest numbers of a channel, and what is said of them."""

from check import numbers_from, raises
from pyv_edge_core.errors import FieldError
from pyv_edge_core.ring import CAPACITY_MAX, RingBuffer


def test_buffer_limits():
    for capacity in (0, -1, CAPACITY_MAX + 1, True, "4", None):
        expected = "capacity: %r is outside 1..16777216" % (capacity,)
        assert str(raises(FieldError, RingBuffer, capacity)) == expected
    for dtype in ("", "x", "dd", "u", "bB", "Q", None, 3, b"d"):
        expected = "dtype: %r is not one of b B h H i I q f d" % (dtype,)
        assert str(raises(FieldError, RingBuffer, 4, dtype)) == expected
    for dtype in "bBhHiIqfd":
        buffer = RingBuffer(2, dtype)
        buffer.append(1, 5)
        assert (buffer.dtype, buffer.capacity, buffer.peek()) == (dtype, 2, (5, 1)), dtype


def test_values_at_the_limits_of_their_typecode():
    for dtype, low, high in (
        ("b", -128, 127),
        ("B", 0, 255),
        ("h", -(2**15), 2**15 - 1),
        ("H", 0, 2**16 - 1),
        ("i", -(2**31), 2**31 - 1),
        ("I", 0, 2**32 - 1),
        ("q", -(2**63), 2**63 - 1),
    ):
        buffer = RingBuffer(2, dtype)
        buffer.append(low)
        buffer.append(high)
        assert list(buffer) == [(0, low), (0, high)], dtype
        for value in (low - 1, high + 1, 1.0, 0.5, True, False):
            error = raises(FieldError, buffer.append, value, 1)
            assert str(error) == "value: %r does not fit typecode %s" % (value, dtype)
        assert list(buffer) == [(0, low), (0, high)] and buffer.dropped_total == 0, dtype


def test_nan_infinity_and_what_would_become_it_are_no_values():
    nan = float("nan")
    infinity = float("inf")
    for dtype, too_much in (("f", 3.5e38), ("d", 2**1024), ("i", 2**31)):
        buffer = RingBuffer(1, dtype)
        buffer.append(7, 1)
        for value in (nan, infinity, -infinity, too_much, -too_much - 1):
            error = raises(FieldError, buffer.append, value, 2)
            assert "does not fit typecode " + dtype in str(error), value
        assert list(buffer) == [(1, 7)] and buffer.dropped_total == 0, dtype
    buffer = RingBuffer(4, "f")
    for value in (2.0**127, -(2.0**127), 0.5, 3):
        buffer.append(value)
    assert [value for _, value in buffer] == [2.0**127, -(2.0**127), 0.5, 3]


def test_times_are_whole_and_within_62_bits():
    buffer = RingBuffer(1, "i")
    buffer.append(7, 1)
    for time_ms in (2**62 + 1, -(2**62) - 1, 1.5, float("nan"), float("inf")):
        error = raises(FieldError, buffer.append, 8, time_ms)
        assert str(error) == "time_ms: %r is no time" % (time_ms,)
    assert list(buffer) == [(1, 7)] and buffer.dropped_total == 0
    for time_ms in (2**62, -(2**62)):
        buffer.append(8, time_ms)
        assert buffer.peek() == (time_ms, 8)


def test_full_buffer_drops_the_oldest_and_counts_it():
    buffer = RingBuffer(3, "i")
    for value in (1, 2, 3):
        assert buffer.append(value, value * 10) is True, value
    assert buffer.append(4, 40) is False
    assert (len(buffer), buffer.dropped_total) == (3, 1)
    assert list(buffer) == [(20, 2), (30, 3), (40, 4)]


def test_buffer_of_one():
    buffer = RingBuffer(1, "i")
    assert buffer.append(1, 1) is True
    assert buffer.append(2, 2) is False
    assert (buffer.peek(), len(buffer), buffer.dropped_total) == ((2, 2), 1, 1)


def test_peek_keeps_pop_removes():
    buffer = RingBuffer(3, "i")
    raises(IndexError, buffer.peek)
    raises(IndexError, buffer.pop)
    buffer.append(1, 10)
    buffer.append(2, 20)
    assert (buffer.peek(), buffer.peek(1), len(buffer)) == ((10, 1), (20, 2), 2)
    for index in (2, -1):
        assert raises(IndexError, buffer.peek, index), index
    assert buffer.pop() == (10, 1)
    assert buffer.pop() == (20, 2)
    raises(IndexError, buffer.pop)
    assert buffer.dropped_total == 0


def test_discard_frees_the_oldest():
    buffer = RingBuffer(4, "i")
    for value in range(6):
        buffer.append(value, value)
    buffer.discard(0)
    assert len(buffer) == 4
    buffer.discard(3)
    assert list(buffer) == [(5, 5)]
    for count in (2, -1):
        error = raises(FieldError, buffer.discard, count)
        assert str(count) in str(error), count
    assert list(buffer) == [(5, 5)]


def test_latest_gives_at_most_what_there_is():
    buffer = RingBuffer(3, "i")
    assert buffer.latest(2) == []
    for value in range(5):
        buffer.append(value, value)
    cases = ((0, []), (1, [(4, 4)]), (2, [(3, 3), (4, 4)]), (9, [(2, 2), (3, 3), (4, 4)]))
    for count, expected in cases:
        assert buffer.latest(count) == expected, count


def test_times_are_64_bits_and_floats_stay_floats():
    buffer = RingBuffer(2)
    buffer.append(0.5, 1893456000123)
    assert buffer.peek() == (1893456000123, 0.5)


# -- windows of time ---------------------------------------------------------------


def _ring(*readings, capacity=8, dtype="i"):
    buffer = RingBuffer(capacity, dtype)
    for time_ms, value in readings:
        buffer.append(value, time_ms)
    return buffer


def test_window_is_half_open():
    buffer = _ring((10, 1), (20, 2), (20, 3), (30, 4))
    for from_ms, to_ms, values in (
        (None, None, [1, 2, 3, 4]),
        (None, 20, [1]),
        (None, 21, [1, 2, 3]),
        (20, None, [2, 3, 4]),
        (21, None, [4]),
        (10, 30, [1, 2, 3]),
        (10, 31, [1, 2, 3, 4]),
        (20, 20, []),
        (30, 10, []),
        (31, None, []),
        (None, 10, []),
        (-5, 1000, [1, 2, 3, 4]),
    ):
        came = buffer.between(from_ms, to_ms)
        assert [value for _, value in came] == values, (from_ms, to_ms)
        assert buffer.count(from_ms, to_ms) == len(values), (from_ms, to_ms)
        expected = (min(values), max(values)) if values else (None, None)
        assert (buffer.min(from_ms, to_ms), buffer.max(from_ms, to_ms)) == expected, values
    assert buffer.between(20, 30) == [(20, 2), (20, 3)]


def test_nothing_can_be_said_of_nothing():
    buffer = RingBuffer(4)
    for empty in (buffer, _ring((100, 5))):
        span = (0, 100)
        assert empty.count(*span) == 0 and empty.between(*span) == []
        assert [empty.min(*span), empty.max(*span), empty.mean(*span)] == [None] * 3
        assert [empty.std(*span), empty.rate(*span)] == [None] * 2
    assert (buffer.count(), buffer.min(), buffer.mean(), buffer.rate()) == (0, None, None, None)


def test_statistics():
    buffer = _ring((0, 2), (1000, 4), (2000, 4), (3000, 4), (4000, 5), (5000, 5), (6000, 7))
    buffer.append(9, 7000)
    assert (buffer.count(), buffer.min(), buffer.max()) == (8, 2, 9)
    assert (buffer.mean(), buffer.std(), buffer.rate()) == (5, 2, 1)
    assert (buffer.mean(0, 2000), buffer.std(0, 2000), buffer.rate(0, 2000)) == (3, 1, 2)
    assert (buffer.mean(6000), buffer.std(6000), buffer.rate(6000)) == (8, 1, 2)
    assert (buffer.mean(7000), buffer.std(7000), buffer.rate(7000)) == (9, 0, None)
    floats = _ring((0, 0.5), (500, 1.5), capacity=2, dtype="d")
    assert (floats.mean(), floats.std(), floats.rate()) == (1.0, 0.5, 2.0)
    assert floats.min() == 0.5 and floats.max() == 1.5


def test_statistics_of_great_numbers_are_not_lost_in_them():
    base = 2**52
    buffer = _ring((0, base), (1, base + 2), dtype="q")
    assert buffer.mean() == base + 1 and buffer.rate() == 2000
    buffer = _ring((0, 10**9), (1, 10**9 + 2), capacity=2, dtype="d")
    assert buffer.std() == 1


def test_windows_over_the_seam():
    buffer = RingBuffer(5, "i")
    for value in range(8):  # 3..7 are left, the seam between 4 and 5
        buffer.append(value, value * 10)
    for first in range(3, 8):
        for last in range(first, 8):
            span = (first * 10, last * 10 + 1)
            values = list(range(first, last + 1))
            assert [value for _, value in buffer.between(*span)] == values, span
            assert buffer.count(*span) == len(values), span
            assert (buffer.min(*span), buffer.max(*span)) == (first, last), span
            assert buffer.mean(*span) == sum(values) / len(values), span
            assert buffer.rate(*span) == (None if first == last else 100), span
    assert buffer.std() == 2**0.5


def test_late_times_are_found_wherever_they_are():
    buffer = _ring((10, 1), (40, 4), (20, 2), (30, 3), (20, 5))
    assert buffer.between(20, 31) == [(20, 2), (30, 3), (20, 5)]
    assert buffer.between(None, 15) == [(10, 1)]
    assert buffer.between(40, None) == [(40, 4)]
    assert buffer.between(10, 41) == buffer.between(None, None)
    assert (buffer.count(20, 21), buffer.mean(20, 21)) == (2, 3.5)
    assert (buffer.min(15, 45), buffer.max(15, 45)) == (2, 5)
    assert buffer.rate() == 100, "10 to 40"
    assert buffer.rate(15, 35) == 100, "the first of 20 to 30"
    assert buffer.rate(20, 21) is None
    assert buffer.rate(50, 60) is None
    assert _ring((20, 4), (10, 1), (30, 5)).rate() == 200, "10 to 30"


def test_late_times_that_have_left_are_forgotten():
    buffer = RingBuffer(3, "i")
    for time_ms in (50, 10, 20, 30):  # 50 leaves
        buffer.append(time_ms, time_ms)
    assert buffer.between(20, None) == [(20, 20), (30, 30)] and buffer.rate() == 1000
    buffer.append(25, 25)
    assert buffer.between(22, 28) == [(25, 25)]
    buffer.discard(2)  # 25 is left
    buffer.append(26, 26)
    assert buffer.between(26, None) == [(26, 26)] and buffer.rate() == 1000
    buffer.discard(2)
    buffer.append(1, 1)  # the first of an empty ring is not late
    buffer.append(2, 2)
    assert buffer.between(2, 9) == [(2, 2)]


def test_times_before_1970_are_times():
    buffer = _ring((-3000, 1), (-1000, 5), (0, 6))
    assert buffer.between(-3000, 0) == [(-3000, 1), (-1000, 5)]
    assert buffer.rate(None, 0) == 2


class _CountingLock:
    def __init__(self):
        self.taken = 0
        self.depth = 0

    def __enter__(self):
        assert self.depth == 0, "taken twice: a real lock would hang here"
        self.depth = 1
        self.taken += 1
        return self

    def __exit__(self, *error):
        self.depth = 0


def test_each_operation_takes_the_lock_once_and_gives_it_back():
    lock = _CountingLock()
    buffer = RingBuffer(4, "i", lock)
    buffer.append(1, 1)
    operations = (
        lambda: buffer.append(2, 2),
        buffer.peek,
        buffer.pop,
        lambda: buffer.discard(1),
        lambda: buffer.latest(1),
        lambda: list(buffer),
        lambda: raises(IndexError, buffer.pop),
        lambda: raises(FieldError, buffer.discard, 9),
        lambda: buffer.between(None, None),
        lambda: buffer.between(0, 9),
        buffer.count,
        buffer.min,
        buffer.max,
        buffer.mean,
        buffer.std,
        buffer.rate,
        lambda: buffer.append(3, 0),
        lambda: buffer.rate(0, 9),
        lambda: buffer.std(5, 6),
    )
    for index in range(len(operations)):
        before = lock.taken
        operations[index]()
        assert (lock.taken - before, lock.depth) == (1, 0), index
    before = lock.taken
    raises(FieldError, buffer.append, 2**31)
    assert len(buffer) == 1 and lock.taken == before


def test_buffer_agrees_with_a_list_over_a_long_run():
    for capacity, seed in ((1, 1), (2, 5), (7, 9), (64, 3)):
        numbers = numbers_from(seed)
        buffer = RingBuffer(capacity, "i")
        model = []
        dropped = 0
        for step in range(1500):
            choice = next(numbers) % 8
            if choice < 5:
                value = next(numbers) - 30000
                kept = len(model) < capacity
                if not kept:
                    model.pop(0)
                    dropped += 1
                model.append((step, value))
                assert buffer.append(value, step) is kept, (capacity, step)
            elif choice < 7:
                if model:
                    assert buffer.pop() == model.pop(0), (capacity, step)
            else:
                count = next(numbers) % (min(len(model), 3) + 1)
                buffer.discard(count)
                model = model[count:]
            assert len(buffer) == len(model), (capacity, step)
            if step % 10 == 0:
                assert list(buffer) == model, (capacity, step)
        assert (list(buffer), buffer.dropped_total) == (model, dropped), capacity
        assert dropped > 0, capacity


def test_what_is_no_lock_is_refused_at_once():
    for lock in (5, "lock", object()):
        assert "lock" in str(raises(FieldError, RingBuffer, 2, "d", lock))
