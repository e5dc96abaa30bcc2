"""What a configuration may say and its author probably didn't mean."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..channel_policy import ChannelPolicies
from ..loopback import is_loopback
from ..settings import POLLED
from .origin import FILE, Origin
from .path import children
from .relation import listeners
from .source import Source
from .table import tables

Warn = Callable[[str, str], None]  # is told a setting and what is doubtful about it

PORT_FROM = 1024  # from where on anybody may listen
TOKEN_SIZE_MIN = 16  # characters
_MEBIBYTE = 1_048_576
_NOT_SENT = ("hmac_key", "hash_key")  # secrets that stay here


def find_warnings(
    warn: Warn, values: dict[str, Any], origins: Mapping[str, Origin], source: Source
) -> None:
    """Tell `warn` what is doubtful about checked values; `origins` are those of what is given."""
    if source.is_file and not values["sensors"]["devices"]:
        warn("sensors", "there are no devices, so nothing is recorded; add [[sensors.devices]]")
    for path in secrets_in_file(values, origins) if source.is_open else ():
        problem = "can be read by everybody here; chmod 600 the file, or put the secret elsewhere"
        warn(path, problem)
    _warn_of_what_is_off(warn, values, origins)
    _warn_of_retention(warn, values)
    _warn_of_rules_without_effect(warn, values["privacy"]["rules"])
    for path, _, port in listeners(values):
        if 0 < port < PORT_FROM:
            problem = f"is below {PORT_FROM}: only root may listen there, and the service is not"
            warn(path, f"{problem}; choose another")
    _warn_of_strangers(warn, values)
    for index, device in enumerate(values["sensors"]["devices"]):
        if device.get("dtr") != device.get("rts"):
            problem = "differs from rts: that holds an ESP32 in its reset or its boot loader"
            warn(f"sensors.devices[{index}].dtr", problem)


def secrets_in_file(values: dict[str, Any], origins: Mapping[str, Origin]) -> Iterator[str]:
    """Yield the paths of secrets that stand in the file itself; URLs may hold one too."""
    for path, table, keys in tables(values):
        for key, setting in keys.items():
            value = table.get(key)
            if not value or not (setting.is_secret or (setting.is_url and "@" in value)):
                continue
            place = f"{path}.{key}"
            parts = [one for one, _ in children(value, place)] or [place]
            if any(one in origins and origins[one].kind == FILE for one in parts):
                yield place


def _warn_of_what_is_off(
    warn: Warn, values: dict[str, Any], origins: Mapping[str, Origin]
) -> None:
    """Find what is described in the file and not in force."""
    described = [f"sinks.{kind}" for kind in values["sinks"]]
    described = [path for path in described if any(one.startswith(f"{path}.") for one in origins)]
    if "cloud.endpoint" in origins:  # other keys of [cloud] are about all sinks
        described.append("cloud")
    for path in described:
        if f"{path}.enabled" not in origins:
            warn(path, "is described but not enabled, so nothing goes there; set enabled")
    privacy = values["privacy"]
    if privacy["rules"] and not privacy["enabled"]:
        warn("privacy.enabled", "is false: the rules of privacy are not in force")
    if privacy["hash_key"] and "privacy.hash_key_file" in origins:
        warn("privacy.hash_key_file", "is not used, as there is a hash_key; leave one out")


def _warn_of_retention(warn: Warn, values: dict[str, Any]) -> None:
    policies, storage, sensors = values["policies"], values["storage"], values["sensors"]
    if 0 < policies["summary_keep_days"] < policies["keep_days"]:
        problem = "is less than keep_days: summaries go before the readings they are of"
        warn("policies.summary_keep_days", problem)
    channels = ChannelPolicies(policies)
    readings, count = 0.0, 0
    for device in sensors["devices"]:
        if device["ingest_type"] not in POLLED:
            continue  # who knows how often it brings something
        interval_s = device["interval_seconds"] or sensors["poll_interval_seconds"]
        keep_s = channels.of(device["name"]).keep_ms / 1000
        readings += keep_s / interval_s
        count += keep_s > 0
    if not readings or not storage["max_mb"]:
        return
    from ..sizing import READING_SIZE  # which knows the store

    size_mb = readings * READING_SIZE / _MEBIBYTE
    if storage["max_mb"] < size_mb:
        warn(
            "storage.max_mb",
            f"is {storage['max_mb']:g}, less than the {size_mb:.0f} that {count} polled devices"
            f" take in the days they are kept, at {READING_SIZE:.0f} bytes a reading: the oldest"
            " go sooner",
        )


def _warn_of_rules_without_effect(warn: Warn, rules: list[Any]) -> None:
    """Find rules of privacy behind one that fits every reading: the first that fits decides."""
    first = None
    for index, given in enumerate(rules):
        rule = given if isinstance(given, dict) else {"pattern": given[0]}
        if "key" in rule:
            continue
        if first is not None:
            problem = f"never decides: privacy.rules[{first}], before it, fits everything"
            warn(f"privacy.rules[{index}]", f"{problem}; put that one last")
        elif all(rule.get(one, "*") == "*" for one in ("pattern", "device", "channel")):
            first = index


def _warn_of_strangers(warn: Warn, values: dict[str, Any]) -> None:
    """Find what others on the network can reach, or read along."""
    health = values["health"]
    if health["enabled"] and not health["cert_file"] and not is_loopback(health["host"]):
        problem = "others on that network can read along, and the token too; give health.cert_file"
        warn("health.host", problem)
    is_weak = 0 < len(health["token"]) < TOKEN_SIZE_MIN
    if health["enabled"] and is_weak and not is_loopback(health["host"]):
        problem = f"has less than {TOKEN_SIZE_MIN} characters and can be guessed; make it longer"
        warn("health.token", problem)
    for path, table, keys in tables(values):
        sent = [key for key, setting in keys.items() if setting.is_secret and table.get(key)]
        sent = [key for key in sent if key not in _NOT_SENT]
        if not sent or table.get("enabled") is False:
            continue
        problem = f"sends {sent[0]} unencrypted; others can read it on its way"
        if table.get("tls") is False and not is_loopback(table["host"]):
            warn(f"{path}.tls", problem)
        for key in [key for key, setting in keys.items() if setting.is_url]:
            if any(_is_open(url.strip()) for url in table[key].split(",")):
                warn(f"{path}.{key}", problem)


def _is_open(url: str) -> bool:
    """Return whether what is sent there can be read on its way."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "ws") and not is_loopback(parts.hostname or "")
    except ValueError:
        return False
