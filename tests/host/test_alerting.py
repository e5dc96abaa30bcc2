"""Alerts over readings, restarts and reboots: each fires once, and what it was is in the store."""

import json
import random
import sqlite3
import threading

import pytest
from host.fakes import (
    OFFSET_MS,
    SEGMENT,
    UTC_MS,
    FakeClock,
    RecordingLink,
    batch,
    event_batch,
    greeting,
)
from pyv_edge_agent.alert_state import shifted
from pyv_edge_agent.alerting import Alerting
from pyv_edge_agent.ingest import Ingest
from pyv_edge_agent.pipeline import Pipeline
from pyv_edge_agent.series import make_plan
from pyv_edge_agent.store import SQLiteStore, WriteBatch, read_ledger
from pyv_edge_agent.types import SensorReading
from pyv_edge_core.alert import HOST_MASK, Watch
from pyv_edge_core.channel_table import EVENT_FIRED, EVENT_WITHOUT_VALUE, AlertRow
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.reading import Channel
from pyv_edge_core.rule import read_rules

BOOT = 0xABCD1234
DEVICE = {"name": "t1", "unit": "Cel"}
HOT = {"name": "hot", "above": 30, "for": "60s"}
HIGH = {"name": "high", "above": 40}


class Agent:
    """One run of the agent's thread on a store that outlives it, fed by one board."""

    def __init__(self, path, clock, rules=(), privacy=None):
        self.path = path
        self.clock = clock
        self.store = SQLiteStore(path)
        self.alerting = Alerting(read_rules(rules), self.store.rule_state)
        self.pipeline = Pipeline(privacy or PrivacyPolicy(), {}, self.alerting)
        self.wake = threading.Event()
        self.ingest = Ingest(
            self.store, self.pipeline, clock, random.Random(1), self.wake, commit_max=500
        )
        self.link = RecordingLink()
        self.next_seq = None

    def greet(self, boot=BOOT, **more):
        self.put(greeting(boot=boot, **more))
        welcome = [call for call in self.link.take_calls() if call[0] == "welcome"][-1]
        self.boot, self.next_seq = boot, list(welcome[2])

    def put(self, *events):
        for event in events:
            assert self.ingest.put(self.link, event)
        self.ingest.run()

    def read(self, *values, after_ms=1000, age_ms=0, **more):
        """Receive one reading after another, each `after_ms` later, taken `age_ms` ago."""
        for value in values:
            self.clock.advance(after_ms)
            taken_ms = self.clock.monotonic_ms() + OFFSET_MS - age_ms  # as if never set
            first = self.next_seq[0]
            self.put(batch(first, [value], boot=self.boot, base_utc_ms=taken_ms, **more))
            self.next_seq[0] += 1

    def hear(self, *events):
        self.put(event_batch(self.next_seq[1], events, boot=self.boot))
        self.next_seq[1] += len(events)

    def wait(self, ms):
        self.clock.advance(ms)
        self.ingest.run()

    def rows(self, query="SELECT rule, state FROM event ORDER BY id"):
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def items(self):
        found = self.rows("SELECT payload, priority FROM sync_queue ORDER BY id")
        return [(json.loads(payload), priority) for payload, priority in found]

    def stop(self):
        self.ingest.end()
        self.store.close()

    def kill(self):
        """End without the last words of `end`."""
        self.store.close()


@pytest.fixture
def run(tmp_path):
    """Return a function that starts an agent on the same store and clock as the one before."""
    clock = FakeClock()
    made = []

    def start(rules=(HOT, HIGH), **more):
        agent = Agent(tmp_path / "edge.db", clock, rules, **more)
        made.append(agent)
        return agent

    yield start
    for agent in made:
        agent.store.close()


# -- over a restart ----------------------------------------------------------------


