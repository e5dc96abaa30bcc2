"""Boards that are reset while the agent is away: what is on their flash is stored once, and dated.

Real firmware on its files, a real agent. What is on the flash when a board is
killed is read by the format alone; all of it must be in SQLite afterwards.
"""

import json
import os
import signal
import sqlite3
import time
from contextlib import suppress

from pyv_edge_tools.flash.hello import Listener
from rig import Cable, numbers, serial_device, wait_for
from simulation.spilled import parse

SPILL = {"size_kb": 64, "pages_per_day": 17_280, "after_s": 5}  # a page every five seconds
CAPACITY = (
    768  # readings in memory: more than come in five seconds, less than the flash is to hold
)
ENOUGH = 1100


def boot_numbers(board):
    """Return the telemetry numbers on a board's flash, by boot in hex."""
    found = {}
    folder = board.folder / "flash" / "spill"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            page = None if path.name.startswith("t") else parse(path.read_bytes())
        except FileNotFoundError:  # the board has just removed it
            continue
        if page is not None:
            boot, ranges = page
            numbers_of = found.setdefault(f"{boot:08x}", set())
            for first, end in ranges[0]:
                numbers_of.update(range(first, end))
    return found


def wait_for_pages(board, boot_count=1):
    """Wait until the latest boot has so much on the flash; return what each has."""

    def look():
        found = boot_numbers(board)
        return found if len(found) >= boot_count and any_enough(found) else None

    def any_enough(found):
        return min(len(numbers_of) for numbers_of in found.values()) >= ENOUGH / 4 and (
            max(len(numbers_of) for numbers_of in found.values()) >= ENOUGH
        )

    return wait_for(look, f"{ENOUGH} readings on the flash")


def wait_for_delivery(agent, expected, later=1):
    """Wait until all of `expected` is stored, and something of boots behind it."""

    def look():
        if not agent.db.exists():
            return None
        try:
            stored = numbers(agent.db)
        except sqlite3.OperationalError:  # the agent is making the file
            return None
        is_there = all(found <= set(stored.get(boot, ())) for boot, found in expected.items())
        return stored if is_there and len(stored) >= len(expected) + later else None

    return wait_for(look, "what was on the flash")


def times(agent, boot):
    """Return (time quality, UTC, error) of a boot's readings, in their order."""
    with sqlite3.connect(agent.db) as connection:
        return connection.execute(
            "SELECT readings.time_quality, utc_ms, time_error_ms"
            " FROM readings JOIN reading USING (id) WHERE boot = ? ORDER BY readings.id",
            (boot,),
        ).fetchall()


def check(agent, board, stored):
    """See that all is stored once and in order, that it adds up, and the flash is empty."""
    ledger = agent.ledger()
    assert ledger.is_balanced
    assert ledger.total("duplicates") == 0
    for boot, found in stored.items():
        assert found == sorted(set(found)), boot
    wait_for(lambda: not boot_numbers(board), "an empty flash")


def make(boards, name, **settings):
    return boards(name, sample_for_ms=0, telemetry_capacity=CAPACITY, spill=SPILL, **settings)


def agent_of(agents, *found):
    return agents({"sensors": {"devices": [serial_device(*one) for one in found]}})


def test_a_board_that_no_agent_knew_is_killed(boards, agents):
    board = make(boards, "north")
    board.start()
    wait_for_pages(board)
    board.kill()
    ended_ms = time.time() * 1000
    saved = boot_numbers(board)
    (boot,) = saved
    assert saved[boot] == set(range(len(saved[boot])))  # far more than the memory holds
    board.start()
    agent = agent_of(agents, ("north", board.path))
    agent.start()
    stored = wait_for_delivery(agent, saved)
    assert set(stored[boot]) == saved[boot]
    check(agent, board, stored)
    rows = times(agent, boot)
    assert {row[0] for row in rows} == {"estimated"}
    assert all(utc_ms - error_ms <= ended_ms for _, utc_ms, error_ms in rows)
    assert max(row[1] for row in rows) <= time.time() * 1000
    assert agent.stop() == 0


