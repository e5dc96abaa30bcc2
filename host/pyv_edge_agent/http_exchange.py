"""One connection of a server: request by request, each bounded in size and time.

A deadline is for all of a request, so that a sender of one byte a second gains nothing.
"""

import hmac
import io
import json
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from .http_server import LINE_SIZE_MAX, Server

logger = logging.getLogger(__name__)

HEAD_SIZE_MAX = 65_536  # bytes of a request's first line and its headers, about
WRITE_S = 5.0  # longest that an answer may take to go out
LINGER_S = 2.0  # how long a client that is turned away may go on sending
LINGER_SIZE_MAX = 4_194_304  # bytes that it may send meanwhile: a body that is a little too large
_BODILESS = (204, 304)  # answers that never have a body, and say nothing of its length
_NO_STORE = ("Cache-Control", "no-store")

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


def bears(authorization: str, token: str) -> bool:
    """Return whether an Authorization header has a bearer token, which is ASCII (RFC 6750)."""
    scheme, _, given = authorization.partition(" ")
    # As bytes of what came: compare_digest refuses texts that are not ASCII.
    is_right = hmac.compare_digest(given.strip().encode("latin-1", "replace"), token.encode())
    return is_right and scheme.lower() == "bearer"


class LateError(Exception):
    """A request is not complete, and its time is over."""


class GoneError(Exception):
    """A client has closed its connection, or reads nothing."""


class LongHeadError(Exception):
    """A request's head is longer than any may be."""


@dataclass
class RefusalError(Exception):
    """A request that is not done; the sender is told why."""

    status: int
    problem: str
    faults: Sequence[str] = ()  # the first few, each with its place
    fault_count: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """What the sender is told."""
        told: dict[str, Any] = {"error": self.problem}
        if self.faults:
            told |= {"faults": list(self.faults), "fault_count": self.fault_count}
        return told


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
        """Answer in JSON."""
        kind = ("Content-Type", "application/json")
        self.reply_with(status, json.dumps(body).encode(), (kind, _NO_STORE, *headers))

    def reply_with(
        self, status: int, content: bytes, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Answer with whatever `headers` say that it is."""
        if self.close_connection or self.server.is_full:
            self.close_connection = self._is_last = True  # there may be others who wait
        length = [("Content-Length", str(len(content)))] if status not in _BODILESS else []
        self._begin(status, [*length, *headers])
        if self.command != "HEAD":
            self.send(content)

    def begin_stream(self, kind: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Begin an answer of which nobody knows how long it will be; `send` goes on with it."""
        self.close_connection = True
        self._begin(200, [("Content-Type", kind), _NO_STORE, *headers])
        self.flush()

    def _begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        self.server.note_answer(status)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.connection.settimeout(WRITE_S)
        try:
            self.end_headers()
        except OSError:
            raise GoneError from None

    @property
    def is_client_gone(self) -> bool:
        """Whether the client of a stream has closed its end; what else it sends is not read."""
        nothing: tuple[type[OSError], ...] = (BlockingIOError,)
        if self.server.is_encrypted:
            from ssl import SSLWantReadError

            nothing = (BlockingIOError, SSLWantReadError)
        self.connection.settimeout(0.0)
        try:
            return not self.connection.recv(LINE_SIZE_MAX)
        except nothing:
            return False
        except OSError:
            return True

    def send(self, content: bytes) -> None:
        """Send a part of an answer."""
        self.connection.settimeout(WRITE_S)
        try:
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
