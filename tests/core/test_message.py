"""Every message: its bytes, its limits, and each way in which it can be broken."""

from check import raises
from pyv_edge_core import channel_table, message
from pyv_edge_core.errors import FieldError, MessageError
from pyv_edge_core.reading import Channel

TAG = 0xBEEF
CHANNELS = (Channel("temp", "Cel", -2), Channel("rh", "%RH", 1))
_HELLO_NUMBERS = (
    0xDEADBEEF,  # boot
    100000,  # uptime_s
    999,  # uptime_ms
    1,  # version_min
    2,  # version_max
    3,  # reset_cause
    1,  # flags
    2,  # channel_count
    0x01020304,  # channels_crc
    5,  # telemetry_first
    6,  # telemetry_next
    7,  # events_first
    8,  # events_next
    2048,  # capacity
    9,  # dropped_total
    0xA1A2A3A4,  # config_hash
    0xB1B2B3B4,  # policy_hash
    0xC1C2C3C4,  # firmware_hash
    77,  # boots
    0x11121314,  # greeting
    0x21222324,  # challenge_a
    0x31323334,  # challenge_b
    0x41424344,  # last_boot
    848,  # last_sampled
    8,  # last_denied
)
_VITALS = (100000, 999, 1, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 8, 9, 0xFFFFFFFF, 513) + (
    14,  # pages
    15,
    16,
    17,
    18,
)

# (type, values of the body, number of texts at its end, the message on the wire). The hex is
# the format: if it changes, boards in the field can no longer be understood.
PACKED = (
    (
        message.HELLO,
        _HELLO_NUMBERS + ("dev", "unix", "0.1", "0.2"),
        4,
        (
            "0101efbeefbeaddea0860100e70301020301020403020105000000060000000700000008000000"
            "0008000009000000a4a3a2a1b4b3b2b1c4c3c2c14d000000141312112423222134333231444342"
            "415003000008000000036465"
            "7604756e697803302e3103302e32"
        ),
    ),
    (
        message.WELCOME,
        (0xDEADBEEF, 1024, 70000, 3, "hé"),
        1,
        "0103efbe" + "efbeadde" + "0004" + "70110100" + "03000000" + "0368c3a9",
    ),
    (message.GAP, (1, 2, 256, 70000), 0, "0105efbe" + "01" + "02" + "00010000" + "70110100"),
    (message.ACK, (1, 1, 256, 70000), 0, "0106efbe" + "01" + "01" + "00010000" + "70110100"),
    (message.TIME_REQUEST, (0x1234,), 0, "0107efbe" + "3412"),
    (message.TIME_RESPONSE, (0x1234, 100000, 999), 0, "0108efbe" + "3412" + "a0860100" + "e703"),
    (
        message.HELLO_REQUEST,
        (0x21222324, 0x31323334),
        0,
        "0109efbe" + "24232221" + "34333231",
    ),
    (
        message.VITALS,
        _VITALS,
        0,
        "010aefbe" + "a0860100" + "e703" + "01" + "01000000" + "02000000" + "03000000"
        "04000000" + "05000000" + "06000000" + "07000000" + "0a000000" + "0b000000"
        "0c000000" + "0d000000" + "08000000"
        "09000000" + "ffffffff" + "0102"
        "0e000000" + "0f000000" + "10000000" + "11000000" + "12000000",
    ),
    (message.LOG, (20, "hi"), 1, "010befbe" + "14" + "026869"),
    (message.REFUSAL, (2, 1, 3, 30), 0, "010cefbe" + "02" + "01" + "03" + "1e"),
    (
        message.COMMAND,
        (0xDEADBEEF, 0x41424344, 100060, 2, 255, 250),
        0,
        "010defbe" + "efbeadde" + "44434241" + "dc860100" + "02" + "ff" + "fa000000",
    ),
    (
        message.RESULT,
        (0x41424344, 1, 70000, "no"),
        1,
        "010fefbe" + "44434241" + "01" + "70110100" + "026e6f",
    ),
)
CONFIG_VALUES = (0xDEADBEEF, 0x41424344, 70000, 0x51525354, 48, b"{}")
CONFIG_HEX = "010eefbe" + "efbeadde" + "44434241" + "70110100" + "54535251" + "30000000" + "7b7d"
_RECORDS = bytes(range(16))
DATA_HEX = "0104efbe" + "01" + "70110100" + "a0860100" + "e703" + _RECORDS.hex()
CHANNELS_HEX = (
    "0102efbe" + "00" + "fe00" + "0474656d70" + "0343656c" + "0100" + "027268" + "03255248"
)
ALL_HEX = tuple([row[3] for row in PACKED]) + (DATA_HEX, CHANNELS_HEX, CONFIG_HEX)


