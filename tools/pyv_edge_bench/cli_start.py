"""How long the command line takes to start, in units of a Python that does nothing.

Both are started in turn (A B A B ...), as a user would, so that whatever else the
machine does falls on both alike, and the ratio of each pair counts.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from .figure import Measured

REPEATS = 25
_TIMEOUT_S = 60


def measure() -> list[Measured]:
    """Measure `pyv-edge-host --help` over `python -c pass`."""
    nothing = [sys.executable, "-c", "pass"]
    command = [str(Path(sys.executable).with_name("pyv-edge-host")), "--help"]
    for one in (nothing, command):  # from then on its bytecode is there, as it is for a user
        _seconds(one)
    return measured([(_seconds(command), _seconds(nothing)) for _ in range(REPEATS)])


def measured(pairs: list[tuple[float, float]]) -> list[Measured]:
    """Return what pairs of seconds amount to, of ours and of the bare Python."""
    return [
        Measured("cli.start_ratio", "ratio", [ours / bare for ours, bare in pairs]),
        Measured("cli.start_ms", "ms", [ours * 1000 for ours, _ in pairs]),
    ]


def _seconds(command: list[str]) -> float:
    """Return how long a command takes. Raises RuntimeError if it fails."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    began = time.perf_counter()
    done = subprocess.run(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        timeout=_TIMEOUT_S,
        check=False,
    )
    took_s = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")
    return took_s
