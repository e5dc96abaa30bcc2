"""One rule of a policy: what it accepts and refuses, whom it is about, what its gate does."""

from check import numbers_from, without_heap
from pyv_edge_core.privacy_rule import (
    ACTIONS,
    KEY_ACTIONS,
    KEYS,
    LISTS,
    Gate,
    PrivacyRule,
    read_rules,
)
from pyv_edge_core.reading import LIMITS

VALUE_MIN, VALUE_MAX = LIMITS["value"]


def rule_of(values):
    faults = []
    rule = PrivacyRule(values, "rules[0]", faults)
    assert faults == [], faults
    return rule


def faults_of(values):
    faults = []
    PrivacyRule(values, "rules[3]", faults)
    for fault in faults:
        assert fault.startswith("rules[3]"), fault
    return faults


def gate_of(values, exponent):
    rule = rule_of(values)
    return Gate(rule.action, rule, exponent)


def quantize(step, exponent):
    return gate_of({"action": "quantize", "step": step}, exponent)


def clamp(low, high, exponent):
    values = {"action": "clamp"}
    if low is not None:
        values["low"] = low
    if high is not None:
        values["high"] = high
    return gate_of(values, exponent)


def _complete(action):
    values = {"action": action}
    if action == "quantize":
        values["step"] = 1
    if action == "clamp":
        values["low"] = 1
    return values


# -- reading tables ----------------------------------------------------------------


def test_every_action_is_accepted():
    assert len(ACTIONS) == 9
    for action in ACTIONS:
        rule = rule_of(_complete(action))
        assert (rule.action, rule.is_about_key) == (action, False), action


def test_only_some_actions_are_for_keys():
    for action in ACTIONS:
        values = _complete(action)
        values["key"] = "secret"
        if action in KEY_ACTIONS:
            assert rule_of(values).is_about_key is True, action
        else:
            faults = faults_of(values)
            assert "rules[3].action: %r is not one of allow, drop, mask" % action in faults[0]


def test_pair_is_a_pattern_and_an_action():
    for pair in (("camera.*", "drop"), ["camera.*", "drop"]):
        rule = rule_of(pair)
        assert (rule.name, rule.action) == ("drop camera.*", "drop"), pair
        assert rule.fits("", "", "camera.face") and not rule.fits("", "", "cam"), pair


def test_names():
    assert rule_of({"action": "drop"}).name == "drop"
    assert rule_of({"action": "drop", "device": "a", "key": "b"}).name == "drop a b"
    assert rule_of({"action": "drop", "name": "no faces"}).name == "no faces"


def test_what_is_given_has_to_fit():
    whom = ("cam", "face", "cam.face")
    cases = (
        ({}, True),
        ({"pattern": "cam.*"}, True),
        ({"pattern": "face"}, False),
        ({"device": "cam"}, True),
        ({"device": "face"}, False),
        ({"channel": "f*"}, True),
        ({"channel": "cam"}, False),
        ({"pattern": "*", "device": "c?m", "channel": "*e"}, True),
        ({"pattern": "x", "device": "cam", "channel": "face"}, False),
        ({"pattern": "*", "device": "x", "channel": "face"}, False),
        ({"pattern": "*", "device": "cam", "channel": "x"}, False),
    )
    for values, expected in cases:
        values["action"] = "drop"
        assert rule_of(values).fits(*whom) is expected, values


def test_key_rule_fits_keys_and_its_readings():
    rule = rule_of({"action": "drop", "key": "gps.*", "device": "van-?"})
    assert rule.fits_key("gps.lat") and not rule.fits_key("gps")
    assert rule.fits("van-1", "speed", "van-1.speed")
    assert not rule.fits("car-1", "speed", "car-1.speed")
    assert rule_of({"action": "drop"}).fits_key("gps") is False


