"""A voltage at a pin, as whatever it stands for: the mean of several conversions, scaled.

One channel, whose name, unit and exponent are settings. Two points say what
counts mean: at `raw_1` of 65535 it is `value_1`, at `raw_2` it is `value_2`,
both in units of 10**exponent; between and beyond them a straight line.
"""

from array import array

from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.reading import Channel

from . import wiring_of
from .arithmetic import multiply_shift

if TYPE_CHECKING:
    from typing import Any

    from ..settings import Section

_RAW_MAX = const(65535)
_VALUE_MAX = const(100_000_000)
_SLOPE_MAX = const(0x4000000)


class Sensor:
    """One pin."""

    def __init__(self, section: "Section", board: "Any") -> None:
        self._read = wiring_of(board, section).adc(section)
        self._samples = section.integer("samples", 1, 256, 16)
        raw_1 = section.integer("raw_1", 0, _RAW_MAX, 0)
        raw_2 = section.integer("raw_2", 0, _RAW_MAX, _RAW_MAX)
        self._value = section.integer("value_1", -_VALUE_MAX, _VALUE_MAX, 0)
        rise = section.integer("value_2", -_VALUE_MAX, _VALUE_MAX, 3300) - self._value
        if raw_2 <= raw_1:
            raise section.fail("raw_2", "%d is not above raw_1, %d" % (raw_2, raw_1))
        self._raw = raw_1 << 4
        # Counts are in sixteenths from here on, and the slope as finely as its bits allow.
        run = raw_2 - raw_1 << 4
        self._shift = 40
        while self._shift > 14 and abs(rise << self._shift) // run >= _SLOPE_MAX:
            self._shift -= 1
        self._slope = ((rise << self._shift) + run // 2) // run
        if abs(rise) * _RAW_MAX // (raw_2 - raw_1) > 2 * _VALUE_MAX:
            raise section.fail("raw_2", "%d is too near to raw_1, %d" % (raw_2, raw_1))
        # Outside of these there is no sensor: 4 to 20 mA, or a thermistor that is broken.
        raw_min = section.integer("raw_min", 0, _RAW_MAX, 0)
        raw_max = section.integer("raw_max", 0, _RAW_MAX, _RAW_MAX)
        if raw_max <= raw_min:
            raise section.fail("raw_max", "%d is not above raw_min, %d" % (raw_max, raw_min))
        self._low = raw_min << 4
        self._high = raw_max << 4
        self.channels = [
            Channel(
                section.text("channel", "voltage"),
                section.text("unit", "V"),
                section.integer("exponent", -9, 9, -3),
            )
        ]
        self.values = array("i", [0])

    def measure(self, uptime_s: int, uptime_ms: int) -> None:
        """Take the mean. Raises ValueError if it lies where no sensor is."""
        total = 0
        for _ in range(self._samples):
            total += self._read()
        raw = (total << 4) // self._samples
        if not self._low <= raw <= self._high:
            raise ValueError("no sensor")
        rise = multiply_shift(raw - self._raw, self._slope, self._shift - 1) + 1 >> 1
        self.values[0] = self._value + rise
