"""Following: a file that grows, is moved away, cut off or made anew, read once from end to end.

What is stored is a `Place`. Which file it is in by now, is found out like this:

- the same number, the same bytes: it is the one;
- its number under another name: it was moved away. It is read to its end, then what was
  moved away after it, then the file that has the name now;
- another number, the same bytes: it was put back, or written anew with more behind;
- the same under a name that is followed from now on: it is read on, if another name was
  followed before;
- a file beside it with the same bytes: it was copied and cut off (copytruncate);
- one of those that were read before: what has come into it since then is read, and it is
  not taken for another one, whatever its date and its name;
- none of these: what was not read of it is lost, and the log says so.
"""

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from .left_files import LEFT_MAX, LeftFiles, known_as
from .lines import SIZE_MAX
from .place import HEAD_SIZE, OpenFile, Place, read_place
from .rotation import Entry, entries_beside, moved_away

logger = logging.getLogger(__name__)


class Following:
    """Reads what is written under one name, whatever becomes of the file. For one thread."""

    def __init__(self, path: Path, start: str) -> None:
        """Follow `path`; a file that nothing was ever read of, from its `start`: begin or end."""
        self.path = path
        self.opened_total = 0  # whenever reading goes on elsewhere
        self._start = start
        self._file: OpenFile | None = None
        self._place: Place | None = None
        self.is_aside = False  # a file was left to come back to it: no line of it is lost
        self._seen = 0  # offset before which its file has nothing to be taken
        self._others: list[Place] = []  # of names that were followed before
        self._left = LeftFiles()
        self._origin: tuple[OpenFile, Place] | None = None  # of them, the one to come back to
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
        self._left.close()
        if self._file is not None:
            self._file.close()
        self._file = self._origin = None
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

    def keep(self, offset: int, columns: tuple[str, ...] = (), seen: int = 0) -> Place:
        """Note that all before `offset` was taken, and `columns`. Call it before each `read`.

        It must be the same as before, or in what was read since then; as must be `seen`, before
        which there is nothing to be taken.
        """
        assert self._file is not None
        self._seen = max(offset, seen)
        if self._place is None or self._place.offset != offset:
            before = self._place or Place()
            self._place = self._file.place(offset)._replace(
                present_ns=before.present_ns, columns=columns, read=before.read
            )
        return self._place

    def first_lines(self) -> list[bytes]:
        """Return the lines at the beginning of the file, up to where it is read on."""
        assert self._file is not None
        return self._file.bytes_at(0, min(SIZE_MAX, self._file.offset)).split(b"\n")[:-1]

    def read(self) -> bytes:
        """Return what follows in this file; b"" if nothing does now, or another one is next.

        Then `opened_total` has risen. Raises OSError while there is no file of that name.
        """
        if self._file is None:
            self._open()
        elif self._file.is_altered():
            if self._origin is not None:
                self._go_on(*self._origin, is_aside=True)
            else:
                self._find_altered(self._file)
        elif self._file.has_more and (missed := self._missed(self._file)):
            self._enter(*missed)
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

    def _go_on(self, file: OpenFile, place: Place, *, is_aside: bool = False) -> None:
        """Read a file that has been read up to `place`."""
        file.go_to(place.offset)
        read = self._leave(file, is_over=place is not self._place)
        self._origin = None
        self._file = file
        self._place = place._replace(inode=file.inode, read=read)
        if not place.present_ns:
            self._place = self._place._replace(present_ns=file.status.st_mtime_ns)
        self._is_leaving, self.is_aside = False, is_aside
        self._seen = place.offset
        self.opened_total += 1

    def _leave(self, to: OpenFile, *, is_over: bool) -> tuple[Place, ...]:
        """Let the file be one of those that were read before; return how far each was.

        Unless that `is_over`, `to` is the same at another place, and the file another one.
        """
        place, file = self._place, self._file
        if place is None:
            return ()
        read = [*place.read]
        if is_over and place.offset:
            read.append(place.alone())
        elif is_over and file is not None and 0 < self._seen <= file.size:
            read.append(file.known_at(self._seen))  # a header
        # Its own is in its place from now on; or its number was another file's before.
        read = [one for one in read if one.inode != to.inode or not to.holds(one)]
        read = [one._replace(inode=0) if one.inode == to.inode else one for one in read]
        self._left.leave(file, to)
        return tuple(read[-LEFT_MAX:])

    def _enter(self, file: OpenFile, known: Place | None) -> None:
        """Read a file from where it was read before, else from its beginning."""
        if known is None:
            self._adopt(file)
        else:
            self._go_on(file, known)

    def _open(self) -> None:
        place = self._place
        if place is not None:
            self._find(place)
            return
        try:
            file = OpenFile(self.path)
        except FileNotFoundError:
            # What comes later is new and read whole, also what has been moved away by then.
            entries = moved_away(self.path, entries_beside(self.path))
            ages = [entry.written_ns for entry in entries]
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
        if self._origin is not None:  # this was all that had come late
            self._go_on(*self._origin, is_aside=True)
            return
        if (grown := self._grown(file)) is not None:
            # Whoever writes has not noticed yet that the file has another name.
            assert self._place is not None
            origin = file, self._place
            self._go_on(*grown, is_aside=True)
            self._origin = origin
            return
        self._left.let_go_of_deleted()
        if os.path.samestat(os.stat(self.path), file.status):
            self._is_leaving = False
            if self._place is not None:
                self._place = self._place._replace(present_ns=file.status.st_mtime_ns)
        elif not self._is_leaving:
            self._is_leaving = True
        elif not file.status.st_nlink and self._place is not None and self._place.offset:
            self._find_replaced(self._place)
        else:
            self._succeed(file)

    def _grown(self, file: OpenFile) -> tuple[OpenFile, Place] | None:
        """Return a file that was read before and has a whole line more by now; and its place.

        None while `file` has a line without an end: that must not be left.
        """
        place = self._place
        if place is None or place.offset != file.offset:
            return None
        return self._left.grown(place.read)

    def _find_replaced(self, place: Place) -> None:
        """Go on in what has taken the place of a file that is gone, if it has what was read."""
        assert self._file is not None
        present = OpenFile(self.path)
        if present.holds(place):
            self._go_on(present, place)
            return
        present.close()
        logger.warning("%s: another file has taken its place: it is read whole", self.path)
        self._succeed(self._file)

    def _succeed(self, file: OpenFile) -> None:
        """Go on in the file after one that was moved away: the next one moved, or the present."""
        if (missed := self._missed(file)) is not None:
            self._enter(*missed)
            return
        entries = entries_beside(self.path)
        ages = [entry.age for entry in entries if entry.inode == file.inode]
        since = max(ages, default=(file.status.st_mtime_ns, 1, ""))
        moved = [one for one in moved_away(self.path, entries) if one.inode != file.inode]
        known = {one.inode: one for one in self._read if one.inode}
        grown = [one for one in moved if one.inode in known and known[one.inode].offset < one.size]
        # This one may have been written or touched since then.
        present_ns = since[0] if self._place is None else self._place.present_ns
        later = [one for one in moved if one.age > since or one.written_ns > present_ns]
        found = self._unread(grown, is_known=True) or self._unread(later)
        if found is not None:
            self._enter(*found)
            return
        present = OpenFile(self.path)
        place = known.get(present.inode)
        is_known = place is not None and place.offset and present.holds(place)
        self._enter(present, place if is_known else None)

    @property
    def _read(self) -> tuple[Place, ...]:
        """How far what was read before was read, and this file."""
        place = self._place
        return () if place is None else (*place.read, *([place] if place.offset else ()))

    def _unread(
        self, entries: list[Entry], *, is_known: bool = False
    ) -> tuple[OpenFile, Place | None] | None:
        """Return the first of some files that has what was not read, and how far it was.

        One that was never read only if not `is_known`. Raises OSError.
        """
        for entry in entries:
            file = entry.open()
            known = known_as(file, self._read)
            if known is not None:
                is_unread = file.has_line_at(known.offset)
            else:
                is_unread = not is_known and not self._left.begin_with(
                    file, self._read, self._file
                )
            if is_unread:
                return file, known
            file.close()  # it was read, or is a copy of what was
        return None

    def _missed(self, file: OpenFile) -> tuple[OpenFile, Place | None] | None:
        """Return what was in a file that was cut off before a line of it was taken."""
        place, before_ns = self._place, file.status.st_mtime_ns
        if place is None or place.offset or not place.opened_ns:
            return None
        return self._unread(
            [
                entry
                for entry in moved_away(self.path, entries_beside(self.path))
                if place.opened_ns < entry.written_ns < before_ns
                and entry.inode not in (file.inode, place.before)
            ]
        )

    def _find_altered(self, file: OpenFile) -> None:
        """Go on in the copy of a file that was cut off, or at the beginning of what it is now."""
        assert self._place is not None
        if self._place.offset and file.holds(self._place):
            file.go_to(self._place.offset)  # only the line that has no end is another one
            self.opened_total += 1
        elif (copy := self._copy(self._place)) is not None:
            self._go_on(copy, self._place)
        elif (missed := self._missed(file)) is not None:
            self._enter(*missed)
        else:
            logger.warning("%s was cut off or written anew: it is read whole", self.path)
            self._adopt(OpenFile(self.path))

    def _find(self, place: Place) -> None:
        """Go on where an earlier run has ended."""
        here: OpenFile | None = None
        with suppress(FileNotFoundError):
            here = OpenFile(self.path)
        if here is not None and here.inode == place.inode and here.holds(place):
            self._resume(here, place)
            return
        found = self._moved(place)
        if found is None and here is not None and place.offset and here.holds(place):
            self._resume(here, place)
            return
        found = found or self._copy(place)
        if found is not None:
            if here is not None:
                here.close()
            self._resume(found, place)
            return
        if here is None:
            raise FileNotFoundError(2, "is not there")
        if place.offset:
            logger.warning(
                "%s: the file that was read before is gone, and with it what was not read yet;"
                " what has its name now is read from its beginning",
                self.path,
            )
        if place.inode:  # what was moved away since then is still to be read
            entries = moved_away(self.path, entries_beside(self.path))
            since = place.present_ns or place.opened_ns
            later = [one for one in entries if since and one.written_ns > since]
            found_later = self._unread([one for one in later if one.inode != here.inode])
            if found_later is not None:
                here.close()
                self._enter(*found_later)
            else:
                self._adopt(here)
        else:
            self._go_on(here, self._known_elsewhere(here) or place)

    def _resume(self, file: OpenFile, place: Place) -> None:
        """Go on in a file, or where it was read up to under another name; know those before."""
        further = self._further(place._replace(inode=file.inode))
        is_further = further.offset > place.offset and file.holds(further)
        self._go_on(file, further if is_further else place)
        assert self._place is not None
        read = tuple(map(self._further, self._place.read))
        self._place = self._place._replace(read=read)
        before = [one for one in read if one.inode != file.inode]
        with suppress(OSError):  # then what comes late into them is read at the next rotation
            self._left.open_again(entries_beside(self.path) if before else (), before)

    def _further(self, place: Place) -> Place:
        """Return how far the file of a place was read, under whatever name."""
        others = [one for one in self._others if one.inode == place.inode != 0]
        further = max(others, key=lambda one: one.offset, default=place)
        return further.alone() if further.offset > place.offset else place

    def _moved(self, place: Place) -> OpenFile | None:
        """Return the file of the place's number under another name."""
        if not place.inode:
            return None
        for entry in entries_beside(self.path):
            # If nothing of it was read, only its name is left to know it by.
            is_likely = place.offset or entry.name.startswith(self.path.name)
            if entry.inode == place.inode and is_likely:
                return entry.open_if_holds(place)
        return None

    def _copy(self, place: Place) -> OpenFile | None:
        """Return the newest file with a name like this one's that has what was read."""
        if not place.offset:
            return None
        named = [
            entry
            for entry in entries_beside(self.path)
            if entry.name.startswith(self.path.name) and entry.name != self.path.name
        ]
        named.sort(key=lambda entry: entry.written_ns, reverse=True)
        opened = (entry.open_if_holds(place) for entry in named)
        return next((file for file in opened if file is not None), None)
