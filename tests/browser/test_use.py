"""How the page is used, and how it looks: by keys alone, on a phone, in the dark, while stale."""

import time
from pathlib import Path

import pytest
from browser.colours import READABLE, VISIBLE, contrast, luminance, rgb
from browser.page import device
from browser.site import Meter
from host.processes import free_port
from host.waiting import wait_for
from interpreter import ROOT
from rig import serial_device

PICTURES = ROOT / "build" / "screenshots"
RULES = [
    {
        "name": "too much",
        "sensor": "meter.power",
        "above": 100,
        "severity": "critical",
        "message": "{sensor}: {value} {unit} is too much",
    },
    {"name": "warm", "sensor": "north.temperature", "above": 30, "clear": 20},
]
CONTROLS = ("#chart-close", "#follow", "#from", "#ranges button:last-child")
TEXTS = (
    *("h1", "#live", "#version", "#health", "#reasons li", "#reasons .badge", ".card .facts"),
    *(".card .reason", ".channel .name", ".channel .figure", ".channel .unit", "#readout"),
    *("[data-quality=bad] .note", "[data-quality=bad] .figure", "#hint", "#times label"),
    *("#follow", "[aria-pressed=true]", "#ledger th", "#ledger td:last-child", "caption"),
    *("#sinks th", "#sinks td", ".why td", "#timeline time", "#timeline .text"),
    *("#timeline [data-kind=critical] .symbol", "#timeline [data-kind=warning] .symbol"),
    *("#timeline [data-kind=gap] .symbol", "[data-status=degraded].badge"),
)


def emulate(driver, *, scheme="light", phone=False):
    """Let the browser be one of somebody with a dark screen, or with a phone."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    if phone:
        size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    else:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


@pytest.fixture
def looks(driver):
    """Return a function that changes what the browser is; it is as before at the end."""
    yield lambda **how: emulate(driver, **how)
    emulate(driver)


@pytest.fixture(scope="module")
def meter(module_folder):
    return Meter(module_folder / "meter.csv")


@pytest.fixture(scope="module")
def site(sites, cables, meter):
    """An agent with all that there is to see: a board that has lost something, one that is gone,
    bad readings, alerts, a sink that can't be reached."""

    def board(name, **settings):
        sensors = [
            {"type": "simulated", "channel": "temperature", "interval_ms": 100, "period_s": 6},
            {
                "type": "simulated",
                "channel": "humidity",
                "unit": "%RH",
                "low": 3000,
                "high": 6500,
                "interval_ms": 250,
                "period_s": 17,
            },
            {"type": "procfs", "interval_ms": 500},
        ]
        return cables(name, sample_for_ms=0, sensors=sensors, **settings)

    north, south = board("north", telemetry_capacity=32), board("south")
    boards = [serial_device("north", north.path), serial_device("south", south.path)]
    sink = f"http://127.0.0.1:{free_port()}/v1/ingest"
    made = sites(
        {
            "sensors": {"devices": [*boards, meter.device]},
            "rules": RULES,
            "cloud": {"enabled": True, "endpoint": sink, "retry_max_seconds": 0.2},
        }
    ).start()
    wait_for(lambda: made.newest("south.temperature"), "the second board", 30)
    south.pull()
    for value in (40, 55, 60, 120, 80):
        meter.write("power", value)
    meter.write("flow", 3.25)
    meter.write("flow", 0, "bad")
    wait_for(lambda: made.newest("north.temperature"), "the first board", 30)
    north.pull()
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > 3, "the ring to overflow")
    north.push()
    wait_for(lambda: made.rows("SELECT 1 FROM gap"), "what is lost", 30)
    return made


def wait_rich(page):
    """Wait until the page shows all of it, with a chart; return the chart's data."""
    page.wait_live()
    for name, state in (("north", "up"), ("south", "searching")):
        page.wait(lambda: page.data(device(name)).get("state") == state, f"{name} {state}")  # noqa: B023
    page.wait(lambda: page.channel("meter.flow").get("quality") == "bad", "the bad reading")
    for kind in ("critical", "gap"):
        page.wait(lambda: page.texts(f"#timeline li[data-kind={kind}]"), f"a {kind}")  # noqa: B023
    page.wait(lambda: page.data("#sinks tr[data-sink]").get("status") == "degraded", "the sink")
    page.wait(lambda: page.data("#ledger").get("balanced") == "true", "the ledger")
    page.open_chart("north.temperature")
    return page.wait_chart("north.temperature", lambda data: int(data["holes"]) > 0)


def outline(page):
    return page.run(
        "const style = getComputedStyle(document.activeElement);"
        "return style.outlineStyle + style.outlineWidth"
    )


