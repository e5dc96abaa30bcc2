"""The texts of events: templates with {fields}.

What is known of a rule is filled in when it is loaded; a board sends what is
left with its channel table, and the host fills in the reading.
"""

from . import table
from ._compat import TYPE_CHECKING
from .errors import FieldError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

FIELDS = ("rule", "severity", "condition", "sensor", "value", "unit")
MESSAGE = "{sensor} is {value} {unit}, {condition}"
SIZE_MAX = 96  # bytes of a message: what the link takes


def template(value: "Any") -> str:
    """Return `value` if it is a text with known fields only. Raises FieldError."""
    text = table.text(value)
    for part in text.split("{")[1:]:
        if part.split("}")[0] not in FIELDS or "}" not in part:
            raise FieldError("%r has a field other than {%s}" % (text, "} {".join(FIELDS)))
    return text


def fill(message: str, fields: "Sequence[str]", values: "Sequence[str]") -> str:
    """Return `message` with each {field} of `fields` replaced, in one pass; others stay."""
    text, *parts = message.split("{")
    for part in parts:
        field, _, rest = part.partition("}")
        if field not in fields:
            text += "{" + part
            continue
        value = values[fields.index(field)]
        if not value and text.endswith(" "):
            text = text[:-1]  # "5 %" but "5"
        text += value + rest
    return text


def render(message: str, sensor: str, value: str, unit: str) -> str:
    """Return the text of an event from a rule's `message`."""
    return fill(message, FIELDS[3:], (sensor, value, unit))
