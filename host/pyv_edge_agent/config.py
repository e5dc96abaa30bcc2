"""Every setting of the agent: its check, its default, and how a file becomes one.

A file is parsed (TOML, or JSON if it is named so), `${VAR}` and
`${VAR:-default}` are replaced inside its texts, everything is checked, and the
result is laid over the defaults. All faults are found at once, each one line:
the file, the key, what was wrong, what is allowed. A key that nobody knows is a
fault, because the setting its author meant would silently not be in force.
"""

import copy
import difflib
import json
import math
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}")
_MISSING = object()
SHOWN_SIZE_MAX = 60  # characters of a wrong value that a message repeats


@dataclass(frozen=True)
class Setting:
    """One key: its type, its default, and what it may be."""

    kind: type  # bool, int, float, str
    default: Any  # _MISSING: must be given
    doc: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    is_secret: bool = False  # its value is never shown

    def check(self, value: Any, is_substituted: bool) -> Any:
        """Return `value` as this setting's type.

        Raises ValueError saying what is allowed. A text that came out of a
        `${VAR}` may stand for a number or a truth value.
        """
        if is_substituted and isinstance(value, str) and self.kind is not str:
            try:
                value = json.loads(value)
            except ValueError:
                raise self._refusal(value, is_substituted) from None
        if type(value) is int and self.kind is float and abs(value) < 2**63:
            value = float(value)
        if type(value) is not self.kind:
            raise self._refusal(value, is_substituted)
        if isinstance(value, (int, float)) and not (
            self.low <= value <= self.high and math.isfinite(value)
        ):
            raise self._refusal(value, is_substituted)
        if self.choices and value not in self.choices:
            raise self._refusal(value, is_substituted)
        if isinstance(value, str) and not _is_plain(value):
            raise ValueError("the value has a control character or half a surrogate pair")
        return value

    def _refusal(self, value: Any, is_hidden: bool) -> ValueError:
        # What an environment variable holds may be a secret, put where it doesn't belong.
        shown = "the value" if self.is_secret or is_hidden else repr(value)
        if len(shown) > SHOWN_SIZE_MAX:
            shown = shown[:SHOWN_SIZE_MAX] + "..."
        return ValueError(f"{shown} is not {self.allowed}")

    @property
    def allowed(self) -> str:
        """Say what the value may be."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        name = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        text = name[self.kind]
        if self.kind in (int, float) and self.low > -math.inf:
            text += f" in {self.low:g}..{self.high:g}"
        return text


SECTIONS: dict[str, dict[str, Setting]] = {
    "sensors": {
        "poll_interval_seconds": Setting(float, 5.0, "time between two polls", 0.01, 86400),
        "on_error": Setting(
            str,
            "zero",
            "what a failed poll stores: a 0.0 of quality bad, or nothing",
            choices=("zero", "skip"),
        ),
    },
    "windows": {
        "default_size": Setting(int, 1000, "values kept in memory per device", 1, 1_000_000),
        "dtype": Setting(str, "d", "their array typecode: float or double", choices=("f", "d")),
    },
    "policies": {},
    "cloud": {
        "enabled": Setting(bool, False, "whether readings are uploaded"),
        "endpoint": Setting(str, "", "URL that takes POSTed batches", is_secret=True),
        "api_key": Setting(str, "", "sent as a bearer token", is_secret=True),
        "timeout_seconds": Setting(float, 30.0, "longest wait for a reply", 0.1, 600),
        "batch_size": Setting(int, 500, "most readings in one POST", 1, 10_000),
        "retry_base_seconds": Setting(float, 1.0, "first back-off, with full jitter", 0.01, 60),
        "retry_max_seconds": Setting(float, 300.0, "longest back-off", 0.01, 86400),
    },
    "privacy": {
        "enabled": Setting(bool, True, "whether the policy is in force"),
        "default": Setting(
            str, "allow", "what happens to what no rule names", choices=("allow", "drop")
        ),
    },
    "health": {
        "enabled": Setting(bool, True, "whether /health and /metrics are served"),
        "host": Setting(str, "127.0.0.1", "address they listen on"),
        "port": Setting(int, 8080, "port they listen on; 0: any free one", 0, 65535),
    },
    "logging": {
        "level": Setting(
            str, "INFO", "least severity", choices=("DEBUG", "INFO", "WARNING", "ERROR")
        ),
        "format": Setting(str, "json", "form of a line", choices=("json", "text")),
    },
    "storage": {
        "path": Setting(str, "data/edge_store.db", "the store, from the config file's folder"),
        "commit_interval_ms": Setting(int, 1000, "longest wait for a commit", 10, 2000),
        "commit_max": Setting(int, 500, "readings that make one due", 1, 100_000),
    },
}

RULE: dict[str, Setting] = {
    "name": Setting(str, _MISSING, "what its events are called"),
    "sensor": Setting(str, "*", "pattern of the sensor names it watches"),
    "above": Setting(float, _MISSING, "fires while a value is greater", -1e15, 1e15),
    "severity": Setting(str, "warning", "of its events", choices=("info", "warning", "critical")),
}

PRIVACY_RULE: dict[str, Setting] = {
    "pattern": Setting(str, _MISSING, "sensor names, with * and ?"),
    "action": Setting(str, _MISSING, "what becomes of them", choices=("allow", "drop")),
}

_DEVICE: dict[str, Setting] = {
    "name": Setting(str, _MISSING, "unique name of the device"),
    "ingest_type": Setting(str, _MISSING, "where its readings come from"),
    "sensor_type": Setting(str, "", "what it measures, for people"),
    "unit": Setting(str, "", "unit of its values"),
}

# ingest_type: the keys a device of that type has beside those of every device
DEVICES: dict[str, dict[str, Setting]] = {
    "simulator": {
        "baseline": Setting(float, 20.0, "value it varies about"),
        "noise_std": Setting(float, 0.5, "standard deviation of its noise", 0, 1e9),
        "min_value": Setting(float, -1e9, "clamp"),
        "max_value": Setting(float, 1e9, "clamp"),
        "drift_model": Setting(
            str, "NONE", "how the baseline moves", choices=("NONE", "LINEAR", "SINUSOIDAL")
        ),
        "drift_rate": Setting(float, 0.0, "units a second, LINEAR"),
        "drift_amplitude": Setting(float, 0.0, "units, SINUSOIDAL"),
        "drift_period_seconds": Setting(float, 86400.0, "of SINUSOIDAL", 0.001, 1e9),
        "seed": Setting(int, 0, "of its noise", 0, 2**31),
    },
    "serial": {
        "port": Setting(str, _MISSING, "path of the serial port, best from /dev/serial/by-id"),
        "baudrate": Setting(int, 115200, "of a UART; USB ignores it", 50, 4_000_000),
    },
}


def _defaults() -> dict[str, Any]:
    values: dict[str, Any] = {
        section: {key: setting.default for key, setting in keys.items()}
        for section, keys in SECTIONS.items()
    }
    values["sensors"]["devices"] = []
    values["privacy"]["rules"] = []
    values["rules"] = []
    return values


def _is_plain(text: str) -> bool:
    """Return whether `text` can be stored and sent: no control characters, valid Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not any(ord(character) < 0x20 for character in text)


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

    def fault(self, path: str, problem: str) -> None:
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

    def table(self, values: Any, keys: dict[str, Setting], path: str) -> dict[str, Any]:
        """Return the checked values of one table, defaults filled in."""
        result = {
            key: setting.default
            for key, setting in keys.items()
            if setting.default is not _MISSING
        }
        if not isinstance(values, dict):
            self.fault(path.rstrip("."), f"must be a table, not {_kind(values)}")
            return result
        for key, value in values.items():
            if key not in keys:
                self.unknown(path, key, list(keys))
                continue
            is_substituted = isinstance(value, str) and _VARIABLE.search(value) is not None
            plain = self.substitute(value, path + key) if isinstance(value, str) else value
            try:
                result[key] = keys[key].check(plain, is_substituted)
            except ValueError as error:
                self.fault(path + key, str(error))
        for key, setting in keys.items():
            if setting.default is _MISSING and key not in values:
                self.fault(path + key, f"is missing; it must be {setting.allowed}")
        return result

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
            kind = self.substitute(kind, path + "ingest_type")
            if kind not in DEVICES:
                known = ", ".join(sorted(DEVICES))
                self.fault(path + "ingest_type", f"{kind!r} is unknown; known: {known}")
                return {}
        else:
            kind = None
        return self.table(values, {**_DEVICE, **(DEVICES[kind] if kind else {})}, path)


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
    def store_path(self) -> Path:
        """Where the store is: `storage.path`, from the folder of the config file."""
        return self._folder / str(self._values["storage"]["path"])

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
            tables = checker.tables(given, "rules")
            result["rules"] = [
                checker.table(table, RULE, f"rules[{index}].")
                for index, table in enumerate(tables)
            ]
        elif section not in SECTIONS:
            checker.unknown("", section, [*SECTIONS, "rules"])
        elif not isinstance(given, dict):
            checker.fault(section, f"must be a table ([{section}]), not {_kind(given)}")
        else:
            plain = dict(given)
            lists: dict[str, Any] = {}
            if section == "sensors":
                devices = checker.tables(plain.pop("devices", []), "sensors.devices")
                lists["devices"] = [
                    checker.device(table, f"sensors.devices[{index}].")
                    for index, table in enumerate(devices)
                ]
            elif section == "privacy":
                rules = checker.tables(plain.pop("rules", []), "privacy.rules")
                lists["rules"] = [
                    checker.table(table, PRIVACY_RULE, f"privacy.rules[{index}].")
                    for index, table in enumerate(rules)
                ]
            result[section] = {**checker.table(plain, SECTIONS[section], f"{section}."), **lists}
    _check_relations(checker, result)
    if checker.problems:
        raise ConfigError(checker.problems)
    return result


