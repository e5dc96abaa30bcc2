"""The latest numbers of a channel, and what is said of them."""

from check import numbers_from, raises
from pyv_edge_core.errors import FieldError
from pyv_edge_core.ring import CAPACITY_MAX, RingBuffer


def test_buffer_limits():
    for capacity in (0, -1, CAPACITY_MAX + 1):
        assert "capacity" in str(raises(FieldError, RingBuffer, capacity)), capacity
    for dtype in ("", "x", "dd", "u", "bB"):
        assert "dtype" in str(raises(FieldError, RingBuffer, 4, dtype)), dtype
    for dtype in "bBhHiIqfd":
        buffer = RingBuffer(2, dtype)
        buffer.append(1, 5)
        assert (buffer.dtype, buffer.peek()) == (dtype, (5, 1)), dtype


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
    )
    for index in range(len(operations)):
        before = lock.taken
        operations[index]()
        assert (lock.taken - before, lock.depth) == (1, 0), index


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
