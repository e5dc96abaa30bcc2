"""Rollups: summaries of a minute and an hour of every channel, made from the readings once.

Summaries are merged, never recomputed, so a late reading changes the one that is
there. How far the readings have been summarised is written in the transaction that
summarises them.
"""

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from .boot import in_unit
from .commit import MERGE_SUMMARY
from .time_segment import TIME_QUALITY_NAMES, TIME_RETIMED, TIME_UNSET
from .write_batch import HOUR_MS, MINUTE_MS, PERIODS_MS

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

PIECE_COUNT = 8192  # readings, and so how long acknowledgements may wait
QUEUE_COUNT = 200  # summaries that are queued in one transaction
SETTLE_MS = 10_000  # after its end, a summary waits so long for late readings before it is sent
SUMMARY_PRIORITY = 3  # as readings

# In SQL, since each reading is looked at once more. A bare column beside max() is of its row.
_START = f"utc_ms - ((utc_ms % {MINUTE_MS}) + {MINUTE_MS}) % {MINUTE_MS}"
_MINUTES = f"""
SELECT channel_id, {_START} AS start_ms,
       quality >> 2 = 1 AS is_unset,
       count(*) FILTER (WHERE quality & 3 <> 2), count(*) FILTER (WHERE quality & 3 = 2),
       min(value) FILTER (WHERE quality & 3 <> 2), max(value) FILTER (WHERE quality & 3 <> 2),
       sum(value) FILTER (WHERE quality & 3 <> 2)
FROM reading WHERE id >= :first AND id <= :last GROUP BY channel_id, start_ms, is_unset
"""
_LASTS = f"""
SELECT channel_id, {_START} AS start_ms,
       quality >> 2 = 1 AS is_unset, value, max(utc_ms)
FROM reading WHERE id >= :first AND id <= :last AND quality & 3 <> 2
GROUP BY channel_id, start_ms, is_unset
"""

_Key = tuple[int, int, int]  # channel, start of the period, whether its time was unset
_Sums = tuple[Any, ...]  # measurements, bad readings, low, high, total, last, when that was

_SEGMENT = """
SELECT wrong.id, wrong.is_synchronised, wrong.corrected_by IS NOT NULL AND NOT wrong.is_retimed,
       (SELECT min(first_reading_id) FROM time_segment WHERE id > wrong.id) - 1
FROM time_segment AS wrong WHERE first_reading_id <= ? ORDER BY id DESC LIMIT 1
"""


# What `summary_payload` takes.
SUMMARY_ROWS = """
SELECT channel_id, period_ms, start_ms, unset_id, count, bad_count, low, high, total, last,
       last_ms, sensor_name, unit, exponent, channel.name, privacy, device.name, alias,
       coalesce((SELECT is_retimed FROM time_segment WHERE id = unset_id), 0)
FROM summary JOIN channel ON channel.id = channel_id JOIN device ON device.id = device_id
"""

_CLOSED = f"""
{SUMMARY_ROWS} WHERE is_due AND period_ms = ? AND start_ms <= ? ORDER BY start_ms LIMIT ?
"""


class Rollups:
    """The summaries of a store. For the thread that stores."""

    def __init__(self, store: "SQLiteStore") -> None:
        """Read how far the readings are summarised. Raises StoreError."""
        self._store = store
        self.load()

    def load(self) -> None:
        """Read again how far: a commit may have been in doubt. Raises StoreError."""
        self.rolled_id = int(self._store.meta("rolled_id") or 0)

    @property
    def waiting_count(self) -> int:
        """How many readings are not summarised, at most."""
        return self._store.last_reading_id - self.rolled_id

    def roll_up(self) -> int:
        """Summarise the next readings; return how many, 0 if there are none or they must wait.

        Raises StoreError.
        """
        first_id = self.rolled_id + 1
        last_id = min(self.rolled_id + PIECE_COUNT, self._store.last_reading_id)
        if last_id < first_id:
            return 0
        unset_id = 0
        segment = self._store.row(_SEGMENT, (first_id,))
        if segment is not None:
            segment_id, is_synchronised, is_under_correction, end_id = segment
            if is_under_correction:
                return 0  # half of it has other times than the rest
            unset_id = 0 if is_synchronised else segment_id
            last_id = last_id if end_id is None else min(last_id, end_id)
        with self._store.transaction() as tx:
            tx.executemany(MERGE_SUMMARY, _summaries(tx, first_id, last_id, unset_id))
            self._store.set_meta(tx, "rolled_id", str(last_id))

            def adopt() -> None:
                self.rolled_id = last_id

            self._store.when_durable(adopt)
        return last_id - first_id + 1

    def queue(self, now_ms: int) -> int:
        """Queue summaries that are over for the sinks; return how many. Raises StoreError."""
        found: list[tuple[Any, ...]] = []
        for period_ms in PERIODS_MS:
            over_ms = now_ms - SETTLE_MS - period_ms
            found += self._store.rows(_CLOSED, (period_ms, over_ms, QUEUE_COUNT))
        if not found:
            return 0
        with self._store.transaction() as tx:
            items = [
                (json.dumps(summary_payload(row)), SUMMARY_PRIORITY, now_ms / 1000, 0)
                for row in found
            ]
            self._store.items.write(tx, items)
            tx.executemany(
                "UPDATE summary SET is_due = 0 WHERE channel_id = ? AND period_ms = ?"
                " AND start_ms = ? AND unset_id = ?",
                [row[:4] for row in found],
            )
        return len(found)


