"""Counts what passes by, and how long answers take.

Round trips are seen from where the bytes pass: from a TIME_REQUEST to the
TIME_RESPONSE with its token, and from a DATA message to the ACK that covers it,
which contains the host's commit. The latest SAMPLES_MAX of each are kept.
"""

from collections import Counter, OrderedDict, deque
from typing import Any

from pyv_edge_core import message
from pyv_edge_core.frame import FrameDecoder
from pyv_edge_core.reading import STREAM_NAMES
from pyv_edge_core.record_ring import RECORD_SIZE

from .chunk import SPEAKERS, TO_BOARD, Chunk
from .event import Console, Damaged, Event, Message, Noise

SAMPLES_MAX = 4096  # round trips of each kind that percentiles are made of
OPEN_MAX = 1024  # requests, and DATA messages, whose answer is awaited
RATE_S = 5  # a rate is of the last so many whole seconds
PERCENTILES = (50, 90, 99)
_SECOND_NS = 1_000_000_000


class Stream:
    """One numbered stream of one boot, as it passes by."""

    def __init__(self) -> None:
        self.next_seq = -1  # the number that has not been seen yet; -1: none was
        self.readings_total = 0  # each number once
        self.repeated_total = 0  # readings that came again
        self.missing_total = 0  # numbers that were jumped over, and nobody has announced
        self.gaps_total = 0  # readings that the board has announced as lost

    def data(self, first_seq: int, count: int) -> None:
        """Take the numbers of a DATA message."""
        if self.next_seq < 0:
            self.next_seq = first_seq
        self.missing_total += max(0, first_seq - self.next_seq)
        end_seq = first_seq + count
        new = max(0, end_seq - max(first_seq, self.next_seq))
        self.readings_total += new
        self.repeated_total += count - new
        self.next_seq = max(self.next_seq, end_seq)

    def gap(self, first_seq: int, last_seq: int) -> None:
        """Take what the board can no longer send."""
        new = last_seq + 1 - max(first_seq, self.next_seq, 0)
        self.gaps_total += max(0, new)
        self.next_seq = max(self.next_seq, last_seq + 1)


class RoundTrips:
    """How long one kind of question waits for its answer."""

    def __init__(self) -> None:
        self.answered_total = 0
        self.given_up_total = 0  # without an answer by when OPEN_MAX others were asked
        self._open: OrderedDict[Any, int] = OrderedDict()
        self._samples: deque[int] = deque(maxlen=SAMPLES_MAX)  # ns

    def asked(self, key: Any, at_ns: int) -> None:
        """Note a question; one that is asked again counts from the first time."""
        if key in self._open:
            return
        if len(self._open) >= OPEN_MAX:
            self._open.popitem(last=False)
            self.given_up_total += 1
        self._open[key] = at_ns

    def answered(self, key: Any, at_ns: int) -> None:
        """Note an answer."""
        asked_ns = self._open.pop(key, None)
        if asked_ns is not None:
            self.answered_total += 1
            self._samples.append(at_ns - asked_ns)

    def open_keys(self) -> list[Any]:
        """Return the questions without an answer, oldest first."""
        return list(self._open)

    def percentiles_ms(self) -> dict[str, float]:
        """Return what half, nine in ten, 99 in 100 and all of the latest needed at most."""
        if not self._samples:
            return {}
        ordered = sorted(self._samples)
        found = {
            f"p{percent}": ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
            for percent in PERCENTILES
        }
        found["max"] = ordered[-1]
        return {name: round(value / 1e6, 3) for name, value in found.items()}


