"""A board's session and a host's, joined without a wire, under a clock that is moved.

What each says is counted by type of message: `wire_bytes`. Nothing is lost or
late here; what that costs is the business of tests.
"""

from collections import Counter
from typing import Any

from pyv_edge_core import device_states, host_states, message, session
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.frame import FrameDecoder
from pyv_edge_core.host_event import Greeting
from pyv_edge_core.host_session import HostSession
from pyv_edge_core.identity import Identity
from pyv_edge_core.record_ring import RecordRing

from .link_readings import CHANNELS, Taken

BOOT = 0x5EED1234
_STEP_MS = 10
_GREETING_MS_MAX = 10_000
_TICK_MASK = 0x3FFFFFFF


def make_board(capacity: int) -> tuple[DeviceSession, RecordRing]:
    """Return a board's end that has not greeted yet, and its ring of readings."""
    ring = RecordRing(capacity)
    identity = Identity("station-1", BOOT, "rp2", "1.0.0", "1.0.0")
    return DeviceSession(identity, CHANNELS, ring, RecordRing(16)), ring


def push(ring: RecordRing, taken: Taken) -> bool:
    """Put one reading into `ring`; return whether none was dropped for it."""
    seconds, ms = divmod(taken.uptime_ms, 1000)
    return ring.push(taken.channel, 0, taken.value, seconds, ms)


def vitals(board: DeviceSession, ring: RecordRing, uptime_ms: int) -> bytes:
    """Return the VITALS of a board that has no trouble: what isn't named here is 0."""
    values = {
        "uptime_s": uptime_ms // 1000,
        "uptime_ms": uptime_ms % 1000,
        "sampled_total": ring.next_seq,
        "telemetry_next": ring.next_seq,
        "held": len(ring),
        "heap_free": 98_304,
        "loop_lag_ms_max": 4,
    }
    fields = message.shape(message.VITALS)._fields[1:]  # the tag is the session's
    return message.pack(message.VITALS, board.tag, *[values.get(field, 0) for field in fields])


class LinkPair:
    """Both ends, greeted and up."""

    def __init__(self, capacity: int, start_ms: int) -> None:
        """Join the ends; raises RuntimeError if they don't greet each other."""
        self.now_ms = start_ms
        self.host = HostSession(window=session.WINDOW_MAX, host="1.0.0")
        self.board, self.ring = make_board(capacity)
        self.wire_bytes: Counter[tuple[str, int]] = Counter()  # by (who sends, type of message)
        self._uncommitted: dict[int, int] = {}  # by stream: next number to commit
        for _ in range(0, _GREETING_MS_MAX, _STEP_MS):
            self.step()
            if self.board.state == device_states.UP and self.host.state == host_states.UP:
                return
        raise RuntimeError("the two ends of the link don't greet each other")

    def step(self) -> list[Any]:
        """Move the clock by 10 ms and carry what is said; return the host's events."""
        self.now_ms += _STEP_MS
        ticks = self.now_ms & _TICK_MASK
        events: list[Any] = []
        while framed := self.board.transmit(ticks, self.now_ms // 1000, self.now_ms % 1000):
            self._count("board", framed)
            events += self.host.receive(framed, self.now_ms)
        for event in events:
            if isinstance(event, Greeting):
                self.host.welcome(event.hello.boot, 0, 0)
            elif hasattr(event, "records"):
                self._uncommitted[event.stream] = event.first_seq + len(event.records) // 8
        framed = self.host.transmit(self.now_ms)
        if framed:
            self._count("host", framed)
            self.board.receive(framed, ticks)
        return events

    def commit(self) -> None:
        """Acknowledge all that the host has."""
        for stream, next_seq in self._uncommitted.items():
            if not self.host.committed(BOOT, stream, next_seq):
                raise RuntimeError(f"the host refuses to acknowledge {next_seq}")
        self._uncommitted.clear()

    def _count(self, sender: str, framed: bytes) -> None:
        for body in framed.split(b"\x7e"):
            if body:
                whole = b"\x7e" + body + b"\x7e"
                (payload,) = FrameDecoder().feed(whole)
                self.wire_bytes[sender, payload[1]] += len(whole)
