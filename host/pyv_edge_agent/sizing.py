"""How much disk and card readings take, from figures that were measured.

Measured with 16 channels of a board, SQLite 3.40, 1 KiB pages, synchronous=FULL, upkeep and
one sink that acknowledges. OPERATIONS.md has the table that `make docs` takes from here;
`make bench NAMES=store.disk_bytes_per_reading` measures its row of 100 a second again.
"""

from bisect import bisect
from dataclasses import dataclass

from .store.write_batch import PERIODS_MS

# (readings of a commit, bytes that it writes to the disk, checkpoints included)
COMMIT_SIZES = (
    *((1, 7780), (3, 8090), (10, 9280), (30, 12_520), (100, 17_990), (300, 31_660)),
    *((500, 45_080), (1000, 78_040)),
)
SINK_SIZE = 1100  # of them, the acknowledgements of sinks, if there is one
READING_SIZE = 29.8  # bytes in the file
SUMMARY_SIZE = 60  # the same of a summary; less for integers, more for floats
AMPLIFICATION = 20  # bytes that a card writes for one that it is given in small pieces

PAGE_KB = 4  # of a board's flash: a page, and what is erased at once
PAGE_READINGS = 448  # of a full page, in blocks of 16
PAGE_BLOCKS = 2  # erased for a page: its own, and what LittleFS notes of it and of its end

DAY_S = 86_400
YEAR_DAYS = 365
_DAY_MS = DAY_S * 1000
GIGABYTE = 1e9


@dataclass(frozen=True)
class Load:
    """What is to be stored, and how often it is committed."""

    rate_hz: float  # readings a second in all
    channels: int = 16
    commit_interval_ms: int = 1000
    commit_max: int = 500
    has_sink: bool = True

    @property
    def commit_rows(self) -> float:
        """Readings of a commit; there is none without a reading."""
        waited = self.rate_hz * self.commit_interval_ms / 1000
        return min(max(waited, 1.0), float(self.commit_max))

    @property
    def commits_per_s(self) -> float:
        """How often there is one."""
        return self.rate_hz / self.commit_rows

    @property
    def written_per_reading(self) -> float:
        """Bytes that the disk is given for a reading."""
        size = _commit_size(self.commit_rows) - (0 if self.has_sink else SINK_SIZE)
        return size / self.commit_rows

    @property
    def written_per_day(self) -> float:
        """Bytes that the disk is given in a day."""
        return self.written_per_reading * self.rate_hz * DAY_S

    @property
    def summaries_per_day(self) -> float:
        """Bytes that the summaries of a day take in the file."""
        rows = sum(_DAY_MS // period_ms for period_ms in PERIODS_MS) * self.channels
        return rows * SUMMARY_SIZE

    @property
    def stored_per_day(self) -> float:
        """Bytes that the readings of a day take in the file, without summaries."""
        return self.rate_hz * DAY_S * READING_SIZE

    @property
    def file_per_day(self) -> float:
        """Bytes by which the file grows in a day."""
        return self.stored_per_day + self.summaries_per_day


def _commit_size(rows: float) -> float:
    """Return the bytes that a commit of so many readings writes, between what was measured."""
    counts = [count for count, _ in COMMIT_SIZES]
    # Below the first and behind the last it goes on as beside it.
    place = min(max(bisect(counts, rows), 1), len(counts) - 1)
    (low, low_size), (high, high_size) = COMMIT_SIZES[place - 1 : place + 1]
    return low_size + (rows - low) * (high_size - low_size) / (high - low)


def card_years(
    load: Load, card_gb: float, cycles: int, amplification: float = AMPLIFICATION
) -> float:
    """Return for how long a card lasts that can be written as a whole so many times."""
    return card_gb * GIGABYTE * cycles / (load.written_per_day * amplification * YEAR_DAYS)


def days_of_room(load: Load, room_size: float) -> float:
    """Return how many days of readings fit into so many bytes of file."""
    return room_size / load.file_per_day


def ring_s(capacity: int, rate_hz: float) -> float:
    """Return for how many seconds a board's ring holds what it samples."""
    return capacity / rate_hz


def spill_readings(size_kb: int) -> int:
    """Return how many readings the pages on a board's flash hold, beside its channel table."""
    return max(0, size_kb // PAGE_KB - 1) * PAGE_READINGS


def page_hours(pages_per_day: int, rate_hz: float) -> float:
    """Return for how many hours of a day a board without its host can write all it samples."""
    return min(24.0, pages_per_day * PAGE_READINGS / rate_hz / 3600)


def flash_years(flash_kb: int, cycles: int, pages_per_day: int) -> float:
    """Return for how long a board's file system lasts if it never has its host."""
    blocks = flash_kb // PAGE_KB
    return blocks * cycles / (pages_per_day * PAGE_BLOCKS * YEAR_DAYS)


def show_size(size: float) -> str:
    """Return bytes as people say them, with two digits that mean something."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor * 0.995:
            return f"{_two_digits(size / factor)} {unit}"
    return f"{_two_digits(size)} bytes"


def _two_digits(number: float) -> str:
    rounded = float(f"{number:.2g}")
    return f"{rounded:.1f}" if rounded < 10 and rounded % 1 else f"{rounded:.0f}"


def show_time(time_s: float) -> str:
    """Return seconds as people say how long something lasts."""
    for unit, factor in (
        *(("years", YEAR_DAYS * DAY_S), ("days", DAY_S), ("hours", 3600.0), ("minutes", 60.0)),
    ):
        if time_s >= 2 * factor:
            return f"{_two_digits(time_s / factor)} {unit}"
    return f"{_two_digits(time_s)} seconds"
