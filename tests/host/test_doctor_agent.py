"""doctor about a running agent: what it says of itself. The reports are a real agent's."""

import copy
import socket

import pytest
from host.doctor_rig import only
from host.processes import free_port
from host.servers import Answer, serving
from host.waiting import wait_for
from pyv_edge_agent.cli.checks import agent
from pyv_edge_agent.cli.checks.finding import Check
from pyv_edge_agent.report import health_report

LOG = agent.where_log_is(is_service=True)


@pytest.fixture
def report(agents, write_config):
    """Return what a running agent with a cloud says, to be altered."""
    with serving(Answer(200)) as cloud:
        running = agents(write_config(cloud={"enabled": True, "endpoint": cloud.url}))
        running.start()
        wait_for(lambda: health_report(running)["store"]["state"] == "ok", "the store")
        yield copy.deepcopy(health_report(running))


def test_agent_that_runs(report):
    assert only(agent.check_agent(report, "", is_due=True)).text == "runs, and is healthy"
    assert only(agent.check_workers(report, LOG)).level == "ok"
    assert only(agent.check_storing(report)).level == "ok"
    (device,) = report["devices"]
    assert only(agent.check_device(device, LOG, is_linked=False)).text == "polled"
    found = only(agent.check_sink("http", report["sinks"]["http"], 0))
    assert (found.level, "delivered" in found.text) == ("ok", True)


def test_agent_that_does_not_run_is_a_fault_if_it_should():
    problem = "no agent runs with edge.toml; start it: pyv-edge-host run --config edge.toml"
    found = only(agent.check_agent(None, problem, is_due=False))
    assert (found.level, found.fix) == ("warn", "start it: pyv-edge-host run --config edge.toml")
    found = only(agent.check_agent(None, problem, is_due=True))
    assert (found.level, "systemctl status" in found.fix) == ("fail", True)
    assert found.text == "no agent runs with edge.toml"


def test_agent_that_is_not_healthy(report):
    found = only(agent.check_agent({**report, "status": "unhealthy"}, "", is_due=True))
    assert (found.level, found.text) == ("fail", "runs, and is unhealthy")


def test_workers_that_do_not_move(report):
    report["workers"]["edge-agent"]["is_late"] = True
    found = only(agent.check_workers(report, LOG))
    assert found.level == "fail"
    assert found.text == "edge-agent: not moving, so the watchdog is not fed"


def test_what_keeps_it_from_storing(report):
    full = copy.deepcopy(report)
    full["agent"]["commit_problem"] = "edge.db: database or disk is full"
    assert only(agent.check_storing(full)).text == "edge.db: database or disk is full"
    failing = {**report, "store": {"state": "failing", "is_degraded": True, "problem": "gone"}}
    found = only(agent.check_storing(failing))
    assert (found.level, found.text) == ("fail", "gone")
    salvaging = copy.deepcopy(report)
    salvaging["store"] |= {"is_degraded": True, "salvaging_from": "edge.db.broken-1"}
    found = only(agent.check_storing(salvaging))
    assert (found.level, found.text) == ("warn", "edge.db.broken-1 is being salvaged")
    salvaging["store"] |= {"salvaging_from": "", "state": "evicting"}
    assert only(agent.check_storing(salvaging)).text == "the store is evicting"


def test_devices_with_a_problem(report):
    device = {**report["devices"][0], "ingest_type": "system"}
    failing = {**device, "state": "failing", "failed_polls": 7}
    found = only(agent.check_device(failing, LOG, is_linked=False))
    assert (found.level, found.text) == ("fail", "7 polls in a row have failed")
    silent = {**device, "problem": "broker: no answer"}
    assert only(agent.check_device(silent, LOG, is_linked=False)).text == "broker: no answer"
    assert only(agent.check_device(silent, LOG, is_linked=True)).level == "ok"  # `board` has it


def test_what_a_device_rejected_is_no_fault_for_ever(report):
    (device,) = report["devices"]
    told = {**device, "state": "running", "rejected_total": 3, "problem": "no JSON"}
    found = only(agent.check_device({**told, "problem_age_ms": 5000}, LOG, is_linked=False))
    assert found.level == "warn"
    assert found.text == "3 rejected since the start, the last one 5 seconds ago: no JSON"
    old = {**told, "problem_age_ms": agent.RECENT_MS}
    assert only(agent.check_device(old, LOG, is_linked=False)).level == "ok"


def test_dropout_that_is_simulated_is_no_fault(report):
    (device,) = report["devices"]
    failing = {**device, "ingest_type": "simulator", "state": "failing", "problem": "dropout"}
    found = only(agent.check_device(failing, LOG, is_linked=False))
    assert (found.level, found.text) == ("ok", "simulates a dropout")


def test_log_is_where_the_agent_writes_it(report):
    (device,) = report["devices"]
    failing = {**device, "ingest_type": "system", "state": "failing", "failed_polls": 1}
    for is_service, place in ((True, "journalctl -u pyv-edge -e"), (False, "standard error")):
        log = agent.where_log_is(is_service=is_service)
        assert place in only(agent.check_device(failing, log, is_linked=False)).fix


def test_sinks_with_a_problem(report):
    told = report["sinks"]["http"]
    found = only(agent.check_sink("http", {**told, "problem": "status 401"}, 0))
    assert (found.level, found.text.startswith("status 401 (")) == ("fail", True)
    clock = {**told, "problem": "the clock is not set", "is_waiting": True}
    found = only(agent.check_sink("http", clock, 0))
    assert (found.level, found.fix) == ("warn", "it ends by itself; clock tells what is missing")
    refused = {**told, "dead_total": 3}
    assert only(agent.check_sink("http", refused, 0)).level == "ok"  # they are dealt with
    found = only(agent.check_sink("http", refused, 3))
    assert (found.level, "dlq ls" in found.fix) == ("warn", True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_port_that_is_taken_or_free(host):
    def check(port, host=host):
        return only(agent.check_port(Check("agent.port"), host, port))

    assert check(0).level == "ok"
    assert check(free_port(), "127.0.0.1").level == "ok"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        taken = socket.create_server((host, 0), family=family)
    except OSError as error:
        pytest.skip(f"this computer has no {host}: {error}")
    with taken:
        found = check(taken.getsockname()[1])
    assert (found.level, "Address already in use" in found.text) == ("fail", True)
    assert "ss -ltnp" in found.fix
    assert check(free_port(), "203.0.113.1").level == "fail"  # not of this computer
