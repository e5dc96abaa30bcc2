"""A store that is only looked at, with what `SQLiteStore` knows of its queue and its sinks."""

from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..channel_policy import ChannelPolicies
from . import channel
from .dead_letter import DeadLetters
from .item_queue import ItemQueue
from .ledger import stored_total
from .reader import StoreReader
from .sink_cursor import SinkCursors

if TYPE_CHECKING:
    from .sqlite import SQLiteStore


class LookedAtStore(StoreReader):
    """The store at a path as it stands when it is opened. For one thread."""

    def __init__(self, path: Path, policies: ChannelPolicies, sinks: Container[str]) -> None:
        """Read how everything stands; `sinks` are those that are configured. Raises StoreError."""
        super().__init__(path)
        self.policies = policies
        store = cast("SQLiteStore", self)  # of which the queue asks for rows only
        self.sinks, self.items, self.dead_letters = (
            *(SinkCursors(store), ItemQueue(store)),
            DeadLetters(store),
        )
        try:
            with self.snapshot():
                self._load(sinks)
        except BaseException:
            self.close()
            raise

    def _load(self, sinks: Container[str]) -> None:
        with self._guard():
            self.stored_total = stored_total(self._connection)
            for part in (self.sinks, self.items, self.dead_letters):
                part.load(self._connection)
        self.sinks.configure(sinks)

    def channels_of(self, device: str) -> list[tuple[str, str, str, str]]:
        """Return (alias, channel, sensor, marks) of the channels of a device."""
        return channel.channels_of(self, device)
