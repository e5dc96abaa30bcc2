"""ROHM BH1750FVI (data sheet 2011.11 Rev.D), by I2C.

illuminance   lx, tenths, 0 to 54612

One-time measurements in H-resolution mode (page 5): the chip goes to sleep
behind each, and nothing in it has to be set up.
"""

from array import array

from pyv_edge_core._compat import TYPE_CHECKING
from pyv_edge_core.reading import Channel

from . import wiring_of

if TYPE_CHECKING:
    from typing import Any

    from ..settings import Section

_POWER_ON = b"\x01"
_MEASURE = b"\x20"


class Sensor:
    """One chip."""

    conversion_ms = 183  # 180 ms at most (page 2), and the bus's part

    def __init__(self, section: "Section", board: "Any") -> None:
        self._bus = wiring_of(board, section).i2c(section)
        self._address = self._bus.address(section, 0x23, 0x5C, 0x23)
        if self._address not in (0x23, 0x5C):
            raise section.fail("address", "%d is not 35 or 92" % self._address)
        self.channels = [Channel("illuminance", "lx", -1)]
        self.values = array("i", [0])
        self._data = bytearray(2)

    def begin(self) -> None:
        """Start a conversion. Raises OSError without the chip."""
        self._bus.send(self._address, _POWER_ON)
        self._bus.send(self._address, _MEASURE)

    def measure(self, uptime_s: int, uptime_ms: int) -> None:
        """Fetch the result. Raises OSError or ValueError if there is none."""
        data = self._data
        self._bus.receive(self._address, data)
        raw = data[0] << 8 | data[1]
        if raw == 0xFFFF:
            raise ValueError("more than it can measure, or nothing at all")
        self.values[0] = raw * 25 // 3  # a count is 1/1.2 lx (page 7)
