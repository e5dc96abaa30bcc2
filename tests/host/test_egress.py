"""What sinks get: each action on what was stored before, marks, keys, items, and the count."""

import json

import pytest
from host.conftest import SIMULATED
from host.fakes import SEGMENT, UTC_MS, FakeClock, FixedRandom, batch
from host.servers import Answer, serving
from host.waiting import wait_for
from pyv_edge_agent.alerting import Alerting
from pyv_edge_agent.channel_policy import ChannelPolicies
from pyv_edge_agent.egress import Egress
from pyv_edge_agent.outbox import CloudSyncQueue
from pyv_edge_agent.pipeline import Pipeline
from pyv_edge_agent.series import Source
from pyv_edge_agent.sinks.delivery import ACCEPTED, FAILED, Delivery
from pyv_edge_agent.store import BootInfo, SQLiteStore, WriteBatch, read_ledger
from pyv_edge_agent.terms import Terms
from pyv_edge_agent.types import Event, SensorReading
from pyv_edge_agent.uploader import UploadWorker
from pyv_edge_core.channel_table import FLAG_LOCAL_ONLY
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.reading import Channel
from pyv_edge_core.rule import read_rules

KEY = b"k" * 32
BOOT = 0xABCD1234
HASH = {"pattern": "porch.temp", "action": "hash"}
NO_RULES = [{"name": "never", "above": 1e12}]


class Judge:
    """A sink that keeps what it gets, and takes it if `is_up`."""

    shown = "judge"

    def __init__(self):
        self.is_up = True
        self.posts = []

    def deliver(self, key, items):
        self.posts.append((key, json.loads(json.dumps(items, allow_nan=False))))
        return Delivery(ACCEPTED if self.is_up else FAILED, "" if self.is_up else "down")

    @property
    def got(self):
        return [item for _, items in self.posts for item in items]


class Rig:
    """A store that is filled under one policy and emptied under another."""

    def __init__(self, path, policy=None, flags=0, rules=NO_RULES):
        self.clock = FakeClock()
        self.store = SQLiteStore(path)
        self.queue = CloudSyncQueue(clock=self.clock)
        self.queue.bind(self.store)
        self.sink = Judge()
        self.fill_under(policy or PrivacyPolicy(), flags, rules)

    def fill_under(self, policy, flags=0, rules=NO_RULES, boot=BOOT):
        self.pipeline = Pipeline(policy, {}, Alerting(read_rules(rules)))
        channels = [Channel("temp", "Cel", -2, flags), Channel("hum", "%RH", -1)]
        plans = [self.pipeline.plan("porch", channel) for channel in channels]
        self.source = self._open("board-1", "porch", boot, plans)
        self.polled = {}
        for name in ("t1", "hall.air"):
            self.polled[name] = self._open(
                name, name, boot, [self.pipeline.plan_fed(name, "", "V")]
            )

    def _open(self, device, alias, boot, plans):
        channels = tuple(plan.info for plan in plans)
        opened = self.store.open_boot(
            BootInfo(device, alias, boot, "b", "f", "r", channels), UTC_MS
        )
        series = [
            self.pipeline.alerting.open(
                plan, channel_id, opened.boot_id, UTC_MS, WriteBatch(SEGMENT)
            )
            for plan, channel_id in zip(plans, opened.channel_ids, strict=True)
        ]
        return Source(alias, boot, opened.boot_id, series, list(opened.next_seq))

    def add(self, *values, channel=0, quality=0):
        out = WriteBatch(SEGMENT)
        first = self.source.next_seq[0]
        made = batch(first, values, boot=self.source.boot, channel=channel, quality=quality)
        assert self.pipeline.add_batch(self.source, made, UTC_MS, out)
        self.store.commit(out)

    def rename(self, alias):
        """Let the configuration call the board something else from now on."""
        self.store.open_boot(BootInfo("board-1", alias, BOOT + 1, "b", "f", "r", ()), UTC_MS)

    def poll(self, name, *values):
        out = WriteBatch(SEGMENT)
        for value in values:
            reading = SensorReading(name, UTC_MS / 1000, value, "V")
            self.pipeline.add_reading(self.polled[name], reading, 0, UTC_MS, out)
        self.store.commit(out)

    def worker(self, policy):
        return UploadWorker(
            self.store,
            self.queue,
            Terms(self.sink, Egress(policy), 10, 1.0, 60.0),
            self.clock,
            FixedRandom(),
        )

    def send(self, policy):
        worker = self.worker(policy)
        worker.step()
        return worker

    def ledger(self):
        self.store.sinks.flush()
        found = read_ledger(self.store.path)
        assert found.is_balanced
        (sink,) = found.sinks
        assert found.total("stored") == sink.acknowledged + sink.withheld + sink.pending
        return sink


