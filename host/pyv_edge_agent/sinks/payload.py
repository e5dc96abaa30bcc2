"""The forms in which readings leave: the documented product's, and SenML JSON (RFC 8428)."""

import json
from typing import Any

DOCUMENTED, SENML = "documented", "senml"
CONTENT_TYPES = {DOCUMENTED: "application/json", SENML: "application/senml+json"}

# What is made here can't contain itself: to look for that takes a tenth of the time.
_ENCODER = json.JSONEncoder(check_circular=False, allow_nan=False, separators=(",", ":"))


def envelope(batch_key: str, now_ms: int, items: list[dict[str, Any]]) -> bytes:
    """Return the documented body: {"batch_id", "timestamp", "count", "items"}."""
    body = {
        "batch_id": batch_key,
        "timestamp": now_ms / 1000,
        "count": len(items),
        "items": items,
    }
    return _ENCODER.encode(body).encode()


def is_reading(item: dict[str, Any]) -> bool:
    """Return whether an item is a stored reading as the sinks get it, and not one of the queue."""
    metadata = item.get("metadata")
    return isinstance(metadata, dict) and "seq" in metadata and "sensor_name" in item


def identity(item: dict[str, Any]) -> str:
    """Return what tells a reading from all others, and is the same on each attempt."""
    metadata = item["metadata"]
    return f"{metadata.get('device', '')}/{metadata['boot']}/{metadata['seq']}"


def senml(items: list[dict[str, Any]]) -> bytes:
    """Return readings as a SenML pack."""
    return _ENCODER.encode([senml_record(item) for item in items]).encode()


def senml_record(item: dict[str, Any]) -> dict[str, Any]:
    """Return what a SenML pack has of a reading.

    The base name is the device's, the name the channel's. A reading that is bad has no
    value and is left out of what SenML can say: it goes as a string value "bad" under
    its name with ":quality". What SenML has no field for (boot, number, error of the
    time) stands in fields that a receiver skips which doesn't know them, as its section
    4.4 allows.
    """
    metadata = item["metadata"]
    record: dict[str, Any] = {
        "bn": f"urn:dev:ops:{metadata.get('device', '')}:",
        "n": metadata.get("channel", item["sensor_name"]),  # a policy may have removed them
        "t": item["timestamp"],
        "boot": metadata["boot"],
        "seq": metadata["seq"],
    }
    if item["unit"]:
        record["u"] = item["unit"]
    if item["value"] is None:
        record["n"] += ":quality"
        record["vs"] = metadata.get("quality", "bad")
        record.pop("u", None)
    else:
        record["v"] = item["value"]
    return record
