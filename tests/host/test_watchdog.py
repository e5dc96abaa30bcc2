"""The watchdog is fed while every worker moves, and the one that doesn't is named."""

import random
import threading

import pytest
from host.asking import ask
from host.conftest import SIMULATED
from host.fakes import FakeClock, FakePort, ShiftedClock, Stuck
from host.notified import Manager
from host.servers import serving
from host.waiting import wait_for
from pyv_edge_agent.heartbeat import STEP_MS, Heartbeat, Heartbeats
from pyv_edge_agent.link import SerialLink
from pyv_edge_agent.notify import Notifier
from pyv_edge_agent.report import status_line
from pyv_edge_agent.uploads import TIMEOUTS
from pyv_edge_agent.watchdog import LOOK_MS, Watchdog

WATCHDOG_MS = 60_000


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def names(heartbeats):
    return [one.name for one in heartbeats.late()]


# -- heartbeats ----------------------------------------------------------------------


def test_worker_is_late_when_it_has_not_come_within_what_it_said():
    clock = FakeClock()
    heartbeats = Heartbeats(clock)
    quick, slow = heartbeats.open("quick"), heartbeats.open("slow")
    quick.beat(100)
    slow.beat(30_000)  # it waits for somebody, and says so
    clock.advance(100)
    assert names(heartbeats) == []
    clock.advance(1)
    assert names(heartbeats) == ["quick"]
    assert heartbeats.status() == {
        "quick": {"is_late": True, "quiet_seconds": 0.101},
        "slow": {"is_late": False, "quiet_seconds": 0.101},
    }
    quick.beat(100)
    assert names(heartbeats) == []


def test_worker_that_never_begins_is_late_and_one_that_has_ended_is_not():
    clock = FakeClock()
    heartbeats = Heartbeats(clock)
    ended = heartbeats.open("ended")
    heartbeats.open("never")
    ended.end()
    clock.advance(STEP_MS + 1)
    assert names(heartbeats) == ["never"]
    assert set(heartbeats.status()) == {"never"}
    assert ended.quiet_ms() == 0
    heartbeats.open("never").beat()  # another one in its place
    assert names(heartbeats) == []


def test_who_waits_for_a_worker_that_takes_long_is_excused_and_a_moment_longer():
    clock = FakeClock()
    heartbeats = Heartbeats(clock)
    store, sink = heartbeats.open("store"), heartbeats.open("sink")
    store.hold(1_000_000)
    for _ in range(10):
        clock.advance(100_000)
        assert names(heartbeats) == []
    store.beat()  # it is done; the other one gets its turn now
    clock.advance(STEP_MS)
    assert names(heartbeats) == []
    store.beat()
    clock.advance(1)
    assert names(heartbeats) == ["sink"]
    sink.beat()
    store.hold(1000)
    clock.advance(1001)
    assert names(heartbeats) == ["store"]  # that was too long


# -- feeding -------------------------------------------------------------------------


def watchdog_of(heartbeats, manager, clock, status="well", watchdog_ms=WATCHDOG_MS):
    return Watchdog(
        heartbeats, Notifier(manager.address, clock, watchdog_ms), clock, lambda: status
    )


def test_watchdog_is_fed_at_half_its_time_and_not_more_often(manager):
    clock = FakeClock()
    heartbeat = Heartbeat("loop", clock)
    watchdog = watchdog_of(Heartbeats(clock), manager, clock)
    for _ in range(60):
        heartbeat.beat()
        assert watchdog.step() == LOOK_MS
        clock.advance(LOOK_MS)
    assert manager.count("WATCHDOG=1") == 2
    assert manager.last("STATUS") == "well"
    assert watchdog_of(Heartbeats(clock), manager, clock, watchdog_ms=400).step() == 100


def test_worker_that_hangs_is_named_once_and_the_watchdog_starves(manager, log):
    clock = FakeClock()
    heartbeats = Heartbeats(clock)
    loop = heartbeats.open("loop")
    watchdog = watchdog_of(heartbeats, manager, clock)
    watchdog.step()
    clock.advance(STEP_MS + 1)
    for _ in range(3):
        watchdog.step()
        clock.advance(WATCHDOG_MS)
    assert manager.count("WATCHDOG=1") == 1
    assert manager.last("STATUS") == "not moving: loop"
    assert log.warnings() == [
        "worker loop does not move: it was last seen 60 s ago; the watchdog is not fed"
    ]
    loop.beat()
    watchdog.step()
    assert manager.count("WATCHDOG=1") == 2
    assert manager.last("STATUS") == "well"
    assert log.warnings()[1:] == ["worker loop moves again after 240 s"]


# -- real workers ----------------------------------------------------------------------


