"""How long the command line takes to start, in units of a Python that does nothing.

Both are started in turn (A B A B ...), as a user would, so that whatever else the
machine does falls on both alike, and the ratio of each pair counts.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .figure import Measured

REPEATS = 25
PROGRAM = str(Path(sys.executable).with_name("pyv-edge-host"))
_TIMEOUT_S = 60


def help_text() -> list[Measured]:
    """Measure `pyv-edge-host --help` over `python -c pass`."""
    return _measure("help", ["--help"])


def status() -> list[Measured]:
    """Measure `pyv-edge-host status` of an agent that runs over `python -c pass`."""
    with _agent() as config:
        return _measure("status", ["status", "--config", str(config)])


def _measure(name: str, words: list[str]) -> list[Measured]:
    nothing, command = [sys.executable, "-c", "pass"], [PROGRAM, *words]
    for one in (nothing, command):  # from then on its bytecode is there, as it is for a user
        _seconds(one)
    return measured(name, [(_seconds(command), _seconds(nothing)) for _ in range(REPEATS)])


def measured(name: str, pairs: list[tuple[float, float]]) -> list[Measured]:
    """Return what pairs of seconds amount to, of a command and of the bare Python."""
    return [
        Measured(f"cli.start_ratio.{name}", "ratio", [ours / bare for ours, bare in pairs]),
        Measured(f"cli.start_ms.{name}", "ms", [ours * 1000 for ours, _ in pairs]),
    ]


@contextmanager
def _agent() -> Iterator[Path]:
    """Run an agent; give the path of its configuration. Raises RuntimeError if it ends."""
    with tempfile.TemporaryDirectory(prefix="pyv-bench-") as folder:
        config = Path(folder) / "edge.toml"
        config.write_text("[health]\nport = 0\n", encoding="utf-8")
        agent = subprocess.Popen(
            [PROGRAM, "run", "--config", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not Path(f"{config.resolve()}.sock").exists():
                if agent.poll() is not None:
                    raise RuntimeError(f"the agent has ended with {agent.returncode}")
                time.sleep(0.05)
            yield config
        finally:
            agent.terminate()
            agent.wait(_TIMEOUT_S)


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
