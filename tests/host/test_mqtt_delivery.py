"""Deliveries against a broker that is played: each message is stored once, whatever gets lost."""

import json
import random

import pytest
from host.fakes import UTC_MS
from host.test_intake import Site
from pyv_edge_agent.adapters.mqtt_delivery import GROUP_READINGS_MAX, READINGS_MAX, Deliveries
from pyv_edge_agent.adapters.mqtt_message import PAYLOAD_SIZE_MAX, TOPICS_MAX
from pyv_edge_agent.boots import CHANNELS_MAX
from pyv_edge_agent.config import Config
from pyv_edge_agent.inbox import SUBMITTED_MAX
from pyv_edge_agent.submission import SAMPLES_MAX

KEEPALIVE_MS = 10_000
PROOF = 2.5  # keep-alives, after which a broker has heard what it was sent, or has hung up
STALL = 1.5  # for so long a broker may hear nothing before it hangs up
SECRET = "17.4242"


def mqtt_device(**settings):
    table = {"name": "meter", "ingest_type": "mqtt", "topic": "site/+", "time_path": ""}
    (device,) = Config({"sensors": {"devices": [{**table, **settings}]}}).get("sensors", "devices")
    return device


class Message:
    """What the library gives for one PUBLISH."""

    def __init__(self, mid, payload, topic="site/a", dup=False, qos=1, retain=False):
        self.mid, self.topic, self.dup, self.qos, self.retain = mid, topic, dup, qos, retain
        self.payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()


class Unreadable(Message):
    @property
    def topic(self):
        return b"\xff".decode()

    @topic.setter
    def topic(self, _):
        pass


class Line:
    """A connection on which acknowledgements are written down."""

    keepalive_ms = KEEPALIVE_MS

    def __init__(self):
        self.acked = []

    def acknowledge(self, message_id):
        self.acked.append(message_id)


class Taker(Site):
    """An agent with one MQTT device, which can be killed and started again."""

    def __init__(self, path, inflight_max=100, **settings):
        self.settings = settings
        self.inflight_max = inflight_max
        super().__init__(path)

    def start(self, path):
        super().start(path)
        device = mqtt_device(**self.settings)
        self.feed.device = device
        self.deliveries = Deliveries(device, self.inflight_max, self.clock)
        self.line = None

    def connect(self, is_kept=True):
        self.deliveries.begin(is_kept=is_kept)
        self.line = Line()
        return self.line

    def take(self, *messages):
        """Take what has come in one turn."""
        for one in messages:
            self.deliveries.take(self.feed, self.line, one)
        self.turn()

    def turn(self):
        self.deliveries.settle(self.line)
        self.deliveries.bring(self.feed)

    def commit(self):
        self.ingest.run()
        self.turn()
        return self.line.acked

    def values(self):
        return [row[1] for row in self.seen()]

    def receipts(self):
        return self.rows("SELECT coalesce(sum(length(keys)) / 12, 0) FROM receipt")[0][0]


@pytest.fixture
def takers(tmp_path):
    made = []

    def make(**settings):
        made.append(Taker(tmp_path / f"edge{len(made)}.db", **settings))
        made[-1].connect()
        return made[-1]

    yield make
    for one in made:
        one.store.close()


@pytest.fixture
def taker(takers):
    return takers()


def test_message_is_acknowledged_when_it_is_committed(taker):
    taker.take(Message(7, {"value": 1.5}), Message(8, {"value": 2.5}, "site/b"))
    assert taker.line.acked == []
    assert taker.deliveries.unacknowledged == 2
    assert taker.commit() == [7, 8]
    assert taker.seen() == [("meter.a", 1.5), ("meter.b", 2.5)]
    assert taker.deliveries.unacknowledged == 0


def test_bare_number_is_a_reading_at_its_arrival(takers):
    taker = takers(payload="number", unit="Cel")
    taker.take(Message(1, b" 21.5 "), Message(2, b"-3"))
    taker.clock.advance(500)
    assert taker.commit() == [1, 2]
    assert taker.seen("value, unit, time_quality") == [
        (21.5, "Cel", "good"),
        (-3.0, "Cel", "good"),
    ]
    assert taker.rows("SELECT DISTINCT utc_ms FROM reading") == [(UTC_MS,)]


def test_message_of_many_readings_is_one_delivery(takers):
    taker = takers(items_path="list")
    taker.take(Message(1, {"list": [{"value": 1}, {"value": 2}]}), Message(2, {"list": []}))
    assert taker.commit() == [1, 2]
    assert taker.values() == [1.0, 2.0]


