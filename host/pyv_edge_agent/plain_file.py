"""Opening a file to read, and nothing that only looks like one: a pipe may have no other end."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_plain(path: str | Path) -> int:
    """Return a descriptor of a file to read. Raises OSError, also for what is no plain file."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(file).st_mode
    if not stat.S_ISREG(mode):
        os.close(file)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        raise OSError(errno.EINVAL, "is no plain file")
    return file


def reading_plain(path: str | Path) -> BinaryIO:
    """Return the same as a file object, which closes it."""
    return os.fdopen(open_plain(path), "rb")
