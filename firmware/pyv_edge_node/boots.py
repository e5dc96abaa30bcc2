"""What becomes of a boot: healthy, ended on purpose, or a crash; and what follows from that.

    boots   "TOTAL CRASHES STATE WHAT CRC": boots of this board's life, crashes in a row, how the
            latest boot does: `run` until it is healthy, then `ok`, or `end` before a reset
            that is meant; and what has booted: crashes of other firmware or settings are no
            business of these

A boot that was in `run` when the next one came has crashed, unless power or
somebody's finger made the next one. After CRASHES_MAX of them in a row the node
starts in safe mode: the link and nothing else, so that a host can mend it; an
hour later it tries again. A boot is healthy after `healthy_after_s` without a
failed step. What is rare is in `trouble`, and loaded when it comes.

Writes the flash twice a boot, and once per crash.
"""

from binascii import crc32

from pyv_edge_core._compat import TYPE_CHECKING, const

if TYPE_CHECKING:
    from typing import Any

    from .app import App
    from .flash import Flash

CRASHES_MAX = const(4)
SAFE_S = const(3600)
_FILE = "boots"
_CAUSES_OF_NO_CRASH = (1, 2)  # message_to_host.RESET_CAUSES: power, pin
_SOFT = const(4)


def _crc(said: str) -> str:
    return "%08x" % crc32(said.encode())


class Boots:
    """The boots of one board, and the set of files that it runs from."""

    def __init__(self, flash: "Flash", slots: "Any", board: "Any") -> None:
        """Count in `flash`; `slots` is what main.py has chosen by, see slots.py."""
        self.flash = flash
        self.board = board
        self.total = 0
        self.crashes = 0  # in a row, before this boot
        self.reset_cause = board.reset_cause()
        self.firmware_hash = 0  # CRC-32 of the manifest of the set that runs; 0: it has none
        self.is_on_trial: bool = slots.is_on_trial  # whether that set has yet to prove itself
        self.is_healthy = False
        self.settings_path: str = slots.settings_path
        # Of a set on trial, which is judged by it; else its code is in nobody's way.
        self.slots: Any = slots if slots.is_on_trial else None
        self._what = ""  # which firmware and settings these are
        self._trouble: Any = None

    def begin(self, slots: "Any") -> None:
        """Count this boot, and see how the one before has ended. Raises OSError."""
        total, crashes, state, what = self._read()
        if slots.running:
            self.firmware_hash = self.flash.crc32(slots.folder + "/manifest")
        self._what = "%08x" % (self.firmware_hash ^ self.flash.crc32(self.settings_path))
        if state == "ok" or what != self._what:
            crashes = 0
        elif state == "run" and self.reset_cause not in _CAUSES_OF_NO_CRASH:
            crashes += 1
        if state == "end":
            # Boards reset themselves by their watchdog: the cause alone would look like a hang.
            self.reset_cause = _SOFT
        self.total = total + 1
        self.crashes = crashes
        self._write("run")
        if slots.is_on_trial or self.flash.has("crash"):
            self.trouble()

    @property
    def is_safe(self) -> bool:
        """Whether there were too many crashes."""
        return self.crashes >= CRASHES_MAX

    def trouble(self) -> "Any":
        """Return what keeps and tells of crashes, and judges what is on trial."""
        if self._trouble is None:
            from .trouble import Trouble

            self._trouble = Trouble(self)
        return self._trouble

    def _read(self) -> "tuple[int, int, str, str]":
        """Return (boots, crashes in a row, state of the latest, what); zeros for no such file."""
        try:
            content = self.flash.read(_FILE)
        except OSError as error:
            self.complain(error)
            content = None
        if content is None:
            return 0, 0, "", ""
        try:
            fields = content.decode().split()
            if len(fields) == 5 and fields[4] == _crc(" ".join(fields[:4])):
                return int(fields[0]), int(fields[1]), fields[2], fields[3]
        except ValueError:
            pass  # it has rotten away
        return 0, 0, "", ""

    def _write(self, state: str) -> None:
        said = "%d %d %s %s" % (self.total, self.crashes, state, self._what)
        try:
            self.flash.replace(_FILE, ("%s %s" % (said, _crc(said))).encode())
        except OSError as error:
            self.complain(error)

    def complain(self, error: OSError) -> None:
        """Say what is wrong with the flash: a board that can't count runs all the same."""
        self.board.say("%s: %s; is the flash full?" % (_FILE, error))

    def end(self) -> None:
        """Note that the reset that comes now is meant: what has crashed is over."""
        self.crashes = 0
        self.stop()

    def stop(self) -> None:
        """Note that somebody has stopped the program: that says nothing of how it does."""
        self._write("end")
        if self.slots is not None:
            try:
                self.slots.forgive()
            except OSError as error:
                self.complain(error)

    def watch(self, app: "App") -> None:
        """See whether this boot is healthy, and to what there is besides."""
        uptime_s = app.uptime.s
        if self._trouble is not None:
            self._trouble.watch(app)
        if not self.is_healthy and uptime_s >= app.healthy_after_s and not app.errors_total:
            self.is_healthy = True
            if not self.is_safe:
                self.crashes = 0
                self._write("ok")
                self._keep_settings()
        elif self.is_safe and uptime_s >= SAFE_S:
            # The next boot is a normal one, and its crash leads back here.
            self.crashes = CRASHES_MAX - 1
            self._write("again")
            app.board.reset()

    def _keep_settings(self) -> None:
        from . import settings_copy

        try:
            settings_copy.keep(self.flash, self.settings_path)
        except OSError as error:
            self.complain(error)