def test_table_is_not_kept():
    values = {"action": "quantize", "pattern": "a", "step": 5}
    rule = rule_of(values)
    values["pattern"] = "b"
    values["step"] = 7
    assert rule.fits("", "", "a") and rule.step == (5, 0)
    assert rule_of({"action": "quantize", "step": "0.50"}).step == (5, 1)


def test_canonical_tells_whatever_decides():
    different = (
        {"action": "drop"},
        {"action": "mask"},
        {"action": "drop", "pattern": "a"},
        {"action": "drop", "device": "a"},
        {"action": "drop", "channel": "a"},
        {"action": "drop", "key": "a"},
        {"action": "drop", "pattern": "a", "device": "b"},
        {"action": "drop", "pattern": "a', 'b"},
        {"action": "quantize", "step": 1},
        {"action": "quantize", "step": 2},
        {"action": "clamp", "low": 1},
        {"action": "clamp", "high": 1},
        {"action": "clamp", "low": 1, "high": 1},
    )
    seen = [rule_of(values).canonical for values in different]
    assert len(set(seen)) == len(different), seen
    same = rule_of({"action": "quantize", "step": "1.0", "name": "another name"})
    assert same.canonical == rule_of({"action": "quantize", "step": 1}).canonical
    text = rule_of({"action": "drop", "pattern": "caf\u00e9"}).canonical
    assert text == "caf\u00e9\t\t\t\t('drop', None, None, None)\n"  # on both interpreters


# -- faults ------------------------------------------------------------------------


def test_each_fault_names_place_value_and_remedy():
    cases = (
        ({}, "rules[3].action: is missing; it must be one of allow, drop, mask,"),
        ({"key": "a"}, "rules[3].action: is missing; it must be one of allow, drop, mask,"),
        ({"action": "forget"}, "rules[3].action: 'forget' is not one of allow, drop, mask,"),
        ({"action": ["drop"]}, "rules[3].action: ['drop'] is not one of"),
        ({"action": "Drop"}, "rules[3].action: 'Drop' is not one of"),
        ({"action": "drop", "pattern": ""}, "rules[3].pattern: '' is not a pattern of 1 to 64"),
        ({"action": "drop", "device": 5}, "rules[3].device: 5 is not a pattern of 1 to 64"),
        ({"action": "drop", "channel": "[a]"}, "rules[3].channel: '[a]' is not a pattern"),
        ({"action": "drop", "key": None}, "rules[3].key: None is not a pattern"),
        ({"action": "drop", "name": ""}, "rules[3].name: '' is not a text of 1 to 96"),
        ({"action": "drop", "sensor": "a"}, "rules[3].sensor: is not known; there are name,"),
        ({"action": "drop", 5: "a"}, "rules[3].5: is not known; there are name,"),
        ({"action": "drop", "step": 1}, "rules[3].step: does not go with the other keys"),
        ({"action": "clamp", "low": 1, "step": 1}, "rules[3].step: does not go with"),
        ({"action": "quantize", "step": 1, "low": 1}, "rules[3].low: does not go with"),
        ({"action": "quantize"}, "rules[3].step: is missing; quantize needs a number above 0"),
        ({"action": "quantize", "step": 0}, "rules[3].step: 0 is not above 0"),
        ({"action": "quantize", "step": "-0.5"}, "rules[3].step: -0.5 is not above 0"),
        (
            {"action": "quantize", "step": "wide"},
            "rules[3].step: 'wide' is not a number (at most 1e30, 32 characters)",
        ),
        (
            {"action": "quantize", "step": True},
            "rules[3].step: True is not a number (at most 1e30, 32 characters)",
        ),
        (
            {"action": "quantize", "step": float("nan")},
            "rules[3].step: nan is not a number (at most 1e30, 32 characters)",
        ),
        ({"action": "clamp"}, "rules[3].low: is missing; clamp needs low, high or both"),
        (
            {"action": "clamp", "low": []},
            "rules[3].low: [] is not a number (at most 1e30, 32 characters)",
        ),
        (
            {"action": "clamp", "high": float("inf")},
            "rules[3].high: inf is not a number (at most 1e30, 32 characters)",
        ),
        ({"action": "clamp", "low": 2, "high": "1.9"}, "rules[3].low: 2 is above high, 1.9"),
        ("drop", "rules[3]: must be a table"),
        (None, "rules[3]: must be a table"),
        (("a", "drop", 1), "rules[3]: must be a table"),
        (("a", "forget"), "rules[3].action: 'forget' is not one of allow, drop, mask,"),
        ((5, "drop"), "rules[3].pattern: 5 is not a pattern of 1 to 64"),
    )
    for values, expected in cases:
        faults = faults_of(values)
        assert len(faults) == 1 and faults[0].startswith(expected), (values, faults)


