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
    """The agent, which publishes upstream: batches, or each reading by itself."""

    keeps_all = True

    def __init__(self, name: str) -> None:
        """Be "ours_mqtt", "ours_mqtt_each" or "ours_serial"."""
        self.name = name
        self._mode = "reading" if name == "ours_mqtt_each" else "batch"

    def missing(self) -> str:
        """Return "": this is the project itself."""
        return ""

    def prepare(self, site: Site) -> None:
        """Write its settings."""
        device: dict[str, Any] = {"name": _DEVICE, "ingest_type": "serial", "port": site.source}
        if self.name != "ours_serial":
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
                    "mode": self._mode,
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
        """Return the numbers of a batch, or of a reading."""
        return [load.number_of(item["value"]) for item in _items(topic, payload)]

    def identities(self, topic: str, payload: bytes) -> list[str]:
        """Return device, boot and number of each, which are the same whenever it is sent."""
        found = [item["metadata"] for item in _items(topic, payload)]
        return [f"{one['device']}/{one['boot']}/{one['seq']}" for one in found]

    def stored(self, site: Site) -> int:
        """Return how many readings are in its store."""
        path = site.folder / "data" / "edge_store.db"
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            (count,) = connection.execute("SELECT COUNT(*) FROM readings").fetchone()
        finally:
            connection.close()
        return int(count)

    def waiting(self, site: Site) -> int:
        """Return 0: what is there is sent within the time that is allowed for silence."""
        del site
        return 0


def _items(topic: str, payload: bytes) -> list[dict[str, Any]]:
    """Return the readings of a message; what else is told is JSON, too, but for the status."""
    if topic.endswith(("/status", "/items")):
        return []
    document: dict[str, Any] = json.loads(payload)
    items: list[dict[str, Any]] = document["items"] if topic.endswith("/batch") else [document]
    return items
