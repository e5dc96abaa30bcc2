"""The readings that the figures of the link are measured with: a weather station at 100 a second.

Values drift and are noisy, as sensors' are, since which bytes have to be
stuffed depends on them. The same seed gives the same readings.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

from pyv_edge_core.reading import Channel

INTERVAL_MS = 10  # from one reading to the next; the channels take turns
START_MS = 1_234_567  # uptime of the first: boards run for a while

# channel, where its values begin, how far they drift at once, their noise: in units of the wire
_SENSORS = (
    (Channel("temperature", "Cel", -2), 2150, 2, 3),
    (Channel("humidity", "%RH", -2), 4875, 5, 12),
    (Channel("pressure", "Pa", 0), 101_325, 2, 6),
    (Channel("battery", "V", -3), 3712, 1, 4),
)
CHANNELS = tuple(sensor[0] for sensor in _SENSORS)


class Taken(NamedTuple):
    """One reading, when it was taken and of what."""

    uptime_ms: int
    channel: int  # index into CHANNELS
    value: int  # times 10**exponent of its channel


def take(count: int, seed: int) -> Iterator[Taken]:
    """Yield `count` readings, INTERVAL_MS apart."""
    rng = random.Random(seed)
    levels = [sensor[1] for sensor in _SENSORS]
    for number in range(count):
        index = number % len(_SENSORS)
        _, _, drift, noise = _SENSORS[index]
        levels[index] += rng.randint(-drift, drift)
        value = levels[index] + round(rng.gauss(0, noise))
        yield Taken(START_MS + number * INTERVAL_MS, index, value)
