"""Alerts beyond the truth table: times, counters, restarts, several rules, and no heap."""

import json

from check import later, without_heap
from pyv_edge_core.alert import (
    BOARD_MASK,
    FIRED,
    FIRING,
    HOST_MASK,
    INACTIVE,
    NONE,
    PENDING,
    RESOLVED,
    SILENCE_MS,
    Watch,
)
from pyv_edge_core.quantity import DURATION_MS_MAX
from pyv_edge_core.reading import QUALITY_BAD, QUALITY_GOOD, QUALITY_UNCERTAIN
from pyv_edge_core.rule import read_rules

HEAP_KB_MIN = 96  # the cases alone, as bytecode and objects, take most of 64

START_MS = 1_700_000_040_000


class _Run:
    """A watch of whole numbers, driven by seconds since the start."""

    def __init__(self, *tables, mask=HOST_MASK, start_ms=START_MS):
        named = []
        for index in range(len(tables)):
            values = {"name": "rule%d" % index}
            values.update(tables[index])
            named.append(values)
        self.rules = read_rules(named)
        self.start_ms = start_ms
        self.mask = mask
        self.watch = Watch(self.rules, 0, mask, start_ms & mask)

    def at(self, seconds):
        return (self.start_ms + int(seconds * 1000)) & self.mask

    def reading(self, seconds, value, taken=None, quality=QUALITY_GOOD):
        """Return (state, change) of each alert."""
        time_ms = self.at(seconds if taken is None else taken)
        return self._shown(self.watch.update(self.at(seconds), time_ms, value, quality))

    def bad(self, seconds, taken=None):
        return self.reading(seconds, 0, taken, QUALITY_BAD)

    def tick(self, seconds):
        return self._shown(self.watch.tick(self.at(seconds)))

    def _shown(self, changes):
        alerts = self.watch.alerts
        if not changes:
            return [(alert.state, NONE) for alert in alerts]
        assert changes == len([alert for alert in alerts if alert.change != NONE])
        return [(alert.state, alert.change) for alert in alerts]

    def restart(self):
        saved = json.loads(json.dumps(self.watch.save()))
        self.watch = Watch(self.rules, 0, self.mask, 5)
        self.watch.restore(saved)
        assert self.watch.save() == saved


OFF = [(INACTIVE, NONE)]
WAITS = [(PENDING, NONE)]
FIRES = [(FIRING, FIRED)]
ON = [(FIRING, NONE)]
OVER = [(INACTIVE, RESOLVED)]


# -- several rules -----------------------------------------------------------------


def test_each_alert_of_a_channel_says_what_it_did():
    run = _Run({"above": 30}, {"above": 20}, {"below": 10}, {"missing": 60})
    watch = run.watch
    assert run.reading(0, 15) == OFF * 4
    assert run.reading(1, 25) == [OFF[0], FIRES[0], OFF[0], OFF[0]]
    assert run.reading(2, 35) == [FIRES[0], ON[0], OFF[0], OFF[0]]
    assert run.reading(3, 5) == [OVER[0], OVER[0], FIRES[0], OFF[0]]
    assert run.tick(63) == [OFF[0], OFF[0], ON[0], FIRES[0]]
    assert run.reading(64, 15) == [OFF[0], OFF[0], OVER[0], OVER[0]]
    assert [alert.fired_total for alert in watch.alerts] == [1, 1, 1, 1]


def test_a_watch_without_rules_counts_and_keeps_quiet():
    run = _Run()
    assert run.reading(1, 5) == [] and run.reading(0, 5) == [] and run.tick(100) == []
    assert run.watch.late_total == 1


def test_uncertain_readings_are_measurements():
    run = _Run({"above": 30})
    assert run.reading(0, 31, None, QUALITY_UNCERTAIN) == FIRES


def test_values_within_all_levels_take_the_short_way_with_the_same_end():
    tables = ({"above": 30, "clear": 25}, {"outside": [5, 40]}, {"below": 10}, {"missing": 20})
    alone = [_Run(table) for table in tables]
    together = _Run(*tables)
    values = (20, 20, 31, 20, 27, 26, 9, 10, 41, 20, 20, 4, 30, 30, 10, 10)
    for second in range(len(values)):
        states = [run.reading(second, values[second])[0] for run in alone]
        assert together.reading(second, values[second]) == states, second
    for second in (20, 36, 50):
        assert together.tick(second) == [run.tick(second)[0] for run in alone], second


