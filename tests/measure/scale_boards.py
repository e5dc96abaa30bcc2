"""Boards that are played: the core's own device sessions, in one thread, over a pty each.

What a board's interpreter takes is no cost of the agent, so there is none. Readings are
pushed into the rings at a rate that can be changed; what the agent has committed and
acknowledged leaves them. A rate of None is as much as the rings take.
"""

import os
import pty
import select
import threading
import time
import tty
from collections import deque
from contextlib import suppress

from pyv_edge_bench.link_pair import vitals
from pyv_edge_core import device_states
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.identity import Identity
from pyv_edge_core.reading import Channel
from pyv_edge_core.record_ring import RecordRing

CAPACITY = 8192
ROOM = 512  # of a ring, kept free when it is filled as fast as it goes
BURST = 1024  # readings of a board in one round
STEP_MS = 10
VITALS_MS = 60_000  # a node's own
_TICK_MASK = 0x3FFFFFFF


class PlayedBoard:
    """A board's end of one line, with so many channels."""

    def __init__(self, number, channel_count):
        self.name = f"board{number}"
        self.master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self._slave)
        self.channel_count = channel_count
        self.ring = RecordRing(CAPACITY)
        self.rate = 0.0  # readings a second; None: as fast as it goes
        channels = [Channel(f"c{n}", "Cel", -2) for n in range(max(1, channel_count))]
        identity = Identity(self.name, 0x5EED0000 + number, "rp2", "1.0.0", "1.0.0")
        self.session = DeviceSession(identity, channels, self.ring, RecordRing(16))
        self._unsent = b""
        self._owed = number * 0.618 % 1  # boards are not in step
        self._vitals_ms = number * 997  # not all at once

    @property
    def is_up(self):
        return self.session.state == device_states.UP

    def push(self, now_ms, passed_ms):
        """Take the readings that are due."""
        if self.rate is None:
            count = min(BURST, self.ring.capacity - ROOM - len(self.ring))
        else:
            self._owed += self.rate * passed_ms / 1000
            count = int(self._owed)
            self._owed -= count
        seconds, ms = divmod(now_ms, 1000)
        for _ in range(max(0, count)):
            number = self.ring.next_seq
            value = 2000 + number * 7919 % 200  # as noisy as a sensor's last digits
            assert self.ring.push(number % self.channel_count, 0, value, seconds, ms), "overflow"
        if self.is_up and now_ms - self._vitals_ms >= VITALS_MS:
            self._vitals_ms = now_ms
            self.session.report(vitals(self.session, self.ring, now_ms))

    def receive(self, now_ms):
        with suppress(BlockingIOError):
            self.session.receive(os.read(self.master, 4096), now_ms & _TICK_MASK)

    def send(self, now_ms):
        """Write what is due, as far as the line takes it."""
        seconds, ms = divmod(now_ms, 1000)
        while True:
            if not self._unsent:
                self._unsent = self.session.transmit(now_ms & _TICK_MASK, seconds, ms)
                if not self._unsent:
                    return
            try:
                self._unsent = self._unsent[os.write(self.master, self._unsent) :]
            except BlockingIOError:
                return

    def close(self):
        os.close(self.master)
        os.close(self._slave)


class PlayedBoards:
    """Boards with their channels dealt to them, and the thread that plays them."""

    def __init__(self, board_count, channel_count):
        dealt = [len(range(n, channel_count, board_count)) for n in range(board_count)]
        self.boards = [PlayedBoard(n, count) for n, count in enumerate(dealt)]
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)

    def devices(self):
        """Return what an agent's configuration says of them."""
        return [
            {"name": one.name, "ingest_type": "serial", "port": one.path} for one in self.boards
        ]

    def start(self):
        self._thread.start()

    def set_rate(self, rate):
        """Let all boards together take so many readings a second, each channel alike."""
        total = sum(one.channel_count for one in self.boards)
        for one in self.boards:
            is_used = one.channel_count > 0
            share = None if rate is None and is_used else (rate or 0) * one.channel_count / total
            one.rate = share

    @property
    def are_up(self):
        return all(one.is_up for one in self.boards)

    def acknowledged(self):
        """Return how many readings the agent has committed and said so."""
        return sum(one.ring.first_seq for one in self.boards)

    def _play(self):
        poll = select.poll()
        by_descriptor = {one.master: one for one in self.boards}
        for descriptor in by_descriptor:
            poll.register(descriptor, select.POLLIN)
        # Each in its turn within a step: boards are not in step, and an agent whose links were
        # all woken at once would be busy with that.
        began_ms = time.monotonic() * 1000
        turns = deque(
            (began_ms + STEP_MS * number / len(self.boards), began_ms, one)
            for number, one in enumerate(self.boards)
        )
        while not self._is_ending.is_set():
            due_ms, before_ms, board = turns[0]
            ready = poll.poll(max(0.0, due_ms - time.monotonic() * 1000))
            now = time.monotonic() * 1000
            now_ms = int(now)
            for descriptor, _ in ready:
                by_descriptor[descriptor].receive(now_ms)
                by_descriptor[descriptor].send(now_ms)
            if now >= due_ms:
                board.push(now_ms, now - before_ms)
                board.send(now_ms)
                turns.popleft()
                turns.append((max(due_ms + STEP_MS, now), now, board))

    def close(self):
        self._is_ending.set()
        self._thread.join(10)
        for one in self.boards:
            one.close()
