"""The control socket: what an operator's commands ask of a running agent.

A Unix socket, which its owner and root can open. One line of JSON asks, one line answers:

    {"do": "reload"}  ->  {"ok": {...}} or {"error": "one line"}
"""

import json
import logging
import os
import socketserver
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .control_path import VARIABLE, address, own_path, run_path
from .errors import (
    AdapterError,
    ConfigError,
    ImpossibleRequestError,
    RequestError,
    StartError,
    StoreError,
    UsageError,
)
from .operate import OPERATIONS

if TYPE_CHECKING:
    from .agent import EdgeAgent

logger = logging.getLogger(__name__)

REQUEST_SIZE_MAX = 65_536
REQUEST_TIMEOUT_S = 5.0
OPEN_MAX = 16  # requests under way; a command to a board can take an hour
STOP_S = 0.1

_TOLD = (AdapterError, ConfigError, RequestError, StartError, StoreError, UsageError, OSError)


class _Request(socketserver.StreamRequestHandler):
    timeout = REQUEST_TIMEOUT_S
    server: "_Server"

    def handle(self) -> None:
        """Answer one request."""
        line = self.rfile.readline(REQUEST_SIZE_MAX + 1)
        if not line.endswith(b"\n"):
            answer: dict[str, Any] = {"error": "the request is too long, or no line"}
        elif not self.server.places.acquire(blocking=False):
            self.server.refused_total += 1
            answer = {"error": f"{OPEN_MAX} requests are under way; try again"}
        else:
            try:
                answer = self._answer(line)
            finally:
                self.server.places.release()
        with suppress(OSError):  # who asked may have gone
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            operation = OPERATIONS.get(asked["do"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return {"error": 'a request is a line of JSON: {"do": ...}'}
        if operation is None:
            return {"error": f"{asked['do']!r} is unknown; there are: {', '.join(OPERATIONS)}"}
        try:
            return {"ok": operation(self.server.agent, asked)}
        except KeyError as error:
            return {"error": f"{asked['do']}: {error} is missing"}
        except _TOLD as error:
            lines = error.problems if isinstance(error, ConfigError) else [str(error)]
            is_usage = isinstance(error, (UsageError, ConfigError, ImpossibleRequestError))
            return {"error": "\n".join(lines), "is_usage": is_usage}
        except Exception:  # top of a thread
            logger.exception("request %s failed", asked["do"])
            return {"error": "internal error, see the agent's log"}


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, agent: "EdgeAgent", path: str) -> None:
        self.agent = agent
        self.places = threading.BoundedSemaphore(OPEN_MAX)
        self.refused_total = 0
        super().__init__(path, _Request)

    def server_bind(self) -> None:
        """Bind for the owner alone."""
        with address(str(self.server_address)) as reachable:
            self.socket.bind(reachable)
            os.chmod(reachable, 0o600)  # before it listens


class Control:
    """Answers at the socket of one agent, until it is closed."""

    def __init__(self, agent: "EdgeAgent", config: str, environment: Mapping[str, str]) -> None:
        """Listen; if that can't be, say why and go on without."""
        run_folder = environment.get(VARIABLE, "").split(":")[0]
        self.path = run_path(config, run_folder) if run_folder else own_path(config)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        try:
            with suppress(FileNotFoundError):
                os.unlink(self.path)  # of an agent that was killed: the store's lock is ours
            self._server = _Server(agent, self.path)
        except OSError as error:
            logger.warning("no commands can reach this agent: %s: %s", self.path, error)
            return
        serve: Callable[..., None] = self._server.serve_forever
        self._thread = threading.Thread(
            target=serve, args=(STOP_S,), daemon=True, name="edge-control"
        )
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        with suppress(OSError):
            os.unlink(self.path)
        self._server = None
