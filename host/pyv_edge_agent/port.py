"""A serial port as the agent wants it: opened for itself alone, read without blocking for long.

Wraps pyserial, which is imported when the first port is opened. Every failure
is a PortError of one line that names the port, what is wrong and what to do.
"""

import errno
import fcntl
import os
import select
import termios
import threading
from typing import Any, Protocol

from .errors import PortAbsentError, PortError
from .port_search import ListPorts, PortClaims, find, list_ports

# Beyond 1024 select() looks at no file, as pyserial does; and what isn't a port needs some, too.
DESCRIPTORS_MAX = 960

_REMEDY = {
    errno.EACCES: "may not be opened by this user; add it to the group dialout and log in anew",
    errno.EPERM: "may not be opened by this user; add it to the group dialout and log in anew",
    errno.EBUSY: "is in use by another program; stop that one",
    errno.EWOULDBLOCK: "is in use by another program; stop that one",
    errno.EMFILE: "is one too many for this agent, whose ports take 5 of its"
    f" {DESCRIPTORS_MAX} files each; run a second agent for some of the boards",
    errno.ENOTTY: "is not a serial port",
    errno.EISDIR: "is a directory, not a serial port",
}
_ABSENT = (errno.ENOENT, errno.ENODEV, errno.ENXIO)  # it went between being found and opened


class Port(Protocol):
    """A byte pipe to one board. Only `wake` may be called from another thread."""

    name: str  # for messages
    configured: str  # what the configuration names it
    path: str  # where it was found last, without links; "" if it isn't there

    def open(self) -> None:
        """Find it and open it.

        Raises PortAbsentError if it isn't there or can't be told from others,
        PortError if it is there and can't be opened.
        """
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
    """A port of this computer."""

    def __init__(
        self,
        port: str,
        baudrate: int,
        wait_s: float = 0.25,
        *,
        dtr: bool = True,
        rts: bool = True,
        owner: str = "",
        claims: PortClaims | None = None,
        ports: ListPorts = list_ports,
    ) -> None:
        """Prepare the port that `port` means (see port_search) for the device `owner`.

        `dtr` and `rts` are how these lines stand from the moment it is open. Both
        asserted lets an ESP32 run, and a Pico's USB sends only with DTR.
        """
        self.name = port
        self.path = ""
        self.configured = port
        self._baudrate = baudrate
        self._wait_s = wait_s
        self._dtr = dtr
        self._rts = rts
        self._owner = owner
        self._claims = claims or PortClaims()
        self.configureds = ports
        self._serial: Any = None
        self._closing = threading.Lock()

    def open(self) -> None:
        """Find it and open it exclusively, raw, 8N1. Raises PortAbsentError, PortError."""
        import serial

        self.name = self.configured
        try:
            path = find(self.configured, self.configureds)
        except PortAbsentError:
            self.path = ""
            self._claims.release(self._owner)
            raise
        self.path = os.path.realpath(path)
        if path != self.configured:
            self.name = f"{self.configured} ({path})"
        self._claims.take(path, self._owner)
        # Nothing is opened before the lines are set: that is how they never toggle.
        made = serial.Serial(None, self._baudrate, timeout=self._wait_s, write_timeout=0)
        made.exclusive = True
        made.dtr, made.rts = self._dtr, self._rts
        made.port = path
        try:
            _check_room()
            made.open()
            _keep_to_ourselves(made.fileno(), path)
        except (OSError, ValueError, termios.error) as error:
            made.close()
            kind = PortAbsentError if getattr(error, "errno", None) in _ABSENT else PortError
            raise kind(f"serial port {self.name} {_remedy(error)}") from error
        self._serial = made

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


def _keep_to_ourselves(descriptor: int, path: str) -> None:
    """Keep others out, and the lines as they are when it is closed. Raises OSError, termios.error.

    HUPCL would drop DTR and RTS at the end, one after the other, which resets an
    ESP32. pyserial's lock binds only those who ask for it; TIOCEXCL binds all but
    root. A pseudo-terminal would keep it past our death, as long as its far end
    is open, and nobody could open it again.
    """
    attributes = termios.tcgetattr(descriptor)
    attributes[2] &= ~termios.HUPCL
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
    if not os.path.realpath(path).startswith("/dev/pts/"):
        fcntl.ioctl(descriptor, termios.TIOCEXCL)


def _check_room() -> None:
    """Raise OSError if a port opened now would get a descriptor that is not for ports."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    if descriptor >= DESCRIPTORS_MAX:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def _remedy(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in _REMEDY:
        return _REMEDY[number]
    if number in _ABSENT:
        return "does not exist; plug the board in, or name another port (ls /dev/serial/by-id)"
    if "exclusively lock" in str(error):
        return _REMEDY[errno.EBUSY]
    if "configure port" in str(error):  # pyserial hides the number: it has no line to configure
        return _REMEDY[errno.ENOTTY]
    return f"can't be opened: {error}"
