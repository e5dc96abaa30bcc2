"""The channels that the store has ever had, and what they are called.

A channel whose unit, exponent or name changes is another one, with an id of its own. What
an id means is true of one store only: another file may be opened while the agent runs.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import StoreError
from .query import Queries

_CHANNELS = """
SELECT channel.id, device.name, alias, channel.name, sensor_name, privacy, unit, exponent
FROM channel JOIN device ON device.id = device_id
"""
_ALL = f"{_CHANNELS} ORDER BY channel.id"
_SOME = f"{_CHANNELS} WHERE channel.id IN (SELECT value FROM json_each(?))"
_OF_DEVICE = f"{_CHANNELS} WHERE device.name = ? ORDER BY channel.id"


@dataclass(frozen=True)
class StoredChannel:
    """A row of the table of channels, with the names of its device."""

    id: int
    device: str
    alias: str
    name: str
    sensor: str
    marks: str
    unit: str
    exponent: int


def channels(reader: Queries) -> list[StoredChannel]:
    """Return all channels that the store has ever had. Raises StoreError."""
    return [StoredChannel(*row) for row in reader.rows(_ALL)]


def channels_in(reader: Queries, rows: Iterable[Sequence[Any]]) -> dict[int, StoredChannel]:
    """Return the channels of READING_COLUMNS, by id. Raises StoreError, also if one is missing."""
    ids = sorted({row[1] for row in rows})
    found = {row[0]: StoredChannel(*row) for row in reader.rows(_SOME, (json.dumps(ids),))}
    for channel_id in ids:
        if channel_id not in found:
            problem = f"channel {channel_id} has readings and no row: the store is damaged"
            raise StoreError(f"{problem}; restore a backup")
    return found


def channels_of(reader: Queries, device: str) -> list[tuple[str, str, str, str]]:
    """Return (alias, channel, sensor, marks) of the channels of a device. Raises StoreError."""
    found = [StoredChannel(*row) for row in reader.rows(_OF_DEVICE, (device,))]
    return [(one.alias, one.name, one.sensor, one.marks) for one in found]


def last_channel_id(reader: Queries) -> int:
    """Return the highest id of a channel, 0 if there is none. Raises StoreError."""
    row = reader.row("SELECT coalesce(max(id), 0) FROM channel")
    assert row is not None  # an aggregate is always one row
    return int(row[0])
