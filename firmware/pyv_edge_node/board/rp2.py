"""What is particular to the RP2040 and RP2350: Raspberry Pi Pico, Pico W, Pico 2, Pico 2 W."""

from pyv_edge_core._compat import TYPE_CHECKING, const

if TYPE_CHECKING:
    from typing import Any

# CTRL of the watchdog, and its bit ENABLE (RP2040 datasheet 4.7.6, RP2350 datasheet 12.9.7); an
# address 0x3000 higher clears the bits that are written to it (2.1.2 and 2.1.3).
_WATCHDOG_RP2040 = const(0x40058000)
_WATCHDOG_RP2350 = const(0x400D8000)
_CLEAR = const(0x3000)
_ENABLE = const(0x40000000)
_POWER = const(1)  # message_to_host.RESET_CAUSES
_WATCHDOG = const(3)


class Rp2:
    """The chip of a Pico."""

    timer = -1  # which it has as many of as are asked for
    led = "LED"  # on the W it hangs on the radio chip; this name is right on all of them

    def __init__(self, machine: "Any", model: str) -> None:
        """Use MicroPython's `machine`; `model` is what os.uname() calls the machine."""
        self.name = "rp2"
        self._machine = machine
        self._model = model

    def reset_cause(self) -> int:
        """Return an index into `message_to_host.RESET_CAUSES`.

        The chip knows two: machine.reset() is its watchdog, too, and RUN is like power.
        """
        return _WATCHDOG if self._machine.reset_cause() == self._machine.WDT_RESET else _POWER

    def stop_watchdog(self) -> None:
        """Disable the watchdog, which `machine` can't."""
        base = _WATCHDOG_RP2350 if "RP2350" in self._model else _WATCHDOG_RP2040
        self._machine.mem32[base + _CLEAR] = _ENABLE
