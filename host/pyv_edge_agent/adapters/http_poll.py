"""HTTPPollAdapter: asks a URL for readings, at an interval.

What the server says is unchanged is no reading and no error; a body that is the same as
before is a reading all the same. A poll that fails is counted, told once on the way down and
once on the way up, and never stored as a measurement.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyv_edge_core.reading import QUALITY_BAD

from ..clock import Clock
from ..errors import SubmissionError
from ..heartbeat import STEP_MS
from ..submission import Feed, Sample, Submission
from .availability import Availability
from .http_fetch import Fetched, Fetcher, FetchError, FetchOptions
from .mapping import Mapper, read_json

KILOBYTE = 1024
WAIT_S_MAX = 3600.0  # a server that wants to be left alone for longer is asked again then


class HTTPPollAdapter:
    """Source of one device: a URL that has its readings."""

    is_pushing = True

    def __init__(self, device: Mapping[str, Any], clock: Clock, folder: Path = Path()) -> None:
        """Prepare to ask as a checked device table says, whose files are in `folder`."""
        self.polls_total = 0
        self.unchanged_total = 0
        self.missed_total = 0  # polls for which it was too late
        self.skipped_total = 0  # replies, and failures, that there was no room for
        self._device = device
        self._clock = clock
        self._fetcher = Fetcher(_options(device, folder), clock)
        self._mapper = Mapper(device)
        self._interval_s: float = device["interval_seconds"]
        self._stopping = threading.Event()
        self._validators: dict[str, str] = {}  # of the last reply that was stored
        self._channels = _known_channels(device)  # (name, unit) of what a good poll has
        self._server = Availability(device["name"], clock)

    def run(self, feed: Feed) -> None:
        """Poll for `feed` until `stop`."""
        while not self._stopping.is_set():
            began_ms = self._clock.monotonic_ms()
            feed.beat(round(self._device["timeout_seconds"] * 1000) + STEP_MS)
            wait_s = max(self._interval_s, self._poll(feed))
            taken_s = (self._clock.monotonic_ms() - began_ms) / 1000
            self.missed_total += int(max(0.0, taken_s - wait_s) // self._interval_s)
            left_s = wait_s - taken_s
            feed.beat(round(max(left_s, 0) * 1000) + STEP_MS)
            self._stopping.wait(max(left_s, 0))

    def stop(self) -> None:
        """Let `run` end, also while a server is slow."""
        self._stopping.set()
        self._fetcher.cut()

    def _poll(self, feed: Feed) -> float:
        """Ask once; return how long the server wants to be left alone."""
        self.polls_total += 1
        try:
            fetched = self._fetcher.fetch(self._validators)
            samples = None if fetched.body is None else self._samples(fetched.body)
            self._take(feed, fetched, samples)
        except (FetchError, SubmissionError) as error:
            if self._stopping.is_set():
                return 0.0  # it was cut by us
            is_reply = isinstance(error, SubmissionError)
            problem = f"the reply of {self._fetcher.shown}: {error}" if is_reply else str(error)
            self._server.lost(problem)
            self._validators = {}
            self._put_bad(feed)
            return min(getattr(error, "wait_s", 0.0), WAIT_S_MAX)
        if not self._server.is_there:
            self._server.found(f"has readings from {self._fetcher.shown}")
        return 0.0

    def _samples(self, body: bytes) -> list[Sample]:
        document = read_json(body)
        if isinstance(document, int | float):
            return self._mapper.map_number(document)
        return self._mapper.map(document)

    def _take(self, feed: Feed, fetched: Fetched, samples: list[Sample] | None) -> None:
        if samples is None:
            self.unchanged_total += 1
            return
        if samples and not feed.put(Submission(samples)):
            self.skipped_total += 1
            self._validators = {}  # so that it is asked for again
            return
        self._validators = fetched.validators
        if samples:
            self._channels = list(dict.fromkeys((one.channel, one.unit) for one in samples))

    def _put_bad(self, feed: Feed) -> None:
        if self._device["on_error"] != "zero" or not self._channels:
            return
        samples = [Sample(name, 0.0, None, unit, QUALITY_BAD) for name, unit in self._channels]
        if not feed.put(Submission(samples)):
            self.skipped_total += 1

    def status(self) -> dict[str, Any]:
        """Return the counters as JSON types."""
        return {
            "url": self._fetcher.shown,
            "state": "polled" if self._server.is_there else "failing",
            **self._server.status(),
            "polls_total": self.polls_total,
            "unchanged_total": self.unchanged_total,
            "skipped_total": self.skipped_total,
            "missed_total": self.missed_total,
        }


def _options(device: Mapping[str, Any], folder: Path) -> FetchOptions:
    ca, cert, key = (
        folder / device[name] if device[name] else None
        for name in ("ca_file", "cert_file", "key_file")
    )
    return FetchOptions(
        device["url"],
        device["timeout_seconds"],
        device["body_max_kb"] * KILOBYTE,
        device["redirects_max"],
        device["token"],
        device["headers"],
        ca,
        cert,
        key,
    )


def _known_channels(device: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the (name, unit) of the channels that are known before the first reply."""
    if device["channel_path"] or device["unit_path"]:
        return []
    return [(name, device["unit"]) for name in device["fields"] or ("",)]
