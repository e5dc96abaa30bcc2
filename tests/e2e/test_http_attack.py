"""Hostile clients of the HTTP server: whatever they do, the agent goes on storing.

A real agent polls devices, and a good sender POSTs to it, while others attack on loopback. What
each attack costs is printed (`pytest -s`): the 99th percentile of the time from a POST to its
answer, which comes once it is stored, as the sender measures it; and that of the commits, from
the agent's own histogram, whose buckets are wide: it is interpolated between their bounds.
"""

import http.client
import re
import selectors
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing, contextmanager, suppress

import psutil
import pytest
from host.http_rig import TIME, ask
from host.processes import free_port
from rig import DEADLINE_S, AgentProcess, wait_for

CONNECTIONS_MAX = 32
STREAMS_MAX = 8  # of them
LINE_SIZE_MAX = 8192
HEAD_SIZE_MAX = 65_536
SIMULATED = {"name": "d0", "ingest_type": "simulator", "unit": "Cel", "interval_seconds": 0.05}
DEVICES = 6  # such ones, each polled 20 times a second
COMMIT_MS = 20  # a POST waits for as long before its commit begins
SLOW = 48  # connections that are to starve the others
STREAMS = 50  # clients that ask for the stream and read nothing
IN_TURN = 10_000  # connections, one after the other
PIPELINED = 200  # requests in one go
DEAF = 12  # clients that pipeline as many and more, and read no answer
OWN_MAX = 10  # connections to the store of the agent's own threads, about
LEAKED_MAX = 3  # threads or descriptors more than before: some come and go by themselves
GROWTH_MAX = 60 * 1024 * 1024  # bytes
FORGED = b"Forged: yes"  # a header that the server must not be made to send
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
REFUSED = {400, 413}
NOT_THERE = {400, 404}
PACE = threading.Event()  # never set


