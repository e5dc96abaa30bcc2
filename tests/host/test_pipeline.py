"""The pipeline: what becomes of each number, and when a rule fires."""

import pytest
from host.fakes import UTC_MS, batch
from pyv_edge_agent.pipeline import UNKNOWN_CHANNEL, Pipeline, Rule, Source
from pyv_edge_agent.store import WriteBatch
from pyv_edge_agent.types import SensorReading
from pyv_edge_core.host_session import Loss
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.ring import RingBuffer

BOOT = 0xABCD1234


def make(rules=(), privacy=None, exponent=-2, sensor="porch.temp"):
    """Return (pipeline, source, buffer) of one channel."""
    buffer = RingBuffer(100)
    pipeline = Pipeline(privacy or PrivacyPolicy(), {"porch": buffer}, list(rules))
    series = pipeline.series(7, sensor, "Cel", exponent)
    return pipeline, Source("porch", BOOT, 3, [series], [0, 0]), buffer


def reading(value, name="porch.temp"):
    return SensorReading(name, UTC_MS / 1000, value, "Cel")


# -- numbers -----------------------------------------------------------------------


def test_batch_becomes_rows_with_times_and_numbers():
    pipeline, source, buffer = make()
    out = WriteBatch()
    assert pipeline.add_batch(source, batch(0, [2150, 2160]), out)
    assert out.readings == [(7, 3, 0, 0, UTC_MS, 3, 0, 2150), (7, 3, 0, 1, UTC_MS + 1, 3, 0, 2160)]
    progress = out.progress[3, 0]
    assert (progress.first_seq, progress.next_seq, progress.stored) == (0, 2, 2)
    assert source.next_seq == [2, 0]
    assert list(buffer) == [(UTC_MS, 21.5), (UTC_MS + 1, 21.6)]
    assert pipeline.readings_total == 2


def test_numbers_continue_over_batches_and_streams():
    pipeline, source, _ = make()
    out = WriteBatch()
    assert pipeline.add_batch(source, batch(0, [1, 2]), out)
    assert pipeline.add_batch(source, batch(0, [3], stream=1), out)
    assert pipeline.add_batch(source, batch(2, [4, 5, 6]), out)
    assert source.next_seq == [5, 1]
    assert (out.progress[3, 0].stored, out.progress[3, 1].stored) == (5, 1)
    numbers = [row[2:4] for row in out.readings]
    assert numbers == [(0, 0), (0, 1), (1, 0), (0, 2), (0, 3), (0, 4)]


@pytest.mark.parametrize("first_seq", [0, 1, 3, 100])
def test_misplaced_batch_changes_nothing(first_seq):
    pipeline, source, buffer = make()
    out = WriteBatch()
    pipeline.add_batch(source, batch(0, [1, 2]), out)
    rows = list(out.readings)
    assert not pipeline.add_batch(source, batch(first_seq, [9, 9]), out)
    assert out.readings == rows
    assert out.progress[3, 0].next_seq == 2
    assert source.next_seq == [2, 0]
    assert len(buffer) == 2
    assert pipeline.misplaced_total == 1
    assert pipeline.readings_total == 2


def test_span_above_sixteen_bits_counts_into_the_time():
    from struct import pack

    pipeline, source, _ = make()
    out = WriteBatch()
    span = 0x3FFFFF
    record = pack("<BBHi", 0, 1 | (span >> 16) << 2, span & 0xFFFF, -5)
    made = batch(0, [])
    pipeline.add_batch(source, made.__class__(0, 0, UTC_MS, None, record, BOOT), out)
    assert out.readings == [(7, 3, 0, 0, UTC_MS + span, None, 1, -5)]


