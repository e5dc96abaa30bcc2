"""MQTTAdapter: takes readings from a broker, over one connection after another.

The broker keeps the session while the agent is away or behind: what is published
meanwhile comes later, and what was not acknowledged comes again. What becomes of each
message is in mqtt_delivery.
"""

import logging
import random
import threading
from pathlib import Path
from typing import Any

from ..clock import Clock
from ..heartbeat import STEP_MS
from ..mqtt_client import BrokerOptions, broker_settings
from ..options import read_options
from ..submission import Feed
from .availability import Availability
from .mqtt_connection import Connection, Subscription, reason_of
from .mqtt_delivery import Deliveries
from .mqtt_session import Session
from .topic import client_id_of

logger = logging.getLogger(__name__)

INFLIGHT_5, INFLIGHT_3 = 1000, 20  # what inflight_max = 0 means: 20 is mosquitto's own
BACK_OFF_BASE_S, BACK_OFF_MAX_S = 1.0, 60.0  # with full jitter
STABLE_MS = 60_000  # a connection that lasts for less is no reason to be quicker next time
SHORT_COUNT_MAX = 2  # such connections in a row; then there may be another client
WAIT_S, RETRY_S = 1.0, 0.1  # for something to happen; for room
LEAVE_TURNS_MAX, LEAVE_WAIT_S = 50, 0.02  # for answers that are still to come


