"""Texas Instruments INA219 (data sheet SBOS448G), by I2C.

bus_voltage   V, thousandths: of the load, 0 to 26
current       A, ten-thousandths: through the shunt, either direction, 320 mV on it at most
power         W, thousandths

Current and power are computed from the voltages, as the chip would, and not
read from it: its calibration register is empty once it has lost its power, and
then it says 0 A. Each conversion is triggered together with its configuration.
"""

from array import array

from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.reading import Channel

from . import wiring_of

if TYPE_CHECKING:
    from typing import Any

    from ..settings import Section

_CONFIGURATION = const(0)
_SHUNT = const(1)
_BUS = const(2)
_READY = const(2)  # CNVR (8.6.3.2)
_OVERFLOW = const(1)  # OVF
_SHUNT_MAX = const(32000)  # 320 mV, a hundredth of a millivolt each (8.6.3.1)
_BUS_MAX_MV = const(26000)
_SAMPLES = (1, 2, 4, 8, 16, 32, 64, 128)


class Sensor:
    """One chip with its shunt."""

    def __init__(self, section: "Section", board: "Any") -> None:
        self._bus = wiring_of(board, section).i2c(section)
        self._address = self._bus.address(section, 0x40, 0x4F, 0x40)
        shunt_uohm = section.integer("shunt_uohm", 100, 10_000_000, 100_000)
        samples = section.integer("samples", 1, 128, 8)
        if samples not in _SAMPLES:
            raise section.fail("samples", "%d is not 1, 2, 4, 8 ... 128" % samples)
        # Ten-thousandths of an ampere per count; small enough that no product has 31 bits.
        self._shunt_uohm = shunt_uohm
        self._scale = 100_000
        self._shunt = shunt_uohm
        if shunt_uohm > 33_000:
            self._scale = 10_000
            self._shunt = (shunt_uohm + 5) // 10
        # 32 V, 320 mV, both averaged, shunt and bus once (8.6.2.1).
        code = 8 + _SAMPLES.index(samples)
        config = 0x3803 | code << 7 | code << 3
        self._start = bytearray((_CONFIGURATION, config >> 8, config & 0xFF))
        self.conversion_ms = 2 * samples * 586 // 1000 + 3  # 586 us at most each (7.5)
        self.channels = [
            Channel("bus_voltage", "V", -3),
            Channel("current", "A", -4),
            Channel("power", "W", -3),
        ]
        self.values = array("i", [0, 0, 0])
        self._data = bytearray(2)

    def begin(self) -> None:
        """Start a conversion. Raises OSError without the chip."""
        self._bus.send(self._address, self._start)

    def measure(self, uptime_s: int, uptime_ms: int) -> None:
        """Fetch the result. Raises OSError or ValueError if there is none."""
        # The configuration tells whether the chip has been itself since `begin`.
        start = self._start
        if self._read(_CONFIGURATION) != start[1] << 8 | start[2]:
            raise ValueError("the chip was reset")
        bus = self._read(_BUS)
        if not bus & _READY or bus & _OVERFLOW:
            raise ValueError("no result, or more than it can measure")
        shunt = self._read(_SHUNT)
        if shunt > 0x7FFF:
            shunt -= 0x10000
        voltage = (bus >> 3) * 4
        if not -_SHUNT_MAX < shunt < _SHUNT_MAX or voltage > _BUS_MAX_MV:
            raise ValueError("more than it can measure")
        self.values[0] = voltage
        self.values[1] = _multiply_divide(shunt, self._scale, self._shunt)
        # Not from the current, whose last digit is much with a large shunt. The product is
        # 832 million at most.
        self.values[2] = _multiply_divide(10, voltage * shunt, self._shunt_uohm)

    def _read(self, register: int) -> int:
        data = self._data
        self._bus.read(self._address, register, data)
        return data[0] << 8 | data[1]


def _multiply_divide(a: int, b: int, divisor: int) -> int:
    """Return a * b // divisor, exactly, without heap while a * divisor has less than 31 bits."""
    return a * (b // divisor) + a * (b % divisor) // divisor
