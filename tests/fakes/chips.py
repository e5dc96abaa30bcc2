"""Sensor chips at the level of their registers, as their data sheets describe them.

What a chip holds is set beforehand, in the numbers of its data sheet; answering
takes no heap. Any of them can be taken away (`is_absent`), lose its power
(`power_cycle`), or have its data lines stuck (`stuck`: a byte, or -1).
"""


class Chip:
    """What all chips on I2C have in common."""

    def __init__(self, clock, address):
        self.clock = clock
        self.address = address
        self.is_absent = False
        self.stuck = -1
        self.written_total = 0

    def respond(self, buffer):
        if self.stuck >= 0:
            for index in range(len(buffer)):
                buffer[index] = self.stuck
            return
        self.read(buffer)


class _Conversion:
    """Whether a chip converts, and for how long yet."""

    def __init__(self, clock):
        self._clock = clock
        self._start_ms = 0
        self._lasts_ms = 0
        self.is_begun = False

    def begin(self, lasts_ms):
        self._start_ms = self._clock.now_ms
        self._lasts_ms = lasts_ms
        self.is_begun = True

    @property
    def is_running(self):
        return self.is_begun and self._clock.now_ms - self._start_ms & 0x3FFFFFFF < self._lasts_ms

    @property
    def is_done(self):
        return self.is_begun and not self.is_running


class Bme280(Chip):
    """BME280 (data sheet 5.3, 5.4); a BMP280 with another `chip_id`."""

    def __init__(self, clock, calibration, humidity_calibration=b"", chip_id=0x60, address=0x76):
        super().__init__(clock, address)
        self._fixed = bytearray(256)
        self._fixed[0xD0] = chip_id
        self._fixed[0x88 : 0x88 + len(calibration)] = calibration
        if humidity_calibration:
            self._fixed[0xA1] = humidity_calibration[0]
            self._fixed[0xE1:0xE8] = humidity_calibration[1:]
        self.raw = bytearray(8)  # what a conversion gives: 0xF7 to 0xFE
        self.lasts_ms = 8
        self.is_starting = 0  # 1: it still copies its calibration
        self._pointer = 0
        self._conversion = _Conversion(clock)
        self.power_cycle()

    def set_raw(self, pressure, temperature, humidity=0x8000):
        for index, value in ((0, pressure), (3, temperature)):
            self.raw[index] = value >> 12
            self.raw[index + 1] = value >> 4 & 0xFF
            self.raw[index + 2] = value << 4 & 0xFF
        self.raw[6] = humidity >> 8
        self.raw[7] = humidity & 0xFF

    def power_cycle(self):
        """Reset its registers: what is measured is skipped until it is told otherwise."""
        self.registers = bytearray(self._fixed)
        for index, value in ((0xF7, 0x80), (0xFA, 0x80), (0xFD, 0x80)):
            self.registers[index] = value
        self._conversion.is_begun = False

    def write(self, data):
        self._pointer = data[0]
        index = 0
        while index + 1 < len(data):  # pairs of register and value (6.2.1)
            self.written_total += 1
            self.registers[data[index]] = data[index + 1]
            if data[index] == 0xF4 and data[index + 1] & 3 in (1, 2):
                self._conversion.begin(self.lasts_ms)
            index += 2

    def _convert(self):
        registers = self.registers
        registers[0xF3] = (8 if self._conversion.is_running else 0) | self.is_starting
        if not self._conversion.is_done:
            return
        self._conversion.is_begun = False
        control = registers[0xF4]
        for index in range(8):
            if index < 3:
                is_on = control >> 2 & 7
            elif index < 6:
                is_on = control >> 5
            else:
                is_on = registers[0xF2] & 7
            registers[0xF7 + index] = self.raw[index] if is_on else 0x80 * (index in (0, 3, 6))
        registers[0xF4] = control & 0xFC  # back to sleep (3.3.3)

    def read(self, buffer):
        self._convert()
        for index in range(len(buffer)):
            buffer[index] = self.registers[self._pointer + index & 0xFF]


class Sht3x(Chip):
    """SHT3x: answers nothing until a single shot is done (4.3, 4.4)."""

    def __init__(self, clock, address=0x44):
        super().__init__(clock, address)
        self.lasts_ms = 15
        self._data = bytearray(6)
        self._conversion = _Conversion(clock)
        self.set_data(bytes(6))

    def set_data(self, data):
        """Have it answer that: two bytes, their CRC, and again."""
        self._data[:] = data

    def power_cycle(self):
        self._conversion.is_begun = False

    def write(self, data):
        self.written_total += 1
        if len(data) == 2 and data[0] == 0x24 and data[1] == 0x00:
            self._conversion.begin(self.lasts_ms)

    def read(self, buffer):
        if not self._conversion.is_done:
            raise OSError(5)  # it doesn't acknowledge its address
        self._conversion.is_begun = False
        for index in range(len(buffer)):
            buffer[index] = self._data[index]


class Bh1750(Chip):
    """BH1750FVI: power down, on, and one measurement (page 4 and 5)."""

    def __init__(self, clock, address=0x23):
        super().__init__(clock, address)
        self.lasts_ms = 180
        self.raw = 0
        self._conversion = _Conversion(clock)
        self.power_cycle()

    def power_cycle(self):
        self._is_on = False
        self._register = 0
        self._conversion.is_begun = False

    def write(self, data):
        self.written_total += 1
        if data[0] == 0x01:
            self._is_on = True
        elif data[0] == 0x20 and self._is_on:
            self._conversion.begin(self.lasts_ms)

    def read(self, buffer):
        if self._conversion.is_done:
            self._register = self.raw
            self._conversion.is_begun = self._is_on = False
        buffer[0] = self._register >> 8
        buffer[1] = self._register & 0xFF


