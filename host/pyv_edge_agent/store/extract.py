"""Rows for whoever takes many of them out: in order, a piece at a time, in bounded memory.

Every piece is a query of its own, so that a long export holds up neither the agent nor its
WAL. What is removed or corrected meanwhile is missing or corrected in what comes later.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pyv_edge_core.reading import QUALITY_GOOD

from ..channel_policy import SYNC_RAW
from .commit import GAP_ROWS
from .query import ALWAYS, Queries, stretches
from .rollup import SUMMARY_ROWS
from .sink_cursor import READING_COLUMNS, READING_TABLES
from .write_batch import ReadingRow

PIECE_IDS = 5000  # readings that one query may look at
PIECE_ROWS = 1000  # of anything else
NEWEST_IDS = 20_000  # the last readings of a store

Row = tuple[Any, ...]

_LOST = """
SELECT alias, sum(lost_total) FROM stream JOIN boot ON boot.id = boot_id
JOIN device ON device.id = device_id WHERE stream = 0 GROUP BY alias
"""

# A bare column beside max() is of its row.
_LASTS = """
SELECT channel_id, max(last_ms), last FROM summary
WHERE period_ms = 3600000 AND start_ms >= ? AND count > 0 AND last_ms <= ? GROUP BY channel_id
"""
_NEWEST = """
SELECT max(utc_ms), channel_id, boot_id, stream, seq, utc_ms, error_ms, quality, value
FROM reading WHERE id > ? AND utc_ms <= ? GROUP BY channel_id
"""

_NEWEST_OF = """
SELECT channel_id FROM reading WHERE id > ? AND channel_id IN (SELECT value FROM json_each(?))
ORDER BY id DESC LIMIT 1
"""

_FITTING = """
reading.id >= :first AND reading.id <= :last AND utc_ms >= :start AND utc_ms < :end
AND (channel_id IN (SELECT value FROM json_each(:others))
     OR (channel_id IN (SELECT value FROM json_each(:channels))
         AND quality & 3 IN (SELECT value FROM json_each(:qualities))))
"""

# What sinks are to be sent is about traffic, and nobody's concern here: hence all of it.
_READINGS = f"""
SELECT {READING_COLUMNS}, {SYNC_RAW} {READING_TABLES} WHERE {_FITTING} ORDER BY reading.id
"""

_FIRST_OF_NEWEST = f"""
SELECT count(*), min(id) FROM
  (SELECT id FROM reading WHERE {_FITTING} ORDER BY id DESC LIMIT :limit)
