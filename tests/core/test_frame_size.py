"""Frames and lines of the largest size, and what is larger."""

from pyv_edge_core.frame import SIZE_MAX, FrameDecoder, encode
from stream import decode


def test_largest_frame_and_one_byte_more():
    for size_max in (32, 256, SIZE_MAX):
        # The limit counts what stands between the flags: message and FCS, nothing to stuff here.
        message = b"\x01" + b"a" * (size_max - 5)
        while len(encode(message)) - 2 != size_max:
            # The FCS happened to need stuffing: another message has another FCS.
            message = message[:-1] + bytes((message[-1] + 1,))
        for piece in (1, 10, 5000):
            result = decode(encode(message), size_max, piece)
            assert result == ([message], b"", (1, 0, 0, 0, 0)), (size_max, piece)
            longer = encode(message + b"b") + encode(b"\x01good")
            result = decode(longer, size_max, piece)
            assert result == ([b"\x01good"], b"", (1, 0, 1, 0, 0)), (size_max, piece)


def test_oversize_is_counted_once_however_long():
    for length in (65, 66, 130, 2000):
        stream = b"~\x01" + b"a" * length + encode(b"\x01good")
        for piece in (1, 64, 9000):
            result = decode(stream, 64, piece)
            assert result == ([b"\x01good"], b"", (1, 0, 1, 0, 0)), (length, piece)


def test_text_without_newline_comes_at_the_limit():
    decoder = FrameDecoder(32)
    decoder.feed(b"a" * 31)
    assert decoder.take_console() == b""
    decoder.feed(b"a")
    assert decoder.take_console() == b"a" * 32
    decoder.feed(b"b\n")
    assert decoder.take_console() == b"b\n"
