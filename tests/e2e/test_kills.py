"""Boards and agent are killed at random, and every reading is accounted for all the same.

Three boards with real MicroPython, one agent, one receiver. SIGKILL hits a
board, the agent or both at once, in the middle of whatever they are at: starting,
greeting, sampling, committing, acknowledging. What each board said on its cable
is the truth; what the host said there is its promise.

What a board had in its RAM when it was killed is gone, and shows as exactly the
tail of its numbers. Where it is known how far a boot had sampled, it is shown
how much that was.
"""

import os
import random
import sqlite3
import time
from collections import Counter
from functools import partial

import pytest
from rig import make_board, serial_device, wait_for
from tap import Tap

KILLS = 50  # of boards, and of the agent
SEED = int(os.environ.get("PYV_SEED", "1"))
NAMES = ("north", "south", "small")
INTERVAL_MS = 40  # of each of four channels: 100 readings a second and board
STARTING_S = 0.7  # a kill that is to hit a start comes within this
ACKNOWLEDGED_S = 0.25  # one that is to hit the traffic, within this after an acknowledgement

RULES = [{"name": "warm", "sensor": "*.temperature", "above": 25, "clear": 24}]
SIMULATED = {
    "type": "simulated",
    "channel": "temperature",
    "interval_ms": INTERVAL_MS,
    "low": 1800,
    "high": 3200,
    "period_s": 2,
}
SENSORS = [SIMULATED, {"type": "procfs", "interval_ms": INTERVAL_MS}]


def settings_of(name, sample_for_ms):
    return {
        "sample_for_ms": sample_for_ms,  # 0: for ever
        "sensors": SENSORS,
        "rules": RULES,
        # The small one can't hold what it takes while the agent is away: its losses are gaps.
        "telemetry_capacity": 64 if name == "small" else 4096,
    }


class Plant:
    """The boards, their cables and the agent, all of which can be killed."""

    def __init__(self, folder, agent):
        self.folder = folder
        self.agent = agent
        self.tap = Tap()
        self.boards = {}
        self.live = {}  # by board: its current boot
        self.kills = Counter()

    def port(self, name):
        return self.folder / f"{name}.port"

    def flash(self, name, sample_for_ms=0):
        self.boards[name] = make_board(self.folder, name, **settings_of(name, sample_for_ms))

    def start_board(self, name):
        self.boards[name].start()
        self.live[name] = self.tap.plug(self.boards[name], self.port(name))

    def kill_board(self, name):
        self.boards[name].kill()
        self.kills["board"] += 1
        wait_for(lambda: self.live[name].is_over, f"the end of {name}'s cable")

    def kill_agent(self):
        self.agent.kill()
        self.kills["agent"] += 1

    def strike(self, what, name):
        """Send SIGKILL and no more: for the cables' thread, which sees what happens first."""
        if what == "agent":
            self.agent.process.kill()
        else:
            self.boards[name].crash()

    def acks(self, name):
        return self.live[name].acks

    def close(self):
        for board in self.boards.values():
            board.kill()
        self.tap.close()


@pytest.fixture
def plant(agents, receiver, tmp_path):
    devices = [serial_device(name, tmp_path / f"{name}.port") for name in NAMES]
    cloud = {"enabled": True, "endpoint": receiver.url, "retry_max_seconds": 0.2}
    found = Plant(tmp_path, agents({"sensors": {"devices": devices}, "cloud": cloud}))
    yield found
    found.close()


def wait_for_the_moment(plant, rng, name, what):
    """Wait until something is to be killed: any time, after an acknowledgement, or at it."""
    when = rng.choice(("any time", "after", "at"))
    delay_s = rng.uniform(0, STARTING_S)
    if when != "any time":
        acks = plant.acks(name)
        if when == "at":
            # Before the board has it, and before the agent does another thing: if it weren't
            # on the disk by now, it would never be.
            plant.live[name].at_next_ack = partial(plant.strike, what[0], name)
        wait_for(lambda: plant.acks(name) > acks, f"an acknowledgement for {name}")
        delay_s = rng.uniform(0, ACKNOWLEDGED_S) if when == "after" else 0
    moment_s = time.monotonic() + delay_s
    wait_for(lambda: time.monotonic() >= moment_s, "the moment")
    plant.kills[when] += 1


