"""A site on which the commands of the documents are run, and the shell that runs them.

It has what the documents speak of: a board called greenhouse, other devices with an hour of
readings, an event, things that wait, dead letters. What names a port, a path or a day of
somebody else's is replaced by what is so here; a command is otherwise run as it stands.
"""

import os
import re
import signal
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

from host.processes import free_port
from host.waiting import wait_for
from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.store import (
    BootInfo,
    ChannelInfo,
    SQLiteStore,
    Upkeep,
    WriteBatch,
    verify,
)
from rig import AgentProcess, Receiver, make_board, serial_device

DEADLINE_S = 60
# They go on until they are told to stop.
ENDLESS = ("pyv-edge-host tail", "pyv-edge-host receive", "curl -N")
# What a command may end with beside 0: what it finds wrong here is not the document's affair.
STATUSES = {"pyv-edge-host doctor": (0, 1)}
# What may have nothing to tell: no clock was set here.
SILENT = ('sqlite3 data/edge_store.db "SELECT * FROM clock_steps"',)
SPECIAL = (*ENDLESS, *STATUSES, *SILENT)
# device: its channel, and a value
RECORDED = {"hall": ("co2", 600), "porch": ("temp", 11), "north": ("temp", 9), "freezer": ("t", 5)}
RECORDED_COUNT = 60
LOST_COUNT = 3
MINUTE_MS = 60_000
STEPS_MAX = 10_000
LETTERS = 20


class Shell:
    """Runs commands in a folder, as a reader would type them."""

    def __init__(self, folder):
        self.folder = folder
        self.instead = {}  # what is so here, by what the documents say
        changing = ("PYV_EDGE_CONFIG", "PYTHONUNBUFFERED")
        kept = {name: value for name, value in os.environ.items() if name not in changing}
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {**kept, "PATH": programs, "HOME": str(folder), "NO_PROXY": "*"}

    def problem(self, typed):
        """Run a command; return what is wrong with what it did, or an empty text."""
        command = typed.split(" #")[0].strip()
        for shown, real in self.instead.items():
            command = command.replace(shown, real)
        written = re.search(r"(?:> |--output )([\w./~-]+)", command)
        if typed.startswith(ENDLESS):
            status, told = self._endless(command)
            expected = (0, 130, -signal.SIGINT)
        else:
            done = subprocess.run(
                ["sh", "-c", command],
                capture_output=True,
                text=True,
                timeout=DEADLINE_S,
                **self._options(),
            )
            status, told = done.returncode, done.stdout + (done.stderr if done.returncode else "")
            expected = next((STATUSES[one] for one in STATUSES if typed.startswith(one)), (0,))
        if written is not None:
            path = self.folder / written[1].replace("~/", "")
            told += path.read_bytes().decode(errors="replace") if path.exists() else ""
        if status not in expected:
            return f"{typed}\n  as {command}\n  ended with {status}: {told[-600:]}"
        if not told.strip() and not typed.startswith(SILENT):
            return f"{typed}\n  as {command}\n  has told nothing"
        return ""

    def _options(self):
        return {"cwd": self.folder, "env": self.environment, "stdin": subprocess.DEVNULL}

    def _endless(self, command):
        """Run a command until it has told something; return its status and what it told."""
        log = self.folder / "endless.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["sh", "-c", f"exec {command}"],
                stdout=file,
                stderr=file,
                # A shell's background job would not hear of Ctrl-C.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
                **self._options(),
            )
        try:
            wait_for(lambda: log.stat().st_size or process.poll() is not None, command, DEADLINE_S)
            process.send_signal(signal.SIGINT)
            return process.wait(DEADLINE_S), log.read_text()
        finally:
            process.kill()
            process.wait()


