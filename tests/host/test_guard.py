"""The guard: who is answered, from which page, and what a request may be."""

import socket
import ssl
import subprocess
import threading

import pytest
from host.asking import Reply, address, ask, raw, report
from host.conftest import SIMULATED
from host.waiting import wait_for
from pyv_edge_agent.dashboard.guard import Guard
from pyv_edge_agent.dashboard.page_files import POLICY, read_page
from pyv_edge_agent.dashboard.server import STREAMS_MAX
from pyv_edge_agent.errors import ConfigError, StartError
from pyv_edge_agent.http_exchange import RefusalError

TOKEN = "correct horse battery"
GUARDED = ["/health", "/livez", "/readyz", "/metrics", "/metrics/prometheus"]
GUARDED += [f"/api/v1/{name}" for name in ("devices", "ledger", "stream", "openapi.json", "none")]


@pytest.fixture
def start(agents, write_config):
    def run(devices=(SIMULATED,), **health):
        agent = agents(write_config(devices, health=health))
        agent.start()
        return agent

    return run


# -- the token -------------------------------------------------------------------------


def test_beyond_loopback_a_token_is_needed(agents, write_config):
    with pytest.raises(ConfigError) as refused:
        agents(write_config(health={"host": "0.0.0.0"})).start()
    (line,) = refused.value.problems
    assert "health.token: is missing: whoever reaches this computer could see" in line
    assert 'say host = "127.0.0.1"' in line


