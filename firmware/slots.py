"""Which of two sets of files runs: the pointer that says so, and the trial of a new one.

    slot            the pointer: "a - 0 CRC": a is kept, and nothing is on trial
                                 "b a 2 CRC": b is on trial, has booted twice; a is behind it
                                 "a - 2 CRC": a is kept, and has begun twice in a row
    slot~           the pointer that is being written; counts where the other is gone
    slot.copy       the pointer once more, for flash that rots away
    app_a, app_b    the sets; one is whole if it has a `manifest`, which is written last
    crash           the latest traceback, and what was running: see `keep_crash`

A set on trial that can't be imported, or that has booted TRIAL_BOOTS_MAX times
without being kept, is given up for the one behind it. A kept set that can't be
imported gives way for this boot. The pointer counts its boots, too, unless power
or a finger made them, until one is healthy: every LOOK_BOOTS its files are
compared with the manifest, and a set that is damaged, or has booted
RESTARTS_MAX times in a row, is given up for an older one that is not damaged.
What hangs while it is imported ends by the watchdog. Without either set the
files beside main.py run, as `mpremote mip install` leaves them.

Like main.py never replaced by an update, so that a bad one can't take away the
way back. The pointer changes by a rename: the old one or the new one, on
LittleFS; FAT may have neither for a moment, and then `slot~` is whole.
"""

import os
import sys
import time
from binascii import b2a_base64, crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

POINTER = "slot"
COPY = "slot.copy"
CRASH = "crash"
SETS = ("a", "b")
NONE = "-"
TRIAL_BOOTS_MAX = 3
LOOK_BOOTS = 3
RESTART_S = 3
PROMPT_IDLE_MS = 300_000
RESTARTS_MAX = 12
WATCHDOG_MS = 8388  # what an RP2040 can count to
CRASH_SIZE_MAX = 1000  # bytes of a traceback that are kept
_PACKAGES = ("pyv_edge_node", "pyv_edge_core", "own_sensors")


def _read(name: str) -> "tuple[str, str, int] | None":
    """Return (running, behind, boots) of a pointer file, None if it is none."""
    fields = _text(name, 64).split()
    if len(fields) != 4 or fields[0] not in SETS or not fields[2].isdigit():
        return None
    said = " ".join(fields[:3])
    if fields[3] != "%08x" % crc32(said.encode()):
        return None
    return fields[0], fields[1], int(fields[2])


def _text(name: str, size_max: int) -> str:
    """Return the start of a small file, "" if there is none or it is no text."""
    try:
        with open(name, "rb") as file:
            return file.read(size_max).decode()
    except (OSError, ValueError):  # ValueError: flash that has rotten away is no UTF-8
        return ""


def _write(running: str, behind: str, boots: int) -> None:
    said = "%s %s %d" % (running, behind, boots)
    text = "%s %08x\n" % (said, crc32(said.encode()))
    with open(POINTER + "~", "w") as file:
        file.write(text)
    os.rename(POINTER + "~", POINTER)
    with open(COPY, "w") as file:
        file.write(text)


def _has(name: str) -> bool:
    try:
        os.stat(name)
    except OSError:
        return False
    return True


def is_whole(slot: str) -> bool:
    """Return whether the set of a slot is all there."""
    return _has("app_%s/manifest" % slot)


def damage(slot: str) -> str:
    """Return the first file of a set that is not what its manifest says, "" if all are."""
    folder = "app_%s/" % slot
    path = folder + "manifest"
    try:
        with open(path) as file:
            for line in file:
                digest, path = line.strip().split(" ", 1)
                path = folder + path
                if _digest(path) != digest:
                    return path
    except (OSError, ValueError):
        return path
    return ""


def _digest(path: str) -> str:
    """Return what a manifest has of a file: 96 bits of its SHA-256. Raises OSError."""
    from hashlib import sha256

    digest = sha256()
    with open(path, "rb") as file:
        piece = file.read(512)
        while piece:
            digest.update(piece)
            piece = file.read(512)
    return b2a_base64(digest.digest()[:12]).decode().strip()


