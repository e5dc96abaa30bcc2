"""Real boards on the page: their values, their silence, what was lost, an agent that is killed."""

import re
import time

import pytest
from browser.page import channel, device
from host.processes import free_port
from rig import serial_device


@pytest.fixture(scope="module")
def board(cables):
    """Make a board that measures a temperature."""

    def make(name, *, interval_ms=100, **settings):
        sensor = {"type": "simulated", "channel": "temperature", "period_s": 5}
        sensors = [{**sensor, "interval_ms": interval_ms}]
        return cables(name, sample_for_ms=0, sensors=sensors, **settings)

    return make


@pytest.fixture(scope="module")
def north(board):
    """A board that remembers about two seconds."""
    return board("north", interval_ms=50, telemetry_capacity=40)


@pytest.fixture(scope="module")
def south(board):
    return board("south")


@pytest.fixture(scope="module")
def site(sites, north, south):
    devices = [serial_device("north", north.path), serial_device("south", south.path)]
    return sites({"sensors": {"devices": devices}}).start()


def test_a_value_moves_by_itself_and_is_the_newest_that_is_stored(site, open_page):
    page = open_page(site)
    page.wait_live()
    first = page.wait_value("south.temperature")
    page.wait(
        lambda: page.channel("south.temperature")["value"] != first["value"], "another value"
    )
    stored_ms, _ = site.newest("south.temperature")
    shown = page.wait(
        lambda: (
            found
            if int((found := page.channel("south.temperature"))["time"]) >= stored_ms
            else None
        ),
        "what was the newest when we asked",
    )
    assert site.values_at("south.temperature", int(shown["time"])) == [float(shown["value"])]
    (told,) = [
        one
        for one in site.ask("channels", "device=south")["channels"]
        if one["sensor"] == "south.temperature"
    ]
    assert told["time_ms"] >= int(shown["time"])
    assert page.text(channel("south.temperature") + " .unit") == "°C"
    page.wait(
        lambda: int(page.data(channel("south.temperature") + " .spark")["points"]) >= 2,
        "a line of its last values",
    )
    assert page.is_the_same


def test_a_board_that_is_pulled_is_told_of_and_is_up_again_once_it_is_back(site, north, open_page):
    page = open_page(site)
    page.wait(lambda: page.data(device("north")).get("state") == "up", "the board is up")
    north.pull()
    page.wait(lambda: page.data(device("north"))["state"] == "searching", "it is gone")
    assert page.data(device("north"))["status"] == "degraded"
    reason = page.text(device("north") + " .reason")
    assert str(north.path) in reason
    page.wait(
        lambda: reason in page.text('#reasons li[data-component="device/north"]'),
        "what is wrong, at the top",
    )
    assert page.data("#health")["status"] == "degraded"
    # The other one goes on.
    south_ms = int(page.wait_value("south.temperature")["time"])
    page.wait(lambda: int(page.channel("south.temperature")["time"]) > south_ms, "south's next")
    north_ms = int(page.channel("north.temperature")["time"])
    north.push()
    page.wait(lambda: page.data(device("north"))["state"] == "up", "it is back")
    page.wait(lambda: int(page.channel("north.temperature")["time"]) > north_ms, "north's next")
    page.wait(lambda: page.data("#health")["status"] == "healthy", "all is well")
    assert not page.is_shown("#reasons")
    assert page.text(device("north") + " .reason") == ""
    assert page.is_the_same


def test_a_board_that_says_nothing_any_more_is_told_of(site, south, open_page):
    page = open_page(site)
    page.wait(lambda: page.data(device("south")).get("state") == "up", "the board is up")
    south.silence(True)
    page.wait(lambda: page.data(device("south"))["state"] != "up", "its silence is noticed")
    page.wait(
        lambda: "nothing heard for 12 s" in page.text(device("south") + " .reason"), "and why"
    )
    assert page.data(device("south"))["status"] == "degraded"
    silent_ms = int(page.channel("south.temperature")["time"])
    south.silence(False)
    page.wait(lambda: page.data(device("south"))["state"] == "up", "it is heard again")
    page.wait(lambda: int(page.channel("south.temperature")["time"]) > silent_ms, "its next value")
    assert page.is_the_same


def test_what_a_board_had_to_overwrite_is_a_hole_with_the_number_that_is_lost(
    site, north, open_page
):
    def lost(first_seq=0):
        (found,) = site.rows(
            "SELECT coalesce(sum(gaps.count), 0), count(*) FROM gaps WHERE device = 'north'"
            f" AND cause = 'overwritten' AND first_seq >= {first_seq}"
        )
        return found

    page = open_page(site)
    page.wait(lambda: page.data(device("north")).get("state") == "up", "the board is up")
    page.wait_value("north.temperature")
    page.open_chart("north.temperature")
    before, _ = lost()
    north.pull()
    began = time.monotonic()
    page.wait(lambda: time.monotonic() - began > 3, "the ring to overflow")
    north.push()
    page.wait(lambda: lost()[0] > before, "readings are lost")

    def holes():
        return [int(one["lost"]) for one in page.all_data(".hole") if one["lost"]]

    # What is lost before a board's first reading, while the agent starts, has no place in time.
    page.wait(lambda: sum(holes()) == lost(1)[0], "the chart shows all that is lost")
    assert any("overwritten" in title for title in page.texts(".hole title"))
    for number, title in zip(holes(), page.texts('.hole:not([data-lost=""]) title'), strict=True):
        assert title.startswith(f"{number} readings lost: overwritten, ")
    page.wait(lambda: int(page.data(device("north"))["lost"]) == lost()[0], "the card counts them")

    def told():
        entries = page.texts('#timeline li[data-kind="gap"] .text')
        found = [re.fullmatch(r"(\d+) readings? of north lost: overwritten", e) for e in entries]
        return [int(one[1]) for one in found if one]

    page.wait(lambda: (sum(told()), len(told())) == lost(), "the time line has all gaps")
    assert page.is_the_same


def test_an_agent_that_is_killed_makes_the_page_stale_until_it_is_back(sites, board, open_page):
    west = board("west")
    devices = [serial_device("west", west.path)]
    site = sites({"sensors": {"devices": devices}, "health": {"port": free_port()}}).start()
    page = open_page(site, is_outage=True)
    page.wait_live()
    seen = page.wait_value("west.temperature")
    assert page.logs.errors == []
    site.kill()
    page.wait(lambda: page.live == "stale", "the page says that it is stale")
    assert re.fullmatch(r"stale since \d\d:\d\d:\d\d, trying again", page.text("#live"))
    last = page.channel("west.temperature")
    assert last["value"] and int(last["time"]) >= int(seen["time"])
    site.start()
    page.wait_live()
    assert page.text("#live") == "live"
    shown = page.wait(
        lambda: (
            found
            if int((found := page.channel("west.temperature"))["time"]) > int(last["time"])
            else None
        ),
        "a new value",
    )
    assert site.values_at("west.temperature", int(shown["time"])) == [float(shown["value"])]
    assert page.is_the_same
