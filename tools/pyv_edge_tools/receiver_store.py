"""What the reference receiver has received: one SQLite file, each reading in it once."""

import json
import sqlite3
import threading
from typing import Any

_TABLES = """
CREATE TABLE IF NOT EXISTS batch (key TEXT PRIMARY KEY, count INTEGER, repeats INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS reading (
  device TEXT, boot TEXT, stream TEXT, seq INTEGER,
  sensor_name TEXT, timestamp REAL, value REAL, unit TEXT, quality TEXT,
  PRIMARY KEY (device, boot, stream, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS newest (device TEXT, boot TEXT, stream TEXT, seq INTEGER,
                                   PRIMARY KEY (device, boot, stream)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS item (id TEXT PRIMARY KEY, payload TEXT);
CREATE TABLE IF NOT EXISTS total (name TEXT PRIMARY KEY, count INTEGER) WITHOUT ROWID;
"""
APPLICATION_ID = 0x50595652  # "PYVR": not to be mistaken for the agent's store
IDENTITY = {"device", "boot", "stream", "seq"}  # of a reading, in its metadata
TOTALS = (
    "batches_total",  # that were new
    "batches_repeated_total",
    "readings_total",  # in new batches
    "duplicates_total",  # of them, known by (device, boot, stream, seq)
    "out_of_order_total",  # batches that brought older numbers of a boot than one before
    "items_total",  # events, logs, and readings without an identity
    "items_repeated_total",
)


class ReceiverStore:
    """Takes batches; safe for many threads, one at a time."""

    def __init__(self, path: str) -> None:
        """Open or make the file at `path`. Raises sqlite3.Error."""
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        if tables and application != APPLICATION_ID:
            self._db.close()
            raise sqlite3.DatabaseError("it is a database of another program")
        self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # the reply says that we have it
        self._db.executescript(_TABLES)
        self._db.executemany(
            "INSERT INTO total VALUES (?, 0) ON CONFLICT DO NOTHING", [(name,) for name in TOTALS]
        )

    def add(self, key: str, items: list[dict[str, Any]]) -> dict[str, Any]:
        """Store a batch, once for ever per key; return what was new in it."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                result = self._add(key, items)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite ends it by itself on a full disk
                    self._db.execute("ROLLBACK")
                raise
            return result

    def _add(self, key: str, items: list[dict[str, Any]]) -> dict[str, Any]:
        new = self._db.execute(
            "INSERT INTO batch (key, count) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (key, len(items)),
        ).rowcount
        if not new:
            self._db.execute("UPDATE batch SET repeats = repeats + 1 WHERE key = ?", (key,))
            self._count(batches_repeated_total=1)
            return {"accepted": 0, "duplicates": len(items), "repeated": True}
        readings: list[tuple[Any, ...]] = []
        others: list[tuple[str, str]] = []
        for item in items:
            one = item.get("metadata") or {}
            if one.keys() >= IDENTITY:
                get = item.get
                readings.append(
                    (
                        *(one["device"], one["boot"], one["stream"], one["seq"]),
                        *(get("sensor_name"), get("timestamp"), get("value"), get("unit")),
                        one.get("quality"),
                    )
                )
            else:
                name = one.get("item_id") or f"{key}/{len(others)}"
                others.append((name, json.dumps(item)))
        stored = self._db.executemany(
            "INSERT INTO reading VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            readings,
        ).rowcount
        kept = self._db.executemany(
            "INSERT INTO item VALUES (?, ?) ON CONFLICT DO NOTHING", others
        ).rowcount
        stored, kept = max(stored, 0), max(kept, 0)  # -1 for an empty list
        older = self._order(readings)
        self._count(
            batches_total=1,
            readings_total=len(readings),
            duplicates_total=len(readings) - stored,
            out_of_order_total=older,
            items_total=len(others),
            items_repeated_total=len(others) - kept,
        )
        return {
            "accepted": stored + kept,
            "duplicates": len(items) - stored - kept,
            "repeated": False,
        }

    def _order(self, readings: list[tuple[Any, ...]]) -> int:
        """Note how far each boot has come; return whether that is back from where it was."""
        older = False
        firsts: dict[tuple[str, ...], int] = {}
        lasts: dict[tuple[str, ...], int] = {}
        for row in readings:
            key, seq = row[:3], row[3]
            firsts[key] = min(seq, firsts.get(key, seq))
            lasts[key] = max(seq, lasts.get(key, seq))
        for key, first in firsts.items():
            row = self._db.execute(
                "SELECT seq FROM newest WHERE device = ? AND boot = ? AND stream = ?", key
            ).fetchone()
            older |= row is not None and first < row[0]
            self._db.execute(
                "INSERT INTO newest VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET seq = max(seq, excluded.seq)",
                (*key, lasts[key]),
            )
        return int(older)

    def _count(self, **more: int) -> None:
        self._db.executemany(
            "UPDATE total SET count = count + ? WHERE name = ?",
            [(count, name) for name, count in more.items()],
        )

    def stats(self) -> dict[str, Any]:
        """Return the totals, and how many different readings and items are here."""
        with self._lock:
            totals = dict(self._db.execute("SELECT name, count FROM total").fetchall())
            unique, items = (
                self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
                for table in ("reading", "item")
            )
        return {"unique": unique, "items_unique": items, **totals}

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
