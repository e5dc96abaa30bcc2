"""Bosch BME280 (data sheet BST-BME280-DS001) and BMP280 (BST-BMP280-DS001), by I2C.

temperature   Cel, hundredths, -40 to 85
pressure      Pa, tenths, 300 to 1100 hPa
humidity      %RH, hundredths, 0 to 100; not of a BMP280

Each measurement is started by itself (forced mode), with all that the chip has
to be told, so that it may lose its power in between. Temperature and humidity
are to the last digit those of the data sheet's formulas (4.2.3, BMP280: 3.11.3);
pressure is that of its 64-bit formula within a tenth of a pascal.
"""

from array import array
from struct import unpack_from

from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.reading import Channel

from . import wiring_of
from .arithmetic import multiply_shift

if TYPE_CHECKING:
    from typing import Any

    from ..settings import Section

_CHIP_ID = const(0xD0)
_CALIBRATION = const(0x88)
_HUMIDITY_CALIBRATION = const(0xE1)
_CTRL_HUM = const(0xF2)
_STATUS = const(0xF3)
_CTRL_MEAS = const(0xF4)
_CONFIG = const(0xF5)
_FORCED = const(1)
_CHIPS = {"bme280": (0x60, 0x60), "bmp280": (0x56, 0x58)}  # lowest and highest chip id
_OVERSAMPLING = (1, 2, 4, 8, 16)


