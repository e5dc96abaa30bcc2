"""What really was measured, written down in the sensor before any other code sees it."""

from array import array

from pyv_edge_core.reading import QUALITY_BAD, QUALITY_GOOD, Channel

from .oracle import RuleOracle
from .plan import EXPONENT, VALUE_HIGH, VALUE_LOW

_SIZE = 2039  # values of a table, a prime: sensors don't repeat themselves together
FAIL_SHARE = 0.0005  # of the measurements fail without any fault's doing


def make_values(rng):
    """Return a random walk that goes up and down between the limits."""
    values = array("i", [rng.randrange(VALUE_LOW, VALUE_HIGH)])
    while len(values) < _SIZE + 64:
        value = values[-1] + rng.randrange(-60, 61)
        values.append(min(max(value, VALUE_LOW), VALUE_HIGH))
    return values


class StreamTruth:
    """One numbered stream of one boot: how far it is numbered, and what its ring overwrote."""

    def __init__(self):
        self.count = 0  # numbers given out
        self.overwritten = []  # [first, end) ranges, in order

    def lose(self, seqs):
        """Note numbers that are nowhere any more; `seqs` rise."""
        for seq in seqs:
            self.overwrite(seq, 1)

    def overwrite(self, first_seq, count):
        ranges = self.overwritten
        if ranges and ranges[-1][1] == first_seq:
            ranges[-1] = (ranges[-1][0], first_seq + count)
        else:
            ranges.append((first_seq, first_seq + count))


class BootTruth:
    """One boot of one board. Arrays have an entry per number of the telemetry stream."""

    def __init__(self, plan, boot):
        self.plan = plan
        self.boot = boot
        self.sampled = 0
        self.denied = 0  # by the board's policy: never numbered
        self.times_us = array("q")  # true time of the measurement
        self.channels = array("B")
        self.values = array("i")
        self.qualities = array("B")
        self.events = []  # (index of the rule on the board, state, value or None), by number
        self.event_times_us = array("q")  # true time of the measurement that made it
        self.telemetry = StreamTruth()
        self.event_stream = StreamTruth()
        self.is_over = False
        self.is_saved = False  # whether something of it was on the flash when it ended
        self._sensors = []
        first = 0
        for sensor in plan.sensors:
            self._sensors.append(_SensorTruth(plan, sensor, first))
            first += len(sensor)

    def measured(self, sensor, time_us, uptime_ms, values):
        """Take one measurement of sensor number `sensor`; `values` is None if it failed."""
        known = self._sensors[sensor]
        self.sampled += known.count
        self.denied += known.denied
        if values is None:
            shown = known.nothing
            quality = known.bad
        else:
            shown = known.shown(values)
            quality = known.good
        self.times_us.extend([time_us] * len(shown))
        self.channels.extend(known.channels)
        self.values.extend(shown)
        self.qualities.extend(quality)
        self.telemetry.count += len(shown)
        for place, rule, oracle in known.rules:
            value = shown[place]
            state = oracle.update(uptime_ms, value, values is None)
            if state:
                self.events.append((rule, state, None if values is None else value))
                self.event_times_us.append(time_us)
                self.event_stream.count += 1


class _SensorTruth:
    """What becomes of one sensor's measurements on the board."""

    def __init__(self, plan, channels, first_channel):
        kept = [one for one in channels if one.at_board != "drop"]
        self.count = len(channels)
        self.denied = len(channels) - len(kept)
        self.channels = array("B", [first_channel + channels.index(one) for one in kept])
        self.nothing = array("i", [0] * len(kept))
        self.good = array("B", [QUALITY_GOOD] * len(kept))
        self.bad = array("B", [QUALITY_BAD] * len(kept))
        self.rules = []  # (place among what is kept, index of the rule on the board, oracle)
        for index, rule in enumerate(plan.rules):
            if rule.channel in self.channels:
                place = self.channels.index(rule.channel)
                self.rules.append((place, index, RuleOracle(rule)))
        self.rules.sort(key=lambda one: one[:2])  # as the board goes through them
        self._kept = [channels.index(one) for one in kept]
        self._coarse = [
            (place, one) for place, one in enumerate(kept) if one.at_board == "quantize"
        ]

    def shown(self, values):
        """Return what the board's policy leaves of the values of a measurement."""
        if not self.denied and not self._coarse:
            return values
        shown = array("i", [values[index] for index in self._kept])
        for place, channel in self._coarse:
            shown[place] = channel.board_value(shown[place])
        return shown


class SensorCodeError(Exception):
    """A fault in the code of a sensor, which no part of the node expects."""


class Sensor:
    """Shows values of a table, and writes down what it has shown."""

    def __init__(self, board, index, table, rng, raises=0):
        plan = board.truth.plan.sensors[index]
        self.channels = [Channel(channel.name, "Cel", EXPONENT) for channel in plan]
        self.values = array("i", [0] * len(plan))
        self._board = board
        self._index = index
        self._table = table
        self._place = rng.randrange(_SIZE)
        self._stride = rng.randrange(1, 7)
        self._rng = rng
        self._raises = raises

    def measure(self, uptime_s, uptime_ms):
        """Take a measurement. Raises OSError while a fault says so."""
        board = self._board
        if self._raises:
            raise SensorCodeError
        time_us = board.spend(board.plan.measure_us)
        uptime_ms += uptime_s * 1000
        if board.failing or self._rng.random() < FAIL_SHARE:
            if board.failing:
                board.world.struck("sensor_fails")
            board.truth.measured(self._index, time_us, uptime_ms, None)
            raise OSError(5)
        place = self._place
        self.values[:] = self._table[place : place + len(self.values)]
        self._place = (place + self._stride) % _SIZE
        board.truth.measured(self._index, time_us, uptime_ms, self.values)
