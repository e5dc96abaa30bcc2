"""A copy of an open store, made while it is in use."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ..disk import sync

PIECE_PAGES = 4096  # between two looks at how far it is


def copy_draft(
    connection: sqlite3.Connection,
    draft: Path,
    advance: Callable[[int, int], None] | None = None,
    piece_pages: int = PIECE_PAGES,
) -> None:
    """Copy a database to `draft`, which is on the disk then. Raises OSError, sqlite3.Error.

    `advance` is told after each piece how many pages are done, and of how many. The copy is
    of one moment only if `connection` is in a transaction, or without `advance`.
    """
    draft.unlink(missing_ok=True)

    def told(status: int, remaining: int, total: int) -> None:
        if advance is not None:
            advance(total - remaining, total)

    with closing(sqlite3.connect(draft)) as copy:
        connection.backup(copy, pages=-1 if advance is None else piece_pages, progress=told)
    sync(draft)


def copy_whole(connection: sqlite3.Connection, draft: Path, to: Path) -> None:
    """Copy a database by way of `draft`; the copy is there whole or not at all.

    Raises OSError, sqlite3.Error.
    """
    copy_draft(connection, draft)
    os.replace(draft, to)
