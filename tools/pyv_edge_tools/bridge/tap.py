"""Both directions of a line, taken apart: bytes in, events out. Opens nothing, asks no clock.

Promises: the same bytes give the same events, however they are split; an event's
time is that of the byte that completed it; nothing that comes makes it raise;
what it keeps is bounded by the size of a frame.
"""

import re
from binascii import crc32

from pyv_edge_core import seal
from pyv_edge_core.arrival import Arrival
from pyv_edge_core.errors import MessageError
from pyv_edge_core.frame import ESCAPE, FCS_SIZE, FLAG, SIZE_MAX, FrameDecoder
from pyv_edge_core.host_event import Greeting
from pyv_edge_core.message import CHANNELS, HELLO, parse

from .chunk import TO_HOST, Chunk
from .event import SEALED_UNCHECKED, Console, Damaged, Event, Message, Noise, Rows
from .seal_check import SealCheck

# Up to a flag or the end of a line: what the decoder says of the bytes so far is looked at there,
# and every SIZE_MAX bytes, so that neither depends on how they came.
_PIECES = re.compile(rb"[^\x7e\n]*[\x7e\n]|[^\x7e\n]+")
_NOISE_MAX = 65_536
_OVERSIZE = f"no flag within {SIZE_MAX} bytes"
_LEADS = bytes(range(1, 7)) + ESCAPE  # what a frame begins with; anything else is text or noise


class Tap:
    """What passes by, in events."""

    def __init__(self, key: bytes = b"") -> None:
        """With a `key`, check seals."""
        self._sides = (_Side(0), _Side(1))
        self._seals = SealCheck(key) if key else None
        self._arrival = Arrival()
        self._rows: Rows = ()
        self._tag = -1  # of the boot whose table that is

    @property
    def decoders(self) -> tuple[FrameDecoder, FrameDecoder]:
        """The core's decoders, by direction, with their counters."""
        return self._sides[0].decoder, self._sides[1].decoder

    def feed(self, chunk: Chunk) -> list[Event]:
        """Return the events that `chunk` completes, in order."""
        events: list[Event] = []
        for found in self._sides[chunk.direction].feed(chunk.data, chunk.at_ns):
            events.append(found if not isinstance(found, _Frame) else self._read(found))
        return events

    def end(self, at_ns: int) -> list[Event]:
        """Return what is left unfinished in both directions."""
        events: list[Event] = []
        for side in self._sides:
            events += side.end(at_ns)
        return events

    def read(self, at_ns: int, direction: int, payload: bytes) -> Message:
        """Return a message that came without a frame."""
        return self._read(_Frame(at_ns, direction, len(payload), payload))

    def _read(self, frame: "_Frame") -> Message:
        payload, verdict = frame.payload, ""
        content = seal.content(payload)
        if content:
            verdict = SEALED_UNCHECKED
            if self._seals is not None:
                verdict = self._seals.verdict(frame.direction, payload)
            payload = content
        kind = payload[1] if len(payload) > 1 else 0
        problem, parsed = "", None
        try:
            found = parse(payload)
            if found is None:
                problem = "of a type that this version doesn't know"
            else:
                parsed = found[1]
                if frame.direction == TO_HOST:
                    self._learn(kind, parsed)
        except MessageError as error:
            problem = str(error)
        rows = self._rows if parsed is not None and parsed.tag == self._tag else ()
        return Message(
            frame.at_ns,
            frame.direction,
            frame.size,
            frame.payload,
            payload,
            kind,
            parsed,
            problem,
            verdict,
            rows,
        )

    def _learn(self, kind: int, parsed: object) -> None:
        """Gather the channel table. Raises MessageError."""
        found = None
        if kind == HELLO:
            found = self._arrival.begin(parsed)
        elif kind == CHANNELS:
            found = self._arrival.add(parsed)
        if isinstance(found, Greeting):
            self._rows = tuple(found.channels)
            self._tag = found.hello.tag


class _Frame:
    """A whole frame whose message is not read yet."""

    def __init__(self, at_ns: int, direction: int, size: int, payload: bytes) -> None:
        self.at_ns = at_ns
        self.direction = direction
        self.size = size
        self.payload = payload


