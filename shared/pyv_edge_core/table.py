"""Reads tables of settings: TOML on a host, JSON on a board, the same keys on both.

Every fault is one line that names the place, the value and what is allowed; all
are gathered, so that an author sees them at once. A key that nobody asked for
is a fault: the setting it was meant to be would silently not be in force.
"""

from ._compat import TYPE_CHECKING
from .errors import FieldError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Table:
    """One table, read key by key."""

    def __init__(self, values: "Any", path: str, faults: "list[str]") -> None:
        """Read `values`; faults go into `faults`, led by `path`."""
        self.path = path
        self.faults = faults
        self._values: dict[str, Any] = {}
        if isinstance(values, dict):
            self._values = dict(values)
        else:
            faults.append("%s: must be a table" % path)
            self.faults = []  # whatever else is wrong with it follows from that

    def fault(self, key: str, problem: "str | FieldError") -> None:
        """Note that something is wrong with `key`."""
        self.faults.append("%s.%s: %s" % (self.path, key, problem))

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def take(self, key: str, read: "Callable[[Any], Any]", default: "Any" = None) -> "Any":
        """Return what `read` makes of the value, `default` if there is none or it is wrong.

        `read` raises FieldError for a wrong value.
        """
        if key not in self._values:
            return default
        try:
            return read(self._values.pop(key))
        except FieldError as error:
            self.fault(key, error)
            return default

    def end(self, known: "tuple[str, ...]") -> None:
        """Note every key that is left: nobody has asked for it."""
        for key in sorted(self._values, key=str):
            if key in known:
                self.fault(key, "does not go with the other keys here")
            else:
                self.fault(key, "is not known; there are " + ", ".join(known))


def _is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character < "\xa0"


def text(value: "Any") -> str:
    """Return a text of 1 to 96 bytes of UTF-8 without control characters. Raises FieldError."""
    size = 0
    try:
        if isinstance(value, str) and not [one for one in value if _is_control(one)]:
            size = len(value.encode())
    except UnicodeError:  # half a surrogate pair
        size = 0
    if not 1 <= size <= 96:
        raise FieldError("%r is not a text of 1 to 96 bytes" % (value,))
    return str(value)


def choice(allowed: "tuple[str, ...]") -> "Callable[[Any], str]":
    """Return a reader of one of the `allowed` texts."""

    def read(value: "Any") -> str:
        if value not in allowed:
            raise FieldError("%r is not one of %s" % (value, ", ".join(allowed)))
        return str(value)

    return read
