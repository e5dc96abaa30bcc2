"""Writes the examples of PRIVACY.md: what the code itself makes of them.

Each example stands between two comments that name it; the rest of the document
is left alone. `make docs` runs this, a test compares.
"""

import json
from pathlib import Path

from generated import put_in
from pyv_edge_agent.types import SensorReading
from pyv_edge_core.errors import TableError
from pyv_edge_core.pattern import Pattern
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.privacy_rule import ACTIONS, KEY_ACTIONS, Gate, PrivacyRule

DOCUMENT = Path(__file__).parents[1] / "PRIVACY.md"
KEY = b"an example of a secret, not for use"

READING = SensorReading(
    "hall.co2", 1700000000.0, 612.4, "ppm", {"device": "hall", "seq": 7, "badge": "B-1042"}
)
NUMBERS = {"quantize": {"step": 50}, "clamp": {"low": 400, "high": 600}}


def _toml(table):
    return "{" + ", ".join(f"{key} = {json.dumps(table[key])}" for key in table) + "}"


def _code(text):
    return f"`{text}`"


def _shown(reading):
    if reading is None:
        return "nothing"
    metadata = json.dumps(reading.metadata)
    return _code(f"{reading.sensor_name} {reading.value:g} {reading.unit} {metadata}")


def _table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def readings():
    """What each action makes of a reading."""
    rows = []
    for action in ACTIONS:
        table = {"pattern": "hall.*", "action": action, **NUMBERS.get(action, {})}
        policy = PrivacyPolicy([table], key=KEY)
        outcome = [_shown(policy.evaluate(READING)), _shown(policy.release(READING))]
        if outcome[0] == outcome[1]:
            outcome[1] = "the same"
        rows.append([_code(_toml(table)), *outcome])
    before = f"Before: {_shown(READING)}\n\n"
    return before + _table(["Rule", "Stored", "Sent"], rows)


def keys():
    """What each action makes of a key of the metadata."""
    rows = []
    for action in KEY_ACTIONS:
        policy = PrivacyPolicy([{"key": "badge", "action": action}], key=KEY)
        outcome = [policy.evaluate(READING).metadata, policy.release(READING).metadata]
        shown = [_code(json.dumps(metadata)) for metadata in outcome]
        rows.append([_code(_toml({"key": "badge", "action": action})), *shown])
    return _table(["Rule", "Metadata stored", "Metadata sent"], rows)


def nested():
    """What rules make of keys within keys."""
    metadata = {"gps": {"lat": 52.5, "alt": 34}, "seen": [{"badge": "B-1", "n": 2}]}
    drop = {"key": "gps.lat", "action": "drop"}
    allow = {"key": "gps", "action": "allow"}
    cases = (
        ("allow", [drop]),
        ("allow", [{"key": "lat", "action": "mask"}]),
        ("allow", [{"key": "gps.*", "action": "drop"}]),
        ("allow", [{"key": "seen.badge", "action": "drop"}]),
        ("allow", [drop, allow]),
        ("allow", [allow, drop]),
        ("deny", []),
        ("deny", [allow]),
        ("deny", [{"key": "gps.lat", "action": "allow"}]),
    )
    rows = []
    for default, tables in cases:
        policy = PrivacyPolicy([*tables, {"action": "allow"}], default)
        shown = policy.evaluate(SensorReading("a.b", 0.0, 0.0, "", metadata)).metadata
        rules = "<br>".join(_code(_toml(table)) for table in tables) or "none"
        rows.append([default, rules, _code(json.dumps(shown))])
    before = f"Before: {_code(json.dumps(metadata))}\n\n"
    return before + _table(["`default`", "Rules about keys, in order", "After"], rows)


def numbers():
    """What quantize and clamp make of values."""
    cases = (
        ({"action": "quantize", "step": 0.5}, (21.2, 21.25, -21.2, -21.25)),
        ({"action": "quantize", "step": 10}, (4.9, 5, 14.9, -5)),
        ({"action": "clamp", "low": 0, "high": 40}, (-3.5, 17.2, 41)),
        ({"action": "clamp", "high": "40.05"}, (-3.5, 40.07)),
    )
    rows = []
    for table, values in cases:
        gate = Gate(table["action"], PrivacyRule(table, "rule", []), None)
        pairs = ", ".join(f"{value} → {gate.value(value):g}" for value in values)
        rows.append([_code(_toml(table)), pairs])
    return _table(["Rule", "Values"], rows)


def patterns():
    """What patterns fit."""
    cases = (
        ("camera.*", ("camera.face", "camera.a.b", "camera", "front-camera.face")),
        ("*.co2", ("hall.co2", "room-1.co2", "co2")),
        ("room-?.co2", ("room-1.co2", "room-12.co2")),
        ("*", ("hall.co2", "co2")),
        ("hall", ("hall", "Hall", "hall.co2")),
    )
    rows = []
    for text, names in cases:
        fits = [_code(name) for name in names if Pattern(text).matches(name)]
        others = [_code(name) for name in names if not Pattern(text).matches(name)]
        rows.append([_code(text), ", ".join(fits), ", ".join(others)])
    return _table(["Pattern", "Fits", "Does not fit"], rows)


def explanation():
    """What explain() says."""
    policy = PrivacyPolicy(
        [
            {"name": "rough air", "pattern": "*.co2", "action": "quantize", "step": 50},
            {"key": "badge", "action": "mask"},
            ("hall.*", "drop"),
        ]
    )
    explained = policy.explain(READING)
    lines = [f"{explained.action}: {explained.rule}"]
    lines += [f"  {key}: {action}: {rule}" for key, action, rule in explained.keys]
    return "\n".join(["```text", *lines, "```"])


def faults():
    """What a policy with faults says."""
    tables = [
        {"pattern": "camera.*", "action": "forget"},
        {"patern": "hall.*", "action": "drop"},
        {"pattern": "*.co2", "action": "quantize"},
        {"key": "badge", "action": "hash"},
    ]
    try:
        PrivacyPolicy(tables, "ask", key=b"short", fields={"drop_fields": "camera.*"})
    except TableError as error:
        return "\n".join(["```text", *error.faults, "```"])
    raise AssertionError("no fault")


EXAMPLES = (readings, keys, nested, numbers, patterns, explanation, faults)


def generate(text):
    """Return `text` with each example as it is now."""
    for example in EXAMPLES:
        text = put_in(text, example.__name__, example() + "\n")
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(generate(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
