"""Which offset the clock had when: time segments, and the one correction of what was dated wrong.

While a segment is in force, UTC is the monotonic clock plus its offset. A new one
begins where the clock was set, or became known to be right or not to be. All rows
of a commit belong to one segment, so a segment's rows are ranges of ids, and no
row has to say which is its own.

Rows that were written while the clock was not known to be right are corrected
once, by the difference of two offsets: in pieces, each with its progress in its
own transaction, so that whoever is killed goes on where he stood. A reading that
has been corrected says so, and is not `unset` any more.
"""

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

TIME_GOOD = 0  # the clock was known to be right
TIME_UNSET = 1  # it was not: utc_ms may be off by anything
TIME_RETIMED = 2  # it was not, and utc_ms has been corrected since
TIME_SENDER = 3  # its sender says so, whose clock nobody here knows; it is never corrected
# The board was reset before anybody had it, and when its boot was is known within error_ms only.
TIME_ESTIMATED = 4
TIME_QUALITY_NAMES = ("good", "unset", "retimed", "sender", "estimated")

TIME_QUALITY_SHIFT = 2  # the column `quality` holds quality | time quality << 2
QUALITY_MASK = 3

RETIME_ROWS_MAX = 2000  # rows of one piece, and so how long acknowledgements may wait for it
# A clock that nothing corrects goes wrong by at most so much: 500 ppm, as a board's.
_DRIFT_DIVISOR = 2000

_BEGIN = """
INSERT INTO time_segment (host_boot, began_ms, offset_ms, is_synchronised, step_ms, first_sync_ms,
                          first_reading_id, first_event_id, first_gap_id, first_item_id)
SELECT ?, ?, ?, ?, ?, ?, ?,
       (SELECT coalesce(max(id), 0) + 1 FROM event),
       (SELECT coalesce(max(id), 0) + 1 FROM gap),
       (SELECT coalesce(max(id), 0) + 1 FROM sync_queue)
"""

# The oldest segment that is to be corrected, and where it ends.
_DUE = """
SELECT wrong.id, wrong.offset_ms, wrong.corrected_by, wrong.retimed_reading_id,
       wrong.first_reading_id, next.first_reading_id, wrong.first_event_id, next.first_event_id,
       wrong.first_gap_id, next.first_gap_id, wrong.first_item_id, next.first_item_id
FROM time_segment AS wrong JOIN time_segment AS next ON next.id = wrong.id + 1
WHERE NOT wrong.is_synchronised AND NOT wrong.is_retimed
  AND (wrong.corrected_by IS NOT NULL OR (:is_right AND wrong.host_boot = :host_boot))
ORDER BY wrong.id LIMIT 1
"""

# The error grows by what the clock may have gone wrong by until somebody set it right.
_RETIME_READINGS = f"""
UPDATE reading SET utc_ms = utc_ms + :by_ms,
  error_ms = error_ms + abs(:right_ms - utc_ms) / {_DRIFT_DIVISOR} + 1,
  quality = quality & {QUALITY_MASK} | {TIME_RETIMED << TIME_QUALITY_SHIFT}
WHERE id >= :first AND id < :next AND quality >> {TIME_QUALITY_SHIFT} = {TIME_UNSET}
"""

_CORRECTED = """
SELECT wrong.id, corrected_by, wrong.retimed_total,
       (SELECT offset_ms FROM time_segment WHERE id = wrong.corrected_by) - wrong.offset_ms
FROM time_segment AS wrong WHERE wrong.id = ? AND is_retimed
"""

_RETIME_DATED = """
UPDATE {table} SET utc_ms = utc_ms + ?, time_quality = ?
WHERE id >= ? AND id < ? AND time_quality = ?
"""


