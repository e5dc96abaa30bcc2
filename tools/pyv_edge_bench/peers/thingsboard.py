"""The ThingsBoard gateway: its MQTT connector, its SQLite storage, its MQTT to a server.

Configured as its manual has it for losing nothing: QoS 1 on both sides, a session that the
source broker keeps, all data reported, the storage on the disk, no limits on rates. It is
installed by `make bench-peers` in an environment of its own, from the pinned `requirements.txt`.
What no setting can change: it acknowledges a reading at the source as soon as it has it, and
up to half a second later that is committed; and a device has one value a time, so of two readings
of a sensor with the same millisecond the later one goes on alone.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..bytecode import ROOT
from . import load
from .peer import Site

_FILES = Path(__file__).parent / "thingsboard_files"
INSTALLED = ROOT / "build" / "peers" / "thingsboard"
_TELEMETRY = "v1/gateway/telemetry"
_SESSION_S = 86_400
_LOGGERS = ("database", "service", "connector", "converter", "tb_connection", "storage")
_NO_LIMIT = "0:0,"


class ThingsBoardGateway:
    """thingsboard-gateway of PyPI, with a broker as its server."""

    name = "tb"
    keeps_all = False

    def __init__(self, installed: Path = INSTALLED) -> None:
        """Take what `make bench-peers` has put into a folder."""
        self._installed = installed

    def missing(self) -> str:
        """Return what to do where it isn't installed."""
        if (self._installed / ".ready").exists():
            return ""
        reason = self._installed / "reason"
        why = reason.read_text(encoding="utf-8").strip() if reason.exists() else ""
        return (
            f"no ThingsBoard gateway in {self._installed}{why and f' ({why})'}: make bench-peers"
        )

    def prepare(self, site: Site) -> None:
        """Write its three files."""
        folder = site.folder / "config"
        folder.mkdir()
        (site.folder / "logs").mkdir()
        data = site.folder / "data"
        documents = {
            "tb_gateway.json": _gateway(site.upstream_port, f"{data}/"),
            "mqtt.json": _connector(int(site.source)),
            "logs.json": _logs(),
        }
        for name, document in documents.items():
            (folder / name).write_text(json.dumps(document, indent=1))

    def command(self, site: Site) -> Sequence[str]:
        """Return its own interpreter with `start.py`."""
        python = str(self._installed / "bin" / "python")
        return (python, str(_FILES / "start.py"), str(site.upstream_port))

    def environment(self, site: Site) -> Mapping[str, str]:
        """Return where its files are, and a proxy that isn't: it looks for updates of itself."""
        return {
            "TB_GW_CONFIG_DIR": f"{site.folder}/config/",
            "TB_GW_LOGS_PATH": f"{site.folder}/logs",
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "NO_PROXY": "",
        }

    def numbers(self, topic: str, payload: bytes) -> list[int]:
        """Return the numbers of a telemetry message: {"s0": [{"ts": 1, "values": {...}}]}."""
        return [number for number, _ in _entries(topic, payload)]

    def identities(self, topic: str, payload: bytes) -> list[str]:
        """Return device and time of each: a ThingsBoard server stores one value for them."""
        return [identity for _, identity in _entries(topic, payload)]

    def stored(self, site: Site) -> int:
        """Return how many readings are on the disk and wait: it deletes what the server has.

        Each row is a reading. There are none before it has started for the first time.
        """
        return sum(_rows(path) for path in sorted((site.folder / "data").glob("*.db")))

    def waiting(self, site: Site) -> int:
        """Return the same."""
        return self.stored(site)


def _entries(topic: str, payload: bytes) -> list[tuple[int, str]]:
    """Return number and identity of each reading of a message."""
    if topic != _TELEMETRY:
        return []
    try:
        devices: dict[str, Any] = json.loads(payload)
        return [
            (load.number_of(entry["values"]["temp"]), f"{device}/{entry['ts']}")
            for device, found in devices.items()
            for entry in found
        ]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return []


def _rows(path: Path) -> int:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        (count,) = connection.execute("SELECT COUNT(*) FROM messages").fetchone()
    finally:
        connection.close()
    return int(count)


def _gateway(port: int, data: str) -> dict[str, Any]:
    return {
        "thingsboard": {
            "host": "127.0.0.1",
            "port": port,
            "security": {"type": "accessToken", "accessToken": "bench"},
            "qos": 1,
            "remoteShell": False,
            "remoteConfiguration": False,
            "latencyDebugMode": False,
            "statistics": {"enable": False, "enableCustom": False},
            "deviceFiltering": {"enable": False},
            "checkingDeviceActivity": {"checkDeviceInactivity": False},
            "reportStrategy": {"type": "DISABLED"},  # all goes on, and nothing looks at it
            "maxPayloadSizeBytes": 65_536,
            "minPackSendDelayMS": 50,
            "minPackSizeToSend": 500,
            "rateLimits": _NO_LIMIT,
            "dpRateLimits": _NO_LIMIT,
            "messagesRateLimits": _NO_LIMIT,
            "deviceMessagesRateLimits": _NO_LIMIT,
            "deviceRateLimits": _NO_LIMIT,
            "deviceDpRateLimits": _NO_LIMIT,
        },
        "storage": {
            "type": "sqlite",
            "data_file_path": data,
            "messages_ttl_check_in_hours": 1,
            "messages_ttl_in_days": 7,
            "max_read_records_count": 1000,
            "writing_batch_size": 1000,
        },
        "grpc": {"enabled": False},
        "connectors": [{"type": "mqtt", "name": "sensors", "configuration": "mqtt.json"}],
    }


def _connector(port: int) -> dict[str, Any]:
    converter = {
        "type": "json",
        "deviceInfo": {
            "deviceNameExpressionSource": "topic",
            "deviceNameExpression": "(?<=bench/)(.*?)(?=/temp)",
            "deviceProfileExpressionSource": "constant",
            "deviceProfileExpression": "default",
        },
        "sendDataOnlyOnChange": False,
        "timeout": 60_000,
        "attributes": [],
        # It takes the time from "timestamp" by itself. A `tsField` is for times in words: it
        # would try to read each number as such, in vain, which takes a tenth of all its time.
        "timeseries": [{"type": "double", "key": "temp", "value": "${value}"}],
    }
    return {
        "id": "00000000-0000-4000-8000-000000000001",  # else it chooses one and writes it here
        "logLevel": "WARNING",
        "broker": {
            "host": "127.0.0.1",
            "port": port,
            "clientId": "thingsboard_gateway",
            "version": 5,
            "cleanSession": False,
            "cleanStart": False,
            "sessionExpiryInterval": _SESSION_S,
            "maxNumberOfWorkers": 1,  # threads: more of them cost time and the order
            "security": {"type": "anonymous"},
        },
        "mapping": [
            {"topicFilter": load.TOPICS, "subscriptionQos": 1, "converter": converter},
        ],
        "requestsMapping": {},
    }


def _logs() -> dict[str, Any]:
    to_file = {
        "class": "thingsboard_gateway.tb_utility.tb_rotating_file_handler."
        "TimedRotatingFileHandler",
        "formatter": "line",
        "filename": "./logs/gateway.log",
        "encoding": "utf-8",
    }
    logger = {"handlers": ["file"], "level": "WARNING", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {"file": to_file},
        "loggers": dict.fromkeys((*_LOGGERS, "extension"), logger),
        "root": {"level": "ERROR", "handlers": ["file"]},
    }
