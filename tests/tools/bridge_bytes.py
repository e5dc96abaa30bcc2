"""A line's bytes for the tests of the bridge: the core's two ends, talking to one another."""

from pyv_edge_core.challenge import Challenge
from pyv_edge_core.channel_table import EVENT_FIRED, AlertRow
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.host_event import Batch, Greeting
from pyv_edge_core.host_session import HostSession
from pyv_edge_core.identity import Identity
from pyv_edge_core.pacing import Pacing
from pyv_edge_core.reading import Channel
from pyv_edge_core.record_ring import RECORD_SIZE, RecordRing
from pyv_edge_core.seal import TO_HOST as SEALS_TO_HOST
from pyv_edge_core.seal import Seal
from pyv_edge_tools.bridge.chunk import TO_BOARD, TO_HOST, Chunk

CHANNELS = [
    Channel("temperature", "Cel", -2),
    Channel("pressure", "Pa", 1),
    AlertRow("too warm", 0, 1, "{sensor} is {value}"),
]
KEY = b"a key of this test only, 32 bytes"
STEP_MS = 10


class Talk:
    """A board and its host, on a line whose bytes are written down."""

    def __init__(self, *, key=b"", boot=0x12345678, damage=None, up_ms=0):
        self.chunks = []
        self.now_ms = 0
        self.taken = {0: [], 1: []}  # what the host was handed: (first number, records)
        self.ring = RecordRing(4096)
        self.events = RecordRing(64)
        self._up_ms = up_ms  # how long the board was up before
        self._damage = damage or (lambda data: data)
        identity = Identity("north", boot, "test", "1.0", "1.0")
        seal = Seal(key, SEALS_TO_HOST) if key else None
        self.board = DeviceSession(identity, CHANNELS, self.ring, self.events, seal)
        challenge = Challenge(key, lambda bits: 7) if key else None
        pacing = Pacing(100, challenge.seal if key else None)
        self.host = HostSession(pacing=pacing, challenge=challenge)

    def sample(self, count):
        for index in range(count):
            at_ms = self.now_ms
            self.ring.push(index % 2, 0, 2000 + index, at_ms // 1000, at_ms % 1000)

    def alert(self, value):
        """The rule fires at a value."""
        at_ms = self.now_ms
        self.events.push(2, EVENT_FIRED, value, at_ms // 1000, at_ms % 1000)

    def step(self):
        now_ms = self.now_ms
        up_ms = self._up_ms + now_ms
        while said := self.board.transmit(now_ms, up_ms // 1000, up_ms % 1000):
            self._pass(TO_HOST, self._damage(said))
        while said := self.host.transmit(now_ms):
            self._pass(TO_BOARD, said)
        self.now_ms += STEP_MS

    def _pass(self, direction, data):
        self.chunks.append(Chunk(self.now_ms * 1_000_000, direction, data))
        if direction == TO_BOARD:
            self.board.receive(data, self.now_ms)
            return
        for event in self.host.receive(data, self.now_ms):
            if isinstance(event, Greeting):
                assert self.host.welcome(event.hello.boot, 0, 0)
            elif isinstance(event, Batch):
                self.taken[event.stream].append((event.first_seq, event.records))
                end_seq = event.first_seq + len(event.records) // RECORD_SIZE
                assert self.host.committed(event.boot, event.stream, end_seq)

    def run(self, count, steps=600):
        """Greet, sample `count` readings and let the host have them."""
        for _ in range(30):
            self.step()
        self.sample(count)
        for _ in range(steps):
            self.step()
            if self.board.is_idle:
                break
        assert self.board.is_idle
        return self


def say(chunks, text, at=0):
    """Return `chunks` with console text of the board put in."""
    return [*chunks[:at], Chunk(chunks[at].at_ns, TO_HOST, text), *chunks[at:]]