def test_message_without_readings_is_acknowledged(taker):
    taker.take(Message(1, []))
    assert taker.commit() == [1]
    taker.take(Message(1, [], dup=True))
    assert taker.commit() == [1, 1]
    assert taker.values() == []


# -- killed, cut off, sent again ---------------------------------------------------


def test_kill_before_the_commit_and_the_message_comes_again(taker):
    taker.take(Message(7, {"value": 1}))
    taker.kill()
    taker.connect()
    taker.take(Message(7, {"value": 1}, dup=True))
    assert taker.commit() == [7]
    assert taker.values() == [1.0]


def test_kill_between_commit_and_acknowledgement(taker):
    taker.take(Message(7, {"value": 1}))
    taker.ingest.run()
    taker.kill()
    taker.connect()
    taker.take(Message(7, {"value": 1}, dup=True))
    assert taker.commit() == [7]
    assert taker.values() == [1.0]
    assert taker.feed.known_total == 1


def test_message_that_comes_again_before_its_commit_is_acknowledged_where_it_came_last(taker):
    lost = taker.line
    taker.take(Message(7, {"value": 1}), Message(8, {"value": 2}))
    taker.connect()
    taker.take(Message(7, {"value": 1}, dup=True))
    assert taker.commit() == [7]  # 8 has not come on this line yet
    taker.take(Message(8, {"value": 2}, dup=True))
    assert taker.commit() == [7, 8]
    assert lost.acked == []
    assert taker.values() == [1.0, 2.0]


def test_id_that_is_used_again_is_another_message(taker):
    for _ in range(3):  # a broker that takes the lowest id, and a sensor that stands still
        taker.take(Message(1, {"value": 5}))
        taker.commit()
    assert taker.line.acked == [1, 1, 1]
    assert taker.values() == [5.0, 5.0, 5.0]
    taker.connect()  # the last acknowledgement got lost
    taker.take(Message(1, {"value": 5}, dup=True))
    assert taker.commit() == [1]
    assert taker.values() == [5.0, 5.0, 5.0]


def test_new_session_is_not_taken_for_the_old_one(taker):
    taker.take(Message(1, {"value": 5}))
    taker.commit()
    taker.take(Message(2, {"value": 6}))  # not committed
    taker.connect(is_kept=False)
    taker.deliveries.forget(taker.feed, taker.line)
    # The first transmission of these was lost.
    taker.take(Message(1, {"value": 5}, dup=True), Message(2, {"value": 6}, dup=True))
    assert taker.commit() == [1, 2]
    assert taker.values() == [5.0, 6.0, 5.0, 6.0]


def test_new_session_of_a_new_run_is_not_taken_for_the_old_one(taker):
    taker.take(Message(1, {"value": 5}))
    taker.commit()
    taker.kill()
    taker.connect(is_kept=False)
    taker.take(Message(3, {"value": 7}))
    taker.deliveries.forget(taker.feed, taker.line)
    taker.commit()
    assert taker.receipts() == 1  # that of 3
    taker.take(Message(1, {"value": 5}, dup=True))
    taker.commit()
    assert taker.values() == [5.0, 7.0, 5.0]


def test_what_was_given_up_is_asked_for_again(taker):
    taker.take(Message(7, {"value": 1}))
    taker.ingest.commit = lambda: False  # the batch stays in memory
    taker.ingest.run()
    taker.ingest._intake.given_up()
    taker.ingest._intake.tell()
    taker.turn()
    assert taker.deliveries.must_renew
    assert taker.line.acked == []
    assert taker.deliveries.unacknowledged == 0
    taker.connect()
    assert not taker.deliveries.must_renew


class Broker:
    """A broker's half of a session: what it sends, and when it uses a packet id again."""

    def __init__(self, rng, takes_lowest):
        self.rng = rng
        self.takes_lowest = takes_lowest
        self.last_id = 0
        self.inflight = {}  # by id: payload
        self.line_pending = []  # sent, and not yet read by the agent

    def publish(self, payload):
        if self.takes_lowest:
            mid = next(n for n in range(1, 65536) if n not in self.inflight)
        else:
            mid = self.last_id = self.last_id % 7 + 1  # the round is short: ids meet again soon
            while mid in self.inflight:
                mid = self.last_id = self.last_id % 7 + 1
        self.inflight[mid] = payload
        self.line_pending.append(Message(mid, payload))

    def connected(self):
        """Send again what was not acknowledged; what was on the way is lost."""
        self.line_pending = [
            Message(mid, payload, dup=True) for mid, payload in self.inflight.items()
        ]

    def hear(self, acked):
        for mid in acked:
            assert mid in self.inflight, "acknowledged twice, or never sent"
            del self.inflight[mid]


