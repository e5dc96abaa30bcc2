"""Takes every sensor's measurement when it is due and hands it to the pipeline.

Keeps to a fixed rate: a measurement is due at start + n * interval, however
late the one before was. What is missed altogether is counted (`late_total`)
and not made up. A sensor that fails yields a reading of quality bad, is counted
and is asked again at its next turn; the others go on. Allocates nothing itself.
"""

from pyv_edge_core import reading
from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.errors import FieldError
from pyv_edge_core.reading import LIMITS, QUALITY_BAD, QUALITY_GOOD
from pyv_edge_core.session import elapsed_ms

from .sensors import open_sensor

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
        self.interval_ms = interval_ms
        self.first_channel = first_channel
        self.due_ms = due_ms


class Sampler:
    """All sensors of a board."""

    def __init__(
        self,
        sections: "list[Section]",
        now_ms: int,
        open_sensor: "Callable[[str, Section], Any]" = open_sensor,
    ) -> None:
        """Open the sensors of the settings with `open_sensor`. Raises SettingsError."""
        self.channels: list[reading.Channel] = []
        self.sampled_total = 0  # readings taken, bad ones included
        self.sensor_errors_total = 0  # measurements that failed
        self.late_total = 0  # measurements missed because the loop was late
        self.lag_ms_max = 0  # longest delay of a measurement; its reader sets it back
        self._turns: list[_Turn] = []
        self._next = 0  # where `run` begins to look, so that none starves
        low, high = LIMITS["interval_ms"]
        names: set[str] = set()
        for section in sections:
            kind = section.text("type")
            interval_ms = section.integer("interval_ms", low, high)
            sensor = open_sensor(kind, section)
            section.end()
            self._turns.append(_Turn(sensor, interval_ms, len(self.channels), now_ms))
            for channel in sensor.channels:
                if channel.name in names:
                    raise section.fail("channel", "%r is there twice" % channel.name)
                names.add(channel.name)
                self.channels.append(channel)
        if len(self.channels) > LIMITS["channel"][1]:
            raise sections[-1].fail("channel", "a board has at most %d" % LIMITS["channel"][1])

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
                if late_ms > self.lag_ms_max:
                    self.lag_ms_max = late_ms
                missed = late_ms // turn.interval_ms
                self.late_total += missed
                # The wrap first: the sum could have 31 bits, which is no small int on a board.
                due_ms = turn.due_ms - _TICK_MASK + missed * turn.interval_ms
                turn.due_ms = (due_ms + turn.interval_ms - 1) & _TICK_MASK
                self._take(turn, now_ms, uptime, pipeline)
            wait_ms = elapsed_ms(turn.due_ms, now_ms)
            if wait_ms < idle_ms:
                idle_ms = wait_ms
        self._next = 0
        return idle_ms

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
        turn.interval_ms = reading.check("interval_ms", interval_ms)
        turn.due_ms = now_ms

    def take_now(
        self, channel: int, ticks_ms: "Callable[[], int]", uptime: "Uptime", pipeline: "Pipeline"
    ) -> int:
        """Take a measurement of the sensor of `channel`, or of all, beside those that are due.

        Returns how many readings that gave. Raises FieldError for a channel that can't be.
        """
        turns = self._turns if channel == _ALL_CHANNELS else [self._turn_of(channel)]
        before = self.sampled_total
        for turn in turns:
            now_ms = ticks_ms()  # each has a time of its own: the one before may have been slow
            uptime.update(now_ms)
            self._take(turn, now_ms, uptime, pipeline)
        return self.sampled_total - before

    def restart(self, now_ms: int) -> None:
        """Begin anew after a time in which nothing was to be measured."""
        for turn in self._turns:
            turn.due_ms = now_ms

    def __len__(self) -> int:
        """Return how many sensors there are."""
        return len(self._turns)

    def _take(self, turn: _Turn, now_ms: int, uptime: "Uptime", pipeline: "Pipeline") -> None:
        sensor = turn.sensor
        quality = QUALITY_GOOD
        try:
            sensor.measure(uptime.s, uptime.ms)
        except _FAILURES:
            quality = QUALITY_BAD
            self.sensor_errors_total += 1
        values = sensor.values
        for index in range(len(values)):
            value = values[index] if quality == QUALITY_GOOD else 0
            pipeline.push(turn.first_channel + index, quality, value, uptime.s, uptime.ms, now_ms)
            self.sampled_total += 1
