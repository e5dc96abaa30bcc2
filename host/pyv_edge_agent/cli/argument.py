"""What options take: numbers of a range, each refused in a line that says which."""

import argparse
from collections.abc import Callable


def between(low: float, high: float, kind: type[float]) -> Callable[[str], float]:
    """Return what reads a number of a range; it raises ArgumentTypeError."""

    def parse(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is outside {low:g}..{high:g}")
        return value

    parse.__name__ = "number"
    return parse


def positive(text: str) -> int:
    """Return a number of at least 1. Raises ArgumentTypeError."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)
