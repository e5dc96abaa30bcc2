"""BRIDGE.md says what is so."""

import re
import subprocess
import sys
from pathlib import Path

import generate_bridge_md
from bridge_bytes import Talk
from pyv_edge_core import session
from pyv_edge_core.frame import encode
from pyv_edge_tools.bridge import COMMANDS, capture, carrier, pcapng, steady_output
from pyv_edge_tools.bridge.chunk import TO_HOST, Chunk, Note
from pyv_edge_tools.bridge.description import OPS, as_object
from pyv_edge_tools.bridge.tap import Tap

DOCUMENT = Path(__file__).parents[2] / "BRIDGE.md"


def text_of():
    return DOCUMENT.read_text(encoding="utf-8")


def test_transcripts_are_what_happens(tmp_path):
    text = text_of()
    assert generate_bridge_md.generate(text, generate_bridge_md.play(tmp_path)) == text, (
        "make docs"
    )


def test_every_command_and_option_exists():
    text = text_of()
    seen = set()
    for line in re.findall(r"^\$ pyv-edge-bridge (.*)$", text, re.MULTILINE):
        words = re.split(r" [|>] ", line)[0].split()
        helped = subprocess.run(
            [sys.executable, "-m", "pyv_edge_tools.bridge", words[0], "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for word in words:
            assert not word.startswith("--") or word in helped, line
        seen.add(words[0])
    assert seen >= {"record", "inject", "send", "monitor", "decode", "stats", "replay", "export"}
    for name in COMMANDS:
        assert f"`{name}`" in text


def test_keys_of_the_objects_are_told():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text_of(), re.MULTILINE))
    tap = Tap(b"a key of this test only, 32 bytes")
    data = encode(b"\x01\x55\x00\x00?") + b"text\n\x00\n~\x01\x02~"
    chunks = [*Talk(key=b"a key of this test only, 32 bytes").run(20).chunks]
    events = [event for chunk in chunks for event in tap.feed(chunk)]
    events += tap.feed(Chunk(0, TO_HOST, data))
    found = {}
    for event in [*events, Note(0, "x")]:
        told = as_object(event, 0)
        found.setdefault(told["event"], set()).update(told)
    assert set(found) == {"message", "damaged", "console", "noise", "port"}
    for name, keys in found.items():
        assert keys - {"event", "at_s"} == set(re.findall(r"`(\w+)`", rows[name])) - {
            "readings",
            "value",
        }


def test_limits_are_those_of_the_code():
    text = text_of()
    for limit in (
        f"within {carrier.LANE_SIZE // 1024} KiB",
        f"after {carrier.BOARD_LANE_SIZE // 1024} KiB",
        f"every {carrier.LOOK_MS / 1000:g} s",
        f"up to every {carrier.LOOK_MS_MAX // 1000} s",
        f"({capture.SIZE_MAX // 1024**2} MiB)",
        f"Up to {steady_output.KEPT_MAX // 1024} KiB of lines",
        f"tried again every {steady_output.RETRY_NS // 1_000_000_000} s",
        f"at most {session.HOST_SILENCE_MS // 1000} s",
        f"USER0 ({pcapng.LINKTYPE_FRAMES})",
        f"USER1 ({pcapng.LINKTYPE_CONSOLE})",
        f"({', '.join(OPS)})",
    ):
        assert limit in text, limit
    assert capture.MAGIC.decode().strip() in text
    layout = re.findall(r"^    ((?:file|record)  .*)$", capture.__doc__, re.MULTILINE)
    for line in layout:
        assert line.replace("\\\\", "\\") in text, line
