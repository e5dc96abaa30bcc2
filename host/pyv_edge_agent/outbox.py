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
from .store import NO_SINK, SQLiteStore

LEASE_S = 300.0
READING_SIZE = 34  # bytes of a reading in the file, about
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

    def __init__(
        self, db_path: str | None = None, clock: Clock | None = None, sink: str = NO_SINK
    ) -> None:
        """Make a dormant queue; with `db_path` it opens a store of its own when first used.

        What is enqueued is for every sink; what is taken out is `sink`'s.
        """
        self.sink = sink
        self._db_path = db_path
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._store: SQLiteStore | None = None
        self._leased: dict[int, int] = {}  # dequeued, not acked or nacked: until when, monotonic
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
            self._store = SQLiteStore(self._db_path, self._clock)
        return self._store

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
                now = self._clock.utc_ms() / 1000
                return self._opened().items.add(payload, rank, now, ttl_seconds)
            except (TypeError, ValueError) as error:
                raise ValueError(f"payload: is not JSON: {error}") from error

    def peek(self, limit: int = 100) -> list[dict[str, Any]]:
        """Return up to `limit` items that are due, most urgent first, leaving them in.

        An item is a dict of id, payload, priority, created_at, ttl_seconds,
        retry_count and next_retry_at, the last by the clock as it is now.
        """
        with self._lock:
            store = self._opened()
            now_ms = self._clock.monotonic_ms()
            self._leased = {one: until for one, until in self._leased.items() if until > now_ms}
            found = store.items.due(self.sink, limit + len(self._leased))
            run_ms, now = store.run_ms, self._clock.utc_ms() / 1000
            items = [item for item in found if item["id"] not in self._leased][:limit]
            for item in items:
                due_ms = item.pop("due_ms")
                item["next_retry_at"] = now + (due_ms - run_ms) / 1000 if due_ms else 0.0
            return items

    def dequeue(self, limit: int = 100, lease_seconds: float = LEASE_S) -> list[dict[str, Any]]:
        """Return items like `peek` and hide them until they are acked or nacked.

        Or until their lease is over: whoever took them has not come back. A crash in
        between shows them again at once.
        """
        with self._lock:
            found = self.peek(limit)
            until_ms = self._clock.monotonic_ms() + round(lease_seconds * 1000)
            self._leased.update((item["id"], until_ms) for item in found)
            return found

    def still_there(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return those of the dequeued `items` that have not expired meanwhile."""
        with self._lock:
            return [item for item in items if self._opened().items.has(item["id"])]

    def ack(self, ids: int | Iterable[int]) -> int:
        """Forget delivered items; return how many there were."""
        with self._lock:
            gone = [ids] if isinstance(ids, int) else list(ids)
            count = self._opened().items.remove(gone)
            self._release(gone)
            return count

    def nack(self, ids: int | Iterable[int]) -> int:
        """Show items again after a back-off that doubles per attempt; return how many."""
        with self._lock:
            failed = [ids] if isinstance(ids, int) else list(ids)
            count = self._opened().items.delay(failed, RETRY_BASE_S, RETRY_MAX_S)
            self._release(failed)
            return count

    def release(self, ids: Iterable[int]) -> None:
        """Show dequeued items again at once."""
        with self._lock:
            self._release(ids)

    def _release(self, ids: Iterable[int]) -> None:
        for item_id in ids:
            self._leased.pop(item_id, None)

    def bury(self, items: list[tuple[int, str, str]]) -> None:
        """Make dead letters of items, given as (id, payload JSON, reason). Raises StoreError."""
        with self._lock:
            self._opened().items.bury(self.sink, items)
            self._release(item[0] for item in items)

    def expire(self) -> int:
        """Drop the items whose time to live is over; return how many."""
        with self._lock:
            return self._opened().items.expire()

    def pending_count(self) -> int:
        """Return how many readings and items the sink that lacks most lacks. Costs nothing."""
        store = self._known()
        if store is None:
            return 0
        return max(
            (store.sinks.pending(name) + store.items.pending(name) for name in store.sinks.names),
            default=store.stored_total + store.items.count,
        )

    def pending_bytes(self) -> int:
        """Return about how many bytes they take in the store. Costs nothing."""
        store = self._known()
        return 0 if store is None else store.items.size + store.sinks.pending_most() * READING_SIZE

    def oldest_pending_age(self) -> float | None:
        """Return how old the oldest unsent reading is, in seconds; None if there is none.

        By the clock as it is now. Raises StoreError.
        """
        store = self._known()
        if store is None:
            return None
        oldest = [store.sinks.oldest_pending_utc_ms(name) for name in store.sinks.names]
        known = [one for one in oldest if one is not None]
        return max(0.0, (self._clock.utc_ms() - min(known)) / 1000) if known else None

    def _known(self) -> SQLiteStore | None:
        store = self._store  # without the lock: a commit under way must not hold /health up
        if store is None and self._db_path is not None:
            with self._lock:
                store = self._opened()
        return store

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
