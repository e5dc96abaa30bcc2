"""Where sensors get their pins and buses from, by way of MicroPython's `machine`.

A bus is one object however many sensors are on it; any other pin belongs to one
sensor. What two sensors can't share, and pins that a chip can't use so, are
SettingsErrors. An I2C bus on which nothing works any more is freed the way NXP's
UM10204 (rev. 7.0, 3.1.16) says, and `recoveries_total` counts it.
"""

import time

from pyv_edge_core._compat import TYPE_CHECKING, const

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..settings import Section

_PIN_MAX = const(48)
_FAILURES_MAX = const(3)  # transfers in a row, of whatever device, before the bus is freed
_CLOCKS = const(9)
_HALF_CLOCK_US = const(5)  # 100 kHz, which every device can follow
# How long a bus that hangs can hold up the loop, and beside that 300 bits: the largest transfer.
_TIMEOUT_US = const(5000)
_TRANSFER_US_HZ = const(300_000_000)
_RAW_MAX = const(17000)  # of the RP2's thermometer: -60 degrees


class I2cBus:
    """One I2C bus; its methods raise OSError if the device doesn't answer."""

    def __init__(self, machine: "Any", sleep_us: "Callable[[int], None]", place: "Any") -> None:
        """Open the bus of `place`: number (-1: in software), pins SDA and SCL, frequency."""
        self.place = place
        self.recoveries_total = 0
        self._machine = machine
        self._sleep_us = sleep_us
        self._failures = 0  # in a row
        self._users: dict[Any, str] = {}  # path of the settings that have an address
        self._open()

    def _open(self) -> None:
        number, sda, scl, frequency_hz = self.place
        pin = self._machine.Pin
        timeout_us = _TIMEOUT_US + _TRANSFER_US_HZ // frequency_hz
        pins = {"scl": pin(scl), "sda": pin(sda), "freq": frequency_hz, "timeout": timeout_us}
        if number < 0:
            self._i2c = self._machine.SoftI2C(**pins)
        else:
            self._i2c = self._machine.I2C(number, **pins)

    def address(self, section: "Section", low: int, high: int, default: int) -> int:
        """Return a sensor's `address`, which no other sensor on this bus has."""
        address = section.integer("address", low, high, default)
        _claim(self._users, section, "address", address)
        return address

    def send(self, address: int, data: "bytes | bytearray") -> None:
        """Write `data` to a device."""
        try:
            self._i2c.writeto(address, data)
        except OSError:
            self._fail()
            raise
        self._failures = 0

    def receive(self, address: int, buffer: bytearray) -> None:
        """Fill `buffer` from a device."""
        try:
            self._i2c.readfrom_into(address, buffer)
        except OSError:
            self._fail()
            raise
        self._failures = 0

    def read(self, address: int, register: int, buffer: bytearray) -> None:
        """Fill `buffer` from the registers of a device, beginning with `register`."""
        try:
            self._i2c.readfrom_mem_into(address, register, buffer)
        except OSError:
            self._fail()
            raise
        self._failures = 0

    def _fail(self) -> None:
        self._failures += 1
        if self._failures >= _FAILURES_MAX:
            self._failures = 0
            self.recover()

    def recover(self) -> None:
        """Clock out what a device is stuck in, end it with a STOP, and open the bus anew.

        A device that was reset, or disturbed, in the middle of a byte holds SDA low until
        it has been given the rest of its clocks.
        """
        self.recoveries_total += 1
        pin = self._machine.Pin
        _, sda_number, scl_number, _ = self.place
        sda = pin(sda_number, pin.OPEN_DRAIN, pin.PULL_UP, value=1)
        scl = pin(scl_number, pin.OPEN_DRAIN, pin.PULL_UP, value=1)
        for _ in range(_CLOCKS):
            self._turn(scl, 0)
            self._turn(scl, 1)
        self._turn(scl, 0)
        self._turn(sda, 0)
        self._turn(scl, 1)
        self._turn(sda, 1)  # SDA that rises while SCL is high: STOP
        self._open()

    def _turn(self, pin: "Any", level: int) -> None:
        pin.value(level)
        self._sleep_us(_HALF_CLOCK_US)


def _claim(users: "dict[Any, str]", section: "Section", key: str, thing: "int | str") -> None:
    """Note whose it is. Raises SettingsError if it is somebody's already."""
    if thing in users:
        raise section.fail(key, "%s is taken by %s" % (thing, users[thing]))
    # A sensor as a whole, what is beside them (the light, the link) by its key.
    users[thing] = section.path if section.path.endswith("]") else section.path + "." + key


