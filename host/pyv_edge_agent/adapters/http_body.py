"""What a POST brings: what its headers say of it, and its body within limits.

Nothing is read before it is known to be wanted; what is too long is not read to its end.
"""

import re
import zlib
from collections.abc import Mapping
from typing import BinaryIO

from ..http_exchange import RefusalError

KEY_LENGTH_MAX = 255
CHUNK_LINE_MAX = 256  # bytes of the line before a chunk
TRAILERS_MAX = 20  # lines behind the last one
MEMBERS_MAX = 1000  # of gzip, each packed by itself
JSON, NDJSON, SENML = "application/json", "application/x-ndjson", "application/senml+json"
CONTENT_TYPES = {
    JSON: JSON,
    NDJSON: NDJSON,
    "application/ndjson": NDJSON,
    "application/jsonl": NDJSON,
    "application/x-jsonlines": NDJSON,
    SENML: SENML,
}
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")


# -- the body --------------------------------------------------------------------------


def read_body(stream: BinaryIO, headers: Mapping[str, str], size_max: int) -> bytes:
    """Return a request's body, unpacked. Raises RefusalError, and what `stream` raises."""
    size = body_size(headers, size_max)
    body = _chunks(stream, size_max) if size is None else _exactly(stream, size)
    if headers.get("Content-Encoding", "identity").lower() == "identity":
        return body
    return _unpacked(body, size_max)


def body_size(headers: Mapping[str, str], size_max: int) -> int | None:
    """Return how many bytes a body has, None if it comes in chunks. Raises RefusalError."""
    encoding = headers.get("Transfer-Encoding")
    length = headers.get("Content-Length")
    if encoding is not None:
        if length is not None:
            raise RefusalError(400, "Content-Length and Transfer-Encoding: send one of them")
        if encoding.strip().lower() != "chunked":
            raise RefusalError(411, "of Transfer-Encoding only chunked is known; or send a length")
        return None
    if length is None:
        raise RefusalError(411, "Content-Length is missing")
    if not re.fullmatch("[0-9]{1,18}", length):
        raise RefusalError(400, "Content-Length is no size")
    if int(length) > size_max:
        raise _too_large(size_max)
    return int(length)


def _too_large(size_max: int) -> RefusalError:
    return RefusalError(413, f"the body is longer than {size_max} bytes: send less at once")


def _exactly(stream: BinaryIO, size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise RefusalError(400, "the body breaks off")
    return found


def _chunks(stream: BinaryIO, size_max: int) -> bytes:
    body = bytearray()
    left = 2 * size_max  # also of what is around the chunks: there may be one for each byte
    while True:
        line = stream.readline(CHUNK_LINE_MAX)
        size_text = line.partition(b";")[0].strip()
        if not line.endswith(b"\n") or not _CHUNK_SIZE.fullmatch(size_text):
            raise RefusalError(400, "the body is not in chunks as Transfer-Encoding says")
        size = int(size_text, 16)
        left -= size + len(line)
        if len(body) + size > size_max or left < 0:
            raise _too_large(size_max)
        if not size:
            break
        body += _exactly(stream, size)
        if stream.readline(2) not in (b"\r\n", b"\n"):
            raise RefusalError(400, "the body has a chunk without its end")
    for _ in range(TRAILERS_MAX):
        if stream.readline(CHUNK_LINE_MAX) in (b"\r\n", b"\n"):
            return bytes(body)
    raise RefusalError(400, "the body has no end, or too much behind it")


def _unpacked(body: bytes, size_max: int) -> bytes:
    found = bytearray()
    for _ in range(MEMBERS_MAX):  # RFC 1952, 2.2: what is packed may be joined as it is
        unpacker = zlib.decompressobj(wbits=31)
        try:
            found += unpacker.decompress(body, size_max + 1 - len(found))
        except zlib.error:
            if found:
                break
            raise RefusalError(400, "the body is not gzip, as Content-Encoding says") from None
        if len(found) > size_max:
            raise _too_large(size_max)
        if not unpacker.eof:
            break
        body = unpacker.unused_data
        if not body:
            return bytes(found)
    raise RefusalError(400, "the body's gzip breaks off, or there is more behind it")


# -- what the headers say ----------------------------------------------------------------


def content_kind(headers: Mapping[str, str]) -> str:
    """Return JSON, NDJSON or SENML. Raises RefusalError if it is something else."""
    encoding = headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise RefusalError(415, "of Content-Encoding only gzip is known")
    named = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if named not in CONTENT_TYPES:
        # Also if it says nothing: that is how any web page could make a browser store readings.
        raise RefusalError(415, f"Content-Type must be {JSON}, {NDJSON} or {SENML}")
    return CONTENT_TYPES[named]


def check_key(key: str, what: str) -> str:
    """Return a key by which a submission is known again. Raises RefusalError."""
    if not 1 <= len(key) <= KEY_LENGTH_MAX or not key.isprintable():
        problem = f"{what} must have 1 to {KEY_LENGTH_MAX} printable characters"
        raise RefusalError(400, problem)
    return key