def test_an_agent_that_knew_the_boot_dates_it_as_if_nothing_had_happened(boards, agents, tmp_path):
    board = make(boards, "north")
    began_ms = time.time() * 1000
    board.start()
    cable = Cable(board.path, tmp_path / "port")
    cable.plug()
    agent = agent_of(agents, ("north", cable.path))
    agent.start()
    wait_for(lambda: agent.db.exists() and agent.ledger().total("stored") > 50, "readings")
    cable.cut()
    wait_for_pages(board)
    board.kill()
    ended_ms = time.time() * 1000
    saved = boot_numbers(board)
    (boot,) = saved
    board.start()
    cable = Cable(board.path, tmp_path / "port")
    cable.plug()
    stored = wait_for_delivery(agent, saved)
    assert stored[boot] == list(range(max(saved[boot]) + 1))  # and what it had before
    check(agent, board, stored)
    rows = times(agent, boot)
    assert {row[0] for row in rows} == {"good"}
    for _, utc_ms, error_ms in rows:
        assert began_ms - error_ms <= utc_ms <= ended_ms + error_ms
    assert agent.stop() == 0
    cable.cut()


def test_what_is_in_memory_outlives_a_reset_that_is_meant(boards, agents):
    spill = {**SPILL, "after_s": 600}  # by itself it would write nothing for long
    board = boards("north", sample_for_ms=0, telemetry_capacity=2048, spill=spill)
    board.start()
    listener = Listener()
    line = os.open(board.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def sampled():
        with suppress(BlockingIOError):
            listener.take(os.read(line, 4096))
        return listener.hello is not None and listener.hello.telemetry_next

    wait_for(lambda: sampled() > 300, "readings in memory")
    count = sampled()
    assert boot_numbers(board) == {}
    os.killpg(board._process.pid, signal.SIGINT)  # as Ctrl-C, and so an update, does

    def is_saved():
        sampled()
        return any(len(found) >= count for found in boot_numbers(board).values())

    wait_for(is_saved, "what was in memory on the flash")
    os.close(line)
    board.kill()
    saved = boot_numbers(board)
    (boot,) = saved
    assert saved[boot] == set(range(len(saved[boot])))
    board.start()
    agent = agent_of(agents, ("north", board.path))
    agent.start()
    stored = wait_for_delivery(agent, saved)
    assert set(stored[boot]) == saved[boot]
    check(agent, board, stored)
    assert agent.stop() == 0


def test_an_agent_that_was_restarted_dates_it_within_a_bound(boards, agents):
    board = make(boards, "north")
    board.start()
    agent = agent_of(agents, ("north", board.path))
    agent.start()
    wait_for(lambda: agent.db.exists() and agent.ledger().total("stored") > 50, "readings")
    agent.kill()
    left_ms = time.time() * 1000
    wait_for_pages(board)
    board.kill()
    ended_ms = time.time() * 1000
    saved = boot_numbers(board)
    (boot,) = saved
    board.start()
    agent.start()
    stored = wait_for_delivery(agent, saved)
    assert stored[boot] == list(range(max(saved[boot]) + 1))
    check(agent, board, stored)
    rows = times(agent, boot)
    known = [row for row in rows if row[0] == "good"]
    estimated = [row for row in rows if row[0] == "estimated"]
    assert known and len(known) + len(estimated) == len(rows)
    assert all(row[1] <= left_ms + row[2] for row in known)
    # They were taken behind those that the agent had, and before the board was killed.
    for _, utc_ms, error_ms in estimated:
        assert utc_ms + error_ms >= known[-1][1] - known[-1][2]
        assert utc_ms - error_ms <= ended_ms
    assert agent.stop() == 0


def test_boots_with_other_settings_come_one_after_the_other(boards, agents):
    board = make(boards, "north")
    path = board.folder / "flash" / "device.json"
    settings = json.loads(path.read_text())
    for index, channel in enumerate(("temperature", "pressure")):
        settings["sensors"][0]["channel"] = channel
        path.write_text(json.dumps(settings))
        board.start()
        wait_for_pages(board, index + 1)
        board.kill()
    saved = boot_numbers(board)
    assert len(saved) == 2
    settings["sensors"][0]["channel"] = "humidity"
    path.write_text(json.dumps(settings))
    board.start()
    agent = agent_of(agents, ("north", board.path))
    agent.start()
    stored = wait_for_delivery(agent, saved)
    assert list(stored)[:2] == list(saved)
    check(agent, board, stored)
    with sqlite3.connect(agent.db) as connection:
        found = connection.execute(
            "SELECT boot, group_concat(DISTINCT sensor) FROM readings"
            " WHERE sensor NOT LIKE '%load%' AND sensor NOT LIKE '%memory%'"
            " AND sensor NOT LIKE '%cpu%' GROUP BY boot ORDER BY min(id)"
        ).fetchall()
    first, second = saved
    assert found[:2] == [(first, "north.temperature"), (second, "north.pressure")]
    assert found[2][1] == "north.humidity"
    assert agent.stop() == 0
