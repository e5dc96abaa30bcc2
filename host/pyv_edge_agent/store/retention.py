"""Retention: what is older than it has to be kept goes, once every sink has it.

A clock that jumps must not empty the store. So nothing expires while the clock is not
known to be right; and after it was set far ahead, or if the store is found to be much older
than now, only after HOLD_MS more of use.
"""

from typing import TYPE_CHECKING

from .block import Blocks
from .removal import remove_events, remove_readings, remove_summaries

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

HOLD_MS = 86_400_000
OLD_MS = 86_400_000  # the newest reading is older than this: is it, or is the clock ahead?

_DUE = """
SELECT id FROM block WHERE due_utc_ms <= ? AND last_id <= ? ORDER BY id LIMIT 1
"""
# A time that is unset says nothing of an age.
_IS_OVER = "keep_ms > 0 AND utc_ms + keep_ms <= :now AND quality >> 2 <> 1"


class Retention:
    """Removes what has expired, a piece at a time. For the thread that stores."""

    def __init__(self, store: "SQLiteStore", blocks: Blocks) -> None:
        """Find out whether the clock may be ahead. Raises StoreError."""
        self.expired_total = 0  # readings
        self._store = store
        self._blocks = blocks
        self.hold_until_ms = int(store.meta("hold_until_ms") or 0)  # in run time
        row = store.row("SELECT max(high_utc_ms) FROM block")
        newest_ms = row[0] if row else None
        if newest_ms is not None and store.now_ms() - newest_ms > OLD_MS:
            self.hold()

    def hold(self) -> None:
        """Let nothing expire for HOLD_MS: the clock has jumped. Raises StoreError."""
        self.hold_until_ms = self._store.run_ms + HOLD_MS
        with self._store.transaction() as tx:
            self._store.set_meta(tx, "hold_until_ms", str(self.hold_until_ms))

    @property
    def is_held(self) -> bool:
        """Whether nothing expires because the clock may be ahead."""
        return self._store.run_ms < self.hold_until_ms

    def step(self, now_ms: int) -> bool:
        """Remove one piece of what has expired; return whether there was one. Raises StoreError.

        `now_ms` is UTC, known to be right.
        """
        if self.is_held:
            return False
        row = self._store.row(_DUE, (now_ms, self._store.sinks.cursor_least(2**62)))
        if row is not None:
            self.expired_total += remove_readings(
                self._store, self._blocks, row[0], _IS_OVER, {"now": now_ms}
            )
            return True
        keep = self._store.policies.keep
        if keep.summary_ms:
            for period_ms in (60_000, 3_600_000):
                if remove_summaries(self._store, period_ms, now_ms - keep.summary_ms):
                    return True
        return bool(keep.event_ms and remove_events(self._store, now_ms - keep.event_ms))
