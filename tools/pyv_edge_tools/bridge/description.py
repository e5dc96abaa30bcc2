"""Events as people read them, and as programs do: a line of text, an object of JSON.

The keys of the objects are told in BRIDGE.md and don't change their meaning.
"""

from struct import unpack_from
from typing import Any

from pyv_edge_core import channel_table, message, quantity, reading, request, session
from pyv_edge_core.channel_table import AlertRow
from pyv_edge_core.errors import MessageError
from pyv_edge_core.message_to_host import GAP_CAUSES, RESET_CAUSES
from pyv_edge_core.record_ring import RECORD_FORMAT, RECORD_SIZE

from .chunk import SPEAKERS, Note
from .event import Console, Damaged, Event, Message, Noise, Rows

OPS = {
    name: getattr(request, name)
    for name in ("IDENTIFY", "SET_RATE", "READ_NOW", "RESET", "SAFE_MODE")
}
_OP_NAMES = {code: name for name, code in OPS.items()}
_REFUSED_NAMES = {
    session.REFUSED_VERSION: "no version in common",
    session.REFUSED_DEVICE: "unknown device",
    session.REFUSED_TWICE: "device on two ports",
    session.REFUSED_GREETING: "greeting can't be used",
}
_HEX_FIELDS = ("boot", "channels_crc", "config_hash", "policy_hash", "firmware_hash", "hash")
_RAW_SHOWN_MAX = 48  # bytes of a damaged frame that a line of text shows


