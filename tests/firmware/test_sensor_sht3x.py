"""SHT3x: the data sheet's CRC and formulas, and whatever can befall the chip."""

from fakes.chips import Sht3x
from pyv_edge_node.sensors.sht3x import crc8
from sensor_bench import (
    GOOD,
    SensorBench,
    check_i2c_faults,
    check_no_heap,
    check_refusals,
    i2c,
    rp2,
)

HEAP_KB_MIN = 192  # the machine and the chips that are played are larger than the node


def _answer(temperature, humidity):
    data = bytearray()
    for raw in (temperature, humidity):
        pair = bytearray((raw >> 8, raw & 0xFF))
        data += pair + bytes([crc8(pair, 0, 2)])
    return data


def _machine(temperature=26214, humidity=32768):
    machine = rp2()
    chip = Sht3x(machine.clock)
    chip.set_data(_answer(temperature, humidity))
    machine.lines(4, 5).attach(chip)
    return machine, chip


def test_crc_of_the_data_sheet():
    assert crc8(bytearray(b"\xbe\xef"), 0, 2) == 0x92  # 4.12
    assert crc8(bytearray(b"--\xbe\xef--"), 2, 4) == 0x92


def test_channels():
    machine, _ = _machine()
    bench = SensorBench(machine, i2c("sht3x"))
    channels = [(one.name, one.unit, one.exponent) for one in bench.sampler.channels]
    assert channels == [("temperature", "Cel", -2), ("humidity", "%RH", -2)]


def test_formulas_of_the_data_sheet():
    for temperature, humidity in (
        (1873, 0),
        (26214, 32768),
        (63662, 65535),
        (30000, 1),
        (2000, 7),
    ):
        machine, _ = _machine(temperature, humidity)
        bench = SensorBench(machine, i2c("sht3x"))
        bench.play(1000)
        # In hundredths, rounded: -45 + 175 * raw / 65535, and 100 * raw / 65535.
        expected = (17500 * temperature * 2 + 65535) // 131070 - 4500
        assert bench.readings()[0] == (GOOD, expected), temperature
        assert bench.readings()[1] == (GOOD, (10000 * humidity * 2 + 65535) // 131070), humidity


def test_faults():
    machine, chip = _machine()
    bench = SensorBench(machine, i2c("sht3x"))
    check_i2c_faults(bench, chip, 1000, [2500, 5000])


def test_byte_that_is_damaged_on_its_way():
    good = _answer(26214, 32768)
    for index in range(6):
        for bit in range(8):
            machine, chip = _machine()
            bench = SensorBench(machine, i2c("sht3x"))
            damaged = bytearray(good)
            damaged[index] ^= 1 << bit
            chip.set_data(damaged)
            bench.play(1000)
            assert bench.bad() == [0, 1], (index, bit)


def test_temperature_that_the_chip_cannot_have():
    for raw in (0, 1870, 63665, 65535):
        machine, _ = _machine(raw)
        bench = SensorBench(machine, i2c("sht3x"))
        bench.play(1000)
        assert bench.bad() == [0, 1], (raw, bench.readings())


def test_conversion_that_is_not_over_is_no_measurement():
    machine, chip = _machine()
    bench = SensorBench(machine, i2c("sht3x"))
    chip.lasts_ms = 30
    bench.play(1000)
    assert bench.bad() == [0, 1]


def test_steady_state_needs_no_heap():
    machine, _ = _machine(63662, 65535)
    check_no_heap(SensorBench(machine, i2c("sht3x", 50)), 1000, 100)


def test_refusals():
    cases = (
        ({"address": 0x46}, ("address", "70", "68..69")),
        ({"interval_ms": 17}, ("interval_ms", "17", "18")),
        ({"heater": 1}, ("heater", "not a setting")),
    )
    check_refusals(rp2, i2c("sht3x"), cases)
