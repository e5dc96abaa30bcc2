"""A sink's row in the store: how far it is, what is under way to it, what became of it all."""

import json
import sqlite3
from dataclasses import dataclass, field
from typing import Any

from .sink_range import Planned, SinkRange

BATCH_COUNT = 500  # readings of a batch, unless a sink says otherwise
COUNTERS = ("acknowledged", "withheld", "dead", "evicted", "missed")

_READ = """
SELECT name, cursor, acknowledged_total, withheld_total, dead_total, evicted_total,
       missed_total, plan FROM sink
"""

_WRITE = """
UPDATE sink SET cursor = ?, acknowledged_total = ?, withheld_total = ?, dead_total = ?,
                evicted_total = ?, missed_total = ?, plan = ? WHERE name = ?
"""


@dataclass
class SinkRow:
    """One sink: its row, and what is known of it in memory alone."""

    name: str
    range: SinkRange = field(default_factory=SinkRange)
    totals: dict[str, int] = field(default_factory=dict)  # of COUNTERS
    batch_count: int = BATCH_COUNT
    is_configured: bool = False  # someone sends; else it only holds its readings
    is_dirty: bool = False  # memory is ahead of the disk


def read_rows(tx: sqlite3.Connection) -> list[SinkRow]:
    """Return all sinks as they stand on the disk. Raises ValueError, sqlite3.Error."""
    found = []
    for name, cursor, *totals, plan in tx.execute(_READ).fetchall():
        acked, batches = read_plan(plan)
        named = dict(zip(COUNTERS, totals, strict=True))
        found.append(SinkRow(name, SinkRange(cursor, acked, batches), named))
    return found


def write_row(
    tx: sqlite3.Connection, name: str, stands: SinkRange, totals: dict[str, int]
) -> None:
    """Write how a sink stands. Raises sqlite3.Error."""
    counted = [totals[counter] for counter in COUNTERS]
    tx.execute(_WRITE, (stands.cursor, *counted, _plan(stands), name))


def _plan(stands: SinkRange) -> str:
    plan: dict[str, Any] = {}
    if stands.acked:
        plan["acked"] = stands.acked
    if stands.batches:
        plan["batches"] = [[one.first_id, one.last_id, one.key] for one in stands.batches]
    return json.dumps(plan, separators=(",", ":"))


def read_plan(text: str) -> tuple[list[tuple[int, int]], list[Planned]]:
    """Return what is acknowledged behind a cursor and what is under way. Raises ValueError."""
    try:
        saved = json.loads(text)
        acked = [(int(first), int(last)) for first, last in saved.get("acked", ())]
        batches = [Planned(int(a), int(b), str(key)) for a, b, key in saved.get("batches", ())]
    except (TypeError, AttributeError) as error:
        raise ValueError(f"the plan of a sink can't be read: {error}") from error
    return acked, batches
