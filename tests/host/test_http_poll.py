"""The HTTP adapter that polls: what a server says is a reading, what it fails to say is none."""

import base64
import gzip
import json
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from host.fakes import FakeClock
from host.http_rig import TIME, device
from host.processes import certificates, free_port
from host.servers import Answer, running
from host.test_intake import DEVICE, Site
from host.waiting import run_with_deadline, wait_for
from pyv_edge_agent.adapters.http_poll import HTTPPollAdapter
from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import ConfigError
from pyv_edge_agent.inbox import SUBMITTED_MAX
from pyv_edge_agent.submission import SAMPLES_MAX

PASSWORD, QUERY_KEY, TOKEN = "pass-4711", "query-4711", "t0ken-4711"


class Weather:
    """A server that gives `answers` in turn, the last one for ever, and keeps what it is asked.

    An answer may also be a function that is given the request.
    """

    def __init__(self, *answers, port=0, certificate=None):
        self.answers = list(answers)
        self.asked = []  # (path, headers)
        self.over = threading.Event()  # lets go whoever hangs
        weather = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                weather.asked.append((self.path, dict(self.headers)))
                answer = weather.answers[0]
                if len(weather.answers) > 1:
                    weather.answers.pop(0)
                self.close_connection = True
                if callable(answer):
                    answer(self)
                    return
                self.send_response(answer.status)
                for name, value in {"Content-Type": answer.kind, **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(answer.announced))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/now"

    def hang(self, handler):
        self.over.wait(60)

    def trickle(self, handler):
        """Send a header line that never ends, a byte now and then."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        self._drip(handler, b"x")

    def drip(self, handler):
        """Send a body of which a byte comes now and then."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        self._drip(handler, b" ")

    def _drip(self, handler, byte):
        while not self.over.wait(0.02):
            try:
                handler.wfile.write(byte)
            except OSError:
                return


@contextmanager
def weather(*answers, **options):
    made = Weather(*answers, **options)
    with running(made.server):
        try:
            yield made
        finally:
            made.over.set()