def test_page_can_be_used_by_keys_alone(site, open_page):
    page = open_page(site)
    page.wait_live()
    page.wait_value("north.temperature")
    for _ in range(40):
        page.press("TAB")
        assert outline(page) == "solid2px"  # one sees where one is
        _, classes, data = page.focus
        if (classes, data.get("sensor")) == ("channel", "north.temperature"):
            break
    else:
        pytest.fail("no Tab leads to the channel")

    page.press("ENTER")
    shown = page.wait_chart("north.temperature", lambda data: int(data["points"]) > 20)
    assert page.focus[0] == "chart-title"
    for _ in range(40):
        page.press("TAB")
        if page.focus[0] == "plot":
            break
    else:
        pytest.fail("no Tab leads to the plot")
    assert outline(page) == "solid2px"

    def cursor():
        script = "const e = document.getElementById('plot'); return Number(e.ariaValueNow)"
        return page.run(script), page.text("#readout")

    assert page.run("return document.querySelector('.cursor').childElementCount") == 0
    page.press("HOME")
    at, told = cursor()
    assert at == 0 and "latest" not in told
    assert page.run("return document.querySelector('.cursor').childElementCount") == 2
    page.press("ARROW_RIGHT", "ARROW_RIGHT", "ARROW_LEFT")
    assert cursor()[0] == 1 and cursor()[1] != told
    # The time by Shift, the zoom by + and -: the chart follows.
    page.press("ARROW_LEFT", shift=True)
    span = int(shown["end"]) - int(shown["start"])
    earlier = page.wait_chart(
        "north.temperature",
        lambda data: (
            int(data["end"]) < int(shown["end"]) and int(data["end"]) - int(data["start"]) == span
        ),
    )
    page.press("-")
    page.wait_chart(
        "north.temperature",
        lambda data: int(data["end"]) - int(data["start"]) == 2 * span,
    )
    assert int(earlier["end"]) - int(earlier["start"]) == span
    assert page.focus[0] == "plot"

    for leave in ("ESCAPE", "ENTER"):
        if leave == "ENTER":
            page.press("ENTER")
            page.wait_chart("north.temperature")
            page.press("TAB")
            assert page.focus[0] == "chart-close"
        page.press(leave)
        page.wait(lambda: not page.is_shown("#chart"), "the chart is closed")
        assert page.focus[2].get("sensor") == "north.temperature"
        assert page.run("return document.activeElement.ariaExpanded") == "false"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_and_told_apart(site, open_page, looks, scheme):
    looks(scheme=scheme)
    page = open_page(site)
    wait_rich(page)
    ground = luminance(rgb(page.style("body", "backgroundColor")))
    text = luminance(rgb(page.style("body", "color")))
    assert (ground < 0.02 < 0.6 < text) if scheme == "dark" else (text < 0.02 < 0.8 < ground)

    def faint():
        found = {(one, "color"): contrast(page, one) for one in TEXTS if page.text(one)}
        assert len(found) > 25
        borders = {(one, "borderTopColor"): VISIBLE for one in CONTROLS}
        return {
            **{key: value for key, value in found.items() if value < READABLE},
            **{key: c for key in borders if (c := contrast(page, *key)) < VISIBLE},
        }

    assert faint() == {}
    # Nor does what is stale become hard to read.
    page.run("document.body.dataset.live = 'stale'")
    assert faint() == {}
    assert page.run("return getComputedStyle(document.getElementById('plot')).opacity") == "1"


def test_phone_has_nothing_to_scroll_sideways(site, open_page, looks):
    looks(phone=True)
    page = open_page(site)
    wait_rich(page)
    widths = page.run(
        "const all = [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility());"
        "const wide = all.filter((e) => e.getBoundingClientRect().right > 390.5)"
        "  .filter((e) => !e.closest('.side .card'));"
        "return [document.documentElement.scrollWidth, wide.map((e) => e.outerHTML)]"
    )
    assert widths == [390, []]
    # What is pressed with a finger is large enough for one.
    sizes = page.run(
        "return [...document.querySelectorAll('button, input')].filter((e) => e.checkVisibility())"
        ".map((e) => e.getBoundingClientRect()).map((r) => Math.min(r.width, r.height))"
    )
    assert len(sizes) > 15 and min(sizes) >= 40


def test_pictures_of_the_page(site, open_page, looks):
    """The whole page in build/screenshots, for people to look at."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    ways = {
        "light": {},
        "dark": {"scheme": "dark"},
        "phone": {"phone": True},
    }
    for name, how in ways.items():
        looks(**how)
        page = open_page(site)
        wait_rich(page)
        for _ in range(4):
            page.click('[data-zoom="0.5"]')
        shown = page.wait_chart(
            "north.temperature",
            lambda data: int(data["end"]) - int(data["start"]) == 300_000 // 16,
        )
        assert int(shown["marks"]) > 0 and int(shown["holes"]) > 0
        picture(page, PICTURES / f"{name}.png")


def picture(page, path: Path):
    """Write the whole page, however long it is."""
    import base64

    size = page.run("return [window.innerWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
    found = page.driver.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
    )
    path.write_bytes(base64.b64decode(found["data"]))
