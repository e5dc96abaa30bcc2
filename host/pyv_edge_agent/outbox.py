"""What waits to be uploaded: a cursor over the readings, and a queue of items.

Telemetry is not copied into a queue: each sink has a cursor over the stored
readings, which halves the writes and leaves no window between two files. The
queue proper holds events, logs and whatever callers enqueue, in the same file.

Dormant until it is given a store (`bind`) or, for use by itself, a `db_path`.
"""

import threading
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, Protocol

from .clock import Clock, SystemClock
from .store import SQLiteStore

RETRY_BASE_S = 1.0
RETRY_MAX_S = 300.0


class Priority(IntEnum):
    """Lower goes first."""

    CRITICAL = 1
    ANOMALY = 2
    TELEMETRY = 3
    LOGS = 4


class Uploader(Protocol):
    """What can send a batch of JSON objects to somewhere."""

    def post_batch(self, items: list[dict[str, Any]]) -> bool:
        """Send `items`; return whether they were accepted."""
        ...


class CloudSyncQueue:
    """Persistent queue of items with priority, time to live and retries. Thread-safe."""

    def __init__(self, db_path: str | None = None, clock: Clock | None = None) -> None:
        """Make a dormant queue; with `db_path` it opens a store of its own when first used."""
        self._db_path = db_path
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._store: SQLiteStore | None = None
        self._leased: set[int] = set()  # dequeued and neither acked nor nacked
        self._wake: Callable[[], None] | None = None

    def bind(self, store: SQLiteStore, wake: Callable[[], None] | None = None) -> None:
        """Keep the items in `store`; call `wake` when an uploader has something to do."""
        with self._lock:
            self._store = store
            self._wake = wake
            self._leased.clear()

    def unbind(self) -> None:
        """Be dormant again, before the store is closed."""
        with self._lock:
            self._store = self._wake = None

    def _opened(self) -> SQLiteStore:
        if self._store is None:
            if self._db_path is None:
                raise RuntimeError("the queue has no store: start the agent, or give a db_path")
            self._store = SQLiteStore(self._db_path)
        return self._store

    def _now(self) -> float:
        return self._clock.utc_ms() / 1000

    def enqueue(
        self,
        payload: dict[str, Any],
        priority: int = Priority.TELEMETRY,
        ttl_seconds: int = 0,
    ) -> int:
        """Keep `payload` until it is acknowledged; return its id.

        With `ttl_seconds` above 0 it is dropped when that time is over. Raises
        ValueError for a priority outside 1..4 or a payload that is not JSON.
        """
        if not isinstance(payload, dict):
            raise ValueError(f"payload: must be a dict, not {type(payload).__name__}")
        if ttl_seconds < 0:
            raise ValueError(f"ttl_seconds: {ttl_seconds} is below 0")
        rank = Priority(priority)
        with self._lock:
            try:
                return self._opened().add_item(payload, rank, self._now(), ttl_seconds)
            except (TypeError, ValueError) as error:
                raise ValueError(f"payload: is not JSON: {error}") from error

    def peek(self, limit: int = 100) -> list[dict[str, Any]]:
        """Return up to `limit` items that are due, most urgent first, leaving them in.

        An item is a dict of id, payload, priority, created_at, ttl_seconds,
        retry_count and next_retry_at.
        """
        with self._lock:
            found = self._opened().due_items(limit + len(self._leased), self._now())
            return [item for item in found if item["id"] not in self._leased][:limit]

    def dequeue(self, limit: int = 100) -> list[dict[str, Any]]:
        """Return items like `peek` and hide them until they are acked or nacked.

        A crash in between shows them again.
        """
        with self._lock:
            found = self.peek(limit)
            self._leased.update(item["id"] for item in found)
            return found

    def ack(self, ids: int | Iterable[int]) -> int:
        """Forget delivered items; return how many there were."""
        with self._lock:
            gone = [ids] if isinstance(ids, int) else list(ids)
            count = self._opened().remove_items(gone)
            self._leased.difference_update(gone)
            return count

    def nack(self, ids: int | Iterable[int]) -> int:
        """Show items again after a back-off that doubles per attempt; return how many."""
        with self._lock:
            failed = [ids] if isinstance(ids, int) else list(ids)
            count = self._opened().delay_items(failed, self._now(), RETRY_BASE_S, RETRY_MAX_S)
            self._leased.difference_update(failed)
            return count

    def release(self, ids: Iterable[int]) -> None:
        """Show dequeued items again at once."""
        with self._lock:
            self._leased.difference_update(ids)

    def expire(self) -> int:
        """Drop the items whose time to live is over; return how many."""
        with self._lock:
            return self._opened().remove_expired_items(self._now())

    def pending_count(self) -> int:
        """Return how many readings and items are not acknowledged. Costs nothing."""
        store = self._store  # without the lock: a commit under way must not hold /health up
        if store is None:
            if self._db_path is None:
                return 0
            with self._lock:
                store = self._opened()
        return store.pending_readings() + store.item_count

    def maybe_flush(self, uploader: Uploader | None = None) -> bool:
        """Get uploading under way if there is anything to upload; return whether there is.

        Only wakes the agent's uploader thread, so that a slow network never
        delays ingest. Without an agent, sends one batch of items by `uploader`.
        """
        if self.pending_count() == 0:
            return False
        wake = self._wake
        if wake is None and uploader is None:
            return False
        if wake is not None:
            wake()
            return True
        assert uploader is not None
        batch = self.dequeue()
        ids = [item["id"] for item in batch]
        is_accepted = False
        try:
            is_accepted = bool(batch) and uploader.post_batch([item["payload"] for item in batch])
        finally:
            if is_accepted:
                self.ack(ids)
            else:
                self.nack(ids)
        return is_accepted

    def close(self) -> None:
        """Close the store if the queue opened it itself."""
        with self._lock:
            if self._db_path is not None and self._store is not None:
                self._store.close()
                self._store = None
                self._leased.clear()
