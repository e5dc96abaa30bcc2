"""The flash of a virtual board as a file: its size, its writes, the power cut that is ordered.

The file system in it is LittleFS, which only MicroPython reads here: files go
in and out through a MicroPython of their own, while the board is off.
"""

import errno
import fcntl
import os
import struct
import subprocess
import tempfile
from pathlib import Path

from . import inside

SIZE_KB = 848  # what a Raspberry Pi Pico W has for files
SIZE_KB_MIN = 64
SIZE_KB_MAX = 16 * 1024
_STATE_SIZE = 16
_TIMEOUT_S = 60.0

# Both copy a tree: what `there` gives as (name, type, ...) goes from one file system to the other.
_COPY = """
import sys
sys.path.insert(0, {folder!r})
import inside, os, vfs
inside.mount()
vfs.mount(vfs.VfsPosix({tree!r}), "/tree")
def copy(source, target):
    for entry in os.ilistdir(source or "/"):
        name = "/" + entry[0]
        if source == "" and name == "/tree":
            continue
        if entry[1] == 0x4000:
            try:
                os.mkdir(target + name)
            except OSError:
                os.stat(target + name)
            copy(source + name, target + name)
            continue
        with open(source + name, "rb") as old, open(target + name, "wb") as new:
            while True:
                part = old.read(4096)
                if not part:
                    break
                new.write(part)
copy({source!r}, {target!r})
"""


class FlashImage:
    """One image file; the MicroPython named reads and writes the files in it."""

    def __init__(self, path: Path, micropython: str, *, size_kb: int = SIZE_KB) -> None:
        """Make the file unless there is one, whose size then holds.

        Raises ValueError for a size that no board has, OSError if it can't be made.
        """
        self.path = path
        self.state_path = path.with_name(path.name + ".state")
        self._micropython = micropython
        if not path.exists():
            if size_kb % 4 or not SIZE_KB_MIN <= size_kb <= SIZE_KB_MAX:
                raise ValueError(
                    f"{path}: {size_kb} kB is no size of a flash; choose a multiple of 4"
                    f" from {SIZE_KB_MIN} to {SIZE_KB_MAX}"
                )
            with path.open("wb") as file:
                file.write(b"\xff" * 1024 * size_kb)
        size = path.stat().st_size
        if size % inside.BLOCK_SIZE or size < SIZE_KB_MIN * 1024:
            raise ValueError(f"{path}: is no image of a flash ({size} bytes); name another file")
        if not self.state_path.exists():
            self.state_path.write_bytes(bytes(_STATE_SIZE))
        self._lock_fd = -1

    def lock(self) -> None:
        """Keep others away while a board runs on it. Raises OSError if one does already."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of ours, too, if that runs
        except BlockingIOError:
            os.close(fd)
            raise OSError(
                errno.EBUSY, "a board runs on this flash; unplug it first", str(self.path)
            ) from None
        self._lock_fd = fd

    def unlock(self) -> None:
        """Let others use it; does nothing if it isn't locked."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    @property
    def environment(self) -> dict[str, str]:
        """What `inside.mount` wants to know."""
        return {
            "PYV_BOARD_IMAGE": str(self.path.resolve()),
            "PYV_BOARD_STATE": str(self.state_path.resolve()),
        }

    def _words(self) -> tuple[int, int, int, int]:
        total, cut_at, half, ended_by = struct.unpack("<4I", self.state_path.read_bytes())
        return total, cut_at, half, ended_by

    def _write_words(self, index: int, *words: int) -> None:
        fd = os.open(self.state_path, os.O_WRONLY)
        try:
            count = os.pwrite(fd, struct.pack(f"<{len(words)}I", *words), 4 * index)
        finally:
            os.close(fd)
        assert count == 4 * len(words)

    @property
    def writes_total(self) -> int:
        """How often the flash was programmed or erased, over all its life."""
        return self._words()[0]

    def cut_power_after(self, writes: int, *, is_half_done: bool = False) -> None:
        """Let power fail at the write after so many more, which is half done or not at all."""
        self._write_words(1, self.writes_total + writes + 1, int(is_half_done))

    def keep_power(self) -> None:
        """Take back an order to cut power that has not happened, or has."""
        self._write_words(1, 0, 0)

    def take_ending(self) -> int:
        """Return why the process has ended, as `inside` says it, and forget that."""
        ended_by = self._words()[3]
        if ended_by:
            self._write_words(3, 0)
        return ended_by

    def put(self, tree: Path) -> None:
        """Copy what is in the folder `tree` into the file system, over what is there.

        Raises OSError if it doesn't fit, or a board runs on it.
        """
        self._copy(tree, "/tree", "")

    def get(self, tree: Path) -> None:
        """Copy all files into the folder `tree`. Raises OSError."""
        tree.mkdir(parents=True, exist_ok=True)
        self._copy(tree, "", "/tree")

    def read(self, name: str) -> bytes | None:
        """Return the content of one file, None if there is none. Raises OSError."""
        with tempfile.TemporaryDirectory() as folder:
            self.get(Path(folder))
            path = Path(folder) / name.lstrip("/")
            return path.read_bytes() if path.is_file() else None

    def _copy(self, tree: Path, source: str, target: str) -> None:
        script = _COPY.format(
            folder=str(Path(inside.__file__).parent),
            tree=str(tree.resolve()),
            source=source,
            target=target,
        )
        self.lock()
        try:
            done = subprocess.run(
                [self._micropython, "-X", "heapsize=4M", "-c", script],
                env={**os.environ, **self.environment},
                capture_output=True,
                text=True,
                check=False,
                timeout=_TIMEOUT_S,
            )
        finally:
            self.unlock()
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            reason = lines[-1]
            if reason == f"OSError: {errno.ENOSPC}":
                reason += " (no room left in the flash; make a larger one)"
            raise OSError(f"{self.path}: {tree} can't be copied: {reason}")