def test_all_faults_of_a_rule_come_at_once():
    faults = faults_of(
        {"pattern": "", "device": 1, "name": 2, "action": "clamp", "low": "x", "colour": "red"}
    )
    named = sorted([fault.split(":")[0].split(".")[1] for fault in faults])
    assert named == ["colour", "device", "low", "name", "pattern"], faults


def test_every_key_is_known():
    for key in KEYS:
        text = "\n".join(faults_of({key: {}}))
        assert "not known" not in text, key


def test_levels_that_are_equal_are_allowed():
    assert clamp("1.50", 1.5, -2).value(999) == 150


# -- the documented lists ----------------------------------------------------------


def test_lists_make_two_rules_for_each_pattern():
    faults = []
    lists = {name: [name[:2] + ".*"] for name in LISTS}
    rules = read_rules([("a", "allow")], lists, faults)
    assert faults == []
    shown = [(rule.action, rule.name.split(" ")[1], rule.is_about_key) for rule in rules]
    expected = [("allow", "a", False)]
    for name in LISTS:
        action = "local_only" if name == "local_only" else name.split("_")[0]
        expected += [(action, name[:2] + ".*", False), (action, name[:2] + ".*", True)]
    assert shown == expected


def test_faults_of_lists():
    cases = (
        ({"drop_fields": "a"}, "drop_fields: must be a list of patterns"),
        ({"drop_fields": {"a": 1}}, "drop_fields: must be a list of patterns"),
        ({"mask_fields": ["a", ""]}, "mask_fields[1]: '' is not a pattern of 1 to 64"),
        ({"hash_fields": [None]}, "hash_fields[0]: None is not a pattern"),
        ({"drop": ["a"]}, "drop: is not known; there are drop_fields, redact_fields,"),
        ({5: ["a"]}, "5: is not known; there are drop_fields,"),
        (["a"], "lists: must be a table of drop_fields, redact_fields,"),
    )
    for lists, expected in cases:
        faults = []
        read_rules((), lists, faults)
        assert len(faults) == 1 and faults[0].startswith(expected), (lists, faults)
    for rules in (None, "ab", {"pattern": "a", "action": "drop"}, 5):
        faults = []
        assert read_rules(rules, {}, faults) == ()
        assert faults == ["rules: must be a list of tables"], rules


# -- gates -------------------------------------------------------------------------


def test_gate_of_each_action():
    # action: (open, hidden, local, plain)
    cases = {
        "allow": (True, False, False, True),
        "drop": (False, False, False, False),
        "mask": (True, True, False, False),
        "redact": (True, True, False, False),
        "hash": (True, False, False, True),
        "quantize": (True, False, False, False),
        "clamp": (True, False, False, False),
        "local_only": (True, False, True, True),
        "aggregate_only": (True, False, True, True),
    }
    assert sorted(cases) == sorted(ACTIONS)
    for action, expected in cases.items():
        gate = gate_of(_complete(action), 0)
        shown = (gate.is_open, gate.is_hidden, gate.is_local, gate.is_plain)
        assert shown == expected, action


def test_gate_without_a_rule_is_the_default():
    assert Gate("allow", None, -2).value(17) == 17
    assert Gate("drop", None, -2).is_open is False


