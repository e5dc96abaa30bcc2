"""Another configuration for a running agent: all of it or nothing, and the rest untouched."""

import json
import logging
import sqlite3
import threading
from pathlib import Path

import pytest
from host.conftest import SIMULATED
from host.servers import Answer, serving
from host.waiting import wait_for
from pyv_edge_agent.errors import ConfigError, StartError, StoreError
from pyv_edge_agent.reload import compare
from pyv_edge_agent.store import read_ledger

SERIAL = {"name": "porch", "ingest_type": "serial", "port": "/dev/no/such"}
FAST = {"poll_interval_seconds": 0.01}


class Value:
    """An adapter whose value a test sets."""

    def __init__(self, value):
        self.value = value

    def read(self):
        return self.value


class Site:
    """A running agent and its file."""

    def __init__(self, agents, write_config, devices=(SIMULATED,), **sections):
        self.write = write_config
        self.agent = agents(write_config(devices, **sections))
        self.agent.start()

    def reload(self, devices=(SIMULATED,), **sections):
        self.write(devices, **sections)
        return self.agent.reload_config()

    def rows(self, query):
        connection = sqlite3.connect(self.agent._config.store_path)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def events(self):
        return self.rows("SELECT rule, state FROM event ORDER BY id")

    def set(self, value, name="t1"):
        """Let a device have a value, and be polled."""
        self.agent._adapters[name] = Value(value)
        self.agent.run_once()


@pytest.fixture
def site(agents, write_config):
    def start(devices=(SIMULATED,), **sections):
        made = Site(agents, write_config, devices, **sections)
        polled = [one for one in devices if one["ingest_type"] != "serial"]
        count = len(polled)
        wait_for(lambda: made.agent._readings_processed >= count, "first cycle")
        return made

    return start


# -- what is different --------------------------------------------------------------


def test_paths_of_what_is_different():
    before = {
        "a": {"x": 1, "y": {"z": 2}},
        "rules": [{"name": "one"}, {"name": "two", "above": 1}],
    }
    after = {"a": {"x": 1, "y": {"z": 3}}, "rules": [{"name": "two", "above": 2}, {"name": "new"}]}
    assert compare(before, after) == ["a.y.z", "rules[one]", "rules[two]", "rules[new]"]
    assert compare(before, before) == []
    assert compare(
        {"rules": [{"name": "a"}, {"name": "b"}]}, {"rules": [{"name": "b"}, {"name": "a"}]}
    ) == ["rules"]
    assert compare({"list": [1, 2]}, {"list": [1, 3]}) == ["list[1]"]


def test_same_file_changes_nothing(site):
    made = site()
    before = made.agent._config
    assert made.reload().changed == ()
    assert made.agent._config is before


def test_agent_without_a_file_or_at_rest_says_so(agents, write_config):
    with pytest.raises(ConfigError, match="config_path is not given"):
        agents().reload_config()
    with pytest.raises(StartError, match="not running"):
        agents(write_config()).reload_config()


# -- all or nothing -----------------------------------------------------------------


def test_faulty_file_changes_nothing(site, tmp_path):
    made = site()
    agent = made.agent
    before = (agent._config, agent._store, agent._privacy, dict(agent._adapters))
    made.write(cloud={"batch": 3}, logging={"level": "LOUD"})
    with pytest.raises(ConfigError) as raised:
        agent.reload_config()
    assert len(raised.value.problems) == 2
    assert (agent._config, agent._store, agent._privacy, dict(agent._adapters)) == before
    Path(agent._config_path).unlink()
    with pytest.raises(FileNotFoundError):
        agent.reload_config()
    agent.run_once()
    assert agent._readings_processed == 2


def test_part_that_cannot_be_made_changes_nothing(site):
    made = site()
    keyless = {**SERIAL, "link_key_file": "porch.key"}
    with pytest.raises(ConfigError, match=r"porch.key can't be read"):
        made.reload([SIMULATED, keyless], sensors=FAST)
    assert list(made.agent._adapters) == ["t1"]
    assert made.agent._config.get("sensors", "poll_interval_seconds") == 86400


