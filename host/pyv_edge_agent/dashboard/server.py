"""The server of the page, the API, /health and /metrics: who asks for what."""

import logging
import threading
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, cast

from ..errors import StartError, StoreError
from ..health import LOOK_MS, UNHEALTHY
from ..heartbeat import Heartbeat
from ..http_exchange import Exchange, RefusalError
from ..http_server import STOP_S, Server, tls_context
from ..loopback import is_loopback
from ..report import health_report, health_summary
from ..settings.section import origins
from .form import JSON, OPENMETRICS, TEXT, accepted_form
from .guard import METHODS, SINGLE_HEADERS, Guard, Headers, check_headers
from .parameters import read_parameters
from .shown import Shown

if TYPE_CHECKING:
    from ..agent import EdgeAgent
    from .api import Api
    from .exposition import Exposition
    from .page_files import PageFile

logger = logging.getLogger(__name__)

CONNECTIONS_MAX = 32
STREAMS_MAX = 8  # of them
RETRY_S = 5
WORKER = "edge-health"  # the server's thread
OPENAPI = Path(__file__).parent / "openapi.json"
API = "/api/v1/"
OWN_PATHS = ("/health", "/livez", "/readyz", "/metrics", "/metrics/prometheus")  # no file's
_NO_SNIFF = ("X-Content-Type-Options", "nosniff")


