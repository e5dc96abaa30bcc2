"""The server side of HTTP: bounded in connections, and each request in size and time.

    accept -> one thread a connection, at most so many -> request by request, each with a deadline

The standard library's server has none of these limits. A deadline is for all of a request,
so that a sender of one byte a second gains nothing. For health and for adapters; what is
answered is theirs to say.
"""

import io
import json
import logging
import socket
import socketserver
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from .clock import Clock

if TYPE_CHECKING:
    from ssl import SSLContext

logger = logging.getLogger(__name__)

STOP_S = 0.1  # within which a server notices that it is to stop
LINE_SIZE_MAX = 8192  # bytes of a request's first line
HEAD_SIZE_MAX = 65_536  # bytes of it and the headers, about
WRITE_S = 5.0  # longest that an answer may take to go out
LINGER_S = 2.0  # how long a client that is turned away may go on sending
LINGER_SIZE_MAX = 4_194_304  # bytes that it may send meanwhile: a body that is a little too large
BACKLOG = 64  # connections that wait to be accepted
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"

# What is said of a request that is none, instead of the library's text, which repeats it.
PROBLEMS = {
    400: "that is no HTTP request",
    408: "the request did not come in time",
    414: f"the first line is longer than {LINE_SIZE_MAX} bytes",
    431: f"the headers are more than 100, or longer than {HEAD_SIZE_MAX} bytes",
    500: "an error of the agent; its log has it",
    501: "that method is not known here",
    505: "HTTP/1.0 and HTTP/1.1 are spoken here",
}


class LateError(Exception):
    """A request is not complete, and its time is over."""


class GoneError(Exception):
    """A client has closed its connection, or reads nothing."""


class LongHeadError(Exception):
    """A request's head is longer than any may be."""


class Server(ThreadingHTTPServer):
    """Listens, and lets an `Exchange` have each connection."""

    daemon_threads = True
    request_queue_size = BACKLOG

    def __init__(
        self,
        address: tuple[str, int],
        exchange: type["Exchange"],
        connections_max: int,
        clock: Clock,
        context: "SSLContext | None" = None,
    ) -> None:
        """Take connections at `address`, with TLS if there is a `context`. Raises OSError."""
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.connections_max = connections_max
        self.turned_away_total = 0  # connections, because there were enough
        self.failed_total = 0  # connections that broke, or never got through TLS
        self.answers: Counter[int] = Counter()  # by status
        self.is_encrypted = context is not None
        self.clock = clock
        self._context = context
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()  # of that set; also guards the counters
        super().__init__(address, exchange)

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._open)

    @property
    def is_full(self) -> bool:
        """Whether another connection would be turned away."""
        return len(self._open) >= self.connections_max

    def server_bind(self) -> None:
        """Bind, and ask no DNS for the host's name: that may take half a minute, offline."""
        socketserver.TCPServer.server_bind(self)

    def serve_forever(self, poll_interval: float = STOP_S) -> None:
        """Serve until `shutdown`."""
        super().serve_forever(poll_interval)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; what TLS needs to begin is left to its own thread."""
        accepted, peer = super().get_request()
        if self._context is not None:
            accepted = self._context.wrap_socket(
                accepted, server_side=True, do_handshake_on_connect=False
            )
        return accepted, peer

    def process_request(self, request: Any, client_address: Any) -> None:
        """Let a connection have a thread, or turn it away."""
        with self._changed:
            is_full = self.is_full
            if not is_full:
                self._open.add(request)
        if is_full:
            self.turned_away_total += 1
            self._turn_away(request)
        else:
            super().process_request(request, client_address)

    def _turn_away(self, request: socket.socket) -> None:
        # This is the thread that accepts: nothing here may wait.
        request.setblocking(False)
        try:
            if not self.is_encrypted:
                request.send(BUSY)
                request.shutdown(socket.SHUT_WR)
                request.recv(LINE_SIZE_MAX)  # what is unread when it is closed resets the answer
        except OSError:
            self.note_failed()
        request.close()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, at the end of its thread."""
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Count a connection that broke before its first request, or what is wrong with us."""
        error = sys.exc_info()[1]
        self.note_failed()
        if not isinstance(error, OSError):
            logger.error(
                "connection to %s: %s: %s", self.server_address, type(error).__name__, error
            )

    def note_failed(self) -> None:
        """Count a connection that broke."""
        with self._changed:
            self.failed_total += 1

    def note_answer(self, status: int) -> None:
        """Count an answer."""
        with self._changed:
            self.answers[status] += 1

    def end(self, timeout_s: float) -> None:
        """Take no more, let what is under way end in that time, and cut the rest off.

        For a server that a thread serves.
        """
        self.shutdown()
        self.server_close()
        self._cut(socket.SHUT_RD)  # whoever waits for a request sees its end
        with self._changed:
            self._changed.wait_for(lambda: not self._open, timeout_s)
        self._cut(socket.SHUT_RDWR)

    def _cut(self, how: int) -> None:
        with self._changed:
            for connection in self._open:
                try:
                    # Not SSLSocket's own: after that it would go on in plain text.
                    socket.socket.shutdown(connection, how)
                except OSError:
                    self.note_failed()  # it is gone already


class _Timed(io.RawIOBase):
    """A connection's bytes as they come."""

    def __init__(self, receive: Callable[[Any], int]) -> None:
        self._receive = receive

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._receive(buffer)


