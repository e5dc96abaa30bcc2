"""What a capture has of a board's boots, put in order, so that it can be played again.

    boot    HELLO, channel table, then items by time: readings, losses, VITALS and LOGs, text

Readings count by their numbers and not by when they passed: one that was sent
again, because a frame was damaged, is there once and in its place. A number that
the capture hasn't got at all is a loss when it is played.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from pyv_edge_core import message
from pyv_edge_core.record_ring import RECORD_SIZE

from .chunk import TO_HOST, Chunk, Seen
from .event import SEALED_REPEATED, SEALED_WRONG, Console, Event, Message, Rows
from .tap import Tap


class Data(NamedTuple):
    """Readings of a stream from one number on, as a DATA message had them."""

    at_ns: int
    stream: int
    first_seq: int
    base_s: int
    base_ms: int
    records: bytes

    @property
    def end_seq(self) -> int:
        """The number behind the last."""
        return self.first_seq + len(self.records) // RECORD_SIZE


class Report(NamedTuple):
    """VITALS or LOG, as it was sent."""

    at_ns: int
    payload: bytes


class Text(NamedTuple):
    """What the board printed."""

    at_ns: int
    text: bytes


Item = Data | Report | Text


class RecordedBoot:
    """One boot of a board."""

    def __init__(self, at_ns: int, hello: Any) -> None:
        """Begin with its first HELLO."""
        self.at_ns = at_ns
        self.hello = hello
        self.rows: Rows | None = None  # None until all of the table was seen
        self.items: list[Item] = []
        self.uptime_ms_max = hello.uptime_s * 1000 + hello.uptime_ms  # the latest it ever told


class RecordedRun:
    """All boots of a capture."""

    def __init__(self) -> None:
        """Begin with none."""
        self.boots: list[RecordedBoot] = []
        self.orphans_total = 0  # messages of boots whose HELLO, or channel table, isn't there
        self._by_tag: dict[int, RecordedBoot] = {}

    def event(self, event: Event) -> None:
        """Take what a board said, in order."""
        if event.direction != TO_HOST:
            return
        if isinstance(event, Message) and event.seal in (SEALED_WRONG, SEALED_REPEATED):
            return  # not the board's
        if isinstance(event, Console):
            if self.boots:
                self.boots[-1].items.append(Text(event.at_ns, event.text))
        elif isinstance(event, Message) and event.parsed is not None:
            self._message(event)

    def _message(self, event: Message) -> None:
        parsed = event.parsed
        boot = self._by_tag.get(parsed.tag)
        if event.kind == message.HELLO:
            if boot is None or boot.hello.boot != parsed.boot:
                boot = RecordedBoot(event.at_ns, parsed)
                self._by_tag[parsed.tag] = boot
                self.boots.append(boot)
        elif boot is None:
            self.orphans_total += 1
            return
        if event.rows and boot.rows is None:
            boot.rows = event.rows
        if event.kind == message.DATA:
            boot.items.append(Data(event.at_ns, *parsed[1:]))
        elif event.kind in (message.VITALS, message.LOG):
            boot.items.append(Report(event.at_ns, event.payload))
        boot.uptime_ms_max = max(boot.uptime_ms_max, _uptime_ms(event))


def _uptime_ms(event: Message) -> int:
    """Return the latest uptime that a message tells of, 0 if it tells none."""
    parsed = event.parsed
    if event.kind == message.DATA:
        end = parsed.records[-RECORD_SIZE:]
        span_ms = (end[1] >> 2) << 16 | end[3] << 8 | end[2]
        return int(parsed.base_s * 1000 + parsed.base_ms + span_ms)
    if event.kind in (message.HELLO, message.TIME_RESPONSE, message.VITALS):
        return int(parsed.uptime_s * 1000 + parsed.uptime_ms)
    return 0


def read_run(seen: Iterable[Seen], key: bytes = b"") -> RecordedRun:
    """Return the boots in what a capture holds."""
    run, tap = RecordedRun(), Tap(key)
    for one in seen:
        if isinstance(one, Chunk):
            for event in tap.feed(one):
                run.event(event)
    for boot in run.boots:
        _put_in_order(boot)
    return run


def _put_in_order(boot: RecordedBoot) -> None:
    """Sort the readings of each stream by number; nothing else changes its place in time."""
    if boot.rows is None and not boot.hello.channel_count:
        boot.rows = ()
    for stream in (0, 1):
        found = [
            (place, item)
            for place, item in enumerate(boot.items)
            if isinstance(item, Data) and item.stream == stream
        ]
        ordered = sorted([item for _, item in found], key=lambda item: (item[2], item[0]))
        for (place, before), item in zip(found, ordered, strict=True):
            boot.items[place] = item._replace(at_ns=before.at_ns)
