"""The demo: boards, agent and cloud on this computer, each a process as a user would run it.

    K virtual boards --ptys--> agent --HTTP--> receiver

Boards sample for a while, then only deliver; when all of it has arrived the
agent is stopped and the ledger is read from its store. What is printed comes
from the store, from the receiver and from /health, never from the demo itself.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import psutil

from .virtual_board import VirtualBoard, interpreter_command, interpreter_name

START_TIMEOUT_S = 20.0
DRAIN_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
CHANNELS_PER_BOARD = 4
_URL = re.compile(r"http://[0-9.]+:\d+")


class DemoError(RuntimeError):
    """A part of the demo did not come up; the text says which and why."""


@dataclass
class Parts:
    """What runs, and what is known of it."""

    folder: Path
    boards: list[VirtualBoard] = field(default_factory=list)
    agent: Any = None
    agent_lines: Any = None
    receiver_url: str = ""
    health_url: str = ""
    backlog_max: int = 0  # most readings that waited for upload at once
    cpu_s: float = 0.0  # of the agent


class _Lines(threading.Thread):
    """Reads a process's output, so that it never waits for us, and keeps what matters."""

    def __init__(self, stream: TextIO, log: Path) -> None:
        super().__init__(daemon=True)
        self.health_url = ""
        self.warnings: list[str] = []
        self._stream = stream
        self._log = log

    def run(self) -> None:
        with self._log.open("w") as log:
            for text in self._stream:
                log.write(text)
                try:
                    line = json.loads(text)
                except ValueError:
                    continue
                if "health_url" in line:
                    self.health_url = line["health_url"]
                if line.get("level") in ("WARNING", "ERROR") and len(self.warnings) < 20:
                    self.warnings.append(line["message"])


def board_settings(name: str, rate_hz: float, seconds: int, seed: int) -> dict[str, Any]:
    """Return device.json of a board whose four channels make `rate_hz` readings a second."""
    interval_ms = max(1, round(1000 * CHANNELS_PER_BOARD / rate_hz))
    return {
        "device_id": name,
        "vitals_interval_ms": 1000,
        "sample_for_ms": seconds * 1000,
        "sensors": [
            {
                "type": "simulated",
                "channel": "temperature",
                "interval_ms": interval_ms,
                "low": 1800,
                "high": 3200,
                "period_s": 4,
                "seed": seed,
            },
            {"type": "procfs", "interval_ms": interval_ms},
        ],
    }