def test_a_true_condition_that_a_policy_overruled_is_not_forgotten():
    for other in ((), ({"deadband": 1000},)):
        run = _Run({"above": 30, "clear": 28, "on_bad": "resolve"}, *other)
        assert run.reading(0, 31)[:1] == FIRES
        assert run.bad(1)[:1] == OVER
        assert run.reading(2, 29)[:1] == FIRES, "29 is not clear"
        run = _Run({"above": 30, "clear": 28, "missing": 10, "on_missing": "resolve"}, *other)
        assert run.reading(0, 31)[:1] == FIRES
        assert run.tick(10)[:1] == OVER
        assert run.reading(11, 29)[:1] == FIRES, "29 is not clear"


# -- event time --------------------------------------------------------------------


def test_out_of_order_readings_never_fire():
    for table in (
        {"above": 30},
        {"above": 30, "for": 5},
        {"deadband": 5},
        {"stuck": 1},
        {"rate_above": 1, "window": 2},
        {"above": 30, "aggregate": "max", "window": 60},
    ):
        run = _Run(table)
        run.reading(20, 20)
        for taken in (19, 15, 10, 19.999):
            assert run.reading(21, 99, taken)[0][1] == NONE, (table, taken)
        assert run.watch.late_total == 4
        assert run.watch.alerts[0].fired_total == 0, table


def test_out_of_order_readings_neither_resolve_nor_interrupt():
    run = _Run({"above": 30, "for": 10})
    run.reading(0, 31)
    run.reading(5, 31)
    assert run.reading(6, 20, 4) == WAITS
    assert run.bad(6, 4) == WAITS
    assert run.reading(10, 31) == FIRES
    assert run.reading(11, 20, 9) == ON
    assert run.watch.late_total == 3


def test_a_late_reading_mends_the_window_of_each_aggregate():
    table = {"above": 30, "aggregate": "max", "window": 60}
    run = _Run(table, {"above": 1, "aggregate": "count", "window": 60})
    run.reading(20, 20)
    assert run.bad(21, 10) == OFF * 2, "a bad one mends nothing"
    assert run.reading(22, 31, 19) == OFF * 2
    assert run.reading(23, 20) == FIRES * 2
    assert run.watch.late_total == 2


def test_readings_of_the_same_time_are_in_order():
    run = _Run({"above": 30})
    assert run.reading(0, 20) == OFF
    assert run.reading(0, 31) == FIRES
    assert run.reading(0, 20) == OVER
    assert run.watch.late_total == 0


def test_the_first_reading_may_be_from_before_the_beginning():
    run = _Run({"above": 30})
    assert run.reading(1, 31, -100) == FIRES
    assert run.reading(2, 20, -101) == ON
    assert run.watch.late_total == 1


def test_late_is_counted_from_when_a_reading_was_taken():
    for late, taken, expected in ((60, 40, FIRES), (60, 39.999, WAITS), (0, 100, FIRES)):
        run = _Run({"above": 30, "late": late})
        assert run.reading(100, 31, taken) == expected, (late, taken)
        assert run.watch.alerts[0].suppressed_total == (expected is WAITS)
    run = _Run({"above": 30})
    assert run.reading(400, 31, 99) == WAITS
    assert run.reading(400, 31, 100) == FIRES, "five minutes unless the rule says otherwise"


def test_a_reading_from_a_clock_that_is_ahead_is_not_late():
    run = _Run({"above": 30, "late": 0})
    assert run.reading(0, 31, 50) == FIRES


def test_what_comes_late_fires_by_no_tick():
    for table in ({"above": 30}, {"above": 30, "for": 20}, {"deadband": 1}):
        run = _Run(table)
        run.reading(1000, 20, 100)
        run.reading(1000, 31, 200)
        for second in (1001, 1010, 2000, 100000):
            assert run.tick(second)[0][1] == NONE, (table, second)
        assert run.watch.alerts[0].fired_total == 0


def test_a_reading_on_its_way_is_not_overtaken_by_the_clock():
    run = _Run({"above": 30, "for": 10})
    assert run.reading(8, 31) == WAITS
    silence_s = SILENCE_MS / 1000
    assert run.tick(8 + silence_s) == WAITS
    assert run.reading(18.5, 20, 17.5) == OFF
    run = _Run({"above": 30, "for": 1})
    assert run.reading(0, 31) == WAITS
    assert run.tick(silence_s - 0.001) == WAITS
    assert run.tick(silence_s) == FIRES


