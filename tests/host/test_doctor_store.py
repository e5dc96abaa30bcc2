"""doctor about the store: its folder, its disk, its file, its ledger, and what lies beside it."""

import os
import shutil
import sqlite3
import subprocess

import pytest
from host.command import run_host
from host.doctor_rig import SOMEBODY, FakeAccounts, disk, lines, only
from host.fakes import UTC_MS, FakeClock
from host.processes import small_disk
from host.store_rig import StoreRig
from pyv_edge_agent.cli.checks import store_content, store_place
from pyv_edge_agent.cli.checks.access import Person, runner
from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import StoreError
from pyv_edge_agent.store import Limits, SQLiteStore

ME = Person("me", os.geteuid(), frozenset({os.getegid()}))
MB = 1_048_576


@pytest.fixture
def rig(tmp_path):
    made = StoreRig(tmp_path / "edge.db")
    made.mixed(30)
    yield made
    made.close()


# -- the folder ------------------------------------------------------------------------


def test_folder_that_can_be_written_or_made(tmp_path):
    assert only(store_place.check_folder(tmp_path / "edge.db", ME, FakeAccounts())).level == "ok"
    assert (
        only(store_place.check_folder(tmp_path / "not/yet/edge.db", ME, FakeAccounts())).level
        == "ok"
    )


def test_folder_of_somebody_else(tmp_path):
    tmp_path.chmod(0o755)
    found = only(store_place.check_folder(tmp_path / "edge.db", SOMEBODY, FakeAccounts()))
    assert (found.level, "pi may not write" in found.text) == ("fail", True)
    assert found.fix == f"sudo chown pi: {tmp_path}"


@pytest.mark.parametrize("end", ["", "-wal", ".lock"])
def test_file_that_root_has_left(tmp_path, end):
    path = tmp_path / "edge.db"
    tmp_path.chmod(0o777)
    (tmp_path / f"edge.db{end}").touch(0o600)
    found = only(store_place.check_folder(path, SOMEBODY, FakeAccounts()))
    assert found.level == "fail"
    assert f"may not write {path}{end}: has the agent run as another user?" in found.text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which may give files away")
def test_store_of_another_user_is_left_to_that_one(tmp_path):
    """Who looks may be anybody; the agent's user is to keep its files."""
    path = tmp_path / "edge.db"
    path.touch(0o600)
    os.chown(path, 54321, 54321)
    tmp_path.chmod(0o777)
    accounts = FakeAccounts({"sensors": (54321, {54321})})
    found = only(store_place.check_folder(path, SOMEBODY, accounts))
    assert found.fix.startswith("it is sensors's: run the agent, and this, as sensors; or, if pi ")
    owner = accounts.person("sensors")
    assert only(store_place.check_folder(path, owner, accounts)).level == "ok"


def test_running_agent_tells_whose_the_store_is_to_be(tmp_path):
    (tmp_path / "77").mkdir()
    accounts = FakeAccounts({"me": (os.geteuid(), {1})})
    assert runner(77, tmp_path, accounts) == accounts.person("me")
    assert runner(78, tmp_path, accounts) is None
    assert runner(77, tmp_path, FakeAccounts()) is None


def test_link_to_a_folder_that_is_not_there(tmp_path):
    (tmp_path / "data").symlink_to("/no/such/card")
    path = tmp_path / "data" / "edge.db"
    found = only(store_place.check_folder(path, ME, FakeAccounts()))
    assert found.level == "fail"
    assert found.text == f"{tmp_path}/data is a link to /no/such/card, which is not there"
    with pytest.raises(StoreError, match=r"data is no folder, nor a link to one that is there"):
        SQLiteStore(path)


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "data").touch()
    found = only(store_place.check_folder(tmp_path / "data/edge.db", ME, FakeAccounts()))
    assert (found.level, found.text) == ("fail", f"{tmp_path}/data is no folder")


def test_file_system_that_can_only_be_read(tmp_path):
    found = only(
        store_place.check_folder(tmp_path / "edge.db", ME, FakeAccounts(), disk(flag=os.ST_RDONLY))
    )
    assert (found.level, "can only be read" in found.text) == ("fail", True)


