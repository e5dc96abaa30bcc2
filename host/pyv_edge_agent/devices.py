"""Devices: what the configuration has under [[sensors.devices]], each with its adapter.

Three kinds: the agent polls an adapter (`read`); a board is on a serial link, which has a
thread; an adapter that brings readings by itself has a thread too, and a Feed to put them
into. A device can be added and removed while the others go on.
"""

import logging
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyv_edge_core.ring import RingBuffer

from .adapters import create_adapter
from .clock import Clock
from .heartbeat import Heartbeats
from .link import SerialLink
from .port_search import PortClaims
from .submission import Feed
from .threads import join

logger = logging.getLogger(__name__)

RESTART_S = 5.0  # before an adapter that failed is run again
JOIN_S = 2.0


class Devices:
    """All devices of one configuration, by name."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        inbox: Callable[[Any, Any], bool],
        position: Callable[[str], str],
        folder: Path,
        heartbeats: Heartbeats,
    ) -> None:
        """Begin without any; see Ingest.put for `inbox` and Feed for `position`.

        Files that devices name are in `folder`.
        """
        self.tables: dict[str, dict[str, Any]] = {}
        self.buffers: dict[str, RingBuffer] = {}
        self.adapters: dict[str, Any] = {}
        self.links: dict[str, SerialLink] = {}
        self.feeds: dict[str, Feed] = {}
        self.restarts_total = 0  # of adapters that failed
        self._threads: dict[str, threading.Thread] = {}
        self._stopping: dict[str, threading.Event] = {}
        self._claims = PortClaims()
        self._clock = clock
        self._rng = rng
        self._inbox = inbox
        self._position = position
        self._folder = folder
        self._heartbeats = heartbeats

    @property
    def polled(self) -> list[str]:
        """The devices that the agent polls."""
        return [name for name in self.tables if name not in self._threads]

    def add(self, table: dict[str, Any], buffer: RingBuffer) -> None:
        """Make a device of a checked table; `start` sets it going.

        Raises ConfigError, AdapterError, and there is none.
        """
        name = table["name"]
        adapter = create_adapter(table, self._clock, self._folder)
        if hasattr(adapter, "open_link"):
            adapter.buffer = buffer
            link = adapter.open_link(
                self._clock,
                random.Random(self._rng.random()),
                self._inbox,
                folder=self._folder,
                claims=self._claims,
            )
            worker = f"edge-link-{name}"
            self.links[name] = link
            self._threads[name] = threading.Thread(
                target=link.run, args=(self._heartbeats.open(worker),), daemon=True, name=worker
            )
        elif getattr(adapter, "is_pushing", False):
            worker = f"edge-adapter-{name}"
            feed = Feed(table, self._inbox, self._position, self._clock)
            feed.open_heartbeat = lambda: self._heartbeats.open(worker)
            stopping = threading.Event()
            self.feeds[name] = feed
            self._stopping[name] = stopping
            self._threads[name] = threading.Thread(
                target=self._run,
                args=(adapter, feed, stopping),
                daemon=True,
                name=worker,
            )
        self.tables[name] = table
        self.buffers[name] = buffer
        self.adapters[name] = adapter

    def start(self, names: list[str] | None = None) -> None:
        """Let the threads run. Raises RuntimeError if there can't be another thread."""
        for name, thread in self._threads.items():
            if names is None or name in names:
                thread.start()

    def _run(self, adapter: Any, feed: Feed, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                adapter.run(feed)
            except Exception:  # top of a thread: an adapter may be anybody's code
                self.restarts_total += 1
                feed.problem = "its adapter failed, see the log; it is run again"
                logger.exception("adapter of %s failed; it is run again", feed.name)
            feed.end()
            stopping.wait(RESTART_S)

    def stop(self, names: list[str] | None = None) -> None:
        """Let devices end and wait for their threads."""
        chosen = list(self.tables) if names is None else names
        for name in chosen:
            if name in self.links:
                self.links[name].stop()
            elif name in self.feeds:
                self._stopping[name].set()
                self.adapters[name].stop()
        for name in chosen:
            join(self._threads.get(name), JOIN_S)
            if name in self.links:  # a thread that hangs, or never ran, answers nobody
                self.links[name].requests.stop()

    def close(self, names: list[str] | None = None) -> None:
        """Close what adapters have open, once they are stopped."""
        for name in list(self.adapters) if names is None else names:
            close = getattr(self.adapters[name], "close", None)
            if callable(close):
                close()

    def remove(self, names: list[str]) -> None:
        """Stop devices and forget them."""
        self.stop(names)
        self.close(names)
        for name in names:
            self._claims.release(name)
            for known in (self.tables, self.buffers, self.adapters, self.links, self.feeds):
                known.pop(name, None)
            self._threads.pop(name, None)
            self._stopping.pop(name, None)
