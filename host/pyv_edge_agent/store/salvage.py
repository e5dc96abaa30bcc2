"""Salvage: the readings of a damaged file, copied piece by piece under the ids they had.

Recording goes on meanwhile, above `floor_id`. What can't be read, or is no reading any
more, is counted in the end: as evicted, with gap records of cause "damaged", so that
every equation holds again. Until then no sink is sent anything below the floor.
"""

import json
import logging
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import wal
from .block import Blocks, contents
from .commit import INSERT_GAP, queue_gaps
from .reconstruction import Told, add_number, mend
from .removal import CAUSES_AFTER_STORING, DAMAGED
from .time_segment import TIME_GOOD

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

logger = logging.getLogger(__name__)

PIECE_COUNT = 2000  # ids
_KEY = "salvage"  # in meta

_LAST_IDS = (
    "SELECT max(id) FROM reading",
    "SELECT max(last_id) FROM block",
    "SELECT max(cursor) FROM sink",
    "SELECT sum(stored_total) FROM stream",
    "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'floor_id'",
)
_READ = """
SELECT id, channel_id, boot_id, stream, seq, utc_ms, error_ms, quality, value FROM reading
WHERE id >= ? AND id < ? ORDER BY id
"""
_INSERT = """
INSERT OR IGNORE INTO reading
  (id, channel_id, boot_id, stream, seq, utc_ms, error_ms, quality, value)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_COPIES = """
DELETE FROM reading WHERE id IN (
  SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY seq ORDER BY id) AS nth
                  FROM reading WHERE boot_id = ?) WHERE nth > 1)
"""
# The numbers between those that are there, from below the first to behind the last.
_HOLES = """
SELECT min(before + 1), max(seq - 1) FROM (
  SELECT seq, coalesce(lag(seq) OVER (ORDER BY seq), -1) AS before FROM (
    SELECT seq FROM {table} WHERE boot_id = :boot_id AND seq IS NOT NULL UNION SELECT :next_seq))
WHERE seq - before > 1
"""
_GAPS = f"""
SELECT coalesce(sum(count) FILTER (WHERE NOT is_after), 0),
       coalesce(sum(count) FILTER (WHERE is_after), 0)
FROM (SELECT count, cause IN ({", ".join(f"'{cause}'" for cause in CAUSES_AFTER_STORING)})
             AS is_after FROM gap WHERE boot_id = :boot_id AND stream = :stream)
