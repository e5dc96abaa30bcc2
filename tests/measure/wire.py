"""From wire bytes to committed rows: a link, the agent's ingest and a real store in one thread.

Beside it, what nobody can do without: `bare` executemany of the same rows into one table, and
`loop`, which takes the same frames apart with as few steps as Python allows and inserts what
is in them, without sessions, times, policy, rules or accounts.
"""

import random
import threading
import time
from binascii import crc32
from struct import calcsize, iter_unpack, unpack_from

from host.fakes import FakeClock, FakePort, FixedRandom
from pyv_edge_agent.alerting import Alerting
from pyv_edge_agent.ingest import Ingest
from pyv_edge_agent.link import SerialLink
from pyv_edge_agent.pipeline import Pipeline
from pyv_edge_agent.recent import Recent
from pyv_edge_agent.store import SQLiteStore
from pyv_edge_core import message
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.identity import Identity
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.reading import Channel
from pyv_edge_core.record_ring import RECORD_FORMAT, RecordRing
from pyv_edge_core.rule import read_rules

from .store import COMMIT_ROWS, bare_insert, seconds

CHANNELS = 16
ROUND = 2000  # readings that wait at the board at a time: within the link's window
ROUNDS = 15
REPEATS = 7
CHUNK = 4096  # bytes of one read of a terminal that has much to give
HEADER = message._DATA_HEADER
HEADER_SIZE, FCS_SIZE = calcsize(HEADER), 4
GOOD_FCS = 0x2144DF1C  # of a message with its FCS
POLICY = [  # one is about a channel of this board, the others are asked about each
    {"pattern": "*.microphone*", "action": "drop"},
    {"pattern": "*.camera*", "action": "drop"},
    {"pattern": "*.presence", "action": "aggregate_only"},
    {"pattern": "*.gps_*", "action": "hash"},
    {"pattern": "debug.*", "action": "local_only"},
    {"pattern": "*.badge", "action": "hash"},
    {"pattern": "*.door_?", "action": "local_only"},
    {"pattern": "porch.c8", "action": "quantize", "step": 0.1},
]
RULES = [
    {"name": "hot", "sensor": "porch.c0", "above": 29.0, "clear": 28.0},
    {"name": "cold", "sensor": "porch.c1", "below": 1.0, "clear": 2.0},
    {"name": "dry", "sensor": "porch.c2", "below": 0.5, "clear": 1.5, "for": "10s"},
    {"name": "wet", "sensor": "porch.c3", "above": 29.5, "clear": 27.0, "for": "5s"},
]


