"""What the tap makes of bytes: the same however they are split, and never an error."""

import json

from bridge_bytes import KEY, Talk, say
from hypothesis import given
from hypothesis import strategies as st
from pyv_edge_core import message
from pyv_edge_core.frame import FLAG, SIZE_MAX, encode, encode_for_board
from pyv_edge_tools.bridge.chunk import TO_BOARD, TO_HOST, Chunk
from pyv_edge_tools.bridge.description import as_lines, as_object
from pyv_edge_tools.bridge.event import Console, Damaged, Message, Noise
from pyv_edge_tools.bridge.tap import Tap

PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"Traceback (most recent call last):\r\n",
            b">>> ",
            b"\n",
            FLAG,
            FLAG + FLAG,
            b"\x7d",
            b"\x00\x80\xff",
            b"a" * (SIZE_MAX - 1),
            b"\x01" * (SIZE_MAX + 1),
            b"b" * (2 * SIZE_MAX + 7),
            encode(message.pack(message.LOG, 3, 40, "x\n\ny")),
            encode(message.pack(message.GAP, 3, 0, 1, 4, 9)),
            encode(message.pack(message.TIME_RESPONSE, 3, 0x7E0A, 10, 10)),
            encode_for_board(message.pack(message.TIME_REQUEST, 3, 0x7D0A)),
            encode(b"\x01\x55\x00\x00what is that"),
            encode(b"\x01\x01\x00\x00cut"),
            encode(b"\x03"),
        ]
    ),
)


def events(tap, chunks):
    found = [event for chunk in chunks for event in tap.feed(chunk)]
    return found + tap.end(0)


@given(pieces=st.lists(PIECES, max_size=12), data=st.data())
def test_any_split_gives_the_same_events(pieces, data):
    stream = b"".join(pieces)
    whole = events(Tap(), [Chunk(0, TO_HOST, stream)])
    bytewise = events(Tap(), [Chunk(0, TO_HOST, bytes([one])) for one in stream])
    assert bytewise == whole
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parts = [
        stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
    ]
    assert events(Tap(), [Chunk(0, TO_HOST, part) for part in parts]) == whole


@given(pieces=st.lists(PIECES, max_size=12), direction=st.sampled_from([TO_HOST, TO_BOARD]))
def test_whatever_comes_is_described(pieces, direction):
    for event in events(Tap(KEY), [Chunk(5, direction, b"".join(pieces))]):
        assert json.loads(json.dumps(as_object(event, 0)))["at_s"] >= 0
        for line in as_lines(event, 0, has_readings=True):
            assert line.isprintable()


@given(pieces=st.lists(PIECES, max_size=12))
def test_every_frame_that_the_core_takes_is_an_event(pieces):
    tap = Tap()
    found = events(tap, [Chunk(0, TO_HOST, b"".join(pieces))])
    decoder = tap.decoders[TO_HOST]
    assert decoder.frames_total == sum(isinstance(event, Message) for event in found)
    damaged = [event for event in found if isinstance(event, Damaged)]
    unfinished = sum(event.reason == "it ends before its flag" for event in damaged)
    assert decoder.bad_fcs_total + decoder.oversize_total == len(damaged) - unfinished
    assert decoder.noise_bytes_total == sum(
        event.size for event in found if isinstance(event, Noise)
    )


def test_conversation_is_read_with_its_channels():
    talk = Talk().run(40)
    chunks = say(talk.chunks, b"MicroPython v1.27\r\nhello\r\n", at=1)
    found = events(Tap(), chunks)
    names = [event.name for event in found if isinstance(event, Message)]
    assert names[:2] == ["HELLO", "CHANNELS"]
    assert {"WELCOME", "DATA", "ACK", "TIME_REQUEST", "TIME_RESPONSE"} <= set(names)
    assert [event.text for event in found if isinstance(event, Console)] == [
        b"MicroPython v1.27\r\n",
        b"hello\r\n",
    ]
    data = next(event for event in found if isinstance(event, Message) and event.name == "DATA")
    first, second = as_object(data, 0)["fields"]["readings"][:2]
    assert (first["channel"], first["value"], first["unit"]) == ("temperature", "20.00", "Cel")
    assert (second["channel"], second["value"], second["unit"]) == ("pressure", "20010", "Pa")
    assert not [event for event in found if isinstance(event, Damaged | Noise)]


