"""The agent is killed at random while a broker sends it numbers: each is in the store once.

A real mosquitto keeps the session. SIGKILL hits the agent where it hurts: while it
starts and subscribes, some readings behind the last kill, and when its acknowledgements
are on the wire, which then never arrive.
"""

import os
import random
import sqlite3
import threading
from collections import Counter

import pytest
from host.mqtt_site import published
from host.played_broker import PUBACK, Wire
from host.processes import mosquitto
from host.waiting import wait_for
from rig import AgentProcess

KILLS = 30
SEED = int(os.environ.get("PYV_SEED", "1"))
READINGS_MAX = 200  # between a start and a kill
BATCH = 40


class Publisher(threading.Thread):
    """Publishes one number after the other with QoS 1 until it is stopped."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.count = 0
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            published(self.port, BATCH, self.count, topic=f"site/{self.count % 3}")
            self.count += BATCH


def stored(db):
    """Return how often each number is in the store."""
    if not db.exists():
        return Counter()
    connection = sqlite3.connect(db)
    try:
        return Counter(int(row[0]) for row in connection.execute("SELECT value FROM reading"))
    except sqlite3.OperationalError:
        return Counter()  # killed before there was a schema
    finally:
        connection.close()


@pytest.fixture
def broker(tmp_path):
    made = mosquitto(tmp_path / "broker").start()
    yield made
    made.stop()


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_each_number_is_stored_once(broker, tmp_path, protocol):
    rng = random.Random(SEED)
    wire = Wire(broker.port)
    device = {
        "name": "meter",
        "ingest_type": "mqtt",
        "protocol": protocol,
        "port": wire.port,
        "topic": "site/+",
        "time_path": "",
    }
    health = {"enabled": False}
    agent = AgentProcess(tmp_path / "agent", {"sensors": {"devices": [device]}, "health": health})
    publisher = Publisher(broker.port)
    strikes = Counter()

    def strike_at_an_acknowledgement(data):
        """Kill, and let nothing get through any more."""
        if data[0] != PUBACK << 4:
            return data
        wire.towards_broker = lambda _: b""
        agent.process.kill()
        return b""

    # A session must be there before anything is published.
    agent.start()
    wait_for(lambda: "receives from" in agent.text(), "the subscription", 30)
    publisher.start()
    try:
        for _ in range(KILLS):
            kind = rng.choice(("starting", "storing", "acknowledging"))
            strikes[kind] += 1
            if kind == "starting":
                agent.kill()
                connects = wire.connects
                agent.spawn()
                wait_for(lambda connects=connects: wire.connects > connects, "a connection", 30)
            elif kind == "storing":
                wanted = stored(agent.db).total() + rng.randint(1, READINGS_MAX)
                wait_for(lambda wanted=wanted: stored(agent.db).total() >= wanted, "readings", 30)
            else:
                wire.towards_broker = strike_at_an_acknowledgement
                wait_for(lambda: agent.process.poll() is not None, "an acknowledgement", 30)
            agent.kill()
            wire.cut()
            wire.towards_broker = lambda data: data
            agent.spawn()
        publisher.stopping.set()
        publisher.join(30)
        wait_for(lambda: stored(agent.db).keys() >= set(range(publisher.count)), "all", 60)
        assert stored(agent.db) == Counter(range(publisher.count))
        assert len(strikes) == 3
        assert agent.ledger().is_balanced
    finally:
        publisher.stopping.set()
        agent.kill()
        wire.close()