def test_disk_that_is_really_mounted_for_reading_only(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as folder:
        remount = ["mount", "-o", "remount,ro", str(folder)]
        subprocess.run(remount, check=True, capture_output=True)
        found = only(store_place.check_folder(folder / "edge.db", ME, FakeAccounts()))
        assert (found.level, "can only be read" in found.text) == ("fail", True)


# -- the disk --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stat_disk", "limits", "level", "part"),
    [
        (disk(300 * MB), Limits(min_free=200 * MB), "ok", "310 MB are free"),
        (disk(100 * MB), Limits(min_free=200 * MB), "warn", "min_free_mb"),
        (disk(1000), Limits(), "fail", "nothing can be stored"),
        (disk(files=0), Limits(), "fail", "no more files"),
        (disk(300 * MB), Limits(max_size=400 * MB), "warn", "storage.max_mb is more"),
        (disk(300 * MB), Limits(max_size=200 * MB, min_free=50 * MB), "ok", "free"),
    ],
)
def test_room_on_the_disk(tmp_path, stat_disk, limits, level, part):
    found = only(store_place.check_disk(tmp_path / "edge.db", limits, stat_disk))
    assert (found.level, part in found.text) == (level, True), found


def test_disk_that_is_really_full(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as folder:
        (folder / "filler").write_bytes(bytes(900_000))
        found = only(store_place.check_disk(folder / "edge.db", Limits()))
        assert (found.level, "nothing can be stored" in found.text) == ("fail", True)


# -- the file --------------------------------------------------------------------------


def check_file(path, is_agent_running=False):
    return only(store_content.check_file(path, SystemClock(), is_agent_running=is_agent_running))


def test_file_that_is_right_or_not_there_yet(rig, tmp_path):
    assert check_file(rig.path).level == "ok"
    assert "the agent's first start makes it" in check_file(tmp_path / "none.db").text
    assert check_file(tmp_path / "none.db", is_agent_running=True).level == "fail"


def test_file_that_is_no_store_or_of_another_version(rig, tmp_path):
    (tmp_path / "text.db").write_text("no database at all\n" * 100)
    found = check_file(tmp_path / "text.db")
    assert (found.level, "was never a store" in found.fix) == ("fail", True)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    found = check_file(tmp_path / "other.db")
    assert (found.level, "is not a store of this program" in found.text) == ("fail", True)
    rig.rows("PRAGMA user_version = 99")
    found = check_file(rig.path)
    assert (found.level, found.fix) == ("fail", "use a newer one")


def test_file_that_is_damaged(rig):
    rig.store.checkpoint()
    rig.close()
    content = bytearray(rig.path.read_bytes())
    content[1024:] = b"\xa5" * (len(content) - 1024)
    rig.path.write_bytes(content)
    found = check_file(rig.path)
    assert (found.level, "sets the file aside" in found.fix) == ("fail", True)
    rig.path.unlink()
    rig.open()


def test_damage_anywhere_is_a_fault(rig):
    rig.mixed(400)
    rig.store.checkpoint()
    rig.close()
    whole = rig.path.read_bytes()
    clock, storage, size = SystemClock(), Config().get("storage"), 1024
    for page in range(0, len(whole) // size, 3):
        torn = whole[: page * size] + b"\xa5" * size + whole[(page + 1) * size :]
        rig.path.write_bytes(torn)
        for is_running in (False, True):
            found = check_file(rig.path, is_running)
            assert found.level == "fail", page
            assert ("leave the agent running" in found.fix) == is_running, page
        assert only(store_content.check_ledger(rig.path, clock)).level != "warn", page
        assert only(store_content.check_size(rig.path, storage)).level != "warn", page
    rig.path.write_bytes(whole)
    rig.open()


def test_file_that_is_too_large_to_be_checked(rig):
    rig.mixed(30_000)
    found = only(store_content.check_file(rig.path, SystemClock(), -1000, is_agent_running=False))
    assert found.text == f"{rig.path} can be read, as far as -1 s tell"


@pytest.mark.parametrize(
    "words", [["ledger"], ["audit", "verify"], ["audit", "list"], ["backup", "copy.db"], ["query"]]
)
@pytest.mark.parametrize("version", [1, 99])
def test_nothing_is_said_of_a_store_of_another_version(rig, tmp_path, words, version):
    rig.rows(f"PRAGMA user_version = {version}")
    (tmp_path / "edge.toml").write_text(f'[storage]\npath = "{rig.path.name}"\n')
    done = run_host(*words, cwd=tmp_path)
    remedy = "use a newer one" if version == 99 else "let the agent run once, which makes a backup"
    assert (done.returncode, done.stdout, remedy in done.stderr) == (3, "", True)


# -- the ledger ------------------------------------------------------------------------


def test_ledger_that_balances_and_one_that_does_not(rig, tmp_path):
    clock = SystemClock()
    assert only(store_content.check_ledger(tmp_path / "none.db", clock)).level == "skip"
    found = only(store_content.check_ledger(rig.path, clock))
    assert (found.level, found.text) == ("ok", "30 readings are accounted for")
    with sqlite3.connect(rig.path) as somebody:
        somebody.execute("DELETE FROM reading WHERE id = 7")
    somebody.close()
    found = only(store_content.check_ledger(rig.path, clock))
    assert (found.level, found.text) == ("fail", "does not balance: boot abcd1234")


def test_ledger_that_takes_too_long(rig):
    rig.mixed(30_000)
    found = only(store_content.check_ledger(rig.path, SystemClock(), within_ms=-1))
    assert (found.level, "too large" in found.text) == ("warn", True)


# -- what lies beside it, and how it grows -----------------------------------------------


def beside(rig, end, days=0.0):
    path = rig.path.with_name(rig.path.name + end)
    path.write_bytes(bytes(2_000_000))
    time_s = UTC_MS / 1000 - days * 86_400
    os.utime(path, (time_s, time_s))
    return path


def test_what_was_set_aside_is_found(rig):
    def found():
        return lines(store_place.check_leftovers(rig.path, UTC_MS))

    assert found() == [("ok", "store.leftovers", "nothing was set aside")]
    beside(rig, ".v4.backup", days=3)
    beside(rig, ".new", days=0.5)
    assert found() == [("ok", "store.leftovers", "nothing was set aside")]
    for end in (".broken-1", ".broken-1-wal", ".replaced-1", ".replaced-1-shm"):
        beside(rig, end)
    beside(rig, ".v5.backup", days=20)
    beside(rig, ".copy", days=2)
    texts = {text.rpartition("/")[2]: level for level, _, text in found()}
    assert texts == {
        "edge.db.broken-1 (2 MB) is a damaged store that was set aside": "warn",
        "edge.db.copy (2 MB) is half a copy": "warn",
        "edge.db.replaced-1 (2 MB) was open when another file was put in its place": "warn",
        "edge.db.v5.backup (2 MB) is from before an upgrade, 20 days ago": "warn",
    }


def test_size_and_growth_are_told(rig, tmp_path):
    storage = {"commit_interval_ms": 1000, "commit_max": 500}
    assert only(store_content.check_size(tmp_path / "none.db", storage)).level == "skip"
    found = only(store_content.check_size(rig.path, storage))
    assert (found.level, "each day at 1 readings/s, as in the last 29 seconds" in found.text) == (
        "ok",
        True,
    )
    empty = StoreRig(tmp_path / "empty.db")
    assert "too little" in only(store_content.check_size(empty.path, storage)).text
    empty.close()


def test_store_that_cannot_be_read_is_told_once(tmp_path):
    path = tmp_path / "edge.db"
    path.write_text("no store at all, but long enough to be looked at" * 40)
    assert check_file(path).level == "fail"
    storage = {"commit_interval_ms": 1000, "commit_max": 500}
    for found in (
        store_content.check_ledger(path, SystemClock()),
        store_content.check_size(path, storage),
    ):
        assert (only(found).level, only(found).text) == (
            "skip",
            "the store can't be read, see store.file",
        )


def test_wal_that_is_damaged_or_has_lost_its_file(rig, tmp_path):
    for _ in range(3):
        rig.mixed(30)
    shutil.copytree(tmp_path, tmp_path / "killed")
    path, clock = tmp_path / "killed" / "edge.db", FakeClock()
    with path.with_name("edge.db-wal").open("r+b") as file:
        file.seek(2000)
        file.write(b"\xff" * 100)
    found = only(store_content.check_file(path, clock, is_agent_running=False))
    assert (found.level, "its WAL is damaged: of " in found.text) == ("fail", True)
    assert found.fix.startswith("let the agent start")
    path.unlink()
    found = only(store_content.check_file(path, clock, is_agent_running=False))
    assert (found.level, "there is no file, and its WAL has" in found.text) == ("fail", True)
    assert found.fix.startswith("let the agent start")
