"""Texts that only CPython can hold: MicroPython's literals are UTF-8 whatever stands in them."""

from check import raises
from pyv_edge_core import table
from pyv_edge_core.errors import FieldError

RUNS_ON = ("cpython",)


def test_half_a_surrogate_pair_is_no_text():
    assert table.text("a\U0001f600") == "a\U0001f600"
    for value in ("\ud83d", "a\ude00b", "\ud83d" * 96):
        assert "is not a text" in str(raises(FieldError, table.text, value)), ascii(value)
