"""A damaged file is set aside, what is readable is saved, and recording goes on."""

import json
import os
import random
import shutil
import sqlite3
from functools import partial

import pytest
from host.fakes import UTC_MS, FakeClock
from host.processes import small_disk
from host.store_rig import StoreRig
from host.test_store import event_row, info, telemetry
from pyv_edge_agent.errors import StoreBrokenError, StoreError
from pyv_edge_agent.store import (
    ChannelPolicies,
    SQLiteStore,
    Upkeep,
    WriteBatch,
    open_store,
    read_ledger,
    recovery,
    verify,
)

PAGE = 1024
BLOCKS = 3
COUNT = BLOCKS * 4096 + 500


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A store with 3 blocks, half of it acknowledged, an event, a gap, items; not closed."""
    folder = tmp_path_factory.mktemp("sound")
    rig = StoreRig(folder / "edge.db")
    rig.store.sinks.register("http")
    for _ in range(BLOCKS):
        rig.mixed(4096, step_ms=50)
        rig.minute()
    rig.mixed(500, step_ms=50)
    sent = 0
    while sent < COUNT // 2:
        batch = rig.store.sinks.next_batch("http", 1000, "backlog")
        batch = batch or rig.store.sinks.next_batch("http", 1000)
        sent += len(batch.rows)
        assert rig.store.sinks.acknowledge("http", batch)
    rig.store.sinks.flush()
    batch = WriteBatch()
    batch.stream(rig.opened.boot_id, 1, 0).move(stored=1)
    batch.events.append(event_row(rig.opened, seq=0))
    batch.stream(rig.opened.boot_id, 0, rig.seq).move(lost=3)
    batch.gaps.append((rig.opened.boot_id, 0, rig.seq, rig.seq + 2, "overwritten", UTC_MS, 0))
    rig.store.commit(batch)
    rig.store.items.add({"n": 1}, 3, 0.0, 0)
    rig.ledger()
    for name in ("edge.db", "edge.db-wal"):
        shutil.copyfile(folder / name, folder / f"copy-{name}")
    rig.close()
    return folder


def copy_of(sound, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("edge.db", "edge.db-wal"):
        shutil.copyfile(sound / f"copy-{name}", folder / name)
    shutil.copyfile(sound / "edge.db.lock", folder / "edge.db.lock")
    path = folder / "edge.db"
    head, _, pages = (sound / "edge.db.schema").read_bytes().partition(b"\n")
    head = json.dumps({**json.loads(head), "inode": path.stat().st_ino})
    (folder / "edge.db.schema").write_bytes(head.encode() + b"\n" + pages)
    return path


def checkpointed(sound, folder):
    """Return a copy whose WAL is empty, so that the file has it all."""
    path = copy_of(sound, folder)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    connection.execute("UPDATE meta SET value = '0' WHERE key = 'is_closed'")
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


def root_page(path, table):
    connection = sqlite3.connect(path)
    row = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,))
    (page,) = row.fetchone()
    connection.close()
    return page


def overwrite(path, page, data=None):
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(data or random.Random(page).randbytes(PAGE))


def salvaged(store):
    """Let salvage come to its end; return the store's upkeep."""
    store.apply_policies(ChannelPolicies())
    upkeep = Upkeep(store)
    for _ in range(1000):
        if store.salvage is None:
            break
        upkeep.step(UTC_MS, is_time_right=True)
    assert store.salvage is None
    return upkeep


def check(store):
    """Record, send everything, and see that all equations hold."""
    salvaged(store)
    opened = store.open_boot(info(), UTC_MS)
    store.commit(telemetry(opened, opened.next_seq[0], [1, 2, 3]))
    store.sinks.register("http")
    while batch := store.sinks.next_batch("http", 2000, "live") or store.sinks.next_batch(
        "http", 2000, "backlog"
    ):
        assert store.sinks.acknowledge("http", batch)
    store.sinks.flush()
    ledger = read_ledger(store.path)
    assert ledger.is_balanced, ledger.to_dict()
    assert ledger.sinks[0].pending == 0
    return ledger


def test_sound_file_that_was_not_closed_is_checked_and_kept(sound, tmp_path):
    path = copy_of(sound, tmp_path)
    store = open_store(path, FakeClock())
    assert not store.was_closed
    ledger = check(store)
    assert ledger.total("evicted") == 0
    store.close()
    assert not list(tmp_path.glob("*broken*"))


