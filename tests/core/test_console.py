"""Console text and noise on the stream that brings the frames."""

from pyv_edge_core.frame import SIZE_MAX, FrameDecoder, encode
from stream import decode


def test_console_text_before_between_and_behind_frames():
    stream = b"one\n" + encode(b"\x01a") + b"two" + encode(b"\x01b") + b"three\nfour"
    for piece in (1, 4, 100):
        messages, console, state = decode(stream, SIZE_MAX, piece)
        assert messages == [b"\x01a", b"\x01b"], piece
        # "four" has neither newline nor flag: it waits for the rest of its line.
        assert console == b"one\ntwothree\n", piece
        assert state == (2, 0, 0, len(console), 0), piece


def test_text_without_any_flag_comes_line_by_line():
    decoder = FrameDecoder()
    assert decoder.feed(b"MicroPython v1.2") == []
    assert decoder.take_console() == b""
    assert decoder.feed(b"8\r\n>>> ") == []
    assert decoder.take_console() == b"MicroPython v1.28\r\n"
    decoder.feed(b"1+1\r\n2\r\n")
    assert decoder.take_console() == b">>> 1+1\r\n2\r\n"
    assert decoder.take_console() == b""


def test_terminal_controls_and_utf8_are_text():
    text = "grün 21 °C\t\x1b[1mbold\x1b[0m\x07\x08\x0c\r\n".encode()
    _, console, state = decode(text)
    assert (console, state) == (text, (0, 0, 0, len(text), 0))


def test_binary_noise_is_counted_and_not_shown():
    for noise in (b"\xff\x00\xfe\n", b"a\x01\n", b"abc\x00", b"\x80\x1f\x80\n"):
        messages, console, state = decode(noise + encode(b"\x01good"))
        assert messages == [b"\x01good"], noise
        assert console == b"", noise
        assert state == (1, 0, 0, 0, len(noise)), noise


def test_noise_condemns_only_its_own_line():
    _, console, state = decode(b"good\nbad\x00\nfine\n~")
    assert (console, state) == (b"good\nfine\n", (0, 0, 0, 10, 5))
