"""What runs inside the MicroPython of a virtual board before anything of the user's does.

Plays the flash, a block device over an image file with the geometry of an
rp2; mounts LittleFS on it as `/`, makes one where there is none; gives `machine`
a reset(); runs boot.py and main.py as boards do, and leaves for the prompt.

The flash counts its writes and can lose its power at any of them. The state
file beside the image is how the host takes part, four words of 32 bits: writes
so far, the write at which power fails (0: none), how much of that one is done
(0: nothing, 1: half), and why the process has ended (0: otherwise than here).
"""

import gc
import os
import sys
from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:  # MicroPython has no typing
    from typing import Any

BLOCK_SIZE = 4096  # what a flash chip erases at once
PROGRAM_SIZE = 256  # what it programs at once; rp2's _boot.py says so to LittleFS
ENDED_BY_RESET = 1
ENDED_BY_POWER_CUT = 2
ENDED_BY_SOFT_RESET = 3
MARK_UP = "\0up\0"  # what the host takes out of the output
MARK_PROMPT = "\0prompt\0"
_KILL = "kill -KILL $PPID"
_HARD_RESET = 3  # what board.py exits with


class Flash:
    """A block device, as `vfs` wants one.

    Allocates nothing: files that a program left open are closed while the heap is swept.
    """

    def __init__(self, host: "Any") -> None:
        self._image = host.open(os.getenv("PYV_BOARD_IMAGE"), "r+b")
        self._state = host.open(os.getenv("PYV_BOARD_STATE"), "r+b")
        self._words = array("I", (0, 0, 0, 0))
        self._first = memoryview(self._words)[:1]  # what is written of them here
        self._last = memoryview(self._words)[3:]
        self._count: int = self._image.seek(0, 2) // BLOCK_SIZE
        self._blank = b"\xff" * PROGRAM_SIZE

    def readblocks(self, block: int, buffer: "Any", offset: int = 0) -> None:
        """Read into `buffer`."""
        self._image.seek(block * BLOCK_SIZE + offset)
        self._image.readinto(buffer)

    def writeblocks(self, block: int, buffer: "Any", offset: int = 0) -> None:
        """Program what was erased before."""
        is_last = self._is_last_write()
        self._image.seek(block * BLOCK_SIZE + offset)
        if not is_last:
            self._image.write(buffer)
            return
        if self._words[2]:
            self._image.write(buffer, len(buffer) // 2)
        self.end(ENDED_BY_POWER_CUT)

    def ioctl(self, request: int, block: int) -> int:
        """Answer how large it is (4, 5), erase a block (6); the rest has nothing to do here."""
        if request == 4:
            return self._count
        if request == 5:
            return BLOCK_SIZE
        if request == 6:
            programs = BLOCK_SIZE // PROGRAM_SIZE
            is_last = self._is_last_write()
            if is_last:
                programs = programs // 2 if self._words[2] else 0
            self._image.seek(block * BLOCK_SIZE)
            for _ in range(programs):
                self._image.write(self._blank)
            if is_last:
                self.end(ENDED_BY_POWER_CUT)
        return 0

    def _is_last_write(self) -> bool:
        """Count a write, and return whether power fails at it."""
        words = self._words
        self._state.seek(0)
        self._state.readinto(words)
        words[0] += 1
        self._state.seek(0)
        self._state.write(self._first)
        return words[1] == words[0]

    def end(self, reason: int) -> None:
        """End the process at once: nothing is closed, nothing is written."""
        self._words[3] = reason
        self._state.seek(12)
        self._state.write(self._last)
        os.system(_KILL)  # noqa: S605 - MicroPython has no os.kill
        while True:
            pass


class WDT:
    """The watchdog, as `machine` has one: tells watchdog.py, which is outside."""

    def __init__(self, id: int = 0, timeout: int = 5000) -> None:  # noqa: A002 - as there
        import vfs  # type: ignore[import-not-found]

        self._outside = vfs.VfsPosix("/").open(os.getenv("PYV_BOARD_WATCHDOG"), "wb")
        self._outside.write(f"T{timeout}\n")

    def feed(self) -> None:
        """Put off the reset."""
        self._outside.write(b".")


class Machine:
    """What `import machine` gives: the module, and what this port lacks in it."""

    WDT = WDT
    # Indices into `message_to_host.RESET_CAUSES`.
    PWRON_RESET = 1
    WDT_RESET = 3
    SOFT_RESET = 4

    def __init__(self, module: "Any", flash: Flash) -> None:
        for name in dir(module):
            if name[0] != "_":
                setattr(self, name, getattr(module, name))
        self._flash = flash

    def reset(self) -> None:
        """Reset hard."""
        self._flash.end(ENDED_BY_RESET)

    def reset_cause(self) -> int:
        """Return an index into `message_to_host.RESET_CAUSES`."""
        return int(os.getenv("PYV_BOARD_RESET_CAUSE", "0"))

    def unique_id(self) -> bytes:
        """Return 8 bytes that are this board's own."""
        import binascii

        return binascii.unhexlify(os.getenv("PYV_BOARD_ID", ""))


def mount() -> Flash:
    """Put the image's file system in place of this computer's; return the flash."""
    import vfs

    flash = Flash(vfs.VfsPosix("/"))
    try:
        volume = vfs.VfsLfs2(flash, progsize=PROGRAM_SIZE)
    except OSError:
        vfs.VfsLfs2.mkfs(flash, progsize=PROGRAM_SIZE)
        volume = vfs.VfsLfs2(flash, progsize=PROGRAM_SIZE)
    vfs.umount("/")
    vfs.mount(volume, "/")
    os.chdir("/")
    return flash


def _run(name: str, names: "dict[str, Any]", flash: Flash) -> bool:
    """Run a file as a board does; return whether it came to its end, or isn't there."""
    try:
        os.stat(name)
    except OSError:
        return True
    try:
        execfile(name, names)  # type: ignore[name-defined] # noqa: F821
        return True
    except SystemExit as error:
        if error.args and error.args[0] == _HARD_RESET:
            flash.end(ENDED_BY_RESET)
        del error
        _sweep(names)
        flash.end(ENDED_BY_SOFT_RESET)
    except BaseException as error:  # top of a thread, the user's: a board goes on
        sys.print_exception(error)  # type: ignore[attr-defined]
    return False


def _sweep(names: "dict[str, Any]") -> None:
    """Close what a program left open: a board does so in a soft reset."""
    names.clear()
    sys.modules.clear()
    gc.collect()


def boot(names: "dict[str, Any]") -> None:
    """Become a board; `names` are those of `__main__`."""
    flash = mount()
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.argv[:] = []
    import micropython  # type: ignore[import-not-found]

    sys.modules["machine"] = Machine(__import__("machine"), flash)  # type: ignore[assignment]
    sys.modules.pop(__name__)
    sys.atexit(lambda: _sweep(names))  # type: ignore[attr-defined]
    gc.collect()
    try:
        sys.stdout.write(MARK_UP)
        if _run("boot.py", names, flash) and os.getenv("PYV_BOARD_MAIN") == "1":
            _run("main.py", names, flash)
    except KeyboardInterrupt as error:  # it came between the two
        sys.print_exception(error)  # type: ignore[attr-defined]
    micropython.kbd_intr(-1)  # from here on Ctrl-C is for the prompt
    gc.collect()
    sys.stdout.write(MARK_PROMPT)
