"""Listeners: the ports on which readings are taken, each shared by the devices that name it.

A listener is opened for the first device and closed behind the last one.
"""

import logging
import threading
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from ..clock import Clock
from ..http_exchange import Exchange, RefusalError
from ..http_server import Server, tls_context
from .http_body import read_body
from .http_route import KEY_HEADER, Headers, Route, not_stored

logger = logging.getLogger(__name__)

END_S = 1.5  # for requests under way when a listener is closed


class ListenerOptions(NamedTuple):
    """What a listener is like; devices that share one have these alike."""

    host: str
    port: int
    cert_file: Path | None
    key_file: Path | None
    connections_max: int
    timeout_s: float


LEFT_MS = 10_000  # for which an endpoint may come again, as in a reload
SINGLE_HEADERS = (
    KEY_HEADER,
    "Authorization",
    "Content-Type",
    "Content-Encoding",
    "Transfer-Encoding",
)


class _Request(Exchange):
    """One connection of a Listener."""

    server: "Listener"

    def answer(self) -> None:
        """Answer a request as its route says."""
        self._is_body_read = False
        route = self.server.routes.get(self.path.partition("?")[0])
        try:
            if self.headers.defects or len(self.headers.get_all("Content-Length", ())) > 1:
                raise RefusalError(400, "the headers are not as HTTP has them")
            for name in SINGLE_HEADERS:
                if len(set(self.headers.get_all(name, ()))) > 1:
                    raise RefusalError(400, f"{name} stands twice, and not the same")
            if route is None and self.server.has_just_left(self.path.partition("?")[0]):
                raise not_stored("the device is being changed")
            if route is None:
                raise RefusalError(404, "nothing is taken here; see endpoint in the configuration")
            told = route.take(self.command, cast(Headers, self.headers), self._read)
        except RefusalError as refusal:
            if not self._is_body_read:
                self.close_connection = True
            self.reply(refusal.status, refusal.body, list(refusal.headers.items()))
        else:
            self.reply(200, told)

    def _read(self, size_max: int) -> bytes:
        expected = self.headers.get("Expect", "").lower()
        if expected == "100-continue" and self.request_version >= "HTTP/1.1":
            self.send_response_only(100)
            self.end_headers()
            self.flush()
        stream, headers = cast(BinaryIO, self.rfile), cast(Headers, self.headers)
        body = read_body(stream, headers, size_max)
        self._is_body_read = True
        return body


class Listener(Server):
    """One port and its routes."""

    def __init__(self, options: ListenerOptions, clock: Clock) -> None:
        """Listen. Raises OSError."""
        self.options = options
        self.routes: dict[str, Route] = {}  # by endpoint; replaced as a whole
        self._left: dict[str, int] = {}  # endpoints, and when they were taken away
        self.turns = 0  # grows as long as the thread that serves moves
        exchange = type("_BoundRequest", (_Request,), {"timeout_s": options.timeout_s})
        cert_file = options.cert_file
        context = None if cert_file is None else tls_context(cert_file, options.key_file)
        super().__init__(
            (options.host, options.port), exchange, options.connections_max, clock, context
        )
        self._thread = threading.Thread(
            target=self.serve_forever, daemon=True, name=f"edge-http-{self.port}"
        )

    @property
    def port(self) -> int:
        """The port that it has."""
        return int(self.server_address[1])

    @property
    def is_serving(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Serve in a thread of its own. Raises RuntimeError if there can't be another one."""
        self._thread.start()

    def leave(self, route: Route) -> None:
        """Take a route away: who asks for it just then may find it again in a moment."""
        self.routes = {at: one for at, one in self.routes.items() if one is not route}
        now_ms = self.clock.monotonic_ms()
        left = {at: ms for at, ms in self._left.items() if now_ms - ms < LEFT_MS}
        self._left = {**left, route.endpoint: now_ms}

    def has_just_left(self, endpoint: str) -> bool:
        """Return whether there was a route of that endpoint a moment ago."""
        left_ms = self._left.get(endpoint)
        return left_ms is not None and self.clock.monotonic_ms() - left_ms < LEFT_MS

    def service_actions(self) -> None:
        """Say that the server moves: the loop that serves calls this."""
        self.turns += 1

    def status(self) -> dict[str, Any]:
        """Return the counters as JSON types."""
        return {
            "port": self.port,
            "connections": self.connections,
            "turned_away_total": self.turned_away_total,
            "failed_total": self.failed_total,
            "answers_total": {str(one): self.answers[one] for one in sorted(self.answers)},
        }


class Listeners:
    """All listeners of one agent. Thread-safe."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._open: dict[tuple[str, int], Listener] = {}

    def attach(self, options: ListenerOptions, route: Route, clock: Clock) -> Listener:
        """Return the listener at an address, which takes `route`'s requests from now on.

        Raises OSError if there can't be one.
        """
        address = (options.host, options.port)
        with self._lock:
            known = self._open.get(address)
            if known is not None and known.is_serving:
                if known.options != options or route.endpoint in known.routes:
                    raise OSError(
                        "another device has the port with other settings, or the endpoint"
                    )
                known.routes = {**known.routes, route.endpoint: route}
                return known
            if known is not None:
                known.server_close()
            made = Listener(options, clock)
            made.routes = {route.endpoint: route}  # before anybody can ask for it
            try:
                made.start()
            except RuntimeError:
                made.server_close()
                raise
            self._open[address] = made
            return made

    def detach(self, listener: Listener, route: Route) -> None:
        """Take a route away, and its listener with the last one."""
        with self._lock:
            if any(one is not route for one in listener.routes.values()):
                listener.leave(route)
                return
            address = (listener.options.host, listener.options.port)
            if self._open.get(address) is listener:
                del self._open[address]
        # The last route stays: whoever still asks is told that it isn't stored, not that there
        # is nothing here.
        listener.end(END_S)
