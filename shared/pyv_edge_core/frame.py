"""Frames on a byte stream: HDLC-like framing of RFC 1662 with its FCS-32.

    7E | message, FCS-32 (low byte first), both octet-stuffed with 7D | 7E

`binascii.crc32` is that FCS. Stuffing is `bytes.replace` and `bytes.split`,
which run in C on both interpreters (COBS in Python costs 20 times as much).
Towards a board every byte below 0x20 is escaped too, the RFC's control
character map: 0x03 never reaches a board, so Ctrl-C and `mpremote` always do,
and a board that sits at its prompt can't be driven by accident.

A message leads with its version, 1 to 6. So what follows a flag with any other
byte (but 0x7D) is not a frame but somebody's `print`, a traceback or boot text:
the console channel, handed on line by line without waiting for a flag that may
never come.

The decoder takes the bytes in any split and gives the same frames, console
bytes and counts. It never raises: what it can't use, it counts.
"""

from binascii import crc32

from ._compat import const

FLAG = b"\x7e"
ESCAPE = b"\x7d"
FCS_SIZE = const(4)
_GOOD_FCS = const(0x2144DF1C)
SIZE_MAX = const(1024)  # bytes between two flags, stuffing included
_LEADS = b"\x01\x02\x03\x04\x05\x06\x7d"  # versions, plain or stuffed; text has none of these

# What unstuffing makes of the byte behind a 7D: one text to cut from, not 256 objects.
_UNSTUFFED = bytes([code ^ 0x20 for code in range(256)])
# Bytes of a console line: printable ASCII and UTF-8, and the controls terminals use.
_TEXT_CONTROLS = b"\x07\x08\t\n\x0c\r\x1b"


def encode(message: bytes) -> bytes:
    """Return `message` as one frame with a flag at both ends."""
    fcs = crc32(message)
    body = message + bytes((fcs & 0xFF, fcs >> 8 & 0xFF, fcs >> 16 & 0xFF, fcs >> 24 & 0xFF))
    return FLAG + body.replace(ESCAPE, b"\x7d\x5d").replace(FLAG, b"\x7d\x5e") + FLAG


def encode_for_board(message: bytes) -> bytes:
    """Return `message` as one frame in which no byte is below 0x20."""
    framed = encode(message)  # 7D is stuffed first, lest what comes now be stuffed twice
    for code in range(0x20):
        plain = _UNSTUFFED[code ^ 0x20 : (code ^ 0x20) + 1]
        if plain in framed:
            framed = framed.replace(plain, bytes((0x7D, code ^ 0x20)))
    return framed


def _unstuff(body: bytes) -> "bytes | None":
    """Return `body` without its stuffing, None where a 7D escapes nothing."""
    pieces = body.split(ESCAPE)
    plain = [pieces[0]]
    for piece in pieces[1:]:
        if not piece:
            return None
        plain.append(_UNSTUFFED[piece[0] : piece[0] + 1])
        plain.append(piece[1:])
    return b"".join(plain)


def _is_text(line: bytes) -> bool:
    for code in line:
        if code < 0x20 and code not in _TEXT_CONTROLS:
            return False
    return True


class FrameDecoder:
    """Takes a stream of bytes apart into messages and console text."""

    def __init__(self, size_max: int = SIZE_MAX) -> None:
        """Make a decoder that gives up a frame or a console line at `size_max` bytes."""
        self.size_max = size_max
        self.frames_total = 0
        self.bad_fcs_total = 0  # frames damaged on the way, or cut by text
        self.oversize_total = 0  # frames given up because no flag came
        self.console_bytes_total = 0
        self.noise_bytes_total = 0  # bytes that are neither frame nor text
        self._pending = b""  # what came behind the last flag
        self._in_text = False  # whether that can no longer be a frame
        self._is_skipping = False  # whether an oversize frame is being thrown away
        self._console: list[bytes] = []

    def feed(self, data: bytes) -> "list[bytes]":
        """Return the messages that `data` completes, in order."""
        messages: list[bytes] = []
        segments = data.split(FLAG)
        for segment in segments[:-1]:
            if self._in_text or self._is_skipping:
                self._append(segment)
                self._end_segment()
                continue
            # The fast path: a whole frame, or the rest of one.
            if self._pending:
                segment = self._pending + segment
                self._pending = b""
            if segment:
                message = self._open(segment)
                if message is not None:
                    messages.append(message)
        if segments[-1]:
            self._append(segments[-1])
        return messages

    def take_console(self) -> bytes:
        """Return the console text gathered since the last call, and forget it."""
        if not self._console:
            return b""
        text = b"".join(self._console)
        self._console = []
        return text

    def _open(self, segment: bytes) -> "bytes | None":
        """Return the message in what stood between two flags, or count why there is none."""
        if segment[0] not in _LEADS:
            self._append(segment)
            self._end_segment()
            return None
        if len(segment) > self.size_max:
            self.oversize_total += 1
            return None
        body = _unstuff(segment) if ESCAPE in segment else segment
        # Over a message and its own FCS the FCS is always this: the "good FCS" of RFC 1662.
        if body is not None and len(body) > FCS_SIZE and crc32(body) == _GOOD_FCS:
            self.frames_total += 1
            return body[:-FCS_SIZE]
        self.bad_fcs_total += 1
        return None

    def _append(self, data: bytes) -> None:
        """Take bytes that no flag has ended yet."""
        if self._is_skipping:
            return
        pending = self._pending + data if self._pending else data
        if not self._in_text and pending:
            self._in_text = pending[0] not in _LEADS
        if not self._in_text:
            if len(pending) > self.size_max:
                self.oversize_total += 1
                self._is_skipping = True
                pending = b""
            self._pending = pending
            return
        while True:
            end = pending.find(b"\n") + 1
            if not 0 < end <= self.size_max:
                if len(pending) < self.size_max:
                    break
                end = self.size_max
            self._sort_line(pending[:end])
            pending = pending[end:]
        self._pending = pending

    def _end_segment(self) -> None:
        """Close console text or a skipped frame at a flag."""
        if self._pending:
            self._sort_line(self._pending)
            self._pending = b""
        self._in_text = False
        self._is_skipping = False

    def _sort_line(self, line: bytes) -> None:
        if _is_text(line):
            self.console_bytes_total += len(line)
            self._console.append(line)
        else:
            self.noise_bytes_total += len(line)
