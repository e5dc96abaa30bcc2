"""Conditions at their edges: each kind by itself, exact on every channel."""

from check import later, without_heap
from pyv_edge_core.alert import BOARD_MASK, HOST_MASK
from pyv_edge_core.condition import make_condition
from pyv_edge_core.rule import read_rules

HEAP_KB_MIN = 112  # the cases alone, as bytecode and objects, take most of 64


def _condition(table, exponent=0, mask=HOST_MASK):
    values = {"name": "it"}
    values.update(table)
    return make_condition(read_rules([values])[0], exponent, mask)


def _judge(condition, readings, mask=HOST_MASK):
    return [condition.test(time_ms & mask, value) for time_ms, value in readings]


# -- levels ------------------------------------------------------------------------


def test_levels_in_units_of_the_channel():
    for exponent, level, greatest in (
        (0, "30", 30),
        (-2, "30", 3000),
        (-1, "30.05", 300),
        (-1, "-30.05", -301),
        (2, "30", 0),
        (2, "-30", -1),
        (3, "5000", 5),
        (-9, "0.000000001", 1),
        (-9, "1e-10", 0),
        (9, "1e9", 1),
    ):
        above = _condition({"above": level}, exponent)
        assert above.test(0, greatest) is False, (exponent, level)
        assert above.test(0, greatest + 1) is True, (exponent, level)
        assert above.test(0, greatest) is False, (exponent, level)
        # Of a below rule the same numbers with the other sign.
        other = level[1:] if level[0] == "-" else "-" + level
        below = _condition({"below": other}, exponent)
        assert below.test(0, -greatest) is False, (exponent, level)
        assert below.test(0, -greatest - 1) is True, (exponent, level)


def test_levels_of_one_rule_may_need_different_denominators():
    for levels, clear in ((["2.5", "8.25"], [3, "7.125"]), (["2.525", 8], ["3.5", 7])):
        outside = _condition({"outside": levels, "clear": clear}, 0)
        assert _judge(outside, [(0, 3), (0, 8)]) == [False, False], levels
        assert _judge(outside, [(0, 2), (0, 3), (0, 4)])[::2] == [True, False], levels
        assert _judge(outside, [(0, 9), (0, 8), (0, 7)]) == [True, True, False], levels


def test_range_in_which_nothing_changes_is_as_wide_as_can_be():
    cases = (
        ({"above": "30.05"}, -1, (None, 300)),
        ({"above": "-30.05"}, -1, (None, -301)),
        ({"below": "30.05"}, -1, (301, None)),
        ({"below": "-30.05"}, -1, (-300, None)),
        ({"outside": ["2.5", "7.5"]}, 0, (3, 7)),
        ({"outside": [2, 7], "clear": ["2.5", "6.5"]}, 0, (2, 7)),
        ({"outside": [2, 7]}, -1, (20, 70)),
        ({"above": 30.5}, None, (None, 30.5)),
    )
    for table, exponent, expected in cases:
        level = _condition(table, exponent)
        assert level.quiet == expected, table
        for value in expected:
            if value is not None:
                assert level.test(0, value) is False, table
        low, high = expected
        assert low is None or level.test(0, low - 1) is True, table
        level.is_true = False
        assert high is None or level.test(0, high + 1) is True, table


def test_plain_numbers():
    outside = _condition({"outside": ["-0.5", 30.5]}, None)
    values = (-0.5, -0.75, 30.5, 30.75, 0, 31)
    assert [outside.test(0, value) for value in values] == [False, True, False, True, False, True]


def test_level_s_state_outlives_a_restart():
    level = _condition({"above": 30, "clear": 20})
    level.test(0, 31)
    level.restart()
    assert level.save() == [1]
    other = _condition({"above": 30, "clear": 20})
    other.restore(level.save())
    assert other.test(0, 25) is True and other.test(0, 20) is False and other.save() == [0]


# -- rates -------------------------------------------------------------------------


def test_rate_is_unknown_until_readings_cover_half_of_its_window():
    rate = _condition({"rate_above": 0, "window": 10})
    assert _judge(rate, [(0, 1), (0, 5), (4999, 9), (5000, 9)]) == [None, None, None, True]
    rate.restart()
    assert _judge(rate, [(6000, 0), (10999, 0), (11000, 0)]) == [None, None, False]


def test_rate_is_exact():
    # A third of a tenth per second for two minutes, against levels a hair beside it.
    for level, expected in (("0.033333333", True), ("0.033333334", False)):
        rate = _condition({"rate_above": level, "window": 120}, -1)
        rate.test(0, 0)
        assert rate.test(120000, 40) is expected, level
    for per, level in ((1, "0.5"), ("1m", 30), ("1h", 1800), ("10ms", "0.005")):
        rate = _condition({"rate_above": level, "per": per, "window": 10})
        assert _judge(rate, [(0, 0), (10000, 5), (20000, 10), (30000, 16)])[1:] == [
            False,
            False,
            True,
        ], per


