"""SQLiteStore on a real file: all of a transaction or nothing of it."""

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from host.fakes import UTC_MS, Liar
from host.waiting import wait_for
from pyv_edge_agent.disk import beside
from pyv_edge_agent.errors import StoreError
from pyv_edge_agent.store import (
    BootInfo,
    ChannelInfo,
    SQLiteStore,
    WriteBatch,
    read_ledger,
    verify,
)
from pyv_edge_agent.store.channel import StoredChannel, channels_in

CHANNELS = (
    ChannelInfo("temp", "porch.temp", "Cel", -2),
    ChannelInfo("count", "porch.count", "", 0),
    ChannelInfo("power", "porch.power", "W", 3),
)


def info(boot=0xABCD1234, device="board-1", alias="porch", channels=CHANNELS):
    return BootInfo(device, alias, boot, "rp2", "1.0", "power", channels)


@pytest.fixture
def store(tmp_path):
    made = SQLiteStore(tmp_path / "edge.db")
    yield made
    made.close()


def query(store, statement):
    connection = sqlite3.connect(store.path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def telemetry(opened, first_seq, values, channel=0, quality=0):
    """Return a WriteBatch with `values` from `first_seq` on."""
    made = WriteBatch()
    progress = made.stream(opened.boot_id, 0, first_seq)
    for place, value in enumerate(values):
        seq = first_seq + place
        made.readings.append(
            (opened.channel_ids[channel], opened.boot_id, 0, seq, UTC_MS + seq, 2, quality, value)
        )
    progress.move(stored=len(values))
    return made


def event_row(opened, seq=None, state="firing", value=1.0, rule="hot", time_quality=0):
    """Return a row of WriteBatch.events."""
    return (
        *(opened.channel_ids[0], opened.boot_id, seq, rule, "critical", state),
        *(1_700_000_000_000, value, "m", time_quality),
    )


# -- opening -----------------------------------------------------------------------


def test_new_store_is_made_with_its_folders(tmp_path):
    path = tmp_path / "deep" / "er" / "edge.db"
    store = SQLiteStore(path)
    store.close()
    assert path.exists()


def test_wal_and_synchronous_full_are_in_force(store):
    pragma = {
        name: store._writer.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "application_id")
    }
    assert pragma == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "application_id": 0x50595645,
    }


def test_settings_are_in_force_for_an_existing_store_too(store):
    store.close()
    again = SQLiteStore(store.path)
    try:
        assert again._writer.execute("PRAGMA synchronous").fetchone() == (2,)
        assert again._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert again.store_id == store.store_id
    finally:
        again.close()


def test_two_stores_have_different_ids(tmp_path):
    stores = [SQLiteStore(tmp_path / name) for name in ("a.db", "b.db")]
    for store in stores:
        store.close()
    assert stores[0].store_id != stores[1].store_id


# -- boots -------------------------------------------------------------------------


def test_open_boot_is_idempotent(store):
    first = store.open_boot(info(), UTC_MS)
    assert first.next_seq == (0, 0)
    assert store.open_boot(info(), UTC_MS + 5) == first
    assert query(store, "SELECT count(*), min(first_seen_utc_ms) FROM boot") == [(1, UTC_MS)]
    assert query(store, "SELECT count(*) FROM channel") == [(3,)]


def test_open_boot_resumes_where_the_store_is(store):
    opened = store.open_boot(info(), UTC_MS)
    store.commit(telemetry(opened, 0, [1, 2, 3]))
    batch = WriteBatch()
    batch.stream(opened.boot_id, 1, 0).move(lost=2)
    store.commit(batch)
    assert store.open_boot(info(), UTC_MS).next_seq == (3, 2)


def test_new_boot_of_a_device_starts_at_zero(store):
    first = store.open_boot(info(), UTC_MS)
    store.commit(telemetry(first, 0, [1, 2, 3]))
    second = store.open_boot(info(boot=2), UTC_MS)
    assert second.boot_id != first.boot_id
    assert second.channel_ids == first.channel_ids
    assert second.next_seq == (0, 0)


def test_same_boot_id_of_another_device_is_another_boot(store):
    first = store.open_boot(info(), UTC_MS)
    second = store.open_boot(info(device="board-2"), UTC_MS)
    assert second.boot_id != first.boot_id
    assert not set(second.channel_ids) & set(first.channel_ids)


