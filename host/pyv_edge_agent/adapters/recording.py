"""Recordings: files of readings that are read from beginning to end, packed or not."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from ..plain_file import reading_plain
from .lines import Line, LineSplitter
from .place import CHUNK_SIZE, HEAD_SIZE, digest

_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)


class Recording:
    """One open file. Offsets are of what is in it, unpacked. All of it raises OSError."""

    def __init__(self, file: BinaryIO) -> None:
        """Read how it begins."""
        self._file = file
        self._head = self._read(HEAD_SIZE)

    def head(self, offset: int) -> str:
        """Return what it is known by to those who have read it up to `offset`."""
        return digest(self._head[:offset])

    def lines(self, offset: int) -> Iterator[tuple[Line, int]]:
        """Return its lines from `offset` on, each with the offset behind it."""
        try:
            self._file.seek(offset)
        except _DAMAGE as error:
            raise OSError(f"is damaged: {error}") from None
        splitter = LineSplitter()
        while data := self._read(CHUNK_SIZE):
            for line in splitter.split(data):
                offset += line.size
                yield line, offset
        last = splitter.end()
        if last is not None:
            yield last, offset + last.size

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except _DAMAGE as error:
            raise OSError(f"is damaged: {error}") from None


@contextmanager
def open_recording(path: Path) -> Iterator[Recording]:
    """Open a file; one that is named .gz is unpacked. Raises OSError."""
    with reading_plain(path) as file:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield Recording(cast("BinaryIO", unpacked))
        else:
            yield Recording(file)
