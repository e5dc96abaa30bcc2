"""The tables of a configuration that have settings of their own."""

from collections.abc import Iterator
from typing import Any

from ..settings import DEVICE, DEVICES, SECTIONS, SINKS, THIRD_PARTY, Setting


def tables(values: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Setting]]]:
    """Yield each: its path, its values, what may stand in it."""
    for section, keys in SECTIONS.items():
        yield section, values[section], keys
    for kind, keys in SINKS.items():
        yield f"sinks.{kind}", values["sinks"][kind], keys
    for index, device in enumerate(values["sensors"]["devices"]):
        kind = device.get("ingest_type", "")
        yield f"sensors.devices[{index}]", device, {**DEVICE, **DEVICES.get(kind, THIRD_PARTY)}
