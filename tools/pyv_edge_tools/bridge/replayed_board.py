"""A board that says again what another one has said: the core's own end of a link.

It can't just repeat the bytes. An agent asks with tokens and challenges of its
own, resumes where its store stands and wants again what was damaged. So a
`DeviceSession` answers, as on a board: the greeting is the recorded one (the same
device, boot and channels), the readings are the recorded ones with their numbers,
values and times, and they wait in its rings until the agent has committed them.

Its uptime runs as fast as the host's clock, since boards' do, whatever the speed.
It is so far ahead that no reading lies in its future: what is played at tenfold
speed is dated into the past, and the times between readings stay what they were.
"""

from struct import unpack_from

from pyv_edge_core import message, seal
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.device_states import UP
from pyv_edge_core.errors import MessageError
from pyv_edge_core.frame import FrameDecoder
from pyv_edge_core.identity import Identity
from pyv_edge_core.record_ring import RECORD_FORMAT, RECORD_SIZE, RecordRing

from .recorded_run import Data, RecordedBoot, Report

WAITING_MAX = 4000  # readings that wait for the agent; then the recording waits, too
UPTIME_S_MAX = 2**32 - 2**24  # a played board's runs on for half a year before it has no room
_DRIFT_PPM = 500  # a board's clock against that of the recording, at worst
_SLACK_MS = 100  # and what a HELLO needed to get into the recording
_CAPACITY = 65_536  # of a ring: enough if each of them needed a block of its own


