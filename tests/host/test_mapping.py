"""From what a sender wrote to samples: nothing missing becomes a number."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyv_edge_agent.adapters.mapping import (
    Mapper,
    Path,
    check_mapping,
    read_json,
    read_number,
    read_time_ms,
)
from pyv_edge_agent.errors import SubmissionError
from pyv_edge_agent.settings import MAPPING
from pyv_edge_agent.submission import Sample
from pyv_edge_core.reading import QUALITY_BAD, QUALITY_GOOD

DEFAULTS = {key: setting.default for key, setting in MAPPING.items()}
DOCUMENTED = {"channel_path": "sensor_name", "unit_path": "unit"}


def mapped(document, channel="", **settings):
    return Mapper({"unit": "Cel", **DEFAULTS, **settings}).map(document, channel)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("value", ["value"]),
        ("main.temp", ["main", "temp"]),
        ("$.main.temp", ["main", "temp"]),
        ("list[0].x", ["list", 0, "x"]),
        ("$[2]", [2]),
        ("[-1]", [-1]),
        ('["odd.key [1]"].y', ["odd.key [1]", "y"]),
        ('a["b"]["c"][3]', ["a", "b", "c", 3]),
    ],
)
def test_paths(text, steps):
    assert Path(text).steps == steps


@pytest.mark.parametrize(
    "text", ["", "a..b", "a.", "a[", "a[x]", "a[]", "$", '["a]', "a." * 20 + "b"]
)
def test_wrong_paths_say_what_is_wrong(text):
    with pytest.raises(ValueError, match=r"^'"):
        Path(text)
    assert check_mapping({"value_path": text})[0][0] == "value_path"


def test_faults_of_a_mapping_name_their_keys():
    table = {**DEFAULTS, "time_path": "a[", "fields": {"x": "b", "y": "."}}
    assert [key for key, _ in check_mapping(table)] == ["time_path", "fields.y"]
    assert check_mapping(DEFAULTS) == []


def test_documented_reading():
    document = {
        "sensor_name": "fridge",
        "timestamp": 1_780_000_000.25,
        "value": 4,
        "unit": "K",
        "metadata": {},
    }
    assert mapped(document, **DOCUMENTED) == [
        Sample("fridge", 4.0, 1_780_000_000_250, "K", QUALITY_GOOD)
    ]


def test_unit_and_quality_may_be_missing_and_nothing_else():
    document = {"sensor_name": "a", "timestamp": 1.78e9, "value": 1}
    more = {**DOCUMENTED, "quality_path": "metadata.quality"}
    assert mapped(document, **more)[0].unit == "Cel"
    for key in document:
        rest = {name: value for name, value in document.items() if name != key}
        with pytest.raises(SubmissionError, match=f"{key} is missing"):
            mapped(rest, **more)
        with pytest.raises(SubmissionError, match=f"{key} is null"):
            mapped({**document, key: None}, **more)


def test_several_channels_of_one_document():
    document = {"at": "2026-05-28T20:26:40Z", "main": {"temp": "20.5", "hum": 40}}
    fields = {"temp": "main.temp", "hum": "main.hum"}
    assert mapped(document, "balcony", time_path="at", fields=fields) == [
        Sample("balcony.temp", 20.5, 1_780_000_000_000, "Cel"),
        Sample("balcony.hum", 40.0, 1_780_000_000_000, "Cel"),
    ]
    with pytest.raises(SubmissionError, match=r"^main.hum is missing$"):
        mapped({"at": 1.78e9, "main": {"temp": 1}}, time_path="at", fields=fields)


def test_list_inside_and_the_index_of_what_is_wrong():
    document = {"items": [{"value": 1}, {"value": 2}, {"valve": 3}]}
    more = {"items_path": "items", "time_path": ""}
    with pytest.raises(SubmissionError, match=r"^\[2\]: value is missing$"):
        mapped(document, **more)
    document["items"].pop()
    assert [one.value for one in mapped(document, **more)] == [1.0, 2.0]
    assert [one.value for one in mapped(document["items"], time_path="")] == [1.0, 2.0]


def test_bad_reading_needs_no_value():
    document = {"value": None, "quality": "bad"}
    (sample,) = mapped(document, time_path="", quality_path="quality")
    assert (sample.value, sample.quality) == (0.0, QUALITY_BAD)
    with pytest.raises(SubmissionError, match="quality is none of good, uncertain, bad"):
        mapped({"value": 1, "quality": "odd"}, time_path="", quality_path="quality")


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (True, "truth value"),
        ("21,5", "no number"),
        ("1_000", "no number"),
        ("\u0663", "no number"),
        ("", "no number"),
        ([], "a list"),
        ({}, "a table"),
        (10**400, "beyond"),
        ("nan", "not finite"),
        (float("inf"), "not finite"),
    ],
    ids=repr,
)
def test_what_is_no_number(found, problem):
    with pytest.raises(SubmissionError, match=f"^v is .*{problem}") as raised:
        read_number(found, "v")
    assert "21,5" not in str(raised.value)


@pytest.mark.parametrize(
    ("found", "utc_ms"),
    [
        (1_780_000_000, 1_780_000_000_000),
        (1_780_000_000.5, 1_780_000_000_500),
        (1_780_000_000_123, 1_780_000_000_123),
        ("1780000000", 1_780_000_000_000),
        ("2026-05-28T20:26:40Z", 1_780_000_000_000),
        ("2026-05-28T20:26:40", 1_780_000_000_000),
        ("2026-05-28T22:26:40.250+02:00", 1_780_000_000_250),
        ("2026-05-28 20:26:40", 1_780_000_000_000),
        ("2026-05-28", 1_779_926_400_000),
    ],
)
def test_times(found, utc_ms):
    assert read_time_ms(found, "t") == utc_ms


@pytest.mark.parametrize(
    "found", ["yesterday", "", "Z", "2026-13-01", [], None, True, "nan", 1e400]
)
def test_what_is_no_time(found):
    with pytest.raises(SubmissionError, match=r"^t "):
        read_time_ms(found, "t")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, "1 2"])
def test_what_is_no_json(content):
    with pytest.raises(SubmissionError, match="JSON"):
        read_json(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON, st.sampled_from([{}, DOCUMENTED, {"fields": {"x": "a[0].b"}}, {"items_path": "$.a"}]))
def test_any_document_gives_samples_or_one_line_without_its_values(document, settings):
    problem, samples = "", []
    try:
        samples = mapped(document, **settings)
    except SubmissionError as error:
        problem = str(error)
    assert "\n" not in problem
    assert all(type(one.value) is float for one in samples)
    assert json.dumps([one.value for one in samples], allow_nan=False)


def test_unit_that_is_empty_is_the_devices():
    assert mapped(
        {"timestamp": 1e9, "value": 1, "unit": ""}, **DOCUMENTED | {"channel_path": ""}
    ) == [Sample("", 1.0, 10**12, "Cel")]
