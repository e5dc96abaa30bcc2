"""Patterns over names, and the checks of a reading's fields, for operations.py."""

from pyv_edge_core import reading
from pyv_edge_core.pattern import Pattern
from script import Subject, nothing

PATTERN = Subject(
    "pattern",
    Pattern,
    lambda pattern: pattern.text,
    {"matches": Pattern.matches},
    ("FieldError",),
)

READING = Subject(
    "reading",
    lambda: None,
    nothing,
    {
        "check": lambda _, field, value: reading.check(field, value),
        "check_name": lambda _, field, name: reading.check_name(field, name),
        "check_unit": lambda _, unit: reading.check_unit(unit),
    },
    ("FieldError",),
)
