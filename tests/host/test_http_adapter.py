"""The HTTP adapter that receives: what is answered is stored, and nothing else gets through."""

import gzip
import http.client
import io
import json
import socket
import sqlite3
import ssl
import threading
import tracemalloc

import pytest
from host.fakes import FakeClock
from host.http_rig import (
    TIME,
    Slow,
    ask,
    chunked,
    committing,
    device,
    head,
    raw,
    read_all,
    reading,
    statuses,
)
from host.processes import certificates, free_port
from host.waiting import run_with_deadline, wait_for
from pyv_edge_agent.adapters.http_body import RefusalError, read_body
from pyv_edge_agent.adapters.http_listener import LEFT_MS, Listeners
from pyv_edge_agent.adapters.http_receive import HTTPAdapter
from pyv_edge_agent.adapters.rate_limit import BURST_S, RateLimit
from pyv_edge_agent.boots import CHANNELS_MAX
from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import AdapterError, ConfigError
from pyv_edge_agent.submission import SAMPLES_MAX

SECRET = "marker-47114711"
NDJSON, SENML = "application/x-ndjson", "application/senml+json"


class Site:
    """An agent with endpoints that take readings."""

    def __init__(self, agent, names):
        self.agent = agent
        self.path = agent._config.store_path
        for name in names:
            wait_for(lambda name=name: self.status(name)["is_connected"], "the listener")

    def status(self, name="up"):
        return self.agent._adapters[name].status()

    @property
    def port(self):
        return self.status()["listener"]["port"]

    @property
    def feed(self):
        return next(iter(self.agent._devices._all.values())).feed

    def ask(self, *args, **options):
        return ask(self.port, *args, **options)

    def stored(self):
        """Return (sensor, value) of what is committed, as another process sees it."""
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute("SELECT sensor, value FROM readings ORDER BY id").fetchall()
        finally:
            connection.close()

    def refuse_commits(self, is_refused):
        self.agent._store._writer.execute(f"PRAGMA query_only = {'ON' if is_refused else 'OFF'}")


@pytest.fixture
def start(agents, write_config):
    def run(*tables, **settings):
        tables = tables or ({"name": "up", **settings},)
        devices = [{"ingest_type": "http", "port": 0, **table} for table in tables]
        storage = {"path": "edge.db", "commit_interval_ms": 10}
        agent = agents(write_config(devices, storage=storage))
        agent.start()
        return Site(agent, [table["name"] for table in tables if "ingest_type" not in table])

    return run


