"""Rules against their slow telling; windows and rollups against lists of all readings."""

import json
from fractions import Fraction

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from profiles import examples
from pyv_edge_core.alert import BOARD_MASK, HOST_MASK, STATES, Watch
from pyv_edge_core.errors import FieldError
from pyv_edge_core.quantity import DURATION_MS_MAX, decimal, duration_ms, ratio, scaled, show
from pyv_edge_core.reading import QUALITY_BAD, QUALITY_GOOD
from pyv_edge_core.rule import RULE_COUNT_MAX, read_rules
from pyv_edge_core.table import text
from pyv_edge_core.window import Rollup, Summary, Window
from slow_rules import DAY_MS, SlowWatch

EVENTS = ("", "fires", "resolves")

# Few values, levels and times, close together: so that they meet.
levels = st.sampled_from(["-1.05", -1, "-0.5", 0, "0.25", "0.5", 1, "1.05", 2])
lengths = st.sampled_from([1, 2, 5, 10, 20, "45s"])
aggregates = st.sampled_from(["mean", "min", "max", "sum", "count", "range"])
policies = st.sampled_from(["hold", "resolve", "fire"])
values = st.integers(-25, 25)  # tenths


@st.composite
def conditions(draw):
    kind = draw(
        st.sampled_from(
            ["above", "below", "outside", "rate_above", "rate_below"] * 2
            + ["aggregate", "aggregate", "tumbling", "stuck", "deadband", "missing"]
        )
    )
    table = {}
    if kind in ("aggregate", "tumbling"):
        window_s = draw(st.sampled_from([6, 12, 30]))
        step_s = window_s if kind == "tumbling" else draw(st.sampled_from([1, 2, 3]))
        table = {"aggregate": draw(aggregates), "window": window_s, "step": step_s}
        kind = draw(st.sampled_from(["above", "below", "outside"]))
    if kind == "missing":
        return {"missing": draw(lengths)}
    if kind == "stuck":
        return {"stuck": draw(lengths), "within": draw(st.sampled_from([0, "0.25", 1]))}
    if kind == "deadband":
        return {"deadband": draw(st.sampled_from([0, "0.25", 1]))}
    if kind == "outside":
        low, low_clear, high_clear, high = sorted(
            (draw(levels) for _ in range(4)), key=lambda one: Fraction(str(one))
        )
        table[kind] = [low, high]
        clear = [low_clear, high_clear]
    else:
        pair = sorted((draw(levels), draw(levels)), key=lambda one: Fraction(str(one)))
        clear, table[kind] = pair if kind.endswith("above") else pair[::-1]
    if draw(st.booleans()):
        table["clear"] = clear
    if kind.startswith("rate"):
        table["window"] = draw(st.sampled_from([1, 4, 10, "30s"]))
        table["per"] = draw(st.sampled_from(["100ms", 1, 10]))
    return table


@st.composite
def rules(draw):
    table = draw(conditions())
    for key in ("for", "keep_for", "cooldown", "late"):
        if draw(st.integers(0, 2)) == 0:
            table[key] = draw(lengths)
    table.pop("keep_for" if "deadband" in table else "", None)
    if set(table) & {"above", "below", "outside", "rate_above", "rate_below", "stuck", "deadband"}:
        allowed = st.sampled_from(["hold", "resolve"]) if "deadband" in table else policies
        if draw(st.booleans()):
            table["on_bad"] = draw(allowed)
        if draw(st.booleans()):
            table["missing"] = draw(lengths)
            table["on_missing"] = draw(allowed)
    return table


# What comes: (milliseconds since what came before, what, how old a reading is by then)
gaps = st.one_of(
    st.sampled_from([0, 500, 1000, 1000, 1000, 2000, 4999, 5000, 10000]),
    st.integers(0, 30000),
)
ages = st.one_of(
    st.just(0), st.just(0), st.sampled_from([1, 900, 2500, 9000, 25000, -1500, 400000])
)
things = st.one_of(values, values, values, values, st.sampled_from(["bad", "tick", "tick"]))
steps = st.lists(st.tuples(gaps, things, ages), min_size=1, max_size=45)
wild_gaps = st.one_of(
    gaps, st.sampled_from([-90000, -60001, -20000, DAY_MS, 3 * DAY_MS, 5 * DAY_MS])
)
wild_things = st.one_of(things, things, things, st.just("restart"))
wild_ages = st.one_of(ages, ages, st.sampled_from([-70000, -61000, 2 * DAY_MS]))
wild_steps = st.lists(st.tuples(wild_gaps, wild_things, wild_ages), min_size=1, max_size=40)