class Desk:
    """What requests about one agent are answered with.

    Each part is made when it is first asked for: an agent that nobody asks has none in memory.
    """

    def __init__(self, agent: "EdgeAgent", guard: Guard) -> None:
        """Answer whom `guard` lets ask."""
        self.agent = agent
        self.guard = guard
        self.shown = Shown(agent, is_local=guard.is_local)
        self.streams = threading.BoundedSemaphore(STREAMS_MAX)
        # One report at a time: threads that compute keep the one that stores from its turn.
        self.turn = threading.Lock()
        self._lock = threading.Lock()
        self._page: dict[str, PageFile] | None = None
        self._api: Api | None = None
        self._exposition: Exposition | None = None

    def file(self, path: str) -> "PageFile | None":
        """Return the file of the page that is served at a path, None if there is none."""
        if path.startswith(API) or path in OWN_PATHS:
            return None
        with self._lock:
            if self._page is None:
                from .page_files import read_page

                self._page = read_page()
            return self._page.get(path)

    @property
    def api(self) -> "Api":
        """What answers the API."""
        with self._lock:
            if self._api is None:
                from .api import Api

                self._api = Api(self.agent, self.shown, is_local=self.guard.is_local)
            return self._api

    @property
    def exposition(self) -> "Exposition":
        """What makes the metrics."""
        with self._lock:
            if self._exposition is None:
                from .exposition import Exposition

                self._exposition = Exposition(self.agent, self.shown)
            return self._exposition

    def health(self) -> tuple[int, dict[str, Any]]:
        """Return what /health says, and its status: 503 if it is unhealthy."""
        with self.turn:
            report = health_report(self.agent)
            return 503 if report["status"] == UNHEALTHY else 200, self.shown.tree(report)

    def summary(self) -> dict[str, Any]:
        """Return the part of it that changes what a page shows."""
        with self.turn:
            found: dict[str, Any] = self.shown.tree(health_summary(self.agent))
        return found

    def probe(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return what /livez and /readyz say. A peer that is away changes neither."""
        if path == "/livez":
            stuck = self.agent.judge.stuck()
            reason = f"not moving: {', '.join(stuck)}" if stuck else ""
        else:
            reason = self.agent.judge.obstacle()
        told = {"status": "failing" if reason else "ok", "reason": self.shown.text(reason)}
        return 503 if reason else 200, told


class _HealthHandler(Exchange):
    """Answers for the agent in `agent_ref`, which each server's own subclass sets."""

    agent_ref: Optional["EdgeAgent"] = None
    desk: Desk | None = None

    def answer(self) -> None:
        """Answer one request."""
        guard = Guard() if self.desk is None else self.desk.guard
        headers = cast(Headers, self.headers)
        path, _, query = self.path.partition("?")
        shared = [_NO_SNIFF, *guard.cors(headers)]
        try:
            self._check_headers()
            if self.command == "OPTIONS":
                self._check_body()
                preflight = guard.preflight(headers)
                self.reply_with(204, b"", [_NO_SNIFF, *preflight])
                return
            self._check_method()
            if self.desk is None:
                self.reply(503, {"status": UNHEALTHY, "error": "no agent"}, shared)
            elif (file := self.desk.file(path)) is not None:
                self._send_file(file)
            else:
                guard.check(headers)
                self._answer(self.desk, path, query, shared)
        except RefusalError as refusal:
            self.reply(refusal.status, refusal.body, [*shared, *refusal.headers.items()])
        except StoreError as error:
            problem = str(error) if self.desk is None else self.desk.shown.text(str(error))
            self.reply(503, {"error": problem}, [*shared, ("Retry-After", str(RETRY_S))])

    def _check_headers(self) -> None:
        given = {name: self.headers.get_all(name, []) for name in SINGLE_HEADERS}
        try:
            check_headers(self.headers.defects, given)
        except RefusalError:
            self.close_connection = True  # nobody knows where the next request begins
            raise

    def _check_method(self) -> None:
        if self.command not in ("GET", "HEAD"):
            self.close_connection = True
            problem = "this can only be looked at: GET it"
            raise RefusalError(405, problem, headers={"Allow": METHODS})
        self._check_body()

    def _check_body(self) -> None:
        """Raise RefusalError for a request with a body, which nobody reads."""
        has_body = "Transfer-Encoding" in self.headers
        if has_body or self.headers.get("Content-Length", "0").strip() != "0":
            self.close_connection = True
            raise RefusalError(413, "a request here has no body")

    def _send_file(self, file: "PageFile") -> None:
        if self.headers.get("If-None-Match") == file.tag:
            self.reply_with(304, b"", [_NO_SNIFF, *file.headers[1:]])
        else:
            self.reply_with(200, file.content, [_NO_SNIFF, *file.headers])

    def _answer(self, desk: Desk, path: str, query: str, shared: list[tuple[str, str]]) -> None:
        if path == "/health":
            self.reply(*desk.health(), shared)
        elif path in ("/livez", "/readyz"):
            self.reply(*desk.probe(path), shared)
        elif path == "/metrics":
            self._send_metrics(desk, accepted_form(self.headers.get("Accept", "")), shared)
        elif path == "/metrics/prometheus":
            form = accepted_form(self.headers.get("Accept", ""))
            self._send_metrics(desk, OPENMETRICS if form == OPENMETRICS else TEXT, shared)
        elif path.startswith(API):
            self._answer_api(desk, path.removeprefix(API), query, shared)
        else:
            raise RefusalError(404, "nothing is here; there are /, /health, /metrics and /api/v1")

    def _send_metrics(self, desk: Desk, form: str, shared: list[tuple[str, str]]) -> None:
        if form == JSON:
            self.reply(200, desk.agent._system_metrics.to_dict(), shared)
            return
        exposition = desk.exposition
        with desk.turn:
            kind, content = exposition.text(form)
        headers = [("Content-Type", kind), ("Cache-Control", "no-store"), *shared]
        self.reply_with(200, content, headers)

    def _answer_api(
        self, desk: Desk, name: str, query: str, shared: list[tuple[str, str]]
    ) -> None:
        if name == "openapi.json":
            self.reply_with(200, OPENAPI.read_bytes(), [("Content-Type", JSON), *shared])
        elif name == "stream":
            read_parameters(query, {})
            self._stream(desk, shared)
        elif name in desk.api.operations:
            operation, known = desk.api.operations[name]
            self.reply(200, operation(**read_parameters(query, known)), shared)
        else:
            there = ", ".join((*desk.api.operations, "stream", "openapi.json"))
            raise RefusalError(404, f"{API} has no such thing; there are {there}")

    def _stream(self, desk: Desk, shared: list[tuple[str, str]]) -> None:
        if not desk.streams.acquire(blocking=False):
            problem = f"{STREAMS_MAX} streams are open; close one"
            raise RefusalError(503, problem, headers={"Retry-After": str(RETRY_S)})
        from .stream import STREAM_KIND, Stream

        try:
            messages = Stream(desk.agent, desk.api.view, desk.summary, desk.shown).messages()
            first = next(messages)  # what may still be refused is known by now
            self.begin_stream(STREAM_KIND, shared)
            if self.command != "HEAD":
                self._send_all(first, messages)
        finally:
            desk.streams.release()

    def _send_all(self, first: bytes, messages: Iterator[bytes]) -> None:
        try:
            for message in chain((first,), messages):
                if self.is_client_gone:
                    return
                self.send(message)
                self.flush()
        except StoreError as error:
            logger.info("a stream ends: %s", error)  # who asks again is told


class _Server(Server):
    heartbeat: Heartbeat  # of the thread that serves
    agent: "EdgeAgent"
    looked_ms = 0

    def serve_forever(self, poll_interval: float = STOP_S) -> None:
        """Serve until `shutdown`."""
        super().serve_forever(poll_interval)
        self.heartbeat.end()

    def service_actions(self) -> None:
        """Say that the server moves: the loop that serves calls this.

        And look how the agent does, so that it is known since when, whoever asks later.
        """
        self.heartbeat.beat()
        now_ms = self.clock.monotonic_ms()
        if now_ms - self.looked_ms >= LOOK_MS:
            self.looked_ms = now_ms
            try:
                self.agent.judge.judge()
            except Exception:  # top of a thread: it serves all the same
                logger.exception("how the agent does can't be judged")


def open_server(agent: "EdgeAgent", settings: dict[str, Any], folder: Path) -> Server:
    """Listen for requests about `agent`, as [health] says; its files are in `folder`.

    Raises StartError.
    """
    host, port = settings["host"], settings["port"]
    guard = Guard(settings["token"], frozenset(origins(settings)), is_loopback(host))
    bound = type(
        "_BoundHealthHandler", (_HealthHandler,), {"agent_ref": agent, "desk": Desk(agent, guard)}
    )
    context = None
    if settings["cert_file"]:
        key_file = folder / settings["key_file"] if settings["key_file"] else None
        try:
            context = tls_context(folder / settings["cert_file"], key_file)
        except OSError as error:
            remedy = "give PEM files that belong together, the key without a password"
            raise StartError(f"health.cert_file: {error}; {remedy}") from error
    try:
        server = _Server((host, port), bound, CONNECTIONS_MAX, agent.clock, context)
    except (OSError, OverflowError, ValueError, TypeError) as error:
        raise StartError(
            f"health.port: can't listen on {host}:{port}: {error};"
            " choose another, 0 for any, or set health.enabled = false"
        ) from error
    server.agent = agent
    server.heartbeat = agent.heartbeats.open(WORKER)
    return server


def serve(server: Server) -> threading.Thread:
    """Run `server` in a daemon thread; return the thread."""
    thread = threading.Thread(target=server.serve_forever, daemon=True, name=WORKER)
    thread.start()
    return thread
