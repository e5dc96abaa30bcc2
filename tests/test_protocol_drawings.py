"""The drawings in PROTOCOL.md are of what the code sends: taken apart, they give its bytes."""

import hashlib
import hmac
import re
import struct

import generate_protocol_md as vectors
from document_blocks import blocks
from pyv_edge_core import channel_table, device_states, host_states, message, seal
from pyv_edge_core.frame import FLAG, encode
from pyv_edge_core.reading import Channel
from pyv_edge_core.record_ring import RECORD_FORMAT
from pyv_edge_core.rule import SEVERITIES

WORDS = {"u8": "B", "u16": "H", "u32": "I", "i32": "i"}
PLAIN = bytes.fromhex("0108efbe3412a0860100e703")


def drawn(heading):
    (block,) = [
        block
        for block in blocks("PROTOCOL.md")
        if block.heading == heading and block.language == "text" and not block.made
    ]
    return block.text


def cells(line):
    return [cell.strip() for cell in line.strip("| \n").split("|")]


def test_frame():
    begin, content, end = cells(drawn("Frames").splitlines()[1])
    frame = encode(PLAIN)
    assert frame[:1] == frame[-1:] == bytes.fromhex(begin) == bytes.fromhex(end) == FLAG
    name, size = re.fullmatch(
        r"message, (FCS-\d+) \((\d) bytes\), octet-stuffed", content
    ).groups()
    assert name == f"FCS-{int(size) * 8}"
    assert len(frame) == len(PLAIN) + int(size) + 2


def test_header():
    names, types = map(cells, drawn("Messages").splitlines()[1:3])
    assert names == ["version", "type", "tag", "body"]
    layout = "<" + "".join(WORDS[one.split()[0]] for one in types[:3])
    version = int(types[0].split("=")[1])
    raw = message.pack(message.TIME_REQUEST, 0xBEEF, 0x1234)
    assert raw == struct.pack(layout, version, message.TIME_REQUEST, 0xBEEF) + b"\x34\x12"


def text_of(text):
    return bytes([len(text)]) + text.encode()


def fields(line):
    return [re.split(r"  +", one.strip())[0] for one in line.split("   ", 1)[1].split("|")]


def test_entries():
    channel, alert = drawn("CHANNELS (2), board to host").splitlines()
    assert fields(channel) == ["exponent i8", "flags u8", "name text", "unit text"]
    assert fields(alert) == ["channel u8", "flags u8", "rule text", "message text"]
    (raw,) = channel_table.pack(
        0, [Channel("a", "Cel", -2), channel_table.AlertRow("hot", 0, 2, "m")]
    )
    flag = int(re.search(r"flags: (\d\d) and the severity", alert)[1], 16)
    expected = b"\xfe\x00" + text_of("a") + text_of("Cel")
    expected += bytes([0, flag | 2]) + text_of("hot") + text_of("m")
    assert raw[5:] == expected
    severities = re.findall(r"(\d) (\w+)(?:,|$)", alert.split("severity:")[1])
    assert severities == [(str(number), name) for number, name in enumerate(SEVERITIES)]


def test_record():
    _, _, names, types, *_ = map(cells, drawn("DATA (4), board to host").splitlines())
    assert names == ["channel", "span", "qual", "span", "value"]
    # The two that are bits share a byte.
    assert types[:3] == ["u8", "bits", "bits"] and types[4] == "i32"
    assert RECORD_FORMAT == "<BBHi"


def test_session():
    """A session that is played has the messages that are drawn, in their order."""
    lines = drawn("A session").splitlines()
    shown = []
    for line in lines:
        if "--->" in line:
            shown += [("board", name) for name in re.findall(r"\b[A-Z_]{3,}\b", line[:19])]
        elif "<---" in line:
            shown.append(("host", re.search(r"- ([A-Z_]+)", line)[1]))
    played = re.findall(r"^(board|host ) ([A-Z_]+)$", vectors._conversation(), re.MULTILINE)
    played = [(who.strip(), name) for who, name in played]
    assert [one for one in shown if one[1] != "GAP"] == played[: len(shown) - 1]
    states = re.findall(r"\b(GREETING|WAITING|GREETED|UP)\b", "\n".join(lines))
    assert states == ["GREETING", "WAITING", "GREETED", "UP", "UP"]
    assert {*states} <= {*device_states.STATES, *host_states.STATES}


def test_seal():
    text = drawn("Seals")
    label, *numbers = re.search(r'HMAC-SHA-256\(key, "(.+?)" \| (.+)\)', text).groups()
    assert [one.split()[1] for one in numbers[0].split(" | ")] == ["u32"] * 4
    assert tuple(one.split()[0] for one in numbers[0].split(" | ")) == (
        *("boot", "greeting", "challenge_a", "challenge_b"),
    )
    size = int(re.search(r"first (\d+) bytes", text)[1])
    directions = re.search(r"direction: (\d\d) to the host, (\d\d) to the board", text).groups()

    def mac(key, content):
        return hmac.new(key, content, hashlib.sha256).digest()

    key = mac(vectors.KEY, label.encode() + struct.pack("<4I", *vectors.SESSION))
    typed = PLAIN[:1] + bytes([PLAIN[1] + 0x80]) + PLAIN[2:] + struct.pack("<I", 1)
    for direction, ours in zip(directions, (seal.TO_HOST, seal.TO_BOARD), strict=True):
        sealer = seal.Seal(vectors.KEY, ours)
        sealer.begin(vectors.SESSION)
        assert sealer.seal(PLAIN) == typed + mac(key, bytes.fromhex(direction) + typed)[:size]
