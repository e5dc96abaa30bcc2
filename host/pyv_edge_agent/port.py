"""A serial port as the agent wants it: opened for itself alone, read without blocking for long.

Wraps pyserial, which is imported when the first port is opened. Every failure
is a PortError of one line that names the port, what is wrong and what to do.
"""

import errno
import select
import threading
from typing import Any, Protocol

from .errors import PortError

_REMEDY = {
    errno.ENOENT: "does not exist; plug the board in, or name another port (ls /dev/serial/by-id)",
    errno.EACCES: "may not be opened by this user; add it to the group dialout and log in anew",
    errno.EPERM: "may not be opened by this user; add it to the group dialout and log in anew",
    errno.EBUSY: "is in use by another program; stop that one",
    errno.EWOULDBLOCK: "is in use by another program; stop that one",
    errno.ENOTTY: "is not a serial port",
    errno.EISDIR: "is a directory, not a serial port",
}


class Port(Protocol):
    """A byte pipe to one board. Only `wake` may be called from another thread."""

    name: str

    def open(self) -> None:
        """Open it. Raises PortError."""
        ...

    def read(self) -> bytes:
        """Wait a moment for bytes; return what came, b"" if nothing did. Raises PortError."""
        ...

    def write(self, data: bytes) -> int:
        """Write what goes without waiting; return how many bytes that was. Raises PortError."""
        ...

    def wake(self) -> None:
        """Make a waiting `read` return."""
        ...

    def close(self) -> None:
        """Close it, open or not."""
        ...


class SerialPort:
    """A port of this computer, by path."""

    def __init__(self, path: str, baudrate: int, wait_s: float = 0.25) -> None:
        self.name = path
        self._baudrate = baudrate
        self._wait_s = wait_s
        self._serial: Any = None
        self._closing = threading.Lock()

    def open(self) -> None:
        """Open it exclusively, raw, 8N1. Raises PortError."""
        import serial

        try:
            self._serial = serial.Serial(
                self.name, self._baudrate, timeout=self._wait_s, write_timeout=0, exclusive=True
            )
        except (OSError, ValueError) as error:
            raise PortError(f"serial port {self.name} {_remedy(error)}") from error

    def read(self) -> bytes:
        """Wait up to `wait_s` for bytes; return what came. Raises PortError."""
        try:
            data: bytes = self._serial.read(1)
            if data:
                waiting = self._serial.in_waiting
                if waiting:
                    data += self._serial.read(waiting)
        except (OSError, TypeError) as error:  # pyserial 3.5 may trip over its own closed fd
            raise PortError(f"serial port {self.name} went away: {error}") from error
        return data

    def write(self, data: bytes) -> int:
        """Write what goes without waiting; return how many bytes that was. Raises PortError."""
        try:
            # pyserial spins on a full port, so it is asked only when there is room.
            if not select.select([], [self._serial.fileno()], [], 0)[1]:
                return 0
            return int(self._serial.write(data))
        except (OSError, ValueError) as error:
            raise PortError(f"serial port {self.name} went away: {error}") from error

    def wake(self) -> None:
        """Make a waiting `read` return."""
        with self._closing:  # else the byte could go to whatever has the number of a closed pipe
            if self._serial is not None and self._serial.is_open:
                self._serial.cancel_read()

    def close(self) -> None:
        """Close it, open or not."""
        with self._closing:
            port, self._serial = self._serial, None
            if port is not None:
                port.close()


def _remedy(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in _REMEDY:
        return _REMEDY[number]
    if "exclusively lock" in str(error):
        return _REMEDY[errno.EBUSY]
    if "configure port" in str(error):  # pyserial hides the number: it has no line to configure
        return _REMEDY[errno.ENOTTY]
    return f"can't be opened: {error}"
