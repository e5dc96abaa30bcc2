"""Chips that take their time: started when due, read when done, and nobody waits for them."""

from array import array

from check import raises, without_heap
from fakes.chips import Bh1750, Ds18b20, Ina219, OneWireModule, Sht3x
from fakes.machine import Machine
from pyv_edge_core.errors import FieldError
from pyv_edge_core.reading import Channel
from pyv_edge_node.sensors.sht3x import crc8
from sensor_bench import BAD, GOOD, SensorBench, i2c, refusal, rp2

HEAP_KB_MIN = 192  # the machine and the chips that are played are larger than the node

_WRAP = 2**30


class _Slow:
    """Converts for 100 ms; fails as it is told."""

    conversion_ms = 100

    def __init__(self, clock):
        self.channels = [Channel("slow", "", 0), Channel("twin", "", 0)]
        self.values = array("i", [0, 0])
        self.clock = clock
        self.begun = []  # ticks
        self.begin_error = None
        self.measure_error = None

    def begin(self):
        if self.begin_error is not None:
            raise self.begin_error
        self.begun.append(self.clock.now_ms)

    def measure(self, uptime_s, uptime_ms):
        if self.measure_error is not None:
            raise self.measure_error
        self.values[0] = self.values[1] = len(self.begun)


def _bench(interval_ms=250, start_ms=0):
    """Return a bench with a slow sensor, and that sensor."""
    machine = Machine()
    machine.clock.now_ms = start_ms
    slow = _Slow(machine.clock)
    settings = {"type": "slow", "interval_ms": interval_ms}
    bench = SensorBench(machine, settings, open_sensor=lambda kind, section, board: slow)
    bench.times = []
    return bench, slow


def _times(bench, channel=0):
    return [time for index, time in bench.times if index == channel]


def test_slow_ones_beside_one_at_100_hz():
    machine = rp2()
    lines = machine.lines(4, 5)
    sht = lines.attach(Sht3x(machine.clock))
    pair = bytearray(b"\x66\x66")
    answer = pair + bytes([crc8(pair, 0, 2)])
    sht.set_data(answer + answer)
    lines.attach(Bh1750(machine.clock)).raw = 12
    lines.attach(Ina219(machine.clock)).bus_mv = 5000
    machine.modules["onewire"] = OneWireModule()
    machine.modules["onewire"].attach(15, [Ds18b20(machine.clock, bytes(6))])
    bench = SensorBench(
        machine,
        {"type": "digital_input", "interval_ms": 10, "pin": 8},
        i2c("sht3x", 100),
        i2c("bh1750", 500),
        i2c("ina219", 50, samples=8),
        {"type": "ds18b20", "interval_ms": 1000, "pin": 15, "prefix": "probe"},
    )
    bench.play(1000)

    def two_seconds():
        bench.play(2000)

    without_heap(two_seconds)
    assert bench.names[0] == "active" and bench.names[-1] == "probe.temperature"
    # The last of each is still to come: it is due at 3000, or being converted.
    assert bench.counts[:9] == [300, 300, 30, 30, 6, 60, 60, 60, 3]
    assert bench.bad() == [] and bench.errors_total == 0
    assert (bench.sampler.late_total, bench.sampler.lag_ms_max) == (0, 0)
    bench.times = []
    bench.play(500)
    assert _times(bench) == list(range(3000, 3500, 10))


def test_rate_is_fixed_and_the_time_is_that_of_the_reading():
    for start_ms in (0, _WRAP - 700):
        bench, slow = _bench(250, start_ms)
        bench.play(2000)
        assert slow.begun == [(start_ms + due) % _WRAP for due in range(0, 2000, 250)], start_ms
        assert _times(bench) == list(range(100, 2000, 250)), start_ms
        assert bench.readings() == [(GOOD, 8), (GOOD, 8)]
        assert bench.sampler.late_total == 0


def test_loop_waits_no_longer_than_until_a_conversion_is_over():
    bench, _ = _bench(1000)
    run, uptime = bench.sampler.run, bench.uptime
    for now_ms, idle_ms in ((0, 100), (60, 40), (99, 1), (100, 900), (999, 1), (1000, 100)):
        uptime.update(now_ms)
        assert run(now_ms, uptime, bench) == idle_ms, now_ms


def test_late_loop_does_not_shift_the_rate_and_is_counted():
    bench, slow = _bench(250)
    run, uptime, clock = bench.sampler.run, bench.uptime, bench.machine.clock
    for now_ms in (0, 130, 260, 370, 1240, 1400, 1500):
        clock.now_ms = now_ms
        uptime.update(now_ms)
        run(now_ms, uptime, bench)
    # 500 was taken at 1240, 1500 at its time; 750, 1000 and 1250 are missed.
    assert slow.begun == [0, 260, 1240, 1500]
    assert _times(bench) == [130, 370, 1400]
    assert (bench.sampler.late_total, bench.sampler.lag_ms_max) == (3, 740)


