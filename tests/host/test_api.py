"""The API of a running agent: what is told, what the policy keeps back, and what is refused."""

import http.client
import json
import re
import time

import pytest
from host.asking import address, ask, report
from host.conftest import SIMULATED
from host.store_rig import StoreRig
from host.test_chart import lose
from host.waiting import wait_for
from pyv_edge_agent.dashboard.api import CHANNELS_MAX, POINTS_MAX, ROWS_MAX
from pyv_edge_agent.dashboard.parameters import TIME_MAX_MS

from host import http_rig

HTTP = {"name": "in", "ingest_type": "http", "port": 0, "unit": "Cel"}
FIELDS = {**HTTP, "channel_path": "sensor_name", "quality_path": "metadata.quality"}


def told(agent, path, status=200):
    reply = ask(agent, f"/api/v1/{path}")
    assert reply.status == status, reply
    return reply.told


def post(agent, *readings):
    device = next(one for one in report(agent)["devices"] if one["ingest_type"] == "http")
    answer = http_rig.ask(device["listener"]["port"], list(readings))
    assert answer.status == 200, answer


def listening(start, device=FIELDS, **sections):
    agent = start([device], **sections)
    wait_for(lambda: report(agent)["devices"][0]["state"] == "listening", "a port")
    return agent


def measured(value, name="temp", **more):
    return http_rig.reading(value, name, timestamp=time.time(), **more)


# -- live ------------------------------------------------------------------------------


def test_devices_say_how_they_are(start):
    agent = start([SIMULATED, {"name": "porch", "ingest_type": "serial", "port": "/dev/no"}])
    wait_for(lambda: agent.links[0].problem and agent._readings_processed, "both")
    found = {one["name"]: one for one in told(agent, "devices")["devices"]}
    assert found["t1"]["status"] == "healthy"
    assert found["t1"]["last_success_age_ms"] >= 0
    porch = found["porch"]
    assert (porch["status"], porch["state"]) == ("degraded", "searching")
    assert "does not exist" in porch["reason"]
    assert porch["last_success_age_ms"] is None
    assert porch["since_ms"] <= told(agent, "devices")["time_ms"]


def test_channels_have_their_latest_reading(start):
    agent = listening(start)
    post(agent, measured(1.5), measured(40.0, "hum", unit="%RH"), measured(2.5))
    post(agent, measured(0.0, "odd", metadata={"quality": "bad"}))
    found = {one["sensor"]: one for one in told(agent, "channels")["channels"]}
    assert set(found) == {"in.temp", "in.hum", "in.odd"}
    assert (found["in.temp"]["value"], found["in.temp"]["quality"]) == (2.5, "good")
    assert (found["in.hum"]["unit"], found["in.hum"]["device"]) == ("%RH", "in")
    assert (found["in.odd"]["value"], found["in.odd"]["quality"]) == (None, "bad")
    assert told(agent, "channels?device=nobody")["channels"] == []
    few = told(agent, "channels?limit=2&device=in")
    assert (len(few["channels"]), few["is_complete"]) == (2, False)


def test_channels_know_values_from_before_the_start(start):
    agent = listening(start)
    post(agent, measured(7.25))
    agent.stop()
    agent = start([FIELDS])
    (found,) = told(agent, "channels")["channels"]
    assert (found["value"], found["quality"]) == (7.25, "good")
    assert found["time_ms"] is not None


def test_what_is_dated_in_time_to_come_does_not_stay_the_latest(start):
    agent = listening(start)
    ahead = http_rig.reading(9.0, "temp", timestamp=time.time() + 86_400)
    post(agent, ahead)
    post(agent, measured(1.0))
    (found,) = told(agent, "channels")["channels"]
    assert found["value"] == 1.0
    agent.stop()
    agent = start([FIELDS])
    (found,) = told(agent, "channels")["channels"]
    assert found["value"] == 1.0


