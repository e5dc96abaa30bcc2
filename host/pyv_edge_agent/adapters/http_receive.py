"""HTTPAdapter: takes readings that are POSTed, and answers when they are stored.

    {"accepted": 2, "duplicate": false}

Who repeats a POST under its key, because there was no answer, is told that it is stored and
stores nothing twice. See http_route.py for what is checked, http_batch.py for the forms.

Without an agent, `on_post` says who is given the readings, and `start_server` begins.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from pyv_edge_core.reading import QUALITY_NAMES

from ..clock import Clock, SystemClock
from ..errors import AdapterError
from ..loopback import is_loopback
from ..settings import DEVICE, DEVICES
from ..submission import Feed, Submission, Verdict, check_samples
from ..types import SensorReading
from .availability import Availability
from .http_listener import Listener, ListenerOptions, Listeners
from .http_route import Route

logger = logging.getLogger(__name__)

RETRY_S = 1.0  # before a port that can't be had is tried again
LOOK_S = 5.0  # between two looks whether the listener still moves

Callback = Callable[[dict[str, Any]], None]


class HTTPAdapter:
    """Source of one device: an endpoint that takes its readings."""

    is_pushing = True

    def __init__(
        self,
        device: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
        folder: Path = Path(),
    ) -> None:
        """Prepare to take what a checked device table says; by default, what is documented.

        Files that it names are in `folder`. Nothing is opened yet.
        """
        self.listeners = Listeners()  # an agent has one set for all of its devices
        self._device = _defaults() if device is None else dict(device)
        self._clock = clock or SystemClock()
        self._folder = folder
        self._stopping = threading.Event()
        self._callbacks: list[Callback] = []
        self._route: Route | None = None
        self._listener: Listener | None = None
        self._port = Availability(self._device["name"], self._clock)

    # -- for the agent -----------------------------------------------------------------

    def run(self, feed: Feed) -> None:
        """Take readings for `feed` until `stop`. A port that is in use is waited for."""
        route = self._route = self._route or Route(self._device, feed, self._clock)
        while not self._stopping.is_set():
            feed.beat()
            try:
                listener = self.listeners.attach(self._options(), route, self._clock)
            except (OSError, OverflowError) as error:
                self._port.lost(f"can't listen for {self.shown}: {error}")
                self._stopping.wait(RETRY_S)
                continue
            self._listener = listener
            self._port.found(f"takes readings at {self.shown}")
            try:
                self._attend(listener, feed)
            finally:
                self._listener = None
                self.listeners.detach(listener, route)
            if not self._stopping.is_set():
                self._port.lost(f"what listened for {self.shown} has ended")

    def _attend(self, listener: Listener, feed: Feed) -> None:
        turns = -1
        while not self._stopping.is_set() and listener.is_serving:
            if listener.turns != turns:
                turns = listener.turns
                feed.beat()
            self._stopping.wait(LOOK_S)

    def stop(self) -> None:
        """Let `run` end. Requests under way still get their answers."""
        self._stopping.set()
        if self._route is not None:
            self._route.close()

    def status(self) -> dict[str, Any]:
        """Return the counters as JSON types."""
        route, listener = self._route, self._listener
        return {
            "url": self.shown,
            "state": "listening" if self._port.is_there else "waiting for its port",
            **self._port.status(),
            **(route.status() if route else {}),
            "listener": listener.status() if listener else {},
        }

    @property
    def shown(self) -> str:
        """The URL at which it takes readings."""
        device, listener = self._device, self._listener
        scheme = "https" if device["cert_file"] else "http"
        host = f"[{device['host']}]" if ":" in device["host"] else device["host"]
        port = device["port"] if listener is None else listener.port
        return f"{scheme}://{host}:{port}{device['endpoint']}"

    def _options(self) -> ListenerOptions:
        device = self._device
        cert, key = (
            self._folder / device[name] if device[name] else None
            for name in ("cert_file", "key_file")
        )
        return ListenerOptions(
            device["host"],
            device["port"],
            cert,
            key,
            device["connections_max"],
            device["timeout_seconds"],
        )

    # -- without an agent --------------------------------------------------------------

    def on_post(self, callback: Callback) -> None:
        """Let `callback` have each reading, as a dict, before its sender is answered.

        One that raises keeps the sender from being told that it is taken.
        """
        self._callbacks.append(callback)

    def start_server(
        self, host: str = "127.0.0.1", port: int = 8081, endpoint: str = "/ingest", token: str = ""
    ) -> None:
        """Take POSTs in threads until `stop_server`.

        Raises AdapterError beyond loopback without a token, OSError if the port can't be had.
        """
        if not token and not is_loopback(host):
            raise AdapterError(f"{host} is not loopback: give a token that POSTs must have")
        if self._listener is not None:
            raise AdapterError(f"it takes readings at {self.shown} already")
        self._device |= {"host": host, "port": port, "endpoint": endpoint, "token": token}
        feed = cast(Feed, _Callbacks(self._callbacks, self._clock))
        self._route = Route(self._device, feed, self._clock)
        self._listener = self.listeners.attach(self._options(), self._route, self._clock)

    def stop_server(self) -> None:
        """Take no more, and let what is under way end."""
        if self._listener is not None and self._route is not None:
            self.listeners.detach(self._listener, self._route)
            self._listener = None


class _Callbacks:
    """In the place of a Feed: gives readings to functions."""

    def __init__(self, callbacks: list[Callback], clock: Clock) -> None:
        self.name = "http"
        self._callbacks = callbacks
        self._clock = clock

    def put(self, submission: Submission) -> bool:
        check_samples(submission.samples)
        for sample in submission.samples:
            utc_ms = self._clock.utc_ms() if sample.utc_ms is None else sample.utc_ms
            quality = {"quality": QUALITY_NAMES[sample.quality]} if sample.quality else {}
            reading = SensorReading(
                sample.channel, utc_ms / 1000, sample.value, sample.unit, quality
            ).to_dict()
            for callback in self._callbacks:
                callback(reading)
        submission.settle(Verdict.STORED, "")
        return True

    def reject(self, problem: str, count: int = 1) -> None:
        logger.warning("%d rejected: %s", count, problem)


def _defaults() -> dict[str, Any]:
    keys = {**DEVICE, **DEVICES["http"]}
    return {**{key: setting.default for key, setting in keys.items()}, "name": "http"}
