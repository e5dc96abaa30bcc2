"""The queue of items: what is uploaded beside the readings, once for each sink.

Counts and bytes are kept in memory, so that asking for them costs nothing. Times are
run time: milliseconds for which this store has been in use. It neither jumps when the
clock is set nor goes on while the power is off, so that nothing expires unsent because
the box was switched off.
"""

import json
import logging
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .query import rows_with_payload

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

logger = logging.getLogger(__name__)

NO_SINK = ""  # of items that came while there was none
SIZE_MAX = 64 * 1_048_576  # bytes of payloads, unless a store is given another
ROOM_AGAIN = 0.9  # of that: as soon as less waits, the log says that there is room again

# (payload JSON, priority, created_at, ttl_seconds)
ItemRow = tuple[str, int, float, int]

_INSERT = """
INSERT INTO sync_queue (payload, priority, created_at, ttl_seconds, expires_ms, sink)
VALUES (?, ?, ?, ?, ?, ?)
"""

_DUE = """
SELECT id, payload, priority, created_at, ttl_seconds, retry_count, due_ms FROM sync_queue
WHERE sink = ? AND due_ms <= ? AND (expires_ms IS NULL OR expires_ms > ?)
ORDER BY priority, id LIMIT ?
"""


@dataclass
class _Load:
    """What waits for one sink."""

    count: int = 0
    size: int = 0  # bytes of payloads


