"""INA219: the data sheet's example, products that exceed a board's integers, and faults."""

from fakes.chips import Ina219
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


def _machine(shunt, bus_mv):
    machine = rp2()
    chip = Ina219(machine.clock)
    chip.shunt = shunt
    chip.bus_mv = bus_mv
    machine.lines(4, 5).attach(chip)
    return machine, chip


def test_example_of_the_data_sheet():
    # 2 milliohms, 20 mV on them, 11.98 V: 10 A and 119.8 W.
    machine, chip = _machine(2000, 11980)
    bench = SensorBench(machine, i2c("ina219", shunt_uohm=2000))
    bench.play(1000)
    channels = [(one.name, one.unit, one.exponent) for one in bench.sampler.channels]
    assert channels == [("bus_voltage", "V", -3), ("current", "A", -4), ("power", "W", -3)]
    assert bench.readings() == [(GOOD, 11980), (GOOD, 100000), (GOOD, 119800)]
    assert chip.registers[2] == 0x5D98 | 2  # what the data sheet has there, and CNVR


def test_products_are_exact():
    for shunt_uohm in (100, 375, 2000, 32999, 33000, 33001, 100000, 1000000, 10000000):
        for shunt in (31999, 12345, 1, 0, -1, -31999):
            for bus_mv in (0, 4, 12000, 26000):
                machine, _ = _machine(shunt, bus_mv)
                bench = SensorBench(machine, i2c("ina219", shunt_uohm=shunt_uohm))
                bench.play(1000)
                if shunt_uohm == 33001:
                    current = shunt * 10000 // 3300  # of ten micro-ohms each
                else:
                    current = shunt * 100000 // shunt_uohm
                expected = [bus_mv, current, bus_mv * shunt * 10 // shunt_uohm]
                case = (shunt_uohm, shunt, bus_mv)
                assert bench.readings() == [(GOOD, value) for value in expected], case


def test_power_is_not_that_of_the_rounded_current():
    # 10 ohms: 59 microamperes, which is less than the last digit of `current`, but 1.5 mW at 26 V.
    machine, _ = _machine(59, 26000)
    bench = SensorBench(machine, i2c("ina219", shunt_uohm=10_000_000))
    bench.play(1000)
    assert bench.readings() == [(GOOD, 26000), (GOOD, 0), (GOOD, 1)]


def test_faults():
    machine, chip = _machine(-500, 5000)
    check_i2c_faults(SensorBench(machine, i2c("ina219")), chip, 1000, [5000, -500, -250])


def test_more_than_it_can_measure():
    for shunt, bus_mv, is_overflow in ((32000, 0, False), (-32000, 0, False), (0, 26004, False)):
        machine, chip = _machine(shunt, bus_mv)
        chip.is_overflow = is_overflow
        bench = SensorBench(machine, i2c("ina219"))
        bench.play(1000)
        assert bench.bad() == [0, 1, 2], (shunt, bus_mv)
    machine, chip = _machine(1, 4)
    chip.is_overflow = True
    bench = SensorBench(machine, i2c("ina219"))
    bench.play(1000)
    assert bench.bad() == [0, 1, 2]


def test_conversion_that_is_not_over_is_no_measurement():
    machine, chip = _machine(1, 4)
    chip.lasts_ms = 100
    bench = SensorBench(machine, i2c("ina219"))
    bench.play(1000)
    assert bench.bad() == [0, 1, 2]


def test_samples_are_written_and_waited_for():
    for samples, config, conversion_ms in ((1, 0x3C43, 4), (8, 0x3DDB, 12), (128, 0x3FFB, 153)):
        machine, chip = _machine(1, 4)
        chip.lasts_ms = conversion_ms
        bench = SensorBench(machine, i2c("ina219", samples=samples))
        assert bench.sampler._turns[0].conversion_ms == conversion_ms
        bench.play(1000)
        assert chip.registers[0] == config, hex(chip.registers[0])
        assert bench.bad() == []


def test_steady_state_needs_no_heap():
    for shunt, shunt_uohm in ((31999, 100), (-31999, 33000), (31999, 33001), (31999, 10000000)):
        machine, _ = _machine(shunt, 26000)
        bench = SensorBench(machine, i2c("ina219", 20, shunt_uohm=shunt_uohm))
        check_no_heap(bench, 200, 100)


def test_refusals():
    cases = (
        ({"samples": 3}, ("samples", "3")),
        ({"shunt_uohm": 99}, ("shunt_uohm", "99", "100..10000000")),
        ({"address": 0x50}, ("address", "80", "64..79")),
        ({"samples": 128, "interval_ms": 100}, ("interval_ms", "100", "153")),
    )
    check_refusals(rp2, i2c("ina219"), cases)
