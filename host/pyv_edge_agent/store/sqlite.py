"""SQLiteStore: transactions of the evidence store.

One connection writes, behind one lock; every thread that reads has a connection
of its own, and WAL keeps the two out of each other's way. A method either does
all it says and has it on the disk (synchronous=FULL), or raises StoreError and
has done nothing.

What is kept in memory beside the file (counts, cursors, the end of the audit
log) changes only once a transaction is durable: see `when_durable`.
"""

import json
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..channel_policy import ChannelPolicies
from ..clock import Clock, SystemClock
from ..errors import StoreBrokenError, StoreError
from . import boot, query, schema_copy
from .audit import AuditLog
from .boot import BootInfo, OpenedBoot, WatchedChannel
from .check import check_sound
from .commit import write_batch
from .connection import (
    BUSY_TIMEOUT_MS,
    check_writable,
    connect_reader,
    connect_writer,
    lock,
    note_store,
    store_error,
)
from .dead_letter import DeadLetters
from .item_queue import ItemQueue
from .place import Place
from .salvage import Salvage
from .sink_cursor import SinkCursors
from .write_batch import WriteBatch

logger = logging.getLogger(__name__)

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

_SET_META = """
INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""

_JSON_FACTS = {
    "run_ms",
    "rolled_id",
    "sealed",
    "salvage",
    "day",
    "audit_checkpoint",
    "hold_until_ms",
}


class SQLiteStore:
    """The readings, events and gaps of one site, and how far each sink has them."""

    def __init__(self, path: str | Path, clock: Clock | None = None, check_ms: int = 0) -> None:
        """Open the store at `path` for this process alone, making it if need be.

        One that was not closed is checked for at most `check_ms`. Raises StoreError;
        StoreBrokenError if it is damaged, see recovery.py.
        """
        self.path = Path(path)
        self.lock = threading.RLock()
        self.commits_total = 0
        self.recoveries_total = 0
        self.doubts_total = 0  # commits of which it wasn't known whether they are durable
        self.broken = ""  # what a query has found to be damaged
        self.displaced = ""  # why the open file is not what is at the path
        self.salvage: Salvage | None = None
        self._clock = clock or SystemClock()
        self._opened_ms = self._clock.monotonic_ms()
        self._lock_file: int | None = lock(self.path)
        try:
            self.policies = ChannelPolicies()
            self.sinks = SinkCursors(self)
            self.items = ItemQueue(self)
            self.dead_letters = DeadLetters(self)
            self.audit = AuditLog(self)
            self._open(check_ms)
        except BaseException:
            self._unlock()
            raise

    def _open(self, check_ms: int) -> None:
        self._local = threading.local()
        self._readers: list[tuple[threading.Thread, sqlite3.Connection]] = []
        self._is_in_doubt = False
        self._callbacks: list[Callable[[bool], None]] = []
        self._writer = connect_writer(self.path)
        try:
            if not schema_copy.fits(self._writer, self.path):
                raise StoreBrokenError(f"{self.path}: its schema is not what it was")
            self._load_sound()
            if not self.was_closed and check_ms:
                check_sound(self._writer, self.path, self._clock, check_ms)
            self._begin_run()
            schema_copy.keep(self._writer, self.path)
            assert self._lock_file is not None
            before = note_store(self._lock_file, self.store_id)
            if before not in ("", self.store_id):
                logger.warning(
                    "%s: is store %s; the one that was here before was %s",
                    *(self.path, self.store_id, before),
                )
            self._is_open = True
            self._place = Place(self.path)
            self.salvage = Salvage.resume(self)
        except BaseException as error:
            self._is_open = False
            self._writer.close()
            for _, reader in self._readers:
                reader.close()
            if isinstance(error, sqlite3.Error):
                raise store_error(self.path, error) from error
            raise
        if self.salvage is not None:
            self.sinks.hold_below(self.salvage.floor_id)

    def _load_sound(self) -> None:
        try:
            self._load(self.sinks, self.items, self.dead_letters, self.audit)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreBrokenError(f"{self.path}: {type(error).__name__}: {error}") from error

    def _begin_run(self) -> None:
        """Remember that the file is in use: whoever finds it so knows that it was not closed."""
        self._writer.execute("BEGIN IMMEDIATE")
        self.set_meta(self._writer, "is_closed", "0")
        self._writer.execute("COMMIT")
        # In the keys of batches: a store that was restored from a copy uses ids again.
        row = self._writer.execute("SELECT lower(hex(randomblob(4)))").fetchone()
        self.generation: str = row[0]

    def disconnect(self) -> None:
        """Close all connections of a damaged file, and nothing else."""
        self._is_open = False
        for _, connection in self._readers:
            connection.close()
        self._writer.close()

    def reconnect(self) -> None:
        """Open the file again, which is another one by now. Raises StoreError."""
        try:
            self._open(0)
        except StoreBrokenError as error:
            self.broken, self.displaced = str(error), ""
            raise
        self.broken = self.displaced = ""
        self.doubts_total += 1
        self.recoveries_total += 1

    def check_place(self) -> None:
        """Raise StoreError if the open file is not what is at the path any more."""
        problem = self._place.problem() if self._is_open else ""
        if problem:
            self.displaced = f"{self.path}: {problem}"
            raise StoreError(self.displaced)

    def reopen(self) -> bool:
        """Open again what is at the path, once it can be written.

        Returns whether it stands where this store stood. What is only in a file that was
        deleted or replaced is copied before, see Place. Raises StoreError, to be tried again.
        """
        with self.lock:
            stood = (self.store_id, self.last_reading_id, self.stored_total)
            if self._is_open and self._place.problem():
                self.displaced = f"{self.path}: {self._place.problem()}"
                if self._place.is_away:
                    self.disconnect()  # or its disk could not be mended
                    self._unlock()
                    raise StoreError(self.displaced)
                self._place.save(self._writer)
                self.disconnect()
                self._place.forget_wal()
            else:
                if self.displaced and not self.path.exists():
                    raise StoreError(self.displaced)
                check_writable(self.path)
                self.disconnect()
            self._unlock()  # it may be on a disk that is not there any more
            self._lock_file = lock(self.path)
            reason = self.displaced
            self.reconnect()
            if reason:
                self.audit.append("reopened", {"reason": reason})
            return stood == (self.store_id, self.last_reading_id, self.stored_total)

    def reload(self) -> None:
        """Read again from the file what is kept in memory. Raises StoreError."""
        with self.lock, self._guard():
            self._load(self.sinks, self.items, self.dead_letters, self.audit)

    def _load(self, *parts: Any) -> None:
        """Read from the file what `parts` and the store itself keep in memory."""
        meta = dict(self._writer.execute("SELECT key, value FROM meta").fetchall())
        self.store_id: str = meta["store_id"]
        self._run_before_ms = int(meta.get("run_ms", 0))
        self.was_closed = meta.get("is_closed", "1") == "1"
        row = self._writer.execute(
            "SELECT max(coalesce((SELECT max(id) FROM reading), 0),"
            " coalesce((SELECT max(last_id) FROM block), 0),"
            " coalesce((SELECT max(cursor) FROM sink), 0)),"
            " (SELECT coalesce(sum(stored_total), 0) FROM stream WHERE stream = 0)"
        ).fetchone()
        for key in _JSON_FACTS & meta.keys():
            json.loads(meta[key])  # ValueError now, rather than in the middle of the work
        # Of readings that are all removed, what is known is up to where they were sealed.
        sealed_id = json.loads(meta["sealed"])[1] if "sealed" in meta else 0
        floor_id = json.loads(meta["salvage"])["floor_id"] if "salvage" in meta else 0
        self.last_reading_id: int = max(row[0], sealed_id, floor_id)
        self.stored_total: int = row[1]  # readings that were ever stored
        for part in parts:
            part.load(self._writer)

    # -- time ----------------------------------------------------------------------

    @property
    def run_ms(self) -> int:
        """For how long this store has been in use: neither set, nor going on while it is not."""
        return self._run_before_ms + self._clock.monotonic_ms() - self._opened_ms

    def now_ms(self) -> int:
        """Return UTC, as far as the computer knows it."""
        return self._clock.utc_ms()

    def write_run_ms(self, tx: sqlite3.Connection) -> None:
        """Remember within a transaction how long the store has been in use."""
        tx.execute(_SET_META, ("run_ms", str(self.run_ms)))

    def set_meta(self, tx: sqlite3.Connection, key: str, value: str) -> None:
        """Remember a fact about the store within a transaction."""
        tx.execute(_SET_META, (key, value))

    def meta(self, key: str) -> str | None:
        """Return a fact about the store, None if it isn't known. Raises StoreError."""
        row = self.row("SELECT value FROM meta WHERE key = ?", (key,))
        return None if row is None else str(row[0])

    # -- connections ---------------------------------------------------------------

    @contextmanager
    def _guard(self) -> Iterator[None]:
        if not self._is_open:
            raise StoreError(self.displaced or f"{self.path}: the store is closed")
        try:
            yield
        except sqlite3.Error as error:
            found = store_error(self.path, error)
            if isinstance(found, StoreBrokenError):
                self.broken = self.broken or str(found)
            raise found from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run what is inside as one transaction, durable when it ends."""
        with self.lock, self._guard():
            self.check_place()
            if self._is_in_doubt:
                # Not how the sinks stand: what memory knows of them is written as a whole.
                self._load(self.items, self.dead_letters, self.audit)
                self._is_in_doubt = False
            self._writer.execute("BEGIN IMMEDIATE")
            is_durable = False
            try:
                yield self._writer
                self._is_in_doubt = True  # until the answer is there
                self._writer.execute("COMMIT")
                is_durable = True
                self._is_in_doubt = False
            except BaseException:
                self.doubts_total += self._is_in_doubt
                if self._writer.in_transaction:  # SQLite ends it by itself on some errors
                    self._writer.execute("ROLLBACK")
                raise
            finally:
                callbacks, self._callbacks = self._callbacks, []
                for call in callbacks:
                    call(is_durable)
            self.commits_total += 1

    def when_durable(self, call: Callable[[], None]) -> None:
        """Call `call` once the transaction under way is durable, never if it isn't."""
        self._callbacks.append(lambda is_durable: call() if is_durable else None)

    def when_over(self, call: Callable[[bool], None]) -> None:
        """Call `call` when the transaction under way is over, with whether it is durable."""
        self._callbacks.append(call)

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            with self.lock, self._guard():
                for ended in [one for one in self._readers if not one[0].is_alive()]:
                    self._readers.remove(ended)
                    ended[1].close()
                connection = connect_reader(self.path)
                self._readers.append((threading.current_thread(), connection))
            self._local.connection = connection
        return connection

    def rows(self, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        """Return what a query finds; of no transaction. Raises StoreError."""
        with self._guard():
            return self._reader().execute(statement, parameters).fetchall()

    def row(self, statement: str, parameters: Any = ()) -> tuple[Any, ...] | None:
        """Return the first row that a query finds, None if there is none. Raises StoreError."""
        with self._guard():
            found: tuple[Any, ...] | None = (
                self._reader().execute(statement, parameters).fetchone()
            )
            return found

    def close(self) -> None:
        """Write what only memory knows and close every connection.

        A thread that still uses the store gets StoreError.
        """
        with self.lock:
            if not self._is_open:
                self._unlock()  # an attempt to open it again may have failed
                return
            try:
                self.sinks.flush()
                with self.transaction() as tx:
                    self.write_run_ms(tx)
                    self.set_meta(tx, "is_closed", "1")
            except StoreError:
                # A crash would leave no more; the next start checks the file.
                if self._place.problem() and not self._place.is_away:
                    self._save_last()
            finally:
                self.abandon()

    def _save_last(self) -> None:
        try:
            self._place.save(self._writer)
        except StoreError as error:
            logger.error("%s", error)

    def abandon(self) -> None:
        """Close every connection and write nothing: as a crash would, in order."""
        with self.lock:
            if self._is_open:
                if self.salvage is not None:
                    self.salvage.close()
                self.disconnect()
            self._unlock()

    def _unlock(self) -> None:
        descriptor, self._lock_file = self._lock_file, None
        if descriptor is not None:
            os.close(descriptor)

    # -- devices -------------------------------------------------------------------

    def open_boot(self, info: BootInfo, utc_ms: int, unset_id: int = 0) -> OpenedBoot:
        """Register a boot and its channels if they are new; return where it resumes.

        `unset_id` names the time segment if it is one whose times are not known to be right.
        """
        with self.transaction() as tx:
            return boot.open_boot(self, tx, info, utc_ms, unset_id)

    def apply_policies(self, policies: ChannelPolicies) -> None:
        """Let `policies` hold for all channels. Raises StoreError."""
        boot.apply_policies(self, policies)

    def boards_called(self, alias: str) -> list[str]:
        """Return the device ids of the boards of that alias, in the order in which they came."""
        rows = self.rows(
            "SELECT name FROM device WHERE alias = ? AND EXISTS (SELECT 1 FROM boot"
            " WHERE device_id = device.id AND board <> 'agent') ORDER BY id",
            (alias,),
        )
        return [str(row[0]) for row in rows]

    def rule_state(self, channel_id: int) -> tuple[str, int] | None:
        """Return the saved state of a channel's alerts, None if there is none.

        And by how many milliseconds the time that rules know has moved since: it goes
        on while the computer runs, and begins with its clock when that boots.
        """
        row = self.row(_RULE_STATE, (channel_id,))
        return None if row is None else (str(row[0]), int(row[1]))

    def watched_channels(self) -> list[WatchedChannel]:
        """Return the channels whose alerts are saved, with the last boot of their device."""
        with self._guard():
            return boot.watched_channels(self._reader())

    def has_row(self, statement: str, parameters: Any = ()) -> bool:
        """Return whether a query finds anything; of no transaction."""
        return self.row(statement, parameters) is not None

    # -- readings ------------------------------------------------------------------

    def commit(self, batch: WriteBatch) -> None:
        """Store all of `batch` in one transaction. Raises StoreError, MisplacedError."""
        with self.transaction() as tx:
            write_batch(self, tx, batch)

    def count_readings(self, last_id: int, count: int) -> None:
        """Note that readings have been stored."""
        self.last_reading_id = last_id
        self.stored_total += count

    # -- what people and programs ask ----------------------------------------------

    def readings(self, *args: Any, **named: Any) -> list[dict[str, Any]]:
        """Return readings, see `query.readings`. Raises StoreError."""
        return query.readings(self, *args, **named)

    def events(self, *args: Any, **named: Any) -> list[dict[str, Any]]:
        """Return events, see `query.events`. Raises StoreError."""
        return query.events(self, *args, **named)

    def summaries(self, *args: Any, **named: Any) -> list[dict[str, Any]]:
        """Return summaries, see `query.summaries`. Raises StoreError."""
        return query.summaries(self, *args, **named)

    def audit_logs(self, *args: Any, **named: Any) -> list[dict[str, Any]]:
        """Return rows of the audit log, see `query.audit_logs`. Raises StoreError."""
        return query.audit_logs(self, *args, **named)

    def channels_of(self, device: str) -> list[tuple[str, str, str, str]]:
        """Return (alias, channel, sensor, marks) of the channels of a device."""
        return query.channels_of(self, device)

    def keep_schema(self) -> None:
        """Copy the schema if somebody has changed it, see `schema_copy`. Raises StoreError."""
        with self.lock, self._guard():
            schema_copy.keep(self._writer, self.path)

    def limit_wal(self, size: int) -> None:
        """Let the WAL be checkpointed before it has `size` bytes. Raises StoreError."""
        page_size = self.pages()[0]
        self.pragma(f"journal_size_limit = {size}")
        self.pragma(f"wal_autocheckpoint = {max(64, min(1000, size // page_size // 2))}")

    def pages(self) -> tuple[int, int, int]:
        """Return the size of a page, how many the file has, and how many are free."""
        with self.lock, self._guard():
            figures = [
                self._writer.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_size", "page_count", "freelist_count")
            ]
        return figures[0], figures[1], figures[2]

    def pages_as_read(self) -> tuple[int, int, int]:
        """Return the same as a reader sees it, which waits for no transaction."""
        figures = [
            self.rows(f"PRAGMA {name}")[0][0]
            for name in ("page_size", "page_count", "freelist_count")
        ]
        return figures[0], figures[1], figures[2]

    def checkpoint(self) -> None:
        """Empty the WAL into the file, unless a reader is in the way. Raises StoreError."""
        with self.lock, self._guard():
            # Without waiting for that reader: boards wait for us.
            self._writer.execute("PRAGMA busy_timeout = 0")
            try:
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self._writer.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")

    def pragma(self, statement: str) -> Sequence[Any]:
        """Run a PRAGMA outside of a transaction; return its first row. Raises StoreError."""
        with self.lock, self._guard():
            rows = self._writer.execute(f"PRAGMA {statement}").fetchall()
        return rows[0] if rows else ()
