"""The MQTT adapter at a real broker, and at one that is gone, wrong, silent or hostile."""

import subprocess
import sys
import threading
import tracemalloc

import pytest
from host.fakes import FakeClock, FixedRandom
from host.mqtt_site import HASTE, MQTTSite, published, publishing
from host.played_broker import PlayedBroker, Wire
from host.processes import certificates
from host.test_mqtt_delivery import SECRET, mqtt_device
from host.waiting import run_with_deadline, wait_for
from pyv_edge_agent.adapters import create_adapter
from pyv_edge_agent.adapters.mqtt import INFLIGHT_3, SHORT_COUNT_MAX, STABLE_MS
from pyv_edge_agent.adapters.mqtt_connection import Connection, Subscription, reason_of
from pyv_edge_agent.bell import Bell
from pyv_edge_agent.errors import StartError
from pyv_edge_agent.mqtt_bounded import HELD_SIZE_MAX
from pyv_edge_agent.mqtt_client import BrokerOptions
from pyv_edge_agent.report import health_report, status_line
from pyv_edge_agent.submission import Feed, Verdict

PROTOCOLS = pytest.mark.parametrize("protocol", ["3.1.1", "5"])

LARGE_SIZE = 40_000_000
PUBLISH_LARGE = f"""
import sys
from paho.mqtt import publish
publish.single("site/a", bytes({LARGE_SIZE}), qos=1, port=int(sys.argv[1]))
"""


@pytest.fixture
def site(tmp_path, agents, write_config, log):
    made = MQTTSite(tmp_path, agents, write_config, log)
    yield made
    if made.agent is not None:
        made.stop()
    made.close()


