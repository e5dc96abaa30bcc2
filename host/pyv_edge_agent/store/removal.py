"""Removing readings and events: what goes is counted in the transaction in which it goes.

Expired is what is older than it has to be kept, and behind every sink. Evicted is what
had to make room, whoever has it or not: it leaves a gap record, which sinks are told of.
"""

import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..channel_policy import DAY_MS
from . import block
from .commit import INSERT_GAP, queue_gaps

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

EXPIRED = "expired"
EVICTED = "evicted"  # causes of gaps, too
THINNED = "thinned"
REJECTED = "rejected"
DAMAGED = "damaged"
CAUSES_AFTER_STORING = (EVICTED, THINNED, DAMAGED)

EVENTS_COUNT = 500  # of one transaction

_EXTEND_GAP = """
UPDATE gap SET first_seq = min(first_seq, ?), last_seq = max(last_seq, ?), count = count + ?,
               is_queued = 0
WHERE id = ?
"""
_COUNT = {
    kind: f"UPDATE stream SET {kind}_total = {kind}_total + ? WHERE boot_id = ? AND stream = ?"
    for kind in (EXPIRED, EVICTED)
}


@dataclass
class GapRun:
    """Gap records that grow as long as one eviction goes on."""

    time_quality: int = 0
    ids: dict[tuple[int, int, str], int] = field(default_factory=dict)  # by boot, stream, cause


def remove_readings(
    store: "SQLiteStore",
    blocks: block.Blocks,
    block_id: int,
    condition: str,
    parameters: dict[str, Any],
    run: GapRun | None = None,
    cause: str = EXPIRED,
) -> int:
    """Remove the readings of a block that fit; return how many. Raises StoreError.

    `condition` is SQL over reading and channel. With `run` they are evicted, else expired.
    """
    with store.transaction() as tx:
        first_id, last_id, count = tx.execute(
            "SELECT first_id, last_id, count - removed FROM block WHERE id = ?", (block_id,)
        ).fetchone()
        bounds = {"first": first_id, "last": last_id}
        found = tx.execute(
            "SELECT reading.id, boot_id, seq FROM reading JOIN channel ON channel.id = channel_id"
            f" WHERE reading.id >= :first AND reading.id <= :last AND {condition}"
            " ORDER BY reading.id",
            {**parameters, **bounds},
        ).fetchall()
        is_fit = block.fits(tx, block_id)
        if found:
            _delete(tx, bounds, {row[0] for row in found}, count)
        is_left = blocks.removed(tx, block_id, is_fit, bool(found))
        if found:
            _account(store, tx, 0, found, run, cause)
            if run is not None:
                store.sinks.evict(tx, [row[0] for row in found])
            told = {"block": block_id, "readings": len(found), "cause": cause, "left": is_left}
            if not is_fit:
                told["fits"] = False
            store.audit.write(tx, "readings_removed", told)
    return len(found)


def _delete(tx: sqlite3.Connection, bounds: dict[str, int], ids: set[int], count: int) -> None:
    """Delete readings of a block of `count`.

    What is left is written anew: a page that has lost a row here and there is neither
    free nor ever used again.
    """
    left = []
    if len(ids) < count:
        rows = tx.execute("SELECT * FROM reading WHERE id >= :first AND id <= :last", bounds)
        left = [row for row in rows if row[0] not in ids]
    tx.execute("DELETE FROM reading WHERE id >= :first AND id <= :last", bounds)
    tx.executemany("INSERT INTO reading VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", left)


def _account(
    store: "SQLiteStore",
    tx: sqlite3.Connection,
    stream: int,
    rows: list[tuple[Any, ...]],
    run: GapRun | None,
    cause: str,
) -> None:
    """Count what goes of each boot and, if it is evicted, say so in gap records.

    `rows` are (id, boot_id, seq).
    """
    by_boot: dict[int, list[int]] = {}
    for _, boot_id, seq in rows:
        by_boot.setdefault(boot_id, []).append(seq)
    for boot_id, seqs in by_boot.items():
        _account_boot(store, tx, boot_id, stream, seqs, run, cause)


def _account_boot(
    store: "SQLiteStore",
    tx: sqlite3.Connection,
    boot_id: int,
    stream: int,
    seqs: list[int],
    run: GapRun | None,
    cause: str,
) -> None:
    kind = EXPIRED if run is None else EVICTED
    tx.execute(_COUNT[kind], (len(seqs), boot_id, stream))
    if run is None:
        return
    first, last = min(seqs), max(seqs)
    key = (boot_id, stream, cause)
    if key in run.ids:
        tx.execute(_EXTEND_GAP, (first, last, len(seqs), run.ids[key]))
        return
    gap = (boot_id, stream, first, last, cause, store.now_ms(), run.time_quality, len(seqs))
    gap_id = tx.execute(INSERT_GAP, gap).lastrowid
    assert gap_id is not None
    made = gap_id
    store.when_durable(lambda: run.ids.__setitem__(key, made))


def end_run(store: "SQLiteStore", run: GapRun) -> None:
    """Tell the sinks of what an eviction has taken. Raises StoreError."""
    if run.ids:
        with store.transaction() as tx:
            queue_gaps(store, tx)
        run.ids.clear()


def remove_events(store: "SQLiteStore", before_ms: int | None, run: GapRun | None = None) -> int:
    """Remove the oldest events, those from before a time if it is given; return how many.

    With `run` they are evicted, else expired. Raises StoreError.
    """
    limit = 2**62 if before_ms is None else before_ms
    with store.transaction() as tx:
        found = tx.execute(
            "SELECT id, boot_id, seq FROM event WHERE utc_ms < ? AND time_quality <> 1"
            " ORDER BY id LIMIT ?",
            (limit, EVENTS_COUNT),
        ).fetchall()
        if not found:
            return 0
        tx.executemany("DELETE FROM event WHERE id = ?", [(row[0],) for row in found])
        numbered = [row for row in found if row[2] is not None]  # the others are of our own rules
        _account(store, tx, 1, numbered, run, EVICTED)
        cause = EXPIRED if run is None else EVICTED
        told = {"events": len(found), "cause": cause, "last_id": found[-1][0]}
        store.audit.write(tx, "events_removed", told)
    return len(found)


def remove_summaries(store: "SQLiteStore", period_ms: int, before_ms: int | None) -> int:
    """Remove the oldest summaries of a period, up to a day of them; return how many.

    Those from before a time, if it is given. Raises StoreError.
    """
    row = store.row("SELECT min(start_ms) FROM summary WHERE period_ms = ?", (period_ms,))
    if row is None or row[0] is None or (before_ms is not None and row[0] >= before_ms):
        return 0
    end_ms = row[0] + DAY_MS
    if before_ms is not None:
        end_ms = min(end_ms, before_ms)
    with store.transaction() as tx:
        count = tx.execute(
            "DELETE FROM summary WHERE period_ms = ? AND start_ms < ?", (period_ms, end_ms)
        ).rowcount
        told = {"summaries": count, "period_s": period_ms // 1000, "before_ms": end_ms}
        store.audit.write(tx, "summaries_removed", told)
    return count
