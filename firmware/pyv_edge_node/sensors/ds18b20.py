"""Maxim DS18B20 thermometers (data sheet 19-7487 Rev 6), several on one wire.

temperature     Cel, hundredths, -55 to 125; the only device on its wire
temperature_1   and so on, in the order of the setting `addresses`

With addresses each is told to convert by itself, since other sensors may have devices on
the same wire. They are read one by one, each with its CRC. One that fails is missing by
itself; if all do, the measurement has failed.
"""

from array import array
from binascii import hexlify, unhexlify

from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.reading import Channel

from . import wiring_of

if TYPE_CHECKING:
    from typing import Any

    from ..settings import Section

_SKIP_ROM = const(0xCC)
_MATCH_ROM = const(0x55)
_CONVERT = const(0x44)
_READ = const(0xBE)
_FAMILY = const(0x28)
_DEVICES_MAX = const(16)
_POWER_ON = const(0x0550)  # 85 degrees: what it says if it hasn't converted (figure 8)
_POWER_ON_COUNT = const(0x0C)  # byte 6 then; behind a conversion it is 16 less the fraction


class Sensor:
    """The devices on one wire."""

    interval_ms_min = 800

    def __init__(self, section: "Section", board: "Any") -> None:
        addresses = section.raw("addresses", [])
        if not isinstance(addresses, list) or len(addresses) > _DEVICES_MAX:
            raise section.fail("addresses", "must be a list of at most %d" % _DEVICES_MAX)
        wiring = wiring_of(board, section)
        self._wire = wiring.one_wire(section, len(addresses) > 0)
        self._roms = [self._rom(section, address) for address in addresses]
        for rom in self._roms:
            wiring.claim(section, "addresses", hexlify(rom).decode())
        count = len(addresses) or 1
        # 750 ms at most with 12 bits (page 3), and what it takes to tell each.
        self.conversion_ms = 752 + 7 * count
        self.channels = [
            Channel("temperature_%d" % (index + 1) if addresses else "temperature", "Cel", -2)
            for index in range(count)
        ]
        self.values = array("i", [0] * count)
        self.bad = bytearray(count)
        self._data = bytearray(9)

    def _rom(self, section: "Section", address: "Any") -> bytes:
        try:
            rom = unhexlify(address)
        except (ValueError, TypeError):
            rom = b""
        problem = "is not the address of a DS18B20: 16 digits, 28..."
        if len(rom) == 8 and rom[0] == _FAMILY:
            if not self._wire.crc8(rom):
                return rom
            problem = "has a wrong CRC (its last two digits)"
        raise section.fail("addresses", "%r %s" % (address, problem))

    def begin(self) -> None:
        """Have all of them convert. Raises OSError if none is there."""
        for index in range(len(self.bad)):
            self._select(index)
            self._wire.writebyte(_CONVERT)

    def measure(self, uptime_s: int, uptime_ms: int) -> None:
        """Fetch the results. Raises OSError or ValueError if there is none at all."""
        bad = self.bad
        is_any = False
        for index in range(len(bad)):
            self._select(index)
            bad[index] = not self._fetch(index)
            if not bad[index]:
                is_any = True
        if not is_any:
            raise ValueError("none has a result")

    def _select(self, index: int) -> None:
        wire = self._wire
        if not wire.reset():
            raise OSError(19)  # ENODEV
        if self._roms:
            wire.writebyte(_MATCH_ROM)
            wire.write(self._roms[index])
        else:
            wire.writebyte(_SKIP_ROM)

    def _fetch(self, index: int) -> bool:
        """Take the result of the device that is selected; return whether it has any."""
        wire = self._wire
        data = self._data
        wire.writebyte(_READ)
        wire.readinto(data)
        raw = data[1] << 8 | data[0]
        # The bits of byte 4 that are always 1: a wire at ground gives nine zeros, and a good CRC.
        if wire.crc8(data) or data[4] & 0x9F != 0x1F:
            return False
        if raw == _POWER_ON and data[6] == _POWER_ON_COUNT:
            return False
        if raw > 0x7FFF:
            raw -= 0x10000
        raw &= ~(7 >> (data[4] >> 5 & 3))  # bits that a lower resolution leaves undefined
        value = raw * 25 + 2 >> 2
        self.values[index] = value
        return -5500 <= value <= 12500