def test_it_listens_beyond_loopback_with_one(start, tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    (tmp_path / "token").chmod(0o600)
    agent = start(host="0.0.0.0", token_file="token")
    assert address(agent)[0] == "0.0.0.0"
    assert ask(agent, "/health").status == 401
    assert ask(agent, "/health", Authorization=f"Bearer {TOKEN}").status == 200


@pytest.mark.parametrize("path", GUARDED)
def test_nothing_is_told_without_the_token(start, path):
    reply = ask(start(token=TOKEN), path)
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert reply.told == {"error": "Authorization: Bearer TOKEN is missing, or wrong"}


@pytest.mark.parametrize(
    "given",
    ["Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"]
    + ["Bearer \xe4\xf6\xfc", "bearer " + TOKEN.upper()],
)
def test_wrong_token_is_refused(start, given):
    assert ask(start(token=TOKEN), "/health", Authorization=given).status == 401


def test_right_token_opens_everything_and_is_told_nowhere(start, log):
    agent = start(token=TOKEN)
    for path in GUARDED:
        if path.endswith("/stream"):
            continue
        reply = ask(agent, path, Authorization=f"bearer  {TOKEN} ")
        assert reply.status == (404 if path.endswith("none") else 200)
        assert TOKEN not in reply.body.decode()
    assert TOKEN not in log.whole()


def test_the_page_itself_has_no_data_and_needs_no_token(start):
    agent = start(token=TOKEN)
    for path in ("/", "/index.html", "/main.js", "/app.css"):
        assert ask(agent, path).status == 200


# -- names and origins -----------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]:8080", "[::1]"],
)
def test_request_by_address_is_answered(start, host):
    assert ask(start(), "/health", Host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example"])
def test_name_that_others_give_out_is_refused_without_a_token(start, host):
    """As a page of theirs asks, once their DNS has pointed its name here."""
    agent = start()
    reply = ask(agent, "/api/v1/channels", Host=host)
    assert reply.status == 403
    assert reply.told["error"].startswith("Host: is a name")
    agent.stop()
    agent = start(token="t")  # which a page of theirs doesn't have
    assert ask(agent, "/health", Host=host, Authorization="Bearer t").status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_no_page_of_another_origin_may_have_anything_asked(start, site):
    """It could not read the answer, but would take the places of streams."""
    agent = start(cors_origins="https://ops.example")
    asked = {"Sec_Fetch_Site": site, "Origin": "https://evil.example"}
    assert ask(agent, "/api/v1/stream", **asked).status == 403
    assert ask(agent, "/", **asked).status == 200  # a link to the page is one
    assert ask(agent, "/health", **{**asked, "Origin": "https://ops.example"}).status == 200
    for own in ("same-origin", "none"):
        assert ask(agent, "/health", Sec_Fetch_Site=own).status == 200


def test_no_page_of_another_origin_may_read(start):
    agent = start()
    reply = ask(agent, "/health", Origin="https://evil.example")
    assert "Access-Control-Allow-Origin" not in reply.headers
    reply = ask(agent, "/health", "OPTIONS", Origin="https://evil.example")
    assert reply.status == 204
    assert "Access-Control-Allow-Origin" not in reply.headers
    assert reply.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"


def test_pages_of_configured_origins_may(start):
    agent = start(cors_origins="https://ops.example, http://localhost:3000", token="t")
    for origin in ("https://ops.example", "http://localhost:3000"):
        reply = ask(agent, "/health", Origin=origin, Authorization="Bearer t")
        assert reply.headers["Access-Control-Allow-Origin"] == origin
        assert reply.headers["Vary"] == "Origin"
        reply = ask(agent, "/health", "OPTIONS", Origin=origin)  # a browser sends no token then
        assert reply.status == 204
        assert "Authorization" in reply.headers["Access-Control-Allow-Headers"]
    reply = ask(agent, "/health", Origin="https://ops.example")
    assert reply.status == 401
    assert reply.headers["Access-Control-Allow-Origin"] == "https://ops.example"  # to be told so
    reply = ask(agent, "/health", Origin="https://ops.example.evil", Authorization="Bearer t")
    assert "Access-Control-Allow-Origin" not in reply.headers


@pytest.mark.parametrize("origins", ["*", "ops.example", "https://ops.example/x", "https://a b"])
def test_what_is_no_origin_is_a_fault(agents, write_config, origins):
    with pytest.raises(ConfigError, match=r"health\.cors_origins: must be origins"):
        agents(write_config(health={"cors_origins": origins})).start()


def test_token_is_compared_whatever_its_bytes_are():
    guard = Guard(token="t")
    for given in ("Bearer \u20ac", "Bearer \udce4"):
        with pytest.raises(RefusalError):
            guard.check({"Authorization": given})


# -- requests --------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/", "/health", "/api/v1/readings"])
def test_nothing_can_be_changed(start, method, path):
    reply = ask(start(), path, method)
    assert reply.status == 405
    assert reply.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_head_is_the_answer_without_its_body(start):
    agent = start()
    for path in ("/health", "/", "/metrics/prometheus", "/api/v1/devices"):
        reply = ask(agent, path, "HEAD")
        assert (reply.status, reply.body) == (200, b"")
        assert int(reply.headers["Content-Length"]) > 0
    reply = ask(agent, "/api/v1/stream", "HEAD")
    assert (reply.status, reply.body) == (200, b"")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /health HTTP/1.1\r\nHost: a\r\nHost: b", 400),
        ("GET /health HTTP/1.1\r\nAuthorization: Bearer a\r\nAuthorization: Bearer t", 400),
        ("GET /health HTTP/1.1\r\n Folded: x", 400),
        ("GET /health HTTP/1.1\r\nContent-Length: 5", 413),
        ("GET /health HTTP/1.1\r\nTransfer-Encoding: chunked", 413),
        ("OPTIONS /health HTTP/1.1\r\nContent-Length: 5", 413),
        ("GET /health HTTP/1.1\r\n" + "\r\n".join(f"X-{n}: 1" for n in range(200)), 431),
        ("GET /health HTTP/1.1\r\nX: " + "a" * 70_000, 431),
        ("GET /" + "a" * 9000 + " HTTP/1.1", 414),
        ("GET http://evil.example/health HTTP/1.1\r\nHost: 127.0.0.1", 404),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1", 404),
        ("GET /health%00 HTTP/1.1\r\nHost: 127.0.0.1", 404),
    ],
)
def test_odd_request_is_refused_and_the_connection_closed_or_kept(start, head, status):
    agent = start()
    answer = raw(agent, f"{head}\r\nConnection: close\r\n\r\n".encode())
    assert answer.split()[1] == str(status).encode()
    assert answer.count(b"HTTP/1.1 ") == 1  # what follows is no request of its own
    assert report(agent)["status"] == "healthy"