def test_changed_exponent_is_a_new_channel(store):
    # Old rows keep their meaning: their values are scaled by the old one.
    first = store.open_boot(info(), UTC_MS)
    store.commit(telemetry(first, 0, [2153]))
    changed = (ChannelInfo("temp", "porch.temp", "Cel", -1),)
    second = store.open_boot(info(boot=2, channels=changed), UTC_MS)
    store.commit(telemetry(second, 0, [215]))
    assert query(store, "SELECT value FROM readings ORDER BY id") == [(21.53,), (21.5,)]


def test_new_alias_of_a_device_is_kept(store):
    store.open_boot(info(), UTC_MS)
    store.open_boot(info(alias="garden"), UTC_MS)
    assert query(store, "SELECT name, alias FROM device") == [("board-1", "garden")]


# -- commits -----------------------------------------------------------------------


def test_batch_that_does_not_continue_its_stream_stores_nothing(store):
    opened = store.open_boot(info(), UTC_MS)
    other = store.open_boot(info(boot=2), UTC_MS)
    store.commit(telemetry(opened, 0, [1, 2, 3]))
    for first_seq in (0, 2, 4):
        batch = telemetry(other, 0, [7])  # this part of it would be in order
        batch.progress.update(telemetry(opened, first_seq, [9]).progress)
        batch.readings += telemetry(opened, first_seq, [9]).readings
        batch.gaps.append((other.boot_id, 0, 1, 1, "x", UTC_MS, 0))
        batch.items.append(("{}", 3, 0.0, 0))
        batch.vitals[other.boot_id] = (50, 0, 0, 0, 0, True, UTC_MS)
        batch.events.append(event_row(other))
        batch.rule_states[other.channel_ids[0]] = "[]"
        batch.summarise(other.channel_ids[0], UTC_MS, 5, False, 0)
        with pytest.raises(StoreError, match=f"does not stand at {first_seq}; nothing"):
            store.commit(batch)
    assert query(store, "SELECT seq, value FROM reading") == [(0, 1), (1, 2), (2, 3)]
    assert query(store, "SELECT next_seq FROM stream WHERE stream = 0 ORDER BY boot_id") == [
        (3,),
        (0,),
    ]
    for table in ("gap", "sync_queue", "event", "rule_state", "summary"):
        assert query(store, f"SELECT count(*) FROM {table}") == [(0,)]
    assert query(store, "SELECT max(sampled_total) FROM boot") == [(0,)]
    assert store.sinks.pending_most() == 3
    assert store.items.count == 0


def test_row_that_cannot_be_written_undoes_the_rows_before_it(store):
    opened = store.open_boot(info(), UTC_MS)
    batch = telemetry(opened, 0, [1, 2])
    batch.events.append((999, *event_row(opened)[1:]))  # there is no such channel
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        store.commit(batch)
    assert query(store, "SELECT count(*) FROM reading") == [(0,)]
    assert query(store, "SELECT next_seq FROM stream WHERE stream = 0") == [(0,)]
    batch.events.clear()
    store.commit(batch)
    assert query(store, "SELECT count(*) FROM reading") == [(2,)]


def test_vitals_never_take_a_counter_back(store):
    opened = store.open_boot(info(), UTC_MS)
    for row in ((100, 9, 5, 7, 3, True, UTC_MS), (90, 8, 4, 6, 2, False, UTC_MS + 1)):
        batch = WriteBatch()
        batch.vitals[opened.boot_id] = row
        store.commit(batch)
    found = query(
        store,
        "SELECT sampled_total, denied_total, dropped_total, late_total, sensor_errors_total,"
        " is_finished, vitals_utc_ms FROM boot",
    )
    assert found == [(100, 9, 5, 7, 3, 1, UTC_MS + 1)]


def test_commits_are_counted_only_if_they_succeed(store):
    opened = store.open_boot(info(), UTC_MS)
    before = store.commits_total
    store.commit(telemetry(opened, 0, [1]))
    with pytest.raises(StoreError):
        store.commit(telemetry(opened, 0, [1]))
    assert store.commits_total == before + 1


# -- views -------------------------------------------------------------------------


