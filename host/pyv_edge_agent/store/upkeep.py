"""Upkeep: what the store does for itself between two commits, a bounded piece at a time.

In the order of need: room, summaries, seals, expiry, disk that is given back, checkpoints
of the audit log. A piece is one transaction, so that acknowledgements never wait for more.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..channel_policy import DAY_MS
from ..errors import StoreFullError
from .block import BLOCK_COUNT, Blocks
from .capacity import OK, Capacity, Limits
from .commit import queue_gaps
from .recovery import recover
from .retention import Retention
from .rollup import PIECE_COUNT, Rollups

if TYPE_CHECKING:
    from .sqlite import SQLiteStore
    from .write_batch import WriteBatch

logger = logging.getLogger(__name__)

MINUTE_MS = 60_000
CHECKPOINT_MS = 3_600_000  # a checkpoint of the audit log, if there is something new
SEAL_MS = 3_600_000  # what there is is sealed, though it is less than a block
CHECKPOINT_ROWS = 64  # new rows that make one due before
CLOSING_PIECES_MAX = 16  # what is not summarised by then is at the next start
VACUUM_PAGES = 256  # given back in one piece
FREE_PAGES_MIN = 1024  # so many are kept to be used again
FREE_SHARE_MAX = 0.1  # of the file; more free pages than that are given back


class Upkeep:
    """Keeps a store in order. For the thread that stores."""

    def __init__(
        self,
        store: "SQLiteStore",
        limits: Limits | None = None,
        free_size: Callable[[Path], int] | None = None,
    ) -> None:
        """Read where everything stands. Raises StoreError."""
        self.pieces_total = 0
        self._store = store
        self._jumps_total = 0
        self._doubts_total = store.doubts_total
        self._reopened_for = ""  # why it was, until the audit log has it
        self._limits = limits or Limits()
        self._free_size = free_size
        self._start()

    def adopt(self, limits: Limits) -> None:
        """Go on with other limits."""
        self._limits = limits
        self.capacity.adopt(limits)
        self._minute = -1  # to see at once whether disk is to be given back

    def _start(self) -> None:
        store = self._store
        self.blocks = Blocks(store)
        self.rollups = Rollups(store)
        self.retention = Retention(store, self.blocks)
        self.capacity = Capacity(store, self.blocks, self._limits, self._free_size)
        self.capacity.keep_reserve()
        self._minute = -1
        # The day may have ended while nobody was there.
        day = json.loads(store.meta("day") or "null")
        self._day: int | None = day and day[0]
        self._day_first_block: int = day[1] if day else 1
        self._checkpoint_ms = self._sealed_ms = store.run_ms
        self._is_vacuuming = False
        self._idle_since_id = -1  # the last reading there was a minute ago
        with store.transaction() as tx:  # those of an eviction that was cut off
            queue_gaps(store, tx)

    def recover(self, reason: str) -> None:
        """Go on in a new file: this one is damaged. Raises StoreError."""
        recover(self._store, reason)
        self._store.apply_policies(self._store.policies)
        self._start()

    def reopen(self) -> None:
        """Open again what is at the store's path; see `SQLiteStore.reopen`. Raises StoreError."""
        self._reopened_for = self._store.displaced or self._reopened_for
        self._store.reopen()
        if self._reopened_for:
            self._store.audit.append("reopened", {"reason": self._reopened_for})
            self._reopened_for = ""
        self._store.apply_policies(self._store.policies)
        self._start()

    def step(
        self, now_ms: int, *, is_time_right: bool, jumps_total: int = 0, time_quality: int = 0
    ) -> bool:
        """Do one piece of what is due; return whether there was one. Raises StoreError.

        `now_ms` is UTC, and `time_quality` what it is worth. `jumps_total` counts when the
        clock was set far ahead.
        """
        self.capacity.run.time_quality = time_quality
        if jumps_total != self._jumps_total:
            self.retention.hold()
            self._jumps_total = jumps_total
        if self._step(now_ms, is_time_right):
            self.pieces_total += 1
            return True
        return False

    def _step(self, now_ms: int, is_time_right: bool) -> bool:
        if self._store.doubts_total != self._doubts_total:
            self.blocks.load()
            self.rollups.load()
            self._doubts_total = self._store.doubts_total
        if self._store.salvage is not None:
            if not self._store.salvage.step():
                self._start()  # there are blocks and summaries to go on from
            return True
        if self.capacity.look() and self.capacity.step():
            # At once: under much load there is always something else that is due.
            if self._has_free_pages(FREE_SHARE_MAX):
                self._store.give_back(VACUUM_PAGES)
            return True
        if self.rollups.waiting_count >= PIECE_COUNT and self.rollups.roll_up():
            return True
        if self.blocks.unsealed_count >= BLOCK_COUNT and self._seal():
            return True
        if self._vacuum():
            return True
        minute = self._store.run_ms // MINUTE_MS
        if minute == self._minute:
            return False
        return self._minutely(minute, now_ms, is_time_right)

    def _minutely(self, minute: int, now_ms: int, is_time_right: bool) -> bool:
        """Do what is due once a minute; return whether there is more of it."""
        if self.rollups.roll_up() or self.rollups.queue(now_ms):
            return True
        if self._store.run_ms - self._sealed_ms >= SEAL_MS and self._seal():
            return True
        if is_time_right:
            if self._turn_day(now_ms // DAY_MS):
                return True
            if self.retention.step(now_ms):
                return True
        self._minute = minute
        self._is_vacuuming = self._has_free_pages(FREE_SHARE_MAX)
        since_ms = self._store.run_ms - self._checkpoint_ms
        rows = self._store.audit.rows_since_checkpoint
        if rows >= CHECKPOINT_ROWS or (rows and since_ms >= CHECKPOINT_MS):
            self.checkpoint()
        with self._store.transaction() as tx:
            self._store.sinks.write(tx)
            self._store.write_run_ms(tx)
        if self._store.last_reading_id == self._idle_since_id:
            self._store.checkpoint()
        self._idle_since_id = self._store.last_reading_id
        return self._is_vacuuming

    def _seal(self) -> bool:
        """Seal a block; return whether there was anything to seal."""
        self._sealed_ms = self._store.run_ms
        return self.blocks.seal() > 0

    def _turn_day(self, day: int) -> bool:
        """Seal what came before a new day and put its digest into the audit log."""
        if day == self._day:
            return False
        if self._day is not None and self.blocks.unsealed_count and self._seal():
            return True
        first, last = self._day_first_block, self.blocks.last_block
        is_sealed = self._day is not None and last >= first
        with self._store.transaction() as tx:
            if is_sealed:
                details: dict[str, Any] = {
                    "day": self._day,
                    "first_block": first,
                    "last_block": last,
                    "last_reading": self.blocks.sealed_id,
                    "chain": self.blocks.chain.hex(),
                }
                self._store.audit.write(tx, "day_sealed", details)
            # What was sealed before anybody knew the day is the first day's.
            begin = first if self._day is None else last + 1
            self._store.set_meta(tx, "day", json.dumps([day, begin]))
        self._day, self._day_first_block = day, begin
        if is_sealed:
            self.checkpoint()
        return True

    def checkpoint(self) -> None:
        """Queue a checkpoint of the audit log for the sinks. Raises StoreError."""
        self._checkpoint_ms = self._store.run_ms
        self._store.keep_schema()
        self._store.audit.checkpoint()

    # -- disk ----------------------------------------------------------------------

    def _has_free_pages(self, share: float) -> bool:
        page_size, pages, free_pages = self._store.pages()
        size = page_size * pages
        if free_pages and size > self.capacity.room_size(size):
            return True  # its cap was greater before, or others need the disk
        return free_pages > max(FREE_PAGES_MIN, pages * share)

    def _vacuum(self) -> bool:
        """Give a piece of disk back; return whether there is more."""
        is_for_reserve = self.capacity.is_reserve_given and not self.capacity.keep_reserve()
        if is_for_reserve and self._store.pages()[2]:
            self._store.give_back(VACUUM_PAGES)
            return True
        if not self._is_vacuuming:
            return False
        self._store.give_back(VACUUM_PAGES)
        self._is_vacuuming = self._has_free_pages(FREE_SHARE_MAX / 2)
        if not self._is_vacuuming:
            self._store.checkpoint()  # which makes the file shorter
        return self._is_vacuuming

    def disk_is_full(self) -> None:
        """Make room: a commit has found none. Raises StoreError."""
        if self._store.salvage is not None:
            raise StoreFullError(f"{self._store.path}: nothing is evicted during a salvage")
        self.capacity.disk_is_full()

    def refuse(self, batch: "WriteBatch") -> None:
        """Take out of a batch what there is no room for, see Capacity."""
        self.capacity.refuse(batch)

    def close(self) -> None:
        """Summarise and seal what is left, and put the log of this run under a checkpoint."""
        if self._store.salvage is None:
            self.rollups.load()
            self.blocks.load()
            for _ in range(CLOSING_PIECES_MAX):
                if not self.rollups.roll_up() and not self._seal():
                    break
        self.checkpoint()

    def status(self) -> dict[str, Any]:
        """Return how the store does; without waiting for a commit under way."""
        page_size, pages, free_pages = self._store.pages_as_read()
        return {
            "state": self.capacity.state,
            "is_degraded": self.capacity.state != OK or self._store.salvage is not None,
            "recoveries_total": self._store.recoveries_total,
            "salvaging_from": self._store.salvage.file if self._store.salvage else "",
            "size_bytes": pages * page_size,
            "free_bytes": free_pages * page_size,
            "wal_bytes": self.capacity.wal_size,
            "disk_free_bytes": self.capacity.disk_free_size(),
            "room_bytes": self.capacity.room_size(pages * page_size),
            "evicted_age_seconds": None
            if self.capacity.evicted_run_ms is None
            else (self._store.run_ms - self.capacity.evicted_run_ms) / 1000,
            "evicted_total": self.capacity.evicted_total,
            "rejected_total": self.capacity.rejected_total,
            "expired_total": self.retention.expired_total,
            "is_retention_held": self.retention.is_held,
            "unsummarised_count": self.rollups.waiting_count,
            "blocks": self.blocks.last_block,
        }
