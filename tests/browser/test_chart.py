"""The chart beside the store: the page and SQLite tell the same of the same time."""

import pytest
from browser.filled_store import END_MS, LOST, PIECE, SENSOR, START_MS, fill
from browser.page import channel
from browser.site import Meter
from host.waiting import wait_for

HOUR_MS = 3_600_000
RULE = {
    "name": "too much",
    "sensor": "meter.power",
    "above": 100,
    "clear": 90,
    "severity": "critical",
    "message": "{sensor}: {value} {unit} is too much",
}


@pytest.fixture(scope="module")
def meter(module_folder):
    return Meter(module_folder / "meter.csv")


@pytest.fixture(scope="module")
def site(sites, meter):
    made = sites({"sensors": {"devices": [meter.device]}, "rules": [RULE]})
    fill(made.agent.db)
    made.start()
    for name in ("flow", "level", "power"):
        meter.write(name, 50)
    wait_for(lambda: made.newest("meter.power"), "the first readings")
    return made


def stored(site, start_ms, end_ms):
    """Return (count, bad, min, max) of what SQLite has of a time."""
    (found,) = site.rows(
        "SELECT count(readings.value), count(*) - count(readings.value), min(readings.value),"
        " max(readings.value) FROM readings JOIN reading USING (id)"
        " WHERE sensor = ? AND utc_ms >= ? AND utc_ms < ?",
        *(SENSOR, start_ms, end_ms),
    )
    return found


def buckets(site, start_ms, end_ms, bucket_ms):
    """Return the means of the buckets of a time, by SQLite."""
    found = site.rows(
        "SELECT avg(readings.value) FROM readings JOIN reading USING (id)"
        " WHERE sensor = ? AND utc_ms >= ? AND utc_ms < ? GROUP BY utc_ms / ? ORDER BY utc_ms / ?",
        *(SENSOR, start_ms, end_ms, bucket_ms, bucket_ms),
    )
    return [row[0] for row in found]


def figures(shown):
    """Return (count, bad, min, max) as the chart has them."""
    counts = tuple(int(shown[name]) for name in ("count", "bad"))
    return counts + tuple(float(shown[name]) for name in ("min", "max"))


def bucket_ms(site, page, times):
    """Return how long the buckets are of which the page has drawn a chart."""
    points = page.run("return document.getElementById('plot').clientWidth")
    query = "sensor={}&start_ms={}&end_ms={}&points={}".format(SENSOR, *times, points)
    return site.ask("readings", query)["bucket_ms"]


def test_chart_of_readings_is_what_the_store_has(site, open_page):
    page = open_page(site)
    page.open_chart(SENSOR)
    times = (START_MS + (PIECE - 100) * 1000, START_MS + (PIECE + 100) * 1000)
    shown = page.show_times(SENSOR, *times)
    assert shown["source"] == "readings"
    assert figures(shown) == stored(site, *times)
    assert (shown["count"], shown["bad"], shown["points"]) == ("199", "1", "200")
    means = buckets(site, *times, 1)
    assert [float(shown["first"]), float(shown["last"])] == [means[0], means[-1]]
    # The line ends at the bad reading, and begins anew behind it.
    drawn = page.run("return document.querySelector('#plot .mean').getAttribute('d')")
    assert drawn.count("M") == 2
    assert drawn.count("L") == 197
    assert page.run("return document.querySelector('#plot path.bad').getAttribute('d')")


