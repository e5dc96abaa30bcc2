"""The pipeline: what becomes of each number, and when a rule fires."""

import json
import math
from binascii import crc32
from dataclasses import replace
from struct import pack

import pytest
from host.fakes import OFFSET_MS, SEGMENT, UTC_MS, batch, event_batch
from pyv_edge_agent.alerting import Alerting
from pyv_edge_agent.dating import TimedBatch
from pyv_edge_agent.pipeline import UNKNOWN_CHANNEL, Pipeline
from pyv_edge_agent.recent import Recent
from pyv_edge_agent.series import Source, board_alert
from pyv_edge_agent.store import WriteBatch
from pyv_edge_agent.types import SensorReading
from pyv_edge_core.channel_table import EVENT_FIRED, EVENT_WITHOUT_VALUE, AlertRow
from pyv_edge_core.host_event import Loss
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.reading import Channel
from pyv_edge_core.record_ring import RECORD_FORMAT
from pyv_edge_core.rule import read_rules

BOOT = 0xABCD1234


class Made:
    """A pipeline, and a source of one channel: a board's, or a device's that is polled."""

    def __init__(
        self,
        rules=(),
        privacy=None,
        exponent=-2,
        polled="",
        flags=0,
        alerts=(),
        alerting=Alerting,
    ):
        self.buffer = Recent(100)
        buffers = {"porch": self.buffer, polled: self.buffer}
        self.alerting = alerting(read_rules(rules))
        self.pipeline = Pipeline(privacy or PrivacyPolicy(), buffers, self.alerting)
        if polled:
            self.plan = self.pipeline.plan_fed(polled, "", "Cel")
        else:
            self.plan = self.pipeline.plan("porch", Channel("temp", "Cel", exponent, flags))
        self.series = self.alerting.open(self.plan, 7, 3, UTC_MS, WriteBatch(SEGMENT))
        self.source = Source(polled or "porch", BOOT, 3, [self.series], [0, 0])
        for index, row in enumerate(alerts):
            self.source.alerts[index + 1] = board_alert(row, [self.series])
        self.out = WriteBatch(SEGMENT)

    @property
    def events_total(self):
        return self.alerting.events_total

    def add(self, made, out=None, now_ms=UTC_MS):
        return self.pipeline.add_batch(self.source, made, now_ms, self.out if out is None else out)

    def poll(self, value, quality=0, at_ms=UTC_MS):
        reading = SensorReading(self.source.alias, at_ms / 1000, value, "Cel")
        return self.pipeline.add_reading(self.source, reading, quality, at_ms, self.out)

    @property
    def progress(self):
        return self.out.progress[3, 0]


# -- numbers -----------------------------------------------------------------------


class Noting(Alerting):
    """Rules that note which times they are told."""

    def __init__(self, *more):
        super().__init__(*more)
        self.times_ms = []

    def update(self, boot_id, series, now_ms, time_ms, *more):
        self.times_ms.append(time_ms)
        super().update(boot_id, series, now_ms, time_ms, *more)


def test_time_of_rules_does_not_go_back_within_a_long_block():
    # A reading each 40 s, all of one block: its base, two minutes old, says nothing of the last.
    made = Made([{"name": "high", "sensor": "porch.temp", "above": 0.0}], alerting=Noting)
    for number, back_ms in enumerate((0, 0, 0, 40_040)):  # by so much the last estimate goes back
        span_ms = number * 40_000
        record = pack(RECORD_FORMAT, 0, span_ms >> 16 << 2, span_ms & 0xFFFF, 1)
        base_ms = UTC_MS - OFFSET_MS - back_ms
        assert made.add(TimedBatch(0, number, base_ms, 3, record, BOOT))
    first_ms = made.alerting.times_ms[0]
    assert [one - first_ms for one in made.alerting.times_ms] == [0, 40_000, 80_000, 80_000]