def test_rate_below_and_its_clear_level():
    rate = _condition({"rate_below": -2, "clear": -1, "window": 1})
    readings = [(0, 0), (1000, -2), (2000, -5), (3000, -7), (4000, -8), (5000, -10)]
    assert _judge(rate, readings) == [None, False, True, True, False, False]
    assert rate.save() == [0]
    rate.restore([1])
    assert rate.test(6000, -12) is True


def test_rate_over_a_gap_is_that_of_the_gap():
    rate = _condition({"rate_above": 1, "window": 10})
    readings = [(0, 0), (5000, 5), (3600000, 3600), (7200000, 7400), (7205000, 7400)]
    assert _judge(rate, readings) == [None, False, False, True, True]
    # The reading before the gap is the oldest for one window more.
    assert _judge(rate, [(7209999, 7400), (7210000, 7400)]) == [True, False]


def test_rate_looks_back_a_window_but_for_an_eighth():
    # A jump of 100, then nothing: true as long as a reading before it is in the window.
    for interval_ms in (1, 10, 125, 126, 500, 999):
        rate = _condition({"rate_above": 0, "window": 1})
        time_ms = 0
        while time_ms < 3000:
            rate.test(time_ms, 0)
            time_ms += interval_ms
        jump_ms = time_ms
        while rate.test(time_ms, 100):
            time_ms += interval_ms
        assert 1000 <= time_ms - jump_ms + interval_ms <= 1000 + 125 + 2 * interval_ms, interval_ms


def test_rate_with_many_readings_in_the_smallest_windows():
    for window_ms in (1, 7, 8, 9, 64):
        rate = _condition({"rate_above": 999, "window": "%dms" % window_ms})
        came = [rate.test(time_ms, time_ms) for time_ms in range(200)]
        unknown = (window_ms + 1) // 2 if window_ms > 1 else 1
        assert came == [None] * unknown + [True] * (200 - unknown), window_ms


def test_rate_over_the_wrap_of_ticks():
    start_ms = BOARD_MASK - 15000
    rate = _condition({"rate_above": "0.5", "window": 10}, 0, BOARD_MASK)
    readings = [(start_ms + second * 1000, second) for second in range(40)]
    assert _judge(rate, readings, BOARD_MASK) == [None] * 5 + [True] * 35


# -- aggregates --------------------------------------------------------------------


def test_mean_is_compared_without_division():
    mean = _condition({"above": "33.3333333333", "aggregate": "mean", "window": 60}, -1)
    assert _judge(mean, [(0, 333), (1000, 333), (2000, 334)]) == [False, False, True]
    mean = _condition({"above": "33.3333333334", "aggregate": "mean", "window": 60}, -1)
    assert _judge(mean, [(0, 333), (1000, 333), (2000, 334)]) == [False, False, False]


def test_count_has_no_exponent():
    for exponent in (-3, 0, 3, None):
        count = _condition({"above": "2.5", "aggregate": "count", "window": 60}, exponent)
        readings = [(0, 5), (1000, 5), (2000, 5)]
        assert _judge(count, readings) == [False, False, True], exponent


def test_each_aggregate_on_a_channel_of_hundredths():
    readings = [(0, 150), (1000, -50), (2000, 200)]
    for aggregate, value in (
        ("mean", "1"),
        ("min", "-0.5"),
        ("max", "2"),
        ("sum", "3"),
        ("count", "3"),
        ("range", "2.5"),
    ):
        for level, expected in (("-0.001", True), ("0", False), ("0.001", False)):
            text = "%de-3" % (int(float(value) * 1000) + int(float(level) * 1000))
            table = {"above": text, "aggregate": aggregate, "window": 60}
            came = _judge(_condition(table, -2), readings)[-1]
            assert came is expected, (aggregate, text)


def test_tumbling_is_unknown_until_a_window_is_over():
    table = {"above": 0, "aggregate": "sum", "window": 10, "step": 10}
    total = _condition(table)
    readings = [(5000, 1), (9999, -2), (10000, 9), (19999, 9), (20000, -9), (60000, 9)]
    assert _judge(total, readings) == [None, None, False, False, True, False]
    total.restart()
    assert _judge(total, [(70000, 1), (80000, 1)]) == [None, True]
    assert total.save() == [1]


