"""The process behind a virtual board: MicroPython, its input, its output write by write.

Its output is a socket that keeps the limits between writes, so that it is
known what "the rest of this write" is; its input is a pipe, which says how much
of it still waits. No terminal is in between that would change or hold anything.
"""

import fcntl
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from . import inside

HEAP_BYTES_MIN = 32 * 1024
HEAP_BYTES_MAX = 256 * 1024 * 1024
WRITE_SIZE_MAX = 65000  # bytes; what a program writes at once beyond that is lost
# The kernel doubles it. A longer one would also let the firmware run further ahead of the host
# than any board's FIFO does.
_SEND_BUFFER = 32768
OWN_HEAP_BYTES = 8960  # what inside.py takes: the user's programs have all of theirs
# The process gets a terminal of its own to depend on and nothing else: when our side of it is
# gone, however we ended, the kernel hangs it up, and a program in a busy loop ends, too.
_LEASHED = 'exec 9<>"$0"; exec 9<&-; exec "$@"'
_STARTING = "__import__('sys').path.insert(0, {folder!r});__import__('inside').boot(globals())"


class Child:
    """One process at a time; its input outlives it, as what waits on a board does a soft reset."""

    def __init__(self, micropython: str, heap_bytes: int) -> None:
        self._command = [
            micropython,
            "-X",
            f"heapsize={heap_bytes + OWN_HEAP_BYTES}",
            "-i",
            "-c",
            _STARTING.format(folder=str(Path(inside.__file__).parent)),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._output: socket.socket | None = None
        self._leash = -1
        self._stdin, self._input = -1, -1
        self._drain = -1  # its input, once more, for us: of the other one reads would block

    def open(self) -> None:
        """Make the pipe of its input."""
        self._stdin, self._input = os.pipe()
        os.set_blocking(self._input, False)
        self._drain = os.open(f"/proc/self/fd/{self._stdin}", os.O_RDONLY | os.O_NONBLOCK)

    def start(self, environment: dict[str, str]) -> None:
        """Start the process; the one before must have ended."""
        assert self._process is None
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            its.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            ours.setblocking(False)
            self._output = ours
            self._leash, end = pty.openpty()
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _LEASHED, os.ttyname(end), *self._command],
                env=environment,
                stdin=self._stdin,
                stdout=its.fileno(),
                stderr=its.fileno(),
                cwd="/",
                start_new_session=True,  # a Ctrl-C at our terminal is not for the board
            )
            os.close(end)

    @property
    def output_fd(self) -> int | None:
        """What becomes readable when there is a write, None after the end of the process."""
        return None if self._output is None else self._output.fileno()

    def next_write(self) -> bytes | None:
        """Return what the program wrote next, None if there is nothing now."""
        if self._output is None:
            return None
        try:
            # An empty write looks like the end; the end is seen by `has_ended`.
            return self._output.recv(2 * _SEND_BUFFER) or None
        except BlockingIOError:
            return None

    @property
    def has_ended(self) -> bool:
        """Whether there is no process."""
        return self._process is None or self._process.poll() is not None

    def take_status(self) -> int:
        """Return the status of the process that has ended, and be done with it."""
        assert self._process is not None
        status = self._process.wait()
        self._process = None
        os.close(self._leash)
        if self._output is not None:
            self._output.close()
            self._output = None
        return status

    def kill(self) -> None:
        """End the process at once, and forget what it wrote and what waits for it."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self.take_status()
        self.clear_input()

    def clear_input(self) -> None:
        """Throw away what waits to be read."""
        with suppress(BlockingIOError):
            while os.read(self._drain, 4096):
                pass

    @property
    def waiting(self) -> int:
        """How many bytes the program has yet to read."""
        found = fcntl.ioctl(self._input, termios.FIONREAD, bytes(4))
        return int(struct.unpack("i", found)[0])

    def put(self, data: bytes) -> None:
        """Let the program read `data`; there must be room, which the limits of boards leave."""
        count = os.write(self._input, data)
        assert count == len(data)

    @property
    def is_interruptible(self) -> bool:
        """Whether the program runs with Ctrl-C as its interrupt, as `micropython.kbd_intr` says.

        At the prompt, and after kbd_intr(-1), it is a byte like any other.
        """
        return self._has_signal("SigCgt")

    @property
    def is_interrupt_pending(self) -> bool:
        """Whether the latest interrupt has yet to reach the program."""
        return self._has_signal("SigPnd") or self._has_signal("ShdPnd")

    def _has_signal(self, mask: str) -> bool:
        """Return whether SIGINT is in one of the masks that the kernel shows of the process."""
        if self._process is None:
            return False
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:  # it has just ended
            return False
        bits = int(status.split(f"{mask}:")[1].split()[0], 16)
        return bool(bits >> (signal.SIGINT - 1) & 1)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the program."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGINT)

    def close(self) -> None:
        """End the process and close all."""
        self.kill()
        for fd in (self._stdin, self._input, self._drain):
            os.close(fd)


def heap_bytes(text: str) -> int:
    """Return the number of bytes in a size such as "192k". Raises ValueError."""
    factor = {"k": 1024, "m": 1024 * 1024}.get(text[-1:].lower(), 1)
    digits = text[:-1] if factor > 1 else text
    if not digits.isdecimal() or not HEAP_BYTES_MIN <= int(digits) * factor <= HEAP_BYTES_MAX:
        raise ValueError(f"heap: {text!r} is no size from 32k to 256M")
    return int(digits) * factor


def wait_ready(fds: Mapping[int, int], timeout_s: float) -> None:
    """Wait until one of the descriptors is ready for its events, or the time is over."""
    poll = select.poll()
    for fd, events in fds.items():
        poll.register(fd, events)
    poll.poll(max(0.0, timeout_s) * 1000)
