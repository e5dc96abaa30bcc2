"""A sensor of one's own: Texas Instruments TMP102 (data sheet SBOS397), by I2C.

temperature   Cel, hundredths, -40 to 125

The chip converts by itself, four times a second; a measurement only fetches.
"""

from array import array

from pyv_edge_core.reading import Channel
from pyv_edge_node.sensors import wiring_of

TEMPERATURE = 0
CONFIGURATION = 1


class Sensor:
    """One chip."""

    def __init__(self, section, board):
        """Take the settings. Nothing is sent yet: the chip may still be absent."""
        self.bus = wiring_of(board, section).i2c(section)
        self.address = self.bus.address(section, 0x48, 0x4B, 0x48)
        self.offset = section.integer("offset", -500, 500, 0)
        self.channels = [Channel("temperature", "Cel", -2)]
        self.values = array("i", [0])
        self.data = bytearray(2)  # made once: a measurement takes no heap

    def measure(self, uptime_s, uptime_ms):
        """Fetch the temperature. Raises OSError or ValueError if there is none."""
        data = self.data
        self.bus.read(self.address, CONFIGURATION, data)
        if data[0] & 0x60 != 0x60:  # resolution bits that are always 1
            raise ValueError("no TMP102")
        self.bus.read(self.address, TEMPERATURE, data)
        raw = data[0] << 8 | data[1]
        if raw & 0xF:  # twelve bits, at the left
            raise ValueError("no TMP102")
        if raw > 0x7FFF:
            raw -= 0x10000
        self.values[0] = (raw >> 4) * 25 // 4 + self.offset  # a count is 0.0625 degrees