class Registers16(Chip):
    """A chip whose registers have 16 bits, the higher byte first."""

    def __init__(self, clock, address, initial):
        super().__init__(clock, address)
        self._initial = initial  # (register, value) after power-on
        self.registers = [0] * 8
        self._pointer = 0
        self.power_cycle()

    def power_cycle(self):
        for register, value in self._initial:
            self.registers[register] = value

    def write(self, data):
        self._pointer = data[0]
        if len(data) == 3:
            self.written_total += 1
            self.registers[data[0]] = data[1] << 8 | data[2]

    def read(self, buffer):
        value = self.registers[self._pointer]
        buffer[0] = value >> 8
        if len(buffer) > 1:
            buffer[1] = value & 0xFF


class Ina219(Registers16):
    """INA219 (8.6): converts once for each configuration that is written."""

    def __init__(self, clock, address=0x40):
        self._conversion = _Conversion(clock)
        self.lasts_ms = 9
        self.shunt = 0  # hundredths of a millivolt
        self.bus_mv = 0
        self.is_overflow = False
        super().__init__(clock, address, ((0, 0x399F), (1, 0), (2, 0), (5, 0)))

    def power_cycle(self):
        super().power_cycle()
        self._conversion.is_begun = False

    def write(self, data):
        super().write(data)
        if len(data) == 3 and data[0] == 0:
            self.registers[2] &= ~2
            if data[2] & 7 == 3:
                self._conversion.begin(self.lasts_ms)

    def read(self, buffer):
        if self._conversion.is_done:
            self._conversion.is_begun = False
            self.registers[1] = self.shunt & 0xFFFF
            self.registers[2] = self.bus_mv // 4 << 3 | 2 | self.is_overflow
        super().read(buffer)


class Dht22:
    """DHT22: five bytes for each start signal."""

    def __init__(self, data):
        self.data = data

    def respond(self, buffer):
        for index in range(5):
            buffer[index] = self.data[index]


def crc8_maxim(data):
    """Return the CRC of 1-wire (Maxim's application note 27)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
    return crc


class Ds18b20:
    """DS18B20: 64 bits of ROM, nine bytes of scratchpad."""

    def __init__(self, clock, serial):
        rom = b"\x28" + serial
        self.rom = rom + bytes([crc8_maxim(rom)])
        self.is_absent = False
        self.damage = 0  # a byte of its answer is inverted by that
        self._clock = clock
        self.lasts_ms = 750
        self._conversion = _Conversion(clock)
        self.scratchpad = bytearray(9)
        self._result = bytearray(9)
        self.set_raw(0x0191)
        self.power_cycle()

    def set_raw(self, raw, config=0x7F):
        """Have the next conversion give that: sixteenths of a degree."""
        raw &= 0xFFFF
        data = bytes([raw & 0xFF, raw >> 8, 0x4B, 0x46, config, 0xFF, 16 - (raw & 15), 0x10])
        self._result[:] = data + bytes([crc8_maxim(data)])

    def power_cycle(self):
        data = b"\x50\x05\x4b\x46\x7f\xff\x0c\x10"
        self.scratchpad[:] = data + bytes([crc8_maxim(data)])
        self._conversion.is_begun = False

    def convert(self):
        self._conversion.begin(self.lasts_ms)

    def settle(self):
        """Put the result of a conversion that is over into the scratchpad."""
        if self._conversion.is_done:
            self._conversion.is_begun = False
            for index in range(9):
                self.scratchpad[index] = self._result[index]


class OneWire:
    """MicroPython's class of that name, on a wire with devices; `ground` is a short circuit."""

    def __init__(self, devices):
        self.devices = devices
        self.is_grounded = False
        self._state = "idle"
        self._selected = [False] * 64
        self._rom_index = 0

    def reset(self, required=False):
        self._state = "rom"
        is_any = self.is_grounded
        for device in self.devices:
            if not device.is_absent:
                is_any = True
        return is_any

    def writebyte(self, byte):
        if self._state == "rom":
            self._state = "match" if byte == 0x55 else "function" if byte == 0xCC else "idle"
            self._rom_index = 0
            for index in range(len(self.devices)):
                self._selected[index] = not self.devices[index].is_absent
        elif self._state == "match":
            for index in range(len(self.devices)):
                if self.devices[index].rom[self._rom_index] != byte:
                    self._selected[index] = False
            self._rom_index += 1
            if self._rom_index == 8:
                self._state = "function"
        elif self._state == "function":
            for index in range(len(self.devices)):
                if self._selected[index]:
                    if byte == 0x44:
                        self.devices[index].convert()
                    elif byte == 0xBE:
                        self.devices[index].settle()
            self._state = "read" if byte == 0xBE else "idle"

    def write(self, data):
        for byte in data:
            self.writebyte(byte)

    def readinto(self, buffer):
        for offset in range(len(buffer)):
            byte = 0 if self.is_grounded else 0xFF
            if self._state == "read":
                for index in range(len(self.devices)):
                    if self._selected[index]:
                        device = self.devices[index]
                        byte &= device.scratchpad[offset] ^ (device.damage if offset == 1 else 0)
            buffer[offset] = byte

    def scan(self):
        return [device.rom for device in self.devices if not device.is_absent]

    def crc8(self, data):
        return crc8_maxim(data)


class OneWireModule:
    """The module `onewire`, whose wires have devices by pin."""

    def __init__(self):
        self.wires = {}

    def attach(self, pin, devices):
        self.wires[pin] = OneWire(devices)
        return self.wires[pin]

    def OneWire(self, pin):
        pin.init(pin.OPEN_DRAIN, pin.PULL_UP)
        if pin.number not in self.wires:
            self.attach(pin.number, [])
        return self.wires[pin.number]
