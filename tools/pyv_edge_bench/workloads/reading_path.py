"""Times the whole path of a reading on a board, its parts, and one json.dumps of it.

reading_path REPEATS BATCH_MS prints a JSON line for each part of each repeat:

    {"part": "path", "count": readings, "us": microseconds}

path        everything: clock, sensor, sampler, privacy of 8 rules, 4 rules, ring, 1/16 of a frame
json        json.dumps of the same reading, whose dict is there already
active      the path while one of the four rules is firing
mixed       the path with the four dearest kinds of rules in place of levels
sampler     the path without its frames
stages      privacy, rules and ring: Pipeline.push, and release of every 16
push        RecordRing.push alone, and release of every 16
frame       1/16 of reading a block out, packing and framing it
clock       Uptime.update alone
loop        nothing, as often

The parts take turns, so that all of them see the same machine. The garbage is
collected before each; what a part leaves behind while it runs, it pays for.
"""

import gc
import json
import sys
import time
from array import array

from pyv_edge_core import frame, message
from pyv_edge_core.record_ring import BLOCK_RECORDS, RecordRing
from pyv_edge_node.flash import Flash
from pyv_edge_node.pipeline import Pipeline
from pyv_edge_node.sampler import Sampler
from pyv_edge_node.settings import Section, Settings
from pyv_edge_node.uptime import Uptime

_TAG = 0x1234
_VALUE = 2150  # hundredths of a degree
_INTERVAL_MS = 10
_TICK_MASK = 0x3FFFFFFF
_READING = {
    "device": "greenhouse-1",
    "channel": "temperature",
    "boot": 0xABCD1234,
    "seq": 123456,
    "uptime_ms": 1234560,
    "value": _VALUE,  # an integer, which either interpreter prints faster than a float
    "unit": "Cel",
    "quality": "good",
}

if hasattr(time, "ticks_us"):
    now_us = time.ticks_us
    elapsed_us = time.ticks_diff
else:

    def now_us():
        """Return microseconds of a clock that is never set."""
        return time.perf_counter_ns() // 1000

    def elapsed_us(later_us, earlier_us):
        """Return the time between two calls of `now_us`."""
        return later_us - earlier_us


class Constant:
    """A sensor that costs next to nothing, so that the path and not the sensor is measured."""

    def __init__(self, channels):
        self.channels = channels
        self.values = array("i", [0])

    def measure(self, uptime_s, uptime_ms):
        """Take a measurement."""
        self.values[0] = _VALUE


def board_settings():
    """Return the settings of the measured board, as its device.json would have them.

    The rule that decides is the last of eight, and quantizes; the value lies
    where no alert is near, as it does nearly always.
    """
    return {
        "device_id": _READING["device"],
        "telemetry_capacity": 64,  # there are three of these nodes in one heap
        "sensors": [
            {
                "type": "simulated",
                "channel": _READING["channel"],
                "unit": _READING["unit"],
                "interval_ms": _INTERVAL_MS,
            }
        ],
        "privacy": {
            "rules": [
                {"device": "ward-*", "action": "drop"},
                {"pattern": "*.microphone", "action": "drop"},
                {"pattern": "*.camera.*", "action": "mask"},
                {"channel": "door_?", "action": "local_only"},
                {"channel": "power*", "action": "aggregate_only"},
                {"channel": "position", "action": "quantize", "step": 10},
                {"channel": "pressure", "action": "clamp", "low": 900, "high": 1100},
                {"channel": _READING["channel"], "action": "quantize", "step": 0.1},
            ]
        },
        "rules": [
            {"name": "hot", "above": 30, "clear": 28, "for": "1m"},
            {"name": "cold", "below": 5, "clear": 6, "keep_for": "1m"},
            {"name": "odd", "outside": [2, 40], "cooldown": "10m", "severity": "critical"},
            {"name": "gone", "missing": "5m"},
        ],
    }


# The same four, but that the value is above one of the levels.
_FIRING_RULES = [{"name": "warm", "above": 20, "clear": 18}] + board_settings()["rules"][1:]
# Kinds that look at each reading: there is no range in which they have nothing to do.
_DEAR_RULES = [
    {"name": "steep", "rate_above": 1, "window": "10s"},
    {"name": "mean", "aggregate": "mean", "window": "1m", "above": 30},
    {"name": "moved", "deadband": 5},
    {"name": "stuck", "stuck": "3d"},
]


