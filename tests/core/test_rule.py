"""Rules as tables: every key, its range and default; faults that say what to do, all at once."""

from check import raises
from pyv_edge_core.errors import FieldError, TableError
from pyv_edge_core.event_text import MESSAGE, render
from pyv_edge_core.pattern import Pattern
from pyv_edge_core.rule import (
    AGGREGATES,
    KEYS,
    KINDS,
    POLICIES,
    RULE_COUNT_MAX,
    SEVERITIES,
    read_rules,
)

HEAP_KB_MIN = 72  # the cases alone, as bytecode and objects, take most of 64

_FIELD_FAULT = " has a field other than {rule} {severity} {condition} {sensor} {value} {unit}"
_PATTERN_FAULT = str(raises(FieldError, Pattern, "["))[len(repr("[")) :]


def _table(values):
    table = {"name": "it", "above": 30}
    table.update(values)
    return {key: table[key] for key in table if table[key] is not None}


def _rule(**values):
    return read_rules([_table(values)])[0]


def _faults(**values):
    error = raises(TableError, read_rules, [_table(values)])
    assert str(error) == "\n".join(error.faults)
    return error.faults


# -- what is read ------------------------------------------------------------------


def test_defaults():
    rule = _rule()
    assert (rule.name, rule.kind, rule.sensor.text) == ("it", "above", "*")
    assert (rule.low, rule.low_clear, rule.high, rule.high_clear) == (None, None, (30, 0), (30, 0))
    assert (rule.for_ms, rule.keep_for_ms, rule.cooldown_ms, rule.late_ms) == (0, 0, 0, 300000)
    assert (rule.on_bad, rule.on_missing, rule.missing_ms) == ("hold", "hold", 0)
    assert (rule.aggregate, rule.window_ms, rule.step_ms, rule.per_ms) == ("", 0, 0, 1000)
    assert rule.severity == "warning"
    assert rule.message == MESSAGE.replace("{condition}", "above 30")
    rate = _rule(above=None, rate_above=1)
    assert (rate.window_ms, rate.per_ms, rate.aggregate) == (60000, 1000, "")
    stuck = _rule(above=None, stuck="10m")
    assert (stuck.stuck_ms, stuck.size) == (600000, (0, 0))
    missing = _rule(above=None, missing="10m")
    assert (missing.missing_ms, missing.on_bad, missing.on_missing) == (600000, "hold", "fire")


def test_every_key_is_read():
    rule = _rule(
        name="Freezer too warm",
        sensor="kitchen.*",
        above="-18.5",
        clear=-20,
        window="5m",
        step=30,
        aggregate="max",
        keep_for="3m",
        cooldown="1h",
        late="1m",
        missing="10m",
        on_missing="fire",
        on_bad="resolve",
        severity="critical",
        message="{rule}: {value}",
        **{"for": "2m"},
    )
    assert (rule.name, rule.sensor.text) == ("Freezer too warm", "kitchen.*")
    assert (rule.high, rule.high_clear) == ((-185, 1), (-20, 0))
    assert (rule.window_ms, rule.step_ms, rule.aggregate) == (300000, 30000, "max")
    assert (rule.for_ms, rule.keep_for_ms, rule.cooldown_ms) == (120000, 180000, 3600000)
    assert (rule.late_ms, rule.missing_ms) == (60000, 600000)
    assert (rule.on_missing, rule.on_bad, rule.severity) == ("fire", "resolve", "critical")
    rate = _rule(above=None, rate_below="-0.5", per="1h", window="2h", clear=0)
    assert (rate.low, rate.low_clear) == ((-5, 1), (0, 0))
    assert (rate.per_ms, rate.window_ms) == (3600000, 7200000)
    stuck = _rule(above=None, stuck=90, within="0.1")
    assert (stuck.stuck_ms, stuck.size) == (90000, (1, 1))
    assert _rule(above=None, deadband="0.5").size == (5, 1)
    outside = _rule(above=None, outside=(2, 8), clear=[3, "7.5"])
    levels = (outside.low, outside.low_clear, outside.high_clear, outside.high)
    assert levels == ((2, 0), (3, 0), (75, 1), (8, 0))


