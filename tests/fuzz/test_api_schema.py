"""The API is as openapi.json has it, whatever is asked of it.

schemathesis makes requests out of the description, good ones and bad ones, and holds each answer
against it. Its good ones ask for things that there are not: what there is, is asked for by name,
of a store with readings good and bad, hidden ones, an event, and a gap.
"""

import http.client
import inspect
import itertools
import json
import logging
import os
import socket
import time
from contextlib import ExitStack, closing
from pathlib import Path

import jsonschema
import pytest
from host.asking import Reply, address, ask
from host.conftest import SIMULATED
from host.test_health import HEALTH
from host.test_store import info
from host.waiting import wait_for
from profiles import IS_LONG, examples
from pyv_edge_agent.dashboard.server import (
    API,
    CONNECTIONS_MAX,
    OPENAPI,
    STREAMS_MAX,
    open_server,
    serve,
)
from pyv_edge_agent.main import EdgeAgent
from pyv_edge_agent.store import SQLiteStore, WriteBatch

try:
    import requests
    import schemathesis
    from schemathesis.checks import CHECKS
    from schemathesis.config import SchemathesisConfig
except ImportError:
    schemathesis = None

HERE = json.loads(OPENAPI.read_text())
OPERATIONS = {path: methods["get"] for path, methods in HERE["paths"].items()}
STREAM = API + "stream"
DIALECT = "https://json-schema.org/draft/2020-12/schema"  # of OpenAPI 3.1
BOARD = "porch.temp"  # a sensor of before: with a gap in the middle, and some bad readings
SENSORS = ("warm", "often_bad", "hidden", "summed", BOARD)
TOKEN = "a-token-that-is-long-enough"
HALF = 150  # readings before the gap, and as many behind it
MISSING = 7
STEP_MS = 1000


def store_board(path):
    """Store what a board has sent up to now: a reading a second, one in ten bad, some missing."""
    with closing(SQLiteStore(path)) as store:
        now_ms = time.time_ns() // 1_000_000
        opened = store.open_boot(info(), now_ms)
        batch = WriteBatch()
        progress = batch.stream(opened.boot_id, 0, 0)
        for seq in (*range(HALF), *range(HALF + MISSING, 2 * HALF + MISSING)):
            at_ms = now_ms - (2 * HALF + MISSING - seq) * STEP_MS
            bad = 2 if seq % 10 == 0 else 0
            channel_id = opened.channel_ids[0]
            batch.readings.append((channel_id, opened.boot_id, 0, seq, at_ms, 2, bad, 20.5))
        progress.move(stored=HALF)
        progress.move(lost=MISSING)
        progress.move(stored=HALF)
        last = HALF + MISSING - 1
        batch.gaps.append((opened.boot_id, 0, HALF, last, "overwritten", now_ms, 0))
        store.commit(batch)


def config(**health):
    common = {**SIMULATED, "interval_seconds": 0.02, "noise_std": 1.0}
    devices = [
        {**common, "name": "warm"},
        {**common, "name": "often_bad", "dropout_probability": 0.4},
        {**common, "name": "hidden"},
        {**common, "name": "summed"},
    ]
    rules = [
        {"pattern": "hidden", "action": "mask"},
        {"pattern": "summed", "action": "aggregate_only"},
    ]
    return {
        "sensors": {"devices": devices},
        "rules": [{"name": "hot", "sensor": "warm", "above": -100, "severity": "critical"}],
        "privacy": {"rules": rules},
        "health": {"port": 0, **health},
        "storage": {"path": "edge.db", "commit_interval_ms": 50},
        "time": {"source": "trusted"},
    }


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Return a function that starts an agent; all are stopped at the end."""
    root, made = logging.getLogger(), []
    handlers, level = list(root.handlers), root.level

    def run(**health):
        folder = tmp_path_factory.mktemp("agent")
        store_board(folder / "edge.db")
        path = folder / "config.json"
        path.write_text(json.dumps(config(**health)))
        agent = EdgeAgent(str(path))
        made.append(agent)
        agent.start()
        return agent

    yield run
    for agent in made:
        agent.stop()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="module")
def agent(start):
    agent = start()

    def is_filled():
        found = ask(agent, f"{API}ledger").told, ask(agent, f"{API}events").told["events"]
        return found[1] and agent._readings_processed >= 200

    wait_for(is_filled, "readings and an event")
    return agent


def validator(schema):
    """Return what holds a document against a schema of openapi.json."""
    whole = {"$schema": DIALECT, "components": HERE["components"], **schema}
    return jsonschema.Draft202012Validator(whole)


def strict(content):
    """Return what JSON says; NaN and the like are none, though Python takes them for it."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(content, parse_constant=refuse)


