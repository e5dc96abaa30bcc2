"""Where the readings are to arrive: a broker, and a subscriber that counts each of them."""

import threading
import time
from pathlib import Path
from typing import Any

from .broker import Broker
from .peer import Peer

_CONNECT_S = 20.0


class Upstream:
    """A broker with a subscriber of its own, which comes back whenever the broker does."""

    def __init__(self, folder: Path, peer: Peer) -> None:
        """Start both; `peer` tells what is in a message. Raises RuntimeError."""
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self._peer = peer
        self._lock = threading.Lock()
        self._first, self._last = 1, 0
        self._seen: dict[int, str] = {}  # by number: the identity with which it came first
        self._repeated = self._doubled = 0
        self._strange: int | None = None  # a number that was never sent
        self._latest_s = 0.0
        self.broker = Broker(folder)
        self.broker.start()
        self._is_there = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id="counter", clean_session=False
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: self._is_there.set()
        self._client.on_message = self._count
        self._client.connect("127.0.0.1", self.broker.port)
        self._client.loop_start()
        if not self._is_there.wait(_CONNECT_S):
            self.close()
            raise RuntimeError("no subscription at the upstream broker")

    def _count(self, client: Any, given: Any, message: Any) -> None:
        topic, payload = message.topic, message.payload
        numbers = self._peer.numbers(topic, payload)
        identities = self._peer.identities(topic, payload) or [""] * len(numbers)
        with self._lock:
            if message.dup and self._seen.keys() >= set(numbers):
                return  # the broker repeats it to us: it came once
            for number, identity in zip(numbers, identities, strict=True):
                if number > self._last:
                    self._strange = number
                elif number >= self._first:
                    self._take(number, identity)

    def _take(self, number: int, identity: str) -> None:
        self._latest_s = time.monotonic()
        if number not in self._seen:
            self._seen[number] = identity
            return
        self._repeated += 1
        if not identity or identity != self._seen[number]:
            self._doubled += 1

    def expect(self, first: int, count: int) -> None:
        """Count anew, and only so many numbers from `first` on."""
        with self._lock:
            self._first, self._last = first, first + count - 1
            self._seen.clear()
            self._repeated = self._doubled = 0

    def check(self) -> None:
        """Raise RuntimeError if a reading has arrived that was never sent."""
        with self._lock:
            if self._strange is not None:
                raise RuntimeError(f"reading {self._strange} has arrived and was not sent")

    @property
    def arrived(self) -> int:
        """How many different readings have arrived."""
        with self._lock:
            return len(self._seen)

    @property
    def latest_s(self) -> float:
        """When the latest message has arrived: of the monotonic clock."""
        with self._lock:
            return self._latest_s

    @property
    def repeated(self) -> int:
        """Readings that arrived again."""
        with self._lock:
            return self._repeated

    @property
    def doubled(self) -> int:
        """Readings that arrived again, and a receiver can't know that."""
        with self._lock:
            return self._doubled

    def close(self) -> None:
        """Stop both."""
        self._client.disconnect()
        self._client.loop_stop()
        self.broker.stop()
