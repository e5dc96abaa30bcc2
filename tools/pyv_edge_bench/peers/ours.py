"""Pyvorin Edge itself, once with sensors that publish to a broker and once with a board.

What is set is what has to be; everything else is as it comes.
"""

import json
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from . import load
from .peer import Site

_DEVICE = "bench"


class Ours:
    """The agent, which publishes batches upstream."""

    def __init__(self, name: str) -> None:
        """Be "ours_mqtt" or "ours_serial"."""
        self.name = name

    def missing(self) -> str:
        """Return "": this is the project itself."""
        return ""

    def prepare(self, site: Site) -> None:
        """Write its settings."""
        device: dict[str, Any] = {"name": _DEVICE, "ingest_type": "serial", "port": site.source}
        if self.name == "ours_mqtt":
            device = {
                "name": _DEVICE,
                "ingest_type": "mqtt",
                "port": int(site.source),
                "topic": load.TOPICS,
                "protocol": "5",
            }
        settings = {
            "health": {"port": 0},
            "time": {"source": "trusted"},
            "sensors": {"devices": [device]},
            "sinks": {
                "mqtt": {
                    "enabled": True,
                    "host": "127.0.0.1",
                    "port": site.upstream_port,
                    "mode": "batch",
                }
            },
        }
        (site.folder / "edge.json").write_text(json.dumps(settings, indent=1))

    def command(self, site: Site) -> Sequence[str]:
        """Return `pyv-edge-host run`."""
        config = str(site.folder / "edge.json")
        return (sys.executable, "-m", "pyv_edge_agent.cli", "run", "--config", config)

    def environment(self, site: Site) -> Mapping[str, str]:
        """Return nothing."""
        del site
        return {}

    def numbers(self, topic: str, payload: bytes) -> list[int]:
        """Return the numbers of a batch."""
        if not topic.endswith("/batch"):
            return []
        items = json.loads(payload)["items"]
        return [load.number_of(item["value"]) for item in items]

    def key(self, topic: str, payload: bytes) -> str:
        """Return the batch's key."""
        return str(json.loads(payload)["batch_id"]) if topic.endswith("/batch") else ""

    def stored(self, site: Site) -> int:
        """Return how many readings are in its store."""
        path = site.folder / "data" / "edge_store.db"
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            (count,) = connection.execute("SELECT COUNT(*) FROM readings").fetchone()
        finally:
            connection.close()
        return int(count)
