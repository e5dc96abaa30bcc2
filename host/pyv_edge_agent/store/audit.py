"""The audit log: what was done with the evidence, each row's hash covering the row before.

    hash = SHA-256(canonical JSON of {action, details, id, prev_hash, timestamp}), in hex

`timestamp` is utc_ms as an integer, and the first row's prev_hash is 64 zeros. Whoever
changes a row has to change every later one too; checkpoints, which are queued for the
sinks, let that be noticed elsewhere.
"""

import hashlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

GENESIS = "0" * 64


def row_hash(row_id: int, utc_ms: int, action: str, details: Any, prev_hash: str) -> str:
    """Return the hash of one row; `details` are JSON types."""
    text = json.dumps(
        {
            "action": action,
            "details": details,
            "id": row_id,
            "prev_hash": prev_hash,
            "timestamp": utc_ms,
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(text.encode()).hexdigest()


class AuditLog:
    """The audit log of a store. Any thread may call."""

    def __init__(self, store: "SQLiteStore") -> None:
        self._store = store
        self.last_id = 0
        self.last_hash = GENESIS
        self.checkpoint_id = 0  # the last row that a checkpoint covers
        self._draft: tuple[int, str] | None = None  # head within the transaction under way

    def load(self, tx: sqlite3.Connection) -> None:
        """Read where the chain ends."""
        row = tx.execute("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1").fetchone()
        self.last_id, self.last_hash = row if row else (0, GENESIS)
        (saved,) = tx.execute(
            "SELECT coalesce((SELECT value FROM meta WHERE key = 'audit_checkpoint'), '0')"
        ).fetchone()
        self.checkpoint_id = int(saved)

    def append(self, action: str, details: dict[str, Any], utc_ms: int | None = None) -> int:
        """Add a row; return its id. Raises StoreError, ValueError if `details` is not JSON."""
        with self._store.transaction() as tx:
            return self.write(tx, action, details, utc_ms)

    def write(
        self,
        tx: sqlite3.Connection,
        action: str,
        details: dict[str, Any],
        utc_ms: int | None = None,
    ) -> int:
        """Add a row within a transaction; return its id."""
        text = json.dumps(details, sort_keys=True, separators=(",", ":"), allow_nan=False)
        if self._draft is None:
            self._draft = (self.last_id, self.last_hash)
            self._store.when_over(self._end)
        when_ms = self._store.now_ms() if utc_ms is None else utc_ms
        last_id, last_hash = self._draft
        row_id = last_id + 1
        made = row_hash(row_id, when_ms, action, json.loads(text), last_hash)
        tx.execute(
            "INSERT INTO audit (id, utc_ms, action, details, hash) VALUES (?, ?, ?, ?, ?)",
            (row_id, when_ms, action, text, made),
        )
        self._draft = (row_id, made)
        return row_id

    def _end(self, is_durable: bool) -> None:
        if is_durable and self._draft is not None:
            self.last_id, self.last_hash = self._draft
        self._draft = None

    # -- checkpoints ---------------------------------------------------------------

    @property
    def rows_since_checkpoint(self) -> int:
        """How many rows no checkpoint covers."""
        return self.last_id - self.checkpoint_id

    def checkpoint(self) -> bool:
        """Queue a checkpoint for the sinks if there are new rows. Raises StoreError."""
        if not self.rows_since_checkpoint:
            return False
        with self._store.transaction() as tx:
            last_id = self.last_id
            created_at = self._store.now_ms() / 1000
            payload = {
                "type": "audit_checkpoint",
                "timestamp": created_at,
                "store_id": self._store.store_id,
                "audit_id": last_id,
                "hash": self.last_hash,
            }
            self._store.items.write(tx, [(json.dumps(payload), 4, created_at, 0)])
            self._store.set_meta(tx, "audit_checkpoint", str(last_id))

            def adopt() -> None:
                self.checkpoint_id = last_id

            self._store.when_durable(adopt)
        return True
