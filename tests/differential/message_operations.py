"""Messages and the channel table, for operations.py. Neither has a state."""

from pyv_edge_core import channel_table, message
from pyv_edge_core.reading import Channel
from script import Subject, nothing


def _channels(rows):
    return [Channel(name, unit, exponent) for name, unit, exponent in rows]


def _parse(_, raw):
    parsed = message.parse(bytes.fromhex(raw))
    if parsed is None:
        return None
    kind, fields = parsed
    return kind, type(fields).__name__, tuple(fields)


def _parse_channels(_, entries):
    channels = channel_table.parse(bytes.fromhex(entries))
    return [(channel.name, channel.unit, channel.exponent) for channel in channels]


def _pack_data(_, tag, stream, first_seq, base_s, base_ms, records):
    return message.pack_data(tag, stream, first_seq, base_s, base_ms, bytes.fromhex(records))


MESSAGE = Subject(
    "message",
    lambda: None,
    nothing,
    {
        "pack": lambda _, kind, tag, *values: message.pack(kind, tag, *values),
        "pack_data": _pack_data,
        "parse": _parse,
        "pack_channels": lambda _, tag, rows: channel_table.pack(tag, _channels(rows)),
        "parse_channels": _parse_channels,
        "channels_crc": lambda _, rows: channel_table.crc(_channels(rows)),
    },
    ("FieldError", "MessageError"),
)