def test_view_of_readings_shows_values_in_their_units(store):
    opened = store.open_boot(info(), UTC_MS)
    store.commit(telemetry(opened, 0, [2153, -5]))
    store.commit(telemetry(opened, 2, [42], channel=1, quality=1))
    store.commit(telemetry(opened, 3, [7], channel=2))
    store.commit(telemetry(opened, 4, [9], quality=2))
    assert query(
        store,
        "SELECT sensor, value, unit, quality, time_error_ms, device, channel, boot, seq"
        " FROM readings ORDER BY id",
    ) == [
        ("porch.temp", 21.53, "Cel", "good", 2, "board-1", "temp", "abcd1234", 0),
        ("porch.temp", -0.05, "Cel", "good", 2, "board-1", "temp", "abcd1234", 1),
        ("porch.count", 42, "", "uncertain", 2, "board-1", "count", "abcd1234", 2),
        ("porch.power", 7000.0, "W", "good", 2, "board-1", "power", "abcd1234", 3),
        ("porch.temp", None, "Cel", "bad", 2, "board-1", "temp", "abcd1234", 4),
    ]


def test_view_of_readings_shows_time_in_utc(store):
    opened = store.open_boot(info(), UTC_MS)
    batch = WriteBatch()
    batch.readings.append(
        (opened.channel_ids[0], opened.boot_id, 0, 0, 1_700_000_000_123, 5, 0, 1)
    )
    batch.stream(opened.boot_id, 0, 0).move(stored=1)
    store.commit(batch)
    assert query(store, "SELECT time, time_error_ms FROM readings") == [
        ("2023-11-14T22:13:20.123Z", 5)
    ]


def test_views_of_events_and_gaps(store):
    opened = store.open_boot(info(), UTC_MS)
    batch = WriteBatch()
    batch.events.append(event_row(opened, state="firing", value=31.5))
    batch.events.append(event_row(opened, state="resolved", value=None, time_quality=2))
    batch.gaps.append((opened.boot_id, 0, 3, 7, "overwritten", 1_700_000_000_000, 0))
    batch.gaps.append((opened.boot_id, 1, 0, 0, "released", 1_700_000_000_000, 1))
    store.commit(batch)
    moment = "2023-11-14T22:13:20.000Z"
    assert query(store, "SELECT * FROM events") == [
        (1, moment, "porch.temp", "hot", "critical", "firing", 31.5, "Cel", "m", "good"),
        (2, moment, "porch.temp", "hot", "critical", "resolved", None, "Cel", "m", "retimed"),
    ]
    assert query(store, "SELECT * FROM gaps") == [
        (1, moment, "board-1", "abcd1234", "telemetry", 3, 7, 5, "overwritten", "good"),
        (2, moment, "board-1", "abcd1234", "events", 0, 0, 1, "released", "unset"),
    ]


# -- sinks -------------------------------------------------------------------------


@pytest.fixture
def filled(store):
    opened = store.open_boot(info(), UTC_MS)
    store.commit(telemetry(opened, 0, list(range(10))))
    store.sinks.register("http")
    return store


def test_next_batch_is_the_same_until_it_is_acknowledged(filled):
    first = filled.sinks.next_batch("http", 4)
    assert [row[8] for row in first.rows] == [0, 1, 2, 3]
    # Neither a later reading nor another size changes what is under way.
    opened = filled.open_boot(info(), UTC_MS)
    filled.commit(telemetry(opened, 10, [10]))
    assert filled.sinks.next_batch("http", 4) == first
    assert filled.sinks.next_batch("http", 100) == first


def test_next_batch_is_the_same_after_reopening(filled):
    first = filled.sinks.next_batch("http", 4)
    filled.close()
    again = SQLiteStore(filled.path)
    try:
        again.sinks.register("http")
        assert again.sinks.next_batch("http", 7) == first
        assert again.sinks.pending_most() == 10
    finally:
        again.close()


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "crashed"])
def test_batch_planned_after_an_acknowledgement_survives_reopening(filled, is_closed):
    filled.sinks.acknowledge("http", filled.sinks.next_batch("http", 4))
    planned = filled.sinks.next_batch("http", 4)
    (filled.close if is_closed else filled.abandon)()
    again = SQLiteStore(filled.path)
    try:
        again.sinks.register("http")
        batch = again.sinks.next_batch("http", 100)
        assert batch == planned
        assert [row[8] for row in batch.rows] == [4, 5, 6, 7]
        assert again.sinks.pending_most() == 6
    finally:
        again.close()