class ReplayedBoard:
    """One boot, played from its greeting to its last reading. Times are a host's, in ms."""

    def __init__(self, boot: RecordedBoot, speed: float, key: bytes, now_ms: int) -> None:
        """Begin at `now_ms`; at `speed` 0 nothing is waited for. With a `key`, seal."""
        hello = boot.hello
        self.readings_total = 0  # handed to the session so far
        self.missing_total = 0  # numbers that the recording hasn't got
        self.refused_requests_total = 0  # COMMANDs and CONFIGs of the agent
        self.is_welcomed = False  # whether an agent has ever let it send
        self.problem = ""  # why it can't be played to this agent
        self._items = boot.items
        self._place = 0  # of the next item
        self._speed = speed
        self._began_ms = now_ms
        self._welcomed_ms = 0
        self._recorded_ns = boot.items[0].at_ns if boot.items else boot.at_ns
        # What passed between its greeting and its first words isn't waited for again.
        skipped_ms = (self._recorded_ns - boot.at_ns) // 1_000_000
        from_ms = hello.uptime_s * 1000 + hello.uptime_ms + skipped_ms
        length_ms = max(0, boot.uptime_ms_max - from_ms)
        ahead = 1.0 if not speed else max(0.0, 1 - 1 / speed)
        drift_ms = _SLACK_MS + length_ms * _DRIFT_PPM // 1_000_000
        self._uptime_ms = from_ms + round(length_ms * ahead) + drift_ms  # when it begins
        self._text: list[bytes] = []
        self._welcomes = FrameDecoder()
        self._rings = (RecordRing(_CAPACITY), RecordRing(_CAPACITY))
        for stream, first in enumerate(_first_numbers(boot)):
            self._rings[stream].skip_to(first)
        identity = Identity(hello.device, hello.boot, hello.board, hello.firmware, hello.core)
        for name in vars(identity):  # the rest of what a HELLO says of its board
            if hasattr(hello, name):
                setattr(identity, name, getattr(hello, name))
        # One that was over when it was recorded is played as it would have been before.
        identity.flags &= ~message.HELLO_OVER
        sealing = seal.Seal(key, seal.TO_HOST) if key else None
        self.session = DeviceSession(identity, boot.rows or (), *self._rings, sealing)

    @property
    def is_done(self) -> bool:
        """Whether all was said, and the agent has acknowledged every reading."""
        return self._place == len(self._items) and self.session.is_idle and self.is_welcomed

    def receive(self, data: bytes, now_ms: int) -> None:
        """Take bytes from the agent."""
        self.session.receive(data, now_ms)
        for payload in self._welcomes.feed(data):
            self._look_at_welcome(seal.content(payload) or payload)
        self._welcomes.take_console()
        if self.session.request is not None:
            self.refused_requests_total += 1
            self.session.answer(message.RESULT_FAILED, 0, "this is a replay, it does nothing")

    def _look_at_welcome(self, payload: bytes) -> None:
        """Notice an agent that has had this boot: the session can't go on where it stands."""
        if payload[1:2] != bytes([message.WELCOME]):
            return
        try:
            parsed = message.parse(payload)
        except MessageError:
            return
        assert parsed is not None
        welcome = parsed[1]
        for resume, ring in zip(welcome[3:5], self._rings, strict=True):
            if resume > ring.next_seq and welcome.boot == self.session.identity.boot:
                self.problem = (
                    f"the agent has this boot up to number {resume} already:"
                    " play it to one with a fresh store"
                )

    def transmit(self, now_ms: int) -> bytes:
        """Return the next bytes to write, b"" if there is nothing to say now."""
        if self.session.state == UP and not self.is_welcomed:
            self.is_welcomed = True
            self._welcomed_ms = now_ms
        if self.is_welcomed:
            self._play(now_ms)
        if self._text:
            text = b"".join(self._text)
            self._text = []
            return text
        uptime_ms = self._uptime_ms + now_ms - self._began_ms
        return self.session.transmit(now_ms, uptime_ms // 1000, uptime_ms % 1000)

    def wait_ms(self, now_ms: int) -> int:
        """Return for how long nothing is due, if the agent says nothing."""
        if not self.is_welcomed or self._place == len(self._items) or not self._speed:
            return 20
        at_ns = self._items[self._place].at_ns
        due_ms = self._welcomed_ms + round((at_ns - self._recorded_ns) / 1e6 / self._speed)
        return max(0, min(20, due_ms - now_ms))

    def _play(self, now_ms: int) -> None:
        """Hand on what is due by now, as far as there is room."""
        while self._place < len(self._items):
            item = self._items[self._place]
            if self._speed:
                played_ms = (now_ms - self._welcomed_ms) * self._speed
                if (item.at_ns - self._recorded_ns) / 1e6 > played_ms:
                    return
            if isinstance(item, Data):
                if not self._push(item):
                    return
            elif isinstance(item, Report):
                if not self.session.report(item.payload):
                    return  # no room, or no agent
            else:
                self._text.append(item.text)
            self._place += 1

    def _push(self, item: Data) -> bool:
        """Put readings into their ring; return False if they have to wait."""
        ring = self._rings[item.stream]
        if item.end_seq <= ring.next_seq:
            return True  # sent again
        if item.first_seq > ring.next_seq:
            if len(ring):
                return False  # a loss is announced when all before it is acknowledged
            self.missing_total += item.first_seq - ring.next_seq
            ring.skip_to(item.first_seq)
        if len(ring) + item.end_seq - item.first_seq > WAITING_MAX:
            return False
        base_ms = item.base_s * 1000 + item.base_ms
        for index in range(ring.next_seq - item.first_seq, item.end_seq - item.first_seq):
            channel, flags, span, value = unpack_from(
                RECORD_FORMAT, item.records, index * RECORD_SIZE
            )
            at_ms = base_ms + ((flags >> 2) << 16 | span)
            kept_all = ring.push(channel, flags & 3, value, at_ms // 1000, at_ms % 1000)
            assert kept_all
            self.readings_total += 1
        return True


def _first_numbers(boot: RecordedBoot) -> tuple[int, int]:
    """Return where each stream begins in the recording."""
    first = [boot.hello.telemetry_next, boot.hello.events_next]
    for stream in (0, 1):
        numbers = [
            item.first_seq
            for item in boot.items
            if isinstance(item, Data) and item.stream == stream
        ]
        if numbers:
            first[stream] = min(numbers)
    return first[0], first[1]