@pytest.fixture
def make(tmp_path):
    made = []

    def rig(**how):
        made.append(Rig(tmp_path / "edge.db", **how))
        return made[-1]

    yield rig
    for one in made:
        one.store.close()


def policy(*rules, **more):
    return PrivacyPolicy(list(rules), key=KEY, **more)


# -- what was stored under a weaker policy -----------------------------------------


@pytest.mark.parametrize(
    ("action", "values"),
    [
        ({"action": "allow"}, [21.53, None]),
        ({"action": "drop"}, []),
        ({"action": "mask"}, [None, None]),
        ({"action": "redact"}, [None, None]),
        ({"action": "hash"}, [21.53, None]),
        ({"action": "quantize", "step": 0.5}, [21.5, None]),
        ({"action": "clamp", "high": 20}, [20.0, None]),
        ({"action": "local_only"}, []),
        ({"action": "aggregate_only"}, []),
    ],
)
@pytest.mark.parametrize(
    "about",
    [
        {"pattern": "porch.temp"},
        {"device": "porch"},
        {"channel": "temp"},
        {"device": "por*", "channel": "t?mp"},
    ],
)
def test_every_action_holds_for_rows_of_a_weaker_policy(make, about, action, values):
    rig = make()
    rig.add(2153)
    rig.add(2153, quality=2)
    worker = rig.send(policy({**about, **action}))
    assert [item["value"] for item in rig.sink.got] == values
    for item in rig.sink.got:
        assert (item["metadata"]["quality"] == "bad") == (item["value"] is None)
    assert (worker.readings_total, worker.withheld_total) == (len(values), 2 - len(values))
    sink = rig.ledger()
    assert (sink.acknowledged, sink.withheld, sink.pending) == (len(values), 2 - len(values), 0)
    if values != [21.53, None]:
        assert "21.53" not in json.dumps(rig.sink.got)


@pytest.mark.parametrize("name", ["t1", "hall.air"])
@pytest.mark.parametrize("action", ["drop", "local_only", "aggregate_only", "mask"])
def test_polled_rows_are_judged_by_the_names_they_were_stored_under(make, name, action):
    device, _, channel = name.partition(".")
    for about in ({"pattern": name}, {"device": device}, {"channel": channel or name}):
        rule = {**about, "action": action}
        # The store and the sink must mean the same by a rule.
        at_store = Pipeline(policy(rule), {}, Alerting(read_rules(NO_RULES)))
        assert at_store.plan_fed(name, "", "V").gate.action == action
    rig = make()
    for index, about in enumerate(
        ({"pattern": name}, {"device": device}, {"channel": channel or name})
    ):
        rig.poll(name, 47.11)
        rig.send(policy({**about, "action": action}))
        assert rig.ledger().pending == 0, index
    assert "47.11" not in json.dumps(rig.sink.got)
    assert rig.sink.got == [] or action == "mask"


def test_rule_about_the_agents_own_channel_name_is_no_rule_about_it(make):
    rig = make()
    rig.poll("t1", 47.11)
    rig.send(policy({"channel": "value", "action": "drop"}))
    assert [item["value"] for item in rig.sink.got] == [47.11]


def test_hash_replaces_every_name_and_is_the_same_for_all_rows(make):
    rig = make()
    rig.add(2153, 2154)
    rig.add(5, channel=1)
    today = policy({"pattern": "porch.temp", "action": "hash"})
    rig.send(today)
    first, second, other = rig.sink.got
    for item in (first, second):
        assert item["sensor_name"] == item["metadata"]["channel"] == today.pseudonym("porch.temp")
        assert item["metadata"]["device"] == today.pseudonym("board-1")
        for name in ("porch", "temp", "board-1"):
            assert name not in json.dumps(item)
    assert [item["value"] for item in (first, second)] == [21.53, 21.54]
    assert other["sensor_name"] == "porch.hum"


