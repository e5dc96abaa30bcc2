"""How far each sink has the readings: what it is sent next, and what it has acknowledged.

Telemetry is not copied into a queue. A batch is a stretch of ids under a key that
is on the disk before its first attempt, so that a retry, also after a crash, is the same
readings under the same key. To save the card a commit for each acknowledgement, the
next commit of readings carries them, and plans the batch of what it stores; a crash in
between sends one batch again, under its key.
"""

import sqlite3
from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .channel import StoredChannel, channels_in
from .sink_range import LIVE, Planned, SinkRange
from .sink_row import BATCH_COUNT, COUNTERS, SinkRow, read_rows, write_row

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

READING_PRIORITY = 3  # of a dead letter that is queued again
LIVE_BATCHES = 2  # batches that may wait before they are backlog

# What is known of a reading alone. The texts are its channel's: to make them anew for each
# reading would take as long as all the rest.
READING_COLUMNS = "reading.id, channel_id, boot, stream, seq, utc_ms, error_ms, quality, value"
READING_TABLES = "FROM reading JOIN boot ON boot.id = boot_id"

_BATCH = f"""
SELECT {READING_COLUMNS}, sync {READING_TABLES} JOIN channel ON channel.id = channel_id
WHERE reading.id >= ? AND reading.id <= ? ORDER BY reading.id
"""

_END_OF_BATCH = """
SELECT min(id), max(id) FROM
  (SELECT id FROM reading WHERE id >= ? AND id <= ? ORDER BY id LIMIT ?)
"""


@dataclass(frozen=True)
class UploadBatch:
    """Readings that a sink is to be sent, the same ones under the same key until it has them."""

    key: str
    first_id: int
    last_id: int
    rows: list[tuple[Any, ...]]  # READING_COLUMNS and sync
    channels: dict[int, StoredChannel]  # of the rows
    lane: str = LIVE


