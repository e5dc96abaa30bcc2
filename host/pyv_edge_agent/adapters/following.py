"""Following: a file that grows, is moved away, cut off or made anew, read once from end to end.

Where reading goes on is a `Place`: which file, how far, and what was read there. A file's
number alone says little: it is given again once the file is gone, and is another one on a
disk without numbers. So a file is known by its number and by the bytes that were read at
its beginning and just before the place:

- the same number, the same bytes: it is the one;
- its number under another name: it was moved away. It is read to its end, then what was
  moved away after it, then the file that has the name now;
- another number, the same bytes: it was put back, or written anew with more behind;
- a file beside it with the same bytes: it was copied and cut off (copytruncate);
- none of these: what was not read of it is lost, and the log says so.
"""

import hashlib
import json
import logging
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .lines import SIZE_MAX

logger = logging.getLogger(__name__)

CHUNK_SIZE = 65_536
HEAD_SIZE = 1024  # bytes at the beginning by which a file is known
MARK_SIZE = 256  # and before the place
ENTRIES_MAX = 10_000  # of a folder, that are looked at for a file that was moved away
_ROTATED = re.compile(r"[.\-_]?\d[\d.\-_T]*")  # behind the name: .1, -20261127, .2026-11-27T10


class Place(NamedTuple):
    """How far a file was read. `inode` 0: there was no file yet."""

    inode: int = 0
    offset: int = 0
    head: str = ""  # digests of what was read
    mark: str = ""

    def to_json(self) -> str:
        """Return it as a submission's position."""
        return json.dumps({"mode": "tail", **self._asdict()})


def read_place(position: str) -> Place | None:
    """Return the place that a position stands for, None if it stands for none."""
    try:
        found = json.loads(position or "null")
        inode, offset, head, mark = (found[name] for name in Place._fields)
        return Place(int(inode), int(offset), str(head), str(mark))
    except (ValueError, KeyError, TypeError):
        return None  # nothing was read yet, or by another adapter under this name


def digest(data: bytes) -> str:
    """Return what `data` is known by."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def open_plain(path: str | Path) -> int:
    """Return a descriptor of a file to read. Raises OSError, also for what is no plain file."""
    # Without waiting: a pipe may have no other end.
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError("is no plain file")
    return file


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

    def holds(self, place: Place) -> bool:
        """Return whether it has what was read up to `place`."""
        start = max(0, place.offset - MARK_SIZE)
        mark = self.bytes_at(start, place.offset - start)
        head = self.bytes_at(0, min(HEAD_SIZE, place.offset))
        is_long_enough = self.status.st_size >= place.offset
        is_same = (digest(head), digest(mark)) == (place.head, place.mark)
        return is_long_enough and (is_same or not place.offset)

    def is_altered(self) -> bool:
        """Return whether what was read last isn't there any more."""
        known = self._window[-MARK_SIZE:]
        return self.bytes_at(self.offset - len(known), len(known)) != known

    def last_line_start(self) -> int:
        """Return where the line begins that has no end yet."""
        size = self.status.st_size
        start = max(0, size - SIZE_MAX)
        return start + self.bytes_at(start, size - start).rfind(b"\n") + 1


