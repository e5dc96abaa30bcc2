"""Which addresses only this computer reaches."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

_USUAL = ("127.0.0.1", "::1", "localhost")


def is_address(host: str) -> bool:
    """Return whether that is an address, and no name."""
    return host in _USUAL[:2] or _parsed(host) is not None


def is_loopback(host: str) -> bool:
    """Return whether only this computer reaches an address."""
    if host in _USUAL:
        return True
    address = _parsed(host)
    return address is not None and bool(address.is_loopback)


def _parsed(host: str) -> "IPv4Address | IPv6Address | None":
    from ipaddress import ip_address  # large, and seldom needed

    try:
        return ip_address(host)
    except ValueError:
        return None
