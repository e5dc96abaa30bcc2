"""The store: speed against bare SQLite, bytes on the disk, and a file of ten million readings."""

import gc
import os
import random
import sqlite3
import time
from struct import pack

from host.fakes import SEGMENT, UTC_MS, FakeClock
from pyv_edge_agent.alerting import Alerting
from pyv_edge_agent.dating import TimedBatch
from pyv_edge_agent.pipeline import Pipeline
from pyv_edge_agent.series import Source
from pyv_edge_agent.store import BootInfo, SQLiteStore, Upkeep, WriteBatch, query
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.reading import Channel
from pyv_edge_core.record_ring import RECORD_FORMAT

CHANNELS = 16
COMMIT_ROWS = 500
BATCH_ROWS = 16  # of a frame
REPEATS = 7
DISK_REPEATS = 5
ROWS = 30_000
RATE = 100  # readings a second, for what depends on it
LARGE_ROWS = 10_000_000
LARGE_COMMIT = 20_000
QUERIES = 9


class Feed:
    """A pipeline with a board of 16 channels, and batches as a link gives them."""

    def __init__(self, path, clock=None):
        self.clock = clock or FakeClock()
        self.store = SQLiteStore(path, self.clock)
        self.pipeline = Pipeline(PrivacyPolicy(), {}, Alerting([]))
        plans = [
            self.pipeline.plan("porch", Channel(f"c{number}", "Cel", -2))
            for number in range(CHANNELS)
        ]
        channels = tuple(plan.info for plan in plans)
        info = BootInfo("board-1", "porch", 7, "rp2", "1", "power", channels)
        opened = self.store.open_boot(info, UTC_MS)
        series = [
            self.pipeline.alerting.open(plan, channel_id, opened.boot_id, UTC_MS, WriteBatch())
            for plan, channel_id in zip(plans, opened.channel_ids, strict=True)
        ]
        self.source = Source("porch", 7, opened.boot_id, series, list(opened.next_seq))

    def batches(self, count, rate=RATE, rng=None):
        """Return TimedBatches of `count` readings from where the board stands."""
        rng = rng or random.Random(1)
        first, found = self.source.next_seq[0], []
        for at in range(first, first + count, BATCH_ROWS):
            size = min(BATCH_ROWS, first + count - at)
            base_ms = 1_000_000 + at * 1000 // rate
            records = b"".join(
                pack(RECORD_FORMAT, (at + n) % CHANNELS, 0, n * 1000 // rate, rng.randrange(3000))
                for n in range(size)
            )
            found.append(TimedBatch(0, at, base_ms, 2, records, 7))
        return found

    def take(self, batches, out):
        for one in batches:
            assert self.pipeline.add_batch(self.source, one, UTC_MS, out)


def seconds(work):
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bare_insert(path, rows):
    """Return how to insert the same rows into one table, with the same pragmas."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("page_size = 1024", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(
        "CREATE TABLE reading (id INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL, boot_id"
        " INTEGER NOT NULL, stream INTEGER NOT NULL, seq INTEGER NOT NULL, utc_ms INTEGER NOT"
        " NULL, error_ms INTEGER NOT NULL, quality INTEGER NOT NULL, value NOT NULL)"
    )

    def work():
        for at in range(0, len(rows), COMMIT_ROWS):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO reading VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows[at : at + COMMIT_ROWS],
            )
            connection.execute("COMMIT")

    return work, connection


def commit(folder):
    """Decoded batches to committed rows, over bare executemany of the same columns."""
    ratios, profile = [], {"pipeline": [], "commit": [], "bare": [], "upkeep": []}
    for repeat in range(REPEATS):
        feed = Feed(folder / f"store{repeat}.db")
        feed.store.sinks.register("http")
        batches = feed.batches(ROWS)
        pieces = [batches[at : at + 32] for at in range(0, len(batches), 32)]
        kept = []

        def path(feed=feed, pieces=pieces, kept=kept):
            took = committed = 0.0
            for piece in pieces:
                start = time.perf_counter()
                out = WriteBatch(SEGMENT)
                feed.take(piece, out)
                between = time.perf_counter()
                feed.store.commit(out)
                committed += time.perf_counter() - between
                took += between - start
                kept.extend(out.readings)
            profile["pipeline"].append(took / ROWS * 1e6)
            profile["commit"].append(committed / ROWS * 1e6)

        whole = seconds(path)
        bare, connection = bare_insert(folder / f"bare{repeat}.db", kept)
        alone = seconds(bare)
        connection.close()
        upkeep = Upkeep(feed.store)

        def keep(feed=feed, upkeep=upkeep):
            while upkeep.rollups.roll_up() or upkeep.blocks.seal():
                pass

        profile["upkeep"].append(seconds(keep) / ROWS * 1e6)
        profile["bare"].append(alone / ROWS * 1e6)
        ratios.append(alone / whole)
        feed.store.close()
    return [
        ["store.commit_ratio", "ratio", ratios],
        *[[f"store.{name}_us", "us", values] for name, values in profile.items()],
    ]


def _written():
    with open("/proc/self/io", encoding="ascii") as file:
        return int(dict(line.split(": ") for line in file.read().splitlines())["write_bytes"])


def disk(folder):
    """Bytes that 100 readings a second write, with a commit a second and a sink that has them."""
    written, rest = [], []
    for repeat in range(DISK_REPEATS):
        path = folder / f"disk{repeat}.db"
        feed = Feed(path)
        feed.store.sinks.register("http")
        upkeep = Upkeep(feed.store)
        rng = random.Random(repeat)
        commits = 1800
        before = _written()
        for _ in range(commits):
            out = WriteBatch(SEGMENT)
            feed.take(feed.batches(RATE, rng=rng), out)
            feed.store.commit(out)
            feed.clock.advance(1000)
            while batch := feed.store.sinks.next_batch("http"):
                assert feed.store.sinks.acknowledge("http", batch)
            while upkeep.step(feed.clock.utc_ms(), is_time_right=True):
                pass
        feed.store.pragma("wal_checkpoint(TRUNCATE)")
        written.append((_written() - before) / (commits * RATE))
        rest.append(path.stat().st_size / (commits * RATE))
        feed.store.close()
    return [
        ["store.disk_bytes_per_reading", "bytes", written],
        ["store.rest_bytes_per_reading", "bytes", rest],
    ]


def large(folder):
    """A file of ten million readings of which no sink has any: to open it, and to ask it."""
    feed = Feed(folder / "large.db")
    feed.store.sinks.register("http")
    upkeep = Upkeep(feed.store)
    rng = random.Random(1)
    values = [rng.randrange(3000) for _ in range(LARGE_COMMIT)]
    seq = 0
    while seq < LARGE_ROWS:
        out = WriteBatch(SEGMENT)
        progress = out.stream(feed.source.boot_id, 0, seq)
        out.readings = [
            (n % CHANNELS + 1, feed.source.boot_id, 0, n, UTC_MS + n * 10, 2, 0, values[n - seq])
            for n in range(seq, seq + LARGE_COMMIT)
        ]
        progress.move(stored=LARGE_COMMIT)
        feed.store.commit(out)
        seq += LARGE_COMMIT
        while upkeep.rollups.roll_up() or upkeep.blocks.seal():
            pass
    size = os.path.getsize(folder / "large.db")
    hour_ms = 3_600_000
    asked = []
    for number in range(QUERIES):
        start_ms = UTC_MS + (number + 1) * hour_ms * 2
        found = []

        def ask(start_ms=start_ms, found=found):
            found.extend(query.values(feed.store, "porch.c5", start_ms, start_ms + hour_ms))

        asked.append(seconds(ask) * 1000)
        assert len(found) == RATE * 3600 // CHANNELS, len(found)
    feed.store.close()
    opened = []
    for _ in range(QUERIES):
        stores = []

        def begin(stores=stores):
            stores.append(SQLiteStore(folder / "large.db", feed.clock))
            stores[0].sinks.register("http")
            assert stores[0].sinks.pending("http") == LARGE_ROWS
            assert stores[0].sinks.next_batch("http", 500, "backlog") is not None or (
                stores[0].sinks.next_batch("http", 500) is not None
            )

        opened.append(seconds(begin) * 1000)
        stores[0].close()
    return [
        ["store.query_hour_ms", "ms", asked],
        ["store.open_10m_ms", "ms", opened],
        ["store.large_bytes_per_reading", "bytes", [size / LARGE_ROWS], True],
    ]