def test_sensor_that_was_bad_before_the_start_is_so_still(start):
    agent = listening(start)
    post(agent, measured(1.0))
    post(agent, measured(0.0, metadata={"quality": "bad"}))
    agent.stop()
    agent = start([FIELDS])
    (found,) = told(agent, "channels")["channels"]
    assert (found["value"], found["quality"]) == (None, "bad")


# -- out of the store ------------------------------------------------------------------


def test_readings_are_the_newest_within_the_limit_oldest_first(start):
    agent = listening(start)
    post(agent, *(measured(float(number)) for number in range(30)))
    found = told(agent, "readings?limit=5")
    assert [one["value"] for one in found["readings"]] == [25.0, 26.0, 27.0, 28.0, 29.0]
    assert found["is_complete"] is False
    found = told(agent, "readings?limit=30&sensor=in.temp")
    assert len(found["readings"]) == 30
    assert found["is_complete"] is True
    assert told(agent, "readings?sensor=in.*")["readings"] == []  # a name, no pattern
    first = round(found["readings"][0]["timestamp"] * 1000)
    assert told(agent, f"readings?end_ms={first}&start_ms=0")["readings"] == []
    assert len(told(agent, f"readings?start_ms={first}")["readings"]) == 30


def test_chart_is_of_one_sensor(start):
    agent = listening(start)
    post(agent, *(measured(float(number)) for number in range(30)))
    found = told(agent, "readings?sensor=in.temp&points=100")
    assert (found["sensor"], found["source"], found["bucket_ms"]) == ("in.temp", "readings", 0)
    assert found["mean"] == [float(number) for number in range(30)]
    assert "name it" in told(agent, "readings?points=100", 400)["error"]
    assert "none of that name" in told(agent, "readings?points=9&sensor=in.*", 404)["error"]


def test_events_and_gaps_are_told_as_sinks_are_told_them(start):
    agent = listening(start, rules=[{"name": "warm", "above": 30.0, "severity": "critical"}])
    post(agent, measured(31.0))
    (event,) = told(agent, "events")["events"]
    assert (event["rule_name"], event["severity"]) == ("warm", "critical")
    assert event["metadata"]["state"] == "firing"
    assert told(agent, "events?end_ms=1")["events"] == []
    assert told(agent, "gaps")["gaps"] == []


def test_ledger_adds_up_and_is_told_again_for_a_minute(start):
    agent = listening(start)
    post(agent, *(measured(float(number)) for number in range(10)))
    found = told(agent, "ledger")
    assert found["balanced"] is found["is_counted"] is True
    assert found["sampled"] == found["stored"] == found["present"] == 10
    post(agent, measured(1.0))
    assert told(agent, "ledger") == found


# -- privacy ---------------------------------------------------------------------------

SECRETS = ("bedroom", "attic", "cellar")
RULES = [
    {"pattern": "*bedroom*", "action": "drop"},
    {"pattern": "*attic*", "action": "hash"},
    {"pattern": "*cellar*", "action": "local_only"},
    {"pattern": "*damp*", "action": "aggregate_only"},
    {"pattern": "*wet*", "action": "mask"},
]
PATHS = ["/health", "/metrics/prometheus", "/readyz"]
PATHS += ["/api/v1/" + name for name in ("devices", "channels", "readings", "events", "gaps")]
PATHS += ["/api/v1/ledger", "/api/v1/readings?points=50&sensor=in.plain"]


def private(start, **health):
    simulated = [{**SIMULATED, "name": name} for name in ("bedroom", "attic-pc", "cellar")]
    agent = start(
        [FIELDS, *simulated],
        privacy={"rules": RULES},
        rules=[{"name": "attic-pc too warm", "above": 30.0}, {"name": "bedroom", "above": 90.0}],
        health=health,
    )
    wait_for(lambda: report_of(agent, health)["devices"][0]["state"] == "listening", "a port")
    device = report_of(agent, health)["devices"][0]
    names = ("plain", "bedroom", "attic", "cellar", "damp", "wet")
    body = [measured(31.0 + place, name) for place, name in enumerate(names)]
    assert http_rig.ask(device["listener"]["port"], body).status == 200
    wait_for(lambda: agent._readings_processed >= 9, "all readings")
    return agent


