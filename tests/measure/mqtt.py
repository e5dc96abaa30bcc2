"""MQTT: from a broker to committed, beside a client that receives the same and drops it.

Both get what waits for them in a session at a real mosquitto, so that nobody publishes
meanwhile, and both over MQTT 5 with QoS 1. The readings are seconds old, and no alert fires.
"""

import json
import threading
import time

from host.processes import mosquitto
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pyv_edge_agent.main import EdgeAgent
from rig import wait_for

MESSAGES = 20_000
REPEATS = 7
SENSORS = 16
INFLIGHT_MAX = 1000  # the adapter's own
TAIL = INFLIGHT_MAX  # messages behind, so that none waits for a commit that nothing hurries
TOPIC = "bench/+/temp"
BARE, DEVICE = "bare", "meter"
PAUSE = threading.Event()


def _client(name):
    return Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)


def _connect(client, port):
    wanted = Properties(PacketTypes.CONNECT)
    wanted.SessionExpiryInterval = 3600
    wanted.ReceiveMaximum = INFLIGHT_MAX
    client.connect("127.0.0.1", port, clean_start=False, properties=wanted)


def _subscribe(port):
    """Let the broker have a session for the client that drops all."""
    client, done = _client(BARE), threading.Event()
    client.on_connect = lambda *_: client.subscribe(TOPIC, 1)
    client.on_subscribe = lambda *_: done.set()
    _connect(client, port)
    client.loop_start()
    assert done.wait(20)
    client.disconnect()
    client.loop_stop()


def _publish(port):
    client = _client("sensors")
    client.max_inflight_messages_set(INFLIGHT_MAX)
    _connect(client, port)
    client.loop_start()
    begin_ms = time.time_ns() // 1_000_000 - MESSAGES - TAIL
    for number in range(MESSAGES + TAIL):
        reading = {"timestamp": begin_ms + number, "value": 20 + number % 100 / 10}
        last = client.publish(f"bench/s{number % SENSORS}/temp", json.dumps(reading), 1)
    last.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()


def _bare_s(port):
    """Return how long the library's own client takes to receive all and drop it."""
    client, count = _client(BARE), 0

    def drop(*_):
        nonlocal count
        count += 1
        if count == MESSAGES:
            done.append(time.perf_counter())
        elif count == MESSAGES + TAIL:
            client.disconnect()

    client.on_message = drop
    done = []
    start = time.perf_counter()
    _connect(client, port)
    client.loop_forever()
    return done[0] - start


def _agent(folder, port):
    settings = {
        "health": {"enabled": False},
        "time": {"source": "trusted"},
        "logging": {"level": "WARNING"},
        "sensors": {
            "devices": [{"name": DEVICE, "ingest_type": "mqtt", "port": port, "topic": TOPIC}]
        },
    }
    config = folder / "agent.json"
    config.write_text(json.dumps(settings))
    return EdgeAgent(str(config))


def _stored_s(folder, port):
    """Return how long the agent takes until all is committed, and in how many commits."""
    agent = _agent(folder, port)
    agent.start()
    adapter = agent._devices.adapters[DEVICE]
    try:
        while not adapter.status()["messages_total"]:
            PAUSE.wait(0.0005)
        start = time.perf_counter()
        before = agent._store.commits_total
        while agent._readings_processed < MESSAGES:
            PAUSE.wait(0.002)
        took = time.perf_counter() - start
        commits = agent._store.commits_total - before
        wait_for(lambda: agent._readings_processed == MESSAGES + TAIL, "the rest of the messages")
        wait_for(lambda: not adapter.status()["unacknowledged"], "the last acknowledgement")
    finally:
        agent.stop()
    return took, commits


def mqtt(folder):
    """Messages a second into the store, over messages a second received and dropped."""
    ratios, stored, dropped, commits = [], [], [], []
    broker = mosquitto(folder / "broker").start()
    try:
        _subscribe(broker.port)
        agent = _agent(folder, broker.port)
        agent.start()
        adapter = agent._devices.adapters[DEVICE]
        wait_for(lambda: adapter.status()["is_connected"], "a session for the agent")
        agent.stop()
        for _ in range(REPEATS):
            _publish(broker.port)
            bare_s = _bare_s(broker.port)
            took_s, count = _stored_s(folder, broker.port)
            ratios.append(bare_s / took_s)
            stored.append(MESSAGES / took_s)
            dropped.append(MESSAGES / bare_s)
            commits.append(count)
    finally:
        broker.stop()
    return [
        ["adapter.mqtt_ratio", "ratio", ratios],
        ["adapter.mqtt_stored_per_s", "1/s", stored],
        ["adapter.mqtt_dropped_per_s", "1/s", dropped],
        ["adapter.mqtt_commits", "commits", commits],
    ]
