"""The JSON Schema of a configuration, for editors: what may stand where, and what it says.

It knows each setting by itself. What is wrong between two of them, what rules mean, and
what lies outside of the file is found by `config check` alone.
"""

from typing import Any

from pyv_edge_core.event_text import SIZE_MAX as TEXT_SIZE_MAX
from pyv_edge_core.pattern import SIZE_MAX as PATTERN_SIZE_MAX

from ..channel_policy import KEEP_DAYS_MAX
from ..settings import (
    DEVICE,
    DEVICE_DOCS,
    DEVICES,
    MISSING,
    SECTION_DOCS,
    SECTIONS,
    SINK_DOCS,
    SINKS,
    THIRD_PARTY,
    Setting,
    table,
)
from ..settings.setting import secret_files, sentence

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object"}
_VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[-+]?[0-9.]|\$\{"}]}
_PATTERN = {"type": "string", "minLength": 1, "maxLength": PATTERN_SIZE_MAX}
_KINDS: dict[str, dict[str, Any]] = {
    table.TEXT: {"type": "string", "minLength": 1, "maxLength": TEXT_SIZE_MAX},
    table.PATTERN: _PATTERN,
    table.PATTERNS: {"type": "array", "items": _PATTERN},
    table.NUMBER: _NUMBER,
    table.PAIR: {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2},
    table.LEVEL: {"anyOf": [*_NUMBER["anyOf"], {"type": "array", "items": _NUMBER}]},
    table.DURATION: {
        "anyOf": [
            {"type": "number", "minimum": 0},
            {"type": "string", "pattern": r"^[0-9.]+ *(ms|s|m|h|d)?$|\$\{"},
        ]
    },
    table.DAYS: {"type": "number", "minimum": 0, "maximum": KEEP_DAYS_MAX},
}
_CONDITIONS = ("above", "below", "outside", "rate_above", "rate_below", "stuck", "deadband")


def make_schema() -> dict[str, Any]:
    """Return the schema, JSON Schema of 2020-12."""
    sections = {
        name: _table_of(keys, SECTION_DOCS[name], **_lists(name))
        for name, keys in SECTIONS.items()
    }
    sinks = {name: _table_of(keys, SINK_DOCS[name]) for name, keys in SINKS.items()}
    rules = _core_table(table.RULE, "When readings become an event; see RULES.md.")
    rules["anyOf"] = [{"required": [key]} for key in (*_CONDITIONS, "missing")]
    return {
        "$schema": DIALECT,
        "title": "Configuration of a Pyvorin Edge agent",
        **_object(
            {
                **sections,
                "rules": {"anyOf": [_list_of(rules), {"type": "object", "maxProperties": 0}]},
                "sinks": _object(sinks, "Where readings go beside [cloud]."),
            },
            "",
        ),
    }


def _lists(section: str) -> dict[str, Any]:
    """Return the lists of tables that a section has beside its settings."""
    if section == "sensors":
        from ..adapters.third_party import installed_kinds

        kinds = [_device(kind) for kind in dict.fromkeys((*DEVICES, *installed_kinds()))]
        unknown = {"properties": {"ingest_type": _VARIABLE}, "required": ["name", "ingest_type"]}
        return {"devices": {"type": "array", "items": {"anyOf": [*kinds, unknown]}}}
    if section == "policies":
        doc = "What holds for some channels, in place of what the section says."
        return {"channels": _list_of(_core_table(table.CHANNEL, doc))}
    if section == "privacy":
        doc = "What becomes of some readings, or keys of their metadata; see PRIVACY.md."
        rule = _core_table(table.PRIVACY_RULE, doc)
        pair = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}
        lists = {name: _core_key(key) for name, key in table.PRIVACY_LISTS.items()}
        return {"rules": {"type": "array", "items": {"anyOf": [rule, pair]}}, **lists}
    return {}


def _device(kind: str) -> dict[str, Any]:
    doc = DEVICE_DOCS.get(kind, "What an installed package brings.")
    made = _table_of({**DEVICE, **DEVICES.get(kind, THIRD_PARTY)}, doc)
    made["properties"]["ingest_type"] = {"const": kind, "description": doc}
    return made


def _table_of(keys: dict[str, Setting], doc: str, **lists: Any) -> dict[str, Any]:
    properties = {key: _setting(key, setting) for key, setting in keys.items()}
    for name, key in secret_files(keys).items():
        text = f"File whose first line is {key}, from the config file's folder."
        properties[name] = {"type": "string", "description": text}
    made = _object({**properties, **lists}, doc)
    needed = [key for key, setting in keys.items() if setting.default is MISSING]
    must = [key for key in needed if f"{key}_file" not in properties]
    return {**made, "required": must} if must else made


def _setting(key: str, setting: Setting) -> dict[str, Any]:
    made: dict[str, Any] = {"type": _TYPES[setting.kind]}
    if setting.kind in (int, float) and setting.low > float("-inf"):
        made |= {"minimum": _shown(setting, setting.low), "maximum": _shown(setting, setting.high)}
    if setting.kind is dict and not setting.is_free:
        made["additionalProperties"] = {"type": "string"}
    if setting.choices:
        numbers = [int(choice) for choice in setting.choices if choice.isdecimal()]
        made = {"enum": [*setting.choices, *numbers]}
    if setting.kind is not str or setting.choices:
        made = {"anyOf": [made, _VARIABLE]}
    if setting.default is not MISSING:
        made["default"] = setting.default
    return {**made, "description": setting.described(key)}


def _shown(setting: Setting, limit: float) -> float:
    return int(limit) if setting.kind is int or limit == int(limit) else limit


def _core_table(keys: dict[str, table.Key], doc: str) -> dict[str, Any]:
    made = _object({name: _core_key(key) for name, key in keys.items()}, doc)
    required = [name for name, key in keys.items() if not key.default]
    return {**made, "required": required}


def _core_key(key: table.Key) -> dict[str, Any]:
    made = _KINDS.get(key.kind)
    if key.kind == table.CHOICE:
        made = {"anyOf": [{"enum": list(key.choices)}, _VARIABLE]}
    elif key.kind == table.CHOICES:
        made = {"type": "array", "items": {"enum": list(key.choices)}}
    assert made is not None
    return {**made, "description": sentence(key.doc)}


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(properties: dict[str, Any], doc: str) -> dict[str, Any]:
    made = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**made, "description": doc} if doc else made