def test_acknowledge_moves_the_cursor_to_the_end(filled):
    keys, values = [], []
    while batch := filled.sinks.next_batch("http", 4):
        keys.append(batch.key)
        values += [row[8] for row in batch.rows]
        filled.sinks.acknowledge("http", batch)
    assert values == list(range(10))
    assert len(set(keys)) == 3
    assert filled.sinks.pending_most() == 0
    filled.sinks.flush()
    assert query(filled, "SELECT cursor, acknowledged_total, plan FROM sink") == [(10, 10, "{}")]


def test_acknowledging_twice_counts_once(filled):
    batch = filled.sinks.next_batch("http", 4)
    filled.sinks.acknowledge("http", batch)
    assert not filled.sinks.acknowledge("http", batch)
    filled.sinks.flush()
    assert query(filled, "SELECT cursor, acknowledged_total FROM sink") == [(4, 4)]


def test_row_of_a_batch_has_what_a_payload_needs(filled):
    batch = filled.sinks.next_batch("http", 1)
    (row,) = batch.rows
    assert row == (1, 1, 0xABCD1234, 0, 0, UTC_MS, 2, 0, 0, 5)
    temp = StoredChannel(1, "board-1", "porch", "temp", "porch.temp", "", "Cel", -2)
    assert batch.channels == {1: temp}
    assert channels_in(filled, []) == {}
    with pytest.raises(StoreError, match="channel 99 has readings and no row"):
        channels_in(filled, [row, (2, 99)])


def test_pending_counts_the_slowest_sink(filled):
    filled.sinks.register("mqtt")
    filled.sinks.acknowledge("http", filled.sinks.next_batch("http", 10))
    assert filled.sinks.pending_most() == 10
    filled.sinks.acknowledge("mqtt", filled.sinks.next_batch("mqtt", 6))
    assert filled.sinks.pending_most() == 4


def test_without_a_sink_everything_is_pending(store):
    assert store.sinks.pending_most() == 0
    opened = store.open_boot(info(), UTC_MS)
    store.commit(telemetry(opened, 0, [1, 2]))
    assert store.sinks.pending_most() == 2


def test_registering_a_sink_again_keeps_its_cursor(filled):
    filled.sinks.acknowledge("http", filled.sinks.next_batch("http", 4))
    filled.sinks.register("http")
    assert filled.sinks.pending_most() == 6


# -- a full disk -------------------------------------------------------------------


def fill_up(store):
    """Let the file grow no more: SQLite then says SQLITE_FULL, as on a full disk."""
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count = {pages}")


def make_room(store):
    store._writer.execute("PRAGMA max_page_count = 1000000")


def test_full_disk_stores_nothing_and_later_everything(store):
    opened = store.open_boot(info(), UTC_MS)
    store.commit(telemetry(opened, 0, [1]))
    fill_up(store)
    batch = telemetry(opened, 1, list(range(2000)))
    with pytest.raises(StoreError, match="full"):
        store.commit(batch)
    assert query(store, "SELECT count(*) FROM reading") == [(1,)]
    assert query(store, "SELECT next_seq FROM stream WHERE stream = 0") == [(1,)]
    assert store.sinks.pending_most() == 1
    make_room(store)
    store.commit(batch)
    assert query(store, "SELECT count(*) FROM reading") == [(2001,)]
    assert store.sinks.pending_most() == 2001
    assert query(store, "PRAGMA integrity_check") == [("ok",)]


def test_full_disk_refuses_an_item_and_keeps_the_count(store):
    fill_up(store)
    with pytest.raises(StoreError, match="full"):
        store.items.add({"text": "x" * 20_000}, 3, 0.0, 0)
    assert store.items.count == 0
    make_room(store)
    store.items.add({"text": "x" * 20_000}, 3, 0.0, 0)
    assert store.items.count == 1


# -- threads and ends --------------------------------------------------------------


