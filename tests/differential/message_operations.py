"""Messages and the channel table, for operations.py. Neither has a state."""

from pyv_edge_core import channel_table, message
from pyv_edge_core.channel_table import AlertRow
from pyv_edge_core.reading import Channel
from script import Subject, nothing


def row_of(values):
    """Return a channel of (name, unit, exponent, flags), an alert of (rule, message, channel)."""
    if len(values) == 4:
        return Channel(*values)
    return AlertRow(values[0], values[2], 1, values[1])


def _rows(rows):
    return [row_of(values) for values in rows]


def _parse(_, raw):
    parsed = message.parse(bytes.fromhex(raw))
    if parsed is None:
        return None
    kind, fields = parsed
    return kind, type(fields).__name__, tuple(fields)


def _parse_channels(_, entries):
    found = []
    for row in channel_table.parse(bytes.fromhex(entries)):
        if isinstance(row, AlertRow):
            found.append((row.rule, row.message, row.channel, row.severity))
        else:
            found.append((row.name, row.unit, row.exponent, row.flags))
    return found


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
        "pack_channels": lambda _, tag, rows: channel_table.pack(tag, _rows(rows)),
        "parse_channels": _parse_channels,
        "channels_crc": lambda _, rows: channel_table.crc(_rows(rows)),
    },
    ("FieldError", "MessageError"),
)