def test_batches_together_are_what_they_are_one_by_one():
    frames = [batch(at, list(range(at, at + 5)), base_utc_ms=UTC_MS + at) for at in (0, 5, 10)]
    unknown = pack(RECORD_FORMAT, 9, 0, 4, 1)  # a channel that the board has not told of
    frames[1] = replace(frames[1], records=frames[1].records[:-8] + unknown)
    rules = [{"name": "high", "sensor": "porch.temp", "above": 0.07}]
    apart, together = Made(rules), Made(rules)
    for one in frames:
        assert apart.add(one)
    first, *others = frames
    more = tuple((one.base_ms, one.records) for one in others)
    whole = replace(first, more=more)
    assert (whole.count, first.count) == (15, 5)
    assert together.add(whole)
    assert together.out.readings == apart.out.readings
    assert together.out.gaps == apart.out.gaps
    assert [gap[2:4] for gap in together.out.gaps] == [(9, 9)]
    assert len(together.out.events) == len(apart.out.events) == 1
    assert list(together.buffer) == list(apart.buffer)
    assert together.progress == apart.progress
    assert together.source.next_seq == apart.source.next_seq == [15, 0]
    assert together.source.newest_ms == apart.source.newest_ms


def test_batch_becomes_rows_with_times_and_numbers():
    made = Made()
    assert made.add(batch(0, [2150, 2160]))
    assert made.out.readings == [
        (7, 3, 0, 0, UTC_MS, 3, 0, 2150),
        (7, 3, 0, 1, UTC_MS + 1, 3, 0, 2160),
    ]
    progress = made.progress
    assert (progress.first_seq, progress.next_seq, progress.stored) == (0, 2, 2)
    assert made.source.next_seq == [2, 0]
    assert list(made.buffer) == [(UTC_MS, 21.5), (UTC_MS + 1, 21.6)]
    assert made.pipeline.readings_total == 2


def test_numbers_continue_over_batches_and_streams():
    made = Made(alerts=[AlertRow("hot", 0, 1, "m")])
    assert made.add(batch(0, [1, 2]))
    assert made.add(event_batch(0, [(1, EVENT_FIRED, 3)]))
    assert made.add(batch(2, [4, 5, 6]))
    assert made.add(event_batch(1, [(1, 0, 3)]))
    assert made.source.next_seq == [5, 2]
    assert (made.progress.stored, made.out.progress[3, 1].stored) == (5, 2)
    assert [row[2:4] for row in made.out.readings] == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]
    assert [row[2] for row in made.out.events] == [0, 1]


@pytest.mark.parametrize("first_seq", [0, 1, 3, 100])
def test_misplaced_batch_changes_nothing(first_seq):
    made = Made()
    made.add(batch(0, [1, 2]))
    rows = list(made.out.readings)
    assert not made.add(batch(first_seq, [9, 9]))
    assert made.out.readings == rows
    assert made.progress.next_seq == 2
    assert made.source.next_seq == [2, 0]
    assert len(made.buffer) == 2
    assert made.pipeline.misplaced_total == 1
    assert made.pipeline.readings_total == 2


@pytest.mark.parametrize("first_seq", [0, 2])
def test_misplaced_events_change_nothing(first_seq):
    made = Made(alerts=[AlertRow("hot", 0, 1, "m")])
    made.add(event_batch(0, [(1, EVENT_FIRED, 3)]))
    assert not made.add(event_batch(first_seq, [(1, EVENT_FIRED, 3)]))
    assert len(made.out.events) == len(made.out.items) == 1
    assert made.source.next_seq == [0, 1]


def test_span_above_sixteen_bits_counts_into_the_time():
    made = Made()
    span = 0x3FFFFF
    record = pack("<BBHi", 0, 1 | (span >> 16) << 2, span & 0xFFFF, -5)
    made.add(TimedBatch(0, 0, UTC_MS - OFFSET_MS, 7, record, BOOT))
    assert made.out.readings == [(7, 3, 0, 0, UTC_MS + span, 7, 1, -5)]


def test_denied_reading_is_counted_and_leaves_no_row():
    made = Made(privacy=PrivacyPolicy([("porch.*", "drop")]))
    made.add(batch(0, [9000, 9001]))
    assert made.out.readings == []
    assert made.out.events == []
    assert made.out.items == []
    assert made.out.rule_states == {}
    assert made.out.rollups == {}
    assert len(made.buffer) == 0
    progress = made.progress
    assert (progress.denied, progress.stored, progress.next_seq) == (2, 0, 2)
    assert (made.pipeline.denied_total, made.events_total) == (2, 0)
    assert made.pipeline.readings_total == 2


