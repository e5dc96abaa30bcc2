"""Aosong DHT22, also called AM2302 (data sheet AM2302, of Aosong).

humidity      %RH, tenths, 0 to 100
temperature   Cel, tenths, -40 to 80

MicroPython itself speaks with it, and takes the loop's time for that: 0.27 s.
"""

from array import array

from pyv_edge_core._compat import TYPE_CHECKING
from pyv_edge_core.reading import Channel

from . import wiring_of

if TYPE_CHECKING:
    from typing import Any

    from ..settings import Section


class Sensor:
    """One device on a pin of its own."""

    interval_ms_min = 2000  # before that it only repeats itself

    def __init__(self, section: "Section", board: "Any") -> None:
        self._read = wiring_of(board, section).dht(section)
        self.channels = [Channel("humidity", "%RH", -1), Channel("temperature", "Cel", -1)]
        self.values = array("i", [0, 0])
        self._data = bytearray(5)

    def measure(self, uptime_s: int, uptime_ms: int) -> None:
        """Have it measure. Raises OSError if it is silent, ValueError if it talks nonsense."""
        data = self._data
        self._read(data)
        humidity = data[0] << 8 | data[1]
        temperature = (data[2] & 0x7F) << 8 | data[3]
        if data[2] & 0x80:
            temperature = -temperature
        # A wire at ground gives five zeros, whose sum is right.
        is_empty = not (humidity or temperature or data[4])
        if is_empty or (data[0] + data[1] + data[2] + data[3]) & 0xFF != data[4]:
            raise ValueError("damaged on its way")
        if humidity > 1000 or not -400 <= temperature <= 800:
            raise ValueError("outside its range")
        self.values[0] = humidity
        self.values[1] = temperature
