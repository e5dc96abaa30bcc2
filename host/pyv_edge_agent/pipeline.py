"""From a reading to rows: privacy first, then memory, then rules.

Calls decide nothing about storage; they fill a WriteBatch, whose every number
is accounted for as stored, denied or lost. Nothing is built per reading but its
row, because this is the agent's hot path.
"""

from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from struct import iter_unpack
from typing import Any

from pyv_edge_core.host_session import Loss
from pyv_edge_core.message import GAP_CAUSES
from pyv_edge_core.pattern import matches
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.reading import QUALITY_BAD
from pyv_edge_core.record_ring import RECORD_FORMAT, RECORD_SIZE
from pyv_edge_core.ring import RingBuffer

from .link import TimedBatch
from .outbox import Priority
from .store import WriteBatch
from .types import Event, SensorReading

UNKNOWN_CHANNEL = "unknown channel"


@dataclass
class Rule:
    """Fires while a sensor's value is above a level."""

    name: str
    sensor: str  # pattern
    above: float
    severity: str

    def limit(self, exponent: int) -> float:
        """Return the greatest stored number, scaled by `exponent`, that does not fire."""
        if exponent == 0:
            return self.above
        scaled = Decimal(repr(self.above)).scaleb(-exponent)
        return int(scaled.to_integral_value(ROUND_FLOOR))


DEFAULT_RULE = Rule("value above 30", "*", 30.0, "warning")


@dataclass
class Series:
    """One channel as the hot path needs it: everything looked up beforehand."""

    channel_id: int
    sensor_name: str
    unit: str
    exponent: int
    is_denied: bool
    rules: list[tuple[float, Rule]]  # (limit in stored numbers, rule)
    firing: set[str] = field(default_factory=set)  # names of rules

    def number(self, value: float) -> float:
        """Return a stored value in the channel's unit."""
        if self.exponent < 0:
            return float(value / 10**-self.exponent)
        return float(value * 10**self.exponent)


@dataclass
class Source:
    """One boot of a device, or of the agent for what it polls: where numbers come from."""

    alias: str
    boot: int
    boot_id: int
    series: list[Series]
    next_seq: list[int]  # per stream: next number to take, ahead of what is committed


