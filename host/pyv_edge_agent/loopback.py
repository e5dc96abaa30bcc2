"""Which addresses only this computer reaches."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Return whether only this computer reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