@pytest.mark.parametrize("takes_lowest", [False, True], ids=["counting", "lowest"])
@pytest.mark.parametrize("seed", range(12))
def test_every_message_is_stored_once_whatever_happens(takers, seed, takes_lowest):
    rng = random.Random(seed)
    taker, broker = takers(inflight_max=6), Broker(rng, takes_lowest)
    sent, is_stalled = 0, False

    def deliver_acks(share):
        """Let a part of the acknowledgements arrive, the first ones first."""
        count = round(len(taker.line.acked) * share)
        broker.hear(taker.line.acked[:count])
        del taker.line.acked[:count]

    def step():
        nonlocal sent, is_stalled
        kinds = ("publish", "read", "commit", "acks", "cut", "kill", "wait", "stall")
        kind = rng.choice((*kinds, "publish", "read"))
        if kind == "publish" and len(broker.inflight) < 6:
            broker.publish({"value": sent})
            sent += 1
        elif kind == "read":
            count = rng.randint(1, 4)
            taker.take(*broker.line_pending[:count])
            del broker.line_pending[:count]
        elif kind == "commit":
            taker.commit()
        elif kind == "acks":
            deliver_acks(1)
        elif kind == "cut":
            is_stalled = False
            deliver_acks(rng.random())
            taker.connect()
            broker.connected()
        elif kind == "kill":
            is_stalled = False
            if rng.random() < 0.5:
                taker.ingest.run()  # committed, and nobody told
            deliver_acks(rng.random())
            taker.kill()
            taker.connect()
            broker.connected()
        elif kind == "stall" and not is_stalled:
            is_stalled = True  # a second time, one of the two ends would have hung up
            taker.clock.advance(round(KEEPALIVE_MS * STALL))
        elif kind == "wait":
            is_stalled = False
            # Nothing is on its way for so long on a connection that stands.
            deliver_acks(1)
            taker.take(*broker.line_pending)
            broker.line_pending.clear()
            taker.clock.advance(round(KEEPALIVE_MS * PROOF))
        taker.deliveries.forget(taker.feed, taker.line)

    for _ in range(400):
        step()
    deliver_acks(1)
    while broker.inflight:
        taker.take(*broker.line_pending)
        broker.line_pending.clear()
        taker.commit()
        deliver_acks(1)
    assert sorted(taker.values()) == list(range(sent))


# -- keys are forgotten --------------------------------------------------------------


def advance(taker, keepalives):
    taker.clock.advance(round(KEEPALIVE_MS * keepalives))
    taker.deliveries.forget(taker.feed, taker.line)
    taker.take(Message(9, {"value": 0}))  # so that there is a commit
    taker.commit()


def test_key_is_forgotten_when_the_broker_has_had_the_acknowledgement(taker):
    taker.take(Message(1, {"value": 5}))
    (first_key,) = taker.deliveries._open
    taker.commit()
    for keepalives in (PROOF - 0.1, 0.1, PROOF - 0.1):
        advance(taker, keepalives)
        assert taker.store.receipts.knows(taker.feed.source_id, first_key)
    advance(taker, 0.1)  # a whole period has gone by since the one in which it was sent
    assert not taker.store.receipts.knows(taker.feed.source_id, first_key)
    taker.take(Message(1, {"value": 5}, dup=True))  # only a new one can look like that
    taker.commit()
    assert taker.values().count(5.0) == 2


def test_keys_of_an_earlier_run_are_forgotten_too(taker):
    taker.take(*(Message(n, {"value": n}) for n in range(1, 9)))
    taker.commit()
    taker.kill()
    taker.connect()
    taker.take(Message(3, {"value": 3}, dup=True))
    taker.commit()
    advance(taker, PROOF)
    assert taker.feed.known_total == 1
    assert taker.receipts() == 8 + 1  # a row goes when no key of it is known
    assert taker.store.receipts.knows(taker.feed.source_id, taker.deliveries._acknowledged[-1])
    taker.connect()
    taker.take(Message(3, {"value": 3}, dup=True))
    taker.take(Message(4, {"value": 4}, dup=True))
    taker.commit()
    assert taker.values().count(3.0) == 1
    assert taker.values().count(4.0) == 2


