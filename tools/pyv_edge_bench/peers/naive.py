"""Two programs of a page each, in `programs`, as somebody writes who has met no faults yet."""

import json
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import load
from .peer import Site

_PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Naive:
    """A script with the source and the upstream's port as arguments."""

    name: str
    script: str
    database: str
    queue: str = ""
    keeps_all: bool = True

    def missing(self) -> str:
        """Return "": Python has it all."""
        return ""

    def prepare(self, site: Site) -> None:
        """Do nothing: it has no settings."""

    def command(self, site: Site) -> Sequence[str]:
        """Return the script and its two arguments."""
        script = str(_PROGRAMS / self.script)
        return (sys.executable, script, site.source, str(site.upstream_port))

    def environment(self, site: Site) -> Mapping[str, str]:
        """Return nothing."""
        del site
        return {}

    def numbers(self, topic: str, payload: bytes) -> list[int]:
        """Return the numbers of a batch, or of one line."""
        del topic
        document: dict[str, Any] = json.loads(payload)
        items = document.get("items", [document])
        return [load.number_of(item["value"]) for item in items]

    def identities(self, topic: str, payload: bytes) -> list[str]:
        """Return none: a batch that is sent again has another id."""
        del topic, payload
        return []

    def stored(self, site: Site) -> int:
        """Return how many rows there are."""
        return _count(site.folder / self.database, "SELECT COUNT(*) FROM readings")

    def waiting(self, site: Site) -> int:
        """Return how many are in its queue, if it has one."""
        if not self.queue:
            return 0
        return _count(site.folder / self.queue, "SELECT COUNT(*) FROM sync_queue")


def _count(path: Path, query: str) -> int:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        (count,) = connection.execute(query).fetchone()
    finally:
        connection.close()
    return int(count)


def polling() -> Naive:
    """Return the agent that commits each reading; it gets MQTT."""
    return Naive("naive", "poll_and_commit.py", "store.db", "sync_queue.db")


def tutorial() -> Naive:
    """Return the loop over JSON lines of a serial port."""
    return Naive("tutorial", "json_lines.py", "readings.db")
