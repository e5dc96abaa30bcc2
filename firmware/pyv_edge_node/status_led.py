"""Says with one light how a board does, to whoever stands before it.

    off                  no power, or no program
    one short flash      a second: a host has welcomed the board
    on, with short gaps  no host
    two short flashes    safe mode, or told to sample nothing
    ten times a second   somebody has asked which board this is

Allocates nothing.
"""

from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.session import elapsed_ms

if TYPE_CHECKING:
    from typing import Any

HOSTLESS = const(0)
UP = const(1)
SAFE = const(2)
_SLICE_MS = const(100)
_IDENTIFY_MS = const(10000)
# By state: in which of the ten slices of a second the light is on, the first one leftmost.
_PATTERNS = (0b1111111110, 0b1000000000, 0b1010000000)
_BLINKING = const(0b1010101010)


class StatusLed:
    """A light on a pin."""

    def __init__(self, pin: "Any") -> None:
        """Use `pin`, which has value(x)."""
        self._pin = pin
        self._is_on = -1
        self._asked_ms = -1  # when somebody asked which board this is; -1: nobody does

    def identify(self, now_ms: int) -> None:
        """Blink for ten seconds."""
        self._asked_ms = now_ms

    def show(self, state: int, now_ms: int) -> None:
        """Be on or off, as it is due; call it every pass of the loop."""
        pattern = _PATTERNS[state]
        if self._asked_ms >= 0:
            pattern = _BLINKING
            if elapsed_ms(now_ms, self._asked_ms) >= _IDENTIFY_MS:
                self._asked_ms = -1
        is_on = pattern >> (9 - now_ms // _SLICE_MS % 10) & 1
        if is_on != self._is_on:
            self._is_on = is_on
            self._pin.value(is_on)
