"""SystemClock: what the kernel says, asked seldom; and what if it says nothing."""

import os

from pyv_edge_agent.clock import SystemClock


class Kernel:
    """A SystemClock whose kernel is the test."""

    def __init__(self, *states):
        self.states = list(states)
        self.asked = 0
        self.now_ms = 0
        self.clock = SystemClock()
        self.clock._adjtimex = self.adjtimex
        self.clock.monotonic_ms = lambda: self.now_ms

    def adjtimex(self, buffer):
        assert buffer.raw[:4] == bytes(4)  # nothing is to be set
        self.asked += 1
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def is_synchronised(self, after_ms=1000):
        self.now_ms += after_ms
        return self.clock.is_synchronised()


def test_kernel_is_asked_and_can_say_either():
    # 1 to 4: a leap second is near, which does not make the clock wrong.
    for state, expected in ((0, True), (1, True), (4, True), (5, False)):
        assert Kernel(state).is_synchronised() is expected


def test_kernel_is_asked_once_a_second():
    kernel = Kernel(5, 0)
    assert not kernel.is_synchronised()
    for _ in range(9):
        assert not kernel.is_synchronised(100)
    assert kernel.asked == 1
    assert kernel.is_synchronised(100)
    assert kernel.asked == 2


def test_kernel_that_may_not_be_asked_is_told_once_and_not_asked_again(log):
    kernel = Kernel(-1)
    for _ in range(5):
        assert not kernel.is_synchronised()
    assert kernel.asked == 1
    (line,) = log.warnings()
    assert "can't ask the kernel whether the clock is synchronised" in line
    assert 'time.source = "trusted"' in line


def test_library_without_the_call_is_told_once(log):
    kernel = Kernel(0)

    def missing(buffer):
        raise AttributeError("undefined symbol: adjtimex")

    kernel.clock._adjtimex = missing
    assert not kernel.is_synchronised()
    assert not kernel.is_synchronised()
    assert len(log.warnings()) == 1


def test_kernel_of_this_computer_answers(log):
    clock = SystemClock()
    assert clock.is_synchronised() in (True, False)
    assert log.warnings() == [] or not clock.is_synchronised()


def test_boot_of_the_computer_has_a_name_where_there_is_proc():
    clock = SystemClock()
    assert clock.boot_id() == clock.boot_id()
    assert bool(clock.boot_id()) == os.path.exists("/proc/sys/kernel/random/boot_id")