def _check_relations(checker: _Checker, values: dict[str, Any]) -> None:
    """Find what is wrong between settings that are each right."""
    cloud = values["cloud"]
    if cloud["enabled"] and not _is_url(cloud["endpoint"]):
        checker.fault(
            "cloud.endpoint", "must be a URL, http://... or https://..., if cloud.enabled is true"
        )
    if not cloud["api_key"].isascii():
        checker.fault("cloud.api_key", "must be ASCII, to go into an HTTP header")
    if not values["health"]["host"].isascii():
        checker.fault("health.host", "must be ASCII: an address, or a name in its IDNA form")
    _check_unique(checker, values["sensors"]["devices"], "sensors.devices", "name")
    _check_unique(checker, values["sensors"]["devices"], "sensors.devices", "port")
    _check_unique(checker, values["rules"], "rules", "name")
    for index, device in enumerate(values["sensors"]["devices"]):
        if device.get("name") == "":
            checker.fault(f"sensors.devices[{index}].name", "must not be empty")
        if device.get("min_value", 0) > device.get("max_value", 0):
            checker.fault(f"sensors.devices[{index}].min_value", "is greater than max_value")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_unique(checker: _Checker, tables: list[dict[str, Any]], path: str, key: str) -> None:
    seen: dict[Any, int] = {}
    for index, table in enumerate(tables):
        value = table.get(key)
        if value in seen:
            checker.fault(
                f"{path}[{index}].{key}",
                f"{value!r} is {path}[{seen[value]}]'s already; each needs its own",
            )
        elif value is not None:
            seen[value] = index