"""


@dataclass(frozen=True)
class Wanted:
    """Which readings: of these channels and qualities, of `others` whatever their quality."""

    channels: list[int]
    others: list[int] = field(default_factory=list)
    qualities: tuple[int, ...] = (0, 1, 2)
    start_ms: int = ALWAYS[0]
    end_ms: int = ALWAYS[1]  # exclusive

    def parameters(self) -> dict[str, Any]:
        """Return them as a query takes them."""
        return {
            "channels": json.dumps(self.channels),
            "others": json.dumps(self.others),
            "qualities": json.dumps(self.qualities),
            "start": self.start_ms,
            "end": self.end_ms,
        }


def devices(reader: Queries) -> list[tuple[str, str]]:
    """Return (name, alias) of all devices that the store has ever had. Raises StoreError."""
    rows = reader.rows("SELECT name, alias FROM device ORDER BY id")
    return [(str(name), str(alias)) for name, alias in rows]


def lost_totals(reader: Queries) -> dict[str, int]:
    """Return how many readings of each device are inside gap records, by alias."""
    return dict(reader.rows(_LOST))


def gap_counts(reader: Queries) -> dict[str, int]:
    """Return how many gap records there are, by cause. Raises StoreError."""
    return dict(reader.rows("SELECT cause, count(*) FROM gap GROUP BY cause"))


def last_rows(reader: Queries, since_ms: int, now_ms: int) -> dict[int, ReadingRow]:
    """Return the last reading of each channel among the last ones of the store.

    Of others their last measurement, by summaries of hours that began at `since_ms` or later.
    What is dated after `now_ms` is left out. Raises StoreError.
    """
    found: dict[int, ReadingRow] = {
        channel_id: (channel_id, 0, 0, 0, utc_ms, 0, QUALITY_GOOD, value)
        for channel_id, utc_ms, value in reader.rows(_LASTS, (since_ms, now_ms))
    }
    behind_id = reader.last_reading_id - NEWEST_IDS
    for utc_ms, *row in reader.rows(_NEWEST, (behind_id, now_ms)):
        if row[0] not in found or utc_ms >= found[row[0]][4]:
            found[row[0]] = tuple(row)
    return found


def newest_of(reader: Queries, channel_ids: list[int]) -> int | None:
    """Return which of some channels has brought the last reading, None if that was long ago."""
    row = reader.row(_NEWEST_OF, (reader.last_reading_id - NEWEST_IDS, json.dumps(channel_ids)))
    return None if row is None else int(row[0])


def count_ids(reader: Queries, start_ms: int, end_ms: int) -> int:
    """Return how many ids `readings` looks at, about. Raises StoreError."""
    return sum(last - first + 1 for first, last in stretches(reader, start_ms, end_ms))


def readings(
    reader: Queries, wanted: Wanted, first_id: int = 1, last_id: int | None = None
) -> Iterator[tuple[int, list[Row]]]:
    """Yield (ids looked at so far, rows) in the order in which they were stored.

    Rows are as those of an UploadBatch, from `first_id` to `last_id`. Raises StoreError.
    """
    passed = 0
    for first, end in stretches(reader, wanted.start_ms, wanted.end_ms):
        last = end if last_id is None else min(end, last_id)
        if last < first:
            return  # stored since
        passed += max(0, min(first_id - first, last - first + 1))
        for count, rows in readings_between(reader, wanted, max(first, first_id), last):
            passed += count
            yield passed, rows


def readings_between(
    reader: Queries, wanted: Wanted, first_id: int, last_id: int
) -> Iterator[tuple[int, list[Row]]]:
    """Yield (ids looked at, rows) of a range of ids. Raises StoreError."""
    named = wanted.parameters()
    for first in range(first_id, last_id + 1, PIECE_IDS):
        last = min(first + PIECE_IDS - 1, last_id)
        yield last - first + 1, reader.rows(_READINGS, {**named, "first": first, "last": last})


def count_readings(reader: Queries, wanted: Wanted, count_max: int) -> int:
    """Return how many readings there are, `count_max` if there are more. Raises StoreError."""
    named = wanted.parameters()
    found = 0
    for first, last in stretches(reader, wanted.start_ms, wanted.end_ms):
        ids = {"first": first, "last": last, "limit": count_max - found}
        row = reader.row(_FIRST_OF_NEWEST, {**named, **ids})
        found += row[0] if row else 0
        if found >= count_max:
            break
    return found


def count_summaries(
    reader: Queries, channel_ids: list[int], period_ms: int, start_ms: int, end_ms: int
) -> int:
    """Return how many summaries of a period there are of channels. Raises StoreError."""
    row = reader.row(
        "SELECT count(*) FROM summary WHERE period_ms = ? AND start_ms >= ? AND start_ms < ?"
        " AND channel_id IN (SELECT value FROM json_each(?))",
        (period_ms, start_ms, end_ms, json.dumps(channel_ids)),
    )
    return int(row[0]) if row else 0


def newest_ids(reader: Queries, wanted: Wanted, limit: int) -> tuple[int, int]:
    """Return between which ids the newest `limit` readings are, or all if there are fewer.

    With the last one, as an agent may store more at any time. Raises StoreError.
    """
    named = wanted.parameters()
    found = 0
    places = stretches(reader, wanted.start_ms, wanted.end_ms)
    last_id = places[-1][1] if places else 0
    for first, last in reversed(places):
        ids = {"first": first, "last": last, "limit": limit - found}
        row = reader.row(_FIRST_OF_NEWEST, {**named, **ids})
        assert row is not None  # count(*) is always one
        found += row[0]
        if found >= limit:
            return int(row[1]), last_id
    return 1, last_id


@dataclass(frozen=True)
class Recorded:
    """What came in the last hour that something came."""

    rate_hz: float
    span_s: float  # in which that came
    channels: int
    devices: int  # boards, and others


RECENT_MS = 3_600_000

_RECENT = """
SELECT count(*), min(utc_ms), count(DISTINCT channel_id), count(DISTINCT device_id)
FROM reading JOIN boot ON boot.id = boot_id
WHERE reading.id >= ? AND reading.id <= ? AND utc_ms > ? AND utc_ms <= ?
"""


def recorded(reader: Queries) -> Recorded | None:
    """Return how much is being recorded, None if it can't be told. Raises StoreError."""
    newest = reader.row("SELECT utc_ms FROM reading ORDER BY id DESC LIMIT 1")
    if newest is None:
        return None
    end_ms = int(newest[0])
    places = stretches(reader, end_ms - RECENT_MS, end_ms + 1)
    first, last = places[0][0], places[-1][1]
    row = reader.row(_RECENT, (first, last, end_ms - RECENT_MS, end_ms))
    assert row is not None  # count(*) is always one
    count, began_ms, channel_count, devices = row
    if count < 2 or began_ms == end_ms:
        return None
    span_s = (end_ms - began_ms) / 1000
    return Recorded((count - 1) / span_s, span_s, channel_count, devices)


