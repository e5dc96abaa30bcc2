"""The host's end of a link. See `session` for the whole; the board's is `device_session`.

Promises: each number of a stream is handed on once and in order, whatever the
wire repeats or loses; nothing is acknowledged before `committed()` says so; at
most IN_FLIGHT_MAX bytes are on their way to a board that may not have read
them (it proves that it has by answering a TIME_REQUEST, which therefore also
marks how far it has read).

Does not decide where a stream resumes: it asks with a `Greeting` event and
waits for `welcome()`.
"""

from collections import namedtuple

from . import message, session
from ._compat import TYPE_CHECKING, const
from .errors import MessageError
from .frame import FrameDecoder, encode_for_board
from .reading import Channel
from .ring import RECORD_SIZE
from .session import elapsed_ms

if TYPE_CHECKING:
    from typing import Any

_MARKER_SIZE_MAX = const(24)  # a TIME_REQUEST with every byte stuffed
_MARK_AT = const(100)  # bytes in flight at which we ask for a sign of life

Greeting = namedtuple("Greeting", ("hello", "channels"))
"""A board wants to be welcomed: answer with `HostSession.welcome()`."""
Batch = namedtuple("Batch", ("stream", "first_seq", "base_s", "base_ms", "records", "boot"))
"""Readings in order, never handed on before: `records` is whole slots, see `ring`."""
Loss = namedtuple("Loss", ("stream", "cause", "first_seq", "last_seq", "boot"))
"""Numbers that the board can no longer send, and why (message.GAP_CAUSES)."""
TimeExchange = namedtuple(
    "TimeExchange", ("sent_ms", "received_ms", "uptime_s", "uptime_ms", "boot")
)
"""The board's uptime was read after `sent_ms` and before `received_ms`."""
Report = namedtuple("Report", ("kind", "message", "boot"))
"""VITALS or LOG, as parsed."""


class _Inbound:
    """How far one stream is received and committed."""

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.received_seq = 0  # next number we take
        self.committed_seq = 0  # everything below is in the store
        self.ack_due = False
        self.resend_due = False  # the next ACK asks for a resend
        self.resend_ms = -1  # when we last asked; -1: not for this place
        self.resend_seq = 0  # the place