class Node:
    """What a reading passes through on a board, built from `board_settings`."""

    def __init__(self, rules=None):
        gc.collect()  # as App does: what was read before leaves holes
        settings = board_settings()
        if rules is not None:
            settings["rules"] = rules
        config = Settings(Section(settings, "device.json"), Flash())
        gc.collect()
        self.ring = RecordRing(config.telemetry_capacity)
        self.uptime = Uptime(0)
        self.sampler = Sampler(config.sensors, _INTERVAL_MS)
        self.pipeline = Pipeline(
            config,
            config.device_id,
            self.sampler.channels,
            self.ring,
            RecordRing(BLOCK_RECORDS),
            0,
        )
        for turn in self.sampler._turns:
            turn.sensor = Constant(turn.sensor.channels)
        self.now_ms = 0
        self.bytes_total = 0  # of all frames

    def path(self, count):
        """Take `count` readings all the way."""
        ring = self.ring
        for _ in range(count // BLOCK_RECORDS):
            self.sample_block()
            self.bytes_total += len(self.framed())
            ring.release(ring.first_seq + BLOCK_RECORDS)

    def samples(self, count):
        """Take `count` readings into the ring and no further."""
        ring = self.ring
        for _ in range(count // BLOCK_RECORDS):
            self.sample_block()
            ring.release(ring.next_seq)

    def sample_block(self):
        """Take one block of readings into the ring."""
        uptime = self.uptime
        run = self.sampler.run
        pipeline = self.pipeline
        now_ms = self.now_ms
        for _ in range(BLOCK_RECORDS):
            now_ms = (now_ms + _INTERVAL_MS) & _TICK_MASK
            uptime.update(now_ms)
            run(now_ms, uptime, pipeline)
        pipeline.tick(now_ms, uptime)
        self.now_ms = now_ms

    def framed(self):
        """Return the oldest block of the ring as a frame."""
        seq = self.ring.first_seq
        _, base_s, base_ms, records = self.ring.read(seq, BLOCK_RECORDS)
        return frame.encode(message.pack_data(_TAG, 0, seq, base_s, base_ms, records))

    def frames(self, count):
        """Frame the same block over and over."""
        for _ in range(count // BLOCK_RECORDS):
            self.framed()

    def stages(self, count):
        """Push readings through everything between the sampler and the ring."""
        ring = self.ring
        push = self.pipeline.push
        for _ in range(count // BLOCK_RECORDS):
            for _ in range(BLOCK_RECORDS):
                push(0, 0, _VALUE, 0, 0, self.now_ms)
            ring.release(ring.next_seq)

    def clock(self, count):
        """Let time pass."""
        uptime = self.uptime
        now_ms = self.now_ms
        for _ in range(count):
            now_ms = (now_ms + _INTERVAL_MS) & _TICK_MASK
            uptime.update(now_ms)
        self.now_ms = now_ms


def push(count):
    """Fill and free blocks of a ring of its own."""
    ring = RecordRing(BLOCK_RECORDS)
    for _ in range(count // BLOCK_RECORDS):
        for _ in range(BLOCK_RECORDS):
            ring.push(0, 0, _VALUE, 0, 0)
        ring.release(ring.next_seq)


def dumps(count):
    """Print the reading as JSON."""
    encode = json.dumps
    for _ in range(count):
        encode(_READING)


def loop(count):
    """Do nothing."""
    for _ in range(count):
        pass


def timed(function, count):
    """Return the microseconds that `function(count)` takes on a tidy heap."""
    gc.collect()
    start_us = now_us()
    function(count)
    return elapsed_us(now_us(), start_us)


def count_for(function, batch_ms):
    """Return how many readings keep `function` busy for `batch_ms`, in whole blocks."""
    count = BLOCK_RECORDS
    while True:
        took_us = timed(function, count)
        if took_us * 4 >= batch_ms * 1000:
            return max(1, count * batch_ms * 1000 // took_us // BLOCK_RECORDS) * BLOCK_RECORDS
        count *= 2


def main(repeats, batch_ms):
    """Measure; assert that what was measured is what was meant."""
    node = Node()
    full = Node()  # keeps one block, to be framed
    full.sample_block()
    staged = Node()
    active = Node(_FIRING_RULES)
    mixed = Node(_DEAR_RULES)
    parts = (  # what is compared stands side by side
        ("path", node.path),
        ("json", dumps),
        ("active", active.path),
        ("mixed", mixed.path),
        ("sampler", node.samples),
        ("stages", staged.stages),
        ("push", push),
        ("frame", full.frames),
        ("clock", node.clock),
        ("loop", loop),
    )
    counts = [count_for(function, batch_ms) for _, function in parts]
    taken = node.sampler.sampled_total
    sent = node.bytes_total
    for _ in range(repeats):
        for index in range(len(parts)):
            part, function = parts[index]
            took_us = timed(function, counts[index])
            print(json.dumps({"part": part, "count": counts[index], "us": took_us}))
    readings = repeats * (counts[0] + counts[4])
    assert node.sampler.sampled_total - taken == readings, "a round was no reading"
    assert node.ring.next_seq == node.sampler.sampled_total, "a reading was no record"
    assert node.ring.first_seq == node.ring.next_seq, "a record was not released"
    frames = repeats * counts[0] // BLOCK_RECORDS
    assert node.bytes_total - sent > frames * BLOCK_RECORDS * 8, "a record was not framed"


main(int(sys.argv[1]), int(sys.argv[2]))
