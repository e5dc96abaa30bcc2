"""Writes into BRIDGE.md what the commands print, as it happens: `make docs`."""

import os
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from bridge_bytes import Talk, say
from generated import put_in
from pyv_edge_core import message
from pyv_edge_core.frame import encode
from pyv_edge_tools.bridge import COMMANDS, capture
from pyv_edge_tools.bridge.chunk import TO_HOST, Chunk
from pyv_edge_tools.bridge.fault import DIRTY, KINDS
from pyv_edge_tools.virtual_board import VirtualBoard, interpreter_command

DOCUMENT = Path(__file__).resolve().parents[1] / "BRIDGE.md"
DEADLINE_S = 60
_RULE = "|---|---|---|\n"
BOARD = "/dev/ttyACM0"
STATUS = "pyv-edge-host status --json"
CONFIG = """\
[[sensors.devices]]
name = "north"
ingest_type = "serial"
port = "usb"
[health]
port = 0
"""
HOST_NS = 4_000_000  # that a host needs for what it says
UTC_NS = 1_780_000_000_000_000_000

# part: its commands. One that ends with & goes on beside the others, until `kill`; what is
# printed to a log is waited for by the text behind #.
PARTS = {
    "in between": [
        f"pyv-edge-bridge record {BOARD} run.pyvcap --link usb > bridge.log & # let the agent",
        f"cat > edge.toml <<'END'\n{CONFIG}END",
        "pyv-edge-host run > agent.log & # EdgeAgent started",
        "until pyv-edge-host query 2>&1 | grep -q north; do sleep 0.1; done",
        "kill %2",
        "kill %1",
        "cat bridge.log",
    ],
    "faults": [
        f"pyv-edge-bridge inject {BOARD} --link usb --seed 7 --flip 0.005 > faults.log & # let",
        "pyv-edge-host run > agent.log & # EdgeAgent started",
        f"until {STATUS} 2>&1 | grep -q 'bad_fcs_total\": [1-9]'; do sleep 0.1; done",
        f"{STATUS} | grep -o '\"bad_fcs_total\": [0-9]*' | head -1",
        "kill %2",
        "kill %1",
        "cat faults.log",
    ],
    "asking": [
        f"pyv-edge-bridge send {BOARD} TIME_REQUEST token=7 | grep RESPONSE",
        f"pyv-edge-bridge send {BOARD} IDENTIFY",
        f"pyv-edge-bridge send {BOARD} ACK committed=9",
    ],
    "looking": [
        "pyv-edge-bridge monitor run.pyvcap --seconds 0.1 | head -12",
        f"pyv-edge-bridge decode {encode(message.pack(message.TIME_REQUEST, 0, 5)).hex(' ')}",
        "pyv-edge-bridge decode --file run.pyvcap | grep -A 3 DATA | head -4",
        "pyv-edge-bridge stats run.pyvcap",
        "pyv-edge-bridge decode --file run.pyvcap --json | tail -1",
    ],
    "again": [
        "pyv-edge-bridge replay run.pyvcap --link usb --speed 0 > replay.log & # let the agent",
        "(cat edge.toml; echo '[storage]'; echo 'path = \"again.db\"') > again.toml",
        "pyv-edge-host run --config again.toml > agent.log & # EdgeAgent started",
        "wait %1",
        "cat replay.log",
        "kill %2",
        "pyv-edge-host ledger --config again.toml | head -2",
    ],
    "wireshark": [
        "pyv-edge-bridge export run.pyvcap run.pcapng",
        "pyv-edge-bridge export --dissector > pyv_edge.lua",
    ],
}


def made_up():
    """Return a conversation whose every byte stays the same, with some damage and text in it."""
    talk = Talk().run(40)
    chunks = [
        chunk if chunk.direction == TO_HOST else chunk._replace(at_ns=chunk.at_ns + HOST_NS)
        for chunk in talk.chunks
    ]
    chunks = say(chunks, b"MicroPython v1.27.0 on 2026-05-28; Raspberry Pi Pico W\r\n")
    at_ns = chunks[-1].at_ns
    flipped = bytearray(encode(message.pack(message.LOG, talk.board.tag, 30, "sensor is back")))
    last = encode(message.pack(message.LOG, talk.board.tag, 30, "sensor is back"))
    flipped[9] ^= 4
    return [*chunks, Chunk(at_ns, TO_HOST, bytes(flipped)), Chunk(at_ns, TO_HOST, last)]


def write_made_up(path):
    with path.open("wb") as file:
        writer = capture.Writer(file, 0, UTC_NS, capture.SIZE_MAX)
        for chunk in made_up():
            writer.take(chunk)


