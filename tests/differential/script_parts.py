"""What the strategies of all subjects are put together from."""

from hypothesis import strategies as st

# Left to itself Hypothesis rarely tries the very ends.
U8, U16, U32 = (
    st.one_of(st.integers(0, 2**bits - 1), st.sampled_from([0, 2**bits - 1]))
    for bits in (8, 16, 32)
)
TEXTS = st.text(max_size=40)

# Where integers change their form: small ones of 31 and 63 bits, machine words, and no further.
_TURNS = [0, 1, 2**8, 2**16, 2**30, 2**31, 2**32, 2**62, 2**63]
ANY_64 = st.one_of(
    st.sampled_from(
        [
            sign * turn + step
            for turn in _TURNS
            for step in (-1, 0)
            for sign in (-1, 1)
            if sign * turn + step >= -(2**63)
        ]
        + [2**64 - 1]
    ),
    st.integers(-(2**63), 2**64 - 1),
)


def mostly(good, other, weight=12):
    """Return a strategy of `weight` good ones to one other; `one_of` drops what is there twice."""
    return st.sampled_from([good] * weight + [other]).flatmap(lambda chosen: chosen)


def script(subject, arguments, steps):
    return {"subject": subject, "make": list(arguments), "steps": [list(step) for step in steps]}


def steps_of(step, count_max=30):
    """Return a strategy of lists of any length: Hypothesis's own are rarely longer than 6."""
    return st.integers(1, count_max).flatmap(
        lambda count: st.lists(step, min_size=count, max_size=count)
    )


def scripts_of(subject, step):
    """Return a strategy of scripts for a subject that is made of nothing."""
    return steps_of(step, 20).map(lambda steps: script(subject, [], steps))
