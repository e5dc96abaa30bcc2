"""How fast time passes in the simulation of tests/: what a night of it can find depends on that.

Two boards of 16 channels at 10 Hz, with the faults of an ordinary run, in one
process; a repeat is five simulated minutes of another seed.
"""

import json
import os
import subprocess
import sys

from .bytecode import ROOT
from .figure import Measured

REPEATS = 5
_TIMEOUT_S = 600
_PLACES = ("tests", "shared", "firmware", "host")


def readings_per_minute() -> list[Measured]:
    """Measure readings sampled in the simulation per minute of wall time.

    Raises RuntimeError if a run fails.
    """
    return measured(play(REPEATS))


def play(repeats: int) -> list[dict[str, float]]:
    """Return the readings, the seconds and the faults of each repeat. Raises RuntimeError."""
    path = os.pathsep.join(str(ROOT / place) for place in _PLACES)
    done = subprocess.run(
        [sys.executable, "-m", "simulation", "--measure", str(repeats)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr).strip())
    return [json.loads(line) for line in done.stdout.splitlines()]


def measured(lines: list[dict[str, float]]) -> list[Measured]:
    """Return what the repeats amount to."""
    return [
        Measured(
            "sim.readings_per_minute",
            "1/min",
            [round(line["readings"] * 60 / line["s"]) for line in lines],
        ),
        Measured("sim.faults_struck", "faults", [line["faults"] for line in lines]),
    ]
