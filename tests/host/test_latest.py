"""Latest: the newest reading of each channel, and who waits for it; the histogram of commits."""

import threading

from host.waiting import wait_for
from pyv_edge_agent.histogram import Histogram
from pyv_edge_agent.latest import Latest
from pyv_edge_agent.store import TIME_QUALITY_SHIFT, TIME_SENDER, WriteBatch
from pyv_edge_core.reading import QUALITY_BAD


def row(channel, value, utc_ms=1000, quality=0):
    return (channel, 1, 0, 0, utc_ms, 0, quality, value)


def note(latest, *rows, events=(), now_ms=5000):
    latest.note(WriteBatch(readings=list(rows), events=list(events)), now_ms)


def values(latest, version=0):
    return {found[0]: found[7] for found in latest.since(version)[1]}


def test_newest_of_each_channel_is_kept():
    latest = Latest("now")
    note(latest, row(1, 1.0), row(2, 5.0), row(1, 2.0))
    assert values(latest) == {1: 2.0, 2: 5.0}
    note(latest, row(1, 3.0, utc_ms=900))  # the clock was set back: it is the newest all the same
    assert values(latest) == {1: 3.0, 2: 5.0}


def test_what_a_sender_dates_before_the_newest_is_not_the_newest():
    latest = Latest("now")
    sent = TIME_SENDER << TIME_QUALITY_SHIFT
    note(latest, row(1, 1.0, 2000, sent))
    note(latest, row(1, 9.0, 1000, sent))
    assert values(latest) == {1: 1.0}
    note(latest, row(1, 2.0, 2000, sent))
    assert values(latest) == {1: 2.0}


def test_what_a_sender_dates_in_time_to_come_is_not_the_newest_for_ever():
    latest = Latest("now")
    sent = TIME_SENDER << TIME_QUALITY_SHIFT
    note(latest, row(1, 9.0, 90_000, sent | QUALITY_BAD))
    assert latest.bad_count([1]) == 1
    note(latest, row(1, 1.0, 4000, sent))
    assert values(latest) == {1: 1.0}
    assert latest.bad_count([1]) == 0


def test_newest_of_one_batch_is_the_one_of_the_latest_time():
    latest = Latest("now")
    sent = TIME_SENDER << TIME_QUALITY_SHIFT
    note(latest, row(1, 2.0, 4000, sent), row(1, 1.0, 3000, sent), row(1, 9.0, 90_000, sent))
    assert values(latest) == {1: 2.0}
    note(latest, row(1, 3.0, 6000, sent))  # its clock is a little ahead
    assert values(latest) == {1: 3.0}


def test_what_is_known_from_before_is_no_news_and_stays_until_something_newer_comes():
    latest = Latest("now")
    sent = TIME_SENDER << TIME_QUALITY_SHIFT
    note(latest, row(1, 1.0, 3000, sent), row(2, 1.0, 3000))
    version = latest.version
    latest.load([row(1, 5.0, 4000, sent), row(2, 5.0, 4000), row(3, 5.0, 4000)], 5000, "now")
    assert {found[0]: found[7] for found in latest.all()} == {1: 5.0, 2: 1.0, 3: 5.0}
    assert latest.since(version)[1] == []
    note(latest, row(1, 6.0, 3500, sent), row(3, 6.0, 3500))
    assert {found[0]: found[7] for found in latest.all()} == {1: 5.0, 2: 1.0, 3: 6.0}


def test_bad_is_what_came_last_whatever_its_date():
    latest = Latest("now")
    sent = TIME_SENDER << TIME_QUALITY_SHIFT
    note(latest, row(1, 1.0, 4000, sent))
    note(latest, row(1, 0.0, 3000, sent | QUALITY_BAD))
    assert values(latest) == {1: 1.0}
    assert latest.bad_count([1]) == 1


def test_only_what_is_behind_a_version_is_told():
    latest = Latest("now")
    note(latest, row(1, 1.0), row(2, 1.0))
    version, _ = latest.since(0)
    assert values(latest, version) == {}
    note(latest, row(2, 2.0))
    assert values(latest, version) == {2: 2.0}


def test_batch_without_readings_and_events_is_no_news():
    latest = Latest("now")
    note(latest)
    assert latest.version == 0
    note(latest, events=[()])
    assert (latest.version, latest.events_total) == (1, 1)


def test_bad_ones_are_counted_among_the_channels_asked_for():
    latest = Latest("now")
    note(latest, row(1, 0, quality=QUALITY_BAD), row(2, 0), row(3, 0, quality=QUALITY_BAD))
    assert latest.bad_count([1, 2, 9]) == 1
    assert latest.bad_count([]) == 0


def test_who_waits_is_woken_by_news_and_by_the_end():
    latest = Latest("now")
    told = []
    threads = [
        threading.Thread(target=lambda: told.append(latest.wait(0, 60))),
        threading.Thread(target=lambda: latest.rest(60)),
    ]
    for thread in threads:
        thread.start()
    note(latest, row(1, 1.0))
    wait_for(lambda: told, "the news")
    assert told == [True]
    assert threads[1].is_alive()
    latest.close()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert latest.wait(latest.version, 60) is False  # at once: nothing new comes


def test_wait_ends_without_news():
    assert Latest("now").wait(0, 0.0) is False


def test_histogram_counts_up_to_and_including_its_bounds():
    histogram = Histogram((0.1, 1.0))
    for figure in (0.05, 0.1, 0.11, 1.0, 7.0):
        histogram.add(figure)
    assert histogram.cumulative() == [2, 4, 5]
    assert abs(histogram.total - 8.26) < 1e-9
