"""backup: a copy of one moment, while the store is written, that was looked through."""

import json
import sqlite3
import threading
from contextlib import closing

import pytest
from host.command import run_host
from host.processes import small_disk
from host.test_store import event_row
from pyv_edge_agent import exit_status
from pyv_edge_agent.errors import StoreBrokenError, StoreError
from pyv_edge_agent.sizing import show_size
from pyv_edge_agent.store import SQLiteStore, WriteBatch, read_ledger, verify
from pyv_edge_agent.store.backup import back_up


def no_advance(done, total):
    pass


def test_backup_is_a_store_with_all_that_was_committed(rig, tmp_path):
    rig.mixed(5000)
    batch = WriteBatch()
    batch.events.append(event_row(rig.opened))
    rig.store.commit(batch)
    rig.upkeep.blocks.seal()
    told = []
    made = back_up(rig.path, tmp_path / "copy.db", lambda *how_far: told.append(how_far))
    assert (made.readings, made.events, made.is_balanced) == (5000, 1, True)
    assert made.size == (tmp_path / "copy.db").stat().st_size
    assert told[-1][0] == told[-1][1] > 0
    assert verify(tmp_path / "copy.db").fits
    assert read_ledger(tmp_path / "copy.db").to_dict() == read_ledger(rig.path).to_dict()
    assert {one.name for one in tmp_path.glob("copy*")} == {"copy.db"} | {
        one.name
        for one in tmp_path.glob("copy.db-*")  # of whoever looked at it since
    }
    with closing(SQLiteStore(tmp_path / "copy.db", rig.clock)) as again:
        assert again.last_reading_id == 5000


def test_backup_is_of_one_moment_while_readings_are_committed(rig, tmp_path):
    rig.mixed(20_000)
    counts = []

    def advance(done, total):
        if done < total:
            rig.mixed(30)  # between two pieces of the copy
            counts.append(done)

    made = back_up(rig.path, tmp_path / "copy.db", advance, piece_pages=8)
    assert len(counts) > 20
    assert counts == sorted(set(counts)), "it begins again and again"
    assert (made.readings, made.is_balanced) == (20_000, True)
    assert rig.store.stored_total == 20_000 + 30 * len(counts)


def test_what_is_there_is_replaced_whole_with_its_wal(rig, tmp_path):
    rig.mixed(10)
    to = tmp_path / "copy.db"
    with closing(sqlite3.connect(to)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE other (x)")
        (tmp_path / "kept").write_bytes((tmp_path / "copy.db-wal").read_bytes())
    (tmp_path / "copy.db-wal").write_bytes((tmp_path / "kept").read_bytes())
    assert back_up(rig.path, to, no_advance).readings == 10
    assert read_ledger(to).total("stored") == 10


def test_wal_of_something_else_is_left_alone(rig, tmp_path):
    wal = tmp_path / "notes-wal"
    wal.write_bytes(b"mine")
    with pytest.raises(StoreError, match="notes-wal: is there, of another notes; name"):
        back_up(rig.path, tmp_path / "notes", no_advance)
    assert wal.read_bytes() == b"mine"


def test_damaged_store_makes_no_backup(rig, tmp_path):
    rig.mixed(20_000)
    rig.close()
    content = bytearray(rig.path.read_bytes())
    for page in range(len(content) // 2 // 1024, len(content) // 2 // 1024 + 20):
        content[page * 1024 : page * 1024 + 512] = bytes(512)
    (tmp_path / "bad.db").write_bytes(content)
    to = tmp_path / "copy.db"
    to.write_text("before")
    with pytest.raises(StoreBrokenError, match="is not made, since the store is damaged"):
        back_up(tmp_path / "bad.db", to, no_advance)
    assert to.read_text() == "before"
    assert not (tmp_path / "copy.db.new").exists()
    rig.open()


def test_no_room_is_told_before_anything_is_written(rig, tmp_path):
    rig.mixed(5000)
    with small_disk(tmp_path / "disk", 65_536) as disk:
        with pytest.raises(StoreError, match=r"needs up to .* MB, .* MB are free there"):
            back_up(rig.path, disk / "copy.db", no_advance)
        assert list(disk.iterdir()) == []


# -- the command ---------------------------------------------------------------------------


@pytest.fixture
def site(rig):
    rig.mixed(30)
    return rig.write_config()


def test_command_says_what_it_has_made(site):
    done = run_host("backup", "copy.db", cwd=site)
    assert done.returncode == exit_status.DONE
    size = show_size((site / "copy.db").stat().st_size)
    assert done.stdout == f"copy.db: {size}, 30 readings, 0 events; its ledger balances\n"
    assert done.stderr == ""
    again = run_host("backup", "copy.db", cwd=site)
    assert (again.returncode, again.stdout) == (exit_status.USAGE, "")
    assert again.stderr == "copy.db: is there already; name another file, or say --force\n"
    forced = run_host("backup", "copy.db", "--force", "--json", cwd=site)
    assert json.loads(forced.stdout) == {
        "path": "copy.db",
        "size": (site / "copy.db").stat().st_size,
        "readings": 30,
        "events": 0,
        "is_balanced": True,
    }


def test_folder_gets_a_file_with_the_time_in_its_name(site):
    (site / "backups").mkdir()
    done = run_host("backup", "backups", "--json", cwd=site)
    (made,) = (site / "backups").iterdir()
    assert json.loads(done.stdout)["path"] == f"backups/{made.name}"
    assert made.name[:5] == "edge-" and made.name.endswith("Z.db") and made.name[13] == "T"


def test_ledger_that_does_not_balance_is_an_answer(site, rig):
    rig.close()
    with closing(sqlite3.connect(rig.path)) as tampered, tampered:
        tampered.execute("DELETE FROM reading WHERE seq = 7")
    done = run_host("backup", "copy.db", cwd=site)
    assert done.returncode == exit_status.NO
    assert "DOES NOT BALANCE, as that of the store" in done.stdout
    assert (site / "copy.db").exists()
    rig.open()


@pytest.mark.parametrize(
    ("args", "status", "problem"),
    [
        (("edge.db",), exit_status.USAGE, "edge.db: is the store itself"),
        (("edge.db", "--force"), exit_status.USAGE, "edge.db: is the store itself"),
        (("edge.db-wal", "--force"), exit_status.USAGE, "edge.db-wal: is a file of the store"),
        (("/dev/null", "--force"), exit_status.USAGE, "/dev/null: is there and is no file"),
        (("no/such/copy.db",), exit_status.USAGE, "no/such/copy.db: no/such is no folder"),
        (("copy.db", "--db", "no.db"), exit_status.REFUSED, "no.db: there is no store"),
        ((), exit_status.USAGE, "required: DEST"),
    ],
)
def test_what_can_not_be_is_told_in_a_line(site, args, status, problem):
    before = (site / "edge.db").read_bytes()
    done = run_host("backup", *args, cwd=site)
    assert (done.returncode, done.stdout) == (status, "")
    assert problem in done.stderr.splitlines()[-1]
    assert (site / "edge.db").read_bytes() == before
    assert not list(site.glob("*.new"))


def test_backup_is_made_while_another_thread_commits(site, rig):
    stopping = threading.Event()

    def commit():
        while not stopping.is_set():
            rig.mixed(20)

    thread = threading.Thread(target=commit)
    thread.start()
    try:
        done = run_host("backup", "copy.db", "--json", cwd=site)
    finally:
        stopping.set()
        thread.join(60)
    told = json.loads(done.stdout)
    assert told["is_balanced"] is True
    assert 30 <= told["readings"] <= rig.store.stored_total
