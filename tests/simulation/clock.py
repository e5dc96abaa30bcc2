"""True time, and what the clocks of boards and of the host make of it.

True time is an integer of microseconds that moves only from one entry of the
queue to the next. Entries of the same moment run in the order in which they were
made, so that a seed always gives the same run.
"""

from heapq import heappop, heappush

UTC_MS = 1_780_000_000_000  # some day in 2026, when a world begins
_TICK_MASK = 0x3FFFFFFF


class Queue:
    """What is going to happen, and when."""

    def __init__(self):
        self.now_us = 0
        self._entries = []
        self._count = 0

    def at(self, due_us, call, argument=None):
        """Have `call(argument)` run at `due_us`, now if that is over."""
        self._count += 1
        heappush(self._entries, (max(due_us, self.now_us), self._count, call, argument))

    def run_until(self, end_us, is_over=None):
        """Let time pass up to `end_us`, or until `is_over()`.

        May be called by what runs in it: time then passes for all others.
        """
        entries = self._entries
        while entries and entries[0][0] <= end_us:
            due_us, _, call, argument = heappop(entries)
            self.now_us = max(self.now_us, due_us)
            call(argument)
            if is_over is not None and is_over():
                return
        self.now_us = max(self.now_us, end_us)


class Actor:
    """Something with a next due time: a board's loop, a thread of the agent."""

    def __init__(self, queue):
        self.queue = queue
        self._due_us = None  # None: nothing is planned

    def wake_by(self, due_us):
        """Run at `due_us`, unless it will run sooner anyway."""
        if self._due_us is None or due_us < self._due_us:
            self._due_us = max(due_us, self.queue.now_us)
            self.queue.at(self._due_us, self._fire, self._due_us)

    def rest(self):
        """Plan nothing until somebody wakes it."""
        self._due_us = None

    def _fire(self, due_us):
        if due_us == self._due_us:  # else it was planned anew since
            self._due_us = None
            self.step()

    def step(self):
        """Do what is due, and plan what comes next."""
        raise NotImplementedError


class HostClock:
    """The agent's `Clock`: a monotonic one that is true, and a UTC that faults set."""

    def __init__(self, queue, monotonic_ms, utc_ms, off_ms=0):
        self._queue = queue
        self._is_set = not off_ms
        self._right_us = utc_ms * 1000  # offset to true time that makes it right
        self.offset_us = self._right_us + off_ms * 1000
        self.states = []  # (true time, offset to it, whether synchronised) from then on
        self.boots_us = {}  # monotonic less true time, by boot
        self.reboot(monotonic_ms)

    @property
    def now_us(self):
        """True time."""
        return self._queue.now_us

    def monotonic_ms(self):
        return (self._queue.now_us + self._monotonic_us) // 1000

    def utc_ms(self):
        return (self._queue.now_us + self.offset_us) // 1000

    def is_synchronised(self):
        return self._is_set

    def boot_id(self):
        return self._boot

    def reboot(self, monotonic_ms):
        """Begin another boot of the computer, with `monotonic_ms` on its clock."""
        self._boot = "boot %d" % (len(self.boots_us) + 1)
        self._monotonic_us = monotonic_ms * 1000 - self._queue.now_us
        self.boots_us[self._boot] = self._monotonic_us
        self._note()

    def step(self, by_ms):
        """Set UTC forward, or back. If it was known to be right, it is so still."""
        self.offset_us += by_ms * 1000
        if self._is_set:
            self._right_us = self.offset_us
        self._note()

    def set_off(self, off_ms):
        """Let it be wrong by so much, and not known to be right."""
        self.offset_us = self._right_us + off_ms * 1000
        self._is_set = False
        self._note()

    def synchronise(self):
        """Set it right, and let that be known."""
        self.offset_us = self._right_us
        self._is_set = True
        self._note()

    def _note(self):
        self.states.append((self._queue.now_us, self.offset_us, self._is_set))


class Ticks:
    """A board's milliseconds: a crystal that is `ppm` fast, a counter that begins anywhere."""

    def __init__(self, booted_us, start_ms, ppm):
        self._booted_us = booted_us
        self._start_ms = start_ms
        self._rate = 1_000_000 + ppm

    def at(self, true_us):
        """Return what the counter shows."""
        elapsed_ms = (true_us - self._booted_us) * self._rate // 1_000_000_000
        return (self._start_ms + elapsed_ms) & _TICK_MASK

    def true_us(self, duration_ms):
        """Return how long it truly takes until the counter has moved on by that much."""
        return duration_ms * 1_000_000_000 // self._rate + 1
