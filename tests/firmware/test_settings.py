"""Each mistake in a settings file gives one line that says where it is."""

import json
import sys
from binascii import crc32

from check import raises
from fake_board import make_settings, simulated
from pyv_edge_node import settings
from pyv_edge_node.flash import Flash
from pyv_edge_node.sampler import Sampler
from pyv_edge_node.settings import Section, SettingsError

HEAP_KB_MIN = 192  # settings bring rules and privacy: half a board's heap

_PATH = "/flash/device.json"  # of no real flash: several interpreters run this at once


class _OnlySettings:
    """A flash that has a settings file and nothing else."""

    def __init__(self, content):
        self._content = content

    def read(self, name):
        return self._content if name == _PATH else None


def _load(content):
    return settings.load(_OnlySettings(content), _PATH)


def _open(*sensors):
    return Sampler(make_settings(*sensors).sensors, 0)


def _check_line(text, words, case):
    assert "\n" not in text, (case, text)
    for word in words:
        assert word in text, (case, word, text)


def test_good_file():
    content = b'{"device_id": "pump-1", "telemetry_capacity": 64, "sensors": [{"type": "x"}]}'
    loaded = _load(content)
    assert (loaded.device_id, loaded.telemetry_capacity) == ("pump-1", 64)
    assert (loaded.events_capacity, loaded.vitals_interval_ms) == (128, 60000)
    assert (loaded.sample_for_ms, len(loaded.sensors)) == (0, 1)
    assert loaded.config_hash == crc32(content)


def test_example_file_is_good():
    folder = sys.argv[0].rsplit("/", 1)[0] if sys.argv[0].endswith("run_portable.py") else ""
    if not folder:
        folder = __file__.rsplit("/", 2)[0]
    loaded = settings.load(Flash(), folder + "/../firmware/device.example.json")
    sampler = Sampler(loaded.sensors, 0)
    assert loaded.device_id == "greenhouse-1"
    names = [channel.name for channel in sampler.channels]
    assert names == ["temperature", "load_1m", "memory_available", "cpu_busy"]


def test_file_that_is_not_there():
    text = str(raises(SettingsError, settings.load, Flash(), "/nowhere/board.json"))
    _check_line(text, ("/nowhere/board.json", "device.example.json"), "absent")


def test_files_that_are_no_settings():
    cases = (
        (b"", ("JSON",)),
        (b"{", ("JSON",)),
        (b"\xff\xfe{}", ("JSON",)),
        (b"[]", ("object",)),
        (b"7", ("object",)),
        (b"{}", (".sensors", "missing")),
    )
    for content, words in cases:
        text = str(raises(SettingsError, _load, content))
        _check_line(text, (_PATH,) + words, content)


def test_values_of_the_wrong_kind_or_size():
    sensors = [{"type": "x"}]
    cases = (
        ("device_id", 7, ("text", "quotes")),
        ("device_id", None, ("text", "quotes")),
        ("link_key", "it is in a file of its own", ("not a setting",)),
        ("link_key_file", 7, ("text", "quotes")),
        ("link_key_file", "nowhere.key", ("'nowhere.key'", "there is no")),
        ("telemetry_capacity", 15, ("15", "16..65536")),
        ("telemetry_capacity", 65537, ("65537", "16..65536")),
        ("telemetry_capacity", "64", ("'64'", "16..65536")),
        ("telemetry_capacity", True, ("True", "16..65536")),
        ("telemetry_capacity", 64.0, ("64.0", "16..65536")),
        ("events_capacity", 4097, ("4097", "16..4096")),
        ("vitals_interval_ms", 99, ("99", "100..3600000")),
        ("sample_for_ms", -1, ("-1", "0..1000000000")),
        ("healthy_after_s", 0, ("0", "1..3600")),
        ("watchdog_ms", 8389, ("8389", "0..8388")),
        ("watchdog_ms", 999, ("999", "below 1000")),
        ("led", 25, ("text", "quotes")),
        ("led", "x" * 17, ("longer than 16",)),
        ("uart", 1, ("uart", "object")),
        ("uart", {"id": 1, "tx": 4}, ("uart.rx", "missing")),
        ("uart", {"id": 1, "tx": 4, "rx": 5, "baud": 7}, ("uart.baud", "1200..4000000")),
        ("sensors", [], ("list",)),
        ("sensors", {}, ("list",)),
        ("sensors", ["x"], ("sensors[0]", "object")),
        ("telemetry_capacty", 64, ("not a setting",)),
    )
    for key, value, words in cases:
        values = {"sensors": sensors}
        values[key] = value
        content = json.dumps(values).encode()
        text = str(raises(SettingsError, _load, content))
        _check_line(text, (_PATH, key) + words, (key, value))


def test_a_key_is_never_repeated():
    for name in ("link_key", "link_key_file"):
        for key in (1234567890123456, ["a key in a list"]):
            values = {"sensors": [{"type": "x"}]}
            values[name] = key
            text = str(raises(SettingsError, _load, json.dumps(values).encode()))
            for part in ("1234567890", "in a list"):
                assert part not in text, text


class _Disk:
    """A flash with one file, or one that can't be read."""

    def __init__(self, content):
        self._content = content

    def read(self, name):
        if self._content is None:
            raise OSError(5)
        return self._content


def test_link_key_is_the_first_line_of_its_file():
    content = json.dumps({"sensors": [{"type": "x"}], "link_key_file": "link.key"}).encode()
    for stored in (b"of 16 bytes, yes", b" of 16 bytes, yes \r\nand a second line\n"):
        loaded = settings.parse(_PATH, content, _Disk(stored))
        assert loaded.link_key == b"of 16 bytes, yes", stored
    for stored, word in ((b"15 bytes of key\n", "less than 16"), (b"", "less"), (None, "read")):
        text = str(raises(SettingsError, settings.parse, _PATH, content, _Disk(stored)))
        _check_line(text, (_PATH, "link_key_file", "'link.key'", word), stored)
        assert "15 bytes of" not in text


