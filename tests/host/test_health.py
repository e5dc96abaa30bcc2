"""The health server: what it says, and what it lets nobody do to it."""

import json
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from host.asking import address, ask, raw, report
from host.conftest import SIMULATED
from host.servers import Answer, serving
from host.waiting import wait_for
from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.dashboard.server import open_server, serve
from pyv_edge_agent.errors import StartError
from pyv_edge_agent.http_server import Server
from pyv_edge_agent.main import EdgeAgent, _HealthHandler
from pyv_edge_agent.settings import SECTIONS

HEALTH = {key: setting.default for key, setting in SECTIONS["health"].items()}


@dataclass
class Served:
    """What `ask` needs to know of an agent."""

    _health_server: Server


def test_health_listens_on_loopback_by_default(start):
    assert address(start())[0] == "127.0.0.1"


def test_health_can_be_off(start):
    agent = start(health={"enabled": False})
    assert agent._health_server is None
    assert agent._health_thread is None
    assert agent.is_running


def test_report_has_its_blocks_and_is_dated(start):
    agent = start()
    wait_for(lambda: agent._readings_processed == 1, "first cycle")
    found = report(agent)
    assert set(found) == {
        "status",
        "timestamp",
        "components",
        "metrics",
        "agent",
        "cloud",
        "privacy",
        "rules",
        "ingest",
        "devices",
        "links",
        "time",
        "sinks",
        "store",
        "workers",
    }
    assert found["sinks"] == {}
    assert (found["store"]["state"], found["store"]["is_degraded"]) == ("ok", False)
    assert found["store"]["oldest_unsent_seconds"] is None
    assert found["privacy"] == {
        "enabled": True,
        "rules_active": 0,
        "readings_dropped": 0,
        "readings_aggregated": 0,
        "readings_withheld": 0,
        "policy_hash": "00000000",
    }
    assert found["rules"] == {
        "fired_total": 0,
        "board_events_total": 0,
        "suppressed_total": 0,
        "late_total": 0,
        "inactive": 1,
        "pending": 0,
        "firing": 0,
    }
    assert abs(found["timestamp"] - agent.clock.utc_ms() / 1000) < 60
    assert found["agent"]["commits_total"] >= 1
    assert found["agent"]["commit_problem"] == ""
    assert found["ingest"]["sampled_total"] == 1
    assert found["links"] == []


def test_query_is_ignored(start):
    assert report(start(), "/health?verbose=1")["status"] == "healthy"


def test_replies_are_not_kept_and_tell_nothing_of_what_they_are_made_with(start):
    reply = ask(start(), "/metrics")
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "Python" not in reply.headers["Server"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(start, method):
    reply = ask(start(), "/health", method)
    assert reply.status == 405
    assert reply.headers["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    "request_bytes",
    [b"\r\n\r\n", b"GET\r\n\r\n", b"\x00\xff\xfe\r\n\r\n", b"GET " + b"/" * 70_000 + b"\r\n\r\n"],
)
def test_garbage_does_not_stop_it(start, request_bytes):
    agent = start()
    raw(agent, request_bytes)
    assert report(agent)["status"] == "healthy"


def test_client_that_sends_nothing_is_in_nobodys_way(start):
    agent = start()
    with socket.create_connection(address(agent), timeout=10):
        assert report(agent)["status"] == "healthy"


def test_many_clients_at_once(start):
    agent = start()
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(report(agent)["status"])) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == ["healthy"] * 12


def test_two_agents_answer_each_for_itself(start, agents, write_config):
    devices = [dict(SIMULATED, name="a"), dict(SIMULATED, name="b")]
    first = start()
    second = agents(write_config(devices, name="second.json", storage={"path": "second.db"}))
    second.start()
    assert report(first)["agent"]["buffer_count"] == 1
    assert report(second)["agent"]["buffer_count"] == 2


def test_handler_without_an_agent_is_unhealthy():
    server = Server(("127.0.0.1", 0), _HealthHandler, 8, SystemClock())
    serve(server)
    try:
        reply = ask(Served(server), "/health")
        assert (reply.status, reply.told["status"]) == (503, "unhealthy")
    finally:
        server.shutdown()
        server.server_close()


def test_dormant_agent_is_reported_as_unhealthy():
    server = open_server(EdgeAgent(), {**HEALTH, "port": 0}, Path())
    serve(server)
    try:
        reply = ask(Served(server), "/health")
        ready, live = ask(Served(server), "/readyz"), ask(Served(server), "/livez")
    finally:
        server.shutdown()
        server.server_close()
    assert (reply.status, reply.told["status"]) == (503, "unhealthy")
    assert reply.told["agent"]["running"] is False
    assert (ready.status, ready.told["reason"]) == (503, "the agent is not running")
    assert live.status == 200


def test_port_in_use_says_which_setting_and_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"^health\.port: can't listen on .*:{port}: "):
            open_server(EdgeAgent(), {**HEALTH, "port": port}, Path())


class Broken:
    def read(self):
        raise OSError("gone")


def test_failing_adapter_shows(start):
    agent = start()
    wait_for(lambda: agent._readings_processed == 1, "first cycle")
    agent._adapters["t1"] = Broken()
    agent.run_once()
    found = report(agent)
    assert found["ingest"]["adapters_connected"] == 0
    assert found["agent"]["adapter_failures_total"] == 1
    (device,) = found["devices"]
    assert (device["state"], device["problem"], device["failed_polls"]) == ("failing", "gone", 1)


def test_store_that_fails_shows(start):
    agent = start()
    wait_for(lambda: agent._readings_processed == 1, "first cycle")
    agent._store._writer.execute("PRAGMA query_only = ON")
    agent.run_once()
    found = report(agent)["agent"]
    assert found["commit_failures_total"] >= 1
    assert "readonly" in found["commit_problem"]
    agent._store._writer.execute("PRAGMA query_only = OFF")
    agent.run_once()
    assert report(agent)["agent"]["commit_problem"] == ""


def test_cloud_block_and_no_secret_in_it(start):
    with serving(Answer(401)) as cloud:
        endpoint = cloud.url.replace("http://", "http://user:hunter2@") + "?token=abc123"
        agent = start(cloud={"enabled": True, "endpoint": endpoint, "api_key": "s3cret"})
        wait_for(lambda: report(agent)["cloud"]["attempts_failed_total"] >= 1, "a refusal")
        found = report(agent)
    assert found["cloud"]["endpoint"] == cloud.url
    assert found["cloud"]["problem"] == "status 401"
    assert found["cloud"]["queue_depth"] == 1
    assert found["cloud"]["last_flush_time"] is None
    text = json.dumps(found)
    for secret in ("hunter2", "s3cret", "abc123"):
        assert secret not in text


def test_cloud_block_after_a_delivery(start):
    with serving() as cloud:
        agent = start(cloud={"enabled": True, "endpoint": cloud.url})
        wait_for(lambda: report(agent)["cloud"]["messages_sent_today"] == 1, "a delivery")
        found = report(agent)["cloud"]
    assert found["queue_depth"] == 0
    assert abs(found["last_flush_time"] - agent.clock.utc_ms() / 1000) < 60


def test_serial_line_without_a_board_shows(start):
    device = {"name": "porch", "ingest_type": "serial", "port": "/dev/no/such"}
    agent = start([device])
    wait_for(lambda: report(agent)["links"][0]["problem"], "an attempt to open")
    found = report(agent)
    assert found["links"][0]["state"] == "searching"
    assert "does not exist" in found["links"][0]["problem"]
    assert found["ingest"]["adapters_connected"] == 0
    assert found["ingest"]["devices_configured"] == 1
