"""A backlog: what it takes to open it, to hold it, to drain it, and to let new readings pass it.

`python -m measure.scale_backlog STORE SECONDS` drains a copy of a store, in a process of its
own whose memory is looked at, into a receiver that is another process. Prints one line of
JSON.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
from host.fakes import SEGMENT
from pyv_edge_agent.egress import Egress
from pyv_edge_agent.outbox import CloudSyncQueue
from pyv_edge_agent.sinks.http import HTTPCloudUploader
from pyv_edge_agent.store import WriteBatch
from pyv_edge_agent.terms import Terms
from pyv_edge_agent.uploader import UploadWorker
from pyv_edge_core.privacy import PrivacyPolicy

from .scale_stored import Grown, copy_closed
from .store import Feed

BATCH = 2000  # cloud.batch_size
LIVE_EVERY_S = 0.05
LIVE_ROWS = 16
TIMEOUT_S = 300


def rss_mb():
    """Return what this process has of memory."""
    return psutil.Process().memory_info().rss / 2**20


class Timed(HTTPCloudUploader):
    """A client that notes when the receiver has said that it has a new reading."""

    def __init__(self, url, first_live):
        super().__init__(url)
        self.first_live = first_live
        self.had = {}  # by number

    def deliver(self, batch_key, items):
        found = super().deliver(batch_key, items)
        now_s = time.perf_counter()
        if found.is_accepted:
            for item in items:
                if item["metadata"]["seq"] >= self.first_live:
                    self.had[item["metadata"]["seq"]] = now_s
        return found


@contextmanager
def _receiver(folder):
    """Run the reference receiver; give its URL."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "pyv_edge_agent.cli", "receive", "--port", "0"),
            *("--db", str(folder / "received.db")),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process.stdout.readline().split()[3]
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def drain(path, most_s):
    """Drain a store for at most so long while new readings come; return what was seen."""
    before_mb = rss_mb()
    began_s = time.perf_counter()
    feed = Feed(path)
    feed.store.sinks.register("http")
    waiting = feed.store.sinks.pending("http")
    opened_ms = (time.perf_counter() - began_s) * 1000
    queue = CloudSyncQueue(clock=feed.clock)
    queue.bind(feed.store)
    with _receiver(path.parent) as url:
        client = Timed(url, feed.source.next_seq[0])
        terms = Terms(client, Egress(PrivacyPolicy()), BATCH, 0.1, 1.0)
        worker = UploadWorker(feed.store, queue, terms, feed.clock, random.Random(1))
        thread = threading.Thread(target=worker.run, daemon=True)
        begun_s = time.perf_counter()
        thread.start()
        pause, committed = threading.Event(), {}
        while worker.readings_total - len(client.had) < waiting:
            if time.perf_counter() - begun_s > most_s:
                break
            pause.wait(LIVE_EVERY_S if worker.batches_total else 0.001)
            if worker.batches_total:
                out, batches = WriteBatch(SEGMENT), feed.batches(LIVE_ROWS)
                feed.take(batches, out)
                feed.store.commit(out)
                committed[batches[-1].first_seq] = time.perf_counter()
                worker.wake()
        took_s = time.perf_counter() - begun_s
        drained = worker.readings_total - len(client.had)
        peak_mb = rss_mb()
        last = max(committed, default=None)
        end_s = time.perf_counter() + 30
        while last is not None and last not in client.had and time.perf_counter() < end_s:
            pause.wait(0.01)
        worker.stop()
        thread.join(30)
        client.close()
    late = sorted((client.had[seq] - at) * 1000 for seq, at in committed.items())
    feed.store.close()
    return {
        "opened_ms": opened_ms,
        "grown_mb": peak_mb - before_mb,
        "drain_per_s": drained / took_s,
        "live_p99_ms": late[int(len(late) * 0.99)] if late else None,
    }


def backlog(folder, sizes):
    """Measure a backlog of so many readings."""
    folder = Path(folder)
    grown = Grown(folder / "waiting.db")
    figures = []
    for count in sizes.backlog:
        grown.fill(count)
        copy_closed(grown, folder / "kept.db")
        repeats = sizes.repeats if count < sizes.large else min(3, sizes.repeats)
        found = [_apart(folder, sizes.drain_s) for _ in range(repeats)]
        for name, unit in (
            *(("opened_ms", "ms"), ("grown_mb", "MB"), ("drain_per_s", "1/s")),
            ("live_p99_ms", "ms"),
        ):
            values = [one[name] for one in found if one[name] is not None]
            if values:
                figures.append([f"scale.backlog.{name}.{count}", unit, values])
    grown.feed.store.close()
    return figures


def _apart(folder, most_s):
    """Drain a copy in a process of its own; return what it says."""
    place = folder / "drained"
    place.mkdir()
    shutil.copyfile(folder / "kept.db", place / "edge.db")
    with (place / "edge.db").open("rb") as copied:
        os.fsync(copied.fileno())  # else the first commit would wait for all of it
    done = subprocess.run(
        [sys.executable, "-m", "measure.scale_backlog", str(place / "edge.db"), str(most_s)],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    shutil.rmtree(place)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(drain(Path(sys.argv[1]), float(sys.argv[2]))))
