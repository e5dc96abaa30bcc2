"""The sampler keeps to its rate, counts what it misses, and outlives its sensors."""

from array import array

from check import raises
from fake_board import (
    WRAP,
    Bench,
    FakeBoard,
    FakeFlash,
    FakePort,
    make_settings,
    read_ring,
    simulated,
)
from pyv_edge_core.reading import QUALITY_BAD, QUALITY_GOOD, Channel
from pyv_edge_node.app import App

HEAP_KB_MIN = 192  # the pipeline behind the sampler brings rules and privacy: half a board's heap


class _Sensor:
    """Fails while it is told to."""

    def __init__(self, error):
        self.channels = [Channel("x", "", 0), Channel("y", "", 0)]
        self.values = array("i", [11, 22])
        self.error = error

    def measure(self, uptime_s, uptime_ms):
        if self.error is not None:
            raise self.error


def test_first_measurement_is_due_at_once():
    bench = Bench(simulated(interval_ms=1000), start_ms=777)
    assert bench.run_at(777) == 1000
    assert [entry[3] for entry in bench.readings()] == [0]


def test_sensors_are_made_by_whoever_is_given_to_the_node():
    asked = []

    def open_sensor(kind, section, board):
        asked.append((kind, section.integer("pin", 0, 40)))
        return _Sensor(None)

    config = make_settings({"type": "own", "interval_ms": 100, "pin": 7})
    app = App(config, FakeBoard(), FakePort(), FakeFlash(), None, open_sensor)
    app.step()
    assert asked == [("own", 7)]
    assert [entry[:3] for entry in read_ring(app.telemetry)] == [(0, 0, 11), (1, 0, 22)]


def test_measurements_that_are_asked_for_have_a_time_each():
    board = FakeBoard()

    class Slow(_Sensor):
        def __init__(self, name):
            self.channels = [Channel(name, "", 0)]
            self.values = array("i", [1])

        def measure(self, uptime_s, uptime_ms):
            board.now_ms += 750

    config = make_settings(
        {"type": "x", "interval_ms": 3600000}, {"type": "y", "interval_ms": 3600000}
    )
    app = App(
        config, board, FakePort(), FakeFlash(), None, lambda kind, section, board: Slow(kind)
    )
    board.now_ms = 400
    assert app.sampler.take_now(255, board.ticks_ms, app.uptime, app.pipeline) == 2
    assert [entry[3] for entry in read_ring(app.telemetry)] == [400, 1150]


def test_rate_is_fixed_over_the_wrap_of_the_ticks():
    for start_ms in (0, WRAP - 2500, WRAP - 1):
        bench = Bench(simulated(interval_ms=300), start_ms=start_ms)
        elapsed_ms = 0
        while elapsed_ms <= 6000:
            bench.run_at(start_ms + elapsed_ms)
            elapsed_ms += 10
        times = [entry[3] for entry in bench.readings()]
        assert times == list(range(0, 6001, 300)), start_ms
        assert bench.sampler.late_total == 0, start_ms


def test_a_late_loop_does_not_shift_the_rate():
    bench = Bench(simulated(interval_ms=100))
    for elapsed_ms in (0, 130, 200, 290, 399, 400, 500):
        bench.run_at(elapsed_ms)
    # 290 was too early for the turn of 300, which 399 then took; 400 is a turn of its own.
    assert [entry[3] for entry in bench.readings()] == [0, 130, 200, 399, 400, 500]
    assert (bench.sampler.late_total, bench.sampler.lag_ms_max) == (0, 99)


def test_missed_turns_are_counted_and_not_made_up():
    for start_ms in (0, WRAP - 2000):
        bench = Bench(simulated(interval_ms=1000), start_ms=start_ms)
        bench.run_at(start_ms)
        assert bench.run_at(start_ms + 3500) == 500
        assert (bench.sampler.late_total, bench.sampler.sampled_total) == (2, 2), start_ms
        assert bench.sampler.lag_ms_max == 2500, start_ms
        bench.run_at(start_ms + 3999)
        bench.run_at(start_ms + 4000)
        assert [entry[3] for entry in bench.readings()] == [0, 3500, 4000], start_ms
        assert bench.sampler.late_total == 2, start_ms


def test_exactly_one_interval_late_is_one_turn_missed():
    bench = Bench(simulated(interval_ms=1000))
    bench.run_at(0)
    bench.run_at(2000)
    assert (bench.sampler.late_total, bench.sampler.sampled_total) == (1, 2)


