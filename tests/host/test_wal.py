"""A WAL in which something is damaged: nothing behind it is forgotten, and nothing is made up."""

import json
import random
import re
import shutil
import sqlite3
import struct
from contextlib import closing

import pytest
from host.fakes import FakeClock
from host.store_rig import StoreRig
from host.test_recovery import check
from pyv_edge_agent.errors import StoreBrokenError, StoreError
from pyv_edge_agent.store import SQLiteStore, open_store, read_ledger, recovery, verify, wal
from pyv_edge_agent.store.backup import back_up
from pyv_edge_agent.store.reader import StoreReader

COMMITS, EACH = 60, 20
COUNT = COMMITS * EACH + 3  # with those that `check` adds
HEAD, FRAME = 32, 24 + 1024
CLOCK = FakeClock()


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of a store whose process was killed, with all that it had beside it."""
    folder = tmp_path_factory.mktemp("killed")
    rig = StoreRig(folder / "open" / "edge.db")
    rig.store.sinks.register("http")
    rig.store.checkpoint()
    for _ in range(COMMITS):
        rig.mixed(EACH, step_ms=50)
    rig.ledger()
    shutil.copytree(folder / "open", folder / "killed")
    rig.close()
    return folder / "killed"


@pytest.fixture
def path(killed, tmp_path):
    """The store's file in a copy of that folder."""
    shutil.copytree(killed, tmp_path / "killed")
    return tmp_path / "killed" / "edge.db"


def wal_of(path):
    return path.with_name("edge.db-wal")


def index_of(path):
    return path.with_name("edge.db-shm")


def overwrite(file, at, data=None):
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(data or random.Random(at).randbytes(512))


def frames(path):
    data = wal_of(path).read_bytes()
    return list(wal.WAL(data).frames())


def last_commits(path):
    """Return where the last commit begins, and where the one before does."""
    ends = [frame.at + FRAME for frame in frames(path) if frame.pages]
    return ends[-2], ends[-3]


def recovered(path):
    """Let an agent's store be opened and salvaged; return its ledger."""
    store = open_store(path, FakeClock())
    ledger = check(store)
    store.close()
    return ledger


def test_sound_wal_is_read_as_sqlite_does(path):
    assert wal.lost(path) == ""
    assert all(frame.is_sound for frame in frames(path))
    assert recovered(path).total("present") == COUNT
    assert not list(path.parent.glob("*broken*"))