def kill_once(plant, rng):
    """Kill a board, the agent or both at a random moment, and start them again."""
    name = rng.choice(NAMES)
    what = rng.choice((("board",), ("agent",), ("board", "agent"), ("agent", "board")))
    wait_for_the_moment(plant, rng, name, what)
    for one in what:
        plant.kill_agent() if one == "agent" else plant.kill_board(name)
    for one in what:
        plant.agent.spawn() if one == "agent" else plant.start_board(name)
    plant.kills["both at once"] += len(what) == 2


def let_it_end(plant):
    """Give every board a last boot that ends by itself; wait until all of it has arrived."""
    for name in NAMES:
        plant.kill_board(name)
        plant.flash(name, sample_for_ms=1500)
        plant.start_board(name)

    def is_delivered():
        last = {f"{boot.hello.boot:08x}" for boot in plant.live.values() if boot.hello}
        ledger = plant.agent.ledger()
        done = [one for one in ledger.boots if one.boot in last and one.is_finished]
        if {one.boot for one in done} != last or len(last) != len(NAMES):
            return None
        is_waiting = any(one.in_flight for one in ledger.boots if one.boot in last)
        return None if is_waiting or ledger.items or ledger.sinks[0].pending else ledger

    wait_for(is_delivered, "all of the last boots, stored and uploaded")
    for name in NAMES:  # else the agent would wait for them
        assert plant.live[name].vitals is not None


def stored_numbers(connection):
    """Return [seq] in the order stored, by (boot, stream), and the same of what is in gaps."""
    rows = connection.execute(
        "SELECT boot.boot, 0, seq FROM reading JOIN boot ON boot.id = boot_id ORDER BY reading.id"
    ).fetchall()
    rows += connection.execute(
        "SELECT boot.boot, 1, seq FROM event JOIN boot ON boot.id = boot_id"
        " WHERE seq IS NOT NULL ORDER BY event.id"
    ).fetchall()
    stored, lost = {}, {}
    for boot, stream, seq in rows:
        stored.setdefault((boot, stream), []).append(seq)
    for boot, stream, first, last, cause in connection.execute(
        "SELECT boot.boot, stream, first_seq, last_seq, cause FROM gap"
        " JOIN boot ON boot.id = boot_id ORDER BY gap.id"
    ):
        assert cause == "overwritten"
        lost.setdefault((boot, stream), []).extend(range(first, last + 1))
    return stored, lost


def check_numbers(plant, connection):
    """Assert that each boot's numbers are there once, up to where they end; return the totals."""
    stored, lost = stored_numbers(connection)
    resume = {
        (boot, stream): next_seq
        for boot, stream, next_seq in connection.execute(
            "SELECT boot.boot, stream, next_seq FROM stream JOIN boot ON boot.id = boot_id"
        )
    }
    totals = Counter()
    for boot in plant.tap.boots:
        for stream in (0, 1):
            if boot.hello is None:  # killed before it said a word
                assert boot.acknowledged == [0, 0]
                continue
            key = (boot.hello.boot, stream)
            seqs, gaps = stored.pop(key, []), lost.pop(key, [])
            assert seqs == sorted(seqs), key
            next_seq = len(seqs) + len(gaps)
            assert sorted(seqs + gaps) == list(range(next_seq)), key
            assert resume.get(key, 0) == next_seq, key
            # What was promised is here, and what is here was said.
            assert boot.acknowledged[stream] <= next_seq <= boot.known_next(stream), key
            assert set(seqs) <= {seq for place, seq in boot.readings if place == stream}, key
            if boot is plant.live[boot.name]:
                assert next_seq == boot.known_next(stream), key
            name = ("readings", "events")[stream]
            totals[f"{name} stored"] += len(seqs)
            totals[f"{name} in gaps"] += len(gaps)
            totals[f"{name} known to have died in RAM"] += boot.known_next(stream) - next_seq
    assert not stored, "readings of a boot that never was"
    assert not lost
    return totals


