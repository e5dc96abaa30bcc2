"""One numbered stream at the host's end: which numbers are new, what to acknowledge, what to ask.

    committed_seq <= received_seq
    in the store     taken, on its way there

A number is taken only if it is the next one. What lies below is known and only
acknowledged again; what lies above shows that something is missing, and since a
board sends in order, all from there on is asked for again.
"""

from . import message, session
from ._compat import TYPE_CHECKING
from .host_event import Batch, Loss
from .record_ring import RECORD_SIZE
from .session import elapsed_ms

if TYPE_CHECKING:
    from typing import Any


class Inbound:
    """How far one stream is received and committed."""

    def __init__(self, stream: int, window: int) -> None:
        """Receive a stream of which at most `window` readings may be uncommitted."""
        self.stream = stream
        self.duplicates_total = 0  # readings that came again
        self.window_exceeded_total = 0  # readings refused because the board ran ahead
        self._window = window
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

    def take_data(
        self, first_seq: int, base_s: int, base_ms: int, records: bytes, boot: int, now_ms: int
    ) -> "Batch | None":
        """Return what is new in a DATA message if it is next; ask again for what is missing."""
        end_seq = first_seq + len(records) // RECORD_SIZE
        if first_seq != self.received_seq:
            known = self._known(first_seq, end_seq, now_ms)
            if known < 0:
                return None
            self.duplicates_total += known
            first_seq += known
            if first_seq == end_seq:
                return None
            records = records[known * RECORD_SIZE :]
        if end_seq - self.committed_seq > self._window:
            self.window_exceeded_total += end_seq - first_seq
            return None
        self.received_seq = end_seq
        self._asked_ms = -1
        return Batch(self.stream, first_seq, base_s, base_ms, records, boot)

    def take_gap(self, gap: "Any", boot: int, now_ms: int) -> "Loss | None":
        """Return what is new in a GAP message if it is next; ask again for what is missing."""
        known = self._known(gap.first_seq, gap.last_seq + 1, now_ms)
        first_seq = gap.first_seq + known
        if known < 0 or first_seq > gap.last_seq:
            return None
        self.received_seq = gap.last_seq + 1
        self._asked_ms = -1
        return Loss(self.stream, gap.cause, first_seq, gap.last_seq, boot)

    def _known(self, first_seq: int, end_seq: int, now_ms: int) -> int:
        """Return how many of the numbers from `first_seq` below `end_seq` we have.

        -1 if numbers before them are missing, which are then asked for.
        """
        if first_seq > self.received_seq:
            self._ask(now_ms)
            return -1
        if first_seq < self.received_seq:
            self.ack_due = True  # the ACK for them was lost, or is late
        return min(self.received_seq, end_seq) - first_seq

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
