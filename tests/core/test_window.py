"""Buckets aligned to the clock: exact, in any order, over the wrap of a board's ticks."""

from check import later, numbers_from, raises, without_heap
from pyv_edge_core.errors import FieldError
from pyv_edge_core.window import PANE_COUNT_MAX, Rollup, Summary, Window

# As in alert, which would bring half of the core along.
BOARD_MASK = 0x3FFFFFFF
HOST_MASK = 0x3FFFFFFFFFFFFFFF


def _shown(summary):
    return (summary.count, summary.total, summary.low, summary.high, summary.last)


def _of(*pairs):
    summary = Summary()
    for time_ms, value in pairs:
        summary.add(time_ms, value)
    return summary


def test_summary_adds_in_any_order():
    assert _shown(_of()) == (0, 0, 0, 0, 0)
    assert _shown(_of((5, 7))) == (1, 7, 7, 7, 7)
    assert _shown(_of((5, -7), (3, 9), (9, 2))) == (3, 4, -7, 9, 2)
    # Of two of the same time the later taken is the last.
    assert _shown(_of((5, 1), (5, 2), (4, 3))) == (3, 6, 1, 3, 2)
    summary = _of((5, 1))
    summary.bad_count = 3
    summary.clear()
    assert _shown(summary) == (0, 0, 0, 0, 0) and summary.bad_count == 0


def test_merged_summaries_are_as_if_taken_together():
    readings = ((1, 4), (2, -3), (9, 8), (5, 0), (7, 7))
    for split in range(len(readings) + 1):
        for is_swapped in (False, True):
            parts = [_of(*readings[:split]), _of(*readings[split:])]
            if is_swapped:
                parts.reverse()
            parts[0].bad_count = 2
            parts[1].bad_count = 3
            parts[0].merge(parts[1])
            assert _shown(parts[0]) == _shown(_of(*readings)), split
            assert parts[0].bad_count == 5


def test_window_limits():
    for length_ms, step_ms in ((10, 0), (10, -5), (10, 3), (0, 1), (5, 10), (65, 1), (-10, 5)):
        text = str(raises(FieldError, Window, length_ms, step_ms, HOST_MASK))
        expected = "step: %d ms does not divide %d ms into 1 to 64 panes" % (step_ms, length_ms)
        assert text == expected
    Window(PANE_COUNT_MAX, 1, HOST_MASK)
    Window(7, 7, HOST_MASK)


def test_sliding_window_forgets_pane_by_pane():
    window = Window(30, 10, HOST_MASK)
    for time_ms, value in ((105, 1), (112, 2), (129, 3)):
        assert window.add(time_ms, value) is True
    assert _shown(window.total) == (3, 6, 1, 3, 3)
    window.add(130, 4)  # panes 110, 120, 130
    assert _shown(window.total) == (3, 9, 2, 4, 4)
    window.add(150, 5)  # panes 130, 140, 150
    assert _shown(window.total) == (2, 9, 4, 5, 5)
    window.add(180, 6)
    assert _shown(window.total) == (1, 6, 6, 6, 6)
    window.add(100000, 7)
    assert _shown(window.total) == (1, 7, 7, 7, 7)
    assert window.late_total == 0


def test_late_readings_go_where_they_belong():
    window = Window(30, 10, HOST_MASK)
    window.add(125, 1)
    for time_ms, is_in in ((121, True), (119, True), (110, True), (109, True), (100, True)):
        assert window.add(time_ms, time_ms) is is_in, time_ms
    for time_ms in (99, 90, 0):
        assert window.add(time_ms, 1000) is False, time_ms
    assert window.late_total == 3
    assert window.total.count == 6
    window.add(130, 2)  # 100 and 109 leave
    assert (window.total.count, window.total.low, window.total.high) == (5, 1, 121)
    window.add(140, 2)  # 110 and 119 leave
    assert (window.total.count, window.total.total) == (4, 1 + 121 + 2 + 2)
    assert window.total.last == 2


