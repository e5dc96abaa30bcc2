"""Place: whether the file at the store's path is still the one that is open.

One that was deleted or replaced can be written for as long as somebody has it open, and
then it is gone, with what boards were told is safe. So each transaction looks first; what
is only in an open file is copied to where it can be found.
"""

import logging
import sqlite3
from contextlib import suppress
from pathlib import Path

from ..disk import beside, identity, sync, unused
from ..errors import StoreError
from .connection import connect_reader, store_error
from .copy import copy_whole

logger = logging.getLogger(__name__)

REPLACED_MAX = 20  # copies; with more, somebody does it on purpose


class Place:
    """What is at a store's path while it is open."""

    def __init__(self, path: Path) -> None:
        """Note what is there now."""
        self._path = path
        self._file = identity(path)
        self._wal = identity(beside(path, "-wal"))
        self._device = _device(path)
        self._kept: Path | None = None  # of the open file, since another one is at its path

    def problem(self) -> str:
        """Return why the open file is not what is at its path, "" if it is."""
        if identity(self._path) == self._file:
            self._kept = None  # it is back, and goes on
            return "its WAL was deleted" if self._is_wal_lost() else ""
        if _device(self._path) != self._device:
            return "its disk is not the one that it was opened on; mount that again"
        return "was deleted" if identity(self._path) is None else "was replaced"

    def _is_wal_lost(self) -> bool:
        return identity(beside(self._path, "-wal")) != self._wal

    @property
    def is_away(self) -> bool:
        """Whether the disk of the file is not there, so that it is safe where it is."""
        return identity(self._path) is None and _device(self._path) != self._device

    @property
    def is_emptied(self) -> bool:
        """Whether the file at the path has no byte: what is in its WAL may be all there is."""
        try:
            return not self._path.stat().st_size
        except OSError:
            return False

    def save(self, connection: sqlite3.Connection, *, is_last: bool = False) -> None:
        """Copy the open file to where it can be found; what is at its path stays.

        Unless it `is_last`, what is there must be a store to go on with: that is looked at when
        the copy is made, since nobody knows how this process ends. Raises StoreError, and the
        file is to stay open.
        """
        path = self._path
        if identity(path) == self._file:
            self._checkpoint(connection)  # only its WAL is lost, and may be again
            return
        if identity(path) is None:
            _copy(connection, path, path)
            logger.error("%s: was deleted while it was in use; what it held is in it again", path)
            return
        if _device(path) == self._device and self._kept is None:
            to = _replaced(path)
            _copy(connection, path, to)
            self._kept = to
            logger.error(
                "%s: %s while it was in use; what it held is in %s", path, self.problem(), to.name
            )
        if not is_last:
            self._check_successor()

    def _check_successor(self) -> None:
        """Raise StoreError unless what is at the path is a store to go on with."""
        try:
            # Not to be read through the WAL of another file.
            is_alone = not self._is_wal_lost()
            connect_reader(self._path, is_alone=is_alone, is_any_schema=True).close()
        except StoreError as error:
            remedy = "move it away, and what was stored comes back"
            raise type(error)(f"{error}; {remedy}") from error

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        try:
            is_busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error
        if is_busy:
            raise StoreError(f"{self._path}: its WAL was deleted, and somebody reads from it")
        logger.error("%s: its WAL was deleted while it was in use; nothing is lost", self._path)

    def forget_wal(self) -> None:
        """Delete the WAL of a file that is not at its path any more: it is in the copy.

        SQLite would take it for the WAL of the file that is there now. Raises StoreError.
        """
        wal = beside(self._path, "-wal")
        if self._wal is not None and not self._is_wal_lost():
            try:
                wal.unlink()
                beside(self._path, "-shm").unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(
                    f"{wal}: is of another file, and can't be deleted: {error}"
                ) from error


def _copy(connection: sqlite3.Connection, path: Path, to: Path) -> None:
    draft = beside(path, ".copy")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        if to == path:
            for end in ("-wal", "-shm"):  # the copy has it all, and no WAL
                beside(path, end).unlink(missing_ok=True)
        copy_whole(connection, draft, to)
        sync(to.parent)
    except sqlite3.Error as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        found = store_error(path, error)
        raise type(found)(f"{found}; it is not at its path, and can't be copied there") from error
    except OSError as error:
        raise StoreError(
            f"{path}: is not at its path, and can't be copied there: {error}"
        ) from error


def _replaced(path: Path) -> Path:
    to = unused(path, "replaced", REPLACED_MAX)
    if to is None:
        raise StoreError(
            f"{path}: was replaced, as it was {REPLACED_MAX} times before; move"
            f" {path.name}.replaced-* away"
        )
    return to


def _device(path: Path) -> int:
    """Return the device of a file, or the one that it would be on."""
    for place in (path, *path.absolute().parents):
        found = identity(place)
        if found is not None:
            return found[0]
    return -1