def report_of(agent, health):
    token = health.get("token")
    return ask(agent, "/health", **({"Authorization": f"Bearer {token}"} if token else {})).told


def everything(agent, **headers):
    """Return all that is told, as one text."""
    texts = []
    for path in PATHS:
        reply = ask(agent, path, **headers)
        assert reply.status == 200, (path, reply)
        texts.append(reply.body.decode())
    return "\n".join([*texts, *stream(agent, **headers)])


def places(text, *names):
    """Return what stands around each of `names` in a text."""
    return [
        text[max(0, found.start() - 60) : found.end() + 30]
        for found in re.finditer("|".join(names), text)
    ]


def stream(agent, count=3, **headers):
    """Return the first messages of a stream."""
    connection = http.client.HTTPConnection(*address(agent), timeout=30)
    connection.request("GET", "/api/v1/stream", headers=headers)
    reply = connection.getresponse()
    assert reply.headers["Content-Type"] == "text/event-stream"
    texts, found = [], []
    while len(found) < count:
        line = reply.readline().decode()
        texts.append(line)
        found += [line] if line.startswith("data: ") else []
    connection.close()
    return texts


def test_at_this_machine_what_is_dropped_or_hashed_is_in_no_reply(start):
    agent = private(start)
    text = everything(agent)
    assert places(text, "bedroom", "attic") == []
    assert "cellar" in text  # it must not leave this machine, and has not
    found = {one["sensor"]: one for one in told(agent, "channels")["channels"]}
    assert found["in.damp"]["is_summary"] is True
    assert found["in.damp"]["value"] is None
    assert found["in.wet"]["value"] is None
    assert found["in.plain"]["value"] == 31.0
    assert "withheld-" in text


def test_beyond_this_machine_what_is_local_is_in_none_either(start):
    agent = private(start, host="0.0.0.0", token="t")
    text = everything(agent, Authorization="Bearer t")
    assert places(text, *SECRETS, "damp") == []
    assert "in.plain" in text


WORDS = ("status", "healthy", "state", "time", "reason", "up", "http", "components", "device")


@pytest.mark.parametrize("is_here", [True, False], ids=["here", "beyond"])
def test_hidden_names_that_are_words_of_the_report_change_none_of_it(start, is_here):
    action = "drop" if is_here else "local_only"
    health = {} if is_here else {"host": "0.0.0.0", "token": "t"}
    devices = [{**SIMULATED, "name": name} for name in WORDS]
    rules = [{"pattern": name, "action": action} for name in WORDS]
    agent = start([SIMULATED, *devices], privacy={"rules": rules}, health=health)
    wait_for(lambda: agent._readings_processed > len(WORDS), "first cycle")
    headers = {} if is_here else {"Authorization": "Bearer t"}
    told = ask(agent, "/health", **headers)
    assert (told.status, told.told["status"]) == (200, "healthy")
    assert told.told["store"]["state"] == "ok"
    assert set(told.told["components"]["store"]) == {
        *("status", "reason", "since", "last_success_age_seconds")
    }
    for path in ("/metrics/prometheus", "/api/v1/devices", "/api/v1/channels"):
        assert ask(agent, path, **headers).status == 200
    found = ask(agent, "/api/v1/devices", **headers).told["devices"]
    assert {one["name"] for one in found} == {"t1", *(f"withheld-{n}" for n in range(1, 10))}
    assert {one["status"] for one in found} == {"healthy"}
    parts = {*told.told["components"]}
    assert {"store", "queue", "clock", "device/t1", "worker/edge-agent"} <= parts
    agent.store.path.unlink()
    failed = ask(agent, "/health", **headers)
    assert (failed.status, failed.told["status"]) == (503, "unhealthy")


