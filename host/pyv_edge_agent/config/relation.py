"""What is wrong between settings of which each is right by itself."""

import re
from collections.abc import Callable, Container, Iterator
from typing import Any
from urllib.parse import urlsplit

from pyv_edge_core.pattern import SIZE_MAX

from ..loopback import is_loopback
from ..port_search import normal, parse
from ..settings import LISTENING, SECTIONS
from ..settings.section import origins
from .table import tables

Report = Callable[[str, str], None]  # is told a setting and what is wrong with it
ANY_HOST = {"", "0.0.0.0", "::"}  # noqa: S104 nothing is bound here

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?")
_URL = "must be a URL, http://... or https://..."


def check_relations(fault: Report, values: dict[str, Any], faulty: Container[str]) -> None:
    """Find what is wrong between settings that are each right.

    Of those in `faulty`, `values` has the defaults, which say nothing.
    """
    cloud = values["cloud"]
    if cloud["enabled"] and not _is_url(cloud["endpoint"]):
        fault("cloud.endpoint", f"{_URL}, if cloud.enabled is true")
    if not cloud["api_key"].isascii():
        fault("cloud.api_key", "must be ASCII, to go into an HTTP header")
    is_default = cloud["retry_base_seconds"] == SECTIONS["cloud"]["retry_base_seconds"].default
    if cloud["retry_base_seconds"] > cloud["retry_max_seconds"] and not is_default:
        fault("cloud.retry_base_seconds", "is greater than cloud.retry_max_seconds; lower it")
    _check_health(fault, values["health"])
    _check_sinks(fault, values["sinks"], faulty)
    _check_identity(fault, values)
    _check_storage(fault, values["storage"])
    _check_devices(fault, values["sensors"]["devices"])
    _check_sessions(fault, values)
    _check_http(fault, values["sensors"]["devices"], faulty)
    check_listeners(fault, listeners(values))


def _check_health(fault: Report, health: dict[str, Any]) -> None:
    if not health["host"].isascii():
        fault("health.host", "must be ASCII: an address, or a name in its IDNA form")
    if not health["token"].isascii():
        fault("health.token", "must be ASCII, to go into an HTTP header")
    if health["enabled"] and not health["token"] and not is_loopback(health["host"]):
        problem = "is missing: whoever reaches this computer could see what it measures"
        fault("health.token", f'{problem}; give one, or say host = "127.0.0.1"')
    for origin in origins(health):
        if not _ORIGIN.fullmatch(origin):
            fault("health.cors_origins", "must be origins, such as https://ops.example:8443")
            break


