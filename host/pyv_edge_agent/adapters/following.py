"""Following: a file that grows, is moved away, cut off or made anew, read once from end to end.

What is stored is a `Place`. Which file it is in by now, is found out like this:

- the same number, the same bytes: it is the one;
- its number under another name: it was moved away. It is read to its end, then what was
  moved away after it, then the file that has the name now;
- another number, the same bytes: it was put back, or written anew with more behind;
- the same under a name that is followed from now on: it is read on, if another name was
  followed before;
- a file beside it with the same bytes: it was copied and cut off (copytruncate);
- none of these: what was not read of it is lost, and the log says so.
"""

import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .lines import SIZE_MAX
from .place import HEAD_SIZE, OpenFile, Place, read_place

logger = logging.getLogger(__name__)

ENTRIES_MAX = 10_000  # of a folder, that are looked at for a file that was moved away
COUNT_DIGITS_MAX = 4  # of a number behind a name; longer ones are dates
SCANS_MAX = 5  # of a folder in which files are being moved
MOVING = "files are being moved"  # a problem that is over at the next look
_ROTATED = re.compile(r"[.\-_]?\d[\d.\-_T]*")  # behind the name: .1, -20261127, .2026-11-27T10


class Entry(NamedTuple):
    """A file of a folder, when that was looked through."""

    name: str
    path: str
    inode: int
    written_ns: int

    @property
    def age(self) -> tuple[int, int, str]:
        """What files that were moved away are sorted by, the oldest first.

        Of two that were written in one tick of the kernel's clock, .2 is the older.
        """
        number = self.name.rpartition(".")[2]
        is_counted = number.isdecimal() and len(number) <= COUNT_DIGITS_MAX
        return self.written_ns, -int(number) if is_counted else 0, self.name