def test_clear_levels_are_the_levels_unless_given():
    rule = _rule(above=None, outside=[2, 8])
    assert (rule.low_clear, rule.high_clear) == ((2, 0), (8, 0))
    rule = _rule(above=None, below=2)
    assert (rule.low, rule.low_clear, rule.high, rule.high_clear) == ((2, 0), (2, 0), None, None)


def test_conditions_in_words():
    for values, text in (
        ({"above": "30.50"}, "above 30.5"),
        ({"below": -4}, "below -4"),
        ({"outside": [2, "8.5"]}, "outside 2..8.5"),
        ({"rate_above": 5}, "rate above 5 per 1 s"),
        ({"rate_below": -5, "per": "1h"}, "rate below -5 per 3600 s"),
        ({"stuck": "10m"}, "stuck for 600 s"),
        ({"deadband": "0.5"}, "moved by more than 0.5"),
        ({"missing": "250ms"}, "missing for 0.25 s"),
        ({"above": 3, "aggregate": "mean", "window": "5m"}, "mean of 300 s above 3"),
        ({"above": 3, "missing": 60}, "above 3"),
    ):
        table = {"above": None}
        table.update(values)
        assert _rule(**table).condition == text


def test_steps_of_a_window_are_twelve_or_the_next_less():
    for window, step_ms in (("1m", 5000), ("1s", 100), ("7s", 700), ("61s", 6100), ("5ms", 1)):
        assert _rule(aggregate="mean", window=window).step_ms == step_ms, window
    assert _rule(aggregate="mean", window="13ms").step_ms == 13
    assert _rule(aggregate="mean", window="64s", step="1s").step_ms == 1000
    assert _rule(aggregate="mean", window="64s", step="64s").step_ms == 64000


def test_lists_and_tuples_of_tables():
    assert read_rules([]) == () and read_rules(()) == ()
    first, second = read_rules(({"name": "a", "above": 1}, {"name": "b", "below": 1}), "x")
    assert (first.name, second.name) == ("a", "b")


def test_tables_are_not_changed():
    table = {"name": "a", "above": 1, "clear": 0}
    read_rules([table])
    assert table == {"name": "a", "above": 1, "clear": 0}


# -- messages ----------------------------------------------------------------------


def test_messages_are_filled_as_far_as_a_rule_knows():
    rule = _rule()
    assert rule.message == "{sensor} is {value} {unit}, above 30"
    assert render(rule.message, "kitchen.temp", "31.5", "Cel") == (
        "kitchen.temp is 31.5 Cel, above 30"
    )
    rule = _rule(message="{severity}! {rule}: {value}{unit} at {sensor} ({condition})")
    assert rule.message == "warning! it: {value}{unit} at {sensor} (above 30)"
    assert _rule(message="no field , at all").message == "no field , at all"


def test_a_message_fits_a_frame_once_it_is_filled():
    too_long = ["rules[0].message: is longer than 96 bytes once it is filled"]
    assert _rule(name="n" * 50, message="{rule} " + "x" * 45).message.endswith("x")
    assert _faults(name="n" * 50, message="{rule} " + "x" * 46) == too_long
    assert _faults(name="\u00e9" * 25, message="{rule} " + "x" * 46) == too_long


def test_fingerprint_tells_rules_apart_by_what_they_decide():
    base = _table({"clear": 20, "aggregate": "mean", "window": 60, "missing": 90})

    def print_of(**values):
        table = dict(base)
        table.update(values)
        return _rule(**table).fingerprint

    same = print_of()
    for values in (
        {"name": "other"},
        {"severity": "critical"},
        {"message": "x"},
        {"sensor": "a.*"},
        {"above": "30.0"},
        {"late": 5},
        {"step": 5},
    ):
        assert print_of(**values) == same, values
    seen = [same]
    for values in (
        {"above": 31},
        {"above": None, "below": 10},
        {"clear": 21},
        {"aggregate": "min"},
        {"window": 120},
        {"step": 10},
        {"for": 1},
        {"keep_for": 1},
        {"cooldown": 1},
        {"missing": 91},
        {"on_bad": "fire"},
        {"on_missing": "fire"},
    ):
        print_now = print_of(**values)
        assert print_now not in seen, values
        seen.append(print_now)


# -- faults ------------------------------------------------------------------------