def _data(stream=0, first_seq=0, base_s=0, base_ms=0, records=_RECORDS):
    return message.pack_data(TAG, stream, first_seq, base_s, base_ms, records)


def _bytes(text):
    return bytes.fromhex(text)


def test_every_type_has_a_vector():
    kinds = sorted([_bytes(text)[1] for text in ALL_HEX])
    assert kinds == list(range(message.HELLO, message.RESULT + 1))


def test_packing_gives_the_literal_bytes():
    for kind, values, _, text in PACKED:
        assert message.pack(kind, TAG, *values).hex() == text, kind
    assert _data(1, 70000, 100000, 999).hex() == DATA_HEX
    assert [packed.hex() for packed in channel_table.pack(TAG, CHANNELS)] == [CHANNELS_HEX]


def test_parsing_gives_the_values_back():
    for kind, values, _, text in PACKED:
        parsed_kind, parsed = message.parse(_bytes(text))
        assert parsed_kind == kind
        assert tuple(parsed) == (TAG,) + values, kind
    assert message.parse(_bytes(DATA_HEX)) == (
        message.DATA,
        (TAG, 1, 70000, 100000, 999, _RECORDS),
    )


def test_fields_have_the_names_that_the_rest_of_the_code_uses():
    hello = message.parse(_bytes(PACKED[0][3]))[1]
    assert (hello.tag, hello.boot, hello.uptime_s, hello.uptime_ms) == (
        TAG,
        0xDEADBEEF,
        100000,
        999,
    )
    assert (hello.version_min, hello.reset_cause, hello.channel_count) == (1, 3, 2)
    assert (hello.telemetry_first, hello.telemetry_next) == (5, 6)
    assert (hello.events_first, hello.events_next) == (7, 8)
    assert (hello.capacity, hello.dropped_total) == (2048, 9)
    assert (hello.config_hash, hello.policy_hash) == (0xA1A2A3A4, 0xB1B2B3B4)
    assert (hello.firmware_hash, hello.boots, hello.flags) == (0xC1C2C3C4, 77, 1)
    assert (hello.device, hello.board, hello.firmware, hello.core) == ("dev", "unix", "0.1", "0.2")
    vitals = message.parse(_bytes(PACKED[7][3]))[1]
    assert (vitals.flags, vitals.sampled_total, vitals.denied_total) == (1, 1, 2)
    assert (vitals.dropped_total, vitals.late_total, vitals.sensor_errors_total) == (3, 4, 5)
    assert (vitals.resends_total, vitals.frames_bad_total, vitals.telemetry_next) == (6, 7, 8)
    assert (vitals.held, vitals.heap_free, vitals.loop_lag_ms_max) == (9, 0xFFFFFFFF, 513)
    assert (vitals.pages, vitals.pages_written_total, vitals.pages_dropped_total) == (14, 15, 16)
    assert (vitals.pages_failed_total, vitals.pages_refused_total) == (17, 18)


def _parse(raw):
    """Parse a message, and of CHANNELS the table in it as well."""
    kind, parsed = message.parse(raw)
    if kind == message.CHANNELS:
        channel_table.parse(parsed.entries)
    return kind, parsed


def test_every_length_cut_short_is_refused():
    for text in ALL_HEX:
        whole = _bytes(text)
        assert message.parse(whole) is not None
        for size in range(len(whole)):
            # DATA cut at a record and a channel table cut at an entry are whole messages.
            if text == DATA_HEX and size == 15 + 8:
                assert len(message.parse(whole[:size])[1].records) == 8
            elif text == CHANNELS_HEX and size in (5, 5 + 11):
                assert len(_parse(whole[:size])[1].entries) == size - 5
            elif text == CONFIG_HEX and size == 25:
                assert _parse(whole[:size])[1].content == b"{"
            else:
                error = raises(MessageError, _parse, whole[:size])
                assert str(error), (text, size)


