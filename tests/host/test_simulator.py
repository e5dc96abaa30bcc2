"""The simulator: its models, its anomalies, and that a seed gives the same readings again."""

import math

import pytest
from host.fakes import UTC_MS, FakeClock
from pyv_edge_agent.adapters import read_value
from pyv_edge_agent.adapters.simulator import SensorConfig, SimulatorAdapter
from pyv_edge_agent.errors import AdapterError


def simulate(seed=0, clock=None, **sensor):
    return SimulatorAdapter([SensorConfig("s", **sensor)], seed, clock or FakeClock())


def take(adapter, count):
    return [adapter.generate_reading()["value"] for _ in range(count)]


def test_same_seed_gives_the_same_values():
    assert take(simulate(7), 20) == take(simulate(7), 20)
    assert take(simulate(7), 20) != take(simulate(8), 20)


def test_noise_is_about_the_baseline():
    values = take(simulate(1, baseline=100.0, noise_std=2.0), 4000)
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    assert abs(mean - 100.0) < 0.2
    assert abs(deviation - 2.0) < 0.2


def test_values_are_clamped():
    values = take(simulate(1, baseline=0.0, noise_std=10.0, min_value=-1.0, max_value=2.0), 500)
    assert min(values) == -1.0
    assert max(values) == 2.0


def test_linear_drift_starts_at_construction():
    clock = FakeClock()
    adapter = simulate(clock=clock, noise_std=0.0, drift_model="LINEAR", drift_rate=0.5)
    assert take(adapter, 1) == [20.0]
    clock.advance(10_000)
    assert take(adapter, 1) == [25.0]


def test_sinusoidal_drift_has_amplitude_and_period():
    clock = FakeClock()
    adapter = simulate(
        clock=clock,
        noise_std=0.0,
        drift_model="SINUSOIDAL",
        drift_amplitude=4.0,
        drift_period_seconds=100.0,
    )
    found = []
    for _ in range(4):
        found += take(adapter, 1)
        clock.advance(25_000)
    assert found == pytest.approx([20.0, 24.0, 20.0, 16.0], abs=1e-6)


def test_no_drift_model_ignores_rate_and_amplitude():
    clock = FakeClock()
    adapter = simulate(clock=clock, noise_std=0.0, drift_rate=9.0, drift_amplitude=9.0)
    clock.advance(50_000)
    assert take(adapter, 1) == [20.0]


def test_reading_has_the_documented_keys_and_time():
    adapter = SimulatorAdapter(
        [SensorConfig("s", "temperature", "Cel", noise_std=0.0)], clock=FakeClock()
    )
    assert adapter.generate_reading() == {
        "sensor_name": "s",
        "timestamp": UTC_MS / 1000,
        "value": 20.0,
        "unit": "Cel",
        "metadata": {"sensor_type": "temperature"},
    }
    assert adapter.generate_reading(timestamp=5.0)["timestamp"] == 5.0


def test_batch_has_a_reading_of_every_sensor_per_round():
    sensors = [SensorConfig("a", baseline=1.0), SensorConfig("b", baseline=2.0)]
    rounds = SimulatorAdapter(sensors, clock=FakeClock()).generate_batch(3)
    assert [[reading["sensor_name"] for reading in one] for one in rounds] == [["a", "b"]] * 3


def test_simulator_without_a_sensor_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        SimulatorAdapter([])


def test_two_sensors_of_one_name_are_refused():
    with pytest.raises(ValueError, match="a name of its own"):
        SimulatorAdapter([SensorConfig("s"), SensorConfig("s", baseline=1.0)])


def test_reading_of_a_sensor_that_is_not_simulated_is_refused():
    with pytest.raises(ValueError, match="'x' is none of"):
        simulate().generate_reading(SensorConfig("x"))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"noise_model": "PINK"}, "noise_model 'PINK'"),
        ({"drift_model": "linear"}, "drift_model 'linear': it must be one of NONE, LINEAR"),
        ({"drift_period_seconds": 0}, "above 0"),
        ({"noise_std": -1}, "at least 0"),
        ({"spike_probability": 0.7, "stuck_probability": 0.4}, "at most 1"),
        ({"dropout_probability": -0.1}, "at most 1"),
    ],
)
def test_what_cannot_be_simulated_is_refused(settings, problem):
    with pytest.raises(ValueError, match=problem):
        SensorConfig("s", **settings)


# -- anomalies ---------------------------------------------------------------------

QUIET = {"baseline": 20.0, "noise_std": 0.0}
WILD = {
    "noise_std": 0.5,
    "drift_model": "LINEAR",
    "drift_rate": 0.01,
    "spike_probability": 0.05,
    "dropout_probability": 0.05,
    "dropout_count": 3,
    "stuck_probability": 0.05,
    "stuck_count": 4,
}