@pytest.fixture
def played():
    made = []

    def make(kind=PlayedBroker, *args, **options):
        made.append(kind(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def count(log, part):
    return len(log.having(part))


class Stored:
    """A store in which everything is at once."""

    def __init__(self):
        self.positions = {"": "line 5"}  # of another adapter that the device has had

    def put(self, feed, event):
        if hasattr(event, "samples"):
            if event.position:
                self.positions[feed.source] = event.position
            event.settle(Verdict.STORED, "")
        return True

    def feed(self, device, clock):
        return Feed(device, self.put, lambda _: self.positions.copy(), clock)


# -- a broker that does what it should -------------------------------------------------


@PROTOCOLS
def test_readings_are_stored_under_their_channels(site, protocol):
    site.start_broker()
    site.start(protocol=protocol, channel="{1}.power", unit="W").wait_up()
    published(site.port, 3)
    published(site.port, 2, 10, topic="site/b")
    site.wait_values([0.0, 1.0, 2.0, 10.0, 11.0])
    assert site.rows()[0] == ("meter.a.power", 0.0)
    assert site.rows()[-1] == ("meter.b.power", 11.0)
    assert site.feed["submitted_total"] == 5
    assert site.log.warnings() == []


@PROTOCOLS
def test_large_message_takes_no_memory_and_does_not_come_again(site, protocol):
    """A broker of version 3.1.1 sends what it has; one of 5 keeps what the agent can't take."""
    site.start_broker()
    site.start(protocol=protocol).wait_up()
    tracemalloc.start()
    try:
        subprocess.run([sys.executable, "-c", PUBLISH_LARGE, str(site.port)], check=True)
        published(site.port, 3)
        site.wait_values(range(3))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * HELD_SIZE_MAX < LARGE_SIZE
    rejected = 1 if protocol == "3.1.1" else 0
    assert site.feed["rejected_total"] == rejected
    site.stop()
    site.start(protocol=protocol).wait_up()
    published(site.port, 1, 9)
    site.wait_values([*range(3), 9])
    assert site.feed["rejected_total"] == 0


@PROTOCOLS
def test_what_is_published_while_the_agent_is_away_comes_later(site, protocol):
    site.start_broker()
    site.start(protocol=protocol).wait_up()
    site.stop()
    published(site.port, 300)
    site.start(protocol=protocol)
    site.wait_values(range(300))
    assert site.status["sessions_lost_total"] == 0


@PROTOCOLS
def test_connection_that_is_cut_again_and_again_loses_and_doubles_nothing(site, played, protocol):
    site.start_broker()
    wire = played(Wire, site.port)
    site.start(protocol=protocol, port=wire.port).wait_up()
    stop = threading.Event()

    def cut():
        while not stop.wait(0.05):
            wire.cut()

    cutter = threading.Thread(target=cut, daemon=True)
    cutter.start()
    try:
        for first in range(0, 1000, 100):
            published(site.port, 100, first)
    finally:
        stop.set()
        cutter.join(10)
    site.wait_values(range(1000))
    assert site.status["failures_total"] > 0


@PROTOCOLS
def test_flood_is_held_back_by_the_window(site, protocol):
    site.start_broker()  # which itself has no limit for 3.1.1
    site.start(protocol=protocol, inflight_max=30).wait_up()
    most, stop = [0], threading.Event()

    def watch():
        while not stop.wait(0.001):
            most.append(site.status["unacknowledged"])

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    published(site.port, 3000)
    site.wait_values(range(3000))
    stop.set()
    watcher.join(10)
    assert 0 < max(most) <= 31
    assert site.log.warnings() == []


@PROTOCOLS
def test_garbage_is_counted_and_does_not_come_again(site, protocol):
    site.start_broker()
    site.start(protocol=protocol).wait_up()
    with publishing(site.port) as client:
        for payload in (f"x{SECRET}", "{", f'{{"value": "{SECRET}x"}}', b"\xff" * 50, b""):
            client.publish("site/a", payload, 1).wait_for_publish(20)
    published(site.port, 1)
    site.wait_values([0.0])
    assert site.feed["rejected_total"] == 5
    assert site.status["is_connected"]
    site.stop()
    site.start(protocol=protocol).wait_up()
    published(site.port, 1, 1)
    site.wait_values([0.0, 1.0])
    assert site.status["repeated_total"] == 0
    assert SECRET not in site.log.whole()


def test_subscription_with_qos_0_takes_what_comes_now(site):
    site.start_broker()
    site.start(qos=0).wait_up()
    published(site.port, 20)
    site.wait_values(range(20))
    assert site.rows("SELECT count(*) FROM receipt") == [(0,)]


@PROTOCOLS
def test_old_message_that_the_broker_keeps_is_not_taken_for_a_new_one(site, protocol):
    site.start_broker()
    with publishing(site.port) as client:
        client.publish("site/a", '{"value": 99}', 1, retain=True).wait_for_publish(20)
    site.start(protocol=protocol).wait_up()
    published(site.port, 1)
    site.wait_values([0.0])


def test_old_message_is_taken_once_if_that_is_asked_for(site, played):
    site.start_broker()
    wire = played(Wire, site.port)
    with publishing(site.port) as client:
        client.publish("site/a", '{"value": 99}', 1, retain=True).wait_for_publish(20)
    site.start(retained="take", port=wire.port)
    site.wait_values([99.0])
    for number in range(3):
        connects = wire.connects
        wire.cut()
        wait_for(lambda connects=connects: wire.connects > connects, "another connection")
        published(site.port, 1, number)
        site.wait_values([99.0, *range(number + 1)])


def test_topic_that_is_not_wanted_any_more_is_unsubscribed(site):
    site.start_broker()
    site.start(topic="old/+").wait_up()
    published(site.port, 1, topic="old/a")
    site.wait_values([0.0])
    site.stop()
    site.start(topic="site/+").wait_up()
    published(site.port, 1, 5, topic="old/a")
    published(site.port, 1, 1)
    site.wait_values([0.0, 1.0])
    assert site.feed["rejected_total"] == 0


def test_reload_while_data_flows_loses_and_doubles_nothing(site):
    from pyv_edge_agent.config import Config

    site.start_broker()
    site.start().wait_up()
    done = threading.Event()
    published(site.port, 50, 0)
    site.wait_values(range(50))  # before any reload, however fast the others are

    def publish():
        for first in range(50, 600, 50):
            published(site.port, 50, first)
        done.set()

    publisher = threading.Thread(target=publish, daemon=True)
    publisher.start()
    number = 0
    while not done.is_set():
        number += 1
        Config.from_file(site.configure(channel=f"c{number % 2}"))
        site.agent.reload_config()
    publisher.join(30)
    Config.from_file(site.configure(channel="last"))
    site.agent.reload_config()
    published(site.port, 50, 600)
    site.wait_values(range(650))
    assert number > 1
    assert len({name for name, _ in site.rows()}) > 1


# -- a broker that is not there -------------------------------------------------------


def test_broker_that_is_not_there_at_the_start_is_told_once_and_looked_for(site):
    site.start()
    wait_for(lambda: site.status["failures_total"] > 3, "some attempts")
    (line,) = site.log.warnings()
    problem = f"can't connect to mqtt://127.0.0.1:{site.port}: Connection refused"
    assert line == f"device meter: {problem}; trying again"
    assert not site.status["is_connected"]
    assert site.status["connection_problem"] == problem
    report = health_report(site.agent)
    assert report["ingest"]["adapters_connected"] == 0
    (told,) = report["devices"]
    assert (told["state"], told["problem"]) == ("connecting", problem)
    assert f"meter: {problem}" in status_line(site.agent)
    site.start_broker()
    site.wait_up()
    assert count(site.log, "receives from mqtt://") == 1
    assert site.status["connection_problem"] == ""
    assert health_report(site.agent)["ingest"]["adapters_connected"] == 1
    published(site.port, 1)
    site.wait_values([0.0])


def test_broker_that_dies_and_comes_back_is_told_once_each_way(site):
    broker = site.start_broker()
    site.start().wait_up()
    published(site.port, 1)
    site.wait_values([0.0])
    broker.kill()
    wait_for(lambda: site.status["failures_total"] > 3, "some attempts")
    lost = site.log.warnings()
    assert [line.partition("; ")[0] for line in lost] == [
        f"device meter: mqtt://127.0.0.1:{site.port}: the connection is lost",
        f"device meter: can't connect to mqtt://127.0.0.1:{site.port}: Connection refused",
    ]
    broker.start()
    site.wait_up()
    assert count(site.log, "receives from mqtt://") == 2
    # It was killed before it had written its sessions down.
    assert site.status["sessions_lost_total"] == 1
    assert count(site.log, "has forgotten the session") == 1
    published(site.port, 1, 1)
    site.wait_values([0.0, 1.0])


def test_session_that_has_expired_is_told(site):
    site.start_broker()
    site.start(session_expiry_seconds=0).wait_up()
    assert count(site.log, "has forgotten the session") == 0
    published(site.port, 1)
    site.wait_values([0.0])
    site.stop()
    published(site.port, 5, 100)  # nobody keeps them
    site.start(session_expiry_seconds=0).wait_up()
    assert site.status["sessions_lost_total"] == 1
    (line,) = site.log.having("has forgotten the session")
    assert "what was sent while the agent was away is lost" in line
    published(site.port, 1, 1)
    site.wait_values([0.0, 1.0])


@pytest.mark.parametrize("broker", [{"connack": None}, {"suback": None}], ids=["connect", "sub"])
def test_broker_that_says_nothing_is_given_up(site, played, broker):
    silent = played(**broker)
    site.start(port=silent.port, protocol="3.1.1", timeout_seconds=0.2)
    wait_for(lambda: silent.connects > 2, "another attempt")
    assert site.status["connection_problem"].endswith("no answer")
    assert count(site.log, "no answer") == 1
    assert not site.status["is_connected"]


def test_stopping_does_not_wait_for_a_silent_broker(site, played):
    silent = played(connack=None)
    site.start(port=silent.port, protocol="3.1.1", timeout_seconds=600)
    wait_for(lambda: silent.connects, "a connection")
    run_with_deadline(site.stop, "stop()")
    assert count(site.log, "does not end") == 0


def test_connection_that_is_closed_at_once_takes_nobodys_session(played):
    broker = played()
    wanted = Subscription("a", 1, False, 60, 10)
    told = []
    made = Connection(BrokerOptions("127.0.0.1", broker.port), wanted, told.append, told.append)
    made.open()
    made.close()
    wait_for(lambda: broker.ended == 1, "the end")
    assert (broker.connects, broker.greetings, told) == (1, 0, [])


def test_agent_takes_leave(site, played):
    broker = played()
    site.start(port=broker.port, protocol="3.1.1").wait_up()
    site.stop()
    wait_for(lambda: broker.farewells == 1, "a farewell")


def test_leave_is_no_reset_though_messages_are_unread(played):
    """A broker may not read behind a reset, and would send again what is acknowledged."""
    broker = played()
    wanted = Subscription("site/+", 1, False, 60, 10)
    made = Connection(
        *(BrokerOptions("127.0.0.1", broker.port), wanted),
        lambda made, is_kept: made.ask(has_topic=False, outdated=[]),
        lambda *_: None,
    )
    made.open()
    bell = Bell()
    bell.open()
    wait_for(lambda: made.turn(bell, 0.01, lambda: True) or made.is_subscribed, "a subscription")
    for mid in range(1, 100):
        broker.publish(mid, b"1")
    made.acknowledge(1)
    made.close()
    bell.close()
    wait_for(lambda: broker.ended == 1, "the end")
    assert (broker.acked, broker.farewells, broker.resets) == ([1], 1, 0)


def test_stopping_does_not_wait_for_a_back_off(agents, write_config, log):
    device = {"name": "meter", "ingest_type": "mqtt", "port": 1, "topic": "a"}
    agent = agents(write_config([device]), rng=FixedRandom(1.0))
    agent.start()
    adapter = agent._devices.adapters["meter"]
    wait_for(lambda: adapter.status()["failures_total"] > 2, "a back-off of seconds")
    run_with_deadline(agent.stop, "stop()")
    assert count(log, "does not end") == 0


# -- a broker that says no --------------------------------------------------------------


@PROTOCOLS
def test_wrong_password_is_told_once_and_does_not_end_the_agent(site, tmp_path, protocol):
    (tmp_path / "empty").write_text("")
    site.start_broker(lines=["allow_anonymous false", f"password_file {tmp_path}/empty"])
    site.start(username="u", password=SECRET, protocol=protocol)
    wait_for(lambda: site.status["failures_total"] > 3, "some attempts")
    (line,) = [line for line in site.log.warnings() if line.startswith("device meter: ")]
    assert "the broker refuses the connection: " in line
    assert "; check username and password" in line
    assert SECRET not in site.log.whole() + str(site.status)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (0x80, "the broker refuses the subscription: "),
        (0, "the broker grants only QoS 0; check its rules, or set qos"),
    ],
)
def test_subscription_that_is_not_granted_is_told(site, played, code, problem):
    broker = played(suback=code)
    site.start(port=broker.port, protocol="3.1.1")
    wait_for(lambda: broker.connects > 3, "some attempts")
    assert problem in site.status["connection_problem"]
    assert count(site.log, problem) == 1
    assert not site.status["is_connected"]


