"""Cables that write down what both ends say, and are unplugged when their board loses power.

What a board said is the truth that a store is compared with, and what it was
told is what the host has promised. Nothing is harmed here: a cable that is full
makes the board wait, as a terminal does.
"""

import os
import pty
import select
import threading
import tty
from contextlib import suppress
from pathlib import Path

from pyv_edge_core import message
from pyv_edge_core.frame import FrameDecoder
from ring_model import unpack_slots

_READ_SIZE = 4096


class Boot:
    """One boot of a board: what it has said, and what it was told."""

    def __init__(self, name):
        self.name = name
        self.hello = None
        self.readings = {}  # (stream, seq): (place in the table, quality, value, uptime in ms)
        self.repeated = 0  # readings that were sent again
        self.gaps = []  # (stream, first, last)
        self.vitals = None  # the last
        self.acknowledged = [0, 0]  # by stream: everything below is on the host's disk
        self.acks = 0  # that acknowledged anything new
        self.at_next_ack = None  # function() to call at once when there is another, in this thread
        self.is_over = False  # whether its power is gone

    def heard(self, payload):
        """Take a message of the board's."""
        kind, parsed = message.parse(payload) or (None, None)
        if kind == message.HELLO:
            assert self.hello is None or self.hello.boot == parsed.boot
            self.hello = parsed
        elif kind == message.VITALS:
            self.vitals = parsed
        elif kind == message.GAP:
            self.gaps.append((parsed.stream, parsed.first_seq, parsed.last_seq))
        elif kind == message.DATA:
            for seq, *reading in unpack_slots(
                parsed.first_seq, parsed.base_s, parsed.base_ms, parsed.records
            ):
                key = (parsed.stream, seq)
                self.repeated += key in self.readings
                # A number is one reading's for ever, however often it is sent.
                assert self.readings.setdefault(key, tuple(reading)) == tuple(reading), key

    def told(self, payload):
        """Take a message of the host's."""
        kind, parsed = message.parse(payload) or (None, None)
        if kind is None or self.hello is None or parsed.tag != self.hello.tag:
            return
        if kind == message.ACK:
            told = {parsed.stream: parsed.committed}
        elif kind == message.WELCOME:
            told = {0: parsed.telemetry_resume, 1: parsed.events_resume}
        else:
            return
        for stream, committed in told.items():
            if committed > self.acknowledged[stream]:
                self.acknowledged[stream] = committed
                self.acks += 1
                if self.at_next_ack is not None:
                    strike, self.at_next_ack = self.at_next_ack, None
                    strike()

    def known_next(self, stream):
        """Return the number after the last that is known to have been sampled."""
        ends = [seq + 1 for place, seq in self.readings if place == stream]
        ends += [last + 1 for place, _, last in self.gaps if place == stream]
        if stream == 0 and self.vitals is not None:
            ends.append(self.vitals.telemetry_next)
        return max(ends, default=0)


class _Cable:
    """From a board's terminal to one of its own, whose path the agent opens."""

    def __init__(self, board_path, path, boot):
        self.boot = boot
        self.path = path
        self.board = os.open(board_path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.host, self._slave = pty.openpty()
        tty.setraw(self._slave)  # held open: a host that goes away doesn't listen, and no more
        os.set_blocking(self.host, False)
        self.waiting = {self.board: b"", self.host: b""}  # what is still to be written, by end
        self._decoders = {self.board: FrameDecoder(), self.host: FrameDecoder(256)}
        path.unlink(missing_ok=True)
        path.symlink_to(os.ttyname(self._slave))

    def other(self, end):
        return self.host if end == self.board else self.board

    def carry(self, end):
        """Take what `end` says. Raises OSError if it is gone."""
        data = os.read(end, _READ_SIZE)
        if not data:
            raise OSError("hung up")
        take = self.boot.heard if end == self.board else self.boot.told
        for payload in self._decoders[end].feed(data):
            take(payload)
        self.waiting[self.other(end)] += data

    def flush(self, end):
        self.waiting[end] = self.waiting[end][os.write(end, self.waiting[end]) :]

    def close(self):
        with suppress(BlockingIOError):
            while True:  # what the host has promised, it has, also if the board never hears of it
                self.carry(self.host)
        for end in (self.board, self.host, self._slave):
            os.close(end)
        self.path.unlink(missing_ok=True)
        self.boot.is_over = True


class Tap:
    """All cables, in one thread."""

    def __init__(self):
        self.boots = []
        self._cables = []
        self._lock = threading.Lock()
        self._wake_read, self._wake_write = os.pipe()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def plug(self, board, path):
        """Connect a board that has just been started with `path`; return its new boot."""
        boot = Boot(board.folder.name)
        cable = _Cable(board.path, Path(path), boot)
        with self._lock:
            self.boots.append(boot)
            self._cables.append(cable)
        os.write(self._wake_write, b"x")
        return boot

    def close(self):
        """Unplug all; later calls do nothing."""
        self._is_stopping = True
        os.write(self._wake_write, b"x")
        self._thread.join()

    def _run(self):
        while not self._is_stopping:
            with self._lock:
                owners = {end: cable for cable in self._cables for end in cable.waiting}
            readers = [end for end, cable in owners.items() if not cable.waiting[cable.other(end)]]
            writers = [end for end, cable in owners.items() if cable.waiting[end]]
            readable, writable, _ = select.select([*readers, self._wake_read], writers, [])
            if self._wake_read in readable:
                os.read(self._wake_read, 1)
            gone = set()
            for end, work in [(end, _Cable.carry) for end in readable if end in owners] + [
                (end, _Cable.flush) for end in writable
            ]:
                try:
                    work(owners[end], end)
                except BlockingIOError:
                    continue
                except OSError:
                    gone.add(owners[end])
            for cable in gone:
                self._unplug(cable)
        for cable in list(self._cables):
            self._unplug(cable)

    def _unplug(self, cable):
        with self._lock:
            self._cables.remove(cable)
        cable.close()