def test_store_that_cannot_commit_changes_nothing(site):
    made = site()
    agent = made.agent
    pages = agent._store._writer.execute("PRAGMA page_count").fetchone()[0]
    agent._store._writer.execute(f"PRAGMA max_page_count = {pages}")
    while not agent._ingest.problem:
        agent.run_once()
    with pytest.raises(StoreError, match="full"):
        made.reload([{**SIMULATED, "name": "t2"}], rules=[HOT])
    assert list(agent._adapters) == ["t1"]
    assert agent._ingest.pipeline.alerting.rules[0].name == "value above 30"
    agent._store._writer.execute("PRAGMA max_page_count = 1000000")
    agent.reload_config()
    assert list(agent._adapters) == ["t2"]


# -- devices ------------------------------------------------------------------------


def test_devices_come_and_go_and_the_others_go_on(site):
    t2 = {**SIMULATED, "name": "t2"}
    made = site([SIMULATED, t2, SERIAL])
    agent = made.agent
    kept = (agent._store, agent._cloud, agent._adapters["t1"], agent._buffers["t1"], agent.links)
    boots = made.rows("SELECT count(*) FROM boot")
    t3 = {**SIMULATED, "name": "t3"}
    done = made.reload([SIMULATED, {**t2, "unit": "K"}, t3, SERIAL])
    assert done.changed == ("sensors.devices[t2]", "sensors.devices[t3]")
    assert (
        agent._store,
        agent._cloud,
        agent._adapters["t1"],
        agent._buffers["t1"],
        agent.links,
    ) == kept
    agent.run_once()
    assert made.rows("SELECT sensor, unit, count(*) FROM readings GROUP BY 1, 2") == [
        ("t1", "Cel", 2),
        ("t2", "Cel", 1),
        ("t2", "K", 1),
        ("t3", "Cel", 1),
    ]
    assert boots == [(2,)]
    assert made.rows("SELECT count(*) FROM boot") == [(3,)]  # of one start each
    made.reload([t3])
    assert agent.links == []
    agent.run_once()
    assert made.rows("SELECT count(*) FROM reading") == [(6,)]
    assert list(agent._buffers) == ["t3"]
    assert read_ledger(agent._config.store_path).is_balanced


def test_link_of_a_device_that_is_taken_away_ends_and_its_port_is_free(site):
    made = site([SIMULATED, SERIAL])
    (link,) = made.agent.links
    made.reload([SIMULATED, {**SERIAL, "name": "shed"}])
    assert [one.name for one in made.agent.links] == ["shed"]
    assert link._is_stopping.is_set()
    assert not made.agent._devices._claims._owners


def test_own_interval_is_kept_to_from_then_on(site):
    made = site()
    made.reload([{**SIMULATED, "interval_seconds": 0.01}])
    wait_for(lambda: made.agent._readings_processed >= 10, "polls at its own interval")


def test_readings_are_all_accounted_for_while_it_reloads(site):
    slow = {"commit_interval_ms": 30}
    made = site(sensors=FAST, storage=slow)
    others = [
        {"rules": [{"name": "hot", "above": 5}]},
        {"privacy": {"rules": [{"pattern": "t1", "action": "quantize", "step": "0.5"}]}},
        {"windows": {"default_size": 7}},
        {"policies": {"keep_days": 3}},
        {},
    ]
    for turn in range(15):
        before = made.agent._readings_processed
        more = [{**SIMULATED, "name": f"more{turn}"}] if turn % 3 == 2 else []
        made.reload(
            [SIMULATED, *more],
            sensors=FAST,
            storage=slow,
            **others[turn % 5],
        )
        wait_for(lambda: made.agent._readings_processed >= before + 3, "polls")  # noqa: B023
    made.agent.stop()
    assert read_ledger(made.agent._config.store_path).is_balanced
    rows = made.rows("SELECT seq FROM readings WHERE device = 't1' ORDER BY id")
    assert [row[0] for row in rows] == list(range(len(rows)))
    assert made.rows("SELECT count(DISTINCT boot) FROM readings WHERE device = 't1'") == [(1,)]


