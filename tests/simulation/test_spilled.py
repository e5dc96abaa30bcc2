"""Boards that keep readings on their flash: seeds with little else, spills that are broken."""

from collections import Counter
from random import Random

import pytest
from pyv_edge_agent import over_timeline
from pyv_edge_agent.dating import Dating
from simulation import spilled
from simulation.clock_faults import ClockPlan
from simulation.plan import make_plan
from simulation.run import run
from simulation.world import Sabotage

CHUNK = {"size_kb": 32, "pages_per_day": 20_000, "after_s": 5}


def plan_of(seed, kinds=("sensor_fails",)):
    """Return a world in which boards lose their power while the agent is away, and little else."""
    plan = make_plan(seed, 3600)
    plan.kinds = list(kinds)
    plan.has_clock_steps = plan.has_attacks = False
    plan.clock = ClockPlan()
    plan.ask_every_s = plan.push_every_s = 0
    for board in plan.boards:
        board.spill = dict(CHUNK)
        board.capacity = Random(seed).choice((64, 512))
    return plan


@pytest.mark.parametrize("seed", range(1, 7))
def test_what_is_on_the_flash_comes_through(seed):
    outcome = run(plan_of(seed))
    assert outcome.problem == ""
    assert outcome.strikes["boot_over"] > 0


def test_everything_strikes():
    strikes = Counter()
    for seed in range(7, 12):
        strikes.update(run(plan_of(seed)).strikes)
    assert all(strikes[name] for name in spilled.STRIKES), strikes


# -- broken on purpose -----------------------------------------------------------------


def removes_too_early(app):
    """Remove the oldest page although nobody has it."""
    if app.spill is None:
        return
    pages = app.spill.pages

    def remove(telemetry, events):
        for index in range(len(pages._entries)):
            pages._flash.remove("spill/%08x" % pages._entries[index][0])
            pages._forget(index)
            return True
        return False

    pages.remove_released = remove


def forgets_what_is_saved(app):
    """Lose a page from the index as it is written."""
    if app.spill is None:
        return
    pages = app.spill.pages
    save = pages.save

    def forgetful(*arguments):
        save(*arguments)
        if len(pages) > 1:
            pages._forget(0)

    pages.save = forgetful


def mixes_up_numbers(app):
    """Read the records behind those that are asked for."""
    if app.spill is None:
        return
    page = app.spill.pages.page
    read = page.read

    def shifted(stream, seq, count_max):
        count, base_s, base_ms, records = read(stream, seq, count_max)
        return count, base_s, base_ms, records[8:] + records[:8]

    page.read = shifted


def claims_more_than_it_knows(link):
    """Say of each estimate that it is twice as good."""

    class Bold(over_timeline.OverTimeline):
        def bound(self, first_uptime_ms, last_uptime_ms):
            offset_ms, error_ms = super().bound(first_uptime_ms, last_uptime_ms)
            return offset_ms, error_ms // 8

    learn = Dating.learn

    def bold(self, exchange):
        if exchange.end_ms >= 0 and exchange.boot not in self._timelines:
            while len(self._timelines) > 1:
                self._timelines.pop(next(iter(self._timelines)))
            self._timelines[exchange.boot] = Bold()
        learn(self, exchange)

    dating = link.dialogue.dating
    dating.learn = bold.__get__(dating)


CASES = {
    "a page that is removed too early": (
        Sabotage(spoil_app=removes_too_early),
        "a page goes when it is stored",
    ),
    "a page that is forgotten": (
        Sabotage(spoil_app=forgets_what_is_saved),
        "a page goes when it is stored",
    ),
    "a page that is read wrong": (
        Sabotage(spoil_app=mixes_up_numbers),
        "stored is what was sampled",
    ),
    "a bound that is too narrow": (
        Sabotage(spoil_link=claims_more_than_it_knows),
        "the true time lies within its bound",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_broken_spill_is_found(name):
    sabotage, invariant = CASES[name]
    problems = []
    for seed in range(1, 9):
        problems.append(run(plan_of(seed), sabotage=sabotage).problem)
        if invariant in problems[-1]:
            return
    raise AssertionError(problems)
