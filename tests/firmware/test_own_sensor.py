"""A user's own sensor: the example runs with its settings, and mistakes in one are said."""

import json
import sys
from array import array

from check import raises
from fakes.chips import Registers16
from pyv_edge_core.reading import Channel
from pyv_edge_node.sensors import open_sensor
from sensor_bench import (
    BAD,
    GOOD,
    SensorBench,
    check_i2c_faults,
    check_no_heap,
    check_refusals,
    i2c,
    refusal,
    rp2,
)

HEAP_KB_MIN = 192  # the machine and the chips that are played are larger than the node

_SETTINGS = "firmware/examples/own_sensors/device.json"


def _root():
    """Return where the repository is, on either interpreter."""
    if sys.argv[0].endswith("run_portable.py"):
        return sys.argv[0].rsplit("/", 1)[0] + "/.."
    return __file__.rsplit("/", 3)[0]


def _machine():
    machine = rp2()
    chip = Registers16(machine.clock, 0x48, ((0, 0x1900), (1, 0x60A0)))
    machine.lines(4, 5).attach(chip)
    return machine, chip


def test_example_runs_with_its_settings():
    with open(_root() + "/" + _SETTINGS) as file:
        (settings,) = json.loads(file.read())["sensors"]
    machine, chip = _machine()
    bench = SensorBench(machine, settings)
    assert bench.names == ["pipe.temperature"]
    # The table of the data sheet, less the quarter of a degree of the settings.
    for raw, hundredths in (
        (0x7FF0, 12793),
        (0x6400, 10000),
        (0x3200, 5000),
        (0x1900, 2500),
        (0x0040, 25),
        (0x0000, 0),
        (0xFFC0, -25),
        (0xE700, -2500),
        (0xC900, -5500),
    ):
        chip.registers[0] = raw
        bench.play(1000)
        assert bench.readings() == [(GOOD, hundredths - 25)], hex(raw)


def test_example_stands_what_a_sensor_has_to():
    machine, chip = _machine()
    check_i2c_faults(SensorBench(machine, i2c("tmp102")), chip, 1000, [2500])
    machine, _ = _machine()
    check_no_heap(SensorBench(machine, i2c("tmp102", 100)), 1000, 100)
    cases = (
        ({"address": 0x4C}, ("address", "76", "72..75")),
        ({"offest": 1}, ("offest", "not a setting")),
    )
    check_refusals(rp2, i2c("tmp102"), cases)


def test_kinds_that_there_are_not():
    for kind, words in (
        ("bmp085", ("own_sensors.bmp085 is not a sensor", "adc bh1750 bme280", "simulated")),
        ("", ("'' is not a name",)),
        ("BME280", ("'BME280' has a character other than a-z",)),
        ("../boot", ("'../boot' has a character other than a-z",)),
        ("own.tmp102", ("own_sensors.own.tmp102 is not a sensor",)),
        ("arithmetic", ("own_sensors.arithmetic is not a sensor",)),
    ):
        text = refusal(rp2, i2c(kind))
        assert text.startswith("board.json.sensors[0].type: "), text
        for word in words:
            assert word in text, (kind, text)


def test_mistakes_in_a_file():
    class Empty:
        """A module without a class."""

        __name__ = "own_sensors.x"

    def empty(name):
        return Empty()

    def incomplete(name):
        raise ImportError("no module named 'numpy'")

    def unusual(name):
        raise _Trouble("no such chip")

    def ungrammatical(name):
        raise SyntaxError("invalid syntax")

    def unnamed(name):
        raise NameError("name 'y' isn't defined")

    for load, words in (
        (empty, "own_sensors.x has no class Sensor"),
        (incomplete, "own_sensors.x can't be used: ImportError: no module named 'numpy'"),
        (ungrammatical, "own_sensors.x can't be used: SyntaxError: invalid syntax"),
        (unnamed, "own_sensors.x can't be used: NameError: name 'y' isn't defined"),
        (unusual, "own_sensors.x can't be used: _Trouble: no such chip"),
    ):
        text = refusal(rp2, i2c("x"), open_sensor=_opener(load))
        assert text == "board.json.sensors[0].type: " + words


class _Trouble(Exception):
    """What a library that somebody found might raise: none of the errors that are built in."""


class _Own:
    """A sensor of a user, whose parts a test spoils."""

    def __init__(self, section=None, board=None):
        self.channels = [Channel("t", "Cel", -2), Channel("u", "Cel", -2)]
        self.values = [7, 9]

    def measure(self, uptime_s, uptime_ms):
        pass


class _Module:
    """What has a class, or something that makes sensors."""

    def __init__(self, make):
        self.Sensor = make