def test_denied_reading_is_counted_and_leaves_no_row():
    policy = PrivacyPolicy([("porch.*", "drop")])
    pipeline, source, buffer = make(privacy=policy)
    out = WriteBatch()
    pipeline.add_batch(source, batch(0, [9000, 9001]), out)
    assert out.readings == []
    assert out.events == []
    assert out.items == []
    assert len(buffer) == 0
    progress = out.progress[3, 0]
    assert (progress.denied, progress.stored, progress.next_seq) == (2, 0, 2)
    assert (pipeline.denied_total, pipeline.events_total, pipeline.readings_total) == (2, 0, 2)


def test_denied_polled_reading_is_counted_and_leaves_no_row():
    pipeline, source, buffer = make(privacy=PrivacyPolicy(default="drop"), exponent=0)
    out = WriteBatch()
    assert not pipeline.add_reading(source, reading(99.0), 0, out)
    assert out.readings == []
    assert out.events == []
    assert len(buffer) == 0
    assert (out.progress[3, 0].denied, out.progress[3, 0].next_seq) == (1, 1)
    assert source.next_seq == [1, 0]


def test_unknown_channel_becomes_a_gap():
    pipeline, source, _ = make()
    out = WriteBatch()
    assert pipeline.add_batch(source, batch(0, [1]), out)
    assert pipeline.add_batch(source, batch(1, [2], channel=9), out)
    assert pipeline.add_batch(source, batch(2, [3]), out)
    assert out.gaps == [(3, 0, 1, 1, UNKNOWN_CHANNEL, UTC_MS)]
    progress = out.progress[3, 0]
    assert (progress.stored, progress.lost, progress.next_seq) == (2, 1, 3)


def test_loss_becomes_a_gap_and_moves_the_stream():
    pipeline, source, _ = make()
    out = WriteBatch()
    pipeline.add_batch(source, batch(0, [1, 2]), out)
    assert pipeline.add_loss(source, Loss(0, 1, 2, 9, BOOT), UTC_MS, out)
    assert out.gaps == [(3, 0, 2, 9, "overwritten", UTC_MS)]
    assert out.progress[3, 0].lost == 8
    assert source.next_seq == [10, 0]
    assert pipeline.add_batch(source, batch(10, [3]), out)


@pytest.mark.parametrize(("cause", "text"), [(0, "unknown"), (2, "released"), (77, "cause 77")])
def test_cause_of_a_loss_is_a_word(cause, text):
    pipeline, source, _ = make()
    out = WriteBatch()
    pipeline.add_loss(source, Loss(1, cause, 0, 0, BOOT), UTC_MS, out)
    assert out.gaps[0][4] == text


@pytest.mark.parametrize("first_seq", [0, 3])
def test_misplaced_loss_changes_nothing(first_seq):
    pipeline, source, _ = make()
    out = WriteBatch()
    pipeline.add_batch(source, batch(0, [1, 2]), out)
    assert not pipeline.add_loss(source, Loss(0, 1, first_seq, 9, BOOT), UTC_MS, out)
    assert out.gaps == []
    assert out.progress[3, 0].next_seq == 2
    assert pipeline.misplaced_total == 1


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
        pipeline, source, _ = make(exponent=exponent)
        pipeline.add_batch(source, batch(0, values), WriteBatch())
        assert pipeline.events_total == count


@pytest.mark.parametrize(
    ("above", "exponent", "limit"),
    [
        (0.1, -1, 1),
        (0.29, -2, 29),  # 0.29 * 100 is 28.999999999999996 in floats
        (1.005, -3, 1005),
        (30.005, -2, 3000),
        (-0.5, 0, -0.5),
        (-0.55, -1, -6),
        (25.0, 1, 2),
        (1e15, -9, 10**24),
    ],
)
def test_limit_in_stored_numbers_is_exact(above, exponent, limit):
    assert Rule("r", "*", above, "info").limit(exponent) == limit


@pytest.mark.parametrize("quality", [0, 1])
def test_good_and_uncertain_readings_fire(quality):
    pipeline, source, _ = make()
    out = WriteBatch()
    pipeline.add_batch(source, batch(0, [5000], quality=quality), out)
    assert pipeline.events_total == 1
    assert len(out.events) == 1


