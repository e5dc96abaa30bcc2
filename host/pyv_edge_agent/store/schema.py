"""Tables and views of the store, and how a connection to it is set up.

Readings are append-only and carry integers: a row has no text and no second
index, because each would be written to the card again for every reading. A
person queries the views `readings`, `events`, `gaps`, `summaries` and `clock_steps` instead.
"""

import fcntl
import os
import sqlite3
from pathlib import Path

from ..errors import StoreError

APPLICATION_ID = 0x50595645  # "PYVE": tells `file` and us what the file is
SCHEMA_VERSION = 4
BUSY_TIMEOUT_MS = 5000

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE device (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,          -- what the device says it is
  alias TEXT NOT NULL                 -- what the configuration calls it
);

CREATE TABLE channel (
  id INTEGER PRIMARY KEY,
  device_id INTEGER NOT NULL REFERENCES device,
  name TEXT NOT NULL,
  sensor_name TEXT NOT NULL,          -- what sinks and rules call it
  unit TEXT NOT NULL,
  exponent INTEGER NOT NULL,          -- a reading's value is value * 10**exponent
  privacy TEXT NOT NULL,              -- marks for the sinks: hash, local (see policy)
  UNIQUE (device_id, name, sensor_name, unit, exponent, privacy)
);

-- One row per boot of a board, or per start of the agent for what it polls itself.
CREATE TABLE boot (
  id INTEGER PRIMARY KEY,
  device_id INTEGER NOT NULL REFERENCES device,
  boot INTEGER NOT NULL,              -- random 32 bits
  first_seen_utc_ms INTEGER NOT NULL,
  first_seen_unset_id INTEGER NOT NULL DEFAULT 0,  -- time segment, 0: clock was right
  board TEXT NOT NULL,
  firmware TEXT NOT NULL,
  reset_cause TEXT NOT NULL,
  sampled_total INTEGER NOT NULL DEFAULT 0,  -- what the device says it has taken
  denied_total INTEGER NOT NULL DEFAULT 0,   -- what it says its own policy dropped
  dropped_total INTEGER NOT NULL DEFAULT 0,  -- what it says its ring lost
  late_total INTEGER NOT NULL DEFAULT 0,     -- measurements it says it has missed
  sensor_errors_total INTEGER NOT NULL DEFAULT 0,
  is_finished INTEGER NOT NULL DEFAULT 0,    -- it says it will take no more
  vitals_utc_ms INTEGER,                     -- when it said so
  vitals_unset_id INTEGER NOT NULL DEFAULT 0,
  UNIQUE (device_id, boot)
);

-- How far each numbered stream is stored: the resume point, and what became of its numbers.
CREATE TABLE stream (
  boot_id INTEGER NOT NULL REFERENCES boot,
  stream INTEGER NOT NULL,            -- 0 telemetry, 1 events
  next_seq INTEGER NOT NULL DEFAULT 0,
  stored_total INTEGER NOT NULL DEFAULT 0,
  denied_total INTEGER NOT NULL DEFAULT 0,   -- dropped by the privacy policy
  lost_total INTEGER NOT NULL DEFAULT 0,     -- inside a gap
  aggregated_total INTEGER NOT NULL DEFAULT 0, -- in summaries only
  newest_ms INTEGER,                  -- monotonic: when the newest of its readings was taken;
                                      -- NULL: none has come since the host has booted
  PRIMARY KEY (boot_id, stream)
) WITHOUT ROWID;

CREATE TABLE reading (
  id INTEGER PRIMARY KEY,
  channel_id INTEGER NOT NULL,
  boot_id INTEGER NOT NULL,
  stream INTEGER NOT NULL,            -- 0 telemetry, 1 events
  seq INTEGER NOT NULL,
  utc_ms INTEGER NOT NULL,
  error_ms INTEGER NOT NULL,          -- bound on the error of utc_ms against the host's clock
  quality INTEGER NOT NULL,           -- 0 good, 1 uncertain, 2 bad; + 4 * time quality
  value NOT NULL
);

