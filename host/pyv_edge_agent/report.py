"""What an agent says of itself: all of it as JSON, or one line.

Reads live state; changes nothing and never waits for the agent's thread.
"""

from typing import TYPE_CHECKING, Any

from .errors import StoreError
from .health import Verdict, worst
from .link_state import UP
from .outbox import READING_SIZE

if TYPE_CHECKING:
    from .agent import EdgeAgent
    from .store import SQLiteStore
    from .uploader import UploadWorker

PROBLEMS_MAX = 3  # of those that the status line tells


def health_report(agent: "EdgeAgent") -> dict[str, Any]:
    """Return what /health says."""
    found = agent.judge.judge()
    counters = _counters(agent)
    return {
        "status": worst(found),
        "timestamp": agent.clock.utc_ms() / 1000,
        "components": components(agent, found),
        "metrics": agent._system_metrics.to_dict(),
        "agent": {
            "running": agent.is_running,
            "buffer_count": len(agent._buffers),
            "readings_processed": agent._readings_processed,
            "events_triggered": agent._events_triggered,
            **counters["agent"],
        },
        "cloud": counters["cloud"],
        "rules": counters["rules"],
        "privacy": counters["privacy"],
        "ingest": counters["ingest"],
        "sinks": counters["sinks"],
        "store": counters["store"],
        "time": counters["time"],
        "links": [link.status() for link in agent.links],
        "devices": _devices(agent),
        "workers": agent.heartbeats.status(),
    }


def health_summary(agent: "EdgeAgent") -> dict[str, Any]:
    """Return the part of /health that is judged, and how much waits for each sink."""
    found, store = agent.judge.judge(), agent._store
    return {
        "status": worst(found),
        "timestamp": agent.clock.utc_ms() / 1000,
        "components": components(agent, found),
        "sinks": {one.sink: _sink(one, store) for one in agent.workers},
    }


def components(agent: "EdgeAgent", found: dict[str, Verdict]) -> dict[str, dict[str, Any]]:
    """Return verdicts as /health has them, in UTC and seconds."""
    now_ms, utc_ms = agent.clock.monotonic_ms(), agent.clock.utc_ms()

    def age_s(then_ms: int | None) -> float | None:
        return None if then_ms is None else max(0, now_ms - then_ms) / 1000

    return {
        name: {
            "status": one.status,
            "reason": one.reason,
            "since": utc_ms / 1000 - (age_s(one.since_ms) or 0.0),
            "last_success_age_seconds": age_s(one.success_ms),
        }
        for name, one in found.items()
    }


def _devices(agent: "EdgeAgent") -> list[dict[str, Any]]:
    if agent._devices is None:
        return []
    return agent._devices.status(agent._polling.failing)


def status_line(agent: "EdgeAgent") -> str:
    """Return in one line how the agent is: what it has done and what is in its way."""
    problems = [
        f"{link.name}: {link.states.lent or link.problem or link.state}"
        for link in agent.links
        if link.state != UP
    ]
    problems += [
        f"{one['name']}: {one['connection_problem']}"
        for one in _devices(agent)
        if one.get("connection_problem")
    ]
    problems += [f"{one.sink}: {one.problem}" for one in agent.workers if one.problem]
    if agent._ingest is not None and agent._ingest.problem:
        problems.insert(0, f"can't store: {agent._ingest.problem}")
    figures = f"{len(agent._buffers)} devices, {agent._readings_processed} readings"
    shown = problems[:PROBLEMS_MAX]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    return "; ".join([figures, *shown])


