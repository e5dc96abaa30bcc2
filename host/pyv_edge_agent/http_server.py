"""The server side of HTTP: bounded in connections; each has a thread and an `Exchange`.

    accept -> one thread a connection, at most so many -> request by request, each with a deadline

The standard library's server has none of these limits. For health and for adapters; what is
answered is theirs to say.
"""

import logging
import socket
import socketserver
import sys
import threading
from collections import Counter
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .clock import Clock

if TYPE_CHECKING:
    from ssl import SSLContext

    from .http_exchange import Exchange

logger = logging.getLogger(__name__)

STOP_S = 0.1  # within which a server notices that it is to stop
LINE_SIZE_MAX = 8192  # bytes of a request's first line
BACKLOG = 64  # connections that wait to be accepted
_BUSY = b'{"error": "there are enough connections; ask again"}'
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BUSY), _BUSY)
)


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


def tls_context(cert_file: Path, key_file: Path | None) -> "SSLContext":
    """Return what a server needs to encrypt. Raises OSError if a file can't be used."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password of ours, OpenSSL would ask for one at the terminal.
        context.load_cert_chain(cert_file, key_file, password="")
    except OSError as error:
        raise OSError(f"cert_file or key_file can't be used: {error}") from error
    return context
