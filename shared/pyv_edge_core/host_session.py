"""The host's end of a link. See `session` for the whole; the board's is `device_session`.

Promises: each number of a stream is handed on once and in order, whatever the
wire repeats or loses; nothing is acknowledged before `committed()` says so; no
more is sent ahead of the board than `pacing` allows.

Does not decide where a stream resumes: it asks with a `Greeting` event and
waits for `welcome()`.
"""

from collections import namedtuple

from . import channel_table, message, session
from ._compat import TYPE_CHECKING, const
from .errors import FieldError, MessageError
from .frame import FrameDecoder
from .inbound import Inbound
from .pacing import Pacing
from .reading import Channel
from .record_ring import RECORD_SIZE
from .session import elapsed_ms

if TYPE_CHECKING:
    from typing import Any

# WELCOME has to fit into what may be in flight, however its bytes are stuffed.
_HOST_SIZE_MAX = const(24)

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


class HostSession:
    """Receives a board's streams over one port, from one HELLO after another."""

    def __init__(self, window: int = 1024, host: str = "", pacing: "Pacing | None" = None) -> None:
        """Allow a board `window` uncommitted readings per stream; `host` names our version.

        A session that follows another on the same line goes on with its `pacing`.
        Raises FieldError for a window outside 1..WINDOW_MAX and a name too long for WELCOME.
        """
        if not 1 <= window <= session.WINDOW_MAX:
            raise FieldError("window: %d is outside 1..%d" % (window, session.WINDOW_MAX))
        if len(host.encode()) > _HOST_SIZE_MAX:
            raise FieldError("host: %r is longer than %d bytes" % (host, _HOST_SIZE_MAX))
        self.state = session.WAITING
        self.decoder = FrameDecoder()
        self.window = window
        self.hello: Any = None  # the board's latest HELLO
        self.bad_messages_total = 0
        self.unknown_messages_total = 0
        self.stale_total = 0  # messages of another boot, or out of place
        self.duplicates_total = 0  # readings that came again
        self.window_exceeded_total = 0  # readings refused because the board ran ahead
        self.heard_ms = 0  # last message of the board
        self._host = host
        self._tag = 0
        self._streams = (Inbound(0), Inbound(1))
        self._channels: list[Channel | channel_table.AlertRow] = []
        self._greeting: Any = None  # HELLO whose channel table is not complete yet
        self._welcome = b""
        self._hello_request_due = False
        self._hello_request_ms = -1
        self.pacing = pacing or Pacing()
        self._greeted_ms = 0  # when the last Greeting was handed on
        self._timed_boot = -1  # the boot whose uptime we know

    @property
    def resend_requests_total(self) -> int:
        """Times that something was found missing and asked for."""
        return sum([inbound.resend_requests_total for inbound in self._streams])

    @property
    def time_lost_total(self) -> int:
        """TIME_REQUESTs that were not answered in time."""
        return self.pacing.time_lost_total

    @property
    def in_flight(self) -> int:
        """Bytes sent that the board may not have read."""
        return self.pacing.in_flight

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
            self._take_hello(received, now_ms, events)
        elif kind == message.CHANNELS:
            self._take_channels(received, now_ms, events)
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

    def _take_hello(self, hello: "Any", now_ms: int, events: "list[Any]") -> None:
        if hello.boot & 0xFFFF != hello.tag:
            self.bad_messages_total += 1
            return
        if self.state == session.GREETED:
            # It repeats itself while we look up where to resume, or until it hears us.
            patience_ms = session.HELLO_INTERVAL_MS // 2
            if self.hello.boot == hello.boot:
                if self._welcome:
                    return
                patience_ms = session.GREETING_LOST_MS
            if elapsed_ms(now_ms, self._greeted_ms) < patience_ms:
                return
        self._greeting = hello
        self._channels = []
        self.pacing.ask()
        if not hello.channel_count:
            self._end_greeting(now_ms, events)

    def _take_channels(self, received: "Any", now_ms: int, events: "list[Any]") -> None:
        greeting = self._greeting
        if greeting is None or received.tag != greeting.tag:
            return  # of a HELLO that we have answered or never saw
        if received.first != len(self._channels):
            return  # one was lost: the next HELLO brings them all again
        try:
            self._channels.extend(channel_table.parse(received.entries))
        except MessageError:
            self.bad_messages_total += 1
            return
        if len(self._channels) < greeting.channel_count:
            return
        if channel_table.crc(self._channels) != greeting.channels_crc:
            self.bad_messages_total += 1
            self._channels = []
            return
        self._end_greeting(now_ms, events)

    def _end_greeting(self, now_ms: int, events: "list[Any]") -> None:
        self.hello = self._greeting
        self._greeted_ms = now_ms
        self._greeting = None
        self._tag = self.hello.tag
        self._welcome = b""
        self.state = session.GREETED
        events.append(Greeting(self.hello, self._channels))

    def _take_time(self, response: "Any", now_ms: int, events: "list[Any]") -> None:
        sent_ms = self.pacing.answered(response.token)
        if sent_ms < 0:
            self.stale_total += 1
            return
        greeted = self.hello if self._greeting is None else self._greeting
        if greeted is not None and response.tag == greeted.tag:
            uptime_s, uptime_ms = response.uptime_s, response.uptime_ms
            events.append(TimeExchange(sent_ms, now_ms, uptime_s, uptime_ms, greeted.boot))
            self._timed_boot = greeted.boot

    def _take_data(self, data: "Any", now_ms: int, events: "list[Any]") -> None:
        inbound = self._streams[data.stream]
        end = data.first_seq + len(data.records) // RECORD_SIZE
        known = inbound.known(data.first_seq, end, now_ms)
        if known < 0:
            self._hello_request_due = inbound.is_stuck(now_ms)
            return
        self.duplicates_total += known
        first_seq = data.first_seq + known
        if first_seq == end:
            return
        if end - inbound.committed_seq > self.window:
            self.window_exceeded_total += end - first_seq
            return
        inbound.take(end)
        records = data.records[known * RECORD_SIZE :] if known else data.records
        events.append(
            Batch(data.stream, first_seq, data.base_s, data.base_ms, records, self.hello.boot)
        )

    def _take_gap(self, gap: "Any", now_ms: int, events: "list[Any]") -> None:
        inbound = self._streams[gap.stream]
        known = inbound.known(gap.first_seq, gap.last_seq + 1, now_ms)
        first_seq = gap.first_seq + known
        if known < 0 or first_seq > gap.last_seq:
            return
        inbound.take(gap.last_seq + 1)
        events.append(Loss(gap.stream, gap.cause, first_seq, gap.last_seq, self.hello.boot))

    # -- from the store ------------------------------------------------------------

    def welcome(self, boot: int, telemetry_resume: int, events_resume: int) -> bool:
        """Let the greeting board of `boot` send from these numbers on.

        The WELCOME leaves when the board has told its uptime. Returns False, and
        does nothing, if that board is no longer the one greeting.
        """
        if self.state != session.GREETED or self._welcome or self.hello.boot != boot:
            return False
        for inbound, resume in zip(self._streams, (telemetry_resume, events_resume)):
            inbound.resume(resume)
        self._welcome = message.pack(
            message.WELCOME,
            self._tag,
            boot,
            self.window,
            telemetry_resume,
            events_resume,
            self._host,
        )
        return True

    def committed(self, boot: int, stream: int, next_seq: int) -> bool:
        """Acknowledge everything of `boot`'s stream below `next_seq`: it is durable.

        Returns False, and says nothing to the board, if another boot is connected by now.
        """
        if self.state != session.UP or self.hello.boot != boot:
            return False
        return self._streams[stream].commit(next_seq)

    # -- to the board --------------------------------------------------------------

    def transmit(self, now_ms: int) -> bytes:
        """Return bytes to write to the port now, b"" if there is nothing to say."""
        if self.state != session.WAITING:
            self.pacing.run(now_ms, self.heard_ms)
        out = b""
        # Not before we know its uptime: readings that come after the WELCOME must be dated.
        if self._welcome and self._timed_boot == self.hello.boot:
            out = self.pacing.frame(self._welcome, now_ms)
            if out:
                self._welcome = b""
                self.state = session.UP
        if self.state == session.UP:
            for inbound in (self._streams[1], self._streams[0]):
                if inbound.ack_due:
                    framed = self.pacing.frame(inbound.ack(self._tag), now_ms)
                    if framed:
                        inbound.acked()
                        out += framed
        if self._hello_request_due:
            out += self._ask_hello(now_ms)
        return out + self.pacing.marker(self._tag, now_ms)

    def _ask_hello(self, now_ms: int) -> bytes:
        self._hello_request_due = False
        asked_ms = self._hello_request_ms
        if asked_ms >= 0 and elapsed_ms(now_ms, asked_ms) < session.HELLO_REQUEST_MS:
            return b""
        framed = self.pacing.frame(message.pack(message.HELLO_REQUEST, 0), now_ms)
        if framed:
            self._hello_request_ms = now_ms
        return framed