def test_certificates(site, tmp_path):
    ca, certificate, key, other = certificates(tmp_path / "tls")
    lines = ["allow_anonymous true", f"certfile {certificate}", f"keyfile {key}"]
    site.start_broker(lines=lines)
    for ca_file, problem in (
        (other, "its certificate is not trusted"),
        (key, "TLS: "),
    ):
        site.start(tls=True, ca_file=str(ca_file))
        wait_for(lambda: site.status["failures_total"] > 2, "some attempts")
        assert (
            f"can't connect to mqtts://127.0.0.1:{site.port}: {problem}"
            in (site.status["connection_problem"])
        )
        assert count(site.log, problem) == 1
        site.stop()
    site.start(tls=True, ca_file=str(ca)).wait_up()
    published_over_tls(site.port, ca, 500)
    site.wait_values(range(500))


def test_reason_is_one_line_that_says_what_to_do():
    assert reason_of(TimeoutError()) == "no answer"
    assert reason_of(FileNotFoundError(2, "No such file")) == (
        "ca_file, cert_file or key_file does not exist"
    )
    assert reason_of(ConnectionRefusedError(111, "Connection refused")) == "Connection refused"
    assert reason_of(ValueError("Invalid host.")) == "ValueError: Invalid host."


def published_over_tls(port, ca, count):
    sender = publishing(port)
    sender.client.tls_set(str(ca))
    with sender as client:
        for number in range(count):
            last = client.publish("site/a", f'{{"value": {number}}}', 1)
        last.wait_for_publish(30)


