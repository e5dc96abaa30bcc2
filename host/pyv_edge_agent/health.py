"""Health: how each part of a running agent does, judged anew whenever somebody asks.

By how long ago it last did what it is for, on a clock that never jumps: silence changes the
verdict, too. What is away or near a limit makes the agent degraded, and nobody is to restart it
for that; only a store that can't be written and a worker that does not move make it unhealthy.
"""

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from .devices import Device
from .errors import StoreError
from .link_state import LENT, UP
from .store.capacity import FULL
from .uploader import UploadWorker

if TYPE_CHECKING:
    from .agent import EdgeAgent
    from .ingest import Ingest
    from .store import SQLiteStore

HEALTHY, DEGRADED, UNHEALTHY = STATUSES = ("healthy", "degraded", "unhealthy")
LOOK_MS = 10_000  # so often somebody has to look, or nobody knows since when something is so
DISK_LEAST = 4_194_304  # bytes that a disk should have left in any case
EVICTED_S = 600.0  # for so long it is said that something had to go
NEAR_FULL = 0.9  # part of the queue's room
RELOAD_FAILED = (
    "the last reload failed, and what held before still holds; pyv-edge-host config check says why"
)
OVERDUE_MS = 60_000  # a sink that something waits for delivers within that time


class Verdict(NamedTuple):
    """What is found of one part."""

    status: str
    reason: str = ""  # one line; "" if nothing is wrong
    since_ms: int | None = None  # monotonic; None: when it was first found
    success_ms: int | None = None  # monotonic: when it last did what it is for


class Health:
    """Judges an agent, and remembers since when each verdict holds. Any thread may ask."""

    def __init__(self, agent: "EdgeAgent") -> None:
        """Judge `agent`, which need not run yet."""
        self._agent = agent
        self._lock = threading.Lock()
        self._found: dict[str, tuple[str, int]] = {}  # (status, since when) by part
        self._waiting: dict[str, int] = {}  # since when something waits, by sink

    def judge(self) -> dict[str, Verdict]:
        """Return the verdict of each part, each with a time since when it holds."""
        found = dict(self._parts())
        now_ms = self._agent.clock.monotonic_ms()
        with self._lock:
            for name, one in found.items():
                since_ms = one.since_ms
                if since_ms is None:
                    status, known_ms = self._found.get(name, ("", now_ms))
                    since_ms = known_ms if status == one.status else now_ms
                found[name] = one._replace(since_ms=since_ms)
            self._found = {name: (one.status, one.since_ms or 0) for name, one in found.items()}
        return found

    def obstacle(self) -> str:
        """Return why nothing can be stored now, "" if it can: below the hard cap, too."""
        ingest, store = self._agent._ingest, self._agent._store
        if not self._agent.is_running or ingest is None or store is None:
            return "the agent is not running"
        if problem := ingest.problem or store.obstacle():
            return problem
        try:
            is_full = ingest.store_status()["state"] == FULL
        except StoreError as error:
            return str(error)
        return f"{store.path}: has no room and nothing to evict" if is_full else ""

    def stuck(self) -> list[str]:
        """Return the names of the workers that do not move."""
        return sorted(one.name for one in self._agent.heartbeats.late())

    # -- the parts -----------------------------------------------------------------

    def _parts(self) -> Iterator[tuple[str, Verdict]]:
        agent = self._agent
        if not agent.is_running:
            yield "agent", Verdict(UNHEALTHY, "the agent is not running")
        yield from self._workers()
        if agent.is_reload_failed:
            yield "config", Verdict(DEGRADED, RELOAD_FAILED)
        ingest, store = agent._ingest, agent._store
        if ingest is None or store is None:
            return
        yield "store", self._store(ingest, store)
        yield "queue", _queue(store)
        if ingest.time.is_synchronised:
            yield "clock", Verdict(HEALTHY)
        else:
            yield "clock", Verdict(DEGRADED, "is not known to be right: readings are marked unset")
        devices = [] if agent._devices is None else agent._devices.all
        for device in devices:
            yield f"device/{device.name}", self._device(device, ingest)
        for worker in list(agent.workers):
            yield f"sink/{worker.sink}", self._sink(worker, store)
        for name in store.sinks.unconfigured:
            kept = f"readings are kept for it: {store.sinks.pending(name)}"
            remedy = f"configure it, or: pyv-edge-host queue forget {name}"
            yield f"sink/{name}", Verdict(DEGRADED, f"is not configured; {kept}; {remedy}")

    def _workers(self) -> Iterator[tuple[str, Verdict]]:
        stuck = self.stuck()
        for name, last in self._agent.heartbeats.running():
            if name in stuck:
                ago_s = (self._now_ms - last.seen_ms) // 1000
                reason = f"has not moved for {ago_s} s; the log says where it stands"
                yield f"worker/{name}", Verdict(UNHEALTHY, reason, last.due_ms, last.seen_ms)
            else:
                yield f"worker/{name}", Verdict(HEALTHY, success_ms=last.seen_ms)

    @property
    def _now_ms(self) -> int:
        return self._agent.clock.monotonic_ms()

    def _store(self, ingest: "Ingest", store: "SQLiteStore") -> Verdict:
        success_ms = ingest.last_commit_ms
        if problem := ingest.problem:
            return Verdict(UNHEALTHY, problem, ingest.since_ms, success_ms)
        if problem := store.obstacle():
            return Verdict(UNHEALTHY, problem, None, success_ms)
        try:
            told = ingest.store_status()
        except StoreError as error:
            return Verdict(UNHEALTHY, str(error), None, success_ms)
        reason = near_cap(told, self._agent._config.get("storage"))
        if reason:
            return Verdict(DEGRADED, reason, None, success_ms)
        return Verdict(HEALTHY, "", None, success_ms)

    def _device(self, device: Device, ingest: "Ingest") -> Verdict:
        success_ms = ingest.stored_ms.get(device.name)
        silent_ms = round(device.table["silent_after_seconds"] * 1000)
        due_ms = silent_ms + max(success_ms or 0, device.begun_ms)
        failure = self._agent._polling.failing.get(device.name)
        status = device.status(failure)
        since_ms: int | None = None
        reason = "" if status["problem_age_ms"] is not None else str(status["problem"])
        if device.link is not None and device.link.state == LENT:  # nothing is to be expected
            states = device.link.states
            return Verdict(HEALTHY, states.lent, states.since_ms, success_ms)
        if device.link is not None:
            since_ms = device.link.states.changed_ms
            if device.link.state != UP:
                reason = reason or f"there is no session yet: {device.link.state}"
            elif reason:
                since_ms = None
            elif device.link.dialogue.is_safe:
                reason = "the board is in safe mode after crashes: its log says which"
        elif status.get("is_connected") is False:
            since_ms = self._now_ms - round(status["since_seconds"] * 1000)
            reason = reason or "its source has not been reached yet"
        elif device.feed is not None and device.feed.is_rejecting:
            reason = reason or f"what comes is rejected: {device.feed.problem}"
        elif failure is not None and device.is_polled:
            reason, since_ms = reason or "its adapter fails", failure.since_ms
        if not reason and silent_ms and self._now_ms > due_ms:
            reason, since_ms = f"no reading for more than {silent_ms / 1000:g} s", due_ms
        if not reason and (bad := ingest.bad_channels(device.name)):
            reason, since_ms = f"the last reading of {bad} of its channels is bad", None
        return Verdict(DEGRADED if reason else HEALTHY, reason, since_ms, success_ms)

    def _sink(self, worker: UploadWorker, store: "SQLiteStore") -> Verdict:
        success_ms, failing_ms = worker.last_success_ms, worker.failing_ms
        pending = store.sinks.pending(worker.sink) + store.items.pending(worker.sink)
        due_ms = OVERDUE_MS + max(self._waiting_since(worker.sink, pending), worker.moved_ms)
        if problem := worker.problem:
            return Verdict(DEGRADED, f"{problem} ({pending} wait)", failing_ms, success_ms)
        try:
            dead = store.dead_letters.count_of(worker.sink)
        except StoreError as error:
            return Verdict(DEGRADED, str(error), None, success_ms)
        if pending and self._now_ms > due_ms:
            reason = f"{pending} wait, and nothing was delivered for over {OVERDUE_MS // 1000} s"
            return Verdict(DEGRADED, reason, due_ms, success_ms)
        if dead:
            remedy = "pyv-edge-host queue dlq ls, then retry or drop them"
            reason = f"refused for what they are, and kept as dead letters: {dead}; {remedy}"
            return Verdict(DEGRADED, reason, None, success_ms)
        return Verdict(HEALTHY, "", None, success_ms)

    def _waiting_since(self, sink: str, pending: int) -> int:
        """Return since when something waits for a sink, as far as somebody has looked."""
        if not pending:
            self._waiting.pop(sink, None)
            return self._now_ms
        return self._waiting.setdefault(sink, self._now_ms)


