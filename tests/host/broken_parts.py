"""Each part of an agent, broken in turn, and what /health is to say of it.

Of a `reason`, <...> stands for what is another each time. OPERATIONS.md has the table.
"""

import os
import socket
from contextlib import contextmanager, suppress
from typing import NamedTuple

from host.asking import report
from host.conftest import SIMULATED
from host.fakes import FakeBoard, ShiftedClock, Stuck
from host.servers import Answer, serving
from host.store_rig import StoreRig
from host.test_hot_plug import Socket
from host.waiting import wait_for
from pyv_edge_agent.errors import ConfigError
from pyv_edge_core import message

from host import http_rig

HTTP = {"name": "in", "ingest_type": "http", "port": 0, "unit": "Cel"}
DEGRADED, UNHEALTHY = "degraded", "unhealthy"


class Broken(NamedTuple):
    """A part, what is wrong with it, and what is said of it."""

    what: str
    part: str
    status: str
    reason: str
    breaks: object  # a context manager that takes the site and gives the agent
    is_live: bool = True
    is_ready: bool = True
    also: tuple = ()  # parts of which the same is to be said


class Site:
    """Starts agents."""

    def __init__(self, agents, write_config, folder):
        self._agents = agents
        self._write_config = write_config
        self.folder = folder

    def start(self, devices=(SIMULATED,), clock=None, **sections):
        agent = self._agents(self._write_config(devices, **sections), clock=clock)
        agent.start()
        return agent

    def rewrite(self, devices):
        """Write another configuration in the place of the first."""
        self._write_config(devices)

    def run(self, **sections):
        """Start one that has stored its first reading."""
        agent = self.start(**sections)
        wait_for(lambda: agent._readings_processed, "first cycle")
        return agent


def port_of(agent):
    (device,) = report(agent)["devices"]
    return device["listener"]["port"]


def listening(site, clock=None, **settings):
    agent = site.start([{**HTTP, **settings}], clock)
    wait_for(lambda: report(agent)["devices"][0]["state"] == "listening", "a port")
    return agent


class Gone:
    def read(self):
        raise OSError("the sensor does not answer")


class UnsetClock(ShiftedClock):
    def is_synchronised(self):
        return False


@contextmanager
def refused_reload(site):
    agent = site.run()
    site.rewrite([{"name": "t1", "ingest_type": "no such"}])
    with suppress(ConfigError):
        agent.reload_config()
    yield agent


# -- devices ---------------------------------------------------------------------------


@contextmanager
def no_port(site):
    agent = site.start([{"name": "porch", "ingest_type": "serial", "port": "/dev/no/such"}])
    wait_for(lambda: agent.links[0].problem, "a look for the port")
    yield agent


@contextmanager
def no_hello(site):
    controller, line = os.openpty()
    clock = ShiftedClock()
    device = {"name": "porch", "ingest_type": "serial", "port": os.ttyname(line)}
    try:
        agent = site.start([device], clock)
        wait_for(lambda: agent.links[0].state == "handshaking", "an open port")
        clock.ahead_ms += 11_000
        wait_for(lambda: agent.links[0].problem, "patience to end")
        yield agent
        agent.stop()
    finally:
        os.close(controller)
        os.close(line)


@contextmanager
def board_that_is_up(site, flags=0):
    """Give an agent, its clock, and the socket of a board that has greeted."""
    socket, clock = Socket(), ShiftedClock()
    socket.plug()
    agent = site.start([{"name": "porch", "ingest_type": "serial", "port": socket.path}], clock)
    board = FakeBoard(clock, flags=flags)
    try:
        wait_for(lambda: board.exchange(socket) or agent.links[0].state == "up", "a session")
        yield agent, clock, socket
        agent.stop()
    finally:
        if socket.fd is not None:
            socket.pull()


@contextmanager
def safe_board(site):
    with board_that_is_up(site, message.HELLO_SAFE) as (agent, _, _):
        yield agent


@contextmanager
def silent_board(site):
    with board_that_is_up(site) as (agent, clock, _):
        clock.ahead_ms += 13_000
        wait_for(lambda: agent.links[0].problem, "silence to be noticed")
        yield agent


@contextmanager
def pulled_board(site):
    with board_that_is_up(site) as (agent, _, socket):
        socket.pull()
        wait_for(lambda: "exist" in agent.links[0].problem, "the port to be looked for")
        yield agent


@contextmanager
def failing_adapter(site):
    agent = site.run()
    agent._adapters["t1"] = Gone()
    agent.run_once()
    yield agent


