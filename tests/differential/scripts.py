"""Hypothesis's strategies for scripts, one for each subject of operations.py.

Arguments are what the docstrings allow, and what they say is refused, to the
ends of 64 bits. Beyond that the interpreters differ in ways that accepted.py
lists: there `struct` and `array` raise on CPython and truncate on MicroPython.
"""

import itertools

import table_scripts
from hypothesis import strategies as st
from message_scripts import message_scripts
from pyv_edge_core import reading
from pyv_edge_core.frame import encode, encode_for_board
from ring_scripts import record_ring_scripts, ring_buffer_scripts
from script_parts import ANY_64, TEXTS, script, scripts_of, steps_of
from stream_parts import MESSAGES, STREAMS

# -- frames ------------------------------------------------------------------------


@st.composite
def frame_scripts(draw):
    """Encode a few messages, then feed a stream with damage and text in any split."""
    steps = []
    for name in ("encode", "encode_for_board"):
        if draw(st.booleans()):
            steps.append([name, draw(st.one_of(MESSAGES, st.binary(max_size=80))).hex()])
    stream = draw(STREAMS)
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=10))
    places = sorted({0, *cuts, len(stream)})
    for start, end in itertools.pairwise(places):
        steps.append(["feed", stream[start:end].hex()])
        if draw(st.integers(0, 3)) == 0:
            steps.append(["take_console"])
    steps.append(["take_console"])
    # One flag, and the next frame is found whatever came before it.
    encoder = draw(st.sampled_from([encode, encode_for_board]))
    steps.append(["feed", (b"~" + encoder(draw(MESSAGES))).hex()])
    return script("frame", [draw(st.sampled_from([1, 16, 64, 1024]))], steps)


# -- patterns and fields -----------------------------------------------------------

_PATTERN_TEXTS = st.one_of(
    st.text("ab*?", max_size=20), st.text("ab*?!.-é\U0001f600", max_size=66), TEXTS
)
_UNITS = st.sampled_from(["", *reading.UNITS_TEXT.split()])
_PATTERN_NAMES = st.one_of(st.text("ab", max_size=20), _PATTERN_TEXTS)
_PATTERNS = st.builds(
    lambda text, names: script("pattern", [text], [("matches", name) for name in names]),
    _PATTERN_TEXTS,
    steps_of(_PATTERN_NAMES, 20),
)
_LITTLE_OF_EACH = st.one_of(st.booleans(), st.none(), TEXTS, ANY_64)
_FIELDS = st.sampled_from(sorted(reading.LIMITS))
_FIELD_VALUES = _FIELDS.flatmap(
    lambda field: st.tuples(
        st.just("check"),
        st.just(field),
        st.one_of(
            st.sampled_from(
                [end + step for end in reading.LIMITS[field] for step in (-1, 0, 1)],
            ),
            _LITTLE_OF_EACH,
        ),
    )
)
_NAMES = st.one_of(st.text("abz019_.-", min_size=1, max_size=34), _LITTLE_OF_EACH)

SCRIPTS = {
    "quantity": table_scripts.QUANTITY_SCRIPTS,
    "window": table_scripts.window_scripts(),
    "rollup": table_scripts.rollup_scripts(),
    "rules": table_scripts.RULES_SCRIPTS,
    "watch": table_scripts.watch_scripts(),
    "hmac": table_scripts.HMAC_SCRIPTS,
    "privacy": table_scripts.PRIVACY_SCRIPTS,
    "record_ring": record_ring_scripts(),
    "ring_buffer": ring_buffer_scripts(),
    "frame": frame_scripts(),
    "message": message_scripts,
    "pattern": _PATTERNS,
    "reading": scripts_of(
        "reading",
        st.one_of(
            _FIELD_VALUES,
            st.tuples(st.just("check_name"), st.sampled_from(["channel", "device"]), _NAMES),
            st.tuples(
                st.just("check_unit"),
                st.one_of(_UNITS, _LITTLE_OF_EACH),
            ),
        ),
    ),
}