def worst(found: dict[str, Verdict]) -> str:
    """Return the status of the whole, whose parts are `found`."""
    statuses = {one.status for one in found.values()}
    return next((one for one in reversed(STATUSES) if one in statuses), HEALTHY)


def near_cap(told: dict[str, Any], storage: dict[str, Any]) -> str:
    """Return in what way a store is near the end of its room, or being salvaged; "" if not."""
    least = max(storage["min_free_mb"] * 1_048_576, DISK_LEAST)
    evicted_s = told["evicted_age_seconds"]
    if told["salvaging_from"]:
        return f"what {told['salvaging_from']} still has is being taken over"
    if told["state"] == FULL:
        return "has no room and nothing to evict: readings are rejected"
    used, room = told["size_bytes"] - told["free_bytes"], told["room_bytes"]
    if used >= storage["low_water"] * room:
        shares = f"{used / 1e6:.3g} of {room / 1e6:.3g} MB are in use: the oldest readings go"
        return f"{shares}; see storage.max_mb, storage.min_free_mb, policies.keep_days"
    if told["disk_free_bytes"] < least:
        return f"its disk has {told['disk_free_bytes'] / 1e6:.3g} MB left; make room on it"
    if evicted_s is not None and evicted_s < EVICTED_S:
        return "readings went for want of room in the last ten minutes; the ledger has them"
    return ""


def _queue(store: "SQLiteStore") -> Verdict:
    used, most = store.items.size, store.items.size_max
    if used < NEAR_FULL * most:
        return Verdict(HEALTHY)
    shares = f"{used / 1e6:.3g} of {most / 1e6:.3g} MB of queued items"
    return Verdict(DEGRADED, f"{shares}: the least urgent go; see cloud.queue_max_mb")