def test_surplus_bytes_are_refused():
    for text in ALL_HEX:
        if _bytes(text)[1] in (message.HELLO, message.REFUSAL, message.CONFIG):
            continue
        for surplus in (b"\x00", b"\xff\xff"):
            error = raises(MessageError, _parse, _bytes(text) + surplus)
            assert str(error), (text, surplus)


def test_a_later_version_may_append_to_what_both_ends_must_always_understand():
    for kind in (message.HELLO, message.REFUSAL):
        (whole,) = [_bytes(text) for text in ALL_HEX if _bytes(text)[1] == kind]
        assert message.parse(whole + b"more") == message.parse(whole)


def test_config_is_a_piece_of_its_document():
    assert message.pack(message.CONFIG, TAG, *CONFIG_VALUES).hex() == CONFIG_HEX
    assert message.parse(_bytes(CONFIG_HEX)) == (message.CONFIG, (TAG,) + CONFIG_VALUES)
    for size, offset, content in ((48, 46, b"abc"), (48, 49, b"a"), (48, 0, b"")):
        raw = message.pack(message.CONFIG, TAG, 1, 2, size, 3, offset, content)
        assert "CONFIG" in str(raises(MessageError, message.parse, raw)), (size, offset)


def test_numbers_that_do_not_fit_are_refused():
    for kind, values, text_count, text in PACKED:
        for index in range(len(values) - text_count):
            for wrong in (-1, 2**32, 1.0, "1", None):
                changed = values[:index] + (wrong,) + values[index + 1 :]
                error = raises(FieldError, message.pack, kind, TAG, *changed)
                assert repr(wrong) in str(error), (kind, index, wrong, text)


def test_each_number_takes_its_whole_width_and_no_more():
    width = {"uptime_ms": 16, "token": 16, "flags": 8, "stream": 8}
    cases = (
        (message.TIME_RESPONSE, ("token", "uptime_s", "uptime_ms")),
        (message.GAP, ("stream", "flags", "first_seq", "last_seq")),
    )
    for kind, fields in cases:
        for index, field in enumerate(fields):
            largest = 2 ** width.get(field, 32) - 1
            values = [0] * len(fields)
            values[index] = largest
            packed = message.pack(kind, TAG, *values)
            assert packed.count(b"\xff") == width.get(field, 32) // 8, (kind, field)
            values[index] = largest + 1
            error = raises(FieldError, message.pack, kind, TAG, *values)
            assert str(largest + 1) in str(error), (kind, field)


def test_a_bool_is_no_number_on_either_interpreter():
    # An int on CPython and none on MicroPython: both must refuse it, or they differ.
    error = raises(FieldError, message.pack, message.ACK, TAG, True, 0, 0, 0)
    assert "True" in str(error)


def test_a_tag_that_does_not_fit_is_refused():
    # MicroPython's struct would truncate it to another boot's tag without a word.
    for tag in (-1, 0x10000):
        error = raises(FieldError, message.pack, message.HELLO_REQUEST, tag)
        assert str(tag) in str(error), tag


def test_wrong_count_of_values_is_refused():
    for kind, values, _, _ in PACKED:
        error = raises(FieldError, message.pack, kind, TAG, *(values + (1,)))
        assert str(len(values) + 1) in str(error), kind
        if values:
            error = raises(FieldError, message.pack, kind, TAG, *values[:-1])
            assert str(len(values) - 1) in str(error), kind


def test_unknown_types_are_none():
    for kind in (0, 16, 128, 255):
        for body in (b"", b"whatever"):
            assert message.parse(bytes((1, kind, 0, 0)) + body) is None, (kind, body)


def test_other_versions_are_refused():
    for version in (0, 2, 255):
        raw = bytes((version,)) + message.pack(message.TIME_REQUEST, TAG, 7)[1:]
        assert "version %d" % version in str(raises(MessageError, message.parse, raw))
