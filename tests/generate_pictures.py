"""Makes the pictures of the README, of what really runs: `make pictures`.

The page is that of an agent with two boards, played under MicroPython; one of
them loses its cable for a while, and more readings than its memory holds. The
picture of a terminal is what `make demo` prints. It takes about six minutes,
since the page shows the last five of each channel.
"""

import base64
import html
import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import zlib
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from fcntl import ioctl
from pathlib import Path

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS / "e2e"), str(TESTS / "core")]

from browser.chromium import chromium  # noqa: E402
from browser.page import Page, device  # noqa: E402
from browser.site import Plug, Site  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.terminal_theme import DIMMED_MONOKAI  # noqa: E402
from rich.text import Text  # noqa: E402
from rig import Receiver, make_board, serial_device, wait_for  # noqa: E402

ROOT = TESTS.parent
IMAGES = ROOT / "images"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
WIDTH, HEIGHT = 1280, 1150
COLUMNS = 100
BIN = Path(sys.executable).parent
SENSOR = "greenhouse.temperature"
RULE = {
    "name": "too hot",
    "sensor": SENSOR,
    "above": 30.0,
    "clear": 28.0,
    "severity": "warning",
}
# Ticks of a board's channels: all of the picture, where the cable goes, how long it is away.
TICKS, CUT_AT, CUT_FOR = 600, 330, 45
INTERVAL_MS = 500
SPAN_MS = TICKS * INTERVAL_MS  # the five minutes with which the page opens a chart
# The clock of a machine that makes pictures is perhaps not set; a reader's is.
NOT_SHOWN = re.compile(r"^agent: the clock of this computer .*\n", re.MULTILINE)


