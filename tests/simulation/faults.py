"""Everything that goes wrong on purpose: one function per kind, in a table.

A function begins its fault at a board or at the host, and returns what ends it,
or None if it is over at once. Each calls `world.struck(name)`, or lets the place
that it arms do so, when it really hits something: what begins and finds nothing
to spoil is not counted.
To add a kind: write the function, put it into KINDS, and see that something
counts its strikes under one of STRIKES.
"""

from . import asking, clock_faults, pushing, seals, spilled
from .wire import DELAY, REPEAT


def _damage(line_name, kind):
    def begin(world, board, rng):
        lines = [board.cable.up, board.cable.down]
        line = lines[0] if line_name == "up" else rng.choice(lines)
        line.damages[kind] = line.damages.get(kind, 0) + 1

        def end():
            line.damages[kind] -= 1
            if not line.damages[kind]:
                del line.damages[kind]

        return end

    return begin


def _silence(line_name):
    def begin(world, board, rng):
        line = getattr(board.cable, line_name)
        line.silences += 1

        def end():
            line.silences -= 1

        return end

    return begin


def _cut_cable(world, board, rng):
    world.struck("cable_cut")
    board.cable.cut()
    return board.cable.mend


def _reset_board(world, board, rng):
    if board.app is None:
        return None
    world.struck("board_reset")
    board.cut_power()
    if board.plan.is_usb:
        board.cable.cut()  # its USB goes with it

    cable = board.cable

    def end():
        if board.plan.is_usb:
            cable.mend()
        board.boot()

    return end


def _swap_boards(world, board, rng):
    """Plug two boards into each other's cables, and back.

    Only boards that the agent knows: it takes the first one on each cable, whichever it is.
    """
    others = [one for one in world.boards if one is not board and one.is_like(board)]
    if not board.is_known or not others:
        return None
    other = rng.choice(others)
    if not other.is_known or board.is_astray or other.is_astray:
        return None
    world.struck("boards_swapped")
    board.swap(other)

    def end():
        board.swap(other)

    return end


def _stall_board(world, board, rng):
    if board.app is not None:
        world.struck("board_stall")
        board.stall(world.queue.now_us + rng.randrange(200, 20_000) * 1000)


def _fail_sensor(world, board, rng):
    board.failing += 1

    def end():
        board.failing -= 1

    return end


def _kill_agent(world, board, rng):
    if not world.agent.is_alive:
        return None
    world.struck("agent_kill")
    world.agent.die()
    return world.agent.start


def _stop_agent(world, board, rng):
    world.agent.stop()
    if world.agent.is_alive:
        return None  # it was in the middle of something
    world.struck("agent_stop")
    return world.agent.start


def _kill_at_commit(place):
    def begin(world, board, rng):
        world.disk.kill_at = place

        def end():
            world.disk.kill_at = ""
            world.agent.start()

        return end

    return begin


def _lie_about_commit(world, board, rng):
    world.disk.lies = 1


def _lend_port(world, board, rng):
    """Let another program have a port; it is taken back, or that ends by itself."""
    place = world.boards.index(board)

    def answered(future):
        if future.exception() is None:  # else the agent has stopped, or it was taken back before
            world.struck("port_lent")

    def end():
        for thread in world.agent.links[place : place + 1]:  # none if the agent is not there
            thread.link.loan.take_back()

    for thread in world.agent.links[place : place + 1]:
        thread.link.loan.lend(rng.randrange(1000, 90_000)).add_done_callback(answered)
    return end


def _set_clock(sign):
    def begin(world, board, rng):
        world.struck("clock_forward" if sign > 0 else "clock_back")
        step_ms = sign * rng.choice((1500, 20_000, 90_000, 3_600_000))
        world.clock.step(step_ms)
        world.trace("host clock", "is set by %d ms" % step_ms)

    return begin


def _slow_disk(world, board, rng):
    world.disk.slowness_ms = rng.choice((200, 2000, 9000))

    def end():
        world.disk.slowness_ms = 0

    return end


