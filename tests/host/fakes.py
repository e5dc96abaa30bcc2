"""Stand-ins for what the agent gets through its constructors: time, ports, boards, links."""

import sqlite3
import threading
from collections import deque
from struct import pack

from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.config import Config
from pyv_edge_agent.dating import TimedBatch
from pyv_edge_agent.errors import PortAbsentError, PortError
from pyv_edge_agent.store import TimeSegment
from pyv_edge_core import message
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.frame import encode_for_board
from pyv_edge_core.host_event import Greeting
from pyv_edge_core.identity import Identity
from pyv_edge_core.reading import Channel
from pyv_edge_core.record_ring import RecordRing
from pyv_edge_core.seal import TO_HOST, Seal

UTC_MS = 1_780_000_000_000  # some day in 2026


MONOTONIC_MS = 1_000_000  # then, of a FakeClock
OFFSET_MS = UTC_MS - MONOTONIC_MS
SEGMENT = TimeSegment(1, "host-boot-1", MONOTONIC_MS, OFFSET_MS, OFFSET_MS)  # and what it dates


class FakeClock:
    """Time that moves only when a test says so."""

    def __init__(self, monotonic_ms=MONOTONIC_MS, utc_ms=UTC_MS, is_set=True):
        self.now_ms = monotonic_ms
        self.now_utc_ms = utc_ms
        self.is_set = is_set
        self.host_boot = "host-boot-1"

    def monotonic_ms(self):
        return self.now_ms

    def utc_ms(self):
        return self.now_utc_ms

    def is_synchronised(self):
        return self.is_set

    def boot_id(self):
        return self.host_boot

    def step(self, ms):
        """Set the clock by so much."""
        self.now_utc_ms += ms

    def advance(self, ms):
        self.now_ms += ms
        self.now_utc_ms += ms


class FakePort:
    """A port whose far end is the test."""

    def __init__(self, name="/dev/fake"):
        self.name = self.configured = self.path = name
        self.problem = ""  # what open() raises, if anything
        self.absent = ""  # the same, because the port isn't there
        self.fault = ""  # what read() and write() raise, if anything
        self.incoming = deque()  # chunks that read() returns
        self.written = bytearray()
        self.room = 1 << 30  # bytes that write() still takes
        self.is_open = False
        self.open_attempts = 0
        self.wakes = 0
        self.closes = 0

    def open(self):
        self.open_attempts += 1
        if self.absent:
            raise PortAbsentError(self.absent)
        if self.problem:
            raise PortError(self.problem)
        self.is_open = True

    def read(self):
        assert self.is_open, "read from a closed port"
        if self.fault:
            raise PortError(self.fault)
        return self.incoming.popleft() if self.incoming else b""

    def write(self, data):
        assert self.is_open, "write to a closed port"
        if self.fault:
            raise PortError(self.fault)
        count = min(len(data), self.room)
        self.written += data[:count]
        self.room -= count
        return count

    def wake(self):
        self.wakes += 1

    def close(self):
        self.is_open = False
        self.closes += 1

    def take_written(self):
        """Return what was written since the last call."""
        data = bytes(self.written)
        self.written.clear()
        return data


def serial_device(name, port="/dev/no/such", **settings):
    """Return the checked table of a serial device."""
    table = {"name": name, "ingest_type": "serial", "port": port, **settings}
    (device,) = Config({"sensors": {"devices": [table]}}).get("sensors", "devices")
    return device


