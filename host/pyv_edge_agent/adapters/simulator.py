"""SimulatorAdapter: readings of sensors that don't exist.

value = baseline + drift + noise + spike, clamped to min_value..max_value

Beside that a value can be stuck, or there is none: a dropout. What a sensor gives depends on
its settings, the seed, and the times that it was asked for, and on nothing else.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..clock import Clock, SystemClock
from ..errors import AdapterError

NOISE_MODELS = ("GAUSSIAN",)
DRIFT_MODELS = ("NONE", "LINEAR", "SINUSOIDAL")
_SPIKE, _DROPOUT, _STUCK = range(3)


@dataclass(frozen=True)
class SensorConfig:
    """One simulated sensor. Drift begins with its first reading; probabilities are of each.

    Raises ValueError for what can't be simulated.
    """

    name: str
    sensor_type: str = ""
    unit: str = ""
    min_value: float = -1e9
    max_value: float = 1e9
    baseline: float = 20.0
    noise_std: float = 0.5
    noise_model: str = "GAUSSIAN"
    drift_model: str = "NONE"
    drift_rate: float = 0.0  # units a second, LINEAR
    drift_amplitude: float = 0.0  # units, SINUSOIDAL
    drift_period_seconds: float = 86400.0
    spike_probability: float = 0.0
    spike_size: float = 10.0  # units, added or taken away
    spike_count: int = 1  # readings in a row, as of the other two
    dropout_probability: float = 0.0
    dropout_count: int = 1
    stuck_probability: float = 0.0
    stuck_count: int = 10

    def __post_init__(self) -> None:
        if self.noise_model not in NOISE_MODELS:
            raise ValueError(f"noise_model {self.noise_model!r}: it must be GAUSSIAN")
        if self.drift_model not in DRIFT_MODELS:
            known = ", ".join(DRIFT_MODELS)
            raise ValueError(f"drift_model {self.drift_model!r}: it must be one of {known}")
        if self.drift_period_seconds <= 0 or self.noise_std < 0:
            raise ValueError("drift_period_seconds must be above 0, noise_std at least 0")
        problem = probability_fault(vars(self))
        if problem:
            raise ValueError(problem)


def probability_fault(settings: Mapping[str, Any]) -> str:
    """Say what is wrong with the probabilities of anomalies, "" if nothing is."""
    each = [settings[f"{kind}_probability"] for kind in ("spike", "dropout", "stuck")]
    if min(each) < 0 or sum(each) > 1:
        return "the probabilities of spikes, dropouts and stuck values must add up to at most 1"
    return ""


class _Sensor:
    """One sensor as it goes on."""

    def __init__(self, config: SensorConfig, seed: int) -> None:
        self.config = config
        # One of its own: another sensor beside it, or its dropouts, change nothing here.
        self._rng = random.Random(f"{seed} {config.name}")
        self._began_s: float | None = None
        self._anomaly: int | None = None
        self._left = 0  # readings that it still lasts for
        self._spike = 0.0
        self._last: float | None = None

    def value(self, moment_s: float) -> float | None:
        """Return what is measured at `moment_s`, None in a dropout."""
        config, rng = self.config, self._rng
        noise, chance, sign = rng.gauss(0, config.noise_std), rng.random(), rng.choice((-1, 1))
        if self._began_s is None:
            self._began_s = moment_s
        if not self._left:
            self._begin_anomaly(chance, sign)
        self._left = max(0, self._left - 1)
        if self._anomaly == _DROPOUT:
            return None
        if self._anomaly == _STUCK and self._last is not None:
            return self._last
        value = config.baseline + self._drift(moment_s - self._began_s) + noise
        if self._anomaly == _SPIKE:
            value += self._spike
        self._last = min(max(value, config.min_value), config.max_value)
        return self._last

    def _begin_anomaly(self, chance: float, sign: int) -> None:
        config = self.config
        self._anomaly = None
        for kind, probability, count in (
            (_SPIKE, config.spike_probability, config.spike_count),
            (_DROPOUT, config.dropout_probability, config.dropout_count),
            (_STUCK, config.stuck_probability, config.stuck_count),
        ):
            if chance < probability:
                self._anomaly, self._left = kind, count
                break
            chance -= probability
        self._spike = sign * config.spike_size

    def _drift(self, age_s: float) -> float:
        config = self.config
        if config.drift_model == "LINEAR":
            return config.drift_rate * age_s
        if config.drift_model == "SINUSOIDAL":
            return config.drift_amplitude * math.sin(
                2 * math.pi * age_s / config.drift_period_seconds
            )
        return 0.0


class SimulatorAdapter:
    """Simulates one or more sensors, the same way for the same seed and times."""

    def __init__(
        self, sensors: list[SensorConfig], seed: int = 0, clock: Clock | None = None
    ) -> None:
        """Simulate `sensors`. Raises ValueError if there is none, or two have one name."""
        if not sensors:
            raise ValueError("sensors: at least one is needed")
        if len({config.name for config in sensors}) < len(sensors):
            raise ValueError("sensors: each needs a name of its own")
        self._sensors = {config: _Sensor(config, seed) for config in sensors}
        self._clock = clock or SystemClock()

    def generate_reading(
        self, sensor: SensorConfig | None = None, timestamp: float | None = None
    ) -> dict[str, Any]:
        """Return a reading of `sensor`, the first by default, at `timestamp`, now by default.

        Raises AdapterError in a dropout, and ValueError for a sensor that is none of these.
        """
        chosen = next(iter(self._sensors)) if sensor is None else sensor
        if chosen not in self._sensors:
            raise ValueError(f"sensor {chosen.name!r} is none of those that are simulated here")
        found = self._take(self._sensors[chosen], timestamp)
        if found is None:
            raise AdapterError(f"sensor {chosen.name}: a simulated dropout")
        return found

    def generate_batch(self, count: int = 1) -> list[list[dict[str, Any]]]:
        """Return `count` rounds, each with a reading of every sensor that has no dropout."""
        return [
            [found for one in self._sensors.values() if (found := self._take(one, None))]
            for _ in range(count)
        ]

    def _take(self, sensor: _Sensor, timestamp: float | None) -> dict[str, Any] | None:
        moment_s = self._clock.utc_ms() / 1000 if timestamp is None else timestamp
        value = sensor.value(moment_s)
        if value is None:
            return None
        config = sensor.config
        return {
            "sensor_name": config.name,
            "timestamp": moment_s,
            "value": value,
            "unit": config.unit,
            "metadata": {"sensor_type": config.sensor_type},
        }


def open_simulator(device: Mapping[str, Any], clock: Clock) -> SimulatorAdapter:
    """Return the simulator of a checked device table."""
    names = {one.name for one in fields(SensorConfig)}
    sensor = SensorConfig(**{key: value for key, value in device.items() if key in names})
    return SimulatorAdapter([sensor], seed=device["seed"], clock=clock)
