"""What store and sinks cost: measured by tests/measure, in a process of its own."""

from .child import measured, repeated
from .figure import REPEATS_MIN, Measured


def commit() -> list[Measured]:
    """Measure decoded batches to committed rows, over bare executemany, and the parts of it."""
    return measured("commit")


def disk() -> list[Measured]:
    """Measure bytes written for a reading."""
    return measured("disk", "store.disk_bytes_per_reading")


def rest() -> list[Measured]:
    """Measure bytes at rest of a reading."""
    return measured("disk", "store.rest_bytes_per_reading")


def query_hour() -> list[Measured]:
    """Measure a query of one channel's hour among ten million readings. Takes minutes."""
    return measured("large", "store.query_hour_ms", "store.large_bytes_per_reading")


def opening() -> list[Measured]:
    """Measure the opening of a file with ten million readings. Takes minutes."""
    return measured("large", "store.open_10m_ms")


def drain() -> list[Measured]:
    """Measure how fast a backlog drains."""
    return measured("drain", "sync.drain_readings_per_s")


def live() -> list[Measured]:
    """Measure how late new readings are while a backlog drains."""
    return measured("drain", "sync.live_p99_ms")


def rss() -> list[Measured]:
    """Measure the memory of a real agent with a board and a cloud. Takes minutes."""
    return measured("rss")


def idle() -> list[Measured]:
    """Measure the share of a core that a real agent with four slow devices takes."""
    return measured("idle")


def mqtt() -> list[Measured]:
    """Measure messages of a broker to committed, over a bare client that drops them."""
    return measured("mqtt")


def wire() -> list[Measured]:
    """Measure wire bytes to committed rows, over bare executemany, and the least that it takes."""
    return measured("wire")


def growth() -> list[Measured]:
    """Measure by how much it grows from one to ten million readings. Takes ten minutes."""
    return repeated("growth", REPEATS_MIN)
