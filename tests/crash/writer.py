"""A process that stores, seals, evicts and uploads until it is killed, or kills itself.

    python writer.py STORE URL COUNT POINT NTH

Says "acked N" when the readings below N are durable, as a board would be told, and "done"
when it has stored COUNT and everything is uploaded. POINT is part of an SQL statement with
"<" or ">" before it, or "deliver": SIGKILL comes before or behind its NTH time.
"""

import os
import random
import signal
import sqlite3
import sys

from pyv_edge_agent.channel_policy import ChannelPolicies
from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.egress import Egress
from pyv_edge_agent.errors import StoreError
from pyv_edge_agent.outbox import CloudSyncQueue
from pyv_edge_agent.sinks.http import HTTPCloudUploader
from pyv_edge_agent.store import (
    BootInfo,
    ChannelInfo,
    Limits,
    Upkeep,
    WriteBatch,
    open_store,
)
from pyv_edge_agent.terms import Terms
from pyv_edge_agent.uploader import UploadWorker
from pyv_edge_core.privacy import PrivacyPolicy

UTC_MS = 1_780_000_000_000
BATCH = 500
STEP_MS = 5000  # from one reading to the next
POLICIES = {
    "keep_days": 0.9,
    "summary_keep_days": 0.3,
    "on_full_bulk": "downsample_oldest",
    "channels": [
        {"match": "porch.c1", "class": "bulk"},
        {"match": "porch.c2", "sync": ["summary"]},
    ],
}
LIMITS = Limits(max_size=1_200_000, high_water=0.42, low_water=0.32)


class Clock(SystemClock):
    """A real one that goes a thousand times as fast, so that minutes and days turn."""

    def __init__(self, shift_ms=0):
        self._began_ms = super().monotonic_ms()
        self.extra_ms = shift_ms

    def monotonic_ms(self):
        return super().monotonic_ms() + self.extra_ms

    def utc_ms(self):
        return UTC_MS + self.monotonic_ms()


class Killer:
    """Ends this process at its point."""

    def __init__(self, point, nth):
        self.side, self.text = (point[0], point[1:]) if point else ("<", "")
        self.left = nth

    def meet(self, side, text):
        if self.text and side == self.side and self.text in text:
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Writer:
    """The store's writing connection, watched."""

    def __init__(self, connection, killer):
        self._connection = connection
        self._killer = killer

    def execute(self, statement, *parameters):
        self._killer.meet("<", statement)
        found = self._connection.execute(statement, *parameters)
        self._killer.meet(">", statement)
        return found

    def executemany(self, statement, rows):
        self._killer.meet("<", statement)
        found = self._connection.executemany(statement, rows)
        self._killer.meet(">", statement)
        return found

    def __getattr__(self, name):
        return getattr(self._connection, name)


class Client(HTTPCloudUploader):
    killer = None

    def deliver(self, batch_key, items):
        self.killer.meet("<", "deliver")
        found = super().deliver(batch_key, items)
        self.killer.meet(">", "deliver")
        return found


def say(*words):
    print(*words, flush=True)


def main(path, url, count, point, nth):
    killer = Killer(point, int(nth))
    count = int(count)
    clock = Clock()
    store = open_store(path, clock)
    store._writer = Writer(store._writer, killer)
    store.apply_policies(ChannelPolicies(POLICIES))
    upkeep = Upkeep(store, LIMITS)
    queue = CloudSyncQueue(clock=clock)
    queue.bind(store)
    client = Client(url, clock=clock)
    client.killer = killer
    egress = Egress(PrivacyPolicy(), store.policies, store.channels_of)
    worker = UploadWorker(
        *(store, queue, Terms(client, egress, 300, 0.01, 0.05), clock, random.Random(1))
    )
    channels = tuple(ChannelInfo(f"c{n}", f"porch.c{n}", "V", -1) for n in range(4))
    opened = store.open_boot(BootInfo("board", "porch", 7, "b", "f", "r", channels), UTC_MS)
    seq = opened.next_seq[0]
    clock.extra_ms += seq * STEP_MS  # time has gone on, too
    say("acked", seq)
    uploads = 0
    while seq < count:
        batch = WriteBatch()
        progress = batch.stream(opened.boot_id, 0, seq)
        for n in range(seq, min(seq + BATCH, count)):
            row = (opened.channel_ids[n % 4], opened.boot_id, 0, n, clock.utc_ms(), 1, 0, n)
            batch.readings.append(row)
            clock.extra_ms += STEP_MS
        progress.move(stored=len(batch.readings))
        if seq % 2000 == 0:
            batch.items.append((f'{{"n": {seq}}}', 3, 0.0, 0))
        store.commit(batch)
        seq = progress.next_seq
        say("acked", seq)
        steps = 0
        while steps < 30 and upkeep.step(clock.utc_ms(), is_time_right=True):
            steps += 1
        uploads += 1
        if uploads % 3 == 0:  # it is behind, so that some are evicted before they are sent
            worker.step()
    while store.sinks.pending("http") or store.items.pending("http"):
        worker.step()
        clock.extra_ms += 1000
    upkeep.close()
    worker.step()
    store.close()
    say("done")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (StoreError, sqlite3.Error) as error:
        say("failed", error)
        sys.exit(1)
