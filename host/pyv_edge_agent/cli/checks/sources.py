"""Devices that are no boards: the server that their readings come from."""

from pathlib import Path
from typing import Any

from .network import Endpoint, TLSFiles
from .sinks import of_url


def endpoint(device: dict[str, Any], folder: Path) -> Endpoint | None:
    """Return the server that a device's readings come from, None if there is none."""
    kind = device["ingest_type"]
    files = TLSFiles.of(device, folder)
    if kind == "mqtt":
        return Endpoint(device["host"], device["port"], files if device["tls"] else None)
    if kind == "http_poll":
        return of_url(device["url"], files)
    return None
