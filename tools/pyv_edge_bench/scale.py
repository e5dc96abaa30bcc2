"""What things cost by how many there are of them: boards, channels, readings, a backlog, agents.

Measured by tests/measure, in a process for each axis. What is found goes into build/scale.json,
beside what is there of other axes, and plots of all of it to build/scale-*.png:

    run      when and where the last axis was measured: `origin` describes it. The others are of
             the same machine, versions and commit, else the file is begun anew
    points   objects of the fields of `Point`

BENCHMARKS.md reads records/scale.json, a copy of that file: copy it, then `make docs`.
"""

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from . import origin
from .bytecode import ROOT
from .child import measured
from .figure import Measured
from .plots import draw

PATH = ROOT / "build" / "scale.json"
RECORD = Path(__file__).parent / "records" / "scale.json"

_OF_A_MOMENT = ("date", "changed")
_DIGITS = 4  # that mean something, at most
_FURTHER = 10  # times as many as were measured
# What goes on by a straight line on logarithmic axes. A month's chart doesn't: beyond a month
# it looks at no more.
_EXTRAPOLATED = {
    *("commit_us", "upkeep_us", "retention_us", "rest_bytes_per_reading", "query_hour_ms"),
    *("open_ms", "open_checked_ms", "verify_ms", "backup_ms"),
}


@dataclass(frozen=True)
class Point:
    """One figure at one place of an axis."""

    axis: str
    figure: str
    unit: str
    x: int | None  # how many; None: there is no axis
    median: float
    low: float
    high: float
    is_extrapolated: bool = False


def devices() -> list[Measured]:
    """Measure an agent with 1 to 64 boards. Takes seven minutes."""
    return _measure("devices")


def channels() -> list[Measured]:
    """Measure an agent with 1 to 1,000 channels. Takes three minutes."""
    return _measure("channels")


def stored() -> list[Measured]:
    """Measure a store of ten thousand to ten million readings. Takes five minutes."""
    return _measure("stored")


def backlog() -> list[Measured]:
    """Measure a backlog of a thousand to ten million readings. Takes four minutes."""
    return _measure("backlog")


def fleet() -> list[Measured]:
    """Measure what an agent is to a broker. Takes two minutes."""
    return _measure("fleet")


def _measure(axis: str) -> list[Measured]:
    found = measured(f"scale_{axis}")
    keep(PATH, axis, found)
    if find_spec("matplotlib") is None:
        print("no plots: pip install matplotlib", file=sys.stderr)
    else:
        _ = draw(read(PATH)[1], PATH.parent)
    return found


def points_of(figures: Iterable[Measured]) -> list[Point]:
    """Return the points that figures called `scale.AXIS.FIGURE.X` are, X being left out or not."""
    found = []
    for one in figures:
        _, axis, figure, *rest = one.name.split(".")
        x = int(rest[0]) if rest else None
        low, high = _short(min(one.values)), _short(max(one.values))
        found.append(Point(axis, figure, one.unit, x, _short(median(one.values)), low, high))
    return found


def extrapolated(points: Iterable[Point]) -> list[Point]:
    """Return a point of each figure of stored readings, ten times further than was measured.

    On the line through its last two medians, both axes being logarithmic; a line that falls
    is taken for a level one, since nothing becomes cheaper by being more.
    """
    by_figure: dict[str, list[Point]] = {}
    for one in points:
        if one.axis == "stored" and one.figure in _EXTRAPOLATED and not one.is_extrapolated:
            by_figure.setdefault(one.figure, []).append(one)
    found = []
    for figure, line in by_figure.items():
        line.sort(key=lambda one: one.x or 0)
        if len(line) < 2 or line[-1].x is None or line[-2].x is None:
            continue
        before, last = line[-2:]
        slope = math.log(last.median / before.median) / math.log(line[-1].x / line[-2].x)
        slope = max(0.0, slope)
        value = _short(last.median * _FURTHER**slope)
        x = line[-1].x * _FURTHER
        found.append(Point("stored", figure, last.unit, x, value, value, value, True))
    return found


def _short(value: float) -> float:
    """Return a number with the digits that mean something."""
    return float(f"{value:.{_DIGITS}g}")


def keep(path: Path, axis: str, figures: Iterable[Measured]) -> None:
    """Write the points of an axis into a file, in place of those that it has of that axis.

    Of another machine, commit or version, or unreadable, it loses all and that is told on stderr.
    """
    run = origin.describe(datetime.now(timezone.utc))
    kept: list[Point] = []
    if path.exists():
        try:
            before, kept = read(path)
            _check_same(path, before, run)
            # The label is for all points: one axis of changed sources is enough.
            run["changed"] = before.get("changed") or run["changed"]
        except ValueError as error:
            print(f"begun anew, without its other axes: {error}", file=sys.stderr)
            kept = []
    new = points_of(figures)
    points = [*[one for one in kept if one.axis != axis], *new, *extrapolated(new)]
    path.parent.mkdir(parents=True, exist_ok=True)
    head = json.dumps(run, indent=1)
    lines = ",\n".join(json.dumps(asdict(one)) for one in points)
    path.write_text(f'{{"run": {head},\n"points": [\n{lines}\n]}}\n', encoding="utf-8")


def _check_same(path: Path, before: dict[str, Any], now: dict[str, object]) -> None:
    """Raise ValueError if points of two runs can't be in one file."""
    for key, value in now.items():
        if key not in _OF_A_MOMENT and before.get(key) != value:
            raise ValueError(f"{path}: {key} was {before.get(key)} and is {value}")


def read(path: Path) -> tuple[dict[str, Any], list[Point]]:
    """Return when and where a file was measured, and its points. Raises ValueError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        run, points = content["run"], [Point(**one) for one in content["points"]]
        if not isinstance(run, dict):
            raise TypeError("run is no object")
        return run, points
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: is no scale.json ({error}); make it anew with `make bench NAMES=scale`"
        ) from error