def page(document, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(200, json.dumps(document).encode(), named)


class Poller(Site):
    """A polling adapter on a real ingest, which runs as the test looks."""

    def __init__(self, path, url, clock=None, **settings):
        super().__init__(path)
        settings = {"interval_seconds": 0.01, "on_error": "zero", "unit": "W", **settings}
        self.adapter = HTTPPollAdapter(
            device(DEVICE["name"], "http_poll", url=url, **settings),
            clock or SystemClock(),
            path.parent,
        )
        self.thread = threading.Thread(target=self.adapter.run, args=(self.feed,), daemon=True)
        self.thread.start()

    def wait_for(self, *values):
        """Wait until these are the first values that are stored; None is one of quality bad."""

        def is_there():
            self.ingest.run()
            return [row[1] for row in self.seen()][: len(values)] == list(values)

        wait_for(is_there, f"{values}, not {self.adapter.status()}")

    def stop(self):
        self.adapter.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()

    def close(self):
        self.stop()
        self.store.close()


@pytest.fixture
def poll(tmp_path):
    made = []

    def make(url, **settings):
        made.append(Poller(tmp_path / f"edge-{len(made)}.db", url, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


# -- readings ----------------------------------------------------------------------


def test_each_poll_is_a_reading_also_if_nothing_has_changed(poll):
    with weather(page({"value": 1.5})) as server:
        site = poll(server.url)
        site.wait_for(1.5, 1.5, 1.5)
    assert site.adapter.status()["state"] in ("polled", "failing")
    (quality,) = set(site.seen("time_quality"))
    assert quality == ("good",)  # dated when it arrived


def test_mapping_finds_channels_and_times_in_what_others_publish(poll):
    found = {
        "dt": TIME,
        "stations": [
            {"id": "north", "main": {"temp": 20.5, "hum": 40}},
            {"id": "south", "main": {"temp": "21", "hum": 41}},
        ],
    }
    with weather(page(found)) as server:
        site = poll(
            server.url,
            items_path="stations",
            channel_path="id",
            fields={"temp": "main.temp", "hum": "main.hum"},
        )
        site.wait_for(20.5, 40.0, 21.0, 41.0)
    names = [row[0] for row in site.seen()][:4]
    assert names == ["meter.north.temp", "meter.north.hum", "meter.south.temp", "meter.south.hum"]


def test_bare_number_is_a_reading(poll):
    with weather(Answer(200, b"21.5\n", kind="text/plain")) as server:
        poll(server.url).wait_for(21.5)


def test_time_of_the_reading_is_the_servers_if_it_says_one(poll):
    with weather(page({"at": TIME, "value": 3})) as server:
        site = poll(server.url, time_path="at")
        site.wait_for(3.0)
    assert site.rows("SELECT utc_ms FROM reading LIMIT 1") == [(TIME * 1000,)]


def test_what_is_unchanged_is_no_reading_and_no_error(poll):
    stated = {"ETag": '"v1"', "Last_Modified": "Thu, 28 May 2026 20:26:40 GMT"}
    unchanged = Answer(304, b"")
    with weather(page({"value": 1}, **stated), *[unchanged] * 3, page({"value": 2})) as server:
        site = poll(server.url)
        site.wait_for(1.0, 2.0, 2.0)
    assert "If-None-Match" not in server.asked[0][1]
    for _, headers in server.asked[1:5]:
        assert headers["If-None-Match"] == stated["ETag"]
        assert headers["If-Modified-Since"] == stated["Last_Modified"]
    assert "If-None-Match" not in server.asked[5][1]
    assert site.adapter.unchanged_total == 3
    assert site.adapter.status()["failures_total"] in (0, 1)  # 1: the server is closed by now


def test_reply_there_is_no_room_for_is_asked_for_again(poll):
    many = [{"value": number} for number in range(SAMPLES_MAX)]
    with weather(page(many, ETag='"v1"')) as server:
        site = poll(server.url, body_max_kb=1024)
        wait_for(lambda: site.adapter.skipped_total, "no room")
        count = len(server.asked)
        assert site.feed.full_total >= 1
        assert site.feed.submitted_total == SUBMITTED_MAX
        wait_for(lambda: len(server.asked) > count + 1, "another poll")
        assert "If-None-Match" not in server.asked[-1][1]


# -- failures ----------------------------------------------------------------------

GOOD = page({"value": 7})
BOMB = Answer(200, gzip.compress(bytes(10_000_000)), {"Content-Encoding": "gzip"})
FAILURES = {
    "status": (Answer(500), "answers with status 500"),
    "token": (Answer(401), "answers with status 401: look at token"),
    "unasked 304": (Answer(304, b""), "answers with status 304"),
    "no content": (Answer(204, b""), "answers with status 204"),
    "no JSON": (Answer(200, b"<html>4711"), "is no JSON at character 0"),
    "nothing": (Answer(200, b""), "is no JSON"),
    "no value": (page({"val": 4711}), "value is missing"),
    "null": (page({"value": None}), "value is null"),
    "text": (page({"value": "x4711"}), "value is no number"),
    "true": (page(True), "the payload is a truth value"),
    "too large": (Answer(200, b"1" * 2000), "answers with more than 1024 bytes"),
    "bomb": (BOMB, "answers compressed, which was not asked for"),
    "no redirect": (Answer(302, b"", {"Location": "ftp://127.0.0.1/x"}), "to what is no URL"),
    "no URL": (Answer(302, b"", {"Location": "http://[x"}), "ValueError"),
    "loop": (Answer(302, b"", {"Location": "/again"}), "more than 3 redirects"),
    "nowhere": (Answer(302, b""), "answers with status 302"),
    "not HTTP": (lambda handler: handler.wfile.write(b"4711\n"), "no reply from"),
    "closed": (lambda handler: None, "no reply from"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_failure_is_told_counted_and_no_measurement(poll, log, kind):
    answer, problem = FAILURES[kind]
    count = 4 if kind == "loop" else 1
    with weather(GOOD, *[answer] * count * 2, GOOD) as server:
        site = poll(server.url, body_max_kb=1)
        site.wait_for(7.0, None, None, 7.0)
        assert site.adapter.status()["failures_total"] == 2
        assert len(log.having(problem)) == 1, log.lines()
        assert len(log.having("has readings from")) == 2
        assert site.adapter.status()["connection_problem"] == ""
    assert "4711" not in log.whole()


@pytest.mark.parametrize(
    ("settings", "bad"),
    [
        ({}, [("meter", "W")]),
        ({"fields": {"t": "a", "h": "b"}}, [("meter.t", "W"), ("meter.h", "W")]),
        ({"unit_path": "unit"}, []),  # nobody knows its unit yet
        ({"channel_path": "name"}, []),
        ({"on_error": "skip"}, []),
    ],
)
def test_failure_before_the_first_reply_is_one_of_each_channel_that_is_known(poll, settings, bad):
    with weather(Answer(500)) as server:
        site = poll(server.url, **settings)
        wait_for(lambda: site.adapter.status()["failures_total"] > 3, "failures")
        site.ingest.run()
    assert set(site.seen("sensor, unit, quality")) == {(*one, "bad") for one in bad}


def test_failure_behind_a_reply_is_one_of_each_channel_that_it_had(poll):
    found = [{"name": "a", "unit": "V", "value": 1}, {"name": "b", "unit": "A", "value": 2}]
    with weather(page(found), Answer(500)) as server:
        site = poll(server.url, channel_path="name", unit_path="unit")
        site.wait_for(1.0, 2.0, None, None)
    rows = site.seen("sensor, unit, quality")[:4]
    assert rows == [
        ("meter.a", "V", "good"),
        ("meter.b", "A", "good"),
        ("meter.a", "V", "bad"),
        ("meter.b", "A", "bad"),
    ]


def test_server_that_is_gone_at_the_start_and_mid_way(poll, log):
    port = free_port()
    site = poll(f"http://127.0.0.1:{port}/now", on_error="skip")
    wait_for(lambda: site.adapter.status()["failures_total"] > 3, "attempts")
    for value in (1.0, 2.0):
        with weather(page({"value": value}), port=port) as server:
            wait_for(lambda: server.asked, "a poll")
            wait_for(lambda: site.adapter.status()["is_connected"], "a reply")
        wait_for(lambda: not site.adapter.status()["is_connected"], "its end")
    site.ingest.run()
    assert {row[1] for row in site.seen()} == {1.0, 2.0}
    assert log.having("connection refused; is the server running, and is the port right?")
    assert 3 <= len(log.having("no reply from")) <= 5  # refused, or cut off and then refused


def test_polls_that_come_too_late_are_counted(poll):
    with weather(GOOD) as server:
        clock = FakeClock()

        def late(handler):
            clock.advance(3500)
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        server.answers = [late, server.hang]
        site = poll(server.url, clock=clock, interval_seconds=1)
        wait_for(lambda: len(server.asked) == 2, "the second poll")
        assert site.adapter.status()["missed_total"] == 2  # one at 2 s, one at 3 s


@pytest.mark.parametrize("kind", ["hang", "trickle", "drip"])
def test_slow_server_is_cut_off_and_holds_nobody(poll, kind):
    with weather(GOOD) as server:
        server.answers = [getattr(server, kind), GOOD]
        site = poll(server.url, timeout_seconds=0.3)
        site.wait_for(None, 7.0)
        assert site.adapter.status()["failures_total"] == 1
    with weather(GOOD) as server:
        server.answers = [getattr(server, kind)]
        other = poll(server.url, timeout_seconds=600)
        wait_for(lambda: server.asked, "the poll")
        run_with_deadline(other.stop, "an adapter whose server is slow")


def test_server_that_wants_to_be_left_alone_is(poll):
    with weather(Answer(503, b"", {"Retry-After": "86400"})) as server:
        site = poll(server.url)
        wait_for(lambda: site.adapter.status()["failures_total"], "a failure")
        site.wait_for(None)
        assert len(server.asked) == 1
    assert site.thread.is_alive()


# -- secrets -----------------------------------------------------------------------


def test_who_we_are_is_told_to_the_server_and_to_nobody_else(poll, log):
    with weather(GOOD) as other:
        there = Answer(307, b"", {"Location": other.url})
        with weather(GOOD, there, Answer(401)) as server:
            url = server.url.replace("//", f"//us%40er:{PASSWORD}@") + f"?key={QUERY_KEY}"
            site = poll(url, headers={"X-Api-Key": TOKEN}, on_error="skip")
            site.wait_for(7.0, 7.0)
            wait_for(lambda: site.adapter.status()["failures_total"], "the refusal")
    basic = "Basic " + base64.b64encode(f"us@er:{PASSWORD}".encode()).decode()
    for path, headers in server.asked:
        assert path == f"/now?key={QUERY_KEY}"
        assert (headers["Authorization"], headers["X-Api-Key"]) == (basic, TOKEN)
    assert other.asked[0][0] == "/now"
    assert not {"Authorization", "X-Api-Key"} & set(other.asked[0][1])
    assert log.having("look at token")
    told = log.whole() + json.dumps(site.adapter.status()) + json.dumps(site.feed.status())
    for secret in ("4711", "us%40er"):
        assert secret not in told


def test_token_is_sent_and_no_netrc_instead(poll, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with weather(GOOD) as server:
        poll(server.url, token=TOKEN).wait_for(7.0)
        assert server.asked[0][1]["Authorization"] == f"Bearer {TOKEN}"
    with weather(GOOD) as server:
        poll(server.url).wait_for(7.0)
        assert "Authorization" not in server.asked[0][1]


def test_tls_trusts_whom_it_should_and_is_not_left(poll, tmp_path, log):
    _, cert, key, other = certificates(tmp_path / "tls")
    away = Answer(302, b"", {"Location": "http://127.0.0.1:1/"})
    with weather(GOOD, away, GOOD, certificate=(cert, key)) as server:
        url = server.url.replace("http:", "https:")
        untrusting = poll(url, ca_file=str(other), on_error="skip")
        wait_for(lambda: untrusting.adapter.status()["failures_total"], "the refusal")
        assert log.having("its certificate is not trusted")
        assert server.asked == []
        untrusting.adapter.stop()
        site = poll(url, ca_file="tls/ca.pem")
        site.wait_for(7.0, None, 7.0)
    assert log.having("a redirect away from TLS")


# -- settings ----------------------------------------------------------------------


def settings_of(sensors=(), **settings):
    one = {"name": "p", "ingest_type": "http_poll", "url": "http://h/", **settings}
    config = Config({"sensors": {**dict(sensors), "devices": [one]}})
    return config.get("sensors", "devices")[0]


def test_what_a_failure_stores_is_as_for_all_sensors_unless_it_says_otherwise():
    assert settings_of()["on_error"] == "zero"
    assert settings_of({"on_error": "skip"})["on_error"] == "skip"
    assert settings_of({"on_error": "skip"}, on_error="zero")["on_error"] == "zero"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"url": "ftp://h/4711"}, "url: must be a URL"),
        ({"url": "http://[x4711"}, "url: must be a URL"),
        ({"token": "t\xf6ken4711"}, "token: must be ASCII"),
        ({"headers": {"X Y": "4711"}}, "headers: 'X Y' is no header"),
        ({"headers": {"X": "4711\xf6"}}, "headers: 'X' is no header"),
        ({"key_file": "k"}, "key_file: needs the certificate"),
        ({"fields": {"a": "b["}}, "fields.a: 'b[' has a ["),
    ],
)
def test_wrong_settings_are_told_without_their_secrets(settings, problem):
    with pytest.raises(ConfigError) as caught:
        settings_of(**settings)
    (told,) = caught.value.problems
    assert problem in told
    assert "4711" not in told


def test_requests_is_loaded_with_the_first_poll():
    code = (
        "import sys, pyv_edge_agent.adapters.http_poll, pyv_edge_agent.adapters.http_receive;"
        "sys.exit('requests' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