@pytest.mark.parametrize("default", ["deny", "drop"])
def test_denied_polled_reading_is_counted_and_leaves_no_row(default):
    made = Made(privacy=PrivacyPolicy(default=default), polled="t1")
    assert not made.poll(99.0)
    assert made.out.readings == []
    assert made.out.events == []
    assert made.out.rule_states == {}
    assert len(made.buffer) == 0
    assert (made.progress.denied, made.progress.next_seq) == (1, 1)
    assert made.source.next_seq == [1, 0]
    assert made.pipeline.denied_total == 1


def test_unknown_channel_becomes_a_gap():
    made = Made()
    assert made.add(batch(0, [1]))
    assert made.add(batch(1, [2], channel=9))
    assert made.add(batch(2, [3]))
    assert made.out.gaps == [(3, 0, 1, 1, UNKNOWN_CHANNEL, UTC_MS, 0)]
    progress = made.progress
    assert (progress.stored, progress.lost, progress.next_seq) == (2, 1, 3)


@pytest.mark.parametrize("row", [0, 2, 255])
def test_event_of_no_alert_becomes_a_gap(row):
    # 0 is a channel: that board's firmware and its table don't go together.
    made = Made(alerts=[AlertRow("hot", 0, 1, "m")])
    assert made.add(event_batch(0, [(1, EVENT_FIRED, 3), (row, EVENT_FIRED, 3)]))
    assert made.out.gaps == [(3, 1, 1, 1, UNKNOWN_CHANNEL, UTC_MS, 0)]
    progress = made.out.progress[3, 1]
    assert (progress.stored, progress.lost, progress.next_seq) == (1, 1, 2)


def test_alert_on_a_channel_that_is_not_in_the_table_is_none():
    assert board_alert(AlertRow("hot", 1, 1, "m"), [Made().series]) is None


def test_loss_becomes_a_gap_and_moves_the_stream():
    made = Made()
    made.add(batch(0, [1, 2]))
    assert made.pipeline.add_loss(made.source, Loss(0, 1, 2, 9, BOOT), UTC_MS, made.out)
    assert made.out.gaps == [(3, 0, 2, 9, "overwritten", UTC_MS, 0)]
    assert made.progress.lost == 8
    assert made.source.next_seq == [10, 0]
    assert made.add(batch(10, [3]))


@pytest.mark.parametrize(("cause", "text"), [(0, "unknown"), (2, "released"), (77, "cause 77")])
def test_cause_of_a_loss_is_a_word(cause, text):
    made = Made()
    made.pipeline.add_loss(made.source, Loss(1, cause, 0, 0, BOOT), UTC_MS, made.out)
    assert made.out.gaps[0][4] == text


@pytest.mark.parametrize("first_seq", [0, 3])
def test_misplaced_loss_changes_nothing(first_seq):
    made = Made()
    made.add(batch(0, [1, 2]))
    assert not made.pipeline.add_loss(
        made.source, Loss(0, 1, first_seq, 9, BOOT), UTC_MS, made.out
    )
    assert made.out.gaps == []
    assert made.progress.next_seq == 2
    assert made.pipeline.misplaced_total == 1


def test_source_without_a_buffer_is_stored_all_the_same():
    made = Made()
    made.source.alias = "nobody"
    assert made.add(batch(0, [1]))
    assert len(made.out.readings) == 1
    assert len(made.buffer) == 0


