"""The stream: what happens, as server-sent events, to one client until it goes.

    hello      once: {version, started_ms, store_id}
    readings   at most four a second: {time_ms, readings: [[sensor, time_ms, value, quality]]}
    event      a rule fired or resolved, as /api/v1/events has it
    health     of /health status, timestamp, components and sinks, each two seconds

What a slow client has not been sent, it never is: it gets what is newest by then.
"""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..clock import Clock
from ..errors import StoreError
from ..latest import Latest
from ..store import extract
from ..store.channel import StoredChannel, channels
from ..store.query import ALWAYS
from ..store.write_batch import ReadingRow
from ..view import EVENTS
from ..view.extraction import Extraction, Request
from ..view.store_view import Names, View
from .api import reading_payload
from .shown import Shown

if TYPE_CHECKING:
    from ..agent import EdgeAgent

STREAM_KIND = "text/event-stream"
READINGS_S = 0.25  # between two looks for readings, at least
HEALTH_MS = 2000
RETRY = b"retry: 1000\n\n"  # for clients that connect again by themselves


class Stream:
    """What one client is sent."""

    def __init__(
        self,
        agent: "EdgeAgent",
        view: Callable[[], View],
        report: Callable[[], dict[str, Any]],
        shown: Shown,
    ) -> None:
        """Send what `view` lets be seen of the store, and what `report` says of health.

        Of events, what may be `shown`: a rule may be named after what is hidden. Raises
        StoreError if there is no store.
        """
        self._shown = shown
        if agent._ingest is None:
            raise StoreError("the agent is not running")
        self._agent = agent
        self._view = view
        self._report = report
        self._clock: Clock = agent.clock
        self._latest: Latest = agent._ingest.latest
        self._generation = self._latest.generation  # of the store whose channels these are
        self._channels: dict[int, StoredChannel] = {}

    def messages(self) -> Iterator[bytes]:
        """Yield what is to be sent, as long as the agent runs. Raises StoreError."""
        latest, view = self._latest, self._view()
        version, _ = latest.since(0)
        events_total, event_id = latest.events_total, extract.last_event_id(view.reader)
        yield RETRY + _message("hello", self._hello(view))
        while not latest.is_closed:
            yield _message("health", self._report())
            due_ms = self._clock.monotonic_ms() + HEALTH_MS
            while (left_ms := due_ms - self._clock.monotonic_ms()) > 0 and not latest.is_closed:
                if not latest.wait(version, left_ms / 1000):
                    continue
                view = self._view()  # anew: the policy may be another one by now
                if self._is_another_file():
                    self._channels = {}
                    # Its events may have other numbers.
                    event_id = min(event_id, extract.last_event_id(view.reader))
                newest, rows = latest.since(version)
                readings = self._readings(view, rows)
                if self._agent.store.generation != self._generation:
                    latest.rest(READINGS_S)  # another file is open, and nothing of it is here yet
                    continue
                version = newest
                if readings:
                    told = {"time_ms": self._clock.utc_ms(), "readings": readings}
                    yield _message("readings", told)
                if latest.events_total != events_total:
                    events_total = latest.events_total
                    event_id, payloads = _events(view, event_id)
                    yield from (_message("event", one) for one in self._shown.tree(payloads))
                latest.rest(READINGS_S)

    def _is_another_file(self) -> bool:
        """Return whether the agent has gone on with another file since this was asked last."""
        before, self._generation = self._generation, self._latest.generation
        return self._generation != before

    def _hello(self, view: View) -> dict[str, Any]:
        clock = self._clock
        return {
            "version": __version__,
            "started_ms": clock.utc_ms() - (clock.monotonic_ms() - self._agent.started_ms),
            "store_id": view.reader.store_id,
        }

    def _readings(self, view: View, rows: list[ReadingRow]) -> list[list[Any]]:
        """Return (sensor, time, value, quality) of those rows that may be known."""
        if any(row[0] not in self._channels for row in rows):
            self._channels = {one.id: one for one in channels(view.reader)}
        found: list[list[Any]] = []
        for row in rows:
            channel = self._channels.get(row[0])
            payload = None if channel is None else reading_payload(view, channel, row)
            if payload is not None:
                quality = payload["metadata"]["quality"]
                found.append([payload["sensor_name"], row[4], payload["value"], quality])
        return found


def _events(view: View, after_id: int) -> tuple[int, list[dict[str, Any]]]:
    """Return the id of the last event, and those behind `after_id` that may be known."""
    extraction = Extraction(view, Request(EVENTS, Names(), None, ALWAYS, None))
    found: list[dict[str, Any]] = []
    for rows in extract.events(view.reader, *ALWAYS, after=(after_id,)):
        after_id = rows[-1][0]
        found += [one for one in map(extraction.event, rows) if one is not None]
    return after_id, found


def _message(kind: str, told: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(told, separators=(',', ':'))}\n\n".encode()
