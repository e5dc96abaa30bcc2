"""What is wrong between the settings of devices that speak HTTP, of which each is right."""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from ..loopback import is_loopback
from ..settings import HTTP_LISTENER

_ENDPOINT = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

Device = Mapping[str, Any]


def check_http(devices: Sequence[Device], faulty: Container[str]) -> Iterator[tuple[str, str]]:
    """Yield the path of each wrong setting and what is wrong; those in `faulty` are known."""
    first: dict[tuple[str, int], int] = {}  # device by address
    seen: dict[tuple[str, int, str], int] = {}
    for index, device in enumerate(devices):
        place = f"sensors.devices[{index}]"
        kind = device.get("ingest_type")
        if kind not in ("http", "http_poll"):
            continue
        checks = _check_receiver if kind == "http" else _check_poll
        for key, problem in (*_check_both(device), *checks(device)):
            if f"{place}.{key}" not in faulty:
                yield f"{place}.{key}", problem
        if kind != "http":
            continue
        host, port, endpoint = device["host"], device["port"], device["endpoint"]
        other = first.setdefault((host, port), index)
        for key in HTTP_LISTENER:
            if device[key] != devices[other][key]:
                problem = f"differs from sensors.devices[{other}]'s, which has the same port"
                yield f"{place}.{key}", problem
        known = seen.setdefault((host, port, endpoint), index)
        if known != index:
            problem = f"is the same as sensors.devices[{known}]'s on the same port"
            yield f"{place}.endpoint", f"{problem}; each needs its own"


def _check_both(device: Device) -> Iterator[tuple[str, str]]:
    if not device["token"].isascii():
        yield "token", "must be ASCII, to go into an HTTP header"


def _check_receiver(device: Device) -> Iterator[tuple[str, str]]:
    if not device["token"] and not is_loopback(device["host"]):
        problem = "is missing: whoever reaches this computer could store readings"
        yield "token", f'{problem}; give one, or say host = "127.0.0.1"'
    if not _ENDPOINT.fullmatch(device["endpoint"]):
        yield "endpoint", "must be a path as in /ingest, of what a URL may have"


def _check_poll(device: Device) -> Iterator[tuple[str, str]]:
    for name, value in device["headers"].items():
        if not _HEADER.fullmatch(name) or not (value.isascii() and value.isprintable()):
            yield "headers", f"{name!r} is no header, or its value is not ASCII"
