"""The port that the host opens: a pseudo-terminal under a name that stays.

The host's own buffer is part of it, as the kernel of a real host has one
between the cable and the program: HOST_BUFFER_SIZE bytes wait there for a
program that doesn't read.
"""

import errno
import fcntl
import os
import pty
import select
import struct
import termios
import time
import tty
from contextlib import suppress
from pathlib import Path

HOST_BUFFER_SIZE = 4000  # Linux keeps 4095 for a terminal; beyond them it couldn't be told
_LOOK_S = 0.004  # so long the kernel may take until what was sent is seen to wait


class Port:
    """A pseudo-terminal while it is plugged in; nothing while not."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self._master: int | None = None
        self._path = ""
        self._looked_at_s = 0.0
        self._room = 0  # for bytes, at least: as seen last, without what was sent since

    @property
    def fd(self) -> int | None:
        """The board's end, None while not plugged in."""
        return self._master

    def plug(self) -> None:
        """Appear under the link; does nothing if it is there. Raises OSError."""
        if self._master is not None:
            return
        if self.link.exists() and not self.link.is_symlink():
            raise FileExistsError(
                errno.EEXIST,
                "is there and no link; name another path for the port",
                str(self.link),
            )
        master, slave = pty.openpty()
        try:
            tty.setraw(slave)  # else the terminal would echo to the board what it says
            self._path = os.ttyname(slave)
            os.set_blocking(master, False)
            fresh = self.link.with_name(self.link.name + "~")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self._path)
            fresh.replace(self.link)
        except BaseException:
            os.close(master)
            raise
        finally:
            os.close(slave)
        self._master = master
        self._room = 0

    def unplug(self) -> None:
        """Vanish: who has it open gets an error, as for a pulled cable."""
        if self._master is None:
            return
        self.link.unlink(missing_ok=True)
        os.close(self._master)
        self._master = None

    @property
    def is_open(self) -> bool:
        """Whether a program has it open, which a USB device is told by DTR."""
        if self._master is None:
            return False
        poll = select.poll()
        poll.register(self._master, 0)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    def read(self, count: int) -> bytes:
        """Return at most `count` bytes from the host, b"" if there are none."""
        if self._master is None or not count:
            return b""
        with suppress(BlockingIOError):
            try:
                return os.read(self._master, count)
            except OSError as error:
                if isinstance(error, BlockingIOError):
                    raise
                return b""  # the last program has closed it
        return b""

    def write(self, data: bytes) -> int:
        """Send what the host has room for; return how many bytes that is."""
        if self._master is None:
            return 0
        now_s = time.monotonic()
        if len(data) > self._room and now_s - self._looked_at_s >= _LOOK_S:
            self._looked_at_s = now_s
            self._room = max(0, HOST_BUFFER_SIZE - self._unread())
        try:
            count = os.write(self._master, data[: self._room])
        except OSError:  # full, or nobody has it open
            return 0
        self._room -= count
        return count

    def forget_unread(self) -> None:
        """Throw away what no program has read, as the host does when the last one closes it."""
        if self._master is not None:
            slave = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                termios.tcflush(slave, termios.TCIFLUSH)
            finally:
                os.close(slave)

    def _unread(self) -> int:
        try:
            slave = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:  # a program wants it for itself (TIOCEXCL): then the kernel's limit holds
            return 0
        try:
            return int(struct.unpack("i", fcntl.ioctl(slave, termios.FIONREAD, bytes(4)))[0])
        finally:
            os.close(slave)