class Sender(threading.Thread):
    """A good client of the HTTP adapter: sends numbers, and notes how long each takes."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.stored = 0  # numbers below this were answered with 200
        self.failures = []
        self.times_s = []
        self.is_over = threading.Event()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        with closing(connection):
            while not self.is_over.wait(0.01):
                item = {"sensor_name": "n", "timestamp": TIME + self.stored, "value": self.stored}
                began = time.perf_counter()
                answer = ask(self.port, item, connection=connection)
                self.times_s.append(time.perf_counter() - began)
                if answer.status != 200:
                    self.failures.append(answer)
                    return
                self.stored += 1


class Site:
    """An agent that stores, a good sender, and what can be seen of both from outside."""

    def __init__(self, folder):
        ingest_port = free_port()
        devices = [{**SIMULATED, "name": f"d{number}"} for number in range(DEVICES)]
        devices.append({"name": "posted", "ingest_type": "http", "port": ingest_port})
        storage = {"commit_interval_ms": COMMIT_MS}
        self.agent = AgentProcess(folder, {"sensors": {"devices": devices}, "storage": storage})
        self.agent.start()
        url = re.search(r"http://127\.0\.0\.1:(\d+)/health", self.agent.text())
        self.port = int(url.group(1))
        self.process = psutil.Process(self.agent.process.pid)
        self.sender = Sender(ingest_port)

    def told(self, path):
        """Return what a good client is told, b"" if it is told nothing, or that it must wait."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            reply = connection.getresponse()
            assert reply.status in (200, 503), path
            return reply.read() if reply.status == 200 else b""
        return b""

    def buckets(self):
        """Return how many commits took at most so long, by the bound; wait to be answered."""
        path = "/metrics/prometheus"
        body = wait_for(lambda: self.told(path), path)
        pattern = rb'^pyv_edge_commit_seconds_bucket\{le="(.+)"\} (\S+)$'
        found = re.findall(pattern, body, re.MULTILINE)
        assert found, "no histogram of commits"
        return {float(bound): float(count) for bound, count in found}

    def count(self):
        """Return how many readings are in the store."""
        with closing(sqlite3.connect(f"file:{self.agent.db}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT count(*) FROM reading").fetchone()[0]

    def figures(self):
        """Return (threads, descriptors, those of the store's file) of the process.

        The last are not among the others: SQLite keeps them when a connection is closed, for
        the next one, so that there are as many as threads have ever read at once.
        """
        store = [file for file in self.process.open_files() if file.path == str(self.agent.db)]
        return self.process.num_threads(), self.process.num_fds() - len(store), len(store)

    def wait_stored(self, count):
        """Wait until so many more readings are in the store, and POSTs answered."""
        readings, posts = self.count() + count, self.sender.stored + count // 10
        wait_for(lambda: self.count() >= readings, "readings that are stored")
        wait_for(lambda: self.sender.stored >= posts or self.sender.failures, "POSTs")
        assert not self.sender.failures, self.sender.failures

    @contextmanager
    def timed(self, what):
        """Print how long commits took meanwhile, as seen from both sides."""
        before, first = self.buckets(), len(self.sender.times_s)
        yield
        after, times_s = self.buckets(), sorted(self.sender.times_s[first:])
        counts = {bound: after[bound] - before[bound] for bound in after}
        posts = f"{len(times_s):5} POSTs: {_p99(times_s) * 1000:6.1f} ms" if times_s else "none"
        commits = f"{counts[float('inf')]:6.0f} commits: {_bucket_p99(counts) * 1000:6.1f} ms"
        print(f"p99 {what:<36} {posts}   {commits}")

    @contextmanager
    def attack(self, what):
        """Attack meanwhile; then all must be as it was, and more be stored."""
        threads, descriptors, _ = self.figures()
        with self.timed(what):
            yield
            self.wait_stored(20)

        def is_as_before():
            # The store closes what threads had open that are gone once another one reads it.
            self.told("/api/v1/channels")
            found = self.figures()
            return found[0] <= threads + LEAKED_MAX and found[1] <= descriptors + LEAKED_MAX

        wait_for(is_as_before, f"{what}: as few threads and descriptors as before", 20)
        assert self.figures()[2] <= CONNECTIONS_MAX + OWN_MAX
        wait_for(lambda: self.told("/health"), f"{what}: /health")


def _p99(rising):
    return rising[min(len(rising) - 1, int(0.99 * len(rising)))]


def _bucket_p99(counts):
    """Return the 99th percentile of a histogram, as if figures were even in each bucket."""
    below, low = 0.0, 0.0
    wanted = 0.99 * counts[float("inf")]
    for bound, count in sorted(counts.items()):
        if count >= wanted and count > below:
            if bound == float("inf"):
                return low
            return low + (bound - low) * (wanted - below) / (count - below)
        below, low = count, bound
    return 0.0


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.sender.is_over.set()
    if site.sender.is_alive():
        site.sender.join(DEADLINE_S)
    if site.agent.process.poll() is None:
        site.agent.kill()


# -- what hostile clients send ---------------------------------------------------------------


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)


def tell(port, request):
    """Send bytes and an end; return what comes back, b"" if that is nothing."""
    found = b""
    with connect(port) as client:
        try:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
        except TimeoutError:
            raise
        except OSError:
            pass  # the server has heard enough; it may have said so before
        with suppress(ConnectionResetError):
            while piece := client.recv(65_536):
                found += piece
    return found


