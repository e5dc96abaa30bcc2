"""The topic of an MQTT device changes: no message is missed, none comes twice for good."""

import threading

import pytest
from host.fakes import FakeClock, FixedRandom
from host.mqtt_site import HASTE, MQTTSite, published
from host.played_broker import SUBSCRIBE, UNSUBSCRIBE, PlayedBroker
from host.processes import free_port, mosquitto
from host.test_mqtt_delivery import mqtt_device
from host.waiting import wait_for
from pyv_edge_agent.adapters import create_adapter
from pyv_edge_agent.adapters.mqtt_session import Filters, Session, read_filters
from pyv_edge_agent.bell import Bell
from pyv_edge_agent.config import Config
from pyv_edge_agent.submission import Feed, Verdict

PROTOCOLS = pytest.mark.parametrize("protocol", ["3.1.1", "5"])
SOURCE = "mqtt broker:1883 me"


@pytest.fixture
def site(tmp_path, agents, write_config, log):
    made = MQTTSite(tmp_path, agents, write_config, log)
    yield made
    if made.agent is not None:
        made.stop()
    made.close()


def filters(site):
    """Return what the store has of each session."""
    return [
        read_filters(position)
        for (position,) in site.rows("SELECT position FROM source_position ORDER BY id")
    ]


def wait_settled(site, topic):
    wait_for(lambda: filters(site)[-1:] == [Filters((topic,))], f"{topic} alone", 30)


# -- at a real broker ------------------------------------------------------------------


@PROTOCOLS
def test_topics_that_overlap_bring_each_message_once(site, protocol):
    """Also if nothing was stored under those before."""
    site.start_broker()
    for topic in ("#", "site/#", "site/a"):
        site.start(protocol=protocol, topic=topic).wait_up()
        site.stop()
    site.start(protocol=protocol, topic="site/+").wait_up()
    wait_settled(site, "site/+")
    published(site.port, 20)
    site.wait_values(range(20))
    assert site.status["messages_total"] == 20
    assert site.log.warnings() == []


@PROTOCOLS
def test_what_was_published_under_both_topics_comes(site, protocol):
    site.start_broker()
    site.start(protocol=protocol, topic="site/#").wait_up()
    published(site.port, 10)
    site.wait_values(range(10))
    site.stop()
    published(site.port, 10, 10)
    published(site.port, 1, 99, topic="site/deep/er")
    site.start(protocol=protocol, topic="site/+")
    wait_settled(site, "site/+")
    published(site.port, 10, 20)
    site.wait_values(range(30))
    assert site.feed["rejected_total"] == 1
    assert "it was sent for the one that the device had before" in site.feed["problem"]


@PROTOCOLS
def test_session_at_another_broker_is_another_one(site, protocol):
    site.start_broker()
    other = mosquitto(site.folder / "other", free_port()).start()
    try:
        site.start(protocol=protocol, topic="site/#").wait_up()
        site.stop()
        site.start(protocol=protocol, topic="site/+", port=other.port).wait_up()
        published(other.port, 5)
        site.wait_values(range(5))
        site.stop()
        published(site.port, 5, 5)
        site.start(protocol=protocol, topic="site/+").wait_up()
        wait_settled(site, "site/+")
        published(site.port, 5, 10)
        site.wait_values(range(15))
        assert site.status["messages_total"] == 10
        assert site.status["sessions_lost_total"] == 0
    finally:
        other.stop()


def test_topic_is_changed_by_reloads_while_data_flows(site):
    site.start_broker()
    site.start(topic="site/#", channel="x").wait_up()
    done = threading.Event()
    sent = 0

    def publish():
        nonlocal sent
        while not done.is_set():
            published(site.port, 50, sent)
            sent += 50

    publisher = threading.Thread(target=publish, daemon=True)
    publisher.start()
    for number in range(12):
        topic = ("site/#", "site/+", "+/a", "#")[number % 4]
        Config.from_file(site.configure(topic=topic, channel="x"))
        site.agent.reload_config()
    done.set()
    publisher.join(30)
    wait_settled(site, topic)
    wait_for(lambda: set(site.values()) == set(range(sent)), "each of them", 60)
    # What the broker sorts just then, between two packets of ours, comes for both topics.
    twice = len(site.values()) - sent
    published(site.port, 100, sent)
    wait_for(lambda: set(site.values()) == set(range(sent + 100)), "each of the others", 60)
    wait_for(lambda: not site.status["unacknowledged"], "the acknowledgements", 30)
    assert len(site.values()) == sent + 100 + twice


# -- what is asked of a broker, and when -----------------------------------------------


class Shelf:
    """A store that takes positions when it is let to."""

    def __init__(self):
        self.positions = {}
        self.is_open = True
        self.brought = []

    def put(self, feed, submission):
        if self.is_open and hasattr(submission, "samples"):
            self.brought.append((feed.source, submission))
        return self.is_open

    def store(self, verdict=Verdict.STORED):
        for source, submission in self.brought:
            is_next = submission.after == self.positions.get(source, "")
            told = verdict if is_next else Verdict.GIVEN_UP
            if told is Verdict.STORED:
                self.positions[source] = submission.position
            submission.settle(told, "")
        self.brought.clear()

    def feed(self):
        made = Feed(mqtt_device(), self.put, lambda _: self.positions.copy(), FakeClock())
        made.read_from(SOURCE)
        return made


@pytest.fixture
def shelf():
    return Shelf()