def test_each_value_out_of_range_is_named_with_its_range():
    duration = ' is not a duration: seconds, or "250ms", "10s", "5m"; whole ms'
    number = " is not a number (at most 1e30, 32 characters)"
    text = " is not a text of 1 to 96 bytes"
    cases = (
        ("name", "", text),
        ("name", "x" * 97, text),
        ("name", "{value}", " has a {, which would be a field in messages"),
        ("sensor", "", _PATTERN_FAULT),
        ("sensor", "[ab]", _PATTERN_FAULT),
        ("above", "warm", number),
        ("above", True, number),
        ("clear", [1, 2], number),
        ("for", -1, duration),
        ("for", "4d", " is longer than 3 days"),
        ("keep_for", "0.1ms", duration),
        ("cooldown", "soon", duration),
        ("late", [], duration),
        ("missing", 0, " is not longer than no time"),
        ("missing", "x", duration),
        ("on_bad", "ignore", " is not one of hold, resolve, fire"),
        ("on_missing", 3, " is not one of hold, resolve, fire"),
        ("severity", "fatal", " is not one of info, warning, critical"),
        ("message", "", text),
        ("message", "{name}", _FIELD_FAULT),
        ("message", "{", _FIELD_FAULT),
        ("message", "{rule", _FIELD_FAULT),
        ("message", "{{rule}}", _FIELD_FAULT),
    )
    for key, value, problem in cases:
        expected = ["rules[0].%s: %r%s" % (key, value, problem)]
        assert _faults(**{key: value}) == expected, (key, value)


def test_values_of_the_other_conditions():
    two = " is not two numbers"
    none = " is not longer than no time"
    for values, faults in (
        ({"outside": 3}, ["outside: 3" + two]),
        ({"outside": [1, 2, 3]}, ["outside: [1, 2, 3]" + two]),
        ({"outside": "28"}, ["outside: '28'" + two]),
        ({"outside": [1, "x"]}, ["outside: 'x' is not a number (at most 1e30, 32 characters)"]),
        ({"outside": [1, 5], "clear": 3}, ["clear: 3" + two]),
        ({"rate_above": 1, "window": 0}, ["window: 0" + none]),
        ({"rate_above": 1, "per": "0s"}, ["per: '0s'" + none]),
        ({"stuck": 0}, ["stuck: 0" + none]),
        ({"stuck": 5, "within": -1}, ["within: -1 is below 0"]),
        (
            {"stuck": 5, "within": "x"},
            ["within: 'x' is not a number (at most 1e30, 32 characters)"],
        ),
        ({"deadband": "-0.5"}, ["deadband: '-0.5' is below 0"]),
        ({"missing": 0}, ["missing: 0" + none]),
    ):
        table = {"above": None}
        table.update(values)
        assert _faults(**table) == ["rules[0]." + fault for fault in faults], values


def test_levels_in_the_wrong_order():
    for values, shown in (
        ({"above": 30, "clear": "30.01"}, "above: 30.01 30"),
        ({"below": 5, "clear": 4}, "below: 5 4"),
        ({"rate_above": 0, "clear": 1}, "rate_above: 1 0"),
        ({"outside": [8, 2]}, "outside: 8 8 2 2"),
        (
            {"outside": [2, 8], "clear": [3, 9]},
            "outside: 2 3 9 8",
        ),
        (
            {"outside": [2, 8], "clear": [6, 4]},
            "outside: 2 6 4 8",
        ),
    ):
        table = {"above": None}
        table.update(values)
        assert _faults(**table) == [
            "rules[0].%s is the wrong order of low, clear, high" % shown
        ], values
    _rule(above=None, outside=[5, 5])
    _rule(above="30.10", clear=30.1)


def test_one_condition_and_no_more():
    shown = ", ".join(KINDS)
    assert _faults(above=None) == ["rules[0]: has none of %s, missing; needs one" % shown]
    assert _faults(stuck=5) == [
        "rules[0]: has above and stuck of %s, missing; needs one" % shown,
        "rules[0].stuck: does not go with the other keys here",
    ]


