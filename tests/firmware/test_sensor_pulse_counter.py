"""Pulse counter: no pulse is lost, none counts twice, and the interrupt takes no heap."""

from fakes.machine import Machine
from sensor_bench import GOOD, SensorBench, check_no_heap, check_refusals, rp2

HEAP_KB_MIN = 192  # the machine and the chips that are played are larger than the node


def _settings(**others):
    values = {"type": "pulse_counter", "interval_ms": 1000, "pin": 7}
    values.update(others)
    return values


def _bench(machine=None, **others):
    bench = SensorBench(machine or rp2(), _settings(**others))
    return bench, bench.machine.Pin(7)


def _pulse(pin, count=1):
    while count:
        pin.drive(0)
        pin.drive(1)
        count -= 1


def test_counts_and_rate():
    bench, pin = _bench()
    channels = [(one.name, one.unit, one.exponent) for one in bench.sampler.channels]
    assert channels == [("total", "count", 0), ("rate", "1/min", -2)]
    bench.next_turn()
    assert bench.readings() == [(GOOD, 0), (GOOD, 0)]
    _pulse(pin, 3)
    bench.next_turn()  # three in a second: 180 a minute
    assert bench.readings() == [(GOOD, 3), (GOOD, 18000)]
    bench.next_turn()
    assert bench.readings() == [(GOOD, 3), (GOOD, 0)]


def test_rate_is_exact():
    bench, _ = _bench()
    (turn,) = bench.sampler._turns
    sensor = turn.sensor
    clock = bench.machine.clock
    for pulses, elapsed_ms in ((1, 7), (1, 3_600_000), (9999, 3_599_999), (100_000, 1000), (7, 1)):
        sensor._counts[0] = (sensor._count + pulses) & 0x3FFFFFFF
        clock.advance(elapsed_ms)
        sensor.measure(0, 0)
        assert sensor.values[1] == pulses * 6_000_000 // elapsed_ms, (pulses, elapsed_ms)


def test_pulse_in_the_middle_of_a_measurement_is_not_lost():
    bench, pin = _bench()
    ticks_ms = bench.board.wiring.ticks_ms
    (turn,) = bench.sampler._turns

    def pulse_and_tell():
        _pulse(pin)  # at the very place where another program would reset its count
        return ticks_ms()

    turn.sensor._ticks_ms = pulse_and_tell
    for _ in range(5):
        bench.play(1000)
    bench.play(1)
    turn.sensor.measure(0, 0)
    assert turn.sensor.values[0] == bench.sampler.sampled_total // 2 + 1


def test_edge_that_counts():
    for edge, levels, count in (("falling", (0, 1, 0), 2), ("rising", (0, 1, 0), 1)):
        bench, pin = _bench(edge=edge)
        for level in levels:
            pin.drive(level)
        bench.play(1000)
        assert bench.values[0] == count, edge


def test_bounces_count_once():
    bench, pin = _bench(debounce_ms=20)
    clock = bench.machine.clock
    clock.advance(100)
    for pause_ms in (0, 1, 5, 19, 1, 19, 20, 30):
        clock.advance(pause_ms)
        _pulse(pin)
    # The pauses add up from the pulse that counted: at 0, 25, 45 (19 + 1 is 20), 84, 114.
    bench.play(1000)
    assert bench.values[0] == 5


def test_total_begins_again_and_the_rate_does_not_notice():
    bench, pin = _bench()
    (turn,) = bench.sampler._turns
    turn.sensor._counts[0] = turn.sensor._count = 0x3FFFFFFE
    bench.next_turn()
    _pulse(pin, 4)
    bench.next_turn()
    assert bench.readings() == [(GOOD, 2), (GOOD, 24000)]


def test_where_there_are_no_hard_interrupts_it_counts_too():
    for has_hard_irq in (True, False):
        bench, pin = _bench(Machine("esp32", has_hard_irq))
        assert pin.is_hard == has_hard_irq
        _pulse(pin, 2)
        bench.play(1000)
        assert bench.values[0] == 2


def test_interrupt_and_steady_state_need_no_heap():
    bench, pin = _bench(interval_ms=100, debounce_ms=1)
    bench.play(100)
    pin.drive(1)
    sensor = bench.sampler._turns[0].sensor
    sensor._counts[0] = sensor._count = 0x3FFFFFFF - 2
    check_no_heap(bench, 1000, 100)
    for _ in range(5):
        bench.machine.clock.advance(2)
        _pulse(pin)  # its interrupt runs with the heap locked: see Pin.drive
    bench.play(200)
    assert bench.values[0] == 2


def test_refusals():
    cases = (
        ({"edge": "both"}, ("edge", "'both'", '"rising"')),
        ({"pull": "sideways"}, ("pull", "'sideways'", '"none"')),
        ({"debounce_ms": 1001}, ("debounce_ms", "1001", "0..1000")),
        ({"pin": 30}, ("pin", "30", "can't be used")),
    )
    check_refusals(rp2, _settings(), cases)
