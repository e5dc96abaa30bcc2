"""The API: what there is, live and out of the store, through the policy.

Each operation takes checked parameters and returns JSON types. openapi.json describes them; a
test holds the two against each other.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..channel_policy import SYNC_RAW
from ..http_exchange import RefusalError
from ..latest import AHEAD_MS
from ..store import extract
from ..store.channel import StoredChannel, channels
from ..store.extract import last_rows, lost_totals
from ..store.ledger import Ledger, read_counters, read_ledger_within
from ..store.query import ALWAYS
from ..store.write_batch import ReadingRow
from ..view import EVENTS, GAPS, READINGS
from ..view.chart import draw
from ..view.extraction import Extraction, Payload, Request
from ..view.store_view import Exactly, Names, View
from .parameters import Reader, moment, name, number
from .shown import Shown

if TYPE_CHECKING:
    from ..agent import EdgeAgent

ROWS_MAX = 10_000
POINTS_MAX = 4000
CHANNELS_MAX = 1000
AT_ONCE = 2  # operations that read the store: more would only take turns
WAIT_S = 5.0  # for one's turn
QUERY_MS = 3000
LEDGER_MS = 2000
LEDGER_AGE_MS = 60_000  # how old one may be that is told
UNCOUNTED_MS = 3_600_000  # after a store that took too long to count, it is not tried again
DEFAULT_SPAN_MS = 3_600_000  # of readings, if no time is given
BEFORE_MS = 604_800_000  # how far back the last value of a channel is looked for

RANGE: dict[str, Reader] = {"start_ms": moment, "end_ms": moment}
LIMIT: dict[str, Reader] = {"limit": number(1, ROWS_MAX)}

Answer = dict[str, Any]
Operation = Callable[..., Answer]


class Api:
    """Answers for one agent. Any thread may ask."""

    def __init__(self, agent: "EdgeAgent", shown: Shown, *, is_local: bool) -> None:
        """Tell somebody at this machine what may be known there, others what may leave it."""
        self._agent = agent
        self._shown = shown
        self._is_local = is_local
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._ledger_lock = threading.Lock()
        self._ledger_told: tuple[int, Answer] | None = None
        self._uncounted_ms: int | None = None
        self._loaded = ""  # which generation of the store the latest readings were loaded from
        self.operations: dict[str, tuple[Operation, dict[str, Reader]]] = {
            "devices": (self.devices, {}),
            "channels": (self.channels, {"device": name, **LIMIT}),
            "readings": (
                self.readings,
                {"sensor": name, **RANGE, **LIMIT, "points": number(2, POINTS_MAX)},
            ),
            "events": (self.events, {**RANGE, **LIMIT}),
            "gaps": (self.gaps, {**RANGE, **LIMIT}),
            "ledger": (self.ledger, {}),
        }

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Read the store when it is one's turn, and not for ever. Raises RefusalError."""
        if not self._turns.acquire(timeout=WAIT_S):
            raise RefusalError(503, "others are asking; ask again", headers={"Retry-After": "5"})
        try:
            with self._agent.store.limited(self._agent.clock, QUERY_MS):
                yield
        except TimeoutError:
            problem = f"that takes longer than {QUERY_MS // 1000} s; ask for less time, or less"
            raise RefusalError(503, problem, headers={"Retry-After": "60"}) from None
        finally:
            self._turns.release()

    def view(self) -> View:
        """Return the store as it may be seen. Raises StoreError if there is none."""
        return View(self._agent.store, self._agent.privacy, is_local=self._is_local)

    # -- live ----------------------------------------------------------------------

    def devices(self) -> Answer:
        """Return all devices of the configuration, and how each does."""
        agent = self._agent
        now_ms, utc_ms = agent.clock.monotonic_ms(), agent.clock.utc_ms()
        found = agent.judge.judge()
        with self._turn():
            lost = lost_totals(agent.store)
        told = []
        for device in [] if agent._devices is None else agent._devices.all:
            verdict = found.get(f"device/{device.name}")
            if verdict is None:
                continue  # it came in between
            status = device.status(agent._polling.failing.get(device.name))
            told.append(
                {
                    "name": device.name,
                    "ingest_type": device.table["ingest_type"],
                    "status": verdict.status,
                    "reason": verdict.reason,
                    "state": status["state"],
                    "since_ms": utc_ms - (now_ms - (verdict.since_ms or now_ms)),
                    "last_success_age_ms": None
                    if verdict.success_ms is None
                    else now_ms - verdict.success_ms,
                    "lost_total": lost.get(device.name, 0),
                    "vitals": {} if device.link is None else dict(device.link.dialogue.vitals),
                }
            )
        return {"time_ms": utc_ms, "devices": self._shown.tree(told)}

    def channels(self, device: str | None = None, limit: int = CHANNELS_MAX) -> Answer:
        """Return the channels that may be known, each with its latest reading."""
        view = self.view()
        with self._turn():
            generation, rows = self._latest()
            known = {one.id: one for one in channels(view.reader)}
            if self._agent.store.generation != generation:
                rows = {}  # they are of the file before, in which ids mean something else
        newest: dict[str, tuple[int, Answer]] = {}
        for one in known.values():
            told = self._channel(view, one, rows.get(one.id))
            if told is None or device not in (None, told["device"]):
                continue
            at_ms = told["time_ms"] or 0
            # Of a sensor whose unit or policy has changed there are several channels.
            if told["sensor"] not in newest or newest[told["sensor"]][0] <= at_ms:
                newest[told["sensor"]] = (at_ms, told)
        all_of_them = [told for _, told in newest.values()]
        return {
            "time_ms": self._agent.clock.utc_ms(),
            "channels": all_of_them[:limit],
            "is_complete": len(all_of_them) <= limit,
        }

    def _channel(
        self, view: View, channel: StoredChannel, row: ReadingRow | None
    ) -> Answer | None:
        judged = view.judge(channel)
        is_summary = view.egress.keeps_readings(judged)
        if is_summary and view.egress.keeps_summaries(judged):
            return None
        told: Answer = {
            "sensor": judged.sensor,
            "device": judged.device if judged.device != channel.device else channel.alias,
            "channel": judged.channel,
            "unit": channel.unit,
            "time_ms": None,
            "value": None,
            "quality": None,
            "is_summary": is_summary,
        }
        if row is not None and not is_summary:
            payload = reading_payload(view, channel, row)
            if payload is not None:
                told["time_ms"], told["value"] = row[4], payload["value"]
                told["quality"] = payload["metadata"]["quality"]
        return told

    def _latest(self) -> tuple[str, dict[int, ReadingRow]]:
        """Return the latest reading of each channel, also of those that say nothing now.

        Before them, which generation of the store they are of.
        """
        agent, ingest = self._agent, self._agent._ingest
        if ingest is None:
            return "", {}
        generation = ingest.latest.generation
        if generation != self._loaded:
            now_ms = agent.clock.utc_ms()
            found = last_rows(agent.store, now_ms - BEFORE_MS, now_ms + AHEAD_MS)
            ingest.latest.load(found.values(), now_ms, generation)
            self._loaded = generation
        return generation, {row[0]: row for row in ingest.latest.all()}

    # -- out of the store ----------------------------------------------------------

    def readings(
        self,
        sensor: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 1000,
        points: int | None = None,
    ) -> Answer:
        """Return the readings stored last, as many as the limit; with `points`, a chart."""
        times = self._times(start_ms, end_ms, DEFAULT_SPAN_MS)
        if points is None:
            names = Names([] if sensor is None else [Exactly(sensor)])
            found = self._extracted(READINGS, times, limit + 1, names)
            return {"readings": found[-limit:], "is_complete": len(found) <= limit}
        if sensor is None:
            raise RefusalError(400, "sensor: a chart is of one; name it")
        with self._turn():
            chart = draw(self.view(), sensor, times, points, self._agent.clock.utc_ms())
        if chart is None:
            raise RefusalError(404, "sensor: there is none of that name that may be known")
        return chart.to_dict()

    def events(
        self, start_ms: int | None = None, end_ms: int | None = None, limit: int = 100
    ) -> Answer:
        """Return the newest events within the limit, oldest first."""
        found = self._extracted(EVENTS, self._times(start_ms, end_ms, None), limit)
        return {"events": self._shown.tree(found)}  # a rule may be named after what is hidden

    def gaps(
        self, start_ms: int | None = None, end_ms: int | None = None, limit: int = 100
    ) -> Answer:
        """Return the newest gap records within the limit, oldest first."""
        times = self._times(start_ms, end_ms, None)
        found: list[Payload] = []
        with self._turn():
            view = self.view()
            extraction = Extraction(view, Request(GAPS, Names(), None, times, None))
            for rows in extract.gaps(view.reader, *times, is_newest_first=True):
                for row in rows:
                    payload = extraction.gap(row)
                    if payload is not None:  # by the device's own name, unless that is hidden
                        is_named = payload["device"] == row[1]
                        found.append(
                            {**payload, "device": row[2] if is_named else payload["device"]}
                        )
                if len(found) >= limit:
                    break
        return {"gaps": self._shown.tree(found[:limit][::-1])}

    def _extracted(
        self, kind: str, times: tuple[int, int], limit: int, names: Names | None = None
    ) -> list[Payload]:
        request = Request(kind, names or Names(), None, times, limit)
        with self._turn():
            extraction = Extraction(self.view(), request)
            return [one for piece in extraction.pieces() for one in piece]

    def _times(
        self, start_ms: int | None, end_ms: int | None, span_ms: int | None
    ) -> tuple[int, int]:
        """Return the times that are asked for; up to now and over `span_ms`, if not said."""
        if span_ms is None:
            start_ms = ALWAYS[0] if start_ms is None else start_ms
            times = (start_ms, ALWAYS[1] if end_ms is None else end_ms)
        else:
            if end_ms is None:  # whoever asks from now on may have a clock that is ahead
                end_ms = max(self._agent.clock.utc_ms(), start_ms or 0) + 1
            times = (end_ms - span_ms if start_ms is None else start_ms, end_ms)
        if times[0] >= times[1]:
            raise RefusalError(400, "end_ms: is not later than start_ms")
        return times

    # -- the ledger ----------------------------------------------------------------

    def ledger(self) -> Answer:
        """Return what became of every reading, as of a minute ago at most."""
        with self._ledger_lock:
            now_ms = self._agent.clock.monotonic_ms()
            if self._ledger_told is None or now_ms - self._ledger_told[0] > LEDGER_AGE_MS:
                self._ledger_told = (now_ms, self._read_ledger(now_ms))
            return self._ledger_told[1]

    def _read_ledger(self, now_ms: int) -> Answer:
        agent = self._agent
        told_ms, path = agent.clock.utc_ms(), agent.store.path
        found: Ledger | None = None
        if self._uncounted_ms is None or now_ms - self._uncounted_ms > UNCOUNTED_MS:
            found = read_ledger_within(path, agent.clock, LEDGER_MS)
            self._uncounted_ms = now_ms if found is None else None
        is_counted = found is not None
        whole = (found or read_counters(path)).to_dict()
        told = {key: whole[key] for key in LEDGER_KEYS}
        if not is_counted:
            told |= {"present": None, "duplicates": None}
        return {"time_ms": told_ms, "is_counted": is_counted, **told, "sinks": whole["sinks"]}


LEDGER_KEYS = (
    *("balanced", "sampled", "stored", "denied", "aggregated", "lost", "reset", "in_flight"),
    *("present", "expired", "evicted", "duplicates", "late", "gaps", "events", "queued_items"),
    *("withheld", "dead"),
)


def reading_payload(view: View, channel: StoredChannel, row: ReadingRow) -> Payload | None:
    """Return what may be known of a row of `channel`, None if that is nothing."""
    _, _, stream, seq, utc_ms, error_ms, marked, value = row
    whole = (0, channel.id, 0, stream, seq, utc_ms, error_ms, marked, value, SYNC_RAW)
    found = view.egress.readings([whole], {channel.id: channel})
    return found[0] if found else None
