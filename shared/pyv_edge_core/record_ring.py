"""The board's ring: readings in wire form, kept until the host has acknowledged them.

Allocated once; when full it drops its OLDEST readings and counts them; it never
blocks or grows. Readings are addressed by sequence number and not by position,
since an overflow between reading and acknowledgement moves the front. Not safe
to call from an interrupt or a second thread.

    block   16 slots of 8 bytes that share one base time
    slot    channel u8 | quality (2 bits), span bits 16-21 | span bits 0-15 | value i32
    span    milliseconds since the block's base time, 22 bits (70 minutes)

A slot is what goes over the wire, so that a frame is a slice and costs no work
per reading. The price: an overflow loses a whole block, and a board that
samples less often than every 4 minutes leaves slots unused (the ring still
covers 70 minutes a block).
"""

import struct
from array import array

from ._compat import const
from .errors import FieldError

BLOCK_RECORDS = const(16)
RECORD_SIZE = const(8)
RECORD_FORMAT = "<BBHi"
SPAN_MS_MAX = const(0x3FFFFF)
RECORD_CAPACITY_MAX = const(65536)  # records: 512 kB, more than any board has

_BLOCK_SIZE = const(128)  # BLOCK_RECORDS * RECORD_SIZE
_SPAN_S_MAX = const(4195)  # SPAN_MS_MAX in seconds, rounded up


class RecordRing:
    """Readings in wire form, numbered without a hole from 0."""

    def __init__(self, capacity: int) -> None:
        """Allocate room for `capacity` records, rounded up to whole blocks.

        Raises FieldError unless 1 <= capacity <= RECORD_CAPACITY_MAX.
        """
        if not 1 <= capacity <= RECORD_CAPACITY_MAX:
            raise FieldError("capacity: %r is outside 1..%d" % (capacity, RECORD_CAPACITY_MAX))
        block_count = (capacity + BLOCK_RECORDS - 1) // BLOCK_RECORDS
        self.capacity = block_count * BLOCK_RECORDS
        self.first_seq = 0  # oldest record still held
        self.next_seq = 0  # number that the next record gets
        self.dropped_total = 0  # records overwritten before they were released or saved
        # What lies from one to the other is saved elsewhere, too: overwriting it loses nothing.
        self.saved_first = self.saved_end = 0
        self._records = bytearray(block_count * _BLOCK_SIZE)
        self._view = memoryview(self._records)
        self._block_count = block_count
        self._counts = bytearray(block_count)  # records in each block, 0 if free
        self._seqs = array("I", [0] * block_count)  # number of each block's first record
        self._base_s = array("I", [0] * block_count)
        self._base_ms = array("H", [0] * block_count)
        self._head = 0  # oldest block in use
        self._used = 0  # blocks in use
        self._open = 0  # block that takes the next record, if any is in use
        self._cursor = 0  # where read() looks first

    def __len__(self) -> int:
        return self.next_seq - self.first_seq

    def push(self, channel: int, quality: int, value: int, uptime_s: int, uptime_ms: int) -> bool:
        """Append one reading; return False if older ones had to be dropped for it.

        The fields must lie within `reading.LIMITS`; the sampler has checked
        them. Allocates nothing.
        """
        block = self._open
        kept_all = True
        span = -1
        if self._used and self._counts[block] < BLOCK_RECORDS:
            seconds = uptime_s - self._base_s[block]
            if seconds <= _SPAN_S_MAX:  # first, so that the product stays a small int
                span = seconds * 1000 + uptime_ms - self._base_ms[block]
        if not 0 <= span <= SPAN_MS_MAX:
            kept_all = self._open_block(uptime_s, uptime_ms)
            block = self._open
            span = 0
        count = self._counts[block]
        struct.pack_into(
            "<BBHi",
            self._records,
            (block * BLOCK_RECORDS + count) * RECORD_SIZE,
            channel,
            quality | (span >> 16) << 2,
            span & 0xFFFF,
            value,
        )
        self._counts[block] = count + 1
        self.next_seq += 1
        return kept_all

    def _open_block(self, uptime_s: int, uptime_ms: int) -> bool:
        kept_all = self._used < self._block_count
        if not kept_all:
            end = self._seqs[self._head] + self._counts[self._head]
            saved = min(end, self.saved_end) - max(self.first_seq, self.saved_first)
            self.dropped_total += end - self.first_seq - max(0, saved)
            self.first_seq = end
            self._free_head()
        self._open = block = (self._head + self._used) % self._block_count
        self._used += 1
        self._seqs[block] = self.next_seq
        self._base_s[block] = uptime_s
        self._base_ms[block] = uptime_ms
        return kept_all

    def _free_head(self) -> None:
        self._counts[self._head] = 0
        self._head = (self._head + 1) % self._block_count
        self._used -= 1

    def release(self, seq: int) -> None:
        """Free every record numbered below `seq`: the next hop has them for good.

        Numbers already freed are ignored. Raises FieldError if `seq` was never
        given out.
        """
        if seq > self.next_seq:
            raise FieldError("seq: %d was never given out, next is %d" % (seq, self.next_seq))
        if seq <= self.first_seq:
            return
        self.first_seq = seq
        while self._used and self._seqs[self._head] + self._counts[self._head] <= seq:
            self._free_head()

    def skip_to(self, seq: int) -> None:
        """Let the next record, the first in an empty ring, be number `seq`."""
        self.first_seq = self.next_seq = seq

    def held_from(self, seq: int) -> int:
        """Return the number of the first record held from `seq` on, next_seq if there is none."""
        return max(seq, self.first_seq)

    def _find(self, seq: int) -> int:
        if seq < self.first_seq:  # its block may still be there, for the sake of its neighbours
            raise IndexError("no such record")
        block = self._cursor
        for _ in range(self._block_count):
            if 0 <= seq - self._seqs[block] < self._counts[block]:
                self._cursor = block
                return block
            block += 1
            if block == self._block_count:
                block = 0
        raise IndexError("no such record")

    def is_sealed(self, seq: int) -> bool:
        """Return whether the block that holds record `seq` will take no more.

        Raises IndexError unless first_seq <= seq < next_seq.
        """
        block = self._find(seq)
        return block != self._open or self._counts[block] == BLOCK_RECORDS

    def read(self, seq: int, count_max: int) -> "tuple[int, int, int, bytes]":
        """Return (count, base_s, base_ms, records) from `seq` on, leaving them in.

        `records` is `count` slots of one block, at least one and at most
        `count_max`. Raises IndexError unless first_seq <= seq < next_seq.
        """
        block = self._find(seq)
        offset = seq - self._seqs[block]
        count = min(self._counts[block] - offset, count_max)
        start = (block * BLOCK_RECORDS + offset) * RECORD_SIZE
        records = bytes(self._view[start : start + count * RECORD_SIZE])
        return count, self._base_s[block], self._base_ms[block], records
