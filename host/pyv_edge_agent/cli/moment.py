"""Moments as people write them: ISO-8601, or how long ago."""

from datetime import datetime, timezone

from pyv_edge_core.quantity import decimal

from ..adapters.mapping import read_time_ms
from ..errors import SubmissionError, UsageError

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_NUMBER_FROM_MS = 10**12  # of 2001: seconds from there on have ten digits
_EXAMPLES = "2026-05-28, 2026-05-28T21:30:00Z, 2026-05-28T21:30+02:00, or ago: 90s, 2h, 7d"


def parse_moment(option: str, text: str, now_ms: int) -> int:
    """Return UTC milliseconds of a moment; without an offset, it is UTC.

    Raises UsageError, naming `option`.
    """
    ago_ms = duration_ms(text)
    if ago_ms is not None:
        return now_ms - ago_ms
    try:
        found_ms = read_time_ms(text, text)
    except SubmissionError:
        raise UsageError(f"{option}: {text!r} is no time; such as {_EXAMPLES}") from None
    if text.strip().isdigit() and found_ms < _NUMBER_FROM_MS:  # a year, or 20260528
        raise UsageError(f"{option}: {text!r} is no time since 1970; such as {_EXAMPLES}")
    return found_ms


def duration_ms(text: str) -> int | None:
    """Return milliseconds of a number and its unit, None if that is not what it is.

    Longer ones than rules may have are possible.
    """
    for unit, size in _UNITS_MS.items():
        if text.endswith(unit):
            try:
                numerator, digits = decimal(text[: -len(unit)])
            except ValueError:
                continue
            return None if numerator < 0 else int(numerator * size // 10**digits)
    return None


def show_ms(utc_ms: int) -> str:
    """Return a moment as everything here writes it: ISO-8601, UTC, with milliseconds."""
    try:
        moment = datetime.fromtimestamp(utc_ms // 1000, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return f"{utc_ms} ms"  # of a clock beyond the year 9999
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc_ms % 1000:03}Z"


def stamp(utc_ms: int) -> str:
    """Return a moment as it stands in names of files: 20260528T213000Z."""
    return show_ms(utc_ms)[:19].translate({ord(one): None for one in "-:"}) + "Z"