def _has_begun_by_itself() -> bool:
    """Return whether neither power nor a finger has made this boot."""
    try:
        import machine  # type: ignore[import-not-found]

        cause = machine.reset_cause()
    except (ImportError, AttributeError):  # a process that plays a board
        return False
    # What machine.reset() looks like: on an RP2 the watchdog, on a board that is played
    # SOFT_RESET, which on an ESP32 is Ctrl-D at the prompt.
    name = "HARD_RESET" if sys.platform == "esp32" else "SOFT_RESET"
    return cause in (machine.WDT_RESET, getattr(machine, name, None))


def start_watchdog(timeout_ms: int = WATCHDOG_MS) -> None:
    """Have the board reset unless the node takes the watchdog over in time."""
    try:
        import machine

        machine.WDT(timeout=timeout_ms)
    except (ImportError, AttributeError):
        pass  # a process that plays a board


def stop_watchdog() -> None:
    """Leave a person or a program at the prompt in peace; see the node's board/."""
    if sys.platform == "rp2":
        import machine

        base = 0x400D8000 if "RP2350" in os.uname().machine else 0x40058000
        machine.mem32[base + 0x3000] = 0x40000000
    else:
        start_watchdog(86_400_000)


def other(slot: str) -> str:
    """Return the name of the other slot."""
    return "a" if slot == "b" else "b"


