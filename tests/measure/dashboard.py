"""What is asked of a real agent over loopback: all metrics, a chart of 30 days, the page."""

import http.client
import re
import threading
import time
from pathlib import Path

import psutil
import pytest
from host.fakes import FakeClock
from host.store_rig import StoreRig
from pyv_edge_agent.dashboard.page_files import read_page
from pyv_edge_agent.store import WriteBatch
from rig import AgentProcess, wait_for

DEVICES, CHANNELS = 50, 10
REPEATS = 25
WINDOWS, WINDOW_S = 5, 20.0
PROGRAMS = {"chromium": "/usr/bin/chromium", "chromium-driver": "/usr/bin/chromedriver"}
DAYS = 30
CHART_READINGS = DAYS * 86_400
COMMIT_ROWS = 20_000
POINTS = 800
TRUSTED = {"source": "trusted"}


class Site:
    """A real agent, asked over one connection as a scraper or a page does."""

    def __init__(self, folder, config):
        self.agent = AgentProcess(folder, {"time": TRUSTED, **config})
        self.agent.start()
        wait_for(lambda: "health is served" in self.agent.text(), "the health server")
        (self.port,) = set(re.findall(r"http://127\.0\.0\.1:(\d+)/health", self.agent.text()))
        self.process = psutil.Process(self.agent.process.pid)

    def get(self, path, **headers):
        """Return the body of an answer, which must be 200."""
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=60)
        try:
            connection.request("GET", path, headers=headers)
            reply = connection.getresponse()
            body = reply.read()
            assert reply.status == 200, body
            return body
        finally:
            connection.close()

    def ms(self, path):
        began = time.perf_counter()
        self.get(path)
        return (time.perf_counter() - began) * 1000

    def cpu_s(self):
        return sum(self.process.cpu_times()[:2])


def metrics(folder):
    """Measure a scrape of 50 devices with 10 channels each, and what one a second takes."""
    devices = [
        {
            "name": f"d{number}",
            "ingest_type": "http",
            "port": 0,
            "endpoint": f"/d{number}",
            "channel_path": "sensor_name",
            "timeout_seconds": 30,
        }
        for number in range(DEVICES)
    ]
    site = Site(folder, {"sensors": {"devices": devices}})
    try:
        wait_for(lambda: site.get("/health").count(b'"listening"') == DEVICES, "all ports")
        feed(site)
        assert site.get("/api/v1/channels").count(b'"sensor"') == DEVICES * CHANNELS
        pages = site.get("/metrics/prometheus")
        assert pages.count(b"pyv_edge_device_submitted_total{") == DEVICES
        took = [site.ms("/metrics/prometheus") for _ in range(REPEATS)]
        sizes = [len(site.get("/metrics/prometheus")) for _ in range(REPEATS)]
        percents = []
        for _ in range(WINDOWS):
            idle = share(site, lambda: None)
            percents.append(share(site, lambda: site.get("/metrics/prometheus")) - idle)
    finally:
        site.agent.kill()
    return [
        ["health.metrics_ms", "ms", took],
        ["health.metrics_cpu_percent", "percent", percents],
        ["health.metrics_bytes", "bytes", sizes],
    ]


def feed(site):
    """Let each device have each of its channels."""
    told = site.get("/health").decode()
    places = re.findall(r'"url": "http://127\.0\.0\.1:(\d+)/d(\d+)"', told)
    assert len(places) == DEVICES
    now = time.time()
    for port, number in places:
        body = [
            f'{{"sensor_name": "c{channel}", "timestamp": {now}, "value": {channel}}}'
            for channel in range(CHANNELS)
        ]
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/d{number}", f"[{','.join(body)}]", headers)
        assert connection.getresponse().status == 200
        connection.close()


def share(site, act):
    """Return the percent of a core that the agent takes while something is done each second."""
    pause = threading.Event()
    began_s, used_s = time.monotonic(), site.cpu_s()
    while time.monotonic() - began_s < WINDOW_S:
        act()
        pause.wait(1.0)
    return 100 * (site.cpu_s() - used_s) / (time.monotonic() - began_s)


def chart(folder):
    """Measure the chart of one channel over 30 days of a reading a second."""
    path = folder / "edge.db"
    now_ms = time.time_ns() // 1_000_000
    fill(path, now_ms)
    site = Site(folder, {"storage": {"path": str(path)}, "sensors": {"devices": []}})
    try:
        asked = f"/api/v1/readings?sensor=porch.temp&points={POINTS}"
        whole = f"{asked}&start_ms={now_ms - DAYS * 86_400_000}&end_ms={now_ms}"
        assert site.get(whole).count(b",") > DAYS * 24
        found = [["api.chart_30d_ms", "ms", [site.ms(whole) for _ in range(REPEATS)]]]
        for name, span_ms in (("7d", 7 * 86_400_000), ("1d", 86_400_000), ("1h", 3_600_000)):
            part = f"{asked}&start_ms={now_ms - span_ms}&end_ms={now_ms}"
            found.append([f"api.chart_{name}_ms", "ms", [site.ms(part) for _ in range(REPEATS)]])
    finally:
        site.agent.kill()
    return found


def fill(path, end_ms):
    """Write a store whose one channel has a reading a second up to a time."""
    rig = StoreRig(path)
    rig.clock = FakeClock(utc_ms=end_ms - CHART_READINGS * 1000)
    rig.store._clock = rig.clock
    channel, boot = rig.opened.channel_ids[0], rig.opened.boot_id
    for first in range(0, CHART_READINGS, COMMIT_ROWS):
        count = min(COMMIT_ROWS, CHART_READINGS - first)
        at_ms = end_ms - (CHART_READINGS - first) * 1000
        batch = WriteBatch()
        batch.stream(boot, 0, rig.seq).move(stored=count)
        batch.readings = [
            (channel, boot, 0, rig.seq + n, at_ms + n * 1000, 2, 0, (first + n) % 3000)
            for n in range(count)
        ]
        rig.seq += count
        rig.store.commit(batch)
        rig.clock.advance(count * 1000)
        rig.keep_up()
    rig.minute()
    rig.close()


def page_bytes(folder):
    """Measure the bytes of the page."""
    del folder
    files = {path: one.content for path, one in read_page().items() if path != "/"}
    return [["page.bytes", "bytes", [sum(map(len, files.values()))], True]]


def page(folder):
    """Measure the time to the page's first paint in a real browser."""
    for package, program in PROGRAMS.items():
        if not Path(program).exists():
            pytest.skip(f"no {program}; apt-get install {package}")
    devices = [{"name": f"s{number}", "ingest_type": "simulator"} for number in range(4)]
    site = Site(folder, {"sensors": {"poll_interval_seconds": 1.0, "devices": devices}})
    try:
        took_ms = paints(f"http://127.0.0.1:{site.port}/")
    finally:
        site.agent.kill()
    return [["page.first_paint_ms", "ms", took_ms]]


def paints(url):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = PROGRAMS["chromium"]
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    driver = webdriver.Chrome(options, Service(PROGRAMS["chromium-driver"]))
    script = (
        "return performance.getEntriesByType('paint')"
        ".filter(one => one.name === 'first-contentful-paint').map(one => one.startTime)"
    )
    took = []
    try:
        for _ in range(9):
            driver.get("about:blank")
            driver.execute_cdp_cmd("Network.clearBrowserCache", {})
            driver.get(url)
            took += wait_for(lambda: driver.execute_script(script), "a first paint")
    finally:
        driver.quit()
    return took[1:]  # the first one has the browser itself come up