@pytest.mark.parametrize("quality", [2, 3])
def test_bad_reading_does_not_enter_the_memory(quality):
    made = Made()
    made.add(batch(0, [1, 2], quality=quality))
    made.add(batch(2, [5], quality=1))
    assert [row[6] for row in made.out.readings] == [2, 2, 1]
    assert list(made.buffer) == [(UTC_MS, 0.05)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_polled_value_that_is_no_number_is_of_bad_quality(value):
    made = Made(polled="t1", rules=[{"name": "any", "above": -1e9, "on_bad": "hold"}])
    assert made.poll(value)
    assert made.out.readings == [(7, 3, 0, 0, UTC_MS, 0, 2, 0.0)]
    assert made.out.events == []
    assert len(made.buffer) == 0
    assert made.progress.stored == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_polled_value_that_is_no_number_is_bad_in_a_summary(value):
    policy = PrivacyPolicy([("t1", "aggregate_only")])
    made = Made(polled="t1", privacy=policy)
    made.poll(value)
    made.poll(2.5)
    assert [row[3:8] for row in made.out.summary_rows()] == [(1, 1, 2.5, 2.5, 2.5)] * 2


# -- what the policy makes of values -----------------------------------------------


def stored(made):
    """Return (quality, value) of the rows to store."""
    return [(row[6], row[7]) for row in made.out.readings]


@pytest.mark.parametrize(
    ("rule", "rows"),
    [
        ({"action": "mask"}, [(2, 0), (2, 0), (2, 0)]),
        ({"action": "redact"}, [(2, 0), (2, 0), (2, 0)]),
        ({"action": "quantize", "step": 0.5}, [(0, 2150), (0, 2200), (0, 4700)]),
        ({"action": "clamp", "low": 21.6, "high": 40}, [(0, 2160), (0, 2180), (0, 4000)]),
        ({"action": "local_only"}, [(0, 2153), (0, 2180), (0, 4711)]),
        ({"action": "hash"}, [(0, 2153), (0, 2180), (0, 4711)]),
        ({"action": "allow"}, [(0, 2153), (0, 2180), (0, 4711)]),
        ({"action": "aggregate_only"}, []),
    ],
)
@pytest.mark.parametrize("polled", ["", "porch.temp"])
def test_policy_is_in_force_before_the_store(rule, rows, polled):
    policy = PrivacyPolicy([{"pattern": "porch.temp", **rule}], key=bytes(16))
    made = Made(privacy=policy, polled=polled)
    if polled:
        for value in (21.53, 21.8, 47.11):
            made.poll(value)
        rows = [(quality, value / 100) for quality, value in rows]
    else:
        made.add(batch(0, [2153, 2180, 4711]))
    assert stored(made) == rows
    assert [value for _, value in made.buffer] == [
        value if polled else value / 100 for quality, value in rows if quality != 2
    ]
    counts = (made.progress.stored, made.progress.aggregated, made.progress.next_seq)
    assert counts == ((0, 3, 3) if rule["action"] == "aggregate_only" else (3, 0, 3))


@pytest.mark.parametrize("action", ["mask", "redact"])
def test_hidden_value_fires_nothing(action):
    # An event would say what must not be known.
    policy = PrivacyPolicy([("*", action)])
    for made in (Made(privacy=policy), Made(privacy=policy, polled="porch.temp")):
        if made.source.alias == "porch":
            made.add(batch(0, [9000, 0, 9000]))
        else:
            for value in (90.0, 0.0, 90.0):
                made.poll(value)
        assert made.series.watch is None
        assert (made.out.events, made.out.items, made.out.rule_states) == ([], [], {})


def test_rules_see_what_the_policy_leaves():
    policy = PrivacyPolicy([{"pattern": "*", "action": "clamp", "high": 30}])
    made = Made(privacy=policy)
    made.add(batch(0, [9000]))
    assert made.out.events == []
    made = Made(privacy=PrivacyPolicy([{"pattern": "*", "action": "quantize", "step": 10}]))
    made.add(batch(0, [3678]))
    assert [event[7] for event in made.out.events] == [40.0]
    assert "36" not in made.out.items[0][0].replace(str(UTC_MS)[:10], "")


@pytest.mark.parametrize(
    ("flags", "rule", "marks", "is_aggregated"),
    [
        (0, "allow", "", False),
        (0, "drop", "", False),
        (0, "mask", "", False),
        (0, "local_only", "local", False),
        (0, "aggregate_only", "local", True),
        (0, "hash", "hash", False),
        (1, "allow", "local", False),
        (2, "allow", "local", True),
        (1, "drop", "local", False),
        (2, "local_only", "local", True),
        (1, "aggregate_only", "local", True),
        (1, "hash", "hash local", False),
        (2, "hash", "hash local", True),
    ],
)
def test_what_the_board_says_holds_beside_the_policy(flags, rule, marks, is_aggregated):
    policy = PrivacyPolicy([("*", rule)], key=bytes(16))
    made = Made(privacy=policy, flags=flags)
    hash_mark = f"hash:{crc32(policy.rules[0].canonical.encode()):08x}"
    assert made.plan.info.privacy == marks.replace("hash", hash_mark)
    assert made.plan.is_aggregated is is_aggregated
    assert made.plan.gate.action == rule  # the board takes nothing back of it
    if rule == "hash":
        info = made.series.plan.info
        assert info.name == info.sensor_name == policy.pseudonym("porch.temp")


def test_aggregated_values_are_what_the_policy_leaves():
    policy = PrivacyPolicy([{"pattern": "*", "action": "quantize", "step": 1}])
    made = Made(privacy=policy, flags=2)
    made.add(batch(0, [2149, 2151]))
    assert made.out.readings == []
    assert {(row[5], row[6]) for row in made.out.summary_rows()} == {(2100, 2200)}


def test_no_event_of_a_local_channel_is_queued_for_sinks():
    for action in ("local_only", "aggregate_only"):
        made = Made(
            privacy=PrivacyPolicy([("*", action)]), alerts=[AlertRow("hot", 0, 1, "{value}")]
        )
        made.add(batch(0, [9000]))
        made.add(event_batch(0, [(1, EVENT_FIRED, 9000)]))
        assert made.out.items == []
        values = [90.0, 90.0] if action == "local_only" else [None, None]
        assert [event[7] for event in made.out.events] == values


# -- summaries ---------------------------------------------------------------------


def test_aggregated_readings_become_summaries_only():
    made = Made(privacy=PrivacyPolicy([("porch.temp", "aggregate_only")]))
    minute = UTC_MS - UTC_MS % 60_000
    made.add(batch(0, [100, 300, 200], base_utc_ms=minute))
    made.add(batch(3, [7], quality=2, base_utc_ms=minute))
    made.add(batch(4, [50], base_utc_ms=minute + 60_000))
    assert made.out.readings == []
    assert len(made.buffer) == 0
    found = {(row[1], row[2]): row[3:] for row in made.out.summary_rows()}
    hour = minute - minute % 3_600_000
    assert found == {
        (60_000, minute): (3, 1, 100, 300, 600, 200, minute + 2, 0),
        (60_000, minute + 60_000): (1, 0, 50, 50, 50, 50, minute + 60_000, 0),
        (3_600_000, hour): (4, 1, 50, 300, 650, 50, minute + 60_000, 0),
    }
    progress = made.progress
    assert (progress.aggregated, progress.stored, progress.next_seq) == (5, 0, 5)
    assert made.pipeline.aggregated_total == 5
    assert made.pipeline.readings_total == 5


# -- rules -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exponent", "quiet", "firing"),
    [
        (-2, [3000, 2999, -1, 0], [3001, 2147483647]),
        (-1, [300], [301]),
        (-9, [2147483647, -2147483648], []),  # 2.1: no number of the wire is that great
        (0, [30], [31]),
        (1, [3], [4]),
        (2, [0, -1], [1]),
    ],
)
def test_level_is_exact_at_the_boundary(exponent, quiet, firing):
    for values, count in ((quiet, 0), (firing, len(firing))):
        made = Made(exponent=exponent)
        made.add(batch(0, values))
        assert made.events_total == count


