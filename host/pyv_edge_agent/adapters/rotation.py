"""Rotation: the files beside a followed one, and which of them had its name before."""

import logging
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .place import OpenFile, Place

logger = logging.getLogger(__name__)

ENTRIES_MAX = 10_000  # of a folder, that are looked at for a file that was moved away
COUNT_DIGITS_MAX = 4  # of a number behind a name; longer ones are dates
SCANS_MAX = 5  # of a folder in which files are being moved
MOVING = "files are being moved"  # a problem that is over at the next look
_DATE = re.compile(r"\d{4}[-_.]?\d{2}[-_.]?\d{2}([-_.T]?\d{2}([-_.h]?\d{2}){0,2})?")  # in a name
_ROTATED = re.compile(r"[.\-_]?\d[\d.\-_T]*")  # behind the name: .1, -20261127, .2026-11-27T10


class Entry(NamedTuple):
    """A file of a folder, when that was looked through."""

    name: str
    path: str
    inode: int
    written_ns: int
    size: int

    @property
    def age(self) -> tuple[int, int, str]:
        """What files that were moved away are sorted by, the oldest first.

        Of two that were written in one tick of the kernel's clock, .2 is the older.
        """
        number = self.name.rpartition(".")[2]
        is_counted = number.isdecimal() and len(number) <= COUNT_DIGITS_MAX
        return self.written_ns, -int(number) if is_counted else 0, self.name

    def open(self) -> OpenFile:
        """Open it. Raises OSError, also if its name is another file's by now."""
        with suppress(FileNotFoundError):
            file = OpenFile(self.path)
            if file.inode == self.inode:
                return file
            file.close()
        raise OSError(MOVING)

    def open_if_holds(self, place: Place) -> OpenFile | None:
        """Open it if it can be read and has what was read up to `place`."""
        with suppress(OSError):
            file = OpenFile(self.path)
            if file.inode == self.inode and file.holds(place):
                return file
            file.close()
        return None


def entries_beside(path: Path) -> list[Entry]:
    """Return the plain files in the folder of a name, and of what it is a link to.

    Raises OSError if they don't stay as they are for a moment.
    """
    before = None
    for _ in range(SCANS_MAX):
        found = list(_scan(path))
        names = {(one.path, one.inode) for one in found if one.name.startswith(path.name)}
        if names == before:
            return found
        before = names
    raise OSError(MOVING)


def _scan(path: Path) -> Iterator[Entry]:
    count = 0
    for folder in sorted({path.parent.resolve(), path.resolve().parent}):
        with suppress(OSError), os.scandir(folder) as entries:  # it may not be ours to read
            for one in entries:
                count += 1
                if count > ENTRIES_MAX:
                    logger.warning(
                        "%s: more than %d files; no more of them are looked at for one that"
                        " was moved away",
                        *(folder, ENTRIES_MAX),
                    )
                    return
                with suppress(OSError):  # it has gone meanwhile
                    status = os.stat(one.path, follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        facts = (status.st_ino, status.st_mtime_ns, status.st_size)
                        yield Entry(one.name, one.path, *facts)


def moved_away(path: Path, entries: list[Entry]) -> list[Entry]:
    """Return those that had the name before, the oldest first.

    If the name is a link, those that have another date in the name of what it leads to.
    """
    likes = [(path.name, _ROTATED)]
    if path.is_symlink():
        target = path.resolve().name
        if (date := _DATE.search(target)) is not None:  # another number may be another thing
            parts = (target[: date.start()], date.group(), target[date.end() :])
            begin, digits, end = map(re.escape, parts)
            likes.append(("", re.compile(begin + re.sub(r"\d", r"\\d", digits) + end)))
    found = [
        entry
        for entry in entries
        if any(
            entry.name.startswith(start) and like.fullmatch(entry.name, len(start))
            for start, like in likes
        )
    ]
    return sorted(found, key=lambda entry: entry.age)