# -- another client -----------------------------------------------------------------------


@PROTOCOLS
def test_two_agents_under_one_name_are_told_of_one_another(site, protocol, tmp_path):
    site.start_broker()
    site.start(protocol=protocol, client_id="twin").wait_up()
    device = mqtt_device(name="twin", port=site.port, client_id="twin", protocol=protocol)
    clock = FakeClock()
    other = create_adapter(device, clock, tmp_path, FixedRandom(HASTE))
    feed = Stored().feed(device, clock)
    thread = threading.Thread(target=other.run, args=(feed,), daemon=True)
    thread.start()
    problem = "is there another client 'twin'? each needs its own client_id"
    try:
        wait_for(lambda: problem in site.status["connection_problem"], "the problem", 30)
        failures = site.status["failures_total"]
        wait_for(lambda: site.status["failures_total"] > failures + 3, "more of it", 30)
        lost = [line for line in site.log.warnings() if line.startswith("device meter: ")]
        assert len(lost) <= SHORT_COUNT_MAX + 1
        assert count(site.log, "device meter: receives from") <= SHORT_COUNT_MAX + 1
    finally:
        other.stop()
        thread.join(10)
        other.close()


def test_broker_that_says_that_the_session_was_taken_is_believed_at_once(site, played):
    broker = played(disconnect=0x8E)
    site.start(port=broker.port)
    wait_for(lambda: site.status["failures_total"], "the end of a connection")
    (line, *_) = site.log.warnings()
    assert "the broker ends the connection: Session taken over; is there another client" in line


