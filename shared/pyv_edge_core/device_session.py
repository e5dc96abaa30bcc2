"""The board's end of a link. See `session` for the whole; the host's is `host_session`.

Promises: a reading leaves its ring only when the host has committed it; what
the ring overwrote is announced as a GAP before anything behind it; a host that
is away costs nothing but ring space; what a host asks for is done once at most.
"""

from . import channel_table, message, session
from ._compat import TYPE_CHECKING, const
from .device_states import GREETING, LEADS, REFUSED, TABLE, UP
from .errors import MessageError
from .frame import FrameDecoder, encode
from .outbound import Outbound
from .session import TIMEOUT, elapsed_ms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .identity import Identity
    from .reading import Channel
    from .seal import Seal

_OUTGOING_MAX = const(40)  # messages waiting to leave, beside the rings
_RECEIVE_SIZE_MAX = const(256)
_SERIES_MAX = const(4)  # hosts, one after the other, whose requests are told from each other
_SERIES_SIZE = const(0xFFFF)  # a number is of a host's if it is no further from its latest


class DeviceSession:
    """Sends two rings to a host until it has committed them."""

    def __init__(
        self,
        identity: "Identity",
        channels: "Sequence[Channel | channel_table.AlertRow]",
        telemetry: "Any",
        events: "Any",
        seal: "Seal | None" = None,
        greeting: int = 0,
    ) -> None:
        """Speak for the board of `identity`; with a `seal`, to a host that has its key only.

        The rings are RecordRings, or have their members for reading. Greetings are counted
        from `greeting` on: with a seal, no two sessions of a boot may have the same.
        """
        self.identity = identity
        self.state = GREETING
        self.decoder = FrameDecoder(_RECEIVE_SIZE_MAX)
        self.bad_messages_total = 0
        self.unknown_messages_total = 0
        self.stale_total = 0  # messages for another boot, or out of place
        self.outgoing_dropped_total = 0  # VITALS and LOG that found no room
        self.is_acknowledged = False  # whether a host has acknowledged readings of this boot
        self.refusal: Any = None  # the host's latest REFUSAL, until it welcomes us
        self.request: Any = None  # COMMAND or CONFIG to carry out now: then call `answer`
        self.tag = identity.tag  # what this boot's messages carry
        self._channels = channels
        self.streams = (Outbound(0, telemetry), Outbound(1, events))
        # (an index is a stream's number: reading.STREAM_TELEMETRY, STREAM_EVENTS)
        self._seal = seal
        self._greeting = greeting  # how often we have begun to greet
        self._challenge = (0, 0)  # the host's, for the seal
        self._window = 0
        self._outgoing: list[bytes] = []
        self._results: list[tuple[int, bytes]] = []  # the latest requests and what we answered
        self._series: list[int] = []  # of each host that has asked, its latest request's number
        self._time_token = -1
        self._said_ms = -1  # when HELLO and its CHANNELS were last said; -1: not yet
        self._heard_ms = 0
        self._quiet_ms = 0  # how long REFUSED lasts
        self._is_hello_due = False
        self._begin()

    @property
    def resends_total(self) -> int:
        """Rewinds after silence or on request."""
        return self.streams[0].resends_total + self.streams[1].resends_total

    @property
    def in_flight(self) -> int:
        """Readings of both streams that no ACK covers yet."""
        return sum([len(outbound.ring) for outbound in self.streams])

    @property
    def is_over(self) -> bool:
        """Whether it speaks for a boot that is over, of which there will be no more readings."""
        return bool(self.identity.flags & message.HELLO_OVER)

    @property
    def is_idle(self) -> bool:
        """Whether the host has everything that was to be said."""
        return not self.in_flight and not self._outgoing

    # -- from the host -------------------------------------------------------------

    def receive(self, data: bytes, now_ms: int) -> None:
        """Take bytes from the host."""
        for payload in self.decoder.feed(data):
            try:
                self._open(payload, now_ms)
            except MessageError:
                self.bad_messages_total += 1
        self.decoder.take_console()  # what else comes down the wire is not for us

    def _open(self, payload: bytes, now_ms: int) -> None:
        if self._seal is not None and not self._is_challenge(payload):
            payload = self._seal.open(payload)
            if not payload:
                return
        if len(payload) > 1 and payload[1] not in message.TO_BOARD:
            if 0 < payload[1] <= message.RESULT:
                raise MessageError("message %d is for hosts" % payload[1])
            self.unknown_messages_total += 1
            return
        parsed = message.parse(payload)
        assert parsed is not None  # all types that TO_BOARD holds are known
        kind, received = parsed
        # Only these two are for whoever is there; the rest names its boot.
        if kind != message.TIME_REQUEST and kind != message.HELLO_REQUEST:
            if received.tag != self.tag:
                self.stale_total += 1
                return
        if kind != message.HELLO_REQUEST:
            self._heard_ms = now_ms
        self._do(kind, received, now_ms)

    def _is_challenge(self, payload: bytes) -> bool:
        """Return whether this is a HELLO_REQUEST that needs no seal: there is no session."""
        return len(payload) > 1 and payload[1] == message.HELLO_REQUEST and self.state != UP

    def _do(self, kind: int, received: "Any", now_ms: int) -> None:
        action = TABLE[kind][self.state]
        if getattr(self, action)(received, now_ms) and action in LEADS:
            self.state = LEADS[action]

    # -- actions: each returns whether it was carried out --------------------------------

    def _say_hello(self, _: "Any", now_ms: int) -> bool:
        """Say HELLO and the channel table."""
        self._is_hello_due = True
        self._said_ms = now_ms
        self._outgoing = channel_table.pack(self.tag, self._channels)
        return True

    def _skip(self, received: "Any", now_ms: int) -> bool:
        """Skip it; counted as stale."""
        self.stale_total += 1
        return True

    def _tell_time(self, request: "Any", now_ms: int) -> bool:
        """Answer with TIME_RESPONSE, before anything else."""
        self._time_token = request.token
        return True

    def _take_challenge(self, request: "Any", now_ms: int) -> bool:
        """Say HELLO anew if it has another challenge."""
        if (request.challenge_a, request.challenge_b) == self._challenge:
            return True
        return self._greet(request, now_ms)

    def _greet(self, request: "Any", now_ms: int) -> bool:
        """Greet."""
        if request is not None:
            self._challenge = (request.challenge_a, request.challenge_b)
        self._greeting += 1
        self._begin()
        return True

    def greet(self) -> None:
        """Greet anew: another session may have spoken meanwhile."""
        self.state = GREETING
        self._greet(None, 0)

    def _begin(self) -> None:
        self._said_ms = -1
        self._outgoing = []
        if self._seal is not None:
            self._seal.begin((self.identity.boot, self._greeting) + self._challenge)

    def _resume(self, welcome: "Any", now_ms: int) -> bool:
        """Go on where the host's store stands."""
        resume = (welcome.telemetry_resume, welcome.events_resume)
        if welcome.boot != self.identity.boot:
            return not self._skip(welcome, now_ms)
        for outbound in self.streams:
            if resume[outbound.stream] > outbound.ring.next_seq:
                if self.is_over:  # what is no longer known here was acknowledged before
                    outbound.ring.skip_to(resume[outbound.stream])
                    continue
                self.bad_messages_total += 1  # it claims readings that we never took
                return False
        self._window = min(welcome.window, session.WINDOW_MAX)
        self._outgoing = []
        self.refusal = None
        for outbound in self.streams:
            outbound.resume(resume[outbound.stream], now_ms)
        return True

    def _acknowledge(self, ack: "Any", now_ms: int) -> bool:
        """Free what is committed; send again from `wanted` if that is asked for."""
        is_resend = bool(ack.flags & message.ACK_RESEND)
        outbound = self.streams[ack.stream]
        is_sound = outbound.acknowledge(ack.committed, ack.wanted, is_resend, now_ms)
        self.bad_messages_total += not is_sound
        if is_sound and ack.committed:
            self.is_acknowledged = True
        return is_sound

    def _be_quiet(self, refusal: "Any", now_ms: int) -> bool:
        """Say nothing until `retry_s` are over."""
        self.refusal = refusal
        self._said_ms = now_ms
        self._quiet_ms = max(1, refusal.retry_s) * 1000
        self._outgoing = []
        return True

    def _take_request(self, request: "Any", now_ms: int) -> bool:
        """Carry it out, once; repeat the RESULT of one that was carried out before."""
        if request.boot != self.identity.boot or self.is_over:
            return self._skip(request, now_ms)
        for number, result in self._results:
            if number == request.request:
                return self.report(result)
        if self._is_old(request.request):
            return self._skip(request, now_ms)
        if self.request is None:
            self.request = request
        return True

    def _is_old(self, number: int) -> bool:
        """Return whether its host has had a later answer: a copy that was long on its way."""
        for last in self._series:
            if (last - number) & 0xFFFFFFFF <= _SERIES_SIZE:
                return True
        return False

    def _note_number(self, number: int) -> None:
        for index in range(len(self._series)):
            if (number - self._series[index]) & 0xFFFFFFFF <= _SERIES_SIZE:
                self._series[index] = number
                return
        self._series = self._series[1 - _SERIES_MAX :] + [number]

    # -- from the board ----------------------------------------------------------------

    def answer(self, code: int, value: int = 0, text: str = "") -> None:
        """Say what came of `request`, and be ready for another."""
        number = self.request.request
        self.request = None
        result = message.pack(message.RESULT, self.tag, number, code, value, text)
        if code != message.RESULT_MORE:
            self._results = self._results[-3:] + [(number, result)]
            self._note_number(number)
        self.report(result)

    def report(self, payload: bytes) -> bool:
        """Queue a RESULT, VITALS or LOG; return False (and count it) if the host isn't there."""
        if self.state != UP or len(self._outgoing) >= _OUTGOING_MAX:
            self.outgoing_dropped_total += 1
            return False
        self._outgoing.append(payload)
        return True

    # -- to the host ---------------------------------------------------------------

    def transmit(self, now_ms: int, uptime_s: int, uptime_ms: int) -> bytes:
        """Return the next frame to put on the wire, b"" if there is nothing to say.

        Call it only when the frame before is wholly written.
        """
        payload = self._next(now_ms, uptime_s, uptime_ms)
        if payload and self._seal is not None:
            payload = self._seal.seal(payload)
        return encode(payload) if payload else b""

    def _next(self, now_ms: int, uptime_s: int, uptime_ms: int) -> bytes:
        if self._time_token >= 0:
            token = self._time_token
            self._time_token = -1
            uptime_s += self.identity.since_s
            return message.pack(message.TIME_RESPONSE, self.tag, token, uptime_s, uptime_ms)
        while self._is_timed_out(now_ms):
            self._do(TIMEOUT, None, now_ms)
        if self._is_hello_due:
            self._is_hello_due = False
            return self.identity.hello(
                uptime_s,
                uptime_ms,
                self._channels,
                self.streams[0].ring,
                self.streams[1].ring,
                self._greeting,
                self._challenge,
            )
        if self.state == UP:
            telemetry, events = self.streams
            payload = events.next_message(self.tag, self._window, now_ms)
            if not payload and not self._outgoing:
                payload = telemetry.next_message(self.tag, self._window, now_ms)
            if payload:
                return payload
        if self._outgoing:
            self._said_ms = now_ms  # the next HELLO is due a while after the last CHANNELS
            return self._outgoing.pop(0)
        return b""

    def _is_timed_out(self, now_ms: int) -> bool:
        if self.state == UP:
            return elapsed_ms(now_ms, self._heard_ms) >= session.HOST_SILENCE_MS
        if self.state == REFUSED:
            return elapsed_ms(now_ms, self._said_ms) >= self._quiet_ms
        return self._said_ms < 0 or (
            not self._outgoing and elapsed_ms(now_ms, self._said_ms) >= session.HELLO_INTERVAL_MS
        )
