"""A reference cloud endpoint: takes the agent's batches, de-duplicates, counts.

    POST /v1/ingest   {"batch_id", "timestamp", "count", "items": [...]}
    GET  /stats       {"unique": n, ...}

It replies only when a batch is on its disk. A batch key that it knows is
answered with success and not stored again, and so is a reading whose (device,
boot, stream, seq) it knows: that is what makes "at least once" on the wire
"exactly once" here. For tests and for trying things out: a script makes it misbehave,
see receiver_script.py.
"""

import json
import signal
import sqlite3
import ssl
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .receiver_script import Reply, Script
from .receiver_store import IDENTITY, ReceiverStore

BODY_SIZE_MAX = 64 * 1024 * 1024
PATH = "/v1/ingest"


class BadBatchError(ValueError):
    """The body of a POST is not a batch; the text says why."""


def parse_batch(body: bytes) -> tuple[str, list[dict[str, Any]]]:
    """Return (batch key, items) of a POST's body. Raises BadBatchError."""
    try:
        batch = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadBatchError(f"body: is not JSON: {error}") from error
    if not isinstance(batch, dict):
        raise BadBatchError("body: must be an object")
    key, items = batch.get("batch_id"), batch.get("items")
    if not isinstance(key, str) or not key:
        raise BadBatchError("batch_id: must be a text")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadBatchError("items: must be a list of objects")
    if batch.get("count") != len(items):
        raise BadBatchError(f"count: {batch.get('count')!r}, but there are {len(items)} items")
    for index, item in enumerate(items):
        problem = _problem(item)
        if problem:
            raise BadBatchError(f"items[{index}].{problem}")
    return key, items


def _problem(item: dict[str, Any]) -> str:
    """Return why an item can't be kept, "" if it can."""
    metadata = item.get("metadata", {})
    if not isinstance(metadata, dict):
        return "metadata: must be an object"
    if not _is_text(metadata.get("item_id", "")):
        return "metadata.item_id: must be a text"
    if not metadata.keys() >= IDENTITY:
        return ""
    # All texts at once: to be told which, there is time if one of them is wrong.
    get, known = item.get, metadata.get
    texts = (metadata["device"], metadata["boot"], metadata["stream"])
    if not _are_texts(*texts, get("sensor_name", ""), get("unit", ""), known("quality", "")):
        if not _are_texts(*texts):
            return "metadata: device, boot and stream must be texts"
        names = (("sensor_name", item), ("unit", item), ("quality", metadata))
        return next(f"{name}: must be a text" for name, of in names if not _is_text(of.get(name)))
    seq = metadata["seq"]
    if type(seq) is not int or not 0 <= seq < 2**63:
        return "metadata.seq: must be a whole number"
    for name in ("value", "timestamp"):
        number = item.get(name)
        if number is not None and (type(number) not in (int, float) or abs(number) >= 2**63):
            return f"{name}: must be a number or null"
    return ""


def _are_texts(*values: Any) -> bool:
    try:
        return "".join(values).encode() is not None
    except (TypeError, UnicodeEncodeError):
        return False


def _is_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can write and nobody can store
        return False


