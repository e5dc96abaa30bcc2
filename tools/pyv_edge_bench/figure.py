"""One measured figure, and how it is written down.

In bench.json a figure is an object:

    name      dotted: group, what, interpreter
    value     the median of the repeats
    unit      "ratio", "us" (of one reading, or of a frame of 16: link.*), "ms", "bytes",
              "1/s", "1/min", "faults", "commits", "percent" (of one core)
    goal      "<= 1.5": the side that is good and the limit; null if none is set
    ok        whether the value meets its goal; true if none is set
    median, min, max
              of the repeats, all the same for what doesn't vary
    command   measures this figure again, and what is measured in the same run
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from .budgets import Goal

_COLUMNS = ("figure", "median", "min", "max", "unit", "goal", "")


@dataclass(frozen=True)
class Measured:
    """What the repeats of one measurement have given, one value each."""

    name: str
    unit: str
    values: Sequence[float]


@dataclass(frozen=True)
class Figure:
    """A measurement beside its goal."""

    measured: Measured
    goal: Goal | None
    command: str

    @property
    def value(self) -> float:
        """The median of the repeats."""
        return _round(median(self.measured.values))

    @property
    def is_ok(self) -> bool:
        """Whether there is no goal or the value meets it."""
        return self.goal is None or self.goal.is_met(self.value)

    def as_json(self) -> dict[str, object]:
        """Return the object that bench.json holds."""
        return {
            "name": self.measured.name,
            "value": self.value,
            "unit": self.measured.unit,
            "goal": None if self.goal is None else str(self.goal),
            "ok": self.is_ok,
            "median": self.value,
            "min": _round(min(self.measured.values)),
            "max": _round(max(self.measured.values)),
            "command": self.command,
        }

    def row(self) -> tuple[str, ...]:
        """Return the cells of the printed table."""
        values = self.measured.values
        numbers = [_shown(number) for number in (self.value, min(values), max(values))]
        goal = "" if self.goal is None else str(self.goal)
        verdict = "" if self.goal is None else "ok" if self.is_ok else "NOT OK"
        return (self.measured.name, *numbers, self.measured.unit, goal, verdict)


def _round(number: float) -> float:
    return number if isinstance(number, int) else round(number, 4)


def _shown(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.3f}"


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as lines of aligned columns."""
    rows = [_COLUMNS, *[figure.row() for figure in figures]]
    widths = [max(len(row[index]) for row in rows) for index in range(len(_COLUMNS))]
    lines = []
    for row in rows:
        cells = []
        for index, cell in enumerate(row):
            is_number = 1 <= index <= 3
            cells.append(cell.rjust(widths[index]) if is_number else cell.ljust(widths[index]))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
