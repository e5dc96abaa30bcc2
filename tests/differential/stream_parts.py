"""Strategies for what comes over a cable: frames, parts of frames, text and noise."""

from hypothesis import strategies as st
from pyv_edge_core.frame import encode, encode_for_board

# A message leads with its version, 1 to 6.
MESSAGES = st.builds(
    lambda lead, body: bytes((lead,)) + body, st.integers(1, 6), st.binary(max_size=120)
)
ENCODERS = st.sampled_from([encode, encode_for_board])
_FRAMES = st.builds(lambda encoder, message: encoder(message), ENCODERS, MESSAGES)


def _damage(framed, place, code):
    place %= len(framed)
    return framed[:place] + bytes((code,)) + framed[place + 1 :]


_AWKWARD = st.lists(
    st.sampled_from(
        [b"~", b"}", b"\x01", b"\n", b"}~", b"~}", b"\x03", b"text", b"\r\n", b"\xff", b"\x00"]
    ),
    max_size=20,
).map(b"".join)

STREAMS = st.lists(
    st.one_of(
        _FRAMES,
        _FRAMES,
        st.builds(lambda framed, cut: framed[:cut], _FRAMES, st.integers(1, 40)),
        st.builds(_damage, _FRAMES, st.integers(0, 300), st.integers(0, 255)),
        st.text(max_size=40).map(str.encode),
        _AWKWARD,
        st.binary(max_size=100),
    ),
    max_size=8,
).map(b"".join)
