"""Measures the figures that are named, all without a name; ends with 1 if a goal is missed.

python -m pyv_edge_bench [--json FILE] [NAME...]

A NAME is a figure's or the start of several, such as `core`. Prints a table
and writes build/bench.json, whose objects `figure` describes.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from . import budgets, registry
from .bytecode import ROOT
from .figure import Figure, Measured, table

_JSON = ROOT / "build" / "bench.json"


def measure(
    name: str, run: Callable[[], list[Measured]], goals: dict[str, budgets.Goal]
) -> list[Figure]:
    """Return the figure `name` and whatever is measured with it by `run`, beside their goals."""
    command = f"make bench NAMES={name}"
    return [Figure(measured, goals.get(measured.name), command) for measured in run()]


def main(
    arguments: list[str], runs: Mapping[str, Callable[[], list[Measured]]] = registry.FIGURES
) -> int:
    """Run the command line, each figure by its one of `runs`; return the exit status."""
    parser = argparse.ArgumentParser(prog="pyv_edge_bench", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", type=Path, default=_JSON, metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        names = registry.chosen(options.names)
    except KeyError as error:
        parser.error(f"{error} is no figure; there are {', '.join(registry.FIGURES)}")
    goals = budgets.load()
    figures = []
    for name in names:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        try:
            figures += measure(name, runs[name], goals)
        except (FileNotFoundError, RuntimeError, ValueError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
    print(table(figures))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps([figure.as_json() for figure in figures], indent=1) + "\n")
    missed = [figure for figure in figures if not figure.is_ok]
    for figure in missed:
        print(f"{figure.measured.name} misses its goal; again: {figure.command}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
