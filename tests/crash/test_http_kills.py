"""The agent is killed at random while clients POST: each number is in the store exactly once.

Clients do what a good sender does: each batch has a key, and a batch that was not answered
with 200 is sent again under it, for as long as it takes. What was answered must be there;
what was not, whether it had been committed or not, must be there once.
"""

import os
import random
import sqlite3
import threading
from collections import Counter
from http.client import HTTPException

import pytest
from host.http_rig import TIME, ask
from host.processes import free_port
from host.waiting import wait_for
from rig import AgentProcess

SEED = int(os.environ.get("PYV_SEED", "1"))
KILLS = 25
KILLS_MAX = 250  # until one comes between a commit and its answer
CLIENTS = 4
BATCH_MAX = 6
DELAY_S = 0.25  # a kill comes within this of the answer that it waits for


class Client(threading.Thread):
    """Sends numbers until it is told to end, then what is left of the last batch."""

    def __init__(self, name, port, rng):
        super().__init__(daemon=True, name=name)
        self.port = port
        self.rng = rng
        self.next_number = 0
        self.answered = 0  # numbers below this were
        self.answers = Counter()
        self.duplicates = 0
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.is_set():
            count = self.rng.randint(1, BATCH_MAX)
            numbers = range(self.next_number, self.next_number + count)
            self.next_number += count
            items = [
                {"sensor_name": self.name, "timestamp": TIME + number, "value": number}
                for number in numbers
            ]
            while not self.is_sent(f"{self.name}-{numbers[0]}", items):
                self.is_over.wait(0.01)
            self.answered = self.next_number

    def is_sent(self, key, items):
        """Send a batch, in either form; return whether it was answered with 200."""
        body, headers = items, {"Idempotency_Key": key}
        if len(items) % 2:
            body, headers = {"batch_id": key, "count": len(items), "items": items}, {}
        try:
            answer = ask(self.port, body, **headers)
        except (OSError, ValueError, HTTPException) as error:  # killed before it, or in it
            self.answers[type(error).__name__] += 1
            return False
        self.answers[answer.status] += 1
        self.duplicates += answer.body.get("duplicate", False)
        return answer.status == 200


@pytest.fixture
def agent(tmp_path):
    port = free_port()
    device = {"name": "up", "ingest_type": "http", "port": port, "timeout_seconds": 5.0}
    made = AgentProcess(
        tmp_path / "agent",
        {"sensors": {"devices": [device]}, "storage": {"commit_interval_ms": 20}},
    )
    made.port = port
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def stored(path):
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return Counter(connection.execute("SELECT channel, value FROM readings"))
    finally:
        connection.close()


def test_each_number_is_stored_once_whenever_the_agent_is_killed(agent):
    rng = random.Random(SEED)
    clients = [Client(f"c{n}", agent.port, random.Random(rng.random())) for n in range(CLIENTS)]
    agent.start()
    for client in clients:
        client.start()
    pause = threading.Event()
    for number in range(KILLS_MAX):
        if number >= KILLS and sum(client.duplicates for client in clients):
            break
        client = rng.choice(clients)
        seen = client.answered
        wait_for(lambda client=client, seen=seen: client.answered > seen, "an answer", 60)
        if rng.random() < 0.5:  # else at once: others of that commit may not be answered yet
            pause.wait(rng.uniform(0, DELAY_S))
        agent.kill()
        agent.spawn()
    for client in clients:
        client.is_over.set()
    for client in clients:
        client.join(60)
        assert not client.is_alive(), f"seed {SEED}: {client.name} gets no answer"
    assert agent.stop() == 0
    numbers = stored(agent.db)
    for client in clients:
        assert client.answered == client.next_number
        for number in range(client.next_number):
            times = numbers.pop((client.name, float(number)), 0)
            assert times == 1, f"seed {SEED}: {client.name} {number} is there {times} times"
    assert not numbers
    assert sum(client.duplicates for client in clients), "no kill behind a commit"
    for client in clients:
        assert not client.answers.keys() & {400, 404, 422}, client.answers
    assert agent.ledger().is_balanced
