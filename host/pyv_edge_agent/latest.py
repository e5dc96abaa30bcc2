"""Latest: the newest reading of each channel, as it was committed, for whoever shows them.

What is on a page is in the store. One thread notes; any number of others look, or wait for
something new.
"""

import threading
from collections.abc import Iterable

from pyv_edge_core.reading import QUALITY_BAD

from .store import QUALITY_MASK, TIME_QUALITY_SHIFT, TIME_SENDER, WriteBatch
from .store.write_batch import ReadingRow


class Latest:
    """The newest readings since the start."""

    def __init__(self) -> None:
        """Begin with none."""
        self.version = 0  # grows with each commit that brings readings or events
        self.events_total = 0
        self.is_closed = False
        self._rows: dict[int, tuple[int, ReadingRow]] = {}  # (version, row) by channel
        self._is_bad: dict[int, bool] = {}  # by channel, of what came last
        self._changed = threading.Condition()

    def note(self, batch: WriteBatch, now_ms: int) -> None:
        """Take over what was committed; it is `now_ms`, UTC."""
        if not (batch.readings or batch.events):
            return
        newest = {row[0]: row for row in batch.readings}
        with self._changed:
            self.version += 1
            self.events_total += len(batch.events)
            for channel_id, row in newest.items():
                known = self._rows.get(channel_id)
                self._is_bad[channel_id] = row[6] & QUALITY_MASK == QUALITY_BAD
                # A sender may bring what is old behind what is new; all others bring it in order.
                # What is dated in time to come is newer than nothing.
                is_dated = row[6] >> TIME_QUALITY_SHIFT == TIME_SENDER
                newest_ms = 0 if known is None or known[1][4] > now_ms else known[1][4]
                if not is_dated or row[4] >= newest_ms:
                    self._rows[channel_id] = (self.version, row)
            self._changed.notify_all()

    def since(self, version: int) -> tuple[int, list[ReadingRow]]:
        """Return the version there is, and the newest readings behind an earlier one."""
        with self._changed:
            found = [row for at, row in self._rows.values() if at > version]
            return self.version, found

    def bad_count(self, channel_ids: Iterable[int]) -> int:
        """Return of how many of these channels the reading that came last is bad."""
        with self._changed:
            return sum(self._is_bad.get(one, False) for one in channel_ids)

    def wait(self, version: int, timeout_s: float) -> bool:
        """Wait until there is something behind `version`; return whether there is."""
        with self._changed:
            self._changed.wait_for(lambda: self.version > version or self.is_closed, timeout_s)
            return self.version > version

    def rest(self, time_s: float) -> None:
        """Wait for so long, whatever is new, unless nothing new comes any more."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_closed, time_s)

    def close(self) -> None:
        """Let nobody wait any more: nothing new comes."""
        with self._changed:
            self.is_closed = True
            self._changed.notify_all()
