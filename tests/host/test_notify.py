"""What a service manager is told, and by a real agent in which order."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from host.conftest import SIMULATED
from host.fakes import MONOTONIC_MS, FakeClock
from host.notified import Manager
from host.waiting import wait_for
from pyv_edge_agent.notify import Notifier
from pyv_edge_agent.store import SQLiteStore


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_each_message_is_one_datagram_of_lines(tmp_path, kind):
    name = tmp_path / "notify" if kind == "path" else f"@pyv-test-{os.getpid()}"
    manager = Manager(name)
    notifier = Notifier(manager.address, FakeClock())
    notifier.extend(60_000, "starting")
    notifier.ready("4 devices")
    notifier.feed("all\nis   well")
    notifier.reloading()
    notifier.status("two\nlines")
    notifier.stopping()
    manager.receive()
    manager.close()
    assert manager.messages == [
        ["EXTEND_TIMEOUT_USEC=60000000", "STATUS=starting"],
        ["READY=1", "STATUS=4 devices"],
        ["WATCHDOG=1", "STATUS=all is well"],
        ["RELOADING=1", f"MONOTONIC_USEC={(MONOTONIC_MS + 1) * 1000}"],
        ["STATUS=two lines"],
        ["STOPPING=1", "STATUS=stopping"],
    ]


@pytest.mark.parametrize(
    ("environment", "watchdog_ms"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "60000000"}, 60_000),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 60_000),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, 0),  # of another process
        ({"WATCHDOG_USEC": "soon"}, 0),
    ],
)
def test_environment_says_whether_the_manager_wants_to_be_fed(environment, watchdog_ms):
    assert Notifier.from_environment(environment, 7, FakeClock()).watchdog_ms == watchdog_ms


def test_without_a_manager_nothing_is_sent_and_nothing_fails(log):
    notifier = Notifier.from_environment({}, 7, FakeClock())
    notifier.ready("4 devices")
    notifier.stopping()
    assert notifier.failures_total == 0
    assert log.lines() == []


def test_manager_that_is_gone_is_logged_once_and_counted(tmp_path, log):
    notifier = Notifier(str(tmp_path / "notify"), FakeClock())
    notifier.feed("well")
    notifier.feed("well")
    assert notifier.failures_total == 2
    (line,) = log.warnings()
    assert line.startswith("can't tell the service manager how the agent is:")
    manager = Manager(tmp_path / "notify")
    notifier.feed("well")
    assert manager.count("WATCHDOG=1") == 1
    manager.close()
    assert log.warnings()[1:] == ["the service manager listens again"]


# -- the agent as a process --------------------------------------------------------


@pytest.fixture
def spawn(manager):
    """Return a function that runs an agent under the manager; what is left is killed."""
    spawned = []

    def run(config, **environment):
        process = subprocess.Popen(
            [sys.executable, "-m", "pyv_edge_agent", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=manager.environment(PYTHONUNBUFFERED="1", **environment),
        )
        spawned.append(process)
        return process

    yield run
    for process in spawned:
        process.kill()
        process.communicate()


def test_agent_says_that_it_is_ready_feeds_and_says_that_it_stops(spawn, manager, write_config):
    process = spawn(write_config(), WATCHDOG_USEC="400000")
    wait_for(lambda: manager.count("WATCHDOG=1") >= 3, "three feeds", 30)
    assert manager.last("STATUS") == "1 devices, 1 readings"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    manager.receive()
    order = [lines[0] for lines in manager.messages if not lines[0].startswith("EXTEND")]
    assert order[0] == "READY=1"
    assert set(order[1:-1]) == {"WATCHDOG=1"}
    assert order[-1] == "STOPPING=1"
    assert "EdgeAgent stopped" in out


def test_agent_that_can_not_start_is_never_ready(spawn, manager, write_config):
    process = spawn(write_config(health={"port": "eighty"}))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "health.port" in err
    assert not [line for line in manager.receive() if not line.startswith(("EXTEND", "STATUS"))]


@pytest.fixture
def held(tmp_path):
    """Return another program's connection that a start waits for, some seconds at most."""
    SQLiteStore(tmp_path / "edge.db").close()
    other = sqlite3.connect(tmp_path / "edge.db", isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    yield other
    other.close()


def test_long_start_is_given_time_and_ends_promptly_with_a_signal(
    spawn, manager, write_config, held
):
    process = spawn(write_config())
    wait_for(lambda: manager.count("EXTEND_TIMEOUT_USEC=60000000") >= 2, "time asked for", 30)
    assert manager.last("STATUS").startswith("starting, for ")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "received SIGTERM in the middle of the start" in out
    assert manager.last("STOPPING") == "1"
    assert manager.last("READY") is None


def test_abort_tells_where_each_thread_stands(spawn, manager, write_config):
    process = spawn(write_config(), WATCHDOG_USEC="400000")
    # All of it is idle then: frames that change can't be told.
    wait_for(lambda: manager.last("STATUS") == "1 devices, 1 readings", "the first cycle", 30)
    process.send_signal(signal.SIGABRT)  # as a manager does that isn't fed
    _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGABRT
    assert "in run_loop" in err
    assert "in run_agent" in err


# -- SIGHUP --------------------------------------------------------------------------


def messages(process):
    """End a process in order; return what it has logged."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return [json.loads(line)["message"] for line in out.splitlines()]


def test_hang_up_reloads_and_tells_the_manager_so(spawn, manager, write_config):
    process = spawn(write_config())
    wait_for(lambda: manager.count("READY=1") == 1, "the start", 30)
    write_config([SIMULATED, {**SIMULATED, "name": "t2"}])
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: manager.count("READY=1") == 2, "the reload", 30)
    assert manager.last("STATUS").startswith("2 devices, ")
    order = [lines[0] for lines in manager.messages if not lines[0].startswith("EXTEND")]
    order = [line for line in order if line != "WATCHDOG=1"]
    assert order == ["READY=1", "RELOADING=1", "READY=1"]
    assert "another configuration holds: sensors.devices[t2]" in messages(process)


def test_configuration_with_faults_is_told_line_by_line_and_the_old_one_holds(
    spawn, manager, write_config
):
    process = spawn(write_config())
    wait_for(lambda: manager.count("READY=1") == 1, "the start", 30)
    path = write_config(health={"port": "eighty"}, logging={"level": "LOUD"})
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: manager.count("READY=1") == 2, "the reload", 30)
    told = [line for line in messages(process) if line.startswith("not reloaded: ")]
    assert [line.split(": ")[1:3] for line in told] == [
        [f"{path}:1", "health.port"],
        [f"{path}:1", "logging.level"],
    ]


def test_hang_up_during_the_start_is_not_lost(spawn, manager, write_config, held):
    process = spawn(write_config())
    wait_for(lambda: manager.count("EXTEND_TIMEOUT_USEC=60000000"), "time asked for", 30)
    write_config([SIMULATED, {**SIMULATED, "name": "t2"}])
    process.send_signal(signal.SIGHUP)
    held.close()
    wait_for(lambda: manager.count("RELOADING=1") and manager.count("READY=1") == 2, "both", 30)
    assert manager.last("STATUS").startswith("2 devices, ")
    assert "another configuration holds: sensors.devices[t2]" in messages(process)


def test_hang_up_before_anything_is_read_does_not_end_it(spawn, manager, write_config):
    path = write_config()
    process = spawn(path)
    # From its first lines on; Python's own start is nobody's.
    wait_for(lambda: ignores(process.pid, signal.SIGHUP), "its first lines")
    write_config([SIMULATED, {**SIMULATED, "name": "t2"}])
    for _ in range(20):
        process.send_signal(signal.SIGHUP)
    wait_for(lambda: (manager.last("STATUS") or "").startswith("2 devices, "), "the start", 30)
    messages(process)


def ignores(pid, number):
    """Return whether a process ignores a signal, or has a handler for it."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = [line.split()[1] for line in status.splitlines() if line[:7] in ("SigIgn:", "SigCgt:")]
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)
