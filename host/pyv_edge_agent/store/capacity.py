"""Capacity: how much room the store has, and what goes if there is none.

Eviction begins at the high-water mark and ends at the low one. The least class goes
first: bulk, telemetry, summaries of minutes, class event, events, summaries of hours;
within a class the oldest block, or what its policy says. A full disk is a state:
a reserve of disk, given back then, is what the eviction itself is written to.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import disk
from ..channel_policy import (
    CLASS_BULK,
    CLASS_EVENT,
    CLASS_TELEMETRY,
    DOWNSAMPLE_OLDEST,
    REJECT_NEW,
)
from ..errors import StoreError
from .block import Blocks
from .connection import JOURNAL_SIZE_MAX
from .removal import (
    EVICTED,
    REJECTED,
    THINNED,
    GapRun,
    end_run,
    remove_events,
    remove_readings,
    remove_summaries,
)
from .write_batch import PERIODS_MS, ReadingRow, WriteBatch

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

logger = logging.getLogger(__name__)

RESERVE_SIZE_MAX = 2_097_152  # bytes
RESERVE_SIZE_MIN = 262_144
OK, EVICTING, FULL = "ok", "evicting", "full"
_WAL_TIMES = 4  # its allowance, before that is news
_SHARE_FREED = 0.05  # of what is used, if the disk is full although the figures say it is not

# Per channel and minute, the last reading stays.
_THIN = (
    "class = :class AND reading.id NOT IN (SELECT max(id) FROM reading"
    " WHERE id >= :first AND id <= :last GROUP BY channel_id, utc_ms / 60000)"
)


@dataclass(frozen=True)
class Limits:
    """How much disk the store may take."""

    max_size: int = 0  # bytes of file and WAL; 0: no more than min_free leaves
    min_free: int = 0  # bytes of the disk that are to stay free
    keep_size: int = 0  # of the store, never evicted because others fill the disk
    high_water: float = 0.95
    low_water: float = 0.90


class Capacity:
    """The room of a store. For the thread that stores."""

    def __init__(
        self,
        store: "SQLiteStore",
        blocks: Blocks,
        limits: Limits,
        free_size: Callable[[Path], int] | None = None,
    ) -> None:
        """Take `limits`; `free_size` tells the free bytes of the disk with a folder."""
        self.state = OK
        self.evicted_total = 0  # readings
        self.rejected_total = 0  # readings
        self.evicted_run_ms: int | None = None  # when readings last went for want of room
        self.limits = limits
        self._store = store
        self._blocks = blocks
        self._free_size = free_size or disk.free_size
        self.run = GapRun()
        self._target: int | None = None  # bytes to come down to, while evicting
        self._rejecting: set[int] = set()  # classes
        self._reserve = disk.beside(store.path, ".reserve")
        self.is_reserve_given = False
        self._is_wal_held = False
        self._is_adopted = True
        self._allow()

    def _allow(self) -> None:
        """Find out how long the WAL may be, of which the file gets the less."""
        self._wal_allowance = 0
        self._wal_allowance = min(JOURNAL_SIZE_MAX, max(0, self.room_size()) // 8)
        self._store.limit_wal(self._wal_allowance)
        # With it a checkpoint can always be finished, which frees the WAL for an eviction.
        self.reserve_size = min(RESERVE_SIZE_MAX, max(RESERVE_SIZE_MIN, 2 * self._wal_allowance))

    def adopt(self, limits: Limits) -> None:
        """Go on with other limits from the next look on, as a start with them would."""
        self.limits = limits
        self._is_adopted = False

    # -- how much there is ---------------------------------------------------------

    @property
    def wal_size(self) -> int:
        """Bytes of the WAL on the disk."""
        return disk.size(disk.beside(self._store.path, "-wal"))

    def used_size(self) -> int:
        """Return the bytes of the file that are in use. Raises StoreError.

        Not those of the WAL: it has an allowance, and if somebody's long query holds it up,
        evicting would only make it longer.
        """
        page_size, pages, free_pages = self._store.pages()
        return (pages - free_pages) * page_size

    def disk_free_size(self) -> int:
        """Return the free bytes of the disk with the store. Raises StoreError."""
        try:
            return self._free_size(self._store.path.parent)
        except OSError as error:
            raise StoreError(f"{self._store.path.parent}: {error}") from error

    def room_size(self, file_size: int | None = None) -> int:
        """Return how large the file may be, by its cap and by the free disk. Raises StoreError.

        `file_size` is the file's, if that is known.
        """
        free = self.disk_free_size()
        if file_size is None:
            page_size, pages, _ = self._store.pages()
            file_size = page_size * pages
        room = max(file_size + free - self.limits.min_free, self.limits.keep_size)
        if self.limits.max_size:
            # At most an eighth, also before another cap is adopted.
            allowance = min(self._wal_allowance, self.limits.max_size // 8)
            room = min(room, self.limits.max_size - allowance)
        return room

    # -- the reserve ---------------------------------------------------------------

    def keep_reserve(self) -> bool:
        """Take disk in reserve, if there is plenty; return whether there is one."""
        try:
            free = self._free_size(self._store.path.parent)
            if not self._reserve.exists() and free < 1.5 * self.reserve_size:
                return False
            descriptor = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(descriptor, min(os.fstat(descriptor).st_size, self.reserve_size))
                os.posix_fallocate(descriptor, 0, self.reserve_size)
            finally:
                os.close(descriptor)
        except OSError as error:
            logger.warning("%s: can't be made: %s", self._reserve, error)
            self._give_reserve()
            return False
        self.is_reserve_given = False
        return True

    def _give_reserve(self) -> None:
        self.is_reserve_given = True
        try:
            self._reserve.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s: can't be removed: %s", self._reserve, error)

    # -- eviction ------------------------------------------------------------------

    def disk_is_full(self) -> None:
        """Make room although the figures may say that there is some: a write has failed."""
        self._give_reserve()
        self._store.checkpoint()
        if self._target is None:
            used = self.used_size()
            freed = min(max(used * _SHARE_FREED, 2 * self.reserve_size), used / 2)
            goal = min(used - freed, self.room_size() * self.limits.low_water)
            self._begin(int(goal), "a write found no room on the disk")

    def look(self) -> bool:
        """Begin to evict if the high-water mark is passed; return whether it is."""
        if not self._is_adopted:
            self._allow()
            if self._target is not None:
                self._target = int(self.room_size() * self.limits.low_water)
            self._is_adopted = True
        self._look_at_wal()
        if self._target is not None:
            return True
        page_size, pages, free_pages = self._store.pages()
        used, room = (pages - free_pages) * page_size, self.room_size(pages * page_size)
        if used > room * self.limits.high_water:
            self._begin(
                int(room * self.limits.low_water),
                f"{used / 1e6:.1f} MB are in use, {room / 1e6:.1f} MB may be",
            )
            return True
        if self.state == FULL:
            self._end()
        return False

    def _look_at_wal(self) -> None:
        """Empty the WAL if it is longer than it should be, unless somebody's query holds it up."""
        size = self.wal_size
        if size > self._wal_allowance:
            self._store.checkpoint()
            size = self.wal_size
        is_held = size > _WAL_TIMES * self._wal_allowance
        if is_held and not self._is_wal_held:
            logger.warning(
                "%s: its WAL has %.1f MB: a query of somebody's doesn't end",
                self._store.path,
                size / 1e6,
            )
        self._is_wal_held = is_held

    def _begin(self, target: int, reason: str) -> None:
        if self.state == OK:
            logger.warning("%s: evicting the oldest readings: %s", self._store.path, reason)
            self.state = EVICTING
        self._target = target

    def _end(self) -> None:
        end_run(self._store, self.run)
        self._rejecting.clear()
        self._target = None
        if self.state != OK:
            logger.warning("%s: has room again", self._store.path)
        self.state = OK
        self.keep_reserve()

    def step(self) -> bool:
        """Evict one piece if there is too little room; return whether to go on."""
        if self._target is None:
            return False
        if self.used_size() <= self._target:
            self._end()
            return False
        if self._evict_piece():
            return True
        # Nothing is left that may go. What is rejected, or refused by the disk, is no more lost.
        end_run(self._store, self.run)
        self._target = None
        if self.state != FULL:
            logger.error("%s: has no room and nothing to evict", self._store.path)
        self.state = FULL
        return False

    def _evict_piece(self) -> bool:
        for kind in (CLASS_BULK, CLASS_TELEMETRY):
            if self._evict_class(kind):
                return True
        if remove_summaries(self._store, PERIODS_MS[0], None):
            return True
        if self._evict_class(CLASS_EVENT):
            return True
        if self._store.policies.on_full[CLASS_EVENT] != REJECT_NEW and remove_events(
            self._store, None, self.run
        ):
            return True
        return bool(remove_summaries(self._store, PERIODS_MS[1], None))

    def _evict_class(self, kind: int) -> bool:
        policy = self._store.policies.on_full[kind]
        if policy == REJECT_NEW:
            self._rejecting.add(kind)
            return False
        if policy == DOWNSAMPLE_OLDEST and self._take(kind, _THIN, THINNED, " AND NOT is_thinned"):
            return True
        return self._take(kind, "class = :class", EVICTED, "")

    def _take(self, kind: int, condition: str, cause: str, of_blocks: str) -> bool:
        """Remove readings of the oldest block that has some; return whether there were any."""
        passed = 0
        while True:
            row = self._store.row(
                "SELECT id FROM block WHERE classes & ? AND id > ?"
                f"{of_blocks} ORDER BY id LIMIT 1",
                (1 << kind, passed),
            )
            if row is None:
                if not self._blocks.seal():
                    return False
                continue
            protected = "".join(
                f" AND NOT (reading.id >= {first} AND reading.id <= {last})"
                for first, last in self._store.sinks.protected()
            )
            count = remove_readings(
                self._store,
                self._blocks,
                row[0],
                condition + protected,
                {"class": kind},
                self.run,
                cause,
            )
            if cause == THINNED:
                with self._store.transaction() as tx:
                    tx.execute("UPDATE block SET is_thinned = 1 WHERE id = ?", (row[0],))
            if count:
                self.evicted_total += count
                self.evicted_run_ms = self._store.run_ms
                return True
            passed = row[0]

    # -- what is not taken at all --------------------------------------------------

    def refuse(self, batch: WriteBatch) -> None:
        """Take out of `batch` what a class that rejects has brought: it becomes gaps."""
        if not self._rejecting:
            return
        kept: list[ReadingRow] = []
        refused: list[ReadingRow] = []
        kinds: dict[int, int] = {}
        for row in batch.readings:
            if row[0] not in kinds:
                found = self._store.row("SELECT class FROM channel WHERE id = ?", (row[0],))
                kinds[row[0]] = found[0] if found else CLASS_TELEMETRY
            (refused if kinds[row[0]] in self._rejecting else kept).append(row)
        if not refused:
            return
        batch.readings = kept
        now_ms = self._store.now_ms()
        quality = batch.segment.time_quality
        run: list[int] = []
        for _, boot_id, stream, seq, *_ in sorted(refused, key=lambda row: row[1:4]):
            progress = batch.progress[boot_id, stream]
            progress.stored -= 1
            progress.lost += 1
            if run and run[0] == boot_id and run[1] == stream and run[3] + 1 == seq:
                run[3] = seq
                continue
            if run:
                batch.gaps.append((run[0], run[1], run[2], run[3], REJECTED, now_ms, quality))
            run = [boot_id, stream, seq, seq]
        batch.gaps.append((run[0], run[1], run[2], run[3], REJECTED, now_ms, quality))
        self.rejected_total += len(refused)
        self.evicted_run_ms = self._store.run_ms
