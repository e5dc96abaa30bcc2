"""A board whose flash outlives its boots, and a host that is there or not."""

import struct

from fake_board import FakeBoard, FakePort, PowerCut, make_settings, simulated
from pyv_edge_core.host_event import Batch, Greeting, Loss, Report
from pyv_edge_core.host_session import HostSession
from pyv_edge_node.app import App
from pyv_edge_node.page import Page
from ring_model import unpack_slots

STEP_MS = 100
_TAKEN_SIZE = 10


class Recorder:
    """A pipeline that writes down what it is given."""

    def __init__(self, pipeline, taken):
        self.taken = taken
        self.pipeline = pipeline
        self.rows = pipeline.rows
        self.denied_total = 0

    def push(self, channel, quality, value, uptime_s, uptime_ms, now_ms):
        self.taken.add(channel, quality, value, uptime_s * 1000 + uptime_ms)
        self.pipeline.push(channel, quality, value, uptime_s, uptime_ms, now_ms)

    def tick(self, now_ms, uptime):
        self.pipeline.tick(now_ms, uptime)


class Taken:
    """What a boot has measured, by number, in little room."""

    def __init__(self):
        self._bytes = bytearray()

    def add(self, channel, quality, value, time_ms):
        self._bytes.extend(struct.pack("<BBiI", channel, quality, value, time_ms))

    def __len__(self):
        return len(self._bytes) // _TAKEN_SIZE

    def __getitem__(self, seq):
        return struct.unpack_from("<BBiI", self._bytes, seq * _TAKEN_SIZE)


class Store:
    """What a host has committed, by boot and stream; all of it is what was measured."""

    def __init__(self, truth):
        self.next = {}
        self.losses = []  # (boot, stream, first, last, cause)
        self._truth = truth
        self._ranges = {}  # by boot: [first, end] of readings

    def forget(self):
        self.next.clear()
        self._ranges.clear()

    def resume(self, boot):
        return self.next.get((boot, 0), 0), self.next.get((boot, 1), 0)

    def take(self, event):
        """Store a Batch or a Loss; return how far its stream is now."""
        key = event.boot, event.stream
        assert event.first_seq == self.next.get(key, 0)
        if isinstance(event, Loss):
            self.losses.append(
                (event.boot, event.stream, event.first_seq, event.last_seq, event.cause)
            )
            self.next[key] = event.last_seq + 1
            return self.next[key]
        slots = unpack_slots(event.first_seq, event.base_s, event.base_ms, event.records)
        if event.stream == 0:
            for slot in slots:
                assert slot[1:] == self._truth[event.boot][slot[0]], (event.boot, slot)
            self._note(self._ranges.setdefault(event.boot, []), event.first_seq, len(slots))
        self.next[key] = event.first_seq + len(slots)
        return self.next[key]

    def _note(self, ranges, first, count):
        if ranges and ranges[-1][1] == first:
            ranges[-1][1] = first + count
        else:
            ranges.append([first, first + count])

    def numbers(self, boot):
        found = []
        for first, end in self._ranges.get(boot, ()):
            found.extend(range(first, end))
        return found


class Site:
    """One device through its boots, and its host."""

    def __init__(self, flash, spill, capacity=32, interval_ms=200, key=None, **settings):
        self.flash = flash
        self.spill = spill
        self.capacity = capacity
        self.sensors = [simulated("a", interval_ms, low=0, high=9000, period_s=60)]
        self.settings = settings
        self.truth = {}  # by boot
        self.store = Store(self.truth)
        self.greetings = []
        self.vitals = None
        self.logs = []
        self.has_host = False
        self.takes = None  # boots of which the host commits readings; None: of all
        self.app = None
        self._page = Page()
        self.board = None
        self.port = None
        self.host = HostSession()
        self.turns = 4  # of an exchange in one step, so that what is said is answered at once
        self.boot_id = 0x10000000

    def boot(self):
        """Begin another boot."""
        self.boot_id += 0x01010101
        self.board = FakeBoard(self.boot_id & 0xFFFFF)
        self.board.boot = self.boot_id
        self.port = FakePort()
        values = dict(self.settings)
        if self.spill is not None:
            values["spill"] = self.spill
        config = make_settings(*self.sensors, telemetry_capacity=self.capacity, **values)
        self.app = self.open_app(config)
        self.truth[self.boot_id] = Taken()
        self.app.pipeline = Recorder(self.app.pipeline, self.truth[self.boot_id])
        self.host = HostSession()
        return self.boot_id

    def open_app(self, config):
        return App(config, self.board, self.port, self.flash)

    def run(self, seconds):
        for _ in range(int(seconds * 1000) // STEP_MS):
            self.board.now_ms += STEP_MS
            self.app.step()
            if not self.has_host:
                self.port.take()
                continue
            for _ in range(self.turns):
                self._run_host()
                self.app.step()

    def _run_host(self):
        now_ms = self.board.now_ms
        for event in self.host.receive(self.port.take(), now_ms):
            if isinstance(event, Greeting):
                self.greetings.append(event)
                boot = event.hello.boot
                self.host.welcome(boot, *self.store.resume(boot))
            elif isinstance(event, (Batch, Loss)):
                if self.takes is not None and event.boot not in self.takes:
                    continue
                self.host.committed(event.boot, event.stream, self.store.take(event))
            elif isinstance(event, Report):
                if hasattr(event.message, "text"):
                    self.logs.append(event.message.text)
                else:
                    self.vitals = event.message
        self.port.incoming += self.host.transmit(now_ms)

    def fill_pages(self, count):
        """Run until there are so many pages, none of which goes on where the one before ends."""
        while len(self.app.spill.pages) < count:
            self.run(1)
            self.app.spill.pages.is_filling = False

    def run_until_cut(self, seconds, changes):
        """Run until the power goes after so many changes of the flash; return whether it did."""
        self.flash.changes_left = changes
        try:
            self.run(seconds)
            return False
        except PowerCut:
            return True
        finally:
            self.flash.changes_left = -1

    def pages(self):
        """Return (boot, ranges by stream) of each whole page on the flash."""
        found = []
        page = self._page
        for name in self.flash.names("spill"):
            if name[0] != "t":
                head = page.load(self.flash, "spill/" + name)
                if head is not None:
                    found.append((head.boot, head.first, head.end))
        return found

    def saved(self, boot):
        """Return the numbers of a boot that are on whole pages."""
        numbers = set()
        for of, first, end in self.pages():
            if of == boot:
                numbers.update(range(first[0], end[0]))
        return numbers
