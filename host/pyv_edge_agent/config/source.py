"""A config file as it was read: its text, its folder, and on which line each setting stands."""

import os
import re
import stat
import sys
from ast import literal_eval
from pathlib import Path
from typing import Any

from ..errors import NO_CONFIG, ConfigError, Fault
from ..plain_file import reading_plain
from ..settings.setting import kind_name
from .line import json_lines, toml_lines
from .path import join, parents

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SIZE_MAX = 262_144  # bytes of a file
ROW_SIZE_MAX = 4096  # characters of one line of TOML: reading a key takes the square of it
PROBLEM_SIZE_MAX = 400  # characters of what is said about one setting
FAULTS_MAX = 200  # that are told of one file

STANDS_TWICE = "stands twice; join the two, or leave one out"
_TOML_DECLARED = re.compile(r"Cannot declare (\(.*\)) twice")
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class Source:
    """Where the values of a configuration come from."""

    def __init__(
        self, name: str, text: str | None = None, folder: Path = Path(), *, is_open: bool = False
    ) -> None:
        """Take what is called `name`, in `folder`; without a text it is no file.

        `is_open`: everybody on this computer can read it.
        """
        self.name = name
        self.folder = folder
        self.is_open = is_open
        self.is_file = text is not None
        self._text = text or ""
        self._is_json = Path(name).suffix.lower() == ".json"
        self._lines: dict[str, int] | None = None

    @classmethod
    def from_file(cls, path: Path) -> "Source":
        """Read a file. Raises FileNotFoundError if there is none, ConfigError if it can't be."""
        try:
            with reading_plain(path) as file:
                content = file.read(SIZE_MAX + 1)
                mode = os.fstat(file.fileno()).st_mode
        except FileNotFoundError:
            raise FileNotFoundError(f"{path}: {NO_CONFIG}") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            problem = f"can't be read: {reason}"
            raise ConfigError.of(Fault(str(path), None, "", problem)) from error
        if len(content) > SIZE_MAX:
            problem = f"has more than {SIZE_MAX // 1024} KiB; no configuration needs so much"
            raise ConfigError.of(Fault(str(path), None, "", problem))
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            problem = "can't be read: it is not UTF-8; save it as such"
            raise ConfigError.of(Fault(str(path), line, "", problem)) from None
        return cls(str(path), text, path.parent, is_open=bool(mode & stat.S_IROTH))

    def parse(self) -> dict[str, Any]:
        """Return what the text says. Raises ConfigError if it says nothing or is no table."""
        return self._parse_json() if self._is_json else self._parse_toml()

    def _parse_toml(self) -> dict[str, Any]:
        for index, row in enumerate(self._text.split("\n")):
            if len(row) > ROW_SIZE_MAX:
                raise self._refusal(index + 1, f"has more than {ROW_SIZE_MAX} characters")
        try:
            return tomllib.loads(self._text)
        except RecursionError as error:
            raise self._refusal(None, "is not TOML: it has too many levels") from error
        except ValueError as error:
            said = str(error)
            line, column = None, ""
            place = _TOML_PLACE.search(said)
            if place is not None:
                said = said[: place.start()]
                line = int(place.group(1) or self._text.rstrip().count("\n") + 1)
                column = f", column {place.group(2)}" if place.group(2) else ", at the end"
            if said == "Invalid value":
                column += "; texts stand in quotes"
            twice = self._twice(said, line)
            if twice:
                raise ConfigError.of(self._fault(line, STANDS_TWICE, twice)) from error
            raise self._refusal(line, f"is not TOML: {said}{column}") from error

    def _twice(self, said: str, line: int | None) -> str:
        """Return the key or table that stands twice, "" if that is not what is wrong."""
        declared = _TOML_DECLARED.fullmatch(said)
        if declared is not None:
            parts: tuple[str, ...] = literal_eval(declared[1])
            path = ""
            for part in parts:
                path = join(path, part)
            return path if len(path) <= PROBLEM_SIZE_MAX else ""
        if said != "Cannot overwrite a value" or line is None:
            return ""
        key, equals, _ = self._text.split("\n")[line - 1].partition("=")
        key = key.strip()
        # A longer one is shown by where it stands.
        return key if equals and key.isprintable() and len(key) <= PROBLEM_SIZE_MAX else ""

    def _parse_json(self) -> dict[str, Any]:
        import json

        try:
            values = json.loads(self._text)
        except json.JSONDecodeError as error:
            said = f"is not JSON: {error.msg}, column {error.colno}"
            raise self._refusal(error.lineno, said) from error
        except RecursionError as error:
            raise self._refusal(None, "is not JSON: it has too many levels") from error
        except ValueError as error:  # of a number that Python reads no further
            digits = re.search(r"\d{4301}", self._text)
            line = None if digits is None else self._text.count("\n", 0, digits.start()) + 1
            raise self._refusal(
                line, "is not JSON: has a number of more than 4300 digits"
            ) from error
        if not isinstance(values, dict):
            raise self._refusal(None, f"must hold a table, not {kind_name(values)}")
        _, twice = json_lines(self._text)
        if twice:
            place, line = twice[0]
            raise ConfigError.of(self._fault(line, STANDS_TWICE, place))
        return values

    def line_of(self, path: str) -> int | None:
        """Return the line on which `path` stands, else that of the table it would stand in."""
        if not self._text:
            return None
        if self._lines is None:
            self._lines = json_lines(self._text)[0] if self._is_json else toml_lines(self._text)
        places = (self._lines.get(place) for place in (path, *parents(path)))
        return next((line for line in places if line is not None), None)

    def faults(self, problems: list[tuple[str, str]]) -> list[Fault]:
        """Return problems, each with its path, as faults, sorted by line."""
        found = [self._fault(self.line_of(path), problem, path) for path, problem in problems]
        found.sort(key=lambda fault: (fault.line is None, fault.line or 0))
        if len(found) > FAULTS_MAX:
            more = f"there are {len(found) - FAULTS_MAX} more; mend these first"
            found[FAULTS_MAX:] = [self._fault(None, more)]
        return found

    def _fault(self, line: int | None, problem: str, path: str = "") -> Fault:
        shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in problem)
        if len(shown) > PROBLEM_SIZE_MAX:
            # At its beginning is the value, at its end what is allowed.
            shown = f"{shown[: PROBLEM_SIZE_MAX // 4]}...{shown[-PROBLEM_SIZE_MAX * 3 // 4 :]}"
        return Fault(self.name, line, path, shown)

    def _refusal(self, line: int | None, problem: str) -> ConfigError:
        return ConfigError.of(self._fault(line, problem))
