"""A sink's thread: takes batches from the store to the sink, one at a time.

Never delays ingest. A batch that fails is kept and tried again, under the same
key, after a back-off with full jitter; there is no last attempt. A change
between "delivers" and "does not" is logged once, with the reason.

Three lanes take turns: items, the newest readings, and the backlog of readings that had
to wait. What a sink refuses for what it is, is singled out by halves. What is left in the
end is a dead letter, if there is a witness against it.
"""

import json
import logging
import random
import threading
from collections import Counter
from typing import Any

from .clock import Clock
from .errors import StoreError
from .heartbeat import STEP_MS, Heartbeat
from .item_batch import ItemBatch, item_batch
from .lane import Lane, Lanes
from .outbox import CloudSyncQueue
from .sinks.delivery import ACCEPTED, FAILED, TOO_LARGE, Delivery
from .store import BACKLOG, LIVE, SQLiteStore, UploadBatch
from .terms import Terms
from .witness import Witness

logger = logging.getLogger(__name__)

SINK = "http"
WAIT_MS = 1000  # between two looks whether readings may be sent
FLUSH_MS = 2500  # an acknowledgement waits so long for a commit to take it along
IDLE_S = 60.0  # nothing wakes the thread for so long: look anyway


class UploadWorker:
    """Sends one sink what is pending whenever it is woken."""

    def __init__(
        self,
        store: SQLiteStore,
        queue: CloudSyncQueue,
        terms: Terms,
        clock: Clock,
        rng: random.Random,
        *,
        sink: str = SINK,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        """Register the sink in `store`; `queue` is its own. Raises StoreError."""
        self.sink = sink
        self.attempts: Counter[str] = Counter()  # by outcome, see Delivery
        self.readings_total = 0  # accepted
        self.items_total = 0  # accepted: events, logs, what callers enqueued
        self.withheld_total = 0  # readings and items that the policy kept back
        self.dead_total = 0  # readings and items refused for good
        self.last_success_utc_ms: int | None = None
        self.last_success_ms: int | None = None  # monotonic
        self.moved_ms = clock.monotonic_ms()  # when it was last done with a batch, or began
        self.failing_ms: int | None = None  # monotonic: since when attempts fail; None: they don't
        self.waiting = ""  # why readings are not sent although there may be some
        self.waits_total = 0  # times that they began to wait
        self._day = 0  # UTC, days since 1970
        self._delivered_before_today = 0
        self._store = store
        self._queue = queue
        self._terms = terms
        self._clock = clock
        self._heartbeat = heartbeat or Heartbeat(sink, clock)
        lanes = (
            Lane("items", self._deliver_items),
            Lane("readings", lambda: self._deliver_readings(LIVE)),
            Lane("backlog", lambda: self._deliver_readings(BACKLOG)),
        )
        self._lanes = Lanes(lanes, clock, rng)
        self._item_limit = terms.batch_size  # fewer while a refused item is being singled out
        self._reading_limit = terms.batch_size  # fewer if the sink found a batch too large
        self._items: list[dict[str, Any]] = []  # the batch of items under way
        self._witness = Witness()  # against single readings, by key, and the lane of items
        self._wake = threading.Event()
        self._is_stopping = False
        self._dirty_ms: int | None = None  # since when the disk doesn't know all that the sink has
        self._next: Terms | None = None  # to be adopted between two deliveries
        queue.sink = sink
        store.sinks.register(sink, terms.batch_size)

    @property
    def problem(self) -> str:
        """Why something waits; "" if all is delivered as it comes."""
        return self._failure or self.waiting

    @property
    def _failure(self) -> str:
        """Why attempts fail; "" if none does."""
        found = [self._lanes[name].problem for name in ("readings", "backlog", "items")]
        return next((one for one in found if one), "")

    @property
    def is_circuit_open(self) -> bool:
        """Whether nothing gets through, so that the lanes try one after the other."""
        return self._lanes.is_circuit_open

    # -- thread --------------------------------------------------------------------

    def run(self) -> None:
        """Deliver until `stop()`."""
        while not self._is_stopping:
            self._wake.clear()
            wait_s = self.step()
            if not self._is_stopping:
                wait_s = min(wait_s, self.settle())
                self._heartbeat.beat(round(wait_s * 1000) + STEP_MS)
                self._wake.wait(wait_s)
        self._heartbeat.end()

    def wake(self) -> None:
        """Say that there is something to deliver."""
        self._wake.set()

    def stop(self) -> None:
        """Make `run` return after the delivery under way."""
        self._is_stopping = True
        self._terms.client.wake()
        self._wake.set()

    @property
    def terms(self) -> Terms:
        """What holds, or will after the delivery under way."""
        return self._next or self._terms

    def adopt(self, terms: Terms) -> None:
        """Go on as another configuration says, after the delivery under way."""
        waiting, self._next = self._next, terms
        if waiting is not None and waiting.client not in (terms.client, self._terms.client):
            waiting.client.close()
        self._terms.client.wake()
        self._wake.set()

    def _adopt(self, terms: Terms) -> None:
        self._next = None
        before, self._terms = self._terms, terms
        if before.client is not terms.client:
            before.client.close()
        self._item_limit = self._reading_limit = terms.batch_size
        # What was wrong may be right now: there is no use in waiting any longer.
        self._lanes.retry()

    def close(self) -> None:
        """Close the sink, once `run` has returned."""
        for client in {self.terms.client, self._terms.client}:
            client.close()

    def step(self) -> float:
        """Deliver until all is delivered or has to wait; return the seconds to wait."""
        is_moving = True
        while is_moving and not self._is_stopping:
            is_moving = False
            if self._next is not None:
                self._adopt(self._next)
            for lane in self._lanes.in_turn():
                if not self._lanes.may_try(lane):
                    continue
                self._heartbeat.beat(self._terms.delivery_ms)
                try:
                    is_moving |= lane.deliver()
                except StoreError as error:
                    self._failed(lane, Delivery(FAILED, f"the store: {error}"))
                except Exception:  # top of a thread
                    logger.exception("the uploader failed; it goes on")
                    self._failed(lane, Delivery(FAILED, "internal error, see the log"))
        return self._lanes.wait_s(IDLE_S)

    def settle(self) -> float:
        """Write acknowledgements that no commit has taken along; return how long that can wait."""
        now_ms = self._clock.monotonic_ms()
        if not self._store.sinks.is_dirty(self.sink):
            self._dirty_ms = None
            return IDLE_S
        if self._dirty_ms is None:
            self._dirty_ms = now_ms
        if now_ms - self._dirty_ms < FLUSH_MS:
            return (self._dirty_ms + FLUSH_MS - now_ms) / 1000
        try:
            self._store.sinks.flush()
        except StoreError as error:
            logger.warning("%s: %s; what it has is sent again after a crash", self.sink, error)
        self._dirty_ms = None
        return IDLE_S

    # -- items ---------------------------------------------------------------------

    def _deliver_items(self) -> bool:
        """Send a batch of queued items; return whether there was one and it was accepted."""
        lane = self._lanes["items"]
        if self._queue.expire() and self._items:
            self._items = self._queue.still_there(self._items)
        if not self._items:
            self._items = self._queue.dequeue(self._item_limit)
        if not self._items:
            return False
        batch = item_batch(self._items, self.sink, self._store.store_id, self._terms.egress)
        if not batch.payloads:
            self._queue.ack(batch.ids)
            self.moved_ms = self._clock.monotonic_ms()
            self.withheld_total += batch.withheld
            self._items = []
            return True
        delivery = self._terms.client.deliver(batch.key, batch.payloads)
        is_accepted = self._judged(lane, delivery)
        if is_accepted:
            self._queue.ack(batch.ids)
            self._items = []
            self.items_total += len(batch.payloads)
            self.withheld_total += batch.withheld
            self._item_limit = min(self._item_limit * 2, self._terms.batch_size)
        elif delivery.is_refused:
            return self._single_out(lane, batch, delivery)
        return is_accepted

    def _single_out(self, lane: Lane, batch: ItemBatch, delivery: Delivery) -> bool:
        """Halve a batch that is refused for what it holds; bury an item that is it.

        Returns whether to go on at once.
        """
        is_witnessed = self._witness.refused(lane.name)
        self._items = []
        lane.attempts = 0  # the sink answers: no reason to wait ever longer
        if len(batch.ids) > 1:
            self._item_limit = len(batch.ids) // 2
            self._queue.release(batch.ids)
            return False
        if not is_witnessed:
            self._queue.nack(batch.ids)
            return False
        self._queue.bury([(batch.ids[0], json.dumps(batch.payloads[0]), delivery.problem)])
        self.dead_total += 1
        self._settle(lane)
        return True

    # -- readings ------------------------------------------------------------------

    def _deliver_readings(self, name: str) -> bool:
        """Send the next batch of readings of a lane; return whether it made room for another."""
        lane = self._lanes["readings" if name == LIVE else "backlog"]
        if self._is_waiting(lane):
            return False
        batch = self._store.sinks.next_batch(self.sink, self._reading_limit, name)
        if batch is None:
            return False
        payloads = self._terms.egress.readings(batch.rows, batch.channels)
        withheld = len(batch.rows) - len(payloads)
        if payloads:
            delivery = self._terms.client.deliver(batch.key, payloads)
            if not self._judged(lane, delivery):
                return delivery.is_refused and self._split(lane, batch, payloads, delivery)
        self._witness.forget(batch.key)
        self.moved_ms = self._clock.monotonic_ms()
        if self._store.sinks.acknowledge(self.sink, batch, withheld):
            self.readings_total += len(payloads)
            self.withheld_total += withheld
        return True

    def _split(
        self, lane: Lane, batch: UploadBatch, payloads: list[Any], delivery: Delivery
    ) -> bool:
        """Halve a batch that is refused for what it holds; bury a reading that is it.

        Returns whether to go on at once.
        """
        lane.attempts = 0
        if delivery.outcome == TOO_LARGE:
            self._reading_limit = max(1, min(self._reading_limit, len(batch.rows)) // 2)
        if len(batch.rows) > 1:
            self._store.sinks.split(self.sink, batch)
            return False
        if not self._witness.refused(batch.key):
            # What is behind it may show that the sink doesn't refuse everything.
            self._store.sinks.park(self.sink, batch)
            return False
        self._witness.forget(batch.key)
        metadata = payloads[0].get("metadata", {})
        origin = "/".join(str(metadata.get(part, "")) for part in ("device", "boot", "seq"))
        dead = [(origin, json.dumps(payloads[0]), delivery.problem)]
        if self._store.sinks.acknowledge(self.sink, batch, dead=dead):
            self.dead_total += 1
        self._settle(lane)
        return True

    def _is_waiting(self, lane: Lane) -> bool:
        """Return whether no readings may be sent now, whether or not there are some.

        In this order: what is committed after the look must not be sent either.
        """
        reason = self._terms.waits_for()
        if reason:
            if not self._store.sinks.pending(self.sink):
                return True
            self._lanes.hold(lane, WAIT_MS)
        if reason and not self.waiting:
            self.waits_total += 1
            logger.info("readings are not uploaded yet: %s", reason)
        self.waiting = reason
        return bool(reason)

    # -- what became of it ---------------------------------------------------------

    def _judged(self, lane: Lane, delivery: Delivery) -> bool:
        """Note what became of a batch; return whether it was accepted."""
        if not delivery.is_accepted:
            self._failed(lane, delivery)
            return False
        self.attempts[delivery.outcome] += 1
        if lane.problem and not lane.is_refused:
            # None, if the client knew by itself that there was no use.
            attempts = f" after {lane.attempts} failed attempts" if lane.attempts else ""
            logger.warning("%s takes %s again%s", self._terms.client.shown, lane.name, attempts)
            self._settle(lane)
        elif lane.is_refused:
            # One half of a refused batch holds the cause. If none is refused, it has gone.
            lane.accepts += 1
            if lane.accepts == 2:
                self._settle(lane)
        self._lanes.accepted(lane)
        self._turn_day()
        self._witness.accepted()
        if self._witness.is_wanted:
            self._store.sinks.unpark(self.sink)
        self.last_success_utc_ms = self._clock.utc_ms()
        self.last_success_ms = self.moved_ms = self._clock.monotonic_ms()
        return True

    def _settle(self, lane: Lane) -> None:
        """Have no problem with a lane any more."""
        lane.settle()
        if not self._failure:
            self.failing_ms = None
        self._witness.forget(lane.name)

    @property
    def batches_total(self) -> int:
        """Batches accepted."""
        return self.attempts[ACCEPTED]

    @property
    def attempts_failed_total(self) -> int:
        """Attempts of which the batch was not accepted."""
        return sum(dict(self.attempts).values()) - self.attempts[ACCEPTED]

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

    def _failed(self, lane: Lane, delivery: Delivery) -> None:
        if delivery.problem != lane.problem:
            logger.warning(
                "%s does not take %s: %s; they are kept and sent again",
                *(self._terms.client.shown, lane.name, delivery.problem),
            )
        self.attempts[delivery.outcome] += 1
        if self.failing_ms is None:
            self.failing_ms = self._clock.monotonic_ms()
        if not delivery.is_refused:
            self._witness.doubt(lane.name)
        self._lanes.failed(lane, delivery, self._terms.back_off)
