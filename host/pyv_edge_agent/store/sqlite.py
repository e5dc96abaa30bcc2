"""SQLiteStore: the evidence store. What is in its file, and what memory knows of it."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from ..channel_policy import ChannelPolicies
from ..clock import Clock, SystemClock
from ..errors import StoreBrokenError, StoreError
from . import boot, channel, query
from .audit import AuditLog
from .boot import BootInfo, OpenedBoot, WatchedChannel
from .check import check_closed, check_sound
from .commit import write_batch
from .database import Database
from .dead_letter import DeadLetters
from .item_queue import ItemQueue
from .ledger import stored_total
from .reader import last_known_id
from .receipt import Receipts
from .salvage import Salvage
from .sink_cursor import SinkCursors
from .write_batch import WriteBatch

# Within a boot of the computer the time of rules does not move against its monotonic clock. At the
# end of an earlier one, its last offset told best what UTC was.
_RULE_STATE = """
SELECT state, CASE
  WHEN saved.host_boot IS (SELECT host_boot FROM time_segment ORDER BY id DESC LIMIT 1) THEN 0
  ELSE coalesce((SELECT offset_ms FROM time_segment WHERE host_boot = saved.host_boot
                 ORDER BY id DESC LIMIT 1)
              - (SELECT offset_ms FROM time_segment WHERE host_boot = saved.host_boot
                 ORDER BY id LIMIT 1), 0) END
FROM rule_state LEFT JOIN time_segment AS saved ON saved.id = segment_id WHERE channel_id = ?
"""

_SET_META = """
INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""

# Facts in meta that are numbers or JSON.
_JSON_FACTS = {
    *("run_ms", "rolled_id", "sealed", "salvage", "day", "audit_checkpoint", "hold_until_ms"),
    "floor_id",
}