def test_hidden_values_are_zero_and_plain_ones_pass():
    for action in ACTIONS:
        for exponent in (None, -2):
            value = gate_of(_complete(action), exponent).value(4242)
            if action in ("mask", "redact"):
                assert value == 0, action
            elif action not in ("quantize", "clamp"):
                assert value == 4242, action


def test_quantize_goes_to_the_nearest_multiple_and_up_from_the_middle():
    cases = (
        (5, 0, ((0, 0), (2, 0), (3, 5), (7, 5), (8, 10), (-2, 0), (-3, -5), (-7, -5))),
        (10, 0, ((4, 0), (5, 10), (14, 10), (15, 20), (-5, 0), (-6, -10), (-15, -10))),
        ("0.5", -2, ((2124, 2100), (2125, 2150), (2149, 2150), (-2126, -2150))),
        ("0.5", -1, ((212, 210), (213, 215))),
        (1, 0, ((7, 7), (-7, -7))),
        (100, 2, ((7, 7), (-7, -7))),  # the channel counts hundreds
        (1000, 2, ((14, 10), (15, 20))),
    )
    for step, exponent, pairs in cases:
        gate = quantize(step, exponent)
        for value, expected in pairs:
            assert gate.value(value) == expected, (step, exponent, value)


def test_step_that_the_exponent_cannot_show_is_rounded_up():
    # Half a unit of a channel of whole ones: nothing finer than the channel anyway.
    assert [quantize("0.5", 0).value(value) for value in (1, 2, -3)] == [1, 2, -3]
    # 1.5 becomes 2, never 1: less is known rather than more.
    assert [quantize("1.5", 0).value(value) for value in (1, 2, 3, 4)] == [2, 2, 4, 4]
    assert [quantize(15, 1).value(value) for value in (1, 2, 3)] == [2, 2, 4]
    assert quantize("1e-30", -9).value(12345) == 12345


def _steps():
    yield from (
        1,
        2,
        3,
        7,
        1000,
        65537,
        2**30,
        2**31 - 1,
        2**31,
        2**31 + 1,
        2**32,
        2**33,
        10**12,
    )
    numbers = numbers_from(11)
    for _ in range(40):
        yield 1 + (next(numbers) << 16 | next(numbers)) % (1 << (1 + next(numbers) % 32))


