"""HTTPCloudUploader: POSTs batches of JSON to one URL.

    {"batch_id": ..., "timestamp": seconds, "count": n, "items": [...]}

Accepted is a 2xx reply that is empty or JSON: a hotspot's login page also says
200. Everything else leaves the batch where it is. `requests` is imported
with the first POST, so that an agent without a cloud never loads it.
"""

import json
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..clock import Clock, SystemClock

USER_AGENT = "Pyvorin-Edge/1.0"
REFUSALS = (400, 409, 413, 415, 422)  # statuses that speak of the body
REPLY_SIZE_MAX = 1_048_576  # bytes; a longer reply is none


@dataclass(frozen=True)
class Delivery:
    """What became of a batch: accepted, or the problem in one line."""

    is_accepted: bool
    problem: str = ""
    is_refused: bool = False  # for what it holds: the same again will be refused again
    retry_after_s: float | None = None  # what the server asked for


class HTTPCloudUploader:
    """Client of one cloud endpoint. Thread-safe; one connection, kept alive."""

    def __init__(
        self,
        endpoint: str,
        api_key: str = "",
        timeout: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        """Prepare to post to `endpoint`; nothing is opened yet."""
        self.endpoint = endpoint
        self._api_key = api_key
        self._timeout_s = timeout
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._session: Any = None

    def __repr__(self) -> str:
        return f"HTTPCloudUploader({self.shown_endpoint!r})"

    @property
    def shown_endpoint(self) -> str:
        """The endpoint without user, password and query, which may be secrets."""
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def post_batch(self, items: list[dict[str, Any]]) -> bool:
        """Send `items` as a batch of their own; return whether they were accepted.

        Without an endpoint nothing is sent and nothing is accepted.
        """
        return self.deliver(f"pyv-{self._clock.utc_ms()}", items).is_accepted

    def deliver(self, batch_key: str, items: list[dict[str, Any]]) -> Delivery:
        """Send `items` under `batch_key`, the same on each attempt: servers de-duplicate by it."""
        if not self.endpoint:
            return Delivery(False, "cloud.endpoint is empty")
        body = {
            "batch_id": batch_key,
            "timestamp": self._clock.utc_ms() / 1000,
            "count": len(items),
            "items": items,
        }
        with self._lock:
            return self._post(json.dumps(body, allow_nan=False).encode(), batch_key)

    def _post(self, body: bytes, batch_key: str) -> Delivery:
        import requests
        import urllib3

        if self._session is None:
            self._session = requests.Session()
            self._session.headers["User-Agent"] = USER_AGENT
            self._session.headers["Content-Type"] = "application/json"
            if self._api_key:
                # As `auth` and not as a header, which a .netrc or the URL would replace.
                self._session.auth = self._authorize
        try:
            with self._session.post(
                self.endpoint,
                data=body,
                headers={"Idempotency-Key": batch_key},
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,
            ) as reply:
                text = self._read(reply)
                if text is None:
                    return Delivery(False, f"status {reply.status_code}, an endless reply")
                return _judge(reply.status_code, reply.headers, text)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            # Only its kind: its text may repeat the URL, and with it a password.
            return Delivery(False, f"no reply from {self.shown_endpoint}: {type(error).__name__}")

    def _read(self, reply: Any) -> bytes | None:
        """Return a reply's body; None if it is too long, or longer in coming than the time-out."""
        deadline_ms = self._clock.monotonic_ms() + self._timeout_s * 1000
        text = b""
        while len(text) <= REPLY_SIZE_MAX and self._clock.monotonic_ms() < deadline_ms:
            # read1 and not read: it returns with what has come, so that time can be told.
            piece: bytes = reply.raw.read1(REPLY_SIZE_MAX, decode_content=True)
            if not piece:
                return text
            text += piece
        return None

    def _authorize(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request

    def close(self) -> None:
        """Close the connection, unless a POST is under way: that one ends with its time-out."""
        if self._lock.acquire(blocking=False):
            try:
                if self._session is not None:
                    self._session.close()
                    self._session = None
            finally:
                self._lock.release()


def _judge(status: int, headers: Any, text: bytes) -> Delivery:
    retry_after = headers.get("Retry-After", "")
    wait_s = float(retry_after) if retry_after.isdecimal() else None
    if not 200 <= status < 300:
        is_refused = status in REFUSALS
        return Delivery(False, f"status {status}", is_refused, wait_s)
    if text:
        try:
            json.loads(text.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return Delivery(False, f"status {status} without JSON: a login page, or the wrong URL")
    return Delivery(True)
