"""Tables and views of the store.

Readings are append-only and carry integers: a row has no text and no second
index, because each would be written to the card again for every reading. A
person queries the views `readings`, `events`, `gaps`, `summaries`, `clock_steps` and
`audit_log` instead.
"""

APPLICATION_ID = 0x50595645  # "PYVE": tells `file` and us what the file is
PAGE_SIZE = 1024
SCHEMA_VERSION = 9

TABLES = """
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
  class INTEGER NOT NULL DEFAULT 1,   -- 0 event, 1 telemetry, 2 bulk: the last is evicted first
  sync INTEGER NOT NULL DEFAULT 5,    -- what sinks get: 1 readings, 2 summaries, 4 events
  keep_ms INTEGER NOT NULL DEFAULT 0, -- how long readings are kept; 0: until there is no room
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
  is_end_known INTEGER NOT NULL DEFAULT 0,   -- it ended on purpose, with these totals
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
  expired_total INTEGER NOT NULL DEFAULT 0,  -- of the stored: gone by age, behind every sink
  evicted_total INTEGER NOT NULL DEFAULT 0,  -- of the stored: gone for want of room, see gap
  floor_utc_ms INTEGER,               -- the newest of its readings was taken then, or later;
                                      -- NULL: none has come while the clock was right
  floor_ms INTEGER,                   -- the same, monotonic; NULL as newest_ms
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
  time_quality INTEGER NOT NULL,
  count INTEGER NOT NULL,             -- how many of these numbers are missing
  is_queued INTEGER NOT NULL DEFAULT 0  -- sinks are told of it, see sync_queue
);
CREATE INDEX gap_due ON gap (id) WHERE NOT is_queued;

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
  time_quality INTEGER NOT NULL       -- 0 good, 1 unset, 2 retimed, 4 estimated: see time_segment
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
  total,                              -- NULL: beyond what a number can hold
  last NOT NULL,
  last_ms INTEGER NOT NULL,
  is_due INTEGER NOT NULL DEFAULT 0,  -- sinks are to be told of it once it is over
  PRIMARY KEY (period_ms, start_ms, channel_id, unset_id)
) WITHOUT ROWID;
CREATE INDEX summary_due ON summary (period_ms, start_ms) WHERE is_due;

-- Sealed stretches of readings. From the first on, each chain is the hash of the one before and
-- its own digest, so that no reading can be changed without changing all chains behind it.
CREATE TABLE block (
  id INTEGER PRIMARY KEY,             -- without holes at the end, removed at the beginning
  first_id INTEGER NOT NULL,          -- reading.id, inclusive
  last_id INTEGER NOT NULL,
  count INTEGER NOT NULL,             -- readings when it was sealed
  low_utc_ms INTEGER NOT NULL,        -- bounds of their times: how a time is found among ids
  high_utc_ms INTEGER NOT NULL,
  classes INTEGER NOT NULL,           -- bits 1 << channel.class of what is left
  due_utc_ms INTEGER,                 -- when the next of them expires; NULL: none ever does
  is_thinned INTEGER NOT NULL DEFAULT 0, -- of the class bulk, a reading a minute is left
  removed INTEGER NOT NULL DEFAULT 0, -- of count, expired or evicted
  digest BLOB NOT NULL,               -- SHA-256 of the readings, see block.py
  chain BLOB NOT NULL,
  left_digest BLOB                    -- the digest of what is left, if something was removed
);

-- What was done with the evidence: each row's hash covers the one before.
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  utc_ms INTEGER NOT NULL,
  action TEXT NOT NULL,
  details TEXT NOT NULL,              -- JSON
  hash TEXT NOT NULL                  -- SHA-256, see audit.py
);

-- How far each sink has acknowledged the readings, and the batches it is being sent.
CREATE TABLE sink (
  name TEXT PRIMARY KEY,
  cursor INTEGER NOT NULL DEFAULT 0,         -- every reading up to this id is done with
  acknowledged_total INTEGER NOT NULL DEFAULT 0,
  withheld_total INTEGER NOT NULL DEFAULT 0, -- kept back by the privacy policy, or not to be sent
  dead_total INTEGER NOT NULL DEFAULT 0,     -- refused for what they are, see dead_letter
  evicted_total INTEGER NOT NULL DEFAULT 0,  -- gone for want of room before they were sent
  missed_total INTEGER NOT NULL DEFAULT 0,   -- gone before the store knew of this sink
  plan TEXT NOT NULL DEFAULT '{}'            -- JSON, see sink_row.py
) WITHOUT ROWID;

-- What callers, rules and logs want uploaded beside the readings, once for each sink.
CREATE TABLE sync_queue (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  payload TEXT NOT NULL,
  priority INTEGER NOT NULL,
  created_at REAL NOT NULL,                  -- Unix time
  ttl_seconds INTEGER NOT NULL,              -- 0: for ever
  retry_count INTEGER NOT NULL DEFAULT 0,
  due_ms INTEGER NOT NULL DEFAULT 0,         -- when it may be sent, in run time (see outbox.py)
  expires_ms INTEGER,                        -- the same of its end; NULL: never
  sink TEXT NOT NULL                         -- "": there is none yet
);
CREATE INDEX sync_queue_order ON sync_queue (sink, priority, id);
CREATE INDEX sync_queue_expiry ON sync_queue (expires_ms) WHERE expires_ms IS NOT NULL;

-- What a sink has refused for what it is. Kept to be looked at and, perhaps, sent again.
CREATE TABLE dead_letter (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  sink TEXT NOT NULL,
  kind TEXT NOT NULL,                        -- reading or item
  origin TEXT NOT NULL,                      -- its identity: device/boot/seq, or an item's id
  priority INTEGER NOT NULL,
  payload TEXT NOT NULL,                     -- JSON, as it was to be sent
  reason TEXT NOT NULL,
  utc_ms INTEGER NOT NULL
);

-- What senders were told is stored and may yet send again: digests of 12 bytes, see receipt.py.
CREATE TABLE receipt (
  id INTEGER PRIMARY KEY,
  device TEXT NOT NULL,               -- what the configuration calls it
  keys BLOB NOT NULL,
  source TEXT NOT NULL DEFAULT ''     -- which of those it has had, such as a path or a session
);

-- Where a source that is read, such as a file, goes on behind what is stored of it.
CREATE TABLE source_position (
  id INTEGER PRIMARY KEY,             -- the highest is the one that was read last
  device TEXT NOT NULL,
  source TEXT NOT NULL DEFAULT '',    -- as in receipt
  position TEXT NOT NULL,             -- JSON, the adapter's own
  UNIQUE (device, source)
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
"""

VIEWS = """
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
       CASE quality >> 2 WHEN 0 THEN 'good' WHEN 1 THEN 'unset' WHEN 2 THEN 'retimed'
            WHEN 3 THEN 'sender' ELSE 'estimated' END AS time_quality,
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
       CASE time_quality WHEN 0 THEN 'good' WHEN 1 THEN 'unset' WHEN 2 THEN 'retimed'
            ELSE 'estimated' END AS time_quality
FROM event JOIN channel ON channel.id = channel_id;

CREATE VIEW summaries AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', start_ms / 1000.0, 'unixepoch') AS start,
       start_ms, period_ms, period_ms / 1000 AS period_s, sensor_name AS sensor, unit, count,
       bad_count,
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
       first_seq, last_seq, count, cause,
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

CREATE VIEW audit_log AS
SELECT id, strftime('%Y-%m-%dT%H:%M:%f', utc_ms / 1000.0, 'unixepoch') || 'Z' AS time,
       action, details
FROM audit;
"""
