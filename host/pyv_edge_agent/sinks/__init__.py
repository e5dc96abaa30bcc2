"""Where readings go: one file per kind of sink, each imported only if it is used."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..options import need_extra, read_options
from .delivery import Sink

if TYPE_CHECKING:
    from ..clock import Clock

_EXTRAS = ("mqtt", "nats")


def create_sink(name: str, settings: dict[str, Any], folder: Path, clock: "Clock") -> Sink:
    """Return the sink of [sinks.NAME]; paths count from `folder`. Raises StartError."""
    if name in _EXTRAS:
        need_extra(name, f"sinks.{name}")
    if name == "mqtt":
        from ..mqtt_client import broker_settings
        from .mqtt import MQTTOptions, MQTTSink

        own = broker_settings(settings)
        return MQTTSink(read_options(MQTTOptions, settings, folder, own), clock)
    if name == "nats":
        from .nats import NATSOptions, NATSSink

        servers = tuple(one.strip() for one in settings["servers"].split(","))
        own = {"servers": servers, "user": settings["username"]}
        return NATSSink(read_options(NATSOptions, settings, folder, own), clock)
    if name == "influxdb":
        from .influxdb import InfluxDBOptions, InfluxDBSink

        own = {"version": int(settings["version"]), "is_compressed": settings["compress"]}
        return InfluxDBSink(read_options(InfluxDBOptions, settings, folder, own), clock)
    from .file import FileOptions, FileSink

    own = {"folder": folder / settings["folder"]}
    return FileSink(read_options(FileOptions, settings, folder, own), clock)
