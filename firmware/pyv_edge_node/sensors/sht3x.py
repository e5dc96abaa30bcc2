"""Sensirion SHT30, SHT31 and SHT35 (data sheet SHT3x-DIS, version 6 of 2019), by I2C.

temperature   Cel, hundredths, -40 to 125
humidity      %RH, hundredths, 0 to 100

Single shots of high repeatability without clock stretching (4.3), each with
its CRC (4.12); nothing in the chip has to be set up, so it may lose its power.
"""

from array import array

from pyv_edge_core._compat import TYPE_CHECKING
from pyv_edge_core.reading import Channel

from . import wiring_of

if TYPE_CHECKING:
    from typing import Any

    from ..settings import Section

_MEASURE = b"\x24\x00"  # 4.3


def crc8(data: bytearray, start: int, end: int) -> int:
    """Return the CRC of a part of `data`: polynomial 0x31, begins with 0xFF (4.12)."""
    crc = 0xFF
    while start < end:
        crc ^= data[start]
        start += 1
        for _ in range(8):
            crc = crc << 1 ^ (0x131 if crc & 0x80 else 0)
    return crc


class Sensor:
    """One chip."""

    conversion_ms = 18  # 15.5 ms at most (2.2), and the bus's part

    def __init__(self, section: "Section", board: "Any") -> None:
        self._bus = wiring_of(board, section).i2c(section)
        self._address = self._bus.address(section, 0x44, 0x45, 0x44)
        self.channels = [Channel("temperature", "Cel", -2), Channel("humidity", "%RH", -2)]
        self.values = array("i", [0, 0])
        self._data = bytearray(6)

    def begin(self) -> None:
        """Start a conversion. Raises OSError without the chip."""
        self._bus.send(self._address, _MEASURE)

    def measure(self, uptime_s: int, uptime_ms: int) -> None:
        """Fetch the result. Raises OSError or ValueError if there is none."""
        data = self._data
        self._bus.receive(self._address, data)
        if crc8(data, 0, 2) != data[2] or crc8(data, 3, 5) != data[5]:
            raise ValueError("damaged on its way")
        # -45 + 175 * raw / 65535 and 100 * raw / 65535 (4.13); 65535 = 5 * 13107.
        temperature = ((data[0] << 8 | data[1]) * 3500 + 6553) // 13107 - 4500
        if not -4000 <= temperature <= 12500:
            raise ValueError("outside the chip's range")
        self.values[0] = temperature
        self.values[1] = ((data[3] << 8 | data[4]) * 2000 + 6553) // 13107