def test_policy_that_is_off_today_lets_go_what_has_no_mark(make):
    rig = make(policy=policy({"pattern": "porch.hum", "action": "local_only"}))
    rig.add(2153)
    rig.add(55, channel=1)
    rig.send(policy(default="deny", is_enabled=False))
    assert [item["sensor_name"] for item in rig.sink.got] == ["porch.temp"]
    assert rig.ledger().withheld == 1


# -- marks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "stored_under"),
    [
        (FLAG_LOCAL_ONLY, policy()),
        (0, policy({"pattern": "porch.temp", "action": "local_only"})),
        (FLAG_LOCAL_ONLY, policy({"pattern": "porch.temp", "action": "hash"})),
    ],
)
@pytest.mark.parametrize(
    "today", [policy(), policy({"pattern": "*", "action": "allow"}), policy(is_enabled=False)]
)
def test_what_was_local_stays_local_whatever_the_policy_says_today(
    make, flags, stored_under, today
):
    rig = make(policy=stored_under, flags=flags)
    rig.add(2153)
    rig.add(55, channel=1)
    worker = rig.send(today)
    assert [item["value"] for item in rig.sink.got] == [5.5]
    assert worker.withheld_total == 1
    sink = rig.ledger()
    assert (sink.acknowledged, sink.withheld, sink.pending) == (1, 1, 0)


@pytest.mark.parametrize("default", ["allow", "deny"])
def test_what_was_hashed_goes_out_as_pseudonyms_also_where_the_default_denies(make, default):
    hashing = policy(
        {"pattern": "porch.temp", "action": "hash"},
        {"pattern": "porch.hum", "action": "allow"},
        default=default,
    )
    rig = make(policy=hashing)
    rig.add(2153)
    rig.add(55, channel=1)
    for today in (hashing, policy(default=default)):
        rig.sink.posts.clear()
        rig.send(today)
        hidden = [item for item in rig.sink.got if item["sensor_name"] != "porch.hum"]
        if today is hashing:
            (item,) = hidden
            assert len(rig.sink.got) == 2
            assert item["sensor_name"] == today.pseudonym("porch.temp")
            assert item["metadata"]["device"] == today.pseudonym("board-1")
            assert item["value"] == 21.53
            for name in ("porch", "temp", "board-1"):
                assert name not in json.dumps(item)
    assert rig.ledger().withheld == 0


@pytest.mark.parametrize(
    ("today", "goes"),
    [
        ([{"pattern": "porch.hum", "action": "drop"}, HASH], True),  # as before
        ([HASH, {"pattern": "*", "action": "drop"}], True),  # the hash still comes first
        (
            [{"key": "who", "action": "drop"}, {"pattern": "porch.hum", "action": "drop"}, HASH],
            True,
        ),
        ([HASH], True),  # one less before it
        ([], True),  # its names could go in clear by now
        ([{"pattern": "porch.*", "action": "drop"}, HASH], False),  # may be about it
        ([{"channel": "light", "action": "drop"}, HASH], False),  # nobody can tell
        ([{"pattern": "porch.temp", "action": "drop"}], False),
        ([{"pattern": "porch.temp", "action": "local_only"}], False),
    ],
)
def test_what_was_hashed_is_judged_by_the_rules_that_are_new(make, today, goes):
    stored = [{"pattern": "porch.hum", "action": "drop"}, HASH]
    rig = make(policy=policy(*stored))
    rig.add(2153)
    rig.send(policy(*today))
    assert len(rig.sink.got) == goes
    assert rig.ledger().withheld == (not goes)
    assert rig.ledger().is_balanced


def test_what_was_hashed_stays_where_everything_else_is_denied_by_now(make):
    rig = make(policy=policy(HASH))
    rig.add(2153)
    rig.send(policy(default="deny"))
    assert rig.sink.got == []


def test_row_is_judged_by_the_name_that_its_device_had(make):
    rig = make()
    rig.add(2153)
    rig.rename("lab")
    rig.send(policy({"device": "porch", "action": "drop"}))
    assert rig.sink.got == []


