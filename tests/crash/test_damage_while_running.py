"""A file is damaged under a running agent: it goes on in a new one, boards where they stood."""

import random

import pytest
from host.fakes import batch, greeting
from host.test_ingest import BOOT, Rig
from pyv_edge_agent.errors import StoreBrokenError
from pyv_edge_agent.store import Limits, read_ledger

COUNT = 250


class Site(Rig):
    def __init__(self, path):
        super().__init__(path, limits=Limits())
        self.sent = 0

    def send(self, times=1):
        for _ in range(times):
            self.put(batch(self.sent, list(range(COUNT))))
            self.sent += COUNT
            self.loop()

    def loop(self):
        self.clock.advance(1000)
        for _ in range(200):
            self.ingest.run()
            if not self.ingest._housekeeping.is_behind:
                return

    def damage(self):
        """Overwrite pages of readings, as a card does that loses a sector."""
        self.store.pragma("wal_checkpoint(TRUNCATE)")
        ((root,),) = self.rows("SELECT rootpage FROM sqlite_master WHERE name = 'reading'")
        with self.path.open("r+b") as file:
            for page in range(root + 100, root + 130):
                file.seek((page - 1) * 1024)
                file.write(random.Random(page).randbytes(1024))


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "edge.db")
    made.greet()
    yield made
    made.store.close()


def test_agent_goes_on_in_a_new_file_without_a_restart(site, caplog):
    site.send(40)
    site.link.take_calls()
    site.damage()
    with pytest.raises(StoreBrokenError):  # whoever comes upon it: a sink, /health, a seal
        site.store.rows("SELECT sum(value + seq) FROM reading")
    site.send()
    assert ("restart",) in site.link.take_calls()
    assert site.store.recoveries_total == 1
    # The board greets, and is told to go on where it stood.
    site.put(greeting())
    site.loop()
    (welcome,) = [call for call in site.link.take_calls() if call[0] == "welcome"]
    stood = welcome[2][0]
    assert stood == 40 * COUNT
    site.sent = stood
    site.send(10)
    assert site.link.take_calls()[-1] == ("committed", BOOT, 0, site.sent)
    while site.store.salvage is not None:
        site.loop()
    ledger = read_ledger(site.path)
    assert ledger.is_balanced, ledger.to_dict()
    assert ledger.total("stored") == site.sent
    assert 0 < ledger.total("evicted") < 3 * COUNT * 40 / 4
    assert ledger.total("present") == site.sent - ledger.total("evicted")
    assert site.rows("SELECT count(*) FROM gap WHERE cause = 'damaged'") == [(1,)]
    assert site.ingest.problem == ""
    assert (site.path.with_name("edge.db.broken-1")).exists()
    assert any("set aside as edge.db.broken-1" in line for line in caplog.text.splitlines())


def test_damage_right_after_a_recovery_waits_for_its_time(site):
    site.send(40)
    site.damage()
    with pytest.raises(StoreBrokenError):
        site.store.rows("SELECT sum(value + seq) FROM reading")
    site.loop()
    assert site.store.recoveries_total == 1
    site.store.broken = "again"
    site.loop()
    assert site.store.recoveries_total == 1  # a disk that damages everything is not worn out
    site.clock.advance(61_000)
    site.loop()
    assert site.store.recoveries_total == 2
