"""The chip's own thermometer, on each kind of chip."""

from fakes.machine import Machine, Modules
from sensor_bench import BAD, GOOD, SensorBench, check_no_heap, refusal, rp2

HEAP_KB_MIN = 192  # the machine and the chips that are played are larger than the node

_SETTINGS = {"type": "mcu_temperature", "interval_ms": 1000}


def _reading(machine):
    bench = SensorBench(machine, dict(_SETTINGS))
    bench.play(1000)
    (channel,) = bench.sampler.channels
    assert (channel.name, channel.unit, channel.exponent) == ("mcu_temperature", "Cel", -1)
    return bench.readings()[0]


def test_formula_of_the_rp2040_data_sheet():
    for raw in range(9900, 16600, 7):
        machine = rp2()
        machine.adc(4).raw = raw
        quality, tenths = _reading(machine)
        # 27 - (raw * 3.3 / 65535 - 0.706) / 0.001721, in millionths.
        exact = 27_000_000 - (raw * 3_300_000 // 65535 - 706_000) * 1_000_000 // 1721
        assert quality == GOOD
        assert abs(exact - tenths * 100_000) <= 110_000, (raw, exact, tenths)
    machine = rp2()
    machine.adc(4).raw = 14021  # 0.706 V
    assert _reading(machine) == (GOOD, 270)


def test_channel_of_a_chip_that_has_it_elsewhere():
    machine = rp2()
    machine.ADC.CORE_TEMP = 8  # an RP2350B
    machine.adc(8).raw = 14021
    assert _reading(machine) == (GOOD, 270)


def test_esp32_of_each_kind():
    machine = Machine("esp32")
    assert _reading(machine) == (GOOD, 530)
    for fahrenheit, tenths in ((128, 533), (32, 0), (-40, -400)):
        machine.modules["esp32"] = Modules(raw_temperature=lambda f=fahrenheit: f)
        assert _reading(machine) == (GOOD, tenths)


def test_nonsense():
    for raw in (0, 17000, 65535):
        machine = rp2()
        machine.adc(4).raw = raw
        assert _reading(machine) == (BAD, 0), raw
    machine = Machine("esp32")
    machine.modules["esp32"] = Modules(mcu_temperature=lambda: 151)
    assert _reading(machine) == (BAD, 0)


def test_steady_state_needs_no_heap():
    machine = rp2()
    machine.adc(4).raw = 14021
    check_no_heap(SensorBench(machine, dict(_SETTINGS)), 10000, 1000)
    check_no_heap(SensorBench(Machine("esp32"), dict(_SETTINGS)), 10000, 1000)


def test_chip_without_a_thermometer():
    machine = Machine("esp32")
    machine.modules["esp32"] = Modules()
    assert "type: this chip has no thermometer" in refusal(lambda: machine, dict(_SETTINGS))