def test_mistakes_in_a_sensor():
    cases = (
        ({"type": None}, ("type", "text")),
        ({"type": "bme680"}, ("type", "simulated", "procfs", "own_sensors.bme680")),
        ({"interval_ms": 0}, ("interval_ms", "0", "1..3600000")),
        ({"interval_ms": 3600001}, ("interval_ms", "3600001")),
        ({"channel": "Room 1"}, ("channel", "'Room 1'", "a-z")),
        ({"channel": ""}, ("channel", "''")),
        ({"unit": "Celsius"}, ("unit", "'Celsius'")),
        ({"exponent": 10}, ("exponent", "10", "-9..9")),
        ({"low": 5, "high": 4}, ("high", "4", "5")),
        ({"noise": -1}, ("noise", "-1")),
        ({"period_s": 0}, ("period_s", "0")),
        ({"colour": "red"}, ("colour", "not a setting")),
    )
    for change, words in cases:
        sensor = simulated()
        sensor.update(change)
        text = str(raises(SettingsError, _open, simulated("first"), sensor))
        _check_line(text, ("board.json.sensors[1]",) + words, change)


def test_keys_that_a_sensor_needs():
    for key in ("type", "interval_ms"):
        sensor = simulated()
        del sensor[key]
        text = str(raises(SettingsError, _open, sensor))
        _check_line(text, ("board.json.sensors[0]." + key, "missing"), key)


def test_channel_that_is_there_twice():
    text = str(raises(SettingsError, _open, simulated("a"), simulated("b"), simulated("a")))
    _check_line(text, ("board.json.sensors[2].channel", "'a'", "twice"), "twice")


def test_reading_a_section_leaves_the_values_alone():
    values = {"a": 1}
    section = Section(values, "x")
    assert section.integer("a", 0, 5) == 1
    section.end()
    assert values == {"a": 1}
    assert "missing" in str(raises(SettingsError, section.integer, "a", 0, 5))


def _named(escaped):
    """Return the settings of a rule whose name is JSON, of the board's own and of no others."""
    rule = b'{"name": "hot", "message": "%s", "above": 1}' % escaped
    return b'{\n"sensors": [{"type": "x"}],\n"rules": [%s]}' % rule


def test_characters_that_json_writes_in_two_halves_are_joined():
    face, last = chr(0x1F600), chr(0x10FFFF)
    for escaped, text in (
        (b"\\ud83d\\ude00", face),
        (b"\\uD83D\\uDE00", face),
        (b"\\ud83D\\uDe00x", face + "x"),
        (b"x\\ud83d\\ude00\\udbff\\udfffy", "x" + face + last + "y"),
        (b"\\ud800\\udc00", chr(0x10000)),
        (b"\xf0\x9f\x98\x80 \\ud83d\\ude00", face + " " + face),
        # What only looks like halves: a backslash that is escaped, and other characters.
        (b"\\\\ud83d", "\\ud83d"),
        (b"\\\\\\\\ud83d\\\\ude00", "\\\\ud83d\\ude00"),
        (b"\\\\\\ud83d\\ude00", "\\" + face),
        (b"\\ud7ff\\ue000", chr(0xD7FF) + chr(0xE000)),
        (b"\\u00e9\\ud83d\\ude00", chr(0xE9) + face),
        (b'\\/\\"\\ud83d\\ude00', '/"' + face),
        (b"\xed\x9f\xbf", chr(0xD7FF)),
    ):
        content = _named(escaped)
        loaded = _load(content)
        assert loaded.rules[0].message == text, escaped
        assert loaded.rules[0].message.encode().decode() == text
        assert loaded.config_hash == crc32(content)


def test_half_a_character_is_refused():
    for escaped, half in (
        (b"\\ud83d", "half a character: \\ud83d"),
        (b"\\uDE00", "half a character: \\uDE00"),
        (b"\\ud83dx", "half a character: \\ud83d"),
        (b"\\ude00\\ud83d", "half a character: \\ude00"),
        (b"\\ud83d\\ud83d\\ude00", "half a character: \\ud83d"),
        (b"\\ud83d\\ude00\\ude01", "half a character: \\ude01"),
        (b"\\ud83d\\\\ude00", "half a character: \\ud83d"),
        (b"\\ud83d\\u0041", "half a character: \\ud83d"),
        (b"\\\\\\ud83d", "half a character: \\ud83d"),
        (b"\\ud8_3\\ude00", "an escape without four digits"),
        (b"\\ud83d\\ud", "an escape without four digits"),
        (b"\xed\xa0\xbd\xed\xb8\x80", "bytes that are no UTF-8"),
    ):
        text = str(raises(SettingsError, _load, _named(escaped)))
        assert text == "%s: is not JSON: line 3 has %s" % (_PATH, half), (escaped, text)
    for end in (b'"\\ud83d', b'"\\ud83d\\', b'"\\ud83d\\u', b'"\\ud', b"\xed", b"\xed\xa0"):
        text = str(raises(SettingsError, _load, end))
        _check_line(text, (_PATH, "is not JSON"), end)


def test_size_of_a_text_is_that_of_its_characters():
    face = b"\\ud83d\\ude00"  # four bytes
    assert _load(_named(face * 24)).rules[0].message == chr(0x1F600) * 24
    text = str(raises(SettingsError, _load, _named(face * 24 + b"x")))
    _check_line(text, (_PATH, "rules[0]", "message", "96"), "97 bytes")
