"""On which line of a config file each setting stands.

Python's TOML parser tells no positions. So a text that is known to be valid is taken
apart into statements, each of which that parser can read by itself: a line, or as many
lines as it takes until they can be read. A setting stands where the statement begins
that first brings it about; inside a value of several lines, where its own value begins.
"""

import re
import sys
from collections.abc import Iterator
from typing import Any

from .path import DEPTH_MAX, join, walk

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# A value of several lines is read again with each line that might be its last. Once that
# has taken so many characters, the lines that follow are not known.
AGAIN_SIZE_MAX = 4_194_304

_END = re.compile(r"[\]}]|\"\"\"|'''")  # is in the last line of a value of several
_TOML_PIECE = re.compile(
    r"#[^\n]*"
    r'|"{3}(?:[^\\]|\\.)*?"{3,5}|"(?:[^"\\\n]|\\.)*"'
    r"|'{3}.*?'{3,5}|'[^'\n]*'"
    r"""|[{}\[\],=\n]|[^\s{}\[\],=#"']+""",
    re.DOTALL,
)
_JSON_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:\n]|[^\s{}\[\],:"]+')


def toml_lines(text: str) -> dict[str, int]:
    """Return the line of every path in a valid TOML text."""
    lines: dict[str, int] = {}
    last: dict[str, int] = {}  # index of the latest element of an array of tables
    table = ""  # that the latest header has named
    for number, statement, values in _statements(text):
        if not statement.lstrip().startswith("["):
            inner_lines = _inner_lines(statement, number, table) if "\n" in statement else {}
            for path, _ in walk(values, table):
                lines.setdefault(path, inner_lines.get(path, number))
            continue
        table, inner, depth = "", values, 0
        while inner and depth <= DEPTH_MAX:
            depth += 1
            ((key, inner),) = inner.items()
            table = join(table, key)
            lines.setdefault(table, number)
            if isinstance(inner, list):
                last[table] = last.get(table, -1) + 1
                inner = {}
            if table in last:
                table = f"{table}[{last[table]}]"
                lines.setdefault(table, number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield each statement with the number of its first line, and what it says by itself."""
    rows = text.replace("\r\n", "\n").split("\n")
    again_size = 0
    end = 0
    while end < len(rows):
        begin = end
        end += 1
        statement = rows[begin]
        values = _read(statement)
        while values is None:
            while end < len(rows) and not _END.search(rows[end]):
                end += 1
            if end == len(rows) or again_size > AGAIN_SIZE_MAX:
                return
            end += 1
            statement = "\n".join(rows[begin:end])
            again_size += len(statement)
            values = _read(statement)
        yield begin + 1, statement, values


def _inner_lines(statement: str, number: int, table: str) -> dict[str, int]:
    """Return the lines of what is in a value of several lines, by path."""
    lines: dict[str, int] = {}
    place = table  # of the value that comes next
    outer: list[tuple[str, int]] = []  # around it: path, index in a list
    key: str | None = ""  # as far as it is read; None where a value is due
    for piece in _TOML_PIECE.findall(statement):
        if piece == "\n":
            number += 1
        elif piece[0] == "#":
            pass
        elif piece == "=" and key is not None:
            base = outer[-1][0] if outer else table
            place, key = [path for path, _ in walk(_read(f"{key} = 0"), base)][-1], None
        elif piece in ("]", "}"):
            outer.pop()
            key = None
        elif piece == ",":
            path, index = outer.pop()
            outer.append((path, index if index < 0 else index + 1))
            place, key = (f"{path}[{index + 1}]", None) if index >= 0 else (path, "")
        elif key is not None:
            key += piece
        else:
            lines.setdefault(place, number)
            number += piece.count("\n")
            if piece == "{":
                outer.append((place, -1))
                key = ""
            elif piece == "[":
                outer.append((place, 0))
                place = f"{place}[0]"
    return lines


def _read(statement: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(statement)
    except (ValueError, RecursionError):
        return None


def json_lines(text: str) -> tuple[dict[str, int], list[tuple[str, int]]]:
    """Return the line of every path in a valid JSON text, and what stands twice, where."""
    import json

    lines: dict[str, int] = {}
    twice: list[tuple[str, int]] = []
    number = 1
    place = ""  # of the value that comes next
    outer: list[tuple[str, int, set[str]]] = []  # around it: path, index in a list, keys so far
    is_key = False
    for piece in _JSON_PIECE.findall(text):
        if piece == "\n":
            number += 1
        elif piece in ("]", "}"):
            outer.pop()
            is_key = False
        elif piece == ",":
            path, index, keys = outer[-1]
            is_key = index < 0
            if not is_key:
                outer[-1] = path, index + 1, keys
                place = f"{path}[{index + 1}]"
        elif is_key:
            key = json.loads(piece)
            place = join(outer[-1][0], key)
            if key in outer[-1][2]:
                twice.append((place, number))
            outer[-1][2].add(key)
            lines.setdefault(place, number)
            is_key = False
        elif piece != ":":
            if place:
                lines.setdefault(place, number)
            if piece == "{":
                outer.append((place, -1, set()))
                is_key = True
            elif piece == "[":
                outer.append((place, 0, set()))
                place = f"{place}[0]"
    return lines, twice
