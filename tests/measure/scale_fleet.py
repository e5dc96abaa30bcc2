"""What an agent is to a broker: bytes, messages, time, memory of a connection, disk of a reading.

Each kind of sink delivers the same readings through a relay that counts bytes both ways, to
a real server on this computer, in batches as a quiet agent has them and as one that catches
up. Idle connections are opened by hundreds, to see what the server's memory grows by.
"""

import random
import resource
import select
import socket
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
from host.fakes import SEGMENT
from host.processes import mosquitto, nats_server
from pyv_edge_agent.egress import Egress
from pyv_edge_agent.mqtt_client import MQTT_5
from pyv_edge_agent.outbox import CloudSyncQueue
from pyv_edge_agent.sinks.mqtt import MQTTOptions, MQTTSink
from pyv_edge_agent.sinks.nats import NATSOptions, NATSSink
from pyv_edge_agent.store import WriteBatch
from pyv_edge_agent.terms import Terms
from pyv_edge_agent.uploader import UploadWorker
from pyv_edge_core.privacy import PrivacyPolicy

from .scale_agent import cpu_s
from .store import Feed

BATCHES = (10, 2000)  # readings: of a second at 10 a second, of a backlog
KEEP_ALIVE_S = 60


class Relay:
    """Passes bytes on to a port, and counts them."""

    def __init__(self, port):
        self.up = self.down = 0
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ending, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        peers = {}
        while True:
            ready, _, _ = select.select([self._listener, self._end, *peers], [], [])
            if self._end in ready:
                for one in peers:
                    one.close()
                return
            for one in ready:
                if one is self._listener:
                    client, _ = one.accept()
                    server = socket.create_connection(("127.0.0.1", self._to))
                    for each in (client, server):
                        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    peers[client], peers[server] = (server, True), (client, False)
                elif one in peers:
                    self._pass_on(one, peers)

    def _pass_on(self, one, peers):
        other, is_up = peers[one]
        try:
            data = one.recv(1 << 16)
            if data:
                other.sendall(data)
        except OSError:
            data = b""
        if not data:
            for each in (one, other):
                del peers[each]
                each.close()
        elif is_up:
            self.up += len(data)
        else:
            self.down += len(data)

    def close(self):
        self._ending.sendall(b"x")
        self._thread.join(10)
        self._listener.close()
        self._ending.close()
        self._end.close()


def _sinks(port, run=""):
    """Return how each kind is made; of a `run` of its own a stream knows no reading again."""
    mqtt = {"host": "127.0.0.1", "port": port, "protocol": MQTT_5}
    stream = {"stream": f"RUN{run}", "subject_prefix": f"run{run}", "create_stream": True}
    return {
        "mqtt_reading": lambda: MQTTSink(MQTTOptions(**mqtt)),
        "mqtt_batch": lambda: MQTTSink(MQTTOptions(**mqtt, mode="batch")),
        "mqtt_senml": lambda: MQTTSink(MQTTOptions(**mqtt, mode="batch", format="senml")),
        "nats": lambda: NATSSink(NATSOptions(servers=(f"nats://127.0.0.1:{port}",), **stream)),
    }


class Counted:
    """A sink, and how many readings have gone through it."""

    def __init__(self, client):
        self.client = client
        self.shown = client.shown
        self.readings = 0

    def deliver(self, batch_key, items):
        found = self.client.deliver(batch_key, items)
        assert found.is_accepted, found
        self.readings += len(items)
        return found

    def wake(self):
        self.client.wake()


def _delivered(folder, name, server, batch_size, count):
    """Deliver readings; return bytes up and down of each, and ms of the server of a thousand."""
    folder.mkdir()
    feed = Feed(folder / "edge.db")
    feed.store.sinks.register("http", batch_size)
    out = WriteBatch(SEGMENT)
    feed.take(feed.batches(count), out)
    feed.store.commit(out)
    queue = CloudSyncQueue(clock=feed.clock)
    queue.bind(feed.store)
    relay = Relay(server.port)
    sink = Counted(_sinks(relay.port, folder.name)[name]())
    terms = Terms(sink, Egress(PrivacyPolicy()), batch_size, 0.1, 1.0)
    worker = UploadWorker(feed.store, queue, terms, feed.clock, random.Random(1))
    used_s = cpu_s(server.process.pid)
    while sink.readings < count:
        assert worker.step() >= 0
    used_s = cpu_s(server.process.pid) - used_s
    sink.client.close()
    relay.close()
    feed.store.close()
    return relay.up / count, relay.down / count, used_s * 1e6 / count


def _connection_kb(server, greet, count):
    """Return by how much the memory of a new server grows for each of so many connections."""
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    opened = []
    try:
        for number in range(count):
            one = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            opened.append(one)
            greet(one, number)
        return (process.memory_info().rss - before) / count / 1024
    finally:
        for one in opened:
            one.close()


def _greet_mqtt(connection, number):
    name = b"agent%06d" % number
    body = b"\0\4MQTT\4\2" + KEEP_ALIVE_S.to_bytes(2, "big") + b"\0" + bytes([len(name)]) + name
    connection.sendall(b"\x10" + bytes([len(body)]) + body)
    assert connection.recv(4)[:1] == b"\x20"


def _greet_nats(connection, number):
    del number
    assert connection.recv(4096).startswith(b"INFO")
    connection.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
    assert b"PONG" in connection.recv(4096)


@contextmanager
def _subscriber(server):
    """Have one client that is sent everything, with QoS 0, and drops it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        _greet_mqtt(connection, 0)
        connection.sendall(b"\x82\x06\0\1\0\1#\0")
        assert connection.recv(5)[:1] == b"\x90"
        connection.settimeout(None)
        thread = threading.Thread(target=_drop, args=[connection], daemon=True)
        thread.start()
        yield
        connection.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _drop(connection):
    while connection.recv(1 << 16):
        pass


def fleet(folder, sizes):
    """Measure all that the sizing of a cluster is calculated from."""
    folder, repeats = Path(folder), sizes.repeats
    count = min(sizes.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
    figures = []

    def add(name, unit, values):
        figures.append([f"scale.fleet.{name}", unit, values])

    for kind, make, greet in (
        ("mqtt", mosquitto, _greet_mqtt),
        ("nats", nats_server, _greet_nats),
    ):
        grown = []
        for number in range(repeats):
            with _running(make(folder / f"{kind}{number}")) as server:
                grown.append(_connection_kb(server, greet, count))
        add(f"{kind}_connection_kb", "kB", grown)
        with _running(make(folder / kind)) as server, ExitStack() as stack:
            if kind == "mqtt":
                stack.enter_context(_subscriber(server))
            for name in [one for one in _sinks(0) if one.startswith(kind)]:
                _of_sink(folder, name, server, sizes, add)
        if kind == "nats":
            kept = sum(one.stat().st_size for one in (folder / kind).rglob("*.blk"))
            total = sizes.fleet_readings * len(BATCHES) * repeats
            add("nats_stored_bytes_per_reading", "bytes", [kept / total])
    return figures


@contextmanager
def _running(server):
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _of_sink(folder, name, server, sizes, add):
    for size in BATCHES:
        found = [
            _delivered(folder / f"{name}-{size}-{n}", name, server, size, sizes.fleet_readings)
            for n in range(sizes.repeats)
        ]
        up, down, used = zip(*found, strict=True)
        add(f"{name}_up_bytes.{size}", "bytes", list(up))
        add(f"{name}_down_bytes.{size}", "bytes", list(down))
        add(f"{name}_server_cpu_ms_per_1000.{size}", "ms", list(used))