@dataclass(frozen=True)
class TimeSegment:
    """A stretch of time in which UTC is the monotonic clock plus `offset_ms`."""

    id: int = 0
    host_boot: str = ""
    began_ms: int = 0  # monotonic
    offset_ms: int = 0
    rule_offset_ms: int = 0  # that of the first segment of this boot of the computer
    is_synchronised: bool = True
    first_sync_ms: int = 0  # monotonic: known to be right since

    @property
    def time_quality(self) -> int:
        """What the times are worth that this segment gives."""
        return TIME_GOOD if self.is_synchronised else TIME_UNSET

    @property
    def rule_shift_ms(self) -> int:
        """What makes UTC of the time that rules know, which never jumps."""
        return self.offset_ms - self.rule_offset_ms

    def drift_ms(self, time_ms: int) -> int:
        """Return by how much the clock may have gone wrong from a moment until it was set."""
        if not self.is_synchronised or time_ms >= self.first_sync_ms:
            return 0
        return (self.first_sync_ms - time_ms) // _DRIFT_DIVISOR + 1


class TimeSegments:
    """The segments in a store."""

    def __init__(self, store: "SQLiteStore") -> None:
        self._store = store

    def latest(self, host_boot: str) -> TimeSegment | None:
        """Return the last segment if it is of this boot of the computer. Raises StoreError."""
        with self._store.transaction() as tx:
            return _latest(tx, host_boot)

    def begin(
        self, host_boot: str, now_ms: int, offset_ms: int, *, is_synchronised: bool
    ) -> TimeSegment:
        """Begin a segment behind all rows that there are. Raises StoreError."""
        with self._store.transaction() as tx:
            before = _latest(tx, host_boot)
            first_sync_ms = now_ms
            if before is not None and before.is_synchronised:
                first_sync_ms = before.first_sync_ms
            step_ms = None if before is None else offset_ms - before.offset_ms
            tx.execute(
                _BEGIN,
                (
                    *(host_boot, now_ms, offset_ms, is_synchronised, step_ms, first_sync_ms),
                    self._store.last_reading_id + 1,
                ),
            )
            if before is None:  # the monotonic clock has begun anew
                tx.execute(
                    "UPDATE stream SET newest_ms = NULL, floor_ms = NULL"
                    " WHERE newest_ms IS NOT NULL OR floor_ms IS NOT NULL"
                )
            begun = _latest(tx, host_boot)
        assert begun is not None
        return begun

    def retime(self, segment: TimeSegment) -> int | None:
        """Correct one piece of what is unset; return how many readings, None if nothing is.

        `segment` is the one in force: if it is synchronised, all unset segments of its
        boot of the computer are corrected by it. Raises StoreError, and has done nothing.
        """
        named = {"is_right": segment.is_synchronised, "host_boot": segment.host_boot}
        if not self._store.has_row(_DUE, named):
            return None
        with self._store.transaction() as tx:
            row = tx.execute(_DUE, named).fetchone()
            count = _retime_piece(tx, row, segment)
            done = tx.execute(_CORRECTED, (row[0],)).fetchone()
            if done is not None:
                told = dict(zip(("segment", "by", "readings", "by_ms"), done, strict=True))
                self._store.audit.write(tx, "times_corrected", told)
            return count

    def is_due(self, segment: TimeSegment) -> bool:
        """Return whether there is something to correct. Raises StoreError."""
        named = {"is_right": segment.is_synchronised, "host_boot": segment.host_boot}
        return self._store.has_row(_DUE, named)


def _latest(tx: sqlite3.Connection, host_boot: str) -> TimeSegment | None:
    row = tx.execute(
        "SELECT id, host_boot, began_ms, offset_ms, (SELECT offset_ms FROM time_segment AS first"
        " WHERE first.host_boot = time_segment.host_boot ORDER BY id LIMIT 1), is_synchronised,"
        " first_sync_ms FROM time_segment ORDER BY id DESC LIMIT 1"
    ).fetchone()
    if row is None or row[1] != host_boot:
        return None
    named, began_ms, offset_ms, rule_offset_ms, is_synchronised, first_sync_ms = row[1:]
    return TimeSegment(
        *(row[0], named, began_ms, offset_ms, rule_offset_ms),
        is_synchronised=bool(is_synchronised),
        first_sync_ms=first_sync_ms,
    )


