"""The channel table on the wire: what the numbers of a board's records mean.

    CHANNELS   header | first u8 | entries
    channel    exponent i8 | flags u8 | name text    | unit text
    alert      channel u8  | flags u8 | rule text    | message text

A record of the telemetry stream names a channel by its place in the table, one
of the events stream an alert: a rule on a channel. HELLO announces the table by
its size and its CRC; as many CHANNELS messages as it takes bring it, in order.
"""

import struct
from binascii import crc32

from ._compat import TYPE_CHECKING, const
from .errors import FieldError, MessageError
from .message import CHANNELS, VERSION, pack_text, take_text
from .reading import Channel

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNT_MAX = const(255)
ENTRIES_SIZE_MAX = const(200)  # bytes of one message's entries

FLAG_LOCAL_ONLY = const(1)  # a channel's: its readings must not leave the host
FLAG_AGGREGATE_ONLY = const(2)  # nor be stored, but for their summaries
FLAG_ALERT = const(0x80)  # it is an alert; the lowest bits are its severity
SEVERITY_MAX = const(2)  # the last index into rule.SEVERITIES

# What an event's record has in place of a quality.
EVENT_FIRED = const(1)  # else it resolved
EVENT_WITHOUT_VALUE = const(2)  # it is about a missing measurement, or the value is withheld


class AlertRow:
    """A rule on a channel, as the table has it."""

    def __init__(self, rule: str, channel: int, severity: int, message: str) -> None:
        self.rule = rule
        self.channel = channel  # place of its channel in the table
        self.severity = severity  # index into rule.SEVERITIES
        self.message = message


def _entry(row: "Channel | AlertRow") -> bytes:
    if isinstance(row, AlertRow):
        head = bytes((row.channel, FLAG_ALERT | row.severity))
        return head + pack_text(row.rule) + pack_text(row.message)
    return bytes((row.exponent & 0xFF, row.flags)) + pack_text(row.name) + pack_text(row.unit)


def pack(tag: int, rows: "Sequence[Channel | AlertRow]") -> "list[bytes]":
    """Return the table as CHANNELS messages, one at least.

    Raises FieldError for more than COUNT_MAX rows.
    """
    if len(rows) > COUNT_MAX:
        raise FieldError("channels: %d with alerts, at most %d" % (len(rows), COUNT_MAX))
    messages = []
    entries = b""
    first = index = 0
    for row in rows:
        entry = _entry(row)
        if len(entries) + len(entry) > ENTRIES_SIZE_MAX:
            messages.append(struct.pack("<BBHB", VERSION, CHANNELS, tag, first) + entries)
            entries = b""
            first = index
        entries += entry
        index += 1
    messages.append(struct.pack("<BBHB", VERSION, CHANNELS, tag, first) + entries)
    return messages


def parse(entries: bytes, first: int = 0) -> "list[Channel | AlertRow]":
    """Return the rows of one CHANNELS message, from row `first` on. Raises MessageError."""
    rows: list[Channel | AlertRow] = []
    offset = 0
    while offset < len(entries):
        if offset + 2 > len(entries):
            raise MessageError("CHANNELS ends in the middle of an entry")
        number = entries[offset]
        flags = entries[offset + 1]
        name, offset = take_text(entries, offset + 2)
        unit, offset = take_text(entries, offset)
        if flags & FLAG_ALERT:
            rows.append(AlertRow(name, number, flags & 3, unit))
            continue
        try:
            rows.append(Channel(name, unit, number if number < 128 else number - 256, flags))
        except FieldError as error:
            raise MessageError("channel table, entry %d: %s" % (first + len(rows), error))
    return rows


def crc(rows: "Sequence[Channel | AlertRow]") -> int:
    """Return the number by which HELLO announces a table."""
    total = 0
    for row in rows:
        total = crc32(_entry(row), total)
    return total
