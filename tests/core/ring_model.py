"""A RecordRing told again with plain lists, to compare the real one with."""

import struct

from pyv_edge_core.record_ring import BLOCK_RECORDS, RECORD_SIZE, SPAN_MS_MAX


def unpack_slots(first_seq, base_s, base_ms, records):
    """Return [(seq, channel, quality, value, uptime in ms)] of whole slots."""
    assert len(records) % RECORD_SIZE == 0
    readings = []
    for index in range(len(records) // RECORD_SIZE):
        slot = records[index * RECORD_SIZE : (index + 1) * RECORD_SIZE]
        channel, packed, low, value = struct.unpack("<BBHi", slot)
        span_ms = (packed >> 2) << 16 | low
        time_ms = base_s * 1000 + base_ms + span_ms
        readings.append((first_seq + index, channel, packed & 3, value, time_ms))
    return readings


class RingModel:
    """Blocks are lists of (seq, channel, quality, value, uptime in ms)."""

    def __init__(self, block_count):
        self.blocks = []
        self.block_count = block_count
        self.first_seq = 0
        self.next_seq = 0
        self.dropped_total = 0

    def push(self, channel, quality, value, time_ms):
        kept_all = True
        block = self.blocks[-1] if self.blocks else []
        fits = block and len(block) < BLOCK_RECORDS and 0 <= time_ms - block[0][4] <= SPAN_MS_MAX
        if not fits:
            if len(self.blocks) == self.block_count:
                lost = self.blocks.pop(0)
                kept_all = False
                self.dropped_total += lost[-1][0] + 1 - self.first_seq
                self.first_seq = lost[-1][0] + 1
            block = []
            self.blocks.append(block)
        block.append((self.next_seq, channel, quality, value, time_ms))
        self.next_seq += 1
        return kept_all

    def release(self, seq):
        if seq <= self.first_seq:
            return
        self.first_seq = seq
        while self.blocks and self.blocks[0][-1][0] < seq:
            self.blocks.pop(0)

    def block_of(self, seq):
        for block in self.blocks:
            if block[0][0] <= seq <= block[-1][0]:
                return block
        raise IndexError

    def is_sealed(self, seq):
        block = self.block_of(seq)
        return block is not self.blocks[-1] or len(block) == BLOCK_RECORDS

    def read(self, seq, count_max):
        block = self.block_of(seq)
        start = seq - block[0][0]
        return block[start : start + count_max]


def compare(ring, model):
    """Assert that `ring` holds and reports exactly what `model` does."""
    state = (ring.first_seq, ring.next_seq, ring.dropped_total, len(ring))
    count = model.next_seq - model.first_seq
    assert state == (model.first_seq, model.next_seq, model.dropped_total, count), state
    seq = ring.first_seq
    while seq < ring.next_seq:
        count, base_s, base_ms, records = ring.read(seq, BLOCK_RECORDS)
        assert unpack_slots(seq, base_s, base_ms, records) == model.read(seq, BLOCK_RECORDS), seq
        assert ring.is_sealed(seq) == model.is_sealed(seq), seq
        seq += count
    assert seq == ring.next_seq
