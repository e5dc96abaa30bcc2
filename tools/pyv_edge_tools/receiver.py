"""A reference cloud endpoint: takes the agent's batches, de-duplicates, counts.

    POST /v1/ingest   {"batch_id", "timestamp", "count", "items": [...]}
    GET  /stats       {"unique": n, ...}

It replies only when a batch is on its disk. A batch key that it knows is
answered with success and not stored again, and so is a reading whose (device,
boot, stream, seq) it knows: that is what makes "at least once" on the wire
"exactly once" here. For tests and for trying things out; it has no TLS.
"""

import json
import signal
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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
    if not all(name in metadata for name in IDENTITY):
        return ""
    if not all(_is_text(metadata[name]) for name in ("device", "boot", "stream")):
        return "metadata: device, boot and stream must be texts"
    seq = metadata["seq"]
    if type(seq) is not int or not 0 <= seq < 2**63:
        return "metadata.seq: must be a whole number"
    for name in ("value", "timestamp"):
        number = item.get(name)
        if number is not None and (type(number) not in (int, float) or abs(number) >= 2**63):
            return f"{name}: must be a number or null"
    for name, text in (("sensor_name", item), ("unit", item), ("quality", metadata)):
        if not _is_text(text.get(name, "")):
            return f"{name}: must be a text"
    return ""


def _is_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can write and nobody can store
        return False


class _ReceiverHandler(BaseHTTPRequestHandler):
    store: ReceiverStore
    protocol_version = "HTTP/1.1"
    timeout = 60.0

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
        try:
            self._reply(200, self.store.add(*parse_batch(body)))
        except BadBatchError as error:
            self._reply(400, {"error": str(error)})
        except sqlite3.Error as error:
            self._reply(503, {"error": f"can't store: {error}"})

    def do_GET(self) -> None:
        if self.path == "/stats":
            self._reply(200, self.store.stats())
        else:
            self._reply(404, {"error": f"no {self.path}; GET /stats"})

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing; GET /stats tells."""


def open_receiver(host: str, port: int, store: ReceiverStore) -> ThreadingHTTPServer:
    """Return a server that listens and isn't running yet. Raises OSError."""
    bound = type("_BoundReceiverHandler", (_ReceiverHandler,), {"store": store})
    server = ThreadingHTTPServer((host, port), bound)
    server.daemon_threads = True
    return server


def run(host: str, port: int, db: str) -> int:
    """Receive until Ctrl-C or SIGTERM; return the exit status."""
    try:
        store = ReceiverStore(db)
    except sqlite3.Error as error:
        print(f"--db {db}: can't be opened: {error}", file=sys.stderr)
        return 3
    try:
        server = open_receiver(host, port, store)
    except (OSError, OverflowError, ValueError, TypeError) as error:
        store.close()
        print(f"--port {port}: can't listen on {host}: {error}; try 0 for any", file=sys.stderr)
        return 3
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    address = "http://{}:{}".format(*server.server_address[:2])
    print(f"receiver listens at {address}{PATH} and tells at {address}/stats", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print(json.dumps(store.stats()), flush=True)
    finally:
        server.server_close()
        store.close()
    return 0
