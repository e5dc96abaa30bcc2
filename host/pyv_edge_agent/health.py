"""The health server: /health, /metrics, and CORS preflights, over plain HTTP.

Reads live state; changes nothing and never waits for the agent's thread.
"""

import threading
from typing import TYPE_CHECKING, Any, Optional

from .errors import StartError, StoreError
from .heartbeat import Heartbeat
from .http_server import STOP_S, Exchange, Server
from .link_state import UP

if TYPE_CHECKING:
    from .agent import EdgeAgent
    from .store import SQLiteStore
    from .uploader import UploadWorker

CONNECTIONS_MAX = 32
WORKER = "edge-health"  # the server's thread
PROBLEMS_MAX = 3  # of those that the status line tells
CORS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "GET, OPTIONS"),
    ("Access-Control-Allow-Headers", "Content-Type"),
)


class _HealthHandler(Exchange):
    """Answers for the agent in `agent_ref`, which each server's own subclass sets."""

    agent_ref: Optional["EdgeAgent"] = None

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        """Answer /health and /metrics; anything else is 404."""
        path = self.path.partition("?")[0]
        if self.agent_ref is None:
            self.reply(503, {"status": "unhealthy", "error": "no agent"}, CORS)
        elif path == "/health":
            self.reply(200, health_report(self.agent_ref), CORS)
        elif path == "/metrics":
            self.reply(200, self.agent_ref._system_metrics.to_dict(), CORS)
        else:
            self.reply(404, {"error": f"no {path}; there are /health and /metrics"}, CORS)

    def do_OPTIONS(self) -> None:  # noqa: N802 - the base class's name
        """Answer a CORS preflight for any path."""
        self.send_response(204)
        for name, value in (*CORS, ("Content-Length", "0")):
            self.send_header(name, value)
        self.end_headers()


class _Server(Server):
    heartbeat: Heartbeat  # of the thread that serves

    def serve_forever(self, poll_interval: float = STOP_S) -> None:
        """Serve until `shutdown`."""
        super().serve_forever(poll_interval)
        self.heartbeat.end()

    def service_actions(self) -> None:
        """Say that the server moves: the loop that serves calls this."""
        self.heartbeat.beat()


def open_server(agent: "EdgeAgent", host: str, port: int) -> Server:
    """Listen for requests about `agent`. Raises StartError."""
    bound = type("_BoundHealthHandler", (_HealthHandler,), {"agent_ref": agent})
    try:
        server = _Server((host, port), bound, CONNECTIONS_MAX, agent.clock)
    except (OSError, OverflowError, ValueError, TypeError) as error:
        raise StartError(
            f"health.port: can't listen on {host}:{port}: {error};"
            " choose another, 0 for any, or set health.enabled = false"
        ) from error
    server.heartbeat = agent.heartbeats.open(WORKER)
    return server


def serve(server: Server) -> threading.Thread:
    """Run `server` in a daemon thread; return the thread."""
    thread = threading.Thread(target=server.serve_forever, daemon=True, name=WORKER)
    thread.start()
    return thread


def health_report(agent: "EdgeAgent") -> dict[str, Any]:
    """Return what /health says."""
    counters = _counters(agent)
    workers = agent.heartbeats.status()
    is_moving = not any(one["is_late"] for one in workers.values())
    is_storing = not counters["agent"]["commit_problem"]
    return {
        "status": "healthy" if agent.is_running and is_moving and is_storing else "unhealthy",
        "timestamp": agent.clock.utc_ms() / 1000,
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
        "workers": workers,
    }


def _devices(agent: "EdgeAgent") -> list[dict[str, Any]]:
    if agent._devices is None:
        return []
    return agent._devices.status(agent._polling.failing)


def status_line(agent: "EdgeAgent") -> str:
    """Return in one line how the agent is: what it has done and what is in its way."""
    problems = [
        f"{link.name}: {link.problem or link.state}" for link in agent.links if link.state != UP
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
        "readings_delivered_total": worker.readings_total,
        "items_delivered_total": worker.items_total,
        "attempts_failed_total": worker.attempts_failed_total,
        "withheld_total": worker.withheld_total,
        "dead_total": worker.dead_total,
        "is_circuit_open": worker.is_circuit_open,
        "is_waiting": bool(worker.waiting) and worker.problem == worker.waiting,
        "problem": worker.problem,
    }


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