@dataclass(frozen=True)
class _Source:
    """Rows in the order of a key."""

    select: str  # with its WHERE clause; :start and :end bound the time
    key: tuple[str, ...]
    places: tuple[int, ...] = (0,)  # of the key in a row


_EVENTS = _Source(
    """
    SELECT event.id, channel_id, rule, severity, state, utc_ms, event.value, message,
           time_quality, seq
    FROM event WHERE utc_ms >= :start AND utc_ms < :end
    """,
    ("event.id",),
)
_GAPS = _Source(f"{GAP_ROWS} WHERE utc_ms >= :start AND utc_ms < :end", ("gap.id",))
_SUMMARIES = _Source(
    f"{SUMMARY_ROWS} WHERE period_ms = :period AND start_ms >= :start AND start_ms < :end",
    ("start_ms", "channel_id", "unset_id"),
    (2, 0, 3),
)


def events(reader: Queries, start_ms: int, end_ms: int, **order: Any) -> Iterator[list[Row]]:
    """Yield (id, channel_id, rule, severity, state, utc_ms, value, message, time_quality, seq).

    The last is None unless a board's own rule has made it.
    Oldest first, or as `order` says: see `_walk`. Raises StoreError.
    """
    return _walk(reader, _EVENTS, {"start": start_ms, "end": end_ms}, **order)


def gaps(reader: Queries, start_ms: int, end_ms: int, **order: Any) -> Iterator[list[Row]]:
    """Yield rows that `gap_payload` takes, in the same way. Raises StoreError."""
    return _walk(reader, _GAPS, {"start": start_ms, "end": end_ms}, **order)


def summaries(
    reader: Queries, period_ms: int, start_ms: int, end_ms: int, **order: Any
) -> Iterator[list[Row]]:
    """Yield rows that `summary_payload` takes, in the same way. Raises StoreError."""
    named = {"period": period_ms, "start": start_ms, "end": end_ms}
    return _walk(reader, _SUMMARIES, named, **order)


def last_event_id(reader: Queries) -> int:
    """Return the highest id of an event, 0 if there is none. Raises StoreError."""
    row = reader.row("SELECT coalesce(max(id), 0) FROM event")
    assert row is not None
    return int(row[0])


def _walk(
    reader: Queries,
    source: _Source,
    named: dict[str, Any],
    *,
    is_newest_first: bool = False,
    after: Row | None = None,
    piece_rows: int = PIECE_ROWS,
) -> Iterator[list[Row]]:
    """Yield pieces from behind the key `after` on, in its order or from the end."""
    keys = ", ".join(source.key)
    order = ", ".join(f"{one} DESC" for one in source.key) if is_newest_first else keys
    while True:
        clause = ""
        if after is not None:
            marks = {f"key{index}": one for index, one in enumerate(after)}
            named = {**named, **marks}
            compared = ", ".join(f":{mark}" for mark in marks)
            clause = f"AND ({keys}) {'<' if is_newest_first else '>'} ({compared})"
        rows = reader.rows(f"{source.select} {clause} ORDER BY {order} LIMIT {piece_rows}", named)
        if not rows:
            return
        yield rows
        after = tuple(rows[-1][place] for place in source.places)
