"""Database: the transactions of one SQLite file, and the file itself while it is open.

One connection writes, behind one lock; every thread that reads has a connection
of its own, and WAL keeps the two out of each other's way. A method either does
all it says and has it on the disk (synchronous=FULL), or raises StoreError and
has done nothing.

What is kept in memory beside the file (counts, cursors, the end of the audit
log) changes only once a transaction is durable: see `when_durable`.
"""

import logging
import os
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..clock import Clock
from ..disk import beside
from ..errors import StoreBrokenError, StoreError
from . import schema_copy
from .connection import (
    BUSY_TIMEOUT_MS,
    SET_ASIDE,
    connect_reader,
    connect_writer,
    lock,
    note_store,
    open_raw,
    store_error,
    time_limit,
)
from .place import Place

logger = logging.getLogger(__name__)


class Database(ABC):
    """One file, for this process alone. What is in it, a subclass knows."""

    def __init__(self, path: Path) -> None:
        """Lock the file at `path`; `open` opens it. Raises StoreError."""
        self.path = path
        self.lock = threading.RLock()
        self.commits_total = 0
        self.recoveries_total = 0
        self.doubts_total = 0  # commits of which it wasn't known whether they are durable
        self.broken = ""  # what a query has found to be damaged
        self.displaced = ""  # why the open file is not what is at the path
        self._is_open = False
        self._lock_file: int | None = lock(path)

    # -- what a subclass does ------------------------------------------------------

    @abstractmethod
    def _look(self, check_ms: int) -> None:
        """Look for at most `check_ms` at the file before SQLite does. Raises StoreError."""

    @abstractmethod
    def _begin(self, check_ms: int) -> str:
        """Read what is to be known of a file just opened; return which store it is.

        One that was not closed is checked for at most `check_ms`.
        """

    @abstractmethod
    def _resume(self) -> None:
        """Go on with what was under way when the file was last closed."""

    @abstractmethod
    def _load_after_doubt(self) -> None:
        """Read again what memory knows: a commit may have been done, or not."""

    @abstractmethod
    def _let_go(self) -> None:
        """Close whatever else is open."""

    @property
    def is_open(self) -> bool:
        """Whether there is a file; an attempt to open it again may have failed."""
        return self._is_open

    # -- opening -------------------------------------------------------------------

    def open(self, check_ms: int) -> None:
        """Open the file, making it if need be. Raises StoreError, and it is not locked."""
        try:
            self._open(check_ms)
        except BaseException:
            self._unlock()
            raise

    def _open(self, check_ms: int) -> None:
        self._local = threading.local()
        self._readers: list[tuple[threading.Thread, sqlite3.Connection]] = []
        self._is_in_doubt = False
        self._callbacks: list[Callable[[bool], None]] = []
        self._look(check_ms)
        self._writer = connect_writer(self.path)
        self._descriptors: list[int] = []  # of the file; the first to read pages by
        try:
            self._descriptors.append(open_raw(self.path))
            if not schema_copy.fits(self._writer, self.path):
                raise StoreBrokenError(f"{self.path}: its schema is not what it was")
            self.note(self._begin(check_ms))
            schema_copy.keep(self._writer, self.path, self._descriptors[0])
            self._is_open = True
            self._place = Place(self.path)
            self._resume()
        except BaseException as error:
            self.disconnect()
            if isinstance(error, sqlite3.Error):
                raise store_error(self.path, error) from error
            raise

    def note(self, store_id: str) -> None:
        """Write beside the file which store it is; tell if another one was there before.

        Not if that was damaged: then this one will be the same, once it is salvaged.
        """
        assert self._lock_file is not None
        before = note_store(self._lock_file, store_id)
        if before not in ("", store_id) and not beside(self.path, SET_ASIDE).exists():
            logger.warning(
                "%s: is store %s; the one that was here before was %s",
                *(self.path, store_id, before),
            )

    def disconnect(self) -> None:
        """Close all connections, and nothing else."""
        self._is_open = False
        self._let_go()
        for _, connection in self._readers:
            connection.close()
        self._writer.close()
        while self._descriptors:  # last, see open_raw
            os.close(self._descriptors.pop())

    def suspend(self) -> None:
        """Close every connection, write nothing and stay locked: it is to be opened again."""
        with self.lock:
            if self._is_open:
                self.disconnect()

    def abandon(self) -> None:
        """Close every connection and write nothing: as a crash would, in order."""
        with self.lock:
            self.suspend()
            self._unlock()

    def _unlock(self) -> None:
        descriptor, self._lock_file = self._lock_file, None
        if descriptor is not None:
            os.close(descriptor)

    # -- a file that is not what it was --------------------------------------------

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

    def obstacle(self) -> str:
        """Return why nothing could be stored now, as far as a look can tell; "" if it could."""
        if not self._is_open:
            return self.displaced or self.broken or f"{self.path}: the store is closed"
        if problem := self._place.problem():
            return f"{self.path}: {problem}"
        is_writable = os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        return "" if is_writable else f"{self.path}: can't be written"

    def check_place(self) -> None:
        """Raise StoreError if the open file is not what is at the path any more."""
        if self._is_displaced():
            raise StoreError(self.displaced)

    def _is_displaced(self) -> bool:
        problem = self._place.problem() if self._is_open else ""
        if problem:
            self.displaced = f"{self.path}: {problem}"
        return bool(problem)

    def renew(self) -> None:
        """Open what is at the path by now, once it can be written.

        What is only in a file that was deleted or replaced is copied before, see Place.
        For the one that holds the lock. Raises StoreError, to be tried again.
        """
        if self._is_displaced():
            if self._place.is_away:
                self.disconnect()  # or its disk could not be mended
                self._unlock()
                raise StoreError(self.displaced)
            self._place.save(self._writer)
            self._place.forget_wal()
            self.disconnect()
        else:
            if self.displaced and not self.path.exists():
                raise StoreError(self.displaced)  # of a disk that is not there yet
            self._descriptors.append(open_raw(self.path, os.O_RDWR))  # whether it can be written
            self.disconnect()
        self._unlock()  # it may be on a disk that is not there any more
        self._lock_file = lock(self.path)
        self.reconnect()

    def save_displaced(self) -> None:
        """Copy the open file to where it can be found, if it is nowhere else."""
        if self._place.problem() and not self._place.is_away:
            try:
                self._place.save(self._writer, is_last=True)
            except StoreError as error:
                logger.error("%s", error)

    # -- transactions --------------------------------------------------------------

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
            if self._place.is_emptied:
                self.broken = f"{self.path}: was emptied while it was in use"
                raise StoreBrokenError(self.broken)
            if self._is_in_doubt:
                self._load_after_doubt()
                self._is_in_doubt = False
            self._writer.execute("BEGIN IMMEDIATE")
            is_durable = False
            try:
                yield self._writer
                self._is_in_doubt = True  # until the answer is there
                self._writer.execute("COMMIT")
                self.check_place()  # what a WAL got that was deleted meanwhile is on no disk
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

    # -- queries -------------------------------------------------------------------

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

    @contextmanager
    def limited(self, clock: Clock, within_ms: int) -> Iterator[None]:
        """Let queries of this thread take no longer than that. Raises TimeoutError, StoreError."""
        reader = self._reader()
        try:
            with time_limit(reader, clock, within_ms):
                yield
        except StoreError as error:
            if "interrupted" not in str(error.__cause__):
                raise
            raise TimeoutError from error

    def has_row(self, statement: str, parameters: Any = ()) -> bool:
        """Return whether a query finds anything; of no transaction."""
        return self.row(statement, parameters) is not None

    # -- the file ------------------------------------------------------------------

    def keep_schema(self) -> None:
        """Copy the schema if somebody has changed it, see `schema_copy`. Raises StoreError."""
        with self.lock, self._guard():
            schema_copy.keep(self._writer, self.path, self._descriptors[0])

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

    def give_back(self, page_count: int) -> None:
        """Give at most so many free pages back to the disk, in one commit. Raises StoreError."""
        with self.lock, self._guard():
            # As a script: execute() of Python 3.11 leaves the PRAGMA at its first page.
            self._writer.executescript(f"PRAGMA incremental_vacuum({page_count})")

    def pragma(self, statement: str) -> Sequence[Any]:
        """Run a PRAGMA outside of a transaction; return its first row. Raises StoreError."""
        with self.lock, self._guard():
            rows = self._writer.execute(f"PRAGMA {statement}").fetchall()
        return rows[0] if rows else ()
