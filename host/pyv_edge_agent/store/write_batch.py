"""What is to be stored in one transaction: gathered in memory, written at once.

Group commit is what makes synchronous=FULL cheap: an SD card pays per commit,
not per reading.
"""

from dataclasses import dataclass, field
from typing import Any

# (channel_id, boot_id, stream, seq, utc_ms, error_ms or None, quality, value)
ReadingRow = tuple[int, int, int, int, int, "int | None", int, float]
# (channel_id, boot_id, rule, severity, utc_ms, value, message)
EventRow = tuple[int, int, str, str, int, float, str]
# (boot_id, stream, first_seq, last_seq, cause, utc_ms)
GapRow = tuple[int, int, int, int, str, int]
# (sampled_total, dropped_total, late_total, sensor_errors_total, is_finished, utc_ms)
VitalsRow = tuple[int, int, int, int, bool, int]


@dataclass
class Progress:
    """How far one stream moves: every number in [first_seq, next_seq) is accounted for."""

    first_seq: int
    next_seq: int
    stored: int = 0
    denied: int = 0
    lost: int = 0

    def move(self, *, stored: int = 0, denied: int = 0, lost: int = 0) -> None:
        """Account for the next numbers."""
        self.stored += stored
        self.denied += denied
        self.lost += lost
        self.next_seq += stored + denied + lost


@dataclass
class WriteBatch:
    """Rows of one transaction. Empty again once they are stored."""

    readings: list[ReadingRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    gaps: list[GapRow] = field(default_factory=list)
    vitals: dict[int, VitalsRow] = field(default_factory=dict)  # by boot_id
    progress: dict[tuple[int, int], Progress] = field(default_factory=dict)  # by boot_id, stream
    items: list[tuple[str, int, float, int]] = field(default_factory=list)  # see sync_queue

    def __len__(self) -> int:
        return len(self.readings) + len(self.events) + len(self.gaps)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to store."""
        return not (len(self) or self.vitals or self.progress or self.items)

    def stream(self, boot_id: int, stream: int, next_seq: int) -> Progress:
        """Return the progress of a stream, which so far is stored below `next_seq`."""
        progress = self.progress.get((boot_id, stream))
        if progress is None:
            progress = self.progress[boot_id, stream] = Progress(next_seq, next_seq)
        return progress

    def vitals_rows(self) -> list[tuple[Any, ...]]:
        """Return the vitals as parameters of an update, boot_id last."""
        return [(*row, boot_id) for boot_id, row in self.vitals.items()]
