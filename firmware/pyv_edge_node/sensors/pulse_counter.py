"""Counts pulses at a pin: water, gas and power meters, rain gauges, anemometers.

total         count: pulses since boot, from 0 again at 2**30
rate          1/min, hundredths: pulses since the measurement before, by its age

The interrupt alone writes the count and never takes heap; a measurement only
reads it, so that no pulse falls between reading and resetting.
"""

from array import array

from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.reading import Channel

from . import wiring_of

if TYPE_CHECKING:
    from typing import Any

    from ..settings import Section

_MASK = const(0x3FFFFFFF)


class Sensor:
    """One pin."""

    def __init__(self, section: "Section", board: "Any") -> None:
        wiring = wiring_of(board, section)
        pin = wiring.input(section, "up")
        edge = section.text("edge", "falling")
        if edge not in ("falling", "rising"):
            raise section.fail("edge", '%r is not "falling" or "rising"' % edge)
        self._debounce_ms = section.integer("debounce_ms", 0, 1000, 0)
        self._ticks_ms = wiring.ticks_ms
        self._pulse_ms = self._ticks_ms()  # of the latest that counted
        self._counts = array("i", [0])
        self._count = 0  # at the measurement before
        self._measured_ms = self._pulse_ms
        self.channels = [Channel("total", "count", 0), Channel("rate", "1/min", -2)]
        self.values = array("i", [0, 0])
        wiring.watch(pin, pin.IRQ_FALLING if edge == "falling" else pin.IRQ_RISING, self._pulse)

    def _pulse(self, pin: "Any") -> None:
        """Count a pulse. An interrupt: no heap, so no integer of 31 bits either."""
        if self._debounce_ms:
            now_ms = self._ticks_ms()
            if (now_ms - self._pulse_ms) & _MASK < self._debounce_ms:
                return
            self._pulse_ms = now_ms
        counts = self._counts
        count = counts[0]
        counts[0] = count + 1 if count < _MASK else 0

    def measure(self, uptime_s: int, uptime_ms: int) -> None:
        """Take the count, and the rate since the measurement before. Never fails."""
        now_ms = self._ticks_ms()
        count = self._counts[0]
        pulses = (count - self._count) & _MASK
        elapsed_ms = max(1, (now_ms - self._measured_ms) & _MASK)
        self._count = count
        self._measured_ms = now_ms
        self.values[0] = count
        # pulses * 6,000,000 / elapsed_ms, step by step, so that none has 31 bits in an hour.
        rate = 0
        rest = pulses
        for factor in (60, 50, 40, 50):
            rate = rate * factor + rest * factor // elapsed_ms
            rest = rest * factor % elapsed_ms
        self.values[1] = rate
