"""HTTPCloudUploader against real servers: what counts as accepted, and what it gives away."""

import gzip
import hmac
import json
import socket
import threading

import pytest
from host.deliveries import ITEMS as EVENTS
from host.deliveries import reading
from host.fakes import UTC_MS, FakeClock
from host.processes import certificates, free_port
from host.servers import Answer, half_answer, recording, running, serving
from pyv_edge_agent.sinks.delivery import ACCEPTED, REFUSED, UNAUTHORISED
from pyv_edge_agent.sinks.http import HTTPCloudUploader, HTTPOptions

ITEMS = [{"value": 1.5}, {"value": None}]


@pytest.fixture
def clients():
    made = []

    def make(*args, **options):
        options.setdefault("clock", FakeClock())
        client = HTTPCloudUploader(*args, **options)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def delivery(answer, clients):
    with serving(answer) as cloud:
        found = clients(cloud.url, timeout=10).deliver("k", ITEMS)
        assert len(cloud.requests) == 1
        return found


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b'{"accepted": 2}'),
        Answer(200, b""),
        Answer(201, b"\xef\xbb\xbf[1]", kind="text/plain"),
        Answer(202, b"{}"),
    ],
)
def test_accepted(answer, clients):
    assert delivery(answer, clients) == delivery(answer, clients)
    assert delivery(answer, clients).is_accepted


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(200, b"<html>log in</html>", kind="text/html"), "status 200 without JSON"),
        (Answer(200, b"  \n<!doctype html>", kind="text/plain"), "status 200 without JSON"),
        (Answer(200, b"hello", kind="text/HTML; charset=utf-8"), "status 200 without JSON"),
        (Answer(302, b"", {"Location": "/login"}), "status 302"),
        (Answer(304, b""), "status 304"),
        (Answer(400, b'{"error": "x"}'), "status 400"),
        (Answer(401, b""), "status 401"),
        (Answer(403, b""), "status 403"),
        (Answer(413, b""), "status 413"),
        (Answer(429, b""), "status 429"),
        (Answer(500, b"<html>"), "status 500"),
        (Answer(503, b""), "status 503"),
    ],
)
def test_not_accepted(answer, problem, clients):
    found = delivery(answer, clients)
    assert not found.is_accepted
    assert found.problem.startswith(problem)
    assert found.retry_after_s is None


