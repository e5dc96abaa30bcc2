"""Reads a board's settings file, and has it judged before it gets anywhere near a board."""

import json
from pathlib import Path
from typing import NamedTuple

from .module_run import run_module


class BoardSettings(NamedTuple):
    """What is in a settings file that a board can use."""

    content: bytes
    own_types: tuple[str, ...]  # of sensors that are none of ours: the board must have their files


class BoardSettingsError(ValueError):
    """No board could use this file; the text is one line: which file, key, and what is wrong."""


def read(path: Path) -> BoardSettings:
    """Return what is in a settings file. Raises BoardSettingsError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BoardSettingsError(f"{path}: can't be read ({error.strerror})") from error
    # The node judges, in a process of its own: it is none of the tools' modules.
    done = run_module("pyv_edge_tools.settings_judge", str(path), content=content)
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["?"])[-1]
        raise BoardSettingsError(f"{path}: can't be judged: {last}")
    found = json.loads(done.stdout)
    if found["problem"]:
        raise BoardSettingsError(found["problem"])
    return BoardSettings(content, tuple(found["own"]))