@pytest.fixture
def slow(tmp_path):
    made = []

    def make(**settings):
        made.append(Slow(tmp_path / "edge.db", **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


# -- what it takes -----------------------------------------------------------------


LINES = b'{"sensor_name": "temp", "timestamp": "2026-05-28T20:26:40Z", "value": 1.5}\n\n' + (
    json.dumps(reading(2.5)).encode() + b"\n"
)
PACK = [
    {"bn": "urn:dev:ops:porch:", "bt": TIME, "bu": "Cel", "n": "temp", "v": 1.5},
    {"n": "temp", "t": 1, "v": 2.5},
    {"n": "temp:quality", "t": 2, "vs": "bad"},
]
ENVELOPE = {"batch_id": "pyv-1", "timestamp": TIME, "count": 2, "items": [reading(), reading(2.5)]}
FORMS = {
    "one": (reading(), {}, [("up.temp", 1.5)]),
    "list": ([reading(), reading(2.5)], {}, [("up.temp", 1.5), ("up.temp", 2.5)]),
    "envelope": (ENVELOPE, {}, [("up.temp", 1.5), ("up.temp", 2.5)]),
    "lines": (LINES, {"Content_Type": NDJSON}, [("up.temp", 1.5), ("up.temp", 2.5)]),
    "lines called JSON": (LINES, {}, [("up.temp", 1.5), ("up.temp", 2.5)]),
    "senml": (
        PACK,
        {"Content_Type": SENML},
        [("up.urn:dev:ops:porch:temp", value) for value in (1.5, 2.5, None)],
    ),
    "gzip": (
        gzip.compress(json.dumps([reading()]).encode()),
        {"Content_Encoding": "gzip"},
        [("up.temp", 1.5)],
    ),
    "charset": (
        reading(),
        {"Content_Type": "Application/JSON; charset=utf-8"},
        [("up.temp", 1.5)],
    ),
    "members": (
        gzip.compress(json.dumps(reading()).encode() + b"\n")
        + gzip.compress(json.dumps(reading(2.5)).encode()),
        {"Content_Encoding": "gzip", "Content_Type": NDJSON},
        [("up.temp", 1.5), ("up.temp", 2.5)],
    ),
    "no batch_id": ({"items": [reading()]}, {}, [("up.temp", 1.5)]),
    "nothing": ([], {}, []),
    "no items": ({"items": []}, {}, []),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_in_which_readings_come(start, form):
    body, headers, wanted = FORMS[form]
    site = start()
    answer = site.ask(body, **headers)
    assert answer[:2] == (200, {"accepted": len(wanted), "duplicate": False})
    assert site.stored() == wanted  # by now, not soon


def test_body_in_chunks(start):
    site = start()
    body = json.dumps(reading()).encode()
    request = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    sent = request.replace(b"Host: x", b"Host: x\r\nConnection: close")
    answer = raw(site.port, sent, chunked(body[:7], body[7:]), is_half_closed=False)
    assert statuses(answer) == [200]
    assert site.stored() == [("up.temp", 1.5)]


def test_mapping_finds_channels_times_and_quality_of_ones_own(start):
    site = start(
        items_path="list",
        channel_path="",
        time_path="when",
        quality_path="q",
        fields={"t": "main.temp", "h": "main.hum"},
    )
    one = {"when": TIME, "main": {"temp": 20, "hum": "40.5"}}
    assert site.ask({"list": [one, {**one, "q": "bad"}]}).body["accepted"] == 4
    assert site.stored() == [("up.t", 20.0), ("up.h", 40.5), ("up.t", None), ("up.h", None)]


def test_requests_on_one_connection(start):
    site = start()
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    for body, status in ((reading(), 200), ({"no": 1}, 422), (b"{", 400), (reading(2.0), 200)):
        assert ask(site.port, body, connection=connection).status == status
        used = connection.sock
        assert used is not None, "the connection was closed"
    connection.close()
    assert [value for _, value in site.stored()] == [1.5, 2.0]


def test_client_of_http_1_0_and_one_that_asks_before_it_sends(start):
    site = start()
    body = json.dumps(reading()).encode()
    old = head(len(body)).replace(b"HTTP/1.1", b"HTTP/1.0")
    assert statuses(raw(site.port, old, body, is_half_closed=False)) == [200]
    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as connection:
        connection.sendall(head(len(body), Expect="100-continue", Connection="close"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert statuses(read_all(connection)) == [200]


# -- known again -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers"), [(reading(), {"Idempotency_Key": "k-1"}), (ENVELOPE, {})]
)
def test_same_key_is_stored_once_also_by_the_next_agent(start, body, headers):
    site = start()
    count = site.ask(body, **headers).body["accepted"]
    again = {"accepted": count, "duplicate": True}
    assert site.ask(body, **headers).body == again
    site.agent.stop()
    site = start()
    assert site.ask(body, **headers).body == again
    assert len(site.stored()) == count
    assert site.status()["duplicates_total"] == 1
    assert site.feed.known_total == count


def test_key_counts_and_not_what_is_sent_under_it(start):
    site = start()
    site.ask(reading(1.0), Idempotency_Key="k")
    assert site.ask(reading(2.0), Idempotency_Key="k").body["duplicate"] is True
    assert site.ask({**ENVELOPE, "batch_id": "k"}).body["duplicate"] is True
    assert site.ask({**ENVELOPE, "batch_id": "k"}, Idempotency_Key="l").body["duplicate"] is False
    assert [value for _, value in site.stored()] == [1.0, 1.5, 2.5]


def test_keys_of_two_endpoints_are_two(start):
    site = start({"name": "up"}, {"name": "other", "endpoint": "/other"})
    for path in ("/ingest", "/other"):
        assert site.ask(reading(), path, Idempotency_Key="k").body["duplicate"] is False
    assert site.stored() == [("up.temp", 1.5), ("other.temp", 1.5)]


def test_what_was_not_stored_in_time_may_be_later_and_is_known_then(slow):
    site = slow(timeout_seconds=0.2)
    answer = ask(site.port, reading(), Idempotency_Key="k")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    site.ingest.run()
    assert len(site.seen()) == 1
    with committing(site):
        assert ask(site.port, reading(), Idempotency_Key="k").body["duplicate"] is True
    assert len(site.seen()) == 1


def test_commit_that_fails_is_503_and_nothing_is_lost_when_there_is_room_again(start, log):
    site = start(timeout_seconds=0.3)
    assert site.ask(reading(1.0)).status == 200
    site.refuse_commits(True)
    assert site.ask(reading(2.0), Idempotency_Key="k").status == 503
    site.refuse_commits(False)
    wait_for(lambda: site.ask(reading(2.0), Idempotency_Key="k").status == 200, "room")
    assert [value for _, value in site.stored()] == [1.0, 2.0]


def test_agent_that_stops_answers_what_it_can_not_store(start):
    site = start(timeout_seconds=60)
    site.ask(reading(1.0))
    port, answers = site.port, []
    site.refuse_commits(True)
    sender = threading.Thread(target=lambda: answers.append(ask(port, reading(2.0))))
    sender.start()
    wait_for(lambda: site.feed.submitted_total == 2, "the second reading")
    site.agent.stop()
    sender.join(20)
    assert [answer.status for answer in answers] == [503]
    with pytest.raises(ConnectionRefusedError):
        ask(port, reading())


def test_agent_that_stops_stores_what_it_has_taken(slow):
    site = slow(timeout_seconds=60)
    answers = []
    sender = threading.Thread(target=lambda: answers.append(ask(site.port, reading())))
    sender.start()
    wait_for(lambda: site.feed.submitted_total, "the reading")
    site.ingest.end()
    sender.join(20)
    assert answers[0][:2] == (200, {"accepted": 1, "duplicate": False})
    assert ask(site.port, reading()).status == 503


# -- what it doesn't take ----------------------------------------------------------


def without(key):
    return {name: one for name, one in reading(SECRET).items() if name != key}


REFUSED = [
    (without("value"), {}, 422, "value is missing"),
    (without("timestamp"), {}, 422, "timestamp is missing; the device's time_path"),
    ([reading(), without("sensor_name")], {}, 422, "[1]: sensor_name is missing"),
    (reading(SECRET), {}, 422, "value is no number"),
    (reading(None), {}, 422, "value is null"),
    (reading(True), {}, 422, "value is a truth value"),
    (reading(10**400), {}, 422, "value is beyond all floats"),
    (b'{"sensor_name": "t", "timestamp": 1780000000, "value": NaN}', {}, 422, "not finite"),
    (reading(timestamp=SECRET), {}, 422, "timestamp is no time"),
    (reading(timestamp=47114711), {}, 422, "the time is outside of 2000 to 2100"),
    (reading(name="x" * 101), {}, 422, "longer than 100"),
    (reading(metadata={"quality": SECRET}), {}, 422, "metadata.quality is none of good"),
    ([[]], {}, 422, "[0]: timestamp is missing"),
    ("text", {}, 422, "timestamp is missing"),
    ({**ENVELOPE, "count": 47114711}, {}, 422, "count is not how many items there are: 2"),
    ({**ENVELOPE, "items": [reading(), None]} | {"count": 2}, {}, 422, "items[1]: timestamp is"),
    ({**ENVELOPE, "batch_id": 47114711}, {}, 422, "batch_id must be a text"),
    ({**ENVELOPE, "batch_id": ""}, {}, 400, "batch_id must have 1 to 255"),
    (reading(), {"Idempotency_Key": "x" * 256}, 400, "Idempotency-Key must have 1 to 255"),
    (b'{"value": "' + SECRET.encode(), {}, 400, "no JSON at character"),
    (b'\xff\xfe"', {}, 400, "no JSON"),
    (b"", {}, 400, "no JSON"),
    (b"[" * 100_000, {}, 400, "nested too deep"),
    (b'{"value": 1, "value": 2}', {}, 400, "one key stands twice in its table"),
    (b"{}\nx\n", {"Content_Type": NDJSON}, 422, "line 1: timestamp is missing"),
    (json.dumps(reading()).encode() + b"\nx", {}, 422, "line 2: is no JSON"),
    ({"v": 1}, {"Content_Type": SENML}, 422, "a SenML pack must be a list"),
    ([{"n": "a", "vs": SECRET}], {"Content_Type": SENML}, 422, "[0]: vs is no number"),
    ([{"v": 1}], {"Content_Type": SENML}, 422, "[0]: has no name"),
    ([{"n": "a", "v": 1, "x_": 1}], {"Content_Type": SENML}, 422, "must be understood"),
    ([{"n": "a", "v": 1, "bver": 11}], {"Content_Type": SENML}, 422, "bver is above 10"),
    ([{"n": "a", "v": 1, "t": 1e300}], {"Content_Type": SENML}, 422, "t is no time"),
    ([{"n": "a", "v": 1e308, "bv": 1e308}], {"Content_Type": SENML}, 422, "together is not"),
    (reading(), {"Content_Type": "text/plain"}, 415, "Content-Type must be"),
    (reading(), {"Content_Type": None}, 415, "Content-Type must be"),
    (reading(), {"Content_Encoding": "br"}, 415, "only gzip"),
    (reading(), {"Content_Encoding": "gzip"}, 400, "not gzip"),
    (gzip.compress(b"[]") + b"more", {"Content_Encoding": "gzip"}, 400, "more behind it"),
    (gzip.compress(b"[]")[:-4], {"Content_Encoding": "gzip"}, 400, "breaks off"),
    (gzip.compress(b"") * 1001, {"Content_Encoding": "gzip"}, 400, "more behind it"),
    (gzip.compress(bytes(5_000_000)), {"Content_Encoding": "gzip"}, 413, "longer than 1048576"),
    (b" " * 1_048_577, {}, 413, "longer than 1048576"),
    ([reading()] * (SAMPLES_MAX + 1), {}, 413, "more than 10000 readings"),
    (reading(), {"Content_Length": "x"}, 400, "Content-Length is no size"),
    (reading(), {"Content_Length": "-1"}, 400, "Content-Length is no size"),
    (None, {"Transfer_Encoding": "gzip"}, 411, "only chunked"),
]


@pytest.mark.parametrize(
    ("body", "headers", "status", "problem"), REFUSED, ids=[f"{r[2]} {r[3]}" for r in REFUSED]
)
def test_what_is_refused_says_why_and_leaves_nothing(start, log, body, headers, status, problem):
    site = start()
    answer = site.ask(body, **headers)
    assert answer.status == status
    assert problem in json.dumps(answer.body)
    for told in (json.dumps(answer.body), log.whole()):
        assert SECRET not in told
        assert "47114711" not in told
    assert site.ask(reading(7.0)).status == 200, "it goes on"
    assert site.stored() == [("up.temp", 7.0)]
    assert site.status()["answers_total"][str(status)] == 1


def test_all_faults_are_counted_and_the_first_few_are_named(start):
    answer = start().ask([reading()] + [{}] * 8)
    assert answer.body["fault_count"] == 8
    assert [one.split(":")[0] for one in answer.body["faults"]] == [f"[{n}]" for n in range(1, 6)]


def test_more_channels_than_a_device_may_have_are_refused_by_the_store(start):
    site = start()
    answer = site.ask([reading(name=f"c{number}") for number in range(CHANNELS_MAX + 1)])
    assert answer.status == 422
    assert f"more than {CHANNELS_MAX} channels" in answer.body["faults"][0]
    assert site.stored() == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_told_what_this_is(start, method):
    answer = start().ask(method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert method == "HEAD" or "POST them to /ingest" in answer.body["error"]


def test_other_paths_are_not_there(start):
    site = start()
    for path in ("/", "/ingest/", "/other", "//ingest/../x", "/health"):
        assert site.ask(reading(), path).status == 404
    assert site.ask(reading(), "/ingest?from=here").status == 200
    assert site.status()["listener"]["answers_total"] == {"200": 1, "404": 5}


# -- who may -----------------------------------------------------------------------


def test_token_is_asked_for_before_anything_is_read(start):
    site = start(token="t0ken")
    for sent in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic t0ken"}):
        # A body of which nothing comes is not waited for.
        answer = raw(site.port, head(1000, **sent), is_half_closed=False)
        assert statuses(answer) == [401]
        assert b"WWW-Authenticate: Bearer" in answer
    expecting = head(1000, Expect="100-continue", Authorization="Bearer t0kem")
    assert statuses(raw(site.port, expecting, is_half_closed=False)) == [401]
    assert site.ask(reading(), Authorization="bearer t0ken").status == 200
    assert site.ask(reading(), Authorization="Bearer t\xf6ken").status == 401
    assert site.feed.rejected_total == 5


def test_nothing_listens_beyond_loopback_without_a_token():
    def problems(**settings):
        one = {"name": "up", "ingest_type": "http", **settings}
        with pytest.raises(ConfigError) as caught:
            Config({"sensors": {"devices": [one]}})
        return caught.value.problems

    for host in ("0.0.0.0", "::", "192.168.1.2", "gateway.local"):
        assert "token: is missing" in problems(host=host)[0]
        with pytest.raises(AdapterError, match="not loopback"):
            HTTPAdapter().start_server(host, 0)
    assert "must be ASCII" in problems(token="t\xf6ken")[0]
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        Config({"sensors": {"devices": [{"name": "u", "ingest_type": "http", "host": host}]}})


def test_tls(start, tmp_path, log):
    ca, cert, key, other = certificates(tmp_path / "tls")
    site = start(cert_file=str(cert), key_file=str(key))

    def connect(trusted):
        context = ssl.create_default_context(cafile=trusted)
        return http.client.HTTPSConnection("127.0.0.1", site.port, timeout=30, context=context)

    with pytest.raises(ssl.SSLCertVerificationError):
        ask(site.port, reading(), connection=connect(other))
    assert statuses(raw(site.port, head(2), b"{}")) == []  # plain HTTP
    good = connect(ca)
    assert ask(site.port, reading(), connection=good).status == 200
    assert ask(site.port, b" " * 1_048_577, connection=good).status == 413
    good.close()
    assert site.status()["listener"]["failed_total"] == 2
    assert site.status()["url"].startswith("https://")


def test_certificate_that_is_none_is_told_and_tried_again(start, tmp_path, log):
    (tmp_path / "cert.pem").write_text("none")
    site = start({"name": "up", "cert_file": "cert.pem", "ingest_type": "http"})
    wait_for(lambda: site.status()["failures_total"], "an attempt")
    assert site.agent.is_running
    assert site.status()["state"] == "waiting for its port"
    assert "cert_file or key_file can't be used" in site.status()["connection_problem"]
    _, cert, key, _ = certificates(tmp_path / "tls")
    (tmp_path / "cert.pem").write_bytes(cert.read_bytes() + key.read_bytes())
    wait_for(lambda: site.status()["is_connected"], "the certificate")


# -- limits ------------------------------------------------------------------------


def test_length_that_is_too_much_is_refused_before_it_comes(start):
    site = start()
    told = raw(site.port, head(10**12, Expect="100-continue"), is_half_closed=False)
    assert statuses(told) == [413]
    assert b"100 Continue" not in told


def test_body_that_unpacks_to_much_takes_no_memory():
    packed = gzip.compress(bytes(100_000_000))
    headers = {"Content-Length": str(len(packed)), "Content-Encoding": "gzip"}
    tracemalloc.start()
    try:
        with pytest.raises(RefusalError, match="413"):
            read_body(io.BytesIO(packed), headers, 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_body_in_chunks_has_the_same_limits(start):
    site = start(body_max_kb=1)
    request = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    for body, status in (
        (chunked(b" " * 600, b" " * 600), 413),
        (b"fffffff\r\n", 413),
        (b"1;" + b"x" * 200 + b"\r\n \r\n" * 20, 400),
        ((b"1;" + b"x" * 200 + b"\r\n \r\n") * 20, 413),
        (b"x\r\n", 400),
        (b"1\r\n  \r\n", 400),
        (b"", 400),
        (b"0\r\n" + b"a: b\r\n" * 30, 400),
    ):
        assert statuses(raw(site.port, request, body)) == [status], body
    both = request.replace(b"Host: x", b"Content-Length: 5")
    assert statuses(raw(site.port, both, chunked(b"[]"))) == [400]
    assert site.stored() == []


def test_head_that_is_none_or_too_long_is_refused(start):
    site = start()
    port = site.port
    for request, status in (
        (b"POST /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"POST /ingest HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
        (b"POST /ingest HTTP/1.1\r\na: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"POST /ingest HTTP/1.1\r\n" + (b"a: " + b"x" * 9000 + b"\r\n") * 20, 431),
        (b"POST /ingest HTTP/2.0\r\n\r\n", 505),
        (b"POST /ingest\r\n\r\n", 400),
        (b"POST /ingest HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (head(2).replace(b"Host: x", b"Content-Length: 2") + b"[]", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
        (b"\xff\xfe \r\n\r\n", 400),
    ):
        assert statuses(raw(port, request)) == [status], request[:60]
    assert site.ask(reading()).status == 200


def test_half_a_request_leaves_nothing_and_holds_nothing(start):
    site = start()
    whole = head(500) + json.dumps(reading()).encode()
    for size in (1, 10, len(head(500)) - 1, len(head(500)), len(whole)):
        assert set(statuses(raw(site.port, whole[:size]))) <= {400, 411}
        with socket.create_connection(("127.0.0.1", site.port), timeout=30) as connection:
            connection.sendall(whole[:size])
    wait_for(lambda: site.status()["listener"]["connections"] == 0, "no connections")
    assert site.stored() == []


@pytest.mark.parametrize("part", ["head", "body", "chunks"])
def test_sender_of_a_byte_now_and_then_gains_no_time(start, part):
    site = start(timeout_seconds=0.5, connections_max=1)
    begun = {
        "head": b"POST /ingest HTTP/1.1\r\nX: ",
        "body": head(10_000),
        "chunks": head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"),
    }[part]
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        connection.settimeout(0.02)
        connection.sendall(begun)
        answer = []

        def is_answered():
            try:
                connection.sendall(b"1")
                answer.append(connection.recv(4096))
            except TimeoutError:
                return False
            return True

        wait_for(is_answered, "an end to it")
    assert statuses(answer[0]) == [408]
    wait_for(lambda: site.status()["listener"]["connections"] == 0, "its thread to end")
    assert site.ask(reading()).status == 200


def test_connections_are_limited_and_the_rest_is_turned_away(start):
    site = start(connections_max=3)
    idle = [socket.create_connection(("127.0.0.1", site.port), timeout=30) for _ in range(3)]
    wait_for(lambda: site.status()["listener"]["connections"] == 3, "three connections")
    answer = raw(site.port, is_half_closed=False)
    assert statuses(answer) == [503]
    assert b"Retry-After" in answer
    assert site.status()["listener"]["turned_away_total"] == 1
    for connection in idle:
        connection.close()
    wait_for(lambda: site.status()["listener"]["connections"] == 0, "their ends")
    assert site.ask(reading()).status == 200


def test_more_readings_than_allowed_have_to_wait(start):
    site = start(readings_per_second=1)
    assert site.ask([reading()] * 30).status == 200
    answer = site.ask(reading())
    assert answer.status == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 21
    assert len(site.stored()) == 30


def test_rate_is_kept_over_time_and_a_refusal_costs_nothing():
    clock = FakeClock()
    rate = RateLimit(2.0, clock)
    taken = 0
    for _ in range(100):
        while not rate.wait_s():
            rate.take(5)
            taken += 5
        clock.advance(1000)
    assert 2 * (100 + BURST_S - 1) <= taken <= 2 * (100 + BURST_S) + 5
    wait_s = rate.wait_s()
    clock.advance(round(wait_s * 1000) + 1)
    assert rate.wait_s() == 0
    assert RateLimit(0, clock).wait_s() == 0


def test_flood_is_bounded_and_counted(slow):
    site = slow(timeout_seconds=0.1, readings_per_second=0)
    many = [reading(number % 7) for number in range(9000)]
    assert [ask(site.port, many, Idempotency_Key=f"{n}").status for n in range(5)] == [503] * 5
    assert site.feed.full_total == 2  # no more than SUBMITTED_MAX, and one over it
    assert site.feed.submitted_total == 27_000
    site.ingest.run()
    assert len(site.seen()) == 27_000
    with committing(site):
        wait_for(lambda: ask(site.port, many, Idempotency_Key="4").status == 200, "room")
        assert ask(site.port, many, Idempotency_Key="0").body["duplicate"] is True
    assert len(site.seen()) == 36_000


# -- ports -------------------------------------------------------------------------


def test_port_in_use_is_waited_for_and_told_once(start, log):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        site = start({"name": "up", "port": port, "ingest_type": "http"}, {"name": "other"})
        wait_for(lambda: site.status()["failures_total"] >= 2, "a second attempt")
        assert site.agent.is_running
        assert site.status()["state"] == "waiting for its port"
        assert len(log.having(f"can't listen for http://127.0.0.1:{port}/ingest")) == 1
        assert ask(site.status("other")["listener"]["port"], reading()).status == 200
    wait_for(lambda: site.status()["is_connected"], "the port")
    assert ask(port, reading()).status == 200
    assert len(log.having(f"takes readings at http://127.0.0.1:{port}/ingest")) == 1


class Ahead(SystemClock):
    """The computer's clock, as a test moves it on."""

    ahead_ms = 0

    def monotonic_ms(self):
        return super().monotonic_ms() + self.ahead_ms


def test_devices_share_a_port_until_the_last_one_goes(tmp_path):
    port, listeners, clock = free_port(), Listeners(), Ahead()
    sites = []
    for name in ("a", "b"):
        adapter = HTTPAdapter(device(name, port=port, endpoint=f"/{name}"), clock)
        adapter.listeners = listeners
        taken = []
        adapter.on_post(taken.append)
        adapter.start_server(port=port, endpoint=f"/{name}")
        sites.append((adapter, taken))
    before = threading.active_count()
    for name in ("a", "b"):
        assert ask(port, reading(name=name), f"/{name}").status == 200
    assert [[one["sensor_name"] for one in taken] for _, taken in sites] == [["a"], ["b"]]
    sites[0][0].stop_server()
    assert ask(port, reading(), "/a").status == 503  # as in a reload, which brings it again
    clock.ahead_ms = LEFT_MS
    assert ask(port, reading(), "/a").status == 404
    assert ask(port, reading(), "/b").status == 200
    sites[1][0].stop_server()
    with pytest.raises(ConnectionRefusedError):
        ask(port, reading(), "/b")
    wait_for(lambda: threading.active_count() < before, "the listener's thread to end")


def test_settings_that_two_devices_on_a_port_can_not_have_are_refused():
    def problems(first, second, **sections):
        devices = [
            {"ingest_type": "http", "name": name, **one}
            for name, one in (("a", first), ("b", second))
        ]
        with pytest.raises(ConfigError) as caught:
            Config({"sensors": {"devices": devices}, **sections})
        return [problem.split("sensors.", 1)[1] for problem in caught.value.problems]

    (same,) = problems({}, {})
    assert same.startswith("devices[1].endpoint: is the same as sensors.devices[0]'s on the same")
    (other,) = problems({}, {"endpoint": "/b", "connections_max": 3})
    assert other.startswith("devices[1].connections_max: differs from sensors.devices[0]'s")
    assert problems({"port": 8080}, {}) == [
        "devices[0].port: 8080 is health.port too; choose another"
    ]
    assert problems({"endpoint": "x y"}, {"key_file": "k", "port": 99, "value_path": "a["}) == [
        "devices[1].key_file: needs the certificate, cert_file",
        "devices[1].value_path: 'a[' has a [ without its ]",
        "devices[0].endpoint: must be a path as in /ingest, of what a URL may have",
    ]


def test_no_thread_is_left_and_stopping_waits_for_nobody(start):
    before = {thread.ident for thread in threading.enumerate()}
    site = start(timeout_seconds=600)
    idle = socket.create_connection(("127.0.0.1", site.port), timeout=30)
    sending = socket.create_connection(("127.0.0.1", site.port), timeout=30)
    sending.sendall(head(100))
    wait_for(lambda: site.status()["listener"]["connections"] == 2, "both")
    run_with_deadline(site.agent.stop, "the agent")
    assert read_all(idle) == b""
    assert statuses(read_all(sending)) in ([], [400])
    wait_for(
        lambda: {thread.ident for thread in threading.enumerate()} <= before, "no other threads"
    )
    idle.close()
    sending.close()


def test_stopping_answers_who_waits_to_be_told(slow):
    site = slow(timeout_seconds=600)
    answers = []
    sender = threading.Thread(
        target=lambda: answers.append(ask(site.port, reading(), Idempotency_Key="k"))
    )
    sender.start()
    wait_for(lambda: site.feed.submitted_total, "the reading")
    run_with_deadline(site.adapter.stop, "an adapter with a POST under way")
    sender.join(20)
    assert answers[0].status == 503
    assert "may still be" in answers[0].body["error"]
    site.ingest.run()
    assert len(site.seen()) == 1


def test_reload_changes_one_device_and_leaves_the_other_on_its_port(start, tmp_path):
    port = free_port()
    tables = [{"name": "up", "port": port}, {"name": "other", "port": port, "endpoint": "/other"}]
    site = start(*tables)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    assert ask(port, reading(1), "/other", connection=connection).status == 200
    used = connection.sock
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["sensors"]["devices"][0]["token"] = "t0ken"
    path.write_text(json.dumps(config))
    site.agent.reload_config()
    wait_for(lambda: site.status()["is_connected"], "the new one")
    assert ask(port, reading(2)).status == 401
    assert ask(port, reading(3), Authorization="Bearer t0ken").status == 200
    assert ask(port, reading(4), "/other", connection=connection).status == 200
    assert connection.sock is used
    connection.close()
    assert [value for _, value in site.stored()] == [1.0, 3.0, 4.0]


# -- one agent and another, and none ----------------------------------------------


def test_one_agent_feeds_another(start, agents, write_config, tmp_path):
    site = start({"name": "up", "token": "t0ken"})
    simulated = {"name": "t1", "ingest_type": "simulator", "unit": "Cel", "noise_std": 0.0}
    cloud = {
        "enabled": True,
        "endpoint": f"http://127.0.0.1:{site.port}/ingest",
        "api_key": "t0ken",
        "compress": True,
        "retry_base_seconds": 0.1,
        "retry_max_seconds": 0.1,
    }
    sender = agents(
        write_config(
            [simulated],
            name="sender.json",
            cloud=cloud,
            storage={"path": "sender.db"},
            sensors={"poll_interval_seconds": 0.02, "devices": [simulated]},
            rules=[{"name": "warm", "above": 19.0}],  # so that there are events, too
        )
    )
    sender.start()
    wait_for(lambda: len(site.stored()) >= 20, "readings of the other agent")
    wait_for(lambda: site.status()["ignored_total"], "its event")
    sender.run_once()
    wait_for(lambda: sender._cloud.pending_count() == 0, "everything to be sent")
    assert {name for name, _ in site.stored()} == {"up.t1"}
    assert sender._store.dead_letters.count == 0


def test_without_an_agent_functions_are_given_what_is_posted():
    adapter = HTTPAdapter()
    taken = []
    adapter.on_post(taken.append)
    adapter.start_server("127.0.0.1", 0, endpoint="/in")
    try:
        port = adapter.status()["listener"]["port"]
        with pytest.raises(AdapterError, match="already"):
            adapter.start_server("127.0.0.1", 0)
        assert (
            ask(port, [reading(), reading(None, metadata={"quality": "bad"})], "/in").status == 200
        )
        assert ask(port, without("value"), "/in").status == 422
    finally:
        adapter.stop_server()
    adapter.stop_server()
    common = {"sensor_name": "temp", "timestamp": TIME, "unit": "Cel"}
    assert taken == [
        {**common, "value": 1.5, "metadata": {}},
        {**common, "value": 0.0, "metadata": {"quality": "bad"}},
    ]


def test_function_that_fails_is_told_to_the_sender_and_the_log(log):
    adapter = HTTPAdapter()

    def fail(one):
        raise OSError("full")

    adapter.on_post(fail)
    adapter.start_server("127.0.0.1", 0)
    try:
        port = adapter.status()["listener"]["port"]
        assert ask(port, reading()).status == 500
    finally:
        adapter.stop_server()
    assert log.having("can't be answered")


@pytest.mark.parametrize(
    ("one", "other", "status"),
    [
        (b"Idempotency-Key: a", b"Idempotency-Key: b", 400),
        (b"Idempotency-Key: a", b"Idempotency-Key: a", 200),
        (b"Content-Type: application/json", b"Content-Type: application/senml+json", 400),
    ],
)
def test_header_that_stands_twice_may_not_say_two_things(start, one, other, status):
    site = start()
    body = json.dumps(reading()).encode()
    request = head(len(body)).replace(b"Host: x", b"Host: x\r\n" + one + b"\r\n" + other)
    assert statuses(raw(site.port, request, body)) == [status]
    assert len(site.stored()) == (status == 200)