@pytest.mark.parametrize("value", [10**400, float("inf"), float("nan"), True, "21", None])
def test_item_whose_value_is_no_number_is_withheld_and_holds_up_nothing(value):
    egress = Egress(policy({"pattern": "*", "action": "quantize", "step": 1}))
    assert egress.item({"sensor_name": "x", "value": value}) is None
    event = {"sensor_readings": [{"sensor_name": "x", "value": value}], "message": "hot"}
    assert egress.item(event) is None


@pytest.mark.parametrize("action", ["mask", "redact", "hash", "drop", "local_only"])
def test_event_of_a_channel_that_is_hidden_by_now_is_withheld(action):
    egress = Egress(policy({"device": "room.1", "action": action}))
    metadata = {"sensor_name": "room.1.temp", "device": "room.1", "channel": "temp"}
    reading = {"sensor_name": "room.1.temp", "value": 0.0, "metadata": metadata}
    event = {"message": "room.1.temp is 0 Cel", "metadata": metadata}
    assert egress.item({**event, "sensor_readings": [reading]}) is None
    assert egress.item({**event, "sensor_readings": []}) is None
    other = {**metadata, "device": "room.2", "sensor_name": "room.2.temp"}
    assert egress.item({**event, "metadata": other, "sensor_readings": []}) is not None


# -- metadata ----------------------------------------------------------------------


def test_default_deny_keeps_what_readings_are_accounted_by(make):
    rig = make()
    rig.add(2153)
    rig.send(policy({"pattern": "porch.temp", "action": "allow"}, default="deny"))
    (item,) = rig.sink.got
    assert item["metadata"] == {
        "quality": "good",
        "device": "board-1",
        "channel": "temp",
        "boot": "abcd1234",
        "stream": "telemetry",
        "seq": 0,
        "time_error_ms": 3,
    }


@pytest.mark.parametrize(
    ("action", "device", "channel"),
    [
        ("drop", None, None),
        ("redact", None, None),
        ("local_only", None, None),
        ("mask", "***", "***"),
        ("hash", policy().pseudonym("board-1"), policy().pseudonym("temp")),
    ],
)
def test_rules_about_keys_hold_for_device_and_channel_and_never_for_accounts(
    make, action, device, channel
):
    rig = make()
    rig.add(2153)
    rig.send(policy({"key": "*", "action": action}))
    (item,) = rig.sink.got
    metadata = item["metadata"]
    assert (metadata.pop("device", None), metadata.pop("channel", None)) == (device, channel)
    assert metadata == {
        "quality": "good",
        "boot": "abcd1234",
        "stream": "telemetry",
        "seq": 0,
        "time_error_ms": 3,
    }
    assert (item["sensor_name"], item["value"]) == ("porch.temp", 21.53)


def test_rule_about_a_key_may_be_about_some_sensors_only(make):
    rig = make()
    rig.add(1)
    rig.add(2, channel=1)
    rig.send(policy({"channel": "hum", "key": "device", "action": "drop"}))
    assert ["device" in item["metadata"] for item in rig.sink.got] == [True, False]


# -- counting ----------------------------------------------------------------------


def test_cursor_moves_without_a_post_if_nothing_may_go(make):
    rig = make()
    rig.add(*range(25))
    worker = rig.send(policy(default="deny"))
    assert rig.sink.posts == []
    assert (worker.readings_total, worker.withheld_total, worker.batches_total) == (0, 25, 0)
    assert worker.last_success_utc_ms is None
    assert rig.queue.pending_count() == 0
    sink = rig.ledger()
    assert (sink.acknowledged, sink.withheld, sink.pending) == (0, 25, 0)


def test_what_is_withheld_waits_for_the_rest_of_its_batch(make):
    rig = make()
    rig.add(*range(5))
    rig.add(*range(3), channel=1)
    rig.sink.is_up = False
    worker = rig.worker(policy({"pattern": "porch.temp", "action": "drop"}))
    for _ in range(3):
        worker.step()
        rig.clock.advance(61_000)
        sink = rig.ledger()
        assert (sink.acknowledged, sink.withheld, sink.pending) == (0, 0, 8)
        assert worker.withheld_total == 0
    rig.sink.is_up = True
    worker.step()
    sink = rig.ledger()
    assert (sink.acknowledged, sink.withheld, sink.pending) == (3, 5, 0)
    assert (worker.readings_total, worker.withheld_total) == (3, 5)
    assert len({key for key, _ in rig.sink.posts}) == 1
    assert all(items == rig.sink.posts[0][1] for _, items in rig.sink.posts)