def _retime_piece(tx: sqlite3.Connection, row: tuple[Any, ...], segment: TimeSegment) -> int:
    (wrong_id, offset_ms, corrected_by, done_id, first_id, end_id, *ranges) = row
    if corrected_by is None:
        corrected_by = segment.id
    right_ms, right_offset_ms = tx.execute(
        "SELECT began_ms, offset_ms FROM time_segment WHERE id = ?", (corrected_by,)
    ).fetchone()
    first = first_id if done_id is None else done_id + 1
    end = min(first + RETIME_ROWS_MAX, end_id)
    by_ms = right_offset_ms - offset_ms
    count = tx.execute(
        _RETIME_READINGS,
        {"by_ms": by_ms, "right_ms": right_ms + offset_ms, "first": first, "next": end},
    ).rowcount
    tx.execute(
        "UPDATE time_segment SET corrected_by = ?, retimed_reading_id = ?,"
        " retimed_total = retimed_total + ?, is_retimed = ? WHERE id = ?",
        (corrected_by, end - 1, count, end == end_id, wrong_id),
    )
    # Bounds that are too wide cost a look; when anything of it expires is found out anew.
    tx.execute(
        "UPDATE block SET low_utc_ms = min(low_utc_ms, low_utc_ms + :by_ms),"
        " high_utc_ms = max(high_utc_ms, high_utc_ms + :by_ms), due_utc_ms = 0"
        " WHERE first_id < :next AND last_id >= :first",
        {"by_ms": by_ms, "first": first, "next": end},
    )
    if end == end_id:
        _retime_rest(tx, wrong_id, by_ms, ranges)
    return count


def _retime_rest(tx: sqlite3.Connection, wrong_id: int, by_ms: int, ranges: list[int]) -> None:
    """Correct what there is little of: all but readings."""
    event_id, event_end, gap_id, gap_end, item_id, item_end = ranges
    for table, first, end in (("event", event_id, event_end), ("gap", gap_id, gap_end)):
        tx.execute(
            _RETIME_DATED.format(table=table), (by_ms, TIME_RETIMED, first, end, TIME_UNSET)
        )
    for column in ("first_seen", "vitals"):
        tx.execute(
            f"UPDATE boot SET {column}_utc_ms = {column}_utc_ms + ?, {column}_unset_id = 0"
            f" WHERE {column}_unset_id = ?",
            (by_ms, wrong_id),
        )
    # Its buckets no longer begin with the minute, so they are merged with no others. In two
    # steps, since a row may be moved to where another one has not yet left.
    tx.execute(
        "UPDATE summary SET start_ms = start_ms + ?, last_ms = last_ms + ?, unset_id = -unset_id"
        " WHERE unset_id = ?",
        (by_ms, by_ms, wrong_id),
    )
    tx.execute("UPDATE summary SET unset_id = -unset_id WHERE unset_id = ?", (-wrong_id,))
    corrected = []
    for row_id, payload in tx.execute(
        "SELECT id, payload FROM sync_queue WHERE id >= ? AND id < ?", (item_id, item_end)
    ).fetchall():
        item = json.loads(payload)
        if retimed_item(item, by_ms):
            corrected.append((json.dumps(item), row_id))
    tx.executemany("UPDATE sync_queue SET payload = ? WHERE id = ?", corrected)


def retimed_item(item: dict[str, Any], by_ms: int) -> bool:
    """Correct the times of a queued event that says it is unset; return whether it did."""
    metadata = item.get("metadata")
    unset, retimed = TIME_QUALITY_NAMES[TIME_UNSET], TIME_QUALITY_NAMES[TIME_RETIMED]
    if not isinstance(metadata, dict) or metadata.get("time_quality") != unset:
        return False
    readings = item.get("sensor_readings")
    all_dated = [item, *(readings if isinstance(readings, list) else ())]
    if not all(isinstance(one, dict) and _is_number(one.get("timestamp")) for one in all_dated):
        return False  # a caller's own, and none of ours
    for dated in all_dated:
        dated["timestamp"] = round(dated["timestamp"] * 1000 + by_ms) / 1000
    metadata["time_quality"] = retimed
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15
