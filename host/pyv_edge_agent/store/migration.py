"""How a store of an earlier version becomes one of this: a backup first, then all steps or none.

A store is evidence of years, so it is never made anew. The statements of a step stay as
they are when the schema moves on: each leads from one version to the next.
"""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

from .. import disk
from ..errors import StoreError
from .copy import copy_whole
from .schema import SCHEMA_VERSION, VIEWS

logger = logging.getLogger(__name__)

SPARE_SIZE = 16 * 1_048_576  # bytes that a backup leaves free

# From the version that is the key to the next one. Views are dropped before and made behind.
STEPS: dict[int, str] = {
    4: """
ALTER TABLE channel ADD COLUMN class INTEGER NOT NULL DEFAULT 1;
ALTER TABLE channel ADD COLUMN sync INTEGER NOT NULL DEFAULT 5;
ALTER TABLE channel ADD COLUMN keep_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN expired_total INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN evicted_total INTEGER NOT NULL DEFAULT 0;

ALTER TABLE gap RENAME TO old_gap;
CREATE TABLE gap (
  id INTEGER PRIMARY KEY,
  boot_id INTEGER NOT NULL REFERENCES boot,
  stream INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  cause TEXT NOT NULL,
  utc_ms INTEGER NOT NULL,
  time_quality INTEGER NOT NULL,
  count INTEGER NOT NULL,
  is_queued INTEGER NOT NULL DEFAULT 0
);
INSERT INTO gap SELECT id, boot_id, stream, first_seq, last_seq, cause, utc_ms, time_quality,
                       last_seq - first_seq + 1, 0 FROM old_gap;
DROP TABLE old_gap;
CREATE INDEX gap_due ON gap (id) WHERE NOT is_queued;

ALTER TABLE summary RENAME TO old_summary;
CREATE TABLE summary (
  channel_id INTEGER NOT NULL REFERENCES channel,
  period_ms INTEGER NOT NULL,
  start_ms INTEGER NOT NULL,
  unset_id INTEGER NOT NULL,
  count INTEGER NOT NULL,
  bad_count INTEGER NOT NULL,
  low NOT NULL,
  high NOT NULL,
  total,
  last NOT NULL,
  last_ms INTEGER NOT NULL,
  is_due INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (period_ms, start_ms, channel_id, unset_id)
) WITHOUT ROWID;
INSERT INTO summary SELECT channel_id, period_ms, start_ms, unset_id, count, bad_count, low, high,
                           total, last, last_ms, 0 FROM old_summary;
DROP TABLE old_summary;
CREATE INDEX summary_due ON summary (period_ms, start_ms) WHERE is_due;

CREATE TABLE block (
  id INTEGER PRIMARY KEY,
  first_id INTEGER NOT NULL,
  last_id INTEGER NOT NULL,
  count INTEGER NOT NULL,
  low_utc_ms INTEGER NOT NULL,
  high_utc_ms INTEGER NOT NULL,
  classes INTEGER NOT NULL,
  due_utc_ms INTEGER,
  is_thinned INTEGER NOT NULL DEFAULT 0,
  removed INTEGER NOT NULL DEFAULT 0,
  digest BLOB NOT NULL,
  chain BLOB NOT NULL,
  left_digest BLOB
);
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  utc_ms INTEGER NOT NULL,
  action TEXT NOT NULL,
  details TEXT NOT NULL,
  hash TEXT NOT NULL
);

-- A batch under way is planned anew: what it was sent with is not known to be acknowledged.
ALTER TABLE sink RENAME TO old_sink;
CREATE TABLE sink (
  name TEXT PRIMARY KEY,
  cursor INTEGER NOT NULL DEFAULT 0,
  acknowledged_total INTEGER NOT NULL DEFAULT 0,
  withheld_total INTEGER NOT NULL DEFAULT 0,
  dead_total INTEGER NOT NULL DEFAULT 0,
  evicted_total INTEGER NOT NULL DEFAULT 0,
  missed_total INTEGER NOT NULL DEFAULT 0,
  plan TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
INSERT INTO sink (name, cursor, acknowledged_total, withheld_total, plan)
SELECT name, cursor, acknowledged_total, withheld_total,
       CASE WHEN planned_last_id IS NULL THEN '{}' ELSE json_object('batches', json_array(
         json_array(cursor + 1, planned_last_id, batch_key))) END FROM old_sink;
DROP TABLE old_sink;

ALTER TABLE sync_queue RENAME TO old_queue;
DROP INDEX sync_queue_due;
CREATE TABLE sync_queue (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  payload TEXT NOT NULL,
  priority INTEGER NOT NULL,
  created_at REAL NOT NULL,
  ttl_seconds INTEGER NOT NULL,
  retry_count INTEGER NOT NULL DEFAULT 0,
  due_ms INTEGER NOT NULL DEFAULT 0,
  expires_ms INTEGER,
  sink TEXT NOT NULL
);
INSERT INTO sync_queue (id, payload, priority, created_at, ttl_seconds, retry_count, expires_ms,
                        sink)
SELECT id, payload, priority, created_at, ttl_seconds, retry_count,
       CASE WHEN ttl_seconds > 0 THEN ttl_seconds * 1000 END,
       coalesce((SELECT name FROM sink ORDER BY name LIMIT 1), '') FROM old_queue;
DELETE FROM sqlite_sequence WHERE name = 'sync_queue';
INSERT INTO sqlite_sequence SELECT 'sync_queue', seq FROM sqlite_sequence
WHERE name = 'old_queue';
DROP TABLE old_queue;
CREATE INDEX sync_queue_order ON sync_queue (sink, priority, id);
CREATE INDEX sync_queue_expiry ON sync_queue (expires_ms) WHERE expires_ms IS NOT NULL;

CREATE TABLE dead_letter (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  sink TEXT NOT NULL,
  kind TEXT NOT NULL,
  origin TEXT NOT NULL,
  priority INTEGER NOT NULL,
  payload TEXT NOT NULL,
  reason TEXT NOT NULL,
  utc_ms INTEGER NOT NULL
);
""",
    5: """
CREATE TABLE receipt (
  id INTEGER PRIMARY KEY,
  device TEXT NOT NULL,
  keys BLOB NOT NULL
);
CREATE TABLE source_position (
  device TEXT PRIMARY KEY,
  position TEXT NOT NULL
) WITHOUT ROWID;
""",
    # A position said of itself which session of MQTT it was, and of files nothing.
    6: """
ALTER TABLE receipt ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE source_position RENAME TO old_position;
CREATE TABLE source_position (
  id INTEGER PRIMARY KEY,
  device TEXT NOT NULL,
  source TEXT NOT NULL DEFAULT '',
  position TEXT NOT NULL,
  UNIQUE (device, source)
);
INSERT INTO source_position (device, source, position)
SELECT device, coalesce(session, ''),
       CASE WHEN session IS NULL THEN position
            ELSE json_object('topics', json_array(json_extract(position, '$.topic'))) END
FROM (SELECT device, position, CASE WHEN json_valid(position) THEN
        'mqtt ' || json_extract(position, '$.broker') || ' '
        || json_extract(position, '$.client_id')
      END AS session FROM old_position);
UPDATE receipt SET source = coalesce(
  (SELECT source FROM source_position WHERE source_position.device = receipt.device), '');
DROP TABLE old_position;
""",
    7: """
ALTER TABLE stream ADD COLUMN floor_utc_ms INTEGER;
ALTER TABLE stream ADD COLUMN floor_ms INTEGER;
""",
    8: """
ALTER TABLE boot ADD COLUMN is_end_known INTEGER NOT NULL DEFAULT 0;
""",
}


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    version: int,
    free_size: Callable[[Path], int] = disk.free_size,
) -> None:
    """Bring the store at `path` from schema `version` to the present one.

    Leaves a copy beside it, `<name>.v<version>.backup`. Raises StoreError, and the
    store is as it was.
    """
    if version not in STEPS:
        raise StoreError(
            f"{path}: has schema {version} of a version before the first release;"
            " move it away, it is still good evidence"
        )
    backup = disk.beside(path, f".v{version}.backup")
    needed = path.stat().st_size + SPARE_SIZE
    if free_size(path.parent) < needed:
        raise StoreError(
            f"{path}: needs {needed // 1_048_576} MB of free disk for a backup before its schema"
            " is changed; make room, or move the store to a larger disk"
        )
    _back_up(connection, backup)
    logger.warning("%s: schema %d becomes %d; backup: %s", path, version, SCHEMA_VERSION, backup)
    views = connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'").fetchall()
    script = "".join(STEPS[step] for step in range(version, SCHEMA_VERSION))
    dropped = "".join(f"DROP VIEW {name};" for (name,) in views)
    # What refers to a renamed table must go on referring to its name.
    connection.execute("PRAGMA legacy_alter_table = ON")
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;{dropped}{script}{VIEWS}"
            f"PRAGMA user_version = {SCHEMA_VERSION};COMMIT;"
        )
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    finally:
        connection.execute("PRAGMA legacy_alter_table = OFF")
        connection.execute("PRAGMA foreign_keys = ON")


def _back_up(connection: sqlite3.Connection, backup: Path) -> None:
    """Copy the store; a copy is whole or not there."""
    try:
        copy_whole(connection, disk.draft_beside(backup), backup)
    except OSError as error:
        raise StoreError(f"{backup}: can't be made: {error}") from error
