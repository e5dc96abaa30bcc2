"""What holds for every byte string: frames, messages, and the split of a stream."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from profiles import examples
from pyv_edge_core import channel_table, message
from pyv_edge_core.errors import FieldError, MessageError
from pyv_edge_core.frame import FrameDecoder, encode, encode_for_board
from pyv_edge_core.reading import Channel

_SETTINGS = examples(400)

# A message leads with its version, 1 to 6.
leads = st.integers(1, 6).map(lambda code: bytes((code,)))
messages = st.builds(lambda lead, body: lead + body, leads, st.binary(max_size=200))
encoders = st.sampled_from([encode, encode_for_board])
awkward = st.lists(
    st.sampled_from(
        [b"~", b"}", b"\x01", b"\n", b"}~", b"~}", b"\x03", b"text", b"\r\n", b"\xff", b"\x00"]
    ),
    max_size=40,
).map(b"".join)
garbage = st.one_of(st.binary(max_size=300), awkward)
streams = st.lists(
    st.one_of(
        garbage,
        st.builds(lambda encoder, payload: encoder(payload), encoders, messages),
        st.builds(lambda payload, cut: encode(payload)[:cut], messages, st.integers(1, 40)),
        st.text(max_size=60).map(str.encode),
    ),
    max_size=8,
).map(b"".join)
size_maxima = st.sampled_from([16, 64, 1024])


def _counters(decoder):
    return {key: value for key, value in vars(decoder).items() if key.endswith("_total")}


def _split(stream, cuts):
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    return [stream[start:end] for start, end in itertools.pairwise(places)]


@_SETTINGS
@given(messages, encoders)
def test_decoding_gives_back_what_was_encoded(payload, encoder):
    decoder = FrameDecoder()
    assert decoder.feed(encoder(payload)) == [payload]
    assert decoder.frames_total == sum(_counters(decoder).values()) == 1


@_SETTINGS
@given(st.binary(max_size=300))
def test_nothing_below_a_space_goes_to_a_board(payload):
    assert min(encode_for_board(payload)) >= 0x20


@_SETTINGS
@given(st.lists(st.tuples(messages, encoders), max_size=6))
def test_frames_come_in_their_order(pairs):
    stream = b"".join(encoder(payload) for payload, encoder in pairs)
    assert FrameDecoder().feed(stream) == [payload for payload, _ in pairs]


@_SETTINGS
@given(streams, size_maxima, st.lists(st.integers(0, 1500), max_size=12))
def test_the_split_of_a_stream_does_not_matter(stream, size_max, cuts):
    whole = FrameDecoder(size_max)
    expected = whole.feed(stream)
    text = whole.take_console()
    for pieces in (_split(stream, cuts), [bytes((code,)) for code in stream]):
        decoder = FrameDecoder(size_max)
        found = []
        console = b""
        for piece in pieces:
            found += decoder.feed(piece)
            console += decoder.take_console()
        assert (found, console) == (expected, text)
        assert _counters(decoder) == _counters(whole)


@_SETTINGS
@given(garbage, messages, encoders, size_maxima)
def test_after_any_garbage_and_one_flag_the_next_frame_arrives(noise, payload, encoder, size_max):
    framed = encoder(payload)
    decoder = FrameDecoder(max(size_max, len(framed)))
    decoder.feed(noise)
    decoder.feed(b"~")
    assert decoder.feed(framed) == [payload]


@_SETTINGS
@given(st.lists(garbage, max_size=5), size_maxima)
def test_garbage_never_fills_the_memory(pieces, size_max):
    decoder = FrameDecoder(size_max)
    for piece in pieces:
        decoder.feed(piece)
        decoder.take_console()
        assert len(decoder._pending) <= size_max


@_SETTINGS
@given(st.one_of(st.binary(max_size=120), messages))
def test_parsing_raises_only_message_error(raw):
    try:
        parsed = message.parse(raw)
    except MessageError:
        return
    assert parsed is None or 1 <= parsed[0] <= message.LOG


@_SETTINGS
@given(st.integers(message.HELLO, message.LOG), st.binary(max_size=120), st.integers(0, 2**16 - 1))
def test_parsing_a_known_type_raises_only_message_error(kind, body, tag):
    raw = bytes((1, kind, tag & 0xFF, tag >> 8)) + body
    try:
        parsed_kind, parsed = message.parse(raw)
    except MessageError:
        return
    assert (parsed_kind, parsed.tag) == (kind, tag)


u8, u16, u32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
texts = st.text(max_size=100)


@_SETTINGS
@given(u16, u32, u16, u32, u32, texts)
def test_welcome_comes_back_or_is_refused(tag, boot, window, telemetry, events, host):
    values = (boot, window, telemetry, events, host)
    try:
        raw = message.pack(message.WELCOME, tag, *values)
    except FieldError:
        assert len(host.encode()) > message.TEXT_SIZE_MAX
        return
    assert message.parse(raw) == (message.WELCOME, (tag, *values))


@_SETTINGS
@given(
    u16,
    st.integers(0, 1),
    st.integers(0, 2**32 - 1 - 16),
    u32,
    st.integers(0, 999),
    st.integers(1, 16).flatmap(lambda count: st.binary(min_size=count * 8, max_size=count * 8)),
)
def test_data_comes_back(tag, stream, first_seq, base_s, base_ms, records):
    raw = message.pack_data(tag, stream, first_seq, base_s, base_ms, records)
    assert message.parse(raw) == (
        message.DATA,
        (tag, stream, first_seq, base_s, base_ms, records),
    )


names = st.text("abcdefghijklmnopqrstuvwxyz0123456789_.-", min_size=1, max_size=32)
channels = st.builds(
    Channel, names, st.sampled_from(["", "Cel", "%RH", "count"]), st.integers(-9, 9)
)


@examples(100)
@given(u16, st.lists(channels, max_size=60))
def test_channel_table_comes_back(tag, table):
    found = []
    for raw in channel_table.pack(tag, table):
        kind, parsed = message.parse(raw)
        assert (kind, parsed.tag, parsed.first) == (message.CHANNELS, tag, len(found))
        found += channel_table.parse(parsed.entries)
    assert [vars(channel) for channel in found] == [vars(channel) for channel in table]
    assert channel_table.crc(found) == channel_table.crc(table)
