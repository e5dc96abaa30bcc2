"""MicroPython's `machine` without hardware: pins, buses and interrupts, at the level of levels.

`Machine()` is one chip with whatever has been attached to it: it is passed where
the module `machine` is wanted, its `clock` where `time` is, and its `load` finds
the modules that a port has of its own. Runs on CPython and MicroPython. What a
board does without heap is done without heap here, so that a test can lock it;
`disable_irq` locks it by itself, because an interrupt may not allocate.

What `machine` of a port refuses, this refuses too: pins that it hasn't got,
`hard` where there are no hard interrupts.
"""

try:
    import micropython
except ImportError:  # CPython
    micropython = None

ENODEV = 19
ETIMEDOUT = 110
_TICK_MASK = 0x3FFFFFFF


class Clock:
    """Has what is needed of `time`. The test moves it on."""

    def __init__(self):
        self.now_ms = 0
        self.us = 0  # of sleeps, a fraction of a millisecond

    def ticks_ms(self):
        return self.now_ms

    def sleep_us(self, duration_us):
        self.us += duration_us
        self.now_ms += self.us // 1000
        self.us %= 1000

    def sleep_ms(self, duration_ms):
        self.now_ms += duration_ms

    def advance(self, duration_ms):
        self.now_ms = (self.now_ms - _TICK_MASK + duration_ms - 1) & _TICK_MASK


class Pin:
    """One pin; all objects of a number are the same, as on a board."""

    IN, OUT, OPEN_DRAIN = 0, 1, 2
    PULL_UP, PULL_DOWN = 1, 2
    IRQ_FALLING, IRQ_RISING = 4, 8

    def __init__(self, machine, number):
        self.number = number
        self._machine = machine
        self.mode = self.IN
        self.pull = None
        self.level = 0  # what the outside, or the output, has put on it
        self.held = False  # by a device on its bus: low whatever the output says
        self.on_rise = None  # called when the output goes from 0 to 1
        self._handler = None
        self._trigger = 0
        self.is_hard = False
        self.is_floating = True

    def init(self, mode=-1, pull=-1, value=None):
        if mode != -1:
            self.mode = mode
        if pull != -1:
            self.pull = pull
            if self.is_floating and pull is not None:
                self.level = int(pull == self.PULL_UP)
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            return 0 if self.held else self.level
        rises = level and not self.level
        self.level = level
        if rises and self.on_rise is not None:
            self.on_rise()
        return None

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def irq(self, handler=None, trigger=0, hard=None):
        if hard is not None and not self._machine.has_hard_irq:
            raise TypeError("extra keyword arguments given")
        self._handler = handler
        self._trigger = trigger
        self.is_hard = bool(hard)

    def drive(self, level):
        """Put a level on it from outside; an edge calls the handler, with the heap locked."""
        before = self.level
        self.level = level
        self.is_floating = False
        edge = self.IRQ_RISING if level > before else self.IRQ_FALLING
        if level != before and self._handler is not None and self._trigger & edge:
            state = self._machine.disable_irq()
            try:
                self._handler(self)
            finally:
                self._machine.enable_irq(state)


class _Pins:
    """`machine.Pin`: makes a pin, or finds it."""

    IN, OUT, OPEN_DRAIN = Pin.IN, Pin.OUT, Pin.OPEN_DRAIN
    PULL_UP, PULL_DOWN = Pin.PULL_UP, Pin.PULL_DOWN
    IRQ_FALLING, IRQ_RISING = Pin.IRQ_FALLING, Pin.IRQ_RISING

    def __init__(self, machine, count):
        self._machine = machine
        self._count = count
        self._made = {}

    def __call__(self, number, mode=-1, pull=-1, value=None):
        if isinstance(number, Pin):
            number = number.number
        if not isinstance(number, str) and not 0 <= number < self._count:
            raise ValueError("invalid pin")
        if number not in self._made:
            self._made[number] = Pin(self._machine, number)
        pin = self._made[number]
        pin.init(mode, pull, value)
        return pin


