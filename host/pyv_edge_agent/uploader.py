"""The uploader's thread: takes batches from the store to the cloud, one at a time.

Never delays ingest. A batch that fails is kept and tried again, under the same
key, after a back-off with full jitter; there is no last attempt. A change
between "delivers" and "does not" is logged once, with the reason.
"""

import hashlib
import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .clock import Clock
from .egress import Egress
from .errors import StoreError
from .outbox import CloudSyncQueue
from .sinks.http import Delivery, HTTPCloudUploader
from .store import SQLiteStore

logger = logging.getLogger(__name__)

SINK = "http"
WAIT_MS = 1000  # between two looks whether readings may be sent
IDLE_S = 60.0  # nothing wakes the thread for so long: look anyway


class UploadWorker:
    """Sends what is pending whenever it is woken."""

    def __init__(
        self,
        store: SQLiteStore,
        queue: CloudSyncQueue,
        client: HTTPCloudUploader,
        egress: Egress,
        clock: Clock,
        rng: random.Random,
        *,
        batch_size: int,
        retry_base_s: float,
        retry_max_s: float,
        waits_for: Callable[[], str] = lambda: "",
    ) -> None:
        """Register the sink in `store`. Raises StoreError.

        While `waits_for` gives a reason, readings are not sent. Items are: an alarm that
        comes in time with a wrong time is worth more than a right one that comes late.
        """
        self.batches_total = 0  # accepted
        self.attempts_failed_total = 0  # attempts that were not
        self.readings_total = 0  # accepted
        self.items_total = 0  # accepted: events, logs, what callers enqueued
        self.withheld_total = 0  # readings and items that the policy kept back
        self.last_success_utc_ms: int | None = None
        self.waiting = ""  # why readings are not sent although there may be some
        self.waits_total = 0  # times that they began to wait
        self._day = 0  # UTC, days since 1970
        self._delivered_before_today = 0
        self._store = store
        self._queue = queue
        self._client = client
        self._egress = egress
        self._clock = clock
        self._rng = rng
        self._batch_size = batch_size
        self._retry_base_s = retry_base_s
        self._retry_max_s = retry_max_s
        self._waits_for = waits_for
        self._lanes = (
            _Lane("items", self._deliver_items),
            _Lane("readings", self._deliver_readings),
        )
        self._item_limit = batch_size  # fewer while a refused item is being singled out
        self._items: list[dict[str, Any]] = []  # the batch of items under way
        self._wake = threading.Event()
        self._is_stopping = False
        store.register_sink(SINK)

    @property
    def problem(self) -> str:
        """Why something waits; "" if all is delivered as it comes."""
        return self._lanes[1].problem or self._lanes[0].problem or self.waiting

    # -- thread --------------------------------------------------------------------

    def run(self) -> None:
        """Deliver until `stop()`."""
        while not self._is_stopping:
            self._wake.clear()
            wait_s = self.step()
            if not self._is_stopping:
                self._wake.wait(wait_s)

    def wake(self) -> None:
        """Say that there is something to deliver."""
        self._wake.set()

    def stop(self) -> None:
        """Make `run` return after the POST under way."""
        self._is_stopping = True
        self._wake.set()

    def step(self) -> float:
        """Deliver until all is delivered or has to wait; return the seconds to wait.

        A batch of items and a batch of readings take turns, and each kind has a
        back-off of its own, so that neither can hold the other up.
        """
        is_moving = True
        while is_moving and not self._is_stopping:
            is_moving = False
            for lane in self._lanes:
                if self._clock.monotonic_ms() < lane.not_before_ms:
                    continue
                lane.not_before_ms = 0
                try:
                    is_moving |= lane.deliver()
                except StoreError as error:
                    self._failed(lane, Delivery(False, f"the store: {error}"))
                except Exception:  # top of a thread
                    logger.exception("the uploader failed; it goes on")
                    self._failed(lane, Delivery(False, "internal error, see the log"))
        now_ms = self._clock.monotonic_ms()
        due_ms = [lane.not_before_ms for lane in self._lanes if lane.not_before_ms]
        return max(0.0, min([(due - now_ms) / 1000 for due in due_ms], default=IDLE_S))

    # -- batches -------------------------------------------------------------------

    def _deliver_items(self) -> bool:
        """Send a batch of queued items; return whether there was one and it was accepted."""
        now = self._clock.utc_ms() / 1000
        self._queue.expire()
        self._items = [item for item in self._items if not _is_expired(item, now)]
        if not self._items:
            self._items = self._queue.dequeue(self._item_limit)
        if not self._items:
            return False
        ids = [item["id"] for item in self._items]
        payloads = [self._item_payload(item) for item in self._items]
        released = [payload for payload in payloads if payload is not None]
        withheld = len(ids) - len(released)
        if not released:
            self._queue.ack(ids)
            self.withheld_total += withheld
            self._items = []
            return True
        # The key must stand for exactly these items, also if a restart gathers others.
        identities = [self._identity(item) for item in self._items]
        digest = hashlib.sha256(repr(identities).encode()).hexdigest()[:16]
        key = f"pyv-{self._store.store_id}-{SINK}-items-{digest}"
        delivery = self._client.deliver(key, released)
        is_accepted = self._judged(self._lanes[0], delivery)
        if is_accepted:
            self._queue.ack(ids)
            self._items = []
            self.items_total += len(released)
            self.withheld_total += withheld
            self._item_limit = min(self._item_limit * 2, self._batch_size)
        elif delivery.is_refused:
            self._single_out(ids)
        return is_accepted

    def _single_out(self, ids: list[int]) -> None:
        """Halve a batch that the server refuses for what it holds; put off an item that is it."""
        if len(ids) > 1:
            self._item_limit = len(ids) // 2
            self._queue.release(ids)
        else:
            self._queue.nack(ids)
        self._items = []
        self._lanes[0].attempts = 0  # the server answers: no reason to wait ever longer

    def _item_payload(self, item: dict[str, Any]) -> dict[str, Any] | None:
        """Return what the sink gets of an item, None if the policy keeps it back."""
        payload = self._egress.item(dict(item["payload"]))
        if payload is None:
            return None
        given = payload.get("metadata")
        if given is not None and not isinstance(given, dict):
            given = {"metadata": given}  # a caller's own idea of metadata
        payload["metadata"] = {**(given or {}), "item_id": self._identity(item)}
        return payload

    def _identity(self, item: dict[str, Any]) -> str:
        # With its time: a store that was restored from a copy uses ids again.
        return f"{self._store.store_id}-{item['id']}-{item['created_at']:.3f}"

    def _deliver_readings(self) -> bool:
        """Send the next batch of readings; return whether there was one and it was accepted."""
        if self._store.pending_readings() and self._is_waiting():
            self._lanes[1].not_before_ms = self._clock.monotonic_ms() + WAIT_MS
            return False
        batch = self._store.next_batch(SINK, self._batch_size)
        if batch is None:
            return False
        payloads = self._egress.readings(batch.rows)
        withheld = len(batch.rows) - len(payloads)
        if payloads:
            delivery = self._client.deliver(batch.key, payloads)
            if not self._judged(self._lanes[1], delivery):
                return False
        if self._store.acknowledge(SINK, batch, self._batch_size, withheld):
            self.readings_total += len(payloads)
            self.withheld_total += withheld
        return True

    def _is_waiting(self) -> bool:
        reason = self._waits_for()
        if reason and not self.waiting:
            self.waits_total += 1
            logger.info("readings are not uploaded yet: %s", reason)
        self.waiting = reason
        return bool(reason)

    def _judged(self, lane: "_Lane", delivery: Delivery) -> bool:
        """Note what became of a batch; return whether it was accepted."""
        if not delivery.is_accepted:
            self._failed(lane, delivery)
            return False
        if lane.problem:
            logger.warning(
                "%s takes %s again after %d failed attempts",
                self._client.shown_endpoint,
                lane.name,
                lane.attempts,
            )
        lane.problem = ""
        lane.attempts = 0
        self._turn_day()
        self.batches_total += 1
        self.last_success_utc_ms = self._clock.utc_ms()
        return True

    @property
    def delivered_total(self) -> int:
        """Readings and items accepted since the start."""
        return self.readings_total + self.items_total

    @property
    def delivered_today(self) -> int:
        """Readings and items accepted since midnight UTC."""
        self._turn_day()
        return self.delivered_total - self._delivered_before_today

    def _turn_day(self) -> None:
        day = self._clock.utc_ms() // 86_400_000
        if day != self._day:
            self._day = day
            self._delivered_before_today = self.delivered_total

    def _failed(self, lane: "_Lane", delivery: Delivery) -> None:
        if delivery.problem != lane.problem:
            logger.warning(
                "%s does not take %s: %s; they are kept and sent again",
                self._client.shown_endpoint,
                lane.name,
                delivery.problem,
            )
        lane.problem = delivery.problem
        self.attempts_failed_total += 1
        longest_s = min(self._retry_base_s * 2 ** min(lane.attempts, 30), self._retry_max_s)
        wait_s = self._rng.uniform(0, longest_s)
        if delivery.retry_after_s is not None:
            wait_s = max(wait_s, min(delivery.retry_after_s, self._retry_max_s))
        lane.attempts += 1
        lane.not_before_ms = self._clock.monotonic_ms() + int(wait_s * 1000) + 1


@dataclass
class _Lane:
    """One kind of batch, with a back-off of its own."""

    name: str
    deliver: Callable[[], bool]  # sends one batch; returns whether to go on
    attempts: int = 0  # failed in a row
    not_before_ms: int = 0  # monotonic; 0: waits for nothing
    problem: str = ""  # why the last attempt failed; "" if it did not


def _is_expired(item: dict[str, Any], now: float) -> bool:
    return bool(0 < item["ttl_seconds"] <= now - item["created_at"])
