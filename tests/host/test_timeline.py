"""Timeline: the truth always lies within the bound, and the bound is no wider than need be."""

from hypothesis import example, given
from hypothesis import strategies as st
from pyv_edge_agent.timeline import (
    DRIFT_PPM,
    ERROR_MS_MAX,
    EXCHANGES_MAX,
    STEADY_MS,
    Timeline,
)

HOUR_MS = 3_600_000


def at(timeline, uptime_ms):
    """Return (host time, error) of one uptime."""
    offset, error = timeline.bound(uptime_ms, uptime_ms)
    return uptime_ms + offset, error


def test_nothing_is_known_before_the_first_exchange():
    assert Timeline().bound(1000, 1000) is None


def test_one_exchange_bounds_by_its_latency():
    timeline = Timeline()
    timeline.exchange(1000, 5000, 5010)
    assert at(timeline, 1000) == (5005, 8)


def test_bound_grows_with_drift_in_both_directions():
    timeline = Timeline()
    timeline.exchange(1_000_000, 5_000_000, 5_000_000)
    near = at(timeline, 1_000_000)[1]
    for uptime in (0, 2_000_000):
        assert at(timeline, uptime)[1] == near + 1_000_000 * DRIFT_PPM // 1_000_000


def test_better_exchange_narrows_the_bound():
    timeline = Timeline()
    timeline.exchange(1000, 5000, 5500)
    timeline.exchange(1100, 5100, 5104)
    assert at(timeline, 1100)[1] <= 5
    timeline.exchange(1200, 5000, 5700)  # a slow one takes nothing away
    assert at(timeline, 1200)[1] <= 5