@pytest.mark.parametrize("end", [Agent.stop, Agent.kill])
def test_pending_alert_goes_on_after_a_restart(run, end):
    first = run()
    first.greet()
    first.read(*[3500] * 40)
    assert first.alerting.counts() == {"inactive": 1, "pending": 1, "firing": 0}
    end(first)
    second = run()
    second.greet()
    assert second.alerting.counts() == {"inactive": 1, "pending": 1, "firing": 0}
    second.read(*[3500] * 19)
    assert second.rows() == []
    second.read(3500, 3500)
    # 60 s since the first reading of all, not since the restart.
    assert second.rows("SELECT rule, state, utc_ms FROM event") == [
        ("hot", "firing", UTC_MS + 61_000)
    ]


@pytest.mark.parametrize("end", [Agent.stop, Agent.kill])
def test_firing_alert_stays_firing_after_a_restart_and_makes_no_second_event(run, end):
    first = run()
    first.greet()
    first.read(4500)
    assert first.rows() == [("high", "firing")]
    end(first)
    second = run()
    second.greet()
    assert second.alerting.counts()["firing"] == 1
    second.read(4500, 4600)
    assert second.rows() == [("high", "firing")]
    assert second.alerting.fired_total == 0
    second.read(2000)
    assert second.rows() == [("high", "firing"), ("high", "resolved")]


def test_alert_of_a_polled_device_stays_firing_after_a_restart(run):
    for count in (1, 1, 2):
        agent = run()
        value = 50.0 if count == 1 else 1.0
        agent.clock.advance(1000)
        reading = SensorReading("t1", agent.clock.utc_ms() / 1000, value)
        agent.ingest.add_polled(DEVICE, reading, 0)
        agent.ingest.run()
        assert len(agent.rows()) == count
        agent.stop()


def test_reboot_of_the_board_ends_no_alert(run):
    agent = run()
    agent.greet()
    agent.read(*[4500] * 40)
    agent.greet(boot=77)
    agent.read(*[4500] * 22)
    assert agent.rows() == [("high", "firing"), ("hot", "firing")]
    agent.greet(boot=78)
    agent.read(4500)
    assert len(agent.rows()) == 2
    agent.read(100)
    assert agent.rows("SELECT rule, state, boot_id FROM event ORDER BY id") == [
        ("high", "firing", 1),
        ("hot", "firing", 2),
        ("hot", "resolved", 3),
        ("high", "resolved", 3),
    ]


def test_changed_rule_begins_anew_and_no_other_does(run):
    first = run()
    first.greet()
    first.read(*[4500] * 70)
    assert first.rows() == [("high", "firing"), ("hot", "firing")]
    first.stop()
    second = run(rules=[HOT, {**HIGH, "above": 41}, {"name": "new", "above": 0}])
    second.greet()
    assert second.alerting.counts() == {"inactive": 2, "pending": 0, "firing": 1}
    second.read(4500)
    assert second.rows()[2:] == [("high", "firing"), ("new", "firing")]


def test_change_of_words_alone_keeps_the_state(run):
    first = run()
    first.greet()
    first.read(4500)
    first.stop()
    second = run(rules=[HOT, {**HIGH, "severity": "critical", "message": "ho!"}])
    second.greet()
    second.read(4500)
    assert len(second.rows()) == 1
    second.read(0)
    assert second.rows("SELECT severity, message FROM event ORDER BY id DESC LIMIT 1") == [
        ("critical", "high is over: porch.temp is 0 Cel")
    ]


def test_rule_that_is_gone_is_forgotten(run):
    first = run()
    first.greet()
    first.read(4500)
    first.stop()
    second = run(rules=[HOT])
    second.greet()
    second.read(4500)
    second.stop()
    third = run()
    third.greet()
    third.read(4500)
    assert third.rows() == [("high", "firing")] * 2


# -- in the store ------------------------------------------------------------------


