"""Housekeeping: what a store needs besides commits, a piece between two of them.

Readings that a clock which was not set has dated are corrected; blocks are sealed, summaries
made, and what is old is removed. For the thread that stores.
"""

import threading
from collections.abc import Callable

from .errors import StoreError
from .heartbeat import Heartbeat
from .mending import MEND_MS, Mending
from .store import SQLiteStore, Upkeep
from .time_base import TimeBase

SKIPS_MAX = 3  # commits in a row without upkeep, because more was waiting already


class Housekeeping:
    """Does a piece at a time."""

    def __init__(
        self,
        store: SQLiteStore,
        upkeep: Upkeep | None,
        time_base: TimeBase,
        mending: Mending,
        heartbeat: Heartbeat,
        wake: threading.Event,
    ) -> None:
        """Begin; `wake` is set when there is more to do. Without `upkeep`, times are corrected."""
        self.is_behind = False  # whether there is more upkeep to do
        self._store = store
        self._upkeep = upkeep
        self._time = time_base
        self._mending = mending
        self._heartbeat = heartbeat
        self._wake = wake
        self._skips = 0  # how often in a row upkeep had to wait

    def step(self, *, is_urgent: bool) -> None:
        """Do a piece; if there is more to store, only now and then."""
        self._retime()
        upkeep = self._upkeep
        if upkeep is None:
            return
        if is_urgent and self._skips < SKIPS_MAX:
            self._skips += 1
            return
        self._skips = 0
        if self._store.salvage is not None:
            self._heartbeat.hold(MEND_MS)  # its end counts all that is in the file
        else:
            self._heartbeat.beat()
        self.is_behind = False
        self._do(lambda: self._keep_up(upkeep))

    def close(self) -> None:
        """Do what is to be done before the store is closed."""
        if self._upkeep is not None:
            self._do(self._upkeep.close)

    def _retime(self) -> None:
        """Correct a piece of what was dated by a clock that was not set."""
        if self._store.salvage is not None:
            return  # not all of it is there
        try:
            if self._time.retime():
                self._mending.succeeded()
                self._wake.set()  # for the next piece, between two commits
        except StoreError as error:
            self._mending.failed(error)

    def _keep_up(self, upkeep: Upkeep) -> None:
        if upkeep.step(
            self._time.utc_ms(),
            is_time_right=self._time.is_synchronised and not self._time.is_retiming,
            jumps_total=self._time.jumps_total,
            time_quality=self._time.segment.time_quality,
        ):
            self.is_behind = True
            self._wake.set()  # for the next piece, between two commits

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except StoreError as error:
            self._mending.failed(error)
