"""The two rings, for operations.py."""

from pyv_edge_core.record_ring import RecordRing
from pyv_edge_core.ring import RingBuffer
from script import Subject


def _look_at_records(ring):
    return len(ring), ring.first_seq, ring.next_seq, ring.dropped_total, ring.capacity


def _push_many(ring, count, channel, value, start_ms, step_ms):
    kept = 0
    for index in range(count):
        time_ms = start_ms + index * step_ms
        if ring.push(channel, index % 3, value - index, time_ms // 1000, time_ms % 1000):
            kept += 1
    return kept


RECORD_RING = Subject(
    "record_ring",
    RecordRing,
    _look_at_records,
    {
        "push": RecordRing.push,
        "push_many": _push_many,
        "release": RecordRing.release,
        "read": RecordRing.read,
        "is_sealed": RecordRing.is_sealed,
    },
    ("FieldError", "IndexError"),
)


def _look_at_values(buffer):
    return len(buffer), buffer.dropped_total, buffer.capacity, buffer.dtype


RING_BUFFER = Subject(
    "ring_buffer",
    RingBuffer,
    _look_at_values,
    {
        "append": RingBuffer.append,
        "peek": RingBuffer.peek,
        "pop": RingBuffer.pop,
        "discard": RingBuffer.discard,
        "latest": RingBuffer.latest,
        "list": list,
        "between": RingBuffer.between,
        "count": RingBuffer.count,
        "min": RingBuffer.min,
        "max": RingBuffer.max,
        "mean": RingBuffer.mean,
        "std": RingBuffer.std,
        "rate": RingBuffer.rate,
    },
    ("FieldError", "IndexError"),
)
