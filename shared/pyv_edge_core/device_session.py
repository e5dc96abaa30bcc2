"""The board's end of a link. See `session` for the whole; the host's is `host_session`.

Promises: a reading leaves its ring only when the host has committed it; what
the ring overwrote is announced as a GAP before anything behind it; a host that
is away costs nothing but ring space.
"""

from . import channel_table, message, session
from ._compat import TYPE_CHECKING, const
from .errors import MessageError
from .frame import FrameDecoder, encode
from .reading import STREAM_TELEMETRY
from .record_ring import RecordRing
from .session import elapsed_ms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .reading import Channel

_OUTGOING_MAX = const(40)  # messages waiting to leave, beside the rings
_RECEIVE_SIZE_MAX = const(256)


class Identity:
    """Who a board is, as its HELLO says it."""

    def __init__(self, device: str, boot: int, board: str, firmware: str, core: str) -> None:
        self.device = device
        self.boot = boot
        self.board = board
        self.firmware = firmware
        self.core = core
        self.reset_cause = 0  # index into message.RESET_CAUSES
        self.config_hash = 0
        self.policy_hash = 0


class _Outbound:
    """How far one stream is sent and acknowledged."""

    def __init__(self, stream: int, ring: RecordRing) -> None:
        self.stream = stream
        self.ring = ring
        self.sent_seq = 0  # next number to send
        self.acked_seq = 0  # this host has committed everything below
        self.released_seq = 0  # some host had: the ring no longer holds it
        self.resend_ms = session.RESEND_MS
        self.progress_ms = 0  # last time an ACK moved, or sending began
        self.unsent_ms = 0  # since when readings wait for a fuller frame
        self.is_waiting = False  # whether `unsent_ms` is running