@pytest.mark.parametrize("quality", [2, 3])
def test_bad_reading_never_fires_and_is_stored_as_bad(quality):
    pipeline, source, _ = make()
    out = WriteBatch()
    pipeline.add_batch(source, batch(0, [5000], quality=quality), out)
    assert out.events == []
    assert out.items == []
    assert pipeline.events_total == 0
    assert out.readings[0][6] == 2


def test_bad_polled_reading_never_fires():
    pipeline, source, _ = make(exponent=0, rules=[Rule("r", "*", -1.0, "info")])
    out = WriteBatch()
    assert pipeline.add_reading(source, reading(0.0), 2, out)
    assert out.events == []
    assert out.readings == [(7, 3, 0, 0, UTC_MS, 0, 2, 0.0)]


def test_bad_reading_does_not_end_a_firing_rule():
    pipeline, source, _ = make()
    out = WriteBatch()
    pipeline.add_batch(source, batch(0, [5000]), out)
    pipeline.add_batch(source, batch(1, [0], quality=2), out)
    pipeline.add_batch(source, batch(2, [5000]), out)
    assert len(out.events) == 1


def test_event_once_per_crossing_while_the_counter_counts_each():
    pipeline, source, _ = make()
    out = WriteBatch()
    pipeline.add_batch(source, batch(0, [3100, 3200, 3000, 3001, 2900, 3500]), out)
    assert pipeline.events_total == 4
    assert [event[5] for event in out.events] == [31.0, 30.01, 35.0]
    assert [event[6] for event in out.events] == [
        "porch.temp is 31 Cel, above 30",
        "porch.temp is 30.01 Cel, above 30",
        "porch.temp is 35 Cel, above 30",
    ]
    assert len(out.items) == 3


def test_firing_goes_on_over_commits():
    pipeline, source, _ = make()
    pipeline.add_batch(source, batch(0, [3100]), WriteBatch())
    later = WriteBatch()
    pipeline.add_batch(source, batch(1, [3100]), later)
    assert later.events == []
    assert pipeline.events_total == 2


def test_event_carries_rule_severity_and_reading():
    import json

    rules = [Rule("hot", "porch.*", 25.0, "critical"), Rule("other", "x.*", 0.0, "info")]
    pipeline, source, _ = make(rules)
    out = WriteBatch()
    pipeline.add_batch(source, batch(0, [2600]), out)
    assert out.events == [
        (7, 3, "hot", "critical", UTC_MS, 26.0, "porch.temp is 26 Cel, above 25")
    ]
    (payload, priority, created, ttl) = out.items[0]
    assert (priority, created, ttl) == (1, UTC_MS / 1000, 0)
    told = json.loads(payload)
    assert told["rule_name"] == "hot"
    assert told["timestamp"] == UTC_MS / 1000
    assert told["sensor_readings"][0]["value"] == 26.0
    assert told["sensor_readings"][0]["sensor_name"] == "porch.temp"


def test_several_rules_fire_each_for_itself():
    rules = [Rule("warm", "*", 20.0, "info"), Rule("hot", "*", 30.0, "warning")]
    pipeline, source, _ = make(rules)
    out = WriteBatch()
    pipeline.add_batch(source, batch(0, [2500, 3500, 2500, 3500]), out)
    assert [event[2] for event in out.events] == ["warm", "hot", "hot"]
    assert pipeline.events_total == 6


def test_polled_value_at_the_boundary_of_the_default_rule():
    pipeline, source, _ = make(exponent=0)
    out = WriteBatch()
    for value in (30.0, 30.000000000000004):
        pipeline.add_reading(source, reading(value), 0, out)
    assert [event[5] for event in out.events] == [30.000000000000004]


def test_source_without_a_buffer_is_stored_all_the_same():
    pipeline, source, buffer = make()
    source.alias = "nobody"
    out = WriteBatch()
    assert pipeline.add_batch(source, batch(0, [1]), out)
    assert len(out.readings) == 1
    assert len(buffer) == 0