def test_a_reading_from_before_a_tick_shortens_nothing():
    # A tick at 30 found it missing; a reading of 28 was on its way.
    base = {"above": 50, "missing": 30, "on_missing": "fire"}
    table = {"for": 60}
    table.update(base)
    run = _Run(table)
    run.reading(0, 20)
    assert run.tick(30) == WAITS
    assert run.reading(31, 51, 28) == WAITS
    assert run.reading(89, 51) == WAITS
    assert run.reading(90, 51) == FIRES
    table = {"cooldown": 60}
    table.update(base)
    run = _Run(table)
    run.reading(0, 20)
    assert run.tick(30) == FIRES
    assert run.reading(31, 20, 27) == OVER
    assert run.reading(31, 51, 28) == WAITS, "in the cooldown"
    table = {"keep_for": 60, "missing": 30, "on_missing": "resolve", "above": 50}
    run = _Run(table)
    assert run.reading(0, 51) == FIRES
    assert run.tick(30) == ON
    assert run.reading(31, 20, 28) == ON
    assert run.reading(89, 20) == ON
    assert run.reading(90, 20) == OVER


def test_bad_readings_out_of_order_shorten_nothing():
    run = _Run({"above": 50, "for": 60, "on_bad": "fire"})
    assert run.bad(20) == WAITS
    assert run.bad(21, 19) == WAITS
    assert run.bad(80) == FIRES


# -- counters ----------------------------------------------------------------------


def test_counters_count_readings():
    run = _Run({"above": 30, "cooldown": 100})
    alert = run.watch.alerts[0]
    run.reading(0, 31)
    run.reading(1, 20)
    for second in (2, 3, 4):
        run.reading(second, 31)
    for second in range(10, 20):
        run.tick(second)
    assert (alert.fired_total, alert.suppressed_total) == (1, 3)
    run.reading(100, 31)
    assert (alert.fired_total, alert.suppressed_total) == (2, 3)


# -- cooldown ----------------------------------------------------------------------


def test_cooldown_holds_although_the_readings_clock_is_ahead():
    run = _Run({"above": 30, "cooldown": 60})
    assert run.reading(0, 31, 30) == FIRES
    assert run.tick(1) == ON
    assert run.reading(2, 20, 32) == OVER
    assert run.reading(3, 31, 33) == WAITS
    assert run.reading(59, 31, 89) == WAITS
    assert run.reading(60, 31, 90) == FIRES


