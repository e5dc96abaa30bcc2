"""A board without hardware: the real firmware under MicroPython, on a pseudo-terminal.

The process gets the master side as stdin and stdout, as a board has its USB
serial; whoever opens the slave's path talks to it. The path is a symbolic link
that stays the same over restarts, as /dev/serial/by-id does.
"""

import os
import pty
import shutil
import signal
import subprocess
import sys
import tty
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import build_device

HEAP = "192k"  # what a Raspberry Pi Pico W has free
# A board boots anew after a reset; a process can only end, with the status that board.py has.
_BOOTING = 'while :; do "$@"; [ $? -eq 3 ] || exit; done'


def find_micropython() -> str | None:
    """Return the MicroPython of this computer: $PYV_MICROPYTHON, beside Python, or on PATH.

    Raises FileNotFoundError if $PYV_MICROPYTHON names nothing that can be run.
    """
    chosen = os.environ.get("PYV_MICROPYTHON")
    if chosen:
        found = shutil.which(chosen)
        if found is None:
            raise FileNotFoundError(f"PYV_MICROPYTHON: {chosen} can't be run; unset it or mend it")
        return found
    beside = Path(sys.executable).with_name("micropython")
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("micropython")


def interpreter_command() -> list[str]:
    """Return how to run a board's main.py: MicroPython, or CPython where there is none."""
    micropython = find_micropython()
    if micropython is not None:
        return [micropython, "-X", f"heapsize={HEAP}"]
    return [sys.executable, "-E", "-s"]


def interpreter_name(command: list[str]) -> str:
    """Return the name and version of an interpreter, such as "micropython 1.27.0".

    Raises FileNotFoundError if it is none.
    """
    probe = "import sys; i = sys.implementation; print(i.name, '.'.join(map(str, i[1][:3])))"
    if find_micropython() is None:
        probe = (
            "import platform as p; print(p.python_implementation().lower(), p.python_version())"
        )
    done = subprocess.run([*command, "-c", probe], capture_output=True, text=True, check=False)
    name = done.stdout.strip()
    if done.returncode or not name.startswith(("micropython ", "cpython ")):
        raise FileNotFoundError(f"{command[0]}: is no MicroPython; mend or unset PYV_MICROPYTHON")
    return name


class VirtualBoard:
    """One board: a folder as its flash, a process as its processor, a pty as its USB."""

    def __init__(self, folder: Path, settings: dict[str, Any], command: list[str]) -> None:
        """Flash `folder` with the firmware and `settings`; run it with `command` when started."""
        self.folder = folder
        self.path = folder / "tty"  # what the host opens
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._slave: int | None = None
        is_micropython = Path(command[0]) != Path(sys.executable)
        build_device.stage(folder / "flash", settings, is_micropython=is_micropython)

    def start(self) -> None:
        """Plug the board in: a new terminal under the same path, and a new boot."""
        master, slave = pty.openpty()
        try:
            tty.setraw(slave)  # else the terminal would echo to the board what it says
            os.set_blocking(master, False)  # a board never waits for its host
            self.path.unlink(missing_ok=True)
            self.path.symlink_to(os.ttyname(slave))
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _BOOTING, "board", *self._command, "main.py"],
                cwd=self.folder / "flash",
                stdin=master,
                stdout=master,
                start_new_session=True,  # so that all of it can be killed
            )
        except BaseException:
            os.close(slave)
            raise
        finally:
            os.close(master)
        # Held open: a host that goes away is one that doesn't listen, not an unplugged cable.
        self._slave = slave

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def crash(self) -> None:
        """End the process with SIGKILL, without waiting for that; the plug stays in."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Pull the plug: the process is gone at once, and the terminal with it."""
        if self._process is not None:
            self.crash()
            self._process.wait()
            self._process = None
        if self._slave is not None:
            os.close(self._slave)
            self._slave = None
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> "VirtualBoard":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