class SQLiteStore(Database):
    """The readings, events and gaps of one site, and how far each sink has them."""

    def __init__(self, path: str | Path, clock: Clock | None = None, check_ms: int = 0) -> None:
        """Open the store at `path` for this process alone, making it if need be.

        One that was not closed is checked for at most `check_ms`. Raises StoreError;
        StoreBrokenError if it is damaged, see recovery.py.
        """
        super().__init__(Path(path))
        self.store_id = ""
        self.salvage: Salvage | None = None
        self._clock = clock or SystemClock()
        self._run_before_ms = 0
        self._opened_ms = self._clock.monotonic_ms()
        self.policies = ChannelPolicies()
        self.sinks = SinkCursors(self)
        self.items = ItemQueue(self)
        self.dead_letters = DeadLetters(self)
        self.receipts = Receipts(self)
        self.audit = AuditLog(self)
        self.open(check_ms)

    # -- what memory knows ---------------------------------------------------------

    def _look(self, check_ms: int) -> None:
        check_closed(self.path, self._clock, check_ms)

    def _begin(self, check_ms: int) -> str:
        known_id, run_ms = self.store_id, self.run_ms
        # In the keys of batches: a store that was restored from a copy uses ids again. First of
        # all, so that whoever remembers something of another file knows, however this ends.
        row = self._writer.execute("SELECT lower(hex(randomblob(4)))").fetchone()
        self.generation: str = row[0]
        try:
            saved_ms = self._load(self.sinks, *self._parts)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreBrokenError(f"{self.path}: {type(error).__name__}: {error}") from error
        # The time goes on if it is the same store that is opened again.
        self._run_before_ms = max(saved_ms, run_ms) if known_id == self.store_id else saved_ms
        self._opened_ms = self._clock.monotonic_ms()
        if not self.was_closed and check_ms:
            check_sound(self._writer, self.path, self._clock, check_ms)
        # Whoever finds it so knows that it was not closed.
        self._writer.execute("BEGIN IMMEDIATE")
        self.set_meta(self._writer, "is_closed", "0")
        self._writer.execute("COMMIT")
        return self.store_id

    def _resume(self) -> None:
        self.salvage = Salvage.resume(self)
        if self.salvage is not None:
            self.sinks.hold_below(self.salvage.floor_id)

    def _load_after_doubt(self) -> None:
        # Not how the sinks stand: what memory knows of them is written as a whole.
        self._load(*self._parts)

    def _let_go(self) -> None:
        if self.salvage is not None:
            self.salvage.close()

    def reload(self) -> None:
        """Read again from the file what is kept in memory. Raises StoreError."""
        with self.lock, self._guard():
            self._load(self.sinks, *self._parts)

    @property
    def _parts(self) -> tuple[Any, ...]:
        return (self.items, self.dead_letters, self.receipts, self.audit)

    def _load(self, *parts: Any) -> int:
        """Read from the file what `parts` and the store itself keep in memory.

        Returns for how long it has been in use, when that was last written.
        """
        meta = dict(self._writer.execute("SELECT key, value FROM meta").fetchall())
        self.store_id = str(meta["store_id"])
        self.was_closed = meta.get("is_closed", "1") == "1"
        for key in _JSON_FACTS & meta.keys():
            json.loads(meta[key])  # ValueError now, rather than in the middle of the work
        self.last_reading_id: int = last_known_id(self._writer, meta)
        self.stored_total: int = stored_total(self._writer)
        for part in parts:
            part.load(self._writer)
        return int(meta.get("run_ms", 0))

    @property
    def standing(self) -> tuple[str, int, int]:
        """Which store this is, its last reading and how many there were, as memory has it."""
        return (self.store_id, self.last_reading_id, self.stored_total)

    def reopen(self) -> None:
        """Open again what is at the path, see `renew`. Raises StoreError, to be tried again.

        Where it doesn't stand as before, whoever knows ids of it has to start over.
        """
        with self.lock:
            self.renew()

    def close(self) -> None:
        """Write what only memory knows and close every connection.

        A thread that still uses the store gets StoreError.
        """
        with self.lock:
            try:
                if self._is_open:
                    self.sinks.flush()
                    with self.transaction() as tx:
                        self.write_run_ms(tx)
                        self.set_meta(tx, "is_closed", "1")
            except StoreError:
                self.save_displaced()  # a crash would leave no more; the next start checks it
            finally:
                self.abandon()

    # -- time ----------------------------------------------------------------------

    @property
    def run_ms(self) -> int:
        """For how long this store has been in use: neither set, nor going on while it is not."""
        return self._run_before_ms + self._clock.monotonic_ms() - self._opened_ms

    def now_ms(self) -> int:
        """Return UTC, as far as the computer knows it."""
        return self._clock.utc_ms()

    def write_run_ms(self, tx: sqlite3.Connection) -> None:
        """Remember within a transaction how long the store has been in use."""
        tx.execute(_SET_META, ("run_ms", str(self.run_ms)))

    def set_meta(self, tx: sqlite3.Connection, key: str, value: str) -> None:
        """Remember a fact about the store within a transaction."""
        tx.execute(_SET_META, (key, value))

    def meta(self, key: str) -> str | None:
        """Return a fact about the store, None if it isn't known. Raises StoreError."""
        row = self.row("SELECT value FROM meta WHERE key = ?", (key,))
        return None if row is None else str(row[0])

    # -- devices -------------------------------------------------------------------

    def open_boot(self, info: BootInfo, utc_ms: int, unset_id: int = 0) -> OpenedBoot:
        """Register a boot and its channels if they are new; return where it resumes.

        `unset_id` names the time segment if it is one whose times are not known to be right.
        """
        with self.transaction() as tx:
            return boot.open_boot(self, tx, info, utc_ms, unset_id)

    def apply_policies(self, policies: ChannelPolicies) -> None:
        """Let `policies` hold for all channels. Raises StoreError."""
        boot.apply_policies(self, policies)

    def boards_called(self, alias: str) -> list[str]:
        """Return the device ids of the boards of that alias, in the order in which they came."""
        rows = self.rows(
            "SELECT name FROM device WHERE alias = ? AND EXISTS (SELECT 1 FROM boot"
            " WHERE device_id = device.id AND board <> 'agent') ORDER BY id",
            (alias,),
        )
        return [str(row[0]) for row in rows]

    def rule_state(self, channel_id: int) -> tuple[str, int] | None:
        """Return the saved state of a channel's alerts, None if there is none.

        And by how many milliseconds the time that rules know has moved since: it goes
        on while the computer runs, and begins with its clock when that boots.
        """
        row = self.row(_RULE_STATE, (channel_id,))
        return None if row is None else (str(row[0]), int(row[1]))

    def watched_channels(self) -> list[WatchedChannel]:
        """Return the channels whose alerts are saved, with the last boot of their device."""
        with self._guard():
            return boot.watched_channels(self._reader())

    # -- readings ------------------------------------------------------------------

    def commit(self, batch: WriteBatch) -> None:
        """Store all of `batch` in one transaction. Raises StoreError, MisplacedError."""
        with self.transaction() as tx:
            write_batch(self, tx, batch)

    def count_readings(self, last_id: int, count: int) -> None:
        """Note that readings have been stored."""
        self.last_reading_id = last_id
        self.stored_total += count

    # -- what people and programs ask ----------------------------------------------

    def readings(self, *args: Any, **named: Any) -> list[dict[str, Any]]:
        """Return readings, see `query.readings`. Raises StoreError."""
        return query.readings(self, *args, **named)

    def events(self, *args: Any, **named: Any) -> list[dict[str, Any]]:
        """Return events, see `query.events`. Raises StoreError."""
        return query.events(self, *args, **named)

    def summaries(self, *args: Any, **named: Any) -> list[dict[str, Any]]:
        """Return summaries, see `query.summaries`. Raises StoreError."""
        return query.summaries(self, *args, **named)

    def audit_logs(self, *args: Any, **named: Any) -> list[dict[str, Any]]:
        """Return rows of the audit log, see `query.audit_logs`. Raises StoreError."""
        return query.audit_logs(self, *args, **named)

    def channels_of(self, device: str) -> list[tuple[str, str, str, str]]:
        """Return (alias, channel, sensor, marks) of the channels of a device."""
        return channel.channels_of(self, device)
