"""The evidence store: one SQLite file, and the only place with SQL in the agent."""

from .ledger import Ledger, read_ledger
from .sqlite import BootInfo, ChannelInfo, OpenedBoot, SQLiteStore, UploadBatch
from .write_batch import Progress, WriteBatch

__all__ = [
    "BootInfo",
    "ChannelInfo",
    "Ledger",
    "OpenedBoot",
    "Progress",
    "SQLiteStore",
    "UploadBatch",
    "WriteBatch",
    "read_ledger",
]
