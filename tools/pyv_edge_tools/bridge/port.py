"""The board's port: a serial device, or one that is shared over a network.

    /dev/ttyACM0, /dev/serial/by-id/...   opened for itself alone, its lines never toggle
    rfc2217://HOST:PORT                   a port that another computer serves (RFC 2217)
    socket://HOST:PORT                    the same without settings: bytes and nothing else

Wraps pyserial, which is imported when the first port is opened. Every failure is
a PortError of one line. Reading and writing never wait, whatever is behind it.
"""

import errno
import fcntl
import os
import select
import socket
import termios
import threading
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from .errors import BridgeError

READ_SIZE = 4096
BAUDRATE_MAX = 20_000_000  # beyond what any UART does, and within what the kernel's calls take
SCHEMES = ("rfc2217://", "socket://")
_BUSY = "is in use by another program; stop that one, or let it open the --link of a bridge"
_DENIED = "may not be opened by this user; add it to the group dialout and log in anew"
_ABSENT = "does not exist; plug the board in, or name another port (ls /dev/serial/by-id)"
_REMEDY = {
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EBUSY: _BUSY,
    errno.EWOULDBLOCK: _BUSY,
    errno.ENOTTY: "is not a serial port",
    errno.EISDIR: "is a directory, not a serial port",
    errno.ENOENT: _ABSENT,
    errno.ENODEV: _ABSENT,
    errno.ENXIO: _ABSENT,
    errno.ECONNREFUSED: "refuses the connection; is a relay running there?",
}
_UNKNOWN_HOST = "names a host that can't be found"
_PUMP_WAIT_S = 0.1
_END_TIMEOUT_S = 1.0  # a network that takes no more bytes must not hold up the line


class PortError(BridgeError):
    """A port can't be opened, or went away."""


def is_url(name: str) -> bool:
    """Return whether `name` is a port on a network."""
    return name.startswith(SCHEMES)


def check_url(name: str) -> None:
    """Raise PortError unless `name`, a port on a network, is SCHEME://HOST:PORT."""
    scheme = name.partition("://")[0]
    try:
        parts = urlsplit(name)
        is_whole = bool(parts.hostname and parts.port) and not parts.path.strip("/")
    except ValueError:
        is_whole = False
    if not is_whole:
        raise PortError(f"port {name}: must be {scheme}://HOST:PORT")


class PortAbsentError(PortError):
    """It isn't there."""


class PortBusyError(PortError):
    """Another program has it."""


_KINDS = {_BUSY: PortBusyError, _ABSENT: PortAbsentError}


