"""Line protocol: one line for each reading or item, as InfluxDB and others take it.

    MEASUREMENT,boot=..,channel=..,device=..,quality=..,sensor=.. seq=1i,value=21.5 TIME

Points of the same tags and time are one point to InfluxDB, and the later one wins. So the
time is in nanoseconds, and what is below the millisecond is the reading's number: readings of one
millisecond stay apart, and a batch that is sent again changes nothing.
"""

import json
from typing import Any

from .payload import is_reading


def line(measurement: str, item: dict[str, Any]) -> str:
    """Return what stands for a reading or a queued item, each kind under a name of its own."""
    if is_reading(item):
        return _reading_line(measurement, item)
    if item.get("type") == "gap":
        tags = {"boot": item["boot"], "cause": item["cause"], "device": item["device"]}
        fields = {key: item[key] for key in ("first_seq", "last_seq", "count")}
        return _point(f"{measurement}_gaps", {**tags, "stream": item["stream"]}, fields, item)
    if item.get("type") == "summary":
        tags = {"period": f"{item['period_s']}s", "sensor": item["sensor_name"]}
        names = ("count", "bad_count", "min", "max", "mean", "last")
        fields = {key: item[key] for key in names if item[key] is not None}
        return _point(f"{measurement}_summaries", tags, fields, item)
    if "rule_name" in item:
        metadata = item.get("metadata") or {}
        tags = {
            "rule": item["rule_name"],
            "sensor": metadata.get("sensor_name", ""),
            "severity": item.get("severity", ""),
            "state": metadata.get("state", ""),
        }
        fields = {"message": str(item.get("message", ""))}
        return _point(f"{measurement}_events", tags, fields, item)
    kind = {"type": str(item.get("type", "item"))}
    return _point(f"{measurement}_items", kind, {"json": json.dumps(item)}, item)


def _reading_line(measurement: str, item: dict[str, Any]) -> str:
    metadata = item["metadata"]
    seq = int(metadata["seq"])
    tags = {
        "boot": metadata["boot"],
        "channel": metadata.get("channel", ""),
        "device": metadata.get("device", ""),
        "quality": metadata.get("quality", "good"),
        "sensor": item["sensor_name"],
        "unit": item["unit"],
    }
    fields: dict[str, Any] = {"seq": seq}
    if item["value"] is not None:
        fields["value"] = float(item["value"])
    return _point(measurement, tags, fields, item, seq % 1_000_000)


def _point(
    measurement: str,
    tags: dict[str, Any],
    fields: dict[str, Any],
    item: dict[str, Any],
    below_ms: int | None = None,
) -> str:
    """Return one line; without `below_ms`, an item's identity tells items of one time apart."""
    if below_ms is None:
        metadata = item.get("metadata") or {}
        digits = "".join(one for one in str(metadata.get("item_id", "")) if one.isdigit())
        below_ms = int(digits[-6:] or 0)
    stamp = round(float(item.get("timestamp", 0.0)) * 1000) * 1_000_000 + below_ms
    shown = "".join(f",{key}={_tag(value)}" for key, value in sorted(tags.items()) if value != "")
    values = ",".join(f"{key}={_field(value)}" for key, value in fields.items())
    return f"{_escaped(measurement, ', ')}{shown} {values} {stamp}"


def _tag(value: Any) -> str:
    return _escaped(str(value), ",= ")


def _escaped(text: str, marks: str) -> str:
    for mark in marks:
        text = text.replace(mark, "\\" + mark)
    # A line can hold neither, and a backslash at the end would escape what follows.
    return text.replace("\n", "_").rstrip("\\")


def _field(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