def test_state_is_stored_with_the_readings_that_made_it(run):
    agent = run()
    agent.greet()
    agent.read(2000)
    before = agent.rows("SELECT * FROM rule_state")
    pages = agent.store._writer.execute("PRAGMA page_count").fetchone()[0]
    agent.store._writer.execute(f"PRAGMA max_page_count = {pages}")
    agent.put(batch(1, [4500] * 2000, base_utc_ms=agent.clock.utc_ms() + 1))
    assert "full" in agent.ingest.problem
    assert agent.rows("SELECT * FROM rule_state") == before
    assert agent.rows() == []
    assert agent.rows("SELECT count(*) FROM reading") == [(1,)]
    agent.store._writer.execute("PRAGMA max_page_count = 1000000")
    agent.ingest.run()
    assert agent.rows("SELECT * FROM rule_state") != before
    assert agent.rows() == [("high", "firing")]
    assert agent.rows("SELECT count(*) FROM reading") == [(2001,)]


def test_commit_that_never_succeeded_leaves_no_trace_for_the_next_run(run):
    first = run()
    first.greet()
    first.store._writer.execute("PRAGMA query_only = ON")
    first.read(4500)
    first.kill()
    second = run()
    second.greet()
    assert second.alerting.counts()["firing"] == 0
    second.read(4500)  # the board sends it again
    assert second.rows() == [("high", "firing")]


def test_quiet_channel_writes_no_state(run):
    agent = run()
    agent.greet()
    agent.read(*[2000] * 5)
    written = agent.rows("SELECT * FROM rule_state")
    assert len(written) <= 1
    agent.read(*[2001] * 50)
    assert agent.rows("SELECT * FROM rule_state") == written


# -- time --------------------------------------------------------------------------


def test_missing_readings_fire_by_the_clock_alone(run):
    agent = run(rules=[{"name": "gone", "missing": "30s", "severity": "critical"}])
    agent.greet()
    agent.read(2000)
    for _ in range(29):
        agent.wait(1000)
    assert agent.rows() == []
    agent.wait(1000)
    assert agent.rows("SELECT rule, state, value, utc_ms, seq FROM event") == [
        ("gone", "firing", None, agent.clock.utc_ms(), None)
    ]
    agent.wait(1000)
    assert len(agent.rows()) == 1
    agent.read(2000)
    assert agent.rows() == [("gone", "firing"), ("gone", "resolved")]
    ((told, urgency), _) = agent.items()
    assert (told["sensor_readings"], urgency) == ([], 1)
    assert told["message"] == "porch.temp is unknown Cel, missing for 30 s"


def test_backlog_of_a_board_never_fires(run):
    agent = run()
    agent.greet()
    # Beyond `late`, which is 5 minutes unless the rule says otherwise.
    agent.read(*[4500] * 200, after_ms=100, age_ms=400_000)
    assert agent.rows() == []
    agent.wait(30_000)  # nor because nothing more comes
    assert agent.rows() == []
    assert agent.rows("SELECT count(*) FROM reading") == [(200,)]
    agent.read(4500)  # this one is of now, and "hot" has held for long
    assert agent.rows() == [("hot", "firing"), ("high", "firing")]


def test_clock_does_not_overtake_what_boards_kept_while_the_agent_was_down(run):
    rules = [{"name": "gone", "missing": "30s"}, HOT]
    first = run(rules)
    first.greet()
    first.read(3500)
    first.stop()
    second = run(rules)
    second.clock.advance(120_000)  # a reboot of this machine
    second.greet()
    assert second.rows() == []
    second.wait(1000)
    assert second.rows() == []
    second.read(*[2000] * 10, after_ms=10, age_ms=100_000)
    second.read(2000)
    assert second.rows() == []


def test_board_that_greets_and_says_nothing_is_missed_all_the_same(run):
    rules = [{"name": "gone", "missing": "30s"}]
    first = run(rules)
    first.greet()
    first.read(2000)
    first.stop()
    second = run(rules)
    second.clock.advance(120_000)
    for boot in range(3, 9):  # it boots again and again
        second.greet(boot=boot)
        second.wait(6000)
    assert second.rows() == [("gone", "firing")]


