"""Writes a session with the commands into OPERATIONS.md, as it happens: `make docs`."""

import os
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from generated import put_in

DOCUMENT = Path(__file__).resolve().parents[1] / "OPERATIONS.md"
RULE = """
[[rules]]
name = "freezer too warm"
sensor = "freezer"
above = -20.0
severity = "critical"
"""
DEADLINE_S = 60
FREEZER = "--device freezer=simulator:baseline=-19.5,noise_std=0,unit=Cel,interval_seconds=3600"
HALL = "--device hall=simulator:baseline=31,noise_std=0,unit=Cel,interval_seconds=3600"

# What is said of each part, and the commands. One that ends with & goes on beside the others.
PARTS = [
    (
        "A configuration: two devices that make readings up, any free port, a clock that is set:",
        [
            f"pyv-edge-host config init --yes {FREEZER} {HALL}",
            "sed -i 's/^#port = 8080/port = 0/; s/^#source = .*/source = \"trusted\"/' edge.toml",
            "pyv-edge-host config check",
        ],
    ),
    (
        "The agent, and the first readings. One is above 30: an alert, while there is no rule:",
        [
            "pyv-edge-host run > agent.log &",
            "pyv-edge-host status",
            "pyv-edge-host query",
            "pyv-edge-host query events",
        ],
    ),
    (
        "A rule of one's own: tried on what is stored, then in force without a restart:",
        [
            f"cat >> edge.toml <<'END'{RULE}END",
            "pyv-edge-host config check",
            "pyv-edge-host rules test --replay 1h 0s",
            "pyv-edge-host reload",
        ],
    ),
    (
        "What there is, for other programs, and the account of it all:",
        [
            "pyv-edge-host export --output readings.csv",
            "cat readings.csv",
            "pyv-edge-host ledger",
            "kill %1",
        ],
    ),
]


@contextmanager
def shell(folder):
    """Give a function that runs a command as a user would, and returns what it shows."""
    bin_folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "TZ": "UTC"}
    for name in ("PYV_EDGE_CONFIG", "PYTHONUNBUFFERED"):  # which would set the order of lines
        environment.pop(name, None)
    running = []

    def run(command):
        if command == "kill %1":
            running[0].terminate()
            assert running[0].wait(DEADLINE_S) == 0
            return ""
        options = {"cwd": folder, "env": environment, "shell": True, "text": True}
        if command.endswith(" &"):
            running.append(subprocess.Popen(f"exec {command[:-2]}", **options))
            asked = "pyv-edge-host status --json 2>&1 | grep -q '\"readings_processed\": 2'"
            ready = f"until {asked}; do sleep 0.1; done"
            options["timeout"] = DEADLINE_S
            assert subprocess.run(ready, **options).returncode == 0
            return ""
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=DEADLINE_S,
            **options,
        )
        assert done.returncode == 0, (command, done.stdout)
        return done.stdout

    try:
        yield run
    finally:
        for one in running:
            one.kill()
            one.wait()


def settled(text):
    """Return what commands have shown without what is different each time."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "2026-05-28T20:26:40.000Z", text)
    for boot in re.findall(r"(?<=,value,)[0-9a-f]{8}", text):
        text = text.replace(boot, "4fbdcce1")
    # The clock of a computer that runs tests is perhaps not known to be right.
    text = re.sub(r"(good +|good,)unset", r"\1good", text)
    text = re.sub(r"  unset$", "  good", text, flags=re.MULTILINE)
    text = re.sub(r"(?<=good,good,)\d+", "1", text)
    return re.sub(r"[\d.]+ (milli)?seconds$", "1.5 seconds", text, flags=re.MULTILINE)


def play(folder):
    """Return the session as Markdown."""
    shown = []
    with shell(folder) as run:
        for text, commands in PARTS:
            lines = [f"$ {command}\n{run(command)}" for command in commands]
            shown.append(f"{text}\n\n```console\n{''.join(lines)}```\n")
    return settled("\n".join(shown))


def generate(document, session):
    """Return the text of `document` with the session as it is now."""
    return put_in(document, "session", f"\n{session}\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        DOCUMENT.write_text(generate(DOCUMENT.read_text(), play(place)))
