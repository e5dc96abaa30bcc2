"""Plays seeds through: many in all processors, or one with its trace.

python -m simulation --seeds N [--first S] [--processes P]
python -m simulation --seed S
python -m simulation --measure REPEATS    one JSON line each: readings, seconds of wall time

Ends with 1 if an invariant was broken, or if a kind of fault never struck in a long run.
"""

import argparse
import json
import os
import sys
import time
from functools import partial
from multiprocessing import Pool

from .plan import HOUR_S, make_busy_plan, make_plan
from .report import Report
from .run import run

_MEASURED_S = 300  # of simulated time in one repeat of --measure
_PROGRESS = 100  # seeds between two signs of life


def _play(duration_s, seed):
    return run(make_plan(seed, duration_s))


def play_one(seed, duration_s):
    """Print the trace of one seed and what came of it; return the exit status."""
    outcome = run(make_plan(seed, duration_s), print)
    report = Report()
    report.add(outcome)
    if outcome.problem:
        print(f"seed {seed}: {outcome.problem}")
    else:
        print(report.table())
    return 1 if outcome.problem else 0


def told(outcome, duration_s):
    """Return the lines about a seed whose run has failed."""
    minutes = "" if duration_s == HOUR_S else f" MINUTES={duration_s // 60}"
    return [
        f"seed {outcome.seed}: {outcome.problem}",
        f"  replay: make simulate SEED={outcome.seed}{minutes}",
    ]


def play_many(seeds, duration_s, processes):
    """Print what is broken, and the table of all; return the exit status."""
    report = Report()
    began_s = time.monotonic()
    with Pool(processes) as pool:
        for outcome in pool.imap(partial(_play, duration_s), seeds):
            report.add(outcome)
            if outcome.problem:
                print("\n".join(told(outcome, duration_s)), flush=True)
            if report.seeds % _PROGRESS == 0:
                seconds = time.monotonic() - began_s
                print(f"{report.seeds} seeds, {seconds:.0f} s", file=sys.stderr, flush=True)
    print(report.table())
    for name in report.missing:
        print(f"{name} never struck")
    if report.failed:
        print(f"{len(report.failed)} of {report.seeds} seeds failed: {report.failed}")
    return 0 if report.is_good else 1


def measure(repeats):
    """Print how many readings were simulated in how much time; return the exit status."""
    for seed in range(1, repeats + 1):
        began_s = time.perf_counter()
        outcome = run(make_busy_plan(seed, _MEASURED_S))
        seconds = time.perf_counter() - began_s
        if outcome.problem:
            print(f"seed {seed}: {outcome.problem}", file=sys.stderr)
            return 1
        line = {"readings": outcome.totals["sampled"], "s": seconds}
        line["faults"] = sum(outcome.strikes.values())
        print(json.dumps(line), flush=True)
    return 0


def main(arguments):
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one, with its trace")
    parser.add_argument("--minutes", type=int, default=HOUR_S // 60, help="of device time each")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--measure", type=int, metavar="REPEATS")
    options = parser.parse_args(arguments)
    if options.measure:
        return measure(options.measure)
    if options.seed is not None:
        return play_one(options.seed, options.minutes * 60)
    seeds = range(options.first, options.first + options.seeds)
    return play_many(seeds, options.minutes * 60, options.processes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