def test_ledger_balances_with_everything_at_once(make):
    rig = make(
        policy=policy(
            {"pattern": "porch.hum", "action": "aggregate_only"},
            {"pattern": "t1", "action": "drop"},
        )
    )
    rig.add(*range(7))
    rig.add(*range(4), channel=1)
    rig.poll("t1", 1.0, 2.0)
    rig.poll("hall.air", 3.0)
    rig.send(policy({"pattern": "hall.*", "action": "local_only"}))
    rig.add(8, 9)
    ledger = read_ledger(rig.store.path)
    assert ledger.is_balanced
    assert [ledger.total(name) for name in ("stored", "denied", "aggregated")] == [10, 2, 4]
    (sink,) = ledger.sinks
    assert (sink.acknowledged, sink.withheld, sink.pending) == (7, 1, 2)


# -- queued items ------------------------------------------------------------------


def event(sensor="porch.temp", value=21.5, **metadata):
    readings = [] if value is None else [SensorReading(sensor, 1.0, value, "Cel").to_dict()]
    about = {"state": "firing", "sensor_name": sensor, **metadata}
    return Event("hot", 1.0, "warning", f"{sensor} is {value}", readings, about).to_dict()


@pytest.mark.parametrize("value", [21.5, None])
@pytest.mark.parametrize(
    ("rule", "goes"),
    [
        ({"pattern": "porch.temp", "action": "allow"}, True),
        ({"pattern": "porch.*", "action": "drop"}, False),
        ({"device": "porch", "action": "drop"}, False),
        ({"channel": "temp", "action": "local_only"}, False),
        ({"pattern": "*", "action": "aggregate_only"}, False),
        ({"pattern": "*", "action": "hash"}, False),
        ({"pattern": "elsewhere.*", "action": "drop"}, True),
    ],
)
def test_event_is_judged_by_what_it_is_about(make, rule, goes, value):
    rig = make()
    rig.queue.enqueue(event(value=value), 2)
    worker = rig.send(policy(rule))
    assert len(rig.sink.got) == goes
    assert (worker.items_total, worker.withheld_total) == (goes, not goes)
    assert rig.queue.pending_count() == 0
    if goes:
        (item,) = rig.sink.got
        assert item["metadata"].pop("item_id")
        assert item == event(value=value)


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "mask"},
        {"action": "redact"},
        {"action": "quantize", "step": 2},
        {"action": "clamp", "high": 1},
    ],
    ids=lambda rule: rule["action"],
)
def test_event_whose_text_says_more_than_may_be_known_stays(make, rule):
    rig = make()
    rig.queue.enqueue(event(), 2)
    rig.send(policy({"pattern": "porch.temp", **rule}))
    assert rig.sink.got == []


def test_default_deny_lets_events_of_allowed_and_hashed_channels_go(make):
    rules = [{"name": "hot", "above": 20}]
    strict = policy(
        {"pattern": "porch.temp", "action": "hash"},
        {"pattern": "porch.hum", "action": "allow"},
        default="deny",
    )
    rig = make(policy=strict, rules=rules)
    rig.add(2153)
    rig.add(555, channel=1)
    rig.poll("t1", 99.0)
    worker = rig.send(strict)
    events = [item for item in rig.sink.got if "rule_name" in item]
    assert [item["metadata"]["sensor_name"] for item in events] == [
        strict.pseudonym("porch.temp"),
        "porch.hum",
    ]
    assert worker.withheld_total == 0
    assert "porch.temp" not in json.dumps(rig.sink.got)


def test_event_that_was_queued_before_the_policy_became_strict_stays(make):
    rig = make(rules=[{"name": "hot", "above": 20}])
    rig.add(2153)
    worker = rig.send(policy(default="deny"))
    assert rig.sink.posts == []
    assert worker.withheld_total == 2  # the reading and its event
    assert rig.queue.pending_count() == 0


