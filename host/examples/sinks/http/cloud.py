"""An endpoint that takes each reading once, in the standard library alone.

    $ python cloud.py 8090 &
    $ pyv-edge-host run --config edge.toml &
    hall/value number 0: 21.5 Cel

A batch that comes again, because the answer to it was lost, has the same batch_id. Keep those
of a real endpoint where they outlive it, in the transaction of the readings.
"""

import hmac
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = os.environ.get("EDGE_API_KEY", "only-for-trying")
BODY_MAX = 16 * 1_048_576
known: set[str] = set()


class Endpoint(BaseHTTPRequestHandler):
    """Answers POSTs of batches."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take a batch, or say why not."""
        size = int(self.headers.get("Content-Length", "-1"))
        if not 0 <= size <= BODY_MAX:
            self.close_connection = True
            self.answer(413, {"error": "too large"})
            return
        body = self.rfile.read(size)
        given = self.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {KEY}".encode()):
            self.answer(401, {"error": "wrong key"})
            return
        batch = json.loads(body)
        if batch["batch_id"] not in known:
            known.add(batch["batch_id"])
            for item in batch["items"]:
                show(item)
        self.answer(200, {"accepted": batch["count"]})

    def answer(self, status: int, told: dict[str, object]) -> None:
        """Send an answer."""
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing of requests."""


def show(item: dict[str, object]) -> None:
    """Print a reading; other items are events, gaps, summaries and checkpoints."""
    metadata = item.get("metadata")
    if isinstance(metadata, dict) and "seq" in metadata:
        print(
            f"{metadata['device']}/{metadata['channel']} number {metadata['seq']}:"
            f" {item['value']} {item['unit']}",
            flush=True,
        )


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Endpoint).serve_forever()
