"""A copy of an open store, made while it is in use."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from ..disk import sync


def copy_whole(connection: sqlite3.Connection, draft: Path, to: Path) -> None:
    """Copy a database by way of `draft`; the copy is there whole or not at all.

    Raises OSError, sqlite3.Error.
    """
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft)) as copy:
        connection.backup(copy)
    sync(draft)
    os.replace(draft, to)
