"""Deploys to virtual boards: how long one that has nothing to do takes, how full the line is."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from pyv_edge_tools import build_device
from pyv_edge_tools.flash.deploy import Outcome, Wanted, carry_out, look, restart
from pyv_edge_tools.flash.repl import Repl
from pyv_edge_tools.flash.telling import Telling
from pyv_edge_tools.virtual import ESP32_UART, MANNERS, Board

from .figure import Measured

BAUD = 115_200
BITS_PER_BYTE = 10  # with start and stop
REPEATS = 5
_TIMEOUT_S = 120
_UP_S = 10.0
_SETTINGS = b'{"device_id": "bench", "sensors": [{"type": "simulated", "interval_ms": 1000}]}'


def _silent() -> Telling:
    return Telling(is_json=False, out=io.StringIO(), err=io.StringIO())


def deploy_once(port: str, files: dict[str, bytes], settings: bytes) -> tuple[int, float]:
    """Deploy to the board on `port`; return the bytes of all files sent, and the seconds.

    The seconds are those of sending, verifying and flipping.
    """
    wanted = Wanted(files, build_device.loader_files(), settings)
    deadline_s = time.monotonic() + _UP_S
    while not os.path.exists(port) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    with Repl(port) as repl:
        repl.enter()
        board, made = look(repl, wanted, _silent())
        start_s = time.monotonic()
        carry_out(repl, board, made, _silent())
        took_s = time.monotonic() - start_s
        outcome = Outcome(True, made.slot, False, made.firmware_hash)
        restart(repl, outcome, _silent(), expects_it=True)
    return made.upload_bytes, took_s


def line_rate() -> list[Measured]:
    """Measure a first deploy over a line of 115200 baud against what that line can carry."""
    from .node import files

    ratios = []
    for _ in range(REPEATS):
        with TemporaryDirectory() as name, Board(Path(name), manner=ESP32_UART) as board:
            sent_bytes, took_s = deploy_once(str(board.path), files(), _SETTINGS)
        ratios.append(sent_bytes * BITS_PER_BYTE / BAUD / took_s)
    return [Measured("flash.line_rate_ratio", "of the line", ratios)]


def unchanged() -> list[Measured]:
    """Measure `pyv-edge-flash deploy` of what is there already, HELLO included, as a process."""
    from .node import files

    found = []
    for name in ("esp32-uart", "rp2-cdc"):
        with TemporaryDirectory() as folder, Board(Path(folder), manner=MANNERS[name]) as board:
            deploy_once(str(board.path), files(), _SETTINGS)
            words = ["-m", "pyv_edge_tools.flash", "deploy", "--port", str(board.path)]
            took_s = []
            for _ in range(REPEATS):
                start_s = time.monotonic()
                subprocess.run(
                    [sys.executable, *words], check=True, capture_output=True, timeout=_TIMEOUT_S
                )
                took_s.append(time.monotonic() - start_s)
        ending = "" if name == "esp32-uart" else "_over_usb"
        found.append(Measured(f"flash.unchanged{ending}_s", "s", took_s))
    return found
