"""InfluxDBSink: writes readings as line protocol, to version 1 or 2 of the server.

    MEASUREMENT,boot=..,channel=..,device=..,quality=..,sensor=.. seq=1i,value=21.5 TIME

Points of the same tags and time are one point to InfluxDB, and the later one wins. So the
time is in nanoseconds, and what is below the millisecond is the reading's number: readings of one
millisecond stay apart, and a batch that is sent again changes nothing.
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ..clock import Clock, SystemClock
from .delivery import ACCEPTED, FAILED, REFUSED, THROTTLED, TOO_LARGE, UNAUTHORISED, Delivery
from .http_reply import read_reply, retry_after_s, shown_url
from .payload import is_reading

PROBLEM_SIZE_MAX = 200  # characters of it that are shown

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
        lines = [line for line in (self._line(item) for item in items) if line]
        body = "\n".join(lines).encode()
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if self._options.is_compressed:
            body = gzip.compress(body, 6, mtime=0)
            headers["Content-Encoding"] = "gzip"
        if self._options.version == 2:
            headers["Authorization"] = f"Token {self._options.token}"
        return self._post(body, headers)

    # -- lines ---------------------------------------------------------------------

    def _line(self, item: dict[str, Any]) -> str:
        name = self._options.measurement
        if is_reading(item):
            return _reading_line(name, item)
        if item.get("type") == "gap":
            tags = {"boot": item["boot"], "cause": item["cause"], "device": item["device"]}
            fields = {key: item[key] for key in ("first_seq", "last_seq", "count")}
            return _point(f"{name}_gaps", {**tags, "stream": item["stream"]}, fields, item)
        if item.get("type") == "summary":
            tags = {"period": f"{item['period_s']}s", "sensor": item["sensor_name"]}
            names = ("count", "bad_count", "min", "max", "mean", "last")
            fields = {key: item[key] for key in names if item[key] is not None}
            return _point(f"{name}_summaries", tags, fields, item)
        if "rule_name" in item:
            metadata = item.get("metadata") or {}
            tags = {
                "rule": item["rule_name"],
                "sensor": metadata.get("sensor_name", ""),
                "severity": item.get("severity", ""),
                "state": metadata.get("state", ""),
            }
            fields = {"message": str(item.get("message", ""))}
            return _point(f"{name}_events", tags, fields, item)
        kind = {"type": str(item.get("type", "item"))}
        return _point(f"{name}_items", kind, {"json": json.dumps(item)}, item)

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
            # Only its kind: its text may repeat the URL, and with it a password.
            return Delivery(FAILED, f"no reply from {self.shown}: {type(error).__name__}")

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


def _reading_line(measurement: str, item: dict[str, Any]) -> str:
    metadata = item["metadata"]
    seq = int(metadata["seq"])
    tags = {
        "boot": metadata["boot"],
        "channel": metadata["channel"],
        "device": metadata["device"],
        "quality": metadata.get("quality", "good"),
        "sensor": item["sensor_name"],
        "unit": item["unit"],
    }
    fields: dict[str, Any] = {"seq": seq}
    if item["value"] is not None:
        fields["value"] = float(item["value"])
    return _point(measurement, tags, fields, item, seq % 1_000_000)


def _point(
    measurement: str,
    tags: dict[str, Any],
    fields: dict[str, Any],
    item: dict[str, Any],
    below_ms: int | None = None,
) -> str:
    """Return one line; without `below_ms`, an item's identity tells items of one time apart."""
    if below_ms is None:
        metadata = item.get("metadata") or {}
        digits = "".join(one for one in str(metadata.get("item_id", "")) if one.isdigit())
        below_ms = int(digits[-6:] or 0)
    stamp = round(float(item.get("timestamp", 0.0)) * 1000) * 1_000_000 + below_ms
    shown = "".join(f",{key}={_tag(value)}" for key, value in sorted(tags.items()) if value != "")
    values = ",".join(f"{key}={_field(value)}" for key, value in fields.items())
    return f"{_escaped(measurement, ', ')}{shown} {values} {stamp}"


def _tag(value: Any) -> str:
    return _escaped(str(value), ",= ")


def _escaped(text: str, marks: str) -> str:
    for mark in marks:
        text = text.replace(mark, "\\" + mark)
    # A line can hold neither, and a backslash at the end would escape what follows.
    return text.replace("\n", "_").rstrip("\\")


def _field(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