class _Side:
    """One direction."""

    def __init__(self, direction: int) -> None:
        self.decoder = FrameDecoder()
        self._direction = direction
        self._raw = b""  # since the last flag, or the last end of a line of text, up to SIZE_MAX
        self._in_text = False  # whether that can be no frame
        self._is_given_up = False  # whether it was said that it is too long
        self._raw_size = 0  # and how much that really is
        self._since = 0  # bytes since the last place where the decoder was looked at
        self._text = b""  # of a line that has not ended yet
        self._counted = (0, 0, 0)  # bad, oversize, noise when it was last looked at
        self._noise = 0

    def feed(self, data: bytes, at_ns: int) -> "list[_Frame | Event]":
        found: list[_Frame | Event] = []
        for piece in _PIECES.finditer(data):
            place, end = piece.span()
            while place < end:
                part = data[place : min(end, place + SIZE_MAX - self._since)]
                place += len(part)
                self._since += len(part)
                messages = self.decoder.feed(part)
                delimiter = part[-1:] if part[-1:] in (FLAG, b"\n") else b""
                body = part[:-1] if delimiter == FLAG else part
                if body and not self._raw_size and not self._in_text:
                    self._in_text = body[0] not in _LEADS
                self._raw_size += len(body)
                self._raw += body[: SIZE_MAX - len(self._raw)]
                if delimiter or self._since == SIZE_MAX:
                    self._look(messages, delimiter == FLAG, at_ns, found)
        return found

    def _look(
        self, messages: list[bytes], is_flag: bool, at_ns: int, found: "list[_Frame | Event]"
    ) -> None:
        """Add what the decoder made of the bytes up to here."""
        decoder = self.decoder
        bad, oversize, noise = self._counted
        self._counted = (decoder.bad_fcs_total, decoder.oversize_total, decoder.noise_bytes_total)
        self._since = 0
        self._noise += self._counted[2] - noise
        if self._noise and (is_flag or self._noise >= _NOISE_MAX):
            found.append(Noise(at_ns, self._direction, self._noise))
            self._noise = 0
        self._take_text(decoder.take_console(), is_flag, at_ns, found)
        for payload in messages:
            found.append(_Frame(at_ns, self._direction, self._raw_size + 2, payload))
        if self._counted[0] > bad:
            found.append(self._damaged(at_ns, _reason(self._raw)))
        if self._counted[1] > oversize:
            found.append(self._damaged(at_ns, _OVERSIZE))
            self._is_given_up = True
        if is_flag or self._in_text:
            self._raw = b""
            self._raw_size = 0
            self._in_text = not is_flag
            self._is_given_up = False

    def _take_text(
        self, text: bytes, is_flag: bool, at_ns: int, found: "list[_Frame | Event]"
    ) -> None:
        *lines, rest = (self._text + text).split(b"\n")
        lines = [line + b"\n" for line in lines]
        if rest and (is_flag or len(rest) >= SIZE_MAX):
            lines.append(rest)
            rest = b""
        self._text = rest
        found.extend(Console(at_ns, self._direction, line) for line in lines)

    def _damaged(self, at_ns: int, reason: str) -> Damaged:
        return Damaged(at_ns, self._direction, self._raw_size, reason, self._raw)

    def end(self, at_ns: int) -> list[Event]:
        """Return what is left unfinished."""
        events: list[Event] = []
        _, oversize, noise = self._counted
        self._noise += self.decoder.noise_bytes_total - noise
        if self._noise:
            events.append(Noise(at_ns, self._direction, self._noise))
        text = self._text
        if self._in_text:
            text += self._raw  # the decoder has it still
        elif self.decoder.oversize_total > oversize:
            events.append(self._damaged(at_ns, _OVERSIZE))
        elif self._raw and not self._is_given_up:
            events.append(self._damaged(at_ns, "it ends before its flag"))
        if text:
            events.append(Console(at_ns, self._direction, text))
        return events


def unstuffed(raw: bytes) -> bytes:
    """Return `raw` without its octet stuffing, what can't be unstuffed as it is."""
    return re.sub(rb"\x7d(.)", lambda found: bytes([found[1][0] ^ 0x20]), raw, flags=re.DOTALL)


def _reason(raw: bytes) -> str:
    """Return why what stood between two flags is no frame."""
    body = unstuffed(raw)
    if body.endswith(ESCAPE) and raw.endswith(ESCAPE):
        return "it ends in an escape"
    if len(body) <= FCS_SIZE:
        return f"{len(body)} bytes are too few"
    said = int.from_bytes(body[-FCS_SIZE:], "little")
    return f"its FCS is {said:08x}, of what is there it is {crc32(body[:-FCS_SIZE]):08x}"
