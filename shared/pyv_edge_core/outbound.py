"""One numbered stream at the board's end: what to send next, what is acknowledged.

    released_seq <= ... <= acked_seq <= sent_seq <= ring.next_seq
    some host had it       committed    sent

The ring keeps what is not acknowledged, until it overflows: then the numbers
that are gone are announced as a GAP before anything behind them. Silence means
that all from `acked_seq` on is sent again, ever more patiently.
"""

from . import message, session
from ._compat import TYPE_CHECKING
from .reading import STREAM_TELEMETRY
from .session import elapsed_ms

if TYPE_CHECKING:
    from typing import Any


class Outbound:
    """How far one stream is sent and acknowledged."""

    def __init__(self, stream: int, ring: "Any") -> None:
        """Send what is in `ring`: a RecordRing, or what has its members for reading."""
        self.stream = stream
        self.ring = ring
        self.resends_total = 0  # rewinds after silence or on request
        self.acked_seq = 0  # this host has committed everything below
        self._sent_seq = 0  # next number to send
        self.released_seq = 0  # some host had: the ring no longer holds it
        self._resend_ms = session.RESEND_MS
        self._progress_ms = 0  # last time an ACK moved, or sending began
        self._unsent_ms = 0  # since when readings wait for a fuller frame
        self._is_waiting = False  # whether `_unsent_ms` is running

    def resume(self, seq: int, now_ms: int) -> None:
        """Go on at `seq`, where a host's store stands."""
        # A host that lost its store resumes below `released_seq`: a GAP will say so.
        self.acked_seq = self._sent_seq = seq
        self._release(seq, now_ms)
        self._is_waiting = False

    def _release(self, seq: int, now_ms: int) -> None:
        self.released_seq = max(self.released_seq, seq)
        self.ring.release(seq)
        self._progress_ms = now_ms
        self._resend_ms = session.RESEND_MS

    def acknowledge(self, committed: int, wanted: int, is_resend: bool, now_ms: int) -> bool:
        """Free what is committed, go back to `wanted` if asked; return False for nonsense."""
        if not committed <= wanted <= self.ring.next_seq:
            return False
        if committed > self.acked_seq:  # it may pass `_sent_seq`, if we have gone back since
            self.acked_seq = committed
            self._sent_seq = max(self._sent_seq, committed)
            self._release(committed, now_ms)
        if is_resend and self.acked_seq <= wanted < self._sent_seq:
            self._sent_seq = wanted
            self.resends_total += 1
        return True

    def next_message(self, tag: int, window: int, now_ms: int) -> bytes:
        """Return the stream's next GAP or DATA message, b"" if none is due.

        At most `window` readings are sent ahead of the acknowledgement.
        """
        ring = self.ring
        self._rewind(now_ms)
        seq = self._sent_seq
        held = ring.held_from(seq)
        if seq < held:
            cause = message.GAP_OVERWRITTEN
            last = held - 1
            if seq < self.released_seq:
                cause = message.GAP_RELEASED
                last = min(last, self.released_seq - 1)
            self._sent_seq = last + 1
            return message.pack(message.GAP, tag, self.stream, cause, seq, last)
        room = window - (seq - self.acked_seq)
        if seq == ring.next_seq or room <= 0:
            self._is_waiting = False
            return b""
        if self.stream == STREAM_TELEMETRY and not ring.is_sealed(seq):
            # More may come into this block: wait a moment for a fuller frame. Events never wait.
            if not self._is_waiting:
                self._is_waiting = True
                self._unsent_ms = now_ms
            if elapsed_ms(now_ms, self._unsent_ms) < session.FLUSH_MS:
                return b""
        self._is_waiting = False
        count, base_s, base_ms, records = ring.read(seq, min(room, session.RECORDS_PER_FRAME_MAX))
        self._sent_seq = seq + count
        return message.pack_data(tag, self.stream, seq, base_s, base_ms, records)

    def _rewind(self, now_ms: int) -> None:
        """Go back to what is acknowledged if that has not moved for too long."""
        if self._sent_seq <= self.acked_seq:
            self._progress_ms = now_ms  # nothing is outstanding: the wait begins when we send
        elif elapsed_ms(now_ms, self._progress_ms) >= self._resend_ms:
            self._sent_seq = self.acked_seq
            self._resend_ms = min(self._resend_ms * 2, session.RESEND_MS_MAX)
            self._progress_ms = now_ms
            self.resends_total += 1
