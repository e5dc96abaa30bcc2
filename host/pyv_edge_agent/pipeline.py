"""From a reading to rows: privacy first, then memory, then rules.

Calls decide nothing about storage; they fill a WriteBatch, whose every number
is accounted for as stored, denied, aggregated or lost. Nothing is built per
reading but its row, because this is the agent's hot path. What comes on the
monotonic clock is dated by the time segment of the WriteBatch; `now_ms` is the
time of rules, see TimeBase.

A board's readings come in the order in which they were taken, but what they are
dated is an estimate, which can go back when more is known. Rules see no time go
back: a reading dated before the newest of its board has that one's time for them.
"""

import math
from struct import iter_unpack, unpack_from

from pyv_edge_core.host_event import Loss
from pyv_edge_core.message_to_host import GAP_CAUSES
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.reading import QUALITY_BAD, STREAM_EVENTS, Channel
from pyv_edge_core.record_ring import RECORD_FORMAT, RECORD_SIZE

from .alerting import Alerting
from .dating import TimedBatch
from .recent import Recent
from .series import AGENT_CHANNEL, Plan, Series, Source, make_plan
from .store import TIME_ESTIMATED, TIME_GOOD, TIME_QUALITY_SHIFT, TIME_SENDER, WriteBatch
from .submission import Sample
from .timeline import ERROR_MS_MAX
from .types import SensorReading

# By more than this a board's readings don't go back: what was so far ahead is forgotten.
AHEAD_MS = 60_000
UNKNOWN_CHANNEL = "unknown channel"


