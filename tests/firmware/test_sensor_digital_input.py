"""Digital input: a pulse between two samples isn't missed, and bounces count once."""

from fakes.machine import Machine
from sensor_bench import SensorBench, check_no_heap, check_refusals, rp2

HEAP_KB_MIN = 192  # the machine and the chips that are played are larger than the node


def _settings(**others):
    values = {"type": "digital_input", "interval_ms": 1000, "pin": 8}
    values.update(others)
    return values


def _bench(machine=None, level=1, **others):
    machine = machine or rp2()
    machine.Pin(8).drive(level)
    bench = SensorBench(machine, _settings(**others))
    return bench, machine.Pin(8)


def _drive(bench, pin, *steps):
    for pause_ms, level in steps:
        bench.machine.clock.advance(pause_ms)
        pin.drive(level)


def _sample(bench):
    bench.next_turn()
    return [value for _, value in bench.readings()]


def test_channels_and_level():
    bench, pin = _bench()
    channels = [(one.name, one.unit, one.exponent) for one in bench.sampler.channels]
    assert channels == [("active", "", 0), ("activations", "count", 0)]
    assert _sample(bench) == [0, 0]
    pin.drive(0)
    assert _sample(bench) == [1, 1]
    assert _sample(bench) == [1, 1]
    pin.drive(1)
    assert _sample(bench) == [0, 1]


def test_active_from_the_start_is_no_activation():
    bench, pin = _bench(level=0)
    assert _sample(bench) == [1, 0]
    pin.drive(1)
    assert _sample(bench) == [0, 0]


def test_motion_detector_is_active_when_it_is_high():
    bench, pin = _bench(level=0, active_level=1, pull="down")
    assert pin.pull == pin.PULL_DOWN
    assert _sample(bench) == [0, 0]
    pin.drive(1)
    assert _sample(bench) == [1, 1]


def test_pulse_between_two_samples_is_not_missed():
    bench, pin = _bench()
    for count in range(1, 4):
        _drive(bench, pin, (100, 0), (1, 1))
        assert _sample(bench) == [1, count]
        assert _sample(bench) == [0, count]


def test_pulse_that_is_over_before_its_interrupt_runs_counts_once():
    bench, pin = _bench()
    bench.machine.clock.advance(100)
    handle = pin._handler
    handle(pin)  # both edges come late: the pin is high again
    handle(pin)
    assert _sample(bench) == [1, 1]
    assert _sample(bench) == [0, 1]


def test_bounces_count_once():
    bench, pin = _bench(debounce_ms=50)
    bounces = ((100, 0), (2, 1), (1, 0), (5, 1), (3, 0))
    _drive(bench, pin, *bounces)
    assert _sample(bench) == [1, 1]
    _drive(bench, pin, (100, 1), (2, 0), (1, 1), (5, 0), (3, 1))
    assert _sample(bench) == [0, 1]
    _drive(bench, pin, *bounces)
    assert _sample(bench) == [1, 2]


def test_activation_among_the_bounces_of_a_release_counts_with_the_next_edge():
    bench, pin = _bench(debounce_ms=50)
    _drive(bench, pin, (100, 0), (100, 1), (20, 0))  # released, and 20 ms later active for good
    assert _sample(bench) == [1, 1]
    _drive(bench, pin, (100, 1))
    assert _sample(bench) == [1, 2]
    assert _sample(bench) == [0, 2]


def test_interrupts_and_steady_state_need_no_heap():
    for machine in (rp2(), Machine("esp32", False)):
        bench, pin = _bench(machine, interval_ms=100)
        bench.sampler._turns[0].sensor._counts[0] = 0x3FFFFFFF
        check_no_heap(bench, 1000, 100)
        _drive(bench, pin, (100, 0), (100, 1), (100, 0))  # with the heap locked: see Pin.drive
        bench.play(100)
        assert bench.values[:2] == [1, 1]


def test_refusals():
    cases = (
        ({"pull": "sideways"}, ("pull", "'sideways'")),
        ({"active_level": 2}, ("active_level", "2", "0..1")),
        ({"debounce_ms": 0}, ("debounce_ms", "0", "1..10000")),
    )
    check_refusals(rp2, _settings(), cases)
