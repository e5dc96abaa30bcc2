"""A damaged file: it is set aside with its WAL, and recording goes on in a new one.

What is little and needed at once (devices, resume points, cursors, events, the audit
log) is copied before anything is recorded, so that boards go on where they stood. The
readings follow in pieces, see salvage.py. A set-aside file is never deleted: it is evidence.
"""

import contextlib
import json
import logging
import os
import sqlite3
from pathlib import Path
from typing import Any

from ..clock import Clock, SystemClock
from ..disk import beside, sync, unused, write_whole
from ..errors import StoreBrokenError, StoreError
from . import schema_copy, wal
from .boot import channel_facts
from .connection import SET_ASIDE, was_store
from .salvage import Salvage
from .sink_row import read_plan
from .sqlite import SQLiteStore

logger = logging.getLogger(__name__)

CHECK_MS = 5000  # longest check of a file that was not closed
SET_ASIDE_MAX = 20  # files; with more, something else is wrong with the disk

# In the order in which they are copied, with the column that orders their rows.
_TABLES = (
    *(("device", "id"), ("channel", "id"), ("boot", "id"), ("time_segment", "id")),
    *(("stream", "boot_id, stream"), ("sink", "name"), ("rule_state", "channel_id")),
    *(("event", "id"), ("gap", "id"), ("sync_queue", "id"), ("dead_letter", "id")),
    *(("receipt", "id"), ("source_position", "id")),
    *(("audit", "id"), ("block", "id"), ("summary", "period_ms, start_ms, channel_id, unset_id")),
)
_META = (
    *("store_id", "run_ms", "rolled_id", "sealed", "audit_checkpoint", "hold_until_ms", "day"),
    "floor_id",
)


def open_store(
    path: str | Path, clock: Clock | None = None, check_ms: int = CHECK_MS
) -> SQLiteStore:
    """Open the store at `path`; a new one in its place, if it is damaged.

    Raises StoreError, also for a file that was never a store.
    """
    place = Path(path)
    pending = _read_pending(place)
    try:
        if pending is not None:
            set_aside(place, pending[1])  # an earlier run may have stopped in the middle
        store = SQLiteStore(place, clock, check_ms)
    except StoreBrokenError as error:
        if not was_store(place):
            raise StoreError(str(error)) from error  # another program's file
        _forget_pending(place)
        set_aside(place, str(error))
        store = SQLiteStore(place, clock or SystemClock())
    try:
        _salvage_pending(store)
    except BaseException:
        store.close()
        raise
    return store


def recover(store: SQLiteStore, reason: str) -> None:
    """Replace the damaged file of an open store by a new one. Raises StoreError.

    Whoever knows resume points or ids of it has to start over. If it can't be done, the
    store is closed, and it is to be tried again: nothing may be stored before.
    """
    with store.lock:
        store.check_place()  # else it is another file that would be set aside
        store.disconnect()
        set_aside(store.path, reason)
        store.reconnect()
        try:
            _salvage_pending(store)
        except BaseException:
            store.disconnect()
            store.broken = reason
            raise


def _salvage_pending(store: SQLiteStore) -> None:
    """Begin with the salvage of a file that was set aside, unless that was done."""
    pending = _read_pending(store.path)
    if pending is None:
        return
    broken, reason = pending
    if store.salvage is None or store.salvage.file != broken.name:
        begin_salvage(store, broken, reason)
    _forget_pending(store.path)


# -- setting aside -----------------------------------------------------------------


def _pending_file(path: Path) -> Path:
    return beside(path, SET_ASIDE)


def _read_pending(path: Path) -> tuple[Path, str] | None:
    """Return the file that is, or is to be, set aside and is owed a salvage, and why."""
    try:
        name, reason = json.loads(_pending_file(path).read_text())
        return path.with_name(name), reason
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(
            f"{_pending_file(path)}: can't be read: {error}; keep the newest {path.name}.broken-*,"
            " which may not be salvaged, and delete this one"
        ) from error


def _note_pending(path: Path, broken: Path, reason: str) -> None:
    write_whole(_pending_file(path), json.dumps([broken.name, reason]).encode())


def _forget_pending(path: Path) -> None:
    _pending_file(path).unlink(missing_ok=True)


def _next_name(path: Path) -> Path:
    broken = unused(path, "broken", SET_ASIDE_MAX)
    if broken is None:
        raise StoreError(
            f"{path}: is damaged, as were {SET_ASIDE_MAX} before it; check the disk, then move"
            f" {path.name}.broken-* away"
        )
    return broken