class Lines:
    """SDA and SCL of one I2C bus and the chips that hang on them."""

    def __init__(self, sda, scl):
        self.chips = []
        self.sda = sda
        self.scl = scl
        scl.on_rise = self._clock
        self.clocks_needed = 0  # until the device that holds SDA lets go
        self.transfers_total = 0

    def attach(self, chip):
        self.chips.append(chip)
        return chip

    def hang(self, clocks):
        """Have a device hold SDA low until it has been given that many clocks."""
        self.clocks_needed = clocks
        self.sda.held = True

    def _clock(self):
        if self.clocks_needed:
            self.clocks_needed -= 1
            self.sda.held = self.clocks_needed > 0

    def find(self, address):
        self.transfers_total += 1
        if self.sda.held:
            raise OSError(ETIMEDOUT)
        for chip in self.chips:
            if chip.address == address and not chip.is_absent:
                return chip
        raise OSError(ENODEV)


class I2C:
    """A bus of `machine`; `chips` says what hangs on it."""

    def __init__(self, lines):
        self._lines = lines
        self._register = bytearray(1)

    def writeto(self, address, data):
        self._lines.find(address).write(data)
        return len(data)

    def readfrom_into(self, address, buffer):
        self._lines.find(address).respond(buffer)

    def readfrom_mem_into(self, address, register, buffer):
        chip = self._lines.find(address)
        self._register[0] = register
        chip.write(self._register)
        chip.respond(buffer)

    def scan(self):
        return sorted([chip.address for chip in self._lines.chips if not chip.is_absent])


class _Buses:
    """`machine.I2C` and `machine.SoftI2C`."""

    def __init__(self, machine, numbers):
        self._machine = machine
        self._numbers = numbers

    def __call__(self, number=-1, scl=None, sda=None, freq=400000, timeout=50000):
        if number not in self._numbers:
            raise ValueError("I2C(%d) doesn't exist" % number)
        self._machine.opened = self._machine.opened[-7:] + [(number, freq, timeout)]
        return I2C(self._machine.lines(sda.number, scl.number))


class ADC:
    """A converter whose readings the test sets: `raw`, or one after the other of `raws`."""

    def __init__(self):
        self.raw = 0
        self.raws = None
        self.reads_total = 0
        self.attenuation = None

    def atten(self, value):
        self.attenuation = value

    def read_u16(self):
        self.reads_total += 1
        if self.raws is None:
            return self.raw
        return self.raws[(self.reads_total - 1) % len(self.raws)]


class _Rp2Adcs:
    """`machine.ADC` of an RP2."""

    CORE_TEMP = 4

    def __init__(self, machine):
        self._machine = machine

    def __call__(self, source):
        number = source.number if isinstance(source, Pin) else source
        if number != self.CORE_TEMP and not 26 <= number <= 29:
            raise ValueError("Pin doesn't have ADC capabilities")
        return self._machine.adc(number)


class _Esp32Adcs:
    """`machine.ADC` of an ESP32."""

    ATTN_0DB, ATTN_11DB = 0, 3

    def __init__(self, machine):
        self._machine = machine

    def __call__(self, source):
        number = source.number if isinstance(source, Pin) else source
        if not 32 <= number <= 39:
            raise ValueError("invalid pin")
        return self._machine.adc(number)


class WDT:
    """A watchdog that remembers how it was treated."""

    def __init__(self, timeout):
        self.timeout_ms = timeout
        self.feeds_total = 0

    def feed(self):
        self.feeds_total += 1


class UART:
    """A port that remembers how it was opened; `written` is what the other end got."""

    def __init__(self, number, baud, **options):
        self.number = number
        self.baud = baud
        self.options = options
        self.written = b""
        self.incoming = b""

    def write(self, data):
        self.written += bytes(data)
        return len(data)

    def any(self):
        return len(self.incoming)

    def read(self, count=-1):
        end = len(self.incoming) if count < 0 else count
        data, self.incoming = self.incoming[:end], self.incoming[end:]
        return data or None


