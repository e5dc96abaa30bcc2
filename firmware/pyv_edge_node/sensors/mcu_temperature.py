"""The microcontroller's own thermometer: how warm the board is, not the room.

mcu_temperature   Cel, tenths, in steps of about 0.5 degrees (RP2) or 1 (ESP32)
"""

from array import array

from pyv_edge_core._compat import TYPE_CHECKING
from pyv_edge_core.reading import Channel

from . import wiring_of

if TYPE_CHECKING:
    from typing import Any

    from ..settings import Section


class Sensor:
    """The thermometer inside the chip; see `Wiring.thermometer` for the formulas."""

    def __init__(self, section: "Section", board: "Any") -> None:
        self._read = wiring_of(board, section).thermometer(section)
        self.channels = [Channel("mcu_temperature", "Cel", -1)]
        self.values = array("i", [0])

    def measure(self, uptime_s: int, uptime_ms: int) -> None:
        """Read it. Raises ValueError if it is outside of what a chip stands."""
        value = self._read()
        if not -500 <= value <= 1500:
            raise ValueError("no temperature")
        self.values[0] = value