def _opener(load):
    """Return `open_sensor`, with sensors of users from `load`."""

    def load_own(name):
        if name.startswith("own_sensors."):
            return load(name)
        return __import__(name, None, None, ("Sensor",))

    def open_loaded(kind, section, board):
        return open_sensor(kind, section, board, load_own)

    return open_loaded


def _spoilt(spoil, kind=_Own):
    """Return the function that opens a `kind` with which `spoil` has been at work."""

    def make(section, board):
        sensor = kind()
        spoil(sensor)
        return sensor

    return _opener(lambda name: _Module(make))


_X = {"type": "x", "interval_ms": 1000}
_MISTAKE = "board.json.sensors[0]: own_sensors.x: mistake "


def _put(**parts):
    def spoil(sensor):
        for name in parts:
            setattr(sensor, name, parts[name])

    return spoil


def _raise(error):
    def spoil(sensor):
        raise error

    return spoil


def test_mistakes_in_a_constructor():
    for spoil, words in (
        (_raise(NameError("name 'pin' isn't defined")), "NameError: name 'pin' isn't defined"),
        (_raise(TypeError("one\ntwo")), "TypeError: one two"),
        (_raise(KeyError("gain")), "KeyError: "),
        (_raise(OSError(19)), "OSError: "),
        (_raise(ZeroDivisionError("divide by zero")), "ZeroDivisionError: divide by zero"),
        (lambda sensor: delattr(sensor, "channels"), "AttributeError: "),
        (lambda sensor: delattr(sensor, "values"), "AttributeError: "),
        (_put(measure=None, values=5), "TypeError: "),
        (_put(channels=[]), "TypeError: channels must be a list of Channel, at least one"),
        (_put(channels=["t", "u"]), "TypeError: channels must be a list of Channel"),
        (_put(values=[7]), "ValueError: values has 1 for 2 channels"),
        (_put(values=array("i", [7, 9, 11])), "ValueError: values has 3 for 2 channels"),
        (_put(bad=bytearray(1)), "ValueError: bad has 1 for 2 channels"),
        (_put(conversion_ms=100), "ValueError: begin() and conversion_ms go together"),
        (_put(begin=lambda: None), "ValueError: begin() and conversion_ms go together"),
        (_put(interval_ms_min=1.5), "ValueError: interval_ms_min is 1.5, and must be whole"),
    ):
        text = refusal(rp2, _X, open_sensor=_spoilt(spoil))
        expected = "board.json.sensors[0].type: own_sensors.x can't be used: " + words
        assert text.startswith(expected), (text, words)
    text = refusal(rp2, _X, open_sensor=_spoilt(lambda sensor: Channel("t", "furlong", 0)))
    assert text.startswith("board.json.sensors[0].unit: 'furlong'"), text

    def too_large():
        return SensorBench(rp2(), _X, open_sensor=_spoilt(_raise(MemoryError())))

    raises(MemoryError, too_large)


def test_values_that_cannot_be_are_a_failed_measurement():
    made = []
    settings = (dict(_X), {"type": "simulated", "interval_ms": 1000, "noise": 0})
    bench = SensorBench(rp2(), *settings, open_sensor=_spoilt(made.append))
    (own,) = made
    errors = 0
    for values in (
        [1 << 31, 0],
        [0, -(1 << 31) - 1],
        [1 << 40, 0],
        [21.5, 0],
        [None, 0],
        ["7", 0],
        [True, 0],
        [7],
        [7, 9, 11],
    ):
        own.values = values
        bench.play(1000)
        errors += 1
        assert bench.readings()[:2] == [(BAD, 0)] * 2, values
        assert bench.qualities[2] == GOOD and bench.errors_total == errors
        own.values = [-(1 << 31), (1 << 31) - 1]
        bench.play(1000)
        assert bench.readings()[:2] == [(GOOD, -(1 << 31)), (GOOD, (1 << 31) - 1)]
    assert bench.errors_total == errors
    assert bench.board.said[0].startswith(_MISTAKE + "1: FieldError: value: 2147483648 is outside")
    assert bench.board.said[-1] == _MISTAKE + "8: FieldError: values: not one for each channel"


def _index(own):
    own.values[2] = 1


def _float(own):
    own.values = array("i", [0, 0])
    own.values[0] = 20.5  # a list would have taken it