def channel(name, low, high, period_ticks, interval_ms, **more):
    """Return a sensor that goes up and down between two levels, as device.json has it."""
    period_s = max(1, period_ticks * interval_ms // 1000)
    times = {"interval_ms": interval_ms, "period_s": period_s}
    return {"type": "simulated", "channel": name, "low": low, "high": high, **times, **more}


class Scene:
    """Two boards, an agent and the endpoint that it sends to."""

    def __init__(self, folder, interval_ms, stack):
        air = channel("temperature", 2140, 3090, 220, interval_ms, noise=18)
        damp = channel("humidity", 5200, 7400, 300, interval_ms, noise=40, unit="%RH")
        soil = channel("soil", 312, 348, 900, interval_ms, noise=1, unit="%", exponent=-1)
        cold = channel("temperature", -2010, -1830, 140, interval_ms, noise=9)
        volt = channel("supply", 3262, 3304, 400, interval_ms, noise=4, unit="V", exponent=-3)
        self.interval_ms = interval_ms
        self.receiver = Receiver(folder)
        stack.callback(self.receiver.close)
        self.greenhouse = self._board(
            stack, folder, "greenhouse", [air, damp, soil], telemetry_capacity=48
        )
        self.freezer = self._board(stack, folder, "freezer", [cold, volt])
        boards = [
            serial_device("greenhouse", self.greenhouse.path),
            serial_device("freezer", self.freezer.path),
        ]
        every = {"ingest_type": "system", "interval_seconds": 4 * interval_ms / 1000, "unit": "%"}
        computer = [{"name": "pi-cpu", "metric": "cpu_percent", **every}]
        computer += [{"name": "pi-memory", "metric": "ram_percent", **every}]
        self.site = Site(
            folder / "agent",
            {
                "sensors": {"devices": [*boards, *computer]},
                "rules": [RULE],
                "cloud": {"enabled": True, "endpoint": self.receiver.url},
            },
        )
        stack.callback(self.site.kill)
        self.site.start()

    def _board(self, stack, folder, name, sensors, **settings):
        board = make_board(folder, name, sample_for_ms=0, sensors=sensors, **settings)
        stack.callback(board.kill)
        board.start()
        plug = Plug(board, folder / f"usb-{name}")
        stack.callback(plug.pull)
        return plug

    def count(self, sensor):
        """Return how many readings of a sensor are stored."""
        if not self.site.agent.db.exists():
            return 0
        statement = "SELECT count(*) FROM readings WHERE sensor = ?"
        return self.site.rows(statement, sensor)[0][0]

    def play(self, ticks, cut_at, cut_for):
        """Return when so many ticks are over; the cable is away for some of them."""
        deadline_s = 60 + ticks * self.interval_ms / 500

        def wait_ticks(number):
            what = f"{number} readings of the freezer"
            wait_for(lambda: self.count("freezer.temperature") >= number, what, deadline_s)

        wait_ticks(cut_at)
        self.greenhouse.pull()
        wait_ticks(cut_at + cut_for)
        self.greenhouse.push()
        wait_ticks(ticks)
        wait_for(lambda: self.site.rows("SELECT 1 FROM gaps"), "a gap")
        wait_for(lambda: self.site.rows("SELECT 1 FROM event"), "an event")


@contextmanager
def scene(folder, interval_ms):
    """Run a Scene while the block lasts."""
    with ExitStack() as stack:
        yield Scene(Path(folder), interval_ms, stack)


# -- the page ------------------------------------------------------------------------


def photograph(driver, made, span_ms):
    """Return a PNG of the page with a chart of so long, and what can be read on it.

    The page can halve its five minutes, again and again.
    """
    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
    page = Page(driver, made.site.url)
    page.wait_live()
    for name in ("greenhouse", "freezer"):
        page.wait(lambda: page.data(device(name)).get("state") == "up", f"{name} up")  # noqa: B023
    page.open_chart(SENSOR)
    for _ in range((SPAN_MS // span_ms).bit_length() - 1):
        page.click('[data-zoom="0.5"]')
    page.wait_chart(
        SENSOR,
        lambda shown: (
            int(shown["end"]) - int(shown["start"]) == span_ms
            and int(shown["holes"]) > 0
            and int(shown["marks"]) > 0
        ),
    )
    page.wait(lambda: page.texts("#timeline li[data-kind=warning]"), "an alert")
    page.wait(lambda: page.data("#ledger").get("balanced") == "true", "the ledger")
    page.wait(lambda: page.data("#health")["status"] == "healthy", "all is well")
    page.run("document.activeElement.blur(); window.scrollTo(0, 0)")
    text = page.run("return document.body.innerText")
    found = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": False})
    return packed(base64.b64decode(found["data"])), text


class Png:
    """A PNG as Chromium makes them: eight bits a sample, no palette, not interlaced."""

    def __init__(self, content):
        assert content[:8] == SIGNATURE
        chunks, at = {}, len(SIGNATURE)
        while at < len(content):
            size, kind = struct.unpack_from(">I4s", content, at)
            chunks[kind] = chunks.get(kind, b"") + content[at + 8 : at + 8 + size]
            at += 12 + size
        self.header = chunks[b"IHDR"]
        self.width, self.height, *more = struct.unpack(">IIBBBBB", self.header)
        assert more in ([8, 2, 0, 0, 0], [8, 6, 0, 0, 0])
        self._step = 3 if more[1] == 2 else 4  # bytes of a pixel
        self.lines = list(self._lines(zlib.decompress(chunks[b"IDAT"])))

    def _lines(self, data):
        size = self.width * self._step
        above = bytearray(size)
        for first in range(0, len(data), size + 1):
            line = bytearray(data[first + 1 : first + 1 + size])
            _unfilter(data[first], line, above, self._step)
            yield line
            above = line

    def colours(self):
        """Return the colours that there are."""
        step = self._step
        return {
            one for x in self.lines for one in zip(x[0::step], x[1::step], x[2::step], strict=True)
        }


def packed(content):
    """Return the same picture in fewer bytes: a page has flat areas, which need no filter."""
    found = Png(content)
    data = zlib.compress(b"".join(b"\0" + line for line in found.lines), 9)
    made = bytearray(SIGNATURE)
    for kind, chunk in ((b"IHDR", found.header), (b"IDAT", data), (b"IEND", b"")):
        made += struct.pack(">I", len(chunk)) + kind + chunk
        made += struct.pack(">I", zlib.crc32(kind + chunk))
    return bytes(made)


def _unfilter(kind, line, above, step):
    """Undo what PNG has done to a line, in place."""
    if kind == 0:
        return
    if kind == 2:
        line[:] = bytes((a + b) & 255 for a, b in zip(line, above, strict=True))
        return
    for index in range(len(line)):
        left = line[index - step] if index >= step else 0
        up, corner = above[index], above[index - step] if index >= step else 0
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + up) // 2
        else:
            near = left + up - corner
            guess = min((left, up, corner), key=lambda one: abs(near - one))
        line[index] = (line[index] + guess) & 255


# -- terminals -------------------------------------------------------------------------


def printed(command, folder):
    """Return what a command prints on a terminal of COLUMNS columns, which must be done well."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "TZ": "UTC"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        command, cwd=folder, stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    found = bytearray()
    try:
        while True:
            ready, _, _ = select.select([master], [], [], 120)
            assert ready, f"{command} prints nothing any more"
            found += os.read(master, 65536)
    except OSError:
        pass  # EIO: nobody has the other end any more
    finally:
        os.close(master)
    assert process.wait(60) == 0, found.decode()
    return found.decode().replace("\r\n", "\n")


def demo_command():
    """Return what `make demo` runs."""
    recipe = re.search(r"^demo:.*\n\t\$\(BIN\)/(.+)$", (ROOT / "Makefile").read_text(), re.M)
    return [str(BIN / recipe[1].split()[0]), *recipe[1].split()[1:]]


def terminal(command, text, title):
    """Return an SVG of a terminal in which `command` has printed `text`."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    console.print(Text.from_ansi(text.rstrip("\n")))
    picture = console.export_svg(title=title, theme=DIMMED_MONOKAI)
    # Fonts from elsewhere are not for a picture in a file; a reader's own monospace is.
    picture = re.sub(r"@font-face \{.*?\}\n?", "", picture, flags=re.DOTALL)
    return "\n".join(line.rstrip() for line in picture.splitlines()) + "\n"


def shown_in(svg):
    """Return the text of each line that such an SVG shows."""
    lines = defaultdict(list)
    for x, y, text in re.findall(r'<text [^>]*x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>', svg):
        lines[float(y)].append((float(x), html.unescape(text).replace("\xa0", " ")))
    return ["".join(text for _, text in sorted(lines[y])).rstrip() for y in sorted(lines)]


def demo_picture(folder):
    """Return the picture of `make demo`."""
    text = NOT_SHOWN.sub("", printed(demo_command(), folder))
    return terminal("make demo", text, "make demo")


def main():
    os.environ["NO_PROXY"] = "*"  # which must not see requests to loopback
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        (IMAGES / "demo.svg").write_text(demo_picture(name), encoding="utf-8")
        with scene(name, INTERVAL_MS) as made, chromium() as driver:
            made.play(TICKS, CUT_AT, CUT_FOR)
            png, _ = photograph(driver, made, SPAN_MS)
            (IMAGES / "page.png").write_bytes(png)


if __name__ == "__main__":
    main()