def test_each_sensor_has_its_own_turn():
    bench = Bench(simulated("fast", 100), simulated("slow", 250))
    for elapsed_ms in range(0, 501, 50):
        bench.run_at(elapsed_ms)
    found = bench.readings()
    fast = [entry[3] for entry in found if entry[0] == 0]
    slow = [entry[3] for entry in found if entry[0] == 1]
    assert fast == [0, 100, 200, 300, 400, 500]
    assert slow == [0, 250, 500]
    assert bench.sampler.sampled_total == 9


def test_measurements_due_together_each_have_their_own_time():
    bench = Bench(simulated("a", 150), simulated("b", 150), simulated("c", 150))
    sampler, uptime = bench.sampler, bench.uptime
    # Each measurement lasts 40 ms: the loop updates the uptime in between.
    for now_ms, idle_ms in ((0, 0), (40, 0), (80, 70), (150, 0), (190, 0), (230, 70)):
        uptime.update(now_ms)
        assert bench.run_once(now_ms) == idle_ms, now_ms
    found = [(entry[0], entry[3]) for entry in bench.readings()]
    assert found == [(0, 0), (1, 40), (2, 80), (0, 150), (1, 190), (2, 230)]
    assert sampler.late_total == 0


def test_idle_time_is_until_the_nearest_turn_and_a_second_at_most():
    bench = Bench(simulated("fast", 100), simulated("slow", 3600000))
    assert bench.run_at(0) == 100
    assert bench.run_at(60) == 40
    bench = Bench(simulated("slow", 3600000))
    assert bench.run_at(0) == 1000
    assert bench.run_at(3599500) == 500


def test_simulated_sensor_draws_its_triangle():
    bench = Bench(simulated(interval_ms=1000, low=0, high=1600, period_s=16))
    for second in range(33):
        bench.run_at(second * 1000)
    values = [entry[2] for entry in bench.readings()]
    rise = [index * 200 for index in range(9)]
    fall = list(reversed(rise))[1:]
    expected = rise + fall + rise[1:] + fall
    assert len(values) == len(expected)
    # It counts in steps of 16 ms, which are 3.2 of these 1600.
    for index in range(len(expected)):
        assert expected[index] - 4 <= values[index] <= expected[index], (index, values[index])


def test_noise_stays_within_its_bounds_and_repeats_from_its_seed():
    runs = []
    for seed in (1, 1, 2):
        sensor = simulated(interval_ms=10, low=100, high=100, noise=7, seed=seed)
        bench = Bench(sensor)
        for step in range(200):
            bench.run_at(step * 10)
        values = [entry[2] for entry in bench.readings()]
        assert min(values) == 93 and max(values) == 107, seed
        runs.append(values)
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_failing_sensor_gives_bad_readings_and_the_others_go_on():
    for error in (OSError(5), ValueError("nonsense"), OverflowError("far off"), IndexError()):
        bench = Bench(simulated("a", 100), simulated("b", 100, low=50, high=50))
        # There is no sensor type that fails on request, so one takes another's place.
        sensor = _Sensor(error)
        bench.sampler._turns[0].sensor = sensor
        bench.sampler._turns[1].first_channel = 2
        bench.pipeline._gates.append(None)
        bench.pipeline._watches.append(None)
        bench.run_at(0)
        sensor.error = None
        bench.run_at(100)
        assert bench.readings() == [
            (0, QUALITY_BAD, 0, 0),
            (1, QUALITY_BAD, 0, 0),
            (2, QUALITY_GOOD, 50, 0),
            (0, QUALITY_GOOD, 11, 100),
            (1, QUALITY_GOOD, 22, 100),
            (2, QUALITY_GOOD, 50, 100),
        ], error
        assert (bench.sampler.sensor_errors_total, bench.sampler.sampled_total) == (1, 6), error


def test_mistake_in_a_driver_is_not_hidden():
    bench = Bench(simulated())
    bench.sampler._turns[0].sensor = _Sensor(TypeError("a mistake of ours"))
    error = raises(TypeError, bench.run_at, 0)
    assert "a mistake of ours" in str(error)


def test_procfs_measures_this_machine():
    bench = Bench({"type": "procfs", "interval_ms": 100})
    bench.run_at(0)
    load, memory, busy = bench.readings()
    assert (load[:2], memory[:2], busy[:2]) == ((0, 0), (1, 0), (2, 0))
    assert load[2] >= 0
    assert memory[2] > 1000
    assert busy[2] > 0
