"""The channel table on the wire: what the numbers of a board's channels mean.

    CHANNELS   header | first u8 | entries
    entry      exponent i8 | name text | unit text

HELLO announces the table by its size and its CRC; as many CHANNELS messages as
it takes bring it, in order.
"""

import struct
from binascii import crc32

from ._compat import const
from .errors import FieldError, MessageError
from .message import CHANNELS, VERSION, pack_text, take_text
from .reading import Channel

COUNT_MAX = const(255)
ENTRIES_SIZE_MAX = const(200)  # bytes of one message's entries


def pack(tag: int, channels: "list[Channel]") -> "list[bytes]":
    """Return the table as CHANNELS messages, one at least.

    Raises FieldError for more than COUNT_MAX channels.
    """
    if len(channels) > COUNT_MAX:
        raise FieldError("channels: %d, at most %d" % (len(channels), COUNT_MAX))
    messages = []
    entries = b""
    first = index = 0
    for channel in channels:
        entry = bytes((channel.exponent & 0xFF,))
        entry += pack_text(channel.name) + pack_text(channel.unit)
        if len(entries) + len(entry) > ENTRIES_SIZE_MAX:
            messages.append(struct.pack("<BBHB", VERSION, CHANNELS, tag, first) + entries)
            entries = b""
            first = index
        entries += entry
        index += 1
    messages.append(struct.pack("<BBHB", VERSION, CHANNELS, tag, first) + entries)
    return messages


def parse(entries: bytes) -> "list[Channel]":
    """Return the channels of one CHANNELS message. Raises MessageError."""
    channels = []
    offset = 0
    while offset < len(entries):
        exponent = entries[offset] if entries[offset] < 128 else entries[offset] - 256
        name, offset = take_text(entries, offset + 1)
        unit, offset = take_text(entries, offset)
        try:
            channels.append(Channel(name, unit, exponent))
        except FieldError as error:
            raise MessageError("CHANNELS: %s" % error)
    return channels


def crc(channels: "list[Channel]") -> int:
    """Return the number by which HELLO announces a table."""
    total = 0
    for channel in channels:
        row = "%s\n%s\n%d\n" % (channel.name, channel.unit, channel.exponent)
        total = crc32(row.encode(), total)
    return total
