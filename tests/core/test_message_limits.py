"""Texts, numbers and times at the ends of what a message may hold, and one beyond."""

from check import raises
from pyv_edge_core import message
from pyv_edge_core.errors import FieldError, MessageError

TAG = 0xBEEF
_HELLO = (0,) * 22 + ("d", "b", "f", "c")  # what follows the uptime
_VITALS = (0,) * 21


def _data(stream=0, first_seq=0, base_s=0, base_ms=0, records=bytes(16)):
    return message.pack_data(TAG, stream, first_seq, base_s, base_ms, records)


def test_longest_text_and_one_byte_more():
    longest = "é" * 48
    packed = message.pack(message.LOG, TAG, 0, longest)
    assert message.parse(packed)[1].text == longest
    error = raises(FieldError, message.pack, message.LOG, TAG, 0, longest + "a")
    assert "97" in str(error) and "96" in str(error)
    # From the wire as well: a size byte of 97 with 97 bytes behind it.
    raises(MessageError, message.parse, packed[:5] + b"\x61" + b"a" * 97)


def test_text_that_is_not_utf8_is_refused():
    for text in (b"\xff", b"\xc3", b"a\x80"):
        raw = b"\x01\x0b\xef\xbe\x00" + bytes((len(text),)) + text
        error = raises(MessageError, message.parse, raw)
        assert str(error), text


def test_text_size_beyond_the_end_is_refused():
    error = raises(MessageError, message.parse, b"\x01\x0b\xef\xbe\x00\x05abcd")
    assert "5" in str(error)


def test_data_limits():
    largest = 0xFFFFFFFF
    assert message.parse(_data(1, largest - 2, largest, 999))[1].first_seq == largest - 2
    cases = (
        ("stream", _data(stream=2)),
        ("base_ms", _data(base_ms=1000)),
        ("first_seq", _data(first_seq=largest - 1)),
        ("no records", _data(records=b"")),
        ("half a record", _data(records=b"1234")),
    )
    for name, raw in cases:
        error = raises(MessageError, message.parse, raw)
        assert "DATA" in str(error), name


def test_gap_and_ack_limits():
    assert message.parse(message.pack(message.GAP, TAG, 0, 1, 7, 7))[1].last_seq == 7
    cases = (
        ("GAP stream", message.pack(message.GAP, TAG, 2, 1, 0, 0)),
        ("GAP backwards", message.pack(message.GAP, TAG, 0, 1, 8, 7)),
        ("ACK stream", message.pack(message.ACK, TAG, 2, 0, 0, 0)),
    )
    for name, raw in cases:
        error = raises(MessageError, message.parse, raw)
        assert name[:3] in str(error), name


def test_milliseconds_of_an_uptime_are_below_a_second():
    for kind, before, behind in (
        (message.HELLO, (1, 2), _HELLO),
        (message.TIME_RESPONSE, (1, 2), ()),
        (message.VITALS, (1,), _VITALS),
    ):
        raw = message.pack(kind, TAG, *(before + (999,) + behind))
        assert message.parse(raw)[1].uptime_ms == 999, kind
        raw = message.pack(kind, TAG, *(before + (1000,) + behind))
        assert "1000" in str(raises(MessageError, message.parse, raw)), kind
