"""Paths of settings, as faults show them: `cloud.api_key`, `sensors.devices[0].name`."""

import re
from collections.abc import Iterator
from typing import Any

DEPTH_MAX = 16  # tables and lists in each other

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHOWN_SIZE_MAX = 60  # characters of a key that is not plain


def join(path: str, key: object) -> str:
    """Return the path of `key` in the table at `path`; "" is the whole file."""
    shown = str(key)
    if not _PLAIN.fullmatch(shown):
        shown = repr(shown)
        if len(shown) > _SHOWN_SIZE_MAX:
            shown = shown[:_SHOWN_SIZE_MAX] + "..."
    return f"{path}.{shown}" if path else shown


def parents(path: str) -> Iterator[str]:
    """Yield the paths of what `path` is in, the nearest first."""
    while cut := max(path.rfind("."), path.rfind("[")) + 1:
        path = path[: cut - 1]
        yield path


def children(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what is in a table or list, each with its path; nothing of another value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield join(path, key), inner
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield f"{path}[{index}]", inner


def walk(value: Any, path: str = "", depth: int = DEPTH_MAX) -> Iterator[tuple[str, Any]]:
    """Yield everything in `value`, tables and lists too, with its path, outer things first.

    What is below `depth` others is left out: no file that has it is accepted.
    """
    for place, inner in children(value, path):
        yield place, inner
        if depth:
            yield from walk(inner, place, depth - 1)
