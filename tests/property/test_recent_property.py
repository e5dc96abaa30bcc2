"""Recent: a batch at once is what its values would be one by one."""

from hypothesis import given
from hypothesis import strategies as st
from pyv_edge_agent.recent import Recent

NUMBERS = st.one_of(
    st.integers(-(2**31), 2**31 - 1).map(float),
    st.floats(allow_nan=False, allow_infinity=False),
)
# Mostly rising, as a board's are, and sometimes not.
STEPS = st.one_of(st.integers(0, 50), st.integers(-20, 50))
BATCHES = st.lists(st.lists(st.tuples(NUMBERS, STEPS), max_size=12), max_size=8)


@given(st.integers(1, 20), st.sampled_from("dfi"), BATCHES)
def test_a_batch_is_what_its_values_are_one_by_one(capacity, dtype, batches):
    together, apart = Recent(capacity, dtype), Recent(capacity, dtype)
    time_ms = 1000
    for batch in batches:
        values, times_ms = [], []
        for value, step_ms in batch:
            time_ms += step_ms
            values.append(int(value) if dtype == "i" and abs(value) < 2**40 else value)
            times_ms.append(time_ms)
        unfit = sum(apart.extend([one], [at]) for one, at in zip(values, times_ms, strict=True))
        assert together.extend(values, times_ms) == unfit
        assert list(together) == list(apart)
        assert together.dropped_total == apart.dropped_total
        for edge_ms in (None, time_ms - 10, time_ms, time_ms + 1):
            assert together.between(edge_ms, None) == apart.between(edge_ms, None)
            assert together.mean(None, edge_ms) == apart.mean(None, edge_ms)


@given(st.integers(1, 9), st.integers(1, 30))
def test_more_than_it_holds_leaves_the_latest(capacity, count):
    recent = Recent(capacity)
    assert recent.extend([float(n) for n in range(count)], list(range(count))) == 0
    kept = min(capacity, count)
    assert list(recent) == [(n, float(n)) for n in range(count - kept, count)]
    assert recent.dropped_total == count - kept
