"""Devices: what the configuration has under [[sensors.devices]], each with its adapter.

Three kinds: the agent polls an adapter (`read`); a board is on a serial link, which has a
thread; an adapter that brings readings by itself has a thread too, and a Feed to put them
into. A device can be added and removed while the others go on.
"""

import logging
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .adapters import create_adapter
from .adapters.http_listener import Listeners
from .clock import Clock
from .heartbeat import Heartbeats
from .link import SerialLink
from .polling import PollFailure
from .port_loan import Loan
from .port_search import PortClaims, normal
from .recent import Recent
from .submission import Feed
from .threads import join

logger = logging.getLogger(__name__)

RESTART_S = 5.0  # before an adapter that failed is run again
JOIN_S = 2.0  # for those that end, at most


@dataclass
class Device:
    """One device with what runs it."""

    table: dict[str, Any]
    buffer: Recent
    adapter: Any
    begun_ms: int  # monotonic: when it was made
    link: SerialLink | None = None
    feed: Feed | None = None
    thread: threading.Thread | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        """The name it has in the configuration."""
        return str(self.table["name"])

    @property
    def is_polled(self) -> bool:
        """Whether the agent asks its adapter for readings."""
        return self.link is None and self.feed is None

    def status(self, failure: PollFailure | None) -> dict[str, Any]:
        """Return how it does, as JSON types; `failure` is what is wrong if polls of it fail."""
        told: dict[str, Any] = {
            "name": self.name,
            "ingest_type": self.table["ingest_type"],
            "problem_age_ms": None,  # None: it is one now, or there is none
        }
        if self.link is not None:
            link = self.link.status()
            told.update({key: link[key] for key in ("state", "problem", "path", "lent_until")})
            told.update(port=self.table["port"], **self.link.dialogue.who())
        elif self.feed is not None:
            own = self.adapter.status() if hasattr(self.adapter, "status") else {}
            told.update({"state": "running", **self.feed.status(), **own})
            # That nothing can come says more than what was wrong with the last that did.
            if problem := told.get("connection_problem") or self.feed.failure:
                told.update(problem=problem, problem_age_ms=None)
        else:
            told.update(state="polled", problem="")
            if failure is not None:
                told.update(state="failing", problem=failure.problem)
            told["failed_polls"] = 0 if failure is None else failure.count
        return told

    def hold(self, is_held: bool) -> None:
        """Take nothing from its adapter for a while, or go on."""
        if self.feed is not None:
            self.feed.hold(is_held)

    def stop(self) -> None:
        """Let its thread end soon."""
        self.stopping.set()
        if self.link is not None:
            self.link.stop()
        elif self.feed is not None:
            self.adapter.stop()

    def join(self, timeout_s: float) -> None:
        """Wait for its thread, but not for ever."""
        join(self.thread, timeout_s)
        if self.feed is not None:
            self.feed.close()
        if self.link is not None:  # a thread that hangs, or never ran, answers nobody
            self.link.requests.stop()


