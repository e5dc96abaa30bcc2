"""SIGKILL at every named point of the store and at random ones: nothing acknowledged is lost."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from pyv_edge_agent.store import read_ledger, verify
from rig import Receiver

# Before and behind what each transaction does, and around the POST.
POINTS = [
    "<BEGIN",
    ">BEGIN",
    "<INSERT INTO reading",
    ">INSERT INTO reading",
    ">UPDATE stream SET next_seq",
    ">UPDATE sink SET cursor",
    "<COMMIT",
    ">COMMIT",
    "<deliver",
    ">deliver",
    "<INSERT INTO block",
    ">INSERT INTO block",
    ">INSERT INTO summary",
    ">INSERT INTO audit",
    ">INSERT INTO gap",
    ">UPDATE gap SET first_seq",
    "<DELETE FROM reading",
    ">DELETE FROM reading",
    ">UPDATE stream SET evicted",
    ">UPDATE block SET removed",
    ">DELETE FROM block",
    ">DELETE FROM sync_queue",
    ">DELETE FROM summary",
    ">UPDATE summary SET is_due",
]
COUNT = 24_000
KILLS = 500 if os.environ.get("PYV_LONG") else 40
SEED = int(os.environ.get("PYV_SEED", "1"))
WRITER = Path(__file__).with_name("writer.py")


class Site:
    def __init__(self, folder):
        self.path = folder / "edge.db"
        self.receiver = Receiver(folder)
        self.acked = 0
        self.killed_at = {}

    def run(self, point="", nth=1, after_lines=None):
        """Run the writer until it is done or dead; return whether it is done."""
        process = subprocess.Popen(
            [sys.executable, WRITER, self.path, self.receiver.url, str(COUNT), point, str(nth)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        is_done = False
        for number, line in enumerate(process.stdout):
            words = line.split()
            if words[0] == "acked":
                assert int(words[1]) >= self.acked, "what was acknowledged is gone"
                self.acked = int(words[1])
            is_done |= words[0] == "done"
            assert words[0] != "failed", line
            if number == after_lines:
                process.send_signal(signal.SIGKILL)
        error = process.stderr.read()
        code = process.wait(60)
        process.stdout.close()
        process.stderr.close()
        if code == -signal.SIGKILL:
            self.killed_at[point] = self.killed_at.get(point, 0) + 1
        else:
            assert code == 0, error
        return is_done

    def check(self):
        """After each death the file as it is must be in order."""
        if self.path.exists():
            ledger = read_ledger(self.path)
            assert ledger.is_balanced, ledger.to_dict()
            assert ledger.total("stored") >= self.acked


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.receiver.close()


@pytest.mark.timeout(3600)
def test_killed_at_each_point_and_at_random(site):
    rng = random.Random(SEED)
    kills = 0
    while kills < KILLS or (kills < 3 * KILLS and _missed(site)):
        point = rng.choice(_missed(site) or [*POINTS, ""])
        before = sum(site.killed_at.values())
        if point:
            done = site.run(point, rng.randrange(1, 6))
        else:
            done = site.run(after_lines=rng.randrange(1, 40))
        kills += sum(site.killed_at.values()) - before
        site.check()
        if done:  # begin anew: it has to have something to do
            _verdict(site)
            _start_over(site)
    while not site.run():
        pass
    _verdict(site)
    assert not _missed(site), "never struck"


def _missed(site):
    return [point for point in POINTS if point not in site.killed_at]


def _start_over(site):
    for one in site.path.parent.glob("edge.db*"):
        one.unlink()
    site.acked = 0
    with sqlite3.connect(site.path.parent / "received.db") as connection:
        connection.executescript("DELETE FROM reading; DELETE FROM batch; DELETE FROM item;")
    connection.close()


def _verdict(site):
    ledger = read_ledger(site.path)
    assert ledger.is_balanced, ledger.to_dict()
    (sink,) = ledger.sinks
    assert ledger.total("stored") == COUNT
    assert (sink.pending, sink.dead, ledger.items) == (0, 0, 0)
    assert site.receiver.store.stats()["unique"] == sink.acknowledged
    assert sink.acknowledged + sink.withheld + sink.evicted == COUNT
    assert ledger.total("evicted") > 0
    # What the receiver lacks is exactly what was withheld or is on record as gone.
    with sqlite3.connect(site.path.parent / "received.db") as connection:
        (wrong,) = connection.execute(
            "SELECT count(*) FROM reading WHERE seq % 4 = 2 OR value <> seq / 10.0"
        ).fetchone()
        (told,) = connection.execute(
            'SELECT count(*) FROM item WHERE payload LIKE \'%"type": "gap"%\''
        ).fetchone()
    connection.close()
    assert wrong == 0
    assert told > 0
    assert verify(site.path).problems == []
