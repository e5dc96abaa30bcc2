"""Hypothesis against the link: what holds for any bytes, tried with some that are nearly right."""

import pytest
from attack import MODES, attack, counters, decode
from hostile import BOOT, LAYOUTS, Drawn, damaged, greeting, piece, right_size, stream
from hypothesis import given
from hypothesis import strategies as st
from pair import pair_that_is_up
from profiles import examples
from pyv_edge_core import message
from pyv_edge_core.errors import MessageError
from pyv_edge_core.frame import FrameDecoder, encode


@st.composite
def streams(draw):
    return stream(Drawn(draw, st))


@st.composite
def messages(draw):
    return right_size(Drawn(draw, st))


@st.composite
def noise(draw):
    """Frames that were right once, each with a harm, and what else lies on a line."""
    choose = Drawn(draw, st)
    parts = [
        damaged(choose, encode(right_size(choose))) if choose.integer(0, 1) else piece(choose)
        for _ in range(choose.integer(1, 8))
    ]
    return b"".join(part for part in parts if not FrameDecoder().feed(b"~" + part + b"~"))


def test_layouts_are_those_of_the_messages():
    assert set(LAYOUTS) == set(range(message.HELLO, message.RESULT + 1))
    for kind, layout in LAYOUTS.items():
        if layout is None:
            continue
        codes, text_count = layout
        size = sum({"B": 1, "H": 2, "I": 4}[code] for code in codes)
        body = bytes(size) + bytes(text_count)
        assert message.parse(bytes((1, kind, 0, 0)) + body)[0] == kind
        if kind not in (message.HELLO, message.REFUSAL):  # these may have been appended to
            with pytest.raises(MessageError):
                message.parse(bytes((1, kind, 0, 0)) + body + b"\x00")


@examples(300)
@given(streams())
def test_decoding_whole_and_byte_by_byte_gives_the_same(data):
    decode(data)


@examples(150)
@given(streams(), st.sampled_from(MODES), st.booleans())
def test_any_bytes_leave_both_ends_working(data, mode, is_up):
    attack(data, mode, is_up=is_up)


@examples(100)
@given(noise(), st.sampled_from(MODES))
def test_noise_costs_nothing_but_time(data, mode):
    features = attack(data, mode, is_up=True)
    assert ("states", 2, 2) in features  # both were up


@examples(150)
@given(streams())
def test_a_host_makes_the_same_of_a_stream_however_it_is_split(data):
    whole, single = pair_that_is_up(), pair_that_is_up()
    now_ms = whole.now_ms
    events = whole.host.receive(data, now_ms)
    found = []
    for code in data:
        found += single.host.receive(bytes((code,)), now_ms)
    assert found == events or _comparable(found) == _comparable(events)
    assert counters(single.host) == counters(whole.host)
    assert single.host.state == whole.host.state
    assert single.host.transmit(now_ms) == whole.host.transmit(now_ms)


def _comparable(events):
    # Rows of a channel table compare by identity: what they say has to be the same.
    return [
        (type(event).__name__, event.hello, [vars(row) for row in event.channels])
        if hasattr(event, "channels")
        else (type(event).__name__, *event)
        for event in events
    ]


@examples(150)
@given(streams())
def test_a_board_makes_the_same_of_a_stream_however_it_is_split(data):
    whole, single = pair_that_is_up(), pair_that_is_up()
    now_ms = whole.now_ms
    for pair in (whole, single):
        pair.sample(40)
        pair.device.transmit(now_ms, 0, 0)
    whole.device.receive(data, now_ms)
    for code in data:
        single.device.receive(bytes((code,)), now_ms)
    assert counters(single.device) == counters(whole.device)
    states = [(p.device.state, p.telemetry.first_seq, p.events.first_seq) for p in (whole, single)]
    assert states[0] == states[1]
    frames = [[p.device.transmit(now_ms, 0, 0) for _ in range(8)] for p in (whole, single)]
    assert frames[0] == frames[1]


@examples(100)
@given(streams(), messages())
def test_the_next_good_message_is_processed(data, payload):
    decoder = FrameDecoder()
    decoder.feed(data)
    decoder.feed(b"~")
    assert decoder.feed(encode(payload)) == ([payload] if payload[0] else [])


@st.composite
def greetings(draw):
    return greeting(Drawn(draw, st))


@examples(60)
@given(st.lists(greetings(), min_size=1, max_size=6), st.booleans())
def test_repeated_greetings_with_other_tables_end_with_the_last_whole_one(tables, is_up):
    data = b"".join(encode(payload) for table in tables for payload in table)
    assert BOOT & 0xFFFF != (BOOT + 0x10001) & 0xFFFF  # the boot that recovery uses is another
    attack(data, MODES[3], is_up=is_up)
