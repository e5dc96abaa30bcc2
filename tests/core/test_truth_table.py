"""The truth table of RULES.md, on each mask, with and without other rules, over restarts."""

import json

from pyv_edge_core.alert import BOARD_MASK, HOST_MASK, STATES, Watch
from pyv_edge_core.quantity import decimal, scaled
from pyv_edge_core.reading import QUALITY_BAD, QUALITY_GOOD
from pyv_edge_core.rule import KINDS, POLICIES, read_rules
from truth_table import CASES

HEAP_KB_MIN = 112  # the cases alone, as bytecode and objects, take most of 64

EVENTS = ("", "fires", "resolves")
# Round minutes; a board's ticks wrap less than one later.
HOST_START_MS = 1_700_000_040_000
BOARD_START_MS = (BOARD_MASK + 1) // 60000 * 60000


def _rule(table):
    values = {"name": "it"}
    values.update(table)
    return read_rules([values])[0]


def _value(number, exponent):
    return float(number) if exponent is None else scaled(decimal(number), exponent, False)


def _run(title, rules, steps, exponent, mask, start_ms, is_restarted):
    watch = Watch(rules, exponent, mask, start_ms)
    for index in range(len(steps)):
        seconds, what, state, event = steps[index]
        if is_restarted:
            saved = json.loads(json.dumps(watch.save()))
            watch = Watch(rules, exponent, mask, start_ms)
            watch.restore(saved)
        now_ms = (start_ms + seconds * 1000) & mask
        if what == "tick":
            changes = watch.tick(now_ms)
        else:
            what, taken = what if isinstance(what, tuple) else (what, seconds)
            is_bad = what == "bad"
            value = 0 if is_bad else _value(what, exponent)
            time_ms = (start_ms + taken * 1000) & mask
            changes = watch.update(now_ms, time_ms, value, QUALITY_BAD if is_bad else QUALITY_GOOD)
        alert = watch.alerts[0]
        came = (STATES[alert.state], EVENTS[alert.change] if changes else "")
        assert came == (state, event), (title, index, seconds, what, came)
        assert changes == (event != ""), (title, index, changes)


def _run_all(exponent, mask, start_ms, extra_rules=(), is_restarted=False):
    for title, table, steps in CASES:
        rule = _rule(table)
        if is_restarted and rule.window_ms:
            continue  # windows fill anew
        _run(title, (rule,) + extra_rules, steps, exponent, mask, start_ms, is_restarted)


def test_with_the_host_s_clock():
    _run_all(-1, HOST_MASK, HOST_START_MS)


def test_with_a_board_s_ticks_that_wrap():
    _run_all(-1, BOARD_MASK, BOARD_START_MS)


def test_with_plain_numbers():
    _run_all(None, HOST_MASK, HOST_START_MS)


def test_another_exponent_makes_no_difference():
    for exponent in (-9, -3, -2):
        _run_all(exponent, HOST_MASK, HOST_START_MS)


def test_beside_a_rule_that_wants_to_see_every_reading():
    other = read_rules([{"name": "other", "deadband": 1000000}])
    _run_all(-1, HOST_MASK, HOST_START_MS, other)


def test_beside_a_rule_that_does_not():
    other = read_rules([{"name": "other", "above": 1000, "sensor": "*"}])
    _run_all(-1, BOARD_MASK, BOARD_START_MS, other)


def test_with_a_restart_before_each_step():
    _run_all(-1, HOST_MASK, HOST_START_MS, (), True)
    _run_all(-1, BOARD_MASK, BOARD_START_MS, (), True)


def test_table_has_every_condition_state_and_policy():
    keys = set()
    values = set()
    for _, table, _steps in CASES:
        keys.update(table)
        for key in ("aggregate", "on_bad", "on_missing"):
            values.add((key, table.get(key)))
    assert keys.issuperset(KINDS + ("clear", "per", "within", "window", "step", "missing"))
    assert keys.issuperset(("for", "keep_for", "cooldown", "late", "on_bad", "on_missing"))
    for policy in POLICIES:
        assert ("on_bad", policy) in values and ("on_missing", policy) in values, policy
    for aggregate in ("mean", "min", "max", "sum", "count", "range"):
        assert ("aggregate", aggregate) in values, aggregate
    titles = [case[0] for case in CASES]
    assert len(set(titles)) == len(titles)
