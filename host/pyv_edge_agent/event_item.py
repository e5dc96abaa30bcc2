"""What the sinks get of an event: made when it happens, and again of a stored one for exports."""

from dataclasses import dataclass, field
from typing import Any

from .store import TIME_GOOD, TIME_QUALITY_NAMES
from .types import Event, SensorReading


@dataclass(frozen=True)
class EventFacts:
    """An alert that fired or resolved, as it is stored."""

    rule: str
    severity: str
    state: str  # firing or resolved
    utc_ms: int
    time_quality: int
    message: str
    value: float | None  # in `unit`; None: there is none, or it must not be known
    sensor: str
    unit: str
    names: dict[str, str] = field(default_factory=dict)  # device and channel as policies see them
    privacy: str = ""  # marks of a channel whose names are pseudonyms: see egress


def event_item(facts: EventFacts) -> dict[str, Any]:
    """Return the JSON object that the queue holds of an event."""
    when = facts.utc_ms / 1000
    readings = []
    if facts.value is not None:
        reading = SensorReading(facts.sensor, when, facts.value, facts.unit, {**facts.names})
        readings.append(reading.to_dict())
    metadata = {"state": facts.state, "sensor_name": facts.sensor, **facts.names}
    if facts.privacy:
        metadata["privacy"] = facts.privacy
    if facts.time_quality != TIME_GOOD:
        metadata["time_quality"] = TIME_QUALITY_NAMES[facts.time_quality]
    return Event(facts.rule, when, facts.severity, facts.message, readings, metadata).to_dict()
