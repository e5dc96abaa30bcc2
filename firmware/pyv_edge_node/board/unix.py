"""A process that plays a board: for tests, and for machines that have no board."""

import gc
import os
import sys
import time

from pyv_edge_core._compat import TYPE_CHECKING, const

if TYPE_CHECKING:
    from typing import Any

_TICK_MASK = const(0x3FFFFFFF)
HEAP_UNKNOWN = const(0xFFFFFFFF)


def _open_outside(path: str) -> "Any":
    """Return a file of this computer, open for writing; a virtual board's own flash hides them."""
    try:
        return open(path, "wb", 0)
    except OSError:
        from vfs import VfsPosix  # type: ignore[import-not-found] # MicroPython's

        return VfsPosix("/").open(path, "wb")


class UnixBoard:
    """A board whose link is stdin and stdout."""

    wiring = None  # it has no pins

    def __init__(self) -> None:
        # A virtual board says what it plays, and listens for the watchdog's food.
        self.name = os.getenv("PYV_BOARD_KIND") or "unix"
        self._watchdog: Any = None
        self._ticks: Any = getattr(time, "ticks_ms", None)  # MicroPython's; CPython has none

    def unique_id(self) -> str:
        """Return 16 hexadecimal digits that stay the same over boots.

        Raises OSError where the machine has no id; set `device_id` there.
        """
        played = os.getenv("PYV_BOARD_ID")
        if played:
            return played
        with open("/etc/machine-id") as file:
            return file.read()[:16]

    def boot_id(self) -> int:
        """Return 32 random bits."""
        return int.from_bytes(os.urandom(4), "little")

    def reset_cause(self) -> int:
        """Return an index into `message_to_host.RESET_CAUSES`."""
        return int(os.getenv("PYV_BOARD_RESET_CAUSE") or 1)

    def ticks_ms(self) -> int:
        """Return milliseconds, modulo 2**30 as on every board."""
        if self._ticks is not None:
            return self._ticks() & _TICK_MASK  # type: ignore[no-any-return]
        return time.monotonic_ns() // 1_000_000 & _TICK_MASK

    def heap_free(self) -> int:
        """Return free bytes of the heap, HEAP_UNKNOWN where there is no such figure."""
        mem_free: Any = getattr(gc, "mem_free", None)
        return HEAP_UNKNOWN if mem_free is None else mem_free()

    def heap_settled(self) -> None:
        """Let garbage lie until the heap is full: main.py had it collected early."""
        threshold: Any = getattr(gc, "threshold", None)  # CPython has none
        if threshold is not None:
            threshold(-1)

    def sleep_ms(self, duration_ms: int) -> None:
        """Do nothing for a while."""
        time.sleep(duration_ms / 1000)

    def say(self, text: str) -> None:
        """Print a line where the host sees it as console text."""
        print("pyv_edge_node: %s" % text)

    def show(self, error: BaseException) -> None:
        """Print an exception with its traceback where the host sees it as console text."""
        print_exception: Any = getattr(sys, "print_exception", None)  # MicroPython's
        if print_exception is None:
            import traceback

            print("".join(traceback.format_exception(type(error), error, error.__traceback__)))
        else:
            print_exception(error)

    def reset(self) -> None:
        """Boot anew; a process can only end."""
        raise SystemExit(3)

    def start_watchdog(self, timeout_ms: int) -> None:
        """Have a virtual board reset this one unless it is fed; without one nobody does."""
        self._open_watchdog()
        self._tell_watchdog(("T%d\n" % timeout_ms).encode())

    def _open_watchdog(self) -> None:
        path = os.getenv("PYV_BOARD_WATCHDOG")
        if path and self._watchdog is None:
            self._watchdog = _open_outside(path)

    def _tell_watchdog(self, what: bytes) -> None:
        if self._watchdog is not None and self._watchdog.write(what) != len(what):
            raise OSError("the watchdog's pipe is full")

    def feed(self) -> None:
        """Keep the watchdog quiet."""
        self._tell_watchdog(b".")

    def stop_watchdog(self) -> None:
        """Leave the board to a person at its prompt, whom a reset would throw out."""
        self._tell_watchdog(b"S")

    def boot_when_idle(self, idle_ms: int) -> None:
        """Have a virtual board boot anew once no host has sent anything for so long."""
        self._open_watchdog()
        self._tell_watchdog(("I%d\n" % idle_ms).encode())

    def ignore_ctrl_c(self) -> None:
        """Let Ctrl-C be a byte like any other, for a moment; CPython is not asked."""
        if self._ticks is not None:
            import micropython  # type: ignore[import-not-found]

            micropython.kbd_intr(-1)

    def hear_ctrl_c(self) -> None:
        """Let Ctrl-C interrupt the program."""
        if self._ticks is not None:
            import micropython

            micropython.kbd_intr(3)

    def led(self, name: str) -> None:
        """Return None: it has no light."""

    def link_uart(self, uart: int, tx: int, rx: int, baud: int) -> "tuple[Any, Any]":
        """Raise ValueError: it has no UART."""
        raise ValueError("this board (%s) has no UART" % self.name)

    def link_streams(self) -> "tuple[Any, Any]":
        """Return (reader, writer): unbuffered byte streams that can be polled."""
        reader, writer = sys.stdin.buffer, sys.stdout.buffer
        # CPython buffers; what poll() says would not hold for read(1).
        return getattr(reader, "raw", reader), getattr(writer, "raw", writer)
