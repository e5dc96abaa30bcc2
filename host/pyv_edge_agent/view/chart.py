"""The chart of one sensor: about as many points as there are pixels, and the holes between them.

From the readings where those are few enough, else from the summaries of minutes or hours. A
line is to be drawn from point to point but not across a hole: where gap records say that
readings are missing, or where nothing came for much longer than is usual.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from ..egress import JudgedChannel
from ..store import chart, in_unit
from ..store.channel import StoredChannel, channels
from ..store.chart import Bucket
from ..store.extract import count_ids, newest_of
from ..store.query import Queries
from . import PERIODS_MS, READINGS
from .store_view import View

USUAL = 2.5  # times as long as usual nothing came: a hole
ON_THE_WAY_MS = 4000  # a reading may be: in a frame, or waiting for its commit
DENSE = 3  # readings that three quarters of all buckets have at least
USUAL_SHARE = 0.75  # of all steps that are no longer than what is usual
LOOKED_UP_MAX = 20  # holes, the longest, of which it is found out what is missing
NOT_LOOKED_UP = "not looked up"
_NICE_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000)
_NICE_PERIODS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 24, 30, 48, 60)  # of minutes or hours


class Effort(NamedTuple):
    """How much may be looked at for one chart; what is more takes something coarser."""

    ids_max: int = 100_000  # readings, of all channels
    ids_most: int = 1_000_000  # the same, if minutes would be too coarse by far
    minutes_max: int = 11_000  # summaries of minutes: a week, and some more


@dataclass
class Hole:
    """A stretch without readings."""

    start_ms: int
    end_ms: int
    lost: int | None = None  # of the device, by gap records; None: none is known to be missing
    causes: list[str] = field(default_factory=list)


@dataclass
class Chart:
    """What is to be drawn. Each list has a value for each of the times."""

    sensor: str
    unit: str
    source: str  # readings, minute or hour: of what the points are made
    start_ms: int
    end_ms: int
    bucket_ms: int  # what a point stands for; 0: it is a reading
    times_ms: list[int] = field(default_factory=list)
    mean: list[float | None] = field(default_factory=list)
    min: list[float | None] = field(default_factory=list)
    max: list[float | None] = field(default_factory=list)
    count: list[int] = field(default_factory=list)  # measurements
    bad: list[int] = field(default_factory=list)  # readings that are none
    holes: list[Hole] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)


def draw(
    view: View,
    sensor: str,
    times: tuple[int, int],
    points: int,
    now_ms: int,
    effort: Effort | None = None,
) -> Chart | None:
    """Return the chart of the one sensor of that name, None if nobody may know of it.

    Of about so many `points`, of readings up to now. Raises StoreError.
    """
    own = [one for one in channels(view.reader) if view.judge(one).sensor == sensor]
    if len({one.unit for one in own}) > 1:  # what is of another one than now is no part
        now_id = newest_of(view.reader, [one.id for one in own]) or own[-1].id
        unit = next(one.unit for one in own if one.id == now_id)
        own = [one for one in own if one.unit == unit]
    known = [one for one in own if not view.egress.keeps_readings(view.judge(one))]
    summed = [one for one in own if not view.egress.keeps_summaries(view.judge(one))]
    if not (known or summed):
        return None
    drawing = _Drawing(view, sensor, known, summed, times, effort or Effort())
    return drawing.drawn(points, now_ms)


class _Drawing:
    """One chart in the making."""

    def __init__(
        self,
        view: View,
        sensor: str,
        known: list[StoredChannel],
        summed: list[StoredChannel],
        times: tuple[int, int],
        effort: Effort,
    ) -> None:
        self._reader = view.reader
        self._effort = effort
        self._sensor = sensor
        self._times = times
        self._known, self._summed = known, summed
        self._judged = {one.id: view.judge(one) for one in (*known, *summed)}
        self._exponents = {one.id: one.exponent for one in (*known, *summed)}
        self._unit = (known or summed)[-1].unit

    def drawn(self, points: int, now_ms: int) -> Chart:
        """Return it, of about so many points, of readings up to now."""
        if self._are_readings_enough():
            made = self._of_readings(points)
        elif self._summed:
            made = self._of_summaries(points)
        else:  # of what may be known, there is nothing that can be looked at so far
            made = self._new(READINGS, 0)
        _add_silence(made, _usual_ms(made.times_ms), min(self._times[1], now_ms))
        return made

    def _are_readings_enough(self) -> bool:
        """Return whether the readings are few enough, and all that there were."""
        start_ms, end_ms = self._times
        if not self._known:
            return False
        is_short = self._span_ms < PERIODS_MS["hour"]
        most = self._effort.ids_most if is_short else self._effort.ids_max
        if count_ids(self._reader, start_ms, end_ms) > most:
            return False
        summed = [one.id for one in self._summed]
        ids = ([one.id for one in self._known], summed)
        return not summed or chart.are_all_there(self._reader, ids, *self._times, self._period[1])

    @property
    def _period(self) -> tuple[str, int]:
        """Of which summaries a chart would be."""
        minute_ms, hour_ms = PERIODS_MS.values()
        is_short = self._span_ms // minute_ms <= self._effort.minutes_max
        return ("minute", minute_ms) if is_short else ("hour", hour_ms)

    def _new(self, source: str, bucket_ms: int) -> Chart:
        return Chart(self._sensor, self._unit, source, *self._times, bucket_ms)

    # -- the points ----------------------------------------------------------------

    def _of_readings(self, points: int) -> Chart:
        ids = [one.id for one in self._known]
        rows = chart.readings(self._reader, ids, *self._times, points)
        if len(rows) > points:
            bucket_ms = _nice(self._span_ms, points, _NICE_MS, PERIODS_MS["minute"])
            found = chart.buckets_of_readings(self._reader, ids, *self._times, bucket_ms)
            return self._filled(self._new(READINGS, bucket_ms), found, ids)
        made = self._new(READINGS, 0)
        rows.sort(key=lambda row: row[2])
        for _, channel_id, utc_ms, value, is_bad, *_ in rows:
            shown = None if is_bad else self._value(channel_id, value)
            _append(made, utc_ms, (shown,) * 3, (shown is not None, shown is None))
        made.holes = holes_of_readings(self._reader, rows)
        return made

    def _of_summaries(self, points: int) -> Chart:
        source, period_ms = self._period
        sizes = [count * period_ms for count in _NICE_PERIODS]
        bucket_ms = _nice(self._span_ms, points, sizes, period_ms)
        ids = [one.id for one in self._summed]
        found = chart.buckets_of_summaries(self._reader, ids, *self._times, bucket_ms, period_ms)
        return self._filled(self._new(source, bucket_ms), found, ids)

    @property
    def _span_ms(self) -> int:
        return self._times[1] - self._times[0]

    def _filled(self, made: Chart, found: chart.Buckets, ids: list[int]) -> Chart:
        by_number: dict[int, Bucket] = {}
        for (channel_id, number), one in found.items():
            bucket = by_number.setdefault(number, Bucket())
            mean = self._value(channel_id, one.total / one.count) if one.count else None
            if mean is None:
                bucket.bad += one.bad + one.count
                continue
            low, high = (self._value(channel_id, figure) for figure in (one.low, one.high))
            bucket.add(one.count, one.bad, low, high, mean * one.count)
        for number, bucket in sorted(by_number.items()):
            figures: tuple[float | None, ...] = (None, None, None)
            if bucket.count:
                figures = (bucket.total / bucket.count, bucket.low, bucket.high)
            _append(made, number * made.bucket_ms, figures, (bucket.count, bucket.bad))
        counts = [good + bad for good, bad in zip(made.count, made.bad, strict=True)]
        buckets = dict(zip(made.times_ms, counts, strict=True))
        made.holes = holes_of_buckets(self._reader, ids, buckets, made.bucket_ms)
        return made

    def _value(self, channel_id: int, value: float) -> float | None:
        """Return a stored value as it may be known; None if it must not."""
        judged: JudgedChannel = self._judged[channel_id]
        if judged.is_hidden:
            return None
        number = in_unit(value, self._exponents[channel_id])
        return float(number if judged.gate is None else judged.gate.value(number))


def _append(
    made: Chart, at_ms: int, figures: tuple[float | None, ...], counts: tuple[int, int]
) -> None:
    """Add a point: its mean, least and greatest value; how many measurements, how many bad."""
    made.times_ms.append(at_ms)
    mean, low, high = figures
    made.mean.append(mean)
    made.min.append(low)
    made.max.append(high)
    made.count.append(int(counts[0]))
    made.bad.append(int(counts[1]))


def _nice(span_ms: int, points: int, sizes: Sequence[int], unit_ms: int) -> int:
    """Return how long a bucket is of which a span has at most so many."""
    wanted_ms = -(-span_ms // points)
    for size in sizes:
        if size >= wanted_ms:
            return size
    return -(-wanted_ms // unit_ms) * unit_ms


# -- the holes -------------------------------------------------------------------------


def _usual_ms(times_ms: list[int]) -> int:
    """Return within which time the next point usually comes, 0 if there are too few to tell."""
    steps = sorted(after - before for before, after in pairwise(times_ms))
    return steps[int(USUAL_SHARE * (len(steps) - 1))] if len(steps) > 1 else 0


def holes_of_buckets(
    reader: Queries, channel_ids: list[int], buckets: Mapping[int, int], bucket_ms: int
) -> list[Hole]:
    """Return the stretches in which nothing came for much longer than usual.

    `buckets` are how many readings there are in each that has any, by when it begins, in the
    order of their times. Raises StoreError.
    """
    counts = sorted(count for count in buckets.values() if count)
    is_dense = bool(counts) and counts[len(counts) // 4] >= DENSE
    # Where each bucket usually has several, one that has none is a hole.
    usual_ms = bucket_ms / USUAL if is_dense else _usual_ms([*buckets])
    longest_ms = max(USUAL * usual_ms, bucket_ms)
    found = [
        Hole(before + bucket_ms, after)
        for before, after in pairwise(buckets)
        if usual_ms and after - before > longest_ms
    ]
    _look_up(reader, channel_ids, found, bucket_ms)
    return found


def holes_of_readings(reader: Queries, rows: Sequence[chart.Row]) -> list[Hole]:
    """Return the same, and wherever a gap record stands between two, with what it says.

    `rows` are those of `chart.readings` in the order of their times. Raises StoreError.
    """
    usual_ms = _usual_ms([row[2] for row in rows])
    gaps = chart.gaps_of(reader, {row[5] for row in rows})
    found = []
    for before, after in pairwise(rows):
        lost = _between(gaps, before[5:8], after[5:8])
        if lost or (usual_ms and after[2] - before[2] > USUAL * usual_ms):
            found.append(_hole((before[2], after[2]), lost))
    return found


def _between(
    gaps: dict[tuple[int, int], list[chart.Row]], before: chart.Row, after: chart.Row
) -> dict[str, int]:
    """Return how much is missing between two readings, by cause."""
    ranges = [(before[:2], before[2], after[2])]
    if before[:2] != after[:2]:
        ranges = [(before[:2], before[2], chart.SEQ_MAX), (after[:2], -1, after[2])]
    found: Counter[str] = Counter()
    for stream, low, high in ranges:
        known = gaps.get((stream[0], stream[1]), [])
        for _, last_seq, cause, count in known[bisect_left(known, (low,)) :]:
            if last_seq > high:
                break
            found[cause] += count
    return found


def _hole(times: tuple[int, int], lost: Mapping[str, int]) -> Hole:
    return Hole(*times, sum(lost.values()) if lost else None, sorted(lost))


def _look_up(reader: Queries, channel_ids: list[int], holes: list[Hole], bucket_ms: int) -> None:
    """Find out what is missing in the longest holes between points that are no readings."""
    by_length = sorted(holes, key=lambda hole: hole.start_ms - hole.end_ms)
    for hole in by_length[LOOKED_UP_MAX:]:
        hole.causes = [NOT_LOOKED_UP]
    for hole in by_length[:LOOKED_UP_MAX]:
        before = (hole.start_ms - bucket_ms, hole.start_ms)
        behind = (hole.end_ms, hole.end_ms + bucket_ms)
        first, second = chart.edges(reader, channel_ids, before, behind)
        if first is not None and second is not None:
            lost = chart.missing(reader, first, second)
            hole.lost, hole.causes = sum(lost.values()) or None, sorted(lost)


def _add_silence(made: Chart, usual_ms: int, until_ms: int) -> None:
    """Add that nothing has come since the last point, if it should have by now."""
    if not usual_ms or not made.times_ms:
        return
    last_ms = made.times_ms[-1] + made.bucket_ms
    if until_ms - last_ms > max(USUAL * usual_ms, made.bucket_ms) + ON_THE_WAY_MS:
        made.holes.append(Hole(last_ms, until_ms))
