"""Takes every sensor's measurement when it is due and hands it to the pipeline.

Keeps to a fixed rate: a measurement is due at start + n * interval, however
late the one before was. What is missed altogether is counted (`late_total`)
and not made up. A chip that takes its time to convert is started when it is due
and read when it is done; meanwhile the others have their turns. A sensor that
fails yields a reading of quality bad, is counted and is asked again at its next
turn; the others go on. Allocates nothing itself.
"""

from pyv_edge_core import reading
from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.errors import FieldError
from pyv_edge_core.reading import LIMITS, QUALITY_BAD, QUALITY_GOOD
from pyv_edge_core.session import elapsed_ms

from .settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .pipeline import Pipeline
    from .settings import Section
    from .uptime import Uptime

_TICK_MASK = const(0x3FFFFFFF)
_HALF = const(0x20000000)  # an elapsed time above this lies in the future
_IDLE_MS = const(1000)
_ALL_CHANNELS = const(255)  # request.ALL_CHANNELS; loaded with the first request only
# Absent, silent or talking nonsense: what the sensor's file declares, no more. Made once: a
# tuple in the `except` itself is a new one each time, and takes heap.
_FAILURES = (OSError, ValueError, OverflowError, IndexError)


class _Turn:
    """One sensor and when it is due."""

    def __init__(self, sensor: "Any", interval_ms: int, first_channel: int, due_ms: int) -> None:
        self.sensor = sensor
        self.first_channel = first_channel
        self.due_ms = due_ms  # while it converts: when that is done
        self.next_ms = due_ms  # while it converts: when the next is due
        self.is_converting = False
        self.conversion_ms = getattr(sensor, "conversion_ms", 0)
        self.interval_ms_min = getattr(sensor, "interval_ms_min", 0)
        self.bad = getattr(sensor, "bad", None)  # not 0 for channels that have no value
        self.taken_ms = due_ms  # the latest measurement
        self.interval_ms = 0
        self.set_interval(interval_ms)

    def set_interval(self, interval_ms: int) -> None:
        """Measure at that interval. Raises FieldError for one that the sensor can't keep."""
        least_ms = max(self.conversion_ms, self.interval_ms_min)
        if reading.check("interval_ms", interval_ms) < least_ms:
            raise FieldError(
                "interval_ms: %d is too short for this sensor, which needs %d"
                % (interval_ms, least_ms)
            )
        self.interval_ms = interval_ms

    def is_too_soon(self, now_ms: int) -> bool:
        """Return whether a measurement now would be too near to the one before, or the next."""
        least_ms = self.interval_ms_min
        return least_ms > 0 and (
            elapsed_ms(now_ms, self.taken_ms) < least_ms
            or not least_ms <= elapsed_ms(self.due_ms, now_ms) < _HALF
        )


