"""A backup of a store: of one moment, while an agent writes, and looked through before it counts.

The copy is made beside where it is to be, checked there, and renamed. Somebody who is
told that there is a backup has one that SQLite can read and whose ledger is known.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import disk
from ..errors import StoreBrokenError, StoreError, StoreFullError
from .connection import connect_reader, store_error
from .copy import PIECE_PAGES, copy_draft
from .ledger import read_open


@dataclass(frozen=True)
class Backup:
    """What a backup holds."""

    path: Path
    size: int  # bytes
    readings: int
    events: int
    is_balanced: bool  # whether its ledger is: that of the store was the same

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {**vars(self), "path": str(self.path)}


def back_up(
    path: Path,
    to: Path,
    advance: Callable[[int, int], None],
    piece_pages: int = PIECE_PAGES,
) -> Backup:
    """Copy the store at `path` to `to`, replacing what is there; return what it holds.

    `advance` is told after each piece how many pages are copied, and of how many. What can't
    be read or does not pass SQLite's check is no backup. Raises StoreError, and `to` is as it was.
    """
    draft = disk.draft_beside(to)
    if not to.exists():
        _check_free(to)
    try:
        with closing(connect_reader(path)) as source:
            _check_room(path, to)
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM meta").fetchone()  # the moment that it is of
            copy_draft(source, draft, advance, piece_pages)
        shutil.copymode(path, draft)
        made = _look_through(draft, to)
        for end in (
            "-wal",
            "-shm",
        ):  # of what is replaced: SQLite would read the copy through them
            disk.beside(to, end).unlink(missing_ok=True)
        os.replace(draft, to)
        disk.sync(to.parent)
    except sqlite3.Error as error:
        raise store_error(path, error) from error
    except OSError as error:
        raise StoreError(f"{to}: can't be written: {error.strerror or error}") from error
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            disk.beside(draft, end).unlink(missing_ok=True)
    return made


def _check_free(to: Path) -> None:
    """Raise StoreError if there is a WAL of another file: SQLite would read it with the copy."""
    for end in ("-wal", "-shm", "-journal"):
        other = disk.beside(to, end)
        if other.exists():
            raise StoreError(f"{other}: is there, of another {to.name}; name another file")


def _check_room(path: Path, to: Path) -> None:
    size = sum(one.stat().st_size for one in (path, disk.beside(path, "-wal")) if one.exists())
    free = disk.free_size(to.parent)
    if free < size:
        raise StoreFullError(
            f"{to}: needs up to {size / 1e6:.1f} MB, {free / 1e6:.1f} MB are free there"
        )


def _look_through(draft: Path, to: Path) -> Backup:
    with closing(connect_reader(draft, is_alone=True)) as copy:
        (said,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if said != "ok":
            raise StoreBrokenError(f"{to}: is not made, since the store is damaged: {said}")
        ledger = read_open(copy)
    readings = ledger.total("present")
    return Backup(to, draft.stat().st_size, readings, ledger.events, ledger.is_balanced)