class Sensor:
    """One chip; `conversion_ms` is the longest that the data sheet has (9.1, BMP280: 3.8.1)."""

    def __init__(self, section: "Section", board: "Any") -> None:
        self._bus = wiring_of(board, section).i2c(section)
        self._address = self._bus.address(section, 0x76, 0x77, 0x76)
        chip = section.text("chip", "bme280")
        if chip not in _CHIPS:
            raise section.fail("chip", '%r is not "bme280" or "bmp280"' % chip)
        self._ids = _CHIPS[chip]
        oversampling = section.integer("oversampling", 1, 16, 1)
        if oversampling not in _OVERSAMPLING:
            raise section.fail("oversampling", "%d is not 1, 2, 4, 8 or 16" % oversampling)
        code = _OVERSAMPLING.index(oversampling) + 1
        self._control = code << 5 | code << 2  # of temperature and pressure
        self.channels = [Channel("temperature", "Cel", -2), Channel("pressure", "Pa", -1)]
        self._has_humidity = chip == "bme280"
        if self._has_humidity:
            self.channels.append(Channel("humidity", "%RH", -2))
        kinds = len(self.channels)
        self.values = array("i", [0] * kinds)
        # 1.25 ms, 2.3 ms a sample, 0.575 ms more for pressure and for humidity; 2 for the bus.
        self.conversion_ms = (1250 + 2300 * oversampling * kinds + 575 * (kinds - 1)) // 1000 + 3
        self._start = bytearray(
            (_CTRL_HUM, code, _CONFIG, 0, _CTRL_MEAS, self._control | _FORCED)
            if self._has_humidity
            else (_CONFIG, 0, _CTRL_MEAS, self._control | _FORCED)
        )
        # 0xF3 to 0xFE: status, ctrl_meas, config, one that is reserved, and the raw values.
        self._raw = bytearray(12 if self._has_humidity else 10)
        self._is_known = False  # whether the chip's calibration has been read
        self._fine = 0  # t_fine of the data sheet

    def begin(self) -> None:
        """Start a conversion. Raises OSError or ValueError without the chip."""
        if not self._is_known:
            self._read_calibration()
        self._is_known = False  # until it has answered well
        self._bus.send(self._address, self._start)

    def measure(self, uptime_s: int, uptime_ms: int) -> None:
        """Fetch and compensate. Raises OSError or ValueError if the chip has nothing."""
        raw = self._raw
        self._bus.read(self._address, _STATUS, raw)
        if raw[0] & 8 or raw[1] != self._control:
            raise ValueError("not converted")  # or it has forgotten what it was told
        pressure = raw[4] << 12 | raw[5] << 4 | raw[6] >> 4
        temperature = raw[7] << 12 | raw[8] << 4 | raw[9] >> 4
        self.values[0] = self._temperature(temperature)
        self.values[1] = self._pressure(pressure)
        if self._has_humidity:
            self.values[2] = self._humidity(raw[10] << 8 | raw[11])
        self._is_known = True

    # -- calibration ---------------------------------------------------------------

    def _read_calibration(self) -> None:
        state = bytearray(1)
        self._bus.read(self._address, _CHIP_ID, state)
        if not self._ids[0] <= state[0] <= self._ids[1]:
            raise ValueError("chip id 0x%02x" % state[0])
        self._bus.read(self._address, _STATUS, state)
        if state[0] & 1:
            raise ValueError("not ready")  # it has just got its power
        data = bytearray(26)
        self._bus.read(self._address, _CALIBRATION, data)
        self.calibrate(data)
        if self._has_humidity:
            more = bytearray(7)
            self._bus.read(self._address, _HUMIDITY_CALIBRATION, more)
            self.calibrate_humidity(data[25], more)

    def calibrate(self, data: bytearray) -> None:
        """Take the registers from 0x88 on (table 16). Raises ValueError if they are empty."""
        self._t1, self._t2, self._t3, self._p1 = unpack_from("<HhhH", data)
        self._p = array("h", unpack_from("<8h", data, 8))  # P2 to P9
        if self._t1 in (0, 0xFFFF) or self._p1 in (0, 0xFFFF):
            raise ValueError("no calibration")

    def calibrate_humidity(self, h1: int, more: bytearray) -> None:
        """Take H1 and the registers from 0xE1 on."""
        self._h1 = h1
        self._h2, self._h3, high4, shared, high5, self._h6 = unpack_from("<hBbBbb", more)
        self._h4 = high4 << 4 | shared & 15
        self._h5 = high5 << 4 | shared >> 4

    # -- compensation --------------------------------------------------------------

    def _temperature(self, raw: int) -> int:
        offset = (raw >> 3) - (self._t1 << 1)
        square = (raw >> 4) - self._t1
        # A shift of less than 13 is made one of 13 by a factor in front.
        fine = multiply_shift(offset << 2, self._t2, 13)
        square = multiply_shift(square << 1, square, 13)
        fine += multiply_shift(square, self._t3, 14)
        self._fine = fine
        return _within(fine * 5 + 128 >> 8, -4000, 8500)

    def _pressure(self, raw: int) -> int:
        p = self._p
        fine = self._fine - 128_000
        square = multiply_shift(fine, fine, 13)
        # The offset in sixteenths of a count, and the scale in 2**-7 of P1's.
        offset = (p[2] << 8) + multiply_shift(fine << 3, p[3], 13)
        offset += multiply_shift(square, p[4], 14)
        scale = multiply_shift(fine << 6, p[0], 13) + multiply_shift(square, p[1], 14)
        scale = multiply_shift(self._p1, 0x10000000 + scale, 21)
        rest = (0x100000 - raw << 4) - offset
        if not 0 < scale < 0x1000000 or rest < 0:
            raise ValueError("no pressure")
        # rest * 2**24 / scale, six bits at a time, so that no step has more than 30.
        ratio = rest // scale
        for _ in range(4):
            rest = rest % scale << 6
            ratio = (ratio << 6) + rest // scale
        pressure = ratio = _within(multiply_shift(ratio, 3125, 13) << 1, 0, 0x3000000)
        square = multiply_shift(ratio >> 5, ratio >> 5, 13)
        pressure += multiply_shift(square, p[7], 20) + multiply_shift(ratio, p[6], 19)
        pressure += p[5] << 4  # now 1/256 Pa
        return _within((_within(pressure, 0, 0x3000000) * 10 + 128) >> 8, 300_000, 1_100_000)

    def _humidity(self, raw: int) -> int:
        fine = self._fine - 76_800
        first = raw - (self._h4 << 6) + 1 + multiply_shift(-fine, self._h5, 14) >> 1
        second = multiply_shift((fine * self._h6 >> 10) << 3, (fine * self._h3 >> 11) + 32768, 13)
        second = multiply_shift(second + 2_097_152, self._h2, 13) + 1 >> 1
        # The data sheet has 32 bits for the product, and 0 or 100 % long before their ends.
        product = _within(multiply_shift(first, second, 13), -0x40000, 0x3FFFF)
        if product < 0:
            return 0
        if product > 0xFFFF:
            return 10_000
        value = first * second
        value -= ((value >> 15) * (value >> 15) >> 7) * self._h1 >> 4
        limited: int = min(max(value, 0), 419_430_400)
        return (limited >> 12) * 100 + 512 >> 10


def _within(value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise ValueError("outside the chip's range")
    return value
