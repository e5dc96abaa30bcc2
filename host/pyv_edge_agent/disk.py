"""What the disk is asked directly: how much is free, and that what was written is on it."""

import os
import shutil
from pathlib import Path


def free_size(folder: Path) -> int:
    """Return the free bytes of the disk that has `folder`. Raises OSError."""
    return shutil.disk_usage(folder).free


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