class MQTTAdapter:
    """One device whose readings come from a broker."""

    is_pushing = True

    def __init__(
        self, device: dict[str, Any], clock: Clock, folder: Path, rng: random.Random
    ) -> None:
        """Prepare the device of a checked table, whose paths count from `folder`."""
        own = {**broker_settings(device), "client_id": client_id_of(device)}
        self._broker: BrokerOptions = read_options(BrokerOptions, device, folder, own)
        usual = INFLIGHT_5 if device["protocol"] == "5" else INFLIGHT_3
        self._wanted = Subscription(
            device["topic"],
            device["qos"],
            device["retained"] == "take",
            device["session_expiry_seconds"],
            device["inflight_max"] or usual,
        )
        self._name: str = device["name"]
        self._clock = clock
        self._rng = rng
        self._stopping = threading.Event()
        self._availability = Availability(self._name, clock)
        self._deliveries = Deliveries(device, self._wanted.inflight_max, clock)
        place = f"{self._broker.host}:{self._broker.port}"
        bell = self._deliveries.bell
        self._session = Session(place, self._broker.client_id, device["topic"], bell)
        self.sessions_lost_total = 0
        self._is_ours = False  # the session is one in which we have subscribed since the start
        self._up_ms: int | None = None  # since when the connection is subscribed
        self._full_ms: int | None = None  # since when there is no room
        self._short_count = 0  # connections in a row that did not last
        self._attempts = 0  # connections since one that did

    # -- from other threads --------------------------------------------------------

    def stop(self) -> None:
        """Let `run` end soon."""
        self._stopping.set()
        self._deliveries.bell.ring()

    def close(self) -> None:
        """Close what is open, once `run` has ended."""
        self._deliveries.bell.close()

    def status(self) -> dict[str, Any]:
        """Return the state and the counters as JSON types."""
        deliveries = self._deliveries
        return {
            "broker": self._broker.shown,
            "state": "receiving" if self._availability.is_there else "connecting",
            **self._availability.status(),
            "messages_total": deliveries.messages_total,
            "repeated_total": deliveries.repeated_total,
            "retained_total": deliveries.retained_total,
            "lost_total": deliveries.lost_total,
            "sessions_lost_total": self.sessions_lost_total,
            "unacknowledged": deliveries.unacknowledged,
        }

    # -- one connection after another ----------------------------------------------

    def run(self, feed: Feed) -> None:
        """Bring what comes to `feed`, until `stop`."""
        feed.read_from(self._session.source)
        self._deliveries.bell.open()
        while not self._stopping.is_set():
            problem = self._connect(feed)
            if problem:
                self._availability.lost(problem)
                self._pause(feed)

    def _connect(self, feed: Feed) -> str:
        """Take messages over one connection; return why it is over, "" if the agent stops."""
        broker = self._broker
        feed.beat(round(broker.timeout_seconds * 1000) + STEP_MS)
        try:
            connection = Connection(
                broker,
                self._wanted,
                lambda made, is_kept: self._begin(feed, made, is_kept),
                lambda made, message: self._deliveries.take(feed, made, message),
            )
            connection.open()
        except (OSError, ValueError) as error:
            # ValueError: what the library thinks of a certificate or a host name
            self._short_count = 0  # it was away: nobody else has taken the session
            return f"can't connect to {broker.shown}: {reason_of(error)}"
        self._up_ms = self._full_ms = None
        try:
            problem = self._stay(feed, connection)
        finally:
            connection.close()
        return f"{broker.shown}: {problem}" if problem else ""

    def _stay(self, feed: Feed, connection: Connection) -> str:
        deliveries = self._deliveries
        end_ms = self._clock.monotonic_ms() + round(self._broker.timeout_seconds * 1000)
        while not self._stopping.is_set():
            feed.beat()
            wait_s = RETRY_S if deliveries.is_waiting else WAIT_S
            connection.turn(deliveries.bell, wait_s, deliveries.has_room)
            deliveries.settle(connection)
            deliveries.bring(feed)
            self._ask(feed, connection)
            now_ms = self._clock.monotonic_ms()
            if connection.is_over:
                return self._why_over(connection, now_ms)
            if deliveries.must_renew:
                return "what it has sent could not be stored, and is asked for again"
            if self._is_full_for_long(connection, now_ms):
                return "nothing can be stored; the broker keeps what comes until there is room"
            if connection.is_subscribed:
                self._note_up(now_ms)
                deliveries.forget(feed, connection)
            elif connection.is_accepted and not connection.has_asked:
                end_ms = now_ms + round(self._broker.timeout_seconds * 1000)  # the store is slow
            elif now_ms >= end_ms:
                return "no answer"
        deliveries.settle(connection)  # the last commit's
        for _ in range(LEAVE_TURNS_MAX):
            if connection.is_over or not connection.has_asked or connection.is_settled:
                break
            # Half of it done, the broker could keep two topics, and each message twice.
            connection.turn(deliveries.bell, LEAVE_WAIT_S, deliveries.has_room)
        return ""

    def _begin(self, feed: Feed, connection: Connection, is_kept: bool) -> None:
        """Go on with a session, or begin another one."""
        self._deliveries.begin(is_kept=is_kept)
        is_forgotten = self._session.begin(feed, is_kept=is_kept)
        if is_forgotten or (self._is_ours and not is_kept):
            self.sessions_lost_total += 1
            logger.warning(
                "device %s: %s has forgotten the session: what was sent while the agent was"
                " away is lost, and nobody knows how much",
                *(self._name, self._broker.shown),
            )
        self._is_ours = self._is_ours and is_kept

    def _ask(self, feed: Feed, connection: Connection) -> None:
        """Let the broker send what is wanted and nothing else, once the store knows of it."""
        if connection.is_over or not (connection.is_accepted and self._session.is_noted(feed)):
            return
        if not connection.has_asked:
            connection.ask(has_topic=self._is_ours, outdated=self._session.outdated)
        elif connection.is_settled:
            self._session.grant()

    def _note_up(self, now_ms: int) -> None:
        if self._up_ms is None:
            self._up_ms = now_ms
            self._is_ours = True
        is_lasting = now_ms - self._up_ms >= STABLE_MS
        if is_lasting:
            self._short_count = self._attempts = 0
        known = self._availability
        if (is_lasting and known.problem) or (not known.is_there and self._is_steady):
            known.found(f"receives from {self._broker.shown}")
        elif not known.is_there:
            known.back()

    @property
    def _is_steady(self) -> bool:
        return self._short_count <= SHORT_COUNT_MAX

    def _why_over(self, connection: Connection, now_ms: int) -> str:
        if connection.is_subscribed and (self._up_ms is None or now_ms - self._up_ms < STABLE_MS):
            self._short_count += 1
        client_id = self._broker.client_id
        remedy = f"is there another client {client_id!r}? each needs its own client_id"
        if connection.was_taken_over:
            return f"{connection.problem}; {remedy}"
        if not self._is_steady:
            return f"{connection.problem}, again and again; does the broker restart, or {remedy}"
        return connection.problem

    def _is_full_for_long(self, connection: Connection, now_ms: int) -> bool:
        if self._deliveries.has_room():
            self._full_ms = None
            return False
        if self._full_ms is None:
            self._full_ms = now_ms
        return now_ms - self._full_ms >= connection.keepalive_ms

    def _pause(self, feed: Feed) -> None:
        """Wait before the next connection, until `stop` at most."""
        longest_s = min(BACK_OFF_BASE_S * 2 ** min(self._attempts, 10), BACK_OFF_MAX_S)
        self._attempts += 1
        feed.beat(round(longest_s * 1000) + STEP_MS)
        self._stopping.wait(self._rng.uniform(0, longest_s))
        self._make_room(feed)
        while not (self._stopping.is_set() or self._deliveries.has_room()):
            feed.beat()
            self._stopping.wait(WAIT_S)
            self._make_room(feed)

    def _make_room(self, feed: Feed) -> None:
        self._deliveries.settle(None)
        self._deliveries.bring(feed)
