"""Lanes take turns: a back-off for each, a circuit for all."""

import random

import pytest
from host.fakes import FakeClock, FixedRandom
from pyv_edge_agent.lane import CIRCUIT_FAILURES, BackOff, Lane, Lanes
from pyv_edge_agent.sinks.delivery import FAILED, REFUSED, THROTTLED, UNAUTHORISED, Delivery

BACK_OFF = BackOff(1.0, 60.0)
DOWN = Delivery(FAILED, "down")
BAD = Delivery(REFUSED, "400")


class Rig:
    def __init__(self, share=1.0):
        self.clock = FakeClock()
        lanes = [Lane(name, lambda: False) for name in ("a", "b", "c")]
        self.lanes = Lanes(lanes, self.clock, FixedRandom(share))

    def fail(self, name, delivery=DOWN):
        self.lanes.failed(self.lanes[name], delivery, BACK_OFF)

    def may_try(self):
        return [lane.name for lane in self.lanes.in_turn() if self.lanes.may_try(lane)]


@pytest.fixture
def rig():
    return Rig()


@pytest.mark.parametrize(
    ("attempts", "longest_s"), [(0, 1), (1, 2), (5, 32), (6, 60), (10**9, 60)]
)
def test_back_off_doubles_up_to_its_end(attempts, longest_s):
    assert BACK_OFF.wait_s(attempts, DOWN, FixedRandom(1.0)) == longest_s
    assert BACK_OFF.wait_s(attempts, DOWN, FixedRandom(0.0)) == 0
    assert 0 <= BACK_OFF.wait_s(attempts, DOWN, random.Random(1)) <= longest_s


def test_sink_may_ask_for_more_time_but_not_for_ever():
    assert BACK_OFF.wait_s(0, Delivery(THROTTLED, "", 5.0), FixedRandom(0.0)) == 5
    assert BACK_OFF.wait_s(0, Delivery(THROTTLED, "", 1e9), FixedRandom(0.0)) == 60


def test_who_is_not_let_in_waits_longest_at_once():
    assert BACK_OFF.wait_s(0, Delivery(UNAUTHORISED), FixedRandom(1.0)) == 60


def test_lane_that_waits_holds_up_no_other(rig):
    rig.fail("a")
    assert rig.may_try() == ["b", "c"]
    assert rig.lanes.wait_s(9.0) == 1.001
    rig.clock.advance(1001)
    assert rig.may_try() == ["a", "b", "c"]
    assert rig.lanes.wait_s(9.0) == 9.0


def test_circuit_opens_when_nothing_gets_through(rig):
    for _ in range(CIRCUIT_FAILURES - 1):
        rig.fail("a")
    assert not rig.lanes.is_circuit_open
    assert rig.may_try() == ["b", "c"]
    rig.fail("a")
    assert rig.lanes.is_circuit_open
    assert rig.may_try() == []
    assert [lane.name for lane in rig.lanes.in_turn()] == ["b", "c", "a"]


def test_first_success_lets_everything_go(rig):
    for _ in range(CIRCUIT_FAILURES):
        rig.fail("a")
    rig.lanes.accepted(rig.lanes["b"])
    assert not rig.lanes.is_circuit_open
    assert rig.may_try() == ["b", "c", "a"]


def test_success_of_another_lane_leaves_a_back_off_while_the_circuit_is_closed(rig):
    rig.fail("a")
    rig.lanes.accepted(rig.lanes["b"])
    assert rig.may_try() == ["b", "c"]


def test_sink_that_refuses_does_answer(rig):
    for _ in range(2 * CIRCUIT_FAILURES):
        rig.fail("a", BAD)
    assert not rig.lanes.is_circuit_open
    assert rig.lanes["a"].is_refused
    assert rig.may_try() == ["b", "c"]


def test_retry_forgets_all_waits(rig):
    for _ in range(CIRCUIT_FAILURES):
        rig.fail("a")
    rig.lanes.retry()
    assert not rig.lanes.is_circuit_open
    assert len(rig.may_try()) == 3
    rig.fail("b")
    assert rig.lanes.wait_s(9.0) == 1.001
