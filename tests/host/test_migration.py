"""A store of schema 4 becomes one of today, or stays as it is."""

import json
import sqlite3

import pytest
from host.fakes import UTC_MS
from host.test_store import info, query, telemetry
from pyv_edge_agent.errors import StoreError
from pyv_edge_agent.store import SQLiteStore, WriteBatch, migration, read_ledger
from pyv_edge_agent.store.receipt import SourceId
from pyv_edge_agent.store.schema import SCHEMA_VERSION

BACK_TO_8 = """
ALTER TABLE boot DROP COLUMN is_end_known;
PRAGMA user_version = 8;
"""
BACK_TO_7 = f"""
{BACK_TO_8}
ALTER TABLE stream DROP COLUMN floor_utc_ms;
ALTER TABLE stream DROP COLUMN floor_ms;
PRAGMA user_version = 7;
"""
BACK_TO_6 = f"""
{BACK_TO_7}
ALTER TABLE receipt DROP COLUMN source;
DROP TABLE source_position;
CREATE TABLE source_position (
  device TEXT PRIMARY KEY, position TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 6;
"""
BACK_TO_5 = f"{BACK_TO_7} DROP TABLE receipt; DROP TABLE source_position; PRAGMA user_version = 5;"

# The tables that schema 5 has changed or brought, as schema 4 had them.
BACK_TO_4 = f"""
{BACK_TO_5}
PRAGMA foreign_keys = OFF;
DROP VIEW readings; DROP VIEW events; DROP VIEW summaries; DROP VIEW gaps; DROP VIEW clock_steps;
DROP VIEW audit_log;
DROP TABLE block; DROP TABLE audit; DROP TABLE dead_letter;
ALTER TABLE channel DROP COLUMN class;
ALTER TABLE channel DROP COLUMN sync;
ALTER TABLE channel DROP COLUMN keep_ms;
ALTER TABLE stream DROP COLUMN expired_total;
ALTER TABLE stream DROP COLUMN evicted_total;
DROP INDEX gap_due;
ALTER TABLE gap DROP COLUMN is_queued;
ALTER TABLE gap DROP COLUMN count;
DROP TABLE summary;
CREATE TABLE summary (
  channel_id INTEGER NOT NULL REFERENCES channel, period_ms INTEGER NOT NULL,
  start_ms INTEGER NOT NULL, unset_id INTEGER NOT NULL, count INTEGER NOT NULL,
  bad_count INTEGER NOT NULL, low NOT NULL, high NOT NULL, total NOT NULL, last NOT NULL,
  last_ms INTEGER NOT NULL, PRIMARY KEY (period_ms, start_ms, channel_id, unset_id)
) WITHOUT ROWID;
DROP TABLE sink;
CREATE TABLE sink (
  name TEXT PRIMARY KEY, cursor INTEGER NOT NULL DEFAULT 0,
  acknowledged_total INTEGER NOT NULL DEFAULT 0, withheld_total INTEGER NOT NULL DEFAULT 0,
  planned_last_id INTEGER, batch_key TEXT
) WITHOUT ROWID;
DROP TABLE sync_queue;
CREATE TABLE sync_queue (
  id INTEGER PRIMARY KEY AUTOINCREMENT, payload TEXT NOT NULL, priority INTEGER NOT NULL,
  created_at REAL NOT NULL, ttl_seconds INTEGER NOT NULL, retry_count INTEGER NOT NULL DEFAULT 0,
  next_retry_at REAL NOT NULL DEFAULT 0
);
CREATE INDEX sync_queue_due ON sync_queue (priority, next_retry_at);
CREATE VIEW readings AS SELECT id FROM reading;
INSERT INTO sink VALUES ('http', 2, 2, 0, 4, 'pyv-old-key');
INSERT INTO sync_queue VALUES (7, '{{"n":1}}', 3, 5.0, 0, 2, 9.0);
INSERT INTO sync_queue VALUES (8, '{{"n":2}}', 4, 5.0, 60, 0, 0);
INSERT INTO summary VALUES (1, 60000, 0, 0, 2, 0, 1, 2, 3, 2, 5);
PRAGMA user_version = 4;
"""


@pytest.fixture
def old(tmp_path):
    """A store of schema 4 with readings, a gap, a summary, a sink half way and two items."""
    path = tmp_path / "edge.db"
    store = SQLiteStore(path)
    opened = store.open_boot(info(), UTC_MS)
    store.commit(telemetry(opened, 0, [1, 2, 3, 4, 5]))
    batch = WriteBatch()
    batch.stream(opened.boot_id, 0, 5).move(lost=2)
    batch.gaps.append((opened.boot_id, 0, 5, 6, "overwritten", UTC_MS, 0))
    store.commit(batch)
    store.close()
    connection = sqlite3.connect(path)
    connection.executescript(BACK_TO_4)
    connection.close()
    return path


