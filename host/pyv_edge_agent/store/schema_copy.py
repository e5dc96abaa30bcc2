"""A copy of the pages with the schema: without them nothing else in a file can be read.

They are a few kilobytes at the beginning of the file, beside what every checkpoint
writes. They change only when the schema does, so a copy of them stays right, and can be
put back into a damaged file.
"""

import hashlib
import json
import logging
import os
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from ..disk import beside, sync, write_whole
from .schema import TABLES, VIEWS

logger = logging.getLogger(__name__)

SUFFIX = ".schema"  # of the copy, beside the store
ORIGINAL = ".pages"  # of what was in a damaged file where the copy was put
_PAGES = "SELECT pageno FROM dbstat WHERE name = 'sqlite_schema' ORDER BY pageno"
_SIZE_AT = 28  # of SQLite's file format, section 1.3: the size of the file in pages


def keep(connection: sqlite3.Connection, path: Path, descriptor: int) -> None:
    """Write the copy for the store at `path`, unless there is one of this schema.

    `descriptor` is of the open file: another one must not be closed, see Database. Waits for
    nobody. That it can't be written is no fault: it is for a file that is damaged.
    """
    known = _read(beside(path, SUFFIX))
    try:
        page_size, version = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "schema_version")
        )
        inode = os.fstat(descriptor).st_ino
        # Where they are changes too: when the file is made smaller, its last pages move.
        numbers = [row[0] for row in connection.execute(_PAGES)]
        told = None if known is None else [known[0][key] for key in ("version", "inode", "pages")]
        if told == [version, inode, numbers]:
            return
        _, frames, done = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if frames != done:
            return  # somebody reads, and the file has not all of it: next time
        body = b"".join(_page(descriptor, number, page_size) for number in numbers)
        head = {
            "version": version,
            "inode": inode,  # of the file: another one may have its pages elsewhere
            "page_size": page_size,
            "pages": numbers,
            "texts": _texts(connection),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        write_whole(beside(path, SUFFIX), json.dumps(head).encode() + b"\n" + body)
    except (sqlite3.Error, OSError) as error:
        logger.warning("%s: no copy of its schema can be made: %s", path, error)


def fits(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether a file has the columns of the schema, and all that a copy beside it tells of.

    SQLite would not see a changed letter in the name of a column.
    """
    known = _read(beside(path, SUFFIX))
    try:
        if not has_columns(connection):
            return False
        (version,) = connection.execute("PRAGMA schema_version").fetchone()
        return (
            known is None
            or known[0]["version"] != version
            or known[0]["inode"] != path.stat().st_ino
            or known[0]["texts"] == _texts(connection)
        )
    except (sqlite3.Error, UnicodeDecodeError, TypeError):
        return False


def has_columns(connection: sqlite3.Connection) -> bool:
    """Return whether a file has all tables and views of the schema; others are the user's."""
    found = _columns(connection)
    return all(found.get(name) == columns for name, columns in _expected().items())


@cache
def _expected() -> dict[str, set[str]]:
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(TABLES + VIEWS)
        return _columns(fresh)


def _columns(connection: sqlite3.Connection) -> dict[str, set[str]]:
    names = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
    return {
        name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
        for (name,) in names.fetchall()
    }


def _texts(connection: sqlite3.Connection) -> str:
    """Return a digest of all texts of the schema."""
    rows = connection.execute("SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master")
    return hashlib.sha256(repr(sorted(rows)).encode()).hexdigest()


def put_back(broken: Path, *, is_its_own: bool = False) -> None:
    """Put the copy beside a damaged file into it, if it is that file's, or `is_its_own` says so.

    What was there is kept in another file beside it.
    """
    known = _read(beside(broken, SUFFIX))
    original = beside(broken, ORIGINAL)
    if known is None or original.exists():
        return
    head, body = known
    size = head["page_size"]
    try:
        if not is_its_own and broken.stat().st_ino != head["inode"]:
            return
        with broken.open("r+b") as file:
            last = file.seek(0, os.SEEK_END) // size
            there = [_page(file.fileno(), number, size) for number in head["pages"]]
            original.write_bytes(json.dumps(head).encode() + b"\n" + b"".join(there))
            sync(original)
            for nth, number in enumerate(head["pages"]):
                page = bytearray(body[nth * size : (nth + 1) * size])
                if number == 1:
                    page[_SIZE_AT : _SIZE_AT + 4] = last.to_bytes(4, "big")
                file.seek((number - 1) * size)
                file.write(page)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        logger.warning("%s: its schema can't be put back: %s", broken, error)
    else:
        logger.warning("%s: its schema could not be read, and was put back from a copy", broken)


def _read(path: Path) -> tuple[dict[str, Any], bytes] | None:
    """Return the head and the pages of a copy, None if there is none that is whole."""
    try:
        line, _, body = path.read_bytes().partition(b"\n")
        head = json.loads(line)
        if hashlib.sha256(body).hexdigest() != head["sha256"]:
            return None
        if len(body) != head["page_size"] * len(head["pages"]):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return head, body


def _page(descriptor: int, number: int, size: int) -> bytes:
    return os.pread(descriptor, size, (number - 1) * size).ljust(size, b"\0")