class ItemQueue:
    """The items of a store. Any thread may call."""

    def __init__(self, store: "SQLiteStore") -> None:
        self.size_max = SIZE_MAX
        self.expired_total = 0
        self.evicted_total = 0  # for want of room in the queue
        self._store = store
        self._loads: dict[str, _Load] = {}
        self._draft_size = 0  # bytes that the transaction under way adds; below 0: takes away
        self._evicted_before: int | None = None  # of the total, when room ran out; None: there is

    def load(self, tx: sqlite3.Connection) -> None:
        """Read how much waits."""
        self._loads = {
            name: _Load(count, size)
            for name, count, size in tx.execute(
                "SELECT sink, count(*), sum(length(payload)) FROM sync_queue GROUP BY sink"
            ).fetchall()
        }

    @property
    def count(self) -> int:
        """How many items wait, each once for every sink."""
        return sum(load.count for load in list(self._loads.values()))

    @property
    def size(self) -> int:
        """How many bytes of payloads wait."""
        return sum(load.size for load in list(self._loads.values()))

    def pending(self, sink: str) -> int:
        """Return how many items wait for a sink."""
        load = self._loads.get(sink)
        return load.count if load else 0

    def pending_size(self, sink: str) -> int:
        """Return how many bytes of payloads wait for a sink."""
        load = self._loads.get(sink)
        return load.size if load else 0

    # -- in ------------------------------------------------------------------------

    def add(
        self,
        payload: dict[str, Any],
        priority: int,
        created_at: float,
        ttl_seconds: int,
    ) -> int:
        """Queue an item for every sink; return its id, of the first sink's if there are more.

        Raises ValueError or TypeError if it is not JSON, StoreError.
        """
        text = json.dumps(payload, allow_nan=False)
        with self._store.transaction() as tx:
            self._store.write_run_ms(tx)
            first_id, _ = self.write(tx, [(text, priority, created_at, ttl_seconds)])
        return first_id

    def write(
        self, tx: sqlite3.Connection, items: list[ItemRow], sink: str | None = None
    ) -> tuple[int, int]:
        """Queue items for `sink` or for every sink within a transaction.

        Returns the first id and how many there are.
        """
        if not items:
            return 0, 0
        sinks = [sink] if sink is not None else self._store.sinks.names or [NO_SINK]
        run_ms = self._store.run_ms
        first_id = 0
        count = 0
        for name in sinks:
            for text, priority, created_at, ttl_seconds in items:
                expires_ms = run_ms + ttl_seconds * 1000 if ttl_seconds else None
                row_id = tx.execute(
                    _INSERT, (text, priority, created_at, ttl_seconds, expires_ms, name)
                ).lastrowid
                assert row_id is not None
                first_id = first_id or row_id
                count += 1
            self._count(name, len(items), sum(len(item[0]) for item in items))
        self._make_room(tx)
        return first_id, count

    def _count(self, sink: str, count: int, size: int) -> None:
        """Count what is more or, if negative, less for a sink once the transaction is durable."""
        self._draft_size += size

        def end(is_durable: bool) -> None:
            self._draft_size = 0
            if is_durable:
                load = self._loads.setdefault(sink, _Load())
                load.count += count
                load.size += size

        self._store.when_over(end)

    def _tell_room(self) -> None:
        """Log that there is room again, if there was none."""
        if self._evicted_before is not None and self.size < ROOM_AGAIN * self.size_max:
            count = self.evicted_total - self._evicted_before
            logger.warning(
                "%s: the queue has room again; %d items went for want of it",
                self._store.path,
                count,
            )
            self._evicted_before = None

    def _make_room(self, tx: sqlite3.Connection) -> None:
        """Drop the least urgent, oldest items if the queue is larger than it may be.

        With what this transaction has written and dropped so far: it may write several times.
        """
        excess = self.size + self._draft_size - self.size_max
        if excess <= 0:
            return
        dropped: list[tuple[int, str, int]] = []
        for item_id, sink, size in tx.execute(
            "SELECT id, sink, length(payload) FROM sync_queue ORDER BY priority DESC, id"
        ):
            if excess <= 0:
                break
            dropped.append((item_id, sink, size))
            excess -= size
        self._drop(tx, dropped)

        def adopt() -> None:
            if self._evicted_before is None:
                self._evicted_before = self.evicted_total
                logger.warning(
                    "%s: the queue is full (%.3g MB): the least urgent items go, the oldest"
                    " first; see cloud.queue_max_mb",
                    self._store.path,
                    self.size_max / 1e6,
                )
            self.evicted_total += len(dropped)

        self._store.when_durable(adopt)

    # -- out -----------------------------------------------------------------------

    def due(self, sink: str, count_max: int) -> list[dict[str, Any]]:
        """Return the items that are due for a sink, most urgent and oldest first."""
        found = []
        run_ms = self._store.run_ms
        for row in self._store.rows(_DUE, (sink, run_ms, run_ms, count_max)):
            names = ("id", "payload", "priority", "created_at", "ttl_seconds", "retry_count")
            item = dict(zip(names, row, strict=False))
            item["payload"] = json.loads(item["payload"])
            item["due_ms"] = row[6]
            found.append(item)
        return found

    def all(self, count_max: int, sink: str | None = None) -> list[dict[str, Any]]:
        """Return items, of one sink or of all, most urgent and oldest first. Raises StoreError."""
        names = ("id", "sink", "priority", "created_at", "ttl_seconds", "retry_count", "payload")
        return rows_with_payload(
            self._store,
            names,
            "FROM sync_queue WHERE sink = coalesce(?, sink) ORDER BY priority, id LIMIT ?",
            (sink, count_max),
        )

    def purge(self, sink: str | None, priority: int | None) -> int:
        """Delete items of a sink or of all, of a priority or any; return how many.

        The audit log says so. Raises StoreError.
        """
        with self._store.transaction() as tx:
            known = tx.execute(
                "SELECT id, sink, length(payload) FROM sync_queue"
                " WHERE sink = coalesce(?, sink) AND priority = coalesce(?, priority)",
                (sink, priority),
            ).fetchall()
            count = self._delete(tx, known)
            if count:
                told = {"sink": sink, "priority": priority, "count": count}
                self._store.audit.write(tx, "queue_purged", told)
        return count

    def has(self, item_id: int) -> bool:
        """Return whether an item still waits. Raises StoreError."""
        return self._store.has_row("SELECT 1 FROM sync_queue WHERE id = ?", (item_id,))

    def remove(self, ids: list[int]) -> int:
        """Delete items; return how many there were. Raises StoreError."""
        with self._store.transaction() as tx:
            return self._delete(tx, self._known(tx, ids))

    @staticmethod
    def _known(tx: sqlite3.Connection, ids: Iterable[int]) -> list[tuple[int, str, int]]:
        found = []
        for item_id in ids:
            row = tx.execute(
                "SELECT id, sink, length(payload) FROM sync_queue WHERE id = ?", (item_id,)
            ).fetchone()
            if row is not None:
                found.append(row)
        return found

    def _delete(self, tx: sqlite3.Connection, known: list[tuple[int, str, int]]) -> int:
        """Delete what is over or delivered, which may make room; return how many."""
        self._drop(tx, known)
        self._store.when_durable(self._tell_room)
        return len(known)

    def _drop(self, tx: sqlite3.Connection, known: list[tuple[int, str, int]]) -> None:
        tx.executemany("DELETE FROM sync_queue WHERE id = ?", [(row[0],) for row in known])
        for sink in {row[1] for row in known}:
            sizes = [row[2] for row in known if row[1] == sink]
            self._count(sink, -len(sizes), -sum(sizes))

    def delay(self, ids: list[int], base_s: float, max_s: float) -> int:
        """Count a failed attempt at items, due again after `base_s` doubled per attempt.

        Returns how many of them there were. Raises StoreError.
        """
        count = 0
        with self._store.transaction() as tx:
            self._store.write_run_ms(tx)
            for item_id in ids:
                row = tx.execute(
                    "SELECT retry_count FROM sync_queue WHERE id = ?", (item_id,)
                ).fetchone()
                if row is not None:
                    wait_s = min(base_s * 2 ** min(row[0], 30), max_s)
                    count += tx.execute(
                        "UPDATE sync_queue SET retry_count = retry_count + 1, due_ms = ?"
                        " WHERE id = ?",
                        (self._store.run_ms + round(wait_s * 1000), item_id),
                    ).rowcount
        return count

    def bury(self, sink: str, items: list[tuple[int, str, str]]) -> None:
        """Make dead letters of items, given as (id, payload JSON, reason). Raises StoreError."""
        with self._store.transaction() as tx:
            for item_id, payload, reason in items:
                row = tx.execute(
                    "SELECT priority FROM sync_queue WHERE id = ?", (item_id,)
                ).fetchone()
                if row is not None:
                    dead = [(f"item {item_id}", payload, reason)]
                    self._store.dead_letters.write(tx, sink, "item", row[0], dead)
            self._delete(tx, self._known(tx, [item[0] for item in items]))

    def expire(self) -> int:
        """Delete the items whose time to live is over; return how many.

        Writes nothing if there is none. Raises StoreError.
        """
        over = "SELECT id FROM sync_queue WHERE expires_ms <= ?"
        ids = [row[0] for row in self._store.rows(over, (self._store.run_ms,))]
        if not ids:
            return 0
        count = self.remove(ids)
        self.expired_total += count
        return count

    # -- sinks that come and go ----------------------------------------------------

    def adopt(self, tx: sqlite3.Connection, sink: str) -> None:
        """Give a new sink what was queued while there was none."""
        tx.execute("UPDATE sync_queue SET sink = ? WHERE sink = ?", (sink, NO_SINK))

        def adopt() -> None:
            self._loads[sink] = self._loads.pop(NO_SINK, _Load())

        self._store.when_durable(adopt)

    def forget(self, tx: sqlite3.Connection, sink: str) -> None:
        """Drop what waits for a sink that is gone."""
        tx.execute("DELETE FROM sync_queue WHERE sink = ?", (sink,))

        def adopt() -> None:
            self._loads.pop(sink, None)
            self._tell_room()

        self._store.when_durable(adopt)
