"""A disk that is really full: a small tmpfs, the real SQLite, the agent's own ingest."""

from contextlib import suppress

import pytest
from host.fakes import batch
from host.processes import small_disk
from host.test_ingest import BOOT, Rig
from host.waiting import wait_for
from pyv_edge_agent.store import Limits, read_ledger, verify

COUNT = 250  # readings of a batch


@pytest.fixture
def disk(tmp_path):
    """A file system of 4 MB of which a third is taken by somebody else."""
    with small_disk(tmp_path / "small", 4 << 20) as folder:
        (folder / "ballast").write_bytes(bytes(1_300_000))
        yield folder


def fill(path, size):
    """Take all the room there is."""
    with path.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(size))


class Site:
    """A board that sends what is not acknowledged, and an ingest with upkeep."""

    def __init__(self, folder, limits):
        self.rig = Rig(folder / "edge.db", limits=limits)
        self.upkeep = self.rig.upkeep
        self.rig.greet()
        self.acked = 0
        self.sent = 0

    def send(self):
        """Send another batch, and let the agent's loop run."""
        if self.rig.ingest.has_room:
            self.rig.put(batch(self.sent, list(range(COUNT))))
            self.sent += COUNT
        self.loop()

    def loop(self):
        self.rig.clock.advance(1000)
        for _ in range(20):
            self.rig.ingest.run()
            if not self.rig.ingest._housekeeping.is_behind:
                break
        for call in self.rig.link.take_calls():
            assert call[:3] == ("committed", BOOT, 0)
            self.acked = call[3]


def test_agent_goes_on_through_a_full_disk_without_a_restart(disk):
    site = Site(disk, Limits())  # no figure of ours says that there is no room
    for _ in range(500):
        site.send()
    ingest = site.rig.ingest
    assert ingest.commit_failures_total > 0, "the disk was never full"
    assert site.upkeep.capacity.evicted_total > 0
    wait_for(lambda: site.loop() or site.acked == site.sent, "the last commit")
    assert ingest.problem == ""
    ledger = read_ledger(site.rig.path)
    assert ledger.is_balanced, ledger.to_dict()
    assert ledger.total("stored") == site.sent == 500 * COUNT
    assert ledger.total("present") + ledger.total("evicted") == site.sent
    assert site.upkeep.status()["state"] == "ok"
    site.rig.store.close()
    assert verify(site.rig.path).problems == []


def test_free_disk_is_kept_so_that_it_never_gets_full(disk):
    site = Site(disk, Limits(min_free=600_000, keep_size=100_000))
    for _ in range(400):
        site.send()
    assert site.rig.ingest.commit_failures_total == 0
    assert site.upkeep.capacity.evicted_total > 0
    assert read_ledger(site.rig.path).is_balanced
    site.rig.store.close()


def test_nothing_is_acknowledged_while_nothing_can_be_stored(disk):
    site = Site(disk, Limits())
    site.send()
    acked = site.acked
    ballast = disk / "more"
    fill(ballast, 65536)
    (site.rig.path.with_name("edge.db.reserve")).unlink(missing_ok=True)
    fill(ballast, 4096)
    for _ in range(40):
        site.send()
    assert site.rig.ingest.problem
    assert site.acked < site.sent
    assert read_ledger(site.rig.path).total("stored") >= site.acked >= acked
    ballast.unlink()
    wait_for(lambda: site.loop() or site.acked == site.sent, "the last commit")
    assert site.rig.ingest.problem == ""
    assert read_ledger(site.rig.path).is_balanced
    site.rig.store.close()