def schema(path):
    """Return tables with their columns and indexes, and views."""
    connection = sqlite3.connect(path)
    names = connection.execute(
        "SELECT type, name, tbl_name FROM sqlite_master"
        " WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2"
    ).fetchall()
    found = {
        row[:2]: connection.execute(f"PRAGMA table_info({row[1]})").fetchall() for row in names
    }
    connection.close()
    return found


def test_migrated_store_has_the_schema_of_a_new_one(old, tmp_path):
    SQLiteStore(old).close()
    SQLiteStore(tmp_path / "new.db").close()
    assert schema(old) == schema(tmp_path / "new.db")


@pytest.mark.parametrize("back", [BACK_TO_5, BACK_TO_6, BACK_TO_7, BACK_TO_8])
def test_store_of_a_later_schema_becomes_one_of_today(tmp_path, back):
    path = tmp_path / "edge.db"
    SQLiteStore(path).close()
    connection = sqlite3.connect(path)
    connection.executescript(back)
    connection.close()
    SQLiteStore(path).close()
    SQLiteStore(tmp_path / "new.db").close()
    assert schema(path) == schema(tmp_path / "new.db")


def test_store_of_schema_6_knows_sessions_by_what_their_positions_say(tmp_path):
    path = tmp_path / "edge.db"
    SQLiteStore(path).close()
    connection = sqlite3.connect(path)
    connection.executescript(BACK_TO_6)
    session = {"broker": "b:1883", "client_id": "c", "topic": "site/#"}
    file = '{"mode": "tail", "offset": 9}'
    connection.executemany(
        "INSERT INTO source_position VALUES (?, ?)",
        [("meter", json.dumps(session)), ("log", file), ("odd", "line 5"), ("list", "[1]")],
    )
    connection.executemany(
        "INSERT INTO receipt (device, keys) VALUES (?, ?)",
        [("meter", b"m" * 12), ("log", b"l" * 12), ("http", b"h" * 12)],
    )
    connection.commit()
    connection.close()
    store = SQLiteStore(path)
    try:
        receipts = store.receipts
        assert receipts.positions("meter") == {"mqtt b:1883 c": '{"topics":["site/#"]}'}
        assert receipts.positions("log") == {"": file}
        assert receipts.positions("odd") == {"": "line 5"}
        assert receipts.positions("list") == {"": "[1]"}
        assert receipts.knows(SourceId("meter", "mqtt b:1883 c"), b"m" * 12)
        assert receipts.knows(SourceId("log"), b"l" * 12)
        assert receipts.knows(SourceId("http"), b"h" * 12)
    finally:
        store.close()
    SQLiteStore(tmp_path / "new.db").close()
    assert schema(path) == schema(tmp_path / "new.db")


def test_everything_goes_on_where_it_stood(old):
    store = SQLiteStore(old)
    try:
        assert query(store, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
        assert store.sinks.pending("http") == 3
        store.sinks.register("http")
        batch = store.sinks.next_batch("http")
        assert (batch.key, [row[8] for row in batch.rows]) == ("pyv-old-key", [3, 4])
        assert [item["payload"] for item in store.items.due("http", 9)] == [{"n": 1}, {"n": 2}]
        assert store.items.add({}, 3, 0.0, 0) == 9
        assert query(store, "SELECT first_seq, last_seq, count, cause FROM gaps") == [
            (5, 6, 2, "overwritten")
        ]
        assert query(store, "SELECT count, min, max FROM summaries") == [(2, 0.01, 0.02)]
        assert store.open_boot(info(), UTC_MS).next_seq == (7, 0)
    finally:
        store.close()
    assert read_ledger(old).is_balanced


def test_backup_is_the_store_as_it_was(old):
    before = sqlite3.connect(old)
    rows = before.execute("SELECT * FROM sink").fetchall()
    before.close()
    SQLiteStore(old).close()
    backup = sqlite3.connect(old.with_name("edge.db.v4.backup"))
    assert backup.execute("PRAGMA user_version").fetchone() == (4,)
    assert backup.execute("SELECT * FROM sink").fetchall() == rows
    assert backup.execute("SELECT count(*) FROM reading").fetchone() == (5,)
    backup.close()
    assert not list(old.parent.glob("*.new"))


def test_step_that_fails_changes_nothing(old):
    connection = sqlite3.connect(old)
    connection.execute("CREATE TABLE block (in_the_way)")
    with pytest.raises(StoreError, match="block already exists"):
        SQLiteStore(old)
    assert schema(old)[("table", "sink")][-1][1] == "batch_key"
    connection.execute("DROP TABLE block")
    connection.close()
    SQLiteStore(old).close()


def test_without_room_for_a_backup_nothing_is_done(old):
    before = old.read_bytes()
    connection = sqlite3.connect(old)
    with pytest.raises(StoreError, match="free disk for a backup"):
        migration.migrate(connection, old, 4, free_size=lambda _: 1000)
    connection.close()
    assert old.read_bytes() == before
    assert not list(old.parent.glob("*.backup"))


def test_schema_from_before_the_first_release_is_refused(old):
    connection = sqlite3.connect(old)
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    with pytest.raises(StoreError, match="has schema 3 of a version before the first release"):
        SQLiteStore(old)
