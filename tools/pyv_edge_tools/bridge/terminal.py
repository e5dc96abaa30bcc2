"""A pseudo-terminal under a path that stays the same: the port that another program opens.

The path is a symbolic link, as those in /dev/serial/by-id are. It stays while
boards come and go. Whether somebody has it open is asked of the kernel: what a
board says while nobody listens is nobody's, and nothing of it may be kept for
whoever comes later.
"""

import os
import pty
import select
import termios
import tty
from contextlib import suppress
from pathlib import Path

from .errors import BridgeError
from .port import READ_SIZE


class Terminal:
    """One end of a pseudo-terminal; the other is at `path`."""

    def __init__(self, path: Path) -> None:
        """Make it. Raises BridgeError if there is something at `path` that is not ours to replace.

        A link that leads nowhere is what a bridge that was killed has left.
        """
        self.path = path
        if path.exists() or (os.path.lexists(path) and not path.is_symlink()):
            raise BridgeError(
                f"{path}: exists; another bridge's? remove it or name another --link"
            )
        self._master, slave = pty.openpty()
        tty.setraw(slave)  # and it stays so: else it would echo to the board what that says
        os.set_blocking(self._master, False)
        self._target = os.ttyname(slave)
        os.close(slave)
        made = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            made.symlink_to(self._target)
            made.replace(path)
        except OSError as error:
            os.close(self._master)
            made.unlink(missing_ok=True)
            raise BridgeError(f"{path}: no link can be made there: {error.strerror}") from error

    def fileno(self) -> int:
        """Return what to wait for while somebody is there."""
        return self._master

    def is_present(self) -> bool:
        """Return whether a program has it open."""
        poll = select.poll()
        poll.register(self._master, 0)
        return not poll.poll(0)

    def read(self) -> bytes:
        """Return what is there, b"" if nothing is, or nobody."""
        try:
            return os.read(self._master, READ_SIZE)
        except OSError:  # EIO: nobody has it open
            return b""

    def write(self, data: bytes) -> int:
        """Write what goes without waiting; return how many bytes that was."""
        try:
            return os.write(self._master, data)
        except OSError:
            return 0

    def forget(self) -> None:
        """Forget what a program has not read that is gone: the next one must not get it."""
        with suppress(OSError, termios.error):
            slave = os.open(self._target, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                termios.tcflush(slave, termios.TCIFLUSH)
            finally:
                os.close(slave)

    def close(self) -> None:
        """End it, and remove the link if it is still ours."""
        with suppress(OSError):
            if os.readlink(self.path) == self._target:
                self.path.unlink()
        os.close(self._master)
