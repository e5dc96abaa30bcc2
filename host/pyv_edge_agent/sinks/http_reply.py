"""What all that ask over HTTP share: how a reply is read, and what may be shown of a URL."""

from typing import Any
from urllib.parse import urlsplit

from ..clock import Clock

REPLY_SIZE_MAX = 1_048_576  # bytes; a longer reply is none


def shown_url(url: str) -> str:
    """Return a URL without user, password and query, which may be secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def read_reply(
    reply: Any, clock: Clock, timeout_s: float, size_max: int = REPLY_SIZE_MAX
) -> bytes | None:
    """Return a reply's body; None if it is too long, or longer in coming than the time-out."""
    deadline_ms = clock.monotonic_ms() + timeout_s * 1000
    text = b""
    while len(text) <= size_max and clock.monotonic_ms() < deadline_ms:
        # read1 and not read: it returns with what has come, so that time can be told.
        piece: bytes = reply.raw.read1(size_max, decode_content=True)
        if not piece:
            return text
        text += piece
    return None


def retry_after_s(headers: Any) -> float | None:
    """Return the seconds that a reply asks to wait, None if it doesn't say so in seconds."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None