class Pipeline:
    """Applies one configuration to readings."""

    def __init__(
        self, privacy: PrivacyPolicy, buffers: dict[str, RingBuffer], rules: list[Rule]
    ) -> None:
        """Use `privacy`, a buffer per device, and `rules`; without rules, the default one."""
        self.readings_total = 0
        self.events_total = 0  # readings above a limit
        self.denied_total = 0
        self.misplaced_total = 0  # batches that did not continue their stream
        self._privacy = privacy
        self._buffers = buffers
        self._rules = rules or [DEFAULT_RULE]

    def series(self, channel_id: int, sensor_name: str, unit: str, exponent: int) -> Series:
        """Return a channel prepared for the hot path."""
        limits = [
            (rule.limit(exponent), rule)
            for rule in self._rules
            if matches(rule.sensor, sensor_name)
        ]
        is_denied = self._privacy.action(sensor_name) != "allow"
        return Series(channel_id, sensor_name, unit, exponent, is_denied, limits)

    def add_batch(self, source: Source, batch: TimedBatch, out: WriteBatch) -> bool:
        """Add a board's readings to `out`; return False, adding nothing, if they are misplaced."""
        if batch.first_seq != source.next_seq[batch.stream]:
            self.misplaced_total += 1
            return False
        progress = out.stream(source.boot_id, batch.stream, batch.first_seq)
        assert progress.next_seq == batch.first_seq  # one source per boot: see Ingest._welcome
        buffer = self._buffers.get(source.alias)
        table = source.series
        rows = out.readings
        boot_id, stream = source.boot_id, batch.stream
        base_utc_ms, error_ms = batch.base_utc_ms, batch.error_ms
        seq = batch.first_seq
        stored = denied = 0
        for index, flags, span, value in iter_unpack(RECORD_FORMAT, batch.records):
            if index >= len(table):
                out.gaps.append((boot_id, batch.stream, seq, seq, UNKNOWN_CHANNEL, base_utc_ms))
                seq += 1
                continue
            series = table[index]
            if series.is_denied:
                denied += 1
            else:
                quality = flags & 3
                utc_ms = base_utc_ms + ((flags >> 2) << 16 | span)
                if quality > QUALITY_BAD:
                    quality = QUALITY_BAD
                rows.append(
                    (series.channel_id, boot_id, stream, seq, utc_ms, error_ms, quality, value)
                )
                stored += 1
                if buffer is not None:
                    buffer.append(series.number(value), utc_ms)
                if series.rules and quality != QUALITY_BAD:
                    self._evaluate(source, series, value, utc_ms, out)
            seq += 1
        count = len(batch.records) // RECORD_SIZE
        progress.move(stored=stored, denied=denied, lost=count - stored - denied)
        source.next_seq[batch.stream] = progress.next_seq
        self.readings_total += count
        self.denied_total += denied
        return True

    def add_reading(
        self, source: Source, reading: SensorReading, quality: int, out: WriteBatch
    ) -> bool:
        """Add a reading that the agent took itself; return False if the policy drops it."""
        series = source.series[0]
        seq = source.next_seq[0]
        progress = out.stream(source.boot_id, 0, seq)
        self.readings_total += 1
        source.next_seq[0] = seq + 1
        if self._privacy.evaluate(reading) is None:
            progress.move(denied=1)
            self.denied_total += 1
            return False
        utc_ms = round(reading.timestamp * 1000)
        buffer = self._buffers.get(source.alias)
        if buffer is not None:
            buffer.append(reading.value, utc_ms)
        row = (series.channel_id, source.boot_id, 0, seq, utc_ms, 0, quality, reading.value)
        out.readings.append(row)
        progress.move(stored=1)
        if quality != QUALITY_BAD:
            self._evaluate(source, series, reading.value, utc_ms, out)
        return True

    def add_loss(self, source: Source, loss: Loss, utc_ms: int, out: WriteBatch) -> bool:
        """Add a gap record to `out`; return False, adding nothing, if it is misplaced."""
        if loss.first_seq != source.next_seq[loss.stream]:
            self.misplaced_total += 1
            return False
        cause = GAP_CAUSES[loss.cause] if loss.cause < len(GAP_CAUSES) else f"cause {loss.cause}"
        progress = out.stream(source.boot_id, loss.stream, loss.first_seq)
        progress.move(lost=loss.last_seq - loss.first_seq + 1)
        source.next_seq[loss.stream] = progress.next_seq
        out.gaps.append(
            (source.boot_id, loss.stream, loss.first_seq, loss.last_seq, cause, utc_ms)
        )
        return True

    def _evaluate(
        self, source: Source, series: Series, value: float, utc_ms: int, out: WriteBatch
    ) -> None:
        """Count every reading above a limit; record an event when that begins."""
        for limit, rule in series.rules:
            if value <= limit:
                series.firing.discard(rule.name)
                continue
            self.events_total += 1
            if rule.name in series.firing:
                continue
            series.firing.add(rule.name)
            number = series.number(value)
            text = f"{series.sensor_name} is {number:g} {series.unit}".rstrip()
            event = Event(
                rule.name,
                utc_ms / 1000,
                rule.severity,
                f"{text}, above {rule.above:g}",
                [SensorReading(series.sensor_name, utc_ms / 1000, number, series.unit).to_dict()],
            )
            out.events.append(
                (
                    series.channel_id,
                    source.boot_id,
                    rule.name,
                    rule.severity,
                    utc_ms,
                    number,
                    event.message,
                )
            )
            urgency = Priority.CRITICAL if rule.severity == "critical" else Priority.ANOMALY
            out.items.append(_item(event.to_dict(), urgency, utc_ms))


def _item(payload: dict[str, Any], priority: int, utc_ms: int) -> tuple[str, int, float, int]:
    import json

    return json.dumps(payload), int(priority), utc_ms / 1000, 0
