"""Config: how a file becomes the settings in force.

A file is parsed (TOML, or JSON if it is named so), `${VAR}` and
`${VAR:-default}` are replaced inside its texts, everything is checked, and the
result is laid over the defaults. All faults are found at once, each one line:
the file, the key, what was wrong, what is allowed. A key that nobody knows is a
fault, because the setting its author meant would silently not be in force.
"""

import copy
import difflib
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyv_edge_core import privacy_rule, rule
from pyv_edge_core.errors import TableError

from . import channel_policy
from .config_relations import check_relations
from .errors import ConfigError
from .policy import read_policy
from .settings import DEVICE, DEVICES, MISSING, SECTIONS, SINKS, SYSTEM_UNITS, Setting

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRIVACY_LISTS = ("rules", *privacy_rule.LISTS)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}")


def _defaults() -> dict[str, Any]:
    values: dict[str, Any] = {
        section: {key: setting.default for key, setting in keys.items()}
        for section, keys in SECTIONS.items()
    }
    values["sensors"]["devices"] = []
    values["privacy"].update({name: [] for name in PRIVACY_LISTS})
    values["rules"] = []
    values["policies"]["channels"] = []
    values["sinks"] = {
        kind: {key: setting.default for key, setting in keys.items()}
        for kind, keys in SINKS.items()
    }
    return values


def _kind(value: Any) -> str:
    """Name what `value` is, without repeating it."""
    names = {bool: "a truth value", int: "a number", float: "a number", str: "a text"}
    names |= {list: "a list", dict: "a table", type(None): "null"}
    return names.get(type(value), type(value).__name__)