def test_requests_in_a_row_are_answered_in_their_order(start):
    asked = b"".join(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        for path in ("/livez", "/none", "/readyz")
    )
    answer = raw(start(), asked + b"GET /livez HTTP/1.0\r\n\r\n")
    statuses = [part.split()[1] for part in answer.split(b"Server: pyv-edge")[:-1]]
    assert [one[-3:] for one in statuses][:1] == [b"200"]
    assert answer.count(b"HTTP/1.1 200") == 3
    assert answer.count(b"HTTP/1.1 404") == 1


def test_streams_are_limited_and_one_that_ends_makes_room(start):
    agent = start()
    connections = [open_stream(agent) for _ in range(STREAMS_MAX)]
    reply = ask(agent, "/api/v1/stream")
    assert reply.status == 503
    assert reply.told["error"] == f"{STREAMS_MAX} streams are open; close one"
    assert "Retry-After" in reply.headers
    assert report(agent)["status"] == "healthy"  # others are answered all the same
    connections.pop().close()
    connections.append(wait_for(lambda: reopened(agent), "room for a stream", 30))
    for one in connections:
        one.close()


def open_stream(agent):
    connection = socket.create_connection(address(agent), timeout=30)
    connection.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def reopened(agent):
    connection = socket.create_connection(address(agent), timeout=30)
    connection.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    if connection.recv(12) == b"HTTP/1.1 200":
        return connection
    connection.close()
    return None


def test_stop_ends_streams_and_waits_for_no_client(start):
    agent = start()
    stream = open_stream(agent)
    idle = socket.create_connection(address(agent), timeout=30)
    thread = threading.Thread(target=agent.stop)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert b"".join(iter(lambda: stream.recv(65_536), b""))  # its end, and no reset
    stream.close()
    idle.close()


# -- TLS ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def encrypted(agent, folder, request):
    context = ssl.create_default_context(cafile=folder / "cert.pem")
    with (
        socket.create_connection(address(agent), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(request)
        head, _, body = b"".join(iter(lambda: connection.recv(4096), b"")).partition(b"\r\n\r\n")
        return Reply(int(head.split()[1]), {}, body)


def test_connection_is_encrypted_with_certificate_files(start, certificate, log):
    files = {"cert_file": str(certificate / "cert.pem"), "key_file": str(certificate / "key.pem")}
    agent = start(**files, token=TOKEN)
    asked = f"GET /health HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    assert encrypted(agent, certificate, asked).told["status"] == "healthy"
    assert encrypted(agent, certificate, b"GET /health HTTP/1.0\r\n\r\n").status == 401
    assert raw(agent, asked) == b""  # plain text is no TLS
    assert log.having("health is served at https://127.0.0.1:")


def test_certificate_that_is_none_is_one_line(agents, write_config, tmp_path):
    (tmp_path / "cert.pem").write_text("none")
    with pytest.raises(
        StartError, match=r"^health\.cert_file: cert_file or key_file can't be used"
    ):
        agents(write_config(health={"cert_file": "cert.pem"})).start()


# -- the page ------------------------------------------------------------------------------


def test_page_is_sent_with_a_strict_policy_and_only_if_it_is_another_one(start):
    agent = start()
    reply = ask(agent, "/")
    assert reply.headers["Content-Security-Policy"] == POLICY
    assert "script-src 'self'" in POLICY
    assert "unsafe" not in POLICY
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["X-Frame-Options"] == "DENY"
    again = ask(agent, "/", If_None_Match=reply.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    assert ask(agent, "/", If_None_Match='"x"').status == 200


def test_page_is_small_and_names_nothing_elsewhere():
    files = {path: file.content for path, file in read_page().items() if path != "/"}
    assert sum(map(len, files.values())) <= 60_000
    for path, content in files.items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        for part in ("http://", "https://", "innerHTML", "eval(", "document.write", " style="):
            assert part not in text, f"{part} in {path}"
    page = files["/index.html"].decode()
    for name in ("/main.js", "/app.css", "/icon.svg"):
        assert name in files
        assert name in page
