"""Whether a command that a document shows exists: program, subcommand, options, target.

It does not say that the command works. What stands in capitals, such as NAME, is the
reader's to fill in; a subcommand is asked for its options with --help.
"""

import functools
import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

from document_blocks import ROOT
from pyv_edge_agent.service_files import UNIT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROGRAMS = {
    "pyv-edge-host": "pyv_edge_agent.cli",
    "pyv-edge-flash": "pyv_edge_tools.flash",
    "pyv-edge-bridge": "pyv_edge_tools.bridge",
}
# Programs of others, whose options are theirs.
OTHERS = {"sqlite3", "install", "curl", "mpremote"}


def words_of(line):
    """Return the words of a command, without its comment, `sudo`, variables and folders."""
    words = shlex.split(line, comments=True)
    while words and (words[0] == "sudo" or "=" in words[0]):
        words = words[1:]
    return [Path(word).name for word in words[:1]] + words[1:]


def fault_of(line):
    """Return what of a command does not exist, or an empty text."""
    words = words_of(line)
    if words[0] in PROGRAMS:
        return _fault_of_ours(*words)
    if words[0] == "make":
        return _fault_of_make(*words[1:])
    if words[0] in ("systemctl", "journalctl"):
        return "" if UNIT.removesuffix(".service") in words else "it is about another service"
    if words[0] in ("pip", "pip3"):
        return _fault_of_extras(line)
    if words[0] in ("python", "python3"):
        return _fault_of_files(words)
    return "" if words[0] in OTHERS else f"{words[0]} is not known here"


@functools.lru_cache(maxsize=256)
def _help(program, *given):
    done = subprocess.run(
        [sys.executable, "-m", PROGRAMS[program], *given, "--help"], capture_output=True, text=True
    )
    return done.stdout if done.returncode == 0 else ""


def _fault_of_ours(program, *rest):
    words = [*itertools.takewhile(lambda word: word not in ("|", ">", "&", "&&"), rest)]

    def is_given(word):
        return not word.startswith("-") and not word.isupper()

    # As far as a subcommand goes, whose options its command doesn't show.
    told = _help(program, *itertools.takewhile(is_given, words))
    if not told:
        return "there is no such subcommand"
    options = {word.split("=")[0] for word in words if word.startswith("--")}
    known = set(re.findall(r"--[\w-]+", told))
    return "".join(f"there is no {option}" for option in sorted(options - known))


def _fault_of_make(*words):
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([\w-]+):", text, re.MULTILINE))
    for word in words:
        name, is_variable, _ = word.partition("=")
        if is_variable and f"$({name})" not in text and f"$(if $({name})" not in text:
            return f"the Makefile does not know {name}"
        if not is_variable and name not in targets:
            return f"there is no target {name}"
    return ""


def _fault_of_extras(line):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for names in re.findall(r"\[([\w,]+)\]", line):
        for name in names.split(","):
            if name not in project["optional-dependencies"]:
                return f"there is no extra {name}"
    return ""


def _fault_of_files(words):
    for word in words[1:]:
        if word.startswith(("tests/", "tools/")) and not (ROOT / word).is_file():
            return f"there is no {word}"
    return ""
