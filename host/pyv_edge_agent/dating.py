"""When the readings of a link's batches were taken, on the host's monotonic clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import unpack_from

from pyv_edge_core.host_event import Batch, TimeExchange
from pyv_edge_core.reading import STREAM_TELEMETRY
from pyv_edge_core.record_ring import RECORD_FORMAT, RECORD_SIZE

from .over_timeline import OverTimeline
from .timeline import Timeline

TIMELINES_MAX = 2
# What is read at once and spans no more than this is dated together: by as much as two clocks may
# part in that time, a millisecond, its error is larger.
TOGETHER_MS_MAX = 2_000


@dataclass(frozen=True)
class TimedBatch:
    """Batches, one behind the other, whose base times are on the host's monotonic clock."""

    stream: int
    first_seq: int
    base_ms: int
    error_ms: int  # bound on the error of every record's time
    records: bytes
    boot: int
    is_estimated: bool = False  # its boot is over, and nobody knows for how long
    more: tuple[tuple[int, bytes], ...] = ()  # base time and records of those that follow

    @property
    def blocks(self) -> tuple[tuple[int, bytes], ...]:
        """Base time and records of each."""
        return ((self.base_ms, self.records), *self.more)

    @property
    def count(self) -> int:
        """How many records there are."""
        size = len(self.records)
        for _, records in self.more:
            size += len(records)
        return size // RECORD_SIZE


def _span_ms(records: bytes, offset: int) -> int:
    """Return how long after the base time the record at `offset` was taken."""
    _, flags, span, _ = unpack_from(RECORD_FORMAT, records, offset)
    return int((flags >> 2) << 16 | span)


class Dating:
    """The timelines of the boots that a link has last heard of."""

    def __init__(self) -> None:
        # By boot: the current one and the one before.
        self._timelines: dict[int, Timeline | OverTimeline] = {}
        self._welcomed: tuple[int, int | None, bool] | None = None  # the latest: see `welcomed`
        self._disagreements = 0  # of those that are forgotten
        self.undated_total = 0  # batches of boots whose time isn't known

    @property
    def disagreements_total(self) -> int:
        """Exchanges that contradicted the ones before."""
        known = sum(line.disagreements_total for line in list(self._timelines.values()))
        return self._disagreements + known

    def learn(self, exchange: TimeExchange) -> None:
        """Take a time exchange with a board."""
        # The latest goes last, so that the one to be forgotten is never the one in use.
        timeline = self._timelines.pop(exchange.boot, None)
        if timeline is None:
            timeline = Timeline() if exchange.end_ms < 0 else OverTimeline()
        while len(self._timelines) >= TIMELINES_MAX:
            forgotten = self._timelines.pop(next(iter(self._timelines)))
            self._disagreements += forgotten.disagreements_total
        self._timelines[exchange.boot] = timeline
        uptime_ms = exchange.uptime_s * 1000 + exchange.uptime_ms
        if isinstance(timeline, OverTimeline):
            timeline.exchange(uptime_ms, exchange.received_ms, exchange.end_ms)
        elif exchange.end_ms < 0:  # else it is known from its life, better than it could be now
            timeline.exchange(uptime_ms, exchange.sent_ms, exchange.received_ms)

    def welcomed(self, boot: int, after_ms: int | None, *, is_new: bool) -> None:
        """Note what the store knows of a boot's times; it counts for one that is over.

        See `OverTimeline.welcomed`.
        """
        self._welcomed = (boot, after_ms, is_new)  # its uptime may not be known yet

    def timed(self, batches: Sequence[Batch]) -> list[TimedBatch]:
        """Return batches of one boot and stream, which follow one another, with their time.

        An empty list if that boot's is not known. A session welcomes no board before it knows its
        uptime. But others may have greeted on the same line since, and only the latest two
        are remembered.
        """
        timeline = self._timelines.get(batches[0].boot)
        if timeline is None:
            self.undated_total += len(batches)
            return []
        if isinstance(timeline, OverTimeline):
            return [self._over(timeline, batch) for batch in batches]
        found, at = [], 0
        while at < len(batches):
            end = _together(batches, at)
            found.append(_dated(timeline, batches[at:end], is_estimated=False))
            at = end
        return found

    def _over(self, timeline: OverTimeline, batch: Batch) -> TimedBatch:
        if self._welcomed is not None and self._welcomed[0] == batch.boot:
            timeline.welcomed(self._welcomed[1], is_new=self._welcomed[2])
            self._welcomed = None
        if batch.stream == STREAM_TELEMETRY:
            timeline.first(_base_ms(batch) + _span_ms(batch.records, 0))
        return _dated(timeline, [batch], is_estimated=True)


def _base_ms(batch: Batch) -> int:
    return int(batch.base_s * 1000 + batch.base_ms)


def _ends_ms(batch: Batch) -> tuple[int, int]:
    """Return the uptimes of the first and of the last record."""
    base_ms, records = _base_ms(batch), batch.records
    return base_ms + _span_ms(records, 0), base_ms + _span_ms(records, len(records) - RECORD_SIZE)


def _together(batches: Sequence[Batch], at: int) -> int:
    """Return the end of those from `at` on that are dated together.

    By their records: frames out of one block of a board's ring have one base time.
    """
    first_ms, last_ms = _ends_ms(batches[at])
    end = at + 1
    while end < len(batches):
        next_ms, end_ms = _ends_ms(batches[end])
        if next_ms < last_ms or end_ms - first_ms > TOGETHER_MS_MAX:
            break
        last_ms = end_ms
        end += 1
    return end


def _dated(
    timeline: Timeline | OverTimeline, batches: Sequence[Batch], *, is_estimated: bool
) -> TimedBatch:
    first, last = batches[0], batches[-1]
    base_ms = _base_ms(first)
    bound = timeline.bound(_ends_ms(first)[0], _ends_ms(last)[1])
    assert bound is not None  # a timeline begins with an exchange
    offset_ms, error_ms = bound
    return TimedBatch(
        *(first.stream, first.first_seq, base_ms + offset_ms, error_ms, first.records, first.boot),
        is_estimated=is_estimated,
        more=tuple((_base_ms(one) + offset_ms, one.records) for one in batches[1:]),
    )