def recorded(store, name, now_ms):
    """Store an hour of readings of a device, after some that were lost."""
    channel, value = RECORDED[name]
    channels = (ChannelInfo(channel, f"{name}.{channel}", "", 0),)
    begin_ms = now_ms - (RECORDED_COUNT + 5) * MINUTE_MS
    boot = store.open_boot(
        BootInfo(name, name, 0x4FBDCCE1, "rp2", "1.0", "power", channels), begin_ms
    )
    batch = WriteBatch()
    progress = batch.stream(boot.boot_id, 0, 0)
    progress.move(lost=LOST_COUNT)
    batch.gaps.append((boot.boot_id, 0, 0, LOST_COUNT - 1, "overwritten", begin_ms, 0))
    for minute in range(RECORDED_COUNT):
        batch.readings.append(
            (
                *(boot.channel_ids[0], boot.boot_id, 0, LOST_COUNT + minute),
                *(begin_ms + minute * MINUTE_MS, 2, 0, value + minute % 7),
            )
        )
    progress.move(stored=RECORDED_COUNT)
    store.commit(batch)


def prepare_store(folder):
    """Make a store of before: readings and their summaries, other sinks, dead letters."""
    (folder / "data").mkdir()
    clock = SystemClock()
    with closing(SQLiteStore(folder / "data" / "edge_store.db", clock)) as store:
        for name in ("mqtt", "influxdb", "http"):
            store.sinks.register(name)
        for name in RECORDED:
            recorded(store, name, clock.utc_ms())
        upkeep = Upkeep(store)
        steps = 0
        while upkeep.step(clock.utc_ms(), is_time_right=True):
            steps += 1
            assert steps < STEPS_MAX, "upkeep does not come to an end"
        letters = [(f"item {number}", "{}", "422") for number in range(LETTERS)]
        with store.transaction() as tx:
            store.dead_letters.write(tx, "http", "item", 2, letters)


def files_of(folder):
    """Make the files and folders that the commands name."""
    for name in ("usb", ".zfunc"):
        (folder / name).mkdir()
    (folder / ".curlrc").write_text("fail\n")  # else it ends well with any answer
    (folder / "new.toml").write_text('[[rules]]\nname = "warm"\nabove = 1.0\n')


def instead_of(agent):
    """Return what stands here for each thing that the documents name."""
    now = datetime.now(timezone.utc)
    before, after = (f"{now + timedelta(days=days):%Y-%m-%d}" for days in (-1, 2))
    port = re.search(r"health is served at http://127\.0\.0\.1:(\d+)/", agent.text())[1]
    verdict = verify(agent.db)
    return {
        "127.0.0.1:8080": f"127.0.0.1:{port}",
        "--port 9000": f"--port {free_port()}",
        "/media/usb": "usb",
        "/etc/bash_completion.d/": "",
        "2026-05-28T06:00Z": f"{before}T06:00Z",
        "2026-05-28T18:00Z": f"{after}T18:00Z",
        "2026-05-01 2026-05-08": f"{before} {after}",
        "--quality bad": "--quality good",  # nothing bad comes here
        "dlq drop 17": "dlq drop 16",  # 17 was sent again
        "64:0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8": (
            f"{verdict.audit_rows}:{verdict.head}"
        ),
    }


@contextmanager
def site(folder):
    """Run the site while the block lasts; give its shell."""
    folder.mkdir()
    files_of(folder)
    prepare_store(folder)
    board = make_board(
        folder,
        "greenhouse",
        sample_for_ms=0,
        sensors=[
            {"type": "simulated", "channel": name, "interval_ms": 500}
            for name in ("temp", "temperature")
        ],
    )
    receiver = Receiver(folder)
    settings = {
        "sensors": {"devices": [serial_device("greenhouse", board.path)]},
        "rules": [{"name": "warm", "sensor": "greenhouse.temp", "above": -100.0}],
        "cloud": {"enabled": True, "endpoint": receiver.url},
    }
    agent = AgentProcess(folder, settings)
    agent.config.rename(folder / "edge.json")
    agent.config = folder / "edge.json"
    shell = Shell(folder)
    shell.environment["PYV_EDGE_CONFIG"] = "edge.json"
    try:
        board.start()
        agent.start()
        wait_for(lambda: is_ready(agent), "readings of all devices, and an event", DEADLINE_S)
        shell.instead = instead_of(agent)
        yield shell
        assert agent.stop() == 0
    finally:
        if agent.process is not None and agent.process.poll() is None:
            agent.kill()
        board.kill()
        receiver.close()


def is_ready(agent):
    """Return whether something of each channel of the board is stored, and an event."""
    ledger = agent.ledger()
    return ledger.events and ledger.total("stored") >= RECORDED_COUNT * len(RECORDED) + 2
