"""What is wrong between settings of which each is right by itself."""

from collections.abc import Callable, Container
from typing import Any
from urllib.parse import urlsplit

from .adapters.http_relations import check_http
from .adapters.mapping import check_mapping
from .adapters.simulator import probability_fault
from .adapters.topic import check_subscription, client_id_of
from .port_search import normal, parse

Fault = Callable[[str, str], None]  # is told a setting and what is wrong with it


def check_relations(fault: Fault, values: dict[str, Any], faulty: Container[str]) -> None:
    """Find what is wrong between settings that are each right.

    Of those in `faulty`, `values` has the defaults, which say nothing.
    """
    cloud = values["cloud"]
    if cloud["enabled"] and not _is_url(cloud["endpoint"]):
        fault(
            "cloud.endpoint", "must be a URL, http://... or https://..., if cloud.enabled is true"
        )
    if not cloud["api_key"].isascii():
        fault("cloud.api_key", "must be ASCII, to go into an HTTP header")
    if not values["health"]["host"].isascii():
        fault("health.host", "must be ASCII: an address, or a name in its IDNA form")
    _check_sinks(fault, values["sinks"], faulty)
    storage = values["storage"]
    if storage["low_water"] >= storage["high_water"]:
        fault("storage.low_water", "must be below storage.high_water")
    if 0 < storage["max_mb"] < 2:
        fault("storage.max_mb", "must be 0 or at least 2: an empty store takes half of that")
    _check_unique(fault, values["sensors"]["devices"], "sensors.devices", "name")
    # A list of the same length, since faults name places in it.
    boards = [
        table if table.get("ingest_type") == "serial" else {}
        for table in values["sensors"]["devices"]
    ]
    _check_unique(fault, boards, "sensors.devices", "port", normal)
    _check_unique(fault, values["sensors"]["devices"], "sensors.devices", "device_id")
    for index, device in enumerate(values["sensors"]["devices"]):
        place = f"sensors.devices[{index}]"
        if device.get("name") == "":
            fault(f"{place}.name", "must not be empty")
        if device.get("ingest_type") == "serial" and "port" in device:
            try:
                parse(device["port"])
            except ValueError as error:
                fault(f"{place}.port", str(error))
        if device.get("device_id") and device["accept_new"]:
            problem = "takes any board, device_id only one; leave one out"
            fault(f"{place}.accept_new", problem)
        if device.get("min_value", 0) > device.get("max_value", 0):
            fault(f"sensors.devices[{index}].min_value", "is greater than max_value")
        if "spike_probability" in device and (problem := probability_fault(device)):
            fault(f"{place}.spike_probability", problem)
        if "value_path" in device:
            for key, problem in check_mapping(device):
                fault(f"{place}.{key}", problem)
        if "url" in device and not _is_url(device["url"]):
            fault(f"{place}.url", "must be a URL, http://... or https://...")
        if "topic" in device:
            for key, problem in check_subscription(device):
                fault(f"{place}.{key}", problem)
    _check_sessions(fault, values)
    for path, problem in check_http(values["sensors"]["devices"], values["health"], faulty):
        fault(path, problem)


def _check_sinks(fault: Fault, sinks: dict[str, Any], faulty: Container[str]) -> None:
    influx, nats, mqtt = sinks["influxdb"], sinks["nats"], sinks["mqtt"]
    if influx["enabled"] and "sinks.influxdb.version" not in faulty:
        needed = ("database",) if influx["version"] == "1" else ("org", "bucket", "token")
        for key in needed:
            if not influx[key]:
                version = influx["version"]
                fault(f"sinks.influxdb.{key}", f"must be given for version {version}")
        if not _is_url(influx["url"]):
            fault("sinks.influxdb.url", "must be a URL, http://... or https://...")
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


def _check_sessions(fault: Fault, values: dict[str, Any]) -> None:
    """Find two clients that would take one session at a broker from each other for ever."""
    seen: dict[tuple[str, int, str], str] = {}
    sink = values["sinks"]["mqtt"]
    if sink["enabled"]:
        seen[sink["host"].lower(), sink["port"], sink["client_id"]] = "sinks.mqtt"
    for index, device in enumerate(values["sensors"]["devices"]):
        if device.get("ingest_type") != "mqtt" or "name" not in device:
            continue
        place = f"sensors.devices[{index}]"
        session = (device["host"].lower(), device["port"], client_id_of(device))
        if session in seen:
            fault(f"{place}.client_id", f"is the same as {seen[session]}'s at the same broker")
        else:
            seen[session] = place


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_unique(
    fault: Fault,
    tables: list[dict[str, Any]],
    path: str,
    key: str,
    normalize: Callable[[str], str] = str,
) -> None:
    """Find values of `key` that stand twice; an empty one stands for none."""
    seen: dict[str, int] = {}
    for index, table in enumerate(tables):
        if not table.get(key):
            continue
        value = normalize(table[key])
        if value in seen:
            fault(
                f"{path}[{index}].{key}",
                f"is the same as {path}[{seen[value]}]'s; each needs its own",
            )
        else:
            seen[value] = index