def test_reading_that_a_caller_queued_is_judged_as_one(make):
    rig = make()
    given = {"sensor_name": "secret.a", "value": 1.5, "metadata": {"gps": 1, "kept": 2}}
    for name in ("secret.a", "coarse.a", "open.a"):
        rig.queue.enqueue({**given, "sensor_name": name})
    rig.send(
        policy(
            {"pattern": "secret.*", "action": "drop"},
            {"pattern": "coarse.*", "action": "quantize", "step": 1},
            {"key": "gps", "action": "drop"},
        )
    )
    found = [(item["sensor_name"], item["value"]) for item in rig.sink.got]
    assert found == [("coarse.a", 2.0), ("open.a", 1.5)]
    for item in rig.sink.got:
        assert set(item["metadata"]) == {"kept", "item_id"}


def test_items_of_one_batch_are_judged_each(make):
    rig = make()
    rig.queue.enqueue(event("secret.a"), 2)
    rig.queue.enqueue(event("open.a"), 2)
    worker = rig.send(policy({"pattern": "secret.*", "action": "drop"}))
    assert [item["metadata"]["sensor_name"] for item in rig.sink.got] == ["open.a"]
    assert (worker.items_total, worker.withheld_total) == (1, 1)
    assert rig.queue.pending_count() == 0


# -- the whole agent ---------------------------------------------------------------

VALUE = 4711.0625  # distinctive, and exact as a float
RAW = ("4711.0625", "4711.06", "47110625")


def test_aggregated_value_is_nowhere_but_in_summaries(agents, write_config, tmp_path, log):
    """Between two others, so that it is neither low, high nor last."""

    class Ramp:
        def __init__(self):
            self.values = [1.0, VALUE, 9000.0, 5.0]

        def read(self):
            return self.values.pop(0)

    devices = [{**SIMULATED, "name": "vault.door"}, {**SIMULATED, "name": "hall.air"}]
    with serving(Answer(200)) as cloud:
        agent = agents(
            write_config(
                devices,
                privacy={"rules": [{"pattern": "vault.*", "action": "aggregate_only"}]},
                rules=[
                    {"name": "moved", "sensor": "vault.*", "deadband": 1},
                    {"name": "stuck", "sensor": "vault.*", "stuck": "1h"},
                    {"name": "high", "sensor": "vault.*", "above": 4000},
                ],
                cloud={"enabled": True, "endpoint": cloud.url},
            )
        )
        agent.start()
        wait_for(lambda: agent._readings_processed == 2, "the first cycle")
        agent._adapters["vault.door"] = Ramp()
        for _ in range(4):
            agent.run_once()
        report = agent._ingest.pipeline
        assert report.aggregated_total == 5
        wait_for(lambda: agent._store.sinks.pending_most() == 0, "the upload")
        wait_for(lambda: agent._store.items.count == 0, "the upload of items")
        agent.stop()
        sent = json.dumps([body for _, _, body in cloud.requests])
    assert "hall.air" in sent
    assert "vault.door" not in sent
    ledger = read_ledger(tmp_path / "edge.db")
    assert ledger.is_balanced
    assert (ledger.total("aggregated"), ledger.total("stored")) == (5, 5)
    import sqlite3
    from struct import pack

    connection = sqlite3.connect(tmp_path / "edge.db")
    totals = connection.execute(
        "SELECT period_s, sum(count), max(max), min(min) FROM summaries"
        " WHERE sensor = 'vault.door' GROUP BY period_s"
    ).fetchall()
    events = connection.execute("SELECT value, message FROM events").fetchall()
    connection.close()
    assert [row[:3] for row in totals] == [(60, 5, 9000.0), (3600, 5, 9000.0)]
    assert {value for value, _ in events} == {None}
    store = b"".join(file.read_bytes() for file in tmp_path.glob("edge.db*"))
    for raw in RAW:
        assert raw.encode() not in store
        assert raw not in sent
        assert raw not in log.whole()
    assert pack(">d", VALUE) not in store  # as SQLite has it in a row


