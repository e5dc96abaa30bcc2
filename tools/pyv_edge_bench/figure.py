"""One measured figure, and how it is written down.

In bench.json, which `bench_file` describes, a figure is an object:

    name      dotted: group, what, interpreter
    value     the median of the repeats
    unit      "ratio", "of the line" (of what its baud rate allows), "percent" (of one core),
              "us" (of one reading, or of a frame of 16: link.*), "ms", "s", "cpu s",
              "1/s", "1/min", "1/cpu s", "bytes", "kB", "MB", "faults", "commits",
              "readings", "measurements" (missed), "threads", "descriptors"
    goal      "<= 1.5": the side that is good and the limit; null if none is set
    ceiling   what `make check-long` allows in place of the goal; null if none is set
    ok        whether the value meets its goal; true if none is set. Of what must not happen, which
              has the goal "<= 0" or is in "readings", the worst repeat is judged, not the median:
              one loss in five rounds is a loss
    median, min, max
              of the repeats, all the same for what doesn't vary
    values    the repeats themselves, in their order
    fixed     whether it is the same on every run of the same sources: one value is enough
    command   measures this figure again, and what is measured in the same run
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from .budgets import Goal

REPEATS_MIN = 5  # fewer don't tell what is noise
_NONE = Goal("<=", 0.0)

_COLUMNS = ("figure", "median", "min", "max", "unit", "repeats")
_NUMBERS = (1, 2, 3, 5)


@dataclass(frozen=True)
class Measured:
    """What the repeats of one measurement have given, one value each."""

    name: str
    unit: str
    values: Sequence[float]
    is_fixed: bool = False  # the same on every run of the same sources

    @property
    def median(self) -> float:
        """What most figures are judged by."""
        return _round(median(self.values))

    @property
    def is_enough(self) -> bool:
        """Whether the values tell what is noise."""
        return self.is_fixed or len(self.values) >= REPEATS_MIN


@dataclass(frozen=True)
class Figure:
    """A measurement beside its goal, and the ceiling that stands for it in `make check-long`."""

    measured: Measured
    goal: Goal | None
    command: str
    ceiling: Goal | None = None

    @property
    def value(self) -> float:
        """The median of the repeats."""
        return self.measured.median

    @property
    def is_to_be_none(self) -> bool:
        """Whether the goal is that it does not happen at all."""
        return self.goal == _NONE

    @property
    def judged(self) -> float:
        """The median, or the worst of the repeats where each of them counts."""
        if not self.is_to_be_none and self.measured.unit != "readings":
            return self.value
        is_more_better = self.goal is not None and self.goal.direction == ">="
        return _round((min if is_more_better else max)(self.measured.values))

    @property
    def is_ok(self) -> bool:
        """Whether there is no goal or what is judged meets it."""
        return self.goal is None or self.goal.is_met(self.judged)

    @property
    def allowed(self) -> Goal | None:
        """The ceiling, or without one the goal."""
        return self.ceiling or self.goal

    @property
    def is_allowed(self) -> bool:
        """Whether what is judged keeps below its ceiling, or without one meets its goal."""
        return self.allowed is None or self.allowed.is_met(self.judged)

    def as_json(self) -> dict[str, object]:
        """Return the object that bench.json holds."""
        values = [_round(value) for value in self.measured.values]
        return {
            "name": self.measured.name,
            "value": self.value,
            "unit": self.measured.unit,
            "goal": None if self.goal is None else str(self.goal),
            "ceiling": None if self.ceiling is None else str(self.ceiling),
            "ok": self.is_ok,
            "median": self.value,
            "min": min(values),
            "max": max(values),
            "values": values,
            "fixed": self.measured.is_fixed,
            "command": self.command,
        }

    def row(self, is_by_ceiling: bool) -> tuple[str, ...]:
        """Return the cells of the printed table."""
        values = self.measured.values
        numbers = [shown(number) for number in (self.value, min(values), max(values))]
        repeats = "fixed" if self.measured.is_fixed else str(len(values))
        limit, is_ok = (
            (self.allowed, self.is_allowed) if is_by_ceiling else (self.goal, self.is_ok)
        )
        verdict = ("", "") if limit is None else (str(limit), "ok" if is_ok else "NOT OK")
        return (self.measured.name, *numbers, self.measured.unit, repeats, *verdict)


def _round(number: float) -> float:
    return number if isinstance(number, int) else round(number, 4)


def shown(number: float) -> str:
    """Return a number as the tables have it."""
    return str(number) if isinstance(number, int) else f"{number:.3f}"


def table(figures: Iterable[Figure], *, is_by_ceiling: bool = False) -> str:
    """Return the figures as lines of aligned columns, with the limits that they are judged by."""
    head = (*_COLUMNS, "ceiling, else goal" if is_by_ceiling else "goal", "")
    return aligned([head, *[figure.row(is_by_ceiling) for figure in figures]], _NUMBERS)


def aligned(rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> str:
    """Return rows of cells as lines, the columns of `numbers` to the right."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(widths[index]) if index in numbers else cell.ljust(widths[index])
            for index, cell in enumerate(row)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
