"""What a real agent takes beside boards: by their number, and by the number of their channels.

Three loads for each number of boards: the same rate in all, the same rate of each, and as
much as goes. CPU time is what the kernel says of the agent's process, all threads; the
boards are played in this one.
"""

import threading
import time
from pathlib import Path

import psutil
from rig import AgentProcess, wait_for

from .scale_boards import PlayedBoards

PAUSE = threading.Event()
SETTLE_S = 2.0
BOARDS_OF_CHANNELS = 4  # a board has 255 at most


def cpu_s(pid):
    """Return the CPU seconds of a process that no thread leaves: in steps finer than a tick."""
    found = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return found / 1e9


class Site:
    """A real agent, and the boards at its lines."""

    def __init__(self, folder, board_count, channel_count, commit_ms):
        self.boards = PlayedBoards(board_count, channel_count)
        storage = {"commit_interval_ms": commit_ms}
        sensors = {"devices": self.boards.devices()}
        self.agent = AgentProcess(folder, {"sensors": sensors, "storage": storage})
        self.rss_mb = []
        self.boards.start()

    def start(self):
        """Start the agent; return after how many milliseconds it said so."""
        seen, began_s = len(self.agent.text()), time.perf_counter()
        self.agent.spawn()
        end_s = began_s + 60
        while "EdgeAgent started" not in self.agent.text()[seen:]:
            assert time.perf_counter() < end_s, self.agent.text()[-500:]
            PAUSE.wait(0.002)
        took_ms = (time.perf_counter() - began_s) * 1000
        self.process = psutil.Process(self.agent.process.pid)
        return took_ms

    def wait_up(self):
        wait_for(lambda: self.boards.are_up, "all boards to be welcomed")

    def close(self):
        if self.agent.process is not None and self.agent.process.poll() is None:
            self.agent.kill()
        self.boards.close()

    def _look(self):
        written = self.process.io_counters().write_bytes
        return time.monotonic(), cpu_s(self.process.pid), self.boards.acknowledged(), written

    def windows(self, rate, repeats, window_s):
        """Return (seconds, CPU seconds, readings, bytes written) of each window at a rate.

        And note what memory the agent has at the end of each.
        """
        self.boards.set_rate(rate)
        PAUSE.wait(min(SETTLE_S, window_s))
        found, self.rss_mb = [], []
        before = self._look()
        for _ in range(repeats):
            PAUSE.wait(window_s)
            now = self._look()
            found.append(tuple(b - a for a, b in zip(before, now, strict=True)))
            self.rss_mb.append(self.process.memory_info().rss / 2**20)
            before = now
        if rate:
            assert all(count for _, _, count, _ in found), "a window without any commit"
        return found


def _per_1000(found):
    return [1e6 * used_s / count for _, used_s, count, _ in found]


def _percent(found):
    return [100 * used_s / took_s for took_s, used_s, _, _ in found]


def devices(folder, sizes):
    """Measure an agent with so many boards of one channel each."""
    figures = []

    def add(name, unit, values, is_fixed=False):
        figures.append([f"scale.devices.{name}.{count}", unit, values, is_fixed])

    for count in sizes.boards:
        site = Site(Path(folder) / f"boards{count}", count, count, sizes.commit_ms)
        try:
            site.start()
            site.wait_up()
            same = site.windows(sizes.rate, sizes.repeats, sizes.window_s)
            each = site.windows(sizes.board_rate * count, sizes.repeats, sizes.window_s)
            rss_mb = site.rss_mb
            idle = site.windows(0, sizes.repeats, sizes.window_s)
            most = site.windows(None, sizes.repeats, sizes.window_s / 2)
            add("cpu_ms_per_1000", "ms", _per_1000(same))
            add("cpu_percent", "percent", _percent(each))
            add("idle_cpu_percent", "percent", _percent(idle))
            add("most_per_s", "1/s", [n / took_s for took_s, _, n, _ in most])
            add("most_cpu_ms_per_1000", "ms", _per_1000(most))
            add("written_bytes_per_reading", "bytes", [w / n for _, _, n, w in same])
            add("rss_mb", "MB", rss_mb)
            add("threads", "threads", [site.process.num_threads()], True)
            add("descriptors", "descriptors", [site.process.num_fds()], True)
        finally:
            site.close()
    return figures


def channels(folder, sizes):
    """Measure an agent with so many channels on four boards, at the same rate in all."""
    figures = []

    def add(name, unit, values):
        figures.append([f"scale.channels.{name}.{count}", unit, values])

    for count in sizes.channels:
        place = Path(folder) / f"channels{count}"
        site = Site(place, BOARDS_OF_CHANNELS, count, sizes.commit_ms)
        try:
            site.start()
            site.wait_up()
            found = site.windows(sizes.channel_rate, sizes.repeats, sizes.channel_window_s)
            add("cpu_ms_per_1000", "ms", _per_1000(found))
            add("written_bytes_per_reading", "bytes", [w / n for _, _, n, w in found])
            add("rss_mb", "MB", site.rss_mb)
            site.boards.set_rate(0)
            started = []
            for _ in range(sizes.repeats):
                assert site.agent.stop() == 0
                started.append(site.start())
            add("start_ms", "ms", started)
            assert site.agent.stop() == 0
            stored = site.agent.ledger().total("present")
            add("rest_bytes_per_reading", "bytes", [site.agent.db.stat().st_size / stored])
        finally:
            site.close()
    return figures
