"""Plays one seed through and says what came of it."""

import gc
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

from .broken import Broken
from .invariants import check
from .world import World

_MEMORY = Path("/dev/shm")  # where a commit costs no disk its life


@dataclass
class Outcome:
    """What one run has given."""

    seed: int
    problem: str = ""  # "" if every invariant held
    strikes: Counter = field(default_factory=Counter)
    totals: Counter = field(default_factory=Counter)
    maxima: dict = field(default_factory=dict)


def run(plan, write_trace=None, sabotage=None):
    """Play `plan` through and check it; never raises for what the code under test does."""
    place = str(_MEMORY) if _MEMORY.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="pyv-edge-", dir=place))
    outcome = Outcome(plan.seed)
    world = None
    gc.freeze()  # a board collects its garbage with each VITALS, and ours is not its own
    try:
        (folder / "0").mkdir()
        world = World(plan, folder, write_trace, sabotage)
        world.run()
        outcome.strikes = world.strikes
        _add_totals(outcome, world, check(world))
    except Broken as error:
        outcome.problem = str(error)
    except Exception:  # whatever it is, it is a finding, and others are still to run
        at_s = world.queue.now_us / 1e6 if world is not None else 0
        outcome.problem = "nothing raises: at %.6f s:\n%s" % (at_s, traceback.format_exc())
    finally:
        gc.unfreeze()
        if world is not None:
            world.disk.close()
        rmtree(folder)
    return outcome


def _add_totals(outcome, world, checked):
    boots = [truth for board in world.boards for truth in board.boots]
    outcome.totals.update(
        {
            "device seconds": len(world.boards) * world.queue.now_us // 1_000_000,
            "boots": len(boots),
            "runs of the agent": world.agent.runs,
            "commits": world.disk.commits_total,
            "acknowledgements": world.acks_total,
            "sampled": checked.sampled,
            "stored": checked.stored,
            "denied": checked.denied,
            "aggregated": checked.aggregated,
            "lost": checked.lost,
            "in flight": checked.in_flight,
            "gaps": checked.gaps,
            "events of boards": checked.events_of_boards,
            "events of the host": checked.events_of_host,
            "resends": sum(board.resends_total for board in world.boards),
            "duplicates seen": world.agent.duplicates_total,
            "dated back": checked.dated_back,
            "input overflows": sum(board.overflow_total for board in world.boards),
        }
    )
    outcome.maxima["largest error_ms"] = checked.error_ms_max
