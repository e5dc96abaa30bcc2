"""The messages inside the frames: packing, parsing, and every check in between.

    every message   version u8 | type u8 | tag u16 | body

All numbers are little-endian. The tag is the low half of the boot id, so that
what a board sent before its reset is never taken for what it sent after. A
text is its size u8 and then that many bytes of UTF-8. PROTOCOL.md draws each
body; the tables below are the same thing for the machine.

Packing checks every field's range first, because MicroPython's `struct`
truncates; parsing checks every length, because it ignores surplus bytes, and
raises MessageError for anything that PROTOCOL.md doesn't allow.
"""

import struct
from collections import namedtuple

from ._compat import TYPE_CHECKING, const
from .errors import FieldError, MessageError
from .record_ring import RECORD_SIZE

if TYPE_CHECKING:
    from typing import Any

VERSION = const(1)

HELLO = const(1)
CHANNELS = const(2)
WELCOME = const(3)
DATA = const(4)
GAP = const(5)
ACK = const(6)
TIME_REQUEST = const(7)
TIME_RESPONSE = const(8)
HELLO_REQUEST = const(9)
VITALS = const(10)
LOG = const(11)

GAP_OVERWRITTEN = const(1)  # the board's ring was full
GAP_RELEASED = const(2)  # acknowledged to a store that this host doesn't have
GAP_CAUSES = ("unknown", "overwritten", "released")

ACK_RESEND = const(1)  # flag: send again from `wanted`

VITALS_FINISHED = const(1)  # flag: the sampler has reached `sample_for_ms`

RESET_CAUSES = ("unknown", "power", "pin", "watchdog", "soft", "deep sleep")

TEXT_SIZE_MAX = const(96)  # bytes of one text

_HEADER_SIZE = const(4)
_DATA_HEADER = "<BBHBIIH"
_DATA_HEADER_SIZE = const(15)

# type: (name, fields behind the tag, codes of the fixed ones, number of texts behind them)
_SHAPES = {
    HELLO: (
        "Hello",
        (
            "boot uptime_s uptime_ms version_min reset_cause channel_count channels_crc"
            " telemetry_first telemetry_next events_first events_next capacity dropped_total"
            " config_hash policy_hash device board firmware core"
        ),
        "IIHBBBIIIIIIIII",
        4,
    ),
    WELCOME: ("Welcome", "boot window telemetry_resume events_resume host", "IHII", 1),
    GAP: ("Gap", "stream cause first_seq last_seq", "BBII", 0),
    ACK: ("Ack", "stream flags committed wanted", "BBII", 0),
    TIME_REQUEST: ("TimeRequest", "token", "H", 0),
    TIME_RESPONSE: ("TimeResponse", "token uptime_s uptime_ms", "HIH", 0),
    HELLO_REQUEST: ("HelloRequest", "", "", 0),
    VITALS: (
        "Vitals",
        (
            "uptime_s uptime_ms flags sampled_total denied_total dropped_total late_total"
            " sensor_errors_total resends_total frames_bad_total telemetry_next held heap_free"
            " loop_lag_ms_max"
        ),
        "IHBIIIIIIIIIIH",
        0,
    ),
    LOG: ("Log", "level text", "B", 1),
    # These two have a layout of their own.
    DATA: ("Data", "stream first_seq base_s base_ms records", None, 0),
    CHANNELS: ("Channels", "first entries", None, 0),  # see channel_table
}
_classes: "dict[int, Any]" = {}
_LARGEST = {"B": 0xFF, "H": 0xFFFF, "I": 0xFFFFFFFF}


def shape(kind: int) -> "Any":
    """Return the named tuple's class of a message type, made when it is first needed.

    A board never sees most of them, and each takes up heap.
    """
    if kind not in _classes:
        name, fields, _, _ = _SHAPES[kind]
        _classes[kind] = namedtuple(name, ("tag " + fields).split())
    return _classes[kind]


def pack_text(text: str) -> bytes:
    """Return a text as its size and its UTF-8. Raises FieldError if it is too long."""
    encoded = text.encode()
    if len(encoded) > TEXT_SIZE_MAX:
        raise FieldError("text: %d bytes, at most %d fit" % (len(encoded), TEXT_SIZE_MAX))
    return bytes((len(encoded),)) + encoded


