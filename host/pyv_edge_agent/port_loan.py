"""The loan of a board's port to another program, such as one that flashes the board.

Any thread may ask. The link's thread lends and takes back, between two steps.
Before the port is closed, what had come in is committed and the board has read
that it is; after DRAIN_MS it is closed all the same, and the board keeps what
was not acknowledged. A loan ends by itself, so that one that is forgotten costs
its time and no more.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from . import link_state
from .clock import Clock
from .dialogue import Dialogue
from .errors import RequestError
from .link_state import LENT, UP, LinkState
from .port import Port

logger = logging.getLogger(__name__)

DRAIN_MS = 5_000


@dataclass(frozen=True)
class Loan:
    """What somebody is to know who gets a port."""

    port: str  # as the configuration names it
    path: str  # where it was found last, without links; "" if it isn't there
    who: dict[str, str | None]  # the board there, see Dialogue.who
    until_ms: int  # monotonic
    is_settled: bool  # whether all that had come was acknowledged, and all that was asked answered
    is_prolonged: bool = False  # whether it was lent already


@dataclass
class _Asked:
    """A loan that somebody waits for, or several do."""

    for_ms: int
    future: "Future[Loan]" = field(default_factory=Future)
    received: tuple[int, int] | None = None  # how far each stream had come then
    drained_by_ms: int = 0
    is_marked: bool = False  # whether the board is asked to prove what it has read


class PortLoan:
    """Whether the port of one link is lent, and what is asked about that."""

    def __init__(
        self,
        name: str,
        port: Port,
        states: LinkState,
        dialogue: Dialogue,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        """Begin without a loan; `wake` makes the link call `run`."""
        self.current: Loan | None = None  # stays when the link ends, for the one behind it
        self._name = name
        self._port = port
        self._states = states
        self._dialogue = dialogue
        self._clock = clock
        self._wake = wake
        self._lock = threading.Lock()
        self._asked: _Asked | None = None
        self._back: Future[bool] | None = None
        self._is_stopped = False

    # -- from any thread -----------------------------------------------------------

    def lend(self, for_ms: int) -> "Future[Loan]":
        """Ask for the port, or for it to be lent for longer; a loan is never made shorter.

        The future always ends: with RequestError if the link stops, or if the port is
        taken back before it was lent. Raises RequestError if the link has stopped.
        """
        with self._lock:
            self._check_running()
            asked = self._asked
            if asked is None:
                asked = self._asked = _Asked(for_ms)
                assert asked.future.set_running_or_notify_cancel()  # it can't be cancelled now
            else:
                asked.for_ms = max(asked.for_ms, for_ms)
        self._wake()
        return asked.future

    def take_back(self) -> "Future[bool]":
        """Ask for the loan to end; the future tells whether there was one.

        It always ends, with RequestError if the link stops. Raises that if it has.
        """
        with self._lock:
            self._check_running()
            asked, self._asked = self._asked, None
            back = self._back
            if back is None:
                back = self._back = Future()
                assert back.set_running_or_notify_cancel()
        if asked is not None:
            asked.future.set_exception(self._error("taken back before it was lent"))
        self._wake()
        return back

    def stop(self) -> None:
        """Answer who waits with RequestError; so is who asks later. A loan stays `current`."""
        with self._lock:
            self._is_stopped = True
            asked, self._asked = self._asked, None
            back, self._back = self._back, None
        if asked is not None:
            asked.future.set_exception(self._error("the link has stopped"))
        if back is not None:
            back.set_exception(self._error("the link has stopped"))

    def _check_running(self) -> None:
        if self._is_stopped:
            raise self._error("the link has stopped")

    def _error(self, problem: str) -> RequestError:
        return RequestError(f"the port of {self._name}: {problem}")

    # -- the link's thread ---------------------------------------------------------

    def keep(self, loan: Loan) -> None:
        """Go on with a loan of the link before this one, which had the same port."""
        self.current = loan
        self._states.lend(loan.until_ms)
        logger.info("link %s: its port stays %s", self._name, self._states.lent)

    def run(self) -> None:
        """Do what is asked for, as soon as it can be, and end a loan whose time is over."""
        if self._back is not None:
            with self._lock:
                back, self._back = self._back, None
            if back is not None:  # else the link was just told to stop
                back.set_result(self._end("it is taken back"))
        elif self._states.state == LENT and self._states.wait_s() == 0:
            self._end("its time is over")
        asked = self._asked
        if asked is not None and (self._states.state != UP or self._is_due(asked)):
            self._lend(asked)

    def _is_due(self, asked: _Asked) -> bool:
        """Return whether the port of a board that is up can be closed, or has to be."""
        now_ms = self._clock.monotonic_ms()
        if asked.received is None:
            asked.received = self._dialogue.received
            asked.drained_by_ms = now_ms + DRAIN_MS
        return now_ms >= asked.drained_by_ms or self._is_settled(asked)

    def _is_settled(self, asked: _Asked) -> bool:
        assert asked.received is not None
        dialogue, pacing = self._dialogue, self._dialogue.session.pacing
        if not dialogue.requests.is_idle or not dialogue.is_committed(asked.received):
            return False
        # While something is in flight, an acknowledgement may be, or wait for room.
        if pacing.in_flight and not asked.is_marked:
            pacing.ask()
            asked.is_marked = True
        return not pacing.in_flight

    def _lend(self, asked: _Asked) -> None:
        before = self.current if self._states.state == LENT else None
        now_ms = self._clock.monotonic_ms()
        is_in_time = self._states.state == UP and now_ms < asked.drained_by_ms
        is_settled = asked.received is None or is_in_time
        unsettled = "" if is_settled else "; what is not acknowledged by now comes again"
        self._port.close()
        with self._lock:
            is_awaited = self._asked is asked  # else it is taken back in the next step
            if is_awaited:
                self._asked = None
        until_ms = now_ms + asked.for_ms
        if before is not None:
            until_ms = max(until_ms, before.until_ms)
            loan = replace(before, until_ms=until_ms, is_prolonged=True)
        else:
            port, who = self._port, self._dialogue.who()
            loan = Loan(port.configured, port.path, who, until_ms, is_settled)
        self.current = loan
        self._states.lend(until_ms)
        logger.info("link %s: its port is %s%s", self._name, self._states.lent, unsettled)
        if is_awaited:
            asked.future.set_result(loan)

    def _end(self, why: str) -> bool:
        """Let the link look for its port again; return whether it was lent."""
        if self._states.state != LENT:
            return False
        self.current = None
        self._states.on(link_state.RETURNED)
        logger.info("link %s: the loan of its port is over: %s", self._name, why)
        return True
