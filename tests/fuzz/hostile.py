"""Makes bytes that a link's ends would rather not get: frames of all kinds, right and wrong.

All of it is put together by a `Choice`, which either draws from Hypothesis or
from a seeded generator, so that properties and the growing of the corpus share
one idea of what is nasty. `@5000` as console text lets 5 s pass, see attack.py.
"""

import struct

from pyv_edge_core import channel_table, message
from pyv_edge_core.frame import encode, encode_for_board
from pyv_edge_core.reading import Channel

BOOT = 0xC0FFEE01  # of the board that is under attack
OTHER_BOOT = 0xBADB0017
DEVICE = "device-1"

# type: codes of the fixed fields, number of texts: PROTOCOL.md, told once more. None: by itself.
LAYOUTS = {
    message.HELLO: ("IIHBBBBBIIIIIIIIIIIIIIIII", 4),
    message.CHANNELS: None,
    message.WELCOME: ("IHII", 1),
    message.DATA: None,
    message.GAP: ("BBII", 0),
    message.ACK: ("BBII", 0),
    message.TIME_REQUEST: ("H", 0),
    message.TIME_RESPONSE: ("HIH", 0),
    message.HELLO_REQUEST: ("II", 0),
    message.VITALS: ("IHBIIIIIIIIIIIIIIHIIIII", 0),
    message.LOG: ("B", 1),
    message.REFUSAL: ("BBBB", 0),
    message.COMMAND: ("IIIBBI", 0),
    message.CONFIG: None,
    message.RESULT: ("IBI", 1),
}
KINDS_MAX = 40  # types that are tried with wild bodies, known or not

_NUMBERS = {
    "B": (0, 1, 2, 3, 16, 128, 255),
    "H": (0, 1, 2, 3, 16, 64, 999, 1000, BOOT & 0xFFFF, 0x7FFF, 0xFFFF),
    "I": (
        *(0, 1, 2, 15, 16, 17, 64, 1000, BOOT, OTHER_BOOT),
        *(2**30, 2**31 - 1, 2**31, 2**32 - 17, 2**32 - 16, 2**32 - 2, 2**32 - 1),
    ),
}
_BITS = {"B": 8, "H": 16, "I": 32}
_TEXTS = (b"", DEVICE.encode(), b"x" * 96, b"x" * 97, b"\xff", b"\xc0\x80", b"~}~", b"a.b")
_CONSOLE = (
    *(b"hello\n", b"\xff\xfe", b"\x00\x00\x00", b"\r\n\r\n", b"x" * 2000, b"@50", b"@700"),
    *(
        b"@3000",
        b"@16000",
        b"@30000",
        b"ets Jun  8 2016 00:22:57\r\n\r\nrst:0x1 (POWERON_RESET)\r\n",
    ),
    b'Traceback (most recent call last):\n  File "main.py", line 1\nMemoryError: \n',
    *(b"}", b"}}", b"}~", b"\x01" * 1100, b"\x01}" * 600, b"\x03\x03\x03"),
)


class Random:
    """Choices out of a random.Random."""

    def __init__(self, rng):
        self._rng = rng

    def integer(self, low, high):
        return self._rng.randint(low, high)

    def pick(self, options):
        return options[self._rng.randrange(len(options))]

    def blob(self, size_max):
        return self._rng.randbytes(self._rng.randint(0, size_max))


class Drawn:
    """Choices drawn from Hypothesis, which makes them smaller when something fails."""

    def __init__(self, draw, strategies):
        self._draw = draw
        self._st = strategies

    def integer(self, low, high):
        return self._draw(self._st.integers(low, high))

    def pick(self, options):
        return self._draw(self._st.sampled_from(options))

    def blob(self, size_max):
        return self._draw(self._st.binary(max_size=size_max))


def number(choose, code):
    if choose.integer(0, 3):
        return choose.pick(_NUMBERS[code])
    return choose.integer(0, 2 ** _BITS[code] - 1)


def tag(choose):
    return choose.pick((BOOT & 0xFFFF,) * 4 + (OTHER_BOOT & 0xFFFF, 0, BOOT & 0xFFFF ^ 1))


def header(kind, of, version=1):
    return struct.pack("<BBH", version, kind, of)


def text(choose):
    raw = choose.pick(_TEXTS)
    return bytes((len(raw),)) + raw


def right_size(choose):
    """Return a message of a known type whose layout is right, whatever its fields say."""
    kind = choose.pick(tuple(LAYOUTS))
    if kind == message.DATA:
        return data(choose)
    if kind == message.CHANNELS:
        return channels(choose)
    if kind == message.CONFIG:
        return settings(choose)
    codes, text_count = LAYOUTS[kind]
    numbers = [number(choose, code) for code in codes]
    body = struct.pack("<" + codes, *numbers)
    return header(kind, tag(choose), 1) + body + b"".join(text(choose) for _ in range(text_count))


def data(choose):
    count = choose.pick((0, 1, 1, 2, 16, 16, 17, 100))
    first_seq = number(choose, "I")
    base = struct.pack("<BIIH", choose.pick((0, 0, 1, 2)), first_seq, number(choose, "I"), 1)
    records = choose.blob(8) + bytes(8 * count)
    cut = choose.pick((0, 0, 0, len(records) % 8))
    return header(message.DATA, tag(choose)) + base + records[cut:]


