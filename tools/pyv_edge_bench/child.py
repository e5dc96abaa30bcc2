"""A measurement in a process of its own: it imports the agent, which a tool does not."""

import json
import os
import subprocess
import sys
from functools import cache

from .bytecode import ROOT
from .figure import Measured

_TIMEOUT_S = 1800
_PLACES = ("tests", "tests/e2e", "shared", "firmware", "host", "tools")


def lines_of(module: str, *arguments: str, timeout_s: float) -> list[str]:
    """Return the lines that a module of tests/ prints. Raises RuntimeError if it fails."""
    path = os.pathsep.join(str(ROOT / place) for place in _PLACES)
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr).strip())
    return done.stdout.splitlines()


def measured(measure: str, *names: str) -> list[Measured]:
    """Return what tests/measure gives for `measure`: the figures of these names, all without one.

    Several figures may be of one run. Raises RuntimeError if it fails.
    """
    return [one for one in _measure(measure) if not names or one.name in names]


@cache
def _measure(name: str) -> list[Measured]:
    last = lines_of("measure", name, timeout_s=_TIMEOUT_S)[-1]
    return [Measured(name, unit, values) for name, unit, values in json.loads(last)]
