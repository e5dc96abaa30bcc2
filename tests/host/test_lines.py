"""Lines of files: any split of the bytes gives the same, and what is too long is not held."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyv_edge_agent.adapters.lines import SIZE_MAX, Line, LineSplitter

PIECES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"\n", b"\r\n", b"x" * SIZE_MAX, b"y" * (SIZE_MAX // 2 + 1)]),
    ),
    max_size=12,
)


def lines_of(data):
    """Return the lines of `data` as they should be."""
    *ended, rest = data.split(b"\n")
    found = [Line(one if len(one) <= SIZE_MAX else None, len(one) + 1) for one in ended]
    last = Line(rest if len(rest) <= SIZE_MAX else None, len(rest)) if rest else None
    return found, last


@given(PIECES)
def test_any_split_gives_the_same_lines(pieces):
    splitter = LineSplitter()
    found = []
    for piece in pieces:
        found += splitter.split(piece)
        assert len(splitter._part) <= SIZE_MAX
    whole = b"".join(pieces)
    assert (found, splitter.end()) == lines_of(whole)
    assert splitter.end() is None
    assert sum(line.size for line in found) <= len(whole)


@pytest.mark.parametrize("size", [SIZE_MAX, SIZE_MAX + 1])
def test_longest_line(size):
    (line,) = LineSplitter().split(b"x" * size + b"\n")
    assert line == Line(b"x" * size if size == SIZE_MAX else None, size + 1)