DATED = "SELECT state, utc_ms FROM event ORDER BY id"


@pytest.mark.parametrize("boot", [BOOT, 2])
@pytest.mark.parametrize("end", [None, Agent.stop, Agent.kill])
def test_reading_dated_before_the_newest_of_its_board_has_that_ones_time(run, end, boot):
    agent = run([HIGH])
    agent.greet(channels=CHANNELS)
    agent.read(2000)
    newest_ms = agent.clock.utc_ms()
    if end is not None:
        end(agent)
        agent = run([HIGH])
        agent.greet(channels=CHANNELS, boot=boot)
    agent.read(4500, age_ms=10_000)
    agent.read(100, age_ms=10_000)
    assert agent.rows(DATED) == [("firing", newest_ms), ("resolved", newest_ms)]
    agent.read(4500)
    assert agent.rows(DATED)[2:] == [("firing", agent.clock.utc_ms())]
    assert agent.alerting.late_total == 0
    dates = agent.rows("SELECT utc_ms - lag(utc_ms) OVER (ORDER BY id) FROM reading")
    assert dates == [(None,), (-9000,), (1000,), (11_000,)]  # what is stored is as estimated


def test_newest_reading_of_a_board_is_that_of_any_channel(run):
    agent = run([HIGH])
    agent.greet(channels=CHANNELS)
    agent.read(200, channel=1)
    newest_ms = agent.clock.utc_ms()
    agent.read(4500, age_ms=10_000)
    assert agent.rows(DATED) == [("firing", newest_ms)]


def test_estimate_that_was_ahead_by_more_than_a_minute_is_forgotten(run):
    agent = run([HOT])
    agent.greet()
    agent.read(2000, age_ms=-3_600_000)
    agent.read(*[3500] * 62)
    assert agent.rows() == [("hot", "firing")]


def test_after_a_boot_of_the_computer_times_of_before_it_do_not_count(run):
    agent = run([HIGH])
    agent.greet()
    agent.read(2000)
    agent.kill()
    agent.clock.host_boot = "another"
    agent.clock.now_ms -= 30_000
    agent = run([HIGH])
    agent.greet()
    agent.read(4500)
    assert agent.rows(DATED) == [("firing", agent.clock.utc_ms())]


def test_polled_reading_older_than_the_newest_changes_no_state(run):
    agent = run([HIGH])
    agent.ingest.run()
    now_ms = agent.ingest.time.utc_ms()
    for value, at_ms in ((20.0, now_ms), (45.0, now_ms - 10_000), (46.0, now_ms + 1)):
        agent.ingest.add_polled(DEVICE, SensorReading("t1", at_ms / 1000, value, "Cel"), 0)
    agent.ingest.run()
    assert agent.rows(DATED) == [("firing", now_ms + 1)]
    assert agent.alerting.late_total == 1


# -- what a board decides itself ---------------------------------------------------

BOARD_ALERTS = [
    AlertRow("frost", 0, 2, "{sensor} is {value} {unit}: freezing"),
    AlertRow("damp", 1, 0, "{sensor}: {value}"),
]
CHANNELS = (("temp", "Cel", -2), ("hum", "%RH", -1))