CREATE TABLE gap (
  id INTEGER PRIMARY KEY,
  boot_id INTEGER NOT NULL REFERENCES boot,
  stream INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  cause TEXT NOT NULL,
  utc_ms INTEGER NOT NULL,            -- when the host learned of it
  time_quality INTEGER NOT NULL
);

-- Rules that fired or resolved, here or on a board.
CREATE TABLE event (
  id INTEGER PRIMARY KEY,
  channel_id INTEGER NOT NULL REFERENCES channel,
  boot_id INTEGER NOT NULL REFERENCES boot,
  seq INTEGER,                        -- in the board's stream of events; NULL: found here
  rule TEXT NOT NULL,
  severity TEXT NOT NULL,
  state TEXT NOT NULL,                -- firing or resolved
  utc_ms INTEGER NOT NULL,
  value REAL,                         -- NULL: there was none, or it must not be known
  message TEXT NOT NULL,
  time_quality INTEGER NOT NULL       -- 0 good, 1 unset, 2 retimed: see time_segment
);

-- Alerts as they stand, so that a restart forgets none: JSON, see pyv_edge_core.alert.
CREATE TABLE rule_state (
  channel_id INTEGER PRIMARY KEY REFERENCES channel,
  state TEXT NOT NULL,
  segment_id INTEGER NOT NULL         -- time segment in which it was saved
);

-- What is known of the readings of a minute or an hour.
CREATE TABLE summary (
  channel_id INTEGER NOT NULL REFERENCES channel,
  period_ms INTEGER NOT NULL,
  start_ms INTEGER NOT NULL,          -- UTC, a multiple of period_ms unless unset_id
  unset_id INTEGER NOT NULL,          -- time segment that dated it, 0: the clock was right
  count INTEGER NOT NULL,             -- measurements
  bad_count INTEGER NOT NULL,         -- readings of quality bad
  low NOT NULL,                       -- these as a reading's value
  high NOT NULL,
  total NOT NULL,
  last NOT NULL,
  last_ms INTEGER NOT NULL,
  PRIMARY KEY (period_ms, start_ms, channel_id, unset_id)
) WITHOUT ROWID;

-- How far each sink has acknowledged the readings, and the batch it is being sent.
CREATE TABLE sink (
  name TEXT PRIMARY KEY,
  cursor INTEGER NOT NULL DEFAULT 0,         -- last reading.id acknowledged
  acknowledged_total INTEGER NOT NULL DEFAULT 0,
  withheld_total INTEGER NOT NULL DEFAULT 0, -- kept back by the privacy policy
  planned_last_id INTEGER,                   -- last reading.id of the batch under way
  batch_key TEXT                             -- its key, repeated unchanged on every attempt
) WITHOUT ROWID;