def _play(tables, steps, mask, start_ms, zero_ms):
    """Play steps; `start_ms` is what the core takes for the model's `zero_ms`."""
    loaded = read_rules([{"name": "r%d" % index, **table} for index, table in enumerate(tables)])
    watch = Watch(loaded, -1, mask, start_ms & mask)
    model = SlowWatch(tables, zero_ms)
    now_ms = zero_ms

    def at(time_ms):
        return (start_ms + time_ms - zero_ms) & mask

    for gap_ms, what, age_ms in steps:
        now_ms = max(zero_ms, now_ms + gap_ms)
        time_ms = max(zero_ms - 50000, now_ms - age_ms)
        if what == "restart":
            saved = json.loads(json.dumps(watch.save()))
            watch = Watch(loaded, -1, mask, at(now_ms))
            watch.restore(saved)
            model.restart(now_ms)
            continue
        if what == "tick":
            changes = watch.tick(at(now_ms))
            model.tick(now_ms)
        elif what == "bad":
            changes = watch.update(at(now_ms), at(time_ms), 0, QUALITY_BAD)
            model.update(now_ms, time_ms, None)
        else:
            changes = watch.update(at(now_ms), at(time_ms), what, QUALITY_GOOD)
            model.update(now_ms, time_ms, Fraction(what, 10))
        for alert, slow in zip(watch.alerts, model.alerts, strict=True):
            came = (STATES[alert.state], EVENTS[alert.change] if changes else "")
            assert came == (slow.state, slow.change), (alert.rule.name, slow.table)
            totals = (alert.fired_total, alert.suppressed_total)
            assert totals == (slow.fired_total, slow.suppressed_total)
            if slow.change:
                event(slow.change)
        assert changes == len([slow for slow in model.alerts if slow.change])
        assert watch.late_total == model.late_total
    return watch


@examples(600)
@given(st.lists(rules(), min_size=1, max_size=3), steps)
def test_rules_on_a_board_are_what_they_are_said_to_be(tables, steps):
    # Ticks wrap in the middle; zero_ms is a round minute as start_ms is.
    start_ms = (BOARD_MASK + 1) // 60000 * 60000 - 120000
    _play(tables, steps, BOARD_MASK, start_ms, start_ms)


@examples(600)
@given(st.lists(rules(), min_size=1, max_size=3), wild_steps)
def test_rules_on_a_host_are_what_they_are_said_to_be(tables, steps):
    _play(tables, steps, HOST_MASK, 1_700_000_040_000, 1_700_000_040_000)


@examples(100)
@given(rules(), steps, st.integers(-3, 3))
def test_rules_do_not_depend_on_the_clock_s_zero(table, steps, minutes):
    start_ms = 1_700_000_040_000
    if "window" in table:
        minutes = 0  # windows are aligned to the clock
    _play([table], steps, HOST_MASK, start_ms + minutes * 60000 + minutes, start_ms)


def test_as_many_rules_as_there_may_be():
    tables = [{"name": "r%d" % index, "above": 1} for index in range(RULE_COUNT_MAX)]
    assert len(read_rules(tables)) == RULE_COUNT_MAX


# -- numbers -----------------------------------------------------------------------

texts = st.from_regex(
    r"[+-]?([0-9]{1,8}(\.[0-9]{0,8})?|\.[0-9]{1,8})(e[+-]?[0-9]{1,2})?", fullmatch=True
)


@examples(500)
@given(texts, st.integers(-9, 9))
def test_numbers_are_exact(written, exponent):
    exact = Fraction(written)
    if abs(int(written.partition("e")[2] or 0)) > 30:
        return
    numerator, digits = decimal(written)
    assert Fraction(numerator, 10**digits) == exact
    assert Fraction(show((numerator, digits))) == exact
    units = exact / Fraction(10) ** exponent
    assert Fraction(*ratio((numerator, digits), exponent)) == units
    assert scaled((numerator, digits), exponent, False) == units.__floor__()
    assert scaled((numerator, digits), exponent, True) == units.__ceil__()


@examples(200)
@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30))
def test_floats_are_taken_by_the_digits_people_see(value):
    if value and not abs(value) > 1e-13:
        return
    numerator, digits = decimal(value)
    assert float(Fraction(numerator, 10**digits)) == value
    if len(repr(value).partition("e")[0]) <= 15:  # what a person would write
        assert Fraction(numerator, 10**digits) == Fraction(repr(value))


