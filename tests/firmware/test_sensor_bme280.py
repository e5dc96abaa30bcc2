"""BME280 and BMP280: the data sheet's example and formulas, and whatever can befall the chip."""

from struct import pack

from check import numbers_from, raises, without_heap
from fakes.chips import Bme280
from pyv_edge_node.sensors.bme280 import Sensor
from sensor_bench import (
    BAD,
    GOOD,
    Board,
    SensorBench,
    check_i2c_faults,
    check_no_heap,
    check_refusals,
    i2c,
    rp2,
    sections,
)

HEAP_KB_MIN = 192  # the machine and the chips that are played are larger than the node

# The example of the BMP280 data sheet, 3.12; humidity as on a chip that exists.
_PRESSURE = (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
_EXAMPLE = pack("<HhhH8h", 27504, 26435, -1000, *_PRESSURE)
_HUMIDITY = (75, 370, 0, 313, 50, 30)
_RAW_TEMPERATURE = 519888
_RAW_PRESSURE = 415148


def _humidity_registers(h1, h2, h3, h4, h5, h6):
    return bytes([h1]) + pack("<hBbBbb", h2, h3, h4 >> 4, (h4 & 15) | (h5 & 15) << 4, h5 >> 4, h6)


def _machine():
    machine = rp2()
    chip = Bme280(machine.clock, _EXAMPLE, _humidity_registers(*_HUMIDITY))
    chip.set_raw(_RAW_PRESSURE, _RAW_TEMPERATURE, 30000)
    machine.lines(4, 5).attach(chip)
    return machine, chip


def _compensated(t, p, h, raw_t, raw_p, raw_h):
    """Return what the data sheet's 64-bit formulas give: 0.01 degrees, 1/256 Pa, 1/1024 %RH."""
    var1 = (((raw_t >> 3) - (t[0] << 1)) * t[1]) >> 11
    var2 = (((((raw_t >> 4) - t[0]) * ((raw_t >> 4) - t[0])) >> 12) * t[2]) >> 14
    fine = var1 + var2
    temperature = (fine * 5 + 128) >> 8
    var1 = fine - 128000
    var2 = var1 * var1 * p[5] + ((var1 * p[4]) << 17) + (p[3] << 35)
    var1 = ((var1 * var1 * p[2]) >> 8) + ((var1 * p[1]) << 12)
    var1 = (((1 << 47) + var1) * p[0]) >> 33
    pressure = 0
    if var1:
        pressure = (((1048576 - raw_p) << 31) - var2) * 3125 // var1
        var1 = (p[8] * (pressure >> 13) * (pressure >> 13)) >> 25
        var2 = (p[7] * pressure) >> 19
        pressure = ((pressure + var1 + var2) >> 8) + (p[6] << 4)
    x = fine - 76800
    x = (((raw_h << 14) - (h[3] << 20) - h[4] * x + 16384) >> 15) * (
        ((((((x * h[5]) >> 10) * (((x * h[2]) >> 11) + 32768)) >> 10) + 2097152) * h[1] + 8192)
        >> 14
    )
    x -= ((((x >> 15) * (x >> 15)) >> 7) * h[0]) >> 4
    return temperature, pressure, min(max(x, 0), 419430400) >> 12


def test_example_of_the_data_sheet():
    machine, _ = _machine()
    bench = SensorBench(machine, i2c("bme280"))
    bench.play(1000)
    assert bench.names == ["temperature", "pressure", "humidity"]
    units = [(channel.unit, channel.exponent) for channel in bench.sampler.channels]
    assert units == [("Cel", -2), ("Pa", -1), ("%RH", -2)]
    # 25.08 degrees and 100653.27 Pa, says the data sheet; its formula for integers loses 0.02.
    t = (27504, 26435, -1000)
    reference = _compensated(t, _PRESSURE, _HUMIDITY, _RAW_TEMPERATURE, _RAW_PRESSURE, 30000)
    assert reference[:2] == (2508, 25767233)
    humidity = (reference[2] * 100 + 512) >> 10
    assert bench.readings() == [(GOOD, 2508), (GOOD, 1006533), (GOOD, humidity)]
    assert bench.sampler.sampled_total == 3


def _sensor(t, p, h):
    sensor = Sensor(sections(i2c("bme280"))[0], Board(rp2()))
    sensor.calibrate(bytearray(pack("<HhhH8h", *(t + p)) + bytes([0, h[0]])))
    sensor.calibrate_humidity(h[0], bytearray(_humidity_registers(*h)[1:]))
    return sensor


def test_formulas_are_those_of_the_data_sheet():
    numbers = numbers_from(7)

    def about(value, percent, least=0):
        spread = max(abs(value) * percent // 100, least)
        return value - spread + next(numbers) * (2 * spread + 1) // 65536

    compared = [0, 0, 0]
    for _ in range(150):
        t = (about(27504, 10), about(26435, 10), about(-1000, 0, 1100))
        p = (about(36477, 8), about(-10685, 10), about(3024, 20), about(2855, 0, 6000))
        p += (about(140, 0, 300), about(-7, 0, 20), about(15500, 0, 2000), about(-14600, 20))
        p += (about(6000, 10),)
        h = (about(75, 10), about(370, 5), about(0, 0, 2) & 3, about(313, 10), about(50, 0, 60))
        h += (about(30, 0, 5),)
        sensor = _sensor(t, p, h)
        for _ in range(8):
            raw_t = about(500000, 20)
            raw_p = about(380000, 35)
            raw_h = about(30000, 40)
            expected = _compensated(t, p, h, raw_t, raw_p, raw_h)
            if not -4000 <= expected[0] <= 8500:
                raises(ValueError, sensor._temperature, raw_t)
                continue
            case = (t, p, h, raw_t, raw_p, raw_h, expected)
            assert sensor._temperature(raw_t) == expected[0], case
            compared[0] += 1
            if 0 <= expected[2] <= 102400:
                assert sensor._humidity(raw_h) == (expected[2] * 100 + 512) >> 10, case
                compared[2] += 1
            pressure = expected[1] * 10
            if 300_001 * 256 <= pressure <= 1_099_999 * 256:
                error = sensor._pressure(raw_p) * 256 - pressure
                assert -256 <= error <= 256, (case, error)  # a tenth of a pascal
                compared[1] += 1
    assert min(compared) > 500, compared


def test_compensation_of_no_chip_needs_heap():
    corners = [
        (t2, t3, p5, sign)
        for t2 in (20000, 26435, 32767)
        for t3 in (-1100, 1100)
        for p5 in (-6000, 6000)
        for sign in (-1, 1)
    ]
    raws = [(t, p) for t in (380000, 519888, 620000) for p in (250000, 415148, 600000)]
    for t2, t3, p5, sign in corners:
        pressure = (36477 + sign * 3000, -10685 - 1000 * sign, 3024 + 700 * sign, p5, 300 * sign)
        pressure += (-20 * sign, 15500, -14600 - 3000 * sign, 6000)
        humidity = (75, 370 + 20 * sign, 3, 313, 50 * sign, 30)
        sensor = _sensor((27504, t2, t3), pressure, humidity)

        def compensate(sensor=sensor):
            for raw_t, raw_p in raws:
                try:
                    sensor._temperature(raw_t)
                    sensor._pressure(raw_p)
                    sensor._humidity(raw_p & 0xFFFF)
                except ValueError:  # outside the range: an integer that is too large is not
                    pass

        without_heap(compensate)


def test_humidity_far_beyond_its_range_is_clamped_as_the_data_sheet_does():
    for h2, raw, percent in ((461, 52868, 10_000), (461, 65535, 10_000), (461, 1, 0)):
        sensor = _sensor((27504, 26435, -1000), _PRESSURE, (88, h2, 0, 270, 57, 26))
        sensor._fine = 395_058
        assert sensor._humidity(raw) == percent, raw
    sensor._h2 = 32767
    raises(ValueError, sensor._humidity, 65535)  # more than 32 bits: there is no formula


def test_negative_h4_and_h5_are_put_together_right():
    for h4, h5 in ((-1, -2048), (2047, -1), (-2048, 2047), (313, 50)):
        sensor = _sensor((27504, 26435, -1000), _PRESSURE, (75, 370, 0, h4, h5, -30))
        assert (sensor._h4, sensor._h5, sensor._h6) == (h4, h5, -30)


def test_bmp280_has_no_humidity():
    for chip_id in (0x56, 0x57, 0x58):
        machine = rp2()
        chip = Bme280(machine.clock, _EXAMPLE, chip_id=chip_id, address=0x77)
        chip.set_raw(_RAW_PRESSURE, _RAW_TEMPERATURE)
        machine.lines(4, 5).attach(chip)
        bench = SensorBench(machine, i2c("bme280", chip="bmp280", address=0x77))
        bench.play(1000)
        assert bench.names == ["temperature", "pressure"]
        assert bench.readings() == [(GOOD, 2508), (GOOD, 1006533)]


def test_other_chip_at_the_address_is_refused_until_the_right_one_is_there():
    machine, chip = _machine()
    bench = SensorBench(machine, i2c("bme280", chip="bmp280"))
    bench.play(1000)
    assert bench.readings() == [(BAD, 0), (BAD, 0)]
    chip._fixed[0xD0] = 0x58
    chip.power_cycle()
    bench.play(1000)
    assert bench.readings() == [(GOOD, 2508), (GOOD, 1006533)]


def test_faults():
    machine, chip = _machine()
    bench = SensorBench(machine, i2c("bme280"))
    bench.play(1000)
    values = [value for _, value in bench.readings()]
    check_i2c_faults(bench, chip, 1000, values)


def test_power_lost_within_a_conversion_is_no_measurement():
    machine, chip = _machine()
    bench = SensorBench(machine, i2c("bme280"))
    bench.play(5)
    chip.power_cycle()
    bench.play(995)
    assert bench.bad() == [0, 1, 2]
    bench.play(1000)
    assert bench.bad() == []


def test_conversion_that_is_not_over_is_no_measurement():
    machine, chip = _machine()
    bench = SensorBench(machine, i2c("bme280"))
    chip.lasts_ms = 500
    bench.play(1000)
    assert bench.bad() == [0, 1, 2]


def test_calibration_is_not_read_before_it_is_there():
    machine, chip = _machine()
    bench = SensorBench(machine, i2c("bme280"))
    chip.is_starting = 1
    bench.play(1000)
    assert bench.bad() == [0, 1, 2]
    chip.is_starting = 0
    bench.play(1000)
    assert bench.bad() == []


def test_values_that_the_chip_cannot_have():
    for pressure, temperature in (
        (_RAW_PRESSURE, 0),
        (_RAW_PRESSURE, 0xFFFFF),
        (0, _RAW_TEMPERATURE),
        (0xFFFFF, _RAW_TEMPERATURE),
    ):
        machine, chip = _machine()
        chip.set_raw(pressure, temperature, 30000)
        bench = SensorBench(machine, i2c("bme280"))
        bench.play(1000)
        assert bench.bad() == [0, 1, 2], (pressure, temperature, bench.readings())


def test_chip_without_a_calibration():
    for empty in (b"\x00", b"\xff"):
        machine = rp2()
        chip = machine.lines(4, 5).attach(Bme280(machine.clock, empty * 26))
        chip.set_raw(_RAW_PRESSURE, _RAW_TEMPERATURE)
        bench = SensorBench(machine, i2c("bme280"))
        bench.play(1000)
        assert bench.bad() == [0, 1, 2]


def test_oversampling_is_written_and_waited_for():
    for oversampling, code, conversion_ms in ((1, 1, 12), (4, 3, 33), (16, 5, 115)):
        machine, chip = _machine()
        bench = SensorBench(machine, i2c("bme280", oversampling=oversampling))
        assert bench.sampler._turns[0].conversion_ms == conversion_ms
        bench.play(1000)
        assert chip.registers[0xF2] == code
        assert chip.registers[0xF4] == code << 5 | code << 2  # and asleep again
        assert bench.bad() == []


def test_steady_state_needs_no_heap():
    machine, _ = _machine()
    bench = SensorBench(machine, i2c("bme280", 100))
    check_no_heap(bench, 1000, 200)


def test_refusals():
    cases = (
        ({"chip": "bme680"}, ("chip", "'bme680'", '"bmp280"')),
        ({"oversampling": 3}, ("oversampling", "3", "1, 2, 4, 8 or 16")),
        ({"address": 0x78}, ("address", "120", "118..119")),
        ({"oversampling": 16, "interval_ms": 100}, ("interval_ms", "100", "115")),
        ({"gain": 1}, ("gain", "not a setting")),
    )
    check_refusals(rp2, i2c("bme280"), cases)
