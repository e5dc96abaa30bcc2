"""The file is deleted, replaced, or its disk goes away under a running agent: nothing is lost."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from host.fakes import UTC_MS, batch, greeting
from host.processes import find, small_disk
from host.store_rig import StoreRig
from host.test_ingest import BOOT, DEVICE, Rig
from host.test_store import info, telemetry
from pyv_edge_agent.store import Limits, SQLiteStore, read_ledger, verify
from pyv_edge_agent.types import SensorReading

COUNT = 100  # readings of a batch
MINUTE_MS = 60_000


class Site(Rig):
    """A board that sends again what is not acknowledged, and an agent's ingest with upkeep."""

    def __init__(self, path):
        super().__init__(path, limits=Limits())
        self.acked = 0
        self.sent = 0
        self.greet()

    def send(self, times=1):
        for _ in range(times):
            self.put(batch(self.sent, list(range(COUNT))))
            self.sent += COUNT
            self.loop()

    def loop(self, ms=1000):
        self.clock.advance(ms)
        for _ in range(50):
            self.ingest.run()
            is_restarted = self.follow()
            if not is_restarted and not self.ingest._housekeeping.is_behind:
                break

    def follow(self):
        """Do as the agent says; return whether the board had to greet again."""
        is_restarted = False
        for call in self.link.take_calls():
            if call[0] == "committed":
                assert call[:3] == ("committed", BOOT, 0)
                self.acked = call[3]
            elif call[0] == "restart":
                self.put(greeting())
                is_restarted = True
            elif call[0] == "welcome":
                self.acked = self.sent = call[2][0]
        return is_restarted

    def has_all(self):
        """Return whether every number that was acknowledged is in the file at the path."""
        ledger = read_ledger(self.path)
        assert ledger.is_balanced, ledger.to_dict()
        assert verify(self.path).problems == []
        return self.rows("SELECT seq FROM reading ORDER BY id") == [
            (seq,) for seq in range(self.acked)
        ]


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "data" / "edge.db")
    made.send(60)
    yield made
    made.store.close()


def delete_file(path):
    path.unlink()


def delete_file_and_wal(path):
    for one in path.parent.glob("edge.db*"):
        if not one.name.endswith(".lock"):
            one.unlink()


def delete_folder(path):
    shutil.rmtree(path.parent)


def move_away(path):
    path.rename(path.with_name("old.db"))


def reasons(site):
    """Return why the file was opened again, as the audit log has it."""
    return [row["details"] for row in site.store.audit_logs() if row["action"] == "reopened"]


@pytest.mark.parametrize("strike", [delete_file, delete_file_and_wal, delete_folder, move_away])
def test_file_that_is_deleted_comes_back_with_all_that_was_acknowledged(site, strike, caplog):
    assert site.acked == 60 * COUNT
    strike(site.path)
    site.send(3)
    assert site.acked == site.sent > 60 * COUNT
    assert site.has_all()
    assert reasons(site) == [{"reason": f"{site.path}: was deleted"}]
    assert "edge.db: was deleted while it was in use; what it held is in it again" in caplog.text
    with pytest.raises(Exception, match="in use by another agent"):
        SQLiteStore(site.path)


@pytest.mark.parametrize("is_killed", [False, True])
def test_wal_that_is_deleted_takes_nothing_along(site, is_killed):
    site.path.with_name("edge.db-wal").unlink()
    site.send(3)
    assert site.acked == site.sent
    assert site.store.recoveries_total == 1
    if is_killed:  # what the path has now is what a kill would leave
        for name in ("edge.db", "edge.db-wal"):
            shutil.copyfile(site.path.with_name(name), site.path.parent.parent / name)
        site.path = site.path.parent.parent / "edge.db"
    assert site.has_all()


