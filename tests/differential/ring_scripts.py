"""Strategies for the two rings: a board's records, a host's numbers."""

from hypothesis import strategies as st
from pyv_edge_core import reading
from script_parts import ANY_64, mostly, script, steps_of

# -- RecordRing --------------------------------------------------------------------

_RECORD_CAPACITY_REFUSED = st.sampled_from([0, -1, 65537, 2**31, 2**32, 2**63, -(2**63)])
_CHANNELS = st.integers(*reading.LIMITS["channel"])
_QUALITIES = st.integers(*reading.LIMITS["quality"])
_VALUES = st.one_of(
    st.sampled_from([-(2**31), -(2**30) - 1, -1, 0, 2**30 - 1, 2**30, 2**31 - 1]),
    st.integers(*reading.LIMITS["value"]),
)
# A block spans 2**22 - 1 milliseconds: shorter, just so long, longer, and back.
_TIME_STEPS = st.one_of(
    st.integers(0, 5000),
    st.sampled_from([0x3FFFFE, 0x3FFFFF, 0x400000, 10**9]),
    st.integers(-2000, -1),
)
_TIME_MS_MAX = 2**32 * 1000 - 1
_STARTS_MS = st.sampled_from(
    [0, 999, 2**30, 2**30 * 1000 - 50, 2**31 * 1000, _TIME_MS_MAX - 10**5]
)


@st.composite
def record_ring_scripts(draw):
    capacity = draw(mostly(st.integers(1, 70), _RECORD_CAPACITY_REFUSED))
    time_ms = draw(_STARTS_MS)
    pushed = 0
    steps = []
    names = st.sampled_from(["push", "push", "push_many", "release", "read", "is_sealed"])
    for name in draw(steps_of(names)):
        if name in ("push", "push_many"):
            time_ms = min(max(0, time_ms + draw(_TIME_STEPS)), _TIME_MS_MAX)
        if name == "push":
            reading_of = [draw(_CHANNELS), draw(_QUALITIES), draw(_VALUES)]
            steps.append([name, *reading_of, time_ms // 1000, time_ms % 1000])
            pushed += 1
        elif name == "push_many":
            count = draw(st.integers(2, 40))
            step_ms = min(draw(st.integers(0, 400_000)), (_TIME_MS_MAX - time_ms) // count)
            value = draw(st.integers(-(2**31) + 40, 2**31 - 1))
            steps.append([name, count, draw(_CHANNELS), value, time_ms, step_ms])
            time_ms += (count - 1) * step_ms
            pushed += count
        else:
            seq = draw(mostly(st.integers(-2, pushed + 2), ANY_64, 4))
            steps.append([name, seq, *([draw(st.integers(1, 20))] if name == "read" else [])])
    return script("record_ring", [capacity], steps)


# -- RingBuffer --------------------------------------------------------------------

_BUFFER_CAPACITY_REFUSED = st.sampled_from([0, -1, 2**24 + 1, 2**31, 2**32, 2**63, -(2**63)])
_RANGES = {
    "b": (-(2**7), 2**7 - 1),
    "B": (0, 2**8 - 1),
    "h": (-(2**15), 2**15 - 1),
    "H": (0, 2**16 - 1),
    "i": (-(2**31), 2**31 - 1),
    "I": (0, 2**32 - 1),
    "q": (-(2**63), 2**63 - 1),
    "f": (-(2**24), 2**24),  # whole numbers that a float holds, so that nothing is rounded
    "d": (-(2**53), 2**53),
}
# Mostly such that windows have something in them, and come in order more often than not.
_SMALL = st.integers(0, 24)
_TIMES = mostly(_SMALL, st.one_of(st.integers(-(2**62), 2**62), ANY_64), 3)
_BOUNDS = st.one_of(st.none(), _SMALL, ANY_64)
_NEAR = mostly(st.integers(0, 3), st.one_of(st.integers(-2, 12), ANY_64), 2)
_STATISTICS = ["between", "count", "min", "max", "mean", "std", "rate"]


def _buffer_steps(dtype):
    low, high = _RANGES[dtype]
    ends = [end for end in (low, -1, 0, 1, high) if end >= low]
    values = st.one_of(st.integers(low, high), st.integers(0, 99), st.sampled_from(ends))
    refused = st.booleans() if dtype in "fd" else st.one_of(st.booleans(), ANY_64)
    return st.one_of(
        st.tuples(st.just("append"), values, _TIMES),
        st.tuples(st.just("append"), values, _SMALL),
        st.tuples(st.just("append"), mostly(values, refused, 3), _SMALL),
        st.sampled_from([("pop",), ("list",)]),
        st.tuples(st.sampled_from(["peek", "discard", "latest"]), _NEAR),
        st.tuples(st.sampled_from(_STATISTICS), _BOUNDS, _BOUNDS),
        st.tuples(st.sampled_from(_STATISTICS), st.none(), st.none()),
    )


@st.composite
def ring_buffer_scripts(draw):
    if draw(st.integers(0, 9)) == 0:
        refused = st.one_of(
            st.tuples(_BUFFER_CAPACITY_REFUSED, st.sampled_from(["q", "d"])),
            st.tuples(st.integers(1, 9), st.sampled_from(["x", "", "bb", "u", "é"])),
        )
        return script("ring_buffer", draw(refused), [])
    dtype = draw(st.sampled_from(sorted(_RANGES)))
    steps = [list(step) for step in draw(steps_of(_buffer_steps(dtype)))]
    if draw(st.booleans()):  # times only rise: then windows are found by bisection
        time_ms = 0
        for step in steps:
            if step[0] == "append":
                time_ms += step[2] % 5
                step[2] = time_ms
    return script("ring_buffer", [draw(st.integers(1, 9)), dtype], steps)
