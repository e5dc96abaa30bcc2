"""A board and a port without hardware, driven by the test."""

from binascii import crc32

from pyv_edge_core.record_ring import RecordRing
from pyv_edge_node.pipeline import Pipeline
from pyv_edge_node.sampler import Sampler
from pyv_edge_node.settings import Section, Settings
from pyv_edge_node.uptime import Uptime
from ring_model import unpack_slots

WRAP = 2**30


class FakeBoard:
    """Has every member that the node uses of a board."""

    name = "fake"

    def __init__(self, ticks_ms=0):
        self.now_ms = ticks_ms
        self.boot = 0xABCD1234
        self.resets_total = 0
        self.said = []
        self.watchdog_ms = 0  # 0: it doesn't run
        self.feeds_total = 0
        self.idle_ms = 0  # 0: it stays at its prompt
        self.cause = 3  # message_to_host.RESET_CAUSES

    def say(self, text):
        self.said.append(text)

    def show(self, error):
        self.said.append(repr(error))

    def unique_id(self):
        return "0123456789abcdef"

    def boot_id(self):
        return self.boot

    def reset_cause(self):
        return self.cause

    def ticks_ms(self):
        return self.now_ms & 0x3FFFFFFF

    def heap_free(self):
        return 12345

    def sleep_ms(self, duration_ms):
        self.now_ms += duration_ms

    def reset(self):
        self.resets_total += 1

    def start_watchdog(self, timeout_ms):
        self.watchdog_ms = timeout_ms

    def feed(self):
        self.feeds_total += 1

    def ignore_ctrl_c(self):
        self.is_deaf = True

    def hear_ctrl_c(self):
        self.is_deaf = False

    def stop_watchdog(self):
        self.watchdog_ms = 0

    def boot_when_idle(self, idle_ms):
        self.idle_ms = idle_ms

    def led(self, name):
        return None


class PowerCut(Exception):
    """The power went in the middle of something."""


class FakeFlash:
    """Files in a dict; the power may go before any change to them.

    A file that is written in place can be cut short by that: what is there then, is torn.
    """

    def __init__(self, **files):
        self.files = dict(files)
        self.changes_left = -1  # changes until the power goes; -1: it doesn't
        self.changes_total = 0
        self.is_full = False
        self.unreadable = ""  # the file that can't be read

    def _change(self):
        if self.changes_left == 0:
            raise PowerCut()
        self.changes_left -= 1
        self.changes_total += 1

    def read(self, name):
        return self.files.get(name)

    def has(self, name):
        return name in self.files

    def write(self, name, content):
        if self.is_full:
            raise OSError(28)
        self._change()
        self.files[name] = bytes(content[: len(content) // 2])
        self._change()
        self.files[name] = bytes(content)

    def replace(self, name, content):
        self._change()
        self.files[name] = bytes(content)

    def append(self, name, content):
        self._change()
        self.files[name] = self.files[name] + bytes(content)

    def read_into(self, name, buffer):
        if name == self.unreadable:
            raise OSError(5)
        content = self.files[name][: len(buffer)]
        buffer[: len(content)] = content
        return len(content)

    def names(self, folder):
        start = folder + "/"
        return sorted([name[len(start) :] for name in self.files if name.startswith(start)])

    def make_folder(self, folder):
        if folder not in self.files:
            self._change()
            self.files[folder] = None  # it is there

    def remove_folder(self, folder):
        assert not self.names(folder)
        self._change()
        self.files.pop(folder)

    def crc32(self, name):
        return crc32(self.files.get(name, b""))

    def rename(self, name, target):
        self._change()
        self.files[target] = self.files.pop(name)

    def remove(self, name):
        self._change()
        self.files.pop(name, None)


class FakePort:
    """Takes as many bytes as it has room for; the test empties it."""

    def __init__(self, room=100000):
        self.room = room
        self.written = b""  # what the host can read
        self.incoming = b""  # what the board can read
        self._waiting = b""

    @property
    def is_idle(self):
        return not self._waiting

    def read(self):
        received = self.incoming
        self.incoming = b""
        return received

    def write(self, frame):
        assert self.is_idle, "a frame was begun before the one before had left"
        self._waiting = frame
        self.flush()

    def flush(self):
        count = max(0, self.room - len(self.written))
        self.written += self._waiting[:count]
        self._waiting = self._waiting[count:]

    def take(self):
        taken = self.written
        self.written = b""
        return taken


def simulated(channel="a", interval_ms=1000, **others):
    """Return the settings of a simulated sensor without noise."""
    values = {"type": "simulated", "channel": channel, "interval_ms": interval_ms, "noise": 0}
    values.update(others)
    return values


def make_settings(*sensors, **others):
    """Return settings as if they had been read from board.json."""
    values = {"device_id": "device-1", "sensors": list(sensors) or [simulated()]}
    values["telemetry_capacity"] = 256  # board and host share 192 kB in these tests
    values["events_capacity"] = 16
    values.update(others)
    return Settings(Section(values, "board.json"), FakeFlash())


def read_ring(ring):
    """Return (index, flags, value, uptime in ms) of all that is in a ring."""
    found = []
    seq = ring.first_seq
    while seq < ring.next_seq:
        count, base_s, base_ms, records = ring.read(seq, 16)
        found.extend([entry[1:] for entry in unpack_slots(seq, base_s, base_ms, records)])
        seq += count
    return found


class Bench:
    """A sampler with its pipeline, its rings, its uptime and a clock."""

    def __init__(self, *sensors, start_ms=0, capacity=256, **others):
        config = make_settings(*sensors, **others)
        self.now_ms = start_ms
        self.ring = RecordRing(capacity)
        self.events = RecordRing(64)
        self.sampler = Sampler(config.sensors, start_ms % WRAP)
        self.uptime = Uptime(start_ms % WRAP)
        self.pipeline = Pipeline(
            config,
            config.device_id,
            self.sampler.channels,
            self.ring,
            self.events,
            start_ms % WRAP,
        )

    def run_once(self, now_ms):
        """Take one measurement at most; return how long there is nothing to do."""
        return self.sampler.run(now_ms, self.uptime, self.pipeline)

    def run_at(self, now_ms):
        """Take all measurements that are due."""
        self.now_ms = now_ms
        self.uptime.update(now_ms % WRAP)
        while True:
            idle_ms = self.run_once(now_ms % WRAP)
            if idle_ms:
                return idle_ms

    def readings(self):
        """Return (channel, quality, value, uptime in ms) of all that is in the ring."""
        return read_ring(self.ring)
