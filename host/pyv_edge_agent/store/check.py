"""The check of a file that was not closed: does it make sense, as far as a few seconds tell?"""

import logging
import sqlite3
from pathlib import Path

from ..clock import Clock
from ..errors import StoreBrokenError
from .ledger import read_open

logger = logging.getLogger(__name__)


def damage(connection: sqlite3.Connection, clock: Clock, within_ms: int) -> str | None:
    """Return what SQLite finds to be damaged, "" if nothing, None if it takes too long.

    Raises sqlite3.Error.
    """
    end_ms = clock.monotonic_ms() + within_ms
    connection.set_progress_handler(lambda: clock.monotonic_ms() > end_ms, 100_000)
    try:
        (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        return None
    finally:
        connection.set_progress_handler(None, 0)
    return "" if said == "ok" else " ".join(str(said).split())


def check_sound(connection: sqlite3.Connection, path: Path, clock: Clock, check_ms: int) -> None:
    """Look for damage for at most `check_ms`. Raises StoreBrokenError.

    SQLite sees a page that makes no sense, the ledger a row that is missing; that a number
    was changed, only the seals tell.
    """
    end_ms = clock.monotonic_ms() + check_ms
    connection.set_progress_handler(lambda: clock.monotonic_ms() > end_ms, 100_000)
    try:
        rows = connection.execute("PRAGMA quick_check(1)").fetchall()
        is_salvaging = connection.execute("SELECT 1 FROM meta WHERE key = 'salvage'").fetchone()
        if rows == [("ok",)] and not is_salvaging and not read_open(connection).is_balanced:
            rows = [("the ledger does not balance",)]
    except (ValueError, TypeError) as error:
        rows = [(f"{type(error).__name__}: {error}",)]
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        logger.warning(
            "%s: was not closed, and is too large to be checked within %d s; `pyv-edge-host"
            " audit verify` does that",
            path,
            check_ms // 1000,
        )
        return
    finally:
        connection.set_progress_handler(None, 0)
    if rows != [("ok",)]:
        raise StoreBrokenError(f"{path}: {' '.join(str(rows[0][0]).split())}")
