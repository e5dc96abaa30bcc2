"""Devices that are no boards: whether their server can be reached, their port be had."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .agent import Listen, check_port, listen
from .finding import Check, Finding
from .network import Endpoint, TLSFiles
from .sinks import of_url


def endpoints(device: dict[str, Any], folder: Path) -> Iterator[Endpoint]:
    """Yield the server that a device's readings come from, if there is one."""
    kind = device["ingest_type"]
    files = TLSFiles.of(device, folder)
    if kind == "mqtt":
        yield Endpoint(device["host"], device["port"], files if device["tls"] else None)
    elif kind == "http_poll":
        yield of_url(device["url"], files)


def check_listening(
    device: dict[str, Any], *, is_agent_running: bool, try_port: Listen = listen
) -> list[Finding]:
    """Tell whether the port of a device that takes POSTs can be had, or is the agent's."""
    about = Check("source.port", device["name"])
    if device["ingest_type"] != "http":
        return [about.skip("it listens on no port")]
    if is_agent_running:
        return [about.ok("the agent listens there, or says why not")]
    return check_port(about, device["host"], device["port"], try_port)