class Pipeline:
    """Applies one configuration to readings."""

    def __init__(
        self, privacy: PrivacyPolicy, buffers: dict[str, Recent], alerting: Alerting
    ) -> None:
        """Use `privacy`, a buffer per device, and the rules of `alerting`."""
        self.readings_total = 0
        self.denied_total = 0
        self.aggregated_total = 0  # known in summaries only
        self.unbuffered_total = 0  # stored, and too large for the buffers in memory
        self.misplaced_total = 0  # batches that did not continue their stream
        self.alerting = alerting
        self.privacy = privacy
        self._buffers = buffers

    def adopt(self, privacy: PrivacyPolicy, alerting: Alerting) -> None:
        """Go on by another policy and other rules; all channels must be planned anew."""
        self.privacy = privacy
        self.alerting = alerting

    def plan(self, alias: str, channel: Channel) -> Plan:
        """Return what becomes of a board's channel."""
        return make_plan(self.privacy, alias, channel)

    def plan_fed(self, alias: str, name: str, unit: str) -> Plan:
        """Return what becomes of a channel of a device that is no board; "" if it has only one."""
        channel = Channel(AGENT_CHANNEL, "", 0)
        if name:
            channel.name = name
        channel.unit = unit  # these may be anything, a board's may not
        return make_plan(self.privacy, alias, channel, is_float=True)

    def add_batch(self, source: Source, batch: TimedBatch, now_ms: int, out: WriteBatch) -> bool:
        """Add a board's records to `out`; return False, adding nothing, if they are misplaced."""
        if batch.first_seq != source.next_seq[batch.stream]:
            self.misplaced_total += 1
            return False
        progress = out.stream(source.boot_id, batch.stream, batch.first_seq)
        assert progress.next_seq == batch.first_seq  # one source per boot: see Ingest._welcome
        count = batch.count
        if batch.stream == STREAM_EVENTS:
            stored, denied, aggregated = self._add_events(source, batch, out)
        else:
            stored, denied, aggregated = self._add_readings(source, batch, now_ms, out)
            progress.newest_ms = source.newest_ms
            if batch.records and batch.error_ms < ERROR_MS_MAX:
                progress.floor_ms = _floor_ms(batch)
                if out.segment.is_synchronised:
                    error_ms = _error_ms(batch, out) - batch.error_ms
                    progress.floor_utc_ms = progress.floor_ms + out.segment.offset_ms - error_ms
        lost = count - stored - denied - aggregated
        progress.move(stored=stored, denied=denied, lost=lost, aggregated=aggregated)
        source.next_seq[batch.stream] = progress.next_seq
        self.readings_total += count
        self.denied_total += denied
        self.aggregated_total += aggregated
        return True

    def _add_readings(
        self, source: Source, batch: TimedBatch, now_ms: int, out: WriteBatch
    ) -> tuple[int, int, int]:
        """Return how many are stored, denied and aggregated."""
        table, table_size = source.series, len(source.series)
        before = len(out.readings)
        add_row = out.readings.append
        boot_id, stream = source.boot_id, batch.stream
        segment = out.segment
        offset_ms, rule_shift_ms = segment.offset_ms, segment.rule_shift_ms
        error_ms = _error_ms(batch, out)
        time_quality = _time_quality(batch, out)
        time_flags = time_quality << TIME_QUALITY_SHIFT
        first_ms = batch.base_ms
        if batch.records:  # a base may be an hour older
            first_ms = _taken_ms(first_ms, batch.records, 0)
        newest_ms = first_ms + offset_ms  # UTC
        if source.newest_ms is not None and source.newest_ms - first_ms < AHEAD_MS:
            newest_ms = source.newest_ms + offset_ms
        numbers: list[float] = []  # what is stored and good, in its unit, for the buffer
        times_ms: list[int] = []
        seq = batch.first_seq - 1
        denied = aggregated = 0
        for base_ms, records in batch.blocks:
            base_utc_ms = base_ms + offset_ms
            for index, flags, span, value in iter_unpack(RECORD_FORMAT, records):
                seq += 1
                if index >= table_size:
                    self._add_unknown(source, batch.stream, seq, base_utc_ms, out)
                    continue
                series = table[index]
                quality = flags & 3
                if quality > QUALITY_BAD:
                    quality = QUALITY_BAD
                utc_ms = base_utc_ms + ((flags >> 2) << 16 | span)
                is_kept = True
                if series.is_guarded:
                    plan = series.plan
                    if not plan.gate.is_open:
                        denied += 1
                        continue
                    if plan.gate.is_hidden:
                        quality = QUALITY_BAD
                    # What a bad reading has for a value is nothing that a policy could judge.
                    value = 0 if quality == QUALITY_BAD else plan.gate.value(value)
                    is_kept = not plan.is_aggregated
                if is_kept:
                    marked = quality | time_flags
                    add_row(
                        (series.channel_id, boot_id, stream, seq, utc_ms, error_ms, marked, value)
                    )
                    if utc_ms > newest_ms:
                        newest_ms = utc_ms
                    if quality != QUALITY_BAD:
                        divisor = series.divisor
                        numbers.append(value / divisor if divisor else series.number(value))
                        times_ms.append(utc_ms)
                else:
                    is_bad = quality == QUALITY_BAD
                    out.summarise(series.channel_id, utc_ms, value, is_bad, time_quality)
                    aggregated += 1
                if series.watch is not None:
                    time_ms = (utc_ms if utc_ms > newest_ms else newest_ms) - rule_shift_ms
                    self.alerting.update(boot_id, series, now_ms, time_ms, value, quality, out)
        stored = len(out.readings) - before
        if stored:
            source.newest_ms = newest_ms - offset_ms
        self._remember(source.alias, numbers, times_ms)
        return stored, denied, aggregated

    def _remember(self, alias: str, numbers: list[float], times_ms: list[int]) -> None:
        buffer = self._buffers.get(alias)
        if buffer is not None:
            self.unbuffered_total += buffer.extend(numbers, times_ms)

    def _add_events(
        self, source: Source, batch: TimedBatch, out: WriteBatch
    ) -> tuple[int, int, int]:
        """Return how many of a board's alerts are stored and denied; none is aggregated."""
        seq = batch.first_seq - 1
        time_quality = _time_quality(batch, out)
        stored = denied = 0
        for base_ms, records in batch.blocks:
            base_utc_ms = base_ms + out.segment.offset_ms
            for index, flags, span, value in iter_unpack(RECORD_FORMAT, records):
                seq += 1
                alert = source.alerts.get(index)
                if alert is None:
                    self._add_unknown(source, batch.stream, seq, base_utc_ms, out)
                elif not alert.series.plan.gate.has_values:
                    denied += 1  # as the host's own rules are not about it
                else:
                    utc_ms = base_utc_ms + ((flags >> 2) << 16 | span)
                    self.alerting.add_board_event(
                        source.boot_id, alert, seq, flags, utc_ms, value, time_quality, out
                    )
                    stored += 1
        return stored, denied, 0

    @staticmethod
    def _add_unknown(
        source: Source, stream: int, seq: int, base_utc_ms: int, out: WriteBatch
    ) -> None:
        """Note a record that names nothing in the board's table: as good as lost."""
        lost = (source.boot_id, stream, seq, seq)
        out.gaps.append((*lost, UNKNOWN_CHANNEL, base_utc_ms, out.segment.time_quality))

    def add_reading(
        self,
        source: Source,
        reading: SensorReading,
        quality: int,
        now_ms: int,
        out: WriteBatch,
    ) -> bool:
        """Add a reading that the agent took itself; return False if the policy drops it.

        Its timestamp is UTC of the time segment in force.
        """
        denied_before = self.denied_total
        # Callers may have a policy of their own, which judges readings as a whole.
        allowed = self.privacy.evaluate(reading)
        value = reading.value if allowed is None else allowed.value
        sample = Sample("", value, None, reading.unit, quality)
        taken_ms = round(reading.timestamp * 1000) - out.segment.offset_ms
        self._add_fed(source, source.series[:1], [sample], taken_ms, now_ms, out)
        return self.denied_total == denied_before

    def add_samples(
        self,
        source: Source,
        samples: list[Sample],
        taken_ms: int,
        now_ms: int,
        out: WriteBatch,
    ) -> None:
        """Add what an adapter has submitted at `taken_ms`; `source` has all its channels."""
        places, table = source.places, source.series
        series = [table[places[one[0], one[3]]] for one in samples]
        self._add_fed(source, series, samples, taken_ms, now_ms, out)

    def _add_fed(
        self,
        source: Source,
        table: list[Series],
        samples: list[Sample],
        taken_ms: int,
        now_ms: int,
        out: WriteBatch,
    ) -> None:
        """Add `samples`, each of the series at its place in `table`."""
        rows, boot_id, segment = out.readings, source.boot_id, out.segment
        here_ms = taken_ms + segment.offset_ms
        seq = source.next_seq[0]
        progress = out.stream(boot_id, 0, seq)
        numbers: list[float] = []  # what is stored and good, for the buffer
        times_ms: list[int] = []
        stored = denied = aggregated = 0
        for series, (_, value, sent_ms, _, quality) in zip(table, samples, strict=True):
            plan = series.plan
            gate = plan.gate
            seq += 1
            if not gate.is_open:
                denied += 1
                continue
            if gate.is_hidden or not math.isfinite(value):
                quality = QUALITY_BAD
            is_bad = quality == QUALITY_BAD
            if is_bad:
                value = 0.0
            elif plan.is_guarded:
                value = float(gate.value(value))
            if sent_ms is None:
                utc_ms, error_ms, time_quality = here_ms, out.clock_error_ms, segment.time_quality
                rule_ms = here_ms - segment.rule_shift_ms
            else:
                utc_ms, error_ms, time_quality = sent_ms, 0, TIME_SENDER
                # Its clock may be ahead: rules know nothing of what is to come.
                rule_ms = min(sent_ms - segment.rule_shift_ms, now_ms)
            if plan.is_aggregated:
                out.summarise(series.channel_id, utc_ms, value, is_bad, time_quality)
                aggregated += 1
            else:
                marked = quality | time_quality << TIME_QUALITY_SHIFT
                rows.append(
                    (series.channel_id, boot_id, 0, seq - 1, utc_ms, error_ms, marked, value)
                )
                stored += 1
                if not is_bad:
                    numbers.append(value)
                    times_ms.append(utc_ms)
            if series.watch is not None:
                self.alerting.update(boot_id, series, now_ms, rule_ms, value, quality, out)
        self._remember(source.alias, numbers, times_ms)
        progress.move(stored=stored, denied=denied, aggregated=aggregated)
        source.next_seq[0] = seq
        self.readings_total += len(samples)
        self.denied_total += denied
        self.aggregated_total += aggregated

    def add_loss(self, source: Source, loss: Loss, utc_ms: int, out: WriteBatch) -> bool:
        """Add a gap record to `out`; return False, adding nothing, if it is misplaced."""
        if loss.first_seq != source.next_seq[loss.stream]:
            self.misplaced_total += 1
            return False
        cause = GAP_CAUSES[loss.cause] if loss.cause < len(GAP_CAUSES) else f"cause {loss.cause}"
        progress = out.stream(source.boot_id, loss.stream, loss.first_seq)
        progress.move(lost=loss.last_seq - loss.first_seq + 1)
        source.next_seq[loss.stream] = progress.next_seq
        lost = (source.boot_id, loss.stream, loss.first_seq, loss.last_seq)
        out.gaps.append((*lost, cause, utc_ms, out.segment.time_quality))
        return True


def _error_ms(batch: TimedBatch, out: WriteBatch) -> int:
    """Return how far the times of a board's readings may be from UTC as this computer knows it."""
    return batch.error_ms + out.clock_error_ms + out.segment.drift_ms(batch.base_ms)


def _time_quality(batch: TimedBatch, out: WriteBatch) -> int:
    """Return what the times of a board's readings are worth.

    What an unset clock has dated is corrected with it, estimated or not.
    """
    quality = out.segment.time_quality
    return TIME_ESTIMATED if batch.is_estimated and quality == TIME_GOOD else quality


def _floor_ms(batch: TimedBatch) -> int:
    """Return when, monotonic, the newest of a batch was taken at the earliest."""
    base_ms, records = batch.blocks[-1]
    return _taken_ms(base_ms, records, len(records) - RECORD_SIZE) - batch.error_ms


def _taken_ms(base_ms: int, records: bytes, offset: int) -> int:
    """Return when, monotonic, the record at an offset was taken."""
    _, flags, span, _ = unpack_from(RECORD_FORMAT, records, offset)
    return int(base_ms + ((flags >> 2) << 16 | span))