class FakeBoard:
    """The core's end of a board, on a fake clock."""

    def __init__(
        self,
        clock,
        boot=0x12345678,
        exponent=-2,
        device="board-1",
        uptime_ms=5000,
        config_hash=0,
        key=b"",
        alerts=(),
        flags=0,
    ):
        self.clock = clock
        self.answer = None  # what it answers to a request: (code, value, text)
        self.requests = []
        self.document = bytearray()  # settings that it was sent
        self.boot = boot
        self.started_ms = clock.monotonic_ms() - uptime_ms
        self.telemetry = RecordRing(256)
        self.events = RecordRing(64)
        identity = Identity(device, boot, "fake", "1.0", "0.1.0")
        identity.config_hash = config_hash
        identity.flags = flags
        self.session = DeviceSession(
            identity,
            [Channel("temp", "Cel", exponent), Channel("rh", "%RH", exponent), *alerts],
            self.telemetry,
            self.events,
            Seal(key, TO_HOST) if key else None,
        )

    @property
    def uptime_ms(self):
        return self.clock.monotonic_ms() - self.started_ms

    def sample(self, *values):
        for value in values:
            uptime = self.uptime_ms
            self.telemetry.push(0, 0, value, uptime // 1000, uptime % 1000)

    def greet_anew(self):
        """Greet, as after hearing nothing for long."""
        self.session.receive(encode_for_board(message.pack(message.HELLO_REQUEST, 0, 0, 0)), 0)

    def exchange(self, port):
        """Take what the host wrote and put what the board says into the port."""
        self.session.receive(port.take_written(), self.clock.monotonic_ms())
        if self.session.request is not None and self.answer is not None:
            self.requests.append(self.session.request)
            self._carry_out(self.session.request)
        uptime = self.uptime_ms
        while True:
            frame = self.session.transmit(self.clock.monotonic_ms(), uptime // 1000, uptime % 1000)
            if not frame:
                return
            port.incoming.append(frame)

    def _carry_out(self, request):
        """Answer as told to; a document is taken whole before."""
        if hasattr(request, "content"):
            end = request.offset + len(request.content)
            self.document[request.offset : end] = request.content
            if end < request.size:
                self.session.answer(message.RESULT_MORE, end)
                return
        self.session.answer(*self.answer)


class RecordingLink:
    """What Ingest knows of a link: a name, and calls, which are written down."""

    def __init__(self, name="porch"):
        self.name = name
        self.calls = []
        self.heard_ms = -1_000_000  # when its board was last heard
        self.problem = ""

    def welcome(self, boot, next_seq, after_ms=None):
        self.calls.append(("welcome", boot, tuple(next_seq)))

    def committed(self, boot, stream, next_seq):
        self.calls.append(("committed", boot, stream, next_seq))

    def restart(self):
        self.calls.append(("restart",))

    def refuse(self, boot, reason, retry_s, problem):
        self.calls.append(("refuse", boot, reason, retry_s))
        self.problem = problem

    def warn_twice(self, problem):
        self.calls.append(("warn_twice",))
        self.problem = problem

    def is_heard(self, now_ms, within_ms):
        return now_ms - self.heard_ms <= within_ms

    def take_calls(self):
        calls, self.calls = self.calls, []
        return calls


def hello(boot=0xABCD1234, device="board-1", reset_cause=1, last=(0, 0, 0)):
    """Return a board's HELLO as the core parses it."""
    return message.shape(message.HELLO)(
        tag=boot & 0xFFFF,
        boot=boot,
        uptime_s=1,
        uptime_ms=0,
        version_min=1,
        version_max=1,
        reset_cause=reset_cause,
        flags=0,
        channel_count=1,
        channels_crc=0,
        telemetry_first=0,
        telemetry_next=0,
        events_first=0,
        events_next=0,
        capacity=256,
        dropped_total=0,
        config_hash=0,
        policy_hash=0,
        firmware_hash=0,
        boots=1,
        greeting=1,
        challenge_a=0,
        challenge_b=0,
        last_boot=last[0],
        last_sampled=last[1],
        last_denied=last[2],
        device=device,
        board="fake",
        firmware="1.0",
        core="0.1.0",
    )


def greeting(boot=0xABCD1234, channels=(("temp", "Cel", -2),), alerts=(), **fields):
    """Return a Greeting of a board with these channels, and AlertRows behind them."""
    rows = [Channel(*channel) for channel in channels]
    return Greeting(hello(boot, **fields), [*rows, *alerts])


def batch(first_seq, values, boot=0xABCD1234, stream=0, quality=0, channel=0, base_utc_ms=UTC_MS):
    """Return a TimedBatch of one channel's readings, one millisecond apart.

    `base_utc_ms` is by a FakeClock that nobody has set.
    """
    records = b"".join(
        pack("<BBHi", channel, quality, index, value) for index, value in enumerate(values)
    )
    return TimedBatch(stream, first_seq, base_utc_ms - OFFSET_MS, 3, records, boot)


def event_batch(first_seq, events, boot=0xABCD1234, base_utc_ms=UTC_MS):
    """Return a TimedBatch of events: (place in the table, flags, value) one millisecond apart."""
    records = b"".join(
        pack("<BBHi", row, flags, index, value) for index, (row, flags, value) in enumerate(events)
    )
    return TimedBatch(1, first_seq, base_utc_ms - OFFSET_MS, 3, records, boot)


class FixedRandom:
    """A random.Random whose uniform() always gives the same share of the range."""

    def __init__(self, share=1.0):
        self.share = share
        self.ranges = []

    def uniform(self, low, high):
        self.ranges.append((low, high))
        return low + (high - low) * self.share

    def getrandbits(self, count):
        return 0x11223344 & ((1 << count) - 1)

    def random(self):
        return self.share


class Liar:
    """A connection whose next `lies` COMMITs are done and yet reported as failed."""

    def __init__(self, connection, lies=0):
        self.connection = connection
        self.lies = lies

    def execute(self, statement, *parameters):
        done = self.connection.execute(statement, *parameters)
        if statement == "COMMIT" and self.lies:
            self.lies -= 1
            raise sqlite3.OperationalError("disk I/O error")
        return done

    def __getattr__(self, name):
        return getattr(self.connection, name)


class ShiftedClock(SystemClock):
    """The computer's clock, ahead by as much as a test says: so real threads get late."""

    def __init__(self):
        super().__init__()
        self.ahead_ms = 0

    def monotonic_ms(self):
        return super().monotonic_ms() + self.ahead_ms


class Stuck:
    """Something that a worker calls, and that doesn't return until `go` is set."""

    def __init__(self):
        self.is_entered = threading.Event()
        self.go = threading.Event()

    def read(self):
        self.is_entered.set()
        assert self.go.wait(60)
        return 20.0
