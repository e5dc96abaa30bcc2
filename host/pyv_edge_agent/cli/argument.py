"""What options take: numbers of a range, each refused in a line that says which."""

import argparse
from collections.abc import Callable

_DIGITS_MAX = 30


def between(low: float, high: float, kind: type[float]) -> Callable[[str], float]:
    """Return what reads a number of a range; it raises ArgumentTypeError."""

    def parse(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            extent = f"{low:g}..{high:g}" if kind is float else f"{low}..{high}"
            raise argparse.ArgumentTypeError(f"{text} is outside {extent}")
        return value

    parse.__name__ = "number"
    return parse


def positive(text: str) -> int:
    """Return a number of at least 1, as exact as JSON has it. Raises ArgumentTypeError."""
    is_one = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    if not is_one or not 1 <= int(text) < 2**53:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1 and below 2^53")
    return int(text)
