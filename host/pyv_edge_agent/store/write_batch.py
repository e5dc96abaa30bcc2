"""What is to be stored in one transaction: gathered in memory, written at once.

Group commit is what makes synchronous=FULL cheap: an SD card pays per commit,
not per reading.
"""

from dataclasses import dataclass, field
from typing import Any

from pyv_edge_core.window import Rollup

from .receipt import SourceId
from .time_segment import TIME_UNSET, TimeSegment

# (channel_id, boot_id, stream, seq, utc_ms, error_ms, quality | time quality << 2, value)
ReadingRow = tuple[int, int, int, int, int, int, int, float]
# (channel_id, boot_id, seq or None, rule, severity, state, utc_ms, value or None, message,
#  time quality)
EventRow = tuple[int, int, "int | None", str, str, str, int, "float | None", str, int]
# (boot_id, stream, first_seq, last_seq, cause, utc_ms, time quality)
GapRow = tuple[int, int, int, int, str, int, int]
# (sampled_total, denied_total, dropped_total, late_total, sensor_errors_total, is_finished,
#  utc_ms)
VitalsRow = tuple[int, int, int, int, int, bool, int]
# (channel_id, period_ms, start_ms, count, bad_count, low, high, total, last, last_ms, unset_id)
SummaryRow = tuple[int, int, int, int, int, float, float, float, float, int, int]

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
PERIODS_MS = (MINUTE_MS, HOUR_MS)  # of the summaries


@dataclass
class Progress:
    """How far one stream moves: every number in [first_seq, next_seq) is accounted for."""

    first_seq: int
    next_seq: int
    stored: int = 0
    denied: int = 0
    lost: int = 0
    aggregated: int = 0  # known in summaries only
    newest_ms: int | None = None  # monotonic: of the newest reading; None: as before
    # The newest was taken then, or later: in UTC, and monotonic; None: as before.
    floor_utc_ms: int | None = None
    floor_ms: int | None = None

    def move(
        self, *, stored: int = 0, denied: int = 0, lost: int = 0, aggregated: int = 0
    ) -> None:
        """Account for the next numbers."""
        self.stored += stored
        self.denied += denied
        self.lost += lost
        self.aggregated += aggregated
        self.next_seq += stored + denied + lost + aggregated


@dataclass
class WriteBatch:
    """Rows of one transaction, dated by one time segment. Empty again once they are stored."""

    segment: TimeSegment = field(default_factory=TimeSegment)
    clock_error_ms: int = 0  # how far UTC may be from what that says
    readings: list[ReadingRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    gaps: list[GapRow] = field(default_factory=list)
    vitals: dict[int, VitalsRow] = field(default_factory=dict)  # by boot_id
    progress: dict[tuple[int, int], Progress] = field(default_factory=dict)  # by boot_id, stream
    items: list[tuple[str, int, float, int]] = field(default_factory=list)  # see sync_queue
    rule_states: dict[int, str | None] = field(default_factory=dict)  # JSON by channel_id
    # by channel_id, period_ms, unset_id
    rollups: dict[tuple[int, int, int], Rollup] = field(default_factory=dict)
    receipts: dict[SourceId, list[bytes]] = field(default_factory=dict)  # see receipt.py
    positions: dict[SourceId, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.readings) + len(self.events) + len(self.gaps)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to store."""
        others = (self.vitals, self.progress, self.items, self.rule_states)
        return not (len(self) or any(others) or self.receipts or self.positions)

    @property
    def unset_id(self) -> int:
        """The time segment that dates these rows, 0 if what it says is right."""
        return self.segment.id if self.segment.time_quality == TIME_UNSET else 0

    def stream(self, boot_id: int, stream: int, next_seq: int) -> Progress:
        """Return the progress of a stream, which so far is stored below `next_seq`."""
        progress = self.progress.get((boot_id, stream))
        if progress is None:
            progress = self.progress[boot_id, stream] = Progress(next_seq, next_seq)
        return progress

    def summarise(
        self, channel_id: int, utc_ms: int, value: float, is_bad: bool, time_quality: int
    ) -> None:
        """Add a reading, which itself is not stored, to the summaries of its channel."""
        unset_id = self.segment.id if time_quality == TIME_UNSET else 0
        for period_ms in PERIODS_MS:
            key = (channel_id, period_ms, unset_id)
            if key not in self.rollups:
                self.rollups[key] = Rollup(period_ms)
            self.rollups[key].add(utc_ms, value, is_bad)

    def summary_rows(self) -> list[SummaryRow]:
        """Return what is new in each bucket."""
        return [
            (
                *(channel_id, period_ms, start_ms, one.count, one.bad_count),
                *(one.low, one.high, one.total, one.last, one.last_ms, unset_id),
            )
            for (channel_id, period_ms, unset_id), rollup in self.rollups.items()
            for start_ms, one in rollup.buckets()
        ]

    def vitals_rows(self) -> list[tuple[Any, ...]]:
        """Return the vitals as parameters of an update, boot_id last."""
        return [(*row, self.unset_id, boot_id) for boot_id, row in self.vitals.items()]
