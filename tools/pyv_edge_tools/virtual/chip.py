"""The chip around the program of a virtual board: power, resets, the watchdog, the bytes.

    port --> Input --> process (see inside.py)
         <-- Output <--

Does what is due whenever it is told to, and says how long it has nothing to do.
Knows no threads; the one of board.py calls it.
"""

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pyv_edge_core.message_to_host import RESET_CAUSES

from . import inside
from .child import Child, wait_ready
from .image import FlashImage
from .input import Input
from .manners import ROM_CAUSES, Manner
from .output import Output
from .port import Port
from .watchdog import Watchdog

POWER, PIN, WATCHDOG, SOFT = (
    RESET_CAUSES.index(name) for name in ("power", "pin", "watchdog", "soft")
)
BOOT_S_MIN = 0.02  # between two starts of the process, so that a boot loop leaves some processor
REAPPEAR_S = 0.2  # from a hard reset until a USB device is back; real ones take about a second
_TICK_S = 0.002  # how late bytes on a line may be
_IDLE_S = 0.5
_CLOSED_S = 0.01  # how often it is seen whether a program has opened the port
_RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n"
_FRIENDLY_PROMPT = b">>> "
_SOFT_REBOOT = b"MPY: soft reboot\r\n"


class Chip:
    """All of a board but hands. Not safe for several threads, except to look at its numbers."""

    def __init__(
        self,
        manner: Manner,
        flash: FlashImage,
        child: Child,
        port: Port,
        *,
        baud: int | None,
        watchdog_path: Path,
        unique_id: str,
    ) -> None:
        self.hard_resets_total = 0
        self.soft_resets_total = 0
        self.watchdog_resets_total = 0
        self.is_powered = False
        self.is_up = False  # whether the process has come so far that boot.py runs
        baud = manner.baud if baud is None else baud
        self.input = Input(manner, baud, port, child)
        self.output = Output(manner, baud)
        self._manner = manner
        self._flash = flash
        self._child = child
        self._port = port
        self._is_cabled = False
        self._watchdog = Watchdog()
        self._watchdog_path = watchdog_path
        self._watchdog_fd = -1
        self._id = unique_id
        self._cause = POWER
        self._is_raw = False  # whether the prompt is the one for programs
        self._is_prompted = False  # whether the process has come to the prompt
        self._is_muted = False  # while a soft reset leads back into the raw prompt
        self._skips_main = False
        self._opened_at_s: float | None = None  # when the port was seen to be open
        self._start_at_s: float | None = None  # when a process is to be started
        self._started_at_s = 0.0
        self._at_limit: Callable[[], None] = self.power_off

    def open(self) -> None:
        """Make what the process is connected to. Raises OSError."""
        self._watchdog_path.unlink(missing_ok=True)
        os.mkfifo(self._watchdog_path, 0o600)
        # For both, so that there is no end of file between one process and the next.
        self._watchdog_fd = os.open(self._watchdog_path, os.O_RDWR | os.O_NONBLOCK)
        self._child.open()

    def close(self) -> None:
        """End the process and take away what `open` made."""
        self.power_off()
        self._child.close()
        os.close(self._watchdog_fd)
        self._watchdog_path.unlink(missing_ok=True)

    def step(self, wake_fd: int) -> None:
        """Do all there is to do now, then wait for more, or for something on `wake_fd`."""
        now_s = time.monotonic()
        self._start_if_due(now_s)
        self._look_at_watchdog(now_s)
        is_open = self._is_open(now_s)
        is_booting = self._child.output_fd is not None and not self.is_up
        latest, is_held = self.input.move(now_s, is_booting)
        if latest:
            self.output.newlines.take_answer(latest)
            self._watchdog.hear(now_s)
        if self.input.is_at_limit:
            self.input.limit = None
            self._at_limit()
        self._move_output(is_open, now_s)
        if self._child_has_ended():
            self._after_end()
        self._wait(wake_fd, is_open, is_held)

    def _wait(self, wake_fd: int, is_open: bool, is_input_held: bool) -> None:
        now_s = time.monotonic()
        fds = {wake_fd: select.POLLIN, self._watchdog_fd: select.POLLIN}
        timeout_s = _IDLE_S
        output_fd = self._child.output_fd
        if output_fd is not None and self.output.is_idle:
            fds[output_fd] = select.POLLIN
        if self._port.fd is not None and is_open and not is_input_held:
            fds[self._port.fd] = select.POLLIN
        if not self.output.is_empty or is_input_held:
            timeout_s = _TICK_S
        elif self.is_powered and not is_open:
            timeout_s = _CLOSED_S
        if self._start_at_s is not None:
            timeout_s = min(timeout_s, self._start_at_s - now_s)
        for left_s in (self._watchdog.left_s(now_s), self._watchdog.idle_left_s(now_s)):
            if left_s is not None:
                timeout_s = min(timeout_s, left_s)
        wait_ready(fds, timeout_s)

    def _look_at_watchdog(self, now_s: float) -> None:
        with suppress(BlockingIOError):
            self._watchdog.take(os.read(self._watchdog_fd, 4096), now_s)
        left_s = self._watchdog.left_s(now_s)
        if left_s is not None and left_s <= 0:
            self.watchdog_resets_total += 1
            self.reset(WATCHDOG)
            return
        left_s = self._watchdog.idle_left_s(now_s)
        if left_s is not None and left_s <= 0:
            self.reset(SOFT)  # as machine.reset()

    def _is_open(self, now_s: float) -> bool:
        """Whether a host has the port open, for so long that the board sends."""
        if not self._port.is_open:
            if self._opened_at_s is not None:
                self._port.forget_unread()
            self._opened_at_s = None
            return False
        if self._opened_at_s is None:
            self._opened_at_s = now_s
        return now_s - self._opened_at_s >= self._manner.open_delay_s

    # Power and resets.

    def plug(self) -> None:
        """Give power and a cable; does nothing if it has them. Raises OSError."""
        self._is_cabled = True
        if self.is_powered:
            self._show_port()
        else:
            self._flash.lock()
            self.is_powered = True
            self._boot(POWER, 0.0)

    def _show_port(self) -> None:
        """Let the host see the port, if there is a cable and the board has come so far."""
        if self._is_cabled and (self.is_up or self._manner.is_port_lasting):
            self._port.plug()

    def pull_cable(self) -> None:
        """Take away the port, and nothing else."""
        self._is_cabled = False
        self._port.unplug()

    def unplug_after(self, input_bytes: int, *, keeps_power: bool) -> None:
        """Take away the port, or power too, as soon as so many more bytes have come."""
        self.input.limit = self.input.total + input_bytes
        self._at_limit = self.pull_cable if keeps_power else self.power_off

    def power_off(self) -> None:
        """Take away power and cable."""
        self.is_powered = False
        self.is_up = False
        self._start_at_s = None
        self._forget()
        self._flash.unlock()
        self.pull_cable()

    def _forget(self) -> None:
        """Lose all that a chip loses in a hard reset."""
        self._child.kill()
        self.output.clear()
        self._watchdog.stop()
        with suppress(BlockingIOError):
            while os.read(self._watchdog_fd, 4096):
                pass
        self._is_raw = False
        self.input.forget()

    def reset(self, cause: int) -> None:
        """Reset hard; does nothing without power."""
        if not self.is_powered:
            return
        self.hard_resets_total += 1
        self._forget()
        if not self._manner.is_port_lasting:
            self._port.unplug()
        self._boot(cause, 0.0 if self._manner.is_port_lasting else REAPPEAR_S)

    def _boot(self, cause: int, delay_s: float) -> None:
        now_s = time.monotonic()
        self._cause = cause
        self._start_at_s = max(now_s + delay_s, self._started_at_s + BOOT_S_MIN)
        self.is_up = False
        self._show_port()
        if self._manner.rom_text and cause in ROM_CAUSES:
            text = self._manner.rom_text.format(cause=ROM_CAUSES[cause])
            self.output.take(text.encode(), now_s)

    def _soft_reset(self) -> None:
        self.soft_resets_total += 1
        self._watchdog.end_timers()
        self._cause = SOFT
        self._start_at_s = max(time.monotonic(), self._started_at_s + BOOT_S_MIN)
        if self.output.is_idle:
            self.output.take(_SOFT_REBOOT, time.monotonic())

    def _start_if_due(self, now_s: float) -> None:
        if self._start_at_s is None or now_s < self._start_at_s:
            return
        self._start_at_s = None
        self._started_at_s = now_s
        self.is_up = False
        self._is_prompted = False
        self._is_muted = False
        runs_main = not self._is_raw and not self._skips_main
        self._skips_main = False
        environment = {
            **os.environ,
            **self._flash.environment,
            "PYV_BOARD_MAIN": str(int(runs_main)),
            "PYV_BOARD_RESET_CAUSE": str(self._cause),
            "PYV_BOARD_WATCHDOG": str(self._watchdog_path.resolve()),
            "PYV_BOARD_ID": self._id,
            "PYV_BOARD_KIND": self._manner.board,
        }
        for name in ("HOME", "MICROPYPATH", "MICROPYINSPECT"):  # where this computer would show
            environment.pop(name, None)
        self._child.start(environment)

    def _child_has_ended(self) -> bool:
        """Whether the process has ended and its last words have been taken."""
        return (
            self._child.output_fd is not None
            and self._child.has_ended
            and self.output.is_idle
            and not self._take_write(time.monotonic())
        )

    def _after_end(self) -> None:
        """Do what the board does now that its program is over."""
        status = self._child.take_status()
        ended_by = self._flash.take_ending()
        if ended_by == inside.ENDED_BY_POWER_CUT:
            self._flash.keep_power()
            self.power_off()
        elif ended_by == inside.ENDED_BY_RESET or status == 3:
            self.reset(SOFT)
        elif status == -signal.SIGINT:  # Ctrl-C came when the program had just ended
            self._skips_main = True
            self._soft_reset()
        elif ended_by == inside.ENDED_BY_SOFT_RESET or status >= 0:
            self._soft_reset()
        else:  # it crashed as a whole, as a chip that panics: that ends by the watchdog
            self.reset(WATCHDOG)

    # Bytes.

    def _take_write(self, now_s: float) -> bool:
        """Take the program's next write, if there is one, and return whether there was."""
        write = self._child.next_write()
        if write is None:
            return False
        if write == inside.MARK_UP.encode():
            if self._is_cabled:
                self._port.plug()
            self.is_up = True
            return True
        is_mark = write == inside.MARK_PROMPT.encode()
        # A Ctrl-C in a bad moment can skip the mark; the prompt itself says the same, later.
        if not self._is_prompted and (is_mark or write == _FRIENDLY_PROMPT):
            self._is_prompted = True
            self.input.is_interrupt_due = False  # there is nothing left to interrupt
            if self._is_raw:
                self._is_muted = True  # until it is the raw prompt's turn
                self._child.put(b"\x01")
        elif write == _RAW_PROMPT:
            self._is_raw = True
            self._is_muted = False
        elif write == _FRIENDLY_PROMPT and not self._is_muted:
            self._is_raw = False
        if is_mark:
            return True
        if not self._is_muted:
            self.output.take(self.output.newlines.translated(write), now_s)
        return True

    def _move_output(self, is_open: bool, now_s: float) -> None:
        """Move bytes from the program to the host until it doesn't go on."""
        while True:
            self.output.settle(is_open, now_s)
            data = self.output.sendable(now_s)
            count = 0
            if data and (is_open or self._manner.is_port_lasting):
                count = self._port.write(data) if is_open else 0
                self.output.sent(count)
                if self._manner.is_port_lasting and count < len(data):
                    self.output.lost(len(data) - count)  # nothing on a line waits
                    count = len(data)
            has_taken = self.output.is_idle and self._take_write(now_s)
            if not count and not has_taken:
                return
