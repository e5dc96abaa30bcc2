"""The way to the cloud: a backlog that drains to the receiver, and new readings that pass it."""

import random
import subprocess
import sys
import threading
import time

from host.fakes import SEGMENT
from pyv_edge_agent.egress import Egress
from pyv_edge_agent.outbox import CloudSyncQueue
from pyv_edge_agent.sinks.http import HTTPCloudUploader
from pyv_edge_agent.store import WriteBatch
from pyv_edge_agent.terms import Terms
from pyv_edge_agent.uploader import UploadWorker
from pyv_edge_core.privacy import PrivacyPolicy

from .store import Feed

BACKLOG = 600_000
BATCH = 2000  # cloud.batch_size
LIVE_EVERY_S = 0.05
LIVE_ROWS = 16
REPEATS = 5


class Timed(HTTPCloudUploader):
    """A client that notes when the receiver has said that it has a reading."""

    def __init__(self, *args):
        super().__init__(*args)
        self.had = {}  # by number

    def deliver(self, batch_key, items):
        found = super().deliver(batch_key, items)
        now = time.perf_counter()
        if found.is_accepted:
            for item in items:
                if item["metadata"]["seq"] >= BACKLOG:
                    self.had[item["metadata"]["seq"]] = now
        return found


def _once(folder):
    folder.mkdir()
    receiver = subprocess.Popen(
        [
            *(sys.executable, "-m", "pyv_edge_agent.cli", "receive", "--port", "0"),
            *("--db", str(folder / "received.db")),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = receiver.stdout.readline().split()[3]
        feed = Feed(folder / "edge.db")
        for _ in range(0, BACKLOG, 20_000):
            out = WriteBatch(SEGMENT)
            feed.take(feed.batches(20_000), out)
            feed.store.commit(out)
        queue = CloudSyncQueue(clock=feed.clock)
        queue.bind(feed.store)
        client = Timed(url)
        worker = UploadWorker(
            feed.store,
            queue,
            Terms(client, Egress(PrivacyPolicy()), BATCH, 0.1, 1.0),
            feed.clock,
            random.Random(1),
        )
        thread = threading.Thread(target=worker.run, daemon=True)
        begun = time.perf_counter()
        thread.start()
        pause = threading.Event()
        while not worker.batches_total:  # what is stored before it has looked is backlog
            pause.wait(0.001)
        committed = {}
        while worker.readings_total - len(client.had) < BACKLOG:
            out = WriteBatch(SEGMENT)
            batches = feed.batches(LIVE_ROWS)
            feed.take(batches, out)
            feed.store.commit(out)
            committed[batches[-1].first_seq] = time.perf_counter()
            worker.wake()
            pause.wait(LIVE_EVERY_S)
        took = time.perf_counter() - begun
        while feed.store.sinks.pending("http"):
            pause.wait(0.01)
        worker.stop()
        thread.join(10)
        late = sorted((client.had[seq] - at) * 1000 for seq, at in committed.items())
        feed.store.close()
        client.close()
        return worker.readings_total / took, late[int(len(late) * 0.99)]
    finally:
        receiver.terminate()
        receiver.wait(10)
        receiver.stdout.close()


def drain(folder):
    """Measure both in the same run."""
    found = [_once(folder / str(repeat)) for repeat in range(REPEATS)]
    return [
        ["sync.drain_readings_per_s", "1/s", [rate for rate, _ in found]],
        ["sync.live_p99_ms", "ms", [late for _, late in found]],
    ]