class Wire:
    """A board's session, whose bytes wait in a port, and all of the agent that they pass."""

    def __init__(self, path, seed):
        self.clock = FakeClock()
        self.port = FakePort()
        self.store = SQLiteStore(path, self.clock)
        self.store.sinks.register("http")
        policy = PrivacyPolicy(POLICY, key=b"0123456789abcdef")
        alerting = Alerting(read_rules(RULES), self.store.rule_state)
        pipeline = Pipeline(policy, {"porch": Recent(1000)}, alerting)
        rng = random.Random(seed)
        self.ingest = Ingest(
            self.store, pipeline, self.clock, rng, threading.Event(), commit_max=COMMIT_ROWS
        )
        self.link = SerialLink("porch", self.port, self.clock, FixedRandom(), self.ingest.put)
        self.ring = RecordRing(2 * ROUND)
        channels = [Channel(f"c{number}", "Cel", -2) for number in range(CHANNELS)]
        identity = Identity("board-1", 0x5EED1234, "rp2", "1.0", "1.0")
        self.board = DeviceSession(identity, channels, self.ring, RecordRing(16))
        self.rng = rng
        self.levels = [rng.randrange(500, 2500) for _ in range(CHANNELS)]
        self.frames = []
        for _ in range(100):
            self.carry()
            self.take()
            self.clock.advance(10)
        assert self.link.state == "up", self.link.state
        self.frames.clear()

    def sample(self, count):
        """Let the board sample: values drift and are noisy, as sensors' are."""
        for number in range(count):
            channel = number % CHANNELS
            level = self.levels[channel] + self.rng.randint(-3, 3)
            self.levels[channel] = min(max(level, 200), 2800)
            value = level + round(self.rng.gauss(0, 4))
            uptime_ms = self.clock.monotonic_ms()
            self.ring.push(channel, 0, value, uptime_ms // 1000, uptime_ms % 1000)
            self.clock.advance(number % 2)

    def carry(self):
        """Let the board read what it was sent, and put what it says into the port."""
        now_ms = self.clock.monotonic_ms()
        self.board.receive(self.port.take_written(), now_ms)
        said = []
        while framed := self.board.transmit(now_ms, now_ms // 1000, now_ms % 1000):
            said.append(framed)
        stream = b"".join(said)
        self.frames += said
        self.port.incoming.extend(stream[at : at + CHUNK] for at in range(0, len(stream), CHUNK))

    def take(self):
        """Let the agent do all that follows from what is in the port."""
        while self.port.incoming:
            self.link.step()
        self.ingest.run()
        self.link.step()


def _loop(path, frames):
    """Return the seconds that the fewest steps take for the same frames."""
    _, connection = bare_insert(path, [])
    stream = b"".join(frames)
    chunks = [stream[at : at + CHUNK] for at in range(0, len(stream), CHUNK)]
    rows = []

    def insert():
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO reading VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", rows[:COMMIT_ROWS]
        )
        connection.execute("COMMIT")
        del rows[:COMMIT_ROWS]

    def work():
        rest = b""
        for chunk in chunks:
            *bodies, rest = (rest + chunk).split(b"\x7e")
            for body in bodies:
                if not body:
                    continue
                if b"\x7d" in body:
                    body = body.replace(b"\x7d\x5e", b"\x7e").replace(b"\x7d\x5d", b"\x7d")
                if crc32(body) != GOOD_FCS or body[1] != message.DATA:
                    continue
                _, _, _, stream_number, seq, base_s, base_ms = unpack_from(HEADER, body)
                base = base_s * 1000 + base_ms
                records = body[HEADER_SIZE:-FCS_SIZE]
                for channel, flags, span, value in iter_unpack(RECORD_FORMAT, records):
                    utc_ms = base + ((flags >> 2) << 16 | span)
                    rows.append((channel, 1, stream_number, seq, utc_ms, 2, flags & 3, value))
                    seq += 1
            while len(rows) >= COMMIT_ROWS:
                insert()
        insert()

    took = seconds(work)
    (count,) = connection.execute("SELECT COUNT(*) FROM reading").fetchone()
    connection.close()
    return took, count


def _once(folder, repeat):
    wire = Wire(folder / f"wire{repeat}.db", repeat)
    took = 0.0
    for _ in range(ROUNDS):
        wire.sample(ROUND)
        while len(wire.ring):
            wire.carry()
            start = time.perf_counter()
            wire.take()
            took += time.perf_counter() - start
            wire.clock.advance(5)
    count = ROUND * ROUNDS
    rows = wire.store._writer.execute(
        "SELECT channel_id, boot_id, stream, seq, utc_ms, error_ms, quality, value FROM reading"
        " ORDER BY id"
    ).fetchall()
    assert len(rows) == count, len(rows)
    wire.store.close()
    work, connection = bare_insert(folder / f"bare{repeat}.db", rows)
    bare = seconds(work)
    connection.close()
    loop, looped = _loop(folder / f"loop{repeat}.db", wire.frames)
    assert looped == count, looped
    return took, bare, loop, count


def wire(folder):
    """Measure rows a second from wire bytes, over rows a second of a bare executemany."""
    found = [_once(folder, repeat) for repeat in range(REPEATS)]
    return [
        ["e2e.sqlite_ratio", "ratio", [bare / took for took, bare, _, _ in found]],
        ["e2e.limit_ratio", "ratio", [bare / loop for _, bare, loop, _ in found]],
        ["e2e.wire_us", "us", [took / count * 1e6 for took, _, _, count in found]],
        ["e2e.bare_sqlite_us", "us", [bare / count * 1e6 for _, bare, _, count in found]],
        ["e2e.bare_loop_us", "us", [loop / count * 1e6 for _, _, loop, count in found]],
    ]
