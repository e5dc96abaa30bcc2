"""The ring of numbers against a deque, and its statistics against the standard library."""

import math
import statistics
from collections import deque
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from profiles import examples
from pyv_edge_core.errors import FieldError
from pyv_edge_core.ring import RingBuffer

TIME_MS_MAX = 2**62
FLOAT_MAX = 2.0**128 - 2.0**104
numbers = {
    "b": st.integers(-(2**7), 2**7 - 1),
    "B": st.integers(0, 2**8 - 1),
    "h": st.integers(-(2**15), 2**15 - 1),
    "H": st.integers(0, 2**16 - 1),
    "i": st.integers(-(2**31), 2**31 - 1),
    "I": st.integers(0, 2**32 - 1),
    "q": st.integers(-(2**63), 2**63 - 1),
    "f": st.floats(-1000, 1000, width=32),
    "d": st.floats(-1000, 1000),
}
# Mostly rising, as they come; some late, some the same.
moves = st.one_of(st.integers(0, 20), st.integers(0, 20), st.just(0), st.integers(-60, 100))
bounds = st.one_of(st.none(), st.integers(-60, 400))


def _is_close(came, expected, scale):
    """Return whether it is right but for what floats can't hold of numbers up to `scale`."""
    return math.isclose(came, expected, rel_tol=1e-9, abs_tol=1e-9 * scale)


class BufferMachine(RuleBasedStateMachine):
    """A RingBuffer beside a deque."""

    @initialize(capacity=st.integers(1, 12), dtype=st.sampled_from("bBhHiIqfd"))
    def make(self, capacity, dtype):
        self.buffer = RingBuffer(capacity, dtype)
        self.model = deque(maxlen=capacity)
        self.dropped = 0
        self.time_ms = 0

    @rule(data=st.data(), move_ms=moves)
    def append(self, data, move_ms):
        value = data.draw(numbers[self.buffer.dtype])
        self.time_ms += move_ms
        is_full = len(self.model) == self.model.maxlen
        self.dropped += is_full
        self.model.append((self.time_ms, value))
        assert self.buffer.append(value, self.time_ms) is not is_full

    @rule(value=st.sampled_from([math.nan, math.inf, -math.inf, 2**2000, -(2**2000)]))
    def append_what_is_no_value(self, value):
        with pytest.raises(FieldError):
            self.buffer.append(value, self.time_ms)

    @rule(value=st.sampled_from([0, 1]), far=st.sampled_from([TIME_MS_MAX + 1, 0.5, math.nan]))
    def append_at_no_time(self, value, far):
        with pytest.raises(FieldError):
            self.buffer.append(value, far)

    @precondition(lambda self: self.model)
    @rule()
    def pop(self):
        assert self.buffer.pop() == self.model.popleft()

    @rule(count=st.integers(-1, 13))
    def discard(self, count):
        if 0 <= count <= len(self.model):
            self.buffer.discard(count)
            for _ in range(count):
                self.model.popleft()
        else:
            with pytest.raises(FieldError):
                self.buffer.discard(count)

    @rule(count=st.integers(-2, 15))
    def latest(self, count):
        assert self.buffer.latest(count) == list(self.model)[-count:] * (count > 0)

    @rule(from_ms=bounds, to_ms=bounds, back=st.booleans())
    def window(self, from_ms, to_ms, back):
        if back:  # near the newest, where there is something
            from_ms = None if from_ms is None else self.time_ms - from_ms // 4
            to_ms = None if to_ms is None else self.time_ms - to_ms // 8
        inside = [
            (time_ms, value)
            for time_ms, value in self.model
            if (from_ms is None or time_ms >= from_ms) and (to_ms is None or time_ms < to_ms)
        ]
        assert self.buffer.between(from_ms, to_ms) == inside
        self.compare(inside, (from_ms, to_ms))

    def compare(self, inside, window):
        buffer = self.buffer
        assert buffer.count(*window) == len(inside)
        values = [value for _, value in inside]
        if not values:
            said = (buffer.min, buffer.max, buffer.mean, buffer.std, buffer.rate)
            assert [one(*window) for one in said] == [None] * 5
            return
        assert (buffer.min(*window), buffer.max(*window)) == (min(values), max(values))
        exact = [Fraction(value) for value in values]
        scale = max(1.0, max(abs(float(value)) for value in values))
        assert _is_close(buffer.mean(*window), float(statistics.mean(exact)), scale)
        assert _is_close(buffer.std(*window), statistics.pstdev(exact), scale)
        earliest = min(inside, key=lambda one: one[0])
        latest = max(reversed(inside), key=lambda one: one[0])
        if latest[0] == earliest[0]:
            assert buffer.rate(*window) is None
        else:
            change = Fraction(latest[1]) - Fraction(earliest[1])
            rate = float(change * 1000 / (latest[0] - earliest[0]))
            assert _is_close(buffer.rate(*window), rate, scale)

    @invariant()
    def agrees(self):
        if not hasattr(self, "buffer"):
            return
        assert list(self.buffer) == list(self.model)
        assert (len(self.buffer), self.buffer.dropped_total) == (len(self.model), self.dropped)
        if self.model:
            assert self.buffer.peek() == self.model[0]
            assert self.buffer.peek(len(self.model) - 1) == self.model[-1]
        self.compare(list(self.model), ())


BufferMachine.TestCase.settings = examples(80, stateful_step_count=40)
test_ring_agrees_with_a_deque = BufferMachine.TestCase


@examples(200)
@given(
    st.sampled_from("bBhHiIq"),
    st.one_of(st.integers(), st.sampled_from([2**n + d for n in range(66) for d in (-1, 0, 1)])),
)
def test_integers_are_kept_whole_or_refused(dtype, value):
    for number in (value, -value):
        buffer = RingBuffer(1, dtype)
        bits = buffer._view.itemsize * 8
        low, high = (
            (0, 2**bits - 1) if dtype.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        )
        if low <= number <= high:
            buffer.append(number)
            assert buffer.peek() == (0, number)
        else:
            with pytest.raises(FieldError):
                buffer.append(number)
            assert len(buffer) == 0


@examples(200)
@given(st.sampled_from("fd"), st.floats())
def test_floats_are_kept_finite_or_refused(dtype, value):
    buffer = RingBuffer(1, dtype)
    if math.isfinite(value) and (dtype == "d" or abs(value) <= FLOAT_MAX):
        buffer.append(value)
        kept = buffer.peek()[1]
        assert math.isfinite(kept)
        assert dtype == "f" or kept == value
    else:
        with pytest.raises(FieldError):
            buffer.append(value)
