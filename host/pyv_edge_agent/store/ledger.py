"""The ledger: what became of every reading, and whether it adds up.

Per boot of a device
    sampled = stored + denied + aggregated + lost + reset + in flight
and per sink
    stored = acknowledged + withheld + pending.

A board's own policy denies what is sampled and never numbered; the host's, what
arrives. Events of a board are stored in their own table.

`stored` is counted in the table of readings itself, not taken from a counter.
"""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyv_edge_core.reading import STREAM_NAMES, STREAM_TELEMETRY

from ..errors import StoreError
from .schema import connect_reader


@dataclass(frozen=True)
class BootAccount:
    """One stream of one boot."""

    device: str
    boot: str
    stream: str
    sampled: int  # by the device's own count; at least what has arrived
    stored: int  # rows
    denied: int  # dropped by the privacy policy, of the device or here
    aggregated: int  # known in summaries only
    lost: int  # numbers inside gap records
    reset: int  # sampled, not arrived here, and gone with the memory of a board that has booted
    in_flight: int  # sampled, and not arrived here
    duplicates: int  # rows that share a number
    late: int  # measurements the device says it missed: never sampled, so in no other figure
    is_finished: bool  # the device says it samples no more
    is_balanced: bool


@dataclass(frozen=True)
class SinkAccount:
    """How far one sink has the readings."""

    name: str
    acknowledged: int
    withheld: int  # kept back by the privacy policy
    pending: int
    is_balanced: bool


@dataclass(frozen=True)
class Ledger:
    """The accounts of one store."""

    boots: list[BootAccount] = field(default_factory=list)
    sinks: list[SinkAccount] = field(default_factory=list)
    events: int = 0
    gaps: int = 0
    items: int = 0  # queued beside the readings, not yet delivered

    def total(self, name: str) -> int:
        """Return the sum of a column over the readings of all boots; events are no readings."""
        name_of_readings = STREAM_NAMES[STREAM_TELEMETRY]
        return sum(getattr(boot, name) for boot in self.boots if boot.stream == name_of_readings)

    @property
    def is_balanced(self) -> bool:
        """Whether every equation holds."""
        boots = all(boot.is_balanced for boot in self.boots)
        return boots and all(sink.is_balanced for sink in self.sinks)

    def to_dict(self) -> dict[str, Any]:
        """Return the totals and the accounts as JSON types."""
        names = (
            *("sampled", "stored", "denied", "aggregated", "lost", "reset", "in_flight"),
            *("duplicates", "late"),
        )
        return {
            **{name: self.total(name) for name in names},
            "withheld": sum(sink.withheld for sink in self.sinks),
            "gaps": self.gaps,
            "events": self.events,
            "queued_items": self.items,
            "balanced": self.is_balanced,
            "boots": [vars(boot) for boot in self.boots],
            "sinks": [vars(sink) for sink in self.sinks],
        }


_BOOTS = """
SELECT device.name, boot.boot, boot.id, stream.stream, sampled_total, boot.denied_total,
       late_total, is_finished, next_seq, stored_total, stream.denied_total, aggregated_total,
       lost_total,
       (SELECT coalesce(sum(last_seq - first_seq + 1), 0) FROM gap
        WHERE gap.boot_id = boot.id AND gap.stream = stream.stream)
FROM boot JOIN device ON device.id = device_id
JOIN stream ON stream.boot_id = boot.id AND (stream.stream = 0 OR next_seq > 0)
ORDER BY device.name, boot.id, stream.stream
"""


def read_ledger(path: str | Path) -> Ledger:
    """Return the ledger of the store at `path`, of one moment. Raises StoreError.

    Reads every row: seconds for millions.
    """
    connection = connect_reader(Path(path))
    try:
        connection.execute("BEGIN")
        return _read(connection)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    finally:
        connection.close()


def _read(connection: sqlite3.Connection) -> Ledger:
    counted = {
        (boot_id, stream): (rows, distinct)
        for boot_id, stream, rows, distinct in connection.execute(
            "SELECT boot_id, stream, count(*), count(DISTINCT seq) FROM reading"
            " GROUP BY boot_id, stream"
            " UNION ALL SELECT boot_id, 1, count(*), count(DISTINCT seq) FROM event"
            " WHERE seq IS NOT NULL GROUP BY boot_id"
        )
    }
    boots = []
    latest = dict(
        connection.execute(
            "SELECT name, max(boot.id) FROM device JOIN boot"
            " ON device.id = device_id GROUP BY device.id"
        ).fetchall()
    )
    for row in connection.execute(_BOOTS):
        name, boot, boot_id, stream, said, denied_there, late, is_finished = row[:8]
        next_seq, stored, denied, aggregated, lost, gaps = row[8:]
        rows, distinct = counted.get((boot_id, stream), (0, 0))
        if stream != STREAM_TELEMETRY:
            denied_there = 0
        # A device counts what it samples; what it says of events is how far they are numbered.
        sampled = max(said, next_seq + denied_there) if stream == STREAM_TELEMETRY else next_seq
        missing = sampled - next_seq - denied_there
        boots.append(
            BootAccount(
                device=name,
                boot=f"{boot:08x}",
                stream=STREAM_NAMES[stream],
                sampled=sampled,
                stored=rows,
                denied=denied + denied_there,
                aggregated=aggregated,
                lost=gaps,
                reset=0 if boot_id == latest[name] else missing,
                in_flight=missing if boot_id == latest[name] else 0,
                duplicates=rows - distinct,
                late=late if stream == STREAM_TELEMETRY else 0,
                is_finished=bool(is_finished),
                is_balanced=(
                    rows == distinct == stored
                    and lost == gaps
                    and next_seq == rows + denied + aggregated + gaps
                ),
            )
        )
    (last_id, total) = connection.execute(
        "SELECT coalesce(max(id), 0), count(*) FROM reading"
    ).fetchone()
    sinks = []
    for name, cursor, acknowledged, withheld in connection.execute(
        "SELECT name, cursor, acknowledged_total, withheld_total FROM sink"
    ).fetchall():
        (pending,) = connection.execute(
            "SELECT count(*) FROM reading WHERE id > ?", (cursor,)
        ).fetchone()
        is_balanced = total == acknowledged + withheld + pending and cursor <= last_id
        sinks.append(SinkAccount(name, acknowledged, withheld, pending, is_balanced))
    counts = [
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("event", "gap", "sync_queue")
    ]
    return Ledger(boots, sinks, *counts)
