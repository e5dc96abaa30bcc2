"""Pins and buses: shared where they can be, refused where they can't, freed where they hang."""

from check import raises
from fakes.chips import Bh1750, Sht3x
from fakes.machine import ENODEV, Machine
from pyv_edge_node.board.wiring import Wiring
from pyv_edge_node.sampler import Sampler
from sensor_bench import (
    GOOD,
    Board,
    SensorBench,
    UnwiredBoard,
    i2c,
    refusal,
    rp2,
    sections,
)

HEAP_KB_MIN = 192  # the machine and the chips that are played are larger than the node


def _wiring(machine=None):
    machine = machine or rp2()
    return Wiring(machine, machine.clock, machine.load)


def test_bus_is_one_however_many_are_on_it():
    wiring = _wiring()
    first, second = sections(i2c("sht3x"), i2c("bme280"))
    assert wiring.i2c(first) is wiring.i2c(second)
    (other,) = sections(i2c("sht3x", bus=1, sda=6, scl=7, frequency_hz=400000))
    assert wiring.i2c(other) is not wiring.i2c(sections(i2c("sht3x"))[0])
    assert wiring._machine.opened == [(0, 100000, 8000), (1, 400000, 5750)]


def test_bus_in_software_takes_any_pins():
    machine = rp2()
    chip = machine.lines(21, 20).attach(Sht3x(machine.clock))
    bench = SensorBench(machine, i2c("sht3x", bus=-1, sda=21, scl=20))
    assert machine.opened == [(-1, 100000, 8000)]
    bench.play(1000)
    assert chip.written_total > 0


def test_conflicts_and_pins_that_cannot_be_used():
    bus, counter = i2c("sht3x"), {"type": "pulse_counter", "interval_ms": 1000, "pin": 4}
    wire = {"type": "dht22", "interval_ms": 2000, "pin": 5}
    for settings, words in (
        ((bus, i2c("bme280", sda=6, scl=7)), (".bus: 0 is on sda 4, scl 5 at 100000 Hz",)),
        ((bus, i2c("bme280", frequency_hz=400000)), (".bus: 0 is on", "100000 Hz")),
        ((bus, i2c("bme280", bus=1)), (".sda: 4 is taken by board.json.sensors[0]",)),
        ((bus, i2c("bme280", bus=-1, sda=6)), (".scl: 5 is taken by board.json.sensors[0]",)),
        ((i2c("sht3x", scl=4),), (".scl: 4 is taken by board.json.sensors[0]",)),
        ((bus, counter), (".pin: 4 is taken by board.json.sensors[0]",)),
        ((bus, wire), (".pin: 5 is taken",)),
        (
            (i2c("bme280", prefix="a"), i2c("bme280", prefix="b")),
            ("[1].address: 118 is taken by board.json.sensors[0]",),
        ),
        ((i2c("sht3x", bus=2),), (".bus: 2 is not a whole number in -1..1",)),
        ((i2c("sht3x", sda=30),), (".bus: no I2C there: invalid pin",)),
        ((i2c("sht3x", frequency_hz=9999),), (".frequency_hz: 9999",)),
        (({"type": "sht3x", "interval_ms": 100},), (".sda: is missing",)),
        (({"type": "pulse_counter", "interval_ms": 100},), (".pin: is missing",)),
        ((dict(counter, pin=30),), (".pin: 30 can't be used so: invalid pin",)),
    ):
        text = refusal(rp2, *settings)
        for word in words:
            assert word in text, (settings, text)


def test_address_is_taken_on_its_own_bus_only():
    SensorBench(rp2(), i2c("sht3x"), i2c("sht3x", bus=1, sda=6, scl=7, prefix="b"))
    machine = rp2()
    board = Board(machine)
    for _ in range(2):  # and is given back
        Sampler(sections(i2c("sht3x")), 0, board)


def test_board_without_pins():
    for kind in ("bme280", "sht3x", "bh1750", "ina219", "ds18b20", "dht22", "adc"):
        for board in (UnwiredBoard(), None):
            name = "unix" if board else "none"
            values = sections({"type": kind, "interval_ms": 60000})
            error = raises(ValueError, Sampler, values, 0, board)
            assert str(error) == (
                "board.json.sensors[0].type: needs a real board; this one (%s) is played:"
                " use simulated" % name
            ), kind