class Following:
    """Reads what is written under one name, whatever becomes of the file. For one thread."""

    def __init__(self, path: Path, start: str) -> None:
        """Follow `path`; a file that nothing was ever read of, from its `start`: begin or end."""
        self.path = path
        self.opened_total = 0  # whenever reading goes on elsewhere
        self._start = start
        self._file: OpenFile | None = None
        self._place: Place | None = None
        self._is_leaving = False  # another file has the name, this one was at its end

    def resume(self, position: str) -> None:
        """Go on at a stored position; "" if nothing was read yet."""
        self.close()
        self._place = read_place(position)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._is_leaving = False

    @property
    def is_open(self) -> bool:
        """Whether it has a file that can be read on."""
        return self._file is not None

    @property
    def offset(self) -> int:
        """Where the next byte is in its file."""
        return 0 if self._file is None else self._file.offset

    @property
    def place(self) -> Place | None:
        """The place that `keep` has noted last, or where the file was opened."""
        return self._place

    def keep(self, offset: int) -> Place:
        """Note that all before `offset` was taken. Call it before each `read`.

        It must be the same as before, or in what was read since then.
        """
        assert self._file is not None
        if self._place is None or self._place.offset != offset:
            self._place = self._file.place(offset)
        return self._place

    def first_line(self) -> bytes:
        """Return the beginning of the file, up to its first line's end."""
        assert self._file is not None
        return self._file.bytes_at(0, SIZE_MAX).partition(b"\n")[0]

    def read(self) -> bytes:
        """Return what follows in this file; b"" if nothing does now, or another one is next.

        Then `opened_total` has risen. Raises OSError while there is no file of that name.
        """
        if self._file is None:
            self._open()
        elif self._file.is_altered():
            self._find_altered()
        elif data := self._file.read():
            self._is_leaving = False
            return data
        else:
            self._look(self._file)
        return b""

    # -- which file -----------------------------------------------------------------------

    def _adopt(self, file: OpenFile, offset: int = 0) -> None:
        file.go_to(offset)
        self.close()
        self._file = file
        self._place = file.place(offset)
        self.opened_total += 1

    def _open(self) -> None:
        place = self._place
        if place is not None:
            self._find(place)
            return
        try:
            file = OpenFile(self.path)
        except FileNotFoundError:
            self._place = Place()  # what comes later is new, and read whole
            raise
        self._adopt(file, file.last_line_start() if self._start == "end" else 0)

    def _look(self, file: OpenFile) -> None:
        """See whether the name has another file by now."""
        if os.path.samestat(os.stat(self.path), file.status):
            self._is_leaving = False
        elif not self._is_leaving:
            self._is_leaving = True  # whoever has it open may not have noticed yet
        else:
            self._adopt(self._successor(file))

    def _successor(self, file: OpenFile) -> OpenFile:
        """Return the file after one that was moved away: the next one moved, or the present."""
        since_ns = file.status.st_mtime_ns
        moved = [
            (status.st_mtime_ns, entry.path)
            for entry, status in self._entries()
            if _ROTATED.fullmatch(entry.name.removeprefix(self.path.name))
            and entry.name.startswith(self.path.name)
            and status.st_mtime_ns > since_ns
            and status.st_ino != file.inode
        ]
        return OpenFile(min(moved)[1] if moved else self.path)

    def _find_altered(self) -> None:
        """Go on in the copy of a file that was cut off, or at the beginning of what it is now."""
        assert self._place is not None
        copy = self._copy(self._place)
        if copy is not None:
            self._adopt(copy, self._place.offset)
            return
        logger.warning("%s was cut off or written anew: it is read from its beginning", self.path)
        self._adopt(OpenFile(self.path))

    def _find(self, place: Place) -> None:
        """Go on where an earlier run has ended."""
        here: OpenFile | None = None
        with suppress(FileNotFoundError):
            here = OpenFile(self.path)
        if here is not None and here.inode == place.inode and here.holds(place):
            self._adopt(here, place.offset)
            return
        found = self._moved(place)
        if found is None and here is not None and place.offset and here.holds(place):
            self._adopt(here, place.offset)
            return
        found = found or self._copy(place)
        if found is not None:
            if here is not None:
                here.close()
            self._adopt(found, place.offset)
            return
        if here is None:
            raise FileNotFoundError(2, "is not there")
        if place.offset:
            logger.warning(
                "%s: the file that was read before is gone, and with it what was not read yet;"
                " what has its name now is read from its beginning",
                self.path,
            )
        self._adopt(here)

    def _moved(self, place: Place) -> OpenFile | None:
        """Return the file of the place's number under another name."""
        if not place.inode:
            return None
        for entry, status in self._entries():
            # If nothing of it was read, only its name is left to know it by.
            is_likely = place.offset or entry.name.startswith(self.path.name)
            if status.st_ino == place.inode and is_likely:
                return _open_holding(entry.path, place)
        return None

    def _copy(self, place: Place) -> OpenFile | None:
        """Return the newest file with a name like this one's that has what was read."""
        if not place.offset:
            return None
        named = [
            (status.st_mtime_ns, entry.path)
            for entry, status in self._entries()
            if entry.name.startswith(self.path.name) and entry.name != self.path.name
        ]
        opened = (_open_holding(path, place) for _, path in sorted(named, reverse=True))
        return next((file for file in opened if file is not None), None)

    def _entries(self) -> Iterator[tuple["os.DirEntry[str]", os.stat_result]]:
        """Return the plain files in the folder of the name, and of what it is a link to."""
        count = 0
        for folder in sorted({self.path.parent.resolve(), self.path.resolve().parent}):
            with suppress(OSError), os.scandir(folder) as entries:  # it may not be ours to read
                for entry in entries:
                    count += 1
                    if count > ENTRIES_MAX:
                        logger.warning(
                            "%s: more than %d files; no more of them are looked at for one that"
                            " was moved away",
                            *(folder, ENTRIES_MAX),
                        )
                        return
                    with suppress(OSError):  # it has gone meanwhile
                        if entry.is_file(follow_symlinks=False):
                            yield entry, os.stat(entry.path)


def _open_holding(path: str, place: Place) -> OpenFile | None:
    """Return a file if it can be read and has what was read up to `place`."""
    with suppress(OSError):
        file = OpenFile(path)
        if file.holds(place):
            return file
        file.close()
    return None
