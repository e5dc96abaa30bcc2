"""Faults: what a seed makes of bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyv_edge_tools.bridge.chunk import TO_BOARD, TO_HOST
from pyv_edge_tools.bridge.fault import KINDS, RUN_MAX, WAITING_MAX, Faults, Plan

STREAM = bytes(index * 7 & 0xFF for index in range(20_000))
RATES = {"flip": 0.01, "loss": 0.002, "repeat": 0.002, "garbage": 0.002}


def passed(faults, stream, sizes, now_ms=0):
    out = b""
    for size in sizes:
        faults.feed(stream[:size], now_ms)
        stream = stream[size:]
        out += faults.take(now_ms)
    faults.feed(stream, now_ms)
    return out + faults.take(now_ms)


@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(0, 3000), max_size=10))
def test_a_seed_gives_the_same_faults_however_bytes_are_split(seed, sizes):
    whole, split = (Faults(Plan(seed, RATES), TO_HOST) for _ in range(2))
    assert passed(whole, STREAM, []) == passed(split, STREAM, sizes)
    assert whole.strikes == split.strikes
    assert whole.changed_bytes_total == split.changed_bytes_total


def test_seeds_and_directions_differ():
    made = {
        passed(Faults(Plan(seed, RATES), direction), STREAM, [])
        for seed in (1, 2)
        for direction in (TO_HOST, TO_BOARD)
    }
    assert len(made) == 4


def test_nothing_is_changed_without_faults():
    assert passed(Faults(Plan(1, {}), TO_HOST), STREAM, [100, 1, 1]) == STREAM
    assert passed(Faults(Plan(1, dict.fromkeys(KINDS, 0.0)), TO_HOST), STREAM, []) == STREAM


def test_more_of_one_kind_moves_no_other():
    alone = Faults(Plan(3, {"flip": 0.01}), TO_HOST)
    both = Faults(Plan(3, {"flip": 0.01, "garbage": 0.01}), TO_HOST)
    passed(alone, STREAM, [])
    passed(both, STREAM, [])
    assert alone.strikes["flip"] == both.strikes["flip"] > 100


@pytest.mark.parametrize("kind", ["flip", "loss", "repeat", "garbage"])
def test_each_kind_does_what_it_says(kind):
    faults = Faults(Plan(5, {kind: 0.005}), TO_HOST)
    out = passed(faults, STREAM, [])
    strikes = faults.strikes[kind]
    assert strikes > 50
    assert [name for name, count in faults.strikes.items() if count] == [kind]
    if kind == "flip":
        changed = [one ^ other for one, other in zip(out, STREAM, strict=True) if one != other]
        assert len(changed) == strikes == faults.changed_bytes_total
        assert all(bits.bit_count() == 1 for bits in changed)
    elif kind == "loss":
        assert 0 < len(STREAM) - len(out) == faults.changed_bytes_total <= strikes * RUN_MAX
    else:
        assert 0 < len(out) - len(STREAM) == faults.changed_bytes_total <= strikes * RUN_MAX


def test_cut_lasts_as_long_as_it_should():
    faults = Faults(Plan(1, {"cut": 1.0}, cut_ms=300), TO_HOST)
    faults.feed(b"a", 1000)
    faults.feed(b"b", 1299)
    assert faults.take(1299) == b""
    calm = Faults(Plan(1, {"cut": 1e-9}, cut_ms=300), TO_HOST)
    calm.feed(b"a", 1000)
    assert calm.take(1000) == b"a"


def test_delay_keeps_the_order_and_ends():
    faults = Faults(Plan(2, {"delay": 0.01}, delay_ms=50), TO_HOST)
    out = b""
    for now_ms in range(200):
        faults.feed(STREAM[now_ms * 100 : (now_ms + 1) * 100], now_ms)
        out += faults.take(now_ms)
    assert faults.strikes["delay"] > 50
    assert out != STREAM
    wait_ms = faults.wait_ms(200)
    assert wait_ms is not None
    assert 0 < wait_ms <= 50
    assert out + faults.take(200 + 50) == STREAM
    assert faults.wait_ms(300) is None


def test_what_a_delay_holds_back_is_bounded():
    faults = Faults(Plan(2, {"delay": 1.0}, delay_ms=1000), TO_HOST)
    faults.feed(bytes(WAITING_MAX), 0)
    faults.feed(b"more", 0)
    assert faults.overflow_bytes_total == 4
    assert len(faults.take(10_000)) == WAITING_MAX