def test_file_of_another_program_at_the_stop_costs_nothing(site):
    foreign = site.path.with_name("foreign")
    foreign.write_text("milk\nbread\n" * 1000)
    foreign.replace(site.path)
    site.send()
    site.store.close()
    kept = site.path.with_name("edge.db.replaced-1")
    assert read_ledger(kept).total("present") == site.acked
    assert site.path.read_text().startswith("milk")


def test_file_that_is_deleted_before_the_agent_stops_is_there_afterwards(site):
    delete_folder(site.path)
    site.store.close()
    assert site.has_all()


def test_damage_is_not_mended_in_a_file_that_is_deleted(site):
    acked = site.acked
    site.store.broken = "a query came upon it"
    delete_folder(site.path)
    site.send()
    site.loop(MINUTE_MS)
    assert site.acked == site.sent > acked
    assert site.has_all()


def test_file_that_is_replaced_is_kept_under_another_name(site, tmp_path):
    other = StoreRig(tmp_path / "other.db")
    other.add(5)
    other.close()
    acked = site.acked
    silent = (99, 1, 0, 0, UTC_MS, 0, 0, 2153)
    site.ingest.latest.load([silent], UTC_MS, site.store.generation)
    (tmp_path / "other.db").replace(site.path)
    site.send(3)  # the board's numbers go on at another place
    kept = site.path.with_name("edge.db.replaced-1")
    assert read_ledger(kept).total("present") == acked
    assert verify(kept).problems == []
    assert site.rows("SELECT count(*) FROM reading") == [(site.acked,)] > [(5,)]
    assert read_ledger(site.path).is_balanced
    # What is shown as the newest is of a channel of this file.
    stored = set(site.rows("SELECT channel_id, seq FROM reading"))
    assert {(row[0], row[3]) for row in site.ingest.latest.all()} <= stored


def refuse_audit(path, is_refused=True):
    """Let a file take no record for its audit log, or take them again."""
    refusal = "CREATE TRIGGER no BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(refusal if is_refused else "DROP TRIGGER no")


def test_nothing_is_stored_into_another_file_that_was_not_opened_to_the_end(site, tmp_path):
    other = SQLiteStore(tmp_path / "other.db")
    cellar = other.open_boot(info(device="board-2", alias="cellar"), UTC_MS)
    other.commit(telemetry(cellar, 0, range(site.acked)))  # it stands where the board does
    other.close()
    refuse_audit(tmp_path / "other.db")
    acked = site.acked
    (tmp_path / "other.db").replace(site.path)
    site.send(2)
    assert site.acked == acked
    assert not site.store.is_open
    refuse_audit(site.path, is_refused=False)
    site.loop(MINUTE_MS)
    site.send(2)
    assert reasons(site) == [{"reason": f"{site.path}: was replaced"}]
    of_whom = "SELECT device.name, count(*) FROM reading JOIN channel ON channel.id = channel_id"
    found = site.rows(f"{of_whom} JOIN device ON device.id = device_id GROUP BY device.name")
    assert dict(found) == {"board-2": acked, "board-1": site.acked}
    assert read_ledger(site.path).is_balanced


def test_what_is_in_memory_is_stored_once_the_same_file_is_opened_to_the_end(site):
    def poll():
        reading = SensorReading("t1", site.ingest.time.utc_ms() / 1000, 20.0, "Cel", {})
        site.ingest.add_polled(DEVICE, reading, 0)

    poll()
    site.loop()
    refuse_audit(site.path)
    delete_file(site.path)
    for _ in range(COUNT):
        poll()
    site.loop()  # the commit fails,
    site.loop()  # and the file that was put there is opened
    assert not site.store.is_open
    poll()
    site.loop(MINUTE_MS)
    assert not site.store.is_open
    refuse_audit(site.path, is_refused=False)
    site.loop(MINUTE_MS)
    assert site.ingest.discarded_total == 0
    polled = "SELECT count(*) FROM reading JOIN channel ON channel.id = channel_id"
    assert site.rows(f"{polled} WHERE sensor_name = 't1'") == [(COUNT + 2,)]
    assert reasons(site) == [{"reason": f"{site.path}: was deleted"}]