def test_conversion_that_is_read_late_is_followed_by_the_next_at_once():
    bench, slow = _bench(250)
    run, uptime, clock = bench.sampler.run, bench.uptime, bench.machine.clock
    for now_ms, idle_ms in ((0, 100), (300, 0), (300, 100), (400, 100)):
        clock.now_ms = now_ms
        uptime.update(now_ms)
        assert run(now_ms, uptime, bench) == idle_ms, now_ms
    assert slow.begun == [0, 300]
    assert bench.sampler.late_total == 0


def test_interval_as_long_as_the_conversion():
    bench, slow = _bench(100)
    bench.play(1000)
    assert slow.begun == list(range(0, 1000, 100))
    assert _times(bench) == list(range(100, 1000, 100))


def test_interval_shorter_than_the_conversion():
    def open_slow(kind, section, board):
        return _Slow(None)

    text = refusal(rp2, {"type": "slow", "interval_ms": 99}, open_sensor=open_slow)
    assert text.startswith("board.json.sensors[0].interval_ms: 99 is too short")
    assert "100" in text
    bench, _ = _bench()
    error = raises(FieldError, bench.sampler.set_interval, 1, 99, 0)
    assert "interval_ms" in str(error) and "100" in str(error) and "99" in str(error)


def test_what_fails_to_begin_is_a_failed_measurement():
    bench, slow = _bench(250)
    for error in (OSError(5), ValueError("nonsense")):
        slow.begin_error = error
        before = bench.errors_total
        bench.play(500)
        assert bench.readings() == [(BAD, 0), (BAD, 0)]
        assert bench.errors_total == before + 2
        slow.begin_error = None
        bench.play(250)
        assert bench.readings() == [(GOOD, len(slow.begun))] * 2
    assert bench.counts == [6, 6]
    slow.begin_error = TypeError("a mistake of ours")
    raises(TypeError, bench.play, 250)


def test_what_fails_to_finish_begins_again_at_its_next_turn():
    bench, slow = _bench(250)
    slow.measure_error = OSError(110)
    bench.play(500)
    assert bench.readings() == [(BAD, 0), (BAD, 0)]
    slow.measure_error = None
    bench.play(250)
    assert bench.readings() == [(GOOD, 3), (GOOD, 3)]
    assert (bench.errors_total, slow.begun) == (2, [0, 250, 500])


def test_other_interval_in_the_middle_of_a_conversion():
    bench, slow = _bench(1000)
    bench.play(50)
    bench.sampler.set_interval(0, 300, 50)
    bench.play(700)
    # It is finished first; then the new interval counts from when it was asked for.
    assert slow.begun == [0, 100, 350, 650]
    assert _times(bench) == [100, 200, 450]


def test_measurement_that_is_asked_for_follows():
    bench, slow = _bench(1000)
    clock, sampler = bench.machine.clock, bench.sampler
    bench.play(400)
    assert sampler.take_now(0, clock.ticks_ms, bench.uptime, bench) == 2
    assert _times(bench) == [100]
    assert sampler.take_now(255, clock.ticks_ms, bench.uptime, bench) == 2
    bench.play(800)
    assert slow.begun == [0, 400, 1000]  # one for both
    assert _times(bench) == [100, 500, 1100]
    slow.begin_error = OSError(5)
    assert sampler.take_now(1, clock.ticks_ms, bench.uptime, bench) == 2
    assert bench.readings() == [(BAD, 0), (BAD, 0)]


def test_restart_forgets_what_was_being_converted():
    bench, slow = _bench(1000)
    bench.play(50)
    bench.machine.clock.advance(600_000)
    bench.uptime.update(bench.machine.clock.now_ms)
    bench.sampler.restart(bench.machine.clock.now_ms)
    bench.play(200)
    assert slow.begun == [0, 600_050]
    assert _times(bench) == [600_150]


def test_prefix_tells_sensors_of_a_kind_apart():
    names = {"type": "simulated", "interval_ms": 100}
    bench = SensorBench(rp2(), dict(names), dict(names, prefix="a"), dict(names, prefix="b.c"))
    assert bench.names == ["simulated", "a.simulated", "b.c.simulated"]
    for prefix, words in (
        ("a", ("sensors[1].channel", "'a.simulated'", "twice")),
        ("A", ("sensors[1].prefix", "'A.simulated'", "a-z")),
        ("x" * 23, ("sensors[1].prefix", "1 to 32")),
        (7, ("sensors[1].prefix", "text")),
    ):
        text = refusal(rp2, dict(names, prefix="a"), dict(names, prefix=prefix))
        for word in words:
            assert word in text, (prefix, text)
