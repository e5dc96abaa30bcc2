"""`pyv-edge-host` as a process, as a user starts it."""

import os
import subprocess
import sys
from pathlib import Path

HOST = str(Path(sys.executable).with_name("pyv-edge-host"))


def environment(**more):
    """Return this environment without what would change a command's answer."""
    changing = ("PYV_EDGE_CONFIG", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if name not in changing}
    return {**kept, "NO_COLOR": "", **more}


def run_host(*args, cwd=None, code=None, **more):
    """Run a command to its end; return what became of it, stdout and stderr as text."""
    program = [HOST] if code is None else [sys.executable, "-c", code]
    return subprocess.run(
        [*program, *map(str, args)],
        cwd=cwd,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
