"""One store that grows: what it costs to write to, to ask, to open and to look after, by its size.

Sixteen channels, 6.4 readings a second in all, which is a reading of each in 2.5 seconds: ten
million are 18 days. So a month's chart comes to look at all there is, and later at a part of
it. Nothing is sent: all of it waits for a sink, and a copy at each size is the backlog that
`scale_backlog` drains.
"""

import random
import resource
import shutil
import sys
import time
from pathlib import Path

from host.fakes import SEGMENT, UTC_MS
from pyv_edge_agent.store import (
    BACKLOG,
    LIVE,
    ChannelPolicies,
    SQLiteStore,
    Upkeep,
    WriteBatch,
    query,
    verify,
)
from pyv_edge_agent.store.backup import back_up
from pyv_edge_agent.view.chart import draw
from pyv_edge_agent.view.store_view import View
from pyv_edge_core.privacy import PrivacyPolicy

from .store import CHANNELS, Feed

STEP_MS = 156.25  # 6.4 a second
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
PIECE = 20_000  # readings of a commit while it is filled
COMMIT_ROWS = 500  # of one that is measured
SEALED = 4096
POINTS = 800
SINK = "http"
SENSOR = "porch.c5"


class Grown:
    """A store that is filled up to one size after the other."""

    def __init__(self, path):
        self.path = path
        self.feed = Feed(path)
        self.feed.store.sinks.register(SINK)
        self.upkeep = Upkeep(self.feed.store)
        rng = random.Random(1)
        self.values = [rng.randrange(3000) for _ in range(PIECE)]
        self.count = 0

    @property
    def now_ms(self):
        return UTC_MS + int(self.count * STEP_MS)

    def commit(self, rows):
        """Store so many more readings; return the seconds that this took."""
        out = WriteBatch(SEGMENT)
        boot_id, at = self.feed.source.boot_id, self.count
        progress = out.stream(boot_id, 0, at)
        out.readings = [
            (n % CHANNELS + 1, boot_id, 0, n, UTC_MS + int(n * STEP_MS), 2, 0, self.values[n - at])
            for n in range(at, at + rows)
        ]
        progress.move(stored=rows)
        began_s = time.perf_counter()
        self.feed.store.commit(out)
        took_s = time.perf_counter() - began_s
        self.count += rows
        self.feed.clock.advance(int(rows * STEP_MS))
        return took_s

    def keep_up(self):
        """Summarise and seal what there is; return the seconds that this took."""
        began_s = time.perf_counter()
        while self.upkeep.rollups.roll_up() or (
            self.upkeep.blocks.unsealed_count >= SEALED and self.upkeep.blocks.seal()
        ):
            pass
        return time.perf_counter() - began_s

    def fill(self, count):
        """Store readings until there are so many."""
        while self.count < count:
            self.commit(min(PIECE, count - self.count))
            self.keep_up()

    def measured_fill(self, count, repeats):
        """Store the last ones up to `count` as an agent would; return both costs, in us each."""
        rows = max(COMMIT_ROWS, min(20_000, count // 2) // repeats // COMMIT_ROWS * COMMIT_ROWS)
        self.fill(count - repeats * rows)
        commits, upkeeps = [], []
        for _ in range(repeats):
            took_s = sum(self.commit(COMMIT_ROWS) for _ in range(0, rows, COMMIT_ROWS))
            commits.append(took_s * 1e6 / rows)
            upkeeps.append(self.keep_up() * 1e6 / rows)
        return commits, upkeeps


def _ms(work, repeats):
    took = []
    for _ in range(repeats):
        began_s = time.perf_counter()
        work()
        took.append((time.perf_counter() - began_s) * 1000)
    return took


def copy_closed(grown, path):
    """Copy the store, as if it had been closed, to `path`."""
    grown.feed.store.sinks.flush()
    grown.feed.store.checkpoint()
    shutil.copyfile(grown.path, path)
    store = SQLiteStore(path, grown.feed.clock)
    store.close()


def _asked(grown, repeats):
    """Return what questions to the open store take."""
    store, now_ms = grown.feed.store, grown.now_ms
    first_ms = max(UTC_MS, now_ms - 2 * HOUR_MS)
    hour = _ms(lambda: query.values(store, SENSOR, first_ms, first_ms + HOUR_MS), repeats)
    view = View(store, PrivacyPolicy(), is_local=True)
    month = (now_ms - 30 * DAY_MS, now_ms)

    def chart():
        made = draw(view, SENSOR, month, POINTS, now_ms)
        assert made is not None and made.times_ms

    return {"query_hour_ms": hour, "chart_30d_ms": _ms(chart, repeats)}


def _looked_after(grown, folder, repeats):
    """Return what opening, checking, backing up and retention take, of copies of the store."""
    copy = folder / "copy.db"
    copy_closed(grown, copy)
    clock = grown.feed.clock

    def begin():
        store = SQLiteStore(copy, clock)
        store.sinks.register(SINK)
        assert store.sinks.pending(SINK) == grown.count
        batches = [store.sinks.next_batch(SINK, 500, lane) for lane in (LIVE, BACKLOG)]
        assert any(batches)
        store.close()

    def begin_crashed():
        store = SQLiteStore(copy, clock)
        store.abandon()  # not closed: the next opening checks it
        store = SQLiteStore(copy, clock, check_ms=3_600_000)
        store.close()

    found = {
        "open_ms": _ms(begin, repeats),
        "open_checked_ms": _ms(begin_crashed, repeats),
        "verify_ms": _ms(lambda: verify(copy), repeats),
        "backup_ms": _ms(lambda: back_up(copy, folder / "backup.db", lambda *_: None), repeats),
    }
    (folder / "backup.db").unlink()
    found["retention_us"] = _expired(copy, clock, repeats)
    copy.unlink()
    return found


def _expired(path, clock, repeats):
    """Return what it takes to remove a reading that is too old, block by block."""
    store = SQLiteStore(path, clock)
    store.sinks.forget(SINK)  # what nobody has been sent is kept
    policies = ChannelPolicies({"keep_days": 1})
    store.apply_policies(policies)
    upkeep = Upkeep(store)
    took = []
    upkeep.retention.hold_until_ms = 0
    now_ms = clock.utc_ms() + 2 * DAY_MS
    for _ in range(repeats):
        before = upkeep.retention.expired_total
        began_s = time.perf_counter()
        upkeep.retention.step(now_ms)
        took_s = time.perf_counter() - began_s
        count = upkeep.retention.expired_total - before
        if count:
            took.append(took_s * 1e6 / count)
    store.close()
    return took


_UNITS = {"ms": "ms", "us": "us", "mb": "MB", "reading": "bytes"}


def stored(folder, sizes):
    """Measure a store of so many readings."""
    folder = Path(folder)
    grown = Grown(folder / "grown.db")
    figures = []
    for count in sizes.stored:
        repeats = sizes.repeats if count < sizes.large else 3
        commits, upkeeps = grown.measured_fill(count, repeats)
        grown.feed.store.checkpoint()
        rest = [grown.path.stat().st_size / count]
        found = {"commit_us": commits, "upkeep_us": upkeeps, "rest_bytes_per_reading": rest}
        found |= _asked(grown, repeats)
        found |= _looked_after(grown, folder, repeats)
        # Linux gives kilobytes.
        found["peak_rss_mb"] = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]
        for name, values in found.items():
            if values:
                unit = _UNITS[name.rpartition("_")[2]]
                is_fixed = name == "rest_bytes_per_reading"
                figures.append([f"scale.stored.{name}.{count}", unit, values, is_fixed])
        print(count, {k: v[-1] for k, v in found.items() if v}, file=sys.stderr, flush=True)
    grown.feed.store.close()
    return figures
