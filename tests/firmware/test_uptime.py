"""Uptime stays right over the wrap of a board's ticks."""

from check import without_heap
from pyv_edge_core.session import elapsed_ms
from pyv_edge_node.uptime import Uptime

_WRAP = 2**30


def test_starts_at_zero_whatever_the_ticks():
    for now_ms in (0, 1, 12345, _WRAP - 1):
        uptime = Uptime(now_ms)
        uptime.update(now_ms)
        assert (uptime.s, uptime.ms) == (0, 0), now_ms


def test_milliseconds_carry_into_seconds():
    uptime = Uptime(100)
    for now_ms, expected in (
        (101, (0, 1)),
        (1099, (0, 999)),
        (1100, (1, 0)),
        (3605, (3, 505)),
        (3605, (3, 505)),
        (1000100, (1000, 0)),
    ):
        uptime.update(now_ms)
        assert (uptime.s, uptime.ms) == expected, now_ms


def test_over_the_wrap():
    for before, after in ((1, 0), (1, 1), (500, 1500), (1000, 0)):
        uptime = Uptime(_WRAP - before)
        uptime.update(after)
        assert uptime.s * 1000 + uptime.ms == before + after, (before, after)


def test_longest_step():
    uptime = Uptime(7)
    uptime.update(6)  # 2**30 - 1 ms later
    assert uptime.s * 1000 + uptime.ms == _WRAP - 1


def test_thirty_days_in_uneven_steps():
    end_ms = 30 * 86400 * 1000
    for start in (0, 987654321):
        uptime = Uptime(start)
        true_ms = 0
        steps = (1, 250, 999, 1000, 61003, 900001, 7200007)
        index = 0
        while true_ms < end_ms:
            true_ms += steps[index % len(steps)]
            index += 1
            uptime.update((start + true_ms) % _WRAP)
            assert 0 <= uptime.ms <= 999
            assert (uptime.s, uptime.ms) == (true_ms // 1000, true_ms % 1000), true_ms
        assert uptime.s >= 30 * 86400


def test_update_needs_no_heap():
    start_ms = _WRAP - 10000
    back_ms = _WRAP - 20
    uptime = Uptime(start_ms)

    def thousand_rounds():
        now_ms = start_ms
        count = 0
        while count < 1000:
            now_ms = elapsed_ms(now_ms, back_ms)  # 20 ms later; the sum may have 31 bits
            uptime.update(now_ms)
            count += 1

    without_heap(thousand_rounds)
    assert (uptime.s, uptime.ms) == (20, 0)
