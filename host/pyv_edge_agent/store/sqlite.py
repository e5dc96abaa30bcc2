"""SQLiteStore: transactions of the evidence store.

One connection writes, behind one lock; every thread that reads has a connection
of its own, and WAL keeps the two out of each other's way. A method either does
all it says and has it on the disk (synchronous=FULL), or raises StoreError and
has done nothing.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import MisplacedError, StoreError
from . import boot
from .boot import BootInfo, OpenedBoot, WatchedChannel
from .schema import connect_reader, connect_writer, lock
from .write_batch import WriteBatch


@dataclass(frozen=True)
class UploadBatch:
    """Readings that a sink is to be sent, the same ones under the same key until it has them."""

    key: str
    last_id: int
    rows: list[tuple[Any, ...]]  # see `SQLiteStore._BATCH_QUERY`


# Within a boot of the computer the time of rules does not move against its monotonic clock. At the
# end of an earlier one, its last offset told best what UTC was.
_RULE_STATE = """
SELECT state, CASE
  WHEN saved.host_boot IS (SELECT host_boot FROM time_segment ORDER BY id DESC LIMIT 1) THEN 0
  ELSE coalesce((SELECT offset_ms FROM time_segment WHERE host_boot = saved.host_boot
                 ORDER BY id DESC LIMIT 1)
              - (SELECT offset_ms FROM time_segment WHERE host_boot = saved.host_boot
                 ORDER BY id LIMIT 1), 0) END
