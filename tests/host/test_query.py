"""What people and programs ask of the store, and what the agent writes into its audit log."""

import pytest
from host.fakes import UTC_MS
from host.store_rig import StoreRig
from host.test_several_sinks import config
from host.waiting import wait_for
from pyv_edge_agent.errors import RequestError
from pyv_edge_agent.main import EdgeAgent
from pyv_edge_agent.store import list_audit, query, verify

HOUR_MS = 3_600_000


@pytest.fixture
def rig(tmp_path):
    made = StoreRig(tmp_path / "edge.db")
    yield made
    made.close()


def hours(rig, count, sealed=True):
    """Store an hour of each channel after the other, a reading a second."""
    for _ in range(count):
        rig.mixed(3600)
        if sealed:
            rig.upkeep.blocks.seal()


@pytest.mark.parametrize("is_sealed", [True, False])
def test_readings_of_a_time(rig, is_sealed):
    hours(rig, 4, is_sealed)
    start_ms = UTC_MS + HOUR_MS
    found = rig.store.readings("porch.temp", start_ms, start_ms + 9000)
    assert [one["seq"] for one in found] == [3600, 3603, 3606]
    assert found[0]["sensor"] == "porch.temp"
    assert found[0]["time"] == "2026-05-28T21:26:40.000Z"
    everything = rig.store.readings(None, start_ms, start_ms + HOUR_MS, limit=10_000)
    assert [one["seq"] for one in everything] == list(range(3600, 7200))


def test_newest_readings(rig):
    hours(rig, 3)
    rig.mixed(10)
    assert [one["seq"] for one in rig.store.readings(limit=5)] == list(range(10_805, 10_810))
    assert [one["seq"] for one in rig.store.readings("porch.count", limit=2)] == [10_804, 10_807]


def test_readings_that_came_late_are_found_too(rig):
    hours(rig, 2)
    now_ms = rig.clock.utc_ms()
    rig.clock.step(UTC_MS - now_ms)  # a board delivers what it has from two hours ago
    rig.mixed(30)
    rig.upkeep.blocks.seal()
    found = rig.store.readings("porch.temp", UTC_MS, UTC_MS + 6000)
    assert [one["seq"] for one in found] == [0, 3, 7200, 7203]


def test_sensor_and_time_that_have_nothing(rig):
    hours(rig, 1)
    assert rig.store.readings("no.such") == []
    assert rig.store.readings("porch.temp", UTC_MS - HOUR_MS, UTC_MS) == []
    assert rig.store.readings("porch.temp", UTC_MS + 9 * HOUR_MS) == []


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_is_at_least_one(rig, limit):
    rig.mixed(1)
    for ask in (rig.store.readings, rig.store.events, rig.store.summaries, rig.store.audit_logs):
        with pytest.raises(ValueError, match="limit"):
            ask(limit=limit)


def test_values_in_the_unit_of_the_sensor(rig):
    rig.mixed(9)
    assert query.values(rig.store, "porch.temp", UTC_MS, UTC_MS + 4000) == [
        (UTC_MS, 0.0),
        (UTC_MS + 3000, 0.03),
    ]
    assert query.values(rig.store, "porch.power", UTC_MS, UTC_MS + 4000) == [
        (UTC_MS + 2000, 2000.0)
    ]


# -- the agent's own rows ----------------------------------------------------------


def test_agent_says_when_it_starts_and_stops_and_how_it_found_the_store(tmp_path):
    path = config(tmp_path)
    for _ in range(2):
        with EdgeAgent(path) as agent:
            wait_for(lambda agent=agent: agent._readings_processed, "a reading")
            agent.stop()
    rows = [row for row in list_audit(tmp_path / "edge.db") if row["action"].startswith("agent")]
    assert [row["action"] for row in rows] == ["agent_started", "agent_stopped"] * 2
    assert rows[0]["details"]["devices"] == ["t1"]
    assert rows[2]["details"]["was_closed"] is True
    assert verify(tmp_path / "edge.db").fits


def test_command_is_recorded_before_it_is_sent_or_is_not_sent(tmp_path):
    board = {"name": "north", "ingest_type": "serial", "port": "/dev/no/such"}
    with EdgeAgent(config(tmp_path, sensors={"devices": [board]})) as agent:
        future = agent.command("north", "set_rate", "temperature", 500)
        (row,) = [row for row in agent._store.audit_logs() if row["action"] == "command"]
        assert row["details"] == {
            "device": "north",
            "op": "set_rate",
            "target": "temperature",
            "value": 500,
        }
        agent._store._writer.execute("PRAGMA query_only = ON")
        with pytest.raises(RequestError, match="can't be recorded, and so isn't done"):
            agent.command("north", "reset")
        agent._store._writer.execute("PRAGMA query_only = OFF")
        agent.stop()
    assert future.done()
