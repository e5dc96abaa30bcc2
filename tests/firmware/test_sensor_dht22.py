"""DHT22: the data sheet's examples, and lines that are silent or talk nonsense."""

from fakes.chips import Dht22
from fakes.machine import Machine
from sensor_bench import BAD, GOOD, SensorBench, check_no_heap, check_refusals, rp2

HEAP_KB_MIN = 192  # the machine and the chips that are played are larger than the node

_SETTINGS = {"type": "dht22", "interval_ms": 2000, "pin": 15}
# 65.2 %RH and 35.1 degrees; then 10.1 degrees below zero (data sheet, 5).
_WARM = b"\x02\x8c\x01\x5f\xee"
_COLD = b"\x02\x8c\x80\x65\x73"


def _bench(data, machine=None):
    machine = machine or rp2()
    machine.attach_dht(15, Dht22(bytearray(data)))
    return SensorBench(machine, dict(_SETTINGS))


def test_examples_of_the_data_sheet():
    for data, temperature in ((_WARM, 351), (_COLD, -101)):
        bench = _bench(data)
        bench.play(2000)
        channels = [(one.name, one.unit, one.exponent) for one in bench.sampler.channels]
        assert channels == [("humidity", "%RH", -1), ("temperature", "Cel", -1)]
        assert bench.readings() == [(GOOD, 652), (GOOD, temperature)]


def test_esp32_has_the_function_elsewhere():
    bench = _bench(_WARM, Machine("esp32"))
    bench.play(2000)
    assert bench.readings() == [(GOOD, 652), (GOOD, 351)]


def test_it_is_not_asked_again_before_two_seconds_are_over():
    bench = _bench(_WARM)
    bench.sampler.set_interval(0, 10_000, 0)
    clock, sampler = bench.machine.clock, bench.sampler
    found = []
    for _ in range(20):
        bench.play(1000)
        bench.uptime.update(clock.now_ms)
        found.append(sampler.take_now(255, clock.ticks_ms, bench.uptime, bench))
    # Turns at 0 and 10 s; neither within two seconds of one, nor of each other.
    assert found == [0, 2, 0, 2, 0, 2, 0, 2, 0, 0] * 2
    assert bench.counts == [10, 10]


def test_absent_and_back():
    bench = _bench(_WARM)
    bench.machine.attach_dht(15, None)
    for errors in (1, 2):
        bench.play(2000)
        assert (bench.readings(), bench.errors_total) == ([(BAD, 0)] * 2, errors)
    bench.machine.attach_dht(15, Dht22(_WARM))
    bench.play(2000)
    assert bench.readings() == [(GOOD, 652), (GOOD, 351)]


def test_nonsense():
    for data in (
        b"\x02\x8c\x01\x5f\xef",  # wrong sum
        b"\x00\x00\x00\x00\x00",  # a line at ground
        b"\xff\xff\xff\xff\xfc",  # a line that is always high: more than 100 %
        b"\x03\xe9\x00\x00\xec",  # 100.1 %RH
        b"\x02\x8c\x03\x21\xb2",  # 80.1 degrees
        b"\x02\x8c\x81\x91\xa0",  # -40.1 degrees
    ):
        bench = _bench(data)
        bench.play(2000)
        assert bench.bad() == [0, 1], data


def test_steady_state_needs_no_heap():
    check_no_heap(_bench(_COLD), 20000, 4000)


def test_refusals():
    cases = (
        ({"interval_ms": 1999}, ("interval_ms", "1999", "2000")),
        ({"pin": 30}, ("pin", "30", "can't be used", "invalid pin")),
        ({"pin": 49}, ("pin", "49", "0..48")),
    )
    check_refusals(rp2, _SETTINGS, cases)