@pytest.mark.parametrize("has_index", [True, False])
@pytest.mark.parametrize("part", [0, 0.1, 0.25, 0.5, 0.8])
def test_damaged_sector_loses_nothing_that_later_commits_have(path, part, has_index):
    if not has_index:
        index_of(path).unlink()
    overwrite(wal_of(path), int(part * wal_of(path).stat().st_size) // 512 * 512)
    damaged = wal_of(path).read_bytes()
    with pytest.raises(StoreBrokenError, match=r"its WAL is damaged: of \d+ frames at least, \d+"):
        SQLiteStore(path, CLOCK, check_ms=1000)
    ledger = recovered(path)
    assert ledger.total("stored") == COUNT
    assert ledger.total("evicted") <= EACH
    assert path.with_name("edge.db.broken-1.wal").read_bytes() == damaged  # it is evidence


@pytest.mark.parametrize("size", [512, 4096, 20_000])
def test_beginning_that_is_gone_loses_nothing_that_later_commits_have(path, size):
    index_of(path).unlink()
    overwrite(wal_of(path), 0, bytes(size))
    ledger = recovered(path)
    assert ledger.total("stored") == COUNT
    assert ledger.total("evicted") <= EACH * (1 + size // 4096)


@pytest.mark.parametrize("at", [0, 8, 24, 31])
def test_damaged_header_alone_loses_nothing(path, at):
    index_of(path).unlink()
    value = wal_of(path).read_bytes()[at]
    overwrite(wal_of(path), at, bytes([value ^ 0xFF]))
    assert recovered(path).total("present") == COUNT


def test_index_tells_of_damage_in_the_last_commit(path):
    last, _ = last_commits(path)
    overwrite(wal_of(path), last + 600)
    ledger = recovered(path)
    assert ledger.total("stored") == COUNT
    assert 0 < ledger.total("evicted") <= EACH
    with closing(sqlite3.connect(path)) as connection:
        gaps = connection.execute("SELECT cause, sum(count) FROM gap").fetchall()
    assert gaps == [("damaged", ledger.total("evicted"))]


@pytest.mark.parametrize("table", ["stream", "reading", "sink", "meta"])
def test_any_page_of_the_last_commits_may_be_lost(path, table):
    """One that says how far a stream is numbered is older then than the readings are."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT pageno FROM dbstat WHERE name = ? ORDER BY pageno"
        pages = {row[0] for row in connection.execute(query, (table,))}
        shutil.copytree(path.parent, path.parent.with_name("again"))
    path = path.parent.with_name("again") / path.name
    _, before_last = last_commits(path)
    hit = [one for one in frames(path) if one.page in pages and one.at >= before_last]
    for one in hit:
        overwrite(wal_of(path), one.at + 200, b"\xff" * 300)
    ledger = recovered(path)
    assert ledger.total("stored") == COUNT
    assert ledger.total("evicted") <= 2 * EACH
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM reading").fetchone()
        (missing,) = connection.execute("SELECT sum(count) FROM gap").fetchone()
    assert (count, missing or 0) == (ledger.total("present"), ledger.total("evicted"))


def test_store_that_is_salvaged_is_the_same_one(path, caplog):
    index_of(path).unlink()
    overwrite(wal_of(path), 60_000)
    recovered(path)
    open_store(path, CLOCK).close()
    assert "the one that was here before" not in caplog.text


def test_sums_alone_that_are_damaged_lose_nothing(path):
    frame = frames(path)[100]
    overwrite(wal_of(path), frame.at + 16, b"\0" * 8)
    assert recovered(path).total("present") == COUNT


@pytest.mark.parametrize("has_index", [True, False])
@pytest.mark.parametrize("frame", [0, 1, -1])
def test_commit_that_a_power_cut_has_torn_is_no_damage(path, frame, has_index):
    """It was never acknowledged; its frames may have reached the disk in any order."""
    last, _ = last_commits(path)
    if has_index:  # as it stood before
        count = (last - HEAD) // FRAME
        data = bytearray(index_of(path).read_bytes())
        for copy in (0, 48):
            struct.pack_into("=I", data, copy + 16, count)
        index_of(path).write_bytes(data)
    else:
        index_of(path).unlink()
    first = last if frame >= 0 else wal_of(path).stat().st_size
    overwrite(wal_of(path), first + frame * FRAME, bytes(FRAME))
    assert wal.lost(path) == ""
    assert recovered(path).total("present") == COUNT - EACH
    assert not list(path.parent.glob("*broken*"))


@pytest.mark.parametrize("size", [1, 24, 500, FRAME - 1, FRAME, FRAME + 30])
def test_wal_whose_last_commit_is_cut_off_is_no_damage(path, size):
    index_of(path).unlink()
    last, _ = last_commits(path)
    with wal_of(path).open("r+b") as file:
        file.truncate(last + size)
    assert wal.lost(path) == ""
    assert recovered(path).total("present") == COUNT - EACH


def test_frames_of_before_the_wal_was_begun_anew_are_no_damage(killed, tmp_path):
    rig = StoreRig(tmp_path / "edge.db")
    for _ in range(COMMITS):
        rig.mixed(EACH, step_ms=50)
    rig.store.pragma("wal_checkpoint(RESTART)")
    for _ in range(2):
        rig.mixed(EACH, step_ms=50)
    shutil.copytree(tmp_path, tmp_path / "killed")
    rig.close()
    path = tmp_path / "killed" / "edge.db"
    assert len(frames(path)) < wal_of(path).stat().st_size // FRAME / 2
    assert wal.lost(path) == ""
    overwrite(wal_of(path), 8)  # now the frames alone tell which are of which
    index_of(path).unlink()
    assert recovered(path).total("stored") == (COMMITS + 2) * EACH + 3


def test_two_power_cuts_one_after_the_other_are_no_damage(tmp_path):
    """What is left of the first commit that was torn stands behind the second one."""

    def cut(source, target, frame):
        shutil.copytree(source, target)
        path = target / "edge.db"
        index_of(path).unlink()
        last, _ = last_commits(path)
        overwrite(wal_of(path), last + frame * FRAME, bytes(FRAME))
        return path

    rig = StoreRig(tmp_path / "1" / "edge.db")
    for _ in range(3):
        rig.mixed(EACH)
    rig.mixed(2000)
    path = cut(tmp_path / "1", tmp_path / "2", 5)
    rig.close()
    rig = StoreRig(path)
    assert rig.ledger().total("present") == 3 * EACH
    for _ in range(3):
        rig.mixed(EACH)
    path = cut(tmp_path / "2", tmp_path / "3", 0)
    rig.close()
    assert not all(frame.is_read for frame in frames(path))
    assert wal.lost(path) == ""
    assert recovered(path).total("present") == 5 * EACH + 3


def test_wal_of_which_the_end_is_gone_is_told(path, caplog):
    with wal_of(path).open("r+b") as file:
        file.truncate(wal_of(path).stat().st_size // 2)
    recovered(path)
    assert re.search(r"are salvaged, \d+ are not; \d+ pages of its WAL are gone", caplog.text)
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT details FROM audit WHERE action = 'salvage_done'"
        assert json.loads(connection.execute(query).fetchone()[0])["wal_pages_gone"] > 1


LOOKS = [
    lambda path: StoreReader(path).close(),
    lambda path: read_ledger(path),
    lambda path: verify(path),
    lambda path: back_up(path, path.with_name("copy.db"), lambda *_: None),
]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("is_empty", [False, True])
def test_who_only_looks_takes_nothing_away_that_an_agent_can_save(path, look, is_empty):
    if is_empty:
        path.write_bytes(b"")
    else:
        overwrite(wal_of(path), last_commits(path)[0] + 600)
    before = {one.name: one.read_bytes() for one in path.parent.iterdir()}
    problem = "the file is empty, and its WAL is not" if is_empty else "its WAL is damaged"
    with pytest.raises(StoreBrokenError, match=f"{problem}.*; let the agent start"):
        look(path)
    assert {one.name: one.read_bytes() for one in path.parent.iterdir()} == before
    assert recovered(path).total("stored") == COUNT


@pytest.mark.parametrize("look", LOOKS[:2])
def test_store_of_an_agent_is_read_whatever_its_wal_looks_like(path, look):
    """Its frames may be on their way just then."""
    store = SQLiteStore(path, CLOCK)
    overwrite(wal_of(path), 60_000)
    look(path)
    store.abandon()


def test_frames_of_a_transaction_that_was_rolled_back_are_no_damage(tmp_path):
    (tmp_path / "open").mkdir()
    path = tmp_path / "open" / "edge.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (
            *("PRAGMA page_size = 1024", "PRAGMA journal_mode = WAL", "PRAGMA cache_size = 10"),
            *("CREATE TABLE one (a)", "BEGIN", "INSERT INTO one SELECT zeroblob(200000)"),
            *("ROLLBACK", "INSERT INTO one VALUES (1)"),
        ):
            connection.execute(statement).fetchall()
        shutil.copytree(path.parent, tmp_path / "killed")
        (rows,) = connection.execute("SELECT count(*) FROM one").fetchone()
    path = tmp_path / "killed" / "edge.db"
    assert rows == 1
    assert not all(frame.is_sound for frame in frames(path))
    assert wal.lost(path) == ""


@pytest.mark.parametrize("has_schema", [True, False])
@pytest.mark.parametrize("is_there", [True, False])
def test_file_that_is_empty_or_gone_is_made_of_its_wal(path, is_there, has_schema):
    path.write_bytes(b"")
    if not is_there:
        path.unlink()
    if not has_schema:
        path.with_name("edge.db.schema").unlink()
    state = "the file is empty" if is_there else "there is no file"
    with pytest.raises(StoreBrokenError, match=f"{state}, and its WAL has"):
        SQLiteStore(path, CLOCK)
    ledger = recovered(path)
    if has_schema:  # that of the file alone the channels were known is on record
        assert ledger.total("stored") == COUNT
        assert ledger.total("evicted") == COUNT - 3
    assert path.with_name("edge.db.broken-1-wal").stat().st_size
    assert recovered(path).is_balanced  # and the new one is not taken for it
    assert not path.with_name("edge.db.broken-2").exists()


def test_empty_file_that_was_a_store_is_set_aside(path):
    path.write_bytes(b"")
    wal_of(path).unlink()
    with pytest.raises(StoreBrokenError, match="the file is empty, and was a store"):
        SQLiteStore(path, CLOCK)
    assert recovered(path).total("stored") == 3
    assert path.with_name("edge.db.broken-1").exists()


def test_wal_without_a_store_is_not_taken_for_one_by_a_program_that_knows_of_none(path):
    path.unlink()
    path.with_name("edge.db.lock").unlink()
    with pytest.raises(StoreError, match="there is no file, and its WAL has"):
        open_store(path, CLOCK)
    assert wal_of(path).stat().st_size


def test_frames_that_were_about_to_be_made_readable_are(path):
    overwrite(wal_of(path), 60_000)
    broken = recovery.set_aside(path, "damaged")
    broken.with_name("edge.db.broken-1-wal").rename(broken.with_name("edge.db.broken-1.wal"))
    ledger = recovered(path)
    assert ledger.total("stored") == COUNT
    assert ledger.total("evicted") <= EACH


def test_wal_that_takes_too_long_to_read_is_told(path, caplog):
    class Slow(FakeClock):
        def monotonic_ms(self):
            self.advance(400)
            return super().monotonic_ms()

    clock = Slow()
    end_ms = clock.monotonic_ms() + 100
    assert wal.lost(path, lambda: clock.monotonic_ms() > end_ms) is None
    store = SQLiteStore(path, Slow(), check_ms=100)
    assert "is too large to be checked within 0 s" in caplog.text
    store.close()


def test_shorter_damage_is_found_wherever_it_is(path):
    """Each byte of the WAL up to the last commit but one counts."""
    index_of(path).unlink()
    _, before_last = last_commits(path)
    content = wal_of(path).read_bytes()
    rand = random.Random(5)
    # The sequence number of checkpoints is in no sum that matters, but in the header's.
    for _ in range(60):
        at = rand.randrange(before_last)
        overwrite(wal_of(path), at, bytes([content[at] ^ 1 << rand.randrange(8)]))
        assert wal.lost(path), at
        overwrite(wal_of(path), at, content[at : at + 1])
