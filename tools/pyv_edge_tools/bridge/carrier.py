"""Carries bytes between a board's port and another program, unchanged, and shows them to others.

    board --> [lane to the host] --> program      full: what comes is lost, and counted
    board <-- [lane to the board] <-- program     full: the program has to wait

A board must never wait for a host: it has its ring, sends again what isn't
acknowledged, and its `print` would stop its loop. So what a program doesn't read
is lost as on a UART. A program may wait: it sees a full port. Nobody waits for
whoever looks on, which is `observe`'s business.

A board that is unplugged is looked for until it is back; the program's end stays
open meanwhile, and what it says is lost, as on a cable without an end.
"""

import os
import random
import select
import time
from collections.abc import Callable
from typing import Any

from .chunk import TO_BOARD, TO_HOST, Chunk, Note, Seen
from .fault import Faults
from .lane import Lane
from .port import READ_SIZE, BoardPort, PortAbsentError, PortError
from .server import Server
from .terminal import Terminal

LANE_SIZE = 65_536  # bytes towards the program
BOARD_LANE_SIZE = 2 * READ_SIZE  # and towards the board: more would only wait for longer
LOOK_MS = 500  # a port that isn't there is looked for this often: whoever plugs it in is waiting
LOOK_MS_MAX = 5000  # and one that can't be opened ever less often, up to this
PRESENCE_MS = 20  # a program that opens the terminal is noticed this soon
_IDLE_MS = 1000
_BROKEN = select.POLLHUP | select.POLLERR  # reported whether asked for or not

Observe = Callable[[Seen], None]


def now_ns() -> int:
    """Return the time of a clock that never steps."""
    return time.monotonic_ns()