def test_nothing_is_forgotten_while_something_may_come_again(takers):
    taker = takers(inflight_max=2)
    taker.take(Message(1, {"value": 5}))
    taker.commit()
    for _ in range(4):
        taker.clock.advance(round(KEEPALIVE_MS * 2))
        taker.take(Message(1, {"value": 5}, dup=True))  # the connection stood; they still come
        taker.commit()
        taker.deliveries.forget(taker.feed, taker.line)
    taker.take(Message(2, {"value": 6}), Message(3, {"value": 7}))
    for _ in range(4):  # no window is left for a repetition
        taker.clock.advance(round(KEEPALIVE_MS * 2))
        taker.deliveries.forget(taker.feed, taker.line)
    taker.commit()
    taker.connect()
    taker.take(Message(1, {"value": 5}, dup=True))
    taker.commit()
    assert taker.values() == [5.0, 6.0, 7.0]


def test_quiet_connection_is_not_swept_for_ever(taker):
    seen = []
    forget = taker.feed.forget_all_but
    taker.feed.forget_all_but = lambda keys: seen.append(len(list(keys))) or forget(keys)
    taker.take(Message(1, {"value": 5}))
    taker.commit()
    for _ in range(10):
        taker.clock.advance(round(KEEPALIVE_MS * PROOF))
        taker.deliveries.forget(taker.feed, taker.line)
    assert seen == [1, 0]


# -- no room -------------------------------------------------------------------------


def fill(taker):
    """Leave no room in the inbox."""
    while taker.submit(*[0.0] * SAMPLES_MAX):
        pass


def test_what_finds_no_room_waits_in_order(taker):
    fill(taker)
    taker.take(Message(1, {"value": 1}))
    taker.take(Message(2, {"value": 2}), Message(3, {"value": 3}, dup=True))
    taker.take(Message(4, {"value": 4}))
    assert taker.deliveries.is_waiting
    taker.commit()  # of what filled it
    assert not taker.deliveries.is_waiting
    assert taker.commit() == [1, 2, 3, 4]
    assert taker.values()[SUBMITTED_MAX:] == [1.0, 2.0, 3.0, 4.0]


def test_what_waits_for_room_is_dated_when_it_came(taker):
    fill(taker)
    taker.take(Message(1, {"value": 1}))
    taker.clock.advance(60_000)
    taker.commit()
    taker.commit()
    found = taker.rows("SELECT utc_ms FROM reading WHERE value = 1.0")
    assert found == [(UTC_MS,)]


def test_no_more_is_read_than_may_be_held(takers):
    taker = takers(inflight_max=3)
    fill(taker)
    for number in range(1, 5):
        assert taker.deliveries.has_room()
        taker.take(Message(number, {"value": number}))
    assert not taker.deliveries.has_room()
    taker.commit()
    taker.commit()
    assert taker.deliveries.has_room()


