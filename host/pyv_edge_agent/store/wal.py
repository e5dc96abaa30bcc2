"""The WAL of a file that was not closed: whether what was promised can be read in it.

SQLite reads a WAL up to the first frame that is not as it was written, and takes all behind it
for what a power cut has left. If that frame was damaged later, commits behind it are lost without
a word. Here they are found, and the frames around it made readable (format: sqlite.org
/fileformat2.html, section 4; /walformat.html, 2.1 for the index beside it).
"""

import errno
import os
import struct
import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..disk import beside, size, sync, writing_whole
from .schema import PAGE_SIZE

DAMAGED = "its WAL is damaged"
INDEX = ".index"  # of a file that was set aside: what told how far its WAL went
ORIGINAL = ".wal"  # of a damaged WAL, once its frames were made readable
_HEAD = struct.Struct(">IIIIIIII")  # magic, version, page size, -, salt 1, 2, checksum 1, 2
_FRAME = struct.Struct(">IIIIII")  # page, pages after the commit or 0, salt 1, 2, checksum 1, 2
_MAGIC = 0x377F0682  # the last bit: whether its checksums are of big-endian words
_VERSION = 3_007_000
_INDEX = struct.Struct(
    "=I8xB3xI12x8s8x"
)  # version, is it begun, frames, salts; its first 48 bytes
_INDEX_FRAMES_AT = 16
SIZE_MAX = 268_435_456  # bytes; one that nobody holds up has a hundredth
_LOOKED_AT_EVERY = 256  # frames between two looks at the clock
_MASK = 0xFFFF_FFFF

Sums = tuple[int, int]


class Frame(NamedTuple):
    """One page as it was written into the WAL."""

    at: int  # where it begins in the WAL
    page: int
    pages: int  # of the file after the commit that it ends, 0 if it ends none
    is_sound: bool | None  # whether it is as it was written, None if that can't be told
    is_read: bool  # whether SQLite reads it, if it reads the one before


