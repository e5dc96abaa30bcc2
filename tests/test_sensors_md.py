"""SENSORS.md says what is so: its tables are those of the drivers, its example is the file."""

import json
import re
from pathlib import Path

import pytest
from fakes.chips import OneWireModule
from fakes.machine import Machine
from pyv_edge_node import sensors
from pyv_edge_node.board.wiring import Wiring
from pyv_edge_node.sensors import TYPES, open_sensor
from pyv_edge_node.settings import Section

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SENSORS.md").read_text()
OWN = ROOT / "firmware" / "examples" / "own_sensors"
KINDS = TYPES.split()
REQUIRED = {"sda": 4, "scl": 5, "pin": 26}
I2C = {"sda", "scl", "bus", "frequency_hz"}


class Noted(Section):
    """Settings that note which keys are read, and what they are without a value."""

    def __init__(self, values):
        super().__init__(values, "device.json.sensors[0]")
        self.defaults = {}

    def _take(self, key, default):
        self.defaults[key] = default
        return super()._take(key, default)


class Board:
    """A board with whatever a sensor may want."""

    def __init__(self):
        machine = Machine()
        machine.modules["onewire"] = OneWireModule()
        self.wiring = Wiring(machine, machine.clock, machine.load)


def opened(kind):
    """Return a sensor with nothing but what is required, and the settings it read."""
    noted = Noted(dict(REQUIRED))
    return open_sensor(kind, noted, Board()), noted


def part(title):
    """Return what is below a heading."""
    return re.split(rf"^#+ {title}$", TEXT, flags=re.M)[1].split("\n#")[0]


def rows(text, head):
    """Return the cells of the table whose first column is called `head`."""
    lines = text.split(f"| {head} |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def documented_settings(text):
    """Return {key: what is written for its default}."""
    found = {}
    for keys, defaults, *_ in rows(text, "key"):
        names = re.findall(r"`([^`]+)`", keys)
        values = re.findall(r"`([^`]+)`", defaults) or ["required"] * len(names)
        assert len(names) == len(values), keys
        found.update(zip(names, values, strict=True))
    return found


def test_every_driver_is_there_and_listed():
    files = {path.stem for path in Path(sensors.__file__).parent.glob("*.py")}
    assert sorted(KINDS) == KINDS
    assert set(KINDS) == files - {"__init__", "arithmetic", "own"}
    listed = rows(TEXT, "type")
    assert sorted(re.search(r"\[`(\w+)`\]\(#(\w+)\)", row[0]).groups() for row in listed) == [
        (kind, kind) for kind in KINDS
    ]
    for row in listed:
        assert (ROOT / row[-1].strip("`")).is_file(), row


@pytest.mark.parametrize("kind", KINDS)
def test_settings_are_those_that_are_read(kind):
    _, noted = opened(kind)
    text = part(kind)
    documented = documented_settings(text) if "| key |" in text else {}
    if noted.defaults.keys() >= I2C:
        documented |= documented_settings(part("I2C"))
    defaults = {
        key: "required" if key in REQUIRED else json.dumps(default)
        for key, default in noted.defaults.items()
    }
    assert documented == defaults


@pytest.mark.parametrize("kind", KINDS)
def test_channels_have_the_names_the_units_and_the_digits_that_are_written(kind):
    sensor, _ = opened(kind)
    documented = []
    for names, unit, resolution, _ in rows(part(kind), "channel")[: len(sensor.channels)]:
        digits = re.match(r"[\d.]*", resolution)[0]
        exponent = -len(digits.partition(".")[2])
        documented.append((re.search("`([^`]+)`", names)[1], unit.split(",")[0], exponent))
    assert documented == [(one.name, one.unit, one.exponent) for one in sensor.channels]


def test_shortest_intervals():
    for row in rows(TEXT, "type"):
        sensor, _ = opened(re.search(r"`(\w+)`", row[0])[1])
        least = max(getattr(sensor, "conversion_ms", 1), getattr(sensor, "interval_ms_min", 1))
        assert row[3] == f"{least} ms", row


def test_settings_of_the_sampler():
    assert documented_settings(part("What all of them have")) == {
        "type": "required",
        "interval_ms": "required",
        "prefix": '""',
    }


def test_example_is_the_file_and_all_settings_are_json():
    blocks = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.S)
    assert ("python", (OWN / "tmp102.py").read_text()) in blocks
    assert ("json", (OWN / "device.json").read_text()) in blocks
    shown = [json.loads(text) for language, text in blocks if language == "json"]
    assert len(shown) == 2
    noted = Noted(shown[0])
    open_sensor(noted.text("type"), noted, Board())
    assert noted.integer("interval_ms", 1, 3_600_000) == 500
    noted.end()


def test_what_a_sensor_may_have_is_what_the_node_asks_for():
    documented = {re.match(r"`(\w+)", row[0])[1] for row in rows(TEXT, "it has")}
    described = re.findall(r"^(\w+)(?:\([\w, ]*\))?(?:  +|\n  )", sensors.__doc__, re.M)
    assert documented == set(described)
    wiring = re.findall(r"^\| `(\w+)(?:\(|`)", TEXT.split("of pins and buses:")[1], re.M)
    assert {"i2c", "watch", "ticks_ms"} <= set(wiring)
    for name in wiring:
        assert hasattr(Board().wiring, name), name