FROM rule_state LEFT JOIN time_segment AS saved ON saved.id = segment_id WHERE channel_id = ?
"""

_MERGE_SUMMARY = """
INSERT INTO summary (channel_id, period_ms, start_ms, count, bad_count, low, high, total, last,
                     last_ms, unset_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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
  total = total + excluded.total
"""


class SQLiteStore:
    """The readings, events and gaps of one site, and how far each sink has them."""

    _BATCH_QUERY = """
        SELECT reading.id, sensor_name, utc_ms, value, exponent, unit, quality,
               device.name, channel.name, boot.boot, stream, seq, error_ms, alias,
               privacy, channel.id
        FROM reading JOIN channel ON channel.id = channel_id
        JOIN boot ON boot.id = boot_id JOIN device ON device.id = boot.device_id
        WHERE reading.id > ? AND reading.id <= ? ORDER BY reading.id LIMIT ?
    """

    def __init__(self, path: str | Path) -> None:
        """Open the store at `path` for this process alone, making it if need be.

        Raises StoreError.
        """
        self.path = Path(path)
        self._lock_file = lock(self.path)
        try:
            self._writer = connect_writer(self.path)
            self._open()
        except BaseException:
            if hasattr(self, "_writer"):
                self._writer.close()
            os.close(self._lock_file)
            raise

    def _open(self) -> None:
        self.commits_total = 0
        self._lock = threading.RLock()
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._is_open = True
        with self._lock, self._guard():
            row = self._writer.execute("SELECT value FROM meta WHERE key = 'store_id'").fetchone()
            self.store_id: str = row[0]
            # In the keys of batches: a store that was restored from a copy uses ids again.
            row = self._writer.execute("SELECT lower(hex(randomblob(4)))").fetchone()
            self._generation: str = row[0]
            row = self._writer.execute("SELECT coalesce(max(id), 0) FROM reading").fetchone()
            self._last_reading_id: int = row[0]
            self._cursors: dict[str, int] = dict(
                self._writer.execute("SELECT name, cursor FROM sink").fetchall()
            )
            row = self._writer.execute("SELECT count(*) FROM sync_queue").fetchone()
            self._item_count: int = row[0]

    # -- connections ---------------------------------------------------------------

    @contextmanager
    def _guard(self) -> Iterator[None]:
        if not self._is_open:
            raise StoreError(f"{self.path}: the store is closed")
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run what is inside as one transaction, durable when it ends."""
        with self._lock, self._guard():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # SQLite ends it by itself on some errors
                    self._writer.execute("ROLLBACK")
                raise
            self.commits_total += 1

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            with self._lock, self._guard():
                connection = connect_reader(self.path)
                self._readers.append(connection)
            self._local.connection = connection
        return connection

    def close(self) -> None:
        """Close every connection. A thread that still uses one gets StoreError."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                for connection in [*self._readers, self._writer]:
                    connection.close()
                os.close(self._lock_file)

    # -- devices -------------------------------------------------------------------

    def open_boot(self, info: BootInfo, utc_ms: int, unset_id: int = 0) -> OpenedBoot:
        """Register a boot and its channels if they are new; return where it resumes.

        `unset_id` names the time segment if it is one whose times are not known to be right.
        """
        with self.transaction() as tx:
            return boot.open_boot(tx, info, utc_ms, unset_id)

    def boards_called(self, alias: str) -> list[str]:
        """Return the device ids of the boards of that alias, in the order in which they came."""
        with self._guard():
            rows = (
                self._reader()
                .execute(
                    "SELECT name FROM device WHERE alias = ? AND EXISTS (SELECT 1 FROM boot"
                    " WHERE device_id = device.id AND board <> 'agent') ORDER BY id",
                    (alias,),
                )
                .fetchall()
            )
        return [str(row[0]) for row in rows]

    def rule_state(self, channel_id: int) -> tuple[str, int] | None:
        """Return the saved state of a channel's alerts, None if there is none.

        And by how many milliseconds the time that rules know has moved since: it goes
        on while the computer runs, and begins with its clock when that boots.
        """
        with self._guard():
            row = self._reader().execute(_RULE_STATE, (channel_id,)).fetchone()
        return None if row is None else (str(row[0]), int(row[1]))

    def watched_channels(self) -> list[WatchedChannel]:
        """Return the channels whose alerts are saved, with the last boot of their device."""
        with self._guard():
            return boot.watched_channels(self._reader())

    def has_row(self, query: str, parameters: dict[str, Any]) -> bool:
        """Return whether a query finds anything; of no transaction."""
        with self._guard():
            return self._reader().execute(query, parameters).fetchone() is not None

    # -- readings ------------------------------------------------------------------

    def commit(self, batch: WriteBatch) -> None:
        """Store all of `batch`: rows and resume points in one transaction.

        A stream moves only from exactly where it stands, so that no number can
        be stored twice or skipped, whoever calls.
        """
        with self.transaction() as tx:
            for (boot_id, stream), progress in batch.progress.items():
                cursor = tx.execute(
                    "UPDATE stream SET next_seq = ?, stored_total = stored_total + ?,"
                    " denied_total = denied_total + ?, lost_total = lost_total + ?,"
                    " aggregated_total = aggregated_total + ?,"
                    " newest_ms = coalesce(?, newest_ms)"
                    " WHERE boot_id = ? AND stream = ? AND next_seq = ?",
                    (
                        progress.next_seq,
                        progress.stored,
                        progress.denied,
                        progress.lost,
                        progress.aggregated,
                        progress.newest_ms,
                        boot_id,
                        stream,
                        progress.first_seq,
                    ),
                )
                if cursor.rowcount != 1:
                    raise MisplacedError(
                        f"{self.path}: stream {stream} of boot {boot_id} does not stand at"
                        f" {progress.first_seq}; nothing of this batch is stored"
                    )
            tx.executemany(
                "INSERT INTO reading"
                " (channel_id, boot_id, stream, seq, utc_ms, error_ms, quality, value)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                batch.readings,
            )
            tx.executemany(
                "INSERT INTO event (channel_id, boot_id, seq, rule, severity, state, utc_ms,"
                " value, message, time_quality) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                batch.events,
            )
            self._write_rule_states(tx, batch)
            tx.executemany(_MERGE_SUMMARY, batch.summary_rows())
            tx.executemany(
                "INSERT INTO gap (boot_id, stream, first_seq, last_seq, cause, utc_ms,"
                " time_quality) VALUES (?, ?, ?, ?, ?, ?, ?)",
                batch.gaps,
            )
            # A later report never takes a counter back: reports can overtake one another.
            tx.executemany(
                "UPDATE boot SET sampled_total = max(sampled_total, ?),"
                " denied_total = max(denied_total, ?),"
                " dropped_total = max(dropped_total, ?), late_total = max(late_total, ?),"
                " sensor_errors_total = max(sensor_errors_total, ?),"
                " is_finished = max(is_finished, ?), vitals_utc_ms = ?, vitals_unset_id = ?"
                " WHERE id = ?",
                batch.vitals_rows(),
            )
            self._insert_items(tx, batch.items)
            (last_id,) = tx.execute("SELECT coalesce(max(id), 0) FROM reading").fetchone()
        with self._lock:
            # Another thread's later commit may have been here first.
            self._last_reading_id = max(self._last_reading_id, last_id)
            self._item_count += len(batch.items)

    @staticmethod
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

    # -- sinks ---------------------------------------------------------------------

    def register_sink(self, name: str) -> None:
        """Give sink `name` a cursor at the first reading, unless it has one."""
        with self.transaction() as tx:
            tx.execute("INSERT INTO sink (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
            (cursor,) = tx.execute("SELECT cursor FROM sink WHERE name = ?", (name,)).fetchone()
        self._cursors[name] = cursor

    def pending_readings(self) -> int:
        """Return how many readings the slowest sink has not acknowledged, all if there is none."""
        return self._last_reading_id - min(self._cursors.values(), default=0)

    def next_batch(self, sink: str, count_max: int) -> UploadBatch | None:
        """Return the readings that `sink` is to be sent next, None if it has all.

        The range and its key are on the disk before they are returned, so that
        a retry, also after a crash, sends the same readings under the same key.
        """
        cursor = self._cursors[sink]
        if self._last_reading_id <= cursor:
            return None
        with self._guard():
            planned, key = (
                self._reader()
                .execute("SELECT planned_last_id, batch_key FROM sink WHERE name = ?", (sink,))
                .fetchone()
            )
        if planned is None:
            planned = min(cursor + count_max, self._last_reading_id)
            key = self._batch_key(sink, cursor + 1, planned)
            with self.transaction() as tx:
                tx.execute(
                    "UPDATE sink SET planned_last_id = ?, batch_key = ? WHERE name = ?",
                    (planned, key, sink),
                )
        with self._guard():
            rows = self._reader().execute(self._BATCH_QUERY, (cursor, planned, -1)).fetchall()
        return UploadBatch(key, planned, rows)

    def _batch_key(self, sink: str, first_id: int, last_id: int) -> str:
        return f"pyv-{self.store_id}-{self._generation}-{sink}-{first_id}-{last_id}"

    def acknowledge(
        self, sink: str, batch: UploadBatch, count_max: int, withheld: int = 0
    ) -> bool:
        """Move the cursor of `sink` behind `batch`, and plan the next batch in the same commit.

        `withheld` of its readings were not sent, because they may not be. Returns
        False, and does nothing, if `batch` is not the one that is planned.
        """
        planned = min(batch.last_id + count_max, self._last_reading_id)
        key = self._batch_key(sink, batch.last_id + 1, planned)
        is_more = planned > batch.last_id
        with self.transaction() as tx:
            moved = tx.execute(
                "UPDATE sink SET cursor = ?, acknowledged_total = acknowledged_total + ?,"
                " withheld_total = withheld_total + ?,"
                " planned_last_id = ?, batch_key = ? WHERE name = ? AND batch_key = ?",
                (
                    batch.last_id,
                    len(batch.rows) - withheld,
                    withheld,
                    planned if is_more else None,
                    key if is_more else None,
                    sink,
                    batch.key,
                ),
            )
            if not moved.rowcount:
                return False
        self._cursors[sink] = batch.last_id
        return True

    # -- items ---------------------------------------------------------------------

    def _insert_items(
        self, tx: sqlite3.Connection, items: list[tuple[str, int, float, int]]
    ) -> None:
        tx.executemany(
            "INSERT INTO sync_queue (payload, priority, created_at, ttl_seconds)"
            " VALUES (?, ?, ?, ?)",
            items,
        )

    @property
    def item_count(self) -> int:
        """How many items wait in the queue."""
        return self._item_count

    def add_item(
        self, payload: dict[str, Any], priority: int, created_at: float, ttl_seconds: int
    ) -> int:
        """Queue an item; return its id. Raises ValueError or TypeError if it is not JSON."""
        text = json.dumps(payload, allow_nan=False)
        with self.transaction() as tx:
            row_id = tx.execute(
                "INSERT INTO sync_queue (payload, priority, created_at, ttl_seconds)"
                " VALUES (?, ?, ?, ?)",
                (text, priority, created_at, ttl_seconds),
            ).lastrowid
            assert row_id is not None
        with self._lock:
            self._item_count += 1
        return row_id

    def due_items(self, count_max: int, now: float) -> list[dict[str, Any]]:
        """Return the items that are due at Unix time `now`, most urgent and oldest first."""
        with self._guard():
            rows = self._reader().execute(
                "SELECT id, payload, priority, created_at, ttl_seconds, retry_count,"
                " next_retry_at FROM sync_queue WHERE next_retry_at <= ?"
                " AND (ttl_seconds = 0 OR created_at + ttl_seconds > ?)"
                " ORDER BY priority, id LIMIT ?",
                (now, now, count_max),
            )
            names = [column[0] for column in rows.description]
            found = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
        for item in found:
            item["payload"] = json.loads(item["payload"])
        return found

    def remove_items(self, ids: list[int]) -> int:
        """Delete items; return how many there were."""
        with self.transaction() as tx:
            count = tx.executemany(
                "DELETE FROM sync_queue WHERE id = ?", [(item_id,) for item_id in ids]
            ).rowcount
        with self._lock:
            self._item_count -= count
        return count

    def delay_items(self, ids: list[int], now: float, base_s: float, max_s: float) -> int:
        """Count a failed attempt at items, due again after `base_s` doubled per attempt.

        Returns how many of them there were.
        """
        count = 0
        with self.transaction() as tx:
            for item_id in ids:
                row = tx.execute(
                    "SELECT retry_count FROM sync_queue WHERE id = ?", (item_id,)
                ).fetchone()
                if row is not None:
                    wait_s = min(base_s * 2 ** min(row[0], 30), max_s)
                    count += tx.execute(
                        "UPDATE sync_queue SET retry_count = retry_count + 1, next_retry_at = ?"
                        " WHERE id = ?",
                        (now + wait_s, item_id),
                    ).rowcount
        return count

    def remove_expired_items(self, now: float) -> int:
        """Delete the items whose time to live is over at Unix time `now`; return how many.

        Writes nothing if there is none.
        """
        with self._guard():
            (waiting,) = (
                self._reader()
                .execute(
                    "SELECT count(*) FROM sync_queue"
                    " WHERE ttl_seconds > 0 AND created_at + ttl_seconds <= ?",
                    (now,),
                )
                .fetchone()
            )
        if not waiting:
            return 0
        with self.transaction() as tx:
            count = tx.execute(
                "DELETE FROM sync_queue WHERE ttl_seconds > 0 AND created_at + ttl_seconds <= ?",
                (now,),
            ).rowcount
        with self._lock:
            self._item_count -= count
        return count
