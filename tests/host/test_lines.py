"""Lines of files: any split of the bytes gives the same, and what is too long is not held."""

from pathlib import Path

import pytest
from host.file_rig import file_device
from hypothesis import given
from hypothesis import strategies as st
from pyv_edge_agent.adapters.lines import SIZE_MAX, Line, LineSplitter, Rows
from pyv_edge_agent.adapters.mapping import Mapper
from pyv_edge_agent.errors import SubmissionError
from pyv_edge_agent.submission import check_samples

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


SETTINGS = [
    {"format": "jsonl", "items_path": "all", "quality_path": "q", "unit_path": "u"},
    {"format": "csv", "columns": "value,timestamp,name", "channel_path": "name"},
    {"format": "csv", "delimiter": "space", "fields": {"a": "x", "b": '["y z"]'}},
    {"format": "jsonl", "time_path": "", "channel_path": "a.b[0]"},
]
SCRAPS = st.sampled_from(
    [
        b'"',
        b",",
        b" ",
        b"\r",
        b"\x00",
        b"value",
        b'{"value": 1, "timestamp": 1e12}',
        b"1e400",
        b"[",
    ]
)


@given(st.sampled_from(SETTINGS), st.lists(st.lists(SCRAPS | st.binary(max_size=9), max_size=8)))
def test_whatever_is_in_lines_is_readings_or_one_error(settings, lines):
    device = file_device("x.log", **settings)
    rows, mapper = Rows(device, Path("x.log")), Mapper(device)
    for parts in lines:
        content = b"".join(parts).replace(b"\n", b"")
        problem = ""
        try:
            document = rows.read(Line(content, len(content)))
            if document is not None:
                check_samples(mapper.map(document))
        except SubmissionError as error:
            problem = str(error)
        assert problem.isprintable()