@pytest.mark.parametrize(
    ("above", "exponent", "quiet"),
    [
        (0.1, -1, 1),
        (0.29, -2, 29),  # 0.29 * 100 is 28.999999999999996 in floats
        (1.005, -3, 1005),
        (30.005, -2, 3000),
        (-0.5, 0, -1),
        (-0.55, -1, -6),
        (25.0, 1, 2),
        (1e15, -9, 2**31 - 2),
    ],
)
def test_limit_in_stored_numbers_is_exact(above, exponent, quiet):
    made = Made([{"name": "r", "above": above}], exponent=exponent)
    made.add(batch(0, [quiet]))
    assert made.events_total == 0
    made.add(batch(1, [quiet + 1]))
    assert made.events_total == (above < 1e15)


@pytest.mark.parametrize("quality", [0, 1])
def test_good_and_uncertain_readings_fire(quality):
    made = Made()
    made.add(batch(0, [5000], quality=quality))
    assert made.events_total == 1
    assert len(made.out.events) == 1


@pytest.mark.parametrize("quality", [2, 3])
def test_bad_reading_never_fires_and_is_stored_as_bad(quality):
    made = Made()
    made.add(batch(0, [5000], quality=quality))
    assert made.out.events == []
    assert made.out.items == []
    assert made.events_total == 0
    assert made.out.readings[0][6] == 2