@examples(200)
@given(st.integers(0, DURATION_MS_MAX), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_durations_are_exact(length_ms, unit):
    size_ms = {"ms": 1, "s": 1000, "m": 60000, "h": 3600000, "d": DAY_MS}[unit]
    whole, rest_ms = divmod(length_ms, size_ms)
    assert duration_ms("%d%s" % (whole, unit)) == whole * size_ms
    if unit in ("ms", "s"):
        assert duration_ms("%d.%03d%s" % (whole, rest_ms, unit)) == length_ms


def test_half_a_surrogate_pair_is_no_text():
    # On MicroPython, which has no such error, it is one: see tests/differential.
    with pytest.raises(FieldError, match="is not a text of 1 to 96 bytes"):
        text("\ud83d")


# -- windows -----------------------------------------------------------------------

readings = st.lists(st.tuples(st.integers(0, 300), st.integers(-1000, 1000)), max_size=60)


def _told(pairs):
    """Return what a summary of (time_ms, value) has to say, None of nothing."""
    if not pairs:
        return None
    numbers = [value for _, value in pairs]
    newest = max(time_ms for time_ms, _ in pairs)
    last = [value for time_ms, value in pairs if time_ms == newest][-1]
    return (len(numbers), sum(numbers), min(numbers), max(numbers), last)


def _said(summary):
    if not summary.count:
        return None
    return (summary.count, summary.total, summary.low, summary.high, summary.last)


@examples(300)
@given(readings, st.integers(0, 60))
def test_summary_is_that_of_the_list(pairs, split):
    first, second, whole = Summary(), Summary(), Summary()
    for index, (time_ms, value) in enumerate(pairs):
        (first if index < split else second).add(time_ms, value)
        whole.add(time_ms, value)
    first.merge(second)
    assert _said(whole) == _told(pairs)
    assert _said(first) == _told(pairs)


@examples(300)
@given(
    st.lists(st.tuples(st.integers(-120, 120), st.integers(-1000, 1000)), max_size=80),
    st.sampled_from([(10, 1), (10, 10), (60, 5), (64, 1), (30, 10)]),
    st.sampled_from([(HOST_MASK, 10**9), (BOARD_MASK, (BOARD_MASK + 1) // 60 * 60 - 600)]),
)
def test_window_is_that_of_the_list(moves, shape, clock):
    length_ms, step_ms = shape
    mask, time_ms = clock
    window = Window(length_ms, step_ms, mask)
    seen = []
    newest = None
    late_total = 0
    for move_ms, value in moves:
        time_ms += move_ms
        pane = time_ms // step_ms
        newest = pane if newest is None else max(newest, pane)
        is_in = pane > newest - length_ms // step_ms
        assert window.add(time_ms & mask, value) is is_in
        late_total += not is_in
        if is_in:
            seen.append((time_ms, value))
        inside = [one for one in seen if one[0] // step_ms > newest - length_ms // step_ms]
        assert _said(window.total)[:4] == _told(inside)[:4]
        for ahead_ms in (0, step_ms, 2 * step_ms):
            is_over = (time_ms + ahead_ms) // step_ms > newest
            assert window.is_over((time_ms + ahead_ms) & mask) is is_over
    assert window.late_total == late_total


@examples(300)
@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(-1000, 1000), st.booleans()), max_size=60),
    st.sampled_from([1, 7, 60, 1000]),
    st.integers(1, 60),
)
def test_rollups_merge_to_that_of_the_list(came, period_ms, batch):
    stored = {}
    for index in range(0, len(came), batch):
        rollup = Rollup(period_ms)  # one of each commit
        starts = set()
        for time_ms, value, is_bad in came[index : index + batch]:
            start_ms = time_ms // period_ms * period_ms
            assert rollup.add(time_ms, value, is_bad) is (start_ms not in starts)
            starts.add(start_ms)
            assert len(rollup) == len(starts)
        assert [start_ms for start_ms, _ in rollup.buckets()] == sorted(starts)
        for start_ms, summary in rollup.buckets():
            stored.setdefault(start_ms, Summary()).merge(summary)
    for start_ms, summary in stored.items():
        inside = [one for one in came if one[0] // period_ms * period_ms == start_ms]
        assert summary.bad_count == len([one for one in inside if one[2]])
        assert _said(summary) == _told([one[:2] for one in inside if not one[2]])
    assert set(stored) == {time_ms // period_ms * period_ms for time_ms, _, _ in came}