def test_name_that_has_a_hidden_one_in_it_stays(start):
    devices = [{**SIMULATED, "name": name} for name in ("door", "doorbell", "back.door")]
    agent = start(devices, privacy={"rules": [{"pattern": "door", "action": "drop"}]})
    wait_for(lambda: agent._readings_processed >= 3, "first cycle")
    found = {one["name"] for one in told(agent, "devices")["devices"]}
    assert found == {"withheld-1", "doorbell", "back.door"}
    assert {one["sensor"] for one in told(agent, "channels")["channels"]} == {
        *("doorbell", "back.door")
    }


@pytest.mark.parametrize("action", ["drop", "hash"])
def test_device_of_one_channel_is_hidden_before_it_has_brought_anything(start, action):
    devices = [
        {**HTTP, "name": "uml ü", "endpoint": "/uml%20%C3%BC", "channel_path": ""},
        {"name": "porch", "ingest_type": "file", "path": "porch_log.csv"},
    ]
    rules = [{"pattern": name, "action": action} for name in ("uml ü", "porch")]
    agent = start([SIMULATED, *devices], privacy={"rules": rules})
    wait_for(lambda: agent._readings_processed, "first cycle")
    for path in PATHS[:5]:
        text = ask(agent, path).body.decode()
        assert places(text, r"(?<!\w)porch(?!\w)", "uml ", r"uml\\u00fc", "uml%20") == [], path


def test_port_of_a_board_that_must_not_be_known_is_not_told(start):
    port = "usb:2e8a:0005:e6614103e7452d2f"
    board = {"name": "porch", "ingest_type": "serial", "port": port}
    agent = start(
        [board],
        privacy={"rules": [{"pattern": "porch.*", "action": "local_only"}]},
        health={"host": "0.0.0.0", "token": "t"},
    )
    wait_for(lambda: agent.links[0].problem, "a look for the port")
    text = ask(agent, "/health", Authorization="Bearer t").body.decode()
    assert places(text, "e6614103e7452d2f", "porch") == []


def test_policy_of_a_reload_holds_at_once(start, write_config):
    agent = listening(start)
    post(agent, measured(1.0), measured(2.0, "salon"))
    assert "salon" in everything_of(agent)
    rules = [{"pattern": "*salon*", "action": "drop"}]
    write_config([FIELDS], privacy={"rules": rules})
    agent.reload_config()
    assert "salon" not in everything_of(agent)
    chart = ask(agent, "/api/v1/readings?points=9&sensor=in.salon")
    assert chart.status == 404


def everything_of(agent):
    return "\n".join(
        ask(agent, f"/api/v1/{name}").body.decode() for name in ("channels", "readings")
    )


# -- the stream ------------------------------------------------------------------------


def test_stream_says_hello_then_what_happens(start):
    agent = listening(start, rules=[{"name": "warm", "above": 30.0}])
    connection = http.client.HTTPConnection(*address(agent), timeout=30)
    connection.request("GET", "/api/v1/stream")
    reply = connection.getresponse()
    hello = message(reply, "hello")
    assert hello["store_id"] == agent.store.store_id
    assert abs(hello["started_ms"] - agent.clock.utc_ms()) < 600_000
    health = message(reply, "health")
    assert set(health) == {"status", "timestamp", "components", "sinks"}
    post(agent, measured(31.5))
    found = message(reply, "readings")["readings"]
    assert [(one[0], *one[2:]) for one in found] == [("in.temp", 31.5, "good")]
    assert message(reply, "event")["rule_name"] == "warm"
    connection.close()


def message(reply, kind):
    """Return the next message of a kind."""
    found = ""
    while True:
        line = reply.readline().decode()
        assert line, f"the stream ended before {kind}"
        if line.startswith("event: "):
            found = line.removeprefix("event: ").strip()
        elif line.startswith("data: ") and found == kind:
            return json.loads(line.removeprefix("data: "))