def visible(text: str) -> str:
    """Return a board's words with all that could steer a terminal escaped."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def readings(parsed: Any, rows: Rows) -> list[dict[str, Any]]:
    """Return the readings of a DATA message; names and values as far as `rows` tells them."""
    found = []
    base_ms = parsed.base_s * 1000 + parsed.base_ms
    for index in range(len(parsed.records) // RECORD_SIZE):
        channel, flags, span, raw = unpack_from(RECORD_FORMAT, parsed.records, index * RECORD_SIZE)
        one: dict[str, Any] = {
            "seq": parsed.first_seq + index,
            "uptime_ms": base_ms + ((flags >> 2) << 16 | span),
            "channel": channel,
            "raw": raw,
        }
        if parsed.stream == reading.STREAM_TELEMETRY:
            quality = flags & 3
            names = reading.QUALITY_NAMES
            one["quality"] = names[quality] if quality < len(names) else quality
        else:
            one["fired"] = bool(flags & channel_table.EVENT_FIRED)
        if channel < len(rows):
            one.update(_named(rows, channel, raw))
        found.append(one)
    return found


def _named(rows: Rows, index: int, raw: int) -> dict[str, Any]:
    row = rows[index]
    if isinstance(row, AlertRow):
        if row.channel >= len(rows) or isinstance(rows[row.channel], AlertRow):
            return {"rule": row.rule}
        return {"rule": row.rule, **_named(rows, row.channel, raw)}
    exponent = row.exponent
    value = (raw * 10**exponent, 0) if exponent > 0 else (raw, -exponent)
    return {"channel": row.name, "value": quantity.show(value), "unit": row.unit}


def _fields(event: Message) -> dict[str, Any]:
    """Return the fields of a message as JSON types, numbers that mean something by their name."""
    parsed = event.parsed
    fields: dict[str, Any] = dict(zip(parsed._fields, parsed, strict=True))
    del fields["tag"]
    for name, value in fields.items():
        if isinstance(value, bytes):
            fields[name] = value.hex()
        elif name in _HEX_FIELDS:
            fields[name] = f"{value:08x}"
    if "stream" in fields:
        fields["stream"] = reading.STREAM_NAMES[parsed.stream]
    if event.kind == message.DATA:
        del fields["records"]
        fields["count"] = len(parsed.records) // RECORD_SIZE
        fields["readings"] = readings(parsed, event.rows)
    elif event.kind == message.CHANNELS:
        del fields["entries"]
        fields["channels"] = _channels(parsed)
    elif event.kind == message.GAP and parsed.cause < len(GAP_CAUSES):
        fields["cause"] = GAP_CAUSES[parsed.cause]
    elif event.kind == message.HELLO and parsed.reset_cause < len(RESET_CAUSES):
        fields["reset_cause"] = RESET_CAUSES[parsed.reset_cause]
    elif event.kind == message.REFUSAL:
        fields["reason"] = _REFUSED_NAMES.get(parsed.reason, parsed.reason)
    elif event.kind == message.COMMAND:
        fields["op"] = _OP_NAMES.get(parsed.op, parsed.op)
    elif event.kind == message.ACK:
        fields["flags"] = "resend" if parsed.flags & message.ACK_RESEND else ""
    return fields


def _channels(parsed: Any) -> list[dict[str, Any]]:
    try:
        rows = channel_table.parse(parsed.entries, parsed.first)
    except MessageError as error:
        return [{"problem": str(error)}]
    return [
        {"rule": row.rule, "channel": row.channel, "severity": row.severity}
        if isinstance(row, AlertRow)
        else {"name": row.name, "unit": row.unit, "exponent": row.exponent, "flags": row.flags}
        for row in rows
    ]


def as_object(seen: Event | Note, begun_ns: int) -> dict[str, Any]:
    """Return an event as JSON types; its time counts from `begun_ns`."""
    told: dict[str, Any] = {"event": "", "at_s": round((seen.at_ns - begun_ns) / 1e9, 6)}
    if isinstance(seen, Note):
        return {**told, "event": "port", "text": seen.text}
    told["from"] = SPEAKERS[seen.direction]
    if isinstance(seen, Console):
        text = seen.text.decode("utf-8", "replace").rstrip("\r\n")
        return {**told, "event": "console", "text": text}
    if isinstance(seen, Noise):
        return {**told, "event": "noise", "bytes": seen.size}
    if isinstance(seen, Damaged):
        return {
            **told,
            "event": "damaged",
            "bytes": seen.size,
            "reason": seen.reason,
            "hex": seen.raw.hex(),
        }
    told.update(event="message", type=seen.name, bytes=seen.size)
    if seen.seal:
        told["seal"] = seen.seal
    if seen.parsed is None:
        return {**told, "problem": seen.problem, "hex": seen.payload.hex()}
    return {
        **told,
        **({"problem": seen.problem} if seen.problem else {}),
        "tag": f"{seen.parsed.tag:04x}",
        "fields": _fields(seen),
    }


def as_lines(seen: Event | Note, begun_ns: int, *, has_readings: bool = False) -> list[str]:
    """Return an event as lines of text; with `has_readings`, one for each reading."""
    told = as_object(seen, begun_ns)
    head = f"{told['at_s']:10.3f}  {told.get('from', '-'):<5}  "
    if isinstance(seen, Note):
        return [f"{head}{visible(seen.text)}"]
    if isinstance(seen, Console):
        return [f"{head}prints    {visible(told['text'])}"]
    if isinstance(seen, Noise):
        return [f"{head}noise     {seen.size} bytes that are neither frame nor text"]
    if isinstance(seen, Damaged):
        shown = seen.raw[:_RAW_SHOWN_MAX].hex(" ")
        more = " ..." if len(seen.raw) > _RAW_SHOWN_MAX else ""
        return [f"{head}damaged   {seen.size} bytes, {seen.reason}: {shown}{more}"]
    name = seen.name if seen.kind else "?"
    seal = f"  [seal: {seen.seal}]" if seen.seal else ""
    if seen.parsed is None:
        return [f"{head}{name:<13} unreadable: {seen.problem}: {seen.payload.hex(' ')}{seal}"]
    problem = f"  [{seen.problem}]" if seen.problem else ""
    rows = told["fields"].get("channels", ())
    names = "".join(f" {row.get('name') or row.get('rule', '?')}" for row in rows)
    lines = [f"{head}{name:<13} {_shown(told['fields'])}{visible(names)}{seal}{problem}"]
    if has_readings:
        indent = " " * len(head)
        lines += [f"{indent}{_reading(one)}" for one in told["fields"].get("readings", ())]
        lines += [f"{indent}{_shown(one)}" for one in rows]
    return lines


def _shown(fields: dict[str, Any]) -> str:
    parts = []
    for name, value in fields.items():
        if isinstance(value, list) or value == "":
            continue
        text = visible(value) if isinstance(value, str) else str(value)
        parts.append(f"{name}={repr(text) if ' ' in text else text}")
    return " ".join(parts)


def _reading(one: dict[str, Any]) -> str:
    channel = one["channel"]
    named = f"{channel} {one['value']} {one['unit']}" if "value" in one else f"channel {channel}"
    rule = f"{one['rule']}: " if "rule" in one else ""
    state = one.get("quality", "fired" if one.get("fired") else "resolved")
    raw = "" if "value" in one else f" raw {one['raw']}"
    return f"{one['seq']} at {one['uptime_ms']} ms: {rule}{named.rstrip()}{raw} {state}"
