"""Writes pcapng, which Wireshark opens.

Two interfaces, both of link types that are free for private use, since no
registered one fits: PPP's would have Wireshark look for addresses and protocol
numbers where our messages have their version and type.

    0  LINKTYPE_USER0 (147)  frames: the message and its FCS-32, stuffing and flags removed;
                             of a damaged one, what stood between the flags
    1  LINKTYPE_USER1 (148)  console text, a line each

Each packet has its time in nanoseconds, its direction (inbound is what a board
says), a comment with what it means, and for a damaged one the flag of a CRC error.
"""

import struct
from binascii import crc32
from typing import IO

from .chunk import TO_HOST, Note
from .description import as_lines
from .event import Console, Damaged, Event, Message, Noise

LINKTYPE_FRAMES = 147
LINKTYPE_CONSOLE = 148
FRAMES = 0  # the first interface
CONSOLE = 1
INBOUND = 1
OUTBOUND = 2
FCS_LENGTH = 4 << 5
CRC_ERROR = 1 << 24

_SECTION = 0x0A0D0D0A
_INTERFACE = 1
_PACKET = 6
_BYTE_ORDER = 0x1A2B3C4D
_UNKNOWN_SIZE = 0xFFFFFFFFFFFFFFFF
_SNAP_SIZE = 65_535
_COMMENT = 1
_NAME = 2
_DESCRIPTION = 3
_APPLICATION = 4
_FLAGS = 2
_RESOLUTION = 9
_NANOSECONDS = 9  # 10**-9
_COMMENT_SIZE_MAX = 2000


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def _interface(link_type: int, name: str, description: str) -> bytes:
    options = _option(_NAME, name.encode()) + _option(_DESCRIPTION, description.encode())
    options += _option(_RESOLUTION, bytes([_NANOSECONDS])) + _option(0, b"")
    return _block(_INTERFACE, struct.pack("<HHI", link_type, 0, _SNAP_SIZE) + options)


class Writer:
    """Writes one section."""

    def __init__(self, file: IO[bytes], begun_utc_ns: int, application: str) -> None:
        """Begin it: time 0 of the events was `begun_utc_ns`."""
        self.packets_total = 0
        self.left_out_total = 0  # noise and remarks, which are no packets
        self._file = file
        self._begun_utc_ns = begun_utc_ns
        options = _option(_APPLICATION, application.encode()) + _option(0, b"")
        header = struct.pack("<IHHQ", _BYTE_ORDER, 1, 0, _UNKNOWN_SIZE)
        file.write(_block(_SECTION, header + options))
        file.write(_interface(LINKTYPE_FRAMES, "frames", "Pyvorin Edge link, see PROTOCOL.md"))
        file.write(_interface(LINKTYPE_CONSOLE, "console", "text beside the frames"))

    def take(self, event: Event | Note) -> None:
        """Write an event. Raises OSError."""
        flags = 0
        if isinstance(event, Message):
            data = event.wire
            data += struct.pack("<I", crc32(data))
            interface, flags = FRAMES, FCS_LENGTH
        elif isinstance(event, Damaged):
            data, interface, flags = event.raw, FRAMES, CRC_ERROR
        elif isinstance(event, Console):
            data, interface = event.text, CONSOLE
        else:
            assert isinstance(event, Noise | Note)
            self.left_out_total += 1
            return
        flags |= INBOUND if event.direction == TO_HOST else OUTBOUND
        comment = as_lines(event, 0)[0].split("  ", 1)[1].strip().encode()[:_COMMENT_SIZE_MAX]
        comment = comment.decode("utf-8", "ignore").encode()  # cut between characters
        at_ns = self._begun_utc_ns + event.at_ns
        body = struct.pack(
            "<IIIII", interface, at_ns >> 32, at_ns & 0xFFFFFFFF, len(data), len(data)
        )
        body += _padded(data) + _option(_COMMENT, comment)
        body += _option(_FLAGS, struct.pack("<I", flags)) + _option(0, b"")
        self._file.write(_block(_PACKET, body))
        self.packets_total += 1
