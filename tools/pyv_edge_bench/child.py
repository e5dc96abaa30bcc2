"""A measurement in a process of its own: it imports the agent, which a tool does not."""

import os
import subprocess
import sys

from .bytecode import ROOT

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
