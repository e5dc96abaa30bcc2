"""The ledger: what became of every reading, and whether it adds up.

Per boot of a device
    sampled = stored + denied + aggregated + lost + reset + in flight
    stored = present + expired + evicted
and per sink
    stored = acknowledged + withheld + dead + evicted + missed + pending.

What is lost and what is evicted is in gap records.

A board's own policy denies what is sampled and never numbered; the host's, what
arrives. Events of a board are stored in their own table.

`present` is counted in the table of readings itself, `pending` behind each sink's cursor.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyv_edge_core.reading import STREAM_NAMES, STREAM_TELEMETRY

from ..clock import Clock
from .connection import connect_reader, store_error, time_limit
from .removal import CAUSES_AFTER_STORING
from .sink_row import read_plan


@dataclass(frozen=True)
class BootAccount:
    """One stream of one boot."""

    device: str
    boot: str
    stream: str
    sampled: int  # by the device's own count; at least what has arrived
    stored: int  # ever
    present: int  # rows
    expired: int  # of the stored, removed by age, behind every sink
    evicted: int  # of the stored, removed for want of room, or lost with a damaged file
    denied: int  # dropped by the privacy policy, of the device or here
    aggregated: int  # known in summaries only
    lost: int  # numbers inside gap records
    reset: int  # sampled, not arrived here, and gone with the memory of a board that has booted
    in_flight: int  # sampled, and not arrived here
    duplicates: int  # rows that share a number
    late: int  # measurements the device says it missed: never sampled, so in no other figure
    is_finished: bool  # the device says it samples no more
    # False: it is over, and has counted for the last time some while before: power has gone, or
    # it crashed. Then `sampled` and `reset` are what is known, and may be too low.
    is_end_known: bool
    is_balanced: bool


@dataclass(frozen=True)
class SinkAccount:
    """How far one sink has the readings."""

    name: str
    acknowledged: int
    withheld: int  # kept back by the privacy policy, or not to be sent
    dead: int  # refused for what they are
    evicted: int  # gone for want of room before they were sent
    missed: int  # gone before the store knew of this sink
    pending: int  # rows
    is_balanced: bool


@dataclass(frozen=True)
class Ledger:
    """The accounts of one store."""

    boots: list[BootAccount] = field(default_factory=list)
    sinks: list[SinkAccount] = field(default_factory=list)
    events: int = 0
    gaps: int = 0
    items: int = 0  # queued beside the readings, not yet delivered
    strays: int = 0  # readings and events of no boot

    def total(self, name: str) -> int:
        """Return the sum of a column over the readings of all boots; events are no readings."""
        name_of_readings = STREAM_NAMES[STREAM_TELEMETRY]
        return sum(getattr(boot, name) for boot in self.boots if boot.stream == name_of_readings)

    @property
    def is_balanced(self) -> bool:
        """Whether every equation holds."""
        boots = all(boot.is_balanced for boot in self.boots)
        return boots and not self.strays and all(sink.is_balanced for sink in self.sinks)

    def to_dict(self) -> dict[str, Any]:
        """Return the totals and the accounts as JSON types."""
        names = (
            *("sampled", "stored", "denied", "aggregated", "lost", "reset", "in_flight"),
            *("present", "expired", "evicted", "duplicates", "late"),
        )
        return {
            **{name: self.total(name) for name in names},
            "withheld": sum(sink.withheld for sink in self.sinks),
            "dead": sum(sink.dead for sink in self.sinks),
            "gaps": self.gaps,
            "events": self.events,
            "queued_items": self.items,
            "strays": self.strays,
            "balanced": self.is_balanced,
            "boots": [vars(boot) for boot in self.boots],
            "sinks": [vars(sink) for sink in self.sinks],
        }


_BOOTS = """
SELECT device.name, boot.boot, boot.id, stream.stream, sampled_total, boot.denied_total,
       late_total, is_finished, is_end_known, boot.board,
       next_seq, stored_total, stream.denied_total, aggregated_total, lost_total, expired_total,
       evicted_total,
       (SELECT coalesce(sum(last_seq - first_seq + 1), 0) FROM gap
        WHERE gap.boot_id = boot.id AND gap.stream = stream.stream AND cause NOT IN ({after})),
       (SELECT coalesce(sum(count), 0) FROM gap
        WHERE gap.boot_id = boot.id AND gap.stream = stream.stream AND cause NOT IN ({after})),
       (SELECT coalesce(sum(count), 0) FROM gap
        WHERE gap.boot_id = boot.id AND gap.stream = stream.stream AND cause IN ({after}))
FROM boot JOIN device ON device.id = device_id
JOIN stream ON stream.boot_id = boot.id AND (stream.stream = 0 OR next_seq > 0)
ORDER BY device.name, boot.id, stream.stream
""".format(after=", ".join(f"'{cause}'" for cause in CAUSES_AFTER_STORING))


_COUNTED = """
SELECT boot_id, stream, count(*), count(DISTINCT seq),
       count(*) FILTER (WHERE channel_id NOT IN (SELECT id FROM channel))
FROM reading GROUP BY boot_id, stream
UNION ALL
SELECT boot_id, 1, count(*), count(DISTINCT seq),
       count(*) FILTER (WHERE channel_id NOT IN (SELECT id FROM channel))
FROM event WHERE seq IS NOT NULL GROUP BY boot_id
"""

_LAST_ID = """
SELECT (SELECT max(id) FROM reading), (SELECT max(last_id) FROM block),
       (SELECT json_extract(value, '$[1]') FROM meta WHERE key = 'sealed'),
       (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'floor_id')
