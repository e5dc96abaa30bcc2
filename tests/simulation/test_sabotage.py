"""The simulation can fail: what is broken on purpose is found by the invariant that it breaks."""

import pytest
from pyv_edge_agent.admission import Pin
from pyv_edge_core import message, requester
from simulation import disobedience, sabotage, sabotage_of_times
from simulation.clock_faults import ClockPlan
from simulation.plan import make_plan
from simulation.run import run
from simulation.world import Sabotage

CASES = {
    "losing store": (
        lambda: Sabotage(wrap_store=sabotage.LosingStore),
        "each number is accounted for",
    ),
    "repeating store": (
        lambda: Sabotage(wrap_store=sabotage.RepeatingStore),
        "each number once and in order",
    ),
    "shuffling store": (
        lambda: Sabotage(wrap_store=sabotage.ShufflingStore),
        "each number",
    ),
    "gapless store": (
        lambda: Sabotage(wrap_store=sabotage.GaplessStore),
        "each number is accounted for",
    ),
    "store without the host's events": (
        lambda: Sabotage(wrap_store=sabotage.DeafStore),
        "events of the host's rules",
    ),
    "store without the boards' events": (
        lambda: Sabotage(wrap_store=sabotage.MuteStore),
        "events of the board's rules",
    ),
    "miscounting store": (
        lambda: Sabotage(wrap_store=sabotage.MiscountingStore),
        "the ledger balances",
    ),
    "store that acknowledges before it commits": (
        lambda: Sabotage(wrap_store=sabotage.HastyStore),
        "acknowledged is stored",
    ),
    "wire that alters values and mends the FCS": (
        lambda: Sabotage(tamper=sabotage.alter_frames()),
        "stored is what was sampled",
    ),
    "link that doubles": (
        lambda: Sabotage(wrap_put=sabotage.doubling_inbox()),
        "stored is",
    ),
    "link that never comes back": (
        lambda: Sabotage(wrap_put=sabotage.closing_inbox()),
        "the link comes back",
    ),
    "clock that creeps": (
        lambda: Sabotage(clock=sabotage.CreepingClock),
        "a time segment is what the clock was",
    ),
    "store that dates a reading wrong": (
        lambda: Sabotage(wrap_store=sabotage_of_times.MisdatingStore),
        "the true time lies within its bound",
    ),
    "store that dates events of the host's rules wrong": (
        lambda: Sabotage(wrap_store=sabotage_of_times.LateStore),
        "events of the host's rules",
    ),
    "store that dates events of boards wrong": (
        lambda: Sabotage(wrap_store=sabotage_of_times.LateBoardStore),
        "events of boards are dated as readings are",
    ),
    "clock whose steps are seen late": (
        lambda: Sabotage(clock=sabotage_of_times.LaggingClock),
        "nothing is dated by a clock that has been set since",
    ),
}
UNSET_CASES = {
    "store that marks no time": (
        lambda: Sabotage(wrap_store=sabotage_of_times.UnmarkedStore),
        "a time says what it is worth",
    ),
    "store that corrects twice": (
        lambda: Sabotage(wrap_store=sabotage_of_times.TwiceStore),
        "the true time lies within its bound",
    ),
    "store that corrects nothing": (
        lambda: Sabotage(wrap_store=sabotage_of_times.ForgetfulStore),
        "what was unset is corrected",
    ),
    "clock that says it is right": (
        lambda: Sabotage(clock=sabotage_of_times.ConfidentClock),
        "a time segment is what the clock was",
    ),
}


# What is broken, which faults it takes, and the invariant that finds it.
REQUEST_CASES = {
    "wire that alters what is asked": (
        lambda: Sabotage(tamper=disobedience.alter_commands(value=1)),
        [],
        "done is what was asked",
    ),
    "wire that gives more time": (
        lambda: Sabotage(tamper=disobedience.alter_commands(until_s=30)),
        ["delay", "repeat", "board_stall"],
        "nothing is done too late",
    ),
    "board that does not do it": (
        lambda: Sabotage(spoil_app=disobedience.do_not),
        [],
        "safe mode measures nothing",
    ),
    "board that does it twice": (
        lambda: Sabotage(spoil_app=disobedience.do_twice),
        [],
        "done at most once",
    ),
    "board that resets at once": (
        lambda: Sabotage(spoil_app=disobedience.reset_at_once),
        [],
        "a reset loses nothing",
    ),
    "link that never answers": (
        lambda: Sabotage(spoil_link=disobedience.never_answer),
        [],
        "every request is answered",
    ),
    "link that says done of what it gives up": (
        lambda: Sabotage(spoil_link=disobedience.expire_as(message.RESULT_DONE)),
        ["silence_to_board"],
        "done means once",
    ),
    "link that says not sent of what it gives up": (
        lambda: Sabotage(spoil_link=disobedience.expire_as(requester.NOT_SENT)),
        ["silence_from_board"],
        "not sent means never",
    ),
}


