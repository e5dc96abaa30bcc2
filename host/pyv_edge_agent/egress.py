"""What may leave this machine: stored rows and queued items become a sink's payloads, or do not.

The last of the three places where the policy is in force, and the one that sees
old data too: what was stored under a weaker policy is judged by today's. The marks
that a channel was stored with hold as well; of the two, the stricter.

Whoever sits at the machine may see what may be stored on it: with `is_leaving` False
the policy is in force as before the store, and what is local only is let out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyv_edge_core import disclosure
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.privacy_rule import Gate
from pyv_edge_core.reading import QUALITY_BAD, QUALITY_NAMES, STREAM_NAMES

from .channel_policy import SYNC_EVENTS, SYNC_RAW, ChannelPolicies
from .policy import MARK_HASH, MARK_LOCAL, is_still_hashed
from .series import polled_names
from .store import QUALITY_MASK, TIME_GOOD, TIME_QUALITY_NAMES, TIME_QUALITY_SHIFT, in_unit
from .store.channel import StoredChannel
from .types import Event, SensorReading

_CACHE_MAX = 4096
_READING_KEYS = set(SensorReading.__dataclass_fields__)
_EVENT_KEYS = set(Event.__dataclass_fields__)
_OWN_METADATA = ("state", "sensor_name")  # of our own events
_NOBODY = ("", "", "")  # names, where there is no sensor
_VALUE_MAX = 1e300  # of a queued item: what is greater can't be calculated with

Names = tuple[str, str, str]  # device, channel, sensor
StoredNames = tuple[str, str, str, str]  # alias, channel, sensor, marks


def _hash_mark(marks: str) -> str:
    """Return the mark that the names are pseudonyms, "" if there is none."""
    return next((mark for mark in marks.split() if mark.startswith(MARK_HASH)), "")


class JudgedChannel:
    """What the policy makes of one stored channel."""

    def __init__(
        self,
        policy: PrivacyPolicy,
        device: str,
        stored: StoredNames,
        row: StoredChannel | None = None,
    ) -> None:
        """Judge `stored`, a channel of the device that calls itself `device`.

        Its `row` in the store, if it is of one, brings its readings into their unit.
        """
        alias, channel, sensor, marks = stored
        if sensor == device:  # polled: its name is all there is
            alias, judged = polled_names(sensor)
        else:
            judged = channel
            if sensor.endswith(f".{channel}"):
                alias = sensor[: -len(channel) - 1]  # as it was called when this was stored
        self.names: Names = (alias, judged, sensor)
        self.gate: Gate | None = None
        self.row = row
        self.divisor = 0  # that brings readings into the unit; 0: it is no divisor
        if row is not None and row.exponent < 0:
            self.divisor = 10**-row.exponent
        self.sensor, self.channel, self.device = sensor, channel, device  # as they may be known
        self.is_local = MARK_LOCAL in marks.split()
        self.is_aggregated = False  # nobody is to know more than summaries
        mark = _hash_mark(marks)
        self.is_pseudonym = bool(mark)  # what it was called, nobody knows
        if mark:
            self.device = policy.pseudonym(device)
            self.is_denied = not is_still_hashed(policy, mark)
            return
        gate = policy.gate(*self.names, None)
        self.is_denied = not gate.is_open
        self.is_local = self.is_local or gate.is_local
        self.is_aggregated = gate.action == "aggregate_only"
        if not gate.is_plain:
            self.gate = gate
        if gate.action == "hash":
            self.sensor = self.channel = policy.pseudonym(sensor)
            self.device = policy.pseudonym(device)

    @property
    def is_hidden(self) -> bool:
        """Whether its values are withheld, and not that there are some."""
        return self.gate is not None and self.gate.is_hidden


class Egress:
    """Lets out what the policy allows. For one thread."""

    def __init__(
        self,
        policy: PrivacyPolicy,
        policies: ChannelPolicies | None = None,
        channels_of: Callable[[str], list[StoredNames]] = lambda _: [],
        *,
        is_leaving: bool = True,
    ) -> None:
        """Judge by `policy`; `policies` say whose events go.

        `channels_of` tells the channels of a device that a gap is about. What is not
        `is_leaving` stays with somebody at this machine.
        """
        self._policy = policy
        self._is_leaving = is_leaving
        self._policies = policies or ChannelPolicies()
        self._channels_of = channels_of
        self._has_key_rules = policy.is_enabled and (
            policy.default == "deny" or any(rule.is_about_key for rule in policy.rules)
        )
        self._channels: dict[int, JudgedChannel] = {}

    def channel(self, stored: StoredChannel) -> JudgedChannel:
        """Return what becomes of a channel of the store. Costs little the second time."""
        known = self._channels.get(stored.id)
        if known is None or known.row != stored:  # of another file, or called otherwise
            if len(self._channels) >= _CACHE_MAX:
                self._channels.clear()
            names = (stored.alias, stored.name, stored.sensor, stored.marks)
            known = JudgedChannel(self._policy, stored.device, names, stored)
            self._channels[stored.id] = known
        return known

    def keeps_readings(self, channel: JudgedChannel) -> bool:
        """Return whether the policy lets none of a channel's readings out."""
        is_kept = channel.is_local if self._is_leaving else channel.is_aggregated
        return channel.is_denied or is_kept

    def keeps_events(self, channel: JudgedChannel) -> bool:
        """Return whether it lets out nothing of its events, whatever they say."""
        return channel.is_denied or (channel.is_local and self._is_leaving)

    def keeps_summaries(self, channel: JudgedChannel) -> bool:
        """Return whether it lets none of its summaries out."""
        return self.keeps_events(channel) or channel.is_hidden

    def _metadata(self, names: Names, given: dict[str, Any]) -> dict[str, Any]:
        return disclosure.metadata(self._policy, names, given, self._is_leaving)

    def readings(
        self, rows: Sequence[Sequence[Any]], channels: Mapping[int, StoredChannel]
    ) -> list[dict[str, Any]]:
        """Return what a sink may have of rows of an UploadBatch; those withheld are missing.

        `channels` are those of the rows, by id.
        """
        judged = {channel_id: (one, self.channel(one)) for channel_id, one in channels.items()}
        payloads = (self._reading(row, judged) for row in rows)
        return [payload for payload in payloads if payload is not None]

    def _reading(
        self, row: Sequence[Any], judged: Mapping[int, tuple[StoredChannel, JudgedChannel]]
    ) -> dict[str, Any] | None:
        """Return a row as the JSON object that a server gets, None if it must not.

        The value of a bad reading is null, so that nobody takes it for a measurement.
        """
        _, channel_id, boot, stream, seq, utc_ms, error_ms, marked, value, sync = row
        quality, time_quality = marked & QUALITY_MASK, marked >> TIME_QUALITY_SHIFT
        channel, known = judged[channel_id]
        # As `keeps_readings` has it, without the call.
        is_kept = known.is_local if self._is_leaving else known.is_aggregated
        if known.is_denied or is_kept or not sync & SYNC_RAW:
            return None
        gate = known.gate
        if gate is not None and gate.is_hidden:
            quality = QUALITY_BAD
        number = None
        if quality != QUALITY_BAD:
            # As `in_unit` has it, without the call.
            divisor = known.divisor
            number = value / divisor if divisor else in_unit(value, channel.exponent)
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
        if time_quality != TIME_GOOD:
            metadata["time_quality"] = TIME_QUALITY_NAMES[time_quality]
        if self._has_key_rules:
            metadata = self._metadata(known.names, metadata)
        return {
            "sensor_name": known.sensor,
            "timestamp": utc_ms / 1000,
            "value": number,
            "unit": channel.unit,
            "metadata": metadata,
        }

    # -- queued items --------------------------------------------------------------

    def item(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        """Return what a sink may have of a queued item, None if it must not have it.

        An item that is a reading is judged as one; one that is about readings,
        as an event is, goes only if all of them may. Of anything else each key
        is judged as a key of metadata.
        """
        kind = payload.get("type")
        if kind == "gap" and "device" in payload:
            return self._as_gap(payload)
        if kind == "summary" and "period_s" in payload:
            return self._as_summary(payload)
        if kind == "audit_checkpoint" and "hash" in payload:
            return payload  # says nothing of any reading
        if isinstance(payload.get("sensor_readings"), list) and not self._is_synced(payload):
            return None
        if not self._policy.is_enabled:
            return payload
        if "sensor_name" in payload and "value" in payload:
            return self._as_reading(payload)
        if isinstance(payload.get("sensor_readings"), list):
            return self._as_event(payload)
        return self._metadata(_NOBODY, payload) or None

    def _others(self, payload: dict[str, Any], own: set[str]) -> dict[str, Any]:
        """Return what may be known of the keys that readings and events don't have."""
        others = {key: value for key, value in payload.items() if key not in own}
        return self._metadata(_NOBODY, others)

    def _is_synced(self, payload: dict[str, Any]) -> bool:
        """Return whether events of a sensor go to the sinks."""
        metadata = payload.get("metadata")
        sensor = metadata.get("sensor_name", "") if isinstance(metadata, dict) else ""
        return bool(self._policies.of(str(sensor)).sync & SYNC_EVENTS)

    def _as_gap(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        """Return what a sink may know of missing readings: nothing, if they would not go there."""
        channels = [
            JudgedChannel(self._policy, payload["device"], stored)
            for stored in self._channels_of(payload["device"])
        ]
        # Numbers are missing of readings, so it goes where they do.
        if channels and all(self.keeps_readings(channel) for channel in channels):
            return None
        kept = {key: value for key, value in payload.items() if key != "alias"}
        if any(channel.device != payload["device"] for channel in channels):
            kept["device"] = self._policy.pseudonym(payload["device"])
        return kept

    def _as_summary(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        metadata = payload["metadata"]
        names = (metadata["alias"], metadata["channel"], payload["sensor_name"])
        stored = (*names, metadata.get("privacy", ""))
        known = JudgedChannel(self._policy, metadata["device"], stored)
        if self.keeps_summaries(known):
            return None
        kept = {**payload, "sensor_name": known.sensor}
        if known.gate is not None:
            for name in ("min", "max", "mean", "last"):
                if kept[name] is not None:
                    kept[name] = known.gate.value(kept[name])
        kept["metadata"] = {"device": known.device, "channel": known.channel}
        if "time_quality" in metadata:
            kept["metadata"]["time_quality"] = metadata["time_quality"]
        return kept

    def _as_reading(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        metadata = payload.get("metadata")
        if not _is_number(payload["value"]):
            return None  # nothing that a policy could judge
        reading = SensorReading(
            str(payload["sensor_name"]),
            payload.get("timestamp", 0.0),
            payload["value"],
            str(payload.get("unit", "")),
            metadata if isinstance(metadata, dict) else {},
        )
        allowed = self._policy.release(reading)
        if allowed is None:
            return None
        return {**self._others(payload, _READING_KEYS), **allowed.to_dict()}

    def _as_event(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        given = payload.get("metadata")
        metadata = given if isinstance(given, dict) else {}
        mark = _hash_mark(str(metadata.get("privacy", "")))
        if mark and not is_still_hashed(self._policy, mark):
            return None
        # The event's text says what was measured and where: it goes as it is or not at all.
        names = _names_in(metadata)
        if names[2] and not mark and not self._passes_whole(names, None):
            return None
        readings = []
        for reading in payload["sensor_readings"]:
            if not isinstance(reading, dict) or not _is_number(reading.get("value")):
                return None
            about = reading.get("metadata")
            own = _names_in({**(about if isinstance(about, dict) else {}), **reading})
            if not mark and not self._passes_whole(own, reading["value"]):
                return None
            kept = {key: reading[key] for key in _READING_KEYS if key in reading}
            if isinstance(about, dict):
                kept["metadata"] = self._metadata(own, about)
            readings.append(kept)
        others = {key: value for key, value in metadata.items() if key not in _OWN_METADATA}
        kept_metadata = self._metadata(names, others)
        kept_metadata.update({key: metadata[key] for key in _OWN_METADATA if key in metadata})
        if mark:
            kept_metadata["privacy"] = "hash"
        return {
            **self._others(payload, _EVENT_KEYS),
            **{key: payload[key] for key in payload if key in _EVENT_KEYS},
            "sensor_readings": readings,
            "metadata": kept_metadata,
        }

    def _passes_whole(self, names: Names, value: Any) -> bool:
        """Return whether the policy leaves a channel's names, and `value` unless it is None."""
        gate = self._policy.gate(*names, None)
        if not gate.has_values or gate.action == "hash":
            return False
        is_kept = value is not None and gate.action == "aggregate_only"
        if is_kept or (gate.is_local and self._is_leaving):
            return False
        return gate.is_plain or value is None or bool(gate.value(value) == value)


def _names_in(metadata: dict[str, Any]) -> Names:
    sensor = str(metadata.get("sensor_name", ""))
    device, channel = polled_names(sensor)
    return str(metadata.get("device") or device), str(metadata.get("channel") or channel), sensor


def _is_number(value: Any) -> bool:
    is_one = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_one and -_VALUE_MAX <= value <= _VALUE_MAX