def test_damage_is_found_at_the_next_start(sound, tmp_path):
    path = checkpointed(sound, tmp_path)
    overwrite(path, root_page(path, "reading") + 300)
    with pytest.raises(StoreBrokenError):
        SQLiteStore(path, FakeClock(), check_ms=30_000)
    store = open_store(path, FakeClock())
    ledger = check(store)
    assert 0 < ledger.total("evicted") < COUNT / 10
    assert ledger.total("stored") == COUNT + 3
    store.close()
    broken = tmp_path / "edge.db.broken-1"
    assert broken.exists()
    # What was lost is on record, with where it was.
    connection = sqlite3.connect(path)
    (count, first, last) = connection.execute(
        "SELECT count, first_seq, last_seq FROM gap WHERE cause = 'damaged'"
    ).fetchone()
    assert count == ledger.total("evicted")
    assert last - first + 1 >= count
    assert connection.execute("SELECT count(*) FROM event").fetchone() == (1,)
    actions = [row[0] for row in connection.execute("SELECT action FROM audit")]
    assert actions[-3:-1] != []
    assert {"salvaged", "salvage_done"} <= set(actions)
    connection.close()
    # The blocks that lost something don't fit any more; the others do.
    problems = verify(path).problems
    assert problems
    assert len(problems) < BLOCKS
    assert all("is not as it was sealed" in problem for problem in problems)


def test_boards_go_on_where_they_stood_while_readings_are_saved(sound, tmp_path):
    path = checkpointed(sound, tmp_path)
    overwrite(path, root_page(path, "reading") + 300)
    store = open_store(path, FakeClock())
    opened = store.open_boot(info(), UTC_MS)
    assert opened.next_seq == (COUNT + 3, 1)
    store.sinks.register("http")
    upkeep = Upkeep(store)
    upkeep.step(UTC_MS, is_time_right=True)
    assert store.salvage is not None
    assert upkeep.status()["is_degraded"]
    store.commit(telemetry(opened, COUNT + 3, [7]))
    batch = store.sinks.next_batch("http")
    assert [row[8] for row in batch.rows] == [7]  # nothing older before all is there
    assert store.sinks.next_batch("http", 100, "backlog") is None
    assert store.sinks.acknowledge("http", batch)
    check(store)
    store.close()


def test_salvage_goes_on_after_a_crash(sound, tmp_path):
    path = checkpointed(sound, tmp_path)
    overwrite(path, root_page(path, "reading") + 300)
    clock = FakeClock()
    store = open_store(path, clock)
    for _ in range(20):
        Upkeep(store).step(UTC_MS, is_time_right=True)
        if store.salvage is None:
            break
        store.abandon()
        store = open_store(path, clock)
    assert store.salvage is None
    ledger = check(store)
    assert ledger.total("present") > COUNT * 0.9
    store.close()


def test_damage_while_running_is_survived_without_a_restart(sound, tmp_path):
    path = checkpointed(sound, tmp_path)
    store = open_store(path, FakeClock())
    store.sinks.register("http")
    upkeep = Upkeep(store)
    overwrite(path, root_page(path, "reading") + 300)
    with pytest.raises(StoreBrokenError):
        store.rows("SELECT sum(value + seq) FROM reading")
    assert store.broken
    before = store.open_boot(info(), UTC_MS)
    upkeep.recover(store.broken)
    assert not store.broken
    assert store.recoveries_total == 1
    assert store.open_boot(info(), UTC_MS).next_seq == before.next_seq
    assert store.sinks.names == ["http"]
    check(store)
    store.close()


@pytest.mark.parametrize("size", [0, 50, 1500, 40_000])
def test_file_that_is_cut_off_or_empty(sound, tmp_path, size):
    path = checkpointed(sound, tmp_path)
    with path.open("r+b") as file:
        file.truncate(size)
    store = open_store(path, FakeClock())
    check(store)
    store.close()


def damaged(sound, folder):
    path = checkpointed(sound, folder)
    overwrite(path, root_page(path, "reading") + 300)
    return path


def stop_before_renames(path):
    recovery._note_pending(path, path.with_name("edge.db.broken-1"), "damaged")