# What a user's code does wrong, and what the line about it begins with.
_MISTAKES = (
    (_float, "TypeError: "),
    (_index, "IndexError: "),
    (lambda own: own.gain, "AttributeError: "),
    (lambda own: {}["gain"], "KeyError: "),
    (lambda own: own.values[0] // 0, "ZeroDivisionError: "),
    (lambda own: own.measure(), "TypeError: "),
    (lambda own: next(iter(())), "StopIteration: "),
    (_raise(_Trouble("one\ntwo")), "_Trouble: one two"),
    (_raise(NotImplementedError("x" * 500)), "NotImplementedError: " + "x" * 120),
)


def _mistaken(mistake, **parts):
    """Return what opens an _Own that makes a mistake, and a list that will have it in it."""
    made = []

    def spoil(sensor):
        made.append(sensor)
        sensor.mistake = mistake
        for name in parts:
            setattr(sensor, name, parts[name])

    return _spoilt(spoil, _Mistaken), made


class _Mistaken(_Own):
    """A sensor that makes a mistake when it measures, or when it begins to."""

    def measure(self, uptime_s, uptime_ms):
        if self.mistake is not None:
            self.mistake(self)


def test_mistakes_of_one_sensor_are_its_own_and_said():
    for mistake, words in _MISTAKES:
        open_sensor, made = _mistaken(mistake)
        settings = (dict(_X), {"type": "simulated", "interval_ms": 1000, "noise": 0})
        bench = SensorBench(rp2(), *settings, open_sensor=open_sensor)
        for errors in range(1, 4):
            bench.play(1000)
            assert bench.readings()[:2] == [(BAD, 0)] * 2, words
            assert bench.qualities[2] == GOOD and bench.errors_total == errors, words
        assert len(bench.board.said) == len(bench.board.shown) == 2  # and where it was
        for index, said in enumerate(bench.board.said):
            assert said.startswith(_MISTAKE + "%d: " % (index + 1) + words), (said, words)
            assert "\n" not in said and len(said) < 200
        made[0].mistake = None  # it is asked again each time, and may have mended
        made[0].values = [7, 9]
        bench.play(1000)
        assert bench.readings()[:2] == [(GOOD, 7), (GOOD, 9)] and bench.errors_total == 3


def test_mistake_when_a_chip_is_to_convert():
    mistakes = [TypeError("one"), None, OSError(5), _Trouble("two"), TypeError("three")]

    def begin():
        error = mistakes.pop(0)
        if error is not None:
            raise error

    open_sensor, _ = _mistaken(None, conversion_ms=100, begin=begin)
    bench = SensorBench(rp2(), dict(_X), open_sensor=open_sensor)
    qualities = []
    for _ in range(5):
        bench.play(1000)
        qualities.append(bench.qualities[0])
    assert qualities == [BAD, GOOD, BAD, BAD, BAD] and bench.errors_total == 4
    assert bench.board.said == [_MISTAKE + "1: TypeError: one", _MISTAKE + "2: _Trouble: two"]


def test_what_is_no_mistake_is_not_said():
    for error in (OSError(5), ValueError("no TMP102")):
        open_sensor, _ = _mistaken(_raise(error))
        bench = SensorBench(rp2(), dict(_X), open_sensor=open_sensor)
        bench.play(3000)
        assert (bench.errors_total, bench.board.said) == (3, [])
    open_sensor, _ = _mistaken(_raise(MemoryError()))
    bench = SensorBench(rp2(), dict(_X), open_sensor=open_sensor)
    raises(MemoryError, bench.play, 1000)  # the board is too small: not for the sensor to hide


def test_mistakes_are_said_ever_more_rarely():
    open_sensor, _ = _mistaken(_raise(TypeError("x")))
    bench = SensorBench(rp2(), dict(_X, interval_ms=10), open_sensor=open_sensor)
    bench.play(10_000)
    assert bench.errors_total == 1000
    said = [_MISTAKE + "%d: TypeError: x" % 2**power for power in range(10)]
    assert bench.board.said == said and len(bench.board.shown) == 10


def test_sensor_with_all_its_parts_needs_no_heap():
    parts = {"conversion_ms": 10, "begin": lambda: None, "bad": bytearray(2)}
    open_sensor, _ = _mistaken(None, **parts)
    check_no_heap(
        SensorBench(rp2(), dict(_X, interval_ms=100), open_sensor=open_sensor), 1000, 100
    )


def test_channel_that_is_missing_by_itself_and_a_chip_that_converts():
    made = []
    bench = SensorBench(rp2(), dict(_X), open_sensor=_spoilt(made.append))
    (own,) = made
    own.bad = bytearray(b"\0\1")
    own.values[1] = None
    bench.play(1000)
    assert bench.readings() == [(GOOD, 7), (BAD, 0)]
    begun = []
    spoil = _put(conversion_ms=100, interval_ms_min=400, begin=lambda: begun.append(1))
    bench = SensorBench(rp2(), dict(_X), open_sensor=_spoilt(spoil))
    bench.play(2000)
    assert (len(begun), bench.readings()) == (2, [(GOOD, 7), (GOOD, 9)])
    text = refusal(rp2, dict(_X, interval_ms=399), open_sensor=_spoilt(spoil))
    assert text.startswith("board.json.sensors[0].interval_ms: 399 is too short"), text