def _summaries(
    tx: sqlite3.Connection, first_id: int, last_id: int, unset_id: int
) -> list[tuple[Any, ...]]:
    """Return the parameters of MERGE_SUMMARY for a stretch of readings."""
    minutes = _minutes(tx, first_id, last_id)
    made: list[tuple[Any, ...]] = []
    for period_ms, sums in ((MINUTE_MS, minutes), (HOUR_MS, _hours(minutes))):
        for (channel_id, start_ms, is_unset), found in sums.items():
            count, bad, low, high, total, last, last_ms = found
            if not count:
                low = high = total = last = 0
                last_ms = start_ms
            made.append(
                (
                    *(channel_id, period_ms, start_ms, count, bad, low, high, total),
                    # What a sender has dated is right whatever the clock here was.
                    *(last, last_ms, unset_id if is_unset else 0),
                )
            )
    return made


def _minutes(tx: sqlite3.Connection, first_id: int, last_id: int) -> dict[_Key, _Sums]:
    stretch = {"first": first_id, "last": last_id}
    lasts = {row[:3]: row[3:] for row in tx.execute(_LASTS, stretch)}
    found = tx.execute(_MINUTES, stretch).fetchall()
    return {row[:3]: (*row[3:], *lasts.get(row[:3], (0, 0))) for row in found}


def _hours(minutes: dict[_Key, _Sums]) -> dict[_Key, _Sums]:
    """Return the sums of hours out of those of minutes: two looks at each reading less."""
    made: dict[_Key, _Sums] = {}
    for (channel_id, start_ms, is_unset), sums in minutes.items():
        key = (channel_id, start_ms - start_ms % HOUR_MS, is_unset)
        before = made.get(key)
        made[key] = sums if before is None else _both(before, sums)
    return made


def _both(one: _Sums, other: _Sums) -> _Sums:
    """Return the sums of two stretches; of one without measurements there is only how many."""
    count, bad, low, high, total, last, last_ms = one
    count_2, bad_2, low_2, high_2, total_2, last_2, last_2_ms = other
    if not count:
        return (count_2, bad + bad_2, *other[2:])
    if not count_2:
        return (count, bad + bad_2, *one[2:])
    newest = (last_2, last_2_ms) if last_2_ms >= last_ms else (last, last_ms)
    # The sum of numbers that are too large is infinite or None, see `summary.total`.
    both = None if total is None or total_2 is None else total + total_2
    return (count + count_2, bad + bad_2, min(low, low_2), max(high, high_2), both, *newest)


def summary_payload(row: tuple[Any, ...]) -> dict[str, Any]:
    """Return what sinks get of a row of SUMMARY_ROWS."""
    (_, period_ms, start_ms, unset_id, count, bad_count, low, high, total, last, _) = row[:11]
    sensor, unit, exponent, channel, privacy, device, alias, is_retimed = row[11:]

    def scaled(value: Any) -> float | None:
        return in_unit(value, exponent) if count and value is not None else None

    mean = scaled(total)
    metadata: dict[str, Any] = {"device": device, "alias": alias, "channel": channel}
    if privacy:
        metadata["privacy"] = privacy
    if unset_id:
        quality = TIME_RETIMED if is_retimed else TIME_UNSET
        metadata["time_quality"] = TIME_QUALITY_NAMES[quality]
    return {
        "type": "summary",
        "sensor_name": sensor,
        "timestamp": start_ms / 1000,
        "period_s": period_ms // 1000,
        "unit": unit,
        "count": count,
        "bad_count": bad_count,
        "min": scaled(low),
        "max": scaled(high),
        "mean": None if mean is None else mean / count,
        "last": scaled(last),
        "metadata": metadata,
    }
