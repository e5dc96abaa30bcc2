"""Where the interpreters may differ, and why: the whole list.

A difference that isn't in it fails the differential test. Each entry has an
example, a script on which they do differ; when they no longer do, a test says
that the entry can go. `excuses(step, ours, theirs)` says whether the difference
of one step is this one; a script is not compared any further behind it.
"""

import math
import re
import struct
from collections import namedtuple

Accepted = namedtuple("Accepted", ("subject", "what", "reason", "excuses", "example"))

# UTF-8 that isn't: overlong, half of a surrogate pair, beyond U+10FFFF. In hex, on whole bytes.
_LENIENT_UTF8 = re.compile("^(?:..)*?(?:c[01]|e0[89]|ed[ab]|f08|f4[9ab]|f[5-7])", re.IGNORECASE)


def _is_truncated(*names):
    """Return an excuse: CPython's `struct` or `array` refuses what MicroPython cuts off."""

    def excuses(step, ours, theirs):
        is_refused = ours[0] == "raised" and ours[1] in ("error", "OverflowError")
        return step[0] in names and is_refused and theirs[0] == "returned"

    return excuses


def _is_lenient_text(step, ours, theirs):
    is_refused = ours[:2] == ["raised", "MessageError"]
    return (
        step[0] in ("parse", "parse_channels")
        and is_refused
        and bool(_LENIENT_UTF8.match(step[1]))
    )


def _is_nearly_equal(step, ours, theirs):
    if step[0] not in ("mean", "std", "rate") or ours[0] != "returned" or theirs[0] != "returned":
        return False
    if not (isinstance(ours[1], dict) and isinstance(theirs[1], dict)):
        return False
    one, other = (struct.unpack("<d", bytes.fromhex(e[1]["float"]))[0] for e in (ours, theirs))
    return math.isclose(one, other, rel_tol=1e-9)


ACCEPTED = [
    Accepted(
        "record_ring",
        "push() of a field outside reading.LIMITS raises on CPython, cuts its upper bits off on "
        "MicroPython",
        "the sampler checks each field once, so that push() needs neither time nor heap",
        _is_truncated("push", "push_many"),
        {"make": [16], "steps": [["push", 256, 0, 1, 0, 0]]},
    ),
    Accepted(
        "ring_buffer",
        "the last digits of mean(), std() and rate() may differ",
        "they are floats, which MicroPython makes of large integers in another way and CPython "
        "3.12 and later adds up more exactly; nothing on a board, no rule and no policy uses them",
        _is_nearly_equal,
        {
            "make": [4, "I"],
            "steps": [
                ["append", 338668373, 0],
                ["append", 65202116, 4041254743701087962],
                ["rate", None, None],
            ],
        },
    ),
    Accepted(
        "message",
        "pack_data() and channel_table.pack() with a field outside its range raise on CPython, "
        "cut its upper bits off on MicroPython",
        "their arguments come from a RecordRing and a boot id, which keep them in range",
        _is_truncated("pack_data", "pack_channels"),
        {"make": [], "steps": [["pack_data", 65536, 0, 0, 0, 0, "00" * 8]]},
    ),
    Accepted(
        "message",
        "a text in overlong UTF-8, with half a surrogate pair or beyond U+10FFFF is refused by "
        "CPython, let through by MicroPython",
        "a board shows the one text that it is sent, the host's name, to nobody; the host refuses",
        _is_lenient_text,
        {"make": [], "steps": [["parse", "010b000001" + "02c080"]]},
    ),
]


def excuse(subject, step, ours, theirs):
    """Return the entry that accepts the difference of one step, None if there is none."""
    for entry in ACCEPTED:
        if entry.subject == subject and entry.excuses(step, ours, theirs):
            return entry
    return None
