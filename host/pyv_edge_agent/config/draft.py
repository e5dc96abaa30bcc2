"""The text of a new configuration: what is set, and all else there is as comments."""

import json
import textwrap
from typing import Any

from .. import settings
from ..alerting import DEFAULT_RULE
from ..settings.setting import secret_files

_WIDTH = 99
_HEAD = """\
Configuration of a Pyvorin Edge agent. `pyv-edge-host config check` finds what is wrong with
it, CONFIGURATION.md tells about all of it. What stands behind a # is not in force: it shows
the defaults. ${NAME} and ${NAME:-default} in a text stand for environment variables, and
api_key_file = "FILE" for a secret in a file of its own."""
_DEVICE = {"name": "porch", "ingest_type": "serial", "port": "usb:2e8a:0005"}
_CHANNEL = {
    "match": "*.vibration",
    "class": "bulk",
    "sync": ["summary", "events"],
    "keep_days": 14,
}
_PRIVACY_RULE = {"pattern": "*.microphone", "action": "drop"}


def toml(value: Any) -> str:
    """Return a value as TOML has it on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    # A text of JSON is one of TOML, but for this character.
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return text if isinstance(value, (str, bool)) else repr(value)


def draft(given: dict[str, Any]) -> str:
    """Return the text of a file that sets what `given` has, as it would be parsed from it."""
    lines = [*_comment(_HEAD.replace("\n", " "))]
    for section, keys in settings.SECTIONS.items():
        table = dict(given.get(section, {}))
        devices = table.pop("devices", [])
        lines += ["", *_comment(settings.SECTION_DOCS[section]), f"[{section}]"]
        lines += _settings(keys, table)
        if section == "sensors":
            lines += _devices(devices)
        elif section == "policies":
            lines += _example("What holds for some channels.", "policies.channels", _CHANNEL)
        elif section == "privacy":
            text = "What becomes of some readings; the first that fits decides."
            lines += _example(text, "privacy.rules", _PRIVACY_RULE)
    text = "When a reading becomes an event, see RULES.md. While there is none, this one holds:"
    lines += _example(text, "rules", DEFAULT_RULE)
    for kind, keys in settings.SINKS.items():
        lines += ["", *_comment(settings.SINK_DOCS[kind]), f"[sinks.{kind}]"]
        lines += _settings(keys, given.get("sinks", {}).get(kind, {}))
    return "\n".join(lines) + "\n"


def _devices(devices: list[dict[str, Any]]) -> list[str]:
    if not devices:
        return _example("Where readings come from.", "sensors.devices", _DEVICE)
    lines: list[str] = []
    for device in devices:
        kind = device["ingest_type"]
        lines += ["", *_comment(settings.DEVICE_DOCS[kind]), "[[sensors.devices]]"]
        lines += _settings({**settings.DEVICE, **settings.DEVICES[kind]}, device)
    return lines


def _settings(keys: dict[str, settings.Setting], given: dict[str, Any]) -> list[str]:
    """Return the lines of one table: what is given, and the defaults of the rest as comments."""
    files = {key: name for name, key in secret_files(keys).items()}
    lines = []
    for key, setting in keys.items():
        lines += _comment(setting.described(key))
        file = files.get(key, "")
        if file in given:
            lines.append(f"{file} = {toml(given[file])}")
        elif key in given:
            lines.append(f"{key} = {toml(given[key])}")
        elif setting.default is not settings.MISSING:
            lines.append(f"#{key} = {toml(setting.default)}")
    return lines


def _example(text: str, path: str, table: dict[str, Any]) -> list[str]:
    rows = [f"#{key} = {toml(value)}" for key, value in table.items()]
    return ["", *_comment(text), f"#[[{path}]]", *rows]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