class DeviceSession:
    """Sends two rings to a host until it has committed them."""

    def __init__(
        self,
        identity: Identity,
        channels: "Sequence[Channel | channel_table.AlertRow]",
        telemetry: RecordRing,
        events: RecordRing,
    ) -> None:
        self.identity = identity
        self.state = session.GREETING
        self.decoder = FrameDecoder(_RECEIVE_SIZE_MAX)
        self.bad_messages_total = 0
        self.unknown_messages_total = 0
        self.stale_total = 0  # messages for another boot
        self.resends_total = 0  # rewinds after silence or on request
        self.outgoing_dropped_total = 0  # VITALS and LOG that found no room
        self._tag = identity.boot & 0xFFFF
        self._channels = channels
        self._streams = (_Outbound(0, telemetry), _Outbound(1, events))
        # (an index is a stream's number: reading.STREAM_TELEMETRY, STREAM_EVENTS)
        self._window = 0
        self._outgoing: list[bytes] = []
        self._time_token = -1
        self._hello_ms = -1  # when HELLO and its CHANNELS were last said; -1: not yet
        self._heard_ms = 0

    # -- from the host -------------------------------------------------------------

    def receive(self, data: bytes, now_ms: int) -> None:
        """Take bytes from the host."""
        for payload in self.decoder.feed(data):
            try:
                parsed = message.parse(payload)
            except MessageError:
                self.bad_messages_total += 1
                continue
            if parsed is None:
                self.unknown_messages_total += 1
                continue
            self._take(parsed[0], parsed[1], now_ms)
        self.decoder.take_console()  # what else comes down the wire is not for us

    def _take(self, kind: int, received: "Any", now_ms: int) -> None:
        # Only these two are for whoever is there; the rest names its boot.
        if kind == message.TIME_REQUEST:
            self._time_token = received.token
            self._heard_ms = now_ms
            return
        if kind == message.HELLO_REQUEST:
            if self.state == session.UP:
                self._greet_anew()
            return
        if received.tag != self._tag:
            self.stale_total += 1
            return
        self._heard_ms = now_ms
        if kind == message.WELCOME:
            self._welcome(received, now_ms)
        elif kind == message.ACK:
            self._acknowledge(received, now_ms)
        else:
            self.bad_messages_total += 1  # a message that only boards send

    def _welcome(self, welcome: "Any", now_ms: int) -> None:
        resume = (welcome.telemetry_resume, welcome.events_resume)
        if welcome.boot != self.identity.boot:
            self.stale_total += 1
            return
        for outbound in self._streams:
            if resume[outbound.stream] > outbound.ring.next_seq:
                self.bad_messages_total += 1  # it claims readings that we never took
                return
        self._window = min(welcome.window, session.WINDOW_MAX)
        self._outgoing = []
        for outbound in self._streams:
            # A host that lost its store resumes below `released_seq`: a GAP will say so.
            seq = resume[outbound.stream]
            outbound.acked_seq = outbound.sent_seq = seq
            outbound.released_seq = max(outbound.released_seq, seq)
            outbound.ring.release(seq)
            outbound.progress_ms = now_ms
            outbound.resend_ms = session.RESEND_MS
            outbound.is_waiting = False
        self.state = session.UP

    def _acknowledge(self, ack: "Any", now_ms: int) -> None:
        if self.state != session.UP:
            self.stale_total += 1
            return
        outbound = self._streams[ack.stream]
        committed = ack.committed
        wanted = ack.wanted
        if not committed <= wanted <= outbound.ring.next_seq:
            self.bad_messages_total += 1
            return
        if committed > outbound.acked_seq:  # it may pass `sent_seq`, if we have gone back since
            outbound.acked_seq = committed
            outbound.released_seq = max(outbound.released_seq, committed)
            outbound.sent_seq = max(outbound.sent_seq, committed)
            outbound.ring.release(committed)
            outbound.progress_ms = now_ms
            outbound.resend_ms = session.RESEND_MS
        if ack.flags & message.ACK_RESEND and outbound.acked_seq <= wanted < outbound.sent_seq:
            outbound.sent_seq = wanted
            self.resends_total += 1

    def _greet_anew(self) -> None:
        self.state = session.GREETING
        self._hello_ms = -1
        self._outgoing = []

    # -- to the host ---------------------------------------------------------------

    def transmit(self, now_ms: int, uptime_s: int, uptime_ms: int) -> bytes:
        """Return the next frame to put on the wire, b"" if there is nothing to say.

        Call it only when the frame before is wholly written.
        """
        if self._time_token >= 0:
            token = self._time_token
            self._time_token = -1
            return encode(
                message.pack(message.TIME_RESPONSE, self._tag, token, uptime_s, uptime_ms)
            )
        if self.state == session.GREETING:
            if not self._outgoing and (
                self._hello_ms < 0
                or elapsed_ms(now_ms, self._hello_ms) >= session.HELLO_INTERVAL_MS
            ):
                self._hello_ms = now_ms
                self._outgoing = channel_table.pack(self._tag, self._channels)
                return encode(self._hello(uptime_s, uptime_ms))
        elif elapsed_ms(now_ms, self._heard_ms) >= session.HOST_SILENCE_MS:
            self._greet_anew()
            return b""
        else:
            payload = self._next_data(self._streams[1], now_ms)
            if not self._outgoing and not payload:
                payload = self._next_data(self._streams[0], now_ms)
            if payload:
                return encode(payload)
        if self._outgoing:
            self._hello_ms = now_ms  # the next HELLO is due a while after the last CHANNELS
            return encode(self._outgoing.pop(0))
        return b""

    def report(self, payload: bytes) -> bool:
        """Queue a VITALS or LOG message; return False (and count it) if the host isn't there."""
        if self.state != session.UP or len(self._outgoing) >= _OUTGOING_MAX:
            self.outgoing_dropped_total += 1
            return False
        self._outgoing.append(payload)
        return True

    @property
    def tag(self) -> int:
        """What this boot's messages carry."""
        return self._tag

    @property
    def in_flight(self) -> int:
        """Readings of both streams that no ACK covers yet."""
        return sum([len(outbound.ring) for outbound in self._streams])

    def _hello(self, uptime_s: int, uptime_ms: int) -> bytes:
        identity = self.identity
        telemetry, events = self._streams[0].ring, self._streams[1].ring
        return message.pack(
            message.HELLO,
            self._tag,
            identity.boot,
            uptime_s,
            uptime_ms,
            message.VERSION,
            identity.reset_cause,
            len(self._channels),
            channel_table.crc(self._channels),
            telemetry.first_seq,
            telemetry.next_seq,
            events.first_seq,
            events.next_seq,
            telemetry.capacity,
            telemetry.dropped_total,
            identity.config_hash,
            identity.policy_hash,
            identity.device,
            identity.board,
            identity.firmware,
            identity.core,
        )

    def _next_data(self, outbound: _Outbound, now_ms: int) -> bytes:
        """Return the stream's next GAP or DATA message, b"" if none is due."""
        ring = outbound.ring
        if outbound.sent_seq > outbound.acked_seq:
            if elapsed_ms(now_ms, outbound.progress_ms) >= outbound.resend_ms:
                outbound.sent_seq = outbound.acked_seq
                outbound.resend_ms = min(outbound.resend_ms * 2, session.RESEND_MS_MAX)
                outbound.progress_ms = now_ms
                self.resends_total += 1
        else:
            outbound.progress_ms = now_ms  # nothing is outstanding: the wait begins when we send
        seq = outbound.sent_seq
        if seq < ring.first_seq:
            cause = message.GAP_OVERWRITTEN
            last = ring.first_seq - 1
            if seq < outbound.released_seq:
                cause = message.GAP_RELEASED
                last = min(last, outbound.released_seq - 1)
            outbound.sent_seq = last + 1
            return message.pack(message.GAP, self._tag, outbound.stream, cause, seq, last)
        room = self._window - (seq - outbound.acked_seq)
        if seq == ring.next_seq or room <= 0:
            outbound.is_waiting = False
            return b""
        if outbound.stream == STREAM_TELEMETRY and not ring.is_sealed(seq):
            # More may come into this block: wait a moment for a fuller frame. Events never wait.
            if not outbound.is_waiting:
                outbound.is_waiting = True
                outbound.unsent_ms = now_ms
            if elapsed_ms(now_ms, outbound.unsent_ms) < session.FLUSH_MS:
                return b""
        outbound.is_waiting = False
        count, base_s, base_ms, records = ring.read(seq, min(room, session.RECORDS_PER_FRAME_MAX))
        outbound.sent_seq = seq + count
        return message.pack_data(self._tag, outbound.stream, seq, base_s, base_ms, records)
