"""Who may see what: a token, names that the policy drops, and no other host is ever asked."""

import pytest
from browser.site import Meter
from host.fakes import UTC_MS
from host.store_rig import StoreRig
from host.test_store import info
from pyv_edge_agent.store import ChannelInfo, WriteBatch

TOKEN = "wes-brot-ich-ess"
DROPPED = ("whisper", "gatehouse", "cam-77", "attic", "basement")


@pytest.fixture(scope="module")
def guarded(sites, module_folder):
    """An agent that wants a token."""
    meter = Meter(module_folder / "guarded.csv")
    (module_folder / "token").write_text(TOKEN + "\n")
    health = {"port": 0, "token_file": str(module_folder / "token")}
    site = sites({"sensors": {"devices": [meter.device]}, "health": health}).start()
    meter.write("power", 12)
    return site


def test_agent_with_a_token_shows_nothing_until_it_is_told(guarded, open_page):
    page = open_page(guarded, is_outage=True)
    page.wait(lambda: page.is_shown("#token-form"), "the form")
    assert page.live != "live"
    assert page.all_data("button.channel") == []
    assert page.focus[0] == "token"
    assert page.text("#token-note") == ""

    page.press(*"open sesame", "ENTER")
    page.wait(lambda: page.text("#token-note"), "a wrong one is not taken")
    assert page.is_shown("#token-form")
    assert page.all_data("button.channel") == []

    page.press(*TOKEN, "ENTER")
    page.wait_live()
    page.wait(lambda: page.channel("meter.power").get("value") == "12", "the value")
    assert not page.is_shown("#token-form")
    page.open_chart("meter.power")

    # It is in no address, nor in what outlives the tab.
    assert len(page.logs.urls) > 10
    assert not [url for url in [*page.logs.urls, page.driver.current_url] if TOKEN in url]
    assert TOKEN not in page.driver.page_source
    assert page.run("return document.cookie + JSON.stringify({...localStorage})") == "{}"
    # All that the console has said is that the agent had refused.
    assert all("401" in error for error in page.logs.errors)

    page.driver.refresh()
    page.wait_live()
    page.wait(lambda: page.channel("meter.power").get("value") == "12", "it is not asked again")
    page.run("sessionStorage.clear()")


@pytest.fixture(scope="module")
def discreet(sites, module_folder):
    """An agent that has stored what its policy now drops, and goes on to drop."""
    meters = [Meter(module_folder / f"{name}.csv", name) for name in ("meter", "attic")]
    lost = {"name": "basement", "ingest_type": "serial", "port": "/dev/no/such"}
    site = sites(
        {
            "sensors": {"devices": [*(meter.device for meter in meters), lost]},
            "privacy": {
                "rules": [
                    {"pattern": "*.whisper", "action": "drop"},
                    {"device": "gatehouse", "action": "drop"},
                    {"device": "attic", "action": "drop"},
                    {"device": "basement", "action": "drop"},
                ]
            },
            "rules": [{"name": "any", "above": 0}],
        }
    )
    site.agent.db.parent.mkdir()
    rig = StoreRig(site.agent.db)
    rig.add(20)
    channels = (ChannelInfo("whisper", "gatehouse.whisper", "dB", 0),)
    opened = rig.store.open_boot(info(0x77, "cam-77", "gatehouse", channels), UTC_MS)
    batch = WriteBatch()
    row = (opened.channel_ids[0], opened.boot_id, 0, 0, rig.clock.utc_ms(), 2, 0, 47)
    batch.readings.append(row)
    batch.gaps.append((opened.boot_id, 0, 1, 3, "overwritten", rig.clock.utc_ms(), 0))
    batch.stream(opened.boot_id, 0, 0).move(stored=1, lost=3)
    rig.store.commit(batch)
    rig.close()
    site.start()
    for meter in meters:
        meter.write("power", 12)
        meter.write("whisper", 47)
    meters[0].write("power", 13)
    return site


def test_names_that_the_policy_drops_are_nowhere_on_the_page(discreet, open_page):
    page = open_page(discreet)
    page.wait_live()
    page.wait(lambda: page.channel("meter.power").get("value") == "13", "what may be known")
    page.wait(lambda: page.channel("porch.temp"), "what is stored and may be known")
    page.wait(lambda: page.texts("#timeline li[data-kind]"), "the time line")
    page.wait(lambda: page.texts("#ledger tr[data-term]"), "the ledger")
    page.wait(lambda: page.texts("#reasons li"), "what is wrong")
    page.open_chart("porch.temp")
    assert {one["sensor"].split(".")[0] for one in page.all_data("button.channel")} == {
        *("meter", "porch")
    }
    html = page.run("return document.documentElement.outerHTML + document.title")
    words = html + "".join(page.logs.urls)
    assert [name for name in DROPPED if name in words] == []
    # Had they been allowed, they would be found here.
    assert "porch.temp" in words and "withheld-" in words
    for data in page.all_data("button.channel"):
        assert data["value"] != "47"


def test_page_asks_its_own_agent_only_and_errors_would_be_seen(discreet, open_page):
    page = open_page(discreet)
    page.wait_live()
    page.wait_value("meter.power")
    page.open_chart("meter.power")
    paths = {url.removeprefix(page.origin).partition("?")[0] for url in page.logs.urls}
    names = ("stream", "devices", "channels", "readings", "events", "gaps", "ledger")
    wanted = {"/", "/main.js", "/app.css", *(f"/api/v1/{name}" for name in names)}
    assert wanted <= paths
    assert page.logs.errors == []
    # What the checks of every test go by does tell of an error, and of another host.
    page.run("console.error('a fault'); fetch('http://127.0.0.1:1/elsewhere').catch(() => {})")
    page.wait(lambda: any("a fault" in one for one in page.logs.page_errors), "the error")
    page.wait(lambda: any("Content Security Policy" in one for one in page.logs.errors), "CSP")
    page.logs.forget()


def test_pages_that_were_left_hold_no_connection_to_the_agent(sites, open_page):
    """A browser has six for all its tabs, and a stream keeps one for as long as it is open."""
    site = sites({"sensors": {"devices": [{"name": "made-up", "ingest_type": "simulator"}]}})
    site.start()
    for _ in range(7):
        # So many in so short a time may be more than the agent lets be open: it is asked again.
        page = open_page(site, is_outage=True)
        page.wait_value("made-up")
        page.driver.get("about:blank")
    page.driver.back()
    page.wait_live()
    page.wait_value("made-up")


def test_page_that_nobody_sees_gives_its_stream_up_until_it_is_seen(discreet, open_page):
    page = open_page(discreet)
    page.wait_live()
    page.wait_value("meter.power")
    page.driver.minimize_window()
    page.wait(lambda: page.run("return document.hidden"), "nobody sees it")
    # A minute passes, for this page.
    page.run("const now = Date.now; Date.now = () => now() + (window.isLater ? 61_000 : 0)")
    page.run("window.isLater = true")
    page.wait(lambda: page.live == "stale", "the stream is given up")
    page.run("window.isLater = false")
    asked = page.logs.urls
    page.driver.set_window_size(1280, 1000)
    page.wait_live()
    assert page.logs.urls[len(asked)] == f"{page.origin}/api/v1/stream"  # none while unseen
    assert page.is_the_same