def test_damage_is_mended_after_a_try_that_found_no_room(tmp_path):
    with small_disk(tmp_path / "small", 4 << 20) as folder:
        site = Site(folder / "edge.db")
        site.send(60)
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(folder).free - 40_960))
        site.store.broken = "a query came upon it"
        acked = site.acked
        site.send()
        assert not site.store.is_open
        assert site.acked == acked
        ballast.unlink()
        site.loop(MINUTE_MS)
        site.send(2)
        assert site.acked == site.sent > acked
        assert read_ledger(site.path).is_balanced
        site.store.close()


@pytest.mark.parametrize("value", ["x", "[]"])
def test_another_file_that_is_damaged_is_mended(site, tmp_path, value):
    other = StoreRig(tmp_path / "other.db")
    other.add(5)
    other.close()
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'run_ms'", (value,))
    acked = site.acked
    (tmp_path / "other.db").replace(site.path)
    site.send()
    site.loop(MINUTE_MS)  # it is found out that it is damaged,
    site.loop(MINUTE_MS)  # and that is mended
    site.send(2)
    assert site.path.with_name("edge.db.broken-1").exists()
    assert read_ledger(site.path.with_name("edge.db.replaced-1")).total("present") == acked
    assert site.acked == site.sent
    assert read_ledger(site.path).is_balanced


def test_file_that_is_emptied_is_made_of_its_wal(site):
    acked = site.acked
    with site.path.open("r+b") as file:
        file.truncate()
    site.send(2)
    site.loop()
    assert site.path.with_name("edge.db.broken-1").exists()
    site.send()
    assert site.acked == site.sent > acked
    assert site.has_all()


def test_file_that_is_replaced_soon_after_it_was_deleted_is_kept_at_once(site):
    """A kill within the next minute would take along what only the open file has."""
    moved = site.path.with_name("moved.db")
    site.path.rename(moved)
    site.send(2)
    acked = site.acked
    moved.replace(site.path)
    site.send()
    site.loop()
    kept = site.path.with_name("edge.db.replaced-1")
    assert read_ledger(kept).total("present") == acked
    assert read_ledger(site.path).is_balanced
    site.send()
    assert site.acked == site.sent
    assert site.store.recoveries_total == 2


def test_numbers_of_what_is_polled_never_stand_for_two_readings(site, tmp_path):
    device = {"name": "t1", "unit": "Cel"}

    def poll():
        site.ingest.add_polled(device, SensorReading("t1", UTC_MS / 1000, 5.0), 0)
        site.loop()

    poll()
    with closing(sqlite3.connect(tmp_path / "older.db")) as older:
        site.store._writer.backup(older)
    for _ in range(5):
        poll()
    (tmp_path / "older.db").replace(site.path)
    for _ in range(3):
        poll()
    boots = "SELECT boot_id, count(*) FROM reading JOIN boot ON boot.id = boot_id"
    counts = site.rows(f"{boots} WHERE board = 'agent' GROUP BY 1 ORDER BY 1")
    assert [count for _, count in counts] == [1, 1]  # two polls were in memory


def test_file_of_another_program_is_not_gone_on_with(site):
    foreign = site.path.with_name("foreign")
    foreign.write_text("milk\nbread\n" * 1000)
    acked = site.acked
    foreign.replace(site.path)
    for _ in range(3):
        site.send()
        site.loop(MINUTE_MS)
    assert site.acked == acked
    assert "edge.db: can't be read" in site.ingest.problem
    assert site.ingest.problem.endswith("; move it away, and what was stored comes back")
    assert site.path.read_text().startswith("milk")
    # Whatever becomes of the process now: once, and not each minute.
    (kept,) = site.path.parent.glob("edge.db.replaced-*")
    assert read_ledger(kept).total("present") == acked
    site.path.unlink()
    site.loop(MINUTE_MS)
    site.send()
    assert site.acked == site.sent > acked
    assert site.has_all()


