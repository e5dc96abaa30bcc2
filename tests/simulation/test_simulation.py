"""Seeds that run with every test; that a seed is a seed; that each fault strikes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulation import clock_faults, seals
from simulation.__main__ import told
from simulation.faults import CLOCK_KINDS, KINDS, STRIKES
from simulation.plan import make_plan
from simulation.report import ALL_KINDS_FROM, Report
from simulation.run import Outcome, run

TESTS = Path(__file__).parents[1]
# Of the kinds of faults, those that are counted under other names than their own.
STRIKE_OF = {
    "flip": "flipped",
    "lose": "lost",
    "double": "doubled",
    "reorder": "reordered",
    "delay": "delayed",
    "repeat": "repeated",
    "cut": "cable_cut",
    "kill_in_commit": "killed_in_commit",
    "kill_before_ack": "killed_before_ack",
    "away": "full_ring",
    "swap": "quarantined",
    "replay": "replay_earlier",
    "forge": "forge_unsealed",
}


@pytest.mark.parametrize("seed", range(1, 21))
def test_every_reading_of_a_simulated_hour_is_accounted_for(seed):
    outcome = run(make_plan(seed))
    assert outcome.problem == "", f"make simulate SEED={seed}"
    assert outcome.totals["device seconds"] >= 3600
    assert outcome.totals["sampled"] > 0 and outcome.totals["stored"] > 0


def _trace(seed, hash_seed):
    command = [sys.executable, "-m", "simulation", "--seed", str(seed), "--minutes", "10"]
    path = os.pathsep.join([str(TESTS), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": str(hash_seed)}
    return subprocess.run(command, env=environment, capture_output=True, check=True).stdout


def test_a_seed_gives_the_same_trace_in_any_process():
    first = _trace(9, 1)
    assert first.count(b"\n") > 500
    assert _trace(9, 2) == first
    assert _trace(10, 1) != first


@pytest.mark.parametrize("kind", [*KINDS, *CLOCK_KINDS, *clock_faults.KINDS, *seals.KINDS])
def test_fault_of_each_kind_strikes_and_loses_nothing(kind):
    plan = make_plan(5, 1800)
    plan.kinds = [kind]
    plan.has_clock_steps = kind in CLOCK_KINDS
    plan.clock = clock_faults.ClockPlan()
    plan.fault_every_s = 10
    if kind == "swap":
        plan = make_plan(13, 3600)
        plan.kinds = [kind]
    if kind in seals.KINDS:
        plan.boards[0].link_key = "of 16 bytes or more"
    if kind == "away":
        plan.duration_s = 3600
        for board in plan.boards:
            board.capacity = 48
            board.spill = None
    outcome = run(plan)
    assert outcome.problem == ""
    strike = STRIKE_OF.get(kind, kind)
    assert strike in STRIKES
    assert outcome.strikes[strike] > 0


def test_without_faults_nothing_is_lost_or_repeated_and_times_are_exact():
    plan = make_plan(3, 1200)
    plan.fault_every_s = 10**9
    plan.clock = clock_faults.ClockPlan()
    plan.ask_every_s = plan.push_every_s = 0
    for board in plan.boards:
        board.spill = None
        board.latency_us = 1000
        board.byte_rate = 92160
    outcome = run(plan)
    assert outcome.problem == ""
    assert not set(outcome.strikes) - {"sensor_fails"}
    for name in ("lost", "in flight", "gaps", "resends", "duplicates seen", "dated back"):
        assert outcome.totals[name] == 0, name
    assert outcome.maxima["largest error_ms"] < 100  # live, over a good line


def test_broken_seed_is_told_with_the_command_that_replays_it():
    lines = told(Outcome(77, "order: 3 before 2"), 3600)
    assert lines == ["seed 77: order: 3 before 2", "  replay: make simulate SEED=77"]
    assert told(Outcome(77, "x"), 600)[1] == "  replay: make simulate SEED=77 MINUTES=10"


def test_report_fails_for_a_broken_seed_and_for_a_fault_that_never_struck():
    every_kind = dict.fromkeys(STRIKES, 1)
    good, lazy, broken = Report(), Report(), Report()
    for seed in range(ALL_KINDS_FROM):
        outcome = Outcome(seed)
        lazy.add(outcome)
        outcome = Outcome(seed)
        outcome.strikes.update(every_kind)
        good.add(outcome)
    assert good.is_good
    assert not lazy.is_good and lazy.missing == list(STRIKES)
    broken.add(Outcome(4, "something"))
    assert not broken.is_good and broken.failed == [4]
