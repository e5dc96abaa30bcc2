"""HMAC-SHA-256 (RFC 2104) and what we use it for; MicroPython has no `hmac`."""

from binascii import hexlify
from hashlib import sha256

from ._compat import const

_BLOCK_SIZE = const(64)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return the 32 bytes of the HMAC of `message` under `key`, of any size."""
    if len(key) > _BLOCK_SIZE:
        key = sha256(key).digest()
    key = key + bytes(_BLOCK_SIZE - len(key))
    inner = sha256(bytes([code ^ 0x36 for code in key]))
    inner.update(message)
    outer = sha256(bytes([code ^ 0x5C for code in key]))
    outer.update(inner.digest())
    return outer.digest()


def pseudonym(key: bytes, text: str) -> str:
    """Return the 32 hexadecimal digits that stand for `text`: half of its HMAC."""
    # Half a surrogate pair is three bytes to MicroPython and must not be an error here.
    message = text.encode("utf-8", "surrogatepass")
    return hexlify(hmac_sha256(key, message)[:16]).decode()
