"""How fast time passes in the simulation of tests/: what a night of it can find depends on that.

Two boards of 16 channels at 10 Hz, with the faults of an ordinary run, in one
process; a repeat is five simulated minutes of another seed.
"""

import json

from .child import lines_of
from .figure import Measured

REPEATS = 5
_TIMEOUT_S = 600


def readings_per_minute() -> list[Measured]:
    """Measure readings sampled in the simulation per minute of wall time.

    Raises RuntimeError if a run fails.
    """
    return measured(play(REPEATS))


def play(repeats: int) -> list[dict[str, float]]:
    """Return the readings, the seconds and the faults of each repeat. Raises RuntimeError."""
    lines = lines_of("simulation", "--measure", str(repeats), timeout_s=_TIMEOUT_S)
    return [json.loads(line) for line in lines]


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