@pytest.mark.parametrize(
    ("source", "times"),
    [
        ("readings", (START_MS + 1_000_000, START_MS + 51_000_000)),
        ("minute", (START_MS // HOUR_MS * HOUR_MS, END_MS // HOUR_MS * HOUR_MS + HOUR_MS)),
    ],
)
def test_chart_of_many_readings_is_what_the_store_has(site, open_page, source, times):
    page = open_page(site)
    page.open_chart(SENSOR)
    shown = page.show_times(SENSOR, *times)
    assert shown["source"] == source
    count, bad, *_ = stored(site, *times)
    assert figures(shown) == stored(site, *times)
    assert count > 40_000 and bad >= 5
    means = buckets(site, *times, bucket_ms(site, page, times))
    assert int(shown["points"]) == len(means) < count / 50
    assert float(shown["first"]) == pytest.approx(means[0], rel=1e-9)
    assert float(shown["last"]) == pytest.approx(means[-1], rel=1e-9)


def test_hole_between_stored_readings_says_how_many_are_lost(site, open_page):
    page = open_page(site)
    page.open_chart(SENSOR)
    hole_ms = START_MS + 2 * PIECE * 1000
    shown = page.show_times(SENSOR, hole_ms - 60_000, hole_ms + 60_000)
    assert shown["holes"] == "1"
    (hole,) = page.all_data(".hole")
    assert hole == {"start": str(hole_ms - 1000), "lost": str(LOST)}
    assert page.text(".hole title").startswith(f"{LOST} readings lost: overwritten, ")
    (gap,) = site.ask("gaps")["gaps"]
    assert gap["device"] == "porch"  # as the configuration calls it
    told = f"{LOST} readings of porch lost: overwritten"
    page.wait(lambda: page.texts('#timeline li[data-kind="gap"] .text') == [told], "the gap")
    # Far fewer points than readings: it is found all the same where it is wide enough.
    page.show_times(SENSOR, hole_ms - 1_200_000, hole_ms + 1_200_000)
    assert [one["lost"] for one in page.all_data(".hole") if one["lost"]] == [str(LOST)]


def test_bad_reading_is_marked_on_the_page_and_in_the_chart(site, meter, open_page):
    page = open_page(site)
    meter.write("flow", 5)
    page.wait(lambda: page.channel("meter.flow").get("value") == "5", "the good one")
    assert page.channel("meter.flow")["quality"] == "good"
    page.open_chart("meter.flow")
    meter.write("flow", 6, "bad")
    page.wait(lambda: page.channel("meter.flow")["quality"] == "bad", "the bad one")
    assert page.channel("meter.flow")["value"] == ""
    assert page.text(channel("meter.flow") + " .figure") == "bad"
    assert "last good" in page.text(channel("meter.flow") + " .note")
    shown = page.wait_chart("meter.flow", lambda data: data["bad"] != "0")
    (found,) = site.rows(
        "SELECT count(*) FILTER (WHERE quality = 'good'), count(*) FILTER (WHERE quality = 'bad')"
        " FROM readings WHERE sensor = 'meter.flow'"
    )
    assert (int(shown["count"]), int(shown["bad"])) == found
    assert page.run("return document.querySelector('#plot path.bad').getAttribute('d')")


def test_newest_value_of_a_source_is_on_the_page_as_it_is_in_the_store(site, meter, open_page):
    page = open_page(site)
    for value in ("1.5", "-0.25", "123456.75"):
        meter.write("level", value)
        page.wait(lambda: page.channel("meter.level").get("value") == value, value)  # noqa: B023
        shown = page.channel("meter.level")
        assert site.newest("meter.level") == (int(shown["time"]), float(value))
    assert page.is_the_same


def test_event_is_on_the_time_line_and_in_the_chart(site, meter, open_page):
    page = open_page(site)
    page.open_chart("meter.power")
    meter.write("power", 150)
    alert = '#timeline li[data-kind="critical"]'
    page.wait(lambda: page.texts(alert), "the alert")
    page.wait(lambda: page.all_data("#plot .mark[data-kind=critical]"), "its mark in the chart")
    meter.write("power", 80)
    page.wait(lambda: len(page.texts(alert)) == 2, "its end")
    rows = site.rows(
        "SELECT state, message, utc_ms FROM event WHERE rule = 'too much' ORDER BY id DESC"
    )
    assert [row[0] for row in rows] == ["resolved", "firing"]
    assert page.texts(alert + " .text") == [row[1] for row in rows]
    assert [round(float(one["time"])) for one in page.all_data(alert)] == [r[2] for r in rows]
    assert "meter.power: 150 W is too much" in page.texts(alert + " .text")