def test_aggregate_with_a_late_reading():
    mean = _condition({"above": 30, "aggregate": "mean", "window": 12})
    assert mean.test(20000, 30) is False
    assert mean.window.add(15000, 33) is True
    assert mean.window.add(1000, 3300) is False
    assert mean.test(21000, 30) is True


def test_window_over_the_wrap_of_ticks():
    start_ms = BOARD_MASK - 15000
    table = {"above": 9, "aggregate": "count", "window": 12}
    count = _condition(table, 0, BOARD_MASK)
    readings = [(start_ms + second * 1000, second) for second in range(40)]
    assert _judge(count, readings, BOARD_MASK) == [False] * 9 + [True] * 31


# -- stuck, deadband, present ------------------------------------------------------


def test_stuck_within_a_range_whatever_way_it_goes():
    stuck = _condition({"stuck": 10, "within": 2})
    readings = [(0, 5), (4000, 7), (8000, 5), (9999, 6), (10000, 7), (11000, 4), (20999, 5)]
    assert _judge(stuck, readings) == [False] * 4 + [True, False, False]
    assert stuck.test(21000, 6) is True
    assert stuck.test(22000, 7) is False  # 4..7


def test_stuck_within_what_the_channel_can_t_show():
    for within, exponent, step in (("0.25", -1, 2), ("0.2", -1, 2), (0, 0, 0), ("25", 1, 2)):
        stuck = _condition({"stuck": 1, "within": within}, exponent)
        assert _judge(stuck, [(0, 0), (1000, step)])[1] is True, within
        assert _judge(stuck, [(2000, step + 1)]) == [False], within
    stuck = _condition({"stuck": 1, "within": "0.25"}, None)
    assert _judge(stuck, [(0, 0.0), (1000, 0.25), (2000, 0.5)]) == [False, True, False]


def test_stuck_stays_so_beyond_the_wrap_of_ticks():
    stuck = _condition({"stuck": "1h"}, 0, BOARD_MASK)
    time_ms = 0
    came = []
    for _ in range(700):  # of half an hour: 14 days, ticks wrap after 12
        came.append(stuck.test(time_ms & BOARD_MASK, 5))
        time_ms += 1800000
    assert time_ms > BOARD_MASK
    assert came == [False, False] + [True] * 698


def test_stuck_over_a_restart():
    stuck = _condition({"stuck": 10, "within": 1})
    _judge(stuck, [(1000, 5), (2000, 6)])
    other = _condition({"stuck": 10, "within": 1})
    other.restore(stuck.save())
    assert _judge(other, [(10999, 5), (11000, 6), (12000, 7)]) == [False, True, False]
    other.restart()
    assert _judge(other, [(500, 7), (10499, 7), (10500, 7)]) == [False, False, True]


def test_deadband_measures_from_the_last_event():
    moved = _condition({"deadband": 2})
    assert _judge(moved, [(0, 10), (0, 12), (0, 8), (0, 13)]) == [False, False, False, True]
    assert moved.test(0, 14) is True
    moved.fired()
    assert _judge(moved, [(0, 16), (0, 12), (0, 11)]) == [False, False, True]
    moved.restart()
    other = _condition({"deadband": 2})
    other.restore(moved.save())
    other.fired()
    assert _judge(other, [(0, 13), (0, 14)]) == [False, True]


def test_deadband_of_what_the_channel_can_t_show():
    for size, exponent, still in (("0.25", -1, 2), ("0.29", -1, 2), ("0.3", -1, 3), ("9", 1, 0)):
        for sign in (1, -1):
            moved = _condition({"deadband": size}, exponent)
            came = _judge(moved, [(0, 0), (0, still * sign), (0, (still + 1) * sign)])
            assert came == [False, False, True], (size, sign)


def test_a_measurement_that_is_there_is_not_missing():
    present = _condition({"missing": 10})
    assert _judge(present, [(0, 0), (10**9, -5)]) == [False, False]
    present.restart()
    present.restore(present.save())
    assert present.save() == [] and present.quiet == (None, None)


def test_conditions_need_no_heap():
    tables = (
        {"above": "30.05", "clear": 28},
        {"rate_above": 1, "window": 10},
        {"below": 3, "aggregate": "mean", "window": 60},
        {"below": 3, "aggregate": "range", "window": 60, "step": 60},
        {"stuck": 10, "within": 2},
        {"deadband": 2},
        {"missing": 10},
    )
    for table in tables:
        condition = _condition(table, -1, BOARD_MASK)

        def thousand_rounds(test=condition.test):
            time_ms = BOARD_MASK - 500000
            value = 0
            while value < 1000:
                time_ms = later(time_ms, 1000)
                test(time_ms, value % 17)
                value += 1

        without_heap(thousand_rounds)