def test_bad_polled_reading_never_fires():
    made = Made([{"name": "r", "above": -1.0}], polled="t1")
    assert made.poll(0.0, quality=2)
    assert made.out.events == []
    assert made.out.readings == [(7, 3, 0, 0, UTC_MS, 0, 2, 0.0)]


def test_bad_reading_does_not_end_a_firing_rule():
    made = Made()
    made.add(batch(0, [5000]))
    made.add(batch(1, [0], quality=2))
    made.add(batch(2, [5000]))
    assert [event[5] for event in made.out.events] == ["firing"]


def test_event_once_per_crossing_while_the_counter_counts_each():
    made = Made()
    made.add(batch(0, [3100, 3200, 3000, 3001, 2900, 3500]))
    assert made.events_total == 4
    assert [(event[5], event[7]) for event in made.out.events] == [
        ("firing", 31.0),
        ("resolved", 30.0),
        ("firing", 30.01),
        ("resolved", 29.0),
        ("firing", 35.0),
    ]
    assert [event[8] for event in made.out.events] == [
        "porch.temp is 31 Cel, above 30",
        "value above 30 is over: porch.temp is 30 Cel",
        "porch.temp is 30.01 Cel, above 30",
        "value above 30 is over: porch.temp is 29 Cel",
        "porch.temp is 35 Cel, above 30",
    ]
    assert len(made.out.items) == 5
    assert made.alerting.fired_total == 3


def test_firing_goes_on_over_commits():
    made = Made()
    made.add(batch(0, [3100]), WriteBatch(SEGMENT))
    later = WriteBatch(SEGMENT)
    made.add(batch(1, [3100]), later)
    assert later.events == []
    assert made.events_total == 2


def test_event_carries_rule_severity_and_reading():
    rules = [
        {"name": "hot", "sensor": "porch.*", "above": 25.0, "severity": "critical"},
        {"name": "other", "sensor": "x.*", "above": 0.0},
    ]
    made = Made(rules)
    made.add(batch(0, [2600]))
    text = "porch.temp is 26 Cel, above 25"
    assert made.out.events == [(7, 3, None, "hot", "critical", "firing", UTC_MS, 26.0, text, 0)]
    (payload, priority, created, ttl) = made.out.items[0]
    assert (priority, created, ttl) == (1, UTC_MS / 1000, 0)
    told = json.loads(payload)
    assert told["rule_name"] == "hot"
    assert told["timestamp"] == UTC_MS / 1000
    assert told["sensor_readings"][0]["value"] == 26.0
    assert told["sensor_readings"][0]["sensor_name"] == "porch.temp"


def test_several_rules_fire_each_for_itself():
    rules = [{"name": "warm", "above": 20.0, "severity": "info"}, {"name": "hot", "above": 30.0}]
    made = Made(rules)
    made.add(batch(0, [2500, 3500, 2500, 3500]))
    assert [(event[3], event[5]) for event in made.out.events] == [
        ("warm", "firing"),
        ("hot", "firing"),
        ("hot", "resolved"),
        ("hot", "firing"),
    ]
    assert made.events_total == 6


def test_polled_value_at_the_boundary_of_the_default_rule():
    made = Made(polled="t1")
    for value in (30.0, 30.000000000000004):
        made.poll(value)
    assert [event[7] for event in made.out.events] == [30.000000000000004]


def test_event_of_a_board_without_a_value_says_so():
    made = Made(alerts=[AlertRow("gone", 0, 2, "{sensor} is {value} {unit}")])
    made.add(event_batch(0, [(1, EVENT_FIRED | EVENT_WITHOUT_VALUE, 4711)]))
    assert made.out.events == [
        (7, 3, 0, "gone", "critical", "firing", UTC_MS, None, "porch.temp is unknown Cel", 0)
    ]
    assert json.loads(made.out.items[0][0])["sensor_readings"] == []
