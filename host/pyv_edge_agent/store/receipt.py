"""Receipts: what senders were told is stored, so that what they send again is known.

A sender that was not told, because the agent was killed or the line cut between the commit
and the answer, sends again. The key of each delivery is written in the transaction of its
readings; a delivery whose key is there has been stored. A source that is read has a
position instead.
"""

import sqlite3
from collections.abc import Container
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

KEY_SIZE = 12  # bytes of a digest
KEYS_MAX = 10_000  # of each device; then the oldest are forgotten


class Receipts:
    """The receipts and positions of a store. `knows` and `position` are for any thread."""

    def __init__(self, store: "SQLiteStore") -> None:
        self.forgotten_total = 0  # keys, because there were more than KEYS_MAX
        self._store = store
        self._rows: dict[str, dict[bytes, int]] = {}  # by device: key and the row that has it
        self._left: dict[int, int] = {}  # by row: how many of its keys are still known
        self._gone: list[int] = []  # rows without any, to be removed with the next commit
        self._positions: dict[str, str] = {}

    def load(self, tx: sqlite3.Connection) -> None:
        """Read all."""
        rows: dict[str, dict[bytes, int]] = {}
        self._left, self._gone = {}, []
        for row_id, device, keys in tx.execute("SELECT id, device, keys FROM receipt ORDER BY id"):
            self._note(rows, row_id, device, _split(keys))
        self._rows = rows
        self._positions = dict(tx.execute("SELECT device, position FROM source_position"))

    def knows(self, device: str, key: bytes) -> bool:
        """Return whether the delivery of that key has been stored."""
        return key in self._rows.get(device, {})

    def position(self, device: str) -> str:
        """Return where a source goes on, "" if nothing of it has been stored."""
        return self._positions.get(device, "")

    def forget(self, device: str, keys: list[bytes]) -> None:
        """Forget deliveries that their sender can't send again. For the thread that stores."""
        known = self._rows.get(device, {})
        for key in keys:
            row_id = known.pop(key, None)
            if row_id is not None:
                self._release(row_id)

    def forget_all_but(self, device: str, keys: Container[bytes]) -> None:
        """Forget all deliveries of a device but these. For the thread that stores."""
        self.forget(device, [key for key in self._rows.get(device, {}) if key not in keys])

    def write(
        self, tx: sqlite3.Connection, receipts: dict[str, list[bytes]], positions: dict[str, str]
    ) -> None:
        """Add the keys of a commit and write positions, within its transaction."""
        gone = list(self._gone)
        if not (receipts or positions or gone):
            return
        tx.executemany("DELETE FROM receipt WHERE id = ?", [(row_id,) for row_id in gone])
        made = {}
        for device, keys in receipts.items():
            made[device] = tx.execute(
                "INSERT INTO receipt (device, keys) VALUES (?, ?)", (device, b"".join(keys))
            ).lastrowid
        tx.executemany(
            "INSERT INTO source_position (device, position) VALUES (?, ?)"
            " ON CONFLICT (device) DO UPDATE SET position = excluded.position",
            list(positions.items()),
        )

        def adopt() -> None:
            del self._gone[: len(gone)]
            for device, row_id in made.items():
                assert row_id is not None
                self._note(self._rows, row_id, device, receipts[device])
                self._cap(device)
            self._positions.update(positions)

        self._store.when_durable(adopt)

    def _note(
        self, rows: dict[str, dict[bytes, int]], row_id: int, device: str, keys: list[bytes]
    ) -> None:
        known = rows.setdefault(device, {})
        self._left[row_id] = len(keys)
        for key in keys:
            before = known.pop(key, None)  # to the end: it is the newest now
            if before is not None:
                self._release(before)
            known[key] = row_id

    def _release(self, row_id: int) -> None:
        self._left[row_id] -= 1
        if not self._left[row_id]:
            del self._left[row_id]
            self._gone.append(row_id)

    def _cap(self, device: str) -> None:
        known = self._rows[device]
        excess = list(islice(known, max(0, len(known) - KEYS_MAX)))
        self.forget(device, excess)
        self.forgotten_total += len(excess)


def _split(keys: bytes) -> list[bytes]:
    return [keys[at : at + KEY_SIZE] for at in range(0, len(keys), KEY_SIZE)]
