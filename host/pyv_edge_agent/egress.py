"""What may leave this machine: stored rows and queued items become a sink's payloads, or do not.

The last of the three places where the policy is in force, and the one that sees
old data too: what was stored under a weaker policy is judged by today's. What a
channel was marked with when it was stored holds as well; of the two, the stricter.
"""

from collections.abc import Sequence
from typing import Any

from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.privacy_rule import Gate
from pyv_edge_core.reading import QUALITY_BAD, QUALITY_NAMES, STREAM_NAMES

from .types import SensorReading

_WITHHELD = ("drop", "local_only", "aggregate_only")
_CACHE_MAX = 4096


class _Channel:
    """What the policy makes of one stored channel."""

    def __init__(
        self, policy: PrivacyPolicy, alias: str, device: str, channel: str, sensor: str, mark: str
    ) -> None:
        self.names = (alias, channel, sensor)
        gate = policy.gate(alias, channel, sensor, None)
        # A name that is a pseudonym by now fits no rule, so the rule's outcome was kept.
        is_hashed = mark == "hash" or gate.action == "hash"
        self.is_withheld = mark in _WITHHELD or (mark != "hash" and gate.action in _WITHHELD)
        self.gate: Gate | None = None if gate.is_plain or mark == "hash" else gate
        self.sensor, self.channel, self.device = sensor, channel, device
        if is_hashed:
            self.device = policy.pseudonym(device)
        if gate.action == "hash" and mark != "hash":
            self.sensor = self.channel = policy.pseudonym(sensor)


class Egress:
    """Lets out what the policy allows. For one thread."""

    def __init__(self, policy: PrivacyPolicy) -> None:
        self._policy = policy
        self._has_key_rules = policy.is_enabled and (
            policy.default == "deny" or any(rule.is_about_key for rule in policy.rules)
        )
        self._channels: dict[int, _Channel] = {}

    def readings(self, rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        """Return what a sink may have of rows of an UploadBatch; those withheld are missing."""
        return [payload for payload in map(self._reading, rows) if payload is not None]

    def _reading(self, row: Sequence[Any]) -> dict[str, Any] | None:
        """Return a row as the JSON object that a server gets, None if it must not.

        The value of a bad reading is null, so that nobody takes it for a measurement.
        """
        _, sensor, utc_ms, value, exponent, unit, quality, device, channel, boot = row[:10]
        stream, seq, error_ms, alias, mark, channel_id = row[10:]
        known = self._channels.get(channel_id)
        if known is None:
            if len(self._channels) >= _CACHE_MAX:
                self._channels.clear()
            known = _Channel(self._policy, alias, device, channel, sensor, mark)
            self._channels[channel_id] = known
        if known.is_withheld:
            return None
        gate = known.gate
        if gate is not None and gate.is_hidden:
            quality = QUALITY_BAD
        number = None
        if quality != QUALITY_BAD:
            # A division rounds right: 2153 / 100 is 21.53.
            number = value / 10**-exponent if exponent < 0 else float(value * 10**exponent)
            if gate is not None:
                number = gate.value(number)
        metadata = {
            "quality": QUALITY_NAMES[quality],
            "device": known.device,
            "channel": known.channel,
            "boot": f"{boot:08x}",
            "stream": STREAM_NAMES[stream],
            "seq": seq,
            "time_error_ms": error_ms,
        }
        if self._has_key_rules:
            metadata = self._policy.release_metadata(known.names, metadata)
        return {
            "sensor_name": known.sensor,
            "timestamp": utc_ms / 1000,
            "value": number,
            "unit": unit,
            "metadata": metadata,
        }

    def item(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        """Return what a sink may have of a queued item, None if it must not have it.

        An item that is a reading is judged as one; one that is about readings,
        as an event is, goes only if all of them may.
        """
        if not self._policy.is_enabled:
            return payload
        if "sensor_name" in payload and "value" in payload:
            return self._as_reading(payload)
        readings = payload.get("sensor_readings")
        metadata = payload.get("metadata")
        if not isinstance(readings, list):
            return payload
        if isinstance(metadata, dict) and metadata.get("privacy") == "hash":
            return payload  # it was made of pseudonyms, which no rule fits
        released = []
        for reading in readings:
            allowed = self._as_reading(reading) if isinstance(reading, dict) else None
            if allowed is None or allowed["value"] != reading.get("value"):
                return None  # its text says what must not be known
            released.append(allowed)
        sensor = metadata.get("sensor_name") if isinstance(metadata, dict) else None
        if isinstance(sensor, str):
            probe = SensorReading(sensor, 0.0, 0.0)
            allowed_probe = self._policy.release(probe)
            if allowed_probe is None or allowed_probe.sensor_name != sensor:
                return None
        return {**payload, "sensor_readings": released}

    def _as_reading(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        metadata = payload.get("metadata")
        reading = SensorReading(
            str(payload.get("sensor_name", "")),
            payload.get("timestamp", 0.0),
            payload.get("value", 0.0),
            str(payload.get("unit", "")),
            metadata if isinstance(metadata, dict) else {},
        )
        allowed = self._policy.release(reading)
        return None if allowed is None else {**payload, **allowed.to_dict()}
