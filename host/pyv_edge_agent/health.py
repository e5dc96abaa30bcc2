"""The health server: /health, /metrics, and CORS preflights, over plain HTTP.

Reads live state; changes nothing and never waits for the agent's thread.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Optional

from .errors import StartError

if TYPE_CHECKING:
    from .agent import EdgeAgent

REQUEST_TIMEOUT_S = 5.0  # a client that sends nothing is dropped then


class _HealthHandler(BaseHTTPRequestHandler):
    """Answers for the agent in `agent_ref`, which each server's own subclass sets."""

    agent_ref: Optional["EdgeAgent"] = None
    timeout = REQUEST_TIMEOUT_S
    server_version = "pyv-edge"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer /health and /metrics; anything else is 404."""
        path = self.path.partition("?")[0]
        if self.agent_ref is None:
            self._reply(503, {"status": "unhealthy", "error": "no agent"})
        elif path == "/health":
            self._reply(200, health_report(self.agent_ref))
        elif path == "/metrics":
            self._reply(200, self.agent_ref._system_metrics.to_dict())
        else:
            self._reply(404, {"error": f"no {path}; there are /health and /metrics"})

    def do_OPTIONS(self) -> None:
        """Answer a CORS preflight for any path."""
        self.send_response(204)
        self._send_cors()
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_cors(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Methods", "GET, OPTIONS")
        self.send_header("Access-Control-Allow-Headers", "Content-Type")

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self._send_cors()
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: a scrape a second is no news."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that went away in the middle is no news either."""


def open_server(agent: "EdgeAgent", host: str, port: int) -> HTTPServer:
    """Listen for requests about `agent`. Raises StartError."""
    bound = type("_BoundHealthHandler", (_HealthHandler,), {"agent_ref": agent})
    try:
        return _Server((host, port), bound)
    except (OSError, OverflowError, ValueError, TypeError) as error:
        raise StartError(
            f"health.port: can't listen on {host}:{port}: {error};"
            " choose another, 0 for any, or set health.enabled = false"
        ) from error


def serve(server: HTTPServer) -> threading.Thread:
    """Run `server` in a daemon thread; return the thread."""
    thread = threading.Thread(target=server.serve_forever, daemon=True, name="edge-health")
    thread.start()
    return thread


def health_report(agent: "EdgeAgent") -> dict[str, Any]:
    """Return what /health says."""
    counters = agent.counters()
    return {
        "status": "healthy" if agent.is_running else "unhealthy",
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
        "privacy": counters["privacy"],
        "ingest": counters["ingest"],
        "links": [link.status() for link in agent.links],
    }
