"""Writes units, tables of states and test vectors into PROTOCOL.md: `make docs`."""

import sys
import textwrap
from pathlib import Path

from generated import put_in

TESTS = Path(__file__).resolve().parent
DOCUMENT = TESTS.parent / "PROTOCOL.md"
sys.path[:0] = [str(TESTS / "core")]

from pyv_edge_core import device_states, host_states, message, reading, seal, session  # noqa: E402
from pyv_edge_core.device_session import DeviceSession  # noqa: E402
from pyv_edge_core.frame import FrameDecoder, encode, encode_for_board  # noqa: E402
from pyv_edge_core.host_event import Batch, Greeting  # noqa: E402
from pyv_edge_core.host_session import HostSession  # noqa: E402
from pyv_edge_core.identity import Identity  # noqa: E402
from pyv_edge_core.reading import Channel  # noqa: E402
from pyv_edge_core.record_ring import RecordRing  # noqa: E402

NAMES = {
    getattr(message, name): name
    for name in (
        *("HELLO", "CHANNELS", "WELCOME", "DATA", "GAP", "ACK", "TIME_REQUEST", "TIME_RESPONSE"),
        *("HELLO_REQUEST", "VITALS", "LOG", "REFUSAL", "COMMAND", "CONFIG", "RESULT"),
    )
}
KEY = b"a key of 16 bytes or more"
SESSION = (0xC0FFEE01, 2, 0x01020304, 0x05060708)
SILENCES = (
    f"nothing, for {session.HELLO_INTERVAL_MS / 1000:g} s since HELLO, `retry_s` since REFUSAL,"
    f" {session.HOST_SILENCE_MS / 1000:g} s since the host was heard"
)


def _table(table, states, leads, owner, title):
    """Return the rows of one end."""
    lines = [f"| {title} | {' | '.join(states)} |", "|---" * (len(states) + 1) + "|"]
    for kind, row in table.items():
        what = NAMES.get(kind)
        if kind == session.TIMEOUT:
            what = SILENCES
        elif kind == session.STRANGER:
            what = "any but HELLO, CHANNELS, TIME_RESPONSE, with another tag"
        cells = []
        for state, action in enumerate(row):
            said = getattr(owner, action).__doc__.strip().splitlines()[0].rstrip(".")
            said = said[0].lower() + said[1:]
            leads_to = leads.get(action, state)
            cells.append(said if leads_to == state else f"{said} → {states[leads_to]}")
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def states():
    board = (device_states.TABLE, device_states.STATES, device_states.LEADS, DeviceSession)
    host = (host_states.TABLE, host_states.STATES, host_states.LEADS, HostSession)
    return f"\n{_table(*board, 'a board gets')}\n\n{_table(*host, 'a host gets')}\n\n"


def _hex(data):
    return data.hex(" ").upper()


def _shown(value):
    if isinstance(value, bytes):
        return _hex(value)
    return f"“{value}”" if isinstance(value, str) else f"{value:X}"


def _messages():
    """Return each type with its fields and its bytes."""
    from test_message import ALL_HEX

    lines = []
    for kind in sorted(NAMES):
        raw = next(bytes.fromhex(text) for text in ALL_HEX if bytes.fromhex(text)[1] == kind)
        parsed = message.parse(raw)[1]
        fields = zip(parsed._fields, parsed, strict=True)
        lines.append(f"{NAMES[kind]}  " + "  ".join(f"{k} {_shown(v)}" for k, v in fields))
        lines.append(f"    {_hex(raw)}")
    return "\n".join(lines)


def _frames():
    lines = []
    for raw in (bytes.fromhex("0107efbe3412"), bytes.fromhex("0107efbe7d7e")):
        lines.append(f"message           {_hex(raw)}")
        lines.append(f"frame to a host   {_hex(encode(raw))}")
        lines.append(f"frame to a board  {_hex(encode_for_board(raw))}")
    return "\n".join(lines)


def _sealed():
    lines = [
        f"key               {_hex(KEY)}",
        "session           "
        + "  ".join(
            f"{name} {value:X}"
            for name, value in zip(
                ("boot", "greeting", "challenge_a", "challenge_b"), SESSION, strict=True
            )
        ),
    ]
    plain = bytes.fromhex("0108efbe3412a0860100e703")
    lines.append(f"message           {_hex(plain)}")
    for name, direction in (("to a host ", seal.TO_HOST), ("to a board", seal.TO_BOARD)):
        sealer = seal.Seal(KEY, direction)
        sealer.begin(SESSION)
        lines.append(f"sealed {name} {_hex(sealer.seal(plain))}")
    return "\n".join(lines)


def _conversation():
    """Return what two ends say to each other from the first HELLO to the first ACK."""
    boot = 0xC0FFEE01
    ring, events = RecordRing(32), RecordRing(16)
    identity = Identity("dev", boot, "unix", "0.1", "0.2")
    board = DeviceSession(identity, [Channel("temp", "Cel", -2)], ring, events)
    host = HostSession(64, "0.1")
    lines = []

    def note(who, data, decode):
        for payload in decode.feed(data):
            lines.append(f"{who} {NAMES[payload[1]]}")
            framed = encode(payload) if who == "board" else encode_for_board(payload)
            lines.append(f"    {_hex(framed)}")

    ring.push(0, 0, 2153, 4, 900)
    ring.push(0, 2, 0, 5, 900)
    from_board, from_host = FrameDecoder(), FrameDecoder()
    for step in range(40):
        now_ms = 5000 + step * 50
        while True:
            said = board.transmit(now_ms, now_ms // 1000, now_ms % 1000)
            if not said:
                break
            note("board", said, from_board)
            for event in host.receive(said, now_ms):
                if isinstance(event, Greeting):
                    host.welcome(boot, 0, 0)
                elif isinstance(event, Batch):
                    host.committed(boot, 0, event.first_seq + len(event.records) // 8)
        answer = host.transmit(now_ms)
        note("host ", answer, from_host)
        board.receive(answer, now_ms)
        if not board.in_flight:
            break
    return "\n".join(lines)


def vectors():
    parts = (
        ("Messages, numbers in hexadecimal:", _messages()),
        ("Frames; the token of the second is two bytes that are always stuffed:", _frames()),
        ("A seal (the text of the key is “a key of 16 bytes or more”), counter 1:", _sealed()),
        (
            "A whole session: a board with a reading of 4.9 s and a bad one of 5.9 s:",
            _conversation(),
        ),
    )
    return "\n" + "\n\n".join(f"{what}\n\n```text\n{text}\n```" for what, text in parts) + "\n\n"


def units():
    return "\n```text\n" + textwrap.fill(reading.UNITS_TEXT.strip(), 100) + "\n```\n\n"


def generate(document):
    """Return the text of `document` with units, tables and vectors as the code has them."""
    for name, made in (("UNITS", units()), ("STATES", states()), ("VECTORS", vectors())):
        document = put_in(document, name, made)
    return document


if __name__ == "__main__":
    DOCUMENT.write_text(generate(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
