"""MQTTSink against a real mosquitto: accepted is what the broker has acknowledged."""

import json
import socket
import threading
from collections import deque

import pytest
from host.deliveries import ITEMS, in_a_thread, reading, readings
from host.processes import certificates, mosquitto
from host.waiting import wait_for
from pyv_edge_agent.sinks.delivery import FAILED, UNAUTHORISED
from pyv_edge_agent.sinks.mqtt import MQTTOptions, MQTTSink


@pytest.fixture
def broker(tmp_path):
    made = mosquitto(tmp_path / "broker").start()
    yield made
    made.stop()


@pytest.fixture
def sinks():
    made = []

    def make(port, **options):
        options = {"host": "127.0.0.1", "port": port, "timeout_seconds": 20.0, **options}
        made.append(MQTTSink(MQTTOptions(**options)))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


class Subscriber:
    """Another client, with a session that outlives the broker's death and its own."""

    def __init__(self, port, topic="#", name="watcher"):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages = deque()  # (topic, payload, retained)
        self.is_subscribed = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda *_: self.client.subscribe(topic, qos=1)
        self.client.on_disconnect = lambda *_: self.is_subscribed.clear()
        self.client.on_subscribe = lambda *_: self.is_subscribed.set()
        self.client.on_message = lambda _, __, message: self.messages.append(
            (message.topic, message.payload.decode(), message.retain)
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.is_subscribed.wait(20)

    def payloads(self, part):
        return [json.loads(text) for topic, text, _ in list(self.messages) if part in topic]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def watch(broker):
    made = []

    def make(*args, **more):
        made.append(Subscriber(broker.port, *args, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("protocol", [4, 5], ids=["3.1.1", "5"])
def test_readings_arrive_as_they_are(broker, sinks, watch, protocol):
    watcher = watch()
    sent = [*readings(0, 300), reading(300, None), *ITEMS]
    assert sinks(broker.port, protocol=protocol).deliver("key", sent).is_accepted
    wait_for(lambda: len(watcher.messages) >= 306, "all messages")
    assert watcher.payloads("/board-1/temp") == sent[:301]
    assert watcher.payloads("/items") == ITEMS
    assert ("pyvorin/pyv-edge/status", "online", False) in watcher.messages


@pytest.mark.parametrize("form", ["documented", "senml"])
def test_batch_is_one_message_if_that_is_asked_for(broker, sinks, watch, form):
    watcher = watch()
    sent = readings(0, 3)
    sink = sinks(broker.port, mode="batch", format=form)
    assert sink.deliver("the-key", sent).is_accepted
    (body,) = wait_for(lambda: watcher.payloads("/batch"), "the batch")
    if form == "documented":
        assert (body["batch_id"], body["count"], body["items"]) == ("the-key", 3, sent)
    else:
        assert [(one["n"], one["v"], one["u"]) for one in body] == [("temp", 21.5, "Cel")] * 3


def test_broker_that_is_killed_in_a_batch_and_started_again(broker, sinks, watch):
    watcher = watch(topic="pyvorin/+/board-1/#")
    sink = sinks(broker.port)
    seen = set()
    for number in range(6):
        batch = readings(number * 200, 200)
        if number % 2:
            with in_a_thread(lambda batch=batch: sink.deliver("k", batch)) as found:
                watcher.is_subscribed.clear()
                broker.kill()
            broker.start()
            assert watcher.is_subscribed.wait(30)
            if not found[0].is_accepted:  # it may have been too quick for us
                assert found[0].outcome == FAILED
                wait_for(
                    lambda batch=batch: sink.deliver("k", batch).is_accepted, "a delivery", 60
                )
                seen |= {one["metadata"]["seq"] for one in batch}
        else:
            wait_for(lambda batch=batch: sink.deliver("k", batch).is_accepted, "a delivery", 60)
            seen |= {one["metadata"]["seq"] for one in batch}
        # Accepted is what the broker has; that it passes it on before it is killed, we wait for.
        wait_for(
            lambda seen=frozenset(seen): (
                seen <= {one["metadata"]["seq"] for one in watcher.payloads("board-1")}
            ),
            "all that was accepted",
            30,
        )


def test_batch_that_was_in_doubt_is_sent_again_whole(broker, sinks, watch):
    watcher = watch()
    sink = sinks(broker.port)
    assert sink.deliver("a", readings(0, 10)).is_accepted
    watcher.is_subscribed.clear()
    broker.kill()
    batch = readings(10, 10)
    delivery = sink.deliver("b", batch)
    assert delivery.outcome == FAILED
    broker.start()
    assert watcher.is_subscribed.wait(30)
    wait_for(lambda: sink.deliver("b", batch).is_accepted, "the delivery", 60)
    second = set(range(10, 20))
    wait_for(
        lambda: second <= {one["metadata"]["seq"] for one in watcher.payloads("board-1")},
        "the second batch",
        30,
    )


def test_broker_that_is_not_there(broker, sinks):
    broker.stop()
    delivery = sinks(broker.port).deliver("k", readings(0, 1))
    assert delivery.outcome == FAILED
    assert "Connection refused" in delivery.problem


def test_broker_that_says_nothing(sinks):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = sinks(silent.getsockname()[1], timeout_seconds=0.3)
        delivery = sink.deliver("k", readings(0, 1))
        assert delivery.outcome == FAILED
        assert "no answer" in delivery.problem


def test_delivery_under_way_ends_when_the_agent_stops(sinks):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = sinks(silent.getsockname()[1], timeout_seconds=60.0)
        with in_a_thread(lambda: sink.deliver("k", readings(0, 1))) as found:
            silent.accept()[0].recv(1)
            sink.wake()
        assert found[0].outcome == FAILED
        assert sink.deliver("k", readings(0, 1)).problem == "the agent stops"


@pytest.mark.parametrize("protocol", [4, 5])
def test_wrong_password_is_the_operators_business_and_no_secret_is_told(
    tmp_path, sinks, protocol, caplog
):
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    broker = mosquitto(tmp_path / "b", lines=[f"password_file {passwords}"]).start()
    try:
        sink = sinks(broker.port, protocol=protocol, username="me", password="hunter2")
        delivery = sink.deliver("k", readings(0, 1))
        assert delivery.outcome == UNAUTHORISED
        assert "hunter2" not in delivery.problem + caplog.text + repr(sink) + sink.shown
    finally:
        broker.stop()


def test_topic_that_is_not_allowed(tmp_path, sinks):
    rights = tmp_path / "acl"
    rights.write_text("topic write pyvorin/pyv-edge/status\n")
    lines = ["allow_anonymous true", f"acl_file {rights}"]
    broker = mosquitto(tmp_path / "b", lines=lines).start()
    try:
        # One message: this broker hangs up with its refusal, which may then be lost behind others.
        delivery = sinks(broker.port, protocol=5).deliver("k", readings(0, 1))
        assert delivery.outcome == UNAUTHORISED, delivery
        assert "Not authorized" in delivery.problem
    finally:
        broker.stop()


def test_tls_with_the_right_and_the_wrong_authority(tmp_path, sinks):
    ca, cert, key, other = certificates(tmp_path / "tls")
    lines = ["allow_anonymous true", f"certfile {cert}", f"keyfile {key}"]
    broker = mosquitto(tmp_path / "b", lines=lines).start()
    try:
        good = sinks(broker.port, is_tls=True, ca_file=ca)
        assert good.deliver("k", readings(0, 3)).is_accepted
        wrong = sinks(broker.port, is_tls=True, ca_file=other, client_id="two")
        delivery = wrong.deliver("k", readings(0, 3))
        assert delivery.outcome == FAILED
        assert "CERTIFICATE_VERIFY_FAILED" in delivery.problem
        missing = sinks(broker.port, is_tls=True, ca_file=tmp_path / "no.pem", client_id="three")
        assert missing.deliver("k", readings(0, 3)).outcome == FAILED
    finally:
        broker.stop()


def test_last_will_and_farewell(broker, sinks, watch):
    watcher = watch(topic="pyvorin/+/status")
    sink = sinks(broker.port)
    assert sink.deliver("k", readings(0, 1)).is_accepted
    sink._connection.client.socket().shutdown(socket.SHUT_RDWR)  # as a cable that is pulled
    said = wait_for(
        lambda: [text for _, text, _ in watcher.messages][-1:] == ["offline"], "the last will"
    )
    assert said
    assert wait_for(lambda: sink.deliver("k", readings(0, 1)).is_accepted, "a delivery")
    sink.close()
    wait_for(
        lambda: [text for _, text, _ in watcher.messages][-2:] == ["online", "offline"],
        "the farewell",
    )
    late = watch(topic="pyvorin/+/status", name="late")
    wait_for(lambda: ("pyvorin/pyv-edge/status", "offline", True) in late.messages, "the status")


def test_home_assistant_is_told_of_each_channel_once(broker, sinks, watch):
    sink = sinks(broker.port, discovery_prefix="homeassistant")
    for first in (0, 10):
        batch = [*readings(first, 5), *readings(first, 5, channel="lux", unit="lx")]
        assert sink.deliver("k", batch).is_accepted
    watcher = watch(topic="homeassistant/#", name="ha")
    wait_for(lambda: len(watcher.messages) == 2, "the discovery")
    temp, lux = sorted(watcher.payloads("config"), key=lambda one: one["name"], reverse=True)
    assert all(retained for _, _, retained in watcher.messages)
    assert temp["unit_of_measurement"] == "°C"
    assert (temp["device_class"], lux["device_class"]) == ("temperature", "illuminance")
    assert temp["state_topic"] == "pyvorin/pyv-edge/board-1/temp"
    assert temp["availability_topic"] == "pyvorin/pyv-edge/status"
    assert temp["unique_id"] != lux["unique_id"]
    assert temp["device"] == lux["device"]


def test_names_can_not_make_other_topics(broker, sinks, watch):
    watcher = watch()
    names = ["a/b", "a%2Fb", "+", "#", "x\x00y", "ä"]
    sent = [reading(seq, device=name) for seq, name in enumerate(names)]
    assert sinks(broker.port).deliver("k", sent).is_accepted
    wait_for(lambda: len(watcher.payloads("/temp")) == len(names), "all messages")
    topics = {topic for topic, _, _ in watcher.messages if topic.endswith("/temp")}
    assert len(topics) == len(names)
    assert all(topic.count("/") == 3 for topic in topics)


def test_names_that_the_policy_has_taken_out_are_in_no_topic(broker, sinks, watch):
    watcher = watch()
    sent = [reading(0, channel="temp"), reading(1, channel="lux")]
    for one in sent:
        del one["metadata"]["device"], one["metadata"]["channel"]
    sink = sinks(broker.port, discovery_prefix="homeassistant")
    assert sink.deliver("k", sent).is_accepted
    wait_for(lambda: len(watcher.payloads("/hidden/")) == 2, "both messages")
    topics = {topic for topic, _, _ in watcher.messages if "/hidden/" in topic}
    assert topics == {"pyvorin/pyv-edge/hidden/porch.temp", "pyvorin/pyv-edge/hidden/porch.lux"}


def test_probe_leaves_nothing_behind(broker, sinks, watch):
    watcher = watch()
    working = sinks(broker.port)
    assert working.deliver("k", readings(0, 1)).is_accepted
    assert sinks(broker.port).probe().is_accepted
    assert working.deliver("k", readings(1, 1)).is_accepted  # its session goes on
    wait_for(lambda: len(watcher.payloads("/temp")) == 2, "the readings")
    said = [text for topic, text, _ in watcher.messages if topic.endswith("/status")]
    assert said == ["online"]


def test_probe_tells_what_is_wrong(tmp_path, sinks):
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    lines = ["allow_anonymous false", f"password_file {passwords}"]
    locked = mosquitto(tmp_path / "locked", lines=lines).start()
    try:
        found = sinks(locked.port, username="me", password="wrong").probe()
        assert (found.outcome, "refuses the connection" in found.problem) == (UNAUTHORISED, True)
    finally:
        locked.stop()
    found = sinks(locked.port).probe()
    assert (found.outcome, "Connection refused" in found.problem) == (FAILED, True)
