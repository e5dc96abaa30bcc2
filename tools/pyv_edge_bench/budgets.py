"""Reads tools/budgets.toml, the one place for what may be used.

A goal is a text, "<= 1.5" or ">= 98304": the direction and the last number that
is still good. A figure may have a ceiling too: about what it is by now, so that it
gets no worse, whether it misses its goal or does better. `make bench` judges by
goals, `make check-long` by ceilings, `make test` by whichever allows more.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PATH = Path(__file__).resolve().parents[1] / "budgets.toml"

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


def parse(text: str) -> Goal:
    """Return the goal that `text` says. Raises ValueError if it says none."""
    found = _GOAL.fullmatch(text)
    if found is None:
        raise ValueError(f'{text!r} is no goal; write "<= 1.5" or ">= 1000"')
    return Goal(found[1], float(found[2]))


def load(path: Path = PATH, table: str = "budgets") -> dict[str, Goal]:
    """Return the goal of each figure that has one, or with `table` "ceilings" the ceiling.

    Raises ValueError, in one line that names the file, for what can't be read.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8")).get(table, {})
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; restore it with `git checkout`") from error
    except ValueError as error:
        raise ValueError(f"{path}: is no TOML, mend it: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: {table} is no table; write [{table}] on a line of its own")
    goals = {}
    for name, text in content.items():
        try:
            goals[name] = parse(text)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {name}: {error}") from error
    return goals


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
