"""One simulated site: boards, cables, an agent, a disk, and what goes wrong with them.

    ordinary life with faults | heal_us: all faults have ended | no more sampling, all drains

`run()` plays a seed through; everything that is random comes from that seed.
"""

import logging
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

from . import clock_faults, faults, seals, spilled
from .agent import Agent
from .asking import Asking
from .board import Board
from .broken import Broken
from .clock import UTC_MS, HostClock, Queue
from .disk import Disk
from .pushing import Pushing
from .trace import LogLines, Trace

CALM_S = 20  # of ordinary life without faults before sampling ends
DRAIN_S = 240  # then all is delivered after at most that long, and what slow lines need
_AGENT_LOGGER = "pyv_edge_agent"


@dataclass
class Sabotage:
    """Ways to break a world on purpose, so that tests see its invariants fail."""

    wrap_store: Any = None  # store -> store
    tamper: Any = None  # bytes on a wire -> bytes
    wrap_put: Any = None  # inbox of the links -> inbox
    clock: Any = None  # HostClock -> what the agent sees
    unlock: Any = None  # SerialLink -> None, as it begins
    spoil_app: Any = None  # is given each App
    spoil_link: Any = None  # is given each SerialLink
    pins: Any = None  # which boards may be on which link, for the agent


class World:
    """Everything there is."""

    def __init__(self, plan, folder, write_trace=None, sabotage=None):
        self.plan = plan
        self.folder = folder
        self.sabotage = sabotage or Sabotage()
        self.queue = Queue()
        self.trace = Trace(self.queue, write_trace)
        self.rng = Random(f"world {plan.seed}")
        monotonic_ms = self.rng.randrange(1, 2**31)
        self.true_clock = HostClock(self.queue, monotonic_ms, UTC_MS, plan.clock.off_ms)
        lie = self.sabotage.clock
        self.clock = self.true_clock if lie is None else lie(self.true_clock)
        self.heal_us = plan.duration_s * 1_000_000
        self.strikes = Counter()
        self.disk = Disk(folder, self)
        self.boards = [
            Board(self, Random(self.rng.getrandbits(64)), board) for board in plan.boards
        ]
        self.agent = Agent(self)
        self.acks_total = 0
        self.asking = Asking(self)
        self.pushing = Pushing(self)

    def struck(self, kind, count=1):
        """Count that a fault has hit something."""
        self.strikes[kind] += count

    def acknowledged(self, board, stream, next_seq, boot=None):
        """Check that what a board was just told to be stored is in the store."""
        self.acks_total += 1
        boot = board.truth.boot if boot is None else boot
        stored = self.disk.next_seq(boot, stream)
        self.trace(board.plan.name, "stream %d is acknowledged up to %d" % (stream, next_seq))
        if next_seq > stored:
            raise Broken(
                "acknowledged is stored: %s, boot %08x, stream %d: acknowledged up to %d,"
                " stored up to %d" % (board.plan.name, boot, stream, next_seq, stored)
            )

    # -- the course of things ------------------------------------------------------

    def run(self):
        """Play it through. Raises Broken."""
        logger = logging.getLogger(_AGENT_LOGGER)
        before = logger.level, logger.propagate
        lines = LogLines(self.trace, str(self.folder))
        logger.propagate = False
        logger.setLevel(logging.INFO if self.trace.is_on else logging.CRITICAL + 1)
        logger.addHandler(lines)
        try:
            self._play()
        finally:
            logger.removeHandler(lines)
            logger.setLevel(before[0])
            logger.propagate = before[1]

    def _play(self):
        queue = self.queue
        for board in self.boards:
            queue.at(self.rng.randrange(2_000_000), board.boot)
        queue.at(self.rng.randrange(5_000_000), self.agent.start)
        faults.schedule(self, self.rng)
        clock_faults.schedule(self)
        self.asking.schedule()
        self.pushing.schedule()
        spilled.schedule(self)
        queue.run_until(self.heal_us)
        self.trace("world", "all faults have ended")
        queue.run_until(self.heal_us + CALM_S * 1_000_000)
        for board in self.boards:
            board.end_sampling()
        self.trace("world", "sampling has ended")
        self._drain()

    def _drain(self):
        slowest = min(board.plan.byte_rate for board in self.boards)
        most = max(board.plan.capacity + board.plan.events_capacity for board in self.boards)
        limit_s = DRAIN_S + most * 30 // slowest
        if any(board.plan.link_key for board in self.boards):
            limit_s += seals.RECOVERY_S
        limit_us = self.queue.now_us + limit_s * 1_000_000
        while self.agent.is_retiming or not all(self._is_drained(board) for board in self.boards):
            if self.queue.now_us >= limit_us:
                held = ", ".join(
                    "%s holds %d" % (board.plan.name, board.held) for board in self.boards
                )
                raise Broken("the link comes back: not all is delivered in time: " + held)
            self.queue.run_until(self.queue.now_us + 1_000_000)
        self.trace("world", "all is delivered")
        self.agent.stop()
        if self.agent.is_alive:
            raise Broken("the agent stops when it is told to")
        for board in self.boards:
            board.settle()

    def _is_drained(self, board):
        """Return whether all of a board's last boot is stored, its VITALS too."""
        truth = board.truth
        return (
            board.app is not None
            and not board.held
            and not board.spilled.pages()
            and self.disk.next_seq(truth.boot, 0) == truth.telemetry.count
            and self.disk.next_seq(truth.boot, 1) == board.app.events.next_seq
            and self.disk.sampled_total(truth.boot) == truth.sampled
        )
