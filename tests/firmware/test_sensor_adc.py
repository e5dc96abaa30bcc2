"""ADC: the mean of several conversions on a line through two points, exactly rounded."""

from array import array

from check import numbers_from
from fakes.machine import Machine
from sensor_bench import BAD, GOOD, SensorBench, check_no_heap, check_refusals, rp2

HEAP_KB_MIN = 192  # the machine and the chips that are played are larger than the node


def _settings(**others):
    values = {"type": "adc", "interval_ms": 100, "pin": 26}
    values.update(others)
    return values


def _reading(raw, **others):
    """Return the reading of a pin at which there is `raw`, or one after the other of those."""
    machine = rp2()
    if isinstance(raw, int):
        machine.adc(26).raw = raw
    else:
        machine.adc(26).raws = raw
    bench = SensorBench(machine, _settings(**others))
    bench.play(100)
    return bench.readings()[0]


def test_without_a_calibration_it_is_a_voltage():
    bench = SensorBench(rp2(), _settings())
    (channel,) = bench.sampler.channels
    assert (channel.name, channel.unit, channel.exponent) == ("voltage", "V", -3)
    for raw, millivolts in ((0, 0), (65535, 3300), (32768, 1650), (10, 1), (9, 0)):
        assert _reading(raw) == (GOOD, millivolts), raw


def test_two_points_make_a_line():
    # 4 to 20 mA on 120 ohms for 0 to 400 hPa, and a line that falls.
    loop = {"raw_1": 9532, "value_1": 0, "raw_2": 47662, "value_2": 40000}
    for raw, value in ((9532, 0), (47662, 40000), (28597, 20000), (0, -9999), (65535, 58750)):
        found = _reading(raw, channel="level", unit="hPa", exponent=-2, **loop)
        assert found == (GOOD, value), (raw, found)
    assert _reading(65535, value_1=100, value_2=-100) == (GOOD, -100)
    assert _reading(0, value_1=100, value_2=-100) == (GOOD, 100)


def test_line_is_that_of_exact_fractions():
    numbers = numbers_from(3)

    def number(limit):
        return (next(numbers) << 16 | next(numbers)) % limit

    compared = 0
    while compared < 200:
        raw_1, raw_2 = sorted((number(65536), number(65536)))
        value_1, value_2 = number(20_000_001) - 10_000_000, number(20_000_001) - 10_000_000
        if abs(value_2 - value_1) * 65535 > 200_000_000 * (raw_2 - raw_1):
            continue
        raw = number(65536)
        line = {"raw_1": raw_1, "raw_2": raw_2, "value_1": value_1, "value_2": value_2}
        quality, value = _reading(raw, samples=1, **line)
        # value - value_1 against the fraction, doubled: no more than rounding, and 1 of 2**22.
        run = raw_2 - raw_1
        error = (value - value_1) * run - (raw - raw_1) * (value_2 - value_1)
        reach = abs((raw - raw_1) * (value_2 - value_1)) >> 22
        assert quality == GOOD and abs(error) <= run // 2 + 1 + reach, (line, raw, value)
        compared += 1


def test_mean_has_more_digits_than_a_conversion():
    raws = array("H", [100, 101, 100, 101])
    assert _reading(raws, samples=4, value_2=65535 * 10) == (GOOD, 1005)
    assert _reading(raws, samples=1, value_2=65535 * 10) == (GOOD, 1000)
    machine = rp2()
    bench = SensorBench(machine, _settings(samples=256))
    bench.play(100)
    assert machine.adc(26).reads_total == 256


def test_outside_of_what_a_sensor_gives():
    for raw, quality in ((999, BAD), (1000, GOOD), (60000, GOOD), (60001, BAD)):
        assert _reading(raw, raw_min=1000, raw_max=60000)[0] == quality, raw


def test_esp32_is_told_to_use_its_whole_range():
    machine = Machine("esp32")
    SensorBench(machine, _settings(pin=32))
    assert machine.adc(32).attenuation == machine.ADC.ATTN_11DB


def test_steady_state_needs_no_heap():
    for others in (
        {"samples": 256, "value_1": -100_000_000, "value_2": 100_000_000},
        {"value_1": 100_000_000, "value_2": -100_000_000},
        {"raw_1": 30000, "raw_2": 30001, "value_1": 0, "value_2": 3000},
    ):
        machine = rp2()
        machine.adc(26).raw = 65535
        check_no_heap(SensorBench(machine, _settings(**others)), 1000, 100)


def test_refusals():
    cases = (
        ({"pin": 25}, ("pin", "25", "can't be used", "ADC")),
        ({"samples": 257}, ("samples", "257", "1..256")),
        ({"raw_1": 5, "raw_2": 5}, ("raw_2", "5", "not above")),
        ({"raw_1": 5, "raw_2": 6, "value_2": 5000}, ("raw_2", "too near")),
        ({"raw_min": 50000, "raw_max": 8000}, ("raw_max", "8000", "not above raw_min, 50000")),
        ({"raw_min": 7, "raw_max": 7}, ("raw_max", "7", "not above raw_min")),
        ({"unit": "volts"}, ("unit", "'volts'")),
        ({"channel": "A 1"}, ("channel", "'A 1'")),
        ({"exponent": 10}, ("exponent", "10")),
    )
    check_refusals(rp2, _settings(), cases)