"""
_COUNTS = {
    0: "SELECT boot_id, count(*) FROM reading GROUP BY boot_id",
    1: "SELECT boot_id, count(*) FROM event WHERE seq IS NOT NULL GROUP BY boot_id",
}


class Salvage:
    """Copies the readings of one damaged file into a store. For the thread that stores."""

    def __init__(self, store: "SQLiteStore", state: dict[str, Any]) -> None:
        self.floor_id: int = state["floor_id"]
        self.next_id: int = state["next_id"]
        self.file: str = state["file"]
        self.salvaged_total: int = state["salvaged_total"]
        self._store = store
        self._old: sqlite3.Connection | None = None
        self._known: tuple[set[int], dict[int, int]] | None = None

    @classmethod
    def begin(
        cls,
        store: "SQLiteStore",
        tx: sqlite3.Connection,
        broken: Path,
        old: sqlite3.Connection | None,
        is_whole: bool,
    ) -> "Salvage":
        """Plan within the transaction that copies all else what is to be copied.

        Unless that `is_whole`, what readings tell of devices and streams is used.
        """
        last = 0
        for connection in [one for one in (old, tx) if one is not None]:
            for query in _LAST_IDS:
                try:
                    row = connection.execute(query).fetchone()
                except sqlite3.Error:
                    continue  # this is the damage
                if row is not None and isinstance(row[0], int) and row[0] < 2**48:
                    last = max(last, row[0])
        state = {
            "file": broken.name,
            "floor_id": last + 1,
            "next_id": 1,
            "salvaged_total": 0,
        }
        store.set_meta(tx, _KEY, json.dumps(state))
        made = cls(store, state)
        is_whole = is_whole and not wal.was_rewritten(broken)
        told = made._told(old) if old is not None and not is_whole else {}
        mend(tx, told)
        tx.execute("UPDATE sink SET cursor = min(cursor, ?)", (last,))
        return made

    def _told(self, old: sqlite3.Connection) -> Told:
        """Return what readings tell: by boot_id, their numbers' runs and the channels."""
        self._old = old
        told: Told = {}
        for first in range(1, self.floor_id, PIECE_COUNT):
            for row in self._read(first, min(first + PIECE_COUNT, self.floor_id)):
                _, channel_id, boot_id, _, seq, *_ = row
                if all(isinstance(one, int) and 0 <= one < 2**40 for one in row[1:5]):
                    ends, channels = told.setdefault(boot_id, ([], set()))
                    channels.add(channel_id)
                    add_number(ends, seq)
        self._old = None
        return told

    @classmethod
    def resume(cls, store: "SQLiteStore") -> "Salvage | None":
        """Return the salvage that an earlier run has begun, None if there is none."""
        saved = store.meta(_KEY)
        return None if saved is None else cls(store, json.loads(saved))

    def step(self) -> bool:
        """Copy one piece; return whether there is more to do. Raises StoreError."""
        from .recovery import open_broken

        if self._old is None:
            self._old = open_broken(self._store.path.with_name(self.file))
        if self._old is None or self.next_id >= self.floor_id:
            self._finish()
            return False
        end = min(self.next_id + PIECE_COUNT, self.floor_id)
        rows = self._read(self.next_id, end)
        with self._store.transaction() as tx:
            good = [row for row in rows if self._is_reading(tx, row)]
            tx.executemany(_INSERT, good)
            state = {
                "file": self.file,
                "floor_id": self.floor_id,
                "next_id": end,
                "salvaged_total": self.salvaged_total + len(good),
            }
            self._store.set_meta(tx, _KEY, json.dumps(state))
        self.next_id = end
        self.salvaged_total += len(good)
        return True

    def _read(self, first: int, end: int) -> list[tuple[Any, ...]]:
        """Return what can be read of a range of ids, looking around what can't."""
        assert self._old is not None
        found: list[tuple[Any, ...]] = []
        ranges = [(first, end)]
        while ranges:
            low, high = ranges.pop()
            try:
                found += self._old.execute(_READ, (low, high)).fetchall()
            except (sqlite3.Error, UnicodeDecodeError):
                if high - low > 1:
                    middle = (low + high) // 2
                    ranges += [(middle, high), (low, middle)]
        return found

    def _is_reading(self, tx: sqlite3.Connection, row: tuple[Any, ...]) -> bool:
        if self._known is None:
            channels = {one[0] for one in tx.execute("SELECT id FROM channel")}
            ends = dict(tx.execute("SELECT boot_id, next_seq FROM stream WHERE stream = 0"))
            self._known = (channels, ends)
        row_id, channel_id, boot_id, stream, seq, utc_ms, error_ms, quality, value = row
        whole = (row_id, channel_id, boot_id, stream, seq, utc_ms, error_ms, quality)
        return (
            all(isinstance(one, int) for one in whole)
            and isinstance(value, (int, float))
            and channel_id in self._known[0]
            and 0 <= seq < self._known[1].get(boot_id, 0)
            and stream == 0
            and 0 <= quality < 16
        )

    def _finish(self) -> None:
        """Account for what could not be saved, and let the sinks have the rest."""
        missing = gone = 0
        with suppress(OSError):  # it is not there any more
            gone = wal.missing_count(self._store.path.with_name(self.file))
        blocks = Blocks(self._store)
        self._store.sinks.flush()
        with self._store.transaction() as tx:
            for stream in (0, 1):
                missing += self._account(tx, stream)
            self._account_blocks(tx, blocks)
            queue_gaps(self._store, tx)
            tx.execute("DELETE FROM meta WHERE key = ?", (_KEY,))
            # The ids of what is gone stay its own: sinks have it, and the rollups, maybe.
            self._store.set_meta(tx, "floor_id", str(self.floor_id))
            told: dict[str, Any] = {
                "file": self.file,
                "readings": self.salvaged_total,
                "missing": missing,
            }
            if gone:
                told["wal_pages_gone"] = gone
            self._store.audit.write(tx, "salvage_done", told)
        self._store.reload()
        self._store.sinks.recount()
        if self._old is None:
            logger.error("%s: nothing can be read of it; keep it for somebody who can", self.file)
        else:
            more = f"; {gone} pages of its WAL are gone, and what only they had" if gone else ""
            logger.warning(
                "%s: %d readings are salvaged, %d are not%s",
                *(self.file, self.salvaged_total, missing, more),
            )
        self.close()

    def _account(self, tx: sqlite3.Connection, stream: int) -> int:
        """Make the equations of all streams of a kind hold; return how much is missing."""
        counts = dict(tx.execute(_COUNTS[stream]).fetchall())
        total = 0
        for boot_id, next_seq, denied, aggregated, expired in tx.execute(
            "SELECT boot_id, next_seq, denied_total, aggregated_total, expired_total FROM stream"
            " WHERE stream = ?",
            (stream,),
        ).fetchall():
            if stream == 0:
                counts[boot_id] = counts.get(boot_id, 0) - tx.execute(_COPIES, (boot_id,)).rowcount
            lost, evicted = tx.execute(_GAPS, {"boot_id": boot_id, "stream": stream}).fetchone()
            present = counts.get(boot_id, 0)
            known = {"denied": denied, "aggregated": aggregated, "expired": expired}
            missing = next_seq - lost - evicted - present - sum(known.values())
            for name in known:  # more than there are numbers: a figure was damaged
                less = min(known[name], max(0, -missing))
                known[name] -= less
                missing += less
            missing = max(0, missing)
            total += missing
            if missing:
                self._record(tx, boot_id, stream, next_seq, missing)
            stored = present + known["expired"] + evicted + missing
            tx.execute(
                "UPDATE stream SET stored_total = ?, denied_total = ?, aggregated_total = ?,"
                " expired_total = ?, lost_total = ?, evicted_total = ?"
                " WHERE boot_id = ? AND stream = ?",
                (stored, *known.values(), lost, evicted + missing, boot_id, stream),
            )
        return total

    def _record(
        self, tx: sqlite3.Connection, boot_id: int, stream: int, next_seq: int, missing: int
    ) -> None:
        table = "event" if stream else "reading"
        first, last = tx.execute(
            _HOLES.format(table=table), {"boot_id": boot_id, "next_seq": next_seq}
        ).fetchone()
        gap = (boot_id, stream, first, last, DAMAGED, self._store.now_ms(), TIME_GOOD, missing)
        tx.execute(INSERT_GAP, gap)

    def _account_blocks(self, tx: sqlite3.Connection, blocks: Blocks) -> None:
        for block_id, first_id, last_id, count, removed in tx.execute(
            "SELECT id, first_id, last_id, count, removed FROM block"
        ).fetchall():
            missing = count - removed - contents(tx, first_id, last_id).count
            if missing:
                left = blocks.removed(tx, block_id, is_fit=False)
                told = {"block": block_id, "readings": missing, "cause": DAMAGED, "left": left}
                self._store.audit.write(tx, "readings_removed", {**told, "fits": False})

    def close(self) -> None:
        """Close the damaged file."""
        if self._old is not None:
            self._old.close()
            self._old = None
        self._store.salvage = None