class Devices:
    """All devices of the configuration, by name."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        inbox: Callable[[Any, Any], bool],
        positions: Callable[[str], dict[str, str]],
        folder: Path,
        heartbeats: Heartbeats,
    ) -> None:
        """Begin without any; see Ingest.put for `inbox`, Receipts for `positions`.

        Files that devices name are in `folder`.
        """
        self.adapters: dict[str, Any] = {}
        self.restarts_total = 0  # of adapters that failed
        self._all: dict[str, Device] = {}
        self._claims = PortClaims()
        self._listeners = Listeners()  # which devices share
        self._clock = clock
        self._rng = rng
        self._inbox = inbox
        self._positions = positions
        self._folder = folder
        self._heartbeats = heartbeats

    @property
    def all(self) -> list[Device]:
        """The devices there are."""
        return list(self._all.values())

    @property
    def polled(self) -> list[str]:
        """The devices that the agent polls."""
        return [name for name, device in list(self._all.items()) if device.is_polled]

    @property
    def links(self) -> list[SerialLink]:
        """The serial lines."""
        return [one.link for one in list(self._all.values()) if one.link is not None]

    def table(self, name: str) -> dict[str, Any] | None:
        """Return the configuration of a device, None if there is no such device any more."""
        device = self._all.get(name)
        return None if device is None else device.table

    def status(self, failing: Mapping[str, PollFailure]) -> list[dict[str, Any]]:
        """Return how each device does, as JSON types; `failing` has those whose polls fail."""
        return [device.status(failing.get(name)) for name, device in list(self._all.items())]

    def make(self, table: dict[str, Any], buffer: Recent) -> Device:
        """Return a device of a checked table, of which nothing is open yet; see `adopt`.

        Raises ConfigError, AdapterError, StartError.
        """
        adapter = create_adapter(table, self._clock, self._folder, self._rng)
        made = Device(table, buffer, adapter, self._clock.monotonic_ms())
        if hasattr(made.adapter, "open_link"):
            made.adapter.buffer = buffer
            made.link = made.adapter.open_link(
                self._clock,
                random.Random(self._rng.random()),
                self._inbox,
                folder=self._folder,
                claims=self._claims,
            )
        elif getattr(made.adapter, "is_pushing", False):
            feed_type = getattr(adapter, "feed_type", Feed)
            made.feed = feed_type(table, self._inbox, self._positions, self._clock)
            if hasattr(made.adapter, "listeners"):
                made.adapter.listeners = self._listeners
        return made

    def adopt(self, device: Device, loan: Loan | None = None) -> None:
        """Take a device in; there must be none of its name. `start` sets it going.

        A `loan` is what `remove` returned of its name: it goes on if that is its port.
        """
        assert device.name not in self._all
        if loan is not None and normal(loan.port) == normal(device.table.get("port", "")):
            assert device.link is not None
            device.link.loan.keep(loan)
        self._all[device.name] = device
        self.adapters[device.name] = device.adapter

    def change_buffer(self, name: str, buffer: Recent) -> None:
        """Let a device have another buffer."""
        device = self._all[name]
        device.buffer = buffer
        if device.link is not None:
            device.adapter.buffer = buffer

    def start(self) -> None:
        """Let the threads run that don't. Raises RuntimeError if there can't be another one."""
        for device in self._all.values():
            if device.thread is None and not device.is_polled:
                device.thread = self._thread_of(device)
                device.thread.start()

    def _thread_of(self, device: Device) -> threading.Thread:
        name = f"edge-{'adapter' if device.link is None else 'link'}-{device.name}"
        if device.link is not None:
            run, arguments = device.link.run, (self._heartbeats.open(name),)
            return threading.Thread(target=run, args=arguments, daemon=True, name=name)
        assert device.feed is not None
        device.feed.open_heartbeat = lambda: self._heartbeats.open(name)
        return threading.Thread(target=self._run, args=(device,), daemon=True, name=name)

    def _run(self, device: Device) -> None:
        feed = device.feed
        assert feed is not None
        while not device.stopping.is_set():
            try:
                device.adapter.run(feed)
            except Exception:  # top of a thread: an adapter may be anybody's code
                self.restarts_total += 1
                feed.failure = "its adapter failed, see the log; it is run again"
                logger.exception("adapter of %s failed; it is run again", feed.name)
            feed.end()
            device.stopping.wait(RESTART_S)

    def stop(self) -> None:
        """Let all devices end, and wait for their threads."""
        self._stop(list(self._all.values()))

    def _stop(self, devices: list[Device]) -> None:
        for device in devices:
            device.stop()
        # For all of them together: nothing is stored meanwhile.
        end_ms = self._clock.monotonic_ms() + round(JOIN_S * 1000)
        for device in devices:
            device.join(max(0, end_ms - self._clock.monotonic_ms()) / 1000)

    def close(self) -> None:
        """Close what adapters have open, once they are stopped."""
        for adapter in self.adapters.values():
            _close(adapter)

    @contextmanager
    def held(self, names: list[str]) -> Iterator[None]:
        """Take nothing from adapters meanwhile, so that what they were told nothing of ends."""
        found = [self._all[name] for name in names]
        for device in found:
            device.hold(True)
        try:
            yield
        finally:
            for device in found:
                device.hold(False)

    def remove(self, names: list[str]) -> dict[str, Loan]:
        """Stop and close devices, and forget them; return the loans of their ports."""
        gone = [self._all[name] for name in names]
        self._stop(gone)
        loans = {
            one.name: one.link.loan.current
            for one in gone
            if one.link is not None and one.link.loan.current is not None
        }
        for name in names:
            _close(self.adapters.pop(name))
            del self._all[name]
            self._claims.release(name)
        return loans


def _close(adapter: Any) -> None:
    close = getattr(adapter, "close", None)
    if callable(close):
        close()