def test_readings_are_limited_as_messages_are(takers):
    taker = takers(items_path="list")
    many = {"list": [{"value": 1}] * (READINGS_MAX // 4)}
    fill(taker)
    for number in range(4):
        assert taker.deliveries.has_room()
        taker.take(Message(number + 1, many))
    assert not taker.deliveries.has_room()
    assert taker.deliveries.unacknowledged == 4


def test_what_nobody_sends_again_is_lost_without_room_and_counted(taker, log):
    taker.take(Message(0, {"value": 1}, qos=0))
    fill(taker)
    taker.take(Message(0, {"value": 2}, qos=0), Message(0, {"value": 3}, qos=0))
    assert taker.commit() == []
    assert taker.deliveries.lost_total == taker.feed.rejected_total == 2
    assert taker.values()[0] == 1.0
    assert sum(taker.values()) == 1.0
    assert "came with QoS 0 when there was no room, and is lost" in log.whole()


# -- a commit in time ------------------------------------------------------------------


def test_commit_is_due_when_the_window_is_nearly_used_up(takers):
    taker = takers(inflight_max=20)
    now_ms = taker.clock.monotonic_ms()
    for number in range(1, 15):
        taker.take(Message(number, {"value": number}))
    assert taker.ingest.due_ms(now_ms, 1000) > now_ms
    taker.take(Message(15, {"value": 15}))
    assert taker.ingest.due_ms(now_ms, 1000) == now_ms
    taker.ingest.run()
    # The broker had sent some more meanwhile: these can wait.
    for number in range(16, 21):
        taker.deliveries.take(taker.feed, taker.line, Message(number, {"value": number}))
    taker.deliveries.bring(taker.feed)
    assert taker.ingest.due_ms(now_ms, 1000) > now_ms


def test_messages_that_come_together_are_one_submission(taker):
    puts = []
    put = taker.feed.put
    taker.feed.put = lambda one: puts.append(len(one.samples)) or put(one)
    taker.take(*(Message(n, {"value": n}) for n in range(1, 11)))
    taker.take(*(Message(n, {"value": n}) for n in range(1, GROUP_READINGS_MAX + 3)))
    assert puts == [10, GROUP_READINGS_MAX, 2]


# -- what can't be stored ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message", "problem"),
    [
        ({}, Message(7, b"{" + SECRET.encode()), "a message: is no JSON at character 1"),
        ({}, Message(7, b"\xff\xfe" + SECRET.encode()), "a message: the payload is no text"),
        ({}, Message(7, b""), "a message: is no JSON at character 0"),
        ({}, Message(7, {"v": SECRET}), "a message: value is missing"),
        ({}, Message(7, {"value": f"x{SECRET}"}), "a message: value is no number"),
        ({}, Message(7, b'{"value": 1e999}'), "a message: value is not finite"),
        ({}, Message(7, [SECRET, 1]), "a message: [0]: value is missing"),
        (
            {"time_path": "at"},
            Message(7, {"value": 1}),
            "a message: at is missing; the device's time_path",
        ),
        (
            {"time_path": "at"},
            Message(7, {"value": 1, "at": 17.4242}),
            "reading 0: the time is outside of 2000 to 2100",
        ),
        ({"payload": "number"}, Message(7, f"x{SECRET}".encode()), "the payload is no number"),
        ({}, Message(7, {"value": 1}, f"site/{SECRET}\n"), "a channel or unit is not printable"),
        ({}, Message(7, {"value": 1}, f"other/{SECRET}"), "a message of another topic: it was se"),
        ({}, Unreadable(7, {"value": 1}), "a message whose topic is no UTF-8"),
        ({}, Message(7, b" " * (PAYLOAD_SIZE_MAX + 1)), "a message is longer than 262144 bytes"),
        ({}, Message(7, [{"value": 1}] * (SAMPLES_MAX + 1)), "10001 readings at once; at most"),
    ],
    ids=lambda one: str(one)[:30] if isinstance(one, str) else "",
)
@pytest.mark.parametrize("dup", [False, True], ids=["first", "again"])
def test_what_can_not_be_stored_is_counted_and_acknowledged(
    takers, log, settings, message, problem, dup
):
    taker = takers(**settings)
    message.dup = dup
    good = {"value": 1, "at": UTC_MS / 1000}
    payload = b"1" if settings.get("payload") else json.dumps(good).encode()
    taker.take(Message(6, payload), message, Message(8, payload))
    taker.commit()
    assert sorted(taker.commit()) == [6, 7, 8]
    assert taker.values() == [1.0, 1.0]
    assert (taker.feed.rejected_total, taker.deliveries.unacknowledged) == (1, 0)
    assert problem in taker.feed.problem
    assert problem in log.whole()
    assert SECRET not in log.whole()
    assert taker.deliveries.has_room()


def test_channel_too_many_is_refused_and_the_others_of_its_group_are_stored(taker):
    names = [f"site/c{number}" for number in range(CHANNELS_MAX)]
    for at in range(0, CHANNELS_MAX, 50):
        taker.take(*(Message(n + 1, {"value": 1}, names[n]) for n in range(at, at + 50)))
        taker.commit()
    taker.line.acked.clear()
    taker.take(Message(1, {"value": 2}), Message(2, {"value": 3}, names[3]))
    taker.commit()
    assert sorted(taker.commit()) == [1, 2]
    assert taker.values()[CHANNELS_MAX:] == [3.0]
    assert taker.feed.rejected_total == 1
    assert f"more than {CHANNELS_MAX} channels" in taker.feed.problem


def test_topics_are_not_remembered_without_end(taker):
    for at in range(0, TOPICS_MAX + 50, 50):
        taker.take(*(Message(n % 50 + 1, {"v": 0}, f"site/{n}") for n in range(at, at + 50)))
    assert len(taker.deliveries._reader._channels) <= TOPICS_MAX


@pytest.mark.parametrize(("retained", "count"), [("ignore", 0), ("take", 1)])
def test_what_the_broker_has_kept_is_taken_only_if_that_is_asked_for(takers, retained, count):
    taker = takers(retained=retained)
    taker.take(Message(7, {"value": 1}, retain=True), Message(0, {"value": 1}, qos=0, retain=True))
    assert taker.commit() == [7]
    assert len(taker.values()) == count * 2
    assert taker.deliveries.retained_total == (1 - count) * 2
    assert taker.feed.rejected_total == 0
