"""Sensors of the settings on a machine that is played, sampled as on a board."""

from check import raises, without_heap
from fakes.machine import Machine
from pyv_edge_core.reading import QUALITY_BAD, QUALITY_GOOD
from pyv_edge_core.session import elapsed_ms
from pyv_edge_node.board.wiring import Wiring
from pyv_edge_node.sampler import Sampler
from pyv_edge_node.sensors import open_sensor
from pyv_edge_node.settings import Section, SettingsError
from pyv_edge_node.uptime import Uptime

GOOD = QUALITY_GOOD
BAD = QUALITY_BAD


class Board:
    """What a sensor sees of its board."""

    name = "fake"

    def __init__(self, machine):
        self.wiring = Wiring(machine, machine.clock, machine.load)
        self.release_pins = self.wiring.release
        self.said = []
        self.shown = []  # errors, with their tracebacks on a board

    def say(self, text):
        self.said.append(text)

    def show(self, error):
        self.shown.append(error)


class UnwiredBoard:
    """A board without any pins."""

    name = "unix"
    wiring = None


def sections(*sensors):
    """Return the settings of sensors as if they had been read from board.json."""
    return [
        Section(values, "board.json.sensors[%d]" % index) for index, values in enumerate(sensors)
    ]


class SensorBench:
    """A sampler with its sensors; in place of a pipeline, the latest reading of each channel."""

    def __init__(self, machine, *sensors, open_sensor=open_sensor):
        self.machine = machine
        self.board = Board(machine)
        now_ms = machine.clock.now_ms
        self.sampler = Sampler(sections(*sensors), now_ms, self.board, open_sensor)
        self.uptime = Uptime(machine.clock.now_ms)
        self.names = [channel.name for channel in self.sampler.channels]
        self.qualities = [None] * len(self.names)
        self.values = [0] * len(self.names)
        self.counts = [0] * len(self.names)
        self.times = None  # a list: of (channel, uptime in ms)

    def push(self, channel, quality, value, uptime_s, uptime_ms, now_ms):
        self.qualities[channel] = quality
        self.values[channel] = value
        self.counts[channel] += 1
        if self.times is not None:
            self.times.append((channel, uptime_s * 1000 + uptime_ms))

    def play(self, duration_ms):
        """Let time pass, and sample whatever is due at its very beginning and on the way."""
        clock = self.machine.clock
        while True:
            then_ms = clock.now_ms
            self.uptime.update(then_ms)
            idle_ms = self.sampler.run(then_ms, self.uptime, self)
            duration_ms -= elapsed_ms(clock.now_ms, then_ms)  # a measurement may take some
            if idle_ms:
                if duration_ms <= 0:
                    return
                idle_ms = min(idle_ms, duration_ms)
                clock.advance(idle_ms)
                duration_ms -= idle_ms
                if not duration_ms:
                    return

    def next_turn(self):
        """Let time pass until something has been sampled, once."""
        before = self.sampler.sampled_total
        while True:
            now_ms = self.machine.clock.now_ms
            self.uptime.update(now_ms)
            idle_ms = self.sampler.run(now_ms, self.uptime, self)
            if self.sampler.sampled_total != before:
                return
            self.machine.clock.advance(idle_ms)

    def readings(self):
        """Return (quality, value) of each channel."""
        return [(self.qualities[index], self.values[index]) for index in range(len(self.names))]

    def bad(self):
        """Return which channels are bad, by their places."""
        return [index for index in range(len(self.names)) if self.qualities[index] == BAD]

    @property
    def errors_total(self):
        return self.sampler.sensor_errors_total


def check_no_heap(bench, duration_ms, warm_up_ms):
    """Assert that sampling for a while takes no heap and gives readings that are all good."""
    bench.play(warm_up_ms)

    def steady():
        bench.play(duration_ms)

    before = bench.sampler.sampled_total
    without_heap(steady)
    assert bench.sampler.sampled_total - before >= 5 * len(bench.names)
    assert bench.bad() == [] and bench.errors_total == 0


def refusal(make_machine, *sensors, open_sensor=open_sensor):
    """Return the one line that says why sensors can't be so."""

    def make():
        return SensorBench(make_machine(), *sensors, open_sensor=open_sensor)

    text = str(raises(SettingsError, make))
    assert "\n" not in text, text
    return text


def check_refusals(make_machine, good, cases):
    """Assert that each change to good settings is refused with a line that has these words."""
    SensorBench(make_machine(), good)
    for change, words in cases:
        values = dict(good)
        values.update(change)
        text = refusal(make_machine, values)
        for word in ("board.json.sensors[0].",) + words:
            assert word in text, (change, word, text)


def check_i2c_faults(bench, chip, interval_ms, expected):
    """Assert what must be true of every chip on I2C: whatever befalls it ends, and is counted.

    `expected` are the values it gives, each time it can.
    """
    good = [(GOOD, value) for value in expected]
    gone = [(BAD, 0)] * len(good)
    place = bench.machine.lines(4, 5)
    bench.play(interval_ms)
    assert bench.readings() == good, bench.readings()
    errors = 0
    chip.is_absent = True
    for _ in range(2):
        bench.play(interval_ms)
        errors += 1
        assert (bench.readings(), bench.errors_total) == (gone, errors)
    chip.power_cycle()  # unplugged, and plugged in again
    chip.is_absent = False
    bench.play(interval_ms)
    assert bench.readings() == good, bench.readings()
    chip.power_cycle()  # it lost its power between two measurements
    bench.play(interval_ms)
    assert bench.readings() == good, bench.readings()
    for stuck in (0x00, 0xFF):
        chip.stuck = stuck
        bench.play(interval_ms)
        errors += 1
        assert (bench.readings(), bench.errors_total) == (gone, errors), stuck
        chip.stuck = -1
        bench.play(interval_ms)
        assert bench.readings() == good, (stuck, bench.readings())
    before = bench.board.wiring.recoveries_total
    place.hang(9)
    while place.sda.held:
        bench.play(interval_ms)
        errors += 1
        assert bench.readings() == gone
        assert errors < 20, "the bus is never freed"
    bench.play(interval_ms)
    assert bench.readings() == good
    assert bench.errors_total == errors
    assert bench.board.wiring.recoveries_total == before + 1


def i2c(kind, interval_ms=1000, **others):
    """Return the settings of a sensor on the bus at pins 4 and 5."""
    values = {"type": kind, "interval_ms": interval_ms, "sda": 4, "scl": 5}
    values.update(others)
    return values


def rp2():
    return Machine("rp2")