@pytest.fixture
def watched(agents, write_config, manager):
    """Return a function that starts an agent with a clock to shift, and watches it."""

    def start(devices=(SIMULATED,), **sections):
        clock = ShiftedClock()
        agent = agents(write_config(devices, **sections), clock=clock)
        agent.start()
        wait_for(lambda: agent._readings_processed, "first cycle")
        notifier = Notifier(manager.address, clock, WATCHDOG_MS)
        return agent, clock, Watchdog(agent.heartbeats, notifier, clock, lambda: "well")

    return start


def settled(agent, expected=()):
    """Wait until those that are late are the expected ones: the rest gets its turn first."""
    wait_for(lambda: names(agent.heartbeats) == list(expected), f"{expected} late")


def test_adapter_that_never_returns_starves_the_watchdog_until_it_does(watched, manager, log):
    agent, clock, watchdog = watched(sensors={"poll_interval_seconds": 0.01})
    stuck = Stuck()
    watchdog.step()
    assert manager.count("WATCHDOG=1") == 1
    agent._adapters["t1"] = stuck
    assert stuck.is_entered.wait(30)
    clock.ahead_ms += WATCHDOG_MS - 1000  # not yet
    settled(agent)
    watchdog.step()
    assert manager.count("WATCHDOG=1") == 2
    clock.ahead_ms += WATCHDOG_MS
    settled(agent, ["edge-agent"])
    for _ in range(3):
        watchdog.step()
    assert manager.count("WATCHDOG=1") == 2
    assert manager.last("STATUS") == "not moving: edge-agent"
    reply = ask(agent, "/health")
    report = reply.told
    assert (reply.status, report["status"]) == (503, "unhealthy")
    assert report["workers"]["edge-agent"]["is_late"] is True
    assert report["workers"]["edge-health"]["is_late"] is False
    stuck.go.set()
    settled(agent)
    watchdog.step()
    assert manager.count("WATCHDOG=1") == 3
    named = [line for line in log.warnings() if line.startswith("worker")]
    assert len(named) == 2
    assert "edge-agent does not move" in named[0]
    assert "edge-agent moves again" in named[1]


def test_cloud_that_does_not_answer_is_no_reason_and_one_that_never_ends_is(watched):
    with serving(hangs=True) as cloud:
        settings = {"enabled": True, "endpoint": cloud.url, "timeout_seconds": 600}
        agent, clock, _ = watched(cloud=settings)
        wait_for(lambda: cloud.requests, "a request")
        clock.ahead_ms += 600_000 * TIMEOUTS
        settled(agent)
        clock.ahead_ms += STEP_MS + 1000
        settled(agent, ["edge-sink-http"])
        cloud.hang.set()
        settled(agent)


def test_idle_agent_never_gets_late(watched):
    agent, clock, _ = watched(cloud={"enabled": True, "endpoint": "http://127.0.0.1:9/"})
    assert set(agent.heartbeats.status()) == {"edge-agent", "edge-sink-http", "edge-health"}
    clock.ahead_ms += 3_600_000
    settled(agent)


def test_every_worker_of_a_stopped_agent_has_ended(watched):
    agent, clock, _ = watched(cloud={"enabled": True, "endpoint": "http://127.0.0.1:9/"})
    agent.stop()
    clock.ahead_ms += 86_400_000
    assert agent.heartbeats.status() == {}


def test_port_that_hangs_is_that_links_hang():
    class StuckPort(FakePort):
        stuck = Stuck()

        def read(self):
            self.stuck.read()
            return b""

    clock = ShiftedClock()
    heartbeats = Heartbeats(clock)
    port = StuckPort()
    link = SerialLink("north", port, clock, random.Random(1), lambda *_: True)
    heartbeat = heartbeats.open("edge-link-north")
    thread = threading.Thread(target=link.run, args=(heartbeat,), daemon=True)
    thread.start()
    assert port.stuck.is_entered.wait(30)
    clock.ahead_ms += STEP_MS + 1000
    assert names(heartbeats) == ["edge-link-north"]
    port.stuck.go.set()
    wait_for(lambda: names(heartbeats) == [], "it to move again")
    link.stop()
    thread.join(30)
    assert heartbeats.status() == {}


def test_status_line_says_what_was_done_and_what_is_in_the_way(watched):
    ports = [
        {"name": f"p{number}", "ingest_type": "serial", "port": f"/dev/nowhere{number}"}
        for number in range(5)
    ]
    agent, _, _ = watched((SIMULATED, *ports))
    wait_for(lambda: all(link.problem for link in agent.links), "all ports looked for")
    line = status_line(agent)
    assert line.startswith("6 devices, 1 readings; p0: serial port /dev/nowhere0 does not exist")
    assert line.endswith("; and 2 more")
    assert len(line.splitlines()) == 1
