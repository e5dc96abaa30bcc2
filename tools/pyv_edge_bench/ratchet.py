"""Tightens the ceilings of tools/budgets.toml to what the bench has found; never loosens one.

python -m pyv_edge_bench.ratchet [--json FILE] [--budgets FILE]

A ceiling is the worst of the repeats and some room: 2 % for sizes and counts, 10 % for ratios,
which differ a little from one machine to the next. Times and rates get none, since they are
of one machine and of what else it did. A ratio of 0 gets none, since nothing was measured. A
figure that misses its goal gets a first ceiling by hand, since it needs a reason.
"""

import argparse
import math
import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from . import bench_file, budgets, registry
from .budgets import Goal
from .figure import Figure

ROOM = {"ratio": 0.10, "of the line": 0.10, "bytes": 0.02, "commits": 0.02}
_RATIOS = ("ratio", "of the line")

_SECTION = "[ceilings]"
_COMMENT = "# Meets its goal, and gets no worse than it was."


@dataclass(frozen=True)
class Step:
    """A ceiling that gets stricter, or begins."""

    name: str
    old: Goal | None
    new: Goal

    def __str__(self) -> str:
        return f"{self.name}: {self.new}" + ("" if self.old is None else f", was {self.old}")


def is_empty(figure: Figure) -> bool:
    """Return whether a ratio is 0 in any repeat: nothing was measured then."""
    return figure.measured.unit in _RATIOS and 0 in figure.measured.values


def ceiling(figure: Figure) -> Goal | None:
    """Return what a figure's repeats allow a ceiling to be; None where there is to be none."""
    room = ROOM.get(figure.measured.unit)
    if figure.goal is None or room is None or not figure.measured.is_enough:
        return None
    if is_empty(figure):
        return None
    values, margin = figure.measured.values, room * abs(figure.value)
    is_less_better = figure.goal.direction == "<="
    limit = max(values) + margin if is_less_better else max(0.0, min(values) - margin)
    scale = 1 if limit >= 1000 else 1000
    rounded = math.ceil(limit * scale) if is_less_better else math.floor(limit * scale)
    return Goal(figure.goal.direction, rounded / scale)


def steps(figures: list[Figure], goals: dict[str, Goal], ceilings: dict[str, Goal]) -> list[Step]:
    """Return the ceilings that can be tightened: each is stricter than what holds today."""
    found = []
    for figure in figures:
        name = figure.measured.name
        if name not in goals:
            continue
        new, old = ceiling(figure), ceilings.get(name)
        if new is None or new.direction != goals[name].direction:
            continue
        if new.is_stricter(old or goals[name]):
            found.append(Step(name, old, new))
    return found


def rewritten(text: str, changes: list[Step]) -> str:
    """Return the text of a budgets.toml with these ceilings, all else as it was.

    Raises ValueError if it has no [ceilings], or a ceiling is not on a line of its own.
    """
    head, found, tail = text.partition(f"\n{_SECTION}\n")
    if not found or re.search(r"^\[", tail, re.MULTILINE):
        raise ValueError(f"the last table has to be {_SECTION}; move it to the end")
    for step in changes:
        line = f'"{step.name}" = "{step.new}"'
        if step.old is None:
            tail = f"{tail.rstrip()}\n\n{_COMMENT}\n{line}\n"
            continue
        was = f'"{step.name}" = "{step.old}"'
        if was not in tail.splitlines():
            raise ValueError(f"{step.name}: has to be on a line of its own: {was}")
        tail = tail.replace(f"{was}\n", f"{line}\n")
    return head + found + tail.lstrip("\n")


def tighten(path: Path, changes: list[Step]) -> None:
    """Write these ceilings into a budgets.toml. Raises ValueError, in one line that names it."""
    try:
        text = rewritten(path.read_text(encoding="utf-8"), changes)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; make it writable") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def main(arguments: list[str], names: Collection[str] = registry.FIGURES) -> int:
    """Run the command line, where figures are called `names`; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="pyv_edge_bench.ratchet", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--json", type=Path, default=bench_file.PATH, metavar="FILE")
    parser.add_argument("--budgets", type=Path, default=budgets.PATH, metavar="FILE")
    options = parser.parse_args(arguments)
    path = options.budgets
    try:
        figures = bench_file.read(options.json).figures
        goals, ceilings = (budgets.load(path, table, names) for table in budgets.TABLES)
        found = steps(figures, goals, ceilings)
        tighten(path, found)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for figure in figures:
        if figure.goal is not None and is_empty(figure):
            print(f"{figure.measured.name} is 0: nothing was measured, so it gets no ceiling")
    for step in found:
        print(step)
    print(f"{path.name}: {len(found)} ceilings are tighter, none is looser.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