@contextmanager
def deaf_port():
    """A port at which nobody listens, and that no other test gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextmanager
def no_broker(site):
    with deaf_port() as port:
        device = {"name": "meter", "ingest_type": "mqtt", "topic": "a/#", "port": port}
        agent = site.start([device])
        wait_for(lambda: report(agent)["devices"][0]["problem"], "an attempt to connect")
        yield agent


@contextmanager
def taken_port(site):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        agent = site.start([{**HTTP, "port": taken.getsockname()[1]}])
        wait_for(lambda: report(agent)["devices"][0]["problem"], "an attempt to listen")
        yield agent


@contextmanager
def garbage(site):
    agent = listening(site)
    assert http_rig.ask(port_of(agent), b"{").status == 400
    yield agent


@contextmanager
def silence(site):
    clock = ShiftedClock()
    agent = listening(site, clock, silent_after_seconds=30)
    assert http_rig.ask(port_of(agent), http_rig.reading()).status == 200
    clock.ahead_ms += 31_000
    yield agent


@contextmanager
def bad_reading(site):
    agent = listening(site, quality_path="metadata.quality")
    body = http_rig.reading(metadata={"quality": "bad"})
    assert http_rig.ask(port_of(agent), body).status == 200
    yield agent


# -- sinks -----------------------------------------------------------------------------


def cloud(url, **more):
    return {"enabled": True, "endpoint": url, "timeout_seconds": 5, **more}


@contextmanager
def no_cloud(site):
    with deaf_port() as port:
        agent = site.run(cloud=cloud(f"http://127.0.0.1:{port}/in"))
        wait_for(lambda: agent.workers[0].problem, "an attempt")
        yield agent


@contextmanager
def refusing_cloud(site):
    with serving(Answer(401)) as server:
        agent = site.run(cloud=cloud(server.url))
        wait_for(lambda: agent.workers[0].problem, "an attempt")
        yield agent


@contextmanager
def dead_letter(site):
    def judge(body):
        values = [item.get("value") for item in body["items"]]
        return Answer(400) if 13.0 in values else Answer(200)

    with serving(judge) as server:
        agent = listening_with_cloud(site, server.url)
        port = port_of(agent)
        for value in (13.0, 1.0, 2.0):
            assert http_rig.ask(port, http_rig.reading(value)).status == 200
        wait_for(lambda: agent.store.dead_letters.count, "a dead letter", 60)
        wait_for(lambda: not agent.workers[0].problem, "the others to be delivered", 60)
        yield agent


def listening_with_cloud(site, url):
    agent = site.start([HTTP], cloud=cloud(url, retry_base_seconds=0.01, retry_max_seconds=0.05))
    wait_for(lambda: report(agent)["devices"][0]["state"] == "listening", "a port")
    return agent


@contextmanager
def forgotten_sink(site):
    with serving() as server:
        agent = site.run(cloud=cloud(server.url))
        wait_for(lambda: agent.workers[0].readings_total, "a delivery")
        agent.stop()
    yield site.run()


@contextmanager
def waiting_for_the_clock(site):
    with serving() as server:
        agent = site.start(clock=UnsetClock(), cloud=cloud(server.url), time={"source": "ntp"})
        wait_for(lambda: agent.workers[0].waiting, "a reading that waits")
        yield agent


# -- the store, the clock, the threads -------------------------------------------------


@contextmanager
def unset_clock(site):
    yield site.start(clock=UnsetClock(), time={"source": "ntp"})


@contextmanager
def read_only_store(site):
    agent = site.run()
    agent._store._writer.execute("PRAGMA query_only = ON")
    agent.run_once()
    yield agent
    agent._store._writer.execute("PRAGMA query_only = OFF")


@contextmanager
def deleted_store(site):
    agent = site.run()
    agent.store.path.unlink()
    yield agent


@contextmanager
def store_near_its_cap(site):
    rig = StoreRig(site.folder / "edge.db")
    rig.add(5000)
    rig.close()
    yield site.run(storage={"path": "edge.db", "max_mb": 2, "low_water": 0.05, "high_water": 1.0})


@contextmanager
def full_store(site):
    room = {"keep_mb": 0, "min_free_mb": 1e7}
    agent = site.run(storage=room, policies={"on_full_telemetry": "reject_new"})
    wait_for(lambda: report(agent)["store"]["state"] == "full", "a look at the room", 60)
    yield agent


@contextmanager
def full_queue(site):
    with serving(Answer(503)) as server:
        agent = site.run(cloud=cloud(server.url, queue_max_mb=0.01))
        for number in range(20):
            agent._cloud.enqueue({"log": number, "text": "x" * 480})
        yield agent


@contextmanager
def stuck_worker(site):
    clock, stuck = ShiftedClock(), Stuck()
    agent = site.run(clock=clock, sensors={"poll_interval_seconds": 0.01})
    agent._adapters["t1"] = stuck
    assert stuck.is_entered.wait(30)
    clock.ahead_ms += 61_000
    wait_for(lambda: [one.name for one in agent.heartbeats.late()] == ["edge-agent"], "lateness")
    yield agent
    stuck.go.set()


PARTS = [
    Broken(
        "a port that is not there",
        "device/porch",
        DEGRADED,
        "serial port /dev/<...> does not exist; plug the board in, or name another port"
        " (ls /dev/serial/by-id)",
        no_port,
    ),
    Broken(
        "a port where nobody greets",
        "device/porch",
        DEGRADED,
        "no HELLO on /dev/<...>; does the board run the firmware?",
        no_hello,
    ),
    Broken(
        "a board that says nothing any more",
        "device/porch",
        DEGRADED,
        "nothing heard for 12 s on /dev/<...>",
        silent_board,
    ),
    Broken(
        "a board that has crashed again and again",
        "device/porch",
        DEGRADED,
        "the board is in safe mode after crashes: its log says which",
        safe_board,
    ),
    Broken(
        "a board that is pulled",
        "device/porch",
        DEGRADED,
        "serial port /dev/<...> does not exist; plug the board in, or name another port"
        " (ls /dev/serial/by-id)",
        pulled_board,
    ),
    Broken(
        "an adapter that fails",
        "device/t1",
        DEGRADED,
        "the sensor does not answer",
        failing_adapter,
    ),
    Broken(
        "a broker that is away",
        "device/meter",
        DEGRADED,
        "can't connect to mqtt://<...>: Connection refused",
        no_broker,
    ),
    Broken(
        "a port to listen on that somebody else has",
        "device/in",
        DEGRADED,
        "can't listen for http://<...>/ingest: [Errno 98] Address already in use",
        taken_port,
    ),
    Broken(
        "what comes is no reading",
        "device/in",
        DEGRADED,
        "what comes is rejected: a POST was refused: the body is no JSON at character 1",
        garbage,
    ),
    Broken(
        "nothing comes, with `silent_after_seconds = 30`",
        "device/in",
        DEGRADED,
        "no reading for more than 30 s",
        silence,
    ),
    Broken(
        "a sensor that fails",
        "device/in",
        DEGRADED,
        "the last reading of 1 of its channels is bad",
        bad_reading,
    ),
    Broken(
        "a cloud that is away",
        "sink/http",
        DEGRADED,
        "no reply from http://<...>: connection refused; is the server running, and is the port"
        " right? (1 wait)",
        no_cloud,
    ),
    Broken(
        "a cloud that wants another key",
        "sink/http",
        DEGRADED,
        "status 401 (1 wait)",
        refusing_cloud,
    ),
    Broken(
        "a reading that the cloud refuses",
        "sink/http",
        DEGRADED,
        "refused for what they are, and kept as dead letters: 1; pyv-edge-host queue dlq ls, then"
        " retry or drop them",
        dead_letter,
    ),
    Broken(
        "a sink that is not configured any more",
        "sink/http",
        DEGRADED,
        "is not configured; readings are kept for it: 1; configure it, or: pyv-edge-host queue"
        " forget http",
        forgotten_sink,
    ),
    Broken(
        "readings that wait for the clock",
        "sink/http",
        DEGRADED,
        "the clock of this computer is not set yet (1 wait)",
        waiting_for_the_clock,
        also=("clock",),
    ),
    Broken(
        "a clock that nobody has set",
        "clock",
        DEGRADED,
        "is not known to be right: readings are marked unset",
        unset_clock,
    ),
    Broken(
        "a reload that failed",
        "config",
        DEGRADED,
        "the last reload failed, and what held before still holds; pyv-edge-host config check says"
        " why",
        refused_reload,
    ),
    Broken(
        "a store near its cap",
        "store",
        DEGRADED,
        "<...> of <...> MB are in use: the oldest readings go; see storage.max_mb,"
        " storage.min_free_mb, policies.keep_days",
        store_near_its_cap,
    ),
    Broken(
        "a store without room",
        "store",
        DEGRADED,
        "has no room and nothing to evict: readings are rejected",
        full_store,
        is_ready=False,
    ),
    Broken(
        "a queue near its cap",
        "queue",
        DEGRADED,
        "<...> of <...> MB of queued items: the least urgent go; see cloud.queue_max_mb",
        full_queue,
        also=("sink/http",),
    ),
    Broken(
        "a store that can't be written",
        "store",
        UNHEALTHY,
        "<...>/edge.db: attempt to write a readonly database",
        read_only_store,
        is_ready=False,
    ),
    Broken(
        "a store that somebody deletes",
        "store",
        UNHEALTHY,
        "<...>/edge.db: was deleted",
        deleted_store,
        is_ready=False,
    ),
    Broken(
        "a worker that is stuck",
        "worker/edge-agent",
        UNHEALTHY,
        "has not moved for <...> s; the log says where it stands",
        stuck_worker,
        is_live=False,
    ),
]