def check_documented(path, reply):
    """Fail unless an answer is one that is documented of `path`; return what it says."""
    responses = OPERATIONS[path]["responses"]
    assert str(reply.status) in responses, (reply.status, reply.body[:300])
    content = responses[str(reply.status)]["content"]
    kind = reply.headers["Content-Type"].partition(";")[0]
    assert kind in content, (reply.status, kind)
    if kind != "application/json":
        return reply.body.decode()
    told = strict(reply.body)
    validator(content[kind]["schema"]).validate(told)
    return told


# -- the description ---------------------------------------------------------------------


def schemas(part, place="#"):
    """Yield (place, schema) of everything in openapi.json that is a schema."""
    if isinstance(part, dict):
        for key, inner in part.items():
            if key == "schema":
                yield f"{place}/{key}", inner
            elif key == "schemas":
                yield from ((f"{place}/{key}/{name}", one) for name, one in inner.items())
            else:
                yield from schemas(inner, f"{place}/{key}")
    elif isinstance(part, list):
        for number, inner in enumerate(part):
            yield from schemas(inner, f"{place}/{number}")


def references(part):
    if isinstance(part, dict):
        yield from ([part["$ref"]] if "$ref" in part else [])
        part = list(part.values())
    for inner in part if isinstance(part, list) else []:
        yield from references(inner)


def test_every_schema_in_openapi_json_is_one():
    found = dict(schemas(HERE))
    assert len(found) > 50
    for schema in found.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_openapi_json_refers_to_what_it_has_and_has_nothing_else():
    named = {f"#/components/schemas/{name}" for name in HERE["components"]["schemas"]}
    assert set(references(HERE)) == named


def test_every_property_that_is_required_is_described():
    for place, schema in schemas(HERE):
        required = set(schema.get("required", ()))
        assert required <= set(schema.get("properties", ())), place


def test_operation_ids_are_names_of_their_own():
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(ids)) == len(ids)
    assert all(set(methods) == {"get"} for methods in HERE["paths"].values())


def test_every_operation_of_the_api_is_described_with_its_parameters(agent):
    api = agent._health_server.RequestHandlerClass.desk.api
    described = {
        path.removeprefix(API): {one["name"]: one for one in operation.get("parameters", ())}
        for path, operation in OPERATIONS.items()
        if path.startswith(API)
    }
    assert set(described) == {*api.operations, "stream", "openapi.json"}
    for name, (operation, known) in api.operations.items():
        assert list(described[name]) == list(known), name
        defaults = {
            key: one.default
            for key, one in inspect.signature(operation).parameters.items()
            if one.default is not None
        }
        told = {key: one["schema"].get("default") for key, one in described[name].items()}
        assert {key: one for key, one in told.items() if one is not None} == defaults, name
        assert not any(one["required"] for one in described[name].values()), name


