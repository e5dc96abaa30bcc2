"""The evidence store: one SQLite file, and the only place with SQL in the agent."""

from .boot import BootInfo, ChannelInfo, OpenedBoot
from .ledger import Ledger, read_ledger
from .sqlite import SQLiteStore, UploadBatch
from .time_segment import (
    QUALITY_MASK,
    TIME_GOOD,
    TIME_QUALITY_NAMES,
    TIME_QUALITY_SHIFT,
    TIME_UNSET,
    TimeSegment,
    TimeSegments,
)
from .write_batch import Progress, WriteBatch

__all__ = [
    "QUALITY_MASK",
    "TIME_GOOD",
    "TIME_QUALITY_NAMES",
    "TIME_QUALITY_SHIFT",
    "TIME_UNSET",
    "BootInfo",
    "ChannelInfo",
    "Ledger",
    "OpenedBoot",
    "Progress",
    "SQLiteStore",
    "TimeSegment",
    "TimeSegments",
    "UploadBatch",
    "WriteBatch",
    "read_ledger",
]
