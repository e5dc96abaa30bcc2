"""Where a deploy can be cut, and what runs afterwards. FLASHING.md has the table.

Each is tried on a virtual board that runs set 1, by a deploy of set 2.
"""

import hashlib
from typing import NamedTuple

from flash_rig import Counting, CutLine, keep_set, put_on, tiny
from pyv_edge_tools.flash import hello, on_board
from pyv_edge_tools.flash.problem import FlashError
from virtual_rig import wait_up

OLD, NEW = "1", "2"


class Interruption(NamedTuple):
    """What happens, what runs at the next boot, and how it is made to happen."""

    where: str
    runs: str  # for readers
    firmware: str  # OLD or NEW
    interrupt: object  # a function of the board


def deploy(board, files=None, **more):
    """Deploy set 2, which something keeps from ending."""
    try:
        put_on(board, files or tiny(NEW), None, **more)
    except FlashError:
        return
    raise AssertionError("the deploy was not interrupted")


class StopsAt(Counting):
    """A prompt that loses its board when it is to run a program: before it, or behind it."""

    def __init__(self, board, mark, *, is_behind):
        super().__init__(str(board.path))
        self._board = board
        self._mark = mark
        self._is_behind = is_behind

    def run(self, program, timeout_s=30.0):
        is_it = self._mark in program
        if is_it and not self._is_behind:
            self._board.unplug()
        told = super().run(program, timeout_s)
        if is_it and self._is_behind:
            self._board.unplug()
        return told


def in_the_middle_of_a_file(board):
    digits = "".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(100))
    files = tiny(NEW, **{"large.py": f"# {digits}\n"})  # which no packing makes small
    deploy(board, files, through=lambda line: CutLine(line, 6000, board.unplug))


def at_the_first_look(board):
    deploy(board, through=lambda line: CutLine(line, 200, board.unplug))


def before_the_flip(board):
    deploy(board, repl=StopsAt(board, "begin_trial", is_behind=False))


def behind_the_flip(board):
    deploy(board, repl=StopsAt(board, "begin_trial", is_behind=True))


def power_fails_at_the_first_write_of_the_flip(board):
    cut_flip(board, 0)


def cut_flip(board, writes):
    class Failing(Counting):
        def run(self, program, timeout_s=30.0):
            if "begin_trial" in program:
                board.flash.cut_power_after(writes)
            return super().run(program, timeout_s)

    deploy(board, repl=Failing(str(board.path)))
    board.flash.keep_power()


def new_set_cannot_be_started(board):
    bad = tiny(NEW)
    bad["pyv_edge_node/start.py"] = b"import no_such_module\n"
    deploy(board, files=bad)


def new_set_is_never_kept(board):
    put_on(board, tiny(NEW), None)
    for _ in range(3):
        board.hard_reset()
        wait_up(board)
        with Counting(str(board.path)) as repl:
            assert hello.wait(repl).hello is not None


def new_set_is_kept_and_then_power_fails(board):
    put_on(board, tiny(NEW), None)
    keep_set(board)
    board.unplug()


def new_set_is_kept_and_damaged(board):
    put_on(board, tiny(NEW), None)
    keep_set(board)
    with Counting(str(board.path)) as repl:
        repl.enter()
        repl.run("f = open('app_b/pyv_edge_node/start.py', 'w'); f.write('('); f.close()")


def rolled_back(board):
    put_on(board, tiny(NEW), None)
    with Counting(str(board.path)) as repl:
        repl.enter()
        repl.run(on_board.ROLL_BACK)


INTERRUPTIONS = (
    Interruption(
        "the cable is pulled while the board is asked what it has",
        "the old set",
        OLD,
        at_the_first_look,
    ),
    Interruption(
        "the cable is pulled in the middle of a file",
        "the old set; what has come is used by the next deploy",
        OLD,
        in_the_middle_of_a_file,
    ),
    Interruption(
        "all is sent and verified, and power fails before the flip",
        "the old set",
        OLD,
        before_the_flip,
    ),
    Interruption(
        "power fails at the first write of the flip",
        "the old set",
        OLD,
        power_fails_at_the_first_write_of_the_flip,
    ),
    Interruption(
        "power fails behind the flip, before the board restarts",
        "the new set, on trial",
        NEW,
        behind_the_flip,
    ),
    Interruption(
        "the new set can't be started",
        "the old set, in the same boot",
        OLD,
        new_set_cannot_be_started,
    ),
    Interruption(
        "the new set has booted three times and was not kept",
        "the old set",
        OLD,
        new_set_is_never_kept,
    ),
    Interruption("`rollback`", "the old set", OLD, rolled_back),
    Interruption(
        "the new set was kept, and power fails",
        "the new set",
        NEW,
        new_set_is_kept_and_then_power_fails,
    ),
    Interruption(
        "the new set was kept, and its files are damaged later",
        "the old set: at once if the new one can't be imported, else after three restarts",
        OLD,
        new_set_is_kept_and_damaged,
    ),
)


def table():
    """Return the table for FLASHING.md."""
    rows = "".join(f"| {one.where} | {one.runs} |\n" for one in INTERRUPTIONS)
    return f"\n| what happens | what runs at the next boot |\n|---|---|\n{rows}\n"