class Exchange(BaseHTTPRequestHandler):
    """One connection: its requests and their answers, in JSON."""

    server: Server
    timeout_s = 5.0  # longest that a request may take to come
    idle_s = 5.0  # longest wait for the next one
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # else there are answers without a status
    server_version = "pyv-edge"
    wbufsize = -1  # an answer in two packets would wait for the client to acknowledge the first
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Begin. Raises OSError if TLS doesn't."""
        super().setup()
        self._is_last = False  # whether an answer was given that is the last one
        self._head_left: int | None = None  # bytes that may still come before the body
        self._allow(self.timeout_s)
        self.rfile.close()
        self.rfile = io.BufferedReader(_Timed(self._receive))
        if self.server.is_encrypted:
            self.connection.settimeout(self.timeout_s)
            self.connection.do_handshake()

    def _allow(self, timeout_s: float) -> None:
        self._deadline_ms = self.server.clock.monotonic_ms() + timeout_s * 1000

    def _receive(self, buffer: Any) -> int:
        left_ms = self._deadline_ms - self.server.clock.monotonic_ms()
        if left_ms <= 0:
            raise LateError
        if self._head_left is not None and self._head_left <= 0:
            raise LongHeadError
        self.connection.settimeout(left_ms / 1000)
        try:
            size: int = self.connection.recv_into(buffer)
        except TimeoutError:
            raise LateError from None
        except OSError:
            raise GoneError from None
        if self._head_left is not None:
            self._head_left -= size
        return size

    def handle(self) -> None:
        """Answer request after request."""
        try:
            super().handle()
            if self._is_last:
                self._linger()
        except (GoneError, OSError):
            self.server.note_failed()

    def handle_one_request(self) -> None:
        """Take a request and answer it."""
        self.close_connection = True
        self.command, self.requestline = "", ""
        self.request_version = self.default_request_version
        try:
            if not self.rfile.peek(1):  # type: ignore[attr-defined] # a BufferedReader, see setup
                return
        except LateError:
            return  # nothing was asked
        self._allow(self.timeout_s)
        self._head_left = HEAD_SIZE_MAX
        try:
            self._take()
        except LateError:
            self.send_error(408)
        except LongHeadError:
            self.send_error(431)
        except GoneError:
            raise
        except Exception:  # top of a thread
            logger.exception("a request to %s can't be answered", self.server.server_address)
            self.send_error(500)
        self.flush()
        self._allow(self.idle_s)

    def _take(self) -> None:
        self.raw_requestline = self.rfile.readline(LINE_SIZE_MAX + 1)
        if len(self.raw_requestline) > LINE_SIZE_MAX:
            self.send_error(414)
        elif self.parse_request():
            self._head_left = None
            self.answer()

    def flush(self) -> None:
        """Send what has been written."""
        self.connection.settimeout(WRITE_S)
        try:
            self.wfile.flush()
        except OSError:
            raise GoneError from None

    def answer(self) -> None:
        """Answer the request that has come: by the method that is named for its own."""
        method = getattr(self, f"do_{self.command}", None)
        if method is None:
            self.send_error(501)
        else:
            method()

    def handle_expect_100(self) -> bool:
        """Promise nothing yet: whoever reads the body says when."""
        return True

    def send_error(self, code: int, message: Any = None, explain: Any = None) -> None:
        """Answer a request that is none, and hear no more of this client."""
        self.close_connection = True
        self.reply(code, {"error": PROBLEMS.get(code, PROBLEMS[400])})

    def reply(
        self, status: int, body: dict[str, Any], headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Answer."""
        content = json.dumps(body).encode()
        self.server.note_answer(status)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        if self.close_connection or self.server.is_full:
            self.close_connection = self._is_last = True  # there may be others who wait
            self.send_header("Connection", "close")
        for name, value in headers:
            self.send_header(name, value)
        self.connection.settimeout(WRITE_S)
        try:
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
        except OSError:
            raise GoneError from None

    def _linger(self) -> None:
        """Take what the client still sends, for a while.

        What is unread when a connection is closed resets it, and the client might never see
        the answer.
        """
        self.connection.shutdown(socket.SHUT_WR)
        self._allow(LINGER_S)
        self._head_left = None
        left = LINGER_SIZE_MAX
        try:
            while left > 0 and (size := len(self.rfile.read1(65_536))):
                left -= size
        except LateError:
            return

    def version_string(self) -> str:
        """Return the product's name, and nothing of what it is made with."""
        return self.server_version

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: requests are no news."""
