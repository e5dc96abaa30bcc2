"""Each setting has the line on which its author finds it; an independent search says the same."""

import json
import sys

from hypothesis import given
from hypothesis import strategies as st
from profiles import examples
from pyv_edge_agent.config.line import json_lines, toml_lines
from pyv_edge_agent.config.path import join, parents, walk

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCUMENT = """\
# first
title = "x"

[sensors]
poll_interval_seconds = 5 # [not.a.table]

[[sensors.devices]]
name = "a"
text = \"\"\"
[[sensors.devices]]
name = "inside"
\"\"\"
after = 1

[[sensors.devices]]
name = 'b'
list = [
  1, # one ]
  { deep = [
    "]" ] },
]
[sensors.devices.sub]
x.y.z = 1
"odd key" = 2
[sinks]
file.enabled = true
file.batch_size = 5
"""


def test_lines_of_toml():
    lines = toml_lines(DOCUMENT)
    assert lines["title"] == 2
    assert lines["sensors"] == 4
    assert lines["sensors.poll_interval_seconds"] == 5
    assert lines["sensors.devices"] == lines["sensors.devices[0]"] == 7
    assert lines["sensors.devices[0].text"] == 9
    assert lines["sensors.devices[0].after"] == 13
    assert lines["sensors.devices[1]"] == 15
    assert lines["sensors.devices[1].list"] == 17
    assert lines["sensors.devices[1].list[0]"] == 18
    assert lines["sensors.devices[1].list[1]"] == lines["sensors.devices[1].list[1].deep"] == 19
    assert lines["sensors.devices[1].list[1].deep[0]"] == 20
    assert lines["sensors.devices[1].sub"] == 22
    assert lines["sensors.devices[1].sub.x.y.z"] == 23
    assert lines["sensors.devices[1].sub.'odd key'"] == 24
    assert lines["sinks.file"] == lines["sinks.file.enabled"] == 26
    assert lines["sinks.file.batch_size"] == 27
    assert set(lines) == {path for path, _ in walk(tomllib.loads(DOCUMENT))}
    assert toml_lines(DOCUMENT.replace("\n", "\r\n")) == lines


def test_lines_after_a_value_that_takes_too_long_are_not_known():
    rows = "\n".join('"]",' for _ in range(3000))
    lines = toml_lines(f"a = 1\nb = [\n{rows}\n]\nc = 3\n")
    assert lines["a"] == 1
    assert "c" not in lines


def test_lines_of_json():
    text = '{"a": {"b": [1,\n {"c":\n [] , "d": "]{,:"}, {}\n]\n}, "e\\"": "\\n",\n"f": null}'
    lines, twice = json_lines(text)
    assert lines == {
        "a": 1,
        "a.b": 1,
        "a.b[0]": 1,
        "a.b[1]": 2,
        "a.b[1].c": 2,
        "a.b[1].d": 3,
        "a.b[2]": 3,
        "'e\"'": 5,
        "f": 6,
    }
    assert twice == []
    assert set(lines) == {path for path, _ in walk(json.loads(text))}


def test_keys_that_stand_twice_in_json():
    _, twice = json_lines('{"a": {"x": 1,\n"x": 2}, "b": {"x": 1},\n"a": {"x": 3}}')
    assert twice == [("a.x", 2), ("a", 3)]
    assert json_lines('{"%s": 1, "%s": 2}' % ("x" * 99, "x" * 98))[1] == []


def test_parents_of_a_path():
    assert list(parents("a.b[2].c")) == ["a.b[2]", "a.b", "a"]
    assert list(parents("a")) == []
    assert join("", "a b") == "'a b'"
    assert join("a", "b\n") == r"a.'b\n'"
    assert join("a", "x" * 200) == "a.'" + "x" * 59 + "..."


# -- against a search that knows nothing of statements -------------------------------

KEYS = st.sampled_from(["a", "b", "c-1", '"a.b"', "'['", '""'])
DOTTED = st.lists(KEYS, min_size=1, max_size=3).map(".".join)
TEXTS = st.sampled_from(["x", "]", "[[a]]", "a = 1", "#", "\\\\", '\\"', "", "'''"])