def agent_settings(parts: Parts, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the agent's configuration: the user's, with our devices, cloud and store."""
    merged = {key: dict(value) for key, value in settings.items() if isinstance(value, dict)}
    merged.setdefault("sensors", {})["devices"] = [
        {"name": board.folder.name, "ingest_type": "serial", "port": str(board.path)}
        for board in parts.boards
    ]
    merged.setdefault("cloud", {}).update(
        enabled=True, endpoint=f"{parts.receiver_url}/v1/ingest", api_key=""
    )
    merged.setdefault("health", {}).update(enabled=True, host="127.0.0.1", port=0)
    merged.setdefault("logging", {}).update(format="json", level="INFO")
    merged.setdefault("time", {})["upload_wait_seconds"] = 0  # it is over by then
    merged.setdefault("storage", {})["path"] = str(parts.folder / "edge_store.db")
    rules = settings.get("rules") or [
        {"name": "hot", "sensor": "*.temperature", "above": 30.0, "severity": "warning"}
    ]
    return {**merged, "rules": rules}


def _command(*args: str) -> list[str]:
    return [sys.executable, "-m", "pyv_edge_agent.cli", *args]


def _get(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310 - our own address
        found: dict[str, Any] = json.load(reply)
        return found


def _stop(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start_receiver(parts: Parts, stack: ExitStack) -> None:
    receiver = subprocess.Popen(
        _command("receive", "--port", "0", "--db", str(parts.folder / "received.db")),
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.callback(_stop, receiver)
    assert receiver.stdout is not None
    line = receiver.stdout.readline()
    found = _URL.search(line)
    if found is None:
        raise DemoError(f"the receiver did not start: {line.strip() or 'see above'}")
    parts.receiver_url = found.group()


def _start_agent(parts: Parts, settings: dict[str, Any], stack: ExitStack) -> None:
    config = parts.folder / "agent.json"
    config.write_text(json.dumps(agent_settings(parts, settings)))
    parts.agent = subprocess.Popen(
        _command("run", "--config", str(config)), stdout=subprocess.PIPE, text=True
    )
    stack.callback(_stop, parts.agent)
    parts.agent_lines = _Lines(parts.agent.stdout, parts.folder / "agent.log")
    parts.agent_lines.start()
    deadline = time.monotonic() + START_TIMEOUT_S
    while not parts.agent_lines.health_url:
        if parts.agent.poll() is not None or time.monotonic() > deadline:
            raise DemoError("the agent did not start, see above")
        time.sleep(0.02)
    parts.health_url = parts.agent_lines.health_url


def _ledger(parts: Parts) -> dict[str, Any]:
    done = subprocess.run(
        _command("ledger", "--json", "--db", str(parts.folder / "edge_store.db")),
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout:
        raise DemoError(f"no ledger: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _watch(parts: Parts, seconds: int, out: TextIO) -> None:
    """Show a line a second while the boards sample."""
    start_s = time.monotonic()
    shown = 0
    while shown < seconds:
        shown += 1
        time.sleep(max(0.0, start_s + shown - time.monotonic()))
        if parts.agent.poll() is not None:
            raise DemoError("the agent ended, see above")
        try:
            health = _get(parts.health_url)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise DemoError(f"{parts.health_url} does not answer: {error}") from error
        depth = health["cloud"]["queue_depth"]
        parts.backlog_max = max(parts.backlog_max, depth)
        parts.cpu_s = sum(psutil.Process(parts.agent.pid).cpu_times()[:2])
        print(
            f"{shown:4d} s  sampled {health['ingest']['sampled_total']:7d}"
            f"  stored {health['agent']['readings_processed']:7d}"
            f"  uploaded {health['cloud']['readings_delivered_total']:7d}  waiting {depth:5d}"
            f"  above limit {health['agent']['events_triggered']:5d}",
            file=out,
            flush=True,
        )


def _drain(parts: Parts, boards: int) -> None:
    """Wait until all that was sampled is in the store and in the cloud."""
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    while time.monotonic() < deadline:
        ledger = _ledger(parts)
        pending = sum(sink["pending"] for sink in ledger["sinks"])
        if _finished(ledger) == boards and not (
            ledger["in_flight"] or pending or ledger["queued_items"]
        ):
            return
        time.sleep(0.1)


def _finished(ledger: dict[str, Any]) -> int:
    """Return how many boards sample no more."""
    readings = [boot for boot in ledger["boots"] if boot["stream"] == "telemetry"]
    return sum(boot["is_finished"] for boot in readings)


def run(
    *, seconds: int, boards: int, rate_hz: float, settings: dict[str, Any], is_json: bool
) -> int:
    """Run the demo; return 0 if something was uploaded and the ledger balances."""
    out = sys.stderr if is_json else sys.stdout
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.default_int_handler)  # as Ctrl-C: nothing is left running
    folder = Path(tempfile.mkdtemp(prefix="pyv-demo-"))
    parts = Parts(folder)
    try:
        with ExitStack() as stack:
            result = _run(parts, stack, seconds, boards, rate_hz, settings, out)
    except (DemoError, FileNotFoundError) as error:
        print(f"demo: {error}; its files are in {folder}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        print("demo: stopped", file=sys.stderr)
        return 1
    is_good = bool(result["uploaded"] and result["conserved"])
    if not result["uploaded"]:
        print("demo: nothing was uploaded; does the privacy policy drop it all?", file=sys.stderr)
    if is_good:
        shutil.rmtree(folder)
    else:
        print(f"demo: the store and the agent's log are in {folder}", file=sys.stderr)
    if is_json:
        print(json.dumps(result))
    return 0 if is_good else 1


def _run(
    parts: Parts,
    stack: ExitStack,
    seconds: int,
    boards: int,
    rate_hz: float,
    settings: dict[str, Any],
    out: TextIO,
) -> dict[str, Any]:
    command = interpreter_command()
    interpreter = interpreter_name(command)
    if not interpreter.startswith("micropython"):
        print("no MicroPython on this computer: the same firmware runs under CPython", file=out)
    _start_receiver(parts, stack)
    for index in range(boards):
        name = f"board-{index + 1}"
        board = VirtualBoard(
            parts.folder / name, board_settings(name, rate_hz, seconds, index + 1), command
        )
        parts.boards.append(board)
        stack.callback(board.kill)
        board.start()
    _start_agent(parts, settings, stack)
    print(f"{boards} boards run {interpreter}; look at {parts.health_url}", file=out, flush=True)
    _watch(parts, seconds, out)
    _drain(parts, boards)
    parts.cpu_s = sum(psutil.Process(parts.agent.pid).cpu_times()[:2])
    _stop(parts.agent)
    ledger = _ledger(parts)
    received = _get(f"{parts.receiver_url}/stats")
    uploaded = sum(sink["acknowledged"] for sink in ledger["sinks"])
    result = {
        "interpreter": interpreter,
        "boards": boards,
        "seconds": seconds,
        "rate_hz": rate_hz,
        **{
            name: ledger[name]
            for name in (
                *("sampled", "stored", "duplicates", "gaps", "denied", "aggregated", "lost"),
                *("in_flight", "withheld"),
            )
        },
        "uploaded": uploaded,
        "received_unique": received["unique"],
        "received_duplicates": received["duplicates_total"],
        "events": ledger["events"],
        "conserved": bool(
            ledger["balanced"]
            and _finished(ledger) == boards
            and not ledger["in_flight"]
            and not ledger["reset"]
            and ledger["stored"] == uploaded + ledger["withheld"]
            and uploaded == received["unique"]
        ),
        "backlog_max": parts.backlog_max,
        "agent_cpu_percent": round(100 * parts.cpu_s / seconds, 1),
    }
    _show(parts, ledger, result, out)
    return result


def _show(parts: Parts, ledger: dict[str, Any], result: dict[str, Any], out: TextIO) -> None:
    for warning in parts.agent_lines.warnings:
        print(f"agent: {warning}", file=out)
    print(f"\n{'device':<12} {'boot':<9}", end="", file=out)
    names = ("sampled", "stored", "denied", "aggregated", "lost", "in_flight")
    print("".join(f"{name:>11}" for name in names), file=out)
    for boot in ledger["boots"]:
        figures = "".join(f"{boot[name]:>11}" for name in names)
        remark = "" if boot["stream"] == "telemetry" else f"  ({boot['stream']})"
        print(f"{boot['device']:<12} {boot['boot']:<9}{figures}{remark}", file=out)
    print(
        f"\nsampled {result['sampled']} = stored {result['stored']} + denied {result['denied']}"
        f" + aggregated {result['aggregated']} + lost {result['lost']}"
        f" + in flight {result['in_flight']}\n"
        f"stored {result['stored']} = uploaded {result['uploaded']}"
        f" + withheld {result['withheld']};"
        f" received {result['received_unique']} different readings;"
        f" {result['events']} events, {result['gaps']} gaps, {result['duplicates']} duplicates;"
        f" agent used {result['agent_cpu_percent']} % of a core\n"
        f"every reading is accounted for: {'yes' if result['conserved'] else 'NO'}",
        file=out,
        flush=True,
    )
