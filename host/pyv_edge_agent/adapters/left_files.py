"""Left files: what was read before the file that is read now.

They stay open: who writes may not have noticed that one was moved away. And they are known
again, so that none is read twice, whatever its date and its name.
"""

from collections.abc import Iterable, Sequence

from .place import HEAD_SIZE, OpenFile, Place
from .rotation import Entry

LEFT_MAX = 8  # files that are known


class LeftFiles:
    """The files that were read before, open as long as they have a name."""

    def __init__(self) -> None:
        """Begin with none."""
        self._files: list[OpenFile] = []

    def close(self) -> None:
        """Let go of all."""
        for file in self._files:
            file.close()
        self._files.clear()

    def leave(self, file: OpenFile | None, to: OpenFile) -> None:
        """Take a file that is left for another one, which is none of them any more."""
        files = self._files if file is None else [*self._files, file]
        kept = [one for one in files if one.inode != to.inode][-LEFT_MAX:]
        for one in files:
            if one is not to and one not in kept:
                one.close()
        self._files = kept

    def open_again(self, entries: Iterable[Entry], read: Iterable[Place]) -> None:
        """Open what was read before an earlier run has ended."""
        known = {place.inode: place for place in read}
        for entry in entries:
            file = entry.inode in known and entry.open_if_holds(known[entry.inode])
            if file:
                self._files.append(file)

    def grown(self, read: Iterable[Place]) -> tuple[OpenFile, Place] | None:
        """Return one that has a whole line more than was `read` of it, and how far that was."""
        for known in read:
            for file in self._files:
                is_grown = file.inode == known.inode and file.has_line_at(known.offset)
                if is_grown and file.holds(known):
                    return file, known
        return None

    def let_go_of_deleted(self) -> None:
        """Close what nobody has a name for: its disk is not free before."""
        for file in [one for one in self._files if not one.status.st_nlink]:
            file.close()
            self._files.remove(file)

    def begin_with(self, copy: OpenFile, read: Iterable[Place], current: OpenFile | None) -> bool:
        """Return whether a file is a copy of the beginning of one that was read and is open."""
        opened = self._files if current is None else [*self._files, current]
        ends = {place.inode: place.offset for place in read}
        return copy.has_own_lines(copy.size) and any(
            0 < copy.size <= ends.get(one.inode, 0) and one.begins_as(copy) for one in opened
        )


def known_as(file: OpenFile, read: Sequence[Place]) -> Place | None:
    """Return how far a file, or what it is a copy of, was read; None if it wasn't."""
    of_it = [one for one in read if _is_of(file, one)]
    return max(of_it, key=lambda one: one.offset, default=None)


def _is_of(file: OpenFile, known: Place) -> bool:
    if not file.holds(known):
        return False
    # A few bytes alone say little: two files may begin alike.
    is_long = known.offset >= HEAD_SIZE or known.offset == file.size
    return known.inode == file.inode or (is_long and file.has_own_lines(known.offset))