def _multi(kind):
    marks = {"basic": '"""', "literal": "'''"}[kind]
    plain = TEXTS.filter(lambda text: "'" not in text)
    return st.lists(plain, max_size=4).map(lambda rows: marks + "\n".join(rows) + "x" + marks)


SCALARS = st.one_of(
    st.integers(-9, 9).map(str),
    st.sampled_from(["true", "1.5", "2020-01-01", "0x1F"]),
    TEXTS.map(lambda text: f'"{text}"'),
    _multi("basic"),
    _multi("literal"),
)


def _list_of(values):
    between = st.sampled_from([",", ", ", ",\n", ", # ], ]\n", ",\n\n"])
    return st.tuples(st.lists(values, max_size=4), between, st.sampled_from(["", "\n", " "])).map(
        lambda made: "[" + made[2] + made[1].join(made[0]) + made[2] + "]"
    )


def _table_of(values):
    return st.lists(st.tuples(KEYS, values), max_size=3, unique_by=lambda pair: pair[0]).map(
        lambda pairs: "{" + ", ".join(f"{key} = {value}" for key, value in pairs) + "}"
    )


VALUES = st.recursive(SCALARS, lambda inner: _list_of(inner) | _table_of(inner), max_leaves=6)
STATEMENTS = st.one_of(
    st.tuples(DOTTED, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    DOTTED.map(lambda key: f"[{key}]"),
    DOTTED.map(lambda key: f" [[ {key} ]] # [x]"),
    st.sampled_from(["", "# a = [", "  "]),
)


def is_toml(text):
    try:
        tomllib.loads(text)
    except ValueError:
        return False
    return True


@st.composite
def documents(draw):
    """Statements, as long as they make a valid document."""
    text = ""
    for statement in draw(st.lists(STATEMENTS, max_size=10)):
        if is_toml(text + statement + "\n"):
            text += statement + "\n"
    return text


def found_by_prefixes(text):
    """Return the lines of each path: those of the statement that first brings it about."""
    rows = text.split("\n")
    lines = {}
    begin = 0
    for end in range(1, len(rows) + 1):
        prefix = "\n".join(rows[:end])
        if not is_toml(prefix):
            continue  # inside of a value of several lines
        for path, _ in walk(tomllib.loads(prefix)):
            lines.setdefault(path, (begin + 1, end))
        begin = end
    return lines


@examples(300)
@given(documents())
def test_lines_are_those_that_prefixes_of_the_document_show(text):
    lines = toml_lines(text)
    found = found_by_prefixes(text)
    assert lines.keys() == found.keys()
    for path, (begin, end) in found.items():
        is_inner = path.endswith("]") or any(parent.endswith("]") for parent in parents(path))
        assert begin <= lines[path] <= (end if is_inner else begin) or "{" in text, path


UNIQUE = st.recursive(
    st.sampled_from(['"@"', "'@'", '''"""@\n]"""''', "'''@ # \n\n''''"]),
    lambda inner: _list_of(inner) | _table_of(inner),
    max_leaves=12,
)


@examples(300)
@given(st.lists(st.tuples(DOTTED, UNIQUE), max_size=4))
def test_lines_inside_a_value_are_those_that_have_it(pairs):
    text = "[[t]]\n"
    for key, value in pairs:
        statement = f"{key} = {value}\n"
        if is_toml(text + statement):
            text += statement
    pieces = text.split("@")
    text = pieces[0] + "".join(f"@{nth}@{piece}" for nth, piece in enumerate(pieces[1:]))
    rows = text.split("\n")
    lines = toml_lines(text)
    for path, value in walk(tomllib.loads(text)):
        if isinstance(value, str):
            mark = "@" + value.split("@")[1] + "@"
            assert mark in rows[lines[path] - 1], path


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@examples(200)
@given(st.dictionaries(st.text(max_size=5), JSON_VALUES), st.sampled_from([None, 0, 2]))
def test_lines_of_json_are_those_of_what_is_written_on_them(values, indent):
    text = json.dumps(values, indent=indent)
    lines, twice = json_lines(text)
    assert twice == []
    assert set(lines) >= {path for path, _ in walk(values)}
    if indent is not None:
        rows = text.split("\n")
        for path, value in walk(values):
            if not isinstance(value, (dict, list)):
                assert rows[lines[path] - 1].rstrip(",").endswith(json.dumps(value)), path
