"""A boot that is over: what its pages say of it, and the session that speaks for it.

    table file   texts of device, board, firmware, core | entries of the channel table | CRC-32

A table is saved once, by its CRC, so that a boot with other settings can still
announce what the readings of an earlier one mean.
"""

import struct
from binascii import crc32

from pyv_edge_core import channel_table, message
from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.errors import FieldError, MessageError
from pyv_edge_core.identity import Identity
from pyv_edge_core.record_ring import RecordRing

from .paged_ring import PagedRing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyv_edge_core.reading import Channel
    from pyv_edge_core.seal import Seal

    from .page import Head
    from .pages import Pages

_CHANNELS_HEAD = const(5)  # of a CHANNELS message, before its entries
_TEXTS = const(4)


def pack_table(
    identity: Identity, rows: "Sequence[Channel | channel_table.AlertRow]"
) -> "tuple[int, bytes]":
    """Return (CRC-32, content of the table file) of a boot."""
    content = b""
    for text in (identity.device, identity.board, identity.firmware, identity.core):
        content += message.pack_text(text)
    for piece in channel_table.pack(0, rows):
        content += piece[_CHANNELS_HEAD:]
    crc = crc32(content)
    return crc, content + struct.pack("<I", crc)


def _take_table(
    content: "bytes | None", crc: int
) -> "tuple[list[str], list[Channel | channel_table.AlertRow]]":
    """Return (texts, rows) of a table file. Raises MessageError if it is none."""
    if content is None or crc32(content[:-4]) != crc:
        raise MessageError("the channel table is damaged")
    texts = []
    offset = 0
    for _ in range(_TEXTS):
        text, offset = message.take_text(content, offset)
        texts.append(text)
    return texts, channel_table.parse(content[offset:-4])


def open_session(
    pages: "Pages", head: "Head", content: "bytes | None", present: Identity, seal: "Seal | None"
) -> DeviceSession:
    """Return the session of the boot of which `head` is the last page.

    Raises MessageError if its channel table can't be used.
    """
    try:
        texts, rows = _take_table(content, head.table)
        identity = Identity(texts[0], head.boot, texts[1], texts[2], texts[3])
    except FieldError as error:
        raise MessageError(str(error))
    identity.reset_cause = head.reset_cause
    identity.boots = head.boots
    identity.end_s, identity.end_ms = head.end_s, head.end_ms
    identity.since_s = pages.run_since(head.boot, present.boot)
    # These say what the board is now.
    identity.flags = present.flags | message.HELLO_OVER
    identity.config_hash = present.config_hash
    identity.policy_hash = present.policy_hash
    identity.firmware_hash = present.firmware_hash
    rings = []
    for stream in (0, 1):
        ram = RecordRing(1)
        ram.skip_to(head.end[stream])
        rings.append(PagedRing(pages, head.boot, stream, ram))
    rings[0].lost_total = head.dropped
    # No greeting of its life has such a number, and none of another boot that spoke for it.
    greeting = 0x40000000 | present.boot & 0x3FFFFFFF
    session = DeviceSession(identity, rows, rings[0], rings[1], seal, greeting)
    for outbound in session.streams:
        outbound.released_seq = head.released[outbound.stream]
    return session
