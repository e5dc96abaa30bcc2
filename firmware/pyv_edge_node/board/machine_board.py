"""A microcontroller, by way of MicroPython's `machine`; what its chip has of its own is `chip`.

`chip` has name, led, timer, reset_cause() and stop_watchdog(): see `rp2`, `esp32`.
"""

import gc
import os
import sys
import time
from binascii import hexlify

from pyv_edge_core._compat import TYPE_CHECKING, const

if TYPE_CHECKING:
    from typing import Any

    from ..settings import Section

_TICK_MASK = const(0x3FFFFFFF)
# A sentence of what a UART takes while the loop is busy: a large sample, a write to the flash.
_UART_BUFFER_SIZE = const(1024)


class MachineBoard:
    """A board whose link is its USB, or a UART if the settings say so."""

    def __init__(self, machine: "Any", chip: "Any", time: "Any" = time, heap: "Any" = gc) -> None:
        """Use MicroPython's modules `machine`, `time` and `gc`, and what the chip has itself."""
        self.name = chip.name
        self._time = time
        self._heap = heap
        self._machine = machine
        self._chip = chip
        self._watchdog: Any = None
        self._wiring: Any = None

    @property
    def wiring(self) -> "Any":
        """Pins and buses; loaded with the first sensor that has any."""
        if self._wiring is None:
            from .wiring import Wiring

            self._wiring = Wiring(self._machine, self._time)
        return self._wiring

    def claim(self, section: "Section", key: str, pin: int) -> None:
        """Note that a pin is no sensor's. Raises SettingsError if it is one's."""
        if self._wiring is not None:
            self._wiring.claim(section, key, pin)

    def release_pins(self) -> None:
        """Let other sensors have the pins that some have taken."""
        if self._wiring is not None:
            self._wiring.release()

    def unique_id(self) -> str:
        """Return the chip's own number in hexadecimal digits: 12 on ESP32, 16 on RP2."""
        return hexlify(self._machine.unique_id()).decode()

    def boot_id(self) -> int:
        """Return 32 random bits."""
        return int.from_bytes(os.urandom(4), "little")

    def reset_cause(self) -> int:
        """Return an index into `message_to_host.RESET_CAUSES`."""
        return self._chip.reset_cause()  # type: ignore[no-any-return]

    def ticks_ms(self) -> int:
        """Return milliseconds, modulo 2**30."""
        return self._time.ticks_ms() & _TICK_MASK  # type: ignore[no-any-return]

    def heap_free(self) -> int:
        """Return free bytes of the heap."""
        return self._heap.mem_free()  # type: ignore[no-any-return]

    def heap_settled(self) -> None:
        """Let garbage lie until the heap is full: main.py had it collected early."""
        self._heap.threshold(-1)

    def sleep_ms(self, duration_ms: int) -> None:
        """Do nothing for a while."""
        self._time.sleep_ms(duration_ms)

    def say(self, text: str) -> None:
        """Print a line where the host sees it as console text."""
        print("pyv_edge_node: %s" % text)

    def show(self, error: BaseException) -> None:
        """Print an exception with its traceback where the host sees it as console text."""
        sys.print_exception(error)  # type: ignore[attr-defined]

    def reset(self) -> None:
        """Boot anew."""
        self._machine.reset()

    def start_watchdog(self, timeout_ms: int) -> None:
        """Reset the board unless `feed` is called at least that often; 8388 ms at most."""
        self._watchdog = self._machine.WDT(timeout=timeout_ms)

    def feed(self) -> None:
        """Keep the watchdog quiet."""
        if self._watchdog is not None:
            self._watchdog.feed()

    def stop_watchdog(self) -> None:
        """Leave the board to a person at its prompt, whom a reset would throw out."""
        if self._watchdog is not None:
            self._watchdog.feed()
            self._watchdog = None
            self._chip.stop_watchdog()

    def boot_when_idle(self, idle_ms: int) -> None:
        """Boot anew once nobody has used the prompt for so long; a soft reset ends that."""
        from .prompt import Watch

        Watch(self._machine, self._chip.timer, self._heap.mem_alloc, idle_ms)

    def ignore_ctrl_c(self) -> None:
        """Let Ctrl-C be a byte like any other, for a moment."""
        import micropython  # type: ignore[import-not-found]

        micropython.kbd_intr(-1)

    def hear_ctrl_c(self) -> None:
        """Let Ctrl-C interrupt the program."""
        import micropython

        micropython.kbd_intr(3)

    def led(self, name: str) -> "Any":
        """Return the pin of a light, the board's own for "board"; None if there is none.

        Raises ValueError for a pin that doesn't exist.
        """
        if name == "board":
            name = self._chip.led
        if not name:
            return None
        pin = self._machine.Pin
        is_number = name.isdigit() and len(name) <= 2  # as where pins are claimed
        return pin(int(name) if is_number else name, pin.OUT)

    def link_streams(self) -> "tuple[Any, Any]":
        """Return (reader, writer) of the USB, or of what the interpreter's prompt is on."""
        return sys.stdin.buffer, sys.stdout.buffer

    def link_uart(self, uart: int, tx: int, rx: int, baud: int) -> "tuple[Any, Any]":
        """Return (reader, writer) of a UART. Raises ValueError for pins that it can't have."""
        port = self._machine.UART(
            uart, baud, tx=tx, rx=rx, rxbuf=_UART_BUFFER_SIZE, txbuf=_UART_BUFFER_SIZE
        )
        return port, port
