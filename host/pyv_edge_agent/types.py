"""What the agent's users handle: a reading and an event, with floats and names."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class SensorReading:
    """One value of one sensor.

    `timestamp` is Unix seconds UTC. `metadata` carries what has no field of its own:
    "quality" (good, uncertain, bad; absent means good), and behind the store also
    "device", "boot", "seq", "time_error_ms" and "time_quality" (unset, retimed, estimated; absent
    means good).
    """

    sensor_name: str
    timestamp: float
    value: float
    unit: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict of JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Event:
    """A rule that began to fire. `severity` is info, warning or critical."""

    rule_name: str
    timestamp: float
    severity: str
    message: str
    sensor_readings: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict of JSON types."""
        return asdict(self)
