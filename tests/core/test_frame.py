"""Frames: round trips, any split, and damage that is counted."""

from pyv_edge_core.frame import SIZE_MAX, FrameDecoder, encode, encode_for_board
from stream import decode, state_of

# Leads with a version byte, as every message does.
ALL_BYTES = b"\x01" + bytes(range(256))
_ENCODERS = (("to host", encode), ("to board", encode_for_board))


def test_every_byte_value_survives_in_both_directions():
    for name, encoder in _ENCODERS:
        for code in range(256):
            message = b"\x01" + bytes((code,)) * 3 + b"\x02"
            result = decode(encoder(message))
            assert result == ([message], b"", (1, 0, 0, 0, 0)), (name, code)
        assert decode(encoder(ALL_BYTES))[0] == [ALL_BYTES], name


def test_flags_stand_at_both_ends_and_nowhere_else():
    for name, encoder in _ENCODERS:
        framed = encoder(ALL_BYTES)
        assert framed[:1] == b"~" and framed[-1:] == b"~", name
        assert framed[1:-1].find(b"~") == -1, name


def test_no_control_character_goes_to_a_board():
    message = ALL_BYTES
    for length in range(1, 40):
        # The FCS differs each time: its bytes must be escaped as well.
        message = b"\x01\x03" + bytes(range(length))
        framed = encode_for_board(message)
        assert min(framed) >= 0x20, length
        assert decode(framed)[0] == [message], length


def test_literal_frames():
    # CBF43926 is the published check value of this FCS; it goes low byte first.
    assert encode(b"123456789") == b"~123456789\x26\x39\xf4\xcb~"
    assert encode_for_board(b"123456789") == b"~123456789\x26\x39\xf4\xcb~"
    assert encode(b"\x01\x7d\x7e") == bytes.fromhex("7e01 7d5d 7d5e a5e8afd3 7e".replace(" ", ""))
    assert encode_for_board(b"\x01\x7d\x7e") == b"~\x7d\x21\x7d\x5d\x7d\x5e\xa5\xe8\xaf\xd3~"
    for code in range(0x20):
        board = encode_for_board(bytes((code,)))
        assert board[1:3] == bytes((0x7D, code | 0x20)), code


_TRAFFIC = (
    b"boot v1\r\nready\n"
    + encode(b"\x01first")
    + encode(ALL_BYTES)
    + b"Traceback (most recent call last):\n  no flag follows at once\nOSError: 5"
    + encode_for_board(b"\x01\x02\x03")
    + b"noise \x00\x01\n"
    + encode(b"\x01x" * 30)[:20]
    + encode(b"\x01after a cut")
    + b"~~~"
    + encode(b"\x01shared")[:-1]
    + encode(b"\x01flag")
    + b"\x01\x02\x03\x04"
    + b"~\x7d~\x01\x7d\x7d\x5e~"
    + b"y" * 100
    + b"\n~\x01"
    + b"z" * 400
    + encode(b"\x01last")
)


def test_any_split_gives_the_same():
    for size_max in (64, SIZE_MAX):
        whole = decode(_TRAFFIC, size_max)
        # Wherever a 64-byte limit bites, at least the short frames come through.
        assert b"\x01first" in whole[0] and b"\x01last" in whole[0], size_max
        assert whole[2][0] == len(whole[0]), size_max
        assert whole[2][1] >= 3, size_max
        for piece in (1, 2, 3, 5, 7, 16, 61, 64, 65, 300):
            assert decode(_TRAFFIC, size_max, piece) == whole, (size_max, piece)


def test_every_cut_into_two_gives_the_same():
    whole = decode(_TRAFFIC, 64)
    for cut in range(1, len(_TRAFFIC)):
        decoder = FrameDecoder(64)
        messages = decoder.feed(_TRAFFIC[:cut])
        messages = messages + decoder.feed(_TRAFFIC[cut:])
        assert (messages, decoder.take_console(), state_of(decoder)) == whole, cut


def test_each_damaged_byte_is_counted_and_the_next_frame_found():
    framed = encode(b"\x01ab\x7dcd\x7e")
    for index in range(1, len(framed) - 1):
        for flip in (0x01, 0x80):
            damaged = framed[:index] + bytes((framed[index] ^ flip,)) + framed[index + 1 :]
            messages, _, state = decode(damaged + encode(b"\x01good"))
            assert messages[-1:] == [b"\x01good"], (index, flip)
            assert len(messages) == 1, (index, flip, messages)
            # A first byte above 1F makes text of the frame; any other damage shows in the FCS.
            counted = state[1] + state[3] + state[4]
            assert counted > 0, (index, flip)


def test_every_truncation_is_counted_and_the_next_frame_found():
    framed = encode(b"\x01abcdefgh")
    for size in range(2, len(framed) - 1):
        messages, console, state = decode(framed[:size] + encode(b"\x01good"))
        assert messages == [b"\x01good"], size
        assert (console, state) == (b"", (1, 1, 0, 0, 0)), size


def test_empty_message_is_no_frame():
    messages, _, state = decode(encode(b""))
    assert messages == []
    # Its FCS is four zero bytes: not a message, and nothing that leads one.
    assert state == (0, 0, 0, 0, 4)


def test_escape_that_escapes_nothing_is_damage():
    for body in (b"\x01ab\x7d", b"\x01\x7d\x7d\x5eabcd", b"\x7d"):
        messages, _, state = decode(b"~" + body + b"~")
        assert (messages, state) == ([], (0, 1, 0, 0, 0)), body


def test_flags_alone_are_nothing():
    assert decode(b"~" * 50, SIZE_MAX, 1) == ([], b"", (0, 0, 0, 0, 0))


def test_two_frames_may_share_a_flag():
    stream = encode(b"\x01a") + encode(b"\x01b")[1:]
    for piece in (1, 100):
        assert decode(stream, SIZE_MAX, piece)[0] == [b"\x01a", b"\x01b"], piece