def test_events_of_a_board_are_stored_with_their_numbers_and_words(run):
    agent = run(rules=[{"name": "none", "above": 1e9}])
    agent.greet(channels=CHANNELS, alerts=BOARD_ALERTS)
    agent.hear((2, EVENT_FIRED, -150), (3, EVENT_FIRED, 555), (2, EVENT_WITHOUT_VALUE, 0))
    assert agent.rows("SELECT seq, rule, severity, state, value FROM event") == [
        (0, "frost", "critical", "firing", -1.5),
        (1, "damp", "info", "firing", 55.5),
        (2, "frost", "critical", "resolved", None),
    ]
    assert agent.rows("SELECT sensor, unit, message FROM events") == [
        ("porch.temp", "Cel", "porch.temp is -1.5 Cel: freezing"),
        ("porch.hum", "%RH", "porch.hum: 55.5"),
        ("porch.temp", "Cel", "frost is over: porch.temp is unknown Cel"),
    ]
    assert agent.alerting.board_events_total == 3
    assert read_ledger(agent.path).is_balanced
    (frost, first), (damp, second), (over, _) = agent.items()
    assert (first, second) == (1, 2)
    assert (frost["rule_name"], frost["severity"], frost["timestamp"]) == (
        *("frost", "critical"),
        UTC_MS / 1000,
    )
    assert frost["message"] == "porch.temp is -1.5 Cel: freezing"
    (reading,) = frost["sensor_readings"]
    assert (reading["sensor_name"], reading["value"], reading["unit"]) == (
        *("porch.temp", -1.5),
        "Cel",
    )
    assert frost["metadata"]["state"] == "firing"
    assert (damp["sensor_readings"][0]["value"], over["sensor_readings"]) == (55.5, [])
    assert over["metadata"]["state"] == "resolved"


def test_event_of_a_board_that_comes_twice_is_stored_once(run):
    first = run()
    first.greet(channels=CHANNELS, alerts=BOARD_ALERTS)
    first.hear((2, EVENT_FIRED, -150))
    first.put(event_batch(0, [(2, EVENT_FIRED, -150)]))
    assert first.link.take_calls()[-1] == ("restart",)
    first.kill()
    second = run()
    second.greet(channels=CHANNELS, alerts=BOARD_ALERTS)
    assert second.next_seq == [0, 1]  # where the board goes on
    second.hear((2, 0, 50))
    assert second.rows("SELECT seq, state FROM event") == [(0, "firing"), (1, "resolved")]
    assert len(second.items()) == 2
    ledger = read_ledger(second.path)
    assert ledger.is_balanced
    assert [(boot.stream, boot.stored, boot.duplicates) for boot in ledger.boots] == [
        ("telemetry", 0, 0),
        ("events", 2, 0),
    ]


def test_event_of_a_dropped_channel_is_denied(run):
    agent = run(privacy=PrivacyPolicy([("porch.temp", "drop")]))
    agent.greet(channels=CHANNELS, alerts=BOARD_ALERTS)
    agent.hear((2, EVENT_FIRED, -150), (3, EVENT_FIRED, 555))
    assert agent.rows() == [("damp", "firing")]
    ledger = read_ledger(agent.path)
    assert ledger.is_balanced
    assert [(boot.stored, boot.denied) for boot in ledger.boots] == [(0, 0), (1, 1)]


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"action": "aggregate_only"}, None),
        ({"action": "quantize", "step": 1}, -1.0),
        ({"action": "clamp", "low": 0}, 0.0),
        ({"action": "local_only"}, -1.47),
    ],
)
def test_value_in_an_event_of_a_board_is_what_may_be_known(run, rule, value):
    agent = run(privacy=PrivacyPolicy([{"pattern": "porch.temp", **rule}]))
    agent.greet(channels=CHANNELS, alerts=BOARD_ALERTS)
    agent.hear((2, EVENT_FIRED, -147))
    ((found, message),) = agent.rows("SELECT value, message FROM event")
    assert found == value
    shown = "unknown" if value is None else f"{value:g}"
    assert message == f"porch.temp is {shown} Cel: freezing"
    if value != -1.47:
        assert "1.47" not in json.dumps(agent.items())


@pytest.mark.parametrize("action", ["mask", "redact", "drop"])
def test_event_of_a_board_about_what_is_hidden_here_is_denied(run, action):
    agent = run(privacy=PrivacyPolicy([{"pattern": "porch.temp", "action": action}]))
    agent.greet(channels=CHANNELS, alerts=BOARD_ALERTS)
    agent.hear((2, EVENT_FIRED, -147))
    assert agent.rows("SELECT * FROM event") == []
    assert agent.items() == []
    ledger = read_ledger(agent.store.path)
    assert (ledger.boots[1].denied, ledger.is_balanced) == (1, True)