def statuses(answer):
    """Return the statuses of all answers: each comes right behind the body of the one before."""
    return [int(one) for one in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", answer)]


def get(target=b"/livez", *headers, version=b"HTTP/1.1", host=b"localhost"):
    lines = [b"GET %s %s" % (target, version), b"Host: %s" % host, *headers]
    return b"\r\n".join([*lines, b"", b""])


CHUNKED = b"Transfer-Encoding: chunked"
BEHIND = get(b"/health")  # what is smuggled in: it must not be answered

# What is sent, and the one answer that there may be
MALFORMED = {
    "giant first line": (get(b"/" + b"x" * LINE_SIZE_MAX), {414}),
    "giant first line without an end": (b"x" * 2 * LINE_SIZE_MAX, {414}),
    "giant query": (get(b"/api/v1/events?limit=" + b"1" * 7000), {400}),
    "many parameters": (get(b"/api/v1/events?" + b"a=b&" * 1500), {400}),
    "giant header": (get(b"/livez", b"A: " + b"x" * HEAD_SIZE_MAX), {431}),
    "giant name of a header": (get(b"/livez", b"x" * HEAD_SIZE_MAX + b": a"), {431}),
    "giant header without an end": (GET + b"A: " + b"x" * 4 * HEAD_SIZE_MAX, {431}),
    "200 headers": (get(b"/livez", *(b"A%d: b" % number for number in range(200))), {431}),
    "headers that are too long together": (
        get(b"/livez", *(b"A%d: %s" % (number, b"x" * 1000) for number in range(90))),
        {431},
    ),
    "chunked body": (get(b"/livez", CHUNKED) + b"5\r\nhello\r\n0\r\n\r\n", REFUSED),
    "chunk of no size": (get(b"/livez", CHUNKED) + b"zz\r\n" + BEHIND, REFUSED),
    "chunk of negative size": (get(b"/livez", CHUNKED) + b"-1\r\n\r\n" + BEHIND, REFUSED),
    "giant chunk": (get(b"/livez", CHUNKED) + b"f" * 16 + b"\r\n" + BEHIND, REFUSED),
    "body in two ways": (
        get(b"/livez", CHUNKED, b"Content-Length: 0") + b"0\r\n\r\n" + BEHIND,
        REFUSED,
    ),
    "unknown coding": (get(b"/livez", b"Transfer-Encoding: x") + BEHIND, REFUSED),
    "coding with a space before its colon": (
        get(b"/livez", b"Transfer-Encoding : chunked") + b"0\r\n\r\n" + BEHIND,
        REFUSED,
    ),
    "giant body": (get(b"/livez", b"Content-Length: 99999999999999") + b"x" * 9000, {413}),
    "body of negative size": (get(b"/livez", b"Content-Length: -1") + BEHIND, REFUSED),
    "body of two sizes": (
        get(b"/livez", b"Content-Length: 0", b"Content-Length: %d" % len(BEHIND)) + BEHIND,
        REFUSED,
    ),
    "body of a POST": (
        b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(BEHIND) + BEHIND,
        {405},
    ),
    "header in the target": (get(b"/livez%0d%0aForged:%20yes"), {404}),
    "header in a query": (get(b"/api/v1/events?%0d%0aForged:%20yes=1"), {400}),
    "header in the value of a query": (get(b"/api/v1/channels?device=a%0d%0aForged: yes"), {400}),
    "header in an origin": (get(b"/livez", b"Origin: https://a\rForged: yes"), {200, 400}),
    "header behind a bare return": (
        get(b"/livez", b"A: b\rContent-Length: %d" % len(BEHIND)) + BEHIND,
        REFUSED,
    ),
    "header on two lines": (get(b"/livez", b"A: b", b" Forged: yes"), {200, 400}),
    "line that is no header": (get(b"/livez", b"nonsense"), {400}),
    "header without a name": (get(b"/livez", b": a"), {400}),
    "target of another server": (get(b"http://evil.example/livez"), {400, 403, 404}),
    "target of this server, absolute": (get(b"http://localhost/nothing"), NOT_THERE),
    "target without a path": (get(b"evil.example:80"), NOT_THERE),
    "target that begins with two slashes": (get(b"//evil.example/livez"), NOT_THERE),
    "target above the page": (get(b"/../../../etc/passwd"), NOT_THERE),
    "target above the page, encoded": (get(b"/%2e%2e/%2e%2e/etc/passwd"), NOT_THERE),
    "target that is no ASCII": (get(b"/\xff\xfe"), NOT_THERE),
    "NUL in the target": (get(b"/livez\0"), NOT_THERE),
    "NUL in a query": (get(b"/api/v1/channels?device=%00"), {400}),
    "NUL in the name of a header": (get(b"/livez", b"A\0B: c"), {200, 400}),
    "NUL in the value of a header": (get(b"/livez", b"A: \0"), {200, 400}),
    "NUL in the host": (get(host=b"local\0host"), {400, 403}),
    "NUL in the method": (b"GET\0 /livez HTTP/1.1\r\nHost: a\r\n\r\n", {400, 403, 405, 501}),
    "nothing but NUL": (b"\0" * 100 + b"\r\n\r\n", {400}),
    "host that is a name": (get(host=b"evil.example"), {403}),
    "host that begins as an address": (get(host=b"127.0.0.1.evil.example"), {403}),
    "host that is half an address": (get(host=b"[::1"), {200, 400, 403}),
    "host twice": (get(b"/livez", b"Host: localhost"), {400}),
    "host twice, one of them evil": (get(b"/livez", b"Host: evil.example"), {400}),
    "token twice": (get(b"/livez", b"Authorization: Bearer a", b"authorization: b"), {400}),
    "origin twice": (get(b"/livez", b"Origin: http://a", b"Origin: http://b"), {400}),
    "method of a proxy": (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", {405, 501}),
    "method that tells": (b"TRACE /livez HTTP/1.1\r\nHost: a\r\n\r\n", {405, 501}),
    "giant method": (b"A" * 5000 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", {405, 501}),
    "no method": (b" /livez HTTP/1.1\r\n\r\n", {400}),
    "four words": (get(b"/livez x"), {400}),
    "version that comes yet": (get(version=b"HTTP/2.0"), {505}),
    "version of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {505}),
    "giant version": (get(version=b"HTTP/1." + b"9" * 5000), {400, 505}),
    "version that is none": (get(version=b"HTTP/1.\xb2"), {400}),
    "greeting of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 600, {400}),
    "greeting of a proxy": (b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n\r\n", {400}),
}


def check_answer(what, answer, allowed):
    """Fail unless an answer is the only one, as is documented, and nothing forged is in it."""
    assert len(statuses(answer)) == 1, (what, answer[:2000])
    assert statuses(answer)[0] in allowed, (what, answer[:500])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert FORGED.lower() not in head.lower(), (what, head)
    assert b"Traceback" not in body, what
    assert len(answer) < 2000, what


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    """The port of an agent that nobody else is a client of."""
    agent = AgentProcess(tmp_path_factory.mktemp("idle"), {"sensors": {"devices": [SIMULATED]}})
    agent.start()
    yield int(re.search(r"http://127\.0\.0\.1:(\d+)/health", agent.text()).group(1))
    status, told = agent.stop(), {line["level"] for line in agent.records()}
    assert (status, told) == (0, {"INFO"})


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_request_gets_the_one_answer_that_is_due(idle, what):
    request, allowed = MALFORMED[what]
    check_answer(what, tell(idle, request), allowed)


def test_answers_to_requests_in_one_go_are_as_many_and_in_order(idle):
    paths = [b"/livez", b"/none", b"/readyz", b"/api/v1/devices?x=1"] * (PIPELINED // 4)
    answer = tell(idle, b"".join(get(path) for path in paths))
    assert statuses(answer) == [200, 404, 200, 400] * (PIPELINED // 4)


def test_nothing_is_answered_behind_a_request_that_is_none(idle):
    for garbage in (b"\0\xff\xfe\r\n\r\n", b"x" * 9000 + b"\r\n", b"GET\r\n\r\n"):
        found = statuses(tell(idle, get() + get() + garbage + get()))
        assert found[:2] == [200, 200]
        assert len(found) == 3
        assert found[2] in (400, 414)


# -- the attacks -----------------------------------------------------------------------------


def slowly(port, cut_max=CONNECTIONS_MAX):
    """Hold all connections there may be, sending a byte now and then, until so many are cut off.

    Whoever is turned away comes again. Return how they ended, by status; 0: without an answer.
    """
    ended, held = Counter(), {}
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        cut = 0  # those that were let in
        while cut < cut_max:
            while len(held) < SLOW:
                client = stack.enter_context(connect(port))
                client.setblocking(False)
                selector.register(client, selectors.EVENT_READ)
                held[client] = iter(GET + b"A: " + b"x" * 10_000)
            for client, request in held.items():
                with suppress(OSError):
                    client.send(bytes([next(request)]))
            PACE.wait(0.1)  # what slow clients do now and then
            for key, _ in selector.select(0):
                client = key.fileobj
                try:
                    found = statuses(client.recv(4096))
                except OSError:
                    found = []
                ended[found[0] if found else 0] += 1
                cut += found != [503]
                selector.unregister(client)
                client.close()
                del held[client]
    return ended


def in_turn(port):
    """Connect and go, again and again; return the answers of those who have waited for one."""
    answers = Counter()
    reset = struct.pack("ii", 1, 0)  # SO_LINGER: the connection is reset when it is closed
    for number in range(IN_TURN):
        with connect(port) as client:
            if number % 4 == 0:
                continue  # nothing is asked
            client.sendall(get())
            if number % 4 == 1:  # nobody listens
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                continue
            with suppress(ConnectionResetError):
                answers[client.recv(4096)[9:12]] += 1
    return answers


def pipelining(port):
    """Ask for a lot in one go, some reading the answers and some not, and some nonsense behind."""
    paths = (b"/health", b"/api/v1/readings?limit=200", b"/metrics/prometheus", b"/")
    requests = b"".join(get(path) for path in paths) * (PIPELINED // len(paths))
    with ExitStack() as stack:
        for _ in range(DEAF):
            client = stack.enter_context(connect(port))
            client.setblocking(False)
            with suppress(OSError):
                client.send(requests)
        found = statuses(tell(port, requests))
        assert found == [200] * len(found)
        assert found
        for garbage in (b"\0\xff\xfe\r\n" * 500, b"GET " * 9000, b"\r\n" * 5000):
            assert statuses(tell(port, get() + garbage))[:1] == [200]


def malformed(port):
    for what, (request, _) in MALFORMED.items():
        assert statuses(tell(port, request)), what


@contextmanager
def deaf_streams(port):
    """Let clients ask for the stream and read nothing; in the end count what they were told."""
    told = Counter()
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(STREAMS)]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with suppress(OSError):
                client.sendall(get(b"/api/v1/stream"))
        yield told
        for client in clients:
            with suppress(ConnectionResetError):
                told[client.recv(12)[9:12]] += 1


def all_at_once(port):
    """Attack in every way beside the others; nobody may count on an answer."""

    def send_malformed():
        for request, _ in MALFORMED.values():
            tell(port, request)

    def send_pipelined():
        for _ in range(4):
            tell(port, get(b"/health") * PIPELINED)

    threads = [
        threading.Thread(target=target, daemon=True)
        for target in (send_malformed, send_pipelined, lambda: slowly(port, CONNECTIONS_MAX // 2))
    ]
    with deaf_streams(port):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
    assert not any(thread.is_alive() for thread in threads)


def test_agent_goes_on_storing_while_hostile_clients_attack(site):
    site.sender.start()
    for path in ("/health", "/api/v1/ledger", "/api/v1/channels", "/api/v1/readings", "/metrics"):
        assert site.told(path)
    site.wait_stored(20)
    with site.timed("before"):
        site.wait_stored(300)
    size = site.process.memory_info().rss

    with site.attack("malformed requests"):
        malformed(site.port)
    with site.attack(f"{STREAMS} streams that nobody reads"), deaf_streams(site.port) as told:
        site.wait_stored(200)
    assert told[b"200"] == STREAMS_MAX
    assert set(told) <= {b"200", b"503", b""}
    with site.attack("pipelined requests"):
        pipelining(site.port)
    with site.attack(f"{IN_TURN} connections in turn"):
        answers = in_turn(site.port)
    assert set(answers) <= {b"200", b"503", b""}
    assert answers[b"200"] > 0
    with site.attack(f"{SLOW} connections that are slow"):
        ended = slowly(site.port)
    assert set(ended) <= {408, 503, 0}
    assert ended[408] > 0
    with site.attack("all at once"):
        all_at_once(site.port)

    with site.timed("afterwards"):
        site.wait_stored(300)
    grown = site.process.memory_info().rss - size
    print(f"memory {size / 2**20:.1f} MiB before, {grown / 2**20:+.1f} MiB afterwards")
    assert grown < GROWTH_MAX
    check_end(site)


def check_end(site):
    """Stop the agent; fail unless all that was read is stored, and nothing is wrong in its log."""
    site.sender.is_over.set()
    site.sender.join(DEADLINE_S)
    assert not site.sender.is_alive()
    assert not site.sender.failures
    site.agent.process.send_signal(signal.SIGTERM)
    assert site.agent.process.wait(DEADLINE_S) == 0
    command = [sys.executable, "-m", "pyv_edge_agent.cli", "ledger", "--config"]
    done = subprocess.run(
        [*command, str(site.agent.config)], capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ledger = site.agent.ledger()
    assert ledger.total("lost") == 0
    assert ledger.total("sampled") == ledger.total("stored") == site.count()
    with closing(sqlite3.connect(site.agent.db)) as connection:
        rows = connection.execute("SELECT device, seq, value FROM readings").fetchall()
    stored, values = {}, []
    for device, seq, value in rows:
        stored.setdefault(device, []).append(seq)
        values += [value] if device == "posted" else []
    assert len(stored) == DEVICES + 1
    for found in stored.values():
        assert sorted(found) == list(range(len(found)))
    assert sorted(values) == list(range(site.sender.stored))
    assert "Traceback" not in site.agent.text()
    assert {line["level"] for line in site.agent.records()} == {"INFO"}
