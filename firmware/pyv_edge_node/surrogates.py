"""Halves of characters in JSON: two escapes that make one character, joined; others refused.

JSON escapes a character beyond U+FFFF as two halves (surrogates), `\\ud83d\\ude00`, which
MicroPython would leave as two, and no host takes such a text: it is no UTF-8. Loaded
only for settings in which there may be one.
"""

from binascii import unhexlify


def joined(content: bytes) -> bytes:
    """Return the JSON with such characters as they are. Raises ValueError for half a one."""
    _check_plain(content)
    pieces = []
    begin = 0
    place = content.find(b"\\")
    while place >= 0:
        end = place + 2  # of an escape, a backslash's own too
        high = _half(content, place)
        if high:
            low = _half(content, place + 6)
            if high >= 0xDC00 or low < 0xDC00:
                half = content[place : place + 6].decode()
                raise _error(content, place, "half a character: " + half)
            pieces.append(content[begin:place])
            pieces.append(chr(0x10000 + (high - 0xD800 << 10) + low - 0xDC00).encode())
            begin = end = place + 12
        place = content.find(b"\\", end)
    pieces.append(content[begin:])
    return b"".join(pieces)


def _half(content: bytes, place: int) -> int:
    """Return the half that is escaped at `place`, 0 if none is. Raises ValueError."""
    if content[place : place + 2] != b"\\u":
        return 0
    try:
        high, low = unhexlify(content[place + 2 : place + 6])
    except ValueError:  # too few digits are one, too
        raise _error(content, place, "an escape without four digits")
    return high << 8 | low if 0xD8 <= high <= 0xDF else 0


def _check_plain(content: bytes) -> None:
    """Raise ValueError for a half that is not escaped, which MicroPython would take, too."""
    place = content.find(b"\xed")
    while place >= 0:
        if content[place + 1 : place + 2] >= b"\xa0":
            raise _error(content, place, "bytes that are no UTF-8")
        place = content.find(b"\xed", place + 1)


def _error(content: bytes, place: int, problem: str) -> ValueError:
    return ValueError("line %d has %s" % (content.count(b"\n", 0, place) + 1, problem))
