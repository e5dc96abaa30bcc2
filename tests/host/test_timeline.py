"""Timeline: the truth always lies within the bound."""

from hypothesis import example, given
from hypothesis import strategies as st
from pyv_edge_agent.timeline import DRIFT_PPM, Timeline


def test_nothing_is_known_before_the_first_exchange():
    assert Timeline().at(1000) is None


def test_one_exchange_bounds_by_its_latency():
    timeline = Timeline()
    timeline.exchange(1000, 5000, 5010)
    assert timeline.at(1000) == (5005, 8)


def test_bound_grows_with_drift_in_both_directions():
    timeline = Timeline()
    timeline.exchange(1_000_000, 5_000_000, 5_000_000)
    near = timeline.at(1_000_000)[1]
    for uptime in (0, 2_000_000):
        assert timeline.at(uptime)[1] == near + 1_000_000 * DRIFT_PPM // 1_000_000


def test_better_exchange_narrows_the_bound():
    timeline = Timeline()
    timeline.exchange(1000, 5000, 5500)
    timeline.exchange(1100, 5100, 5104)
    assert timeline.at(1100)[1] <= 5
    timeline.exchange(1200, 5000, 5700)  # a slow one takes nothing away
    assert timeline.at(1200)[1] <= 5


def test_disagreement_is_counted_and_the_latest_believed():
    timeline = Timeline()
    timeline.exchange(1000, 5000, 5002)
    timeline.exchange(2000, 9000, 9002)  # three seconds off
    assert timeline.disagreements_total == 1
    moment, error = timeline.at(2000)
    assert abs(moment - 9001) <= error
    timeline.exchange(3000, 10_000, 10_002)
    assert timeline.disagreements_total == 1


def test_agreement_is_not_counted_as_disagreement():
    timeline = Timeline()
    for step in range(1000):
        uptime = step * 5000
        timeline.exchange(uptime, 7_000_000 + uptime - step % 7, 7_000_000 + uptime + step % 5)
    assert timeline.disagreements_total == 0


@given(
    ppm=st.integers(-DRIFT_PPM, DRIFT_PPM),
    start_ms=st.integers(0, 10**9),
    steps=st.lists(
        st.tuples(
            st.integers(1, 60_000),  # of uptime to the next exchange
            st.floats(0, 500),  # the way to the board
            st.floats(0, 500),  # and back
            st.floats(0, 0.999),  # cut off the uptime, which is of whole milliseconds
        ),
        min_size=1,
        max_size=20,
    ),
    asked=st.integers(-3_600_000, 3_600_000),
    phase=st.floats(0, 0.999),
)
@example(  # the middle of the interval is rounded, and the bound has to allow for that
    ppm=-479,
    start_ms=0,
    steps=[(1, 0.0, 0.0, 0.0)] * 3 + [(519, 0.0, 0.0, 0.0)],
    asked=-1,
    phase=0.25,
)
@example(  # an uptime of whole milliseconds is up to one too early
    ppm=500,
    start_ms=0,
    steps=[(1, 0.5, 0.0, 0.0), (1, 0.5, 0.5, 0.5), (1000, 0.5, 0.5, 0.999), (1, 0.0, 0.5, 0.999)],
    asked=0,
    phase=0.6,
)
def test_bound_contains_the_truth(ppm, start_ms, steps, asked, phase):
    """The host's clock may run up to 500 ppm slower or faster than the board's."""

    def truth(uptime_ms):
        return start_ms + phase + uptime_ms * (1 + ppm / 1_000_000)

    timeline = Timeline()
    uptime = 0
    for step, there, back, cut in steps:
        uptime += step
        moment = truth(uptime + cut)
        timeline.exchange(uptime, int(moment - there), int(moment + back))
        found, error = timeline.at(uptime)
        assert abs(found - moment) <= error
    assert timeline.disagreements_total == 0
    uptime = max(0, uptime + asked)
    found, error = timeline.at(uptime)
    for within in (0, 0.999):  # of the millisecond, when it was that the board read its uptime
        assert abs(found - truth(uptime + within)) <= error