SETTINGS_CASES = {
    "board that goes on with settings that fail": (
        lambda: Sabotage(spoil_app=disobedience.keep_bad_settings),
        "bad settings are taken back",
    ),
    "flash that alters what it renames": (
        lambda: Sabotage(spoil_app=disobedience.spoil_renames),
        "old settings or new ones, whole",
    ),
    "board that does not wait for its host": (
        lambda: Sabotage(spoil_app=disobedience.reset_at_once),
        "a reset loses nothing",
    ),
}


@pytest.mark.parametrize("case", SETTINGS_CASES)
def test_damage_to_settings_is_found(case):
    make, invariant = SETTINGS_CASES[case]
    for seed in range(40, 48):
        plan = _plan(seed=seed)
        plan.duration_s = 1200
        plan.push_every_s = 40
        assert run(plan).problem == ""
        outcome = run(plan, None, make())
        if outcome.problem:
            break
    assert outcome.problem.startswith(invariant), outcome.problem


@pytest.mark.parametrize("case", REQUEST_CASES)
def test_disobedience_is_found(case):
    make, kinds, invariant = REQUEST_CASES[case]
    for seed in range(40, 48):  # some take a coincidence of a request and a fault
        plan = _plan(kinds, 20, seed) if kinds else _plan(seed=seed)
        plan.ask_every_s = 4
        outcome = run(plan)
        assert outcome.problem == "" and outcome.strikes["identify"] > 0
        outcome = run(plan, None, make())
        if outcome.problem:
            break
    assert outcome.problem.startswith(invariant), outcome.problem


def _plan(kinds=(), fault_every_s=10**9, seed=40):
    """Return a world of ten minutes; that of seed 40 has one board with rules of both kinds."""
    plan = make_plan(seed, 600)
    plan.kinds = list(kinds)
    plan.has_clock_steps = False
    plan.clock = ClockPlan()
    plan.has_attacks = False
    for board in plan.boards:
        board.link_key = ""
    plan.ask_every_s = plan.push_every_s = 0
    plan.fault_every_s = fault_every_s
    return plan


@pytest.mark.parametrize("case", CASES)
def test_sabotage_is_found(case):
    make, invariant = CASES[case]
    plan = _plan()
    if case == "gapless store":
        plan = _plan(["away"], 60)
        plan.boards[0].capacity = 48
    if case == "clock whose steps are seen late":
        plan = _plan(["clock_forward"], 60)
        plan.has_clock_steps = True
    assert run(plan).problem == ""
    outcome = run(plan, None, make())
    assert outcome.problem.startswith(invariant), outcome.problem


def test_agent_that_takes_any_board_on_any_line_is_found():
    plan = _plan(["swap"], 60, seed=13)
    assert run(plan).problem == ""
    pins = {board.alias: Pin(accept_new=True) for board in plan.boards}
    outcome = run(plan, None, Sabotage(pins=pins))
    assert outcome.problem.startswith("events of the host's rules"), outcome.problem


@pytest.mark.parametrize("case", UNSET_CASES)
def test_sabotage_of_a_clock_that_is_not_set_is_found(case):
    make, invariant = UNSET_CASES[case]
    plan = _plan()
    plan.clock = ClockPlan(off_ms=-86_400_000, set_s=200)
    assert run(plan).problem == ""
    outcome = run(plan, None, make())
    assert outcome.problem.startswith(invariant), outcome.problem


SEAL_CASES = {
    "wire on which all comes twice": (
        lambda: Sabotage(tamper=sabotage.double_frames()),
        [],
        "a link turns away what is not its board's, and no more",
    ),
    "link that trusts whoever speaks": (
        lambda: Sabotage(unlock=sabotage.trust_all),
        ["forge"],
        "stored is what was sampled",
    ),
}


@pytest.mark.parametrize("case", SEAL_CASES)
def test_sabotage_of_seals_is_found(case):
    make, kinds, invariant = SEAL_CASES[case]
    plan = _plan(kinds, 5 if kinds else 10**9)
    for board in plan.boards:
        board.link_key = "of 16 bytes or more"
    assert run(plan).problem == ""
    outcome = run(plan, None, make())
    assert outcome.problem.startswith(invariant), outcome.problem


def test_what_raises_is_a_finding():
    def wrap(put):
        def fail(link, event):
            raise ZeroDivisionError("by sabotage")

        return fail

    outcome = run(_plan(), None, Sabotage(wrap_put=wrap))
    assert outcome.problem.startswith("nothing raises: at ")
    assert "by sabotage" in outcome.problem