def at_times(adapter, times, sensor=None):
    """Return the value at each time, None for a dropout."""
    found = []
    for moment in times:
        try:
            found.append(adapter.generate_reading(sensor, timestamp=moment)["value"])
        except AdapterError:
            found.append(None)
    return found


def test_same_seed_and_times_give_the_same_readings_whenever_that_is():
    times = [1.75e9 + 5 * number for number in range(500)]
    first = at_times(simulate(3, FakeClock(), **WILD), times)
    again = at_times(simulate(3, FakeClock(utc_ms=UTC_MS + 10**9), **WILD), times)
    assert first == again
    assert None in first
    assert at_times(simulate(4, **WILD), times) != first


def test_a_sensor_is_what_it_is_beside_others():
    times = range(1_750_000_000, 1_750_000_200)
    first, other = SensorConfig("a", **WILD), SensorConfig("b", **WILD)
    alone = at_times(SimulatorAdapter([first], 5, FakeClock()), times)
    pair = SimulatorAdapter([other, first], 5, FakeClock())
    beside = []
    for moment in times:
        at_times(pair, [moment], other)
        beside += at_times(pair, [moment], first)
    assert alone == beside


def test_spikes_come_as_often_as_they_should_up_and_down():
    values = take(simulate(2, **QUIET, spike_probability=0.1, spike_size=7.0), 5000)
    assert set(values) == {13.0, 20.0, 27.0}
    for spiked in (13.0, 27.0):
        assert abs(values.count(spiked) / 5000 - 0.05) < 0.01


def test_spike_lasts_for_its_count_and_is_clamped():
    values = take(
        simulate(2, **QUIET, spike_probability=0.02, spike_size=50.0, spike_count=3, max_value=25),
        5000,
    )
    assert max(values) == 25.0
    for start, stretch in runs(values):
        if values[start] != 20.0:
            assert stretch % 3 == 0 or start + stretch == len(values)


def runs(values):
    """Return (start, length) of each stretch of equal values."""
    found, start = [], 0
    for index in range(1, len(values) + 1):
        if index == len(values) or values[index] != values[start]:
            found.append((start, index - start))
            start = index
    return found


def test_dropout_is_an_error_for_its_count_and_never_a_number():
    found = at_times(simulate(1, **QUIET, dropout_probability=0.02, dropout_count=5), range(5000))
    stretches = [
        length
        for start, length in runs(found)
        if found[start] is None and start + length < len(found)
    ]
    assert set(found) == {None, 20.0}
    assert stretches
    assert all(length % 5 == 0 for length in stretches)
    # A dropout begins in 2 % of the readings that are none, and takes 5.
    assert abs(found.count(None) / 5000 - 0.1 / 1.08) < 0.02


def test_dropout_is_no_reading_for_the_agent_either():
    adapter = simulate(**QUIET, dropout_probability=1.0)
    with pytest.raises(AdapterError, match="no reading"):
        read_value(adapter)
    with pytest.raises(AdapterError, match="sensor s: a simulated dropout"):
        adapter.generate_reading()


def test_batch_has_no_reading_of_a_sensor_in_a_dropout():
    sensors = [SensorConfig("a", dropout_probability=1.0), SensorConfig("b")]
    (found,) = SimulatorAdapter(sensors, clock=FakeClock()).generate_batch()
    assert [reading["sensor_name"] for reading in found] == ["b"]


def test_stuck_value_is_the_one_before_for_its_count():
    values = take(simulate(6, noise_std=1.0, stuck_probability=0.02, stuck_count=4), 4000)
    stretches = [(start, length) for start, length in runs(values) if length > 1]
    assert stretches
    for start, length in stretches:
        assert (length - 1) % 4 == 0 or start + length == len(values)


def test_anomalies_change_no_other_reading():
    calm = take(simulate(9, noise_std=1.0), 1000)
    spiked = take(simulate(9, noise_std=1.0, spike_probability=0.05, spike_size=100.0), 1000)
    same = [one == other for one, other in zip(calm, spiked, strict=True)]
    assert 900 < sum(same) < 1000
    assert all(
        abs(calm[index] - spiked[index]) == pytest.approx(100)
        for index in range(1000)
        if not same[index]
    )


def test_noise_is_gaussian():
    values = take(simulate(11, baseline=0.0, noise_std=1.0), 20_000)
    for sigmas in (1, 2, 3):
        share = sum(abs(value) < sigmas for value in values) / len(values)
        assert abs(share - math.erf(sigmas / math.sqrt(2))) < 0.01
