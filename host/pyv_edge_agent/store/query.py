"""What people and programs ask of the store: by time and by sensor, newest or oldest first.

There is no index over times. Blocks say between which times their readings lie, so a
query looks into those that can hold what it asks for, and into what is not sealed yet.
"""

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import StoreError
from .connection import connect_reader, store_error

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

LIMIT = 1000  # rows, unless the caller says otherwise

_BLOCKS = """
SELECT first_id, last_id FROM block
WHERE high_utc_ms >= :start AND low_utc_ms < :end ORDER BY id
"""

_STRETCH = """
SELECT reading.id, channel_id, boot_id, seq, utc_ms, error_ms, quality, value FROM reading
WHERE reading.id >= ? AND reading.id <= ? AND utc_ms >= ? AND utc_ms < ?
"""

_FIELDS = ("id", "time", "sensor", "value", "unit", "quality", "time_quality", "time_error_ms")
_ALL_FIELDS = (*_FIELDS, "device", "channel", "boot", "stream", "seq")

ALWAYS = (-(2**62), 2**62)


def _limit(limit: int) -> int:
    if limit < 1:
        raise ValueError(f"limit: {limit} is below 1")
    return limit


class Queries(Protocol):
    """A store that is open, for writing or for reading."""

    store_id: str

    @property
    def last_reading_id(self) -> int:
        """The highest id that a reading has or has had."""
        ...

    def rows(self, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        """Return what a query finds. Raises StoreError."""
        ...

    def row(self, statement: str, parameters: Any = ()) -> tuple[Any, ...] | None:
        """Return the first row that a query finds, None if there is none. Raises StoreError."""
        ...


def rows_with_payload(
    store: "SQLiteStore", names: tuple[str, ...], query: str, parameters: tuple[Any, ...]
) -> list[dict[str, Any]]:
    """Return rows of the columns `names`, of which one is a payload. Raises StoreError."""
    rows = store.rows(f"SELECT {', '.join(names)} {query}", parameters)
    found = [dict(zip(names, row, strict=True)) for row in rows]
    for one in found:
        one["payload"] = json.loads(one["payload"])
    return found


def stretches(store: Queries, start_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """Return the ranges of ids in which readings of a time may be, in order. Raises StoreError."""
    found: list[tuple[int, int]] = []
    for first, last in store.rows(_BLOCKS, {"start": start_ms, "end": end_ms}):
        if found and found[-1][1] + 1 == first:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    row = store.row("SELECT coalesce(max(last_id), 0) FROM block")
    sealed_id = row[0] if row else 0
    if store.last_reading_id > sealed_id:
        found.append((sealed_id + 1, store.last_reading_id))
    return found


def readings(
    store: "SQLiteStore",
    sensor: str | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    limit: int = LIMIT,
) -> list[dict[str, Any]]:
    """Return readings of one sensor or of all in the order in which they were stored.

    From `start_ms` to before `end_ms`, UTC; without either, the newest. Raises ValueError.
    """
    is_newest = start_ms is None and end_ms is None
    start = ALWAYS[0] if start_ms is None else start_ms
    end = ALWAYS[1] if end_ms is None else end_ms
    channels = ""
    parameters: tuple[Any, ...] = ()
    if sensor is not None:
        ids = store.rows("SELECT id FROM channel WHERE sensor_name = ?", (sensor,))
        if not ids:
            return []
        channels = f" AND channel_id IN ({','.join('?' * len(ids))})"
        parameters = tuple(row[0] for row in ids)
    order = "DESC" if is_newest else "ASC"
    rows: list[tuple[Any, ...]] = []
    places = stretches(store, start, end)
    for first, last in reversed(places) if is_newest else places:
        missing = _limit(limit) - len(rows)
        if missing <= 0:
            break
        rows += store.rows(
            f"SELECT {', '.join(_ALL_FIELDS)} FROM readings WHERE id IN (SELECT id FROM ("
            f"{_STRETCH}{channels} ORDER BY reading.id {order} LIMIT ?)) ORDER BY id {order}",
            (first, last, start, end, *parameters, missing),
        )
    if is_newest:
        rows.reverse()
    return [dict(zip(_ALL_FIELDS, row, strict=True)) for row in rows]


def values(
    store: "SQLiteStore", sensor: str, start_ms: int, end_ms: int
) -> list[tuple[int, float]]:
    """Return (utc_ms, value) of the measurements of a sensor, from `start_ms` to `end_ms`.

    All of them, in the order in which they were stored, in the sensor's unit. Raises StoreError.
    """
    found: list[Any] = []
    channels = dict(
        store.rows("SELECT id, exponent FROM channel WHERE sensor_name = ?", (sensor,))
    )
    for channel_id, exponent in channels.items():
        # In SQL, since a loop here would cost as much as the search.
        scaled, factor = (
            ("value / ?", 10.0**-exponent)
            if exponent < 0
            else (
                "value * ?",
                10.0**exponent,
            )
        )
        for first, last in stretches(store, start_ms, end_ms):
            found += store.rows(
                f"SELECT utc_ms, {scaled} FROM reading WHERE id >= ? AND id <= ?"
                " AND channel_id = ? AND utc_ms >= ? AND utc_ms < ? AND quality & 3 <> 2",
                (factor, first, last, channel_id, start_ms, end_ms),
            )
    return found


def events(
    store: "SQLiteStore",
    start_ms: int | None = None,
    end_ms: int | None = None,
    limit: int = LIMIT,
) -> list[dict[str, Any]]:
    """Return the newest events, oldest first, from `start_ms` to before `end_ms`, UTC."""
    names = [
        *("id", "time", "sensor", "rule", "severity", "state", "value", "unit", "message"),
        "time_quality",
    ]
    rows = store.rows(
        f"SELECT {', '.join(names)} FROM events WHERE id IN (SELECT id FROM event"
        " WHERE utc_ms >= ? AND utc_ms < ? ORDER BY id DESC LIMIT ?) ORDER BY id",
        (
            ALWAYS[0] if start_ms is None else start_ms,
            ALWAYS[1] if end_ms is None else end_ms,
            _limit(limit),
        ),
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


def summaries(
    store: "SQLiteStore",
    sensor: str | None = None,
    period_s: int = 60,
    start_ms: int | None = None,
    end_ms: int | None = None,
    limit: int = LIMIT,
) -> list[dict[str, Any]]:
    """Return the newest summaries of a minute or an hour, oldest first.

    Raises ValueError for another period.
    """
    if period_s not in (60, 3600):
        raise ValueError(f"period_s: {period_s} is neither 60 nor 3600")
    names = [
        *("start", "period_s", "sensor", "unit", "count", "bad_count", "min", "max", "mean"),
        *("last", "time_quality"),
    ]
    rows = store.rows(
        f"SELECT {', '.join(names)} FROM summaries WHERE period_ms = ? AND start_ms >= ?"
        " AND start_ms < ? AND (? IS NULL OR sensor = ?) ORDER BY start_ms DESC, sensor LIMIT ?",
        (
            period_s * 1000,
            ALWAYS[0] if start_ms is None else start_ms,
            ALWAYS[1] if end_ms is None else end_ms,
            sensor,
            sensor,
            _limit(limit),
        ),
    )
    return [dict(zip(names, row, strict=True)) for row in reversed(rows)]


_AUDIT_FIELDS = ("id", "time", "action", "details")
_AUDIT = f"SELECT {', '.join(_AUDIT_FIELDS)} FROM audit_log ORDER BY id DESC LIMIT ?"


def audit_logs(store: "SQLiteStore", limit: int = LIMIT) -> list[dict[str, Any]]:
    """Return the newest rows of the audit log, oldest first."""
    return _audit_rows(store.path, store.rows(_AUDIT, (_limit(limit),)))


def list_audit(path: str | Path, limit: int = LIMIT) -> list[dict[str, Any]]:
    """Return the same of the store at `path`, which an agent may have open. Raises StoreError."""
    place = Path(path)
    connection = connect_reader(place)
    try:
        return _audit_rows(place, connection.execute(_AUDIT, (_limit(limit),)).fetchall())
    except sqlite3.Error as error:
        raise store_error(place, error) from error
    finally:
        connection.close()


def _audit_rows(path: Path, rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    found = [dict(zip(_AUDIT_FIELDS, row, strict=True)) for row in reversed(rows)]
    for row in found:
        try:
            row["details"] = json.loads(row["details"])
        except ValueError as error:
            raise StoreError(f"{path}: row {row['id']} of the audit log: {error}") from error
    return found
