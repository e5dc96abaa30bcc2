"""Measures the figures that are named; without a name all but `scale`.

python -m pyv_edge_bench [--json FILE] [--ceilings] [--list] [NAME...]

A NAME is a figure's or the start of several, such as `core`. Prints a table and writes
build/bench.json, with names build/bench-NAMES.json, joined by "+": `bench_file` describes it.
What can't be measured does not stop the others: without a program it is skipped, else it failed.

Ends with 2 if a measurement has failed, else with 1 if a figure misses its goal, else with 0.
With --ceilings, as `make check-long` has it, a figure's ceiling in tools/budgets.toml stands
for its goal, in the table too. With --list the names are printed, those of `scale` too, and
nothing is measured.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path

from . import bench_file, budgets, origin, registry
from .bench_file import Bench
from .figure import REPEATS_MIN, Figure, Measured, table

Runs = Mapping[str, Callable[[], list[Measured]]]
Goals = dict[str, budgets.Goal]

# What a measurement may raise without its being the bench's own fault.
_FAILURES = (
    ArithmeticError,
    AssertionError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
    subprocess.SubprocessError,
)


def measure(
    name: str,
    run: Callable[[], list[Measured]],
    goals: Goals,
    ceilings: Goals,
) -> list[Figure]:
    """Return the figure `name` and whatever is measured with it by `run`, beside their goals.

    Raises RuntimeError if it isn't among what `run` gives, and what `run` raises.
    """
    command = f"make bench NAMES={name}"
    found = run()
    if name not in [measured.name for measured in found]:
        raise RuntimeError(f"{name} is not among what was measured")
    return [
        Figure(measured, goals.get(measured.name), command, ceilings.get(measured.name))
        for measured in found
    ]


def measure_all(
    bench: Bench, names: list[str], runs: Runs, *, goals: Goals, ceilings: Goals
) -> None:
    """Add to `bench` what is named, in turn, and tell on stderr how long each has taken."""
    for number, name in enumerate(names, 1):
        print(f"[{number}/{len(names)}] {name}", end=" ", file=sys.stderr, flush=True)
        began_s = time.monotonic()
        try:
            bench.figures += measure(name, runs[name], goals, ceilings)
        except _FAILURES as error:
            # Ours is in words and says that a program is missing; the system's has a number.
            is_skipped = isinstance(error, FileNotFoundError) and error.errno is None
            kind = "skipped" if is_skipped else "failed"
            reason = str(error) or type(error).__name__
            (bench.skipped if is_skipped else bench.failed)[name] = reason
            print(f"{kind}: {reason.splitlines()[-1]};", end=" ", file=sys.stderr)
        bench.took_s[name] = round(time.monotonic() - began_s, 1)
        print(f"{bench.took_s[name]} s", file=sys.stderr, flush=True)


def report(bench: Bench, is_by_ceilings: bool) -> int:
    """Print what was found and what is amiss; return the exit status."""
    print(table(bench.figures, is_by_ceiling=is_by_ceilings))
    for figure in bench.figures:
        if not figure.measured.is_enough:
            count = len(figure.measured.values)
            print(f"{figure.measured.name}: fewer than {REPEATS_MIN} repeats ({count})")
    for name, reason in bench.skipped.items():
        print(f"{name} is skipped: {reason}")
    for name, reason in bench.failed.items():
        print(f"{name} has failed; again: make bench NAMES={name}\n{reason}")
    missed = [
        figure
        for figure in bench.figures
        if not (figure.is_allowed if is_by_ceilings else figure.is_ok)
    ]
    for figure in missed:
        limit = figure.allowed if is_by_ceilings else figure.goal
        what = "is worse than its ceiling" if limit is figure.ceiling else "misses its goal"
        value = f"{figure.judged} {figure.measured.unit}"
        print(f"{figure.measured.name} {what}: {value}, not {limit}; again: {figure.command}")
    return 2 if bench.failed else 1 if missed else 0


def show_names(names: list[str]) -> None:
    """Print a name a line; quietly less if nobody reads any more."""
    try:
        print("\n".join(names), flush=True)
    except BrokenPipeError:  # whoever reads, `head` perhaps, has enough
        # Python flushes what is left once more at its end, and would complain of the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: list[str], runs: Runs = registry.FIGURES, limits: Path = budgets.PATH) -> int:
    """Run the command line, each figure by its one of `runs`; return the exit status.

    Goals and ceilings are in the file `limits`.
    """
    parser = argparse.ArgumentParser(prog="pyv_edge_bench", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--ceilings", action="store_true", help="judge by ceilings, then goals")
    parser.add_argument("--list", action="store_true", help="print the names and measure nothing")
    options = parser.parse_args(arguments)
    try:
        if options.list:
            show_names(registry.listed(options.names))
            return 0
        names = registry.chosen(options.names)
        goals, ceilings = (
            budgets.load(limits, table, registry.FIGURES) for table in budgets.TABLES
        )
        path = options.json or bench_file.path_of(options.names)
        bench_file.prepare(path)
    except KeyError as error:
        parser.error(
            f"{error} is no figure, nor the start of one: groups are"
            f" {', '.join(registry.groups())}; NAMES=--list prints all names"
        )
    except ValueError as error:
        parser.error(str(error))
    bench = Bench(origin.describe(datetime.now(timezone.utc)))
    try:
        measure_all(bench, names, runs, goals=goals, ceilings=ceilings)
    finally:  # what has been measured before Ctrl-C counts
        bench_file.write(path, bench)
    return report(bench, options.ceilings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
