"""The messages inside the frames: packing, parsing, and every check in between.

    every message   version u8 | type u8 | tag u16 | body

All numbers are little-endian. The tag is the low half of the boot id, so that
what a board sent before its reset is never taken for what it sent after. A
text is its size u8 and then that many bytes of UTF-8. PROTOCOL.md draws each
body; `_LAYOUTS`, `message_to_board` and `message_to_host` are the same for the machine.

HELLO, HELLO_REQUEST and REFUSAL are written in version 1 for ever, so that two
ends that share no version can still say so; later ones may append to them.

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

VERSION = const(1)  # the highest that is spoken here, and so far the only one
VERSION_MIN = const(1)

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
REFUSAL = const(12)
COMMAND = const(13)
CONFIG = const(14)
RESULT = const(15)

GAP_OVERWRITTEN = const(1)  # the board's ring was full
GAP_RELEASED = const(2)  # acknowledged to a store that this host doesn't have

ACK_RESEND = const(1)  # flag: send again from `wanted`

HELLO_TRIAL = const(1)  # flag: the firmware is on trial
HELLO_SAFE = const(2)  # flag: safe mode after crashes, no sensor is in use
HELLO_OVER = const(4)  # flag: this boot is over, and a later one speaks for it

VITALS_FINISHED = const(1)  # flag: the sampler has reached `sample_for_ms`
VITALS_SAFE = const(2)  # flag: safe mode, nothing is sampled
VITALS_TRIAL = const(4)  # flag: the firmware is still on trial

LOG_INFO = const(20)  # levels as in Python
LOG_ERROR = const(40)

RESULT_DONE = const(0)
RESULT_FAILED = const(1)  # not done, for the reason that the text gives
RESULT_UNKNOWN = const(2)  # a command that this board doesn't know
RESULT_LATE = const(3)  # it came after `until_s`: not done, and it never will be
RESULT_MORE = const(4)  # of CONFIG: go on at offset `value`

TEXT_SIZE_MAX = const(96)  # bytes of one text

_HEADER_SIZE = const(4)
_DATA_HEADER = "<BBHBIIH"
_DATA_HEADER_SIZE = const(15)

# By type: the codes of its fields behind the tag; T is a text, * the rest, any bytes. One tuple
# and no dictionary of them, for a board's heap.
_LAYOUTS = (
    "",
    "IIHBBBBBIIIIIIIIIIIIIIIIITTTT",  # HELLO
    "B*",  # CHANNELS, see channel_table
    "IHIIT",  # WELCOME
    "BIIH*",  # DATA
    "BBII",  # GAP
    "BBII",  # ACK
    "H",  # TIME_REQUEST
    "HIH",  # TIME_RESPONSE
    "II",  # HELLO_REQUEST
    "IHBIIIIIIIIIIIIIIHIIIII",  # VITALS
    "BT",  # LOG
    "BBBB",  # REFUSAL
    "IIIBBI",  # COMMAND
    "IIIII*",  # CONFIG
    "IBIT",  # RESULT
)
TO_BOARD = bytes((WELCOME, ACK, TIME_REQUEST, HELLO_REQUEST, REFUSAL, COMMAND, CONFIG))
_classes: "dict[int, Any]" = {}
_LARGEST = {"B": 0xFF, "H": 0xFFFF, "I": 0xFFFFFFFF}


def shape(kind: int) -> "Any":
    """Return the named tuple's class of a message type, made when it is first needed.

    A board never sees what it sends, and each name takes up heap.
    """
    if kind not in _classes:
        if kind in TO_BOARD:
            from .message_to_board import FIELDS
        else:
            from .message_to_host import FIELDS
        name, fields = FIELDS[kind]
        _classes[kind] = namedtuple(name, ("tag " + fields).split())
    return _classes[kind]


def tag_of(boot: int, flags: int) -> int:
    """Return the tag of a boot whose HELLO has these flags.

    What is said for a boot that is over is never taken for what it said itself.
    """
    tag = boot & 0xFFFF
    return tag ^ 0xFFFF if flags & HELLO_OVER else tag


def pack_text(text: str) -> bytes:
    """Return a text as its size and its UTF-8. Raises FieldError if it is too long."""
    encoded = text.encode()
    if len(encoded) > TEXT_SIZE_MAX:
        raise FieldError("text: %d bytes, at most %d fit" % (len(encoded), TEXT_SIZE_MAX))
    return bytes((len(encoded),)) + encoded


def fitting(text: str) -> str:
    """Return as much of the first line of `text` as a text holds."""
    text = text.split("\n")[0]
    while len(text.encode()) > TEXT_SIZE_MAX:
        text = text[:-1]
    return text


def pack(kind: int, tag: int, *values: "int | str | bytes") -> bytes:
    """Return a message from its body's values.

    Raises FieldError, naming the field, for a value that doesn't fit.
    """
    codes = _LAYOUTS[kind].rstrip("T*")
    if not 0 <= tag <= 0xFFFF:
        raise FieldError("message %d, tag: %r does not fit H" % (kind, tag))
    count = len(_LAYOUTS[kind])
    if len(values) != count:
        raise FieldError("message %d: %d values, not %d" % (kind, len(values), count))
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
        message += text if isinstance(text, bytes) else pack_text(str(text))
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


def unpack_data(message: bytes) -> "tuple[int, int, int, int, int, bytes]":
    """Return (tag, stream, first_seq, base_s, base_ms, records) of a DATA message.

    What `parse` gives, without a named tuple: a host's hot path. Raises MessageError.
    """
    size = len(message) - _DATA_HEADER_SIZE
    if size <= 0 or size % RECORD_SIZE:
        raise MessageError("DATA of %d bytes holds no whole records" % len(message))
    tag, stream, first_seq, base_s, base_ms = struct.unpack_from("<HBIIH", message, 2)
    if stream > 1 or base_ms > 999 or first_seq + size // RECORD_SIZE > 0xFFFFFFFF:
        raise MessageError("DATA with a stream, time or number out of range")
    return tag, stream, first_seq, base_s, base_ms, message[_DATA_HEADER_SIZE:]


def parse(message: bytes) -> "tuple[int, Any] | None":
    """Return (type, message as its named tuple), None for a type this version doesn't know.

    Raises MessageError for a message that breaks PROTOCOL.md.
    """
    if len(message) < _HEADER_SIZE:
        raise MessageError("message of %d bytes" % len(message))
    if message[0] != VERSION:
        raise MessageError("version %d is not spoken here" % message[0])
    kind = message[1]
    tag = message[2] | message[3] << 8
    if kind == DATA:
        return kind, shape(DATA)(*unpack_data(message))
    if not 0 < kind < len(_LAYOUTS):
        return None
    codes = _LAYOUTS[kind].rstrip("T*")
    layout = "<%s" % codes
    offset = _HEADER_SIZE + struct.calcsize(layout)
    if len(message) < offset:
        raise MessageError("message %d of %d bytes, at least %d" % (kind, len(message), offset))
    values = (tag,) + struct.unpack(layout, message[_HEADER_SIZE:offset])
    if _LAYOUTS[kind][-1] == "*":
        values += (message[offset:],)
        offset = len(message)
    else:
        for _ in range(len(_LAYOUTS[kind]) - len(codes)):
            text, offset = take_text(message, offset)
            values += (text,)
    if offset != len(message) and kind != HELLO and kind != REFUSAL:
        raise MessageError("message %d has %d bytes too many" % (kind, len(message) - offset))
    parsed = shape(kind)(*values)
    _check(kind, parsed)
    return kind, parsed


def _check(kind: int, parsed: "Any") -> None:
    """Raise MessageError for numbers that contradict one another."""
    # The number behind the last one must be a number, too.
    if kind == GAP and (parsed.stream > 1 or not parsed.first_seq <= parsed.last_seq < 0xFFFFFFFF):
        raise MessageError(
            "GAP of stream %d, %d..%d" % (parsed.stream, parsed.first_seq, parsed.last_seq)
        )
    if kind in (HELLO, TIME_RESPONSE, VITALS) and parsed.uptime_ms > 999:
        raise MessageError("message %d: uptime_ms is %d" % (kind, parsed.uptime_ms))
    if kind == ACK and parsed.stream > 1:
        raise MessageError("ACK of stream %d" % parsed.stream)
    if kind == CONFIG and not 0 < len(parsed.content) <= parsed.size - parsed.offset:
        raise MessageError("CONFIG is empty, or goes on beyond its %d bytes" % parsed.size)