def _full_disk(world, board, rng):
    world.disk.full += 1
    world.disk.settle_size()

    def end():
        world.disk.full -= 1
        world.disk.settle_size()

    return end


def _leave_alone(world, board, rng):
    """Take the agent away for as long as some ring lasts, and longer."""
    if not world.agent.is_alive:
        return None
    world.agent.die()
    return world.agent.start


# name: how it begins, longest duration in seconds
KINDS = {
    "flip": (_damage("any", "flipped"), 30),
    "lose": (_damage("any", "lost"), 30),
    "double": (_damage("any", "doubled"), 30),
    "reorder": (_damage("any", "reordered"), 30),
    "delay": (_damage("any", DELAY), 30),
    "repeat": (_damage("any", REPEAT), 30),
    "traceback": (_damage("up", "traceback"), 30),
    "silence_from_board": (_silence("up"), 40),
    "silence_to_board": (_silence("down"), 40),
    "cut": (_cut_cable, 30),
    "board_reset": (_reset_board, 4),
    "board_stall": (_stall_board, 1),
    "swap": (_swap_boards, 60),
    "sensor_fails": (_fail_sensor, 20),
    "agent_kill": (_kill_agent, 20),
    "agent_stop": (_stop_agent, 10),
    "kill_in_commit": (_kill_at_commit("before"), 10),
    "kill_before_ack": (_kill_at_commit("after"), 10),
    "commit_lies": (_lie_about_commit, 1),
    "slow_disk": (_slow_disk, 30),
    "full_disk": (_full_disk, 40),
    "away": (_leave_alone, 600),
    "port_lent": (_lend_port, 60),
}
CLOCK_KINDS = {
    "clock_forward": (_set_clock(1), 1),
    "clock_back": (_set_clock(-1), 1),
}
_RARE = {"away": 0.3}

# What is counted, and must have happened at least once in a long run.
STRIKES = (
    *("flipped", "lost", "doubled", "reordered", "delayed", "repeated", "traceback"),
    *("silence_from_board", "silence_to_board", "cable_cut"),
    *("board_reset", "board_stall", "sensor_fails", "full_ring", "boards_swapped", "quarantined"),
    *("agent_kill", "agent_stop", "killed_in_commit", "killed_before_ack", "commit_lies"),
    *("slow_disk", "killed_while_slow", "full_disk", "clock_forward", "clock_back", "port_lent"),
    *clock_faults.STRIKES,
    *seals.STRIKES,
    *asking.STRIKES,
    *pushing.STRIKES,
    *spilled.STRIKES,
)


def schedule(world, rng):
    """Put the faults of a whole run into the world's queue; all end before its `heal_us`."""
    kinds = world.plan.kinds or list(KINDS)
    table = KINDS | CLOCK_KINDS | clock_faults.KINDS | seals.KINDS
    if world.plan.has_clock_steps:
        kinds = [*kinds, *CLOCK_KINDS]
    kinds = [*kinds, *world.plan.clock.kinds]
    if world.plan.has_attacks:
        kinds = [*kinds, *seals.KINDS]
    at_us = 0
    while True:
        at_us += int(rng.expovariate(1 / world.plan.fault_every_s) * 1_000_000)
        if at_us >= world.heal_us:
            return
        name = rng.choice(kinds)
        if rng.random() >= _RARE.get(name, 1):
            continue
        world.queue.at(at_us, _Fault(world, rng, name, table[name]).begin)


class _Fault:
    """One fault of a schedule."""

    def __init__(self, world, rng, name, entry):
        self._world = world
        self._name = name
        self._begin, longest_s = entry
        self._board = rng.choice(world.boards)
        self._duration_us = int(rng.uniform(0.05, longest_s) * 1_000_000)
        self._rng = rng
        self._end = None

    def begin(self, _):
        world = self._world
        world.trace("fault", "%s begins at %s" % (self._name, self._board.plan.name))
        self._end = self._begin(world, self._board, self._rng)
        if self._end is not None:
            world.queue.at(min(world.queue.now_us + self._duration_us, world.heal_us), self.end)

    def end(self, _):
        self._world.trace("fault", "%s ends" % self._name)
        self._end()