@pytest.mark.parametrize("path", [path for path in OPERATIONS if path != STREAM])
def test_every_path_that_is_described_is_served(agent, path):
    reply = ask(agent, path)
    assert reply.status == 200
    check_documented(path, reply)
    head = ask(agent, path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Type"] == reply.headers["Content-Type"]


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text", "*/*"])
@pytest.mark.parametrize("path", ["/metrics", "/metrics/prometheus"])
def test_every_form_of_the_metrics_is_described(agent, path, accept):
    reply = ask(agent, path, Accept=accept)
    check_documented(path, reply)
    if accept != "*/*":
        assert reply.headers["Content-Type"].startswith(f"{accept};")


# -- refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", OPERATIONS)
def test_refusal_of_a_host_that_is_a_name_is_described(agent, path):
    reply = ask(agent, path, Host="evil.example")
    assert reply.status == 403
    check_documented(path, reply)


@pytest.mark.parametrize("path", OPERATIONS)
def test_refusal_of_headers_that_stand_twice_is_described(agent, path):
    connection = http.client.HTTPConnection(*address(agent), timeout=30)
    with closing(connection):
        connection.putrequest("GET", path)
        connection.putheader("Host", "localhost")  # beside the one that is there
        connection.endheaders()
        reply = connection.getresponse()
        found = Reply(reply.status, dict(reply.headers), reply.read())
    assert found.status == 400
    check_documented(path, found)


@pytest.mark.parametrize("path", [path for path in OPERATIONS if path.startswith(API)])
@pytest.mark.parametrize("query", ["unknown=1", "limit=1&limit=2", "%ff=%ff", "=", "limit"])
def test_refusal_of_a_query_is_described(agent, path, query):
    if path == f"{API}openapi.json":
        return  # a file: it has no parameters, and nobody looks at any
    reply = ask(agent, f"{path}?{query}")
    assert reply.status == 400
    check_documented(path, reply)


@pytest.fixture(scope="module")
def guarded(start):
    return start(token=TOKEN)


@pytest.mark.parametrize("path", OPERATIONS)
def test_refusal_of_who_has_no_token_is_described(guarded, path):
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {TOKEN}"}):
        reply = ask(guarded, path, **headers)
        assert reply.status == 401
        assert reply.headers["WWW-Authenticate"] == "Bearer"
        check_documented(path, reply)
    if path != STREAM:
        assert ask(guarded, path, Authorization=f"Bearer {TOKEN}").status == 200


class Dormant:
    """An agent that was never started, and what serves it."""

    def __init__(self):
        self._health_server = open_server(EdgeAgent(), {**HEALTH, "port": 0}, Path())
        serve(self._health_server)

    def close(self):
        self._health_server.shutdown()
        self._health_server.server_close()


def test_refusals_of_an_agent_that_does_not_run_are_described():
    with closing(Dormant()) as dormant:
        for path in OPERATIONS:
            reply = ask(dormant, path)
            assert reply.status in (200, 503), path
            check_documented(path, reply)


def test_refusal_of_one_stream_too_many_is_described(agent):
    with ExitStack() as stack:
        for _ in range(STREAMS_MAX):
            client = stack.enter_context(socket.create_connection(address(agent), timeout=30))
            client.sendall(b"GET %s HTTP/1.0\r\n\r\n" % STREAM.encode())
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        reply = ask(agent, STREAM)
        assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
        check_documented(STREAM, reply)
    wait_for(lambda: ask(agent, STREAM, "HEAD").status == 200, "the end of a stream")


def test_refusal_of_one_connection_too_many_is_described(agent):
    server = agent._health_server
    wait_for(lambda: not server.connections, "nobody who is connected")
    with ExitStack() as stack:
        for _ in range(CONNECTIONS_MAX):
            stack.enter_context(socket.create_connection(address(agent), timeout=30))
        wait_for(lambda: server.is_full, "as many connections as there may be")
        reply = ask(agent, "/livez")
        assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
        check_documented("/livez", reply)
    wait_for(lambda: not server.connections, "the end of connections")


# -- what there is -----------------------------------------------------------------------


def get(agent, operation, **query):
    """Return the reply to a request for what there is; None is left out."""
    given = [f"{name}={value}" for name, value in query.items() if value is not None]
    path = f"{API}{operation}"
    reply = ask(agent, f"{path}?{'&'.join(given)}")
    check_documented(path, reply)
    return reply


def test_channels_are_as_described_whatever_may_be_known_of_them(agent):
    found = {one["sensor"]: one for one in get(agent, "channels").told["channels"]}
    assert set(SENSORS) <= set(found)
    assert isinstance(found["warm"]["value"], float)
    assert (found["hidden"]["value"], found["hidden"]["quality"]) == (None, "bad")
    assert (found["summed"]["is_summary"], found["summed"]["time_ms"]) == (True, None)
    assert get(agent, "channels", device="warm").told["channels"][0]["device"] == "warm"
    assert get(agent, "channels", device="nobody", limit=1).told["channels"] == []
    assert get(agent, "channels", limit=1).told["is_complete"] is False


@pytest.mark.parametrize("sensor", [*SENSORS, None, "*"])
@pytest.mark.parametrize("limit", [None, 1, 10_000])
def test_readings_are_as_described(agent, sensor, limit):
    told = get(agent, "readings", sensor=sensor, limit=limit).told
    assert bool(told["readings"]) == (sensor not in ("summed", "*"))  # a name, no pattern
    if sensor in ("often_bad", None) and limit != 1:
        assert {one["metadata"]["quality"] for one in told["readings"]} == {"good", "bad"}
    if sensor == BOARD and limit is None:
        assert len(told["readings"]) == 2 * HALF


SPANS = [(0, 0), (1000, 0), (60_000, 0), (3_600_000, 0), (86_400_000, 3_600_000), (10**12, 0)]


@pytest.mark.parametrize("sensor", SENSORS)
@pytest.mark.parametrize(("before_ms", "until_ms"), SPANS)
@pytest.mark.parametrize("points", [2, 100, 4000])
def test_charts_are_as_described(agent, sensor, before_ms, until_ms, points):
    query = {}
    if before_ms:
        now_ms = agent.clock.utc_ms()
        query = {"start_ms": now_ms - before_ms, "end_ms": now_ms - until_ms}
    told = get(agent, "readings", sensor=sensor, points=points, **query).told
    lists = [told[name] for name in ("times_ms", "mean", "min", "max", "count", "bad")]
    assert len(set(map(len, lists))) == 1
    assert told["times_ms"] == sorted(set(told["times_ms"])) or told["bucket_ms"] == 0
    if (sensor, points) == (BOARD, 4000) and before_ms == 3_600_000:
        (hole,) = [hole for hole in told["holes"] if hole["causes"]]
        assert (hole["lost"], hole["causes"]) == (MISSING, ["overwritten"])


def test_events_and_gaps_and_what_the_ledger_says_are_as_described(agent):
    (event,) = get(agent, "events").told["events"]
    assert (event["rule_name"], event["severity"]) == ("hot", "critical")
    (gap,) = get(agent, "gaps").told["gaps"]
    assert (gap["count"], gap["cause"]) == (MISSING, "overwritten")
    for name in ("events", "gaps"):
        assert get(agent, name, start_ms=0, end_ms=1).told[name] == []
        assert len(get(agent, name, limit=1).told[name]) == 1
    ledger = get(agent, "ledger").told
    assert ledger["balanced"] is True
    assert ledger["lost"] == MISSING


TIMES = (None, 0, 1, 4_102_444_799_999, 4_102_444_800_000)


@pytest.mark.parametrize("operation", ["readings", "events", "gaps"])
@pytest.mark.parametrize(("start_ms", "end_ms"), list(itertools.product(TIMES, TIMES)))
def test_any_two_times_are_answered_or_refused(agent, operation, start_ms, end_ms):
    reply = get(agent, operation, start_ms=start_ms, end_ms=end_ms)
    if None not in (start_ms, end_ms):
        assert reply.status == (200 if start_ms < end_ms else 400)


@pytest.mark.parametrize("sensor", [BOARD, "nobody", None])
def test_chart_of_no_sensor_or_of_one_that_is_not_there_is_refused(agent, sensor):
    reply = get(agent, "readings", sensor=sensor, points=10)
    assert reply.status == {BOARD: 200, "nobody": 404, None: 400}[sensor]


# -- the stream --------------------------------------------------------------------------

STREAMED = {
    "hello": {
        "version": {"type": "string"},
        "started_ms": {"type": "integer"},
        "store_id": {"type": "string"},
    },
    "health": {
        "status": {"enum": ["healthy", "degraded", "unhealthy"]},
        "timestamp": {"type": "number"},
        "components": HERE["components"]["schemas"]["Health"]["properties"]["components"],
        "sinks": {"type": "object"},
    },
    "readings": {
        "time_ms": {"type": "integer"},
        "readings": {
            "type": "array",
            "minItems": 1,
            "items": {
                "prefixItems": [
                    {"type": "string"},
                    {"type": "integer"},
                    {"type": ["number", "null"]},
                    {"enum": ["good", "uncertain", "bad"]},
                ],
                "minItems": 4,
                "maxItems": 4,
            },
        },
    },
}


def messages(reply):
    """Yield (kind, what it tells) of a stream as server-sent events have it, until it ends."""
    kind, data = "message", []
    for line in iter(reply.readline, b""):
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif not name and data:
            yield kind, strict("\n".join(data))
            kind, data = "message", []
        else:
            assert name in ("", "retry"), line


def test_stream_begins_with_hello_and_health_and_goes_on_with_readings(agent):
    with closing(http.client.HTTPConnection(*address(agent), timeout=30)) as connection:
        connection.request("GET", STREAM, headers={"Accept": "text/event-stream"})
        reply = connection.getresponse()
        assert reply.status == 200
        kind = reply.headers["Content-Type"].partition(";")[0]
        assert list(OPERATIONS[STREAM]["responses"]["200"]["content"]) == [kind]
        assert reply.headers["Content-Length"] is None
        assert reply.headers["Cache-Control"] == "no-store"
        found = list(itertools.islice(messages(reply), 12))
    assert [kind for kind, _ in found[:2]] == ["hello", "health"]
    assert {kind for kind, _ in found} == set(STREAMED)
    sensors = set()
    for kind, told in found:
        shape = {"properties": STREAMED[kind], "required": list(STREAMED[kind])}
        validator({"type": "object", **shape, "additionalProperties": False}).validate(told)
        if kind == "readings":
            sensors |= {(name, quality == "bad") for name, _, _, quality in told["readings"]}
            assert all(
                (value is None) == (quality == "bad") for _, _, value, quality in told["readings"]
            )
    assert {("warm", False), ("hidden", True)} <= sensors
    assert "summed" not in {name for name, _ in sensors}


def test_head_of_a_stream_is_all_that_its_head_asks_for(agent):
    reply = ask(agent, STREAM, "HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["Content-Type"] == "text/event-stream"


# -- whatever schemathesis asks ----------------------------------------------------------


def contradictory(query, now_ms):
    """Return whether a query is refused for what no schema can say: of two parameters."""
    query = query or {}
    start_ms, end_ms = (int(query.get(name, now_ms)) for name in ("start_ms", "end_ms"))
    return start_ms >= end_ms or ("points" in query and "sensor" not in query)


if schemathesis is None:

    def test_every_answer_is_one_that_is_described():
        if os.environ.get("CI"):
            pytest.fail("no schemathesis: pip install '.[dev]'")
        pytest.skip("no schemathesis: pip install '.[dev]'")

else:
    # No file of settings, and the same requests each time: unless a long run wants new ones.
    SCHEMA = schemathesis.openapi.from_dict(
        HERE, config=SchemathesisConfig(seed=None if IS_LONG else 7)
    )

    def test_openapi_json_is_openapi():
        SCHEMA.validate()

    @examples(25)
    @SCHEMA.exclude(path=STREAM).parametrize()
    def test_every_answer_is_one_that_is_described(case, agent):
        def strict_json(_, response, __):
            if response.content and "json" in response.headers["content-type"][0]:
                strict(response.content)

        excluded = []
        if case.meta.generation.mode.is_positive and contradictory(
            case.query, agent.clock.utc_ms()
        ):
            excluded.append(CHECKS.get_one("positive_data_acceptance"))
        with requests.Session() as session:  # one a case: none is closed while it is asked
            session.trust_env = False  # no proxy
            case.call_and_validate(
                base_url="http://%s:%d" % address(agent),
                session=session,
                additional_checks=[strict_json],
                excluded_checks=excluded,
            )