class BoardPort:
    """A byte pipe to the board."""

    def __init__(self, name: str, baudrate: int, *, dtr: bool = True, rts: bool = True) -> None:
        """Prepare it. Both lines asserted lets an ESP32 run; a Pico's USB sends only with DTR."""
        self.name = name
        self.baudrate = baudrate
        self.dtr = dtr
        self.rts = rts
        self.serial: Any = None  # pyserial's, while it is open
        self._pump: _Pump | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is open."""
        return self.serial is not None

    @property
    def dropped_bytes_total(self) -> int:
        """Bytes of a network's port that came faster than they were read."""
        return self._pump.dropped_bytes_total if self._pump is not None else 0

    def open(self) -> None:
        """Open it for us alone, raw, 8N1. Raises PortError."""
        import serial

        if is_url(self.name):
            check_url(self.name)
        try:
            if is_url(self.name):
                made = serial.serial_for_url(
                    self.name, self.baudrate, do_not_open=True, timeout=_PUMP_WAIT_S
                )
            else:
                made = serial.Serial(None, self.baudrate, timeout=0, write_timeout=0)
                made.exclusive = True
                made.port = self.name
        except ValueError as error:
            raise PortError(f"port {self.name} can't be opened: {error}") from error
        # Nothing is opened before the lines are set: that is how they never toggle.
        made.dtr, made.rts = self.dtr, self.rts
        try:
            made.open()
            if not is_url(self.name):
                _keep_to_ourselves(made.fileno(), self.name)
        except (OSError, ValueError, termios.error) as error:
            made.close()
            remedy = _remedy(error)
            kind = _KINDS.get(remedy, PortError)
            raise kind(f"port {self.name} {remedy}") from error
        self.serial = made
        self._pump = _Pump(made) if self.name.startswith("rfc2217://") else None

    def fileno(self) -> int:
        """Return what to wait for."""
        return self._pump.fileno() if self._pump is not None else int(self.serial.fileno())

    def read(self) -> bytes:
        """Return what is there, b"" if nothing is. Raises PortError."""
        try:
            data = os.read(self.fileno(), READ_SIZE)
        except BlockingIOError:
            return b""
        except (OSError, TypeError) as error:
            raise PortError(f"port {self.name} went away: {error}") from error
        if not data and (is_url(self.name) or self._is_hung_up()):
            raise PortError(f"port {self.name} went away")
        return data

    def _is_hung_up(self) -> bool:
        """Return whether the device is gone: a terminal reads as empty then, and without bytes."""
        poll = select.poll()
        poll.register(self.fileno(), 0)
        return bool(poll.poll(0))

    def write(self, data: bytes) -> int:
        """Write what goes without waiting; return how many bytes that was. Raises PortError."""
        try:
            return os.write(self.fileno(), data)
        except BlockingIOError:
            return 0
        except (OSError, TypeError) as error:
            raise PortError(f"port {self.name} went away: {error}") from error

    def close(self) -> None:
        """Close it, open or not."""
        made, self.serial = self.serial, None
        if self._pump is not None:
            self._pump.close()
        if made is not None:
            with suppress(OSError):
                made.close()
        self._pump = None


class _Pump:
    """Two threads between pyserial's RFC 2217 client, which can't be waited for, and a socket."""

    def __init__(self, made: Any) -> None:
        self.dropped_bytes_total = 0
        self._serial = made
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        works = (self._read, self._write)
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def fileno(self) -> int:
        return self._ours.fileno()

    def _read(self) -> None:
        # pyserial gathers what comes without a limit, so it is taken at once, room or not.
        with suppress(OSError, TypeError, ValueError):
            while True:
                data = self._serial.read(1)
                if data:
                    data += self._serial.read(self._serial.in_waiting)
                    self._hand_on(data)
        self._end()

    def _hand_on(self, data: bytes) -> None:
        sent = 0
        with suppress(BlockingIOError):
            sent = self._theirs.send(data, socket.MSG_DONTWAIT)
        self.dropped_bytes_total += len(data) - sent

    def _write(self) -> None:
        with suppress(OSError, TypeError, ValueError):
            while data := self._theirs.recv(READ_SIZE):
                self._serial.write(data)
        self._end()

    def _end(self) -> None:
        with suppress(OSError):
            self._theirs.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._end()
        for thread in self._threads:
            thread.join(_END_TIMEOUT_S)
        self._ours.close()
        if not any(thread.is_alive() for thread in self._threads):
            self._theirs.close()


def _keep_to_ourselves(descriptor: int, path: str) -> None:
    """Keep others out, and the lines as they are when it is closed. Raises OSError, termios.error.

    HUPCL would drop DTR and RTS at the end, which resets an ESP32. A
    pseudo-terminal would keep TIOCEXCL past our death.
    """
    attributes = termios.tcgetattr(descriptor)
    attributes[2] &= ~termios.HUPCL
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
    if not os.path.realpath(path).startswith("/dev/pts/"):
        fcntl.ioctl(descriptor, termios.TIOCEXCL)


def _remedy(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in _REMEDY:
        return _REMEDY[number]
    if isinstance(error.__context__, socket.gaierror):
        return _UNKNOWN_HOST
    if isinstance(error.__context__, KeyError | ValueError):  # that is how pyserial takes them
        return "has a host or options behind its ? that can't be used"
    text = str(error)
    if "exclusively lock" in text:
        return _BUSY
    if "configure port" in text:  # pyserial hides the number: it has no line to configure
        return _REMEDY[errno.ENOTTY]
    if "refused" in text:
        return _REMEDY[errno.ECONNREFUSED]
    return f"can't be opened: {text}"