def session(topic="site/+"):
    return Session("broker:1883", "me", topic, Bell())


def test_topic_is_noted_before_it_is_asked_for_and_granted_behind(shelf):
    feed, made = shelf.feed(), session()
    assert made.source == SOURCE
    assert not made.begin(feed, is_kept=True)
    assert not made.is_noted(feed)
    assert not made.is_noted(feed)
    assert len(shelf.brought) == 1
    shelf.store(Verdict.GIVEN_UP)
    assert not made.is_noted(feed)
    shelf.store()
    assert made.is_noted(feed)
    assert read_filters(feed.position()) == Filters((), ("site/+",))
    made.grant()
    assert not made.is_noted(feed)
    shelf.store()
    assert made.is_noted(feed)
    assert read_filters(feed.position()) == Filters(("site/+",))


def test_what_was_asked_for_may_be_there(shelf):
    feed = shelf.feed()
    shelf.positions[SOURCE] = Filters(("site/#",), ("#", "site/#")).to_json()
    made = session()
    assert not made.begin(feed, is_kept=True)
    assert made.outdated == ["site/#", "#"]
    shelf.is_open = False
    assert not made.is_noted(feed)
    shelf.is_open = True
    assert not made.is_noted(feed)
    shelf.store()
    assert read_filters(feed.position()) == Filters(("site/#",), ("#", "site/#", "site/+"))


def test_session_that_the_broker_has_forgotten_has_nothing(shelf):
    feed = shelf.feed()
    for known, was_lost in ((Filters(("a",), ("b",)), True), (Filters((), ("b",)), False)):
        shelf.positions[SOURCE] = known.to_json()
        made = session()
        assert made.begin(feed, is_kept=False) is was_lost
        assert made.outdated == []
        made.is_noted(feed)
        shelf.store()
        assert read_filters(feed.position()) == Filters((), ("site/+",))


def test_session_as_it_was_is_noted_once(shelf):
    feed = shelf.feed()
    shelf.positions[SOURCE] = Filters(("site/+",)).to_json()
    made = session()
    for number in range(3):
        made.begin(feed, is_kept=True)
        assert made.is_noted(feed) is (number > 0)
        assert len(shelf.brought) == (number == 0)
        shelf.store()
        assert made.is_noted(feed)
        made.grant()
        assert made.is_noted(feed)


def test_what_an_earlier_configuration_has_on_its_way_is_seen(shelf):
    """Of two reloads in a row, the first has asked for a topic and the second takes it back."""
    feed = shelf.feed()
    shelf.positions[SOURCE] = Filters(("#",), ("site/+",)).to_json()
    earlier, made = session("#"), session("site/+")
    earlier.begin(feed, is_kept=True)
    earlier.is_noted(feed)
    shelf.store()
    earlier.grant()
    earlier.is_noted(feed)  # and is not stored yet
    made.begin(feed, is_kept=True)
    assert not made.is_noted(feed)
    shelf.store()
    assert not made.is_noted(feed)
    shelf.store()
    assert made.is_noted(feed)
    assert read_filters(feed.position()) == Filters(("#",), ("site/+",))
    assert made.outdated == ["#"]


def test_connection_that_begins_while_a_note_is_on_its_way_waits_for_it(shelf):
    feed, made = shelf.feed(), session()
    made.begin(feed, is_kept=True)
    made.is_noted(feed)
    made.begin(feed, is_kept=True)
    assert not made.is_noted(feed)
    assert len(shelf.brought) == 1
    shelf.store()
    assert made.is_noted(feed)
    assert read_filters(feed.position()) == Filters((), ("site/+",))


@pytest.mark.parametrize(
    "text", ["", "line 5", "[]", "5", "null", '{"topics": 5}', '{"topics": [5]}']
)
def test_position_of_another_adapter_is_none(text):
    assert read_filters(text) == Filters()


def test_position_of_an_earlier_schema_has_topics_alone():
    assert read_filters('{"topics":["site/#"]}') == Filters(("site/#",))


def test_broker_is_asked_for_nothing_before_the_store_knows(shelf, tmp_path):
    broker = PlayedBroker(is_kept=True)
    clock = FakeClock()
    device = mqtt_device(port=broker.port, protocol="3.1.1", client_id="me", topic="site/+")
    shelf.is_open = False
    feed = Feed(device, shelf.put, lambda _: shelf.positions.copy(), clock)
    source = f"mqtt 127.0.0.1:{broker.port} me"
    shelf.positions[source] = Filters(("site/#",)).to_json()
    adapter = create_adapter(device, clock, tmp_path, FixedRandom(HASTE))
    thread = threading.Thread(target=adapter.run, args=(feed,), daemon=True)
    thread.start()
    try:
        wait_for(lambda: broker.greetings, "a connection")
        clock.advance(1_000_000)  # however long the store takes, the broker isn't given up
        wait_for(lambda: feed.full_total > 1, "attempts to note it")
        shelf.is_open = True
        wait_for(lambda: shelf.brought, "the note")
        assert broker.asked == []
        shelf.store()
        wait_for(lambda: broker.asked == [SUBSCRIBE, UNSUBSCRIBE], "what is asked")
        wait_for(lambda: shelf.brought, "the other note")
        shelf.store()
        assert read_filters(shelf.positions[source]) == Filters(("site/+",))
        assert broker.connects == 1
    finally:
        adapter.stop()
        thread.join(10)
        adapter.close()
        broker.close()
