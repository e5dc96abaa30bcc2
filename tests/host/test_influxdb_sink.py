"""InfluxDBSink against a real InfluxDB 1.x, and a server that answers as a test wants."""

import gzip

import pytest
import requests
from host.deliveries import ITEMS, reading, readings
from host.processes import influxd
from host.servers import recording
from pyv_edge_agent.sinks.delivery import (
    ACCEPTED,
    FAILED,
    REFUSED,
    THROTTLED,
    TOO_LARGE,
    UNAUTHORISED,
)
from pyv_edge_agent.sinks.influxdb import InfluxDBOptions, InfluxDBSink


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    made = influxd(tmp_path_factory.mktemp("influx"))
    yield made
    made.stop()


@pytest.fixture
def sinks():
    made = []

    def make(port, **options):
        options = {"url": f"http://127.0.0.1:{port}", "version": 1, "database": "edge", **options}
        made.append(InfluxDBSink(InfluxDBOptions(**options)))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


def query(port, text):
    reply = requests.get(
        f"http://127.0.0.1:{port}/query",
        params={"db": "edge", "q": text, "epoch": "ns"},
        timeout=20,
    ).json()
    series = reply["results"][0].get("series", [])
    return (
        [dict(zip(series[0]["columns"], row, strict=True)) for row in series[0]["values"]]
        if (series)
        else []
    )


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "gzip"])
def test_readings_are_points(database, sinks, is_compressed):
    name = f"m{is_compressed:d}"
    sent = [*readings(0, 100), reading(100, None)]
    sink = sinks(database.port, measurement=name, is_compressed=is_compressed)
    assert sink.deliver("k", sent).is_accepted
    rows = query(database.port, f'SELECT * FROM "{name}"')
    assert [row["seq"] for row in rows] == list(range(101))
    assert rows[0]["value"] == 21.5
    assert rows[100]["value"] is None
    assert rows[100]["quality"] == "bad"
    assert {row["device"] for row in rows} == {"board-1"}
    assert rows[7]["time"] == round(sent[7]["timestamp"] * 1000) * 1_000_000 + 7


def test_batch_that_is_sent_again_changes_nothing(database, sinks):
    sink = sinks(database.port, measurement="again")
    for _ in range(3):
        assert sink.deliver("k", readings(0, 50)).is_accepted
    assert query(database.port, 'SELECT count(seq) FROM "again"')[0]["count"] == 50


def test_readings_of_one_millisecond_stay_apart(database, sinks):
    sent = readings(0, 5)
    for one in sent:
        one["timestamp"] = sent[0]["timestamp"]
    assert sinks(database.port, measurement="burst").deliver("k", sent).is_accepted
    assert query(database.port, 'SELECT count(value) FROM "burst"')[0]["count"] == 5


def test_each_kind_of_item_has_a_measurement(database, sinks):
    assert sinks(database.port, measurement="kind").deliver("k", ITEMS).is_accepted
    (event,) = query(database.port, 'SELECT * FROM "kind_events"')
    assert (event["rule"], event["message"]) == ("hot", 'porch.temp is "31.5", Cel')
    (gap,) = query(database.port, 'SELECT * FROM "kind_gaps"')
    assert (gap["count"], gap["cause"]) == (5, "overwritten")
    (summary,) = query(database.port, 'SELECT * FROM "kind_summaries"')
    assert (summary["mean"], summary["period"]) == (1.5, "60s")
    (other,) = query(database.port, 'SELECT * FROM "kind_items"')
    assert '"audit_checkpoint"' in other["json"]


def test_names_are_taken_as_they_are(database, sinks):
    name = 'a b,c=d"e\\'
    sent = [reading(0, device=name, channel="x\\y z")]
    assert sinks(database.port, measurement="odd, name").deliver("k", sent).is_accepted
    (row,) = query(database.port, 'SELECT * FROM "odd, name"')
    assert row["device"] == name.rstrip("\\")
    assert row["channel"] == "x\\y z"


def test_database_that_is_not_there_is_named(database, sinks):
    delivery = sinks(database.port, database="nowhere").deliver("k", readings(0, 1))
    assert delivery.outcome == FAILED
    assert 'database not found: \\"nowhere\\"' in delivery.problem


def test_server_that_is_not_there(sinks):
    delivery = sinks(1).deliver("k", readings(0, 1))
    assert delivery.outcome == FAILED


def test_version_2_is_asked_with_its_token(sinks):
    options = {"version": 2, "org": "me & you", "bucket": "b/1", "token": "s3cret"}
    with recording(204) as (port, asked):
        sink = sinks(port, is_compressed=True, **options)
        assert sink.deliver("k", readings(0, 1)).is_accepted
    ((path, headers, body),) = asked
    assert path == "/api/v2/write?org=me+%26+you&bucket=b%2F1&precision=ns"
    assert headers["Authorization"] == "Token s3cret"
    assert gzip.decompress(body).startswith(b"pyvorin,boot=0000abcd,channel=temp,device=board-1")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, REFUSED),
        (401, UNAUTHORISED),
        (403, UNAUTHORISED),
        (413, TOO_LARGE),
        (422, REFUSED),
        (429, THROTTLED),
        (503, THROTTLED),
        (500, FAILED),
        (302, FAILED),
    ],
)
def test_answer_that_is_none(sinks, status, outcome):
    with recording(status, [("Retry-After", "7")]) as (port, _):
        sink = sinks(port, url=f"http://me:hunter2@127.0.0.1:{port}")
        delivery = sink.deliver("k", readings(0, 1))
    assert delivery.outcome == outcome
    assert delivery.retry_after_s == 7.0
    assert "hunter2" not in delivery.problem + sink.shown


def test_probe_writes_nothing(database, sinks):
    sink = sinks(database.port, measurement="probed")
    assert sink.probe().is_accepted
    assert query(database.port, 'SELECT * FROM "probed"') == []
    missing = sinks(database.port, database="none").probe()
    assert (missing.outcome, "database not found" in missing.problem) == (FAILED, True)


@pytest.mark.parametrize(
    ("status", "reply", "outcome"),
    [
        (400, b'{"code":"invalid","message":"writing requires points"}', ACCEPTED),
        (400, b'{"code":"invalid","message":"something else"}', REFUSED),
        (401, b'{"code":"unauthorized","message":"unauthorized access"}', UNAUTHORISED),
        (404, b'{"code":"not found","message":"bucket \\"b\\" not found"}', FAILED),
    ],
)
def test_probe_of_version_2_is_told_by_what_it_says_of_nothing(sinks, status, reply, outcome):
    options = {"version": 2, "org": "o", "bucket": "b", "token": "t"}
    with recording(status, reply=reply) as (port, asked):
        assert sinks(port, **options).probe().outcome == outcome
    assert [body for _, _, body in asked] == [b""]