# -- rules and policy ---------------------------------------------------------------

HOT = {"name": "hot", "above": 30.0}
COLD = {"name": "cold", "below": 0.0}


def test_rule_that_is_as_it_was_goes_on_where_it_stood(site):
    made = site(rules=[HOT])
    made.set(40.0)
    made.reload(rules=[HOT, COLD])
    made.set(41.0)
    made.set(-1.0)
    assert made.events() == [("hot", "firing"), ("hot", "resolved"), ("cold", "firing")]
    assert made.agent._ingest.pipeline.alerting.fired_total == 2


def test_rule_that_is_gone_says_nothing_any_more_and_one_that_is_changed_begins_anew(site):
    made = site(rules=[HOT, COLD])
    made.set(40.0)
    made.reload(rules=[{**HOT, "above": 35.0}])
    made.set(41.0)
    made.set(-1.0)
    assert made.events() == [("hot", "firing"), ("hot", "firing"), ("hot", "resolved")]


def test_device_that_is_gone_is_not_missed(site):
    missing = {"name": "gone", "missing": "1h"}
    made = site([SIMULATED, {**SIMULATED, "name": "t2"}], rules=[missing])
    assert sum(made.agent._ingest.pipeline.alerting.counts().values()) == 2
    made.reload(rules=[missing])
    assert sum(made.agent._ingest.pipeline.alerting.counts().values()) == 1


def test_other_policy_holds_from_then_on_and_for_what_is_sent(site):
    with serving(Answer()) as cloud:
        section = {"enabled": True, "endpoint": cloud.url, "retry_base_seconds": 0.01}
        made = site(cloud=section)
        wait_for(lambda: cloud.requests, "the first upload")
        done = made.reload(cloud=section, privacy={"rules": [{"pattern": "t1", "action": "drop"}]})
        assert done.changed == ("privacy.rules[0]",)
        made.agent.run_once()
        assert made.agent._ingest.pipeline.denied_total == 1
        assert made.rows("SELECT count(*) FROM reading") == [(1,)]
        # Stored before, and sent by today's policy: to a sink that comes later, not at all.
        other = {"enabled": True, "folder": "out"}
        made.reload(
            cloud=section,
            privacy={"rules": [{"pattern": "t1", "action": "drop"}]},
            sinks={"file": other},
        )
        wait_for(lambda: made.agent._store.sinks.pending("file") == 0, "the other sink")
        assert made.agent.workers[1].withheld_total == 1


def test_audit_log_says_what_has_changed(site):
    made = site()
    made.reload(rules=[HOT], logging={"level": "WARNING"})
    ((details,),) = made.rows("SELECT details FROM audit WHERE action = 'config_reloaded'")
    assert json.loads(details)["changed"] == ["logging.level", "rules[hot]"]
    assert logging.getLogger().level == logging.WARNING


# -- sinks --------------------------------------------------------------------------


def items(cloud):
    """Return the seq of each reading that a server was sent."""
    return [
        item["metadata"]["seq"]
        for _, _, body in list(cloud.requests)
        for item in body["items"]
        if "sensor_name" in item
    ]


def test_other_endpoint_is_sent_what_the_first_one_has_not_taken(site):
    with serving(Answer(503)) as bad, serving(Answer()) as good:
        cloud = {"enabled": True, "endpoint": bad.url, "retry_base_seconds": 60.0}
        made = site(cloud=cloud)
        wait_for(lambda: bad.requests, "an attempt")
        worker = made.agent.workers[0]
        made.reload(cloud={**cloud, "endpoint": good.url})
        wait_for(lambda: items(good) == [0], "the reading at the other server")
        assert made.agent.workers == [worker]
        assert made.agent._uploader.shown_endpoint.startswith("http://127.0.0.1")