# -- which rules -------------------------------------------------------------------


def test_default_rule_is_in_force_while_there_are_no_others(run):
    agent = run(rules=())
    agent.greet()
    agent.read(3000, 3001)
    assert agent.rows("SELECT rule, severity, message FROM event") == [
        ("value above 30", "warning", "porch.temp is 30.01 Cel, above 30")
    ]


def test_default_rule_is_not_in_force_beside_others(run):
    agent = run(rules=[{"name": "r", "sensor": "elsewhere.*", "above": 0}])
    agent.greet()
    agent.read(9000)
    assert agent.rows() == []
    assert agent.alerting.counts() == {"inactive": 0, "pending": 0, "firing": 0}


def test_message_of_a_rule_is_rendered(run):
    message = "{rule}/{severity}: {sensor} {condition} at {value} {unit}"
    agent = run(rules=[{"name": "r", "above": 1, "severity": "info", "message": message}])
    agent.greet()
    agent.read(250)
    assert agent.rows("SELECT message FROM event") == [("r/info: porch.temp above 1 at 2.5 Cel",)]
    assert agent.items()[0][0]["message"] == "r/info: porch.temp above 1 at 2.5 Cel"


# -- what a state may hold ---------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        {"name": "r", "stuck": "2s"},
        {"name": "r", "deadband": 1},
        {"name": "r", "above": 1},
        {"name": "r", "aggregate": "mean", "window": "60s", "above": 1},
        {"name": "r", "rate_above": 1},
    ],
)
def test_state_of_an_aggregated_channel_holds_no_value(run, rule):
    policy = PrivacyPolicy([("porch.temp", "aggregate_only")])
    first = run(rules=[rule], privacy=policy)
    first.greet()
    first.read(*[471_147] * 10)
    events = first.rows()
    first.stop()
    (state,) = first.rows("SELECT state FROM rule_state")
    assert "471147" not in state[0]
    second = run(rules=[rule], privacy=policy)
    second.greet()
    second.read(*[471_147] * 10)
    assert second.rows()[: len(events)] == events


@pytest.mark.parametrize("saved", ["", "[", "7", "[]", "null", '[1, 1, [["hot", 0]]]'])
def test_saved_state_that_cannot_be_read_begins_anew(saved, caplog):
    rules = read_rules([{"name": "hot", "above": 30}])
    alerting = Alerting(rules, lambda channel_id: (saved, 0))
    channel = Channel("temp", "Cel", -2)
    series = alerting.open(
        make_plan(PrivacyPolicy(), "porch", channel), 7, 3, UTC_MS, WriteBatch(SEGMENT)
    )
    assert alerting.counts() == {"inactive": 1, "pending": 0, "firing": 0}
    assert "alerts of porch.temp begin anew" in caplog.text
    out = WriteBatch(SEGMENT)
    alerting.update(3, series, UTC_MS, UTC_MS, 3001, 0, out)
    assert len(out.events) == 1


# -- after the worst ----------------------------------------------------------------


@pytest.mark.parametrize("end", [Agent.stop, Agent.kill])
def test_board_that_never_comes_back_is_missing_after_a_restart(run, end):
    rules = [{"name": "gone", "missing": "30s"}, HIGH]
    first = run(rules)
    first.greet()
    first.read(4500)
    end(first)
    second = run(rules)
    second.ingest.resume({"porch"})
    assert second.alerting.counts()["firing"] == 1
    second.wait(29_000)
    assert second.rows() == [("high", "firing")]
    second.wait(2_000)
    assert second.rows() == [("high", "firing"), ("gone", "firing")]