def test_broker_that_accepts_and_closes_is_not_asked_in_haste(site, played):
    broker = played(closes=True)
    site.start(port=broker.port, protocol="3.1.1")
    wait_for(lambda: broker.connects > SHORT_COUNT_MAX + 2, "some attempts", 30)
    wait_for(lambda: "another client" in site.status["connection_problem"], "the problem")
    assert site.agent._devices.adapters["meter"]._attempts > SHORT_COUNT_MAX


def test_broker_that_restarts_again_and_again_is_no_other_client(site):
    broker = site.start_broker()
    site.start(protocol="3.1.1").wait_up()
    for number in range(SHORT_COUNT_MAX + 2):
        broker.kill()
        lost = site.status["failures_total"]
        wait_for(lambda lost=lost: site.status["failures_total"] > lost + 1, "an attempt")
        broker.start()
        site.wait_up()
        published(site.port, 1, number)
        site.wait_values(range(number + 1))
        assert site.status["connection_problem"] == ""
    assert count(site.log, "another client") == 0


# -- no room --------------------------------------------------------------------------------


class Stalled:
    """An adapter at a broker that is played, whose submissions nobody stores."""

    def __init__(self, port, folder, **settings):
        self.clock = FakeClock()
        device = mqtt_device(port=port, protocol="3.1.1", **settings)
        self.taken = []
        self.has_room = True
        self.positions = {}
        feed = Feed(device, self.put, lambda _: self.positions.copy(), self.clock)
        self.adapter = create_adapter(device, self.clock, folder, FixedRandom(HASTE))
        self.thread = threading.Thread(target=self.adapter.run, args=(feed,), daemon=True)
        self.thread.start()

    def put(self, feed, event):
        if hasattr(event, "samples") and not event.samples:
            self.positions[feed.source] = event.position
            event.settle(Verdict.STORED, "")
            return True
        if hasattr(event, "samples") and self.has_room:
            self.taken.append(event)
        return self.has_room

    def settle(self):
        taken, self.taken = self.taken, []
        for one in taken:
            one.settle(Verdict.STORED, "")

    def close(self):
        self.adapter.stop()
        self.thread.join(10)
        self.adapter.close()


