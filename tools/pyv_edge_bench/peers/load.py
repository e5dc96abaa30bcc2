"""The readings that all peers get: 16 sensors in turn, each reading known by its value.

A reading's number is its value in ten-thousandths, from 1 on: whatever a peer does to names,
times and form, its value comes out at the other end, and no two readings have the same. Values
stay below 30, above which the agent would raise the alarm that it has if nobody sets a rule.
"""

import json
import time

SENSORS = 16
EXPONENT, SCALE = -4, 10_000
TOPICS = "bench/+/temp"
_BEGAN_MS = time.time_ns() // 1_000_000


def topic(number: int) -> str:
    """Return where a sensor publishes."""
    return f"bench/s{number % SENSORS}/temp"


def message(number: int) -> str:
    """Return what it publishes: a time and a value, as many a sensor does.

    No sensor has two readings of one millisecond: who knows them by their time would keep one.
    """
    return json.dumps({"timestamp": _BEGAN_MS + number // SENSORS, "value": number / SCALE})


def line(number: int) -> bytes:
    """Return what a board prints that sends JSON lines."""
    sensor = f"s{number % SENSORS}"
    return json.dumps({"sensor": sensor, "value": number / SCALE}).encode() + b"\n"


def number_of(value: object) -> int:
    """Return the number of the reading that has this value. Raises ValueError if none has."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{value!r} is no value of a reading")
    return round(value * SCALE)
