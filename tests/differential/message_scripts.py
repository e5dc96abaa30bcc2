"""Strategies for messages: packed with fields in and out of range, parsed whole and damaged."""

from hypothesis import strategies as st
from message_operations import row_of
from pyv_edge_core import channel_table, message, reading
from script_parts import ANY_64, TEXTS, U8, U16, U32, scripts_of

# type: its body's fields in order, as in PROTOCOL.md; "T" is a text
_BODIES = {
    message.HELLO: "IIHBBBBBIIIIIIIIIIIIIIIIITTTT",
    message.WELCOME: "IHIIT",
    message.GAP: "BBII",
    message.ACK: "BBII",
    message.TIME_REQUEST: "H",
    message.TIME_RESPONSE: "HIH",
    message.HELLO_REQUEST: "II",
    message.VITALS: "IHBIIIIIIIIIIIIIIHIIIII",
    message.LOG: "BT",
    message.REFUSAL: "BBBB",
    message.COMMAND: "IIIBBI",
    message.RESULT: "IBIT",
}
_IN_RANGE = {"B": U8, "H": U16, "I": U32, "T": st.text(max_size=24)}
_KINDS = st.sampled_from(sorted(_BODIES))
_UNITS = st.sampled_from(["", *reading.UNITS_TEXT.split()])
_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789_.-", min_size=1, max_size=32)
_ROWS = st.lists(
    st.one_of(
        st.tuples(
            _NAMES,
            _UNITS,
            st.integers(-9, 9),
            st.integers(0, 3),
        ),
        st.tuples(st.text(max_size=20), st.text(max_size=20), st.integers(0, 254)),
    ),
    max_size=12,
)
_ROWS_REFUSED = st.lists(
    st.tuples(
        st.one_of(_NAMES, TEXTS),
        st.one_of(_UNITS, TEXTS),
        st.one_of(st.integers(-12, 12), ANY_64),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=3,
)
_DATA = (
    U16,
    st.integers(0, 1),
    U32,
    U32,
    st.integers(0, 999),
    st.integers(1, 16).flatmap(lambda count: st.binary(min_size=count * 8, max_size=count * 8)),
)


def _pack_steps(kind):
    fields = st.tuples(*[_IN_RANGE[code] for code in _BODIES[kind]])
    # One field out of range, or of the wrong kind; a text that is too long; one value too few.
    odd = st.one_of(ANY_64, st.booleans(), st.text(max_size=110))
    return st.one_of(
        st.tuples(U16, fields),
        st.tuples(ANY_64, fields),
        st.tuples(U16, st.builds(_with_one_odd, fields, st.integers(0, 30), odd)),
        st.tuples(U16, fields.map(lambda values: values[:-1])),
    ).map(lambda drawn: ["pack", kind, drawn[0], *drawn[1]])


def _with_one_odd(values, place, odd):
    values = list(values)
    if values:
        values[place % len(values)] = odd
    return values


def _packed(kind):
    fields = st.tuples(*[_IN_RANGE[code] for code in _BODIES[kind]])
    return st.builds(lambda tag, values: message.pack(kind, tag, *values), U16, fields)


def _packed_rows(tag, rows):
    """Return the first message of a channel table."""
    return channel_table.pack(tag, [row_of(values) for values in rows])[0]


_WHOLE = st.one_of(
    _KINDS.flatmap(_packed),
    st.builds(message.pack_data, *_DATA),
    st.builds(_packed_rows, U16, _ROWS),
    st.builds(
        lambda *values: message.pack(message.CONFIG, *values),
        *(U16, U32, U32, st.integers(0, 80), U32, st.integers(0, 60)),
        st.binary(max_size=50),
    ),
)


def _spoil(raw, place, code):
    """Change a byte, or cut there, or insert one."""
    place %= len(raw)
    return (
        raw[:place] + bytes((code,)) + raw[place + 1 :],
        raw[:place],
        raw[:place] + bytes((code,)) + raw[place:],
    )[code % 3]


_RAW = st.one_of(
    _WHOLE,
    st.builds(_spoil, _WHOLE, st.integers(0, 300), U8),
    st.builds(
        lambda kind, body: bytes((1, kind, 2, 3)) + body,
        st.integers(0, 17),
        st.binary(max_size=80),
    ),
    st.binary(max_size=40),
)
_ENTRIES = st.one_of(
    _ROWS.map(lambda rows: _packed_rows(0, rows)[5:]),
    st.builds(
        _spoil,
        _ROWS.map(lambda rows: _packed_rows(0, rows)[5:] or b"\x00"),
        st.integers(0, 300),
        U8,
    ),
    st.binary(max_size=40),
)

message_scripts = scripts_of(
    "message",
    st.one_of(
        _KINDS.flatmap(_pack_steps),
        st.tuples(st.just("pack_data"), *_DATA[:-1], _DATA[-1].map(bytes.hex)),
        st.tuples(st.just("parse"), _RAW.map(bytes.hex)),
        st.tuples(st.just("parse"), _RAW.map(bytes.hex)),
        st.tuples(st.just("pack_channels"), U16, st.one_of(_ROWS, _ROWS_REFUSED)),
        st.tuples(st.just("channels_crc"), _ROWS),
        st.tuples(st.just("parse_channels"), _ENTRIES.map(bytes.hex)),
    ),
)