class Wiring:
    """All that sensors can be connected to on one board."""

    def __init__(
        self,
        machine: "Any",
        time: "Any" = time,
        load: "Callable[[str], Any]" = __import__,
    ) -> None:
        """Use MicroPython's modules `machine` and `time`, and those that `load` finds by name."""
        self._machine = machine
        self._time = time
        self._load = load
        self._buses: list[I2cBus] = []
        self._wires: dict[int, tuple[Any, bool]] = {}  # 1-wire and whether it is shared, by pin
        # Path of the settings that have a pin, or a device on a wire.
        self._users: dict[Any, str] = {}
        self._watched: list[Any] = []  # pins with an interrupt
        # An interrupt may call it too. CPython has none, and no pins.
        self.ticks_ms: Any = getattr(time, "ticks_ms", None)

    def release(self) -> None:
        """Take everything back, for the sensors of other settings."""
        for pin in self._watched:
            pin.irq(handler=None)
        self._watched = []
        self._buses = []
        self._wires.clear()
        self._users.clear()

    # -- buses ---------------------------------------------------------------------

    def i2c(self, section: "Section") -> I2cBus:
        """Return the bus of a sensor's `bus`, `sda`, `scl` and `frequency_hz`."""
        number = section.integer("bus", -1, 1, 0)
        sda = section.integer("sda", 0, _PIN_MAX)
        scl = section.integer("scl", 0, _PIN_MAX)
        place = (number, sda, scl, section.integer("frequency_hz", 10_000, 1_000_000, 100_000))
        for bus in self._buses:
            if bus.place == place:
                return bus
            if bus.place[0] == number and (number >= 0 or bus.place[1:3] == place[1:3]):
                raise section.fail(
                    "bus", "%d is on sda %d, scl %d at %d Hz for another sensor" % bus.place
                )
        self.claim(section, "sda", sda)
        self.claim(section, "scl", scl)
        try:
            bus = I2cBus(self._machine, self._time.sleep_us, place)
        except (ValueError, OSError) as error:
            raise section.fail("bus", "no I2C there: %s" % error)
        self._buses.append(bus)
        return bus

    @property
    def recoveries_total(self) -> int:
        """How often an I2C bus had to be freed."""
        return sum([bus.recoveries_total for bus in self._buses])

    def one_wire(self, section: "Section", is_shared: bool = True) -> "Any":
        """Return MicroPython's OneWire of a sensor's `pin`, for it alone or `is_shared`."""
        number = section.integer("pin", 0, _PIN_MAX)
        if number not in self._wires:
            pin = self._make(section, number, self._machine.Pin, number)
            self._wires[number] = (self._load("onewire").OneWire(pin), is_shared)
        elif not (is_shared and self._wires[number][1]):
            user = self._users[number]
            raise section.fail(
                "pin", "%d is taken by %s; to share a wire, both need `addresses`" % (number, user)
            )
        return self._wires[number][0]

    def claim(self, section: "Section", key: str, thing: "int | str") -> None:
        """Note that a pin, or a device on a wire, is this sensor's alone."""
        _claim(self._users, section, key, thing)

    # -- pins ----------------------------------------------------------------------

    def input(self, section: "Section", pull: str) -> "Any":
        """Return the pin of a sensor's `pin`, an input with its `pull` (else the one given)."""
        number = section.integer("pin", 0, _PIN_MAX)
        pull = section.text("pull", pull)
        pin = self._machine.Pin
        pulls = {"up": pin.PULL_UP, "down": pin.PULL_DOWN, "none": None}
        if pull not in pulls:
            raise section.fail("pull", '%r is not "up", "down" or "none"' % pull)
        return self._make(section, number, pin, number, pin.IN, pulls[pull])

    def watch(self, pin: "Any", trigger: int, handle: "Callable[[Any], None]") -> None:
        """Call `handle` at each edge of an input.

        In the interrupt itself where MicroPython can do that: then it must not take heap.
        """
        try:
            pin.irq(handler=handle, trigger=trigger, hard=True)
        except TypeError:  # an ESP32 has none in many versions: a queue of 8 calls
            pin.irq(handler=handle, trigger=trigger)
        self._watched.append(pin)

    def adc(self, section: "Section") -> "Callable[[], int]":
        """Return the function that reads a sensor's `pin`: 0 to 65535 is the whole range."""
        number = section.integer("pin", 0, _PIN_MAX)
        adc = self._machine.ADC
        made = self._make(section, number, lambda pin: adc(self._machine.Pin(pin)), number)
        if hasattr(adc, "ATTN_11DB"):  # an ESP32's, whose range would else end at 1 V
            made.atten(adc.ATTN_11DB)
        return made.read_u16  # type: ignore[no-any-return]

    def dht(self, section: "Section") -> "Callable[[bytearray], None]":
        """Return the function that has five bytes sent by the DHT at a sensor's `pin`."""
        number = section.integer("pin", 0, _PIN_MAX)
        pin = self._make(section, number, self._machine.Pin, number)
        read = getattr(self._machine, "dht_readinto", None)
        if read is None:
            read = self._load("esp").dht_readinto
        return lambda buffer: read(pin, buffer)

    def _make(
        self, section: "Section", number: int, make: "Callable[..., Any]", *args: "Any"
    ) -> "Any":
        """Return what `make` makes of a pin that is nobody's yet."""
        self.claim(section, "pin", number)
        try:
            return make(*args)
        except (ValueError, OSError) as error:
            raise section.fail("pin", "%d can't be used so: %s" % (number, error))

    # -- the chip itself -----------------------------------------------------------

    def thermometer(self, section: "Section") -> "Callable[[], int]":
        """Return the function that reads the chip's own temperature, in tenths of a degree."""
        try:
            chip = self._load("esp32")
        except ImportError:
            return self._rp2_thermometer()
        if hasattr(chip, "mcu_temperature"):  # all but the first ESP32
            return lambda: chip.mcu_temperature() * 10
        if hasattr(chip, "raw_temperature"):  # in degrees Fahrenheit
            return lambda: (chip.raw_temperature() - 32) * 50 // 9
        raise section.fail("type", "this chip has no thermometer")

    def _rp2_thermometer(self) -> "Callable[[], int]":
        """RP2040 datasheet 4.9.5, RP2350 datasheet 12.4.6: 27 - (U - 0.706 V) / 1.721 mV."""
        adc = self._machine.ADC
        read = adc(getattr(adc, "CORE_TEMP", 4)).read_u16

        def tenths() -> int:
            raw = read()
            if not 0 < raw < _RAW_MAX:
                raise ValueError("no temperature")
            # 33 / 0.001721 / 65535 = 0.29259 tenths of a degree each; 19175 of 65536.
            return 4372 - (raw * 19175 >> 16)  # type: ignore[no-any-return]

        return tenths