class _Checker:
    """Gathers the faults of one file while its values are laid over the defaults."""

    def __init__(self, source: str, environment: Mapping[str, str]) -> None:
        self.source = source
        self.environment = environment
        self.problems: list[str] = []
        self.faulty: set[str] = set()

    def fault(self, path: str, problem: str) -> None:
        self.faulty.add(path)
        self.problems.append(f"{self.source}: {path}: {problem}")

    def substitute(self, text: str, path: str) -> str:
        """Replace every `${VAR}` and `${VAR:-default}` in `text`."""

        def value(match: re.Match[str]) -> str:
            name, default = match.group(1), match.group(3)
            if name in self.environment:
                return self.environment[name]
            if default is None:
                self.fault(path, f"environment variable {name} is not set and has no default")
                return ""
            return str(default)

        return _VARIABLE.sub(value, text)

    def unknown(self, path: str, key: str, known: list[str]) -> None:
        near = difflib.get_close_matches(key, known, 1)
        remedy = f"did you mean {near[0]}?" if near else "known here: " + ", ".join(sorted(known))
        self.fault(f"{path}{key}", f"is not a setting; {remedy}")

    def table(
        self, values: Any, keys: dict[str, Setting], path: str, also: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Return the checked values of one table, defaults filled in.

        Keys in `also` exist too, and were taken out by the caller.
        """
        result = {
            key: setting.default for key, setting in keys.items() if setting.default is not MISSING
        }
        if not isinstance(values, dict):
            self.fault(path.rstrip("."), f"must be a table, not {_kind(values)}")
            return result
        for key, value in values.items():
            if key not in keys:
                self.unknown(path, key, [*keys, *also])
                continue
            is_substituted = isinstance(value, str) and _VARIABLE.search(value) is not None
            plain = self.substitute(value, path + key) if isinstance(value, str) else value
            try:
                result[key] = keys[key].check(plain, is_substituted)
            except ValueError as error:
                self.fault(path + key, str(error))
        for key, setting in keys.items():
            if setting.default is MISSING and key not in values:
                self.fault(path + key, f"is missing; it must be {setting.allowed}")
        return result

    def plain(self, values: Any, path: str) -> Any:
        """Return `values` with the variables in all its texts replaced."""
        if isinstance(values, str):
            return self.substitute(values, path)
        if isinstance(values, dict):
            return {key: self.plain(value, f"{path}.{key}") for key, value in values.items()}
        if isinstance(values, list):
            return [self.plain(value, f"{path}[{i}]") for i, value in enumerate(values)]
        return values

    def core_tables(self, values: Any, path: str, keys: tuple[str, ...]) -> list[Any]:
        """Return tables that the core will check; find the keys it doesn't know here.

        Here, because a near name can be offered.
        """
        tables = [
            self.plain(one, f"{path}[{i}]") for i, one in enumerate(self.tables(values, path))
        ]
        for index, table in enumerate(tables):
            if isinstance(table, dict):
                for key in [key for key in table if key not in keys]:
                    self.unknown(f"{path}[{index}].", key, list(keys))
                    del table[key]
        return tables

    def tables(self, values: Any, path: str) -> list[Any]:
        """Return `values` if it is a list of tables."""
        if values == {}:
            return []
        if not isinstance(values, list):
            self.fault(path, f"must be a list of tables ([[{path}]]), not {_kind(values)}")
            return []
        return values

    def device(self, values: Any, path: str) -> dict[str, Any]:
        kind = values.get("ingest_type") if isinstance(values, dict) else None
        if isinstance(kind, str):
            plain = self.substitute(kind, path + "ingest_type")
            if plain not in DEVICES:
                shown = repr(kind)  # as it stands in the file: a variable may hold a secret
                known = ", ".join(sorted(DEVICES))
                self.fault(path + "ingest_type", f"{shown} is unknown; known: {known}")
                common = {key: value for key, value in values.items() if key in DEVICE}
                return self.table(common, DEVICE, path)
            kind = plain
        else:
            kind = None
        table = self.table(values, {**DEVICE, **(DEVICES[kind] if kind else {})}, path)
        if kind == "system" and not table["unit"]:
            table["unit"] = SYSTEM_UNITS.get(table.get("metric", ""), "")
        return table


class Config:
    """The settings in force: defaults, and what a file says over them."""

    def __init__(self, values: dict[str, Any] | None = None, source: str = "defaults") -> None:
        """Lay `values`, parsed but unchecked, over the defaults.

        Raises ConfigError with every fault in them.
        """
        self.source = source
        self._folder = Path()
        self._values = _checked(values or {}, source, os.environ)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "Config":
        """Return the settings of a TOML or JSON file.

        Raises FileNotFoundError if there is none, ConfigError for what is wrong in it.
        """
        place = Path(path)
        try:
            content = place.read_bytes().decode("utf-8")
        except FileNotFoundError:
            problem = f"{place}: no such config file; write one or name another"
            raise FileNotFoundError(problem) from None
        except (OSError, ValueError) as error:
            raise ConfigError([f"{place}: can't be read: {error}"]) from error
        kind = "JSON" if place.suffix.lower() == ".json" else "TOML"
        try:
            values = json.loads(content) if kind == "JSON" else tomllib.loads(content)
        except (ValueError, RecursionError) as error:
            raise ConfigError([f"{place}: is not {kind}: {error}"]) from error
        if not isinstance(values, dict):
            raise ConfigError([f"{place}: must hold a table, not {_kind(values)}"])
        config = cls(values, str(place))
        config._folder = place.parent
        return config

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

    @property
    def folder(self) -> Path:
        """The folder of the config file, from where its paths count."""
        return self._folder

    @property
    def store_path(self) -> Path:
        """Where the store is: `storage.path`, from the folder of the config file."""
        return self._folder / str(self._values["storage"]["path"])

    @property
    def hash_key_path(self) -> Path:
        """Where a secret for pseudonyms is kept that the configuration doesn't have."""
        return self._folder / str(self._values["privacy"]["hash_key_file"])

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of all values."""
        return copy.deepcopy(self._values)


def _checked(
    values: dict[str, Any], source: str, environment: Mapping[str, str]
) -> dict[str, Any]:
    checker = _Checker(source, environment)
    result = _defaults()
    for section, given in values.items():
        if section == "rules":
            result["rules"] = checker.core_tables(given, "rules", rule.KEYS)
        elif section == "sinks":
            result["sinks"].update(_checked_sinks(checker, given))
        elif section not in SECTIONS:
            checker.unknown("", section, [*SECTIONS, "rules", "sinks"])
        elif not isinstance(given, dict):
            checker.fault(section, f"must be a table ([{section}]), not {_kind(given)}")
        else:
            plain = dict(given)
            lists: dict[str, Any] = {}
            also: tuple[str, ...] = ()
            if section == "sensors":
                also = ("devices",)
                devices = checker.tables(plain.pop("devices", []), "sensors.devices")
                lists["devices"] = [
                    checker.device(table, f"sensors.devices[{index}].")
                    for index, table in enumerate(devices)
                ]
            elif section == "policies":
                also = ("channels",)
                rows = checker.core_tables(
                    plain.pop("channels", []), "policies.channels", channel_policy.KEYS
                )
                lists["channels"] = channel_policy.check_channels(rows, checker.fault)
            elif section == "privacy":
                also = PRIVACY_LISTS
                for name in privacy_rule.LISTS:
                    lists[name] = checker.plain(plain.pop(name, []), f"privacy.{name}")
                lists["rules"] = checker.core_tables(
                    plain.pop("rules", []), "privacy.rules", privacy_rule.KEYS
                )
            checked = checker.table(plain, SECTIONS[section], f"{section}.", also)
            result[section] = {**checked, **lists}
    _check_core(checker, result)
    for device in result["sensors"]["devices"]:
        if device.get("on_error") == "inherit":
            device["on_error"] = result["sensors"]["on_error"]
    check_relations(checker.fault, result, checker.faulty)
    if checker.problems:
        raise ConfigError(checker.problems)
    return result


def _checked_sinks(checker: _Checker, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        checker.fault("sinks", f"must hold tables ([sinks.NAME]), not {_kind(given)}")
        return {}
    for name in [name for name in given if name not in SINKS]:
        checker.unknown("sinks.", name, list(SINKS))
    return {
        name: checker.table(table, SINKS[name], f"sinks.{name}.")
        for name, table in given.items()
        if name in SINKS
    }


def _check_core(checker: _Checker, values: dict[str, Any]) -> None:
    """Find what the core finds wrong with rules and policy."""
    try:
        rule.read_rules(values["rules"])
    except TableError as error:
        for fault in error.faults:
            checker.fault(*fault.split(": ", 1))
    section = values["privacy"]
    try:
        if section["hash_key"]:
            read_policy(section, section["hash_key"].encode())
        else:
            read_policy(section)  # the secret will be in a file
    except TableError as error:
        for fault in error.faults:
            path, problem = fault.split(": ", 1)
            checker.fault(f"privacy.{path}", problem)