def stop_between_renames(path):
    stop_before_renames(path)
    path.with_name("edge.db-wal").touch()
    path.with_name("edge.db-wal").rename(path.with_name("edge.db.broken-1-wal"))
    path.with_name("edge.db.schema").rename(path.with_name("edge.db.broken-1.schema"))


def stop_after_renames(path):
    recovery.set_aside(path, "damaged")


def stop_with_a_new_file(path):
    recovery.set_aside(path, "damaged")
    SQLiteStore(path, FakeClock()).abandon()


@pytest.mark.parametrize(
    "stop",
    [stop_before_renames, stop_between_renames, stop_after_renames, stop_with_a_new_file],
)
def test_salvage_that_was_stopped_before_it_began_is_owed(sound, tmp_path, stop):
    path = damaged(sound, tmp_path)
    stop(path)
    store = open_store(path, FakeClock())
    ledger = check(store)
    assert ledger.total("stored") == COUNT + 3
    assert 0 < ledger.total("evicted") < COUNT / 10
    store.close()
    assert sorted(one.name for one in tmp_path.glob("*broken-?")) == ["edge.db.broken-1"]
    assert not (tmp_path / "edge.db.set-aside").exists()
    open_store(path, FakeClock()).close()


@pytest.mark.parametrize("is_running", [False, True])
def test_salvage_without_room_is_tried_again(sound, tmp_path, is_running):
    with small_disk(tmp_path / "small", 4 << 20) as folder:
        path = damaged(sound, folder)
        store = SQLiteStore(path, FakeClock()) if is_running else None
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(folder).free - 40_960))
        begin = partial(recovery.recover, store, "damaged") if store else partial(open_store, path)
        with pytest.raises(StoreError, match="full"):
            begin()
        ballast.unlink()
        if store is None:
            store = open_store(path, FakeClock())
        else:
            assert not store.is_open
            recovery.recover(store, store.broken)
        ledger = check(store)
        assert ledger.total("stored") == COUNT + 3
        assert 0 < ledger.total("evicted") < COUNT / 10
        store.close()
        assert [one.name for one in folder.glob("*broken-?")] == ["edge.db.broken-1"]


def schema_pages(path):
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT pageno FROM dbstat WHERE name = 'sqlite_schema'").fetchall()
    connection.close()
    return [row[0] for row in rows]


def test_schema_that_is_lost_is_put_back_and_nothing_else_is_lost(sound, tmp_path):
    path = checkpointed(sound, tmp_path)
    pages = schema_pages(path)
    assert len(pages) > 10
    for page in pages:
        overwrite(path, page)
    damaged = path.read_bytes()
    store = open_store(path, FakeClock())
    ledger = check(store)
    assert (ledger.total("stored"), ledger.total("evicted")) == (COUNT + 3, 0)
    assert verify(path).problems == []
    store.close()
    # What was there can be put together again: it is evidence.
    broken = bytearray((tmp_path / "edge.db.broken-1").read_bytes())
    head, _, kept = (tmp_path / "edge.db.broken-1.pages").read_bytes().partition(b"\n")
    for nth, page in enumerate(json.loads(head)["pages"]):
        broken[(page - 1) * PAGE : page * PAGE] = kept[nth * PAGE : (nth + 1) * PAGE]
    assert broken == damaged


@pytest.mark.parametrize("has_copy", [True, False])
def test_letter_that_changes_in_the_schema_is_found(sound, tmp_path, has_copy):
    path = checkpointed(sound, tmp_path)
    if not has_copy:
        (tmp_path / "edge.db.schema").unlink()
    content = path.read_bytes()
    assert content.count(b"error_ms INTEGER") == 1
    path.write_bytes(content.replace(b"error_ms INTEGER", b"errnr_ms INTEGER"))
    store = open_store(path, FakeClock())
    ledger = check(store)
    assert ledger.total("stored") == COUNT + 3
    assert ledger.total("evicted") == (0 if has_copy else COUNT)
    store.close()


