"""The whole path over terminals: MicroPython firmware, agent, SQLite and HTTP, all of it real."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request

from rig import Cable, numbers, serial_device, wait_for


def cloud(receiver, **more):
    return {"enabled": True, "endpoint": receiver.url, "retry_max_seconds": 0.2, **more}


def test_every_reading_of_two_boards_arrives_once_and_in_order(boards, agents, receiver):
    plugged = [boards("north"), boards("south")]
    agent = agents(
        {
            "sensors": {"devices": [serial_device(b.folder.name, b.path) for b in plugged]},
            "cloud": cloud(receiver),
        }
    )
    began_ms = time.time() * 1000
    for board in plugged:
        board.start()
    agent.start()
    ledger = agent.wait_finished(2)
    ended_ms = time.time() * 1000
    assert agent.stop() == 0

    assert ledger.is_balanced
    assert ledger.total("sampled") == ledger.total("stored") >= 2 * 4 * 60
    assert (ledger.total("lost"), ledger.total("duplicates"), ledger.gaps) == (0, 0, 0)
    for boot, found in numbers(agent.db).items():
        assert found == list(range(len(found))), boot
    stats = receiver.store.stats()
    assert stats["unique"] == ledger.total("stored")

    connection = sqlite3.connect(agent.db)
    rows = connection.execute("SELECT utc_ms, error_ms, value, quality FROM reading").fetchall()
    names = {row[0] for row in connection.execute("SELECT sensor FROM readings")}
    memory = connection.execute(
        "SELECT min(value) FROM readings WHERE sensor = 'north.memory_available'"
    ).fetchone()[0]
    connection.close()
    assert names == {
        f"{board}.{channel}"
        for board in ("north", "south")
        for channel in ("temperature", "load_1m", "memory_available", "cpu_busy")
    }
    assert memory > 1000  # KiB of this very machine
    for utc_ms, error_ms, _, quality in rows:
        assert quality == 0
        assert error_ms is not None
        # The board can't have been started after it took a reading, nor we have ended before.
        assert began_ms - error_ms <= utc_ms <= ended_ms + error_ms


def test_firmware_killed_and_restarted(boards, agents, receiver):
    board = boards("north", sample_for_ms=2500)
    agent = agents(
        {
            "sensors": {"devices": [serial_device("north", board.path)]},
            "cloud": cloud(receiver),
        }
    )
    board.start()
    agent.start()
    wait_for(lambda: agent.db.exists() and agent.ledger().total("stored") > 20, "some readings")
    board.kill()
    board.start()
    ledger = wait_for(
        lambda: (
            (found := agent.ledger()).boots[-1].is_finished
            and not found.boots[-1].in_flight
            and not found.sinks[0].pending
            and found
        ),
        "the second boot",
    )
    assert agent.stop() == 0
    assert len(ledger.boots) == 2
    assert ledger.is_balanced
    # What the first boot had in its memory died with it, and is named as such.
    assert ledger.boots[0].stored > 20
    assert ledger.boots[1].stored == ledger.boots[1].sampled
    for boot, found in numbers(agent.db).items():
        assert found == list(range(len(found))), boot
    assert receiver.store.stats()["unique"] == ledger.total("stored")


def test_agent_killed_and_restarted_loses_and_doubles_nothing(boards, agents, receiver):
    board = boards("north", sample_for_ms=4000, interval_ms=20)
    agent = agents(
        {
            "sensors": {"devices": [serial_device("north", board.path)]},
            "cloud": cloud(receiver, batch_size=50),
        }
    )
    board.start()
    for stored in (50, 200, 350):
        agent.start()
        wait_for(
            lambda: agent.db.exists() and agent.ledger().total("stored") > stored,  # noqa: B023
            f"{stored} readings",
        )
        agent.kill()
    agent.start()
    ledger = agent.wait_finished()
    assert agent.stop() == 0
    assert ledger.is_balanced
    assert ledger.total("stored") == ledger.total("sampled") >= 4 * 190
    assert ledger.gaps == 0
    (found,) = numbers(agent.db).values()
    assert found == list(range(ledger.total("stored")))
    assert receiver.store.stats()["unique"] == ledger.total("stored")


def test_cable_pulled_and_plugged_in_again(boards, agents, receiver, tmp_path):
    board = boards("north", sample_for_ms=3000)
    board.start()
    cable = Cable(board.path, tmp_path / "usb")
    cable.plug()
    agent = agents(
        {
            "sensors": {"devices": [serial_device("north", cable.path)]},
            "cloud": cloud(receiver),
        }
    )
    agent.start()
    wait_for(lambda: agent.db.exists() and agent.ledger().total("stored") > 20, "some readings")
    cable.cut()
    wait_for(lambda: "went away" in agent.text(), "the agent's notice")
    cable.plug()
    ledger = agent.wait_finished()
    assert agent.stop() == 0
    cable.cut()
    assert ledger.is_balanced
    assert len(ledger.boots) == 1
    assert ledger.total("stored") == ledger.total("sampled")
    assert ledger.gaps == 0
    assert receiver.store.stats()["unique"] == ledger.total("stored")


def test_what_a_small_ring_overwrites_is_a_gap_and_nothing_else_is_missing(boards, agents):
    board = boards("north", sample_for_ms=3000, telemetry_capacity=64)
    board.start()
    # Nobody listens until the board has long overwritten what it took first.
    agent = agents({"sensors": {"devices": [serial_device("north", board.path)]}})
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > 1.5, "the ring to overflow")
    agent.start()
    ledger = agent.wait_finished()
    assert agent.stop() == 0
    assert ledger.is_balanced
    assert ledger.total("lost") > 0
    assert ledger.total("sampled") == ledger.total("stored") + ledger.total("lost")
    connection = sqlite3.connect(agent.db)
    gaps = connection.execute("SELECT first_seq, last_seq, cause FROM gaps ORDER BY id").fetchall()
    connection.close()
    (found,) = numbers(agent.db).values()
    missing = [seq for first, last, _ in gaps for seq in range(first, last + 1)]
    assert sorted(found + missing) == list(range(ledger.total("sampled")))
    assert {cause for _, _, cause in gaps} == {"overwritten"}
    assert "are missing" in agent.text()  # and the log says so


def test_a_dirty_line_costs_nothing_but_time(boards, agents, tmp_path):
    board = boards("north", sample_for_ms=3000)
    board.start()
    cable = Cable(board.path, tmp_path / "usb")
    count = [0]

    def damage(data):
        count[0] += 1
        if count[0] % 7 == 3:
            return data[: len(data) // 2] + b"Traceback (most recent call last):\n" + data[-5:]
        if count[0] % 7 == 5:
            return bytes(byte ^ 0x10 for byte in data[:3]) + data[3:]
        return data

    cable.towards_host = damage
    cable.plug()
    agent = agents({"sensors": {"devices": [serial_device("north", cable.path)]}})
    agent.start()
    ledger = agent.wait_finished()
    assert agent.stop() == 0
    cable.cut()
    assert ledger.is_balanced
    assert ledger.total("stored") == ledger.total("sampled")
    (found,) = numbers(agent.db).values()
    assert found == list(range(len(found)))


def test_health_of_a_running_agent_and_its_log_lines(boards, agents):
    board = boards("north", sample_for_ms=1000)
    board.start()
    agent = agents({"sensors": {"devices": [serial_device("north", board.path)]}})
    agent.start()
    agent.wait_finished()
    url = re.search(r"http://127\.0\.0\.1:\d+/health", agent.text()).group()
    with urllib.request.urlopen(url, timeout=10) as reply:
        report = json.load(reply)
    assert report["status"] == "healthy"
    assert report["links"][0]["state"] == "up"
    assert report["links"][0]["device"] == "north"
    assert report["ingest"] == {
        "adapters_connected": 1,
        "devices_configured": 1,
        "sampled_total": agent.ledger().total("sampled"),
    }
    assert agent.stop() == 0
    assert {line["level"] for line in agent.records()} == {"INFO"}


def test_a_board_that_reports_a_bad_setting_is_heard(boards, agents):
    board = boards("north", telemetry_capacity=1)
    board.start()
    agent = agents({"sensors": {"devices": [serial_device("north", board.path)]}})
    agent.start()
    wait_for(lambda: "telemetry_capacity: 1 is not" in agent.text(), "the board's own words")
    assert "Traceback" not in agent.text()
    assert agent.stop() == 0


def test_second_agent_on_a_store_is_refused_in_one_line(boards, agents):
    agent = agents({"sensors": {"devices": []}})
    agent.start()
    second = subprocess.run(
        [sys.executable, "-m", "pyv_edge_agent", "--config", str(agent.config)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 3
    (line,) = second.stderr.splitlines()
    assert line.startswith(str(agent.db))
    assert line.endswith("is in use by another agent; stop it or change storage.path")
    assert agent.stop() == 0


def test_signal_at_any_moment_of_the_start_ends_it_cleanly(tmp_path):
    config = tmp_path / "many.json"
    devices = [serial_device(f"d{n}", f"/dev/nowhere{n}") for n in range(60)]
    config.write_text(json.dumps({"health": {"port": 0}, "sensors": {"devices": devices}}))
    for after in ("health is served", "EdgeAgent started"):
        agent = subprocess.Popen(
            [sys.executable, "-u", "-m", "pyv_edge_agent", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while after not in agent.stdout.readline():  # its threads are being started now
            assert agent.poll() is None
        agent.send_signal(signal.SIGTERM)
        _, errors = agent.communicate(timeout=60)
        assert (agent.returncode, errors) == (0, ""), after


def test_second_agent_on_a_port_says_who_has_it_and_takes_over(boards, agents):
    board = boards("north", sample_for_ms=3000)
    board.start()
    devices = {"sensors": {"devices": [serial_device("north", board.path)]}}
    first, second = agents(devices), agents(devices)
    first.start()
    wait_for(lambda: first.db.exists() and first.ledger().total("stored"), "some readings")
    second.start()
    wait_for(lambda: "in use by another program" in second.text(), "the second's complaint")
    assert first.stop() == 0
    second.wait_finished()
    assert second.stop() == 0
    # The second has a store of its own: it is told what the first one has.
    ledger = second.ledger()
    assert ledger.is_balanced
    stored = first.ledger().total("stored") + ledger.total("stored")
    assert stored == ledger.total("sampled")
    connection = sqlite3.connect(second.db)
    causes = {row[0] for row in connection.execute("SELECT cause FROM gaps")}
    connection.close()
    assert causes == {"released"}
