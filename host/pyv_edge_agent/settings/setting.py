"""What a setting is: one key of a table that the agent checks itself."""

import math
import re
from dataclasses import dataclass
from typing import Any

MISSING = object()  # a setting's default, if it must be given
SHOWN_SIZE_MAX = 60  # characters of a wrong value that a message repeats
INTEGER_MAX = 2**63 - 1  # TOML's integers have 64 bits

_SCALAR = re.compile(r"[-+]?\d+(\.\d+)?|true|false")  # what needs no quotes
_UNITS = {"_seconds": "s", "_ms": "ms", "_mb": "MiB", "_days": "days"}
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    dict: "a table",
}


def is_plain(text: str) -> bool:
    """Return whether `text` can be stored and sent: no control characters, valid Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not any(ord(character) < 0x20 for character in text)


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(one) for key, one in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int, str))


def kind_name(value: Any) -> str:
    """Name what `value` is, without repeating it."""
    names = {bool: "a truth value", int: "a number", float: "a number", str: "a text"}
    names |= {list: "a list", dict: "a table", type(None): "null"}
    return names.get(type(value), f"a {type(value).__name__}")  # date, time: of TOML


def _shown(value: Any) -> str:
    """Return a value as whoever wrote it knows it, and not as Python does."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, (dict, list)):
        return kind_name(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return repr(value)


def shown_number(number: float) -> str:
    """Return a number as people write it."""
    is_short = abs(number) <= 1e9 and number == int(number)
    return f"{number:.0f}" if is_short or isinstance(number, int) else f"{number:g}"


@dataclass(frozen=True)
class Setting:
    """One key: its type, its default, and what it may be."""

    kind: type  # bool, int, float, str; dict: of texts, unless it is free
    default: Any  # MISSING: must be given
    doc: str  # a sentence without its capital and its full stop
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    is_secret: bool = False  # never shown; a text may be in a file of its own: `secret_files`
    is_url: bool = False  # shown without user, password, query and fragment
    is_file: bool = False  # names a file that has to be there, from the config file's folder
    is_path: bool = False  # names a file, or a folder of some, that the agent reads or writes
    is_free: bool = False  # a table of anything that JSON has
    unit: str = ""  # where the key's name doesn't end with it

    def check(self, value: Any, is_substituted: bool) -> Any:
        """Return `value` as this setting's type.

        Raises ValueError saying what is allowed. A text that came out of a
        `${VAR}` may stand for a number or a truth value.
        """
        if is_substituted and isinstance(value, str) and self.kind is not str:
            import json

            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                raise self._refusal(value, is_substituted) from None
        if type(value) is int and abs(value) > INTEGER_MAX:
            raise self._refusal(value, True)
        if type(value) is int and str(value) in self.choices:
            value = str(value)  # as in version = 1
        if type(value) is int and self.kind is float:
            value = float(value)
        if type(value) is not self.kind:
            raise self._refusal(value, is_substituted)
        if self.is_free:
            if not _is_json(value):
                raise ValueError("the value has what JSON has not; write dates and inf as texts")
            return value
        if isinstance(value, dict) and not all(isinstance(one, str) for one in value.values()):
            raise ValueError('the value is not a table of texts, such as {temp = "main.temp"}')
        if isinstance(value, (int, float)) and not (
            self.low <= value <= self.high and math.isfinite(value)
        ):
            raise self._refusal(value, is_substituted)
        if self.choices and value not in self.choices:
            raise self._refusal(value, is_substituted)
        if isinstance(value, str) and not is_plain(value):
            raise ValueError("the value has a control character or half a surrogate pair")
        return value

    def _refusal(self, value: Any, is_hidden: bool) -> ValueError:
        # What an environment variable holds may be a secret, put where it doesn't belong.
        shown = "the value" if self.is_secret or self.is_url or is_hidden else _shown(value)
        if len(shown) > SHOWN_SIZE_MAX:
            shown = shown[:SHOWN_SIZE_MAX] + "..."
        is_quoted = not is_hidden and self.kind is not str and isinstance(value, str)
        remedy = "; leave the quotes out" if is_quoted and _SCALAR.fullmatch(value) else ""
        return ValueError(f"{shown} is not {self.allowed}{remedy}")

    @property
    def allowed(self) -> str:
        """Say what the value may be."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        text = _KINDS[self.kind]
        if self.kind in (int, float) and self.low > -math.inf:
            text += f" in {shown_number(self.low)}..{shown_number(self.high)}"
        return text

    def unit_of(self, key: str) -> str:
        """Return the unit of its values, given the key's name; "" if they have none."""
        ends = (unit for end, unit in _UNITS.items() if key.endswith(end))
        return self.unit or next(ends, "")

    def extent(self, key: str) -> str:
        """Return its choices, or its range and unit, given the key's name; "" if it has none."""
        if self.choices:
            return ", ".join(self.choices)
        unit = self.unit_of(key)
        if self.kind not in (int, float) or self.low == -math.inf:
            return unit
        return f"{shown_number(self.low)} to {shown_number(self.high)} {unit}".rstrip()

    def described(self, key: str) -> str:
        """Return what it says and its extent as a sentence."""
        extent = self.extent(key)
        return sentence(f"{self.doc} ({extent})" if extent else self.doc)


def sentence(doc: str) -> str:
    """Return what a table says of a key as a sentence."""
    return doc[:1].upper() + doc[1:] + "."


def secret_files(keys: dict[str, Setting]) -> dict[str, str]:
    """Return the keys that name a file for a secret of a table: KEY_file, and its KEY.

    Where KEY_file is a setting of its own, it isn't among them.
    """
    secrets = [key for key, one in keys.items() if one.is_secret and one.kind is str]
    found = {f"{key}_file": key for key in secrets}
    return {name: key for name, key in found.items() if name not in keys}
