"""A board whose prompt nobody uses boots again, on a `machine` that is played."""

import gc

from check import raises
from fakes.machine import Machine, Reset
from pyv_edge_node.board import prompt
from pyv_edge_node.board.esp32 import Esp32
from pyv_edge_node.board.machine_board import MachineBoard
from pyv_edge_node.board.rp2 import Rp2

_PICO = "Raspberry Pi Pico W with RP2040"


class _Heap:
    """Has what is needed of `gc`."""

    taken = 1000

    def mem_alloc(self):
        return self.taken


def _at_prompt(machine, chip):
    """Return the heap and the timer of a board that boots when it is idle for 30 s: 6 looks."""
    heap = _Heap()
    MachineBoard(machine, chip, machine.clock, heap).boot_when_idle(30_000)
    assert len(machine.Timer.made) == 1
    return heap, machine.Timer.made[0]


def test_prompt_that_nobody_uses_ends_in_a_boot():
    pico, esp32 = Machine("rp2"), Machine("esp32")
    for machine, chip, number in ((pico, Rp2(pico, _PICO), -1), (esp32, Esp32(esp32, ""), 0)):
        _, timer = _at_prompt(machine, chip)
        assert timer.number == number
        assert (timer.options["period"], timer.options["mode"]) == (5000, timer.PERIODIC)
        for _ in range(5):
            timer.fire()
        raises(Reset, timer.fire)


def test_prompt_that_somebody_uses_stays():
    machine = Machine("rp2")
    heap, timer = _at_prompt(machine, Rp2(machine, _PICO))
    for taken in (1016, 1000, 1032):  # a collection may take more than a statement has
        for _ in range(5):
            timer.fire()
        heap.taken = taken
        timer.fire()
    for _ in range(5):
        timer.fire()
    raises(Reset, timer.fire)


def test_looking_takes_no_heap():
    """Else each look would be a sign of use. The timer locks the heap, and this counts it."""
    if not hasattr(gc, "mem_alloc"):  # CPython's
        return
    machine = Machine("rp2")
    board = MachineBoard(machine, Rp2(machine, _PICO), machine.clock)
    board.boot_when_idle(300_000)
    look = machine.Timer.made[0].options["callback"]
    gc.collect()
    is_reset = False
    try:
        for _ in range(61):  # the first one finds what the collection has changed
            look(None)
    except Reset:
        is_reset = True
    assert is_reset


def test_timer_is_kept_when_the_board_is_forgotten():
    """An RP2 stops a timer to which nothing leads."""
    machine = Machine("rp2")
    _, timer = _at_prompt(machine, Rp2(machine, _PICO))
    assert [watch._timer for watch in prompt._watches] == [timer]