def settings(choose):
    boot = choose.pick((BOOT, BOOT, OTHER_BOOT))
    fields = [number(choose, "I") for _ in range(4)]
    content = choose.blob(60)
    return header(message.CONFIG, tag(choose)) + struct.pack("<IIIII", boot, *fields) + content


def channels(choose):
    rows = [
        Channel(f"c{index}", choose.pick(("", "Cel", "Pa")), choose.pick((-9, 0, 2)))
        for index in range(choose.pick((0, 1, 2, 30)))
    ]
    packed = channel_table.pack(tag(choose), rows)[0]
    return packed[:4] + bytes((choose.pick((0, 0, 1, 255)),)) + packed[5:] + choose.blob(6)


def greeting(choose):
    """Return the messages of a greeting, right in itself: HELLO, CHANNELS, TIME_RESPONSEs."""
    boot = choose.pick((BOOT, OTHER_BOOT))
    rows = [Channel(f"c{index}", "Cel", -2) for index in range(choose.pick((0, 1, 3, 60)))]
    numbers = [
        *(boot, choose.integer(0, 9), 0, choose.pick((1, 1, 2)), choose.pick((1, 1, 2)), 0),
        *(choose.pick((0, 0, 1, 2, 255)), len(rows), channel_table.crc(rows)),
        *(number(choose, "I") for _ in range(16)),
    ]
    hello = header(message.HELLO, boot & 0xFFFF) + struct.pack(
        "<IIHBBBBBIIIIIIIIIIIIIIIII", *numbers
    )
    hello += b"".join(bytes((len(word),)) + word for word in (DEVICE.encode(), b"b", b"1", b"1"))
    answers = [
        header(message.TIME_RESPONSE, boot & 0xFFFF) + struct.pack("<HIH", token, 5, 0)
        for token in range(1, choose.pick((1, 4, 8)))
    ]
    return [hello, *channel_table.pack(boot & 0xFFFF, rows), *answers]


def wild(choose):
    """Return a message with a right FCS and nothing else right: any version, type and body."""
    version = choose.pick((1, 1, 1, 1, 0, 2, 6, 7, 255))
    kind = choose.integer(0, KINDS_MAX) if choose.integer(0, 9) else 255
    return header(kind, tag(choose), version) + choose.blob(80)


def damaged(choose, framed):
    """Return a frame with one harm done to its bytes."""
    at = choose.integer(0, len(framed) - 1)
    harm = choose.pick(("flip", "cut", "drop", "double", "insert", "swap"))
    if harm == "flip":
        return framed[:at] + bytes((framed[at] ^ 1 << choose.integer(0, 7),)) + framed[at + 1 :]
    if harm == "cut":
        return framed[:at]
    if harm == "drop":
        return framed[:at] + framed[at + 1 :]
    if harm == "double":
        return framed + framed[at:]
    if harm == "swap":
        return framed[at:] + framed[:at]
    return framed[:at] + choose.pick((*_CONSOLE, b"~")) + framed[at:]


def piece(choose):
    """Return one thing that may come down a line."""
    kind = choose.integer(0, 9)
    if kind == 0:
        return choose.blob(60)
    if kind <= 2:
        return choose.pick(_CONSOLE) + choose.pick((b"", b"~"))
    encoder = choose.pick((encode, encode, encode_for_board))
    if kind == 3:
        return b"".join(map(encoder, greeting(choose)))
    payload = wild(choose) if kind <= 5 else right_size(choose)
    framed = encoder(payload)
    return damaged(choose, framed) if kind == 9 else framed


def stream(choose, pieces_max=12):
    """Return up to `pieces_max` such things, one after the other."""
    return b"".join(piece(choose) for _ in range(choose.integer(0, pieces_max)))


def mutated(choose, parent, other):
    """Return `parent` with something done to it: a harm, a piece more, or a part of `other`."""
    what = choose.integer(0, 5)
    if not parent or what == 0:
        return parent + piece(choose)
    parts = parent.split(b"~")
    at = choose.integer(0, len(parts) - 1)
    if what == 1:
        return damaged(choose, parent)
    if what == 2:
        return b"~".join(parts[:at] + [piece(choose).strip(b"~")] + parts[at:])
    if what == 3:
        return b"~".join(parts[:at] + parts[at + 1 :])
    if what == 4:
        cut = choose.integer(0, len(other)) if other else 0
        return b"~".join(parts[:at]) + b"~" + other[cut:]
    return b"~".join(parts[:at] + [reframed(choose, parts[at])] + parts[at + 1 :])


def reframed(choose, body):
    """Return what stood between two flags with one byte altered and the FCS put right again."""
    plain = bytearray()
    escaped = False
    for code in body:
        if code == 0x7D and not escaped:
            escaped = True
            continue
        plain.append(code ^ 0x20 if escaped else code)
        escaped = False
    if len(plain) <= 4:
        return body
    payload = plain[:-4]
    payload[choose.integer(0, len(payload) - 1)] = number(choose, "B")
    return encode(bytes(payload))[1:-1]
