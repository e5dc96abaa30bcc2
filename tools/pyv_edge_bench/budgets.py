"""Reads tools/budgets.toml, the one place for what may be used.

A goal is a text, "<= 1.5" or ">= 98304": the direction and the last number that
is still good. A figure may have a ceiling too: about what it is by now, so that it
gets no worse, whether it misses its goal or does better. `make bench` judges by
goals, `make check-long` by ceilings, `make test` by whichever allows more.
"""

import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PATH = Path(__file__).resolve().parents[1] / "budgets.toml"
TABLES = ("budgets", "ceilings")

_GOAL = re.compile(r"(<=|>=) (\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Goal:
    """A limit and the side of it that is good."""

    direction: str  # "<=" or ">="
    limit: float

    def is_met(self, value: float) -> bool:
        """Return whether `value` is on the good side; the limit itself is."""
        return value <= self.limit if self.direction == "<=" else value >= self.limit

    def __str__(self) -> str:
        limit = int(self.limit) if self.limit.is_integer() else self.limit
        return f"{self.direction} {limit}"

    def is_stricter(self, other: "Goal") -> bool:
        """Return whether less is good than for `other`, whose direction is the same."""
        return self.limit != other.limit and other.is_met(self.limit)


def parse(text: object) -> Goal:
    """Return the goal that `text` says. Raises ValueError if it says none, or is no text."""
    found = _GOAL.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f'{text!r} is no goal; write a text, in quotes: "<= 1.5" or ">= 1000"')
    return Goal(found[1], float(found[2]))


def load(
    path: Path = PATH, table: str = "budgets", names: Collection[str] | None = None
) -> dict[str, Goal]:
    """Return the goal of each figure that has one, or with `table` "ceilings" the ceiling.

    Raises ValueError, in one line that names the file, for what can't be read, and for a name
    that is not among `names`: its goal would never be judged. They are an argument because the
    registry knows them, which imports all measurements, and these this module.
    """
    content = _tables(path).get(table, {})
    if not isinstance(content, dict):
        raise ValueError(f"{path}: {table} is no table; write [{table}] on a line of its own")
    goals = {}
    for name, text in content.items():
        place = f"{path}: [{table}] {name}"
        if isinstance(text, dict):
            raise ValueError(
                f"{place}: is a table, since a dotted name is without quotes;"
                f" write {_quoted(name, text)}"
            )
        if names is not None and name not in names:
            near = get_close_matches(name, names, 1)
            remedy = f'write "{near[0]}"' if near else "correct it or take it out"
            raise ValueError(
                f"{place}: is no figure; {remedy}; `make bench NAMES=--list` prints all names"
            )
        try:
            goals[name] = parse(text)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    return goals


def _tables(path: Path) -> dict[str, Any]:
    """Return what a file holds. Raises ValueError as `load` does, also for what nobody reads."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; restore it with `git checkout`") from error
    except ValueError as error:
        raise ValueError(f"{path}: is no TOML, mend it: {error}") from error
    known = " or ".join(f"[{table}]" for table in TABLES)
    for key, value in content.items():
        if key in TABLES:
            continue
        if isinstance(value, dict):
            raise ValueError(f"{path}: [{key}] is a table that nobody reads; write {known}")
        raise ValueError(f"{path}: {key}: is in no table; move it below {known}")
    return content


def _quoted(name: str, value: object) -> str:
    """Return the line that was meant by a dotted name without quotes."""
    while isinstance(value, dict) and value:
        key, value = next(iter(value.items()))
        name += f".{key}"
    goal = value if isinstance(value, str) else "<= 1.5"
    return f'"{name}" = "{goal}"'


def overrun(budget: str, what: str, size_bytes: int, remedy: str, path: Path = PATH) -> str:
    """Return the line that says how `what` breaks `budget`, "" if it doesn't."""
    goal = load(path)[budget]
    ceiling = load(path, "ceilings").get(budget)
    if ceiling is not None and not goal.is_met(ceiling.limit):
        goal = ceiling
    if goal.is_met(size_bytes):
        return ""
    file = f"{path.parent.name}/{path.name}"
    return f"{what}: {size_bytes} bytes, and {file} allows {goal} ({budget}): {remedy}"
