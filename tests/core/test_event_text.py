"""Texts of events: fields are filled once, each by who knows it."""

from check import raises
from pyv_edge_core.errors import FieldError
from pyv_edge_core.event_text import FIELDS, MESSAGE, fill, render, template


def test_templates():
    for text in (MESSAGE, "no field", "}", "a}b", "{rule}}", "{" + "} {".join(FIELDS) + "}"):
        assert template(text) == text
    fields = " has a field other than {rule} {severity} {condition} {sensor} {value} {unit}"
    for text in ("{", "{}", "{name}", "{rule", "{ rule}", "{{rule}}", "{rule} {x}"):
        assert str(raises(FieldError, template, text)) == repr(text) + fields
    for text in ("", "x" * 97, "a\nb", 3, None):
        assert "is not a text of 1 to 96 bytes" in str(raises(FieldError, template, text))


def test_fields_are_filled():
    for message, expected in (
        ("{sensor} is {value} {unit}, high", "a.b is 31.5 Cel, high"),
        ("{value}{value}{unit}", "31.531.5Cel"),
        ("nothing", "nothing"),
        ("}{value}}", "}31.5}"),
        ("{rule}{value}", "{rule}31.5"),
    ):
        assert render(message, "a.b", "31.5", "Cel") == expected


def test_an_empty_field_takes_the_space_before_it_along():
    for message, expected in (
        ("{value} {unit}, high", "5, high"),
        ("in {unit}", "in"),
        ("{unit} {value}", " 5"),
        ("{value}  {unit}.", "5 ."),
    ):
        assert render(message, "a.b", "5", "") == expected


def test_what_is_filled_in_is_not_filled_again():
    assert render("{sensor} {unit} {value}", "{value}", "{unit}", "{x}") == "{value} {x} {unit}"
    assert fill("{a} {b}", ("a", "b"), ("{b}", "{a}")) == "{b} {a}"


def test_other_fields_stay():
    assert fill("{rule}: {value} {unit}", ("rule",), ("hot",)) == "hot: {value} {unit}"
