"""When the readings of a link's batches were taken, in UTC."""

from dataclasses import dataclass

from pyv_edge_core.host_event import Batch, TimeExchange

from .clock import Clock
from .timeline import Timeline

TIMELINES_MAX = 2


@dataclass(frozen=True)
class TimedBatch:
    """A Batch whose base time is in UTC."""

    stream: int
    first_seq: int
    base_utc_ms: int
    error_ms: int | None  # None: the offset to UTC is not known yet
    records: bytes
    boot: int


class Dating:
    """The timelines of the boots that a link has last heard of."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timelines: dict[int, Timeline] = {}  # by boot: the current one and the one before

    @property
    def disagreements_total(self) -> int:
        """Exchanges that contradicted the ones before."""
        return sum(line.disagreements_total for line in list(self._timelines.values()))

    def learn(self, exchange: TimeExchange) -> None:
        """Take a time exchange with a board."""
        timeline = self._timelines.get(exchange.boot)
        if timeline is None:
            while len(self._timelines) >= TIMELINES_MAX:
                del self._timelines[next(iter(self._timelines))]  # the oldest
            timeline = self._timelines[exchange.boot] = Timeline()
        uptime_ms = exchange.uptime_s * 1000 + exchange.uptime_ms
        timeline.exchange(uptime_ms, exchange.sent_ms, exchange.received_ms)

    def timed(self, batch: Batch) -> TimedBatch:
        """Return `batch` with its time."""
        now_ms = self._clock.monotonic_ms()
        base_utc_ms = self._clock.utc_ms()
        error_ms = None  # no answer has come yet: the best guess is that it was just now
        timeline = self._timelines.get(batch.boot)
        moment = None
        if timeline is not None:
            moment = timeline.at(batch.base_s * 1000 + batch.base_ms)
        if moment is not None:
            base_utc_ms += moment[0] - now_ms
            error_ms = moment[1]
        return TimedBatch(
            batch.stream, batch.first_seq, base_utc_ms, error_ms, batch.records, batch.boot
        )
