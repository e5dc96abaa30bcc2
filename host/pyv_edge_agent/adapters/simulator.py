"""SimulatorAdapter: readings of sensors that don't exist.

value = baseline + drift + Gaussian noise, clamped to min_value..max_value
"""

import math
import random
from dataclasses import dataclass
from typing import Any

from ..clock import Clock, SystemClock


@dataclass(frozen=True)
class SensorConfig:
    """One simulated sensor. Rates are in units a second; LINEAR drift starts at construction."""

    name: str
    sensor_type: str = ""
    unit: str = ""
    min_value: float = -1e9
    max_value: float = 1e9
    baseline: float = 20.0
    noise_std: float = 0.5
    drift_model: str = "NONE"  # LINEAR, SINUSOIDAL
    drift_rate: float = 0.0
    drift_amplitude: float = 0.0
    drift_period_seconds: float = 86400.0


class SimulatorAdapter:
    """Simulates one or more sensors, the same way for the same seed and times."""

    def __init__(
        self, sensors: list[SensorConfig], seed: int = 0, clock: Clock | None = None
    ) -> None:
        """Simulate `sensors`. Raises ValueError if there is none."""
        if not sensors:
            raise ValueError("sensors: at least one is needed")
        self._sensors = sensors
        self._rng = random.Random(seed)
        self._clock = clock or SystemClock()
        self._start_s = self._clock.utc_ms() / 1000

    def generate_reading(
        self, sensor: SensorConfig | None = None, timestamp: float | None = None
    ) -> dict[str, Any]:
        """Return a reading of `sensor`, the first by default, at `timestamp`, now by default."""
        source = sensor or self._sensors[0]
        moment = self._clock.utc_ms() / 1000 if timestamp is None else timestamp
        age_s = moment - self._start_s
        value = source.baseline + self._rng.gauss(0, source.noise_std)
        if source.drift_model == "LINEAR":
            value += source.drift_rate * age_s
        elif source.drift_model == "SINUSOIDAL":
            phase = 2 * math.pi * age_s / source.drift_period_seconds
            value += source.drift_amplitude * math.sin(phase)
        return {
            "sensor_name": source.name,
            "timestamp": moment,
            "value": min(max(value, source.min_value), source.max_value),
            "unit": source.unit,
            "metadata": {"sensor_type": source.sensor_type},
        }

    def generate_batch(self, count: int = 1) -> list[list[dict[str, Any]]]:
        """Return `count` rounds, each with a reading of every sensor."""
        return [[self.generate_reading(sensor) for sensor in self._sensors] for _ in range(count)]
