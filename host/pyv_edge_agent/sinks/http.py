"""HTTPCloudUploader: POSTs batches of JSON to one URL.

    {"batch_id": ..., "timestamp": seconds, "count": n, "items": [...]}

or, for readings, a SenML pack. Accepted is a 2xx reply that is empty or JSON: a hotspot's
login page also says 200. Everything else leaves the batch where it is. `requests` is
imported with the first POST, so that an agent without a cloud never loads it.
"""

import gzip
import hashlib
import hmac
import json
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..clock import Clock, SystemClock
from .delivery import ACCEPTED, FAILED, REFUSED, THROTTLED, TOO_LARGE, UNAUTHORISED, Delivery
from .http_reply import read_reply, retry_after_s, shown_url
from .no_reply import why_no_reply
from .payload import CONTENT_TYPES, DOCUMENTED, SENML, envelope, is_reading, senml

USER_AGENT = "Pyvorin-Edge/1.0"
SIGNATURE = "X-Pyvorin-Signature"  # header: "sha256=" and the HMAC of the body as sent, in hex
CONNECT_S = 10.0  # longest wait for a connection, if the time-out is not shorter

_OUTCOMES = {
    400: REFUSED,
    401: UNAUTHORISED,
    403: UNAUTHORISED,
    409: REFUSED,
    413: TOO_LARGE,
    415: REFUSED,
    422: REFUSED,
    429: THROTTLED,
    503: THROTTLED,
}


@dataclass(frozen=True)
class HTTPOptions:
    """How batches are sent, beside where to."""

    format: str = DOCUMENTED  # of readings
    is_compressed: bool = False  # gzip
    hmac_key: str = ""  # signs each body
    ca_file: Path | None = None  # whom to trust; None: whom the system does
    cert_file: Path | None = None  # ours, as a client
    key_file: Path | None = None


class HTTPCloudUploader:
    """Client of one cloud endpoint. Thread-safe; one connection, kept alive."""

    def __init__(
        self,
        endpoint: str,
        api_key: str = "",
        timeout: float = 30.0,
        clock: Clock | None = None,
        options: HTTPOptions | None = None,
    ) -> None:
        """Prepare to post to `endpoint`; nothing is opened yet."""
        self.endpoint = endpoint
        self._api_key = api_key
        self._timeout_s = timeout
        self._clock = clock or SystemClock()
        self._options = options or HTTPOptions()
        self._lock = threading.Lock()
        self._session: Any = None

    def __repr__(self) -> str:
        return f"HTTPCloudUploader({self.shown_endpoint!r})"

    @property
    def shown_endpoint(self) -> str:
        """The endpoint without user, password and query, which may be secrets."""
        return shown_url(self.endpoint)

    @property
    def shown(self) -> str:
        """The same, as every sink has it."""
        return self.shown_endpoint

    def post_batch(self, items: list[dict[str, Any]]) -> bool:
        """Send `items` as a batch of their own; return whether they were accepted.

        Without an endpoint nothing is sent and nothing is accepted.
        """
        return self.deliver(f"pyv-{self._clock.utc_ms()}", items).is_accepted

    def deliver(self, batch_key: str, items: list[dict[str, Any]]) -> Delivery:
        """Send `items` under `batch_key`, the same on each attempt: servers de-duplicate by it."""
        if not self.endpoint:
            return Delivery(FAILED, "cloud.endpoint is empty")
        if self._options.format == SENML and all(map(is_reading, items)):
            body, kind = senml(items), CONTENT_TYPES[SENML]
        else:
            body = envelope(batch_key, self._clock.utc_ms(), items)
            kind = CONTENT_TYPES[DOCUMENTED]
        headers = {"Idempotency-Key": batch_key, "Content-Type": kind}
        if self._options.is_compressed:
            body = gzip.compress(body, 6, mtime=0)
            headers["Content-Encoding"] = "gzip"
        if self._options.hmac_key:
            key = self._options.hmac_key.encode()
            headers[SIGNATURE] = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
        with self._lock:
            return self._post(body, headers)

    def probe(self) -> Delivery:
        """Send a batch of nothing, under a key that no other has."""
        return self.deliver(f"pyv-probe-{uuid.uuid4().hex}", [])

    def _open(self, requests: Any) -> Any:
        session = requests.Session()
        session.headers["User-Agent"] = USER_AGENT
        if self._api_key:
            # As `auth` and not as a header, which a .netrc or the URL would replace.
            session.auth = self._authorize
        options = self._options
        if options.cert_file is not None:
            both = (str(options.cert_file), str(options.key_file))
            session.cert = both if options.key_file is not None else both[0]
        return session

    def _post(self, body: bytes, headers: dict[str, str]) -> Delivery:
        import requests
        import urllib3

        if self._session is None:
            self._session = self._open(requests)
        try:
            with self._session.post(
                self.endpoint,
                data=body,
                headers=headers,
                timeout=(min(CONNECT_S, self._timeout_s), self._timeout_s),
                allow_redirects=False,
                stream=True,
                # With each request: the environment would have precedence over the session's.
                verify=str(self._options.ca_file) if self._options.ca_file is not None else None,
            ) as reply:
                text = read_reply(reply, self._clock, self._timeout_s)
                if text is None:
                    problem = f"status {reply.status_code}, an endless reply"
                    return Delivery(FAILED, problem)
                return _judge(reply.status_code, reply.headers, text)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            problem = f"no reply from {self.shown_endpoint}: {why_no_reply(error)}"
            return Delivery(FAILED, problem)

    def _authorize(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request

    def wake(self) -> None:
        """Do nothing: a POST under way ends with its time-out."""

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
    if not 200 <= status < 300:
        outcome = _OUTCOMES.get(status, FAILED)
        return Delivery(outcome, f"status {status}", retry_after_s(headers))
    if text:
        try:
            json.loads(text.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            problem = f"status {status} without JSON: a login page, or the wrong URL"
            return Delivery(FAILED, problem)
    return Delivery(ACCEPTED)
