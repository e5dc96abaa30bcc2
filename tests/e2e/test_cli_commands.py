"""Each command that reads a store, as a process beside a real agent that goes on writing."""

import csv
import json

import pytest
from host.command import run_host
from host.test_tail import Tail
from pyv_edge_agent import exit_status
from pyv_edge_agent.store import read_ledger
from rig import AgentProcess, Receiver, wait_for

SETTINGS = {
    "sensors": {
        "poll_interval_seconds": 0.05,
        "devices": [
            {"name": name, "ingest_type": "simulator", "unit": "Cel", "baseline": baseline}
            for name, baseline in (("hall.air", 40.0), ("hall.who", 20.0), ("shed", 10.0))
        ],
    },
    "rules": [{"name": "hot", "sensor": "hall.air", "above": 30}],
    "privacy": {
        "rules": [
            {"pattern": "hall.who", "action": "local_only"},
            {"pattern": "shed", "action": "quantize", "step": 5},
        ]
    },
}


@pytest.fixture
def site(tmp_path):
    """A running agent with three devices, and the receiver that it uploads to."""
    receiver = Receiver(tmp_path)
    cloud = {"enabled": True, "endpoint": receiver.url}
    agent = AgentProcess(tmp_path, {**SETTINGS, "cloud": cloud})
    agent.config.rename(tmp_path / "edge.json")
    agent.config = tmp_path / "edge.json"
    agent.start()
    wait_for(lambda: agent.db.exists() and len(lines(agent, "query")) > 90, "ninety readings")
    yield agent
    if agent.process.poll() is None:
        agent.stop()
    receiver.close()


def command(agent, *args, status=exit_status.DONE):
    """Run a command where the agent's configuration is found by its variable."""
    done = run_host(*args, cwd=agent.folder, PYV_EDGE_CONFIG="edge.json")
    assert done.returncode == status, (args, done.stdout, done.stderr)
    return done


def lines(agent, *args):
    return [json.loads(line) for line in command(agent, *args, "--json").stdout.splitlines()]


def test_commands_beside_a_running_agent(site):
    agent = site
    tail = Tail(agent.folder, "--json", "-n", "1", "--config", "edge.json", "--local")
    seen = [json.loads(line) for line in tail.next(20)]
    assert {one["sensor_name"] for one in seen} == {"hall.air", "hall.who", "shed"}
    tail.process.kill()
    tail.process.wait(30)

    found = lines(agent, "query", "--limit", "20")
    assert {one["sensor_name"] for one in found} == {"hall.air", "shed"}
    assert {one["value"] for one in found if one["sensor_name"] == "shed"} <= {5.0, 10.0, 15.0}
    local = lines(agent, "query", "--local", "--sensor", "hall.*", "--since", "1h")
    assert {one["sensor_name"] for one in local} == {"hall.air", "hall.who"}
    (event,) = lines(agent, "query", "events")
    assert (event["rule_name"], event["metadata"]["state"]) == ("hot", "firing")
    assert lines(agent, "query", "gaps") == []

    command(agent, "export", "--output", "all.csv", "--sensor", "hall.air")
    with (agent.folder / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 30
    numbers = [int(row["seq"]) for row in rows]
    assert numbers == list(range(len(rows)))
    pack = json.loads(command(agent, "export", "--format", "senml", "--limit", "5").stdout)
    assert len(pack) == 5 and pack[0]["u"] == "Cel"
    written = command(agent, "export", "--format", "line-protocol", "--limit", "5").stdout
    assert all(line.startswith("pyvorin,boot=") for line in written.splitlines())

    points = json.loads(command(agent, "plot", "hall.air", "--since", "1h", "--json").stdout)
    assert points["source"] == "readings" and len(points["times_ms"]) > 30
    assert "hall.air: " in command(agent, "plot", "hall.air", "--since", "1h").stdout

    replay = json.loads(command(agent, "rules", "test", "--replay", "1h", "0s", "--json").stdout)
    assert replay["rules"] == [{**replay["rules"][0], "rule": "hot", "fired": 1, "before": 1}]

    told = json.loads(command(agent, "privacy", "explain", "hall.who", "--json").stdout)
    assert told["action"] == "local_only"
    assert told["sent"] == {"http": "nothing: it never leaves this machine"}
    every = json.loads(command(agent, "privacy", "explain", "--json").stdout)["channels"]
    assert {one["sensor"] for one in every} == {"hall.air", "hall.who", "shed"}

    sizes = json.loads(command(agent, "size", "--json").stdout)
    assert sizes["channels"] == 3 and sizes["readings_per_s"] > 0

    made = json.loads(command(agent, "backup", "copy.db", "--json").stdout)
    assert made["is_balanced"] is True and made["readings"] > 90
    assert read_ledger(agent.folder / "copy.db").is_balanced

    assert json.loads(command(agent, "ledger", "--json").stdout)["balanced"] is True
    assert json.loads(command(agent, "audit", "verify", "--json").stdout)["fits"] is True
    assert agent.process.poll() is None
    assert agent.stop() == 0


def test_export_is_what_the_cloud_has_got(site):
    agent = site

    def is_uploaded():
        (sink,) = agent.ledger().sinks
        return sink.acknowledged > 60

    wait_for(is_uploaded, "sixty readings in the cloud")
    assert agent.stop() == 0
    (sink,) = agent.ledger().sinks
    found = lines(agent, "export")
    assert len(found) == sink.acknowledged + sink.pending - _pending_local(agent)
    assert len(lines(agent, "export", "--local")) == agent.ledger().total("present")


def _pending_local(agent):
    """Return how many readings that stay here the sink has not passed yet."""
    (sink,) = agent.ledger().sinks
    local = len(lines(agent, "export", "--local", "--sensor", "hall.who"))
    return local - sink.withheld