class WAL:
    """What is in a WAL."""

    def __init__(self, data: bytes) -> None:
        """Read its header."""
        self._data = data
        magic, version, page_size, _, *rest = _HEAD.unpack_from(data)
        self._is_big = bool(magic & 1)
        sums = self._add(data[: _HEAD.size - 8], (0, 0))
        self._start: Sums | None = (rest[2], rest[3])
        self.page_size = page_size
        self._salts = data[16:24]
        if magic | 1 != _MAGIC | 1 or version != _VERSION or sums != self._start:
            self._is_big, self._start, self.page_size = sys.byteorder == "big", None, PAGE_SIZE
        self._stride = _FRAME.size + self.page_size
        self.count = max(0, len(data) - _HEAD.size) // self._stride
        if self._start is None:
            self._salts = self._salts_of_frames()

    @property
    def salts(self) -> bytes:
        """What tells its frames from those of before it was last begun anew."""
        return self._salts

    def _salts_of_frames(self) -> bytes:
        """Return what the first two frames that agree have: the header is damaged."""
        before = b""
        for nth in range(self.count):
            at = _HEAD.size + nth * self._stride
            found = self._data[at + 8 : at + 16]
            if found == before and any(found):  # zeros are of a sector that is gone
                return found
            before = found
        return before

    def _add(self, words: bytes, sums: Sums) -> Sums:
        numbers = array("I", words)
        if self._is_big != (sys.byteorder == "big"):
            numbers.byteswap()
        first, second = sums
        for even, odd in zip(numbers[::2], numbers[1::2], strict=True):
            first = (first + even + second) & _MASK
            second = (second + odd + first) & _MASK
        return first, second

    def _sums(self, at: int, sums: Sums) -> Sums:
        head = self._data[at : at + 8]
        return self._add(head + self._data[at + _FRAME.size : at + self._stride], sums)

    def written(self, first: int = 0) -> Iterator[Frame]:
        """Yield the frames with the salts, from the `first` on; without a look at their sums."""
        for nth in range(first, self.count):
            at = _HEAD.size + nth * self._stride
            page, pages, *_ = _FRAME.unpack_from(self._data, at)
            if self._data[at + 8 : at + 16] == self._salts and page:
                yield Frame(at, page, pages, None, False)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames with the salts, and what their sums tell."""
        # What the sums of a frame may go on from: behind a frame that doesn't fit, either its
        # page was damaged or its sums were, which the next frame tells.
        starts = [] if self._start is None else [self._start]
        doubted: Frame | None = None
        expected = _HEAD.size
        for frame in self.written():
            if frame.at != expected:
                starts = []
            expected = frame.at + self._stride
            _, _, _, _, *told = _FRAME.unpack_from(self._data, frame.at)
            found = [self._sums(frame.at, start) for start in starts]
            stored = (told[0], told[1])
            fit = next((nth for nth, sums in enumerate(found) if sums == stored), None)
            if doubted is not None:
                yield doubted._replace(is_sound=fit == 1)
                doubted = None
            if not starts or fit is not None:
                yield frame._replace(is_sound=True if starts else None, is_read=fit == 0)
                starts = [stored]
            else:
                doubted = frame
                starts = [stored, found[-1]]
        if doubted is not None:
            yield doubted._replace(is_sound=False)

    def read_to(self, is_over: Callable[[], bool]) -> int | None:
        """Return how many frames SQLite reads, None if `is_over` says so meanwhile."""
        count = read = 0
        for nth, frame in enumerate(self.frames()):
            if not frame.is_read or frame.at != _HEAD.size + nth * self._stride:
                break
            count = nth + 1
            if frame.pages:
                read = count
            if nth % _LOOKED_AT_EVERY == 0 and is_over():
                return None
        return read

    def page(self, frame: Frame) -> bytes:
        """Return the page that a frame has."""
        return self._data[frame.at + _FRAME.size : frame.at + self._stride]

    def number(self, frame: Frame) -> int:
        """Return how many frames there are up to this one."""
        return int((frame.at - _HEAD.size) // self._stride) + 1

    def promised(self, read: int) -> int:
        """Return up to which frame behind the `read` first commits must have been durable.

        Nothing is written behind a commit before that is on the disk: only the last one may be
        torn. What is left of one that was torn before follows no other.
        """
        if not any(frame.pages for frame in self.written(read)):
            return read  # without a sum: as a WAL is that is whole
        durable = read
        before: Frame | None = None
        for frame in self.frames():
            is_next = before is not None and frame.at == before.at + self._stride
            if before is not None and before.pages and is_next and frame.is_read:
                durable = max(durable, self.number(before))
            before = frame
        return durable

    def end_of(self, promised: int) -> int:
        """Return up to which frame there are whole commits, which follow those `promised`."""
        end = last = promised
        for frame in self.frames():
            number = self.number(frame)
            if number > promised:
                if number != last + 1 or not frame.is_read:
                    break  # what is left of before
                last = number
                end = number if frame.pages else end
        return end

    def rewritten(self, count: int) -> Iterator[bytes]:
        """Yield a WAL with those of the `count` first frames that are as they were written."""
        frames = [frame for frame in self.frames() if self.number(frame) <= count]
        kept = [frame for frame in frames if frame.is_sound is not False]
        magic = _MAGIC | self._is_big
        head = _HEAD.pack(magic, _VERSION, self.page_size, 0, 0, 0, 0, 0)[:16] + self._salts
        sums = self._add(head, (0, 0))
        yield head + struct.pack(">II", *sums)
        last_pages = max((frame.pages for frame in frames[-1:]), default=0)
        last_pages = last_pages or next((one.pages for one in reversed(frames) if one.pages), 0)
        for frame in kept:
            # The last one must end a commit, or all since the one before is none.
            pages = last_pages if frame is kept[-1] else frame.pages
            known = struct.pack(">II", frame.page, pages)
            page = self.page(frame)
            sums = self._add(known + page, sums)
            yield known + self._salts + struct.pack(">II", *sums) + page


@contextmanager
def _opened(path: Path) -> Iterator[WAL | None]:
    """Yield what is in the WAL at `path`, None if there is none or nothing in it.

    SQLite has no locks on it that would go with this descriptor. Raises OSError.
    """
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        yield None
        return
    with file:
        size_now = os.fstat(file.fileno()).st_size
        if size_now > SIZE_MAX:
            raise OSError(errno.EFBIG, "is too large to be looked through", str(path))
        data = file.read(size_now)  # and no mapping: an agent may cut it off just then
    yield WAL(data) if len(data) > _HEAD.size + _FRAME.size else None


def is_orphan(path: Path) -> bool:
    """Return whether there is the WAL of a store that is empty or gone. Raises OSError."""
    if size(path):
        return False
    with _opened(beside(path, "-wal")) as wal:
        return wal is not None and any(True for _ in wal.written())


def _never() -> bool:
    return False


def lost(path: Path, is_over: Callable[[], bool] = _never) -> str | None:
    """Return what was committed and SQLite would not read of a WAL, "" if nothing.

    None if `is_over` says meanwhile that there is no more time. For a store that nobody has
    open. Raises OSError.
    """
    with _opened(beside(path, "-wal")) as wal:
        if wal is None or not wal.count:
            return ""
        read = wal.read_to(is_over)
        if read is None:
            return None
        promised = _promised(wal, read, beside(path, "-shm"))
        if read >= promised:
            return ""
        return f"{DAMAGED}: of {promised} frames at least, {read} can be read"


def _promised(wal: WAL, read: int, index: Path) -> int:
    """Return how many frames were durable, as far as the frames or the index tell."""
    return max(wal.promised(read), _told_by_index(index, wal))


def _told_by_index(path: Path, wal: WAL) -> int:
    """Return how many frames the index of a WAL says there are, 0 if it can't tell.

    It is written when they are on the disk.
    """
    try:
        with path.open("rb") as file:
            first, second = file.read(_INDEX.size), file.read(_INDEX.size)
    except OSError:
        return 0
    if first != second or len(first) < _INDEX.size:
        return 0
    version, is_begun, frames, salts = _INDEX.unpack(first)
    return frames if (version, is_begun, salts) == (_VERSION, 1, wal.salts) else 0


def was_rewritten(broken: Path) -> bool:
    """Return whether frames may be missing in the WAL of a file that was set aside."""
    return beside(broken, ORIGINAL).exists()


def make_readable(broken: Path) -> bool:
    """Let SQLite read what it would not of the WAL of a file that was set aside.

    A file without a page gets its size and its first one. The WAL as it was is kept beside it.
    Returns whether the file had no page. Raises OSError.
    """
    wal_path, original = beside(broken, "-wal"), beside(broken, ORIGINAL)
    if not original.exists():
        with _opened(wal_path) as wal:
            if wal is None or all(frame.is_read for frame in wal.frames()):
                return _begin_file(broken, wal)
        os.replace(wal_path, original)
    with _opened(original) as wal:
        if wal is not None and not wal_path.exists():
            promised = _promised(wal, wal.read_to(_never) or 0, beside(broken, INDEX))
            with writing_whole(wal_path) as file:
                file.writelines(wal.rewritten(wal.end_of(promised)))
        sync(broken.parent)
        return _begin_file(broken, wal)


def missing_count(broken: Path) -> int:
    """Return how many frames of the WAL of a file that was set aside are known to be gone.

    Raises OSError.
    """
    original = beside(broken, ORIGINAL)
    with _opened(original if original.exists() else beside(broken, "-wal")) as wal:
        if wal is None:
            return 0
        promised = _promised(wal, wal.read_to(_never) or 0, beside(broken, INDEX))
        sound = [one for one in wal.frames() if one.is_sound is not False]
        return promised - sum(wal.number(one) <= promised for one in sound)


def _begin_file(broken: Path, wal: WAL | None) -> bool:
    if wal is None or broken.stat().st_size:
        return False
    frames = list(wal.frames())
    first = [frame for frame in frames if frame.page == 1 and frame.is_sound is not False]
    with broken.open("r+b") as file:
        # SQLite deletes the WAL of an empty file.
        file.truncate(max((frame.pages for frame in frames), default=0) * wal.page_size)
        if first:
            file.write(wal.page(first[-1]))
        file.flush()
        os.fsync(file.fileno())
    return True
