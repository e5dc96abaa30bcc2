"""The pcapng export, block by block; and as tshark reads it, where that is installed."""

import io
import json
import re
import struct
import subprocess
from binascii import crc32

from bridge_bytes import KEY, Talk, say
from interpreter import find_program
from pyv_edge_core import message
from pyv_edge_core.frame import FLAG
from pyv_edge_tools.bridge import capture, dissector, export, pcapng
from pyv_edge_tools.bridge.chunk import TO_HOST, Chunk, Note
from pyv_edge_tools.bridge.event import NAMES
from pyv_edge_tools.bridge.tap import Tap

UTC_NS = 1_780_000_000_123_456_789


def made(chunks):
    file = io.BytesIO()
    writer = pcapng.Writer(file, UTC_NS, "test")
    tap = Tap()
    events = [event for chunk in chunks for event in tap.feed(chunk)]
    for event in events:
        writer.take(event)
    return file.getvalue(), writer, events


def blocks(content):
    """Yield (type, body), checking what every block has."""
    while content:
        kind, size = struct.unpack_from("<II", content)
        assert size % 4 == 0
        assert size >= 12
        assert struct.unpack_from("<I", content, size - 4) == (size,)
        yield kind, content[8 : size - 4]
        content = content[size:]


def options(data):
    found = {}
    while data:
        code, size = struct.unpack_from("<HH", data)
        if code == 0:
            assert data == bytes(4)
            break
        found[code] = data[4 : 4 + size]
        data = data[4 + size + -size % 4 :]
    return found


def conversation():
    talk = Talk().run(40)
    chunks = say(talk.chunks, b"hello\n", at=1)
    framed = chunks[0].data
    flipped = framed[:9] + bytes([framed[9] ^ 4]) + framed[10:]
    assert FLAG not in flipped[1:-1]
    return [*chunks, Chunk(chunks[-1].at_ns + 1, TO_HOST, flipped)]


def test_blocks_are_what_the_format_asks_for():
    chunks = conversation()
    content, writer, events = made(chunks)
    (section, *interfaces_and_packets) = list(blocks(content))
    assert section[0] == 0x0A0D0D0A
    assert struct.unpack_from("<IHH", section[1]) == (0x1A2B3C4D, 1, 0)
    interfaces, packets = interfaces_and_packets[:2], interfaces_and_packets[2:]
    for (kind, body), link_type in zip(interfaces, (147, 148), strict=True):
        assert (kind, struct.unpack_from("<H", body)[0]) == (1, link_type)
        assert options(body[8:])[9] == b"\x09"  # nanoseconds
    assert len(packets) == len(events) == writer.packets_total
    for (kind, body), event in zip(packets, events, strict=True):
        assert kind == 6
        interface, high, low, size, original = struct.unpack_from("<IIIII", body)
        data = body[20 : 20 + size]
        assert size == original
        assert high << 32 | low == UTC_NS + event.at_ns
        told = options(body[20 + size + -size % 4 :])
        (flags,) = struct.unpack("<I", told[2])
        assert flags & 3 == (1 if event.direction == TO_HOST else 2)
        assert told[1].decode()
        if interface == pcapng.CONSOLE:
            assert data == event.text
        elif flags & pcapng.CRC_ERROR:
            assert data == event.raw
        else:
            assert data[:-4] == event.wire
            assert struct.unpack("<I", data[-4:]) == (crc32(event.wire),)
            assert flags >> 5 & 15 == 4
            assert event.name in told[1].decode()
    assert sum(body[0] == pcapng.CONSOLE for _, body in packets) == 1


def test_remarks_are_left_out_and_counted():
    writer = pcapng.Writer(io.BytesIO(), 0, "test")
    writer.take(Note(0, "the port went away"))
    assert (writer.packets_total, writer.left_out_total) == (0, 1)


def test_dissector_knows_every_message_and_field():
    text = dissector.script()
    for kind, name in NAMES.items():
        (row,) = re.findall(rf"^  \[{kind}\] = (.*), -- {name}$", text, re.MULTILINE)
        fields = re.findall(r'\{"(\w+)", -?\d+\}', row)
        assert fields == [f"{name.lower()}_{field}" for field in message.shape(kind)._fields[1:]]
        for field in fields:
            assert f"f.{field} = ProtoField." in text
    assert text.count("{") == text.count("}")
    assert text.count("(") == text.count(")")


def tshark(*words, folder):
    program = find_program("tshark")
    done = subprocess.run(
        [program, "-X", f"lua_script:{folder / 'edge.lua'}", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Lua" not in done.stderr, done.stderr
    return done.stdout


def test_wireshark_reads_it_with_our_dissector(tmp_path):
    (tmp_path / "edge.lua").write_text(dissector.script())
    for key in (b"", KEY):
        content, _, events = made(Talk(key=key).run(40).chunks)
        (tmp_path / "a.pcapng").write_bytes(content)
        shown = json.loads(tshark("-r", tmp_path / "a.pcapng", "-T", "json", folder=tmp_path))
        assert len(shown) == len(events)
        for packet, event in zip(shown, events, strict=True):
            layers = packet["_source"]["layers"]
            edge = layers["pyv_edge"]
            assert int(edge["pyv_edge.type"]) == event.kind
            assert edge["pyv_edge.sealed"] in (("1", True) if event.seal else ("0", False))
            for name, value in zip(event.parsed._fields[1:], event.parsed[1:], strict=True):
                field = f"pyv_edge.{event.name.lower()}.{name}"
                if isinstance(value, bytes):
                    assert bytes.fromhex(edge[field].replace(":", "")) == value
                elif value != "":
                    assert type(value)(edge[field]) == value, field


def test_export_of_a_capture(tmp_path):
    path = tmp_path / "a.pyvcap"
    with path.open("wb") as file:
        writer = capture.Writer(file, 0, UTC_NS, capture.SIZE_MAX)
        for chunk in conversation():
            writer.take(chunk)
    arguments = export.argparse.ArgumentParser()
    export.add_arguments(arguments)
    output = tmp_path / "a.pcapng"
    assert export.run(arguments.parse_args([str(path), str(output), "--json"])) == 0
    assert output.read_bytes().count(b"HELLO") >= 1
    kinds = [kind for kind, _ in blocks(output.read_bytes())]
    assert kinds[:3] == [0x0A0D0D0A, 1, 1]
