"""The same readings as SenML (RFC 8428), for comparison: JSON lines and CBOR.

One pack for each 16 readings, written as somebody would who cares for size: the
channels one after the other, so that base name, base unit and base time are
said once for each, and times relative to the base. What SenML has no place for
(quality, number, checksum) is left out, to its advantage.
"""

import json
import struct
from collections.abc import Sequence

from .link_readings import CHANNELS, Taken

_DEVICE = "station-1."
_UTC_MS = 1_767_225_600_000  # when the board was started
# Labels of RFC 8428, section 6.
_CBOR_LABELS = {"bn": -2, "bt": -3, "bu": -4, "v": 2, "t": 6}

Record = dict[str, "str | float"]


def pack_of(readings: Sequence[Taken]) -> list[Record]:
    """Return the SenML records of one pack."""
    records: list[Record] = []
    for index, channel in enumerate(CHANNELS):
        own = [taken for taken in readings if taken.channel == index]
        for taken in own:
            record: Record = {}
            if taken is own[0]:
                record["bn"] = _DEVICE + channel.name
                record["bu"] = channel.unit
                record["bt"] = (_UTC_MS + taken.uptime_ms) / 1000
            else:
                record["t"] = (taken.uptime_ms - own[0].uptime_ms) / 1000
            # The digits that the sensor has and no more.
            record["v"] = round(taken.value * 10.0**channel.exponent, max(0, -channel.exponent))
            records.append(record)
    return records


def json_line(readings: Sequence[Taken]) -> bytes:
    """Return one pack as a line of minified JSON."""
    return json.dumps(pack_of(readings), separators=(",", ":")).encode() + b"\n"


def cbor(readings: Sequence[Taken]) -> bytes:
    """Return one pack as CBOR (RFC 8949): floats of 32 bits, but for the base time's 64."""
    records = pack_of(readings)
    encoded = _head(4, len(records))
    for record in records:
        encoded += _head(5, len(record))
        for label, value in record.items():
            number = _CBOR_LABELS[label]
            encoded += _head(0, number) if number >= 0 else _head(1, -1 - number)
            if isinstance(value, str):
                text = value.encode()
                encoded += _head(3, len(text)) + text
            else:
                encoded += _number(value, is_exact=label == "bt")
    return encoded


def _head(major: int, number: int) -> bytes:
    """Return the first bytes of an item: its major type and a number."""
    if number < 24:
        return bytes((major << 5 | number,))
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            return bytes((major << 5 | code,)) + number.to_bytes(size, "big")
    raise ValueError(f"{number} does not fit CBOR")


def _number(value: float, *, is_exact: bool) -> bytes:
    if value == int(value):
        whole = int(value)
        return _head(0, whole) if whole >= 0 else _head(1, -1 - whole)
    return b"\xfb" + struct.pack(">d", value) if is_exact else b"\xfa" + struct.pack(">f", value)
