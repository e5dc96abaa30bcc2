"""Where readings go: one file per kind of sink, each imported only if it is used."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StartError
from .delivery import Sink

if TYPE_CHECKING:
    from ..clock import Clock

NAMES = ("mqtt", "nats", "influxdb", "file")  # beside "http", which is [cloud]
_EXTRAS = {"mqtt": "paho-mqtt", "nats": "nats-py"}


def create_sink(name: str, settings: dict[str, Any], folder: Path, clock: "Clock") -> Sink:
    """Return the sink of [sinks.NAME]; paths count from `folder`. Raises StartError."""
    try:
        if name == "mqtt":
            return _mqtt(settings, folder, clock)
        if name == "nats":
            return _nats(settings, folder, clock)
        if name == "influxdb":
            return _influxdb(settings, folder, clock)
        return _file(settings, folder, clock)
    except ImportError as error:
        package = _EXTRAS.get(name, name)
        raise StartError(
            f"sinks.{name}: {package} is not installed; pip install 'pyv-edge[{name}]'"
        ) from error


def _path(settings: dict[str, Any], key: str, folder: Path) -> Path | None:
    return folder / settings[key] if settings[key] else None


def _tls(settings: dict[str, Any], folder: Path) -> dict[str, Path | None]:
    return {key: _path(settings, key, folder) for key in ("ca_file", "cert_file", "key_file")}


def _mqtt(settings: dict[str, Any], folder: Path, clock: "Clock") -> Sink:
    from .mqtt import MQTTOptions, MQTTSink

    options = MQTTOptions(
        host=settings["host"],
        port=settings["port"],
        client_id=settings["client_id"],
        username=settings["username"],
        password=settings["password"],
        protocol=5 if settings["protocol"] == "5" else 4,
        is_tls=settings["tls"],
        topic_prefix=settings["topic_prefix"],
        mode=settings["mode"],
        format=settings["format"],
        discovery_prefix=settings["discovery_prefix"],
        keepalive=settings["keepalive_seconds"],
        timeout_seconds=settings["timeout_seconds"],
        **_tls(settings, folder),
    )
    return MQTTSink(options, clock)


def _nats(settings: dict[str, Any], folder: Path, clock: "Clock") -> Sink:
    from .nats import NATSOptions, NATSSink

    options = NATSOptions(
        servers=tuple(one.strip() for one in settings["servers"].split(",")),
        stream=settings["stream"],
        subject_prefix=settings["subject_prefix"],
        create_stream=settings["create_stream"],
        replicas=settings["replicas"],
        duplicate_window_seconds=settings["duplicate_window_seconds"],
        user=settings["username"],
        password=settings["password"],
        token=settings["token"],
        creds_file=_path(settings, "creds_file", folder),
        timeout_seconds=settings["timeout_seconds"],
        **_tls(settings, folder),
    )
    return NATSSink(options, clock)


def _influxdb(settings: dict[str, Any], folder: Path, clock: "Clock") -> Sink:
    from .influxdb import InfluxDBOptions, InfluxDBSink

    options = InfluxDBOptions(
        url=settings["url"],
        version=int(settings["version"]),
        database=settings["database"],
        username=settings["username"],
        password=settings["password"],
        org=settings["org"],
        bucket=settings["bucket"],
        token=settings["token"],
        measurement=settings["measurement"],
        is_compressed=settings["compress"],
        ca_file=_path(settings, "ca_file", folder),
        timeout_seconds=settings["timeout_seconds"],
    )
    return InfluxDBSink(options, clock)


def _file(settings: dict[str, Any], folder: Path, clock: "Clock") -> Sink:
    from .file import FileOptions, FileSink

    options = FileOptions(
        folder=folder / settings["folder"],
        segment_mb=settings["segment_mb"],
        total_mb=settings["total_mb"],
        on_full=settings["on_full"],
    )
    return FileSink(options, clock)