def test_sensors_of_other_settings_get_the_pins_that_these_had():
    machine = rp2()
    board = Board(machine)
    counter = {"type": "pulse_counter", "interval_ms": 1000, "pin": 7}
    Sampler(sections(i2c("sht3x"), counter), 0, board)
    pin = machine.Pin(7)
    assert pin._handler is not None
    Sampler(sections(i2c("bme280", sda=7, scl=5)), 0, board)
    assert pin._handler is None


def _hanging(clocks):
    machine = rp2()
    lines = machine.lines(4, 5)
    chip = lines.attach(Bh1750(machine.clock))
    bus = _wiring(machine).i2c(sections(i2c("bh1750"))[0])
    lines.hang(clocks)
    return machine, lines, chip, bus


def test_bus_that_hangs_is_freed_by_clocks_and_a_stop():
    for clocks in range(1, 10):
        machine, lines, chip, bus = _hanging(clocks)
        for _count in range(3):
            assert bus.recoveries_total == 0
            raises(OSError, bus.send, 0x23, b"\x01")
        assert bus.recoveries_total == 1, clocks
        bus.send(0x23, b"\x01")
        assert chip.written_total == 1
        assert len(machine.opened) == 2  # the bus itself is opened anew
        assert (lines.sda.level, lines.scl.level) == (1, 1)


def test_clocks_are_those_of_the_specification():
    machine, lines, _, bus = _hanging(0)
    edges = []
    for name, pin in (("sda", lines.sda), ("scl", lines.scl)):
        pin.value = _recorded(edges, name, pin, machine.clock)
    bus.recover()
    assert edges[:2] == [("sda", 1), ("scl", 1)]  # both are let go first
    assert edges[2:20] == [("scl", 0), ("scl", 1)] * 9
    assert edges[20:] == [("scl", 0), ("sda", 0), ("scl", 1), ("sda", 1)]
    assert machine.clock.us >= 22 * 5 or machine.clock.now_ms  # 100 kHz at most


def _recorded(edges, name, pin, clock):
    def value(level=None):
        if level is not None:
            edges.append((name, level))
        return type(pin).value(pin, level)

    return value


def test_success_in_between_is_no_reason_to_free_a_bus():
    _machine, lines, _, bus = _hanging(0)
    lines.sda.held = False
    for _ in range(5):
        for _ in range(2):
            error = raises(OSError, bus.send, 0x44, b"\x24\x00")
            assert error.args[0] == ENODEV
        bus.send(0x23, b"\x01")
    assert bus.recoveries_total == 0


def test_failures_of_every_kind_of_transfer_count():
    _, _, _, bus = _hanging(9)
    raises(OSError, bus.receive, 0x23, bytearray(2))
    raises(OSError, bus.read, 0x23, 0, bytearray(2))
    raises(OSError, bus.send, 0x23, b"\x01")
    assert bus.recoveries_total == 1


def test_absent_chip_does_not_disturb_the_others_on_its_bus():
    machine = rp2()
    there = machine.lines(4, 5).attach(Bh1750(machine.clock))
    there.raw = 12
    bench = SensorBench(machine, i2c("bh1750", 200), i2c("sht3x", 100))
    bench.play(5000)
    assert bench.readings()[0] == (GOOD, 100)
    assert bench.bad() == [1, 2]
    assert bench.errors_total == bench.counts[1] >= 49
    assert bench.counts[0] >= 24


def test_recoveries_of_all_buses_count():
    machine, _, _, _bus = _hanging(0)
    wiring = _wiring(machine)
    one = wiring.i2c(sections(i2c("sht3x"))[0])
    two = wiring.i2c(sections(i2c("sht3x", bus=1, sda=6, scl=7))[0])
    one.recover()
    two.recover()
    two.recover()
    assert wiring.recoveries_total == 3


def test_esp32_has_other_pins():
    machine = Machine("esp32")
    machine.lines(21, 22).attach(Bh1750(machine.clock)).raw = 12
    bench = SensorBench(machine, i2c("bh1750", sda=21, scl=22))
    bench.play(1000)
    assert bench.readings() == [(GOOD, 100)]
