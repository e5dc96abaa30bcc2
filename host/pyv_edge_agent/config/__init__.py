"""Config: how a file becomes the settings in force.

A file is parsed (TOML, or JSON if it is named so), `${VAR}` and `${VAR:-default}` are
replaced inside its texts, secrets are fetched, everything is checked, and the result is
laid over the defaults. All faults are found at once, each one line: the file, its line,
the key, what is wrong, what to do.
"""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, Fault
from .check import Checker
from .origin import CREDENTIAL, DEFAULT, SECRET_FILE, SETTING, Origin
from .outside import check_outside, named_files
from .path import walk
from .source import Source
from .warning import find_warnings, secrets_in_file

__all__ = ["Config", "Origin"]


class Config:
    """The settings in force: defaults, and what a file says over them."""

    def __init__(
        self,
        values: dict[str, Any] | None = None,
        source: str | Source = "defaults",
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """Lay `values`, parsed but unchecked, over the defaults.

        Raises ConfigError with every fault in them.
        """
        self._source = source if isinstance(source, Source) else Source(source)
        checker = Checker(environment, self._source.folder)
        checker.run(values or {})
        self._refuse(checker)
        self._values = checker.values
        self._checked = repr(self._values)  # which tells True from 1, as == doesn't
        self._origins = checker.origins
        self._secret_files = checker.secret_files
        find_warnings(checker.warn, self._values, self._origins, self._source)
        self._warnings = checker.warnings

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], environment: Mapping[str, str] = os.environ
    ) -> "Config":
        """Return the settings of a TOML or JSON file.

        Raises FileNotFoundError if there is none, ConfigError for what is wrong in it.
        """
        source = Source.from_file(Path(path))
        return cls(source.parse(), source, environment)

    def _refuse(self, checker: Checker) -> None:
        if checker.problems:
            raise ConfigError.of(*self._source.faults(checker.problems))

    def validate(self) -> None:
        """Check the values as they stand, and that the files which they name can be read.

        Values that are as they were made are not checked again. Raises ConfigError with every
        fault.
        """
        checker = Checker(None, self._source.folder)
        if repr(self._values) != self._checked:
            checker.run(self._values)
        config = self.folder / Path(self._source.name).name
        check_outside(
            *(checker.relation_fault, self._values, self._secret_files, self._origins, config)
        )
        self._refuse(checker)

    def get(self, *keys: str, default: Any = None) -> Any:
        """Return the value at `keys`, one name per level, `default` if there is none.

        A section comes as a copy of its dict.
        """
        value: Any = self._values
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                return default
            value = value[key]
        return copy.deepcopy(value)

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of all values."""
        return copy.deepcopy(self._values)

    def origin(self, path: str) -> Origin:
        """Return where the value at a path comes from: `cloud.api_key`, `rules[0].name`.

        Raises KeyError if there is no such value.
        """
        origin = self._origins.get(path)
        if origin is None:
            if all(path != place for place, _ in walk(self._values)):
                raise KeyError(path)
            return Origin(DEFAULT)
        if origin.kind in (CREDENTIAL, SETTING):
            return origin
        place = f"{path}_file" if origin.kind == SECRET_FILE else path
        return origin._replace(line=self._source.line_of(place))

    @property
    def warnings(self) -> list[str]:
        """What is allowed and probably not meant, a line each."""
        return [str(doubt) for doubt in self.doubts]

    @property
    def doubts(self) -> list[Fault]:
        """The warnings, taken apart."""
        return self._source.faults(self._warnings)

    @property
    def has_secrets(self) -> bool:
        """Whether a secret stands in the file itself."""
        return any(secrets_in_file(self._values, self._origins))

    @property
    def folder(self) -> Path:
        """The folder of the config file, from where its paths count."""
        return self._source.folder

    @property
    def named_files(self) -> list[Path]:
        """The files, and folders of some, that the agent is told to read or to write."""
        names = [*dict(named_files(self._values)).values(), *self._secret_files.values()]
        return [self.folder / name for name in names]

    @property
    def store_path(self) -> Path:
        """Where the store is: `storage.path`, from the folder of the config file."""
        return self.folder / str(self._values["storage"]["path"])

    @property
    def hash_key_path(self) -> Path:
        """Where a secret for pseudonyms is kept that the configuration doesn't have."""
        return self.folder / str(self._values["privacy"]["hash_key_file"])
