"""Dead letters: what a sink has refused for what it is, kept to be looked at and sent again."""

import sqlite3
from typing import TYPE_CHECKING, Any

from .query import rows_with_payload

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

COUNT_MAX = 10_000  # for all sinks; then the oldest are dropped, and counted


class DeadLetters:
    """The dead letters of a store."""

    def __init__(self, store: "SQLiteStore") -> None:
        self.count = 0
        self.dropped_total = 0
        self._store = store

    def load(self, tx: sqlite3.Connection) -> None:
        """Read how many there are."""
        (self.count,) = tx.execute("SELECT count(*) FROM dead_letter").fetchone()

    def count_of(self, sink: str) -> int:
        """Return how many a sink has. Raises StoreError."""
        if not self.count:
            return 0
        row = self._store.row("SELECT count(*) FROM dead_letter WHERE sink = ?", (sink,))
        return row[0] if row else 0

    def write(
        self,
        tx: sqlite3.Connection,
        sink: str,
        kind: str,
        priority: int,
        letters: list[tuple[str, str, str]],
    ) -> None:
        """Add letters, given as (origin, payload JSON, reason), within a transaction."""
        now_ms = self._store.now_ms()
        tx.executemany(
            "INSERT INTO dead_letter (sink, kind, origin, priority, payload, reason, utc_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (sink, kind, origin, priority, payload, reason, now_ms)
                for origin, payload, reason in letters
            ],
        )
        for origin, _, reason in letters:
            self._store.audit.write(
                tx, "dead_lettered", {"sink": sink, kind: origin, "reason": reason}
            )
        excess = max(0, self.count + len(letters) - COUNT_MAX)
        if excess:
            tx.execute(
                "DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter"
                " ORDER BY id LIMIT ?)",
                (excess,),
            )

        def adopt() -> None:
            self.count += len(letters) - excess
            self.dropped_total += excess

        self._store.when_durable(adopt)

    def all(self, count_max: int = 100, letter_id: int | None = None) -> list[dict[str, Any]]:
        """Return the newest letters, newest first, or the one of an id. Raises StoreError."""
        names = ("id", "sink", "kind", "origin", "priority", "payload", "reason", "utc_ms")
        return rows_with_payload(
            self._store,
            names,
            "FROM dead_letter WHERE id = coalesce(?, id) ORDER BY id DESC LIMIT ?",
            (letter_id, count_max),
        )

    def retry(self, ids: list[int]) -> int:
        """Queue the payloads of letters anew; return how many. Raises StoreError."""
        count = 0
        with self._store.transaction() as tx:
            for letter_id in ids:
                row = tx.execute(
                    "SELECT sink, payload, priority FROM dead_letter WHERE id = ?", (letter_id,)
                ).fetchone()
                if row is None:
                    continue
                sink, payload, priority = row
                item = (payload, priority, self._store.now_ms() / 1000, 0)
                self._store.items.write(tx, [item], sink)
                tx.execute("DELETE FROM dead_letter WHERE id = ?", (letter_id,))
                count += 1
            self._store.when_durable(lambda: self._less(count))
        return count

    def drop(self, ids: list[int]) -> int:
        """Delete letters; return how many there were. Raises StoreError."""
        count = 0
        with self._store.transaction() as tx:
            for letter_id in ids:
                count += tx.execute("DELETE FROM dead_letter WHERE id = ?", (letter_id,)).rowcount
            if count:
                self._store.audit.write(tx, "dead_letters_dropped", {"ids": ids[:100]})
            self._store.when_durable(lambda: self._less(count))
        return count

    def forget(self, tx: sqlite3.Connection, sink: str) -> None:
        """Delete all letters of a sink within a transaction."""
        count = tx.execute("DELETE FROM dead_letter WHERE sink = ?", (sink,)).rowcount
        self._store.when_durable(lambda: self._less(count))

    def _less(self, count: int) -> None:
        self.count -= count
