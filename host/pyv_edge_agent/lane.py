"""Lanes: the kinds of batches that a sink is sent in turns, each with a back-off of its own.

So none can hold another up; but if nothing gets through, the circuit opens, and one lane
after the other tries for all. The first success lets everything go at once. For the sink's
thread; what is in the way may be looked at by any.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .clock import Clock
from .sinks.delivery import UNAUTHORISED, Delivery

CIRCUIT_FAILURES = 5  # in a row, on all lanes together, that open the circuit
_DOUBLINGS_MAX = 30  # of a back-off: more is no number any more


@dataclass(frozen=True)
class BackOff:
    """How long a lane waits after a failure: a random time up to one that doubles each time."""

    base_s: float
    max_s: float

    def wait_s(self, attempts: int, delivery: Delivery, rng: random.Random) -> float:
        """Return how long to wait after so many attempts before this one, which failed so."""
        longest_s = min(self.base_s * 2 ** min(attempts, _DOUBLINGS_MAX), self.max_s)
        if delivery.outcome == UNAUTHORISED:
            longest_s = self.max_s  # somebody has to act; until then, asking is no use
        wait_s = rng.uniform(0, longest_s)
        if delivery.retry_after_s is not None:
            wait_s = max(wait_s, min(delivery.retry_after_s, self.max_s))
        return wait_s


@dataclass
class Lane:
    """One kind of batch."""

    name: str
    deliver: Callable[[], bool]  # sends one batch; returns whether to go on
    attempts: int = 0  # failed in a row
    not_before_ms: int = 0  # monotonic; 0: waits for nothing
    problem: str = ""  # why the last attempt failed; "" if it did not
    is_refused: bool = False  # that was for what the batch holds, which is being singled out
    accepts: int = 0  # since something was refused

    def settle(self) -> None:
        """Have no problem any more."""
        self.problem = ""
        self.is_refused = False
        self.accepts = 0


class Lanes:
    """All lanes of a sink, in turn."""

    def __init__(self, lanes: Iterable[Lane], clock: Clock, rng: random.Random) -> None:
        self._in_turn = list(lanes)
        self._by_name = {lane.name: lane for lane in self._in_turn}
        self._failures = 0  # in a row, whatever the lane
        self._clock = clock
        self._rng = rng

    def __getitem__(self, name: str) -> Lane:
        return self._by_name[name]

    @property
    def is_circuit_open(self) -> bool:
        """Whether nothing gets through, so that the lanes try one after the other."""
        return self._failures >= CIRCUIT_FAILURES

    def in_turn(self) -> list[Lane]:
        """Return the lanes in the order in which they try next."""
        return list(self._in_turn)

    def may_try(self, lane: Lane) -> bool:
        """Return whether a lane has waited long enough; then it waits for nothing any more."""
        if self._clock.monotonic_ms() < lane.not_before_ms:
            return False
        lane.not_before_ms = 0
        return True

    def hold(self, lane: Lane, wait_ms: int) -> None:
        """Let a lane wait, for nothing that has failed."""
        lane.not_before_ms = self._clock.monotonic_ms() + wait_ms

    def wait_s(self, idle_s: float) -> float:
        """Return how long to wait for the next one that may try; `idle_s` if none waits."""
        now_ms = self._clock.monotonic_ms()
        due_ms = [lane.not_before_ms for lane in self._in_turn if lane.not_before_ms]
        return max(0.0, min([(due - now_ms) / 1000 for due in due_ms], default=idle_s))

    def retry(self) -> None:
        """Let all try at once, as if nothing had failed."""
        self._failures = 0
        for lane in self._in_turn:
            lane.attempts = lane.not_before_ms = 0

    def accepted(self, lane: Lane) -> None:
        """Note that a batch of a lane has got through."""
        if self.is_circuit_open:
            for other in self._in_turn:  # let everything go at once
                other.not_before_ms = 0
        self._failures = 0
        lane.attempts = 0

    def failed(self, lane: Lane, delivery: Delivery, back_off: BackOff) -> None:
        """Note that a batch of a lane has not, and let it wait."""
        lane.problem = delivery.problem
        lane.is_refused = delivery.is_refused
        lane.accepts = 0
        wait_s = back_off.wait_s(lane.attempts, delivery, self._rng)
        lane.attempts += 1
        self.hold(lane, int(wait_s * 1000) + 1)
        if delivery.is_refused:
            return  # the sink answers
        self._failures += 1
        if self.is_circuit_open:
            # The next to try is another lane, and nobody tries before.
            self._in_turn.remove(lane)
            self._in_turn.append(lane)
            for other in self._in_turn:
                other.not_before_ms = max(other.not_before_ms, lane.not_before_ms)
