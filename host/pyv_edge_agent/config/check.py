"""How what a file says becomes values: variables, types and ranges, secrets, defaults.

Everything is checked, so that all faults are found at once. A key that nobody knows is a
fault, because the setting its author meant would silently not be in force.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyv_edge_core import privacy_rule, rule
from pyv_edge_core.errors import TableError

from .. import channel_policy
from ..policy import read_policy
from ..settings import (
    DEVICE,
    DEVICES,
    MISSING,
    SECTIONS,
    SINKS,
    SYSTEM_UNITS,
    THIRD_PARTY,
    Setting,
)
from ..settings.setting import INTEGER_MAX, kind_name, secret_files
from .origin import ENVIRONMENT, FILE, SETTING, Origin
from .path import DEPTH_MAX, children, join, parents, walk
from .relation import check_relations
from .secret import Secrets
from .variable import Variables

NEAR_MAX = 50  # unknown keys for which a known one is suggested
PRIVACY_LISTS = ("rules", *privacy_rule.LISTS)

_KEY_FILE = Setting(str, "", "file whose first line is the secret")


def defaults() -> dict[str, Any]:
    """Return the values of an empty file."""
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


class Checker:
    """Gathers the faults of one file while its values are laid over the defaults."""

    def __init__(self, environment: Mapping[str, str] | None, folder: Path) -> None:
        """Take the environment for `${VAR}`, and the folder that secret files are in.

        Without an environment, texts are what they are and no secret is looked for.
        """
        self.values = defaults()
        self.problems: list[tuple[str, str]] = []  # path, problem
        self.warnings: list[tuple[str, str]] = []
        self.origins: dict[str, Origin] = {}  # of what is given, without lines
        self.secret_files: dict[str, str] = {}  # those that settings name, and what they name
        self._variables = Variables(environment, self.fault, self._is_from_environment)
        self._secrets = None if environment is None else Secrets(self, environment, folder)
        self._faulty: set[str] = set()
        self._too_large: list[str] = []  # numbers that are taken out
        self._unknown_count = 0
        self._installed: list[str] | None = None  # kinds of devices that packages bring

    # -- faults --------------------------------------------------------------------

    def fault(self, path: str, problem: str) -> None:
        """Note that something is wrong with the setting at `path`."""
        self._faulty.add(path)
        self.problems.append((path, problem))

    def blame(self, path: str) -> None:
        """Take what `path` has for wrong, as another setting is at fault."""
        self._faulty.add(path)

    def is_faulty(self, path: str) -> bool:
        """Return whether something is wrong with the setting at `path`."""
        return path in self._faulty

    def warn(self, path: str, problem: str) -> None:
        """Note that something is doubtful about the setting at `path`."""
        self.warnings.append((path, problem))

    def relation_fault(self, path: str, problem: str) -> None:
        """Note it unless that setting is wrong by itself, and has its default now."""
        if path not in self._faulty:
            self.fault(path, problem)

    def unknown(self, path: str, key: str, known: list[str]) -> None:
        """Note that nobody knows `key`, and which one may be meant."""
        key, near = str(key), []
        self._unknown_count += 1
        if self._unknown_count <= NEAR_MAX and len(key) <= 2 * max(map(len, known)):
            import difflib

            near = difflib.get_close_matches(key, known, 1)
        for meant in near:
            self.blame(join(path, meant))  # that it is missing follows from this
        remedy = f"did you mean {near[0]}?" if near else "known here: " + ", ".join(sorted(known))
        self.fault(join(path, key), f"is not a setting; {remedy}")

    def core_fault(self, path: str, problem: str) -> None:
        """Note what the core says, without what environment variables hold."""
        table = next(parents(path), "")
        if any(one.startswith((f"{path}.", f"{table}.")) for one in self._too_large):
            return  # that something is missing there follows from this
        if not self._variables.is_faulty(path):
            self.fault(path, self._variables.hide(problem, path))

    def _is_from_environment(self, path: str, names: str) -> None:
        self.origins[path] = Origin(ENVIRONMENT, names)

    # -- tables --------------------------------------------------------------------

    def table(
        self,
        values: Any,
        keys: dict[str, Setting],
        path: str,
        also: tuple[str, ...] = (),
        credential: str = "",
    ) -> dict[str, Any]:
        """Return the checked values of one table, defaults filled in.

        Keys in `also` exist too, and were taken out by the caller. `credential` is what
        names of systemd's credentials begin with, if it isn't the path.
        """
        result = {
            key: setting.default for key, setting in keys.items() if setting.default is not MISSING
        }
        if not isinstance(values, dict):
            self.fault(path, f"must be a table, not {kind_name(values)}")
            return result
        files = secret_files(keys)
        is_off = "enabled" in keys and not self._is_enabled(values, keys, path)
        for key, value in values.items():
            place = join(path, key)
            setting = keys.get(key, _KEY_FILE if key in files else None)
            if setting is None:
                self.unknown(path, key, [*keys, *files, *also])
                continue
            is_needed = not (is_off and setting.is_secret)
            plain = self._variables.plain(value, place, is_needed=is_needed)
            is_substituted = isinstance(value, (str, list, dict)) and plain != value
            if self._variables.is_faulty(place):
                continue
            try:
                result[key] = setting.check(plain, is_substituted)
            except ValueError as error:
                self.fault(place, str(error))
        self.secret_files |= {
            join(path, name): str(result[name]) for name in files if result.get(name)
        }
        if self._secrets is not None:
            self._secrets.find(result, keys, values, path, credential or path)
        for key, setting in keys.items():
            is_given = key in values or key in result or self.is_faulty(join(path, key))
            if setting.default is MISSING and not is_given:
                self.fault(join(path, key), f"is missing; it must be {setting.allowed}")
        return {key: result[key] for key in keys if key in result}

    def _is_enabled(self, values: dict[str, Any], keys: dict[str, Setting], path: str) -> bool:
        """Return whether what a table is about is to be used, as far as can be told."""
        given = values.get("enabled", keys["enabled"].default)
        value = self._variables.plain(given, join(path, "enabled"))
        return value is not False and value != "false"

    def core_tables(self, values: Any, path: str, keys: tuple[str, ...]) -> list[Any]:
        """Return tables that the core will check; find the keys it doesn't know here.

        Here, because a near name can be offered.
        """
        tables = [
            self._variables.plain(one, f"{path}[{i}]")
            for i, one in enumerate(self.tables(values, path))
        ]
        for index, table in enumerate(tables):
            if isinstance(table, dict):
                for key in [key for key in table if key not in keys]:
                    self.unknown(f"{path}[{index}]", key, list(keys))
                    del table[key]
        return tables

    def tables(self, values: Any, path: str) -> list[Any]:
        """Return `values` if it is a list of tables."""
        if values == {}:
            return []
        if not isinstance(values, list):
            self.fault(path, f"must be a list of tables ([[{path}]]), not {kind_name(values)}")
            return []
        return values

    def device(self, values: Any, path: str) -> dict[str, Any]:
        """Return a device, checked by the settings of its kind."""
        if not isinstance(values, dict) or not isinstance(values.get("ingest_type"), str):
            return self.table(values, DEVICE, path)
        place = f"{path}.ingest_type"
        kind = self._variables.plain(values["ingest_type"], place)
        keys = {**DEVICE, **DEVICES.get(kind, THIRD_PARTY)}
        if kind not in DEVICES and not self._is_installed(kind, place, values):
            keys = DEVICE
            values = {key: value for key, value in values.items() if key in DEVICE}
        name = self._variables.plain(values.get("name"), f"{path}.name")
        credential = f"sensors.devices.{name}" if isinstance(name, str) else ""
        table = self.table(values, keys, path, credential=credential)
        if kind == "system" and not table["unit"]:
            table["unit"] = SYSTEM_UNITS.get(table.get("metric", ""), "")
        return table

    def _is_installed(self, kind: str, place: str, values: dict[str, Any]) -> bool:
        """Return whether a package brings that kind; note what is known if none does."""
        if self._installed is None:
            from ..adapters.third_party import installed_kinds

            self._installed = installed_kinds()
        installed = self._installed
        if kind not in installed and not self.is_faulty(place):
            shown = repr(values["ingest_type"])  # as in the file: a variable may be a secret
            known, others = ", ".join(sorted(DEVICES)), ", ".join(installed) or "none"
            self.fault(place, f"{shown} is unknown; known: {known}; by packages: {others}")
        return kind in installed

    # -- the whole -----------------------------------------------------------------

    def run(self, given: dict[str, Any]) -> None:
        """Check everything that is given, and lay it over the defaults."""
        if not self._look(given, "", DEPTH_MAX):
            return
        if self._too_large:
            given = self._without_too_large(given, "")
        self.origins = {path: Origin(FILE) for path, _ in walk(given)}
        # A section that isn't there may have a secret all the same.
        for section, values in {**{key: {} for key in SECTIONS}, **given}.items():
            if section == "rules":
                self.values["rules"] = self.core_tables(values, "rules", rule.KEYS)
            elif section == "sinks":
                self.values["sinks"].update(self._sinks(values))
            elif section not in SECTIONS:
                self.unknown("", section, [*SECTIONS, "rules", "sinks"])
            elif not isinstance(values, dict):
                problem = f"must be a table ([{section}]), not {kind_name(values)}"
                self.fault(section, problem)
            else:
                self.values[section] = self._section(section, dict(values))
        self._check_core()
        for index, device in enumerate(self.values["sensors"]["devices"]):
            if device.get("on_error") == "inherit":
                self._inherit(index, device, "on_error", "on_error")
            if "options" in device and not device["interval_seconds"]:
                self._inherit(index, device, "interval_seconds", "poll_interval_seconds")
        check_relations(self.relation_fault, self.values, self._faulty)

    def _inherit(self, index: int, device: dict[str, Any], key: str, general: str) -> None:
        """Let a setting of all devices hold for one."""
        device[key] = self.values["sensors"][general]
        self.origins[f"sensors.devices[{index}].{key}"] = Origin(SETTING, f"sensors.{general}")

    def _look(self, value: Any, path: str, depth: int) -> bool:
        """Refuse what is too great or too deep; return whether the rest can be looked at."""
        if type(value) is int and abs(value) > INTEGER_MAX:
            self.fault(path, "the value has more than 64 bits")
            self._too_large.append(path)
        is_flat = True
        for place, inner in children(value, path):
            if not depth:
                self.fault(path, f"has too many levels; nothing here needs {DEPTH_MAX}")
                return False
            is_flat &= self._look(inner, place, depth - 1)
        return is_flat

    def _without_too_large(self, value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {
                key: self._without_too_large(inner, join(path, key))
                for key, inner in value.items()
                if join(path, key) not in self._too_large
            }
        if isinstance(value, list):
            return [
                self._without_too_large(inner, place) for place, inner in children(value, path)
            ]
        return value

    def _section(self, section: str, given: dict[str, Any]) -> dict[str, Any]:
        lists: dict[str, Any] = {}
        also: tuple[str, ...] = ()
        if section == "sensors":
            also = ("devices",)
            devices = self.tables(given.pop("devices", []), "sensors.devices")
            lists["devices"] = [
                self.device(table, f"sensors.devices[{index}]")
                for index, table in enumerate(devices)
            ]
        elif section == "policies":
            also = ("channels",)
            channels = given.pop("channels", [])
            rows = self.core_tables(channels, "policies.channels", channel_policy.KEYS)
            lists["channels"] = channel_policy.check_channels(rows, self.core_fault)
        elif section == "privacy":
            also = PRIVACY_LISTS
            for name in privacy_rule.LISTS:
                lists[name] = self._variables.plain(given.pop(name, []), f"privacy.{name}")
            rules = given.pop("rules", [])
            lists["rules"] = self.core_tables(rules, "privacy.rules", privacy_rule.KEYS)
        return {**self.table(given, SECTIONS[section], section, also), **lists}

    def _sinks(self, given: Any) -> dict[str, Any]:
        if not isinstance(given, dict):
            self.fault("sinks", f"must hold tables ([sinks.NAME]), not {kind_name(given)}")
            return {}
        for name in [name for name in given if name not in SINKS]:
            self.unknown("sinks", name, list(SINKS))
        return {
            name: self.table(table, SINKS[name], f"sinks.{name}")
            for name, table in given.items()
            if name in SINKS
        }

    def _check_core(self) -> None:
        """Find what the core finds wrong with rules and policy."""
        try:
            rule.read_rules(self.values["rules"])
        except TableError as error:
            for fault in error.faults:
                self.core_fault(*fault.split(": ", 1))
        section = self.values["privacy"]
        try:
            if section["hash_key"]:
                read_policy(section, section["hash_key"].encode())
            else:
                read_policy(section)  # the secret will be in a file
        except TableError as error:
            for fault in error.faults:
                path, problem = fault.split(": ", 1)
                self.core_fault(f"privacy.{path}", problem)
