"""The group commit: rows and resume points of one WriteBatch in one transaction."""

import json
import sqlite3
from itertools import chain
from typing import TYPE_CHECKING, Any

from pyv_edge_core.reading import STREAM_NAMES

from ..errors import MisplacedError
from .time_segment import TIME_GOOD, TIME_QUALITY_NAMES
from .write_batch import WriteBatch

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

_MOVE_STREAM = """
UPDATE stream SET next_seq = ?, stored_total = stored_total + ?, denied_total = denied_total + ?,
                  lost_total = lost_total + ?, aggregated_total = aggregated_total + ?,
                  newest_ms = coalesce(?, newest_ms),
                  floor_utc_ms = coalesce(?, floor_utc_ms), floor_ms = coalesce(?, floor_ms)
WHERE boot_id = ? AND stream = ? AND next_seq = ?
"""

_INSERT_READINGS = """
INSERT INTO reading (channel_id, boot_id, stream, seq, utc_ms, error_ms, quality, value) VALUES
"""
_READING = "(?, ?, ?, ?, ?, ?, ?, ?)"
# Python lets other threads run at each statement, and has to get its turn again behind it: with
# one that is busy, many small statements took six times as long.
_ROWS_MAX = 50  # of one statement
_INSERT_READING = _INSERT_READINGS + _READING
_INSERT_MANY = _INSERT_READINGS + ", ".join([_READING] * _ROWS_MAX)

_INSERT_READING_AT = """
INSERT INTO reading (id, channel_id, boot_id, stream, seq, utc_ms, error_ms, quality, value)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_INSERT_EVENT = """
INSERT INTO event (channel_id, boot_id, seq, rule, severity, state, utc_ms, value, message,
                   time_quality)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

INSERT_GAP = """
INSERT INTO gap (boot_id, stream, first_seq, last_seq, cause, utc_ms, time_quality, count)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""

# A later report never takes a counter back: reports can overtake one another.
_UPDATE_VITALS = """
UPDATE boot SET sampled_total = max(sampled_total, ?), denied_total = max(denied_total, ?),
                dropped_total = max(dropped_total, ?), late_total = max(late_total, ?),
                sensor_errors_total = max(sensor_errors_total, ?),
                is_finished = max(is_finished, ?), vitals_utc_ms = ?, vitals_unset_id = ?
WHERE id = ?
"""

MERGE_SUMMARY = """
INSERT INTO summary (channel_id, period_ms, start_ms, count, bad_count, low, high, total, last,
                     last_ms, unset_id, is_due)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
        (SELECT (sync & 2) <> 0 FROM channel WHERE id = ?1))
ON CONFLICT (period_ms, start_ms, channel_id, unset_id) DO UPDATE SET
  low = CASE WHEN excluded.count = 0 THEN low WHEN count = 0 THEN excluded.low
             ELSE min(low, excluded.low) END,
  high = CASE WHEN excluded.count = 0 THEN high WHEN count = 0 THEN excluded.high
              ELSE max(high, excluded.high) END,
  last = CASE WHEN excluded.count > 0 AND (count = 0 OR excluded.last_ms >= last_ms)
              THEN excluded.last ELSE last END,
  last_ms = CASE WHEN excluded.count > 0 AND (count = 0 OR excluded.last_ms >= last_ms)
                 THEN excluded.last_ms ELSE last_ms END,
  count = count + excluded.count,
  bad_count = bad_count + excluded.bad_count,
  total = total + excluded.total,
  is_due = max(is_due, excluded.is_due)
"""

# What `gap_payload` takes.
GAP_ROWS = """
SELECT gap.id, device.name, alias, boot.boot, stream, first_seq, last_seq, count, cause, utc_ms,
       time_quality
