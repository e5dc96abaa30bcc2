"""A board's settings are judged on the PC as the board will judge them, by a process."""

import json
from pathlib import Path

import pytest
from pyv_edge_node.sensors import TYPES
from pyv_edge_tools import board_settings
from pyv_edge_tools.board_settings import BoardSettingsError
from pyv_edge_tools.flash import operations, plan
from pyv_edge_tools.flash.inventory import Inventory
from pyv_edge_tools.flash.problem import FlashError
from pyv_edge_tools.settings_judge import judge

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "firmware").rglob("device*.json"))
I2C = {"bus": 0, "sda": 4, "scl": 5}
# The least that each sensor of ours wants; pins differ, so that all fit onto one board.
LEAST = {
    "adc": {"pin": 26},
    "bh1750": I2C,
    "bme280": I2C,
    "dht22": {"pin": 10},
    "digital_input": {"pin": 11},
    "ds18b20": {"pin": 12},
    "ina219": I2C,
    "mcu_temperature": {},
    "procfs": {},
    "pulse_counter": {"pin": 13},
    "sht3x": I2C,
    "simulated": {"channel": "s"},
}

MINE = {"type": "mine", "interval_ms": 1000, "gain": 2}  # with a key that only its file knows
ADDRESS = "28ff641d8216e383"
WRONG = "28ff641d8216e384"


def sensor(kind, interval_ms=60_000, **more):
    return {"type": kind, "interval_ms": interval_ms, "prefix": kind, **LEAST[kind], **more}


def written(path, **settings):
    path.write_text(json.dumps(settings))
    return path


def test_every_sensor_of_ours_can_be_on_the_board(tmp_path):
    assert sorted(LEAST) == TYPES.split()
    path = written(
        tmp_path / "device.json",
        sensors=[sensor(kind) for kind in LEAST]
        + [sensor("ds18b20", pin=14, prefix="two", addresses=[ADDRESS])],
        link_key_file="link.key",
        spill={"size_kb": 64},
        led="25",
        uart={"id": 1, "tx": 8, "rx": 9},
    )
    assert board_settings.read(path) == (path.read_bytes(), ())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples_can_be_used(path):
    own = ("tmp102",) if "own_sensors" in path.parts else ()
    assert board_settings.read(path).own_types == own


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", ": is not JSON: "),
        (b"\xff", ": is not JSON: "),
        (b"[" * 100_000, ": is not JSON: "),
        (b"[]", ": must be an object, in braces"),
        (b'{"sensors": []}', ".sensors: must be a list of at least one object"),
        (b'{"sensors": [1]}', ".sensors[0]: must be an object, in braces"),
        (b'{"sensors": [{}]}', ".sensors[0].type: is missing"),
        (b'{"sensors": [{"type": 1}]}', ".sensors[0].type: must be a text, in quotes"),
        (b'{"sensors": [{"type": "B M"}]}', ".sensors[0].type: "),
    ],
)
def test_what_no_board_can_use_is_one_line(tmp_path, content, said):
    path = tmp_path / "device.json"
    path.write_bytes(content)
    with pytest.raises(BoardSettingsError) as refused:
        board_settings.read(path)
    assert str(refused.value).startswith(str(path) + said)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"colour": 1, "sensors": [sensor("adc")]}, "x.colour: is not a setting"),
        ({"device_id": "A b", "sensors": [sensor("adc")]}, "x.device_id: "),
        ({"sensors": [sensor("adc", pin="2")]}, "x.sensors[0].pin: '2' is not a whole number"),
        ({"sensors": [sensor("adc", colour=1)]}, "x.sensors[0].colour: is not a setting"),
        ({"sensors": [sensor("dht22", 100)]}, "x.sensors[0].interval_ms: 100 is too short"),
        ({"sensors": [sensor("adc"), sensor("adc", pin=27)]}, "x.sensors[1].channel: 'adc."),
        (
            {"sensors": [sensor("adc"), sensor("dht22", pin=26)]},
            "x.sensors[1].pin: 26 is taken by x.sensors[0]",
        ),
        ({"sensors": [sensor("adc")], "led": "26"}, "x.led: 26 is taken by x.sensors[0]"),
        (
            {"sensors": [sensor("adc")], "uart": {"id": 0, "tx": 0, "rx": 26}},
            "x.uart.rx: 26 is taken by x.sensors[0]",
        ),
        (
            {"sensors": [sensor("procfs")], "led": "4", "uart": {"id": 0, "tx": 4, "rx": 5}},
            "x.uart.tx: 4 is taken by x.led",
        ),
        (
            {"sensors": [sensor("ds18b20", addresses=[WRONG])]},
            f"x.sensors[0].addresses: '{WRONG}' has a wrong CRC (its last two digits)",
        ),
        ({"sensors": [{"type": "mine"}], "a": 1}, "x.a: "),
        ({"sensors": [sensor("adc")], "led": "x" * 17}, "x.led: is longer than 16 characters"),
        ({"sensors": [{"type": "mine"}]}, "x.sensors[0].interval_ms: is missing"),
        ({"sensors": [MINE | {"interval_ms": 0}]}, "x.sensors[0].interval_ms: 0 is not a whole"),
        ({"sensors": [MINE | {"prefix": 1}]}, "x.sensors[0].prefix: must be a text"),
        ({"sensors": [MINE | {"prefix": "A"}]}, "x.sensors[0].prefix: 'A.x' has a character"),
        ({"sensors": [MINE | {"prefix": "a" * 31}]}, "x.sensors[0].prefix: "),
        ({"sensors": [MINE | {"type": "__init__"}]}, "x.sensors[0].type: '__init__' is no"),
        ({"sensors": [sensor("adc")], "rules": [{}]}, "x.rules[0]"),
        ({"sensors": [sensor("adc")], "privacy": {"colour": 1}}, "x.privacy"),
    ],
)
def test_what_is_wrong_names_its_key(settings, said):
    problem, own = judge("x", json.dumps(settings).encode())
    assert problem.startswith(said) and own == []


