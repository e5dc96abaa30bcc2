"""Computers whose clock is wrong at first, is lost, or begins anew with the computer itself."""

from dataclasses import dataclass, field
from random import Random

from .clock import UTC_MS

_DAY_MS = 86_400_000
_HAND_MS = 7_200_000  # by how much people set a clock wrong at most


@dataclass
class ClockPlan:
    """What a world's clock goes through; without arguments nothing but what other faults do."""

    off_ms: int = 0  # at first; 0: it is right, and known to be
    by_hand_s: int | None = None  # when somebody sets it about right
    set_s: int | None = None  # when it is synchronised, None: never
    kinds: list[str] = field(default_factory=list)  # of KINDS


def make_clock_plan(seed, duration_s):
    """Return what the clock of a seed's world goes through."""
    rng = Random(f"clock plan {seed}")
    plan = ClockPlan(kinds=[name for name in KINDS if rng.random() < 0.25])
    if rng.random() < 0.35:
        plan.off_ms = rng.choice(
            (60_000 - UTC_MS, -1000 * _DAY_MS, -90_000, 1500, 20_000, 700 * _DAY_MS)
        )
        if rng.random() < 0.85:
            plan.set_s = rng.randrange(30, max(31, duration_s * 3 // 4))
        if rng.random() < 0.4:
            plan.by_hand_s = rng.randrange(20, max(21, plan.set_s or duration_s))
    return plan


class _Course:
    """The clock of one world, from wrong to right."""

    def __init__(self, world):
        self._world = world
        self._rng = Random(f"clock {world.plan.seed}")

    def set_by_hand(self, _):
        clock = self._world.true_clock
        if not clock.is_synchronised():
            off_ms = self._rng.randrange(-_HAND_MS, _HAND_MS)
            self._world.struck("clock_set_by_hand")
            self._world.trace("host clock", "is set by hand, wrong by %d ms" % off_ms)
            clock.set_off(off_ms)

    def synchronise(self, _):
        """Set it right; often on a disk that makes the correction last, and not to its end."""
        world, rng, queue = self._world, self._rng, self._world.queue
        if world.true_clock.is_synchronised():
            return
        world.struck("clock_unset")
        world.trace("host clock", "is synchronised")
        world.true_clock.synchronise()
        if queue.now_us + 40_000_000 >= world.heal_us:
            return
        if rng.random() < 0.6:
            world.disk.slowness_ms = rng.choice((2000, 9000))
            queue.at(queue.now_us + 30_000_000, self._speed_up)
        if rng.random() < 0.6:
            queue.at(queue.now_us + rng.randrange(12_000_000), self._kill)

    def _speed_up(self, _):
        self._world.disk.slowness_ms = 0

    def _kill(self, _):
        agent = self._world.agent
        if agent.is_alive:
            agent.die()
            self._world.queue.at(
                self._world.queue.now_us + self._rng.randrange(200, 10_000) * 1000, agent.start
            )


def schedule(world):
    """Put into the world's queue what its plan says of the clock."""
    plan = world.plan.clock
    course = _Course(world)
    for due_s, call in ((plan.by_hand_s, course.set_by_hand), (plan.set_s, course.synchronise)):
        if due_s is not None:
            world.queue.at(due_s * 1_000_000, call)


def _lose_clock(world, board, rng):
    clock = world.true_clock
    if not clock.is_synchronised():
        return None
    world.struck("clock_lost")
    clock.set_off(rng.choice((0, 0, 300, -2000, 90_000)))
    boot = clock.boot_id()

    def end():
        if clock.boot_id() == boot:  # else its next boot has its own course
            clock.synchronise()

    return end


def _reboot_host(world, board, rng):
    """Boot the computer: another monotonic clock, and often no notion of UTC."""
    if not world.agent.is_alive:
        return None
    world.struck("host_reboot")
    world.agent.die()
    clock = world.true_clock
    was_set = clock.is_synchronised()
    clock.reboot(rng.randrange(2000, 60_000))
    if was_set and rng.random() < 0.5:
        return world.agent.start
    clock.set_off(rng.choice((-3_600_000, -20_000, 60_000 - UTC_MS, 90_000)))
    if was_set:
        due_us = world.queue.now_us + rng.randrange(5, 120) * 1_000_000
        world.queue.at(min(due_us, world.heal_us), _Course(world).synchronise)
    return world.agent.start


# name: how it begins, longest duration in seconds
KINDS = {
    "clock_lost": (_lose_clock, 120),
    "host_reboot": (_reboot_host, 20),
}
STRIKES = (
    *("clock_unset", "clock_set_by_hand", "clock_lost", "host_reboot"),
    "killed_while_retiming",
)