def test_reading_before_a_long_silence_is_dated_by_the_exchange_before_it():
    timeline = Timeline()
    timeline.exchange(10_000, 110_000, 110_002)
    timeline.exchange(10_000 + HOUR_MS, 110_000 + HOUR_MS, 110_002 + HOUR_MS)
    for uptime in range(
        HOUR_MS + 15_000, HOUR_MS + 200_000, 5000
    ):  # and what comes later does not push it out while the backlog comes
        timeline.exchange(uptime, 100_000 + uptime, 100_002 + uptime)
    assert at(timeline, 12_000)[1] <= 5
    assert at(timeline, HOUR_MS - 12_000)[1] <= 20
    middle = at(timeline, HOUR_MS // 2)[1]
    assert HOUR_MS // 2 * DRIFT_PPM // 1_000_000 <= middle + 10 <= 920


def test_bound_of_a_stretch_holds_in_all_of_it():
    timeline = Timeline()
    timeline.exchange(0, 0, 0)
    timeline.exchange(HOUR_MS, HOUR_MS, HOUR_MS)
    offset, error = timeline.bound(0, HOUR_MS)
    # Half an hour at 500 ppm away, and half an hour back.
    assert error >= 900 - abs(offset)
    assert timeline.bound(0, 60_000)[1] <= 33


def test_exchanges_that_are_kept_are_few_and_lie_closer_the_newer_they_are():
    timeline = Timeline()
    for step in range(20_000):  # more than a day
        timeline.exchange(step * 5000, step * 5000, step * 5000 + 2)
    kept = [one[0] for one in timeline._exchanges]
    assert len(kept) <= EXCHANGES_MAX
    newest = kept[-1]
    assert newest >= 19_990 * 5000
    for age_ms in (60_000, 600_000, HOUR_MS, 10 * HOUR_MS):
        assert any(age_ms / 8 <= newest - one <= age_ms * 8 for one in kept), age_ms
    assert timeline.disagreements_total == 0


def test_disagreement_is_counted_and_widens_the_bound_until_it_is_sure():
    timeline = Timeline()
    timeline.exchange(1000, 5000, 5002)
    timeline.exchange(2000, 9000, 9002)  # three seconds off
    assert timeline.disagreements_total == 1
    moment, error = at(timeline, 2000)
    assert abs(moment - 9001) <= error <= 4
    # Anything may have happened in between, and may happen again.
    moment, error = at(timeline, 1500)
    assert moment - error <= 5501  # as before
    assert moment + error >= 8501  # or already as after
    assert at(timeline, 2100)[1] >= 300
    timeline.exchange(3000, 10_000, 10_002)
    assert timeline.disagreements_total == 1
    assert at(timeline, 3000)[1] <= 4


def test_jump_is_forgiven_after_an_hour_without_another():
    timeline = Timeline()
    timeline.exchange(1000, 5000, 5002)
    uptime = 2000
    timeline.exchange(uptime, 9000, 9002)
    end = uptime + STEADY_MS + 5000
    while uptime < end:
        assert timeline.drift_ppm > DRIFT_PPM or uptime >= end - 5000
        uptime += 5000
        timeline.exchange(uptime, uptime + 7000, uptime + 7002)
    assert timeline.drift_ppm == DRIFT_PPM
    assert timeline.disagreements_total == 1
    assert at(timeline, uptime + 5000)[1] <= 6


def test_crystal_that_is_worse_is_not_forgiven():
    timeline = Timeline()

    def truth(uptime_ms):
        return round(uptime_ms * 1.002)  # 2000 ppm

    for step in range(3 * 720):  # three hours
        uptime = step * 5000
        timeline.exchange(uptime, truth(uptime) - 2, truth(uptime) + 2)
        if step > 60:
            for asked in (uptime + 5000, uptime - 2500, uptime - 60_000):
                moment, error = at(timeline, asked)
                assert abs(moment - truth(asked)) <= error, (step, asked)
    assert 1 <= timeline.disagreements_total < 20
    assert 2000 <= timeline.drift_ppm <= 8000


def test_agreement_is_not_counted_as_disagreement():
    timeline = Timeline()
    for step in range(1000):
        uptime = step * 5000
        timeline.exchange(uptime, 7_000_000 + uptime - step % 7, 7_000_000 + uptime + step % 5)
    assert timeline.disagreements_total == 0


def test_same_uptime_twice_with_two_answers_is_a_disagreement_and_no_error():
    timeline = Timeline()
    timeline.exchange(1000, 5000, 5002)
    timeline.exchange(1000, 6000, 6002)
    assert timeline.disagreements_total == 1
    moment, error = at(timeline, 1000)
    assert moment - error <= 5001 <= 6001 <= moment + error


def test_uptime_beyond_the_wrap_of_ticks_is_dated_as_any():
    for wrap in (2**30, 2**31, 2**32, 2**40):
        timeline = Timeline()
        for uptime in range(wrap - 20_000, wrap + 20_001, 5000):
            timeline.exchange(uptime, uptime + 999, uptime + 1001)
        for asked in (wrap - 1, wrap, wrap + 1):
            moment, error = at(timeline, asked)
            assert abs(moment - asked - 1000) <= error <= 5, wrap


class Crystals:
    """The host's time over a board's uptime, as the crystals of both make it."""

    def __init__(self, start_ms, stretches):
        self.stretches = stretches  # (length of uptime, ppm), the last one without end
        self.start_ms = start_ms

    def __call__(self, uptime_ms):
        moment, left = self.start_ms, uptime_ms
        for length, ppm in self.stretches[:-1]:
            part = min(left, length)
            moment += part * (1 + ppm / 1_000_000)
            left -= part
        return moment + left * (1 + self.stretches[-1][1] / 1_000_000)


@given(
    stretches=st.lists(
        st.tuples(st.integers(1, HOUR_MS), st.integers(-DRIFT_PPM, DRIFT_PPM)),
        min_size=1,
        max_size=5,
    ),
    start_ms=st.integers(0, 10**9),
    begin=st.sampled_from([0, 2**30 - 100_000, 2**31 - 100_000]),
    steps=st.lists(
        st.tuples(
            # of uptime to the next exchange: as usual, or after a long silence
            st.one_of(st.integers(1, 60_000), st.integers(HOUR_MS, 48 * HOUR_MS)),
            st.floats(0, 500),  # the way to the board
            st.floats(0, 500),  # and back
            st.floats(0, 0.999),  # cut off the uptime, which is of whole milliseconds
        ),
        min_size=1,
        max_size=40,
    ),
    asked=st.lists(st.floats(-0.5, 1.5), max_size=8),
    span=st.integers(0, 2**22 - 1),
    phase=st.floats(0, 0.999),
)
@example(  # the middle of the interval is rounded, and the bound has to allow for that
    stretches=[(1, -479)],
    start_ms=0,
    begin=0,
    steps=[(1, 0.0, 0.0, 0.0)] * 3 + [(519, 0.0, 0.0, 0.0)],
    asked=[0.99],
    span=0,
    phase=0.25,
)
@example(  # an uptime of whole milliseconds is up to one too early
    stretches=[(1, 500)],
    start_ms=0,
    begin=0,
    steps=[(1, 0.5, 0.0, 0.0), (1, 0.5, 0.5, 0.5), (1000, 0.5, 0.5, 0.999), (1, 0.0, 0.5, 0.999)],
    asked=[0.0],
    span=0,
    phase=0.6,
)
def test_bound_contains_the_truth(stretches, start_ms, begin, steps, asked, span, phase):
    """The host's clock may run up to 500 ppm slower or faster than the board's, now so, now so."""
    truth = Crystals(start_ms + phase, stretches)
    timeline = Timeline()
    uptime = begin
    for step, there, back, cut in steps:
        uptime += step
        moment = truth(uptime + cut)
        timeline.exchange(uptime, int(moment - there), int(moment + back))
        found, error = at(timeline, uptime)
        assert abs(found - moment) <= error
        assert error <= (there + back) / 2 + 5  # never worse than this exchange by itself
    assert timeline.disagreements_total == 0
    assert timeline.drift_ppm == DRIFT_PPM
    for share in asked:
        first = max(0, round(begin + share * (uptime - begin)))
        offset, error = timeline.bound(first, first + span)
        for one in (first, first + span // 3, first + span):
            for within in (0, 0.999):  # of the millisecond that the board has read
                assert abs(one + offset - truth(one + within)) <= error


_UPTIMES = st.one_of(st.integers(0, 100), st.integers(0, 2**32 * 1000 - 1))


@given(
    exchanges=st.lists(
        st.tuples(_UPTIMES, st.integers(0, 5000), st.integers(0, 5000)), max_size=60
    ),
    asked=st.lists(_UPTIMES, min_size=1, max_size=5),
)
def test_no_uptime_breaks_anything(exchanges, asked):
    # A board with a broken clock must not stop the storage of all others.
    timeline, now_ms = Timeline(), 10**6
    for uptime_ms, wait_ms, trip_ms in exchanges:
        now_ms += wait_ms
        timeline.exchange(uptime_ms, now_ms, now_ms + trip_ms)
    for uptime_ms in asked if exchanges else ():
        offset_ms, error_ms = timeline.bound(uptime_ms, uptime_ms + 2**22)
        assert 0 < error_ms <= ERROR_MS_MAX
        assert abs(uptime_ms + offset_ms) < 2**62
