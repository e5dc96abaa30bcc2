"""How commands show things: colour and progress only for a person at a terminal.

What is asked for goes to stdout; how it is going, and what is to be noted, to stderr.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TYPE_CHECKING = False  # as in typing, which takes long to import
if TYPE_CHECKING:
    from typing import TextIO

COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "grey": 90}
_PERCENT = 100

Advance = Callable[[int], None]


def no_advance(done: int) -> None:
    """Show nothing."""


def has_colour(stream: "TextIO") -> bool:
    """Return whether `stream` is a terminal whose user has not set NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def paint(text: str, colour: str, stream: "TextIO | None" = None) -> str:
    """Return `text` in one of COLOURS if `stream`, stdout unless it is given, has them."""
    if not has_colour(sys.stdout if stream is None else stream):
        return text
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"


def plain(value: object) -> str:
    """Return a value as JSON has it, a text as it is, and - for none."""
    import json

    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)


def note(text: str) -> None:
    """Tell the user something that is no part of the answer."""
    sys.stdout.flush()  # in the order in which it is said, also if both go into one pipe
    print(text, file=sys.stderr)


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """Show on stderr how far long work is, if that is a terminal.

    What is yielded is to be called with how much of `total` is done, from the start.
    """
    if not sys.stderr.isatty():
        yield no_advance
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        with _count(what, total) as advance:
            yield advance
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def _count(what: str, total: int) -> Iterator[Advance]:
    """Show the same as a line that counts, without the library."""
    shown = -1

    def advance(done: int) -> None:
        nonlocal shown
        percent = _PERCENT * done // total if total else _PERCENT
        if percent != shown:
            shown = percent
            print(f"\r{what} {percent:3} %", end="", file=sys.stderr, flush=True)

    try:
        yield advance
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
