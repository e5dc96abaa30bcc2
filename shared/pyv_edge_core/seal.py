"""Authentication of a link: for long lines, and lines that others can reach. Optional.

    sealed message   version u8 | type + 80 u8 | tag u16 | body | counter u32 | MAC (16 bytes)

The MAC is the first half of an HMAC-SHA-256 over a byte for the direction and
everything before the MAC, under a key of the session:

    HMAC-SHA-256(key of the device, "pyv-edge link 1" | boot | greeting | challenge)

The challenge is the host's, random and used once (see `challenge`); boot and
greeting are the board's, and no pair of them comes twice. So what was recorded
in one session is worth nothing in another, and within one the counter only
rises. Nothing is encrypted. Sealed are all messages but HELLO_REQUEST, which
brings the challenge.
"""

import struct

from ._compat import TYPE_CHECKING, const
from .errors import FieldError, MessageError
from .hmac import hmac_sha256

if TYPE_CHECKING:
    Session = tuple[int, int, int, int]  # boot, greeting, challenge_a, challenge_b

SEALED = const(0x80)  # in the type of a message
OVERHEAD = const(20)  # bytes that a seal adds
KEY_SIZE_MIN = const(16)
TO_HOST = b"\x00"
TO_BOARD = b"\x01"

_MAC_SIZE = const(16)
_COUNTER_MAX = const(0xFFFFFFFF)


def is_same(one: bytes, other: bytes) -> bool:
    """Compare two texts of one size in a time that doesn't depend on where they differ."""
    difference = 0
    for index in range(len(one)):
        difference |= one[index] ^ other[index]
    return difference == 0


def content(sealed: bytes) -> bytes:
    """Return the message inside, b"" if there is no seal; whose it is, is not checked."""
    if len(sealed) < 4 + OVERHEAD or not sealed[1] & SEALED:
        return b""
    return bytes((sealed[0], sealed[1] & ~SEALED)) + sealed[2:-OVERHEAD]


class Seal:
    """One end of an authenticated link."""

    def __init__(self, key: bytes, direction: bytes) -> None:
        """Seal in `direction`, TO_HOST or TO_BOARD, and open what comes the other way.

        Raises FieldError for a key of less than KEY_SIZE_MIN bytes.
        """
        if len(key) < KEY_SIZE_MIN:
            raise FieldError("link_key: %d bytes, at least %d" % (len(key), KEY_SIZE_MIN))
        self.session: Session | None = None
        self.unsealed_total = 0  # messages without a seal
        self.forged_total = 0  # with a wrong one
        self.replayed_total = 0  # with a right one that was used before
        self.unasked_total = 0  # of a session that doesn't count: see `challenge`
        self._key = key
        self._out = direction
        self._in = TO_BOARD if direction == TO_HOST else TO_HOST
        self._session_key = b""
        self._sent = 0  # counter of the last message sealed
        self._received = 0  # and of the last one opened

    @property
    def refused_total(self) -> int:
        """Messages that were not sealed as they must be."""
        return self.unsealed_total + self.forged_total + self.replayed_total

    def begin(self, session: "Session") -> None:
        """Begin a session, unless it is the present one: counters must not begin anew."""
        if session != self.session:
            self.session = session
            self._session_key = self._derive(session)
            self._sent = self._received = 0

    def _derive(self, session: "Session") -> bytes:
        return hmac_sha256(self._key, b"pyv-edge link 1" + struct.pack("<IIII", *session))

    def seal(self, message: bytes) -> bytes:
        """Return `message` with its seal. Raises MessageError after 2**32 of a session."""
        if self._sent == _COUNTER_MAX:
            raise MessageError("a session ends after 2**32 sealed messages")
        self._sent += 1
        body = bytes((message[0], message[1] | SEALED)) + message[2:]
        body += struct.pack("<I", self._sent)
        return body + hmac_sha256(self._session_key, self._out + body)[:_MAC_SIZE]

    def open(self, sealed: bytes) -> bytes:
        """Return the message that the other end has sealed; b"", and count it, if it has not."""
        message = self._open(sealed, self._session_key, self._received)
        self.forged_total += message is None
        return message or b""

    def open_unasked(self, sealed: bytes) -> bytes:
        """Do as `open`, for what may well be of a session that never began: not forged, then."""
        message = self._open(sealed, self._session_key, self._received)
        self.unasked_total += message is None
        return message or b""

    def open_first(self, sealed: bytes, session: "Session") -> bytes:
        """Open the message that begins `session`, which begins only if it is genuine."""
        key = self._derive(session)
        message = self._open(sealed, key, 0)
        self.forged_total += message is None
        if message:
            self.session = session
            self._session_key = key
            self._sent = 0
        return message or b""

    def _open(self, sealed: bytes, key: bytes, last: int) -> "bytes | None":
        """Return the message, b"" if it is refused and counted; None: its seal is wrong."""
        message = content(sealed)
        if not message:
            self.unsealed_total += 1
            return b""
        body = sealed[:-_MAC_SIZE]
        mac = hmac_sha256(key, self._in + body)[:_MAC_SIZE]
        if not key or not is_same(mac, sealed[-_MAC_SIZE:]):
            return None
        (counter,) = struct.unpack("<I", body[-4:])
        if counter <= last:
            self.replayed_total += 1
            return b""
        self._received = counter
        return message
