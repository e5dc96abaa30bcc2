"""Captures: what passed over a line, with times, in a file that may be cut anywhere.

    file    "PYVCAP1\\n" | begun u64 | record ...
    record  type u8 | size u16 | at u64 | content (size bytes) | CRC-32 u32 of all before in it

Little-endian. `begun` is the UTC time of the first record's `at` 0 in nanoseconds
since 1970; `at` counts nanoseconds from there on a clock that never steps. Types:
0 bytes from the board, 1 bytes to it, 2 a remark in UTF-8. Records are written as
a whole, so a computer that loses power leaves at most one that is cut: a reader
takes all before it and says that something is missing. Readers skip types that
they don't know.
"""

import os
import struct
from binascii import crc32
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .chunk import TO_BOARD, TO_HOST, Chunk, Note, Seen
from .errors import BridgeError

MAGIC = b"PYVCAP1\n"
SIZE_MAX = 67_108_864  # bytes of a file, if nothing else is said
CONTENT_MAX = 0xFFFF
READ_SIZE = 65_536
NOTE = 2
_BEGUN = struct.Struct("<Q")
_HEAD = struct.Struct("<BHQ")
_CRC = struct.Struct("<I")
_HEADER_SIZE = len(MAGIC) + _BEGUN.size
_AT_MAX = 2**63


class Writer:
    """Writes one capture; at `size_max` bytes it stops, and counts what it leaves out."""

    def __init__(self, file: IO[bytes], begun_ns: int, utc_ns: int, size_max: int) -> None:
        """Begin: `begun_ns` of the clock of the chunks was `utc_ns`."""
        self.records_total = 0
        self.size_bytes = 0
        self.left_out_bytes_total = 0  # of chunks, since it is full
        self.is_full = False
        self._file = file
        self._begun_ns = begun_ns
        self._size_max = size_max
        self._write(MAGIC + _BEGUN.pack(utc_ns))
        self.flush()  # else whoever follows would say that it is no capture

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self.size_bytes += len(data)

    def take(self, seen: Seen) -> None:
        """Write what happened. Raises OSError."""
        if isinstance(seen, Chunk):
            kind, content = seen.direction, seen.data
        else:
            kind = NOTE
            # A path may be no UTF-8.
            content = seen.text.encode("utf-8", "backslashreplace")[:CONTENT_MAX]
        at_ns = max(0, seen.at_ns - self._begun_ns)
        for start in range(0, len(content), CONTENT_MAX):
            part = content[start : start + CONTENT_MAX]
            record = _HEAD.pack(kind, len(part), at_ns) + part
            record += _CRC.pack(crc32(record))
            if self.is_full or self.size_bytes + len(record) > self._size_max:
                self.is_full = True
                self.left_out_bytes_total += len(part) if kind != NOTE else 0
                continue
            self._write(record)
            self.records_total += 1

    def flush(self) -> None:
        """Let a reader that follows see what there is. Raises OSError."""
        self._file.flush()


class Reader:
    """Reads a capture from its beginning, as far as it goes; what is cut may be read on later."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises BridgeError if it can't be read or is no capture."""
        self.path = path
        self.problem = ""  # why it ends where it ends; "": with a whole record
        self.is_damaged = False  # whether what follows can't be read, now or later
        self.skipped_total = 0  # records of a type that isn't known
        self._rest = b""
        self._offset = 0
        try:
            self._file = path.open("rb")
            header = self._file.read(_HEADER_SIZE)
        except OSError as error:
            raise BridgeError(f"{path}: can't be read: {error.strerror}") from error
        if len(header) < _HEADER_SIZE or not header.startswith(MAGIC):
            self._file.close()
            raise BridgeError(f"{path}: is no capture; pyv-edge-bridge record makes them")
        self.begun_utc_ns: int = _BEGUN.unpack(header[len(MAGIC) :])[0]
        if self.begun_utc_ns >= _AT_MAX:
            self._file.close()
            raise BridgeError(f"{path}: its header is damaged: it can't have begun after 2262")
        self._offset = _HEADER_SIZE

    def read(self) -> Iterator[Seen]:
        """Yield what there is from where it stands, up to the end or to what is damaged."""
        while not self.is_damaged:
            data = self._file.read(READ_SIZE)
            self._rest += data
            found, used = self._records()
            self._offset += used
            self._rest = self._rest[used:]
            yield from found
            if not data:
                break
        if self._rest and not self.is_damaged:
            self.problem = f"{self.path}: its last record, at byte {self._offset}, is cut"

    def _records(self) -> tuple[list[Seen], int]:
        """Return the whole records at hand, and how many bytes they are."""
        self.problem = ""
        found: list[Seen] = []
        used = 0
        data = self._rest
        while len(data) - used >= _HEAD.size:
            kind, size, at_ns = _HEAD.unpack_from(data, used)
            end = used + _HEAD.size + size
            if len(data) < end + _CRC.size:
                break
            (crc,) = _CRC.unpack_from(data, end)
            if crc != crc32(data[used:end]) or at_ns > _AT_MAX:
                self.is_damaged = True
                self.problem = (
                    f"{self.path}: damaged at byte {self._offset + used};"
                    " what follows can't be read"
                )
                break
            content = data[used + _HEAD.size : end]
            if kind in (TO_HOST, TO_BOARD):
                found.append(Chunk(at_ns, kind, content))
            elif kind == NOTE:
                found.append(Note(at_ns, content.decode("utf-8", "replace")))
            else:
                self.skipped_total += 1
            used = end + _CRC.size
        return found, used

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def create(path: Path, *, is_replaced: bool) -> IO[bytes]:
    """Open `path` for a capture, for its owner alone: it holds readings. Raises BridgeError."""
    if path.exists() and not path.is_file():
        raise BridgeError(f"{path}: is no file that could be replaced")
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    flags |= os.O_TRUNC if is_replaced else os.O_EXCL
    try:
        descriptor = os.open(path, flags, 0o600)
        os.fchmod(descriptor, 0o600)  # also one that was there
        return os.fdopen(descriptor, "wb")
    except FileExistsError as error:
        raise BridgeError(f"{path}: exists; name another, or say --force") from error
    except OSError as error:
        raise BridgeError(f"{path}: can't be written: {error.strerror}") from error


def is_capture(path: Path) -> bool:
    """Return whether `path` is a file that begins as captures do."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False