def test_time_quality_is_known_whatever_the_policy_says_of_keys(tmp_path):
    policy = PrivacyPolicy(
        [{"pattern": "*", "action": "allow"}, {"key": "*", "action": "drop"}], "deny"
    )
    payload = {
        "rule_name": "hot",
        "timestamp": 1.0,
        "severity": "info",
        "message": "m",
        "sensor_readings": [],
        "metadata": {"state": "firing", "sensor_name": "porch.temp", "time_quality": "unset"},
    }
    assert Egress(policy).item(payload)["metadata"]["time_quality"] == "unset"


# -- gaps, summaries, checkpoints --------------------------------------------------

GAP = {
    "type": "gap",
    "timestamp": 5.0,
    "device": "board-1",
    "alias": "porch",
    "boot": "00000007",
    "stream": "telemetry",
    "first_seq": 1,
    "last_seq": 2,
    "count": 2,
    "cause": "evicted",
}
SUMMARY = {
    "type": "summary",
    "sensor_name": "porch.temp",
    "timestamp": 5.0,
    "period_s": 60,
    "unit": "Cel",
    "count": 2,
    "bad_count": 0,
    "min": -4.0,
    "max": 90.0,
    "mean": 43.0,
    "last": None,
    "metadata": {"device": "board-1", "alias": "porch", "channel": "temp"},
}
BOTH = [("porch", "temp", "porch.temp", ""), ("porch", "hum", "porch.hum", "")]


def released(payload, *rules, channels=BOTH, default="allow"):
    gate = Egress(policy(*rules, default=default), channels_of=lambda _: channels)
    return gate.item(json.loads(json.dumps(payload)))


def test_gap_goes_unless_nothing_of_its_device_may():
    told = {key: value for key, value in GAP.items() if key != "alias"}
    assert released(GAP) == told
    assert released(GAP, {"pattern": "porch.temp", "action": "drop"}) == told
    for action in ("drop", "local_only", "aggregate_only"):
        assert released(GAP, {"pattern": "porch.*", "action": action}) is None
    assert released(GAP, default="deny") is None
    local = [(*row[:3], "local") for row in BOTH]
    assert released(GAP, channels=local) is None


def test_gap_of_a_device_with_pseudonyms_names_it_by_one():
    rule = {"pattern": "porch.temp", "action": "hash"}
    found = released(GAP, rule)
    assert found["device"] == policy(rule).pseudonym("board-1")
    assert "porch" not in json.dumps(found)
    assert "board-1" not in json.dumps(found)


def test_summary_is_judged_as_its_readings_are():
    plain = released(SUMMARY)
    assert plain["metadata"] == {"device": "board-1", "channel": "temp"}
    for action in ("drop", "local_only", "aggregate_only"):
        assert released(SUMMARY, {"pattern": "porch.temp", "action": action}) is None
    clamped = released(SUMMARY, {"pattern": "*", "action": "clamp", "low": 0, "high": 50})
    assert [clamped[name] for name in ("min", "max", "mean", "last")] == [0, 50, 43, None]
    rule = {"pattern": "porch.temp", "action": "hash"}
    hashed = released(SUMMARY, rule)
    assert hashed["sensor_name"] == policy(rule).pseudonym("porch.temp")
    for name in ("porch", "temp", "board-1"):
        assert name not in json.dumps(hashed)


@pytest.mark.parametrize("action", ["mask", "redact"])
def test_summary_of_what_is_hidden_does_not_go(action):
    assert released(SUMMARY, {"pattern": "porch.temp", "action": action}) is None


def test_checkpoint_goes_whatever_the_policy():
    checkpoint = {"type": "audit_checkpoint", "audit_id": 4, "hash": "ab", "store_id": "s"}
    assert released(checkpoint, default="deny") == checkpoint


def test_events_of_a_channel_go_only_if_its_policy_says_so():
    event = {
        "rule_name": "hot",
        "timestamp": 1.0,
        "severity": "info",
        "message": "m",
        "sensor_readings": [],
        "metadata": {"state": "firing", "sensor_name": "porch.temp"},
    }
    quiet = ChannelPolicies({"channels": [{"match": "porch.*", "sync": ["raw"]}]})
    assert Egress(PrivacyPolicy(), quiet).item(dict(event)) is None
    assert Egress(PrivacyPolicy()).item(dict(event)) == event