-- What callers, rules and logs want uploaded beside the readings.
CREATE TABLE sync_queue (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  payload TEXT NOT NULL,
  priority INTEGER NOT NULL,
  created_at REAL NOT NULL,
  ttl_seconds INTEGER NOT NULL,              -- 0: for ever
  retry_count INTEGER NOT NULL DEFAULT 0,
  next_retry_at REAL NOT NULL DEFAULT 0
);
-- Stretches of time in which UTC is the monotonic clock of the host plus one offset.
CREATE TABLE time_segment (
  id INTEGER PRIMARY KEY,             -- without holes: a segment ends where the next begins
  host_boot TEXT NOT NULL,            -- boot of the host, in which its monotonic clock goes on
  began_ms INTEGER NOT NULL,          -- monotonic
  offset_ms INTEGER NOT NULL,         -- UTC less monotonic
  is_synchronised INTEGER NOT NULL,   -- whether the clock was known to be right
  step_ms INTEGER,                    -- by how much it was set; NULL: first of this boot
  first_sync_ms INTEGER NOT NULL,     -- monotonic: known to be right since, if it is
  first_reading_id INTEGER NOT NULL,  -- the first row that can belong to it
  first_event_id INTEGER NOT NULL,
  first_gap_id INTEGER NOT NULL,
  first_item_id INTEGER NOT NULL,
  corrected_by INTEGER REFERENCES time_segment,  -- whose offset its rows are given
  retimed_reading_id INTEGER,         -- the last one looked at
  retimed_total INTEGER NOT NULL DEFAULT 0,      -- readings corrected
  is_retimed INTEGER NOT NULL DEFAULT 0          -- all its rows are corrected
);
CREATE INDEX sync_queue_due ON sync_queue (priority, next_retry_at);
"""

_VIEWS = """
CREATE VIEW readings AS
SELECT reading.id,
       strftime('%Y-%m-%dT%H:%M:%f', utc_ms / 1000.0, 'unixepoch') || 'Z' AS time,
       channel.sensor_name AS sensor,
       CASE WHEN quality & 3 = 2 THEN NULL
            WHEN exponent < 0 THEN value / CAST('1e' || -exponent AS REAL)
            WHEN exponent = 0 THEN value
            ELSE value * CAST('1e' || exponent AS REAL) END AS value,
       unit,
       CASE quality & 3 WHEN 0 THEN 'good' WHEN 1 THEN 'uncertain' ELSE 'bad' END AS quality,
       CASE quality >> 2 WHEN 0 THEN 'good' WHEN 1 THEN 'unset' ELSE 'retimed' END AS time_quality,
       error_ms AS time_error_ms,
       device.name AS device,
       channel.name AS channel,
       printf('%08x', boot.boot) AS boot,
       CASE stream WHEN 0 THEN 'telemetry' ELSE 'events' END AS stream,
       seq
FROM reading
JOIN channel ON channel.id = channel_id
JOIN boot ON boot.id = boot_id
JOIN device ON device.id = boot.device_id;

CREATE VIEW events AS
SELECT event.id,
       strftime('%Y-%m-%dT%H:%M:%f', utc_ms / 1000.0, 'unixepoch') || 'Z' AS time,
       sensor_name AS sensor, rule, severity, state, event.value, unit, message,
       CASE time_quality WHEN 0 THEN 'good' WHEN 1 THEN 'unset' ELSE 'retimed' END AS time_quality
FROM event JOIN channel ON channel.id = channel_id;

CREATE VIEW summaries AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', start_ms / 1000.0, 'unixepoch') AS start,
       period_ms / 1000 AS period_s, sensor_name AS sensor, unit, count, bad_count,
       CASE WHEN count > 0 THEN low * scale END AS min,
       CASE WHEN count > 0 THEN high * scale END AS max,
       CASE WHEN count > 0 THEN total * scale / count END AS mean,
       CASE WHEN count > 0 THEN last * scale END AS last,
       CASE WHEN unset_id = 0 THEN 'good' WHEN is_retimed THEN 'retimed' ELSE 'unset' END
         AS time_quality
FROM summary LEFT JOIN time_segment ON time_segment.id = unset_id
JOIN (SELECT id, sensor_name, unit, CAST('1e' || exponent AS REAL) AS scale FROM channel)
  AS channel ON channel.id = channel_id;

CREATE VIEW gaps AS
SELECT gap.id,
       strftime('%Y-%m-%dT%H:%M:%f', utc_ms / 1000.0, 'unixepoch') || 'Z' AS noticed,
       device.name AS device,
       printf('%08x', boot.boot) AS boot,
       CASE stream WHEN 0 THEN 'telemetry' ELSE 'events' END AS stream,
       first_seq, last_seq, last_seq - first_seq + 1 AS count, cause,
       CASE time_quality WHEN 0 THEN 'good' WHEN 1 THEN 'unset' ELSE 'retimed' END AS time_quality
