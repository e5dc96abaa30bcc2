"""What the disk is asked directly: how much is free, and that what was written is on it, whole."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

DRAFT = ".new"  # how the name of a file ends that is not whole yet


def free_size(folder: Path) -> int:
    """Return the free bytes of the disk that has `folder`. Raises OSError."""
    return shutil.disk_usage(folder).free


def size(path: Path) -> int:
    """Return the bytes of a file, 0 if it isn't there. Raises OSError."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def beside(path: Path, end: str) -> Path:
    """Return the file beside `path` that has its name and `end` behind it."""
    return path.with_name(path.name + end)


def unused(path: Path, kind: str, count_max: int) -> Path | None:
    """Return the first of `path.kind-1` to `path.kind-count_max` that isn't there."""
    names = (beside(path, f".{kind}-{number}") for number in range(1, count_max + 1))
    return next((name for name in names if not name.exists()), None)


def draft_beside(path: Path) -> Path:
    """Return a name beside `path` that nothing has, for what is to be there."""
    return beside(path, f".{os.urandom(4).hex()}{DRAFT}")


@contextmanager
def writing_whole(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Yield a file that is at `path` at the end: whole, on the disk, or not at all.

    It has `mode` less what the umask forbids, from the first byte on. Until then it has a name
    of its own beside `path`: others may be writing there, too. Raises OSError.
    """
    if path.exists() and not path.is_file():  # a device, a pipe: it would be gone
        raise OSError(errno.EINVAL, "is there and is no file; use > to write to it", str(path))
    draft = draft_beside(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(draft, flags, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_whole(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file that is there whole, on the disk, or not at all. Raises OSError."""
    with writing_whole(path, mode) as file:
        file.write(data)


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at `path` from another one, None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
