"""Third-party adapters: kinds of sources that installed packages bring.

A package has an entry point of group `pyv_edge.adapters`, which is called with the device's
table and a clock and returns an adapter; see ADAPTERS.md. Its code is anybody's, so all of it
runs in a thread of its own: what fails is begun again, what blocks is shown, and neither keeps
anything else from going on.
"""

import copy
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pyv_edge_core.reading import QUALITY_BAD

from ..clock import Clock
from ..errors import AdapterError
from ..submission import Feed, Sample, Submission
from . import METHODS, read_value
from .availability import Availability
from .guarded_feed import GuardedFeed, failure_text

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "pyv_edge.adapters"
RETRY_S = 5.0  # before what has failed is begun again
BLOCKED_MS = 30_000  # a call that lasts longer is shown


def installed_kinds() -> list[str]:
    """Return the ingest_types that installed packages bring."""
    from importlib.metadata import entry_points

    return sorted({one.name for one in entry_points(group=GROUP)})


def find_entry(kind: str) -> "EntryPoint":
    """Return the entry point of an ingest_type. Raises AdapterError if there isn't just one."""
    from importlib.metadata import entry_points

    found = {(_package(one), one.value): one for one in entry_points(group=GROUP, name=kind)}
    if not found:
        raise AdapterError(f"ingest_type {kind!r} has no adapter, and no package brings it")
    if len(found) > 1:
        both = " and ".join(f"{package} ({value})" for package, value in sorted(found))
        raise AdapterError(f"ingest_type {kind!r} is brought by {both}; uninstall one")
    return next(iter(found.values()))


def _package(entry: "EntryPoint") -> str:
    return entry.dist.name if entry.dist is not None else entry.value.partition(":")[0]


class ThirdPartyAdapter:
    """Runs the adapter of one device, whatever it does."""

    is_pushing = True
    feed_type = GuardedFeed

    def __init__(
        self,
        device: Mapping[str, Any],
        clock: Clock,
        entry: "EntryPoint",
        retry_s: float = RETRY_S,
        blocked_ms: int = BLOCKED_MS,
    ) -> None:
        """Prepare to run what `entry` names for a checked device table. Imports nothing."""
        self._retry_s = retry_s
        self._blocked_ms = blocked_ms
        self.skipped_total = 0  # readings that there was no room for
        self.missed_total = 0  # polls for which it was too late: the next one was due
        self._device = device
        self._clock = clock
        self._entry = entry
        self._package = _package(entry)
        self._stopping = threading.Event()
        self._stop: Callable[[], object] | None = None  # of the adapter, while it runs
        self._is_made = False
        self._call = ("", 0)  # what of it is running, since when
        self._source = Availability(device["name"], clock)

    def stop(self) -> None:
        """Let `run` return soon, if what it runs lets it."""
        self._stopping.set()
        if self._stop is not None:
            # In a thread, since it may not return.
            threading.Thread(target=self._guard, args=(self._stop,), daemon=True).start()

    def run(self, feed: Feed) -> None:
        """Import it, make it and run it until `stop`; again whenever that fails."""
        while not self._stopping.is_set():
            self._guard(self._begin, feed)
            self._stopping.wait(self._retry_s)

    def status(self) -> dict[str, Any]:
        """Return how it does, as JSON types."""
        state = "failing" if self._source.failures_total else "starting"
        told = {"package": self._package, "state": state, **self._source.status()}
        told.update(skipped_total=self.skipped_total, missed_total=self.missed_total)
        call, since_ms = self._call
        lasts_ms = self._clock.monotonic_ms() - since_ms
        if call and lasts_ms >= self._blocked_ms:
            told["state"] = "blocked"
            told["connection_problem"] = f"its {call} has not returned for {lasts_ms // 1000} s"
        elif self._source.is_there:
            told["state"] = "running"
        return told

    # -- in its thread ---------------------------------------------------------------------

    def _guard(self, call: Callable[..., object], *arguments: Any) -> None:
        """Call what may do anything."""
        try:
            call(*arguments)
        except BaseException as error:  # top of a thread: it may be anybody's code
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        # What is raised while it reads may hold what it has read.
        is_told = isinstance(error, AdapterError) or not self._is_made
        self._source.lost(f"{self._package}: {failure_text(error, is_told)}")

    def _begin(self, feed: Feed) -> None:
        self._is_made = False
        factory = self._timed("import", self._entry.load)
        if not callable(factory):
            raise AdapterError(f"{self._entry.value} can't be called")
        device = copy.deepcopy(dict(self._device))
        adapter = self._timed("constructor", factory, device, self._clock)
        is_pushing = getattr(adapter, "is_pushing", False) is True
        _check(adapter, is_pushing)
        self._is_made = True
        try:
            if is_pushing:
                self._push(adapter, feed)
            else:
                self._poll(adapter, feed)
        finally:
            self._stop = None
            close = getattr(adapter, "close", None)
            if callable(close):
                self._timed("close", close)

    def _push(self, adapter: Any, feed: Feed) -> None:
        self._stop = adapter.stop
        if self._stopping.is_set():
            return
        self._source.found(f"{self._package} runs")
        adapter.run(feed)
        if not self._stopping.is_set():
            raise AdapterError("its run() returned before stop() was called")

    def _poll(self, adapter: Any, feed: Feed) -> None:
        """Ask it at its interval. Polls that were missed are counted, and not made up for."""
        interval_ms = self._device["interval_seconds"] * 1000
        due_ms = float(self._clock.monotonic_ms())
        while not self._stopping.is_set():
            self._guard(self._read, adapter, feed)
            now_ms = self._clock.monotonic_ms()
            missed = max(0, int((now_ms - due_ms) // interval_ms))
            self.missed_total += missed
            due_ms += interval_ms * (1 + missed)
            self._stopping.wait((due_ms - now_ms) / 1000)

    def _read(self, adapter: Any, feed: Feed) -> None:
        unit = self._device["unit"]
        sample = Sample("", 0.0, None, unit, QUALITY_BAD)
        try:
            sample = Sample("", self._timed("read", read_value, adapter), None, unit)
            if not self._source.is_there:
                self._source.found(f"{self._package} has readings")
        finally:
            is_stored = sample.quality != QUALITY_BAD or self._device["on_error"] == "zero"
            if is_stored and not feed.put(Submission([sample])):
                self.skipped_total += 1

    def _timed(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call something of it that should return."""
        self._call = (name, self._clock.monotonic_ms())
        timer = threading.Timer(self._blocked_ms / 1000, self._tell_blocked, (name,))
        timer.daemon = True
        timer.start()
        try:
            return call(*arguments)
        finally:
            timer.cancel()
            self._call = ("", 0)

    def _tell_blocked(self, name: str) -> None:
        self._source.lost(f"{self._package}: its {name} does not return")


def _check(adapter: Any, is_pushing: bool) -> None:
    """Raise AdapterError for what can be neither run nor polled."""
    needed = ("run", "stop") if is_pushing else METHODS
    has = [name for name in needed if callable(getattr(adapter, name, None))]
    if is_pushing and len(has) < len(needed):
        raise AdapterError(f"its {type(adapter).__name__} is pushing, but has no run() or stop()")
    if not has:
        names = ", ".join(METHODS)
        raise AdapterError(f"its {type(adapter).__name__} has none of {names}, nor is_pushing")
