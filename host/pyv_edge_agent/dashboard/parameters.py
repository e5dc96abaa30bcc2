"""The parameters of a request: each known, given once, and within its range."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from ..http_exchange import RefusalError

PARAMETERS_MAX = 20
TIME_MAX_MS = 4_102_444_800_000  # 2100
NAME_SIZE_MAX = 300  # characters
_NAME = re.compile(r"[^\x00-\x1f\x7f]+")
_NUMBER = re.compile(r"[0-9]{1,15}")

Reader = Callable[[str, str], Any]


def number(low: int, high: int) -> Reader:
    """Return what reads a whole number from `low` to `high`."""

    def read(name: str, text: str) -> int:
        if not _NUMBER.fullmatch(text) or not low <= int(text) <= high:
            raise RefusalError(400, f"{name}: must be a whole number from {low} to {high}")
        return int(text)

    return read


def name(key: str, text: str) -> str:
    """Read a name."""
    if len(text) > NAME_SIZE_MAX or not _NAME.fullmatch(text):
        raise RefusalError(400, f"{key}: must be a name of at most {NAME_SIZE_MAX} characters")
    return text


moment = number(0, TIME_MAX_MS)


def read_parameters(query: str, known: dict[str, Reader]) -> dict[str, Any]:
    """Return the parameters that a query gives, of those that are `known`.

    Raises RefusalError for others, for one that is given twice, and for a wrong value.
    """
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
        )
    except ValueError:
        raise RefusalError(400, "the query is not as URLs have it, or too long") from None
    found: dict[str, Any] = {}
    for key, text in pairs:
        if key not in known:
            names = ", ".join(known) or "none"
            raise RefusalError(400, f"a parameter is unknown here; there are: {names}")
        if key in found:
            raise RefusalError(400, f"{key}: is given twice")
        found[key] = known[key](key, text)
    return found
