"""What is particular to the ESP32, ESP32-S3 and ESP32-C3, by UART bridge or native USB."""

from pyv_edge_core._compat import TYPE_CHECKING, const

if TYPE_CHECKING:
    from typing import Any

_STOPPED_MS = const(86_400_000)
_POWER = const(1)  # message_to_host.RESET_CAUSES
_WATCHDOG = const(3)
_SOFT = const(4)
_DEEP_SLEEP = const(5)


class Esp32:
    """The chip of an ESP32 board."""

    timer = 0  # each of them has that one
    led = ""  # on another pin of each board: the settings say so

    def __init__(self, machine: "Any", model: str) -> None:
        """Use MicroPython's `machine`; of `model` nothing hangs here."""
        self.name = "esp32"
        self._machine = machine

    def reset_cause(self) -> int:
        """Return an index into `message_to_host.RESET_CAUSES`.

        HARD_RESET is unknown here: it is what machine.reset() and a panic look like, while
        the button EN is the same as power.
        """
        machine = self._machine
        known = (
            (machine.PWRON_RESET, _POWER),
            (machine.WDT_RESET, _WATCHDOG),
            (machine.SOFT_RESET, _SOFT),
            (machine.DEEPSLEEP_RESET, _DEEP_SLEEP),
        )
        cause = machine.reset_cause()
        for theirs, ours in known:
            if cause == theirs:
                return ours
        return 0

    def stop_watchdog(self) -> None:
        """Give the watchdog a day, since nothing stops it; a reset of any kind ends that."""
        self._machine.WDT(timeout=_STOPPED_MS)
