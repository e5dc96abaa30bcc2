"""What the agent takes of memory: beside a board and a receiver, and over ten million readings."""

import gc
import random
import re
import sys
from pathlib import Path

from host.fakes import SEGMENT, FixedRandom
from pyv_edge_agent.egress import Egress
from pyv_edge_agent.outbox import CloudSyncQueue
from pyv_edge_agent.sinks.delivery import ACCEPTED, Delivery
from pyv_edge_agent.store import Limits, Upkeep, WriteBatch
from pyv_edge_agent.terms import Terms
from pyv_edge_agent.uploader import UploadWorker
from pyv_edge_core.privacy import PrivacyPolicy
from rig import AgentProcess, Receiver, make_board, serial_device, wait_for

from .store import Feed

TOTAL = 10_000_000
SETTLED = 1_000_000  # readings after which it should not grow any more
PIECE = 20_000
READINGS = 3000  # stored and uploaded before the agent's memory is looked at
AGENTS = 5


def _rss_mb(pid):
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024


def rss(folder):
    """Measure some real agents, one after the other, with a board on a serial line and a cloud."""
    values = []
    for number in range(AGENTS):
        place = folder / str(number)
        place.mkdir()
        values.append(_agent_rss_mb(place))
    return [["agent.rss_mb", "MB", values]]


def _agent_rss_mb(folder):
    receiver = Receiver(folder)
    board = make_board(folder, "north", sample_for_ms=0, interval_ms=10)
    cloud = {"enabled": True, "endpoint": receiver.url}
    devices = [serial_device("north", board.path)]
    agent = AgentProcess(folder / "agent", {"sensors": {"devices": devices}, "cloud": cloud})
    try:
        board.start()
        agent.start()
        wait_for(lambda: receiver.store.stats()["unique"] > READINGS, "the upload", 120)
        return _rss_mb(agent.process.pid)
    finally:
        board.kill()
        if agent.process is not None:
            agent.kill()
        receiver.close()


class Taker:
    """A sink that takes everything."""

    shown = "taker"

    def deliver(self, batch_key, items):
        del batch_key, items
        return Delivery(ACCEPTED)

    def wake(self):
        pass


def growth(folder):
    """Measure all of the agent that a reading passes, between one and ten million of them."""
    feed = Feed(folder / "edge.db")
    queue = CloudSyncQueue(clock=feed.clock)
    queue.bind(feed.store)
    worker = UploadWorker(
        feed.store,
        queue,
        Terms(Taker(), Egress(PrivacyPolicy()), 1000, 0.1, 1.0),
        feed.clock,
        FixedRandom(),
    )
    upkeep = Upkeep(feed.store, Limits(max_size=64_000_000))
    rng = random.Random(1)
    seen = {}
    batches = feed.batches(PIECE, rng=rng)
    for done in range(PIECE, TOTAL + 1, PIECE):
        out = WriteBatch(SEGMENT)
        first = feed.source.next_seq[0]
        for number, one in enumerate(batches):
            object.__setattr__(one, "first_seq", first + number * 16)
        feed.take(batches, out)
        feed.store.commit(out)
        feed.clock.advance(PIECE * 10)
        while upkeep.step(feed.clock.utc_ms(), is_time_right=True):
            pass
        worker.step()
        if done % SETTLED == 0:
            gc.collect()
            seen[done] = _rss_mb("self")
            print(done, round(seen[done], 1), file=sys.stderr, flush=True)
    feed.store.close()
    return [
        ["agent.rss_growth_mb", "MB", [seen[TOTAL] - seen[SETTLED]]],
        ["agent.rss_at_10m_mb", "MB", [seen[TOTAL]]],
    ]
