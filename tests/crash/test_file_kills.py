"""The agent is killed at random while it follows a file: each number is in the store once.

Another program writes the numbers, sometimes half a line at a time, and the file is moved away,
or copied and cut off, while the agent runs and while it is down.
"""

import os
import random
import shutil
import threading
from collections import Counter

import pytest
from host.waiting import wait_for
from rig import AgentProcess
from test_mqtt_kills import stored

KILLS = 15
SEED = int(os.environ.get("PYV_SEED", "1"))
LINES_MAX = 40  # written at once
KEPT = 300  # files that were moved away: more than there will be
TICK_S = 0.02  # in which nobody moves two files away: their times would be the same
AWAY = 0.03  # how often the file is moved away, or cut off, after that


class Writer(threading.Thread):
    """Writes one number after the other until it is stopped, as programs and logrotate do."""

    def __init__(self, path, rng, form):
        super().__init__(daemon=True)
        self.path = path
        self.rng = rng
        self.form = form
        self.count = 0
        self.aways = Counter()
        self.stopping = threading.Event()
        self.pause = threading.Event()  # never set
        self.path.write_text("number,value\n" if form == "csv" else "")

    def run(self):
        file = self.path.open("ab", buffering=0)
        while not self.stopping.is_set():
            lines = "".join(map(self.line, self.numbers())).encode()
            cut = self.rng.randrange(len(lines)) if self.rng.random() < 0.3 else len(lines)
            file.write(lines[:cut])
            self.pause.wait(self.rng.uniform(0, 0.01))
            file.write(lines[cut:])
            if self.rng.random() < AWAY:
                file = self.move_away(file)
        file.close()

    def numbers(self):
        first, self.count = self.count, self.count + self.rng.randint(1, LINES_MAX)
        return range(first, self.count)

    def line(self, number):
        return f"n,{number}\n" if self.form == "csv" else f'{{"value": {number}}}\n'

    def away(self, number):
        return self.path.with_name(f"{self.path.name}.{number}")

    def move_away(self, file):
        for number in range(KEPT, 0, -1):
            if self.away(number).exists():
                self.away(number).rename(self.away(number + 1))
        if self.rng.random() < 0.5:
            self.aways["moved"] += 1
            self.path.rename(self.away(1))
            file.close()
            file = self.path.open("ab", buffering=0)
        else:
            self.aways["cut off"] += 1
            shutil.copyfile(self.path, self.away(1))
            file.truncate(0)
        if self.form == "csv":
            file.write(b"number,value\n")
        self.pause.wait(TICK_S)
        return file


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_each_number_is_stored_once(tmp_path, form):
    rng = random.Random(SEED)
    path = tmp_path / f"numbers.{form}"
    device = {
        "name": "log",
        "ingest_type": "file",
        "path": str(path),
        "time_path": "",
        "interval_seconds": 0.02,
    }
    agent = AgentProcess(
        tmp_path / "agent",
        {
            "sensors": {"devices": [device]},
            "health": {"enabled": False},
            "storage": {"commit_interval_ms": 20},
        },
    )
    writer = Writer(path, random.Random(rng.random()), form)
    agent.start()
    wait_for(lambda: f"reads {path}" in agent.text(), "the file to be open", 30)
    writer.start()
    pause = threading.Event()
    try:
        for _ in range(KILLS):
            wanted = stored(agent.db).total() + rng.randint(1, 500)
            wait_for(lambda wanted=wanted: stored(agent.db).total() >= wanted, "readings", 30)
            agent.kill()
            pause.wait(rng.choice((0, 0, rng.uniform(0, 0.3))))
            agent.spawn()
        writer.stopping.set()
        writer.join(30)
        wait_for(lambda: stored(agent.db).keys() >= set(range(writer.count)), "all", 60)
        assert stored(agent.db) == Counter(range(writer.count)), f"seed {SEED}"
        assert agent.stop() == 0
        assert agent.ledger().is_balanced
        assert "rejected" not in agent.text()
        assert len(writer.aways) == 2, "nothing was moved away, or cut off; another seed"
    finally:
        writer.stopping.set()
        agent.kill()
