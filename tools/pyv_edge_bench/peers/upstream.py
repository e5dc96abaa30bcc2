"""Where the readings are to arrive: a broker, and a subscriber that counts each of them."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .broker import Broker

_CONNECT_S = 20.0


class Upstream:
    """A broker with a subscriber of its own, which comes back whenever the broker does."""

    def __init__(
        self,
        folder: Path,
        numbers: Callable[[str, bytes], list[int]],
        key: Callable[[str, bytes], str],
    ) -> None:
        """Start both; the two functions are the peer's."""
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self._numbers, self._key = numbers, key
        self._lock = threading.Lock()
        self._first = 1
        self._seen: Counter[int] = Counter()
        self._keys: set[str] = set()
        self._repeated = 0
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
            raise RuntimeError("no subscription at the upstream broker")

    def _count(self, client: Any, given: Any, message: Any) -> None:
        topic, payload = message.topic, message.payload
        key = self._key(topic, payload)
        with self._lock:
            found = [number for number in self._numbers(topic, payload) if number >= self._first]
            if not found:
                return
            self._latest_s = time.monotonic()
            if key and key in self._keys:
                self._repeated += len(found)
            else:
                self._keys.add(key)
                self._seen.update(found)

    def expect(self, first: int) -> None:
        """Count anew, and nothing below `first`."""
        with self._lock:
            self._first = first
            self._seen.clear()
            self._repeated = 0

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
    def doubled(self) -> int:
        """Readings that came again, and a receiver can't know that."""
        with self._lock:
            return sum(self._seen.values()) - len(self._seen)

    @property
    def repeated(self) -> int:
        """Readings that came again under a key that tells it."""
        with self._lock:
            return self._repeated

    def close(self) -> None:
        """Stop both."""
        self._client.disconnect()
        self._client.loop_stop()
        self.broker.stop()
