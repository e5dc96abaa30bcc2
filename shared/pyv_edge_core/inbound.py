"""One numbered stream at the host's end: which numbers are new, what to acknowledge, what to ask.

    committed_seq <= received_seq
    in the store     taken, on its way there

A number is taken only if it is the next one. What lies below is known and only
acknowledged again; what lies above shows that something is missing, and since a
board sends in order, all from there on is asked for again.
"""

from . import message, session
from .session import elapsed_ms


class Inbound:
    """How far one stream is received and committed."""

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.received_seq = 0  # next number we take
        self.committed_seq = 0  # everything below is in the store
        self.ack_due = False
        self.resend_requests_total = 0  # times something was found missing and asked for
        self._resend_due = False  # the next ACK asks for a resend
        self._asked_ms = -1  # when a resend was last asked for; -1: not for this place
        self._asked_seq = 0  # the place
        self._asked_since_ms = 0  # when it was first asked for

    def resume(self, seq: int) -> None:
        """Go on at `seq`: everything below is in the store."""
        self.received_seq = self.committed_seq = seq
        self.ack_due = self._resend_due = False
        self._asked_ms = -1

    def commit(self, seq: int) -> bool:
        """Acknowledge everything below `seq`; return False if that makes no sense."""
        if not self.committed_seq <= seq <= self.received_seq:
            return False
        self.committed_seq = seq
        self.ack_due = True
        return True

    def known(self, first_seq: int, end_seq: int, now_ms: int) -> int:
        """Return how many of the numbers from `first_seq` below `end_seq` we have.

        -1 if numbers before them are missing, which are then asked for.
        """
        if first_seq > self.received_seq:
            self._ask(now_ms)
            return -1
        if first_seq < self.received_seq:
            self.ack_due = True  # the ACK for them was lost, or is late
        return min(self.received_seq, end_seq) - first_seq

    def take(self, end_seq: int) -> None:
        """Have received everything below `end_seq`."""
        self.received_seq = end_seq
        self._asked_ms = -1

    def _ask(self, now_ms: int) -> None:
        is_asked = self._asked_ms >= 0 and self._asked_seq == self.received_seq
        if not is_asked:
            self._asked_since_ms = now_ms
        elif elapsed_ms(now_ms, self._asked_ms) < session.RESEND_REQUEST_MS:
            return
        self._asked_ms = now_ms
        self._asked_seq = self.received_seq
        self._resend_due = self.ack_due = True
        self.resend_requests_total += 1

    def is_stuck(self, now_ms: int) -> bool:
        """Return whether the board has long been asked for what it doesn't send."""
        asked_ms = elapsed_ms(now_ms, self._asked_since_ms)
        return self._asked_ms >= 0 and asked_ms >= session.STUCK_MS

    def ack(self, tag: int) -> bytes:
        """Return the ACK message that is due."""
        flags = message.ACK_RESEND if self._resend_due else 0
        return message.pack(
            message.ACK, tag, self.stream, flags, self.committed_seq, self.received_seq
        )

    def acked(self) -> None:
        """Note that the ACK has left."""
        self._resend_due = self.ack_due = False
