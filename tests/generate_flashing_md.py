"""Writes a session with the flasher, interruptions and sizes into FLASHING.md: `make docs`."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS / "tools"), str(TESTS / "host"), str(TESTS / "core")]

import interruptions  # noqa: E402
from generated import put_in  # noqa: E402
from pyv_edge_tools import build_device  # noqa: E402
from pyv_edge_tools.virtual import Board  # noqa: E402

DOCUMENT = TESTS.parent / "FLASHING.md"
DEADLINE_S = 120
SETTINGS = {
    "device_id": "greenhouse",
    "sensors": [{"type": "simulated", "channel": "temperature", "interval_ms": 1000, "noise": 0}],
}
CHANGED = {**SETTINGS, "vitals_interval_ms": 30000}
COMMANDS = (
    "pyv-edge-flash deploy --port board/tty --settings greenhouse.json",
    "pyv-edge-flash deploy --port board/tty",
    "pyv-edge-flash deploy --port board/tty --settings changed.json",
    "pyv-edge-flash keep --port board/tty",
    "pyv-edge-flash probe --port board/tty",
    "pyv-edge-flash rollback --port board/tty",
    "pyv-edge-flash logs --port board/tty",
)
# What is counted together: (name, start of the paths in a set).
GROUPS = (
    ("the link and the ring", ("pyv_edge_core/",)),
    ("rules and privacy", ()),
    ("the node", ("pyv_edge_node/",)),
    ("boards", ("pyv_edge_node/board/",)),
    ("sensors", ("pyv_edge_node/sensors/",)),
)
# Modules of the core that a board loads for rules or a policy only.
STAGES = (
    *("aggregate", "alert", "condition", "disclosure", "event_text", "hmac", "movement"),
    *("pattern", "privacy", "privacy_rule", "quantity", "rule", "table", "window"),
)


def session():
    """Return the commands and what they print, on a virtual board."""
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "greenhouse.json").write_text(json.dumps(SETTINGS))
        (folder / "changed.json").write_text(json.dumps(CHANGED))
        with Board(folder / "board") as board:
            lines += ["$ pyv-edge-flash virtual board &", "board/tty"]
            for command in COMMANDS:
                lines += [f"$ {command}", *_run(command, folder)]
            assert board.is_powered
    return "\n```\n" + "\n".join(lines) + "\n```\n\n"


def _run(command, folder):
    words = [sys.executable, "-m", "pyv_edge_tools.flash", *command.split()[1:]]
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == 0, command + done.stdout + done.stderr
    return done.stdout.splitlines()


def _group(path):
    module = path.split("/")[-1].split(".")[0]
    if path.startswith("pyv_edge_core/"):
        return "rules and privacy" if module in STAGES else "the link and the ring"
    if path.startswith("pyv_edge_node/stages"):
        return "rules and privacy"
    for name, starts in reversed(GROUPS):
        if path.startswith(starts or ("-",)):
            return name
    raise AssertionError(path)


def sizes():
    """Return the table of what a set takes of a board's flash."""
    files = build_device.firmware()
    found = {name: [0, 0] for name, _ in GROUPS}
    for path, content in files.items():
        found[_group(path)][0] += 1
        found[_group(path)][1] += len(content)
    loader = build_device.loader_files()
    found["the loader, as sources"] = [len(loader), sum(map(len, loader.values()))]
    rows = "".join(f"| {name} | {count} | {size} |\n" for name, (count, size) in found.items())
    total = sum(size for _, size in found.values())
    head = "\n| in a set, as bytecode | files | bytes |\n|---|---|---|\n"
    return f"{head}{rows}| all of it | {sum(c for c, _ in found.values())} | {total} |\n\n"


def generate(text):
    """Return the document with all that is made."""
    text = put_in(text, "transcript", session())
    text = put_in(text, "interruptions", interruptions.table())
    return put_in(text, "sizes", sizes())


def masked(text):
    """Return `text` without what differs between two runs: sizes, hashes, ids, versions."""
    text = re.sub(r"\b[0-9a-f]{16}\b|\b[0-9a-f]{8}\b", "H", text)
    text = re.sub(r"MicroPython [\d.]+ on [^,]+,", "MicroPython V,", text)
    return re.sub(r"\d[\d,.]*", "N", text)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    DOCUMENT.write_text(generate(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