class Shell:
    """Runs commands as a user would, beside a board; it shows what they print."""

    def __init__(self, folder, board):
        self._folder = folder
        self._board = board
        self._jobs = []
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TZ": "UTC",
            "COLUMNS": "100",
        }
        for name in ("PYV_EDGE_CONFIG", "PYTHONUNBUFFERED"):
            self._environment.pop(name, None)

    def run(self, command):
        """Return what a command prints, with what was typed."""
        typed, _, awaited = command.partition(" # ")
        real = typed.replace(BOARD, str(self._board))
        return f"$ {typed}\n{self._run(real, awaited).replace(str(self._board), BOARD)}"

    def _run(self, command, awaited):
        options = {"cwd": self._folder, "env": self._environment, "shell": True, "text": True}
        if command.endswith(" &"):
            self._jobs.append(subprocess.Popen(f"exec {command[:-2]}", **options))
            log = command[:-2].split("> ")[1]
            ready = f"until grep -q '{awaited}' {log}; do sleep 0.05; done"
            subprocess.run(ready, check=True, timeout=DEADLINE_S, **options)
            return ""
        if command.startswith(("kill %", "wait %")):
            job = self._jobs[int(command[-1]) - 1]
            if command.startswith("kill"):
                job.terminate()
            assert job.wait(DEADLINE_S) == 0, command
            return ""
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=DEADLINE_S,
            check=False,
            **options,
        )
        return done.stdout

    def forget(self):
        """Begin to number jobs anew."""
        assert all(job.poll() is not None for job in self._jobs)
        self._jobs = []

    def close(self):
        for job in self._jobs:
            job.kill()
            job.wait()


@contextmanager
def board_in(folder):
    """Give the path of a board that samples a little and then only delivers."""
    settings = {
        "device_id": "north",
        "vitals_interval_ms": 200,
        "sample_for_ms": 1000,
        "sensors": [{"type": "simulated", "channel": "temperature", "interval_ms": 100}],
    }
    with VirtualBoard(folder / "board", settings, interpreter_command()) as board:
        yield board.path


def settled(text):
    """Return what commands have shown without what is different each time."""
    text = re.sub(r"\d+ records, \d+ bytes", "102 records, 3411 bytes", text)
    text = re.sub(
        r"carried \d+ bytes to the host and \d+ to the board; lost 0, unheard \d+, unsaid \d+",
        "carried 2203 bytes to the host and 318 to the board; lost 0, unheard 0, unsaid 0",
        text,
    )
    for what, at_s in (("opened", "0.386"), ("has closed", "2.892")):
        note = rf"^ +[\d.]+(?=  -      \w+ program {what})"
        text = re.sub(note, f"     {at_s}", text, flags=re.MULTILINE)
    text = re.sub(r'(?<="bad_fcs_total": )\d+', "3", text)
    for who, count in (("board", 8), ("host", 2)):
        struck = rf"(?<=from the {who}: ).* bytes changed$"
        text = re.sub(struck, f"{count} flip; {count} bytes changed", text, flags=re.MULTILINE)
    return re.sub(
        r"^ +[\d.]+(  board  TIME_RESPONSE token=7 )uptime_s=\d+ uptime_ms=\d+$",
        r"     0.004\1uptime_s=2 uptime_ms=127",
        text,
        flags=re.MULTILINE,
    )


def play(folder):
    """Return each part as Markdown, by its name."""
    shown = {}
    with board_in(folder) as path:
        shell = Shell(folder, path)
        try:
            for name, commands in PARTS.items():
                if name == "looking":
                    write_made_up(folder / "run.pyvcap")
                told = settled("".join(shell.run(command) for command in commands))
                shown[name] = f"\n```console\n{told}```\n\n"
                shell.forget()
        finally:
            shell.close()
    return shown


def tables():
    """Return what the code lists: commands and faults, by name."""
    commands = "".join(f"| `{name}` | {text} |\n" for name, text in COMMANDS.items())
    faults = "".join(
        f"| `--{name}` | {text} | {f'{DIRTY[name]:g}' if name in DIRTY else 'never'} |\n"
        for name, text in KINDS.items()
    )
    return {
        "commands": f"\n| command | |\n|---|---|\n{commands}\n",
        "faults of a line": f"\n| fault | what happens | usually, per byte |\n{_RULE}{faults}\n",
    }


def generate(document, parts):
    """Return the text of `document` with `parts` as they are now."""
    for name, made in {**tables(), **parts}.items():
        document = put_in(document, name, made)
    return document


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        DOCUMENT.write_text(generate(DOCUMENT.read_text(), play(Path(place))))
