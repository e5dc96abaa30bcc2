"""What a reading is: its fields, their ranges, its units, in one table.

A reading is one value of one channel of one device. On a board and on the wire
a value is a scaled integer, `value * 10**exponent` of the channel's unit, so
that both interpreters compare it alike and sampling needs no heap. Every field
is checked against `LIMITS` before it is packed, because `struct` on MicroPython
truncates what doesn't fit without a word.
"""

from ._compat import const
from .errors import FieldError

QUALITY_GOOD = const(0)
QUALITY_UNCERTAIN = const(1)
QUALITY_BAD = const(2)
QUALITY_NAMES = ("good", "uncertain", "bad")

STREAM_TELEMETRY = const(0)
STREAM_EVENTS = const(1)
STREAM_NAMES = ("telemetry", "events")

NAME_SIZE_MAX = const(32)  # bytes of a channel's or a device's name

# field: (smallest, largest), both allowed
LIMITS = {
    "channel": (0, 254),
    "quality": (QUALITY_GOOD, QUALITY_BAD),
    "value": (-(2**31), 2**31 - 1),
    "seq": (0, 2**32 - 1),
    "uptime_s": (0, 2**32 - 1),
    "uptime_ms": (0, 999),
    "exponent": (-9, 9),
    "interval_ms": (1, 3_600_000),
}

# Units a board may declare: SenML names (RFC 8428 section 12.1, RFC 8798 section 3).
# One text, since a board has no use for 40 of them; "" is for numbers without a unit.
UNITS_TEXT = (
    " % %RH / 1/min 1/s A B Cel Hz J K KiB MiB N Ohm Pa V W Wh bit/s count dB deg g"
    " hPa kg l lx m m/s m/s2 mA mV mm ms pH ppm s "
)

_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789_.-"


def check(field: str, value: int) -> int:
    """Return `value` if `field` can hold it.

    Raises FieldError, naming the field, the value and the range.
    """
    low, high = LIMITS[field]
    # A bool is an int on CPython and isn't one on MicroPython: refuse it on both.
    if value is True or value is False or not isinstance(value, int):
        raise FieldError("%s: %r is not an integer" % (field, value))
    if not low <= value <= high:
        raise FieldError("%s: %d is outside %d..%d" % (field, value, low, high))
    return value


def check_name(field: str, name: str) -> str:
    """Return `name` if it is 1 to 32 of a-z 0-9 _ . - (what every sink accepts).

    Raises FieldError otherwise.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_SIZE_MAX:
        raise FieldError(
            "%s: %r is not a name of 1 to %d characters" % (field, name, NAME_SIZE_MAX)
        )
    for character in name:
        if character not in _NAME_CHARACTERS:
            raise FieldError("%s: %r has a character other than a-z 0-9 _ . -" % (field, name))
    return name


def check_unit(unit: str) -> str:
    """Return `unit` if it is "" or a word of `UNITS_TEXT`. Raises FieldError otherwise."""
    is_one = isinstance(unit, str) and " " not in unit
    if not is_one or (unit and " %s " % unit not in UNITS_TEXT):
        raise FieldError("unit: %r is not one of those in PROTOCOL.md; use '' for none" % (unit,))
    return unit


class Channel:
    """One row of a device's channel table: what the numbers of a channel mean."""

    def __init__(self, name: str, unit: str, exponent: int, flags: int = 0) -> None:
        self.name = check_name("channel", name)
        self.unit = check_unit(unit)
        self.exponent = check("exponent", exponent)
        self.flags = flags  # see channel_table
