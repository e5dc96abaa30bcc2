"""What a host has to say to a board, each thing when there is room for it.

In this order: the answer to its greeting, acknowledgements, the question who
it is, requests. `pacing` decides whether there is room; what finds none
waits, and nothing is said twice for having waited.
"""

from . import message, session
from ._compat import TYPE_CHECKING, const
from .errors import FieldError
from .inbound import Inbound
from .pacing import Pacing
from .session import elapsed_ms

if TYPE_CHECKING:
    from .challenge import Challenge
    from .requester import Requester

# WELCOME has to fit into what may be in flight, however its bytes are stuffed.
_HOST_SIZE_MAX = const(24)


class Downlink:
    """The sending half of a host's end."""

    def __init__(
        self,
        pacing: Pacing,
        challenge: "Challenge | None",
        requester: "Requester | None",
        window: int,
        host: str,
    ) -> None:
        """Speak for a host of version `host`. Raises FieldError if WELCOME can't hold it."""
        if len(host.encode()) > _HOST_SIZE_MAX:
            raise FieldError("host: %r is longer than %d bytes" % (host, _HOST_SIZE_MAX))
        self.reply = b""  # WELCOME or REFUSAL that is to leave
        self.is_welcome = False  # which of them it is, or was
        self._pacing = pacing
        self._challenge = challenge
        self._requester = requester
        self._window = window
        self._host = host
        self._is_hello_due = False
        self._is_known = False  # whether the board that is asked knows our seal
        self._hello_asked_ms = -1

    def welcome(self, tag: int, boot: int, telemetry: int, events: int) -> None:
        """Answer a greeting: go on at these numbers of the two streams."""
        self.is_welcome = True
        self.reply = message.pack(
            message.WELCOME, tag, boot, self._window, telemetry, events, self._host
        )

    def refuse(self, tag: int, reason: int, retry_s: int) -> None:
        """Answer a greeting with a REFUSAL."""
        versions = (message.VERSION_MIN, message.VERSION)
        self.is_welcome = False
        self.reply = message.pack(message.REFUSAL, tag, reason, *versions, retry_s)

    def send_reply(self, now_ms: int) -> bytes:
        """Return the framed answer to a greeting if there is one."""
        framed = self._pacing.frame(self.reply, now_ms) if self.reply else b""
        if framed:
            self.reply = b""
        return framed

    def acknowledge(self, streams: "tuple[Inbound, Inbound]", tag: int, now_ms: int) -> bytes:
        """Return the ACKs that are due, events first."""
        out = b""
        for inbound in (streams[1], streams[0]):
            if inbound.ack_due:
                framed = self._pacing.frame(inbound.ack(tag), now_ms)
                if framed:
                    inbound.acked()
                    out += framed
        return out

    def request(self, tag: int, boot: int, now_ms: int, uptime_ms: int) -> bytes:
        """Return what is to be asked of the boot, whose uptime is about `uptime_ms`."""
        requester = self._requester
        if requester is None:
            return b""
        payload = requester.next_message(tag, boot, now_ms, uptime_ms)
        if not payload:
            return b""
        framed = self._pacing.frame(payload, now_ms)
        if framed:
            requester.sent(boot, now_ms)
        elif not self._pacing.in_flight:
            requester.shrink()
        return framed

    def ask_hello(self, is_known: bool) -> None:
        """Ask for a HELLO at the next opportunity; `is_known`: under the seal, if there is one."""
        self._is_hello_due = True
        self._is_known = is_known

    def send_hello_request(self, now_ms: int) -> bytes:
        """Return a HELLO_REQUEST if one is due, there is room, and the last is long enough ago."""
        if not self._is_hello_due:
            return b""
        self._is_hello_due = False
        asked_ms = self._hello_asked_ms
        if asked_ms >= 0 and elapsed_ms(now_ms, asked_ms) < session.HELLO_REQUEST_MS:
            return b""
        challenge = (0, 0) if self._challenge is None else self._challenge.value
        request = message.pack(message.HELLO_REQUEST, 0, *challenge)
        frame = self._pacing.frame if self._is_known else self._pacing.unsealed_frame
        framed = frame(request, now_ms)
        if framed:
            self._hello_asked_ms = now_ms
        return framed
