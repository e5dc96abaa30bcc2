"""Node-RED with the nodes that everybody takes: mqtt in, function, sqlite, change, mqtt out.

A reading goes upstream once its INSERT is committed. What can be set to lose less is set: both
sessions are kept, the journal is a WAL, and SQLite's `synchronous` stays FULL, its default. Two
holes are the nodes' own: "mqtt in" acknowledges before the flow has done anything, so a kill
takes what waits in memory, and "mqtt out" drops what comes while its broker is away. Against the
second there are a flow with a store of its own (a column for what was sent, a timer that reads
rows back, a "complete" node that marks them), which is not built here, and the gate, which is.
"""

import json
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..bytecode import ROOT
from . import load
from .peer import Site

INSTALLED = ROOT / "build" / "peers" / "nodered"

_TABLE = "CREATE TABLE readings (sensor TEXT, timestamp INTEGER, value REAL)"
_INSERT = "INSERT INTO readings VALUES ($sensor, $timestamp, $value)"
_PARSE = """\
const { timestamp, value } = msg.payload;
if (typeof timestamp !== "number" || typeof value !== "number") {
    node.warn("no reading: " + msg.topic);
    return null;
}
const sensor = msg.topic.split("/")[1];
msg.reading = { sensor, timestamp, value };
msg.params = { $sensor: sensor, $timestamp: timestamp, $value: value };
return msg;
"""
_GATE = 'return { action: msg.status.fill === "green" ? "connect" : "disconnect" };'
_SETTINGS: dict[str, Any] = {
    "flowFile": "flows.json",
    "credentialSecret": False,
    "httpAdminRoot": False,  # neither an editor nor anything else that listens
    "httpNodeRoot": False,
    "disableEditor": True,
    "diagnostics": {"enabled": False, "ui": False},
    "telemetry": {"enabled": False, "updateNotification": False},
    "externalModules": {"palette": {"allowInstall": False}},
    "editorTheme": {"projects": {"enabled": False}},
    "logging": {"console": {"level": "warn", "metrics": False, "audit": False}},
    "mqttReconnectTime": 1000,  # ms; its own settings have 15 s, in which it would lose more
}


@dataclass(frozen=True)
class NodeRed:
    """Node-RED as `make bench-peers` installs it, without its editor.

    With a gate the flow leaves the source's broker while the upstream's is away, so that the
    source keeps the readings. That helps if the connection ends; one that only falls silent
    is noticed after the keep-alive.
    """

    installed: Path = INSTALLED
    has_gate: bool = False
    keeps_all: bool = True

    @property
    def name(self) -> str:
        """Return "nodered", or "nodered_gated"."""
        return "nodered_gated" if self.has_gate else "nodered"

    def missing(self) -> str:
        """Return what to do if it isn't installed."""
        if not (self.installed / ".ready").exists():
            reason = self.installed / "reason"
            why = reason.read_text(encoding="utf-8").strip() if reason.exists() else ""
            return f"no Node-RED in {self.installed}{why and f' ({why})'}: make bench-peers"
        if shutil.which("node") is None:
            return "no node for Node-RED: apt-get install nodejs"
        return ""

    def prepare(self, site: Site) -> None:
        """Write its settings and its flow, and make the table."""
        settings = json.dumps(_SETTINGS, indent=1)
        (site.folder / "settings.js").write_text(f"module.exports = {settings};\n")
        (site.folder / "flows.json").write_text(json.dumps(self._flow(site), indent=1))
        connection = sqlite3.connect(_database(site))
        try:
            connection.execute("PRAGMA journal_mode=WAL")  # the file remembers it
            connection.execute(_TABLE)
            connection.commit()
        finally:
            connection.close()

    def command(self, site: Site) -> Sequence[str]:
        """Return node with Node-RED, which has its user directory in the site's folder."""
        program = str(self.installed / "node_modules" / "node-red" / "red.js")
        settings = str(site.folder / "settings.js")
        return ("node", program, "--userDir", str(site.folder), "--settings", settings)

    def environment(self, site: Site) -> Mapping[str, str]:
        """Return nothing."""
        del site
        return {}

    def numbers(self, topic: str, payload: bytes) -> list[int]:
        """Return the number of the one reading that a message has."""
        del topic
        try:
            return [load.number_of(json.loads(payload)["value"])]
        except (ValueError, TypeError, KeyError, OverflowError):
            return []

    def identities(self, topic: str, payload: bytes) -> list[str]:
        """Return none: nothing in Node-RED tells messages apart."""
        del topic, payload
        return []

    def waiting(self, site: Site) -> int:
        """Return 0: what its database has, nobody sends."""
        del site
        return 0

    def stored(self, site: Site) -> int:
        """Return how many rows there are."""
        connection = sqlite3.connect(f"file:{_database(site)}?mode=ro", uri=True)
        try:
            (count,) = connection.execute("SELECT COUNT(*) FROM readings").fetchone()
        finally:
            connection.close()
        return int(count)

    def _flow(self, site: Site) -> list[dict[str, Any]]:
        """Return the nodes, the upstream's first: it is to be connected before readings come."""
        into = {"topic": load.TOPICS, "qos": "1", "datatype": "json"}
        return [
            {"id": "flow", "type": "tab", "label": "bench"},
            _broker("upstream", site.upstream_port),
            _node("out", "mqtt out", "", broker="upstream", topic="", qos="1", retain="false"),
            _node("restore", "change", "out", rules=[_move("reading", "payload")]),
            {"id": "database", "type": "sqlitedb", "db": str(_database(site)), "mode": "RWC"},
            _node(
                "insert", "sqlite", "restore", mydb="database", sqlquery="prepared", sql=_INSERT
            ),
            _node("parse", "function", "insert", func=_PARSE, outputs=1, libs=[]),
            {**_broker("source", int(site.source)), "autoConnect": not self.has_gate},
            _node("in", "mqtt in", "parse", broker="source", **into),
            *(_gate() if self.has_gate else []),
        ]


def _database(site: Site) -> Path:
    return site.folder / "readings.db"


def _gate() -> list[dict[str, Any]]:
    """Return the nodes that open and close the source's connection as the upstream's goes."""
    return [
        _node("watch", "status", "decide", scope=["out"]),
        _node("decide", "function", "gate", func=_GATE, outputs=1, libs=[]),
        _node("gate", "mqtt out", "", broker="source", topic="", qos="1", retain="false"),
    ]


def _node(name: str, kind: str, to: str, **settings: Any) -> dict[str, Any]:
    """Return a node of the flow. Without a place it would be taken for a configuration."""
    wires = [[to]] if to else []
    return {"id": name, "type": kind, "z": "flow", "x": 0, "y": 0, **settings, "wires": wires}


def _move(source: str, to: str) -> dict[str, str]:
    return {"t": "move", "p": source, "pt": "msg", "to": to, "tot": "msg"}


def _broker(name: str, port: int) -> dict[str, Any]:
    """Return a connection with a session that the broker keeps, whatever ends."""
    return {
        "id": name,
        "type": "mqtt-broker",
        "broker": "127.0.0.1",
        "port": str(port),
        "clientid": f"nodered-{name}",
        "cleansession": False,
        "autoUnsubscribe": False,
        "autoConnect": True,
        "usetls": False,
        "protocolVersion": "4",
        "keepalive": "60",
    }
