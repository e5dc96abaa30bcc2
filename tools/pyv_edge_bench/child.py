"""A measurement in a process of its own: it imports the agent, which a tool does not."""

import json
import os
import subprocess
import sys
from functools import cache

from .bytecode import ROOT
from .figure import Measured

_TIMEOUT_S = 1800
_LACKS_PROGRAM = 69  # how tests/measure ends without a program that it needs
_PLACES = ("tests", "tests/e2e", "shared", "firmware", "host", "tools")


def lines_of(module: str, *arguments: str, timeout_s: float) -> list[str]:
    """Return the lines that a module of tests/ prints.

    Raises RuntimeError if it fails, FileNotFoundError if it says that a program is missing.
    """
    path = os.pathsep.join(str(ROOT / place) for place in _PLACES)
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        # With bytecode on the disk, as a user has it: to compile takes memory, too.
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode == _LACKS_PROGRAM:
        raise FileNotFoundError(done.stderr.strip())
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr).strip())
    return done.stdout.splitlines()


def measured(measure: str, *names: str) -> list[Measured]:
    """Return what tests/measure gives for `measure`: the figures of these names, all without one.

    Several figures may be of one run. Raises as `lines_of` does.
    """
    return [one for one in _measure_once(measure) if not names or one.name in names]


def repeated(measure: str, repeats: int) -> list[Measured]:
    """Return what tests/measure gives for `measure` in `repeats` processes, one after the other.

    For what a process can tell of itself only once. Raises as `lines_of` does.
    """
    values: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeats):
        for one in _measure(measure):
            values.setdefault((one.name, one.unit), []).extend(one.values)
    return [Measured(name, unit, found) for (name, unit), found in values.items()]


@cache
def _measure_once(name: str) -> list[Measured]:
    return _measure(name)


def _measure(name: str) -> list[Measured]:
    last = lines_of("measure", name, timeout_s=_TIMEOUT_S)[-1]
    return [Measured(*one) for one in json.loads(last)]
