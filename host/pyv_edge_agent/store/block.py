"""Blocks: readings once they are sealed, under a digest that the next block's covers.

    digest = SHA-256(JSON of [[id, channel_id, boot_id, seq, utc_ms, quality, value], ...])
    chain  = SHA-256(chain of the block before + digest)

without blanks in the JSON, in the order of ids; the first chain follows 32 zero
bytes. `utc_ms` is as it was first written: a correction of the clock is undone by what
its time segment says, and `quality` is without the time's. A block also says between
which times its readings lie, which is how a time is found among the ids.

When readings are removed, the block keeps a digest of what is left. It is made only if
what was there fits the old one: a removal must not cover up a change.
"""

import hashlib
import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

BLOCK_COUNT = 4096  # readings
FIRST_CHAIN = bytes(32)
UNFIT = b""  # a digest that nothing has: what is left did not fit when something was removed

_ROWS = """
SELECT id, channel_id, boot_id, seq,
       utc_ms - CASE WHEN quality >> 2 = 2 THEN :by_ms ELSE 0 END, quality & 3, value
FROM reading WHERE id >= :first AND id <= :last ORDER BY id
"""

# The stretches of ids whose times were corrected, and by how much.
_CORRECTED = """
SELECT wrong.first_reading_id, next.first_reading_id - 1, corrector.offset_ms - wrong.offset_ms
FROM time_segment AS wrong
JOIN time_segment AS next ON next.id = wrong.id + 1
JOIN time_segment AS corrector ON corrector.id = wrong.corrected_by
WHERE next.first_reading_id > :first AND wrong.first_reading_id <= :last
ORDER BY wrong.id
"""

_CONTENTS = """
SELECT channel.class, channel.keep_ms, min(utc_ms), max(utc_ms),
       min(utc_ms) FILTER (WHERE quality >> 2 <> 1), count(*)
FROM reading JOIN channel ON channel.id = channel_id
WHERE reading.id >= ? AND reading.id <= ? GROUP BY channel_id
"""


@dataclass(frozen=True)
class Contents:
    """What is in a stretch of readings."""

    count: int
    low_utc_ms: int
    high_utc_ms: int
    classes: int  # bits 1 << class
    due_utc_ms: int | None  # when the first of them expires; None: none does


def contents(tx: sqlite3.Connection, first_id: int, last_id: int) -> Contents:
    """Return what is in a stretch of readings."""
    count = classes = low = high = 0
    due: int | None = None
    for row in tx.execute(_CONTENTS, (first_id, last_id)):
        kind, keep_ms, low_ms, high_ms, known_ms, of_channel = row
        low = low_ms if not count else min(low, low_ms)
        high = high_ms if not count else max(high, high_ms)
        count += of_channel
        classes |= 1 << kind
        # How old a reading is whose time is unset, nobody knows: it doesn't expire.
        if keep_ms and known_ms is not None and (due is None or known_ms + keep_ms < due):
            due = known_ms + keep_ms
    return Contents(count, low, high, classes, due)


