"""Numbers and durations as people write them in tables, as exact integers.

A level of 30.1 must mean the same to a board with 32-bit floats and to a Pi, so
a number is taken by its decimal digits and never calculated with as a float. On
a board, write a number of more than six digits as text ("101325.37"): its JSON
reader has made a float of it before anybody could look.
"""

from ._compat import const
from .errors import FieldError

DURATION_MS_MAX = const(259200000)  # 3 days: a quarter of what a board's ticks can tell apart
_TEXT_SIZE_MAX = const(32)
_EXPONENT_MAX = const(30)
_UNITS = (("ms", 1), ("s", 1000), ("m", 60000), ("h", 3600000), ("d", 86400000))


def _is_digits(text: str) -> bool:
    for character in text:
        if character not in "0123456789":
            return False
    return True


def _power(digits: int) -> int:
    return int(10**digits)


def decimal(number: "int | float | str") -> "tuple[int, int]":
    """Return (numerator, digits): `number` is numerator / 10**digits, exactly.

    Raises FieldError for what is no finite decimal number.
    """
    is_bool = number is True or number is False
    text = "" if is_bool or not isinstance(number, (int, float, str)) else str(number)
    if isinstance(number, float):
        # The fewest digits that are this float: MicroPython's str() has 9.11 as 9.109999999999999.
        for precision in range(6, 18):
            text = "%.*g" % (precision, number)
            if float(text) == number:
                break
    mantissa, _, exponent = text.lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    sign = -1 if whole[:1] == "-" else 1
    whole = whole[1:] if whole[:1] in ("-", "+") else whole
    power = exponent[1:] if exponent[:1] in ("-", "+") else exponent
    if (
        len(text) > _TEXT_SIZE_MAX
        or not whole + fraction
        or not _is_digits(whole + fraction + power)
        or (not power and text[-1:] not in "0123456789.")
        or int(power or "0") > _EXPONENT_MAX
    ):
        raise FieldError("%r is not a number (at most 1e30, 32 characters)" % (number,))
    digits = len(fraction) - int(exponent or "0")
    numerator = sign * int(whole + fraction)
    if digits < 0:
        return numerator * _power(-digits), 0
    while digits and numerator % 10 == 0:
        numerator //= 10
        digits -= 1
    return numerator, digits


def show(number: "tuple[int, int]") -> str:
    """Return a decimal as people write it."""
    numerator, digits = number
    text = str(abs(numerator))
    while len(text) <= digits:
        text = "0" + text
    if digits:
        text = text[:-digits] + "." + text[-digits:]
    return "-" + text if numerator < 0 else text


def show_ms(length_ms: int) -> str:
    """Return a duration in seconds as people write it."""
    return show(decimal("%de-3" % length_ms)) + " s"


def is_below(one: "tuple[int, int]", other: "tuple[int, int]") -> bool:
    """Return whether one decimal is below another, exactly."""
    return bool(one[0] * 10 ** other[1] < other[0] * 10 ** one[1])


def real(number: "tuple[int, int]") -> float:
    """Return a decimal as a float."""
    return float(number[0] / 10 ** number[1])


def ratio(number: "tuple[int, int]", exponent: int) -> "tuple[int, int]":
    """Return (numerator, denominator) of a decimal in units of 10**exponent, exactly."""
    numerator, digits = number
    shift = digits + exponent
    return (numerator, _power(shift)) if shift > 0 else (numerator * _power(-shift), 1)


def scaled(number: "tuple[int, int]", exponent: int, is_up: bool) -> int:
    """Return a decimal in units of 10**exponent, rounded up or down to a whole one."""
    numerator, denominator = ratio(number, exponent)
    return -(-numerator // denominator) if is_up else numerator // denominator


def duration_ms(value: "int | float | str") -> int:
    """Return milliseconds of a number of seconds or a text such as "250ms", "10s", "5m", "2h".

    Raises FieldError for anything else, fractions of a millisecond, and more
    than DURATION_MS_MAX.
    """
    factor = 1000
    number = value
    if isinstance(value, str):
        for unit, size in _UNITS:
            # "5m" ends with "m", "5ms" with "ms": the first that fits is the right one
            if value.endswith(unit):
                number = value[: -len(unit)].strip()
                factor = size
                break
    try:
        numerator, digits = decimal(number)
    except FieldError:
        numerator, digits = -1, 0
    divisor = _power(digits)
    if numerator < 0 or numerator * factor % divisor:
        raise FieldError(
            '%r is not a duration: seconds, or "250ms", "10s", "5m"; whole ms' % (value,)
        )
    total_ms = numerator * factor // divisor
    if total_ms > DURATION_MS_MAX:
        raise FieldError("%r is longer than 3 days" % (value,))
    return total_ms