def test_reader_does_not_wait_for_a_write(filled):
    may_read, seen = threading.Event(), []

    def read():
        filled.items.due("", 5)  # the first read of a thread opens its connection
        seen.append("ready")
        may_read.wait(10)
        seen.append(len(filled.items.due("", 5)))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    wait_for(lambda: seen, "the reader's connection")
    with filled.transaction() as tx:
        tx.execute("UPDATE sink SET acknowledged_total = 99")
        may_read.set()
        thread.join(10)
        assert seen == ["ready", 0]
        # Another connection sees the state before the transaction, at once.
        assert query(filled, "SELECT acknowledged_total FROM sink") == [(0,)]
    assert query(filled, "SELECT acknowledged_total FROM sink") == [(99,)]


def test_snapshot_of_a_reader_does_not_move_while_it_reads(filled):
    connection = sqlite3.connect(filled.path, isolation_level=None)
    connection.execute("BEGIN")
    assert connection.execute("SELECT count(*) FROM reading").fetchone() == (10,)
    filled.commit(telemetry(filled.open_boot(info(), UTC_MS), 10, [1]))
    assert connection.execute("SELECT count(*) FROM reading").fetchone() == (10,)
    connection.execute("COMMIT")
    assert connection.execute("SELECT count(*) FROM reading").fetchone() == (11,)
    connection.close()


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.open_boot(info(), UTC_MS),
        lambda store: store.commit(WriteBatch()),
        lambda store: store.sinks.register("http"),
        lambda store: store.sinks.next_batch("http", 1),
        lambda store: store.items.add({}, 1, 0.0, 0),
        lambda store: store.items.due("", 1),
        lambda store: store.items.remove([1]),
        lambda store: store.items.delay([1], 1.0, 2.0),
        lambda store: store.items.expire(),
        lambda store: store.audit.append("looked", {}),
    ],
)
def test_closed_store_says_that_it_is_closed(filled, use):
    filled.items.due("", 1)  # this thread has a connection already
    filled.close()
    filled.close()
    with pytest.raises(StoreError, match="the store is closed"):
        use(filled)


def test_closed_store_says_so_to_a_thread_that_never_read(filled):
    filled.close()
    with pytest.raises(StoreError, match="the store is closed"):
        filled.items.due("", 1)


# -- who may have it ---------------------------------------------------------------


def test_second_writer_is_refused_until_the_first_is_gone(tmp_path):
    path = tmp_path / "edge.db"
    first = SQLiteStore(path)
    with pytest.raises(StoreError, match="in use by another agent"):
        SQLiteStore(path)
    opened = first.open_boot(info(), UTC_MS)  # the first does not notice
    first.commit(telemetry(opened, 0, [1]))
    first.close()
    second = SQLiteStore(path)
    assert second.sinks.pending_most() == 1
    second.close()


def test_failed_opening_leaves_the_store_free(tmp_path):
    path = tmp_path / "edge.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    other.close()
    with pytest.raises(StoreError, match="another program"):
        SQLiteStore(path)
    path.unlink()
    SQLiteStore(path).close()


def test_restored_copy_does_not_use_a_batch_key_again(tmp_path):
    path = tmp_path / "edge.db"
    keys = set()
    for _ in range(2):
        path.unlink(missing_ok=True)  # as if an older copy, here an empty one, was put back
        (tmp_path / "edge.db-wal").unlink(missing_ok=True)
        store = SQLiteStore(path)
        store.store_id = "the same"
        store.sinks.register("http")
        opened = store.open_boot(info(), UTC_MS)
        store.commit(telemetry(opened, 0, [1, 2]))
        batch = store.sinks.next_batch("http", 10)
        assert [row[0] for row in batch.rows] == [1, 2]
        keys.add(batch.key)
        store.close()
    assert len(keys) == 2


def test_both_streams_of_a_boot_are_told_apart(store):
    store.sinks.register("http")
    opened = store.open_boot(info(), UTC_MS)
    batch = telemetry(opened, 0, [1])
    batch.events.append(event_row(opened, seq=0))
    batch.events.append(event_row(opened))  # found here: no number, in no stream's account
    batch.stream(opened.boot_id, 1, 0).move(stored=1)
    store.commit(batch)
    assert query(store, "SELECT stream, seq FROM readings") == [("telemetry", 0)]
    assert query(store, "SELECT seq FROM event ORDER BY id") == [(0,), (None,)]
    rows = store.sinks.next_batch("http", 10).rows
    assert [(row[3], row[4]) for row in rows] == [(0, 0)]
    assert store.open_boot(info(), UTC_MS).next_seq == (1, 1)
    ledger = read_ledger(store.path)
    assert ledger.is_balanced
    assert [(b.stream, b.stored, b.sampled) for b in ledger.boots] == [
        ("telemetry", 1, 1),
        ("events", 1, 1),
    ]


