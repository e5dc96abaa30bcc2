"""Place: how far a file was read, and by what the file is known again.

A file's number alone says little: it is given again once the file is gone, and is another
one on a disk without numbers. So a file is known by the bytes that were read, too: those
at its beginning and those just before the place.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ..plain_file import open_plain
from .lines import SIZE_MAX

CHUNK_SIZE = 65_536
HEAD_SIZE = 1024  # bytes at the beginning by which a file is known
OWN_SHARE = 0.8  # of lines, that differ from all others
MARK_SIZE = 256  # and before the place


class Place(NamedTuple):
    """How far a file was read. `inode` 0: there was no file yet."""

    inode: int = 0
    offset: int = 0
    head: str = ""  # digests of what was read
    mark: str = ""
    # While nothing of it was read:
    opened_ns: int = 0  # how old what was moved away may be that has been read
    before: int = 0  # the file that was read before it
    present_ns: int = 0  # when the file was last written while it had the name
    columns: tuple[str, ...] = ()  # that a header behind the first line has named
    read: tuple["Place", ...] = ()  # how far others were read before, the last one at the end

    def alone(self) -> "Place":
        """Return it without what matters only while the file is read."""
        known = (self.inode, self.offset, self.head, self.mark)
        return Place(*known, columns=self.columns)

    def to_json(self) -> str:
        """Return it as a submission's position."""
        read = [[*one[:4], *([one.columns] if one.columns else ())] for one in self.read]
        fields = {**self._asdict(), "read": read}
        return json.dumps({"mode": "tail", **fields})


_FIELDS = ("inode", "offset", "head", "mark", "opened_ns", "before")


def read_place(position: str) -> Place | None:
    """Return the place that a position stands for, None if it stands for none."""
    try:
        found = json.loads(position or "null")
        inode, offset, head, mark, opened_ns, before = (found[name] for name in _FIELDS)
        read = tuple(
            Place(int(inode), int(offset), str(head), str(mark), columns=_texts(*columns))
            for inode, offset, head, mark, *columns in found.get("read", ())
        )  # of which, and of what follows, the first versions knew nothing
        told = (int(inode), int(offset), str(head), str(mark), int(opened_ns), int(before))
        return Place(
            *told, int(found.get("present_ns", 0)), _texts(found.get("columns", ())), read
        )
    except (ValueError, KeyError, TypeError):
        return None  # nothing was read yet, or by another adapter under this name


def _texts(found: Iterable[Any] = ()) -> tuple[str, ...]:
    return tuple(map(str, found))


def digest(data: bytes) -> str:
    """Return what `data` is known by."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


class OpenFile:
    """One file while it is read."""

    def __init__(self, path: str | Path) -> None:
        """Open it. Raises OSError, also for what is no plain file."""
        self._file = open_plain(path)
        self.inode = self.status.st_ino
        self.offset = 0  # of the next byte to be read
        self._head = b""
        self._window = b""  # what was read last

    def close(self) -> None:
        """Let go of it."""
        os.close(self._file)

    @property
    def status(self) -> os.stat_result:
        """What the disk says of it now."""
        return os.fstat(self._file)

    def bytes_at(self, start: int, size: int) -> bytes:
        """Return up to `size` bytes of it."""
        return os.pread(self._file, size, start)

    def read(self) -> bytes:
        """Return what follows, b"" at the end."""
        data = self.bytes_at(self.offset, CHUNK_SIZE)
        if self.offset < HEAD_SIZE:
            self._head = (self._head + data)[:HEAD_SIZE]
        self.offset += len(data)
        self._window = self._window[-MARK_SIZE:] + data
        return data

    def go_to(self, offset: int) -> None:
        """Read from there on."""
        start = max(0, offset - MARK_SIZE)
        self._head = self.bytes_at(0, min(HEAD_SIZE, offset))
        self.offset, self._window = offset, self.bytes_at(start, offset - start)

    def place(self, offset: int) -> Place:
        """Return the place at `offset`, which the last read has reached or passed."""
        end = len(self._window) - (self.offset - offset)
        assert end >= min(offset, MARK_SIZE), "that was read too long ago"
        mark = self._window[max(0, end - MARK_SIZE) : end]
        return Place(self.inode, offset, digest(self._head[:offset]), digest(mark))

    def known_at(self, offset: int) -> Place:
        """Return the place at `offset` in what there is now."""
        start = max(0, offset - MARK_SIZE)
        head = self.bytes_at(0, min(HEAD_SIZE, offset))
        return Place(
            self.inode, offset, digest(head), digest(self.bytes_at(start, offset - start))
        )

    def holds(self, place: Place) -> bool:
        """Return whether it has what was read up to `place`."""
        if self.size < place.offset:
            return False
        found = self.known_at(place.offset)
        return not place.offset or (found.head, found.mark) == (place.head, place.mark)

    def has_own_lines(self, offset: int) -> bool:
        """Return whether most lines before `offset` differ: else others may have the same."""
        start = max(0, offset - HEAD_SIZE)
        data = self.bytes_at(start, offset - start)
        lines = [line for line in data.split(b"\n")[1:-1] if line]
        return len(set(lines)) >= OWN_SHARE * len(lines)

    def begins_as(self, other: "OpenFile") -> bool:
        """Return whether it begins with all of another one, as far as beginning and end tell."""
        size = other.size
        length = min(size, HEAD_SIZE)
        return size <= self.size and all(
            self.bytes_at(at, length) == other.bytes_at(at, length) for at in (0, size - length)
        )

    def is_altered(self) -> bool:
        """Return whether what was read last isn't there any more."""
        known = self._window[-MARK_SIZE:]
        return self.bytes_at(self.offset - len(known), len(known)) != known

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.status.st_size

    @property
    def has_more(self) -> bool:
        """Whether there is more in it than was read."""
        return self.size > self.offset

    def has_line_at(self, offset: int) -> bool:
        """Return whether a whole line, or more than one may have, is behind `offset`."""
        data = self.bytes_at(offset, SIZE_MAX + 1) if self.size > offset else b""
        return b"\n" in data or len(data) > SIZE_MAX

    def last_line_start(self) -> int:
        """Return where the line begins that has no end yet."""
        size = self.status.st_size
        start = max(0, size - SIZE_MAX)
        return start + self.bytes_at(start, size - start).rfind(b"\n") + 1
