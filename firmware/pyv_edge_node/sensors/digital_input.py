"""A pin that is active or not: a motion detector (PIR), a door contact, a button, a float switch.

active        1 if it is active, or has become so since the measurement before; else 0
activations   count: how often it became active since boot, from 0 again at 2**30

Edges are noticed by interrupt, so that nothing is missed between measurements.
Of the edges within `debounce_ms` of one that counted, none counts.
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
        self._active_level = section.integer("active_level", 0, 1, 0)
        self._debounce_ms = section.integer("debounce_ms", 1, 10_000, 50)
        self._pin = pin
        self._ticks_ms = wiring.ticks_ms
        # Written by the interrupt alone.
        self._edge_ms = (self._ticks_ms() - self._debounce_ms) & _MASK  # latest that counted
        self._is_active = self._is_settled = self._is_at_level()
        self._counts = array("i", [0])
        self._count = 0  # at the measurement before
        self.channels = [Channel("active", "", 0), Channel("activations", "count", 0)]
        self.values = array("i", [0, 0])
        wiring.watch(pin, pin.IRQ_RISING | pin.IRQ_FALLING, self._edge)

    def _is_at_level(self) -> bool:
        return self._pin.value() == self._active_level  # type: ignore[no-any-return]

    def _edge(self, pin: "Any") -> None:
        """Take an edge. An interrupt: no heap.

        What the pin was before it is what it was behind the last edge: a pulse may be
        over before its level can be read here.
        """
        now_ms = self._ticks_ms()
        if (now_ms - self._edge_ms) & _MASK >= self._debounce_ms:
            if self._is_settled and not self._is_active:
                self._activate()  # it had become so among bounces, and stayed
            self._is_active = not self._is_settled
            if self._is_active:
                self._activate()
            self._edge_ms = now_ms
        self._is_settled = self._is_at_level()

    def _activate(self) -> None:
        counts = self._counts
        count = counts[0]
        counts[0] = count + 1 if count < _MASK else 0

    def measure(self, uptime_s: int, uptime_ms: int) -> None:
        """Say whether it is active, or was for a moment. Never fails."""
        count = self._counts[0]
        self.values[0] = int(count != self._count or self._is_at_level())
        self.values[1] = count
        self._count = count