def test_file_that_comes_back_after_a_while_goes_on_and_is_copied_anew_the_next_time(site):
    foreign, mine = site.path.with_name("foreign"), site.path.with_name("mine")
    foreign.write_text("milk\nbread\n" * 1000)
    for number in (1, 2):
        site.path.rename(mine)
        shutil.copy(foreign, site.path)
        site.send()
        site.loop(MINUTE_MS)
        kept = site.path.with_name(f"edge.db.replaced-{number}")
        assert read_ledger(kept).total("present") == site.acked
        mine.replace(site.path)
        site.loop(MINUTE_MS)
        site.send()
        assert site.acked == site.sent
    assert site.has_all()


def test_without_room_for_the_copy_it_is_tried_again(tmp_path):
    with small_disk(tmp_path / "small", 2 << 20) as folder:
        site = Site(folder / "edge.db")
        site.send(60)
        ballast = folder / "ballast"
        with ballast.open("wb", buffering=0) as file:
            while file.write(bytes(4096)) == 4096 and shutil.disk_usage(folder).free > 8192:
                pass
        acked = site.acked
        site.path.unlink()
        site.send()
        site.loop(MINUTE_MS)
        assert (
            "disk is full; it is not at its path, and can't be copied there" in site.ingest.problem
        )
        assert site.acked == acked
        assert not list(folder.glob("*.copy"))
        ballast.unlink()
        site.loop(MINUTE_MS)
        site.send()
        assert site.acked == site.sent
        assert site.has_all()
        site.store.close()


class Card:
    """An ext4 file system in a file, which the kernel makes read-only when it finds an error."""

    def __init__(self, folder):
        self.image = folder / "card.img"
        self.place = folder / "card"
        self.place.mkdir()
        with self.image.open("wb") as file:
            file.truncate(16 << 20)
        subprocess.run([find("mkfs.ext4"), "-q", self.image], check=True, capture_output=True)

    @contextmanager
    def mounted(self):
        command = ["mount", "-o", "loop,errors=remount-ro", self.image, self.place]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"can't mount a file here: {done.stderr.strip()}")
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", self.place], check=True, capture_output=True)

    def fail(self):
        """Let the kernel find an error, as it does when a card begins to die."""
        source = subprocess.run(
            ["findmnt", "-no", "SOURCE", self.place], check=True, capture_output=True, text=True
        )
        trigger = Path("/sys/fs/ext4", Path(source.stdout.strip()).name, "trigger_fs_error")
        if not os.access(trigger, os.W_OK):
            pytest.skip("this kernel fails no file system for a test")
        trigger.write_text("1")

    def mend(self):
        """Check the file system, which needs it to be out of use."""
        done = subprocess.run([find("e2fsck"), "-fy", self.image], capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stdout


@pytest.mark.parametrize("is_stopped", [False, True], ids=["running", "stopped meanwhile"])
def test_card_that_the_kernel_makes_read_only_is_mended_under_the_agent(tmp_path, is_stopped):
    card = Card(tmp_path)
    with card.mounted():
        site = Site(card.place / "edge.db")
        site.send(60)
        acked = site.acked
        card.fail()
        for _ in range(3):
            site.send()
            site.loop(MINUTE_MS)
        assert site.acked == acked
        assert "Read-only file system" in site.ingest.problem
    for _ in range(2):  # the agent lets go of the file, or the card could not be mended
        site.loop(MINUTE_MS)
    assert "its disk is not the one" in site.ingest.problem
    assert not list(card.place.iterdir())
    if is_stopped:
        site.store.close()
        card.mend()
        with card.mounted():
            SQLiteStore(site.path).close()
            assert site.has_all()
        return
    card.mend()
    with card.mounted():
        site.loop(MINUTE_MS)
        site.send()
        assert site.acked == site.sent > acked
        assert site.has_all()
        site.store.close()
