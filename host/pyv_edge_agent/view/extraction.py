"""Payloads out of a store, piece by piece, through the policy, as a sink would get them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..event_item import EventFacts, event_item
from ..policy import MARK_HASH
from ..store import extract
from ..store.channel import StoredChannel, channels
from ..store.commit import gap_payload
from ..store.rollup import summary_payload
from . import EVENTS, GAPS, PERIOD, PERIODS_MS, READINGS
from .store_view import Names, View

Payload = dict[str, Any]
MakePayload = Callable[[extract.Row], Payload | None]
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Request:
    """What is to come out."""

    kind: str
    names: Names
    qualities: list[str] | None
    times: tuple[int, int]
    limit: int | None  # the newest so many
    period_ms: int = PERIODS_MS[PERIOD]  # of summaries


class Extraction:
    """One pass over a store."""

    def __init__(self, view: View, request: Request) -> None:
        """Prepare to take out what is requested. Raises StoreError."""
        self.taken_total = 0
        self.withheld_total = 0
        self._view = view
        self._request = request
        self._channels = {one.id: one for one in channels(view.reader)}

    def size(self) -> int:
        """Return how far `pieces` counts. Raises StoreError."""
        if self._request.kind != READINGS:
            return 0
        return extract.count_ids(self._view.reader, *self._request.times)

    def pieces(self, advance: Advance | None = None) -> Iterator[list[Payload]]:
        """Yield payloads, oldest first. Raises StoreError."""
        found = self._readings(advance) if self._request.kind == READINGS else self._few()
        for piece in found:
            self.taken_total += len(piece)
            yield piece

    def _readings(self, advance: Advance | None) -> Iterator[list[Payload]]:
        request, view = self._request, self._view
        known, kept = view.channels(request.names)
        wanted = view.wanted(known, request.qualities, request.times)
        ids: tuple[int, ...] = ()
        if request.limit is not None:
            ids = extract.newest_ids(view.reader, wanted, request.limit)
        # Those that are withheld are read, too, to be counted: whatever their quality.
        wanted = replace(wanted, others=[*wanted.others, *(one.id for one in kept)])
        for passed, rows in extract.readings(view.reader, wanted, *ids):
            payloads = view.readings(rows)
            self.withheld_total += len(rows) - len(payloads)
            yield payloads
            if advance is not None:
                advance(passed)

    # -- what there is little of -----------------------------------------------------

    def _few(self) -> Iterator[list[Payload]]:
        reader, request = self._view.reader, self._request
        order = {"is_newest_first": request.limit is not None}
        if request.kind == EVENTS:
            return self._made(extract.events(reader, *request.times, **order), self.event)
        if request.kind == GAPS:
            return self._made(extract.gaps(reader, *request.times, **order), self.gap)
        rows = extract.summaries(reader, request.period_ms, *request.times, **order)
        return self._made(rows, self._summary)

    def _made(
        self, pieces: Iterator[list[extract.Row]], payload: MakePayload
    ) -> Iterator[list[Payload]]:
        """Yield what `payload` makes of rows, leaving None out; at most the limit, the newest."""
        limit = self._request.limit
        newest: list[Payload] = []
        for rows in pieces:
            payloads = [one for one in map(payload, rows) if one is not None]
            if limit is None:
                yield payloads
                continue
            newest += payloads
            if len(newest) >= limit:
                break
        if limit is not None:
            yield newest[:limit][::-1]

    def event(self, row: extract.Row) -> Payload | None:
        """Return what may be known of a row of `extract.events`, None if it is not wanted."""
        channel = self._channels.get(row[1])
        if channel is None or not self._view.fits(self._request.names, channel):
            return None
        released = event_payload(self._view, channel, row)
        if released is None:
            self.withheld_total += 1
            return None
        return self._named(released, f"event-{row[0]}")

    def gap(self, row: extract.Row) -> Payload | None:
        """Return what may be known of a row of `extract.gaps`, None if it is not wanted."""
        number, device, alias = row[:3]
        withheld = self.withheld_total
        released = self._released(gap_payload(row))
        known = device if released is None else released["device"]
        if self._request.names.fit_device(known, *([alias] if known == device else [])):
            return None if released is None else self._named(released, f"gap-{number}")
        self.withheld_total = withheld
        return None

    def _summary(self, row: extract.Row) -> Payload | None:
        channel = self._channels.get(row[0])
        if channel is None or not self._view.fits(self._request.names, channel):
            return None
        return self._released(summary_payload(row))

    def _released(self, item: Payload) -> Payload | None:
        """Return what may be known of an item, counting it if that is nothing."""
        released = self._view.egress.item(item)
        self.withheld_total += released is None
        return released

    def _named(self, item: Payload, identity: str) -> Payload:
        """Return an item with what tells it from all others, as each sink gets it."""
        item_id = f"{self._view.reader.store_id}-{identity}"
        return {**item, "metadata": {**item.get("metadata", {}), "item_id": item_id}}


def event_payload(view: View, channel: StoredChannel, row: extract.Row) -> Payload | None:
    """Return what may be known of a row of `extract.events`, None if that is nothing."""
    known = view.judge(channel)
    if view.egress.keeps_events(known):
        return None
    return view.egress.item(event_item(event_facts(channel, known.names, row)))


def event_facts(
    channel: StoredChannel, names: tuple[str, str, str], row: extract.Row
) -> EventFacts:
    """Return a row of `extract.events` as what happened on a channel.

    `names` are those that a policy sees.
    """
    _, _, rule, severity, state, utc_ms, value, message, time_quality = row[:9]
    is_hashed = MARK_HASH in channel.marks
    return EventFacts(
        *(rule, severity, state, utc_ms, time_quality, message, value),
        *(channel.sensor, channel.unit),
        {} if is_hashed else {"device": names[0], "channel": names[1]},
        channel.marks if is_hashed else "",
    )