def set_aside(path: Path, reason: str) -> Path:
    """Rename a damaged file and all that belongs to it; return the new name. Raises StoreError.

    Goes on with what an earlier call has begun; that a salvage is owed is on the disk first.
    """
    pending = _read_pending(path)
    broken = _next_name(path) if pending is None else pending[0]
    if broken.exists():
        return broken  # that was done; what is at the path is another file
    try:
        if pending is None:
            _note_pending(path, broken, reason)
        # The WAL first: without its file it is nothing, but a new file must not find it.
        for end in ("-wal", schema_copy.SUFFIX):
            with contextlib.suppress(FileNotFoundError):
                os.replace(beside(path, end), beside(broken, end))
        with contextlib.suppress(FileNotFoundError):
            os.replace(beside(path, "-shm"), beside(broken, wal.INDEX))
        if path.exists():
            os.replace(path, broken)
        else:
            broken.touch()  # for its WAL, and so that it is known to be done
        sync(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: is damaged and can't be set aside: {error}") from error
    why = reason.removeprefix(f"{path}: ")
    logger.error("%s: is damaged: %s; set aside as %s", path, why, broken.name)
    return broken


def begin_salvage(store: SQLiteStore, broken: Path, reason: str) -> None:
    """Copy what is needed at once, and let the readings follow. Raises StoreError."""
    old = open_broken(broken)
    found: dict[str, int] = {}
    try:
        store.pragma("foreign_keys = OFF")
        with store.transaction() as tx:
            columns = {name: _columns(tx, name) for name, _ in _TABLES}
            for key, value in _meta(old).items():
                store.set_meta(tx, key, value)
            is_whole = True
            for name, order in _TABLES:
                rows: list[tuple[Any, ...]] = []
                if old is not None:
                    is_good = _rows(old, name, order, columns[name], rows)
                    is_whole &= is_good
                found[name] = _copy(tx, name, columns[name], rows)
            salvage = Salvage.begin(store, tx, broken, old, is_whole)
        store.reload()
        store.note(store.store_id)
    except sqlite3.Error as error:
        raise StoreError(f"{broken}: can't be salvaged: {error}") from error
    finally:
        store.pragma("foreign_keys = ON")
        if old is not None:
            old.close()
    with store.transaction() as tx:
        channels = [
            channel_facts(*row)
            for row in tx.execute(
                "SELECT id, device_id, name, sensor_name, unit, exponent, privacy FROM channel"
            )
        ]
        details: dict[str, Any] = {"file": broken.name, "reason": reason, "rows": found}
        store.audit.write(tx, "salvaged", {**details, "channels": channels})
    store.salvage = salvage
    store.sinks.hold_below(salvage.floor_id)


def open_broken(broken: Path) -> sqlite3.Connection | None:
    """Open a damaged file for reading, None if nothing in it can be read."""
    try:
        had_no_page = wal.make_readable(broken)
    except OSError as error:
        raise StoreError(f"{broken}: its WAL can't be made readable: {error}") from error
    connection = _open_damaged(broken)
    if connection is None or not schema_copy.fits(connection, broken):
        if connection is not None:
            connection.close()
        schema_copy.put_back(broken, is_its_own=had_no_page)
        connection = _open_damaged(broken)
    return connection


def _open_damaged(broken: Path) -> sqlite3.Connection | None:
    try:
        connection = sqlite3.connect(
            f"{broken.resolve().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error:
        return None
    try:
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except (sqlite3.Error, UnicodeDecodeError):
        connection.close()
        return None
    return connection


def _columns(tx: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in tx.execute(f"PRAGMA table_info({table})")]


def _meta(old: sqlite3.Connection | None) -> dict[str, str]:
    """Return of the facts about a damaged store those that can be right."""
    rows: list[tuple[Any, ...]] = []
    if old is not None:
        _rows(old, "meta", "key", ["key", "value"], rows)
    good = {}
    for key, value in rows:
        try:
            if key == "day":
                [day, first_block] = json.loads(value)
                is_good = day >= 0 and first_block > 0
            elif key == "sealed":
                [block_id, sealed_id, chain] = json.loads(value)
                is_good = block_id >= 0 and sealed_id >= 0 and len(bytes.fromhex(chain)) == 32
            elif key == "store_id":
                is_good = len(value) == 16 and int(value, 16) >= 0
            else:
                is_good = 0 <= int(value) < 2**48
        except (ValueError, TypeError):
            continue
        if is_good and key in _META:
            good[key] = value
    return good


def _rows(
    old: sqlite3.Connection,
    table: str,
    order: str,
    columns: list[str],
    into: list[tuple[Any, ...]],
) -> bool:
    """Add the rows of a table up to where it is damaged, from both ends; return if that is all."""
    is_whole = False
    found: dict[Any, tuple[Any, ...]] = {}
    parts = order.split(", ")
    keys = [columns.index(part) for part in parts]
    for direction in ("ASC", "DESC"):
        by = ", ".join(f"{part} {direction}" for part in parts)
        with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
            for row in old.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {by}"):
                found.setdefault(tuple(str(row[key]) for key in keys), row)
            is_whole = True
            break
    into += found.values()
    return is_whole


def _copy(
    tx: sqlite3.Connection, table: str, columns: list[str], rows: list[tuple[Any, ...]]
) -> int:
    """Insert rows one by one: one that breaks a rule of the table is not taken."""
    count = 0
    marks = ", ".join("?" * len(columns))
    for row in rows:
        if not _is_sound(dict(zip(columns, row, strict=True))):
            continue
        with contextlib.suppress(sqlite3.IntegrityError, OverflowError):
            tx.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", row)
            count += 1
    return count


_NUMBERS = ("boot_id", "channel_id", "device_id", "stream", "count", "period_ms")
_TEXTS = ("payload", "details", "plan", "state")  # columns with JSON


def _is_sound(row: dict[str, Any]) -> bool:
    """Return whether a row can be what was once written."""
    try:
        for name in _TEXTS:
            if name in row and row[name] not in ("firing", "resolved"):
                json.loads(row[name])
        if "plan" in row:
            read_plan(row["plan"])
    except (ValueError, TypeError):
        return False
    numbers = [
        value
        for name, value in row.items()
        if name.endswith(("_total", "_seq", "cursor")) or name in _NUMBERS
    ]
    return all(isinstance(one, int) and 0 <= one < 2**48 for one in numbers)
