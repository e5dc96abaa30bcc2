"""A TCP port that another program opens as its serial port: plain bytes, or RFC 2217.

One program at a time: a serial port has one owner, so a second connection is
closed at once and counted. RFC 2217 (pyserial's PortManager) lets the program
set baud rate and lines of the board's port too. There is no authentication in
either, so it listens on loopback unless it is told otherwise by name.
"""

import ipaddress
import select
import socket
import struct
import termios
from contextlib import suppress
from typing import Any, cast

from .errors import BridgeError, UsageError
from .lane import Lane
from .port import BAUDRATE_MAX, READ_SIZE, BoardPort

_NEGOTIATION_MAX = 4096  # bytes of RFC 2217's own that wait to be sent
_ALIVE_S = 20  # a silent program is asked whether it is there, this often
_SUBOPTION_MAX = 256  # bytes; the longest that means anything has 6
_SETTINGS = {"baudrate", "bytesize", "parity", "stopbits", "xonxoff", "rtscts", "dtr", "rts"}
_INPUTS = {"cts", "dsr", "ri", "cd"}
# What PortManager raises for what it can't read; an OverflowError is for a number without room.
_NONSENSE = (
    *(AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError),
    struct.error,
)
_WITHOUT_PORT = {"bytesize": 8, "parity": "N", "stopbits": 1}


def parse_address(text: str, *, is_beyond_allowed: bool) -> tuple[str, int]:
    """Return (host, port) of "PORT" or "HOST:PORT".

    Raises UsageError for anything else, and for a host beyond loopback that isn't allowed.
    """
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdecimal() or int(port) > 0xFFFF:
        raise UsageError(f"--tcp {text}: must be PORT or HOST:PORT")
    if not is_beyond_allowed and not _is_loopback(host):
        raise UsageError(
            f"--tcp {text}: whoever reaches that address could drive the board, nobody is asked"
            " for a password; say --beyond-loopback if that is meant"
        )
    return host, int(port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


class Server:
    """The listening end, and the program that is connected to it."""

    def __init__(self, address: tuple[str, int], port: BoardPort | None = None) -> None:
        """Listen at `address`; with the board's `port` speak RFC 2217. Raises BridgeError."""
        self.turned_away_total = 0  # programs that came while another was there
        self.broken_total = 0  # programs that spoke no RFC 2217
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(address)
            self.listener.listen(1)
        except OSError as error:
            self.listener.close()
            raise BridgeError(f"--tcp {address[0]}:{address[1]}: {error.strerror}") from error
        self.listener.setblocking(False)
        self.address: tuple[str, int] = self.listener.getsockname()[:2]
        self._port = port
        self._client: socket.socket | None = None
        self._telnet: Any = None
        self._own = Lane(_NEGOTIATION_MAX)  # what RFC 2217 says itself
        self._escaped = b""  # the rest of what was taken from a caller of `write`

    def fileno(self) -> int:
        """Return what to wait for while somebody is there."""
        assert self._client is not None
        return self._client.fileno()

    @property
    def is_writing(self) -> bool:
        """Whether bytes wait here that were taken already."""
        return bool(self._escaped or len(self._own))

    def is_present(self) -> bool:
        """Return whether a program is connected."""
        return self._client is not None

    def is_gone(self) -> bool:
        """Return whether the program that is connected has ended, though bytes of it may wait."""
        if self._client is None:
            return False
        poll = select.poll()
        poll.register(self._client, select.POLLRDHUP)
        return bool(poll.poll(0))

    def accept(self) -> None:
        """Take the program that has connected, or turn it away."""
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        if self._client is not None:
            self.turned_away_total += 1
            client.close()
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # One that has vanished would else keep others out for ever.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _ALIVE_S)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _ALIVE_S)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        self._client = client
        self._own.clear()
        self._escaped = b""
        if self._port is not None:
            from serial.rfc2217 import PortManager

            # All that it needs of a port, and of a connection.
            port: Any = _Settings(self._port)
            self._telnet = PortManager(port, cast(Any, _Outgoing(self._own)))

    def read(self) -> bytes:
        """Return what is there, b"" if nothing is, or nobody any more."""
        assert self._client is not None
        try:
            data = self._client.recv(READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._hang_up()
            return b""
        if self._telnet is None:
            return data
        try:
            plain = b"".join(self._telnet.filter(data))
            if len(self._telnet.suboption or b"") > _SUBOPTION_MAX:
                raise ValueError("an option without an end")
        except _NONSENSE:
            self.broken_total += 1  # that is how PortManager takes nonsense
            self._hang_up()
            return b""
        self._flush()
        return plain

    def write(self, data: bytes) -> int:
        """Write what goes without waiting; return how many bytes of `data` were taken."""
        if not self._flush():
            return 0
        if self._telnet is None:
            return self._send(data)
        self._escaped = data.replace(b"\xff", b"\xff\xff")  # Telnet's IAC
        self._flush()
        return len(data)

    def _flush(self) -> bool:
        """Send what was taken before; return whether all of it has left."""
        self._escaped = self._escaped[self._send(self._escaped) :]
        if not self._escaped and len(self._own):  # never in the middle of other bytes
            self._own.gone(self._send(self._own.front()))
        return not self.is_writing

    def _send(self, data: bytes) -> int:
        if self._client is None or not data:
            return 0
        try:
            return self._client.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._hang_up()
            return 0

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._telnet = None

    def close(self) -> None:
        """End it."""
        self._hang_up()
        self.listener.close()


class _Outgoing:
    """What PortManager writes its own messages to."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    def write(self, data: bytes) -> None:
        self._lane.put(bytes(data))


class _Settings:
    """A board's port as PortManager wants it; what a port hasn't got is off and stays so."""

    def __init__(self, port: BoardPort) -> None:
        object.__setattr__(self, "_port", port)

    def __getattr__(self, name: str) -> Any:
        made = self._port.serial
        if name in _INPUTS:
            with suppress(OSError, AttributeError):
                return getattr(made, name)
            return False
        if made is None:
            return getattr(self._port, name, _WITHOUT_PORT.get(name, False))
        return getattr(made, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set it. Raises ValueError, which PortManager answers with what was set before."""
        if name == "baudrate" and not 0 < value <= BAUDRATE_MAX:
            raise ValueError(f"baud rate {value}")
        if name in _SETTINGS and self._port.serial is not None:
            try:
                setattr(self._port.serial, name, value)
            except OverflowError as error:
                raise ValueError(str(error)) from error
            except (OSError, termios.error):
                pass  # a pseudo-terminal has no lines
        if name in ("baudrate", "dtr", "rts"):
            setattr(self._port, name, value)  # for when it is opened again

    def reset_input_buffer(self) -> None:
        """Leave it: what a board has said is on its way to more than one reader."""

    def reset_output_buffer(self) -> None:
        """Leave it, too."""


def url(address: tuple[str, int], scheme: str) -> str:
    """Return by which name pyserial opens a server at `address`."""
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{scheme}://{host}:{address[1]}"
