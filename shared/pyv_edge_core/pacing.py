"""How much may be on its way to a board that has perhaps not read it yet.

A board's input buffer may be as small as 260 bytes and overflow without a word,
so at most IN_FLIGHT_MAX are sent ahead of it. What it has read, it proves by
answering a TIME_REQUEST: bytes arrive in order, so everything sent before the
request is read too. The answers also say what its uptime was, which is why
TIME_REQUEST and not a message of its own is the marker.

Requests and answers get lost; another request is sent after a while, and room
for three is always kept. If all are lost: a board reads and sends in one loop,
so one that is heard long after our last byte has read it. While a board is
not heard, all of it counts as unread and nothing more is sent.
"""

from . import message, session
from ._compat import TYPE_CHECKING, const
from .frame import encode_for_board
from .session import elapsed_ms

if TYPE_CHECKING:
    from .seal import Seal

_RESERVE_SIZE = const(66)  # three TIME_REQUESTs with every byte stuffed, or one that is sealed
_OVERHEAD = const(6)  # of a frame around its payload
_MARK_AT = const(60)  # bytes in flight at which a sign of life is asked for


class Pacing:
    """What is in flight towards one board."""

    def __init__(self, token: int = 0, seal: "Seal | None" = None) -> None:
        """Begin with requests numbered behind `token`: an old one's answer may still come.

        With a `seal` everything is sent under it.
        """
        self.token = token
        self._seal = seal
        self.time_lost_total = 0  # TIME_REQUESTs without an answer
        self._sent_total = 0  # bytes
        self._read_total = 0  # of them, those that the board has surely read
        self._markers: list[tuple[int, int, int]] = []  # (token, sent_ms, _sent_total behind it)
        self._asked_ms = -1  # when the last one left; -1: none yet
        self._last_ms = 0  # when anything was last sent
        self._is_due = False

    @property
    def in_flight(self) -> int:
        """Bytes sent that the board may not have read."""
        return self._sent_total - self._read_total

    def ask(self) -> None:
        """Send a TIME_REQUEST at the next opportunity."""
        self._is_due = True

    def frame(self, payload: bytes, now_ms: int) -> bytes:
        """Return `payload` framed, b"" if the board must first read what is on its way."""
        return self._frame(payload, now_ms, session.IN_FLIGHT_MAX - _RESERVE_SIZE, self._seal)

    def unsealed_frame(self, payload: bytes, now_ms: int) -> bytes:
        """Return `payload` as `frame` does, without a seal: there is no session yet."""
        return self._frame(payload, now_ms, session.IN_FLIGHT_MAX - _RESERVE_SIZE, None)

    def _frame(self, payload: bytes, now_ms: int, limit: int, seal: "Seal | None") -> bytes:
        if self.in_flight + len(payload) + _OVERHEAD > limit:
            return b""  # before a seal is made: that is work
        if seal is not None:
            payload = seal.seal(payload)
        framed = encode_for_board(payload)
        if self.in_flight + len(framed) > limit:
            return b""
        self._sent_total += len(framed)
        self._last_ms = now_ms
        return framed

    def marker(self, tag: int, now_ms: int) -> bytes:
        """Return a TIME_REQUEST if one is due and there is room, else b""."""
        if self._markers:
            if elapsed_ms(now_ms, self._asked_ms) < session.TIME_AGAIN_MS:
                return b""
        elif not self._is_due and self.in_flight < _MARK_AT:
            return b""
        if self._seal is not None and self._seal.session is None:
            return b""  # the board could not open it
        token = (self.token + 1) & 0xFFFF
        request = message.pack(message.TIME_REQUEST, tag, token)
        framed = self._frame(request, now_ms, session.IN_FLIGHT_MAX, self._seal)
        if framed:
            self.token = token
            self._markers.append((token, now_ms, self._sent_total))
            self._asked_ms = now_ms
            self._is_due = False
        return framed

    def answered(self, token: int) -> int:
        """Take the answer to a TIME_REQUEST; return when that left, -1 if it is not awaited."""
        for index in range(len(self._markers)):
            if self._markers[index][0] == token:
                _, sent_ms, self._read_total = self._markers[index]
                self.time_lost_total += index
                self._markers = self._markers[index + 1 :]
                return sent_ms
        return -1

    def settle(self, now_ms: int, heard_ms: int) -> None:
        """Count all as read if the board was heard, at `heard_ms`, long after the last of it."""
        if elapsed_ms(now_ms, heard_ms) + session.SETTLED_MS <= elapsed_ms(now_ms, self._last_ms):
            self._read_total = self._sent_total
            self.time_lost_total += len(self._markers)
            self._markers = []

    def run(self, now_ms: int) -> None:
        """Ask for the time anew at the regular interval."""
        if self._asked_ms < 0 or elapsed_ms(now_ms, self._asked_ms) >= session.TIME_INTERVAL_MS:
            self._is_due = True