def test_application_id_that_changes_makes_no_other_program_of_it(sound, tmp_path):
    path = checkpointed(sound, tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id = 1")
    connection.close()
    store = open_store(path, FakeClock())
    assert check(store).total("evicted") == 0
    store.close()


def test_what_a_user_adds_is_no_damage_and_is_salvaged_around(sound, tmp_path):
    path = checkpointed(sound, tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("CREATE VIEW mine AS SELECT sensor, max(value) FROM readings GROUP BY 1")
    connection.execute("CREATE INDEX by_value ON reading (value)")
    connection.execute("VACUUM")  # which numbers the pages anew
    connection.close()
    store = open_store(path, FakeClock())
    assert not list(tmp_path.glob("*broken*"))
    assert check(store).total("evicted") == 0
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET value = '0' WHERE key = 'is_closed'")
    connection.commit()
    connection.close()
    for page in schema_pages(path):
        overwrite(path, page)
    store = open_store(path, FakeClock())
    assert check(store).total("evicted") == 0
    store.close()
    assert (tmp_path / "edge.db.broken-1.pages").exists()


def test_copy_of_the_schema_that_is_damaged_itself_is_not_used(sound, tmp_path):
    path = checkpointed(sound, tmp_path)
    for page in schema_pages(path):
        overwrite(path, page)
    overwrite(tmp_path / "edge.db.schema", 3)
    store = open_store(path, FakeClock())
    assert check(store).total("stored") == 3
    assert not (tmp_path / "edge.db.broken-1.pages").exists()
    store.close()


def test_file_of_noise_is_set_aside_and_nothing_is_claimed(tmp_path):
    path = tmp_path / "edge.db"
    SQLiteStore(path).close()
    path.write_bytes(random.Random(1).randbytes(50_000))
    store = open_store(path, FakeClock())
    ledger = check(store)
    assert ledger.total("stored") == 3
    assert (tmp_path / "edge.db.broken-1").stat().st_size == 50_000
    store.close()


def test_disk_that_damages_every_file_is_reported(tmp_path):
    path = tmp_path / "edge.db"
    SQLiteStore(path).close()
    for number in range(20):
        path.write_bytes(random.Random(number).randbytes(5000))
        open_store(path, FakeClock()).close()
    path.write_bytes(random.Random(99).randbytes(5000))
    with pytest.raises(StoreError, match="damaged, as were 20 before it; check the disk"):
        open_store(path, FakeClock())
    assert path.stat().st_size == 5000


def test_database_of_another_program_is_not_set_aside(tmp_path):
    connection = sqlite3.connect(tmp_path / "edge.db")
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with pytest.raises(StoreError, match="of another program"):
        open_store(tmp_path / "edge.db", FakeClock())
    assert not list(tmp_path.glob("*broken*"))


@pytest.mark.parametrize("attempts", [1, 2])
def test_file_that_was_never_a_store_is_not_set_aside(tmp_path, attempts):
    path = tmp_path / "notes.txt"
    path.write_text("milk\nbread\n" * 100)
    for _ in range(attempts):
        with pytest.raises(StoreError, match=r"check storage\.path"):
            open_store(path, FakeClock())
    assert path.read_text().startswith("milk")
    assert not list(tmp_path.glob("*broken*"))


@pytest.mark.parametrize("table", ["stream", "sink", "boot", "device", "channel", "audit", "meta"])
def test_table_that_is_lost_as_a_whole(sound, tmp_path, table):
    path = checkpointed(sound, tmp_path)
    overwrite(path, root_page(path, table))
    store = open_store(path, FakeClock())
    check(store)
    store.close()


@pytest.mark.parametrize("seed", range(500 if os.environ.get("PYV_LONG") else 40))
def test_torn_and_flipped_copies(sound, tmp_path, seed):
    """What is cut off or flipped anywhere in file and WAL costs readings, never the balance."""
    rng = random.Random(seed)
    path = copy_of(sound, tmp_path) if seed % 2 else checkpointed(sound, tmp_path)
    wal = path.with_name("edge.db-wal")
    victim = wal if wal.exists() and wal.stat().st_size and rng.random() < 0.5 else path
    size = victim.stat().st_size
    with victim.open("r+b") as file:
        if rng.random() < 0.3:
            file.truncate(rng.randrange(size))
        else:
            for _ in range(rng.choice([1, 1, 3, 20])):
                place = rng.randrange(size)
                file.seek(place)
                old = file.read(1)[0]
                file.seek(place)
                file.write(bytes([old ^ 1 << rng.randrange(8)]))
    store = open_store(path, FakeClock())
    try:
        check(store)
    except StoreBrokenError:
        # A flip that quick_check doesn't see; whoever comes upon it has it replaced.
        Upkeep(store).recover(store.broken)
        check(store)
    finally:
        store.close()