def test_device_that_is_no_longer_configured_is_not_missed(run):
    rules = [{"name": "gone", "missing": "30s"}]
    first = run(rules)
    first.greet()
    first.read(2000)
    first.stop()
    second = run(rules)
    second.ingest.resume({"cellar"})
    second.wait(60_000)
    assert second.rows() == []


def test_channel_that_a_board_has_no_more_is_not_missed(run):
    rules = [{"name": "gone", "missing": "30s"}]
    first = run(rules)
    first.greet(channels=CHANNELS)
    first.read(2000)
    first.greet(boot=9, channels=CHANNELS[:1])
    first.read(*[2000] * 40)
    assert first.rows() == []
    first.stop()
    second = run(rules)
    second.ingest.resume({"porch"})
    assert sum(second.alerting.counts().values()) == 1


def _after_a_kill(run, rule, before, after):
    """Return the events with a kill in the middle, and without one."""
    found = []
    for is_killed in (True, False):
        agent = run([rule])
        agent.greet()
        before(agent)
        if is_killed:
            agent.kill()
            agent = run([rule])
            agent.greet()
        after(agent)
        found.append(agent.rows())
        agent.rows("SELECT 1")
        agent.stop()
        agent.path.unlink()
    return found


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        (  # a late reading was the last: time that passes must not fire in its place
            {"above": 30, "for": "60s", "late": "10s"},
            lambda agent: (agent.read(3100), agent.read(3100, after_ms=20_000, age_ms=15_000)),
            lambda agent: (agent.wait(61_000), agent.wait(10_000)),
        ),
        (  # the reference, and the cooldown
            {"deadband": 1, "cooldown": "60s"},
            lambda agent: agent.read(2000, 2200),
            lambda agent: agent.read(2200, 2400),
        ),
        (  # the first reference, which came after bad readings
            {"deadband": 1, "on_bad": "resolve"},
            lambda agent: (agent.read(0, quality=2), agent.read(2000)),
            lambda agent: agent.read(2050, 2120),
        ),
        (  # since when it is over
            {"above": 30, "keep_for": "60s"},
            lambda agent: agent.read(3100, 2900),
            lambda agent: agent.read(2900, after_ms=61_000),
        ),
    ],
)
def test_kill_forgets_nothing_that_decides(run, rule, before, after):
    killed, spared = _after_a_kill(run, {"name": "r", **rule}, before, after)
    assert killed == spared


JUMPS = [8 * 3600_000, -3600_000, -2_000, 10**12]


@pytest.mark.parametrize("jump_ms", JUMPS)
def test_clock_that_is_set_is_not_time_that_passed(run, jump_ms):
    rules = [{"name": "gone", "missing": "10m"}, {"name": "hot", "above": 30, "for": "10m"}]
    agent = run(rules)
    agent.greet()
    agent.read(3100)
    agent.clock.step(jump_ms)
    agent.wait(2_000)
    assert agent.rows() == []
    agent.read(*[3100] * 5, after_ms=100_000)
    assert agent.rows() == []
    agent.read(3100, after_ms=98_000)  # ten minutes since the first, whatever the clock said
    assert agent.rows() == [("hot", "firing")]
    agent.wait(601_000)  # and then the sensor dies
    assert ("gone", "firing") in agent.rows()