FROM gap JOIN boot ON boot.id = boot_id JOIN device ON device.id = device_id
"""

_UNQUEUED_GAPS = f"""
{GAP_ROWS} WHERE NOT is_queued AND gap.id <> ? ORDER BY gap.id LIMIT 500
"""

GAP_PRIORITY = 3  # as the readings that are missing


def write_batch(store: "SQLiteStore", tx: sqlite3.Connection, batch: WriteBatch) -> None:
    """Write all of `batch`.

    A stream moves only from exactly where it stands, so that no number can be
    stored twice or skipped, whoever calls. Raises MisplacedError.
    """
    _move_streams(store, tx, batch)
    if batch.readings:
        _insert_readings(store, tx, batch)
    tx.executemany(_INSERT_EVENT, batch.events)
    _write_rule_states(tx, batch)
    tx.executemany(MERGE_SUMMARY, batch.summary_rows())
    if batch.gaps:
        tx.executemany(INSERT_GAP, [(*row, row[3] - row[2] + 1) for row in batch.gaps])
        queue_gaps(store, tx)
    tx.executemany(_UPDATE_VITALS, batch.vitals_rows())
    store.items.write(tx, batch.items)
    store.receipts.write(tx, batch.receipts, batch.positions)


def _move_streams(store: "SQLiteStore", tx: sqlite3.Connection, batch: WriteBatch) -> None:
    for (boot_id, stream), progress in batch.progress.items():
        moved = tx.execute(
            _MOVE_STREAM,
            (
                *(progress.next_seq, progress.stored, progress.denied, progress.lost),
                *(progress.aggregated, progress.newest_ms),
                *(progress.floor_utc_ms, progress.floor_ms),
                *(boot_id, stream, progress.first_seq),
            ),
        )
        if moved.rowcount != 1:
            raise MisplacedError(
                f"{store.path}: stream {stream} of boot {boot_id} does not stand at"
                f" {progress.first_seq}; nothing of this batch is stored"
            )


def _insert_readings(store: "SQLiteStore", tx: sqlite3.Connection, batch: WriteBatch) -> None:
    first_id = store.last_reading_id + 1
    last_id = store.last_reading_id + len(batch.readings)
    # SQLite would give out an id again if the readings before had been removed.
    tx.execute(_INSERT_READING_AT, (first_id, *batch.readings[0]))
    rest = 1 + (len(batch.readings) - 1) % _ROWS_MAX
    tx.executemany(_INSERT_READING, batch.readings[1:rest])
    for at in range(rest, len(batch.readings), _ROWS_MAX):
        rows = batch.readings[at : at + _ROWS_MAX]
        tx.execute(_INSERT_MANY, list(chain.from_iterable(rows)))
    store.sinks.write(tx, (first_id, last_id))
    store.when_durable(lambda: store.count_readings(last_id, len(batch.readings)))


def _write_rule_states(tx: sqlite3.Connection, batch: WriteBatch) -> None:
    tx.executemany(
        "INSERT INTO rule_state (channel_id, state, segment_id) VALUES (?, ?, ?)"
        " ON CONFLICT (channel_id) DO UPDATE SET state = excluded.state,"
        " segment_id = excluded.segment_id",
        [
            (channel_id, state, batch.segment.id)
            for channel_id, state in batch.rule_states.items()
            if state is not None
        ],
    )
    tx.executemany(
        "DELETE FROM rule_state WHERE channel_id = ?",
        [(key,) for key, state in batch.rule_states.items() if state is None],
    )


def queue_gaps(store: "SQLiteStore", tx: sqlite3.Connection, but_id: int = 0) -> None:
    """Queue for the sinks what they have not been told is missing, but gap `but_id`.

    That one may still grow.
    """
    found = tx.execute(_UNQUEUED_GAPS, (but_id,)).fetchall()
    items = [(json.dumps(gap_payload(row)), GAP_PRIORITY, row[9] / 1000, 0) for row in found]
    store.items.write(tx, items)
    tx.executemany("UPDATE gap SET is_queued = 1 WHERE id = ?", [(row[0],) for row in found])


def gap_payload(row: tuple[Any, ...]) -> dict[str, Any]:
    """Return what sinks get of a row of GAP_ROWS."""
    _, device, alias, boot, stream, first_seq, last_seq, count, cause, utc_ms, quality = row
    payload = {
        "type": "gap",
        "timestamp": utc_ms / 1000,
        "device": device,
        "alias": alias,
        "boot": f"{boot:08x}",
        "stream": STREAM_NAMES[stream],
        "first_seq": first_seq,
        "last_seq": last_seq,
        "count": count,
        "cause": cause,
    }
    if quality != TIME_GOOD:
        payload["metadata"] = {"time_quality": TIME_QUALITY_NAMES[quality]}
    return payload
