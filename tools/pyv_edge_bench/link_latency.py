"""How long a board holds a reading: from its sampling to the acknowledgement that releases it.

    RecordRing -> DeviceSession ==pty==> agent (a process) -> SQLite, synchronous=FULL
                                <==========================================  ACK

The board's end runs here, in one thread that samples on time and waits in
select, so that both moments are read from one clock. A reading waits for its
frame to fill (up to 160 ms at 100 a second), then for the next commit. The
agent polls nothing and uploads nothing; its store is on the disk that holds
temporary files.
"""

import json
import os
import pty
import select
import subprocess
import sys
import time
import tty
from collections import deque
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from pyv_edge_core import device_states

from .figure import REPEATS_MIN, Measured
from .link_pair import make_board, push
from .link_readings import INTERVAL_MS, take

_TICK_MASK = 0x3FFFFFFF
_CAPACITY = 4096
_WARM_UP = 100  # readings until all is loaded and the first commit is over
_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 20.0
DEFAULT_COMMIT_MS = 1000  # the agent's own; passed nevertheless, so that the goal is about it
# (commit interval, readings): about 12 and 8 seconds with the agent's start
_RUNS = ((DEFAULT_COMMIT_MS, 1000), (100, 600))
_PARTS = ("p99", "p50", "max")


def measure() -> list[Measured]:
    """Measure at the agent's own commit interval and at 100 ms, each repeat with a new agent."""
    found: list[Measured] = []
    for commit_ms, count in _RUNS:
        at = "" if commit_ms == DEFAULT_COMMIT_MS else f"_at_{commit_ms}_ms_commits"
        found += measured(at, [latencies(commit_ms, count) for _ in range(REPEATS_MIN)])
    return found


def measured(at: str, runs_ms: list[list[float]]) -> list[Measured]:
    """Return what the latencies of some runs amount to, one value for each run."""
    values = [(percentile(run_ms, 99), median(run_ms), max(run_ms)) for run_ms in runs_ms]
    return [
        Measured(f"link.durable_ack_{part}{at}_ms", "ms", list(of_part))
        for part, of_part in zip(_PARTS, zip(*values, strict=True), strict=True)
    ]


def percentile(values: list[float], percent: int) -> float:
    """Return the smallest of `values` that `percent` of a hundred of them don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def latencies(commit_ms: int, count: int) -> list[float]:
    """Return the milliseconds that each of `count` readings was held, after a warm-up.

    Raises RuntimeError, with the agent's last words, if they aren't acknowledged.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        master, slave = pty.openpty()
        try:
            tty.setraw(slave)
            os.set_blocking(master, False)
            log = folder / "agent.log"
            with log.open("wb") as out:
                agent = _start_agent(folder, os.ttyname(slave), commit_ms, out.fileno())
            try:
                found = Board(master).run(_WARM_UP + count)
            except RuntimeError as error:
                raise RuntimeError(f"{error}; the agent: {log.read_text()[-500:]}") from error
            finally:
                agent.terminate()
                try:
                    agent.wait(_STOP_TIMEOUT_S)
                finally:
                    agent.kill()
        finally:
            os.close(master)
            os.close(slave)
    return found[_WARM_UP:]


def _start_agent(folder: Path, port: str, commit_ms: int, out: int) -> "subprocess.Popen[bytes]":
    config = folder / "agent.json"
    device = {"name": "station-1", "ingest_type": "serial", "port": port}
    settings = {
        "health": {"enabled": False},
        "storage": {"commit_interval_ms": commit_ms},
        "sensors": {"devices": [device]},
    }
    config.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyv_edge_agent.cli", "run", "--config", str(config)]
    return subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)


class Board:
    """A board's end on a terminal's master side, in real time."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._session, self._ring = make_board(_CAPACITY)
        self._unsent = b""
        self._taken_s: deque[float] = deque()  # when each reading that is held was taken
        self._held_ms: list[float] = []

    def run(self, count: int, timeout_s: float = _TIMEOUT_S) -> list[float]:
        """Sample `count` readings once the host is there; return how long each was held.

        Raises RuntimeError if the host is not there within `timeout_s`, or is late with an ACK.
        """
        deadline_s = time.monotonic() + timeout_s
        while self._session.state != device_states.UP:
            self._step(0.01)
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"no WELCOME within {timeout_s:g} s")
        start_s = time.monotonic()
        for number, taken in enumerate(take(count, seed=1)):
            due_s = start_s + number * INTERVAL_MS / 1000
            while (wait_s := due_s - time.monotonic()) > 0:
                self._step(wait_s)
            moment_s = time.monotonic()
            uptime_ms = int(moment_s * 1000)
            if not push(self._ring, taken._replace(uptime_ms=uptime_ms)):
                raise RuntimeError("the ring has overflowed")
            self._taken_s.append(moment_s)
            self._step(0)
        deadline_s = time.monotonic() + timeout_s
        while self._taken_s:
            self._step(0.01)
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"{len(self._taken_s)} readings are not acknowledged")
        return self._held_ms

    def _step(self, wait_s: float) -> None:
        """Wait for bytes, then send what is due."""
        writable = [self._terminal] if self._unsent else []
        ready, _, _ = select.select([self._terminal], writable, [], wait_s)
        if ready:
            received = os.read(self._terminal, 4096)
            moment_s = time.monotonic()
            self._session.receive(received, int(moment_s * 1000) & _TICK_MASK)
            held = len(self._ring)
            while len(self._taken_s) > held:
                self._held_ms.append((moment_s - self._taken_s.popleft()) * 1000)
        while self._flush():
            now_ms = int(time.monotonic() * 1000)
            self._unsent = self._session.transmit(
                now_ms & _TICK_MASK, now_ms // 1000, now_ms % 1000
            )
            if not self._unsent:
                return

    def _flush(self) -> bool:
        """Write as much as goes; return whether that was all."""
        if self._unsent:
            try:
                self._unsent = self._unsent[os.write(self._terminal, self._unsent) :]
            except BlockingIOError:
                return False
        return not self._unsent