def test_cooldown_ends_although_ticks_wrap():
    run = _Run({"above": 30, "cooldown": "1h"}, mask=BOARD_MASK)
    assert run.reading(0, 31) == FIRES
    assert run.reading(1, 20) == OVER
    day_s = 86400
    for second in range(2, 13 * day_s, 600):  # 12.4 days, and then the same ticks again
        assert run.reading(second, 20) == OFF
        run.tick(second)
    assert run.reading(BOARD_MASK // 1000 + 60, 31) == FIRES


# -- silence -----------------------------------------------------------------------


def test_nothing_is_missing_before_its_time_whatever_the_mask():
    for mask, start_ms in ((HOST_MASK, START_MS), (BOARD_MASK, BOARD_MASK - 9000)):
        run = _Run({"missing": "10s"}, mask=mask, start_ms=start_ms)
        assert run.tick(9.999) == OFF and run.tick(10) == FIRES
        assert run.reading(11, 5) == OVER
        assert run.tick(20.999) == OFF and run.tick(21) == FIRES


def test_a_tick_from_before_the_newest_reading_does_nothing():
    run = _Run({"missing": 10}, {"above": 30})
    run.reading(100, 31)
    assert run.tick(50) == [OFF[0], ON[0]]
    assert run.tick(99) == [OFF[0], ON[0]]
    assert run.tick(110) == [FIRES[0], ON[0]]


def test_days_of_silence_on_a_board():
    run = _Run({"missing": 60}, {"above": 30, "on_bad": "hold"}, {"stuck": 60}, mask=BOARD_MASK)
    run.reading(0, 31)
    day_s = 86400
    assert run.tick(60) == [FIRES[0], ON[0], OFF[0]]
    for second in range(100, 30 * day_s, 3600):
        assert run.tick(second) == [ON[0], ON[0], OFF[0]], second
    late_total = run.watch.late_total
    second = 30 * day_s
    assert run.reading(second, 31) == [OVER[0], ON[0], OFF[0]]
    assert run.reading(second + 59, 31) == [OFF[0], ON[0], OFF[0]], "stuck begins anew"
    assert run.reading(second + 60, 20) == [OFF[0], OVER[0], OFF[0]]
    assert run.watch.late_total == late_total == 0


def test_silence_of_exactly_the_longest_duration_fires():
    for mask in (HOST_MASK, BOARD_MASK):
        run = _Run({"missing": "3d"}, mask=mask)
        run.reading(0, 1)
        longest_s = DURATION_MS_MAX // 1000
        assert run.tick(longest_s - 1) == OFF
        assert run.tick(longest_s) == FIRES
        assert run.tick(longest_s + 1000) == ON
        assert run.reading(longest_s + 1001, 1) == OVER


def test_aggregate_begins_anew_after_days_of_silence():
    run = _Run({"above": 1, "aggregate": "count", "window": "3d", "step": "3d"}, mask=BOARD_MASK)
    assert run.reading(0, 5) == OFF
    run.tick(4 * 86400)
    assert run.reading(4 * 86400 + 1, 5) == OFF
    assert run.watch.alerts[0].condition.window.total.count == 1


# -- clocks that are set -----------------------------------------------------------


def test_clock_set_back_keeps_states_and_begins_their_times_anew():
    run = _Run({"above": 30, "for": 10, "keep_for": 10, "cooldown": 1000})
    run.reading(5000, 31)
    assert run.reading(5010, 31) == FIRES
    assert run.reading(5011, 20) == ON
    assert run.reading(100, 20) == ON, "keep_for counts from now"
    assert run.reading(109, 20) == ON
    assert run.reading(110, 20) == OVER
    assert run.reading(111, 31) == WAITS
    assert run.reading(121, 31) == FIRES, "no cooldown from a wrong clock"
    assert run.watch.late_total == 0


def test_clock_set_back_by_a_minute_at_most_is_waited_for():
    run = _Run({"above": 30})
    run.reading(160, 20)
    assert run.reading(100, 31) == OFF
    assert run.watch.late_total == 1
    assert run.reading(99.999, 31) == FIRES
    assert run.watch.late_total == 1


def test_clock_set_back_and_bad_readings():
    run = _Run({"above": 30, "for": 10, "on_bad": "fire", "missing": 60})
    run.reading(5000, 20)
    assert run.bad(100) == WAITS
    assert run.bad(105) == WAITS
    assert run.bad(110) == FIRES
    assert run.watch.late_total == 0


def test_windows_begin_anew_when_a_clock_is_set_back():
    table = {"above": 1, "aggregate": "count", "window": 60}
    run = _Run(table, {"stuck": 10}, {"rate_above": 0, "window": 2})
    for second in (5000, 5001):
        run.reading(second, 5)
    assert run.reading(100, 5) == [OVER[0], OFF[0], OFF[0]]
    assert run.reading(109, 6) == [FIRES[0], OFF[0], FIRES[0]]


# -- restarts ----------------------------------------------------------------------

SCRIPT = (
    (0, 31),
    (4, 32),
    (5, "bad"),
    (9, "tick"),
    (10, 33),
    (11, 29),
    (12, 25),
    (18, "tick"),
    (23, "tick"),
    (25, 20),
    (30, 40),
    (36, "tick"),
    (41, "tick"),
    (42, 40),
    (55, "bad"),
    (90, "tick"),
    (101, "tick"),
    (102, 28),
    (103, 10),
    (140, 10),
    (170, 35),
    (180, 35),
)
SURVIVORS = (
    {"above": 30},
    {"above": 30, "clear": 26},
    {"above": 30, "for": 10},
    {"above": 30, "for": 10, "keep_for": 12},
    {"above": 30, "cooldown": 60},
    {"above": 30, "for": 3, "cooldown": 100, "on_bad": "fire"},
    {"above": 30, "missing": 40, "on_missing": "fire", "for": 10},
    {"outside": [15, 30], "on_bad": "resolve", "missing": 40, "on_missing": "resolve"},
    {"stuck": 30, "within": 1},
    {"deadband": 3},
    {"deadband": 3, "for": 8, "cooldown": 20},
    {"missing": 20, "for": 10, "keep_for": 5},
)


def _play(table, restart_at):
    run = _Run(table)
    trace = []
    for index in range(len(SCRIPT)):
        if index == restart_at:
            run.restart()
        second, what = SCRIPT[index]
        if what == "tick":
            trace.append(run.tick(second))
        elif what == "bad":
            trace.append(run.bad(second))
        else:
            trace.append(run.reading(second, what))
    return trace


def test_the_future_is_the_same_after_a_restart_at_any_time():
    for table in SURVIVORS:
        expected = _play(table, None)
        assert FIRED in [step[0][1] for step in expected], table
        for index in range(len(SCRIPT)):
            assert _play(table, index) == expected, (table, index)


def test_restart_keeps_the_remaining_time_of_for():
    run = _Run({"above": 30, "for": 10})
    assert run.reading(0, 31) == WAITS
    assert run.reading(4, 31) == WAITS
    run.restart()
    assert run.reading(9.999, 31) == WAITS
    assert run.reading(10, 31) == FIRES
    run.restart()
    assert run.reading(11, 31) == ON
    assert run.reading(12, 20) == OVER


def test_nothing_is_missing_for_what_came_while_nobody_listened():
    run = _Run({"missing": 60})
    run.reading(0, 1)
    saved = run.watch.save()
    run.watch = Watch(run.rules, 0, run.mask, run.at(3600))
    run.watch.restore(saved)
    assert run.tick(3600) == OFF
    assert run.tick(3659.999) == OFF
    run.reading(3659, 2, taken=1)  # the first of a backlog is an hour old
    assert run.tick(3659.999) == OFF
    assert run.tick(3660) == FIRES


def test_windows_fill_anew_after_a_restart_and_the_state_stays():
    run = _Run({"rate_above": 1, "window": 10}, {"above": 30, "aggregate": "mean", "window": 60})
    for second in range(0, 20, 2):
        run.reading(second, 20 + second * 3)
    assert run.reading(20, 80) == ON * 2
    run.restart()
    assert run.tick(26) == ON * 2
    assert run.reading(27, 80) == ON * 2, "a rate needs half its window again"
    assert run.reading(32, 80) == [OVER[0], ON[0]]
    assert run.reading(33, -100) == [OFF[0], OVER[0]]


def test_a_rule_that_has_changed_begins_anew_and_the_others_go_on():
    tables = [{"name": "a", "above": 30, "for": 10}, {"name": "b", "above": 30}]
    before = Watch(read_rules(tables), 0, HOST_MASK, START_MS)
    before.update(START_MS, START_MS, 31, QUALITY_GOOD)
    saved = json.loads(json.dumps(before.save()))
    for change, expected in (
        ({}, [PENDING, FIRING]),
        ({"severity": "critical", "message": "x"}, [PENDING, FIRING]),
        ({"for": 11}, [INACTIVE, FIRING]),
        ({"name": "c"}, [INACTIVE, FIRING]),
    ):
        tables[0] = {"name": "a", "above": 30, "for": 10}
        tables[0].update(change)
        after = Watch(read_rules(tables), 0, HOST_MASK, START_MS + 5000)
        after.restore(saved)
        assert [alert.state for alert in after.alerts] == expected, change
        # In another order, and with one more, each still finds its own.
        more = read_rules([tables[1], {"name": "new", "stuck": 5}, tables[0]])
        after = Watch(more, 0, HOST_MASK, START_MS + 5000)
        after.restore(saved)
        expected = [expected[1], INACTIVE, expected[0]]
        assert [alert.state for alert in after.alerts] == expected, change


# -- no heap -----------------------------------------------------------------------


def test_a_whole_run_needs_no_heap():
    tables = (
        {"above": "30.5", "clear": 28, "for": 3, "keep_for": 2, "cooldown": 20},
        {"outside": [5, 40], "on_bad": "fire", "missing": 8, "on_missing": "resolve"},
        {"rate_above": 1, "window": 10, "on_bad": "resolve"},
        {"below": 20, "aggregate": "mean", "window": 60},
        {"above": 30, "aggregate": "range", "window": 10, "step": 10, "on_missing": "hold"},
        {"stuck": 10, "within": 3},
        {"deadband": 12, "cooldown": 5},
        {"missing": 6},
    )
    run = _Run(*tables, mask=BOARD_MASK, start_ms=BOARD_MASK - 500000)
    watch = run.watch
    now_ms = run.start_ms

    def thousand_rounds():
        now = now_ms
        seed = 1
        rounds = 0
        while rounds < 1000:
            seed = (seed * 75 + 74) % 65537
            now = later(now, 200 + seed % 3000)
            if seed % 11 == 0:
                now = later(now, 9000)
            elif seed % 7 == 0:
                watch.update(now, now, 0, QUALITY_BAD)
            elif seed % 5 == 0:
                watch.update(now, (now - 15000) & BOARD_MASK, seed % 50, QUALITY_GOOD)
            else:
                watch.update(now, now, seed % 50, QUALITY_GOOD)
            watch.tick(now)
            rounds += 1

    without_heap(thousand_rounds)
    assert watch.late_total > 0
    fired = [alert.fired_total for alert in watch.alerts]
    assert min(fired) > 0, fired


# -- what a shortcut could hide --------------------------------------------------------


def test_values_between_the_levels_are_looked_at_no_more():
    run = _Run({"above": 30, "clear": 25}, {"below": 5})
    assert not run.watch.is_quiet
    run.reading(0, 20)
    assert run.watch.is_quiet
    run.reading(1, 31)
    assert not run.watch.is_quiet
    assert [alert.is_idle for alert in run.watch.alerts] == [False, True]
    run.reading(2, 27)
    assert not run.watch.is_quiet  # still firing, between the level and where it clears
    run.reading(3, 25)
    assert run.watch.is_quiet
    run.bad(4)
    assert not run.watch.is_quiet  # it is held: the next one must be looked at
    run.reading(5, 20)
    assert run.watch.is_quiet


def test_alert_that_is_not_looked_at_changes_nothing():
    run = _Run({"above": 30}, {"below": 5})
    run.reading(0, 20)
    assert run.reading(1, 31) == [(FIRING, FIRED), (INACTIVE, NONE)]
    assert run.reading(2, 4) == [(INACTIVE, RESOLVED), (FIRING, FIRED)]
    assert run.reading(3, 31) == [(FIRING, FIRED), (INACTIVE, RESOLVED)]


def test_cooldown_is_over_on_a_board_whatever_its_ticks():
    # Long after a firing the ticks stand where they stood then.
    for silence_s in (3600, 2 * 86400):
        run = _Run({"above": 30, "cooldown": "1h"}, mask=BOARD_MASK, start_ms=5000)
        run.reading(0, 20)
        assert run.reading(1, 31) == FIRES
        assert run.reading(2, 20) == OVER
        seconds = 2
        while seconds < (BOARD_MASK + 1) / 1000 - silence_s:
            seconds += silence_s
            run.tick(seconds)
            run.reading(seconds, 20)
        seconds = (BOARD_MASK + 1) // 1000 + 3
        run.tick(seconds)
        assert run.reading(seconds, 31) == FIRES, silence_s


def test_first_reading_after_days_of_silence_counts_whatever_its_time():
    run = _Run({"above": 30}, mask=BOARD_MASK)
    run.reading(0, 20)
    days_s = DURATION_MS_MAX // 1000 + 10
    run.tick(days_s)
    assert run.reading(days_s + 1, 31, taken=5) == [(PENDING, NONE)]  # late, and not out of order
    assert run.watch.late_total == 0


def test_clock_that_is_set_ends_no_state_and_begins_all_times_anew():
    run = _Run({"above": 30, "for": 10}, {"missing": 60}, {"above": 30, "keep_for": 10})
    run.reading(0, 31)
    run.watch.restart(run.at(100000))
    states = [alert.state for alert in run.watch.alerts]
    assert states == [PENDING, INACTIVE, FIRING]
    assert run.tick(100009) == [(PENDING, NONE), (INACTIVE, NONE), (FIRING, NONE)]
    assert run.tick(100010) == [(FIRING, FIRED), (INACTIVE, NONE), (FIRING, NONE)]
    assert run.tick(100059)[1] == (INACTIVE, NONE)
    assert run.tick(100060)[1] == (FIRING, FIRED)