FROM gap JOIN boot ON boot.id = boot_id JOIN device ON device.id = device_id;

-- Where the clock was set, or became known to be right or not to be.
CREATE VIEW clock_steps AS
SELECT id, strftime('%Y-%m-%dT%H:%M:%f', (began_ms + offset_ms) / 1000.0, 'unixepoch') || 'Z'
         AS time,
       step_ms,
       CASE WHEN is_synchronised THEN 'yes' ELSE 'no' END AS synchronised,
       CASE WHEN is_synchronised THEN 'good' WHEN is_retimed THEN 'retimed' ELSE 'unset' END
         AS time_quality,
       retimed_total, host_boot
FROM time_segment;
"""


def lock(path: Path) -> int:
    """Make this process the only writer of the store at `path`; return the lock's descriptor.

    Two agents on one store would each move the cursors. The lock ends with the
    process, however that ends. Raises StoreError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(
            f"{path.resolve()}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: can't be opened: {error}; check storage.path") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        problem = "is in use by another agent; stop it or change storage.path"
        raise StoreError(f"{path}: {problem}") from error
    return descriptor


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the file for writing, making it if need be. Raises StoreError."""
    try:
        connection = sqlite3.connect(
            path,
            timeout=BUSY_TIMEOUT_MS / 1000,
            isolation_level=None,  # transactions are ours to begin
            check_same_thread=False,  # and guarded by the store's lock
        )
    except (OSError, ValueError, sqlite3.Error) as error:
        raise StoreError(f"{path}: can't be opened: {error}; check storage.path") from error
    try:
        _prepare(connection, path)
    except (sqlite3.Error, StoreError) as error:
        connection.close()
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{path}: {error}; check storage.path") from error
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    )
    is_new = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not is_new and application != APPLICATION_ID:
        raise StoreError(f"{path}: is a database of another program; check storage.path")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: has schema {version}, this program knows {SCHEMA_VERSION}; use a newer one"
        )
    if not is_new and version < SCHEMA_VERSION:
        raise StoreError(
            f"{path}: has schema {version} of a version before the first release;"
            " move it away, it is still good evidence"
        )
    if is_new:
        # Small pages: a commit rewrites whole ones, and the last page is in every commit.
        connection.execute("PRAGMA page_size = 1024")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL, because an acknowledgement is a promise: NORMAL may lose the last commits
    # to a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_size_limit = 4194304")
    if is_new:
        connection.executescript(
            "BEGIN IMMEDIATE;"
            + _TABLES
            + _VIEWS
            + "INSERT INTO meta VALUES ('store_id', lower(hex(randomblob(8))));"
            + f"PRAGMA application_id = {APPLICATION_ID};"
            + f"PRAGMA user_version = {SCHEMA_VERSION};"
            + "COMMIT;"
        )


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open an existing store for reading only. Raises StoreError."""
    try:
        if not path.is_file():
            raise StoreError(f"{path}: there is no store; has the agent run, and with this path?")
        try:
            connection, application = _open_reader(path, "mode=ro")
        except sqlite3.OperationalError:
            # WAL wants to write beside the file even for reading. Evidence on a read-only
            # medium can be read all the same, provided that nothing waits in the WAL.
            wal = path.with_name(path.name + "-wal")
            if wal.exists() and wal.stat().st_size:
                raise
            connection, application = _open_reader(path, "mode=ro&immutable=1")
    except (OSError, ValueError, sqlite3.Error) as error:
        raise StoreError(f"{path}: can't be read: {error}") from error
    if application != APPLICATION_ID:
        connection.close()
        raise StoreError(f"{path}: is not a store of this program")
    return connection


def _open_reader(path: Path, options: str) -> tuple[sqlite3.Connection, int]:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?{options}",
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        # A query of the file, since opening alone reads nothing.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return connection, connection.execute("PRAGMA application_id").fetchone()[0]
    except sqlite3.Error:
        connection.close()
        raise