def check_values(plant, connection):
    """Assert that every stored reading is the one that its board sent under that number."""
    boots = {boot.hello.boot: boot for boot in plant.tap.boots if boot.hello is not None}
    channels = ("temperature", "load_1m", "memory_available", "cpu_busy")
    times = {}
    for number, device, channel, seq, quality, value, utc_ms, error_ms in connection.execute(
        "SELECT boot.boot, device.name, channel.name, seq, quality, value, utc_ms, error_ms"
        " FROM reading JOIN boot ON boot.id = boot_id JOIN device ON device.id = boot.device_id"
        " JOIN channel ON channel.id = channel_id ORDER BY reading.id"
    ):
        boot = boots[number]
        assert device == boot.name
        place, sent_quality, sent_value, uptime_ms = boot.readings[(0, seq)]
        assert (channels[place], sent_quality, sent_value) == (channel, quality, value)
        # Dated by whichever agent stored it: all of them agree on when the boot began.
        assert error_ms is not None
        low, high = times.get(number, (0, utc_ms * 2))
        began_ms = utc_ms - uptime_ms
        times[number] = max(low, began_ms - error_ms), min(high, began_ms + error_ms)
        assert times[number][0] <= times[number][1], (number, seq)


def check_uploads(connection, receiver, folder):
    """Assert that the receiver has what the store has, neither more nor less nor twice."""
    stored = set(
        connection.execute("SELECT device, boot, stream, seq FROM readings").fetchall(),
    )
    received = sqlite3.connect(folder / "received.db")
    assert set(received.execute("SELECT device, boot, stream, seq FROM reading")) == stored
    received.close()
    stats = receiver.store.stats()
    assert stats["unique"] == len(stored)
    assert stats["duplicates_total"] == 0  # but for whole batches under their own key
    return stats["batches_repeated_total"]


@pytest.mark.timeout(600)
def test_fifty_kills_of_boards_and_fifty_of_the_agent(plant, receiver, tmp_path):
    print(f"seed {SEED}; again: PYV_SEED={SEED}")
    rng = random.Random(SEED)
    plant.agent.spawn()
    for name in NAMES:
        plant.flash(name)
        plant.start_board(name)
    while min(plant.kills["board"], plant.kills["agent"]) < KILLS:
        kill_once(plant, rng)
    let_it_end(plant)
    assert plant.agent.stop() == 0
    assert "Traceback" not in plant.agent.text()

    ledger = plant.agent.ledger()
    assert ledger.is_balanced
    assert ledger.total("duplicates") == 0
    assert ledger.total("in_flight") == 0
    kept = ledger.total("stored") + ledger.total("lost")
    assert kept + ledger.total("reset") == ledger.total("sampled")
    connection = sqlite3.connect(plant.agent.db)
    totals = check_numbers(plant, connection)
    check_values(plant, connection)
    repeated_batches = check_uploads(connection, receiver, tmp_path)
    connection.close()
    assert ledger.total("stored") == totals["readings stored"]
    assert ledger.total("lost") == totals["readings in gaps"]

    # All this would prove little had nothing been sent twice, overwritten or lost with its board.
    totals["readings sent again"] = sum(boot.repeated for boot in plant.tap.boots)
    assert totals["readings sent again"] > 0
    assert totals["readings in gaps"] > 0
    assert totals["readings known to have died in RAM"] > 0
    assert totals["events stored"] > 0
    print(dict(plant.kills), dict(totals), f"{repeated_batches} batches repeated")