class _ReceiverHandler(BaseHTTPRequestHandler):
    store: ReceiverStore
    script: Script
    closing: threading.Event  # a reply that hangs goes on
    protocol_version = "HTTP/1.1"
    timeout = 60.0
    # A reply in two packets would wait for the client's delayed acknowledgement, 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > BODY_SIZE_MAX:
            self.close_connection = True  # its body, if any, is not read
            self._reply(413 if length.isdecimal() else 411, {"error": "Content-Length"})
            return
        body = self.rfile.read(int(length))
        if self.path != PATH:
            self._reply(404, {"error": f"no {self.path}; POST to {PATH}"})
            return
        reply = self.script.next()
        try:
            if self.headers.get("Content-Encoding", "") == "gzip":
                body = _unpacked(body)
            parsed = parse_batch(body)
            told = self.store.add(*parsed) if reply.is_kept else {"error": "as the script says"}
            self._answer(reply, told)
        except BadBatchError as error:
            self._reply(400, {"error": str(error)})
        except sqlite3.Error as error:
            self._reply(503, {"error": f"can't store: {error}"})

    def _answer(self, reply: Reply, told: dict[str, Any]) -> None:
        """Reply as the script says."""
        if reply.kind in ("slow", "hang"):
            self.closing.wait(reply.seconds)
        if reply.kind in ("hang", "die", "drop"):
            self.close_connection = True
        elif reply.kind == "half":
            self.close_connection = True
            self._reply(200, told, cut=True)
        elif reply.kind == "html":
            self._reply(200, "<html>Welcome to our hotspot</html>")
        else:
            self._reply(reply.status, told, retry_after_s=reply.seconds)

    def do_GET(self) -> None:
        if self.path == "/stats":
            self._reply(200, self.store.stats())
        else:
            self._reply(404, {"error": f"no {self.path}; GET /stats"})

    def _reply(
        self,
        status: int,
        body: dict[str, Any] | str,
        *,
        cut: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        is_page = isinstance(body, str)
        content = (str(body) if is_page else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if is_page else "application/json")
        self.send_header("Content-Length", str(len(content)))
        if retry_after_s is not None and status >= 400:
            self.send_header("Retry-After", str(round(retry_after_s)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing; GET /stats tells."""


def _unpacked(body: bytes) -> bytes:
    """Return what gzip has packed. Raises BadBatchError."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(body, BODY_SIZE_MAX)
    except zlib.error as error:
        raise BadBatchError(f"body: is not gzip: {error}") from error
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise BadBatchError("body: is too large, or breaks off")
    return text


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], handler: type[_ReceiverHandler], closing: threading.Event
    ) -> None:
        self.closing = closing  # first: it is closed, too, if it can't listen
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hangs up is what is being tried."""

    def server_close(self) -> None:
        self.closing.set()
        super().server_close()


def open_receiver(
    host: str,
    port: int,
    store: ReceiverStore,
    script: Script | None = None,
    certificate: tuple[str, str] | None = None,
) -> ThreadingHTTPServer:
    """Return a server that listens and isn't running yet, with TLS if it has a `certificate`.

    That names the files of certificate and key. Raises OSError.
    """
    closing = threading.Event()
    own = {"store": store, "script": script or Script(), "closing": closing}
    server = _Server(
        (host, port), type("_BoundReceiverHandler", (_ReceiverHandler,), own), closing
    )
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(*certificate)
        except OSError:
            server.server_close()
            raise
        server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def run(
    host: str,
    port: int,
    db: str,
    script: str = "",
    certificate: tuple[str, str] | None = None,
    *,
    is_json: bool = False,
) -> int:
    """Receive until Ctrl-C or SIGTERM; return the exit status."""
    try:
        replies = Script(script)
    except ValueError as error:
        print(f"--{error}", file=sys.stderr)
        return 2
    try:
        store = ReceiverStore(db)
    except sqlite3.Error as error:
        print(f"--db {db}: can't be opened: {error}", file=sys.stderr)
        return 3
    try:
        server = open_receiver(host, port, store, replies, certificate)
    except (OSError, OverflowError, ValueError, TypeError) as error:
        store.close()
        problem = f"--port {port}: can't listen on {host}: {error}; try 0 for any"
        if certificate is not None:
            problem += ", and look at --cert and --key"
        print(problem, file=sys.stderr)
        return 3
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    scheme = "http" if certificate is None else "https"
    address = "{}://{}:{}".format(scheme, *server.server_address[:2])
    if is_json:
        print(json.dumps({"url": address + PATH, "stats_url": f"{address}/stats"}), flush=True)
    else:
        print(f"receiver listens at {address}{PATH} and tells at {address}/stats", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print(json.dumps(store.stats()), flush=True)
    finally:
        server.server_close()
        store.close()
    return 0
