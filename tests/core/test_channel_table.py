"""The channel table on the wire: its bytes, its limits, and its checksum."""

from check import raises
from pyv_edge_core import channel_table, message
from pyv_edge_core.errors import FieldError, MessageError
from pyv_edge_core.reading import Channel

TAG = 0xBEEF
CHANNELS = (Channel("temp", "Cel", -2), Channel("rh", "%RH", 1))
_PACKED = bytes.fromhex("0102efbe00" + "fe000474656d700343656c" + "010002726803255248")


def test_channel_table_comes_back():
    kind, parsed = message.parse(_PACKED)
    assert kind == message.CHANNELS
    assert (parsed.tag, parsed.first, len(channel_table.parse(parsed.entries))) == (TAG, 0, 2)
    for index, channel in enumerate(channel_table.parse(parsed.entries)):
        expected = CHANNELS[index]
        assert channel.name == expected.name, index
        assert channel.unit == expected.unit, index
        assert channel.exponent == expected.exponent, index


def test_channel_table_that_breaks_the_rules_is_refused():
    cases = (
        ("exponent", b"\x0a\x00" + b"\x01a" + b"\x00"),
        ("channel", b"\x00\x00" + b"\x00" + b"\x00"),
        ("channel", b"\x00\x00" + b"\x01A" + b"\x00"),
        ("unit", b"\x00\x00" + b"\x01a" + b"\x03xyz"),
    )
    for field, entry in cases:
        error = raises(MessageError, channel_table.parse, entry)
        assert field in str(error), entry


def test_alert_rows_come_back():
    row = channel_table.AlertRow("zu hei\u00df", 1, 2, "{sensor} {value}")
    packed = channel_table.pack(TAG, tuple(CHANNELS) + (row,))
    rows = channel_table.parse(message.parse(packed[0])[1].entries)
    assert (len(rows), rows[0].name, rows[0].flags) == (3, "temp", 0)
    assert (rows[2].rule, rows[2].channel, rows[2].severity) == (row.rule, 1, 2)
    assert rows[2].message == row.message


def test_exponents_keep_their_sign():
    for exponent in range(-9, 10):
        packed = channel_table.pack(TAG, [Channel("a", "", exponent)])
        assert channel_table.parse(message.parse(packed[0])[1].entries)[0].exponent == exponent, (
            exponent
        )


def test_large_channel_table_takes_several_messages():
    for count in (0, 1, 4, 5, 30):
        channels = [Channel("channel-%d" % index, "Cel", index % 10) for index in range(count)]
        messages = channel_table.pack(TAG, channels)
        found = []
        for packed in messages:
            parsed = message.parse(packed)[1]
            assert parsed.first == len(found), count
            assert len(packed) <= 5 + channel_table.ENTRIES_SIZE_MAX, count
            found.extend(channel_table.parse(parsed.entries))
        assert [c.name for c in found] == [c.name for c in channels], count
        assert [c.exponent for c in found] == [c.exponent for c in channels], count
        assert (len(messages) > 1) == (count > 10), (count, len(messages))


def test_largest_channel_table_is_numbered_to_its_end():
    # One object 255 times: a table of that size twice over is more than a board's heap.
    next_first = 0
    for packed in channel_table.pack(TAG, [CHANNELS[0]] * 255):
        parsed = message.parse(packed)[1]
        assert parsed.first == next_first
        next_first += len(channel_table.parse(parsed.entries))
    assert next_first == 255


def test_longest_entries_fit():
    channels = [Channel("x" * 31 + "%x" % index, "count", -9) for index in range(10)]
    found = []
    for packed in channel_table.pack(TAG, channels):
        found.extend(channel_table.parse(message.parse(packed)[1].entries))
    assert [c.name for c in found] == [c.name for c in channels]


def test_too_many_channels_are_refused():
    channels = [CHANNELS[0]] * 256
    assert "256" in str(raises(FieldError, channel_table.pack, TAG, channels))


def test_channel_checksum_tells_tables_apart():
    # The literal keeps both ends of an old and a new version in agreement.
    assert channel_table.crc(CHANNELS) == 450346632
    assert channel_table.crc(()) == 0
    seen = [channel_table.crc(CHANNELS)]
    for other in (
        (CHANNELS[1], CHANNELS[0]),
        (CHANNELS[0],),
        (Channel("temp", "Cel", -3), CHANNELS[1]),
        (Channel("temp", "K", -2), CHANNELS[1]),
        (Channel("temq", "Cel", -2), CHANNELS[1]),
        (Channel("temp", "Cel", -2, channel_table.FLAG_LOCAL_ONLY), CHANNELS[1]),
        CHANNELS + (channel_table.AlertRow("hot", 0, 1, "{value}"),),
        CHANNELS + (channel_table.AlertRow("hot", 1, 1, "{value}"),),
        CHANNELS + (channel_table.AlertRow("hot", 0, 2, "{value}"),),
    ):
        crc = channel_table.crc(other)
        assert crc not in seen, other
        seen.append(crc)