def pack(kind: int, tag: int, *values: "int | str") -> bytes:
    """Return a message of any type but DATA and CHANNELS from its body's values.

    Raises FieldError, naming the field, for a value that doesn't fit.
    """
    _, _, codes, text_count = _SHAPES[kind]
    assert codes is not None
    if not 0 <= tag <= 0xFFFF:
        raise FieldError("message %d, tag: %r does not fit H" % (kind, tag))
    if len(values) != len(codes) + text_count:
        raise FieldError(
            "message %d: %d values, not %d" % (kind, len(values), len(codes) + text_count)
        )
    numbers = values[: len(codes)]
    index = 0
    for code in codes:
        value = numbers[index]
        is_bool = value is True or value is False
        if is_bool or not isinstance(value, int) or not 0 <= value <= _LARGEST[code]:
            raise FieldError(
                "message %d, value %d: %r does not fit %s" % (kind, index, value, code)
            )
        index += 1
    message = struct.pack("<BBH" + codes, VERSION, kind, tag, *numbers)
    for text in values[len(codes) :]:
        message += pack_text(str(text))
    return message


def pack_data(
    tag: int, stream: int, first_seq: int, base_s: int, base_ms: int, records: bytes
) -> bytes:
    """Return a DATA message. The fields come from a RecordRing, which keeps them in range."""
    return (
        struct.pack(_DATA_HEADER, VERSION, DATA, tag, stream, first_seq, base_s, base_ms) + records
    )


def take_text(message: bytes, offset: int) -> "tuple[str, int]":
    """Return (text, offset behind it) of the text at `offset`. Raises MessageError."""
    if offset >= len(message):
        raise MessageError("message ends where a text's size should stand")
    end = offset + 1 + message[offset]
    if end > len(message) or message[offset] > TEXT_SIZE_MAX:
        raise MessageError("a text of %d bytes is cut or too long" % message[offset])
    try:
        return message[offset + 1 : end].decode(), end
    except UnicodeError:
        raise MessageError("a text is not UTF-8")


def _parse_data(tag: int, message: bytes) -> "Any":
    size = len(message) - _DATA_HEADER_SIZE
    if size <= 0 or size % RECORD_SIZE:
        raise MessageError("DATA of %d bytes holds no whole records" % len(message))
    _, _, _, stream, first_seq, base_s, base_ms = struct.unpack(
        _DATA_HEADER, message[:_DATA_HEADER_SIZE]
    )
    if stream > 1 or base_ms > 999 or first_seq + size // RECORD_SIZE > 0xFFFFFFFF:
        raise MessageError("DATA with a stream, time or number out of range")
    return shape(DATA)(tag, stream, first_seq, base_s, base_ms, message[_DATA_HEADER_SIZE:])


def parse(message: bytes) -> "tuple[int, object] | None":
    """Return (type, message as its named tuple), None for a type this version doesn't know.

    Raises MessageError for a message that breaks PROTOCOL.md, and for one of a
    version below ours; a later version's known types must keep their shape.
    """
    if len(message) < _HEADER_SIZE:
        raise MessageError("message of %d bytes" % len(message))
    if message[0] < VERSION:
        raise MessageError("version %d is not spoken here" % message[0])
    kind = message[1]
    tag = message[2] | message[3] << 8
    if kind == DATA:
        return kind, _parse_data(tag, message)
    if kind == CHANNELS:
        if len(message) <= _HEADER_SIZE:
            raise MessageError("CHANNELS without an index")
        return kind, shape(CHANNELS)(tag, message[4], message[5:])
    if kind not in _SHAPES:
        return None
    _, _, codes, text_count = _SHAPES[kind]
    layout = "<%s" % codes
    offset = _HEADER_SIZE + struct.calcsize(layout)
    if len(message) < offset:
        raise MessageError("message %d of %d bytes, at least %d" % (kind, len(message), offset))
    values = (tag,) + struct.unpack(layout, message[_HEADER_SIZE:offset])
    for _ in range(text_count):
        text, offset = take_text(message, offset)
        values += (text,)
    if offset != len(message):
        raise MessageError("message %d has %d bytes too many" % (kind, len(message) - offset))
    parsed = shape(kind)(*values)
    if kind == GAP and (parsed.stream > 1 or parsed.last_seq < parsed.first_seq):
        raise MessageError(
            "GAP of stream %d, %d..%d" % (parsed.stream, parsed.first_seq, parsed.last_seq)
        )
    if kind in (HELLO, TIME_RESPONSE, VITALS) and parsed.uptime_ms > 999:
        raise MessageError("message %d: uptime_ms is %d" % (kind, parsed.uptime_ms))
    if kind == ACK and parsed.stream > 1:
        raise MessageError("ACK of stream %d" % parsed.stream)
    return kind, parsed