@pytest.mark.parametrize("end", [None, Agent.stop, Agent.kill])
@pytest.mark.parametrize("jump_ms", JUMPS)
@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ({"above": 30, "for": "30s"}, [3100] * 40),
        ({"above": 30, "cooldown": "50s"}, [3100, 2000] * 40),
        ({"above": 30, "keep_for": "20s"}, [3100] * 10 + [2000] * 30),
        ({"stuck": "30s"}, [2000] * 40),
        ({"rate_above": 0.2, "window": "8s"}, [2000 + n // 10 * 300 for n in range(40)]),
        ({"above": 30, "aggregate": "mean", "window": "20s"}, [2000] * 20 + [4000] * 20),
    ],
)
def test_rules_do_not_see_the_clock_being_set(run, tmp_path, rule, values, jump_ms, end):
    rule = {"name": "r", **rule}
    found = []
    for name, jumps in (("plain.db", 0), ("stepped.db", jump_ms)):
        clock = FakeClock()
        agent = Agent(tmp_path / name, clock, [rule])
        agent.greet()
        agent.read(*values[:15])
        early = len(agent.rows())
        if end is not None:
            end(agent)
        clock.step(jumps)
        if end is not None:
            agent = Agent(tmp_path / name, clock, [rule])
            agent.greet()
        agent.read(*values[15:])
        rows = agent.rows("SELECT rule, state, utc_ms FROM event ORDER BY id")
        # Events are dated by the clock as it was when they were found.
        found.append([(*row[:2], row[2] - jumps * (at >= early)) for at, row in enumerate(rows)])
        agent.kill()
    assert found[0] == found[1] != []


def test_saved_alerts_go_on_in_utc_after_the_computer_has_booted(run):
    rules = [{"name": "hot", "above": 30, "for": "10m"}]
    agent = run(rules)
    agent.clock.is_set = False
    agent.clock.step(-86_400_000)  # it begins where it was last stopped
    agent.stop()
    agent = run(rules)
    agent.greet()
    agent.read(3100)
    agent.clock.step(86_400_000)  # and is set soon
    agent.clock.is_set = True
    agent.read(3100, after_ms=100_000)
    agent.kill()
    agent.clock.advance(100_000)
    agent.clock.host_boot, agent.clock.now_ms = "host-boot-2", 7_000
    agent = run(rules)
    agent.greet(boot=3)

    def read(after_ms):
        agent.clock.advance(after_ms)
        taken_ms = agent.clock.monotonic_ms() + OFFSET_MS  # as `batch` has it
        agent.put(batch(agent.next_seq[0], [3100], boot=3, base_utc_ms=taken_ms))
        agent.next_seq[0] += 1

    read(10_000)
    assert agent.rows() == []  # 3 min 30 s, and not a day
    read(380_000)
    assert agent.rows() == []
    read(10_000)
    assert agent.rows() == [("hot", "firing")]


def test_state_that_is_moved_is_the_state_of_then():
    kinds = [
        {"name": "a", "above": 30, "for": "5s", "keep_for": "5s", "cooldown": "9s"},
        {"name": "b", "stuck": "5s"},
        {"name": "c", "rate_above": 2, "window": "5s"},
        {"name": "d", "above": 30, "aggregate": "mean", "window": "10s"},
        {"name": "e", "missing": "5s"},
        {"name": "f", "deadband": 2},
    ]
    rules = read_rules(kinds)
    shift_ms = 123_456_789

    def watched(start_ms):
        watch = Watch(rules, -2, HOST_MASK, start_ms)
        for step, value in enumerate([3100] * 8 + [2000] * 3 + [3100, 2000, 2000]):
            watch.update(start_ms + step * 1000, start_ms + step * 1000, value, 0)
        return watch

    watch = watched(UTC_MS)
    before = json.loads(json.dumps(watch.save()))
    assert shifted(watch, before, shift_ms) == watched(UTC_MS + shift_ms).save()
    assert before == watch.save()


def test_event_of_a_commit_that_was_given_up_comes_with_the_readings_again(run):
    agent = run()
    agent.greet()
    agent.read(2000)
    # Somebody has moved the stream on in the store: what is in memory can't follow on it.
    connection = sqlite3.connect(agent.path)
    connection.execute("UPDATE stream SET next_seq = 0")
    connection.commit()
    connection.close()
    agent.read(4500)
    assert agent.ingest.discarded_total == 1
    assert agent.alerting.counts()["firing"] == 0
    agent.greet()
    agent.read(2000, 4500)
    assert agent.rows() == [("high", "firing")]
