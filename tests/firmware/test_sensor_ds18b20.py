"""DS18B20: the data sheet's table, several on a wire, and what passes for a temperature."""

from fakes.chips import Ds18b20, OneWireModule
from sensor_bench import (
    BAD,
    GOOD,
    SensorBench,
    check_no_heap,
    check_refusals,
    refusal,
    rp2,
)

HEAP_KB_MIN = 192  # the machine and the chips that are played are larger than the node


def _wire(count=1):
    machine = rp2()
    devices = [Ds18b20(machine.clock, bytes([index] * 6)) for index in range(count)]
    module = OneWireModule()
    machine.modules["onewire"] = module
    return machine, module.attach(15, devices), devices


def _settings(devices=(), **others):
    values = {"type": "ds18b20", "interval_ms": 1000, "pin": 15}
    if devices:
        values["addresses"] = [device.rom.hex() for device in devices]
    values.update(others)
    return values


def test_table_of_the_data_sheet():
    for raw, hundredths in (
        (0x07D0, 12500),
        (0x0550, 8500),
        (0x0191, 2506),
        (0x00A2, 1013),
        (0x0008, 50),
        (0x0000, 0),
        (0xFFF8, -50),
        (0xFF5E, -1012),
        (0xFE6F, -2506),
        (0xFC90, -5500),
    ):
        machine, _, (device,) = _wire()
        device.set_raw(raw)
        bench = SensorBench(machine, _settings())
        bench.play(1000)
        assert bench.readings() == [(GOOD, hundredths)], hex(raw)
        (channel,) = bench.sampler.channels
        assert (channel.name, channel.unit, channel.exponent) == ("temperature", "Cel", -2)


def test_several_on_a_wire_are_told_apart_by_address():
    machine, wire, devices = _wire(3)
    for index, device in enumerate(devices):
        device.set_raw(16 * (20 + index))
    assert wire.scan() == [device.rom for device in devices]
    bench = SensorBench(machine, _settings([devices[2], devices[0]]))
    bench.play(1000)
    assert bench.names == ["temperature_1", "temperature_2"]
    assert bench.readings() == [(GOOD, 2200), (GOOD, 2000)]


def test_one_that_fails_leaves_the_others_alone():
    machine, _, devices = _wire(3)
    bench = SensorBench(machine, _settings(devices))
    for fault in ("is_absent", "damage"):
        setattr(devices[1], fault, 1)
        before = bench.errors_total
        bench.play(1000)
        assert [quality for quality, _ in bench.readings()] == [GOOD, BAD, GOOD], fault
        assert bench.readings()[1] == (BAD, 0)
        assert bench.errors_total == before + 1
        setattr(devices[1], fault, 0)
        bench.play(1000)
        assert bench.readings() == [(GOOD, 2506)] * 3, fault


def test_wire_that_is_empty_cut_or_at_ground():
    machine, wire, (device,) = _wire()
    bench = SensorBench(machine, _settings())
    for count in range(1, 4):
        device.is_absent = True
        bench.play(1000)
        assert (bench.readings(), bench.errors_total) == ([(BAD, 0)], 2 * count - 1)
        device.is_absent = False
        wire.is_grounded = True
        bench.play(1000)
        assert (bench.readings(), bench.errors_total) == ([(BAD, 0)], 2 * count)
        wire.is_grounded = False
        bench.play(1000)
        assert bench.readings() == [(GOOD, 2506)]


def test_two_devices_without_addresses_are_nonsense():
    machine, _, devices = _wire(2)
    devices[0].set_raw(0x0191)
    devices[1].set_raw(0x0212)
    bench = SensorBench(machine, _settings())
    bench.play(1000)
    assert bench.readings() == [(BAD, 0)]


def test_85_degrees_of_power_on_are_none_and_those_measured_are_85():
    machine, _, (device,) = _wire()
    bench = SensorBench(machine, _settings())
    device.set_raw(0x0550)
    bench.play(100)
    device.power_cycle()  # in the middle of a conversion
    bench.play(900)
    assert bench.readings() == [(BAD, 0)]
    bench.play(1000)
    assert bench.readings() == [(GOOD, 8500)]


def test_bits_that_a_lower_resolution_leaves_undefined():
    for config, expected in ((0x7F, 1994), (0x5F, 1988), (0x3F, 1975), (0x1F, 1950)):
        machine, _, (device,) = _wire()
        device.set_raw(0x013F, config)
        bench = SensorBench(machine, _settings())
        bench.play(1000)
        assert bench.readings() == [(GOOD, expected)], config


def test_two_sensors_may_share_the_wire():
    machine, _, devices = _wire(2)
    bench = SensorBench(
        machine,
        _settings(devices[:1], prefix="in"),
        _settings(devices[1:], prefix="out"),
    )
    bench.play(1000)
    assert bench.names == ["in.temperature_1", "out.temperature_1"]
    assert bench.readings() == [(GOOD, 2506)] * 2


def test_sensors_on_a_wire_do_not_disturb_each_other():
    machine, _, devices = _wire(2)
    # One is asked while the other's conversion is about to end, again and again.
    bench = SensorBench(
        machine,
        _settings(devices[:1], prefix="in"),
        _settings(devices[1:], prefix="out", interval_ms=1300),
    )
    begun = [0, 0]
    for index, device in enumerate(devices):

        def convert(index=index, begin=device.convert):
            begun[index] += 1
            begin()

        device.convert = convert
    bench.play(13_000)
    assert begun == [13, 10]
    assert bench.bad() == [] and bench.errors_total == 0


def test_sixteen_are_given_their_time():
    machine, _, devices = _wire(16)
    bench = SensorBench(machine, _settings(devices))
    assert bench.sampler._turns[0].conversion_ms == 752 + 16 * 7
    bench.play(1000)
    assert bench.bad() == []


def test_wire_that_cannot_be_shared():
    def make():
        return _wire(2)[0]

    _machine, _, devices = _wire(2)
    alone, other = _settings(prefix="a"), _settings(devices[:1])
    wire = "board.json.sensors[1].pin: 15 is taken by board.json.sensors[0]; to share a wire"
    for settings in ((alone, other), (other, alone), (alone, _settings())):
        text = refusal(make, *settings)
        assert text.startswith(wire) and "`addresses`" in text, text
    taken = "addresses: %s is taken by board.json.sensors[0]" % devices[0].rom.hex()
    upper = _settings(prefix="a", addresses=[devices[0].rom.hex().upper()])
    assert refusal(make, other, upper) == "board.json.sensors[1]." + taken
    twice = _settings([devices[0], devices[0]])
    assert refusal(make, twice) == "board.json.sensors[0]." + taken


def test_steady_state_needs_no_heap():
    machine, _, devices = _wire(3)
    devices[0].set_raw(-880)
    check_no_heap(SensorBench(machine, _settings(devices)), 6000, 2000)


def test_refusals():
    _machine, _, (device,) = _wire()
    address = device.rom.hex()
    wrong_crc = address[:-2] + "%02x" % (device.rom[7] ^ 1)
    cases = [
        ({"addresses": value}, ("addresses",) + words)
        for value, words in (
            ("28", ("list",)),
            ([address] * 17, ("list", "16")),
            ([7], ("7", "address of a DS18B20")),
            (["28"], ("'28'",)),
            ([wrong_crc], (wrong_crc, "wrong CRC", "last two digits")),
            (["10" + address[2:]], ("'10",)),
            (["no hexadecimals!"], ("'no hex",)),
        )
    ]
    cases.append(({"interval_ms": 799}, ("interval_ms", "799", "800")))
    check_refusals(lambda: _wire()[0], _settings(), cases)
