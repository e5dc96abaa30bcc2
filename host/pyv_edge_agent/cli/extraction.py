"""Payloads out of a store, piece by piece, through the policy, as a sink would get them."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

from ..clock import SystemClock
from ..disk import writing_whole
from ..errors import UsageError
from ..event_item import EventFacts, event_item
from ..exit_status import DONE
from ..policy import MARK_HASH
from ..store import extract
from ..store.commit import gap_payload
from ..store.extract import StoredChannel
from ..store.rollup import summary_payload
from .destination import destination
from .filters import MEASUREMENT, PERIOD, PERIODS_MS
from .form import (
    EVENTS,
    GAPS,
    LINE_PROTOCOL,
    READINGS,
    SENML,
    SUMMARIES,
    Payload,
    text_of,
)
from .output import Advance, no_advance, note, progress
from .selection import Names, View, open_view, read_times

MakePayload = Callable[[extract.Row], Payload | None]


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
        self._channels = {one.id: one for one in extract.channels(view.reader)}

    def size(self) -> int:
        """Return how far `pieces` counts. Raises StoreError."""
        if self._request.kind != READINGS:
            return 0
        return extract.count_ids(self._view.reader, *self._request.times)

    def pieces(self, advance: Advance = no_advance) -> Iterator[list[Payload]]:
        """Yield payloads, oldest first. Raises StoreError."""
        found = self._readings(advance) if self._request.kind == READINGS else self._few()
        for piece in found:
            self.taken_total += len(piece)
            yield piece

    def _readings(self, advance: Advance) -> Iterator[list[Payload]]:
        request, view = self._request, self._view
        known, kept = view.channels(request.names)
        wanted = view.wanted(known, request.qualities, request.times)
        ids: tuple[int, ...] = ()
        if request.limit is not None:
            ids = extract.newest_ids(view.reader, wanted, request.limit)
        # Those that are withheld are read, too, to be counted: whatever their quality.
        wanted = replace(wanted, others=[*wanted.others, *(one.id for one in kept)])
        for passed, rows in extract.readings(view.reader, wanted, *ids):
            payloads = view.egress.readings(rows)
            self.withheld_total += len(rows) - len(payloads)
            yield payloads
            advance(passed)

    # -- what there is little of -----------------------------------------------------

    def _few(self) -> Iterator[list[Payload]]:
        reader, request = self._view.reader, self._request
        order = {"is_newest_first": request.limit is not None}
        if request.kind == EVENTS:
            return self._made(extract.events(reader, *request.times, **order), self.event)
        if request.kind == GAPS:
            return self._made(extract.gaps(reader, *request.times, **order), self._gap)
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

    def _gap(self, row: extract.Row) -> Payload | None:
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


def extract_to(args: argparse.Namespace) -> int:
    """Do what `add_extraction` has declared; return the exit status.

    Raises what `open_view` does, and OSError.
    """
    request = _request(args, SystemClock().utc_ms())
    output = None if args.output in (None, "-") else destination(args, args.output)
    with closing(open_view(args)) as view, ExitStack() as stack:
        extraction = Extraction(view, request)
        advance: Advance = no_advance
        if output is not None or not sys.stdout.isatty():  # else it would be in the way
            what = f"reading {request.kind}"
            advance = stack.enter_context(progress(what, extraction.size()))
        text = text_of(
            args.format, request.kind, extraction.pieces(advance), args.measurement or MEASUREMENT
        )
        if output is None:
            sys.stdout.writelines(text)
        else:
            with writing_whole(output) as file:
                file.writelines(one.encode() for one in text)
    if output is not None:
        note(f"{args.output}: {extraction.taken_total} {request.kind}")
    tell_withheld(extraction.withheld_total, request.kind, is_local=args.local)
    return DONE


def tell_withheld(count: int, what: str, *, is_local: bool) -> None:
    """Note how much the policy kept back, if it did."""
    if count:
        remedy = "" if is_local else "; --local shows what may be known at this machine"
        note(f"{count} {what} withheld by the privacy policy{remedy}")


def _request(args: argparse.Namespace, now_ms: int) -> Request:
    if args.kind != READINGS:
        if args.quality:
            raise UsageError(f"--quality: is of readings, not of {args.kind}")
        if args.format == SENML:
            raise UsageError(f"--format: senml is for readings, not for {args.kind}")
    if args.kind == GAPS and args.sensor:
        raise UsageError("--sensor: gaps are of devices; use --device")
    if args.kind != SUMMARIES and args.period:
        raise UsageError(f"--period: is of summaries, not of {args.kind}")
    if args.measurement is not None and args.format != LINE_PROTOCOL:
        raise UsageError(f"--measurement: is of --format {LINE_PROTOCOL}, not of {args.format}")
    if args.measurement == "":
        raise UsageError("--measurement: must not be empty; leave it out")
    if args.force and args.output is None:
        raise UsageError("--force: is of --output FILE; name one")
    return Request(
        args.kind,
        Names.of(args),
        args.quality,
        read_times(args, now_ms),
        args.limit,
        PERIODS_MS[args.period or PERIOD],
    )