"""

_SINKS = """
SELECT name, cursor, acknowledged_total, withheld_total, dead_total, evicted_total, missed_total,
       plan
FROM sink ORDER BY name
"""


def read_ledger(path: str | Path) -> Ledger:
    """Return the ledger of the store at `path`, of one moment. Raises StoreError.

    Reads every row: seconds for millions.
    """
    with _reading(Path(path)) as connection:
        return read_open(connection)


def read_ledger_within(path: str | Path, clock: Clock, within_ms: int) -> Ledger | None:
    """Return the same, None if that takes more than so many milliseconds. Raises StoreError."""
    with _reading(Path(path)) as connection:
        try:
            with time_limit(connection, clock, within_ms):
                return read_open(connection)
        except TimeoutError:
            return None


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect_reader(path)) as connection:
        try:
            connection.execute("BEGIN")
            yield connection
        except sqlite3.Error as error:
            raise store_error(path, error) from error


def stored_total(connection: sqlite3.Connection) -> int:
    """Return how many readings were ever stored."""
    row = connection.execute("SELECT sum(stored_total) FROM stream WHERE stream = 0").fetchone()
    return int(row[0] or 0)


def read_counters(path: str | Path) -> Ledger:
    """Return the ledger by its counters alone, whose rows nobody has counted. Raises StoreError.

    What is present is then what the counters say; nothing is known of duplicates and strays.
    """
    with _reading(Path(path)) as connection:
        return read_open(connection, is_counted=False)


def read_open(connection: sqlite3.Connection, *, is_counted: bool = True) -> Ledger:
    """Return the ledger of an open store, as its connection sees it; see `read_counters`."""
    counted: dict[tuple[int, int], tuple[int, int, int]] = {}
    for boot_id, stream, *counts in connection.execute(_COUNTED) if is_counted else ():
        counted[boot_id, stream] = (counts[0], counts[1], counts[2])
    boots = []
    latest = dict(
        connection.execute(
            "SELECT name, max(boot.id) FROM device JOIN boot"
            " ON device.id = device_id GROUP BY device.id"
        ).fetchall()
    )
    for row in connection.execute(_BOOTS):
        boot_id, stream = row[2:4]
        counts = counted.pop((boot_id, stream), None if not is_counted else (0, 0, 0))
        boots.append(_boot(row, counts, is_latest=boot_id == latest[row[0]]))
    account = _sink if is_counted else _sink_by_counters
    sinks = [account(connection, row) for row in connection.execute(_SINKS).fetchall()]
    events, gaps, items = [
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("event", "gap", "sync_queue")
    ]
    strays = sum(rows for rows, _, _ in counted.values())
    return Ledger(boots, sinks, events, gaps, items, strays)


def _boot(
    row: tuple[Any, ...], counts: tuple[int, int, int] | None, *, is_latest: bool
) -> BootAccount:
    """Return the account of a row of _BOOTS; `counts` is of its rows, None: by counters alone."""
    name, boot, _, stream, said, denied_there, late, is_finished, is_end_known, board = row[:10]
    next_seq, stored, denied, aggregated, lost, expired, evicted = row[10:17]
    gaps, said_lost, evictions = row[17:]
    present = stored - expired - evicted
    rows, distinct, orphans = (present, present, 0) if counts is None else counts
    if stream != STREAM_TELEMETRY:
        denied_there = 0
    # A device counts what it samples; what it says of events is how far they are numbered.
    sampled = max(said, next_seq + denied_there) if stream == STREAM_TELEMETRY else next_seq
    missing = sampled - next_seq - denied_there
    return BootAccount(
        device=name,
        boot=f"{boot:08x}",
        stream=STREAM_NAMES[stream],
        sampled=sampled,
        stored=stored,
        present=rows,
        expired=expired,
        evicted=evictions,
        denied=denied + denied_there,
        aggregated=aggregated,
        lost=gaps,
        reset=0 if is_latest else missing,
        in_flight=missing if is_latest else 0,
        duplicates=rows - distinct,
        late=late if stream == STREAM_TELEMETRY else 0,
        is_finished=bool(is_finished),
        # What the agent takes itself, it counts as it stores it.
        is_end_known=bool(is_latest or is_finished or is_end_known) or board == "agent",
        is_balanced=(
            rows == distinct == present
            and not orphans
            and lost == gaps == said_lost
            and evicted == evictions
            and next_seq == stored + denied + aggregated + gaps
        ),
    )


def _sink_by_counters(connection: sqlite3.Connection, row: tuple[Any, ...]) -> SinkAccount:
    name, _, acknowledged, withheld, dead, evicted, missed, _ = row
    done = acknowledged + withheld + dead + evicted + missed
    pending = stored_total(connection) - done
    return SinkAccount(name, acknowledged, withheld, dead, evicted, missed, pending, pending >= 0)


def _sink(connection: sqlite3.Connection, row: tuple[Any, ...]) -> SinkAccount:
    name, cursor, acknowledged, withheld, dead, evicted, missed, plan = row
    total = stored_total(connection)
    (pending,) = connection.execute(
        "SELECT count(*) FROM reading WHERE id > ?", (cursor,)
    ).fetchone()
    for first, last in read_plan(plan)[0]:
        pending -= connection.execute(
            "SELECT count(*) FROM reading WHERE id >= ? AND id <= ?", (first, last)
        ).fetchone()[0]
    is_balanced = total == acknowledged + withheld + dead + evicted + missed + pending
    row_of_end = connection.execute(_LAST_ID).fetchone()
    is_balanced = is_balanced and cursor <= max(one or 0 for one in row_of_end)
    return SinkAccount(name, acknowledged, withheld, dead, evicted, missed, pending, is_balanced)