class Following:
    """Reads what is written under one name, whatever becomes of the file. For one thread."""

    def __init__(self, path: Path, start: str) -> None:
        """Follow `path`; a file that nothing was ever read of, from its `start`: begin or end."""
        self.path = path
        self.opened_total = 0  # whenever reading goes on elsewhere
        self._start = start
        self._file: OpenFile | None = None
        self._place: Place | None = None
        self._others: list[Place] = []  # of names that were followed before
        self._is_leaving = False  # another file has the name, this one was at its end

    def resume(self, position: str, others: Iterable[str] = ()) -> None:
        """Go on at a stored position; "" if nothing was read yet.

        Then what has the name may have been read under another one, up to one of `others`.
        """
        self.close()
        self._place = read_place(position)
        self._others = [place for one in others if (place := read_place(one)) and place.offset]

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
            self._find_altered(self._file)
        elif self._file.has_more and (missed := self._missed(self._file)):
            self._adopt(missed)
        elif data := self._file.read():
            self._is_leaving = False
            return data
        else:
            self._look(self._file)
        return b""

    # -- which file -----------------------------------------------------------------------

    def _adopt(self, file: OpenFile, offset: int = 0) -> None:
        """Read another file, from `offset` on."""
        before, known_ns = 0, 0
        if self._file is not None:
            before, known_ns = self._file.inode, self._file.status.st_mtime_ns
        known_ns = max(known_ns, file.status.st_mtime_ns)
        file.go_to(offset)
        self._go_on(file, file.place(offset)._replace(opened_ns=known_ns, before=before))

    def _go_on(self, file: OpenFile, place: Place) -> None:
        """Read a file that has been read up to `place`."""
        file.go_to(place.offset)
        self.close()
        self._file = file
        self._place = place._replace(inode=file.inode)
        self.opened_total += 1

    def _open(self) -> None:
        place = self._place
        if place is not None:
            self._find(place)
            return
        try:
            file = OpenFile(self.path)
        except FileNotFoundError:
            # What comes later is new and read whole, also what has been moved away by then.
            ages = [entry.written_ns for entry in self._moved_away(self._entries())]
            self._place = Place(opened_ns=max(ages, default=1))
            raise
        if (known := self._known_elsewhere(file)) is not None:
            self._go_on(file, known)
        else:
            self._adopt(file, file.last_line_start() if self._start == "end" else 0)

    def _known_elsewhere(self, file: OpenFile) -> Place | None:
        """Return how far a file was read under another name, None if it wasn't."""
        for known in self._others:
            # A few bytes alone say little: two files may begin alike.
            is_likely = known.inode == file.inode or known.offset >= HEAD_SIZE
            if is_likely and file.holds(known):
                return known
        return None

    def _look(self, file: OpenFile) -> None:
        """See whether the name has another file by now."""
        if os.path.samestat(os.stat(self.path), file.status):
            self._is_leaving = False
        elif not self._is_leaving:
            self._is_leaving = True  # whoever has it open may not have noticed yet
        elif not file.status.st_nlink and self._place is not None and self._place.offset:
            self._find_replaced(self._place)
        else:
            self._adopt(self._missed(file) or self._successor(file))

    def _find_replaced(self, place: Place) -> None:
        """Go on in what has taken the place of a file that is gone, if it has what was read."""
        assert self._file is not None
        present = OpenFile(self.path)
        if present.holds(place):
            self._go_on(present, place)
            return
        present.close()
        logger.warning("%s: another file has taken its place: it is read whole", self.path)
        self._adopt(self._successor(self._file))

    def _successor(self, file: OpenFile) -> OpenFile:
        """Return the file after one that was moved away: the next one moved, or the present."""
        entries = self._entries()
        ages = [entry.age for entry in entries if entry.inode == file.inode]
        since = max(ages, default=(file.status.st_mtime_ns, 1, ""))
        later = [entry for entry in self._moved_away(entries) if entry.age > since]
        return _open_oldest([one for one in later if one.inode != file.inode]) or OpenFile(
            self.path
        )

    def _missed(self, file: OpenFile) -> OpenFile | None:
        """Return what was in a file that was cut off before a line of it was taken."""
        place, before_ns = self._place, file.status.st_mtime_ns
        if place is None or place.offset or not place.opened_ns:
            return None
        return _open_oldest(
            [
                entry
                for entry in self._moved_away(self._entries())
                if place.opened_ns < entry.written_ns < before_ns
                and entry.inode not in (file.inode, place.before)
            ]
        )

    def _moved_away(self, entries: list[Entry]) -> list[Entry]:
        name = self.path.name
        return [
            entry
            for entry in entries
            if entry.name.startswith(name) and _ROTATED.fullmatch(entry.name.removeprefix(name))
        ]

    def _find_altered(self, file: OpenFile) -> None:
        """Go on in the copy of a file that was cut off, or at the beginning of what it is now."""
        assert self._place is not None
        if self._place.offset and file.holds(self._place):
            file.go_to(self._place.offset)  # only the line that has no end is another one
            self.opened_total += 1
        elif (copy := self._copy(self._place)) is not None:
            self._go_on(copy, self._place)
        elif (missed := self._missed(file)) is not None:
            self._adopt(missed)
        else:
            logger.warning("%s was cut off or written anew: it is read whole", self.path)
            self._adopt(OpenFile(self.path))

    def _find(self, place: Place) -> None:
        """Go on where an earlier run has ended."""
        here: OpenFile | None = None
        with suppress(FileNotFoundError):
            here = OpenFile(self.path)
        if here is not None and here.inode == place.inode and here.holds(place):
            self._go_on(here, place)
            return
        found = self._moved(place)
        if found is None and here is not None and place.offset and here.holds(place):
            self._go_on(here, place)
            return
        found = found or self._copy(place)
        if found is not None:
            if here is not None:
                here.close()
            self._go_on(found, place)
            return
        if here is None:
            raise FileNotFoundError(2, "is not there")
        if place.offset:
            logger.warning(
                "%s: the file that was read before is gone, and with it what was not read yet;"
                " what has its name now is read from its beginning",
                self.path,
            )
        if place.inode:
            self._adopt(here)
        else:
            self._go_on(here, self._known_elsewhere(here) or place)

    def _moved(self, place: Place) -> OpenFile | None:
        """Return the file of the place's number under another name."""
        if not place.inode:
            return None
        for entry in self._entries():
            # If nothing of it was read, only its name is left to know it by.
            is_likely = place.offset or entry.name.startswith(self.path.name)
            if entry.inode == place.inode and is_likely:
                return _open_holding(entry, place)
        return None

    def _copy(self, place: Place) -> OpenFile | None:
        """Return the newest file with a name like this one's that has what was read."""
        if not place.offset:
            return None
        named = [
            entry
            for entry in self._entries()
            if entry.name.startswith(self.path.name) and entry.name != self.path.name
        ]
        named.sort(key=lambda entry: entry.written_ns, reverse=True)
        opened = (_open_holding(entry, place) for entry in named)
        return next((file for file in opened if file is not None), None)

    def _entries(self) -> list[Entry]:
        """Return the plain files in the folder of the name, and of what it is a link to.

        Raises OSError if they don't stay as they are for a moment.
        """
        before = None
        for _ in range(SCANS_MAX):
            found = list(self._scan())
            names = {(one.path, one.inode) for one in found if one.name.startswith(self.path.name)}
            if names == before:
                return found
            before = names
        raise OSError(MOVING)

    def _scan(self) -> Iterator[Entry]:
        count = 0
        for folder in sorted({self.path.parent.resolve(), self.path.resolve().parent}):
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
                            yield Entry(one.name, one.path, status.st_ino, status.st_mtime_ns)


def _open_oldest(entries: list[Entry]) -> OpenFile | None:
    """Return the oldest of some files, None if there is none. Raises OSError."""
    if not entries:
        return None
    oldest = min(entries, key=lambda entry: entry.age)
    with suppress(FileNotFoundError):
        file = OpenFile(oldest.path)
        if file.inode == oldest.inode:
            return file
        file.close()
    raise OSError(MOVING)


def _open_holding(entry: Entry, place: Place) -> OpenFile | None:
    """Return a file if it can be read and has what was read up to `place`."""
    with suppress(OSError):
        file = OpenFile(entry.path)
        if file.inode == entry.inode and file.holds(place):
            return file
        file.close()
    return None