class Carrier:
    """One board's port, and the program that has the other end if there is one for it."""

    def __init__(
        self,
        port: BoardPort,
        observe: Observe,
        end: Terminal | Server | None = None,
        *,
        faults: tuple[Faults, Faults] | None = None,
        clock: Callable[[], int] = now_ns,
        rng: random.Random | None = None,
    ) -> None:
        """Carry between `port`, which may be open already, and `end`; both stay the caller's.

        `faults` are those towards the host and those towards the board.
        """
        self.to_host = Lane(LANE_SIZE)
        self.to_board = Lane(BOARD_LANE_SIZE)
        self.unheard_bytes_total = 0  # the board's, while no program had the other end open
        self.unsaid_bytes_total = 0  # the program's, while there was no board
        self.opened_total = 1 if port.is_open else 0
        self.went_away_total = 0
        self.programs_total = 0  # times that a program opened the other end
        self._port = port
        self._end = end
        self._observe = observe
        self._faults = faults
        self._clock = clock
        self._rng = rng or random.Random()
        self._look_ms = LOOK_MS
        self._look_at_ms = 0
        self._is_explained = False  # whether it was said why the port can't be opened
        self._is_present = False
        self._lost_before = -1  # bytes lost before the program ceased to read; -1: it reads
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)

    def wake(self) -> None:
        """Make a waiting `step` return, from another thread or a signal."""
        try:
            os.write(self._wake_write, b"x")
        except BlockingIOError:
            return  # it is awake by then

    def close(self) -> None:
        """Close what is its own: not the port, nor the other end."""
        os.close(self._wake_read)
        os.close(self._wake_write)

    def counters(self) -> dict[str, int]:
        """Return what was carried and what was lost; they only ever rise."""
        return {
            "to_host_bytes_total": self.to_host.passed_bytes_total,
            "to_board_bytes_total": self.to_board.passed_bytes_total,
            "lost_bytes_total": self.to_host.lost_bytes_total
            + self.to_board.lost_bytes_total
            + self._port.dropped_bytes_total,
            "unheard_bytes_total": self.unheard_bytes_total,
            "unsaid_bytes_total": self.unsaid_bytes_total,
            "port_opened_total": self.opened_total,
            "port_went_away_total": self.went_away_total,
            "programs_total": self.programs_total,
        }

    def step(self, wait_ms: int = _IDLE_MS) -> None:
        """Wait until something can be done, `wait_ms` at most, and do it."""
        now_ms = self._clock() // 1_000_000
        if not self._port.is_open and now_ms >= self._look_at_ms:
            self._open(now_ms)
        self._look_for_program()
        poll, wait_ms = self._interests(now_ms, wait_ms)
        ready = dict(poll.poll(wait_ms))
        if self._wake_read in ready:
            os.read(self._wake_read, 512)
        try:
            self._carry(ready)
        except PortError as error:
            self._lose_port(str(error))
        if isinstance(self._end, Server):
            self._change_program(self._end, ready)

    def _interests(self, now_ms: int, wait_ms: int) -> tuple[Any, int]:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        if self._port.is_open:
            wanted = select.POLLOUT if self.to_board else 0
            poll.register(self._port.fileno(), select.POLLIN | wanted)
        else:
            wait_ms = min(wait_ms, max(0, self._look_at_ms - now_ms))
        if isinstance(self._end, Server):
            poll.register(self._end.listener.fileno(), select.POLLIN)
        if self._end is not None and self._is_present:
            wanted = select.POLLIN if self._may_read() else 0
            if self.to_host or self._is_writing():
                wanted |= select.POLLOUT
            poll.register(self._end.fileno(), wanted)
        elif isinstance(self._end, Terminal):
            wait_ms = min(wait_ms, PRESENCE_MS)
        for faults in self._faults or ():
            due_ms = faults.wait_ms(now_ms)
            if due_ms is not None:
                wait_ms = min(wait_ms, due_ms)
        return poll, wait_ms

    def _carry(self, ready: dict[int, int]) -> None:
        """Move what has come, each way. Raises PortError."""
        if self._port.is_open and ready.get(self._port.fileno(), 0) & ~select.POLLOUT:
            self._take(TO_HOST, self._port.read())
        is_heard = self._end is not None and self._is_present and self._may_read()
        if is_heard and self._end is not None and ready.get(self._end.fileno(), 0):
            self._take(TO_BOARD, self._end.read())
        now_ms = self._clock() // 1_000_000
        for direction, faults in enumerate(self._faults or ()):
            self._hand_on(direction, faults.take(now_ms))
        if self._end is not None and self._is_present and (self.to_host or self._is_writing()):
            self.to_host.gone(self._end.write(self.to_host.front()))
        if self._port.is_open and self.to_board:
            self.to_board.gone(self._port.write(self.to_board.front()))

    def _may_read(self) -> bool:
        """Return whether there is room for all that one read of the program's end may bring."""
        return self.to_board.room >= READ_SIZE

    def _is_writing(self) -> bool:
        return isinstance(self._end, Server) and self._end.is_writing

    def _take(self, direction: int, data: bytes) -> None:
        if not data:
            return
        if self._faults is None:
            self._hand_on(direction, data)
        else:
            self._faults[direction].feed(data, self._clock() // 1_000_000)

    def _hand_on(self, direction: int, data: bytes) -> None:
        if not data:
            return
        self._observe(Chunk(self._clock(), direction, data))
        if direction == TO_HOST:
            if self._is_present:
                self._put(data)
            else:
                self.unheard_bytes_total += len(data)
        elif self._port.is_open:
            self.to_board.put(data)
        else:
            self.unsaid_bytes_total += len(data)

    def _put(self, data: bytes) -> None:
        """Let the program have what fits; say once when it begins to lose, and when that is over.

        What was lost is a UART's loss: the board sends it again.
        """
        lost = self.to_host.lost_bytes_total
        if not self.to_host and self._lost_before >= 0:
            text = f"the program reads again; {lost - self._lost_before} bytes were lost"
            self._lost_before = -1
            self._observe(Note(self._clock(), text))
        self.to_host.put(data)
        if self.to_host.lost_bytes_total > lost and self._lost_before < 0:
            self._lost_before = lost
            text = "the program does not read, what the board says is lost"
            self._observe(Note(self._clock(), text))

    # -- who is there ----------------------------------------------------------------

    def _look_for_program(self) -> None:
        is_present = self._end is not None and self._end.is_present()
        if is_present == self._is_present:
            return
        self._is_present = is_present
        self.programs_total += is_present
        if not is_present:
            if isinstance(self._end, Terminal):
                while data := self._end.read():  # what it said last
                    self._take(TO_BOARD, data)
                self._end.forget()
            self.unheard_bytes_total += self.to_host.clear()
            self._lost_before = -1
        what = "a program opened the other end" if is_present else "the program has closed its end"
        self._observe(Note(self._clock(), what))

    def _change_program(self, end: Server, ready: dict[int, int]) -> None:
        """Let the next program in, and before that see one off that is gone.

        What that one has said last waits for a board which doesn't read only as long as
        nobody else wants in. What finds no room then is lost, and counted.
        """
        is_awaited = end.listener.fileno() in ready
        is_broken = end.is_present() and ready.get(end.fileno(), 0) & _BROKEN
        if is_awaited or (is_broken and not self._may_read()):
            while end.is_present() and end.is_gone():
                self._take(TO_BOARD, end.read())
        self._look_for_program()
        if is_awaited:
            end.accept()
            self._look_for_program()

    def _open(self, now_ms: int) -> None:
        try:
            self._port.open()
        except PortError as error:
            if not self._is_explained:
                self._is_explained = True
                self._observe(Note(self._clock(), str(error)))
            self._look_at_ms = now_ms + round(self._look_ms * self._rng.uniform(0.5, 1.0))
            is_absent = isinstance(error, PortAbsentError)
            self._look_ms = LOOK_MS if is_absent else min(self._look_ms * 2, LOOK_MS_MAX)
            return
        self._is_explained = False
        self._look_ms = LOOK_MS
        self.opened_total += 1
        self._observe(Note(self._clock(), f"port {self._port.name} is open"))

    def _lose_port(self, problem: str) -> None:
        self._port.close()
        self.went_away_total += 1
        self.unsaid_bytes_total += self.to_board.clear()
        self._look_at_ms = self._clock() // 1_000_000 + LOOK_MS
        self._observe(Note(self._clock(), problem))