def test_alerts_are_shown_with_their_rule():
    talk = Talk().run(20)
    talk.alert(3050)
    talk.run(0)
    found = [event for event in events(Tap(), talk.chunks) if event.name == "DATA"]
    (line,) = as_lines(found[-1], 0, has_readings=True)[1:]
    assert line.strip() == "0 at 510 ms: too warm: temperature 30.50 Cel fired"


def test_damage_is_explained():
    framed = encode(message.pack(message.TIME_RESPONSE, 3, 1, 2, 3))
    flipped = framed[:5] + bytes([framed[5] ^ 1]) + framed[6:]
    for raw, reason in (
        (flipped, "its FCS is"),
        (FLAG + b"\x01\x02\x7d" + FLAG, "it ends in an escape"),
        (FLAG + b"\x01\x02" + FLAG, "2 bytes are too few"),
        (FLAG + b"\x01" * (SIZE_MAX + 1) + FLAG, "no flag within 1024 bytes"),
        (FLAG + framed[1:-1], "it ends before its flag"),
    ):
        (event,) = events(Tap(), [Chunk(0, TO_HOST, raw)])
        assert isinstance(event, Damaged)
        assert event.reason.startswith(reason)


def test_seals_are_checked_by_those_who_have_the_key():
    talk = Talk(key=KEY).run(40)
    for key, verdicts in ((b"", {"unchecked"}), (KEY, {"genuine"})):
        found = events(Tap(key), talk.chunks)
        sealed = [event for event in found if isinstance(event, Message) and event.seal]
        assert {event.seal for event in sealed} == verdicts
        assert {event.name for event in sealed} >= {"HELLO", "DATA", "ACK", "WELCOME"}
    other = events(Tap(b"another key, of 32 bytes as well."), talk.chunks)
    assert {event.seal for event in other if isinstance(event, Message)} <= {
        *("", "wrong", "unknown session"),
    }


def test_what_is_repeated_or_forged_under_a_seal_is_seen():
    talk = Talk(key=KEY).run(40)
    tap = Tap(KEY)
    found = events(tap, talk.chunks)
    last = next(chunk for chunk in reversed(talk.chunks) if chunk.direction == TO_HOST)
    (again,) = [event for event in tap.feed(last) if isinstance(event, Message)][-1:]
    assert again.seal == "repeated"
    data = next(event for event in found if isinstance(event, Message) and event.name == "DATA")
    forged = data.wire[:-1] + bytes([data.wire[-1] ^ 1])
    (event,) = tap.feed(Chunk(0, TO_HOST, encode(forged)))
    assert event.seal == "wrong"


def test_what_a_board_prints_can_not_steer_a_terminal():
    (event,) = events(Tap(), [Chunk(0, TO_HOST, b"\x1b[2J\x07 hi \xc2\x9b\r\n")])
    (line,) = as_lines(event, 0)
    assert line.isprintable()
    assert "\\x1b[2J" in line


def test_long_input_without_flags_is_walked_through_once():
    """Each byte is copied a bounded number of times, however long the input is."""

    class Counting(bytes):
        copied = 0

        def __getitem__(self, place):
            got = super().__getitem__(place)
            Counting.copied += len(got) if isinstance(place, slice) else 0
            return Counting(got) if isinstance(place, slice) else got

    side = Tap()._sides[TO_HOST]
    size = 200 * SIZE_MAX
    found = side.feed(Counting(size), 0)
    assert sum(event.size for event in found) == size // 65_536 * 65_536
    assert size <= Counting.copied <= 4 * size