def listeners(values: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Return what listens on this machine: the path of its port, the address, the port."""
    found: list[tuple[str, str, int]] = []
    shared: list[tuple[str, str, int]] = []
    health = values["health"]
    if health["enabled"]:
        found.append(("health.port", health["host"], health["port"]))
    for index, device in enumerate(values["sensors"]["devices"]):
        host, port = LISTENING.get(device.get("ingest_type", ""), ("", ""))
        # Devices may share what listens.
        if port in device and (device[host], device[port]) not in [one[1:] for one in shared]:
            shared.append((f"sensors.devices[{index}].{port}", device[host], device[port]))
    return found + shared


def check_listeners(fault: Report, found: list[tuple[str, str, int]]) -> None:
    """Find what would listen where something before it in the list does."""
    for index, (path, host, port) in enumerate(found):
        for other, other_host, other_port in found[:index]:
            hosts = {"127.0.0.1" if one == "localhost" else one for one in (host, other_host)}
            is_same_host = len(hosts) == 1 or bool(hosts & ANY_HOST)
            if port and port == other_port and is_same_host:
                fault(path, f"{port} is {other} too; choose another")
                break


def _check_storage(fault: Report, storage: dict[str, Any]) -> None:
    path = storage["path"]
    if path == ":memory:" or not path.strip("./") or path.endswith("/"):
        fault("storage.path", "names no file; name one, such as data/edge_store.db")
    if storage["low_water"] >= storage["high_water"]:
        fault("storage.low_water", "must be below storage.high_water; lower it")
    if 0 < storage["max_mb"] < 2:
        fault("storage.max_mb", "must be 0 or at least 2: an empty store takes half of that")
    is_default = storage["keep_mb"] == SECTIONS["storage"]["keep_mb"].default
    if 0 < storage["max_mb"] < storage["keep_mb"] and not is_default:
        fault("storage.keep_mb", "is greater than storage.max_mb; lower it")


def _check_devices(fault: Report, devices: list[dict[str, Any]]) -> None:
    _check_unique(fault, devices, "sensors.devices", "name")
    # A list of the same length, since faults name places in it.
    boards = [device if device.get("ingest_type") == "serial" else {} for device in devices]
    _check_unique(fault, boards, "sensors.devices", "port", normal)
    _check_unique(fault, devices, "sensors.devices", "device_id")
    for index, device in enumerate(devices):
        place = f"sensors.devices[{index}]"
        if problem := _name_fault(device.get("name")):
            fault(f"{place}.name", problem)
        if device.get("ingest_type") == "serial" and "port" in device:
            try:
                parse(device["port"])
            except ValueError as error:
                fault(f"{place}.port", str(error))
        if device.get("device_id") and device["accept_new"]:
            problem = "takes any board, device_id only one; leave one out"
            fault(f"{place}.accept_new", problem)
        if device.get("min_value", 0) > device.get("max_value", 0):
            fault(f"{place}.min_value", "is greater than max_value")
        for key, problem in _problems(device):
            fault(f"{place}.{key}", problem)


def _name_fault(name: str | None) -> str:
    """Return why no rule and no policy could name a device of that name, "" if they can."""
    if name is None:
        return ""
    if not name:
        return "must not be empty"
    if len(name) > SIZE_MAX:
        return f"has {len(name)} characters; at most {SIZE_MAX}"
    wild = next((one for one in name if one in "*?["), "")
    return f"has a {wild}, which means something else in patterns; leave it out" if wild else ""


def _problems(device: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what adapters find wrong with a device; few configurations need them all."""
    if "spike_probability" in device:
        from ..adapters.simulator import probability_fault

        if problem := probability_fault(device):
            yield "spike_probability", problem
    if "value_path" in device:
        from ..adapters.mapping import check_mapping

        yield from check_mapping(device)
    if "topic" in device:
        from ..adapters.topic import check_subscription

        yield from check_subscription(device)
    if "url" in device and not _is_url(device["url"]):
        yield "url", _URL
    if device.get("ingest_type") == "file":
        from ..adapters.file_relations import check_file

        yield from check_file(device)


def _check_http(fault: Report, devices: list[dict[str, Any]], faulty: Container[str]) -> None:
    if any(device.get("ingest_type") in ("http", "http_poll") for device in devices):
        from ..adapters.http_relations import check_http

        for path, problem in check_http(devices, faulty):
            fault(path, problem)


def _check_identity(fault: Report, values: dict[str, Any]) -> None:
    """Find what is wrong with how we say who we are, to whomever."""
    for path, table, _ in tables(values):
        if table.get("enabled") is False:
            continue
        for key in [key for key in ("ca_file", "cert_file", "key_file") if table.get(key)]:
            if table.get("tls") is False:
                fault(f"{path}.{key}", "needs tls = true")
        if table.get("key_file") and not table.get("cert_file"):
            fault(f"{path}.key_file", "needs the certificate, cert_file")
        if table.get("password") and not table.get("username"):
            fault(f"{path}.password", "needs a username")


def _check_sinks(fault: Report, sinks: dict[str, Any], faulty: Container[str]) -> None:
    influx, nats, mqtt = sinks["influxdb"], sinks["nats"], sinks["mqtt"]
    if influx["enabled"] and "sinks.influxdb.version" not in faulty:
        needed = ("database",) if influx["version"] == "1" else ("org", "bucket", "token")
        for key in needed:
            if not influx[key]:
                version = influx["version"]
                fault(f"sinks.influxdb.{key}", f"must be given for version {version}")
        if not _is_url(influx["url"]):
            fault("sinks.influxdb.url", _URL)
    if nats["enabled"] and not all(
        one.strip().startswith(("nats://", "tls://", "ws://", "wss://"))
        for one in nats["servers"].split(",")
    ):
        fault("sinks.nats.servers", "must be URLs, nats://HOST:PORT or tls://HOST:PORT")
    if mqtt["enabled"]:
        for key in ("host", "client_id", "topic_prefix"):
            if not mqtt[key] or any(mark in mqtt[key] for mark in "+#"):
                fault(f"sinks.mqtt.{key}", "must not be empty, nor have + or # in it")
        if mqtt["discovery_prefix"] and mqtt["mode"] == "batch":
            problem = 'needs mode = "reading": Home Assistant reads one state from one topic'
            fault("sinks.mqtt.discovery_prefix", problem)
    if nats["enabled"]:
        given = [key for key in ("username", "token", "creds_file") if nats[key]]
        if len(given) > 1:
            problem = f"{' and '.join(given)} each say who we are; keep one"
            fault(f"sinks.nats.{given[1]}", problem)


def _check_sessions(fault: Report, values: dict[str, Any]) -> None:
    """Find two clients that would take one session at a broker from each other for ever."""
    seen: dict[tuple[str, int, str], str] = {}
    sink = values["sinks"]["mqtt"]
    if sink["enabled"]:
        seen[sink["host"].lower(), sink["port"], sink["client_id"]] = "sinks.mqtt"
    for index, device in enumerate(values["sensors"]["devices"]):
        if device.get("ingest_type") != "mqtt" or "name" not in device:
            continue
        from ..adapters.topic import client_id_of

        place = f"sensors.devices[{index}]"
        session = (device["host"].lower(), device["port"], client_id_of(device))
        if session in seen:
            fault(f"{place}.client_id", f"is the same as {seen[session]}'s at the same broker")
        else:
            seen[session] = place


def _is_url(text: str) -> bool:
    if any(one.isspace() for one in text):  # it is %20 in a request
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_unique(
    fault: Report,
    tables: list[dict[str, Any]],
    path: str,
    key: str,
    normalize: Callable[[str], str] = str,
) -> None:
    """Find texts of `key` that stand twice; an empty one stands for none."""
    seen: dict[str, int] = {}
    for index, table in enumerate(tables):
        if not table.get(key) or not isinstance(table[key], str):
            continue
        value = normalize(table[key])
        if value in seen:
            fault(
                f"{path}[{index}].{key}",
                f"is the same as {path}[{seen[value]}]'s; each needs its own",
            )
        else:
            seen[value] = index