class SinkCursors:
    """The sinks of a store. Any thread may call; a sink belongs to one."""

    def __init__(self, store: "SQLiteStore") -> None:
        self._store = store
        self._sinks: dict[str, SinkRow] = {}
        self._floor = 0  # what is below is not all there yet
        self._lost: list[tuple[str, int]] = []

    def load(self, tx: sqlite3.Connection) -> None:
        """Read where all sinks stand."""
        before, self._sinks = self._sinks, {}
        for sink in read_rows(tx):
            self._sinks[sink.name] = sink
            if sink.name in before:
                sink.batch_count = before[sink.name].batch_count
                sink.is_configured = before[sink.name].is_configured
        for name, sink in before.items():
            if sink.is_configured and name not in self._sinks:
                self._lost.append((name, sink.batch_count))  # to be registered again

    def register(self, name: str, batch_count: int = BATCH_COUNT) -> None:
        """Give sink `name` a cursor at the first reading, unless it has one.

        What was queued while there was no sink is its to send. Raises StoreError.
        """
        with self._store.transaction() as tx:
            if name not in self._sinks:
                (missed,) = tx.execute(
                    "SELECT coalesce(sum(expired_total + evicted_total), 0) FROM stream"
                    " WHERE stream = 0"
                ).fetchone()
                tx.execute("INSERT INTO sink (name, missed_total) VALUES (?, ?)", (name, missed))
                self._store.items.adopt(tx, name)
            else:
                missed = None
        if missed is not None:
            totals = {**dict.fromkeys(COUNTERS, 0), "missed": missed}
            self._sinks[name] = SinkRow(name, totals=totals)
        self._sinks[name].batch_count = batch_count
        self._sinks[name].is_configured = True

    def configure(self, names: Container[str]) -> None:
        """Take the known sinks of `names` for configured, the others for not."""
        for name, sink in self._sinks.items():
            sink.is_configured = name in names

    def forget(self, name: str) -> None:
        """Let go of a sink: its readings are held for it no longer, its items are gone.

        Raises StoreError.
        """
        with self._store.transaction() as tx:
            tx.execute("DELETE FROM sink WHERE name = ?", (name,))
            self._store.dead_letters.forget(tx, name)
            self._store.audit.write(tx, "sink_forgotten", {"sink": name})
            self._store.items.forget(tx, name)
        self._sinks.pop(name, None)

    def leave(self, name: str) -> None:
        """Note that nobody sends to a sink any more; its readings are held all the same."""
        self._sinks[name].is_configured = False

    @property
    def names(self) -> list[str]:
        """The sinks that the store knows."""
        return list(self._sinks)

    @property
    def unconfigured(self) -> list[str]:
        """The sinks that nobody sends to, and whose readings are held all the same."""
        return [name for name, sink in self._sinks.items() if not sink.is_configured]

    # -- how much waits ------------------------------------------------------------

    def pending(self, name: str) -> int:
        """Return how many readings a sink has not acknowledged. Costs nothing."""
        return self._store.stored_total - sum(self._sinks[name].totals.values())

    def pending_most(self) -> int:
        """Return the same of the sink that lacks most; all readings if there is no sink."""
        if not self._sinks:
            return self._store.stored_total
        return max(self.pending(name) for name in list(self._sinks))

    def cursor_least(self, default: int) -> int:
        """Return up to which id every sink has everything; `default` without a sink."""
        return min((sink.range.cursor for sink in self._sinks.values()), default=default)

    def oldest_pending_utc_ms(self, name: str) -> int | None:
        """Return when the oldest reading was taken that a sink lacks. Raises StoreError."""
        row = self._store.row(
            "SELECT utc_ms FROM reading WHERE id > ? ORDER BY id LIMIT 1",
            (self._sinks[name].range.cursor,),
        )
        return None if row is None else int(row[0])

    # -- batches -------------------------------------------------------------------

    def next_batch(
        self, name: str, count_max: int | None = None, lane: str = LIVE
    ) -> UploadBatch | None:
        """Return the readings that sink `name` is to be sent next on a lane, None if it has all.

        The range and its key are on the disk before they are returned. Raises StoreError.
        """
        sink = self._sinks[name]
        count_max = count_max or sink.batch_count
        with self._store.lock:
            last_id = self._store.last_reading_id
            if self._floor and lane != LIVE:
                return None
            sink.range.live_first = max(sink.range.live_first, self._floor)
            sink.range.turn_lanes(last_id, LIVE_BATCHES * sink.batch_count)
            planned = sink.range.planned(lane)
            if planned is not None and sink.is_dirty:
                # Its plan may be newer than the disk's: a commit that was in doubt.
                self._save(sink, sink.range)
            while planned is None:
                hole = sink.range.hole(lane, last_id)
                if hole is None:
                    planned = sink.range.parked(lane)
                    if planned is None:
                        return None
                    break
                planned = self._plan(sink, hole, count_max)  # None: all of it was removed
        first_id, last_id = planned.first_id, planned.last_id
        rows = self._store.rows(_BATCH, (first_id, last_id))
        channels = channels_in(self._store, rows)
        if not self._is_under_way(name, planned.key):
            return None  # another file was opened meanwhile: whose rows are these?
        return UploadBatch(planned.key, first_id, last_id, rows, channels, lane)

    def _is_under_way(self, name: str, key: str) -> bool:
        with self._store.lock:
            sink = self._sinks.get(name)
            return sink is not None and any(one.key == key for one in sink.range.batches)

    def _plan(self, sink: SinkRow, hole: tuple[int, int], count_max: int) -> Planned | None:
        """Plan a batch at the beginning of a hole; None if no readings are left in it."""
        first, last = self._store.rows(_END_OF_BATCH, (*hole, count_max))[0]
        changed = sink.range.copy()
        if first is None:
            changed.acknowledge(*hole)  # they were removed
        elif first > hole[0]:
            changed.acknowledge(hole[0], first - 1)
        planned = None
        if first is not None:
            planned = Planned(first, last, self._key(sink.name, first, last))
            changed.batches.append(planned)
        self._save(sink, changed)
        return planned

    def _key(self, name: str, first_id: int, last_id: int) -> str:
        return f"pyv-{self._store.store_id}-{self._store.generation}-{name}-{first_id}-{last_id}"

    def _save(self, sink: SinkRow, changed: SinkRange) -> None:
        """Write how a sink stands, with `changed` for its ranges once that is durable."""
        with self._store.transaction() as tx:
            self._write(tx, sink, changed, sink.totals)

    def acknowledge(
        self,
        name: str,
        batch: UploadBatch,
        withheld: int = 0,
        dead: list[tuple[str, str, str]] | None = None,
    ) -> bool:
        """Note that sink `name` has `batch`, except for what was withheld or refused for good.

        `dead` lists those last, as (origin, payload JSON, reason). What is acknowledged is
        written with the next commit; what is dead, at once. Returns False, and does
        nothing, if `batch` is not under way. Raises StoreError.
        """
        sink = self._sinks[name]
        with self._store.lock:
            if not self._is_under_way(name, batch.key):
                return False
            refused = len(dead or ())
            changed = sink.range.copy()
            changed.acknowledge(batch.first_id, batch.last_id)
            totals = dict(sink.totals)
            totals["acknowledged"] += len(batch.rows) - withheld - refused
            totals["withheld"] += withheld
            totals["dead"] += refused
            if dead:
                with self._store.transaction() as tx:
                    self._store.dead_letters.write(tx, name, "reading", READING_PRIORITY, dead)
                    self._write(tx, sink, changed, totals)
            else:
                sink.range, sink.totals, sink.is_dirty = changed, totals, True
        return True

    def split(self, name: str, batch: UploadBatch) -> None:
        """Plan only the first half of a batch, which must have two readings. Raises StoreError."""
        sink = self._sinks[name]
        with self._store.lock:
            half = batch.rows[(len(batch.rows) - 1) // 2][0]
            changed = sink.range.copy()
            changed.batches = [one for one in changed.batches if one.key != batch.key]
            key = self._key(name, batch.first_id, half)
            changed.batches.append(Planned(batch.first_id, half, key))
            self._save(sink, changed)

    def park(self, name: str, batch: UploadBatch) -> None:
        """Let what is behind a batch go before it, until `unpark` or nothing else is left."""
        with self._store.lock:
            self._sinks[name].range.park(batch.key)

    def unpark(self, name: str) -> None:
        """Let what was parked be the next on its lane."""
        with self._store.lock:
            self._sinks[name].range.unpark()

    # -- with other transactions ---------------------------------------------------

    def is_dirty(self, name: str) -> bool:
        """Return whether the disk doesn't know yet of all that sink `name` has."""
        return self._sinks[name].is_dirty

    def flush(self) -> None:
        """Write what has been acknowledged, unless a commit has done so. Raises StoreError."""
        with self._store.lock:
            if any(sink.is_dirty for sink in self._sinks.values()):
                with self._store.transaction() as tx:
                    self.write(tx)

    def write(self, tx: sqlite3.Connection, new: tuple[int, int] | None = None) -> None:
        """Write within a transaction how the sinks stand.

        `new` is the range of readings that the transaction adds: a sink that has all
        before them is planned to get them.
        """
        for sink in self._sinks.values():
            changed = sink.range
            if new is not None and sink.is_configured:
                changed = self._with_new(sink, *new)
            if sink.is_dirty or changed is not sink.range:
                self._write(tx, sink, changed, sink.totals)

    def _write(
        self, tx: sqlite3.Connection, sink: SinkRow, changed: SinkRange, totals: dict[str, int]
    ) -> None:
        write_row(tx, sink.name, changed, totals)

        def adopt() -> None:
            sink.range, sink.totals, sink.is_dirty = changed, totals, False

        self._store.when_durable(adopt)

    def _with_new(self, sink: SinkRow, first_id: int, last_id: int) -> SinkRange:
        """Return a sink's ranges with a batch of new readings, if nothing else is on its lane."""
        now = sink.range
        if now.planned(LIVE) is not None or now.hole(LIVE, first_id - 1) is not None:
            return now
        changed = now.copy()
        last_id = min(last_id, first_id + sink.batch_count - 1)
        changed.batches.append(Planned(first_id, last_id, self._key(sink.name, first_id, last_id)))
        return changed

    def hold_below(self, floor_id: int) -> None:
        """Send nothing below an id until `recount`: readings are still being salvaged there."""
        with self._store.lock:
            self._floor = floor_id
            lost, self._lost = self._lost, []
        for name, batch_count in lost:
            self.register(name, batch_count)

    def recount(self) -> None:
        """Let everything be sent again; what sinks will never have is counted as evicted.

        Raises StoreError.
        """
        with self._store.lock, self._store.transaction() as tx:
            for sink in self._sinks.values():
                (rows,) = tx.execute(
                    "SELECT count(*) FROM reading WHERE id > ?", (sink.range.cursor,)
                ).fetchone()
                for first, last in sink.range.acked:
                    (acked,) = tx.execute(
                        "SELECT count(*) FROM reading WHERE id >= ? AND id <= ?", (first, last)
                    ).fetchone()
                    rows -= acked
                totals = dict(sink.totals)
                lost = self.pending(sink.name) - rows
                totals["evicted"] += max(0, lost)
                for name in COUNTERS:  # more than there ever was: a figure was damaged
                    more = min(max(0, -lost), totals[name])
                    totals[name] -= more
                    lost += more
                self._write(tx, sink, sink.range, totals)
            self._store.when_durable(lambda: setattr(self, "_floor", 0))

    def protected(self) -> list[tuple[int, int]]:
        """Return the ranges of readings that are under way to a sink, and so must stay."""
        return [
            (one.first_id, one.last_id)
            for sink in self._sinks.values()
            for one in sink.range.batches
        ]

    def evict(self, tx: sqlite3.Connection, ids: list[int]) -> None:
        """Count readings that are removed before some sink has them, in their transaction."""
        for sink in self._sinks.values():
            acked = sink.range.acked
            lost = sum(
                one > sink.range.cursor and not any(first <= one <= last for first, last in acked)
                for one in ids
            )
            if lost or sink.is_dirty:
                totals = {**sink.totals, "evicted": sink.totals["evicted"] + lost}
                self._write(tx, sink, sink.range, totals)