def test_ledger_of_a_store_on_a_read_only_medium(tmp_path):
    path = tmp_path / "card" / "edge.db"
    store = SQLiteStore(path)
    store.commit(telemetry(store.open_boot(info(), UTC_MS), 0, [1, 2]))
    store.close()
    # There SQLite can't make the shared memory that reading in WAL mode takes. (A test
    # that runs as root can't forbid it by permissions, so something is in its place.)
    (tmp_path / "card" / "edge.db-shm").mkdir()
    assert read_ledger(path).total("stored") == 2


def test_store_that_is_another_than_before_is_noticed(tmp_path, caplog):
    path = tmp_path / "edge.db"
    store = SQLiteStore(path)
    store.close()
    SQLiteStore(path).close()
    assert not caplog.text
    path.unlink()
    other = SQLiteStore(path)
    assert f"is store {other.store_id}; the one that was here before was {store.store_id}" in (
        caplog.text
    )
    other.close()


def test_commit_in_doubt_leaves_memory_as_the_file_is(filled):
    opened = filled.open_boot(info(), UTC_MS)
    batch = filled.sinks.next_batch("http", 4)
    assert filled.sinks.acknowledge("http", batch)
    filled._writer = Liar(filled._writer, lies=1)
    with pytest.raises(StoreError, match="disk I/O error"):
        filled.commit(telemetry(opened, 10, [1, 2, 3]))
    with pytest.raises(StoreError, match="does not stand at 10"):
        filled.commit(telemetry(opened, 10, [1, 2, 3]))
    filled.commit(telemetry(opened, 13, [4]))
    filled.items.add({}, 3, 0.0, 0)
    filled.audit.append("looked", {})
    assert filled.last_reading_id == filled.stored_total == 14
    assert filled.sinks.pending("http") == 10
    rows = []
    while batch := filled.sinks.next_batch("http", 4):
        rows += batch.rows
        assert filled.sinks.acknowledge("http", batch)
    assert [row[4] for row in rows] == list(range(4, 14))
    filled.sinks.flush()
    assert read_ledger(filled.path).is_balanced
    assert verify(filled.path).fits


# -- beside other programs ---------------------------------------------------------


def locks(path):
    """Return the locks that this process has on a file, as the kernel tells."""
    number = path.stat().st_ino
    found = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return [
        one[3] for one in found if one[4] == str(os.getpid()) and one[5].endswith(f":{number}")
    ]


def read_from_outside(path):
    """Let another program look into the store, and close it again."""
    code = f"import sqlite3; print(sqlite3.connect({str(path)!r}).execute('SELECT 1').fetchall())"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_locks_of_a_store_stay_whatever_is_read_of_its_file(tmp_path):
    path = tmp_path / "edge.db"
    for _ in range(2):  # made, and opened again
        store = SQLiteStore(path)
        opened = store.open_boot(info(), UTC_MS)
        store.commit(telemetry(opened, opened.next_seq[0], range(9)))
        wal = beside(path, "-wal").stat().st_ino
        assert locks(path) == ["READ"]
        read_from_outside(path)
        assert beside(path, "-wal").stat().st_ino == wal
        with store.transaction() as tx:
            tx.execute("CREATE TABLE IF NOT EXISTS mine (x)")
        store.keep_schema()
        assert locks(path) == ["READ"]
        store.reopen()
        assert locks(path) == ["READ"]
        read_from_outside(path)
        store.commit(telemetry(opened, opened.next_seq[0] + 9, range(9)))
        store.close()
        assert locks(path) == []


def test_commit_into_a_wal_that_is_deleted_meanwhile_is_reported_as_failed(filled):
    done = []

    def lose_the_wal():
        with filled.transaction() as tx:
            filled.set_meta(tx, "x", "1")
            filled.when_durable(lambda: done.append(1))
            beside(filled.path, "-wal").unlink()

    with pytest.raises(StoreError, match="its WAL was deleted"):
        lose_the_wal()
    assert done == []
    assert filled.doubts_total == 1
