"""StoreReader: a store that somebody else may have open, for reading only.

Leaves no trace in the file, and holds no transaction between two queries: a WAL that
a reader keeps from being emptied would grow under the agent.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..clock import Clock
from ..disk import beside, identity
from ..errors import StoreBrokenError, StoreError
from .check import damage
from .connection import connect_reader, store_error

# Ids are never used again, so of readings that are removed it has to be known where they ended.
_LAST_ID = """
SELECT max(coalesce((SELECT max(id) FROM reading), 0),
           coalesce((SELECT max(last_id) FROM block), 0),
           coalesce((SELECT max(cursor) FROM sink), 0))
"""


def last_known_id(connection: sqlite3.Connection, meta: dict[str, str]) -> int:
    """Return the highest id that a reading has or has had; `meta` is that of the store."""
    (last_id,) = connection.execute(_LAST_ID).fetchone()
    sealed_id = json.loads(meta["sealed"])[1] if "sealed" in meta else 0
    salvage_id = json.loads(meta["salvage"])["floor_id"] if "salvage" in meta else 0
    floor_id = int(meta.get("floor_id", 0))  # of an earlier salvage: what is gone had ids, too
    return int(max(last_id, sealed_id, salvage_id, floor_id))


class StoreReader:
    """One connection to the store at a path. For one thread."""

    def __init__(self, path: str | Path) -> None:
        """Open what is there. Raises StoreError."""
        self.path = Path(path)
        self.file = identity(self.path)  # that is open
        self._connection = connect_reader(self.path)
        self._wal = identity(beside(self.path, "-wal"))
        try:
            with self._guard():
                self.store_id = self._meta()["store_id"]
        except StoreError:
            self.close()
            raise

    @property
    def is_current(self) -> bool:
        """Whether the file that is open is still the one at the path, and its WAL the one there.

        Through a WAL that was deleted since, nothing new would ever be seen.
        """
        wal = identity(beside(self.path, "-wal"))
        return identity(self.path) == self.file and wal == self._wal

    @property
    def last_reading_id(self) -> int:
        """The highest id that a reading has or has had."""
        with self._guard():
            return last_known_id(self._connection, self._meta())

    def rows(self, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        """Return what a query finds. Raises StoreError."""
        with self._guard():
            return self._connection.execute(statement, parameters).fetchall()

    def row(self, statement: str, parameters: Any = ()) -> tuple[Any, ...] | None:
        """Return the first row that a query finds, None if there is none. Raises StoreError."""
        found = self.rows(statement, parameters)
        return found[0] if found else None

    def pragma(self, name: str) -> int:
        """Return what a PRAGMA says, which must be a number. Raises StoreError."""
        row = self.row(f"PRAGMA {name}")
        assert row is not None  # no such PRAGMA
        return int(row[0])

    def damage(self, clock: Clock, within_ms: int) -> str | None:
        """Return what SQLite finds to be damaged, "" if nothing, None for want of time.

        Raises StoreError.
        """
        with self._guard():
            return damage(self._connection, clock, within_ms)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all queries inside see one moment. To be over soon: it holds up the WAL."""
        with self._guard():
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            with self._guard():
                self._connection.execute("ROLLBACK")

    def _meta(self) -> dict[str, str]:
        return dict(self._connection.execute("SELECT key, value FROM meta").fetchall())

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise StoreBrokenError(f"{self.path}: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
