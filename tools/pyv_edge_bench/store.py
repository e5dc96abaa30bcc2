"""What store and sinks cost: measured by tests/measure, in a process of its own.

A tool does not import the agent.
"""

import json
import os
import subprocess
import sys

from .bytecode import ROOT
from .figure import Measured

_TIMEOUT_S = 1800
_PLACES = ("tests", "tests/e2e", "shared", "firmware", "host", "tools")


def commit() -> list[Measured]:
    """Measure decoded batches to committed rows, over bare executemany, and the parts of it."""
    return _measure("commit")


def disk() -> list[Measured]:
    """Measure bytes written, and bytes at rest, of a reading."""
    return _measure("disk")


def large() -> list[Measured]:
    """Measure a query of, and the opening of, a file of ten million readings. Takes minutes."""
    return _measure("large")


def drain() -> list[Measured]:
    """Measure how fast a backlog drains, and how late new readings are meanwhile."""
    return _measure("drain")


def rss() -> list[Measured]:
    """Measure the memory of a real agent with a board and a cloud."""
    return _measure("rss")


def growth() -> list[Measured]:
    """Measure by how much it grows from one to ten million readings. Takes minutes."""
    return _measure("growth")


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