class Statistic:
    """All of it, for one line."""

    def __init__(self, decoders: tuple[FrameDecoder, FrameDecoder]) -> None:
        """Count beside `decoders`, whose counters are part of it."""
        self.bytes_total = [0, 0]
        self.messages: Counter[tuple[int, str]] = Counter()  # by (direction, name)
        self.message_bytes: Counter[tuple[int, str]] = Counter()
        self.unreadable_total = 0  # whole frames with a message that breaks PROTOCOL.md
        self.sealed_total = 0
        self.seals: Counter[str] = Counter()  # by verdict
        self.resend_requests_total = 0  # ACKs that ask for something again
        self.lines_total = 0  # of console text
        self.boots: OrderedDict[int, str] = OrderedDict()  # boot: device, of each HELLO
        self.time_trips = RoundTrips()
        self.data_trips = RoundTrips()
        self.streams: dict[tuple[int, int], Stream] = {}  # by (tag, stream)
        self._decoders = decoders
        self._first_ns = -1
        self._last_ns = 0
        self._seconds: list[deque[tuple[int, int]]] = [deque(), deque()]  # (second, bytes)

    def chunk(self, chunk: Chunk) -> None:
        """Take bytes that passed by."""
        if self._first_ns < 0:
            self._first_ns = chunk.at_ns
        self._last_ns = max(self._last_ns, chunk.at_ns)
        self.bytes_total[chunk.direction] += len(chunk.data)
        second = chunk.at_ns // _SECOND_NS
        seconds = self._seconds[chunk.direction]
        if seconds and seconds[-1][0] == second:
            seconds[-1] = (second, seconds[-1][1] + len(chunk.data))
        else:
            seconds.append((second, len(chunk.data)))
        while seconds[0][0] < second - RATE_S:
            seconds.popleft()

    def event(self, event: Event) -> None:
        """Take what they mean."""
        if isinstance(event, Message):
            self._message(event)
        elif isinstance(event, Console):
            self.lines_total += 1
        else:
            assert isinstance(event, Damaged | Noise)  # the decoders count them

    def _message(self, event: Message) -> None:
        key = (event.direction, event.name)
        self.messages[key] += 1
        self.message_bytes[key] += event.size
        if event.seal:
            self.sealed_total += 1
            self.seals[event.seal] += 1
        parsed = event.parsed
        if parsed is None:
            self.unreadable_total += 1
        elif event.kind == message.TIME_REQUEST:
            self.time_trips.asked(parsed.token, event.at_ns)
        elif event.kind == message.TIME_RESPONSE:
            self.time_trips.answered(parsed.token, event.at_ns)
        elif event.kind == message.DATA:
            count = len(parsed.records) // RECORD_SIZE
            self._stream(parsed).data(parsed.first_seq, count)
            end_seq = parsed.first_seq + count
            self.data_trips.asked((parsed.tag, parsed.stream, end_seq), event.at_ns)
        elif event.kind == message.GAP:
            self._stream(parsed).gap(parsed.first_seq, parsed.last_seq)
        elif event.kind == message.ACK:
            self._acknowledged(parsed, event.at_ns)
        elif event.kind == message.HELLO:
            self.boots[parsed.boot] = parsed.device
            if len(self.boots) > OPEN_MAX:
                self.boots.popitem(last=False)

    def _stream(self, parsed: Any) -> Stream:
        key = (parsed.tag, parsed.stream)
        if key not in self.streams and len(self.streams) >= OPEN_MAX:
            del self.streams[next(iter(self.streams))]
        return self.streams.setdefault(key, Stream())

    def _acknowledged(self, ack: Any, at_ns: int) -> None:
        self.resend_requests_total += bool(ack.flags & message.ACK_RESEND)
        for key in self.data_trips.open_keys():
            tag, stream, end_seq = key
            if tag == ack.tag and stream == ack.stream and end_seq <= ack.committed:
                self.data_trips.answered(key, at_ns)

    # -- what it comes to --------------------------------------------------------------

    def rate(self, direction: int, now_ns: int) -> float:
        """Return the bytes a second of the last few whole seconds."""
        second = now_ns // _SECOND_NS
        begun = max(second - RATE_S, self._first_ns // _SECOND_NS)
        counted = [size for at, size in self._seconds[direction] if begun <= at < second]
        return sum(counted) / max(1, second - begun)

    def damage(self) -> dict[str, int]:
        """Return what was wrong on the line, both directions together."""
        both = self._decoders
        return {
            "bad_fcs_total": sum(one.bad_fcs_total for one in both),
            "oversize_total": sum(one.oversize_total for one in both),
            "noise_bytes_total": sum(one.noise_bytes_total for one in both),
            "unreadable_total": self.unreadable_total,
            "resend_requests_total": self.resend_requests_total,
        }

    def summary(self) -> dict[str, Any]:
        """Return all of it as JSON types."""
        seconds = max(0, self._last_ns - self._first_ns) / 1e9
        names = ("readings", "repeated", "missing", "gaps")
        return {
            "seconds": round(seconds, 3),
            "bytes_total": {SPEAKERS[side]: count for side, count in enumerate(self.bytes_total)},
            "bytes_per_s": {
                SPEAKERS[side]: round(count / seconds, 1) if seconds else None
                for side, count in enumerate(self.bytes_total)
            },
            "messages": [
                {
                    "from": SPEAKERS[side],
                    "type": name,
                    "count": count,
                    "bytes": self.message_bytes[side, name],
                }
                for (side, name), count in sorted(self.messages.items())
            ],
            **self.damage(),
            "console_lines_total": self.lines_total,
            "console_bytes_total": self._decoders[0].console_bytes_total
            + self._decoders[TO_BOARD].console_bytes_total,
            "sealed_total": self.sealed_total,
            "seals": dict(self.seals),
            "boots": [
                {"boot": f"{boot:08x}", "device": device} for boot, device in self.boots.items()
            ],
            "streams": {
                stream: {
                    f"{name}_total": sum(
                        getattr(found, f"{name}_total")
                        for (_, place), found in self.streams.items()
                        if place == index
                    )
                    for name in names
                }
                for index, stream in enumerate(STREAM_NAMES)
            },
            "time_ms": self.time_trips.percentiles_ms(),
            "data_ms": self.data_trips.percentiles_ms(),
        }
