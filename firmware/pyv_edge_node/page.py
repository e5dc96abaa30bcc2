"""One page of readings on the flash: a file that is written once, as a whole.

    head     version u8 | reset cause u8 | boot u32 | boots u32 | table u32 |
             uptime s u32, ms u16 | released telemetry u32, events u32 | dropped u32 |
             telemetry first u32, end u32 | events first u32, end u32
    block    stream u8 | count u8 | first number u32 | base s u32, ms u16 | count * 8 bytes
    end      CRC-32 of all that

All little-endian. A block's records are as they go over the wire, see
`RecordRing`. A page holds the numbers of each stream from first to end without
a hole, and is as large as LittleFS erases at once, so that writing one moves
nothing else. `table` names the file with the boot's channel table (see
`over_boot`); what is below `released` some host had.
"""

import struct
from binascii import crc32

from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.record_ring import BLOCK_RECORDS, RECORD_SIZE

if TYPE_CHECKING:
    from typing import Any

PAGE_SIZE = const(4096)
# Readings of full blocks that fill a page: then nothing is gained by waiting.
PAGE_RECORDS = const(448)

_VERSION = const(1)
_HEAD_FORMAT = "<BBIIIIHIIIIIII"
_HEAD_SIZE = const(48)
_BLOCK_FORMAT = "<BBIIH"
_BLOCK_SIZE = const(12)
_CRC_SIZE = const(4)


class Head:
    """What a page says of itself."""

    def __init__(self, values: "tuple[Any, ...]") -> None:
        self.reset_cause, self.boot, self.boots, self.table = values[1:5]
        self.end_s, self.end_ms = values[5:7]  # uptime when it was written
        self.released = values[7:9]
        self.dropped = values[9]
        self.first = (values[10], values[12])  # by stream, as is `released`
        self.end = (values[11], values[13])


class Page:
    """The one page in memory: one that is being filled, or the copy of a file."""

    def __init__(self) -> None:
        self._buffer = bytearray(PAGE_SIZE)
        self._view = memoryview(self._buffer)
        self._used = _HEAD_SIZE
        self.first = [0, 0]  # by stream: the numbers in it
        self.end = [0, 0]
        self._at = 0  # offset of the block that `read` found last

    def begin(self, firsts: "tuple[int, int]") -> None:
        """Be empty, for records from these numbers on."""
        self._used = _HEAD_SIZE
        self.first = list(firsts)
        self.end = list(firsts)
        self._at = 0

    @property
    def room(self) -> int:
        """How many more records fit in."""
        left = PAGE_SIZE - _CRC_SIZE - _BLOCK_SIZE - self._used
        return max(0, left // RECORD_SIZE)

    def add(self, stream: int, ring: "Any") -> int:
        """Add what is next of a stream, a block's at most; return how many records."""
        seq = self.end[stream]
        room = min(self.room, BLOCK_RECORDS)
        if not room or seq >= ring.next_seq:
            return 0
        count, base_s, base_ms, records = ring.read(seq, room)
        struct.pack_into(
            _BLOCK_FORMAT, self._buffer, self._used, stream, count, seq, base_s, base_ms
        )
        start = self._used + _BLOCK_SIZE
        self._view[start : start + len(records)] = records
        # In this order: somebody may press Ctrl-C between the two.
        self._used = start + len(records)
        self.end[stream] = seq + count
        return int(count)

    def seal(self, about: "tuple[int, ...]") -> memoryview:
        """Return the page as it is to be written; `about` is the head up to `dropped`."""
        numbers = self.first[0], self.end[0], self.first[1], self.end[1]
        struct.pack_into(_HEAD_FORMAT, self._buffer, 0, _VERSION, *(about + numbers))
        crc = crc32(self._view[: self._used])
        struct.pack_into("<I", self._buffer, self._used, crc)
        return self._view[: self._used + _CRC_SIZE]

    def load(self, flash: "Any", name: str) -> "Head | None":
        """Become a copy of a file; return its head, None if it is no whole page.

        Raises OSError.
        """
        size = flash.read_into(name, self._buffer) - _CRC_SIZE
        self.begin((0, 0))
        if size < _HEAD_SIZE or self._buffer[0] != _VERSION:
            return None
        if struct.unpack_from("<I", self._buffer, size)[0] != crc32(self._view[:size]):
            return None
        head = Head(struct.unpack_from(_HEAD_FORMAT, self._buffer, 0))
        self._used = size
        self.first = list(head.first)
        self.end = list(head.end)
        return head

    def read(self, stream: int, seq: int, count_max: int) -> "tuple[int, int, int, bytes]":
        """Return (count, base_s, base_ms, records) from `seq` on, as a RecordRing does.

        Raises IndexError if the page doesn't hold it.
        """
        at = self._at or _HEAD_SIZE
        for _ in range(2):  # from where the last one was found, then from the beginning
            while at < self._used:
                of, count, first, base_s, base_ms = struct.unpack_from(
                    _BLOCK_FORMAT, self._buffer, at
                )
                if of == stream and first <= seq < first + count:
                    self._at = at
                    skipped = seq - first
                    count = min(count - skipped, count_max)
                    start = at + _BLOCK_SIZE + skipped * RECORD_SIZE
                    records = bytes(self._view[start : start + count * RECORD_SIZE])
                    return count, base_s, base_ms, records
                at += _BLOCK_SIZE + count * RECORD_SIZE
            at = _HEAD_SIZE
        raise IndexError("no such record")