class Sampler:
    """All sensors of a board."""

    def __init__(
        self,
        sections: "list[Section]",
        now_ms: int,
        board: "Any" = None,
        open_sensor: "Callable[[str, Section, Any], Any] | None" = None,
    ) -> None:
        """Open the sensors of the settings, on `board`, with `open_sensor`.

        Raises SettingsError.
        """
        self.channels: list[reading.Channel] = []
        self.sampled_total = 0  # readings taken, bad ones included
        self.sensor_errors_total = 0  # measurements that failed
        self.late_total = 0  # measurements missed because the loop was late
        self.lag_ms_max = 0  # longest delay of a measurement; its reader sets it back
        self._turns: list[_Turn] = []
        self._next = 0  # where `run` begins to look, so that none starves
        release_pins = getattr(board, "release_pins", None)
        if release_pins is not None:
            release_pins()  # which settings that couldn't be used have taken
        if open_sensor is None:
            from . import sensors

            open_sensor = sensors.open_sensor
        names: set[str] = set()
        for section in sections:
            self._add(section, open_sensor(section.text("type"), section, board), now_ms, names)
        if len(self.channels) > LIMITS["channel"][1]:
            raise sections[-1].fail("channel", "a board has at most %d" % LIMITS["channel"][1])

    def _add(self, section: "Section", sensor: "Any", now_ms: int, names: "set[str]") -> None:
        """Give a sensor its turn and its channels their names."""
        low, high = LIMITS["interval_ms"]
        interval_ms = section.integer("interval_ms", low, high)
        prefix = section.text("prefix", "")
        section.end()
        try:
            turn = _Turn(sensor, interval_ms, len(self.channels), now_ms)
            for channel in sensor.channels:
                if prefix:
                    channel.name = reading.check_name("prefix", prefix + "." + channel.name)
                if channel.name in names:
                    raise FieldError("channel: %r is there twice" % channel.name)
                names.add(channel.name)
                self.channels.append(channel)
        except FieldError as error:
            raise SettingsError("%s.%s" % (section.path, error))
        self._turns.append(turn)

    def run(self, now_ms: int, uptime: "Uptime", pipeline: "Pipeline") -> int:
        """Take one measurement if one is due; return the milliseconds until another is.

        One at a time, so that each can be given a time of its own: a measurement
        may last longer than the interval of the next.
        """
        idle_ms = _IDLE_MS
        is_taken = False
        count = len(self._turns)
        for offset in range(count):
            turn = self._turns[(self._next + offset) % count]
            late_ms = elapsed_ms(now_ms, turn.due_ms)
            if late_ms < _HALF:
                if is_taken:
                    self._next = (self._next + offset) % count
                    return 0
                is_taken = True
                if turn.is_converting:
                    turn.is_converting = False
                    turn.due_ms = turn.next_ms
                    self._take(turn, now_ms, uptime, pipeline)
                else:
                    self._schedule(turn, late_ms)
                    if turn.conversion_ms:
                        self._begin(turn, now_ms, uptime, pipeline)
                    else:
                        self._take(turn, now_ms, uptime, pipeline)
            wait_ms = elapsed_ms(turn.due_ms, now_ms)
            if wait_ms >= _HALF:
                wait_ms = 0  # a conversion has lasted until the next was due
            if wait_ms < idle_ms:
                idle_ms = wait_ms
        self._next = 0
        return idle_ms

    def _schedule(self, turn: _Turn, late_ms: int) -> None:
        """Find when a sensor that is due now is due next."""
        if late_ms > self.lag_ms_max:
            self.lag_ms_max = late_ms
        missed = late_ms // turn.interval_ms
        self.late_total += missed
        # The wrap first: the sum could have 31 bits, which is no small int on a board.
        due_ms = turn.due_ms - _TICK_MASK + missed * turn.interval_ms
        turn.due_ms = (due_ms + turn.interval_ms - 1) & _TICK_MASK

    def _turn_of(self, channel: int) -> _Turn:
        for turn in self._turns:
            if 0 <= channel - turn.first_channel < len(turn.sensor.values):
                return turn
        raise FieldError("channel: %d is none of this board's" % channel)

    def set_interval(self, channel: int, interval_ms: int, now_ms: int) -> None:
        """Measure the sensor of `channel` from now on at another interval, until the next boot.

        Raises FieldError for a channel or an interval that can't be.
        """
        turn = self._turn_of(channel)
        turn.set_interval(interval_ms)
        if turn.is_converting:
            turn.next_ms = now_ms
        else:
            turn.due_ms = now_ms

    def take_now(
        self, channel: int, ticks_ms: "Callable[[], int]", uptime: "Uptime", pipeline: "Pipeline"
    ) -> int:
        """Take a measurement of the sensor of `channel`, or of all, beside those that are due.

        Returns how many readings that gives; those of a chip that has to convert follow
        when it is done. One that can't be asked so soon gives none beside those of its
        turns. Raises FieldError for a channel that can't be.
        """
        turns = self._turns if channel == _ALL_CHANNELS else [self._turn_of(channel)]
        count = 0
        for turn in turns:
            now_ms = ticks_ms()  # each has a time of its own: the one before may have been slow
            uptime.update(now_ms)
            if not turn.conversion_ms and turn.is_too_soon(now_ms):
                continue
            count += len(turn.sensor.values)
            if not turn.conversion_ms:
                self._take(turn, now_ms, uptime, pipeline)
            elif not turn.is_converting:
                self._begin(turn, now_ms, uptime, pipeline)
        return count

    def restart(self, now_ms: int) -> None:
        """Begin anew after a time in which nothing was to be measured."""
        for turn in self._turns:
            turn.due_ms = now_ms
            turn.is_converting = False

    def __len__(self) -> int:
        """Return how many sensors there are."""
        return len(self._turns)

    def _begin(self, turn: _Turn, now_ms: int, uptime: "Uptime", pipeline: "Pipeline") -> None:
        """Have a chip convert; it is due again when it is done."""
        try:
            turn.sensor.begin()
        except _FAILURES:
            self._fail(turn, now_ms, uptime, pipeline)
            return
        turn.is_converting = True
        turn.next_ms = turn.due_ms
        turn.due_ms = (now_ms - _TICK_MASK + turn.conversion_ms - 1) & _TICK_MASK

    def _take(self, turn: _Turn, now_ms: int, uptime: "Uptime", pipeline: "Pipeline") -> None:
        sensor = turn.sensor
        turn.taken_ms = now_ms
        try:
            sensor.measure(uptime.s, uptime.ms)
        except _FAILURES:
            self._fail(turn, now_ms, uptime, pipeline)
            return
        values = sensor.values
        bad = turn.bad
        for index in range(len(values)):
            quality = QUALITY_GOOD
            value = values[index]
            if bad is not None and bad[index]:
                quality = QUALITY_BAD
                value = 0
                self.sensor_errors_total += 1
            pipeline.push(turn.first_channel + index, quality, value, uptime.s, uptime.ms, now_ms)
            self.sampled_total += 1

    def _fail(self, turn: _Turn, now_ms: int, uptime: "Uptime", pipeline: "Pipeline") -> None:
        self.sensor_errors_total += 1
        for index in range(len(turn.sensor.values)):
            pipeline.push(turn.first_channel + index, QUALITY_BAD, 0, uptime.s, uptime.ms, now_ms)
            self.sampled_total += 1