class Slots:
    """What runs now, and whether that is on trial."""

    def __init__(self) -> None:
        """Read the pointer, or guess where there is none."""
        found = _read(POINTER) or _read(POINTER + "~") or _read(COPY)
        if found is None:
            whole = [slot for slot in SETS if is_whole(slot)]
            found = (whole[0] if whole else "", NONE, 0)
        self.running, self.behind, self.boots = found
        self._is_substitute = False  # whether what runs is there for a kept set that can't

    @property
    def is_on_trial(self) -> bool:
        """Whether what runs has yet to prove itself."""
        return self.behind in SETS

    @property
    def folder(self) -> str:
        """Where the files are that run, "" for those beside main.py."""
        return "app_" + self.running if self.running else ""

    @property
    def settings_path(self) -> str:
        """Where the settings are that go with what runs."""
        return self.folder + "/device.json" if self.running else "device.json"

    def count_boot(self) -> None:
        """Count a boot; give up a set that has booted too often without proving itself."""
        if not self.is_on_trial:
            if self.running:
                self._count_kept()
            return
        self.boots += 1
        if self.boots > TRIAL_BOOTS_MAX:
            self.give_up("it restarted %d times and was not kept" % TRIAL_BOOTS_MAX)
            return
        if not is_whole(self.running):
            self.give_up("it is not all there")
            return
        try:
            _write(self.running, self.behind, self.boots)
        except OSError as error:  # boots that can't be counted would never end
            self.give_up("its boots can't be counted (%s)" % error)

    def _count_kept(self) -> None:
        """Count a boot of a kept set; take the other one if this one is damaged."""
        before = self.boots
        self.boots = min(before + 1, RESTARTS_MAX) if _has_begun_by_itself() else 0
        if self.boots and self.boots % LOOK_BOOTS == 0:
            damaged = self.damage()
            if damaged:
                self.give_up("%s is damaged" % damaged)
                return
            if self.boots >= RESTARTS_MAX and self._has_way_back():
                self.give_up("it restarted %d times in a row" % self.boots)
                return
        if self.boots != before:
            try:
                _write(self.running, NONE, self.boots)
            except OSError as error:
                print("slots: can't be written: %s" % error)

    def damage(self) -> str:
        """Return a file of the kept set that is damaged; "" for none, or without another set."""
        return damage(self.running) if self._has_way_back() else ""

    def _has_way_back(self) -> bool:
        back = other(self.running)
        return bool(self.running) and is_whole(back) and not damage(back)

    def forgive(self) -> None:
        """Count this boot no more: it ends on purpose. Raises OSError."""
        if self.boots:
            self.boots -= 1
            _write(self.running, self.behind, self.boots)

    def begin_trial(self, slot: str) -> None:
        """Let the whole set in `slot` run from the next boot on. Raises OSError.

        On trial if there is one to go back to.
        """
        if not is_whole(slot):
            raise OSError("app_%s has no manifest" % slot)
        behind = self.behind if self.is_on_trial else self.running
        is_first = behind == slot or not behind or not is_whole(behind)
        _write(slot, NONE if is_first else behind, 0)

    def keep(self) -> None:
        """Keep what runs: it has proved itself. Raises OSError."""
        _write(self.running, NONE, 0)
        self.behind = NONE
        self.boots = 0

    def abandon(self) -> None:
        """Go back to the set behind the one on trial, which somebody replaces. Raises OSError."""
        if self.is_on_trial:
            _write(self.behind, NONE, 0)

    def roll_back(self) -> None:
        """Let the other set run from the next boot on. Raises OSError if there is none."""
        if not self.is_on_trial and not is_whole(other(self.running)):
            raise OSError("app_%s is not there, or not whole" % other(self.running))
        _write(self.behind if self.is_on_trial else other(self.running), NONE, 0)

    def give_up(self, reason: str) -> None:
        """Go back to the set behind this one, or the other: it runs from the next `enter` on."""
        text = "app_%s was given up: %s\n" % (self.running, reason)
        print("slots: " + text.strip())
        self.running = self.behind if self.is_on_trial else other(self.running)
        self.behind, self.boots = NONE, 0
        try:
            # Together with the traceback that there may be: it is why.
            self.keep_crash(text + _text(CRASH, CRASH_SIZE_MAX))
            _write(self.running, NONE, 0)
        except OSError as error:  # it is given up again at each boot, then
            print("slots: can't be written: %s" % error)

    def enter(self) -> None:
        """Let `import` find the set that runs, and nothing of another one."""
        sys.path[:] = [path for path in sys.path if path not in ("app_a", "app_b")]
        for name in list(sys.modules):
            if name.split(".")[0] in _PACKAGES:
                del sys.modules[name]
        if self.running:
            sys.path.insert(0, self.folder)
        # What is compiled on the board may well take longer.
        if _has(self.folder + "/pyv_edge_node/start.mpy"):
            start_watchdog()

    def fail(self, error: BaseException) -> None:
        """Take another set for one that can't be imported; raise `error` if there is none."""
        try:
            text = self.traceback_of(error)
            self.keep_crash("app_%s can't be started\n%s" % (self.running, text))
        except OSError as problem:
            print("slots: can't be written: %s" % problem)
        if self.is_on_trial:
            self.give_up("it can't be started")
        elif self.running and is_whole(other(self.running)) and not self._is_substitute:
            # Kept, and now damaged: an older set is better than none. The pointer stays.
            self._is_substitute = True
            self.running = other(self.running)
            self.boots = 0
        else:
            raise error

    def keep_crash(self, text: str) -> None:
        """Keep the end of a traceback until a host has been told. Raises OSError."""
        with open(CRASH + "~", "w") as file:
            file.write(text[-CRASH_SIZE_MAX:])
        os.rename(CRASH + "~", CRASH)

    def traceback_of(self, error: BaseException) -> str:
        """Return an exception with its traceback, as text."""
        if hasattr(sys, "print_exception"):  # MicroPython's
            import io

            text = io.StringIO()
            sys.print_exception(error, text)
            return text.getvalue()
        import traceback

        return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def start() -> "Callable[[], None]":
    """Return what runs the node of the set that is in force, or of the one behind it.

    Ctrl-C meanwhile leaves the board to a person at its prompt.
    """
    slots = Slots()
    try:
        slots.count_boot()
        while True:
            slots.enter()
            try:
                from pyv_edge_node.start import begin

                break
            except Exception as error:  # top of a thread: whatever a bad set of files raises
                slots.fail(error)
        return begin(slots)
    except KeyboardInterrupt:
        stop_watchdog()
        try:
            slots.forgive()
            from pyv_edge_node.board import open_board

            open_board().boot_when_idle(PROMPT_IDLE_MS)  # it may have been a damaged byte
        except Exception as error:  # top of a thread: whatever a bad set of files raises
            print("slots: %s: %s" % (type(error).__name__, error))
        raise


def restart(error: BaseException) -> None:
    """Show what has gone wrong to whoever listens, and boot anew: nobody may be there to help."""
    print("main.py: can't run: %s" % type(error).__name__)
    if hasattr(sys, "print_exception"):
        sys.print_exception(error)
    time.sleep(RESTART_S)
    try:
        import machine

        machine.reset()
    except (ImportError, AttributeError):  # a process that plays a board
        raise SystemExit(3)