class HostSession:
    """Receives a board's streams over one port, from one HELLO after another."""

    def __init__(self, window: int = 1024, host: str = "") -> None:
        """Allow a board `window` uncommitted readings per stream; `host` names our version."""
        self.state = session.WAITING
        self.decoder = FrameDecoder()
        self.window = min(window, session.WINDOW_MAX)
        self.hello: Any = None  # the board's latest HELLO
        self.bad_messages_total = 0
        self.unknown_messages_total = 0
        self.stale_total = 0  # messages of another boot, or out of place
        self.duplicates_total = 0  # readings that came again
        self.resend_requests_total = 0  # frames found missing
        self.window_exceeded_total = 0  # readings refused because the board ran ahead
        self.time_lost_total = 0  # TIME_REQUESTs without an answer
        self.heard_ms = 0  # last message of the board
        self._host = host
        self._tag = 0
        self._streams = (_Inbound(0), _Inbound(1))
        self._channels: list[Channel] = []
        self._greeting: Any = None  # HELLO whose channel table is not complete yet
        self._welcome = b""
        self._hello_request_due = False
        self._hello_request_ms = -1
        self._token = 0
        self._time_due = False
        self._time_sent_ms = -1  # when the outstanding TIME_REQUEST left; -1: none is out
        self._time_asked_ms = -1  # when the last one left
        self._in_flight = 0  # bytes sent that the board may not have read
        self._after_marker = 0  # of those, sent behind the outstanding TIME_REQUEST

    @property
    def state_name(self) -> str:
        """The state as a word, for logs and health."""
        return session.STATE_NAMES[self.state]

    # -- from the board ------------------------------------------------------------

    def receive(self, data: bytes, now_ms: int) -> "list[Any]":
        """Take bytes from the port; return what they mean, in order.

        A list of Greeting, Batch, Loss, TimeExchange and Report. Console text
        is in `decoder.take_console()`.
        """
        events: list[Any] = []
        for payload in self.decoder.feed(data):
            try:
                parsed = message.parse(payload)
            except MessageError:
                self.bad_messages_total += 1
                continue
            if parsed is None:
                self.unknown_messages_total += 1
                continue
            self.heard_ms = now_ms
            self._take(parsed[0], parsed[1], now_ms, events)
        return events

    def _take(self, kind: int, received: "Any", now_ms: int, events: "list[Any]") -> None:
        if kind == message.HELLO:
            self._take_hello(received, events)
        elif kind == message.CHANNELS:
            self._take_channels(received, events)
        elif kind == message.TIME_RESPONSE:
            self._take_time(received, now_ms, events)
        elif self.state == session.WAITING or received.tag != self._tag:
            self.stale_total += 1
            self._hello_request_due = self.state != session.GREETED
        elif kind == message.VITALS or kind == message.LOG:
            events.append(Report(kind, received, self.hello.boot))
        elif self.state != session.UP:
            self.stale_total += 1  # sent before the HELLO that we are answering
        elif kind == message.DATA:
            self._take_data(received, now_ms, events)
        elif kind == message.GAP:
            self._take_gap(received, now_ms, events)
        else:
            self.bad_messages_total += 1  # a message that only hosts send

    def _take_hello(self, hello: "Any", events: "list[Any]") -> None:
        if self.state == session.GREETED and self.hello.boot == hello.boot:
            return  # it repeats itself while we look up where to resume
        if hello.boot & 0xFFFF != hello.tag:
            self.bad_messages_total += 1
            return
        self._greeting = hello
        self._channels = []
        self._time_due = True
        if not hello.channel_count:
            self._end_greeting(events)

    def _take_channels(self, received: "Any", events: "list[Any]") -> None:
        greeting = self._greeting
        if greeting is None or received.tag != greeting.tag:
            return  # of a HELLO that we have answered or never saw
        if received.first != len(self._channels):
            return  # one was lost: the next HELLO brings them all again
        self._channels.extend(received.channels)
        if len(self._channels) < greeting.channel_count:
            return
        if message.channels_crc(self._channels) != greeting.channels_crc:
            self.bad_messages_total += 1
            self._channels = []
            return
        self._end_greeting(events)

    def _end_greeting(self, events: "list[Any]") -> None:
        self.hello = self._greeting
        self._greeting = None
        self._tag = self.hello.tag
        self._welcome = b""
        self.state = session.GREETED
        events.append(Greeting(self.hello, self._channels))

    def _take_time(self, response: "Any", now_ms: int, events: "list[Any]") -> None:
        if self._time_sent_ms < 0 or response.token != self._token:
            self.stale_total += 1
            return
        greeted = self.hello if self._greeting is None else self._greeting
        if greeted is not None and response.tag == greeted.tag:
            events.append(
                TimeExchange(
                    self._time_sent_ms,
                    now_ms,
                    response.uptime_s,
                    response.uptime_ms,
                    greeted.boot,
                )
            )
        self._time_sent_ms = -1
        self._in_flight = self._after_marker

    def _take_data(self, data: "Any", now_ms: int, events: "list[Any]") -> None:
        inbound = self._streams[data.stream]
        count = len(data.records) // RECORD_SIZE
        known = inbound.received_seq - data.first_seq  # records of it that we have
        if known < 0:
            self._ask_resend(inbound, now_ms)
            return
        if known:
            self.duplicates_total += min(known, count)
            inbound.ack_due = True  # the ACK for them was lost, or is late
            if known >= count:
                return
        end = data.first_seq + count
        if end - inbound.committed_seq > self.window:
            self.window_exceeded_total += count - known
            return
        inbound.received_seq = end
        inbound.resend_ms = -1
        records = data.records[known * RECORD_SIZE :] if known else data.records
        first_seq = data.first_seq + known
        events.append(
            Batch(data.stream, first_seq, data.base_s, data.base_ms, records, self.hello.boot)
        )

    def _take_gap(self, gap: "Any", now_ms: int, events: "list[Any]") -> None:
        inbound = self._streams[gap.stream]
        if gap.first_seq > inbound.received_seq:
            self._ask_resend(inbound, now_ms)
            return
        if gap.last_seq < inbound.received_seq:
            inbound.ack_due = True
            return
        first_seq = inbound.received_seq
        inbound.received_seq = gap.last_seq + 1
        inbound.resend_ms = -1
        events.append(Loss(gap.stream, gap.cause, first_seq, gap.last_seq, self.hello.boot))

    def _ask_resend(self, inbound: _Inbound, now_ms: int) -> None:
        """Ask once per RESEND_REQUEST_MS for what is missing; all behind it comes again too."""
        is_asked = inbound.resend_ms >= 0 and inbound.resend_seq == inbound.received_seq
        if is_asked and elapsed_ms(now_ms, inbound.resend_ms) < session.RESEND_REQUEST_MS:
            return
        inbound.resend_ms = now_ms
        inbound.resend_seq = inbound.received_seq
        inbound.resend_due = inbound.ack_due = True
        self.resend_requests_total += 1

    # -- from the store ------------------------------------------------------------

    def welcome(self, boot: int, telemetry_resume: int, events_resume: int) -> bool:
        """Let the greeting board of `boot` send from these numbers on.

        Returns False, and does nothing, if that board is no longer the one greeting.
        """
        if self.state != session.GREETED or self.hello.boot != boot:
            return False
        for inbound, resume in zip(self._streams, (telemetry_resume, events_resume)):
            inbound.received_seq = inbound.committed_seq = resume
            inbound.ack_due = inbound.resend_due = False
            inbound.resend_ms = -1
        self._welcome = message.pack(
            message.WELCOME,
            self._tag,
            boot,
            self.window,
            telemetry_resume,
            events_resume,
            self._host,
        )
        self.state = session.UP
        return True

    def committed(self, boot: int, stream: int, next_seq: int) -> bool:
        """Acknowledge everything of `boot`'s stream below `next_seq`: it is durable.

        Returns False, and says nothing to the board, if another boot is connected by now.
        """
        inbound = self._streams[stream]
        if self.state != session.UP or self.hello.boot != boot:
            return False
        if not inbound.committed_seq <= next_seq <= inbound.received_seq:
            return False
        inbound.committed_seq = next_seq
        inbound.ack_due = True
        return True

    # -- to the board --------------------------------------------------------------

    def transmit(self, now_ms: int) -> bytes:
        """Return bytes to write to the port now, b"" if there is nothing to say."""
        self._run_timers(now_ms)
        frames = []
        if self._welcome and self._take_room(len(self._welcome) * 2 + 10):
            frames.append(self._send(self._welcome))
            self._welcome = b""
        for inbound in (self._streams[1], self._streams[0]):
            if inbound.ack_due and not self._welcome and self.state == session.UP:
                flags = message.ACK_RESEND if inbound.resend_due else 0
                ack = message.pack(
                    message.ACK,
                    self._tag,
                    inbound.stream,
                    flags,
                    inbound.committed_seq,
                    inbound.received_seq,
                )
                if self._take_room(len(ack) * 2 + 10):
                    frames.append(self._send(ack))
                    inbound.ack_due = inbound.resend_due = False
        if self._hello_request_due and self._take_room(_MARKER_SIZE_MAX):
            self._hello_request_due = False
            asked = self._hello_request_ms
            if asked < 0 or elapsed_ms(now_ms, asked) >= session.HELLO_REQUEST_MS:
                self._hello_request_ms = now_ms
                frames.append(self._send(message.pack(message.HELLO_REQUEST, 0)))
        if self._time_sent_ms < 0 and (self._time_due or self._in_flight >= _MARK_AT):
            frames.append(self._ask_time(now_ms))
        return b"".join(frames)

    def _run_timers(self, now_ms: int) -> None:
        if self._time_sent_ms >= 0:
            if elapsed_ms(now_ms, self._time_sent_ms) >= session.TIME_TIMEOUT_MS:
                # Lost on the way there or back. What went before it is read or lost by now.
                self.time_lost_total += 1
                self._time_sent_ms = -1
                self._in_flight = 0
                self._time_due = True
        elif self.state != session.WAITING and (
            elapsed_ms(now_ms, self._time_asked_ms) >= session.TIME_INTERVAL_MS
        ):
            self._time_due = True

    def _take_room(self, size_max: int) -> bool:
        return self._in_flight + size_max <= session.IN_FLIGHT_MAX - _MARKER_SIZE_MAX

    def _send(self, payload: bytes) -> bytes:
        framed = encode_for_board(payload)
        self._in_flight += len(framed)
        self._after_marker += len(framed)
        return framed

    def _ask_time(self, now_ms: int) -> bytes:
        self._token = (self._token + 1) & 0xFFFF
        framed = self._send(message.pack(message.TIME_REQUEST, self._tag, self._token))
        self._after_marker = 0
        self._time_due = False
        self._time_sent_ms = self._time_asked_ms = now_ms
        return framed