@pytest.fixture
def stalled(played, tmp_path):
    made = []

    def make(**settings):
        broker = played()
        made.append(Stalled(broker.port, tmp_path, **settings))
        assert broker.subscribed.wait(20)
        return broker, made[-1]

    yield make
    for one in made:
        one.close()


def test_connection_that_holds_at_last_is_said_to(played, tmp_path, log):
    broker = played(closes=True)
    agent = Stalled(broker.port, tmp_path)
    status = agent.adapter.status
    try:
        wait_for(lambda: "again and again" in status()["connection_problem"], "the problem", 30)
        broker.closes, broker.is_kept = False, True
        connects = broker.connects
        wait_for(lambda: broker.connects > connects, "another connection")
        wait_for(lambda: status()["is_connected"], "that it is up")
        assert status()["state"] == "receiving"
        assert "again and again; does the broker restart, or" in status()["connection_problem"]
        told = count(log, "receives from")
        assert told <= SHORT_COUNT_MAX + 1
        agent.clock.advance(STABLE_MS)
        wait_for(lambda: not status()["connection_problem"], "that all is well")
        assert count(log, "receives from") == told + 1
    finally:
        agent.close()


def test_broker_that_knows_no_window_is_not_read_until_there_is_room(stalled):
    broker, agent = stalled()
    for mid in range(1, 101):
        broker.publish(mid, b'{"value": 1}')
    held = INFLIGHT_3 + 1
    wait_for(lambda: agent.adapter.status()["unacknowledged"] == held, "the window")
    assert agent.adapter.status()["messages_total"] == held
    wait_for(lambda: len(broker.acked) == 100 or agent.settle(), "all acknowledgements")
    assert broker.acked == list(range(1, 101))


def test_connection_without_room_is_given_up_and_taken_up_when_there_is(stalled):
    broker, agent = stalled()
    for mid in range(1, 31):
        broker.publish(mid, b'{"value": 1}')
    status = agent.adapter.status
    wait_for(lambda: status()["unacknowledged"] == INFLIGHT_3 + 1, "the window")
    wait_for(lambda: agent.adapter._full_ms is not None, "that the adapter has seen so")
    agent.clock.advance(30_000)  # a keep-alive
    wait_for(lambda: not status()["is_connected"], "the end of the connection")
    assert "nothing can be stored" in status()["connection_problem"]
    assert (broker.connects, broker.acked) == (1, [])
    broker.is_kept = True
    agent.settle()
    wait_for(lambda: broker.connects == 2, "another connection")
    wait_for(lambda: status()["is_connected"], "the subscription")


def test_keep_alive_goes_on_while_there_is_no_room(stalled):
    broker, agent = stalled(keepalive_seconds=5)
    agent.has_room = False
    for mid in range(1, INFLIGHT_3 + 1):
        broker.publish(mid, b'{"value": 1}')
    wait_for(lambda: agent.adapter.status()["unacknowledged"] == INFLIGHT_3, "the messages")
    wait_for(lambda: broker.pings > 1, "pings", 30)
    assert agent.adapter.status()["is_connected"]
    agent.has_room = True
    wait_for(lambda: len(broker.acked) == INFLIGHT_3 or agent.settle(), "acknowledgements")


def test_what_is_given_up_is_asked_for_again_over_another_connection(stalled):
    broker, agent = stalled()
    broker.publish(1, b'{"value": 1}')
    wait_for(lambda: agent.taken, "the message")
    agent.taken.pop().settle(Verdict.GIVEN_UP, "")
    broker.is_kept = True
    wait_for(lambda: broker.connects == 2, "another connection")
    assert broker.acked == []


def test_library_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "paho", None)
    with pytest.raises(StartError) as refused:
        create_adapter(mqtt_device(), FakeClock(), tmp_path)
    assert str(refused.value) == (
        "device meter: paho-mqtt is not installed; pip install '.[mqtt]' in a clone"
    )