def test_tumbling_window_is_one_pane():
    window = Window(60, 60, HOST_MASK)
    assert window.is_over(0) is False and window.is_over(10**9) is False, "nothing has come yet"
    window.add(61, 1)
    window.add(119, 2)
    for time_ms, is_over in ((119, False), (120, True), (500, True), (60, False), (59, False)):
        assert window.is_over(time_ms) is is_over, time_ms
    assert window.add(59, 9) is False
    assert _shown(window.total) == (2, 3, 1, 2, 2)
    window.add(120, 5)
    assert _shown(window.total) == (1, 5, 5, 5, 5)


def test_restart_forgets():
    window = Window(30, 10, HOST_MASK)
    window.add(1000, 5)
    window.restart()
    assert _shown(window.total) == (0, 0, 0, 0, 0)
    assert window.is_over(2000) is False
    window.add(7, 1)
    window.add(10, 2)
    assert _shown(window.total) == (2, 3, 1, 2, 2)
    window.add(30, 3)
    assert _shown(window.total) == (2, 5, 2, 3, 3)


def test_windows_do_not_notice_the_wrap_of_ticks():
    numbers = numbers_from(7)
    # The board's ticks wrap in the middle of the run, at no round time.
    start_ms = (BOARD_MASK + 1) // 10 * 10 - 2000
    board = Window(200, 10, BOARD_MASK)
    host = Window(200, 10, HOST_MASK)
    assert (start_ms + 4000) & BOARD_MASK < 2000
    time_ms = start_ms
    for step in range(400):
        time_ms += next(numbers) % 20
        value = next(numbers) - 30000
        late_ms = next(numbers) % 300 if next(numbers) % 4 == 0 else 0
        taken_ms = max(start_ms, time_ms - late_ms)
        kept = board.add(taken_ms & BOARD_MASK, value)
        assert kept is host.add(taken_ms, value), step
        # `last` is by wall time, which a board has not.
        assert _shown(board.total)[:4] == _shown(host.total)[:4], step
        over = board.is_over((time_ms + 10) & BOARD_MASK)
        assert over is host.is_over(time_ms + 10), step
    assert time_ms > BOARD_MASK and host.late_total == board.late_total > 0


def test_window_needs_no_heap():
    window = Window(640, 10, BOARD_MASK)

    def thousand_rounds():
        time_ms = BOARD_MASK - 5000
        left = 1000
        while left:
            time_ms = later(time_ms, 7)
            window.add(time_ms, left)
            window.add((time_ms - 300) & BOARD_MASK, left)
            window.is_over(time_ms)
            left -= 1

    without_heap(thousand_rounds)
    assert window.total.count > 0


def test_rollup_gathers_what_is_new():
    rollup = Rollup(60000)
    assert (len(rollup), rollup.buckets(), rollup.period_ms) == (0, [], 60000)
    assert rollup.add(120001, 5, False) is True
    assert rollup.add(179999, 7, False) is False
    assert rollup.add(180000, 0, True) is True
    assert rollup.add(60000, 3, False) is True  # late: a bucket that was stored long ago
    assert rollup.add(60001, 0, True) is False
    assert len(rollup) == 3
    buckets = rollup.buckets()
    assert [start_ms for start_ms, _ in buckets] == [60000, 120000, 180000]
    assert [_shown(summary) for _, summary in buckets] == [
        (1, 3, 3, 3, 3),
        (2, 12, 5, 7, 7),
        (0, 0, 0, 0, 0),
    ]
    assert [summary.bad_count for _, summary in buckets] == [1, 0, 1]


def test_masks_and_periods_that_make_no_sense_are_refused():
    for mask in (5, BOARD_MASK - 1, 0, 0xFFFF):
        assert "mask" in str(raises(FieldError, Window, 60000, 1000, mask)), mask
    for period_ms in (0, -7):
        assert "period_ms" in str(raises(FieldError, Rollup, period_ms)), period_ms