def test_characters_in_two_halves_are_read_as_a_board_reads_them():
    rule = {"name": "hot", "above": 1, "message": "\U0001f600" * 24}
    settings = {"sensors": [sensor("adc")], "rules": [rule]}
    assert judge("x", json.dumps(settings).encode()) == ("", [])
    assert judge("x", json.dumps(settings, ensure_ascii=False).encode()) == ("", [])
    half = json.dumps(settings).replace(r"\ude00", "", 1).encode()
    said = r"x: is not JSON: line 1 has half a character: \ud83d"
    assert judge("x", half) == (said, [])


def test_digits_of_other_scripts_are_no_pin():
    for led in ("\u00b2", "\u0664", "025"):  # which only the board can say whether it has
        assert judge("x", json.dumps({"sensors": [sensor("adc")], "led": led}).encode()) == (
            "",
            [],
        )


def test_own_sensors_are_known_by_name_and_must_be_on_the_board(tmp_path):
    path = written(tmp_path / "device.json", sensors=[sensor("adc"), MINE | {"prefix": "a"}])
    assert board_settings.read(path).own_types == ("mine",)
    wanted = operations.wanted(path, None, is_source=True, replaces_loader=False)
    assert wanted.own_modules == ("own_sensors/mine",)

    def made(files):
        return plan.make(
            Inventory(),
            files,
            {},
            wanted.settings,
            own=wanted.own,
            own_modules=wanted.own_modules,
        )

    with pytest.raises(FlashError, match="of type 'mine', which is neither built in nor one of"):
        made({"own_sensors/other.mpy": b""})
    assert made({"own_sensors/mine.mpy": b""}).slot == "a"
    assert made({"own_sensors/mine.py": b""}).slot == "a"