def test_keys_that_do_not_go_together():
    alone = "rules[0].%s: does not go with the other keys here"
    for values, key in (
        ({"within": 1}, "within"),
        ({"per": 1}, "per"),
        ({"step": 1}, "step"),
        ({"above": None, "stuck": 5, "clear": 3}, "clear"),
        ({"above": None, "stuck": 5, "window": 3}, "window"),
        ({"above": None, "rate_above": 5, "aggregate": "mean"}, "aggregate"),
        ({"above": None, "missing": 5, "on_missing": "fire"}, "on_missing"),
        ({"above": None, "missing": 5, "on_bad": "fire"}, "on_bad"),
        ({"above": None, "missing": 5, "clear": 5}, "clear"),
        ({"above": None, "deadband": 5, "keep_for": 5}, "keep_for"),
    ):
        assert _faults(**values) == [alone % key], values


def test_an_event_of_a_moment_has_no_policy_that_fires():
    for key in ("on_bad", "on_missing"):
        faults = _faults(above=None, deadband=1, missing=5, **{key: "fire"})
        assert faults == ["rules[0].%s: 'fire' is not one of hold, resolve" % key]
    assert _rule(above=None, deadband=1, missing=5, on_missing="resolve").keep_for_ms == 0


def test_windows_that_do_not_work():
    together = "rules[0].aggregate: and window go together"
    assert _faults(aggregate="mean") == [together]
    assert _faults(window=60) == [together]
    assert _faults(window=0) == [together, "rules[0].window: 0 is not longer than no time"]
    assert _faults(window=60, aggregate="median") == [
        "rules[0].aggregate: 'median' is not one of " + ", ".join(AGGREGATES)
    ]
    divide = "rules[0].step: %s does not divide a window of 60 s into at most 64 parts"
    for step, shown in ((7, "7 s"), (120, "120 s"), ("500ms", "0.5 s"), ("1ms", "0.001 s")):
        assert _faults(window=60, aggregate="mean", step=step) == [divide % shown], step


def test_a_policy_for_missing_needs_its_time():
    for policy in ("fire", "resolve"):
        assert _faults(on_missing=policy) == [
            "rules[0].missing: must say after which time on_missing is in force"
        ]
        assert _faults(on_missing=policy, missing=0) == [
            "rules[0].missing: 0 is not longer than no time"
        ]
    assert _rule(on_missing="hold").missing_ms == 0


def test_unknown_keys_are_named_with_all_there_are():
    expected = "rules[0].abvoe: is not known; there are " + ", ".join(KEYS)
    assert _faults(abvoe=30) == [expected]


def test_a_rule_needs_a_name_of_its_own():
    assert _faults(name=None) == ["rules[0].name: is missing; events are called by it"]
    tables = [{"name": "a", "above": 1}, {"name": "b", "above": 1}, {"name": "a", "below": 1}]
    error = raises(TableError, read_rules, tables, "edge.toml: rules")
    assert error.faults == ["edge.toml: rules[2].name: 'a' is there twice"]
    # Two without a name: that is fault enough.
    error = raises(TableError, read_rules, [{"above": 1}, {"above": 2}])
    assert len(error.faults) == 2


def test_all_faults_come_at_once():
    tables = [
        {"name": "a", "above": "x", "for": -1, "severity": "bad"},
        "b",
        {"name": "c", "above": 3},
        {"name": "c", "stuck": 0, "colour": "red"},
    ]
    faults = raises(TableError, read_rules, tables).faults
    assert [fault.split(":")[0] for fault in faults] == [
        "rules[0].above",
        "rules[0].for",
        "rules[0].severity",
        "rules[1]",
        "rules[3].stuck",
        "rules[3].colour",
        "rules[3].name",
    ]


def test_what_is_no_list_of_tables():
    for value in (None, {}, {"name": "a"}, "above", 3):
        error = raises(TableError, read_rules, value)
        assert error.faults == ["rules: must be a list of tables"], value
    for value in (None, 3, "x", []):
        assert raises(TableError, read_rules, [value]).faults == ["rules[0]: must be a table"]
    # As many as fit are more than a board's heap holds: tests/property has them.
    tables = [{"name": "a", "above": 1}] * (RULE_COUNT_MAX + 1)
    assert raises(TableError, read_rules, tables).faults == ["rules: 257, at most 256"]


def test_words_of_the_tables():
    assert POLICIES == ("hold", "resolve", "fire")
    assert SEVERITIES == ("info", "warning", "critical")
    assert len(set(KEYS)) == len(KEYS) == 24
    for key in KINDS + ("missing",):
        assert key in KEYS