def digest(tx: sqlite3.Connection, first_id: int, last_id: int) -> tuple[bytes, int]:
    """Return the digest of a stretch of readings as it was written, and how many there are."""
    rows: list[Any] = []
    at = first_id
    corrected = tx.execute(_CORRECTED, {"first": first_id, "last": last_id}).fetchall()
    for first, last, by_ms in [*corrected, (last_id + 1, last_id, 0)]:
        if at < first:
            plain = {"first": at, "last": min(first - 1, last_id), "by_ms": 0}
            rows += tx.execute(_ROWS, plain).fetchall()
        at = max(at, first)
        if at <= min(last, last_id):
            shifted = {"first": at, "last": min(last, last_id), "by_ms": by_ms}
            rows += tx.execute(_ROWS, shifted).fetchall()
            at = min(last, last_id) + 1
    text = json.dumps(rows, check_circular=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest(), len(rows)


def next_chain(before: bytes, digest_of_block: bytes) -> bytes:
    """Return the chain of a block."""
    return hashlib.sha256(before + digest_of_block).digest()


class Blocks:
    """The sealed readings of a store. For the thread that stores."""

    def __init__(self, store: "SQLiteStore") -> None:
        """Read where the chain ends. Raises StoreError."""
        self._store = store
        self.load()

    def load(self) -> None:
        """Read again where it ends: a commit may have been in doubt. Raises StoreError."""
        row = self._store.row("SELECT id, last_id, chain FROM block ORDER BY id DESC LIMIT 1")
        self.last_block: int
        self.sealed_id: int
        self.chain: bytes
        self.last_block, self.sealed_id, self.chain = row if row else (0, 0, FIRST_CHAIN)
        saved = self._store.meta("sealed")
        if saved is not None:
            last_block, sealed_id, chain = json.loads(saved)
            if last_block > self.last_block:  # the last ones are removed
                self.last_block, self.sealed_id = last_block, sealed_id
                self.chain = bytes.fromhex(chain)

    @property
    def unsealed_count(self) -> int:
        """How many readings wait to be sealed, at most."""
        return self._store.last_reading_id - self.sealed_id

    def seal(self, count_max: int = BLOCK_COUNT) -> int:
        """Seal the next readings as a block; return how many, 0 if there are none.

        Raises StoreError.
        """
        first_id = self.sealed_id + 1
        last_id = min(self.sealed_id + count_max, self._store.last_reading_id)
        if last_id < first_id:
            return 0
        with self._store.transaction() as tx:
            found = contents(tx, first_id, last_id)
            if not found.count:  # a hole of ids: the store was damaged once
                self._store.when_durable(lambda: self._ended(self.last_block, last_id, self.chain))
                return last_id - first_id + 1
            made, _ = digest(tx, first_id, last_id)
            chain = next_chain(self.chain, made)
            block_id = self.last_block + 1
            tx.execute(
                "INSERT INTO block (id, first_id, last_id, count, low_utc_ms, high_utc_ms,"
                " classes, due_utc_ms, digest, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(block_id, first_id, last_id, found.count, found.low_utc_ms),
                    *(found.high_utc_ms, found.classes, found.due_utc_ms, made, chain),
                ),
            )
            self._store.when_durable(lambda: self._ended(block_id, last_id, chain))
        return found.count

    def _ended(self, block_id: int, last_id: int, chain: bytes) -> None:
        self.last_block, self.sealed_id, self.chain = block_id, last_id, chain

    def remember_end(self, tx: sqlite3.Connection) -> None:
        """Remember where the chain ends, before the last block is removed."""
        end = json.dumps([self.last_block, self.sealed_id, self.chain.hex()])
        self._store.set_meta(tx, "sealed", end)

    def removed(
        self, tx: sqlite3.Connection, block_id: int, is_fit: bool, is_changed: bool = True
    ) -> bool:
        """Note within a transaction that readings of a block were removed.

        `is_fit` tells whether what was there had the block's digest, `is_changed` whether
        anything was removed at all. Returns whether something is left; of an empty block,
        nothing stays.
        """
        first_id, last_id, count = tx.execute(
            "SELECT first_id, last_id, count FROM block WHERE id = ?", (block_id,)
        ).fetchone()
        left = contents(tx, first_id, last_id)
        if not left.count:
            tx.execute("DELETE FROM block WHERE id = ?", (block_id,))
            if block_id == self.last_block:
                self.remember_end(tx)
            return False
        tx.execute(
            "UPDATE block SET classes = ?, due_utc_ms = ? WHERE id = ?",
            (left.classes, left.due_utc_ms, block_id),
        )
        if is_changed:
            made = digest(tx, first_id, last_id)[0] if is_fit else UNFIT
            tx.execute(
                "UPDATE block SET removed = ?, left_digest = ? WHERE id = ?",
                (count - left.count, made, block_id),
            )
        return True


def fits(tx: sqlite3.Connection, block_id: int) -> bool:
    """Return whether what is in a block is what is to be there."""
    row = tx.execute(
        "SELECT first_id, last_id, count - removed, coalesce(left_digest, digest) FROM block"
        " WHERE id = ?",
        (block_id,),
    ).fetchone()
    first_id, last_id, expected, known = row
    made, count = digest(tx, first_id, last_id)
    return bool(made == known and count == expected)
