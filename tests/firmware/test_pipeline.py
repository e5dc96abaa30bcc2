"""What a board does with a reading before its rings: privacy, then rules."""

from check import raises
from fake_board import Bench, make_settings, read_ring, simulated
from pyv_edge_core.channel_table import (
    EVENT_FIRED,
    EVENT_WITHOUT_VALUE,
    FLAG_AGGREGATE_ONLY,
    FLAG_LOCAL_ONLY,
    AlertRow,
)
from pyv_edge_core.hmac import pseudonym
from pyv_edge_core.reading import QUALITY_BAD, QUALITY_GOOD, QUALITY_UNCERTAIN
from pyv_edge_node.settings import SettingsError

HEAP_KB_MIN = 192  # rules and privacy are half a board's heap

_KEY = "0123456789abcdef"


def _bench(*names, privacy=(), rules=(), **others):
    section = {"rules": list(privacy), "hash_key": _KEY}
    section.update(others)
    sensors = [simulated(name) for name in names]
    return Bench(*sensors, privacy=section, rules=list(rules))


def _push(bench, channel, value, now_ms, quality=QUALITY_GOOD):
    bench.pipeline.push(channel, quality, value, now_ms // 1000, now_ms % 1000, now_ms)


def _refusal(**others):
    return str(raises(SettingsError, lambda: make_settings(**others)))


def test_without_policy_and_rules_everything_passes():
    bench = Bench(simulated("a"), simulated("b"))
    _push(bench, 0, 2150, 10)
    _push(bench, 1, -5, 20, QUALITY_UNCERTAIN)
    assert bench.readings() == [(0, 0, 2150, 10), (1, QUALITY_UNCERTAIN, -5, 20)]
    assert (bench.pipeline.denied_total, bench.pipeline.events_total) == (0, 0)
    assert [row.name for row in bench.pipeline.rows] == ["a", "b"]


def test_what_the_policy_drops_reaches_no_ring():
    rule = {"name": "hot", "above": 20}
    bench = _bench("a", "b", privacy=[{"channel": "a", "action": "drop"}], rules=[rule])
    _push(bench, 0, 9999, 10)
    _push(bench, 1, 1000, 20)
    assert bench.readings() == [(1, 0, 1000, 20)]
    assert read_ring(bench.events) == []
    assert bench.pipeline.denied_total == 1
    # Not even an alert of it is in the table: nothing could ever be said of it.
    alerts = [row for row in bench.pipeline.rows if isinstance(row, AlertRow)]
    assert [row.channel for row in alerts] == [1]


def test_strict_board_passes_only_what_it_names():
    bench = _bench("a", "b", privacy=[{"channel": "b", "action": "allow"}], default="deny")
    _push(bench, 0, 1, 10)
    _push(bench, 1, 2, 20)
    assert bench.readings() == [(1, 0, 2, 20)]


def test_values_are_changed_before_the_ring():
    privacy = [
        {"channel": "a", "action": "quantize", "step": 0.5},
        {"channel": "b", "action": "clamp", "low": 10, "high": 20},
        {"channel": "c", "action": "mask"},
        {"channel": "d", "action": "redact"},
    ]
    bench = _bench("a", "b", "c", "d", privacy=privacy)
    for channel, value in ((0, 2174), (0, 2175), (1, 999), (1, 2001), (2, 7), (3, 8)):
        _push(bench, channel, value, 10)
    assert [entry[:3] for entry in bench.readings()] == [
        (0, 0, 2150),
        (0, 0, 2200),
        (1, 0, 1000),
        (1, 0, 2000),
        (2, QUALITY_BAD, 0),
        (3, QUALITY_BAD, 0),
    ]


def test_bad_reading_stays_as_it_is():
    bench = _bench("a", privacy=[{"channel": "a", "action": "clamp", "low": 10}])
    _push(bench, 0, 0, 10, QUALITY_BAD)
    assert bench.readings() == [(0, QUALITY_BAD, 0, 10)]


def test_table_tells_the_host_what_must_stay_there():
    privacy = [
        {"channel": "a", "action": "local_only"},
        {"channel": "b", "action": "aggregate_only"},
        {"channel": "c", "action": "hash"},
    ]
    bench = _bench("a", "b", "c", "d", privacy=privacy)
    rows = bench.pipeline.rows
    assert [row.flags for row in rows] == [FLAG_LOCAL_ONLY, FLAG_AGGREGATE_ONLY, 0, 0]
    hashed = pseudonym(_KEY.encode(), "device-1.c")
    assert [row.name for row in rows] == ["a", "b", hashed, "d"]
    _push(bench, 2, 5, 10)
    assert bench.readings() == [(2, 0, 5, 10)]


def test_alert_is_a_record_that_names_its_row():
    rules = [
        {"name": "warm", "above": 20, "severity": "info", "message": "{sensor}: {value}"},
        {"name": "hot", "above": 30, "severity": "critical", "sensor": "*.b"},
    ]
    bench = _bench("a", "b", rules=rules)
    rows = bench.pipeline.rows[2:]
    assert [(row.rule, row.channel, row.severity) for row in rows] == [
        ("warm", 0, 0),
        ("warm", 1, 0),
        ("hot", 1, 2),
    ]
    assert rows[0].message == "{sensor}: {value}"
    assert rows[2].message == "{sensor} is {value} {unit}, above 30"
    for value, now_ms in ((1000, 10), (2500, 20), (3500, 30), (2500, 40), (2000, 50)):
        _push(bench, 1, value, now_ms)
    assert read_ring(bench.events) == [
        (3, EVENT_FIRED, 2500, 20),
        (4, EVENT_FIRED, 3500, 30),
        (4, 0, 2500, 40),
        (3, 0, 2000, 50),
    ]
    assert bench.pipeline.events_total == 4
    assert len(bench.readings()) == 5


def test_rules_see_what_the_policy_leaves():
    bench = _bench(
        "a",
        privacy=[{"channel": "a", "action": "clamp", "high": 30}],
        rules=[{"name": "hot", "above": 30}],
    )
    _push(bench, 0, 9000, 10)
    assert bench.pipeline.events_total == 0


def test_missing_sensor_is_an_event_without_a_value():
    bench = _bench("a", rules=[{"name": "gone", "missing": "5s"}])
    _push(bench, 0, 1, 0)
    for now_ms in range(0, 8000, 100):
        bench.uptime.update(now_ms)
        bench.pipeline.tick(now_ms, bench.uptime)
    assert read_ring(bench.events) == [(1, EVENT_FIRED | EVENT_WITHOUT_VALUE, 0, 5000)]
    _push(bench, 0, 7, 8000)
    assert read_ring(bench.events)[1:] == [(1, 0, 7, 8000)]


def test_failing_sensor_fires_without_a_value_if_its_rule_says_so():
    bench = _bench("a", rules=[{"name": "hot", "above": 30, "on_bad": "fire"}])
    _push(bench, 0, 0, 10, QUALITY_BAD)
    assert read_ring(bench.events) == [(1, EVENT_FIRED | EVENT_WITHOUT_VALUE, 0, 10)]


def test_more_alerts_than_the_table_can_hold_are_refused():
    names = ["c%d" % index for index in range(16)]
    rules = [{"name": "r%d" % index, "above": index} for index in range(15)]
    text = str(raises(SettingsError, lambda: _bench(*names, rules=rules)))
    assert "board.json.rules" in text
    assert "256" in text
    assert "255" in text


def test_every_fault_of_rules_and_policy_is_told_at_once():
    privacy = {"rules": [{"channel": "a", "action": "hide"}, {"action": "quantize"}]}
    rules = [{"name": "hot", "above": "warm"}, {"name": "hot", "below": 1, "fro": 2}]
    lines = str(raises(SettingsError, lambda: make_settings(privacy=privacy, rules=rules))).split(
        "\n"
    )
    expected = (
        ("board.json.rules[0].above", "'warm'"),
        ("board.json.rules[1].fro", "is not known"),
        ("board.json.rules[1].name", "twice"),
        ("board.json.privacy.rules[0].action", "'hide'"),
        ("board.json.privacy.rules[1].step", "quantize"),
    )
    assert len(lines) == len(expected), lines
    for path, word in expected:
        found = [line for line in lines if line.startswith(path)]
        assert len(found) == 1, (path, lines)
        assert word in found[0], found


def test_hashing_without_a_secret_is_refused_without_showing_one():
    for key in ("", "short"):
        privacy = {"rules": [{"channel": "a", "action": "hash"}], "hash_key": key}
        text = _refusal(privacy=privacy)
        assert "board.json.privacy.hash_key" in text
        assert "short" not in text


def test_privacy_that_is_no_table_is_refused():
    for privacy in ([], "x", {"fault": 1}):
        text = _refusal(privacy=privacy)
        assert "board.json.privacy" in text, privacy
