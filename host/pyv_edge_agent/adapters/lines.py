"""Lines: what a file that somebody else writes is made of, each a row of CSV or a JSON document.

A line is what ends with a line feed. Nothing here trusts a file: a line may be too long, no
UTF-8, or anything else that is no reading.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import SubmissionError
from .mapping import Path as FieldPath
from .mapping import is_numeral, read_json

SIZE_MAX = 65_536  # bytes of a line; what is longer is skipped, and never held
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}


class Line(NamedTuple):
    """One line of a file."""

    content: bytes | None  # without its end; None: it was too long
    size: int  # with its end


class LineSplitter:
    """Cuts what is read of a file into lines; what has no end yet waits."""

    def __init__(self) -> None:
        self._part = b""  # of a line without its end
        self._skipped = 0  # bytes of one that is too long

    def split(self, data: bytes) -> list[Line]:
        """Return the lines that end in `data`, which follows what came before."""
        ended = data.split(b"\n")
        rest = ended.pop()
        found = []
        for piece in ended:
            self._add(piece)
            line = self._take()
            found.append(Line(line.content, line.size + 1))
        self._add(rest)
        return found

    @property
    def waiting_size(self) -> int:
        """Bytes of the line that has no end yet."""
        return len(self._part) + self._skipped

    def end(self) -> Line | None:
        """Return the line that the file ends with, if that has no end."""
        return self._take() if self._part or self._skipped else None

    def _add(self, piece: bytes) -> None:
        if self._skipped or len(self._part) + len(piece) > SIZE_MAX:
            self._skipped += len(self._part) + len(piece)
            self._part = b""
        else:
            self._part += piece

    def _take(self) -> Line:
        if self._skipped:
            line = Line(None, self._skipped)
        else:
            line = Line(self._part, len(self._part))
        self._part, self._skipped = b"", 0
        return line


class Rows:
    """Makes a document of each line of a file, as a device's table says."""

    def __init__(self, device: Mapping[str, Any], path: Path) -> None:
        """Read the settings of a checked device table whose file is `path`."""
        kind = device["format"]
        if kind == "auto":
            name = path.name.removesuffix(".gz")
            kind = "csv" if name.endswith((".csv", ".tsv")) else "jsonl"
        self.is_csv = kind == "csv"
        self._delimiter = DELIMITERS[device["delimiter"]]
        self._given = [name.strip() for name in device["columns"].split(",") if name.strip()]
        self._needed = _columns_needed(device)
        self._values = _value_columns(device)
        self._columns: list[str] = self._given
        self.later_columns: tuple[str, ...] = ()  # what a header behind the first line has named

    @property
    def needs_header(self) -> bool:
        """Whether a file's first line says what the others mean."""
        return self.is_csv and not self._given

    @property
    def has_columns(self) -> bool:
        """Whether it is known what the cells of a row are."""
        return bool(self._columns)

    def begin(self, columns: tuple[str, ...] = ()) -> None:
        """Begin with the first line of a file, or where `columns` are named already."""
        self._columns = list(columns) or self._given
        self.later_columns = columns

    def read(self, line: Line) -> Any:
        """Return the document of a line, None if it is empty or names the columns.

        Raises SubmissionError.
        """
        if line.content is None:
            raise SubmissionError(f"is longer than {SIZE_MAX} bytes")
        try:
            text = line.content.decode("utf-8-sig").strip("\r\n")
        except UnicodeDecodeError:
            raise SubmissionError("is no UTF-8") from None
        if not text.strip():
            return None
        return self._read_row(text) if self.is_csv else read_json(text)

    def _read_row(self, text: str) -> dict[str, str] | None:
        try:
            (fields,) = csv.reader(
                [text], delimiter=self._delimiter, strict=True, skipinitialspace=True
            )
        except (csv.Error, ValueError):
            raise SubmissionError("is no row of CSV") from None
        if not self._columns:
            self._columns = _header(fields, self._needed)
            return None
        if fields == self._columns:
            return None  # somebody has begun the file anew, or put two together
        if not self._given and self._is_header(fields):
            self._columns = []  # until there is one that can be used
            self._columns = _header(fields, self._needed)
            self.later_columns = tuple(self._columns)
            return None
        if len(fields) != len(self._columns):
            count = len(self._columns)
            raise SubmissionError(f"has {len(fields)} columns, not {count}")
        # An empty cell is nothing, not a text.
        return {name: field for name, field in zip(self._columns, fields, strict=True) if field}

    def _is_header(self, fields: list[str]) -> bool:
        """Return whether a row behind the first one names columns, and is no reading."""
        names = [field.strip() for field in fields]
        known = set(self._columns) & set(names)
        cells = dict(zip(self._columns, names, strict=False))
        values = [cells.get(name, "") for name in self._values]
        is_named = len(self._needed) > 1 and self._needed <= set(names)
        return is_named or (bool(known) and not any(map(is_numeral, values)))


def _header(fields: list[str], needed: set[str]) -> list[str]:
    names = [field.strip() for field in fields]
    missing = sorted(needed - set(names))
    if missing or len(set(names)) < len(names):
        fault = f"doesn't name a column {missing[0]}" if missing else "names a column twice"
        raise SubmissionError(f"{fault}; for a file without a header give `columns`")
    return names


def _value_columns(device: Mapping[str, Any]) -> set[str]:
    """Return the columns that have numbers in them."""
    return _columns(*(device["fields"].values() or [device["value_path"]]))


def _columns(*paths: str) -> set[str]:
    return {str(FieldPath(text).steps[0]) for text in paths if text}


def _columns_needed(device: Mapping[str, Any]) -> set[str]:
    """Return the columns without which no row can be a reading."""
    return _value_columns(device) | _columns(device["time_path"], device["channel_path"])
