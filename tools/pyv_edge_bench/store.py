"""What store and sinks cost: measured by tests/measure, in a process of its own.

A tool does not import the agent.
"""

import json
import os
import subprocess
import sys
from functools import cache

from .bytecode import ROOT
from .figure import Measured

_TIMEOUT_S = 1800
_PLACES = ("tests", "tests/e2e", "shared", "firmware", "host", "tools")


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


def growth() -> list[Measured]:
    """Measure by how much it grows from one to ten million readings. Takes minutes."""
    return _measure("growth")


def _of(measure: str, *names: str) -> list[Measured]:
    return [one for one in _measure(measure) if one.name in names]


@cache  # several figures are of one run
def _measure(name: str) -> list[Measured]:
    path = os.pathsep.join(str(ROOT / place) for place in _PLACES)
    done = subprocess.run(
        [sys.executable, "-m", "measure", name],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr).strip())
    found = json.loads(done.stdout.splitlines()[-1])
    return [Measured(name, unit, values) for name, unit, values in found]
