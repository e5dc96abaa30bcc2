"""The host's end of a link. See `session` for the whole; the board's is `device_session`.

Promises: each number of a stream is handed on once and in order, whatever the
wire repeats or loses; nothing is acknowledged before `committed()` says so; no
more is sent ahead of the board than `pacing` allows.

Does not decide where a stream resumes: it asks with a `Greeting` event and
waits for `welcome()`.
"""

from . import message, session
from ._compat import TYPE_CHECKING
from .arrival import Arrival
from .downlink import Downlink
from .errors import FieldError, MessageError
from .frame import FrameDecoder
from .host_event import Refusal, Report, TimeExchange
from .host_states import GREETED, LEADS, TABLE, UP, WAITING
from .inbound import Inbound
from .pacing import Pacing
from .seal import SEALED
from .session import STRANGER, elapsed_ms

if TYPE_CHECKING:
    from typing import Any

    from .challenge import Challenge
    from .host_event import Greeting
    from .requester import Requester

_DATA_LEAD = bytes((message.VERSION, message.DATA))


class HostSession:
    """Receives a board's streams over one port, from one HELLO after another."""

    def __init__(
        self,
        window: int = 1024,
        host: str = "",
        pacing: "Pacing | None" = None,
        challenge: "Challenge | None" = None,
        requester: "Requester | None" = None,
    ) -> None:
        """Allow a board `window` uncommitted readings per stream; `host` names our version.

        With a `challenge` only a board that has its key is heard, and `pacing` must seal.
        A session that follows another on the same line goes on with all three objects.
        Raises FieldError for a window outside 1..WINDOW_MAX and a name too long for WELCOME.
        """
        if not 1 <= window <= session.WINDOW_MAX:
            raise FieldError("window: %d is outside 1..%d" % (window, session.WINDOW_MAX))
        self.state = WAITING
        self.decoder = FrameDecoder()
        self.window = window
        self.hello: Any = None  # the board's latest HELLO
        self.bad_messages_total = 0
        self.unknown_messages_total = 0
        self.sealed_total = 0  # messages under a seal, and we have no key
        self.stale_total = 0  # messages of another boot, or out of place
        self.heard_ms = 0  # last message of the board
        self._frame_ms = 0  # last frame, whoever has sent it
        self.pacing = pacing or Pacing(0, challenge.seal if challenge is not None else None)
        self._downlink = Downlink(self.pacing, challenge, requester, window, host)
        self._challenge = challenge
        self._requester = requester
        self._tag = 0
        self._streams = (Inbound(0, window), Inbound(1, window))
        self._arrival = Arrival()
        self._greeted_ms = 0  # when the last Greeting was handed on
        self._timed_boot = -1  # the boot whose uptime we know
        self._offset_ms = 0  # from its uptime to our time, about

    @property
    def duplicates_total(self) -> int:
        """Readings that came again."""
        return sum([inbound.duplicates_total for inbound in self._streams])

    @property
    def window_exceeded_total(self) -> int:
        """Readings refused because the board ran ahead."""
        return sum([inbound.window_exceeded_total for inbound in self._streams])

    @property
    def resend_requests_total(self) -> int:
        """Times that something was found missing and asked for."""
        return sum([inbound.resend_requests_total for inbound in self._streams])

    # -- from the board ------------------------------------------------------------

    def receive(self, data: bytes, now_ms: int) -> "list[Any]":
        """Take bytes from the port; return what they mean, in order.

        A list of Greeting, Refusal, Batch, Loss, TimeExchange, Report and Answer.
        Console text is in `decoder.take_console()`.
        """
        events: list[Any] = []
        for payload in self.decoder.feed(data):
            self._frame_ms = now_ms
            try:
                if self._challenge is not None:
                    payload = self._open(payload, self._challenge)
                if payload[:2] == _DATA_LEAD and self._is_next(payload, now_ms, events):
                    continue
                if payload:
                    self._take(payload, now_ms, events)
            except MessageError:
                self.bad_messages_total += 1
        return events

    def _is_next(self, payload: bytes, now_ms: int, events: "list[Any]") -> bool:
        """Take a DATA message the short way, as the table says; return False if it isn't of UP.

        Nearly all that comes is this, so it is worth the second path.
        """
        data = message.unpack_data(payload)
        if self.state != UP or data[0] != self._tag:
            return False
        self.heard_ms = now_ms
        self._take_data(data, now_ms, events)
        return True

    def _open(self, payload: bytes, challenge: "Challenge") -> bytes:
        payload = challenge.open(payload)
        if challenge.is_due:
            challenge.is_due = False
            self._downlink.ask_hello(False)
        return payload

    def _take(self, payload: bytes, now_ms: int, events: "list[Any]") -> None:
        parsed = message.parse(payload)
        if parsed is None:
            self.unknown_messages_total += 1
            if payload[1] & SEALED:
                self.sealed_total += 1
            return
        kind, received = parsed
        row = TABLE.get(kind)
        if row is None:  # an echo of our own, by a prompt or a loose cable
            raise MessageError("message %d is for boards" % kind)
        self.heard_ms = now_ms
        if kind > message.CHANNELS and kind != message.TIME_RESPONSE:
            if received.tag != self._tag:
                row = TABLE[STRANGER]
        action = row[self.state]
        if getattr(self, action)(received, now_ms, events) and action in LEADS:
            self.state = LEADS[action]

    # -- actions: each returns whether it was carried out --------------------------------

    def _skip(self, received: "Any", now_ms: int, events: "list[Any]") -> bool:
        """Skip it; counted as stale."""
        self.stale_total += 1
        return True

    def _ask_hello(self, received: "Any", now_ms: int, events: "list[Any]") -> bool:
        """Skip it, counted as stale, and send HELLO_REQUEST."""
        self.stale_total += 1
        self._downlink.ask_hello(True)
        return True

    def _take_hello(self, hello: "Any", now_ms: int, events: "list[Any]") -> bool:
        """Note who it is, ask for its time; hand on or refuse the greeting when all is there."""
        if self.state == GREETED:
            # It repeats itself while we look up where to resume, or until it hears us.
            patience_ms = session.HELLO_INTERVAL_MS // 2
            if self.hello.boot == hello.boot:
                if self._downlink.reply:
                    return False
                patience_ms = session.GREETING_LOST_MS
            if elapsed_ms(now_ms, self._greeted_ms) < patience_ms:
                return False
        found = self._arrival.begin(hello)
        if not isinstance(found, Refusal):
            self.pacing.ask()
        return self._end_greeting(found, now_ms, events)

    def _take_channels(self, received: "Any", now_ms: int, events: "list[Any]") -> bool:
        """Hand on or refuse the greeting when all is there."""
        return self._end_greeting(self._arrival.add(received), now_ms, events)

    def _end_greeting(
        self, found: "Greeting | Refusal | None", now_ms: int, events: "list[Any]"
    ) -> bool:
        if found is None:
            return False
        events.append(found)
        if isinstance(found, Refusal):
            self.bad_messages_total += found.reason == session.REFUSED_GREETING
            self._downlink.refuse(found.hello.tag, found.reason, session.REFUSED_S)
            return False
        self.hello = found.hello
        self._greeted_ms = now_ms
        self._tag = self.hello.tag
        self._downlink.reply = b""
        return True

    def _take_time(self, response: "Any", now_ms: int, events: "list[Any]") -> bool:
        """Hand on the exchange; the board has read all that was sent before the request."""
        sent_ms = self.pacing.answered(response.token)
        if sent_ms < 0:
            return self._skip(response, now_ms, events)
        greeted = self._arrival.hello or self.hello
        if greeted is None or response.tag != greeted.tag:
            return False
        uptime_s, uptime_ms = response.uptime_s, response.uptime_ms
        end_ms = -1
        if greeted.flags & message.HELLO_OVER:
            end_ms = greeted.uptime_s * 1000 + greeted.uptime_ms
        events.append(TimeExchange(sent_ms, now_ms, uptime_s, uptime_ms, greeted.boot, end_ms))
        self._timed_boot = greeted.boot
        self._offset_ms = now_ms - (uptime_s * 1000 + uptime_ms)
        return True

    def _take_data(self, data: "Any", now_ms: int, events: "list[Any]") -> bool:
        """Take the numbers that are next; ask again for what is missing."""
        _, stream, first_seq, base_s, base_ms, records = data
        inbound = self._streams[stream]
        batch = inbound.take_data(first_seq, base_s, base_ms, records, self.hello.boot, now_ms)
        if batch is not None:
            events.append(batch)
            return True
        return self._look_if_stuck(inbound, now_ms)

    def _take_gap(self, gap: "Any", now_ms: int, events: "list[Any]") -> bool:
        """Take the numbers that are next as lost; ask again for what is missing."""
        inbound = self._streams[gap.stream]
        loss = inbound.take_gap(gap, self.hello.boot, now_ms)
        if loss is not None:
            events.append(loss)
            return True
        return self._look_if_stuck(inbound, now_ms)

    def _look_if_stuck(self, inbound: Inbound, now_ms: int) -> bool:
        """Ask for a HELLO if what is missing never comes; return False."""
        if inbound.is_stuck(now_ms):
            self._downlink.ask_hello(True)
        return False

    def _take_vitals(self, received: "Any", now_ms: int, events: "list[Any]") -> bool:
        """Hand it on."""
        events.append(Report(message.VITALS, received, self.hello.boot))
        return True

    def _take_log(self, received: "Any", now_ms: int, events: "list[Any]") -> bool:
        """Hand it on."""
        events.append(Report(message.LOG, received, self.hello.boot))
        return True

    def _take_result(self, result: "Any", now_ms: int, events: "list[Any]") -> bool:
        """Send what comes next of a document, or hand on the answer to a request."""
        answer = None if self._requester is None else self._requester.answered(result, now_ms)
        if answer is not None:
            events.append(answer)
        return answer is not None

    # -- from the store ------------------------------------------------------------

    def welcome(self, boot: int, telemetry_resume: int, events_resume: int) -> bool:
        """Let the greeting board of `boot` send from these numbers on.

        The WELCOME leaves when the board has told its uptime. Returns False, and
        does nothing, if that board is no longer the one greeting.
        """
        if not self._is_greeted(boot):
            return False
        self._streams[0].resume(telemetry_resume)
        self._streams[1].resume(events_resume)
        self._downlink.welcome(self._tag, boot, telemetry_resume, events_resume)
        return True

    def refuse(self, boot: int, reason: int, retry_s: int) -> bool:
        """Let the greeting board of `boot` be quiet for `retry_s`: see session.REFUSED_DEVICE.

        Returns False, and does nothing, if that board is no longer the one greeting.
        """
        if not self._is_greeted(boot):
            return False
        self._downlink.refuse(self._tag, reason, retry_s)
        self.state = WAITING
        return True

    def _is_greeted(self, boot: int) -> bool:
        return self.state == GREETED and not self._downlink.reply and self.hello.boot == boot

    def committed(self, boot: int, stream: int, next_seq: int) -> bool:
        """Acknowledge everything of `boot`'s stream below `next_seq`: it is durable.

        Returns False, and says nothing to the board, if another boot is connected by now.
        """
        if self.state != UP or self.hello.boot != boot:
            return False
        return self._streams[stream].commit(next_seq)

    # -- to the board --------------------------------------------------------------

    def transmit(self, now_ms: int) -> bytes:
        """Return bytes to write to the port now, b"" if there is nothing to say."""
        downlink = self._downlink
        self.pacing.settle(now_ms, self._frame_ms)
        if self.state != WAITING:
            self.pacing.run(now_ms)
        out = b""
        # No WELCOME before we know its uptime: readings that come after it must be dated.
        if not downlink.is_welcome or self._timed_boot == self.hello.boot:
            out = downlink.send_reply(now_ms)
            if out and downlink.is_welcome:
                self.state = UP
        if self.state == UP:
            out += downlink.acknowledge(self._streams, self._tag, now_ms)
        # Before requests: those of a session that is over would take up all the room.
        out += downlink.send_hello_request(now_ms)
        if self.state == UP and not self.hello.flags & message.HELLO_OVER:
            out += downlink.request(self._tag, self.hello.boot, now_ms, now_ms - self._offset_ms)
        return out + self.pacing.marker(self._tag, now_ms)
