"""When the readings of a link's batches were taken, on the host's monotonic clock."""

from dataclasses import dataclass
from struct import unpack_from

from pyv_edge_core.host_event import Batch, TimeExchange
from pyv_edge_core.reading import STREAM_TELEMETRY
from pyv_edge_core.record_ring import RECORD_FORMAT, RECORD_SIZE

from .over_timeline import OverTimeline
from .timeline import Timeline

TIMELINES_MAX = 2


@dataclass(frozen=True)
class TimedBatch:
    """A Batch whose base time is on the host's monotonic clock."""

    stream: int
    first_seq: int
    base_ms: int
    error_ms: int  # bound on the error of every record's time
    records: bytes
    boot: int
    is_estimated: bool = False  # its boot is over, and nobody knows for how long


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

    def timed(self, batch: Batch) -> TimedBatch | None:
        """Return `batch` with its time, None if its boot's is not known.

        A session welcomes no board before it knows its uptime. But others may have greeted
        on the same line since, and only the latest two are remembered.
        """
        timeline = self._timelines.get(batch.boot)
        if timeline is None:
            self.undated_total += 1
            return None
        base_ms = batch.base_s * 1000 + batch.base_ms
        records = batch.records
        first_ms, last_ms = _span_ms(records, 0), _span_ms(records, len(records) - RECORD_SIZE)
        is_estimated = isinstance(timeline, OverTimeline)
        if isinstance(timeline, OverTimeline):
            if self._welcomed is not None and self._welcomed[0] == batch.boot:
                timeline.welcomed(self._welcomed[1], is_new=self._welcomed[2])
                self._welcomed = None
            if batch.stream == STREAM_TELEMETRY:
                timeline.first(base_ms + first_ms)
        bound = timeline.bound(base_ms + first_ms, base_ms + last_ms)
        assert bound is not None  # a timeline begins with an exchange
        offset_ms, error_ms = bound
        return TimedBatch(
            *(batch.stream, batch.first_seq, base_ms + offset_ms, error_ms, records, batch.boot),
            is_estimated=is_estimated,
        )
