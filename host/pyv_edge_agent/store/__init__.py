"""The evidence store: one SQLite file, and the only place with SQL in the agent."""

from ..channel_policy import ChannelPolicies
from .boot import BootInfo, ChannelInfo, EndedBoot, OpenedBoot, in_unit
from .capacity import Limits
from .connection import was_store
from .item_queue import NO_SINK
from .ledger import Ledger, read_ledger
from .looked_at import LookedAtStore
from .query import list_audit
from .recovery import CHECK_MS, open_store
from .sink_cursor import UploadBatch
from .sink_range import BACKLOG, LIVE
from .sqlite import SQLiteStore
from .time_segment import (
    QUALITY_MASK,
    TIME_ESTIMATED,
    TIME_GOOD,
    TIME_QUALITY_NAMES,
    TIME_QUALITY_SHIFT,
    TIME_SENDER,
    TIME_UNSET,
    TimeSegment,
    TimeSegments,
)
from .upkeep import Upkeep
from .verify import parse_checkpoint, verify
from .write_batch import Progress, WriteBatch

__all__ = [
    "BACKLOG",
    "CHECK_MS",
    "LIVE",
    "NO_SINK",
    "QUALITY_MASK",
    "TIME_ESTIMATED",
    "TIME_GOOD",
    "TIME_QUALITY_NAMES",
    "TIME_QUALITY_SHIFT",
    "TIME_SENDER",
    "TIME_UNSET",
    "BootInfo",
    "ChannelInfo",
    "ChannelPolicies",
    "EndedBoot",
    "Ledger",
    "Limits",
    "LookedAtStore",
    "OpenedBoot",
    "Progress",
    "SQLiteStore",
    "TimeSegment",
    "TimeSegments",
    "Upkeep",
    "UploadBatch",
    "WriteBatch",
    "in_unit",
    "list_audit",
    "open_store",
    "parse_checkpoint",
    "read_ledger",
    "verify",
    "was_store",
]
