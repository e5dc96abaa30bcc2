"""Every field's range, both ends of it."""

from check import raises
from pyv_edge_core import reading
from pyv_edge_core.errors import FieldError


def test_every_field_takes_both_ends_of_its_range():
    for field, (low, high) in reading.LIMITS.items():
        for value in (low, high):
            assert reading.check(field, value) == value, (field, value)


def test_one_beyond_either_end_is_refused_by_name():
    for field, (low, high) in reading.LIMITS.items():
        for value in (low - 1, high + 1):
            error = raises(FieldError, reading.check, field, value)
            text = str(error)
            assert field in text and str(value) in text, (field, value, text)
            assert "%d..%d" % (low, high) in text, (field, value, text)


def test_ranges_are_those_of_the_wire():
    # The slot has 8 bits for a channel (255 is kept free), 2 for quality, 32 for a value.
    assert reading.LIMITS["channel"] == (0, 254)
    assert reading.LIMITS["quality"] == (0, 2)
    assert reading.LIMITS["value"] == (-2147483648, 2147483647)
    assert reading.LIMITS["seq"] == (0, 4294967295)
    assert reading.LIMITS["uptime_s"] == (0, 4294967295)
    assert reading.LIMITS["uptime_ms"] == (0, 999)
    assert reading.LIMITS["exponent"] == (-9, 9)


def test_only_integers_are_values():
    # True is the interesting one: an int on CPython and none on MicroPython.
    for value in (True, False, 1.0, "1", None, b"1"):
        error = raises(FieldError, reading.check, "quality", value)
        assert "quality" in str(error) and repr(value) in str(error), value


def test_names():
    for name in ("a", "temperature", "in.side_2-b", "0", "x" * 32):
        assert reading.check_name("channel", name) == name, name
    for name in ("", "x" * 33, "Room", "a b", "a/b", "grün", "a\n", None, 7, b"a"):
        error = raises(FieldError, reading.check_name, "device_id", name)
        assert "device_id" in str(error), name


def test_units():
    for unit in [""] + reading.UNITS_TEXT.split():
        assert reading.check_unit(unit) == unit, unit
        assert len(unit.encode()) <= 8, unit
    for unit in ("C", "cel", "celsius", " ", "% RH", "K ", None):
        error = raises(FieldError, reading.check_unit, unit)
        assert repr(unit) in str(error), unit


def test_channel_keeps_its_fields():
    channel = reading.Channel("temperature", "Cel", -2)
    assert (channel.name, channel.unit, channel.exponent) == ("temperature", "Cel", -2)


def test_channel_checks_each_field():
    for name, unit, exponent in (("T", "Cel", 0), ("t", "Celsius", 0), ("t", "Cel", 10)):
        error = raises(FieldError, reading.Channel, name, unit, exponent)
        assert str(error), (name, unit, exponent)


def test_names_of_quality_and_stream_have_the_codes_of_the_wire():
    assert reading.QUALITY_NAMES[reading.QUALITY_GOOD] == "good"
    assert reading.QUALITY_NAMES[reading.QUALITY_UNCERTAIN] == "uncertain"
    assert reading.QUALITY_NAMES[reading.QUALITY_BAD] == "bad"
    assert reading.STREAM_NAMES[reading.STREAM_TELEMETRY] == "telemetry"
    assert reading.STREAM_NAMES[reading.STREAM_EVENTS] == "events"
