"""Rows for charts: what lies in each stretch of a time, from the readings or from summaries.

Readings where they are few enough to be looked at; else summaries, found by their key one by
one, so that it does not matter how many other channels there are. What is not summarised yet is
read behind them.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .query import Queries, stretches

TRIES_MAX = 5  # to read summaries, and up to which reading they go, of one moment
_HOUR_MS = 3_600_000

_READINGS = """
SELECT id, channel_id, utc_ms, value, quality & 3 = 2, boot_id, stream, seq FROM reading
WHERE id >= :first AND id <= :last AND utc_ms >= :start AND utc_ms < :end
  AND channel_id IN (SELECT value FROM json_each(:channels))
"""

# Whether any readings may be known in summaries alone: because they have gone, or never were.
_MAY_BE_GONE = """
SELECT 1 WHERE EXISTS (SELECT 1 FROM block WHERE removed > 0)
  OR (SELECT min(id) FROM block) > 1 OR (SELECT min(id) FROM reading) > 1
  OR EXISTS (SELECT 1 FROM stream WHERE aggregated_total > 0 OR expired_total > 0
             OR evicted_total > 0)
"""

_BUCKETS = """
SELECT channel_id, utc_ms / :bucket, count(*) FILTER (WHERE quality & 3 <> 2),
       count(*) FILTER (WHERE quality & 3 = 2), min(value) FILTER (WHERE quality & 3 <> 2),
       max(value) FILTER (WHERE quality & 3 <> 2), total(value) FILTER (WHERE quality & 3 <> 2),
       min(id), max(id)
FROM reading WHERE id >= :first AND id <= :last AND utc_ms >= :start AND utc_ms < :end
  AND channel_id IN (SELECT value FROM json_each(:channels))
GROUP BY channel_id, utc_ms / :bucket
"""

_SUMMARY = "channel_id, start_ms / :bucket, count, bad_count, low, high, coalesce(total, 0.0)"
_SUMMARIES = f"""
WITH RECURSIVE place(at) AS
  (SELECT :start UNION ALL SELECT at + :period FROM place WHERE at + :period < :end)
SELECT {_SUMMARY} FROM place CROSS JOIN json_each(:channels) AS wanted
CROSS JOIN summary ON period_ms = :period AND start_ms = at AND channel_id = wanted.value
"""
# Those of an unset clock may begin at any time.
_ODD_SUMMARIES = f"""
SELECT {_SUMMARY} FROM summary
WHERE period_ms = :period AND start_ms >= :start AND start_ms < :end AND unset_id <> 0
  AND start_ms % :period <> 0 AND channel_id IN (SELECT value FROM json_each(:channels))
"""
_UNSET = """
SELECT wrong.began_ms + coalesce(CASE WHEN wrong.is_retimed THEN right.offset_ms END,
                                 wrong.offset_ms),
       coalesce(behind.began_ms - wrong.began_ms, 0),
       behind.began_ms + behind.offset_ms
FROM time_segment AS wrong
LEFT JOIN time_segment AS right ON right.id = wrong.corrected_by
LEFT JOIN time_segment AS behind ON behind.id = wrong.id + 1
WHERE NOT wrong.is_synchronised
"""

_ROLLED_ID = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'rolled_id'"

_EDGE = """
SELECT boot_id, stream, seq FROM reading
WHERE id >= :first AND id <= :last AND utc_ms >= :start AND utc_ms < :end
  AND channel_id IN (SELECT value FROM json_each(:channels)) ORDER BY id