def test_sink_that_is_as_it_was_keeps_its_connection(site, tmp_path):
    out = {"enabled": True, "folder": str(tmp_path / "out")}
    made = site(sinks={"file": out})
    client = made.agent.workers[0].terms.client
    made.reload(sinks={"file": out}, rules=[HOT], policies={"keep_days": 9})
    assert made.agent.workers[0].terms.client is client


def test_sink_that_comes_later_gets_all_and_one_that_goes_is_waited_for(site, tmp_path, log):
    out = {"file": {"enabled": True, "folder": str(tmp_path / "out")}}
    made = site()
    made.reload(sinks=out)
    wait_for(lambda: made.agent._store.sinks.pending("file") == 0, "what was there before")
    made.reload()
    assert made.agent.workers == []
    made.agent.run_once()
    assert made.agent._store.sinks.pending("file") == 1
    assert log.having("sink file is not configured any more")
    wait_for(lambda: not made.agent._uploads.is_leaving("file"), "its end")
    made.reload(sinks=out)
    wait_for(lambda: made.agent._store.sinks.pending("file") == 0, "what came meanwhile")
    assert read_ledger(made.agent._config.store_path).is_balanced


def test_sink_that_still_ends_its_delivery_can_be_had_again_later(site):
    with serving(Answer()) as cloud:
        cloud.hangs = True
        section = {"enabled": True, "endpoint": cloud.url}
        made = site(cloud=section)
        wait_for(lambda: cloud.requests, "a delivery that hangs")
        made.reload()
        with pytest.raises(StartError, match="still ending its last delivery"):
            made.reload(cloud=section)
        assert made.agent.workers == []
        cloud.hangs = False
        cloud.hang.set()
        wait_for(lambda: not made.agent._uploads.is_leaving("http"), "its end")
        made.reload(cloud=section)
        wait_for(lambda: made.agent._store.sinks.pending("http") == 0, "the delivery")


# -- the rest -----------------------------------------------------------------------


def test_what_needs_a_restart_is_said_and_the_rest_holds(site, log):
    made = site()
    store = made.agent._store
    done = made.reload(
        storage={"path": "other.db", "commit_max": 9, "max_mb": 77},
        health={"port": 1},
        time={"source": "ntp"},
        windows={"default_size": 5},
    )
    assert done.needs_restart == ("health.port", "storage.path", "time.source")
    assert log.having("health.port, storage.path, time.source: a change of that holds from")
    assert made.agent._store is store
    assert made.agent._ingest._inbox.commit_max == 9
    assert made.agent._ingest._upkeep.capacity.limits.max_size == 77 * 1_048_576
    assert made.agent._buffers["t1"].capacity == 5
    made.agent.run_once()
    assert len(made.agent._buffers["t1"]) == 1


class Slow:
    """An adapter that a test holds up in the middle of a read."""

    def __init__(self):
        self.is_asked, self.may_answer = threading.Event(), threading.Event()

    def read(self):
        self.is_asked.set()
        assert self.may_answer.wait(30)
        return 68.0


def test_what_was_read_of_the_old_device_is_not_stored_as_the_new_ones(site):
    made = site()
    slow = made.agent._adapters["t1"] = Slow()
    reading = threading.Thread(target=made.agent.run_once)
    reading.start()
    assert slow.is_asked.wait(30)
    made.reload([{**SIMULATED, "unit": "K", "baseline": 293.0}])
    slow.may_answer.set()
    reading.join(30)
    made.agent.run_once()
    assert made.rows("SELECT value, unit FROM readings") == [(20.0, "Cel"), (293.0, "K")]
