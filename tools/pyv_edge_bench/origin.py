"""When and where a run of the bench was measured: figures are worth little without it.

date         of its begin, UTC
processor, cores, memory_mb, kernel, os
python, micropython, sqlite
             their versions; null for what isn't there
commit, changed
             of git, and whether the tree differed from it; null outside a checkout
"""

import os
import platform
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from pyv_edge_tools.virtual_board import find_micropython

from .bytecode import ROOT

# What has to be the same before two times can be compared.
MACHINE = ("processor", "cores", "memory_mb")

_TIMEOUT_S = 30
_SQLITE = "import sqlite3; print(sqlite3.sqlite_version)"
_VERSION = "import sys; print('.'.join(map(str, sys.implementation[1][:3])))"
_CPUINFO = Path("/proc/cpuinfo")


def describe(now: datetime) -> dict[str, object]:
    """Return what is said of a run that begins at `now`."""
    git = shutil.which("git") if (ROOT / ".git").exists() else None
    return {
        "date": now.astimezone(timezone.utc).isoformat(timespec="seconds"),
        "processor": processor(_CPUINFO.read_text() if _CPUINFO.exists() else ""),
        "cores": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        # Behind a dash is whose build it is, which tells nobody anything.
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
        "os": _os(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "micropython": _micropython(),
        "sqlite": _said([sys.executable, "-c", _SQLITE]),
        "commit": _said([git, "rev-parse", "HEAD"]) if git else None,
        "changed": bool(_said([git, "status", "--porcelain"])) if git else None,
    }


def processor(cpuinfo: str) -> str:
    """Return the processor that /proc/cpuinfo names, or the board as a Raspberry Pi does."""
    found: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    return found.get("model name") or found.get("Model") or platform.machine()


def _os() -> str | None:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:  # no file tells
        return None


def _micropython() -> str | None:
    try:
        program = find_micropython()
    except FileNotFoundError:  # the figures that need it will say so
        program = None
    if program is None:
        return None
    return _said([program, "-c", _VERSION])


def _said(command: list[str]) -> str:
    """Return what a command prints. Raises CalledProcessError if it fails."""
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
    )
    return done.stdout.strip()
