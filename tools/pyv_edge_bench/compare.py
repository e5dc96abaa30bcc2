"""Tells what has changed between two files of `make bench`, beyond the spread of the repeats.

python -m pyv_edge_bench.compare OLD NEW

A figure has changed if the medians differ by more than 2 % and the ranges of the repeats, without
the highest and the lowest tenth, don't overlap. What never varies has changed if it differs, and
what must not happen, its goal being "<= 0", if its worst repeat does.

Better is what the goal says, else the goal of the figure whose name its own begins with, else less
of a time or a size and more of a rate.

The repeats follow one another: they don't tell how a machine differs from itself an hour later,
by what else it does. That moves times and rates, and ratios, sizes and counts hardly: only these
decide by having changed.

Ends with 1 if a goal is met no more, if a figure with a goal that is no time or rate is worse, or
if one with a goal is gone and not skipped in NEW; with 2 if a file can't be used. Times of two
machines and figures of too few repeats decide nothing.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from .bench_file import Bench, read
from .figure import Figure, aligned, shown
from .origin import MACHINE

SHARE_MIN = 0.02
TRIM = 10  # one of so many is left out at each end

_LESS = ("us", "ms", "s", "cpu s", "bytes", "kB", "MB", "percent", "readings")
_MORE = ("1/s", "1/min", "1/cpu s")
_OF_A_MACHINE = ("us", "ms", "s", "cpu s", "percent", "1/s", "1/min", "1/cpu s")
_OF_THE_MACHINE_TOO = "of the machine too"
_OF_A_MOMENT = ("date", "commit", "changed")
_COLUMNS = ("figure", "old", "new", "change", "unit", "")
_NUMBERS = (1, 2, 3)


def has_changed(old: Figure, new: Figure) -> bool:
    """Return whether a figure differs by more than its repeats do."""
    if new.is_to_be_none or (old.measured.is_fixed and new.measured.is_fixed):
        return old.judged != new.judged
    if abs(new.judged - old.judged) <= SHARE_MIN * max(abs(old.judged), abs(new.judged)):
        return False
    low_old, high_old = _range(old)
    low_new, high_new = _range(new)
    return high_old < low_new or high_new < low_old


def _range(figure: Figure) -> tuple[float, float]:
    ordered = sorted(figure.measured.values)
    spare = len(ordered) // TRIM
    return ordered[spare], ordered[-1 - spare]


def direction(figure: Figure, among: Iterable[Figure]) -> str:
    """Return the side that is good, "<=" or ">=", or "" if nothing tells."""
    name = figure.measured.name
    named = [
        other for other in among if other.goal is not None and name.startswith(other.measured.name)
    ]
    if named:
        goal = max(named, key=lambda other: len(other.measured.name)).goal
        assert goal is not None
        return goal.direction
    unit = figure.measured.unit
    return "<=" if unit in _LESS else ">=" if unit in _MORE else ""


def verdict(old: Figure, new: Figure, good: str) -> str:
    """Return "better", "worse", "changed" where nothing tells, or "" within the spread."""
    if not has_changed(old, new):
        return ""
    if not good:
        return "changed"
    return "better" if (new.judged < old.judged) is (good == "<=") else "worse"


def judged(old: Figure, new: Figure, good: str, *, is_one_machine: bool) -> tuple[str, bool]:
    """Return what there is to say of a figure, "" for nothing, and whether it decides."""
    found = verdict(old, new, good)
    is_of_a_machine = new.measured.unit in _OF_A_MACHINE
    is_enough = new.is_to_be_none or (old.measured.is_enough and new.measured.is_enough)
    if is_enough and (is_one_machine or not is_of_a_machine) and old.is_ok and not new.is_ok:
        return f"{found or 'within the spread'}, its goal is met no more", True
    if not found:
        return "", False
    if is_of_a_machine and not is_one_machine:
        return f"{found}, on another machine", False
    if not is_enough:
        return f"{found}, of too few repeats", False
    if is_of_a_machine:
        return f"{found}, {_OF_THE_MACHINE_TOO}", False
    return found, found == "worse" and new.goal is not None


def differences(old: Bench, new: Bench) -> list[str]:
    """Return a line for each thing that the places of two runs differ in."""
    keys = [key for key in {**old.run, **new.run} if key not in _OF_A_MOMENT]
    return [
        f"{key}: {old.run.get(key)} before, {new.run.get(key)} now"
        for key in keys
        if old.run.get(key) != new.run.get(key)
    ]


def alone(old: Bench, new: Bench) -> tuple[list[str], bool]:
    """Return a line for each figure of one run only, and whether a goal is gone unexplained."""
    before, now = ({one.measured.name: one for one in run.figures} for run in (old, new))
    lines, is_gone = [], False
    for name in [name for name in before if name not in now]:
        line = f"only in the old file: {name}"
        if name in new.skipped:
            line += f", now skipped: {new.skipped[name]}"
        elif before[name].goal is not None:
            is_gone = True
            line += ", which has a goal and " + (
                "has failed" if name in new.failed else "was not measured"
            )
        lines.append(line)
    lines += [f"only in the new file: {name}" for name in now if name not in before]
    return lines, is_gone


def compare(old: Bench, new: Bench) -> tuple[list[str], bool]:
    """Return the lines that tell what has changed, and whether that is a failure."""
    before = {figure.measured.name: figure for figure in old.figures}
    now = {figure.measured.name: figure for figure in new.figures}
    is_one_machine = all(old.run.get(key) == new.run.get(key) for key in MACHINE)
    rows, unchanged, deciding = [_COLUMNS], 0, []
    for name in [name for name in before if name in now]:
        other = now[name]
        one = replace(before[name], goal=other.goal)  # judged as it is today
        if one.measured.unit != other.measured.unit:
            rows.append((name, *_cells(one, other)[:2], "", other.measured.unit, "other unit"))
            continue
        good = direction(other, new.figures)
        note, decides = judged(one, other, good, is_one_machine=is_one_machine)
        if not note:
            unchanged += 1
            continue
        if decides:
            deciding.append(name)
        rows.append((name, *_cells(one, other), other.measured.unit, note))
    lines = differences(old, new)
    if not is_one_machine:
        lines.append("These are two machines: their times and rates can't be compared.")
    if len(rows) > 1:
        rows.sort(key=_is_marked)  # those that tell most are read first
        lines.append(aligned(rows, _NUMBERS))
    if any(_is_marked(row) for row in rows):
        lines.append(
            "Of the machine too: what else it does moves times and rates further than repeats"
            " tell; they fail only with a goal that is met no more."
        )
    lines.append(f"{unchanged} figures have not changed beyond the spread of their repeats.")
    unpaired, is_gone = alone(old, new)
    if deciding:
        unpaired.append(f"These fail: {', '.join(deciding)}.")
    return lines + unpaired, bool(deciding) or is_gone


def _is_marked(row: tuple[str, ...]) -> bool:
    return row[-1].endswith(_OF_THE_MACHINE_TOO)


def _cells(old: Figure, new: Figure) -> tuple[str, str, str]:
    change = f"{100 * (new.judged / old.judged - 1):+.1f} %" if old.judged else ""
    return shown(old.judged), shown(new.judged), change


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="pyv_edge_bench.compare", description=__doc__.split("\n")[0]
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args(arguments)
    try:
        lines, is_worse = compare(read(options.old), read(options.new))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 1 if is_worse else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
