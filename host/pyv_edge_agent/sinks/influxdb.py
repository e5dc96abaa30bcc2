"""InfluxDBSink: writes readings as line protocol, to version 1 or 2 of the server."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ..clock import Clock, SystemClock
from .delivery import ACCEPTED, FAILED, REFUSED, THROTTLED, TOO_LARGE, UNAUTHORISED, Delivery
from .http_reply import read_reply, retry_after_s, shown_url
from .line_protocol import line
from .no_reply import why_no_reply

PROBLEM_SIZE_MAX = 200  # characters of it that are shown
NOTHING_WRITTEN = "writing requires points"  # version 2, of a body that is empty

_OUTCOMES = {
    400: REFUSED,
    401: UNAUTHORISED,
    403: UNAUTHORISED,
    413: TOO_LARGE,
    422: REFUSED,
    429: THROTTLED,
    503: THROTTLED,
}


@dataclass(frozen=True)
class InfluxDBOptions:
    """Which server, and where in it."""

    url: str
    version: int = 2
    database: str = ""  # version 1
    username: str = ""
    password: str = ""
    org: str = ""  # version 2
    bucket: str = ""
    token: str = ""
    measurement: str = "pyvorin"
    is_compressed: bool = False
    ca_file: Path | None = None
    timeout_seconds: float = 30.0


class InfluxDBSink:
    """Sink for one database or bucket. For one thread."""

    def __init__(self, options: InfluxDBOptions, clock: Clock | None = None) -> None:
        """Prepare to write; nothing is opened yet. Times are the readings' own."""
        self._clock = clock or SystemClock()
        self._options = options
        self._session: Any = None

    @property
    def shown(self) -> str:
        """The server, without user and password."""
        return shown_url(self._options.url)

    def deliver(self, batch_key: str, items: list[dict[str, Any]]) -> Delivery:
        """Write `items`; the key is not needed, since writing twice changes nothing."""
        del batch_key
        body = "\n".join(line(self._options.measurement, item) for item in items).encode()
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if self._options.is_compressed:
            body = gzip.compress(body, 6, mtime=0)
            headers["Content-Encoding"] = "gzip"
        if self._options.version == 2:
            headers["Authorization"] = f"Token {self._options.token}"
        return self._post(body, headers)

    def probe(self) -> Delivery:
        """Write nothing: all else is looked at before that is noticed."""
        told = self.deliver("", [])
        is_only_empty = told.outcome == REFUSED and NOTHING_WRITTEN in told.problem
        return Delivery(ACCEPTED) if is_only_empty else told

    # -- the request ---------------------------------------------------------------

    def _post(self, body: bytes, headers: dict[str, str]) -> Delivery:
        import requests
        import urllib3

        options = self._options
        if self._session is None:
            self._session = requests.Session()
            if options.ca_file is not None:
                self._session.verify = str(options.ca_file)
            # Given on every request, so that no .netrc takes their place.
            self._session.trust_env = False
        if options.version == 2:
            path, where = "/api/v2/write", {"org": options.org, "bucket": options.bucket}
        else:
            path, where = "/write", {"db": options.database}
        url = f"{options.url.rstrip('/')}{path}?{urlencode({**where, 'precision': 'ns'})}"
        auth = (options.username, options.password) if options.username else None
        try:
            with self._session.post(
                url,
                data=body,
                headers=headers,
                auth=auth if options.version == 1 else None,
                timeout=options.timeout_seconds,
                allow_redirects=False,
                stream=True,
            ) as reply:
                text = read_reply(reply, self._clock, options.timeout_seconds)
                if text is None:
                    return Delivery(FAILED, f"{self.shown}: an endless reply")
                return self._judge(reply.status_code, reply.headers, text)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            return Delivery(FAILED, f"no reply from {self.shown}: {why_no_reply(error)}")

    def _judge(self, status: int, headers: Any, text: bytes) -> Delivery:
        if status in (200, 204):
            return Delivery(ACCEPTED)
        said = text.decode("utf-8", "replace").strip().replace("\n", " ")[:PROBLEM_SIZE_MAX]
        problem = f"{self.shown}: status {status} {said}".rstrip()
        return Delivery(_OUTCOMES.get(status, FAILED), problem, retry_after_s(headers))

    def wake(self) -> None:
        """Do nothing: a request under way ends with its time-out."""

    def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            self._session.close()
            self._session = None