"""

_GAPS = """
SELECT boot_id, stream, first_seq, last_seq, cause, count FROM gap
WHERE boot_id IN (SELECT value FROM json_each(?)) ORDER BY boot_id, stream, first_seq
"""

_MISSING = """
SELECT cause, sum(count) FROM gap WHERE boot_id = ? AND stream = ? AND first_seq > ?
AND last_seq < ? GROUP BY cause
"""

Row = tuple[Any, ...]
SEQ_MAX = 2**62


class Edge(NamedTuple):
    """A reading beside a stretch without any."""

    boot_id: int
    stream: int
    seq: int


@dataclass
class Bucket:
    """What lies in one stretch of time, of one channel, in the unit of its rows."""

    count: int = 0  # measurements
    bad: int = 0
    low: float = 0.0
    high: float = 0.0
    total: float = 0.0

    def add(self, count: int, bad: int, low: Any, high: Any, total: float) -> None:
        """Add what else lies in it."""
        self.bad += bad
        if count:
            self.low = low if not self.count else min(self.low, low)
            self.high = high if not self.count else max(self.high, high)
            self.total += total
            self.count += count


Buckets = dict[tuple[int, int], Bucket]  # by channel, and number since 1970


def readings(
    reader: Queries, channels: Sequence[int], start_ms: int, end_ms: int, count_max: int
) -> list[Row]:
    """Return (id, channel, utc_ms, value, is bad, boot_id, stream, seq), one more than count_max.

    Raises StoreError.
    """
    named = _named(channels, start_ms, end_ms)
    found: list[Row] = []
    for first, last in stretches(reader, start_ms, end_ms):
        limit = count_max + 1 - len(found)
        if limit <= 0:
            break
        found += reader.rows(
            f"{_READINGS} ORDER BY id LIMIT {limit}", {**named, "first": first, "last": last}
        )
    return found


def are_all_there(
    reader: Queries,
    channels: tuple[Sequence[int], Sequence[int]],
    start_ms: int,
    end_ms: int,
    period_ms: int,
) -> bool:
    """Return whether the readings of a time are as many as summaries of a period have counted.

    `channels` are those whose readings count, and those whose summaries do. Raises StoreError.
    """
    if reader.row(_MAY_BE_GONE) is None:
        return True
    first_ms, last_ms = -(-start_ms // period_ms) * period_ms, end_ms // period_ms * period_ms
    if first_ms >= last_ms:
        return True
    times = (first_ms, last_ms, period_ms)
    known = buckets_of_readings(reader, channels[0], *times)
    return _total(known) >= _total(buckets_of_summaries(reader, channels[1], *times, period_ms))


def _total(found: Buckets) -> int:
    return sum(one.count + one.bad for one in found.values())


def buckets_of_readings(
    reader: Queries,
    channels: Sequence[int],
    start_ms: int,
    end_ms: int,
    bucket_ms: int,
    behind_id: int = 0,
) -> Buckets:
    """Return what the readings behind an id make up. Raises StoreError."""
    named = {**_named(channels, start_ms, end_ms), "bucket": bucket_ms}
    found: Buckets = {}
    for first, last in stretches(reader, start_ms, end_ms):
        if last > behind_id:
            ids = {"first": max(first, behind_id + 1), "last": last}
            _merge(found, reader.rows(_BUCKETS, {**named, **ids}))
    return found


def buckets_of_summaries(
    reader: Queries,
    channels: Sequence[int],
    start_ms: int,
    end_ms: int,
    bucket_ms: int,
    period_ms: int,
) -> Buckets:
    """Return what the summaries of a period make up, which `bucket_ms` is a multiple of.

    With those readings that are not summarised yet. Raises StoreError.
    """
    start_ms = start_ms // period_ms * period_ms
    named = {**_named(channels, start_ms, end_ms), "bucket": bucket_ms, "period": period_ms}
    for _ in range(TRIES_MAX):
        rolled_id = _rolled_id(reader)
        found: Buckets = {}
        _merge(found, reader.rows(_SUMMARIES, named))
        for low_ms, high_ms in _unset_times(reader):
            times = {"start": max(low_ms, start_ms), "end": min(high_ms, end_ms)}
            if times["start"] < times["end"]:
                _merge(found, reader.rows(_ODD_SUMMARIES, {**named, **times}))
        fresh = buckets_of_readings(reader, channels, start_ms, end_ms, bucket_ms, rolled_id)
        if _rolled_id(reader) == rolled_id:
            break
        # Else some were summarised in between, and would be missing or counted twice.
    for place, bucket in fresh.items():
        known = found.setdefault(place, Bucket())
        known.add(bucket.count, bucket.bad, bucket.low, bucket.high, bucket.total)
    return found


def _named(channels: Sequence[int], start_ms: int, end_ms: int) -> dict[str, Any]:
    return {"channels": json.dumps(list(channels)), "start": start_ms, "end": end_ms}


def _merge(found: Buckets, rows: Iterable[Row]) -> None:
    for channel_id, number, *figures in rows:
        found.setdefault((channel_id, number), Bucket()).add(*figures[:5])


def _rolled_id(reader: Queries) -> int:
    row = reader.row(_ROLLED_ID)
    return int(row[0]) if row else 0


def _unset_times(reader: Queries) -> Iterator[tuple[int, int]]:
    """Yield between which times summaries may lie that an unset clock has dated."""
    for start_ms, length_ms, next_ms in reader.rows(_UNSET):
        ends = (start_ms + max(length_ms, 0), next_ms or SEQ_MAX)
        yield start_ms - _HOUR_MS, max(ends) + _HOUR_MS


# -- what is missing between two readings ----------------------------------------------


def gaps_of(reader: Queries, boot_ids: Iterable[int]) -> dict[tuple[int, int], list[Row]]:
    """Return (first_seq, last_seq, cause, count) of the gaps of boots, by boot and stream.

    Rising. Raises StoreError.
    """
    found: dict[tuple[int, int], list[Row]] = {}
    boots = json.dumps(sorted(boot_ids))
    for boot_id, stream, *gap in reader.rows(_GAPS, (boots,)):
        found.setdefault((boot_id, stream), []).append(tuple(gap))
    return found


def edges(
    reader: Queries, channels: Sequence[int], before: tuple[int, int], behind: tuple[int, int]
) -> tuple[Edge | None, Edge | None]:
    """Return the last reading of one time and the first of another. Raises StoreError."""
    return (
        _edge(reader, channels, before, is_last=True),
        _edge(reader, channels, behind, is_last=False),
    )


def _edge(
    reader: Queries, channels: Sequence[int], times: tuple[int, int], *, is_last: bool
) -> Edge | None:
    named = _named(channels, *times)
    places = stretches(reader, *times)
    order = " DESC" if is_last else ""
    for first, last in reversed(places) if is_last else places:
        row = reader.row(f"{_EDGE}{order} LIMIT 1", {**named, "first": first, "last": last})
        if row is not None:
            return Edge(*row)
    return None


def missing(reader: Queries, before: Edge, behind: Edge) -> dict[str, int]:
    """Return how many readings gap records have between two, by cause. Raises StoreError."""
    ranges = [(before.boot_id, before.stream, before.seq, behind.seq)]
    if before.boot_id != behind.boot_id or before.stream != behind.stream:
        ranges = [
            (before.boot_id, before.stream, before.seq, SEQ_MAX),
            (behind.boot_id, behind.stream, -1, behind.seq),
        ]
    found: dict[str, int] = {}
    for one in ranges:
        for cause, count in reader.rows(_MISSING, one):
            found[cause] = found.get(cause, 0) + count
    return found
