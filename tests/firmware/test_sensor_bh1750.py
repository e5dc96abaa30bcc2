"""BH1750: the data sheet's example, and whatever can befall the chip."""

from fakes.chips import Bh1750
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


def _machine(raw, address=0x23):
    machine = rp2()
    chip = Bh1750(machine.clock, address)
    chip.raw = raw
    machine.lines(4, 5).attach(chip)
    return machine, chip


def test_example_of_the_data_sheet():
    machine, _ = _machine(0b1000_0011_1001_0000)
    bench = SensorBench(machine, i2c("bh1750"))
    bench.play(1000)
    (channel,) = bench.sampler.channels
    assert (channel.name, channel.unit, channel.exponent) == ("illuminance", "lx", -1)
    assert bench.readings() == [(GOOD, 280666)]  # 28067 lx (page 7)


def test_range():
    for raw, tenths in ((1, 8), (12, 100), (65534, 546116)):
        machine, _ = _machine(raw, 0x5C)
        bench = SensorBench(machine, i2c("bh1750", address=0x5C))
        bench.play(1000)
        assert bench.readings() == [(GOOD, tenths)], raw


def test_faults():
    machine, chip = _machine(1200)
    bench = SensorBench(machine, i2c("bh1750"))
    bench.play(1000)
    chip.is_absent = True
    bench.play(1000)
    assert bench.bad() == [0]
    chip.is_absent = False
    bench.play(1000)
    assert bench.readings() == [(GOOD, 10000)]
    chip.stuck = 0xFF  # of zeros it can't be told: they are darkness
    bench.play(1000)
    assert bench.bad() == [0]


def test_bus_that_hangs_and_power_that_goes():
    machine, chip = _machine(1200)
    chip.respond = _without_zeros(chip)
    check_i2c_faults(SensorBench(machine, i2c("bh1750")), chip, 1000, [10000])


def _without_zeros(chip):
    """Return how the chip answers, but that it is gone when its data are stuck at 0."""

    def respond(buffer):
        if chip.stuck == 0:
            raise OSError(5)
        type(chip).respond(chip, buffer)

    return respond


def test_steady_state_needs_no_heap():
    machine, _ = _machine(65534)
    check_no_heap(SensorBench(machine, i2c("bh1750", 200)), 2000, 400)


def test_refusals():
    cases = (
        ({"address": 0x24}, ("address", "36", "35 or 92")),
        ({"interval_ms": 182}, ("interval_ms", "182", "183")),
    )
    check_refusals(rp2, i2c("bh1750"), cases)
