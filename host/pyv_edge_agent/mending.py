"""Mending: what is done about commits that fail, and about a file that is damaged or gone.

A failure is told when it is news; meanwhile nothing is acknowledged. A full disk is made room
on. A file that is deleted or replaced is copied at once: a kill would take it along. One that is
damaged or refused is replaced or opened again, at most once a minute, as is what has failed. For
the thread that stores.
"""

import logging

from .clock import Clock
from .errors import StoreError, StoreFullError, StoreRefusedError
from .heartbeat import Heartbeat
from .store import SQLiteStore, Upkeep
from .time_base import TimeBase

logger = logging.getLogger(__name__)

RECOVER_MS = 60_000  # between two replacements of a damaged file, or two tries that fail
MEND_MS = 1_800_000  # longest that one takes: all of a large file may have to be copied
NOWHERE = ("", -1, -1)  # where no store stands


class Mending:
    """What is wrong with a store, as far as whoever stores into it can tell."""

    def __init__(
        self,
        store: SQLiteStore,
        upkeep: Upkeep | None,
        time_base: TimeBase,
        clock: Clock,
        heartbeat: Heartbeat,
    ) -> None:
        """Begin with nothing wrong. Without `upkeep`, nothing is done about what is."""
        self.problem = ""  # why the last commit failed; "" if it did not
        self.failures_total = 0
        self._store = store
        self._upkeep = upkeep
        self._time = time_base
        self._clock = clock
        self._heartbeat = heartbeat
        self._failures = 0  # commits failed in a row
        self._recovered_ms: int | None = None  # when the file was last replaced, or that tried
        self.since_ms = clock.monotonic_ms()  # when commits began to fail, or to succeed again
        self._obstacle = ""  # why the last try failed
        # Where the store stood that all go by, if a try that failed has opened it, or another.
        self._stood: tuple[str, int, int] | None = None
        self._refused_ms: int | None = None  # since when its disk refuses what is to be stored

    def failed(self, error: StoreError) -> None:
        """Note that something could not be stored, and make room if that is why."""
        self.failures_total += 1
        self._failures += 1
        problem = self._obstacle or str(error)
        if not self.problem:
            self.since_ms = self._clock.monotonic_ms()
        if problem != self.problem:
            logger.error("can't store: %s; nothing is acknowledged, trying again", problem)
        self.problem = problem
        if not isinstance(error, StoreRefusedError):
            self._refused_ms = None
        elif self._refused_ms is None:
            self._refused_ms = self._clock.monotonic_ms()
        if isinstance(error, StoreFullError) and self._upkeep is not None:
            self._make_room(self._upkeep)

    def succeeded(self) -> None:
        """Note that something was stored."""
        if self.problem:
            logger.warning("storing again after %d failed commits", self._failures)
            self._failures = 0
            self.since_ms = self._clock.monotonic_ms()
        self._refused_ms = None
        self._obstacle = self.problem = ""

    def mend(self) -> StoreError | None:
        """Go on with another file if this one is damaged or gone.

        Returns why everybody must start over; None if the store stands where memory does.
        """
        upkeep = self._upkeep
        if upkeep is None:
            return None
        broken, displaced = self._store.broken, self._store.displaced
        now_ms = self._clock.monotonic_ms()
        is_refused = self._refused_ms is not None and now_ms - self._refused_ms >= RECOVER_MS
        if not (broken or displaced or is_refused) and self._store.is_open:
            return None
        is_recent = self._recovered_ms is not None and now_ms - self._recovered_ms < RECOVER_MS
        if is_recent and (not displaced or self._obstacle):
            return None
        self._recovered_ms = now_ms
        self._heartbeat.hold(MEND_MS)
        is_damaged = bool(broken) and not displaced
        stood = NOWHERE if is_damaged else self._stood or self._store.standing
        generation = self._store.generation
        try:
            if is_damaged:
                upkeep.recover(broken)
            else:
                upkeep.reopen()
            is_same = self._store.standing == stood
            if not is_same:
                self._time.begin_anew()
        except StoreError as error:
            if str(error) != self._obstacle:
                logger.error("%s; trying again each minute", error)
            self._obstacle = self.problem = str(error)
            if self._store.generation != generation:
                self._stood = stood
                self._close(upkeep, error)
            return None
        self._stood = None
        self._obstacle = ""
        return None if is_same else StoreError(displaced or broken or "the store was opened again")

    def _close(self, upkeep: Upkeep, error: StoreError) -> None:
        """Close what was opened half: what is in memory may be of another file."""
        if not self._store.is_open:
            return
        try:
            if isinstance(error, StoreFullError):
                upkeep.disk_is_full()  # for the next try
        except StoreError as problem:
            logger.error("can't make room: %s", problem)
        self._store.suspend()

    def _make_room(self, upkeep: Upkeep) -> None:
        try:
            upkeep.disk_is_full()
            while upkeep.capacity.step():
                self._heartbeat.beat()
        except StoreError as error:
            logger.error("can't make room: %s", error)
