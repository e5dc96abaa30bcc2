"""bench.json: what a run of the bench has found, and when and where; bench-NAMES.json, if named.

run       when and where: `origin` describes it
took_s    by measurement: seconds; 0 for one that came with another
figures   objects that `figure` describes
skipped   [{"name", "reason"}]: what has not been measured, for want of a program
failed    the same of what could not be measured for any other reason
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import budgets
from .bytecode import ROOT
from .figure import Figure, Measured

PATH = ROOT / "build" / "bench.json"  # of a run of all

_REMEDY = "`make bench` makes one"


@dataclass
class Bench:
    """What a run has found so far."""

    run: dict[str, Any]
    figures: list[Figure] = field(default_factory=list)
    took_s: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)  # reasons by name
    failed: dict[str, str] = field(default_factory=dict)


def path_of(words: list[str]) -> Path:
    """Return where a run goes that these words have chosen: PATH is kept for a run of all."""
    return PATH.with_name(f"bench-{'+'.join(dict.fromkeys(words))}.json") if words else PATH


def prepare(path: Path) -> None:
    """Make the folder of a file that will be written, which is kept as it is.

    Raises ValueError, in one line, if it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise ValueError(
            f"{path} can't be written: {error.strerror}; choose another with --json FILE"
        ) from error


def write(path: Path, bench: Bench) -> None:
    """Write what a run has found, and make the folder."""
    content = {
        "run": bench.run,
        "took_s": bench.took_s,
        "figures": [figure.as_json() for figure in bench.figures],
        "skipped": _listed(bench.skipped),
        "failed": _listed(bench.failed),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _listed(reasons: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "reason": reason} for name, reason in reasons.items()]


def read(path: Path) -> Bench:
    """Return what a run has found, but for the times. Raises ValueError, in one line."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; {_REMEDY}") from error
    except ValueError as error:
        raise ValueError(f"{path}: is no JSON ({error}); {_REMEDY}") from error
    try:
        if not isinstance(content, dict):
            raise TypeError("it is no object")
        run, figures = content["run"], [_figure(one) for one in _objects(content, "figures")]
        if not isinstance(run, dict):
            raise TypeError("run is no object")
        skipped, failed = (
            {str(one["name"]): str(one["reason"]) for one in _objects(content, key)}
            for key in ("skipped", "failed")
        )
    except (KeyError, TypeError, ValueError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{path}: is no bench.json of this bench: {what}; {_REMEDY}") from error
    return Bench(run, figures, skipped=skipped, failed=failed)


def _objects(content: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return a list of objects. Raises KeyError or TypeError if it is none."""
    found = content[key]
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise TypeError(f"{key} is no list of objects")
    return found


def _figure(one: dict[str, Any]) -> Figure:
    """Return a figure of its object. Raises KeyError, TypeError or ValueError if it is none."""
    name, unit, values, command = one["name"], one["unit"], one["values"], one["command"]
    if not all(isinstance(text, str) for text in (name, unit, command)):
        raise TypeError(f"{name!r}: name, unit and command have to be texts")
    if not isinstance(values, list) or not values:
        raise TypeError(f"{name}: values have to be a list that is not empty")
    if not all(isinstance(value, (int, float)) for value in values):
        raise TypeError(f"{name}: values have to be numbers")
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"{name}: a value is not finite")
    goals = [budgets.parse(text) if text else None for text in (one["goal"], one["ceiling"])]
    return Figure(Measured(name, unit, values, bool(one["fixed"])), goals[0], command, goals[1])
