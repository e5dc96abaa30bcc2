"""The node on a virtual board, flashed as a user would: how large, how much heap, how punctual.

virtual board (MicroPython, LittleFS) ==pty==> HostSession, in this process
"""

import json
import struct
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import serial
from pyv_edge_core import message
from pyv_edge_core.host_event import Batch, Greeting, Report
from pyv_edge_core.host_session import HostSession
from pyv_edge_core.record_ring import RECORD_FORMAT, RECORD_SIZE
from pyv_edge_tools import build_device
from pyv_edge_tools.virtual import Board
from pyv_edge_tools.virtual_board import HEAP, VirtualBoard

from . import workload
from .figure import REPEATS_MIN, Measured
from .flashing import deploy_once
from .link_latency import percentile

INTERVAL_MS = 10
RUN_S = 20.0
HEAP_RUN_S = 5.0
SETTLE_S = 3.0  # until the link is up and what is loaded late is loaded
_UP_S = 30.0
_SETTINGS = (
    b'{"device_id": "bench", "vitals_interval_ms": 1000, "sensors": [{"type": "simulated",'
    b' "channel": "temperature", "interval_ms": 10}]}'
)
# What no node loads unless its settings, a host's request or a crash ask for it.
_ON_DEMAND = (
    *("aggregate", "alert", "condition", "disclosure", "event_text", "hmac", "message_to_host"),
    *("movement", "pattern", "privacy", "privacy_rule", "quantity", "rule", "table", "window"),
    *("stages", "seal", "link_key", "spill", "page", "pages", "paged_ring", "over_boot"),
    *("remote", "request", "trial", "trouble", "recovery", "settings_copy", "prompt"),
    "surrogates",
)


@dataclass
class _Seen:
    """What a host has had of the board."""

    times_ms: list[int] = field(default_factory=list)
    heap_free: list[int] = field(default_factory=list)
    late_total: int = 0


@cache
def files() -> dict[str, bytes]:
    """Return the set that is flashed. Raises FileNotFoundError without mpy-cross."""
    return build_device.firmware()


def mpy_bytes() -> list[Measured]:
    """Measure what each node loads, beside its sensors; and the whole set."""
    plain = sum(
        len(content)
        for path, content in files().items()
        if "/sensors/" not in path
        and not path.endswith(("board/unix.mpy", "board/esp32.mpy", "board/wiring.mpy"))
        and path.rsplit("/", 1)[-1][:-4] not in _ON_DEMAND
    )
    everything = sum(map(len, files().values()))
    return [
        Measured("node.mpy_bytes", "bytes", [plain], is_fixed=True),
        Measured("node.mpy_bytes_all", "bytes", [everything], is_fixed=True),
    ]


def _run() -> _Seen:
    with TemporaryDirectory() as name, Board(Path(name)) as board:
        deploy_once(str(board.path), files(), _SETTINGS)
        with serial.Serial(str(board.path), timeout=0.005) as port:
            return _listen(port, RUN_S)


def _listen(port: Any, run_s: float) -> _Seen:
    """Be a host that commits at once, for `run_s` after the link is up."""
    session = HostSession()
    seen = _Seen()
    end_s = time.monotonic() + _UP_S
    begin_s = 0.0
    while time.monotonic() < end_s:
        now_ms = int(time.monotonic() * 1000)
        for event in session.receive(port.read(max(1, port.in_waiting)), now_ms):
            if isinstance(event, Greeting):
                session.welcome(event.hello.boot, event.hello.telemetry_first, 0)
                begin_s = time.monotonic() + SETTLE_S
                end_s = begin_s + run_s
            elif isinstance(event, Batch):
                end = event.first_seq + len(event.records) // RECORD_SIZE
                session.committed(event.boot, event.stream, end)
                if time.monotonic() >= begin_s:
                    seen.times_ms += _times_ms(event)
            elif isinstance(event, Report) and event.kind == message.VITALS:
                seen.late_total = event.message.late_total
                if time.monotonic() >= begin_s:
                    seen.heap_free.append(event.message.heap_free)
        out = session.transmit(int(time.monotonic() * 1000))
        if out:
            port.write(out)
    if not seen.times_ms or not seen.heap_free:
        raise RuntimeError("the board has said nothing")
    return seen


def _times_ms(batch: Batch) -> list[int]:
    base_ms = batch.base_s * 1000 + batch.base_ms
    slots = struct.iter_unpack(RECORD_FORMAT, batch.records)
    return [base_ms + ((bits >> 2) << 16 | span) for _, bits, span, _ in slots]


def heap_free_bytes() -> list[Measured]:
    """Measure what is left of 192 kB with a ring of 2048 readings and the link up.

    In a process of its own: a board that is played has names of its player in its heap.
    """
    command = [workload.micropython(), "-X", f"heapsize={HEAP}"]
    free = []
    for _ in range(REPEATS_MIN):
        with (
            TemporaryDirectory() as name,
            VirtualBoard(Path(name), json.loads(_SETTINGS), command) as board,
            serial.Serial(str(board.path), timeout=0.005) as port,
        ):
            free.append(min(_listen(port, HEAP_RUN_S).heap_free))
    return [Measured("node.heap_free_bytes", "bytes", free)]


def jitter() -> list[Measured]:
    """Measure how late measurements are, at 100 a second; one that was missed is 10 ms late."""
    runs = [_lateness_ms(seen) for seen in (_run() for _ in range(REPEATS_MIN))]
    missed = [late_ms.count(float(INTERVAL_MS)) for late_ms in runs]
    return [
        Measured("node.jitter_p99_ms", "ms", [percentile(late_ms, 99) for late_ms in runs]),
        Measured("node.jitter_max_ms", "ms", [max(late_ms) for late_ms in runs]),
        Measured("node.jitter_missed", "measurements", missed),
    ]


def _lateness_ms(seen: _Seen) -> list[float]:
    phases = [time_ms % INTERVAL_MS for time_ms in seen.times_ms]
    # The grid begins at any millisecond: at that one for which the others are least late.
    grid_ms = min(range(INTERVAL_MS), key=lambda at: sum((p - at) % INTERVAL_MS for p in phases))
    late_ms = [float((phase - grid_ms) % INTERVAL_MS) for phase in phases]
    return late_ms + [float(INTERVAL_MS)] * seen.late_total