class Timer:
    """A timer that the test lets go off, with the heap locked as in any interrupt."""

    ONE_SHOT, PERIODIC = 0, 1

    def __init__(self, machine, number, **options):
        self._machine = machine
        self.number = number
        self.options = {}
        self.init(**options)

    def init(self, **options):
        self.options.update(options)

    def deinit(self):
        self.options = {}

    def fire(self):
        callback = self.options.get("callback")
        if callback is not None:
            state = self._machine.disable_irq()
            try:
                callback(self)
            finally:
                self._machine.enable_irq(state)


class _Timers:
    """`machine.Timer`: an RP2 has no numbers, an ESP32 has four."""

    ONE_SHOT, PERIODIC = Timer.ONE_SHOT, Timer.PERIODIC

    def __init__(self, machine, numbers):
        self._machine = machine
        self._numbers = numbers
        self.made = []

    def __call__(self, number=-1, **options):
        if number not in self._numbers:
            raise ValueError("Timer doesn't exist")
        self.made.append(Timer(self._machine, number, **options))
        return self.made[-1]


class Reset(Exception):
    """The board has been reset."""


class Modules:
    """A module that a port has of its own."""

    def __init__(self, **members):
        for name in members:
            setattr(self, name, members[name])


class Machine:
    """The module `machine` of one chip, and what the test can do to it."""

    PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5

    def __init__(self, chip="rp2", has_hard_irq=True):
        self.clock = Clock()
        self.has_hard_irq = has_hard_irq
        self.opened = []  # (number, frequency, time-out) of the latest I2C buses that were made
        self.modules = {}
        self.Pin = _Pins(self, 30 if chip == "rp2" else 40)
        self.I2C = _Buses(self, (0, 1))
        self.SoftI2C = _Buses(self, (-1,))
        self.ADC = _Rp2Adcs(self) if chip == "rp2" else _Esp32Adcs(self)
        self.WDT = self._make_watchdog
        self.UART = self._make_uart
        self.Timer = _Timers(self, (-1,) if chip == "rp2" else (0, 1, 2, 3))
        self.uarts = []
        self.watchdog = None
        self.cause = self.PWRON_RESET
        self.mem32 = {}
        self._reset = Reset()  # made here: an interrupt may reset, and may not allocate
        self._lines = {}
        self._adcs = {}
        self._dhts = {}
        if chip == "rp2":
            self.dht_readinto = self._read_dht
        else:
            self.modules["esp"] = Modules(dht_readinto=self._read_dht)
            self.modules["esp32"] = Modules(mcu_temperature=lambda: 53)

    def load(self, name):
        """Import a module that the port has of its own, as `__import__` does."""
        if name not in self.modules:
            raise ImportError("no module named '%s'" % name)
        return self.modules[name]

    # -- what is attached ----------------------------------------------------------

    def lines(self, sda, scl):
        """Return the lines of the bus at two pins."""
        if (sda, scl) not in self._lines:
            self._lines[sda, scl] = Lines(self.Pin(sda), self.Pin(scl))
        return self._lines[sda, scl]

    def adc(self, number):
        """Return the converter of a pin, or of the chip's own thermometer."""
        if number not in self._adcs:
            self._adcs[number] = ADC()
        return self._adcs[number]

    def attach_dht(self, number, device):
        """Put a DHT on a pin: something with `respond`, or None to take it away."""
        self._dhts[number] = device

    def _read_dht(self, pin, buffer):
        device = self._dhts.get(pin.number)
        if device is None:
            raise OSError(ETIMEDOUT)
        device.respond(buffer)

    # -- the rest of `machine` -----------------------------------------------------

    def disable_irq(self):
        if micropython is not None:
            micropython.heap_lock()
        return 1

    def enable_irq(self, state):
        if micropython is not None:
            micropython.heap_unlock()

    def _make_watchdog(self, timeout):
        self.watchdog = WDT(timeout)
        return self.watchdog

    def _make_uart(self, number, baud, **options):
        if number not in (0, 1, 2):
            raise ValueError("UART(%d) doesn't exist" % number)
        self.uarts.append(UART(number, baud, **options))
        return self.uarts[-1]

    def reset(self):
        raise self._reset

    def reset_cause(self):
        return self.cause

    def unique_id(self):
        return b"\x01\x23\x45\x67\x89\xab\xcd\xef"
