"""The check of a file that was not closed: does it make sense, as far as a few seconds tell?"""

import logging
import sqlite3
from pathlib import Path

from ..clock import Clock
from ..errors import StoreBrokenError, StoreError
from . import wal
from .connection import time_limit, was_store
from .ledger import read_open

logger = logging.getLogger(__name__)


def damage(connection: sqlite3.Connection, clock: Clock, within_ms: int) -> str | None:
    """Return what SQLite finds to be damaged, "" if nothing, None if it takes too long.

    Raises sqlite3.Error.
    """
    try:
        with time_limit(connection, clock, within_ms):
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except TimeoutError:
        return None
    return "" if said == "ok" else " ".join(str(said).split())


def check_closed(path: Path, clock: Clock, check_ms: int) -> None:
    """Look at a file that nobody has open, before SQLite does and forgets what it can't read.

    For at most `check_ms`; 0 leaves the content of the WAL unread. Raises StoreError;
    StoreBrokenError if something that was committed is not there any more.
    """
    try:
        if wal.is_orphan(path):
            state = "the file is empty" if path.exists() else "there is no file"
            raise StoreBrokenError(f"{path}: {state}, and its WAL has what was not in it yet")
        if path.exists() and not path.stat().st_size and was_store(path):
            raise StoreBrokenError(f"{path}: the file is empty, and was a store")
        end_ms = clock.monotonic_ms() + check_ms
        lost = wal.lost(path, lambda: clock.monotonic_ms() > end_ms) if check_ms else ""
    except OSError as error:
        raise StoreError(f"{path}: can't be read: {error}; check storage.path") from error
    if lost:
        raise StoreBrokenError(f"{path}: {lost}")
    if lost is None:
        _warn_unchecked(path, check_ms)


def check_sound(connection: sqlite3.Connection, path: Path, clock: Clock, check_ms: int) -> None:
    """Look for damage for at most `check_ms`. Raises StoreBrokenError.

    SQLite sees a page that makes no sense, the ledger a row that is missing; that a number
    was changed, only the seals tell.
    """
    problem = ""
    try:
        with time_limit(connection, clock, check_ms):
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            is_salvaging = connection.execute(
                "SELECT 1 FROM meta WHERE key = 'salvage'"
            ).fetchone()
            if said != "ok":
                problem = " ".join(str(said).split())
            elif not is_salvaging and not read_open(connection).is_balanced:
                problem = "the ledger does not balance"
    except (ValueError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
    except TimeoutError:
        _warn_unchecked(path, check_ms)
        return
    if problem:
        raise StoreBrokenError(f"{path}: {problem}")


def _warn_unchecked(path: Path, check_ms: int) -> None:
    logger.warning(
        "%s: was not closed, and is too large to be checked within %d s; `pyv-edge-host"
        " audit verify` does that",
        path,
        check_ms // 1000,
    )