def test_quantize_never_leaves_the_range_and_is_the_same_twice():
    edges = []
    for edge in (VALUE_MIN, VALUE_MAX, 0, VALUE_MAX // 2, VALUE_MIN // 2):
        for offset in (-2, -1, 0, 1, 2):
            if VALUE_MIN <= edge + offset <= VALUE_MAX:
                edges.append(edge + offset)
    for step in _steps():
        gate = quantize(str(step), 0)
        for value in edges:
            shown = gate.value(value)
            assert VALUE_MIN <= shown <= VALUE_MAX, (step, value, shown)
            assert shown % step == 0, (step, value, shown)
            assert abs(shown - value) < step, (step, value, shown)
            assert gate.value(shown) == shown, (step, value, shown)


def test_clamp_limits():
    gate = clamp(-5, "10.5", -1)
    for value, expected in ((-51, -50), (-50, -50), (0, 0), (105, 105), (106, 105)):
        assert gate.value(value) == expected, value
    assert clamp(3, None, 0).value(VALUE_MAX) == VALUE_MAX
    assert clamp(3, None, 0).value(VALUE_MIN) == 3
    assert clamp(None, 3, 0).value(VALUE_MIN) == VALUE_MIN
    assert clamp(None, 3, 0).value(VALUE_MAX) == 3


def test_clamp_levels_that_the_exponent_cannot_show():
    # Inwards: what is shown is never beyond a level.
    gate = clamp("0.05", "0.25", -1)
    assert [gate.value(value) for value in (-9, 0, 1, 2, 3, 9)] == [1, 1, 1, 2, 2, 2]
    gate = clamp("-0.25", "-0.05", -1)
    assert [gate.value(value) for value in (-9, -3, -2, -1, 0)] == [-2, -2, -2, -1, -1]
    # No number of the channel lies between 3 and 7: all become one, so nothing is shown.
    gate = clamp(3, 7, 1)
    assert len({gate.value(value) for value in range(-20, 20)}) == 1


def test_clamp_levels_beyond_what_a_channel_can_hold():
    for exponent in (-9, 0, 9):
        for low, high in ((10**29, None), (None, -(10**29)), (10**28, 10**29)):
            gate = clamp(low, high, exponent)
            for value in (VALUE_MIN, -1, 0, 1, VALUE_MAX):
                shown = gate.value(value)
                expected = VALUE_MIN if low is None else VALUE_MAX
                assert shown == expected, (exponent, low, high, value)
        gate = clamp(-(10**29), 10**29, exponent)
        for value in (VALUE_MIN, 0, VALUE_MAX):
            assert gate.value(value) == value, exponent


def test_clamp_stays_in_range_and_is_the_same_twice():
    levels = (None, VALUE_MIN - 1, VALUE_MIN, "-0.4", 0, "0.4", VALUE_MAX, VALUE_MAX + 1)
    for low_at in range(len(levels)):
        for high_at in range(max(low_at, 1), len(levels)):
            if low_at == 0 and levels[high_at] is None:
                continue
            for exponent in (-3, 0, 3):
                gate = clamp(levels[low_at], levels[high_at], exponent)
                for value in (VALUE_MIN, -1, 0, 1, VALUE_MAX):
                    shown = gate.value(value)
                    assert VALUE_MIN <= shown <= VALUE_MAX, (low_at, high_at, exponent, value)
                    assert gate.value(shown) == shown, (low_at, high_at, exponent, value)


def test_floats_are_quantized():
    cases = (
        (0.5, ((21.2, 21.0), (21.25, 21.5), (21.74, 21.5), (-21.2, -21.0), (0.0, 0.0))),
        (5, ((21.2, 20.0), (22.5, 25.0), (-2.5, 0.0))),
        ("0.1", ((21.234, 21.2), (0.30000000000000004, 0.3))),
        ("1e3", ((1499.9, 1000.0), (1500, 2000.0))),
    )
    for step, pairs in cases:
        gate = quantize(step, None)
        for value, expected in pairs:
            assert gate.value(value) == expected, (step, value, gate.value(value))


def test_floats_that_are_too_great_for_the_step_pass_and_stay_finite():
    for step in ("0.001", 1, "1e-30"):
        gate = quantize(step, None)
        for value in (1e300, -1e300, 1.7e308):
            assert gate.value(value) == value, (step, value)
    assert quantize("1e30", None).value(1.0) == 0.0
    for value in (float("inf"), float("-inf")):
        assert quantize(1, None).value(value) == value
    value = quantize(1, None).value(float("nan"))
    assert value != value


def test_floats_are_clamped():
    gate = clamp(-30.1, "30.1", None)
    for value, expected in ((-31.0, -30.1), (-30.1, -30.1), (0.25, 0.25), (1e300, 30.1)):
        assert gate.value(value) == expected, value
    assert gate.value(float("inf")) == 30.1
    # A side that isn't given has no limit at all.
    assert clamp(0, None, None).value(1e300) == 1e300
    assert clamp(None, 0, None).value(-1e300) == -1e300
    assert clamp("5e-3", None, None).value(0) == 0.005


def test_gate_needs_no_heap():
    gates = [Gate("allow", None, -2), quantize("0.5", -2), clamp(-5, 50, -2)]

    def thousand_rounds():
        count = 0
        while count < 1000:
            gates[0].value(count)
            gates[1].value(count)
            gates[2].value(count)
            count += 1

    without_heap(thousand_rounds)
