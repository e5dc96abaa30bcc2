"""Points of one sensor over time: its readings, or summaries where those are too many."""

from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError
from ..store import extract
from ..store.extract import StoredChannel
from ..view import PERIODS_MS, READINGS, SUMMARIES
from ..view.extraction import Extraction, Request
from ..view.store_view import Names, View, read_patterns
from .moment import show_ms

_SHOWN_MAX = 10  # names of sensors that a message repeats


@dataclass
class Points:
    """What there is to draw. Each of `values` has a value for each of the times."""

    sensor: str
    unit: str
    source: str  # readings, minute or hour: of what the values are
    times_ms: list[int] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)  # value, or min, mean and max

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return vars(self)

    def described(self) -> str:
        """Return a line that says what the points are."""
        what = "readings" if self.source == READINGS else f"summaries, one a {self.source},"
        lowest, highest = self.range
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{self.sensor}: {len(self.times_ms)} {what} from {show_ms(self.times_ms[0])}"
            f" to {show_ms(self.times_ms[-1])}, {lowest:.6g} to {highest:.6g}{unit}"
        )

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest value."""
        every = [value for values in self.values.values() for value in values]
        return min(every), max(every)


def find_points(view: View, pattern: str, times: tuple[int, int], count_max: int) -> Points:
    """Return at most about `count_max` points of the one sensor that fits.

    Raises UsageError if there is not just one, or nothing of it to be seen; StoreError.
    """
    names = Names(read_patterns("SENSOR", [pattern]))
    known, kept = view.channels(names)
    sensors = sorted({view.judge(one).sensor for one in (*known, *kept)})
    if len(sensors) != 1:
        raise UsageError(_not_one(pattern, sensors))
    summarised = [one for one in kept if not view.egress.keeps_summaries(view.judge(one))]
    if not known and not summarised:
        remedy = "" if view.is_local else "; --local shows what may be known at this machine"
        raise UsageError(f"{sensors[0]}: is withheld by the privacy policy{remedy}")
    source = _source(view, known, summarised, times, count_max)
    points = Points(sensors[0], (known or summarised)[-1].unit, source)
    kind = READINGS if source == READINGS else SUMMARIES
    period_ms = PERIODS_MS.get(source, 0)
    request = Request(kind, names, None, times, None, period_ms)
    wanted = ("value",) if source == READINGS else ("min", "mean", "max")
    for piece in Extraction(view, request).pieces():
        for payload in piece:
            if payload[wanted[0]] is not None:
                points.times_ms.append(round(payload["timestamp"] * 1000))
                for name in wanted:
                    points.values.setdefault(name, []).append(float(payload[name]))
    if not points.times_ms:
        raise UsageError(
            f"{sensors[0]}: there are no values of that time; see --since and --until"
        )
    _sort(points)
    return points


def _not_one(pattern: str, sensors: list[str]) -> str:
    if not sensors:
        return f"{pattern}: no sensor is called so; `privacy explain` lists those in the store"
    more = ", ..." if len(sensors) > _SHOWN_MAX else ""
    shown = ", ".join(sensors[:_SHOWN_MAX]) + more
    return f"{pattern}: fits {len(sensors)} sensors, name one: {shown}"


def _source(
    view: View,
    known: list[StoredChannel],
    summarised: list[StoredChannel],
    times: tuple[int, int],
    count_max: int,
) -> str:
    """Return the finest that has no more than so many points; hours, if nothing has.

    Of `summarised` channels nothing but summaries may be known.
    """
    wanted = view.wanted(known, None, times)
    if known and extract.count_readings(view.reader, wanted, count_max + 1) <= count_max:
        return READINGS
    ids = [one.id for one in known or summarised]
    for name, period_ms in PERIODS_MS.items():
        if extract.count_summaries(view.reader, ids, period_ms, *times) <= count_max:
            return name
    return name


def _sort(points: Points) -> None:
    """Put points into the order of their times: what came late is stored late."""
    order = sorted(range(len(points.times_ms)), key=points.times_ms.__getitem__)
    points.times_ms = [points.times_ms[place] for place in order]
    points.values = {
        name: [values[place] for place in order] for name, values in points.values.items()
    }
