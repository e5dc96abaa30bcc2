"""Receipts: what senders were told is stored, so that what they send again is known.

A sender that was not told, because the agent was killed or the line cut between the commit
and the answer, sends again. The key of each delivery is written in the transaction of its
readings; a delivery whose key is there has been stored. A source that is read has a
position instead.

Both are of one source of a device, such as a path or a session at a broker: a device that is
told to read another one, and later the first again, goes on there.
"""

import logging
import sqlite3
from collections.abc import Container
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

logger = logging.getLogger(__name__)

KEY_SIZE = 12  # bytes of a digest
KEYS_MAX = 10_000  # of each source; then the oldest are forgotten
SOURCES_MAX = 16  # of each device; then the one that was read longest ago is forgotten


class SourceId(NamedTuple):
    """From what a device has readings. `source` is "" for one that can't have another."""

    device: str
    source: str = ""


class Receipts:
    """The receipts and positions of a store. What only looks is for any thread."""

    def __init__(self, store: "SQLiteStore") -> None:
        self.forgotten_total = 0  # keys, because there were more than KEYS_MAX
        self._store = store
        self._rows: dict[SourceId, dict[bytes, int]] = {}  # key and the row that has it
        self._left: dict[int, int] = {}  # by row: how many of its keys are still known
        self._gone: list[int] = []  # rows without any, to be removed with the next commit
        self._positions: dict[str, dict[str, str]] = {}  # by device and source, the oldest first

    def load(self, tx: sqlite3.Connection) -> None:
        """Read all."""
        rows: dict[SourceId, dict[bytes, int]] = {}
        self._left, self._gone = {}, []
        for row_id, device, source, keys in tx.execute(
            "SELECT id, device, source, keys FROM receipt ORDER BY id"
        ):
            self._note(rows, row_id, SourceId(device, source), _split(keys))
        positions: dict[str, dict[str, str]] = {}
        for device, source, position in tx.execute(
            "SELECT device, source, position FROM source_position ORDER BY id"
        ):
            positions.setdefault(device, {})[source] = position
        self._rows, self._positions = rows, positions

    def knows(self, source: SourceId, key: bytes) -> bool:
        """Return whether the delivery of that key has been stored."""
        return key in self._rows.get(source, {})

    def positions(self, device: str) -> dict[str, str]:
        """Return where each source of a device goes on, the one that was read last at the end."""
        return self._positions.get(device, {}).copy()

    def position(self, source: SourceId) -> str:
        """Return where a source goes on, "" if nothing of it has been stored."""
        return self._positions.get(source.device, {}).get(source.source, "")

    def forget(self, source: SourceId, keys: list[bytes]) -> None:
        """Forget deliveries that their sender can't send again. For the thread that stores."""
        known = self._rows.get(source, {})
        for key in keys:
            row_id = known.pop(key, None)
            if row_id is not None:
                self._release(row_id)

    def forget_all_but(self, source: SourceId, keys: Container[bytes]) -> None:
        """Forget all deliveries of a source but these. For the thread that stores."""
        self.forget(source, [key for key in self._rows.get(source, {}) if key not in keys])

    def write(
        self,
        tx: sqlite3.Connection,
        receipts: dict[SourceId, list[bytes]],
        positions: dict[SourceId, str],
    ) -> None:
        """Add the keys of a commit and write positions, within its transaction."""
        gone = list(self._gone)
        if not (receipts or positions or gone):
            return
        tx.executemany("DELETE FROM receipt WHERE id = ?", [(row_id,) for row_id in gone])
        made = {}
        for source, keys in receipts.items():
            made[source] = tx.execute(
                "INSERT INTO receipt (device, source, keys) VALUES (?, ?, ?)",
                (*source, b"".join(keys)),
            ).lastrowid
        known = {device: self.positions(device) for device in {one.device for one in positions}}
        for source, position in positions.items():
            self._write_position(tx, known[source.device], source, position)

        def adopt() -> None:
            del self._gone[: len(gone)]
            for source, row_id in made.items():
                assert row_id is not None
                self._note(self._rows, row_id, source, receipts[source])
                self._cap(source)
            for device, kept in known.items():
                for name in self._positions.get(device, {}).keys() - kept.keys():
                    self.forget_all_but(SourceId(device, name), ())
            self._positions.update(known)

        self._store.when_durable(adopt)

    @staticmethod
    def _write_position(
        tx: sqlite3.Connection, known: dict[str, str], source: SourceId, position: str
    ) -> None:
        """Write one position, and note it in what is known of its device."""
        if next(reversed(known), None) == source.source:
            tx.execute(
                "UPDATE source_position SET position = ? WHERE device = ? AND source = ?",
                (position, *source),
            )
        else:
            tx.execute(
                "INSERT OR REPLACE INTO source_position (device, source, position)"
                " VALUES (?, ?, ?)",
                (*source, position),
            )
        known.pop(source.source, None)
        known[source.source] = position
        while len(known) > SOURCES_MAX:
            oldest = next(iter(known))
            del known[oldest]
            tx.execute(
                "DELETE FROM source_position WHERE device = ? AND source = ?",
                (source.device, oldest),
            )
            logger.warning(
                "device %s has had more than %d sources: where it was in %s is forgotten",
                *(source.device, SOURCES_MAX, oldest or "the first"),
            )

    def _note(
        self,
        rows: dict[SourceId, dict[bytes, int]],
        row_id: int,
        source: SourceId,
        keys: list[bytes],
    ) -> None:
        known = rows.setdefault(source, {})
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

    def _cap(self, source: SourceId) -> None:
        known = self._rows[source]
        excess = list(islice(known, max(0, len(known) - KEYS_MAX)))
        self.forget(source, excess)
        self.forgotten_total += len(excess)


def _split(keys: bytes) -> list[bytes]:
    return [keys[at : at + KEY_SIZE] for at in range(0, len(keys), KEY_SIZE)]
