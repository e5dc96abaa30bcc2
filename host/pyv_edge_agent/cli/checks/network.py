"""A server: whether its name is known, whether it can be reached, whether it is who it should be.

Each function does one step, and what it asks (the name server, the network, the clock) is an
argument.
"""

import errno
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .finding import Check, Finding

CONNECT_S = 5.0  # to each address
ADDRESSES_MAX = 4  # that are tried
EXPIRY_DAYS = 14  # before which somebody should renew a certificate
GREETING_SIZE_MAX = 65_536
_DAY_MS = 86_400_000

Address = tuple[socket.AddressFamily, tuple[object, ...]]
LookUp = Callable[[str, int], list[Address]]
Connect = Callable[[Address], socket.socket]

# What OpenSSL says of a certificate that it refuses
_EXPIRED, _NOT_YET = 10, 9
_UNKNOWN_CA = (2, 18, 19, 20, 21)
_OTHER_NAME = (62, 64)


@dataclass(frozen=True)
class TLSFiles:
    """Whom to trust, and who we are, as files of PEM."""

    ca: Path | None = None  # None: whom the system trusts
    cert: Path | None = None  # ours, as a client
    key: Path | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any], folder: Path) -> "TLSFiles":
        """Return those that settings name, from `folder`; an empty name is none."""
        names = [settings.get(name) for name in ("ca_file", "cert_file", "key_file")]
        return cls(*(folder / name if name else None for name in names))

    @property
    def all(self) -> list[Path]:
        """Those that are named."""
        return [one for one in (self.ca, self.cert, self.key) if one is not None]


@dataclass(frozen=True)
class Endpoint:
    """Where a server is, and how it is spoken to."""

    host: str
    port: int
    tls: TLSFiles | None = None  # None: without TLS
    greets_first: bool = False  # it says a line before TLS begins
    via: str = ""  # in words, if it is not the server itself

    @property
    def shown(self) -> str:
        """Host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}{self.via}"


def look_up(host: str, port: int) -> list[Address]:
    """Return the addresses of a host. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def connect(address: Address, timeout_s: float = CONNECT_S) -> socket.socket:
    """Return a connection, whose reads have the same time-out. Raises OSError."""
    family, place = address
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.settimeout(timeout_s)
        made.connect(place)
    except OSError:
        made.close()
        raise
    return made


def check_address(
    about: Check, endpoint: Endpoint, look_up: LookUp = look_up, connect: Connect = connect
) -> tuple[Finding, socket.socket | None]:
    """Look a server up and connect to it; return the connection, too."""
    try:
        addresses = look_up(endpoint.host, endpoint.port)
    except (OSError, UnicodeError) as error:
        text = f"the name {endpoint.host} is not known: {_strerror(error)}"
        fix = "is it spelt right? has this computer a network and a name server (resolvectl)?"
        return about.fail(text, fix), None
    problem: OSError = OSError(errno.EADDRNOTAVAIL, "it has no address")
    for address in addresses[:ADDRESSES_MAX]:
        try:
            return about.ok(f"{endpoint.shown} can be reached"), connect(address)
        except OSError as error:
            problem = error
    return about.fail(f"{endpoint.shown}: {_strerror(problem)}", _remedy(problem)), None


def _strerror(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error)


def _remedy(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there: is the server running, and is the port right?"
    if isinstance(error, TimeoutError):
        return "does a firewall keep it from answering? is the address right?"
    return "is this computer in a network from which it can be reached (ip route)?"


def check_tls(about: Check, endpoint: Endpoint, line: socket.socket, utc_ms: int) -> Finding:
    """Begin TLS on a connection, which is then closed, and look at the server's certificate."""
    files = endpoint.tls or TLSFiles()
    with line:
        try:
            context = _context(files)
        except (OSError, ValueError) as error:
            shown = ", ".join(map(str, files.all))
            text = f"{shown}: can't be used: {_strerror(error)}"
            return about.fail(text, "write certificates and key as PEM, and let the agent read it")
        try:
            if endpoint.greets_first:
                _skip_greeting(line)
            with context.wrap_socket(line, server_hostname=endpoint.host) as secured:
                certificate = secured.getpeercert() or {}
        except ssl.SSLCertVerificationError as error:
            text = f"the certificate of {endpoint.shown} is refused: {error.verify_message}"
            return about.fail(text, _remedy_tls(error.verify_code))
        except (OSError, ValueError) as error:
            text = f"{endpoint.shown} does not begin TLS: {_strerror(error)}"
            return about.fail(text, "is it the port for TLS? does the server want a cert_file?")
    days = (ssl.cert_time_to_seconds(str(certificate["notAfter"])) * 1000 - utc_ms) / _DAY_MS
    text = f"the certificate of {endpoint.shown} is good for {days:.0f} more days"
    if days < EXPIRY_DAYS:
        return about.warn(text, "let whoever runs the server renew it")
    return about.ok(text)


def _context(files: TLSFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if files.ca is None else str(files.ca))
    if files.cert is not None:
        context.load_cert_chain(files.cert, files.key)
    return context


def _skip_greeting(line: socket.socket) -> None:
    """Read the line that a server says before TLS begins. Raises OSError."""
    for _ in range(GREETING_SIZE_MAX):
        byte = line.recv(1)  # one by one: what follows is TLS's
        if byte in (b"\n", b""):
            return


def _remedy_tls(code: int) -> str:
    if code == _EXPIRED:
        return "let whoever runs the server renew it; is this computer's clock right?"
    if code == _NOT_YET:
        return "is this computer's clock right?"
    if code in _UNKNOWN_CA:
        return "ca_file must be that of the authority which has signed it"
    if code in _OTHER_NAME:
        return "use the name that is in the certificate"
    return "let whoever runs the server look at it"
