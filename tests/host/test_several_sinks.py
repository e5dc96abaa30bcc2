"""An agent with several sinks: each has all of it, and none waits for another."""

import json
import sqlite3

import pytest
from host.processes import mosquitto
from host.servers import Answer, serving
from host.test_mqtt_sink import Subscriber
from host.waiting import wait_for
from pyv_edge_agent.errors import StartError
from pyv_edge_agent.main import EdgeAgent
from pyv_edge_agent.store import read_ledger

DEVICES = [{"name": "t1", "ingest_type": "simulator", "unit": "Cel", "noise_std": 0.1}]


def config(tmp_path, **sections):
    path = tmp_path / "agent.json"
    settings = {
        "sensors": {"devices": DEVICES, "poll_interval_seconds": 0.02},
        "storage": {"path": "edge.db", "commit_interval_ms": 50},
        "time": {"source": "trusted"},
        "health": {"enabled": False},
        **sections,
    }
    path.write_text(json.dumps(settings))
    return str(path)


def file_seqs(folder):
    return [
        json.loads(line)["metadata"]["seq"]
        for segment in sorted(folder.glob("*.ndjson"))
        for line in segment.read_text().splitlines()
        if "sensor_name" in line
    ]


def test_each_sink_has_all_and_the_one_that_fails_has_it_later(tmp_path):
    broker = mosquitto(tmp_path / "broker").start()
    watcher = Subscriber(broker.port, topic="pyvorin/+/t1/#")
    is_up = []
    try:
        with serving(lambda _: Answer(200 if is_up else 503)) as cloud:
            path = config(
                tmp_path,
                cloud={
                    "enabled": True,
                    "endpoint": cloud.url,
                    "retry_base_seconds": 0.05,
                    "retry_max_seconds": 0.1,
                },
                sinks={
                    "mqtt": {"enabled": True, "port": broker.port},
                    "file": {"enabled": True, "folder": "out"},
                },
            )
            with EdgeAgent(path) as agent:
                assert [worker.sink for worker in agent.workers] == ["http", "mqtt", "file"]
                wait_for(lambda: len(watcher.payloads("t1")) > 20, "readings at the broker")
                wait_for(lambda: len(file_seqs(tmp_path / "out")) > 20, "readings in files")
                assert agent._store.sinks.pending("http") > 20
                assert agent._cloud.pending_count() > 20
                is_up.append(True)
                wait_for(lambda: agent._store.sinks.pending("http") < 5, "the upload")
                agent.stop()
            items = [item for body in cloud.bodies for item in body["items"]]
            assert {item["sensor_name"] for item in items if "sensor_name" in item} == {"t1"}
    finally:
        watcher.close()
        broker.stop()
    ledger = read_ledger(tmp_path / "edge.db")
    assert ledger.is_balanced
    assert [sink.name for sink in ledger.sinks] == ["file", "http", "mqtt"]
    seqs = file_seqs(tmp_path / "out")
    assert seqs == list(range(len(seqs)))


def test_sink_that_is_no_longer_configured_is_told_of(tmp_path, log):
    sinks = {"file": {"enabled": True, "folder": "out"}}
    with EdgeAgent(config(tmp_path, sinks=sinks)) as agent:
        wait_for(lambda: file_seqs(tmp_path / "out"), "readings in files")
        agent.stop()
    with EdgeAgent(config(tmp_path)) as agent:
        assert agent._store.sinks.unconfigured == ["file"]
        agent.stop()
    assert any("sink file is not configured any more" in line for line in log.warnings())


def test_events_and_gaps_are_queued_for_each_sink(tmp_path):
    sinks = {
        "file": {"enabled": True, "folder": "out"},
        "mqtt": {"enabled": True, "port": 1},  # nobody is there
    }
    with EdgeAgent(config(tmp_path, sinks=sinks)) as agent:
        agent._cloud.enqueue({"n": 1})
        wait_for(
            lambda: any('"n":1' in one.read_text() for one in (tmp_path / "out").glob("*")),
            "the item in a file",
        )
        agent.stop()
    connection = sqlite3.connect(tmp_path / "edge.db")
    waiting = connection.execute("SELECT sink, payload FROM sync_queue").fetchall()
    connection.close()
    assert ("mqtt", '{"n": 1}') in waiting
    assert {sink for sink, _ in waiting} == {"mqtt", "file"} or ("file", '{"n": 1}') not in waiting


def test_missing_library_is_named_with_its_extra(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "nats", None)  # as if it were not installed
    agent = EdgeAgent(config(tmp_path, sinks={"nats": {"enabled": True}}))
    with pytest.raises(StartError, match=r"sinks\.nats: nats-py is not installed; pip install"):
        agent.start()
    assert not agent.is_running
