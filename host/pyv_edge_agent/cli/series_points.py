"""Points of one sensor over time: its readings, or summaries where those are too many.

With the gaps between them, which are those that the page's chart has, and stretches of
readings without a value. No line is to be drawn across a gap.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from pyv_edge_core.reading import QUALITY_BAD, QUALITY_NAMES

from ..errors import UsageError
from ..store import chart, extract
from ..store.channel import StoredChannel
from ..view import PERIODS_MS, READINGS, SUMMARIES
from ..view.chart import NOT_LOOKED_UP, Hole, holes_of_buckets, holes_of_readings
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
    gaps: list[Hole] = field(default_factory=list)  # each ends at a point

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    def runs(self) -> Iterator[slice]:
        """Yield the places of points that a line joins: it ends at each gap."""
        ends = [bisect_left(self.times_ms, gap.end_ms) for gap in self.gaps]
        for first, end in pairwise([0, *ends, len(self.times_ms)]):
            yield slice(first, end)

    def described(self) -> str:
        """Return a line that says what the points are."""
        what = "readings" if self.source == READINGS else f"summaries, one a {self.source},"
        lowest, highest = self.range
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{self.sensor}: {len(self.times_ms)} {what} from {show_ms(self.times_ms[0])}"
            f" to {show_ms(self.times_ms[-1])}, {lowest:.6g} to {highest:.6g}{unit}{self._missing}"
        )

    @property
    def _missing(self) -> str:
        if not self.gaps:
            return ""
        lost = sum(gap.lost or 0 for gap in self.gaps)
        least = "at least " if any(NOT_LOOKED_UP in gap.causes for gap in self.gaps) else ""
        told = f", {least}{lost} readings of the device lost" if lost else ""
        return f", {len(self.gaps)} {'gap' if len(self.gaps) == 1 else 'gaps'}{told}"

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
    counts: Counter[int] = Counter()  # readings, of all summaries of a time
    for piece in Extraction(view, request).pieces():
        for payload in piece:
            at_ms = round(payload["timestamp"] * 1000)
            if source != READINGS:
                counts[at_ms] += payload["count"] + payload["bad_count"]
            if payload[wanted[0]] is not None:
                points.times_ms.append(at_ms)
                for name in wanted:
                    points.values.setdefault(name, []).append(float(payload[name]))
    if not points.times_ms:
        raise UsageError(
            f"{sensors[0]}: there are no values of that time; see --since and --until"
        )
    _sort(points)
    ids = [one.id for one in known or summarised]
    if source == READINGS:
        rows = chart.readings(view.reader, ids, *times, count_max)
        rows.sort(key=lambda row: row[2])
        holes = holes_of_readings(view.reader, rows)
        points.gaps = _gaps(points.times_ms, holes, (row[2] for row in rows), 0)
    else:
        buckets = dict(sorted(counts.items()))
        holes = holes_of_buckets(view.reader, ids, buckets, period_ms)
        points.gaps = _gaps(points.times_ms, holes, buckets, period_ms)
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


def _gaps(shown: list[int], holes: list[Hole], times: Iterable[int], period_ms: int) -> list[Hole]:
    """Return between which of the `shown` points there are holes, or readings without a value.

    `times` are those of all readings. Each gap begins behind a point and ends at the next one.
    """
    known = set(shown)
    bad = [Hole(at, at, None, [QUALITY_NAMES[QUALITY_BAD]]) for at in times if at not in known]
    by_end: dict[int, list[Hole]] = {}
    for hole in (*holes, *bad):
        by_end.setdefault(bisect_left(shown, hole.end_ms), []).append(hole)
    found = []
    for place, within in sorted(by_end.items()):
        if 0 < place < len(shown):
            start_ms, end_ms = shown[place - 1] + period_ms, shown[place]
            lost = sum(hole.lost or 0 for hole in within) or None
            causes = sorted({cause for hole in within for cause in hole.causes})
            found.append(Hole(min(start_ms, end_ms), end_ms, lost, causes))
    return found