# -- what is refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("readings?limit=0", f"limit: must be a whole number from 1 to {ROWS_MAX}"),
        ("readings?limit=x", f"limit: must be a whole number from 1 to {ROWS_MAX}"),
        ("readings?limit=%31%30%30%30%31", f"limit: must be a whole number from 1 to {ROWS_MAX}"),
        ("readings?limit=1&limit=2", "limit: is given twice"),
        ("readings?points=1", f"points: must be a whole number from 2 to {POINTS_MAX}"),
        ("readings?start_ms=-1", f"start_ms: must be a whole number from 0 to {TIME_MAX_MS}"),
        ("readings?start_ms=5&end_ms=5", "end_ms: is not later than start_ms"),
        ("readings?sensor=", "sensor: must be a name"),
        ("readings?sensor=%00", "sensor: must be a name"),
        ("readings?sensor=" + "a" * 301, "sensor: must be a name"),
        ("readings?sensor=%ff", "the query is not as URLs have it, or too long"),
        ("readings?" + "&".join(f"a{n}=1" for n in range(30)), "the query is not as URLs have it"),
        ("events?sensor=a", "a parameter is unknown here; there are: start_ms, end_ms, limit"),
        ("ledger?x", "a parameter is unknown here; there are: none"),
        ("stream?x=1", "a parameter is unknown here; there are: none"),
        ("channels?limit=99999999999999999999", "limit: must be a whole number"),
    ],
)
def test_wrong_parameter_is_one_line(start, query, problem):
    line = told(start(), query, 400)["error"]
    assert line.startswith(problem)
    assert "\n" not in line


def test_store_that_is_gone_is_503_and_says_why(start):
    agent = start()
    store, agent._store = agent._store, None
    try:
        reply = ask(agent, "/api/v1/channels")
    finally:
        agent._store = store
    assert reply.status == 503
    assert reply.headers["Retry-After"] == "5"
    assert "its store is closed" in reply.told["error"]


def test_limits_are_those_of_the_description():
    assert (CHANNELS_MAX, ROWS_MAX, POINTS_MAX) == (1000, 10_000, 4000)


# -- boards ------------------------------------------------------------------------------


def test_gap_is_of_the_device_as_the_configuration_calls_it(start, tmp_path):
    rig = StoreRig(tmp_path / "edge.db")
    rig.add(3)
    lose(rig, 5)
    rig.add(3)
    rig.close()
    agent = start([{"name": "porch", "ingest_type": "serial", "port": "/dev/no"}])
    (gap,) = told(agent, "gaps")["gaps"]
    assert (gap["device"], gap["count"], gap["cause"]) == ("porch", 5, "overwritten")
    assert gap["metadata"]["item_id"].endswith("-gap-1")
    channels = told(agent, "channels")["channels"]
    assert {one["device"] for one in channels} == {"porch"}
    (device,) = told(agent, "devices")["devices"]
    assert (device["name"], device["lost_total"]) == ("porch", 5)


def test_gaps_are_the_newest_within_the_limit_oldest_first(start, tmp_path):
    rig = StoreRig(tmp_path / "edge.db")
    for count in range(1, 6):
        lose(rig, count)
        rig.clock.advance(1000)
    rig.close()
    agent = start()
    assert [one["count"] for one in told(agent, "gaps?limit=2")["gaps"]] == [4, 5]
    assert len(told(agent, "gaps")["gaps"]) == 5


def test_gap_of_a_board_that_nobody_may_know_of_is_not_told(start, tmp_path):
    rig = StoreRig(tmp_path / "edge.db")
    rig.add(3)
    lose(rig, 5)
    rig.close()
    agent = start(privacy={"rules": [{"pattern": "porch.*", "action": "drop"}]})
    assert told(agent, "gaps")["gaps"] == []


def test_stream_whose_client_has_gone_gives_its_place_back(start):
    agent = start()
    server = agent._health_server
    connection = http.client.HTTPConnection(*address(agent), timeout=30)
    connection.request("GET", "/api/v1/stream")
    response = connection.getresponse()  # held: it has the socket, and closes it when it goes
    message(response, "hello")
    assert server.connections == 1
    response.close()
    connection.close()
    wait_for(lambda: server.connections == 0, "the place")
