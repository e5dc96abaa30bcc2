"""What store and sinks cost: measured by tests/measure, in a process of its own."""

import json
from functools import cache

from .child import lines_of
from .figure import Measured

_TIMEOUT_S = 1800


def commit() -> list[Measured]:
    """Measure decoded batches to committed rows, over bare executemany, and the parts of it."""
    return _measure("commit")


def disk() -> list[Measured]:
    """Measure bytes written for a reading."""
    return _of("disk", "store.disk_bytes_per_reading")


def rest() -> list[Measured]:
    """Measure bytes at rest of a reading."""
    return _of("disk", "store.rest_bytes_per_reading")


def query_hour() -> list[Measured]:
    """Measure a query of one channel's hour among ten million readings. Takes minutes."""
    return _of("large", "store.query_hour_ms", "store.large_bytes_per_reading")


def opening() -> list[Measured]:
    """Measure the opening of a file with ten million readings. Takes minutes."""
    return _of("large", "store.open_10m_ms")


def drain() -> list[Measured]:
    """Measure how fast a backlog drains."""
    return _of("drain", "sync.drain_readings_per_s")


def live() -> list[Measured]:
    """Measure how late new readings are while a backlog drains."""
    return _of("drain", "sync.live_p99_ms")


def rss() -> list[Measured]:
    """Measure the memory of a real agent with a board and a cloud."""
    return _measure("rss")


def idle() -> list[Measured]:
    """Measure the share of a core that a real agent with four slow devices takes."""
    return _measure("idle")


def mqtt() -> list[Measured]:
    """Measure messages of a broker to committed, over a bare client that drops them."""
    return _measure("mqtt")


def growth() -> list[Measured]:
    """Measure by how much it grows from one to ten million readings. Takes minutes."""
    return _measure("growth")


def _of(measure: str, *names: str) -> list[Measured]:
    return [one for one in _measure(measure) if one.name in names]


@cache  # several figures are of one run
def _measure(name: str) -> list[Measured]:
    last = lines_of("measure", name, timeout_s=_TIMEOUT_S)[-1]
    return [Measured(name, unit, values) for name, unit, values in json.loads(last)]