@pytest.mark.parametrize(
    ("header", "wanted"),
    [("7", 7.0), ("0", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-5", None), ("1.5", None)],
)
def test_retry_after_is_understood_in_seconds(header, wanted, clients):
    found = delivery(Answer(429, b"", {"Retry-After": header}), clients)
    assert found.retry_after_s == wanted


def test_redirect_is_not_followed(clients):
    # Whoever answers with it would get the readings and the key.
    with serving(Answer(200)) as other:
        answer = Answer(307, b"", {"Location": other.url})
        assert not delivery(answer, clients).is_accepted
        assert other.requests == []


def test_half_a_reply_is_not_accepted(clients):
    with serving(half_answer()) as cloud:
        found = clients(cloud.url, timeout=10).deliver("k", ITEMS)
    assert not found.is_accepted
    assert found.problem.startswith("no reply from http://127.0.0.1")


def test_server_that_hangs_up_is_not_accepted(clients):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def hang_up():
            connection, _ = listener.accept()
            connection.recv(100)
            connection.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        found = clients(f"http://127.0.0.1:{port}/", timeout=10).deliver("k", ITEMS)
        thread.join(10)
    assert not found.is_accepted
    assert "no reply from http://127.0.0.1" in found.problem


def test_what_is_no_http_is_not_accepted(clients):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer():
            connection, _ = listener.accept()
            connection.recv(100)
            connection.sendall(b"220 mail.example ESMTP\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        found = clients(f"http://127.0.0.1:{port}/", timeout=10).deliver("k", ITEMS)
    assert not found.is_accepted


def test_server_that_hangs_ends_in_a_timeout(clients):
    with serving(hangs=True) as cloud:
        found = clients(cloud.url, timeout=0.2).deliver("k", ITEMS)
    assert not found.is_accepted
    assert found.problem.endswith("no answer in time")


def test_connection_refused(clients):
    port = free_port()
    found = clients(f"http://127.0.0.1:{port}/in").deliver("k", ITEMS)
    assert found.problem.startswith(
        f"no reply from http://127.0.0.1:{port}/in: connection refused; is the server running,"
    )


def test_without_an_endpoint_nothing_is_accepted(clients):
    assert not clients("").post_batch(ITEMS)
    assert clients("").deliver("k", ITEMS).problem == "cloud.endpoint is empty"


# -- what is sent ------------------------------------------------------------------


def test_body_and_headers(clients):
    with serving() as cloud:
        clients(cloud.url, "s3cret").deliver("key-1", ITEMS)
    ((path, headers, body),) = cloud.requests
    assert path == "/v1/ingest"
    assert body == {
        "batch_id": "key-1",
        "timestamp": UTC_MS / 1000,
        "count": 2,
        "items": ITEMS,
    }
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == "Pyvorin-Edge/1.0"
    assert headers["Idempotency-Key"] == "key-1"


def test_without_a_key_there_is_no_authorization(clients):
    with serving() as cloud:
        clients(cloud.url).deliver("k", ITEMS)
    assert "Authorization" not in cloud.requests[0][1]


def test_netrc_of_the_user_does_not_replace_the_key(clients, tmp_path, monkeypatch):
    # `requests` looks into it by itself.
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password private\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serving() as cloud:
        clients(cloud.url, "s3cret").deliver("k", ITEMS)
    assert cloud.requests[0][1]["Authorization"] == "Bearer s3cret"


def test_post_batch_says_whether_it_was_accepted(clients):
    with serving(Answer(200), Answer(500)) as cloud:
        client = clients(cloud.url)
        assert client.post_batch(ITEMS) is True
        assert client.post_batch(ITEMS) is False
    assert cloud.keys[0].startswith("pyv-")


def test_one_connection_is_kept(clients):
    with serving() as cloud:
        client = clients(cloud.url)
        for key in ("a", "b", "c"):
            assert client.deliver(key, ITEMS).is_accepted
        assert cloud.keys == ["a", "b", "c"]
        pools = client._session.get_adapter(cloud.url).poolmanager.pools
        (pool,) = [pools[key] for key in pools.keys()]  # noqa: SIM118 - not a dict
        assert pool.num_connections == 1


def test_client_works_again_after_close(clients):
    with serving() as cloud:
        client = clients(cloud.url)
        assert client.deliver("a", ITEMS).is_accepted
        client.close()
        assert client.deliver("b", ITEMS).is_accepted


# -- secrets -----------------------------------------------------------------------


def test_secrets_are_in_no_text(clients):
    url = "http://user:hunter2@127.0.0.1:9/in?token=abc123"
    client = clients(url, "s3cret", timeout=1)
    texts = [repr(client), str(client), client.shown_endpoint, client.deliver("k", []).problem]
    for text in texts:
        for secret in ("hunter2", "s3cret", "abc123"):
            assert secret not in text
    assert client.shown_endpoint == "http://127.0.0.1:9/in"


def test_requests_is_not_loaded_before_the_first_post():
    import subprocess
    import sys

    program = (
        "import sys\n"
        "from pyv_edge_agent.main import EdgeAgent\n"
        "from pyv_edge_agent.sinks.http import HTTPCloudUploader, HTTPOptions\n"
        "HTTPCloudUploader('http://127.0.0.1:9/')\n"
        "print(sorted({'requests', 'psutil', 'serial'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


# -- how bodies are sent -----------------------------------------------------------


def recorded(clients, items, **options):
    """Return (headers, body as sent) of one POST."""
    with recording() as (port, asked):
        client = clients(f"http://127.0.0.1:{port}/", options=HTTPOptions(**options))
        assert client.deliver("the-key", items).is_accepted
    return asked[0][1:]


def test_body_is_packed_and_signed_as_it_is_sent(clients):
    headers, body = recorded(clients, ITEMS, is_compressed=True, hmac_key="k3y")
    assert headers["Content-Encoding"] == "gzip"
    expected = hmac.new(b"k3y", body, "sha256").hexdigest()
    assert headers["X-Pyvorin-Signature"] == f"sha256={expected}"
    assert json.loads(gzip.decompress(body))["items"] == ITEMS


def test_readings_as_senml(clients):
    sent = [reading(4), reading(5, None)]
    headers, body = recorded(clients, sent, format="senml")
    assert headers["Content-Type"] == "application/senml+json"
    assert headers["Idempotency-Key"] == "the-key"
    good, bad = json.loads(body)
    assert good == {
        "bn": "urn:dev:ops:board-1:",
        "n": "temp",
        "t": sent[0]["timestamp"],
        "boot": "0000abcd",
        "seq": 4,
        "u": "Cel",
        "v": 21.5,
    }
    assert (bad["n"], bad["vs"]) == ("temp:quality", "bad")
    assert "v" not in bad


def test_items_go_in_the_documented_form_all_the_same(clients):
    headers, body = recorded(clients, EVENTS, format="senml")
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body)["items"] == EVENTS


def test_client_shows_its_certificate(clients, tmp_path):
    import ssl
    from http.server import BaseHTTPRequestHandler, HTTPServer

    ca, cert, key, other = certificates(tmp_path)
    names = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            names.append(self.connection.getpeercert()["subject"][0][0][1])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with running(server) as port:
        url = f"https://127.0.0.1:{port}/"
        own = HTTPOptions(ca_file=ca, cert_file=cert, key_file=key)
        assert clients(url, options=own).deliver("k", ITEMS).is_accepted
        for options in (HTTPOptions(ca_file=ca), HTTPOptions(ca_file=other, cert_file=cert)):
            assert not clients(url, options=options).deliver("k", ITEMS).is_accepted
    assert names == ["127.0.0.1"]


def test_probe_sends_an_empty_batch_under_a_key_of_its_own(clients):
    with serving(Answer(200), Answer(200), Answer(401), Answer(422)) as cloud:
        client = clients(cloud.url, "s3cret")
        outcomes = [client.probe().outcome for _ in range(4)]
    assert outcomes == [ACCEPTED, ACCEPTED, UNAUTHORISED, REFUSED]
    assert [(body["items"], body["count"]) for body in cloud.bodies] == [([], 0)] * 4
    assert len(set(cloud.keys)) == 4
    assert cloud.requests[0][1]["Authorization"] == "Bearer s3cret"