def _counters(agent: "EdgeAgent") -> dict[str, dict[str, Any]]:
    """Return the counters of every stage."""
    ingest, store, workers = agent._ingest, agent._store, agent.workers
    worker = workers[0] if workers else None
    failing = agent._polling.failing
    pushing = [link for link in agent.links if link.state != UP]
    away = [one for one in _devices(agent) if one.get("is_connected") is False]
    last_flush = worker.last_success_utc_ms if worker else None
    return {
        "agent": {
            "commits_total": store.commits_total if store else 0,
            "commit_failures_total": ingest.commit_failures_total if ingest else 0,
            "commit_problem": ingest.problem if ingest else "",
            "discarded_total": ingest.discarded_total if ingest else 0,
            "misplaced_total": ingest.pipeline.misplaced_total if ingest else 0,
            "unbuffered_total": ingest.pipeline.unbuffered_total if ingest else 0,
            "adapter_failures_total": agent._polling.failures_total,
            "polls_skipped_total": agent._polling.skipped_total,
            "polls_missed_total": agent._polling.missed_total,
            "reloads_total": agent.reloads_total,
            "is_reload_failed": agent.is_reload_failed,
            "reloaded_time": None
            if agent.reloaded_utc_ms is None
            else agent.reloaded_utc_ms / 1000,
        },
        "cloud": {
            "queue_depth": agent._cloud.pending_count(),
            "last_flush_time": last_flush / 1000 if last_flush is not None else None,
            "messages_sent_today": worker.delivered_today if worker else 0,
            "endpoint": agent._uploader.shown_endpoint if agent._uploader else "",
            "readings_delivered_total": worker.readings_total if worker else 0,
            "items_delivered_total": worker.items_total if worker else 0,
            "attempts_failed_total": worker.attempts_failed_total if worker else 0,
            "problem": worker.problem if worker else "",
            "waits_total": worker.waits_total if worker else 0,
            "queue_bytes": agent._cloud.pending_bytes(),
        },
        "sinks": {one.sink: _sink(one, store) for one in workers},
        "store": _store(agent),
        "privacy": {
            "enabled": agent._privacy.is_enabled,
            "rules_active": len(agent._privacy.rules) if agent._privacy.is_enabled else 0,
            "readings_dropped": ingest.pipeline.denied_total if ingest else 0,
            "readings_aggregated": ingest.pipeline.aggregated_total if ingest else 0,
            "readings_withheld": sum(one.withheld_total for one in workers),
            "policy_hash": f"{agent._privacy.fingerprint:08x}",
        },
        "rules": {
            "fired_total": ingest.pipeline.alerting.fired_total if ingest else 0,
            "board_events_total": ingest.pipeline.alerting.board_events_total if ingest else 0,
            "suppressed_total": ingest.pipeline.alerting.suppressed_total if ingest else 0,
            "late_total": ingest.pipeline.alerting.late_total if ingest else 0,
            **(ingest.pipeline.alerting.counts() if ingest else {}),
        },
        "ingest": {
            "adapters_connected": len(agent._adapters) - len(failing) - len(pushing) - len(away),
            "devices_configured": len(agent._buffers),
            "sampled_total": ingest.boots.sampled_total if ingest else 0,
        },
        "time": {
            "is_synchronised": ingest.time.is_synchronised if ingest else False,
            "is_retiming": ingest.time.is_retiming if ingest else False,
            "error_ms": ingest.time.error_ms if ingest else None,
            "steps_total": ingest.time.steps_total if ingest else 0,
            "retimed_total": ingest.time.retimed_total if ingest else 0,
        },
    }


def _sink(worker: "UploadWorker", store: "SQLiteStore | None") -> dict[str, Any]:
    """Return how one sink does."""
    return {
        "pending_readings": store.sinks.pending(worker.sink) if store else 0,
        "pending_items": store.items.pending(worker.sink) if store else 0,
        "pending_bytes": _pending_size(worker, store),
        "oldest_pending_age_seconds": _oldest_age_s(worker, store),
        "readings_delivered_total": worker.readings_total,
        "items_delivered_total": worker.items_total,
        "attempts_failed_total": worker.attempts_failed_total,
        "attempts": dict(worker.attempts),
        "last_success_time": None
        if worker.last_success_utc_ms is None
        else worker.last_success_utc_ms / 1000,
        "withheld_total": worker.withheld_total,
        "dead_total": worker.dead_total,
        "is_circuit_open": worker.is_circuit_open,
        "is_waiting": bool(worker.waiting) and worker.problem == worker.waiting,
        "problem": worker.problem,
    }


def _pending_size(worker: "UploadWorker", store: "SQLiteStore | None") -> int:
    """Return about how many bytes the store has of what a sink lacks."""
    if store is None:
        return 0
    readings = store.sinks.pending(worker.sink)
    return readings * READING_SIZE + store.items.pending_size(worker.sink)


def _oldest_age_s(worker: "UploadWorker", store: "SQLiteStore | None") -> float | None:
    """Return how old the oldest reading is that a sink lacks; None if none is known."""
    if store is None:
        return None
    try:
        oldest_ms = store.sinks.oldest_pending_utc_ms(worker.sink)
    except StoreError:
        return None  # what is wrong with the store, its own block says
    return None if oldest_ms is None else max(0, store.now_ms() - oldest_ms) / 1000


def _store(agent: "EdgeAgent") -> dict[str, Any]:
    """Return how the store does; what it can't tell now, in one line."""
    ingest, store = agent._ingest, agent._store
    if ingest is None or store is None:
        return {"state": "closed", "is_degraded": False}
    try:
        told = ingest.store_status()
        oldest_s = agent._cloud.oldest_pending_age()
    except StoreError as error:
        return {"state": "failing", "is_degraded": True, "problem": str(error)}
    return {
        **told,
        "oldest_unsent_seconds": oldest_s,
        "queued_items": store.items.count,
        "queued_bytes": store.items.size,
        "items_expired_total": store.items.expired_total,
        "items_evicted_total": store.items.evicted_total,
        "dead_letters": store.dead_letters.count,
        "unconfigured_sinks": store.sinks.unconfigured,
    }
