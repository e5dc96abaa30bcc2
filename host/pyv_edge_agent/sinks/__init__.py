"""Where readings go: one file per kind of sink, each imported only if it is used."""

from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StartError
from .delivery import Sink

if TYPE_CHECKING:
    from ..clock import Clock

_EXTRAS = {"mqtt": ("paho", "paho-mqtt"), "nats": ("nats", "nats-py")}  # module and package
_FILES = ("ca_file", "cert_file", "key_file", "creds_file")


def create_sink(name: str, settings: dict[str, Any], folder: Path, clock: "Clock") -> Sink:
    """Return the sink of [sinks.NAME]; paths count from `folder`. Raises StartError."""
    if name in _EXTRAS and find_spec(_EXTRAS[name][0]) is None:
        raise StartError(
            f"sinks.{name}: {_EXTRAS[name][1]} is not installed; pip install 'pyv-edge[{name}]'"
        )
    if name == "mqtt":
        from .mqtt import MQTTOptions, MQTTSink

        own = {
            "protocol": 5 if settings["protocol"] == "5" else 4,
            "is_tls": settings["tls"],
            "keepalive": settings["keepalive_seconds"],
        }
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


def read_options(kind: Any, settings: dict[str, Any], folder: Path, own: dict[str, Any]) -> Any:
    """Return the options of a sink: `own`, and what settings have under the same name.

    `kind` is their dataclass; an empty path is None, another one counts from `folder`.
    """
    values = {}
    for name in [field.name for field in fields(kind)]:
        if name in own:
            values[name] = own[name]
        elif name in _FILES:
            values[name] = folder / settings[name] if settings.get(name) else None
        else:
            values[name] = settings[name]
    return kind(**values)
