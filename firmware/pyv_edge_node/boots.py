"""What becomes of a boot: healthy, ended on purpose, or a crash; and what follows from that.

    boots   "TOTAL CRASHES STATE WHAT BOOT SAMPLED DENIED CRC": boots of this board's life, crashes
            in a row, how the latest boot does: `run` until it is healthy, then `ok`, or `end`
            before a reset that is meant; what has booted: crashes of other firmware or settings
            are no business of these; and which boot was the latest that has ended on purpose,
            with its counts: the next HELLO tells a host, who has heard less if it was away

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
FILE = "boots"
_COUNT_MASK = const(0xFFFFFFFF)


def crc_of(said: str) -> str:
    """Return what stands behind `said` in the file."""
    return "%08x" % crc32(said.encode())


class Boots:
    """The boots of one board, and the set of files that it runs from."""

    def __init__(self, flash: "Flash", slots: "Any", board: "Any") -> None:
        """Count in `flash`; `slots` is what main.py has chosen by, see slots.py."""
        self.flash = flash
        self.board = board
        self.total = 0
        self.crashes = 0  # in a row, before this boot
        self.last = (0, 0, 0)  # see Identity
        self.reset_cause = board.reset_cause()
        self.firmware_hash = 0  # CRC-32 of the manifest of the set that runs; 0: it has none
        self.is_on_trial: bool = slots.is_on_trial  # whether that set has yet to prove itself
        self.is_healthy = False
        self.settings_path: str = slots.settings_path
        # Of a set that has to prove itself; else its code is in nobody's way.
        self.slots: Any = slots if slots.is_on_trial or slots.boots else None
        self._what = ""  # which firmware and settings these are
        self._trouble: Any = None

    def begin(self, slots: "Any") -> None:
        """Count this boot, and see how the one before has ended. Raises OSError."""
        from .boots_before import count

        self._what = count(self, slots)
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

    def _write(self, state: str, app: "App | None" = None) -> None:
        if app is not None:
            self.last = (
                app.own_session.identity.boot,
                app.sampler.sampled_total & _COUNT_MASK,
                app.pipeline.denied_total & _COUNT_MASK,
            )
        said = "%d %d %s %s %d %d %d" % ((self.total, self.crashes, state, self._what) + self.last)
        try:
            self.flash.replace(FILE, ("%s %s" % (said, crc_of(said))).encode())
        except OSError as error:
            self.complain(error)

    def complain(self, error: OSError) -> None:
        """Say what is wrong with the flash: a board that can't count runs all the same."""
        self.board.say("%s: %s; is the flash full?" % (FILE, error))

    def end(self, app: "App | None" = None) -> None:
        """Note that the reset that comes now is meant: what has crashed is over."""
        self.crashes = 0
        self.stop(app)

    def stop(self, app: "App | None" = None) -> None:
        """Note that somebody has stopped the program: that says nothing of how it does.

        And what `app` has counted; a boot that ends before there is one has sampled nothing.
        """
        self._write("end", app)
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
            self._settle()
            if not self.is_safe:
                self.crashes = 0
                self._write("ok")
                self._keep_settings()
        elif self.is_safe and uptime_s >= SAFE_S:
            # The next boot is a normal one, and its crash leads back here.
            self.crashes = CRASHES_MAX - 1
            self._write("again", app)
            app.board.reset()

    def _settle(self) -> None:
        """Have the loader forget how often a kept set has begun and not come so far."""
        if self.slots is not None and not self.is_on_trial:
            try:
                self.slots.keep()
            except OSError as error:
                self.complain(error)
            self.slots = None

    def _keep_settings(self) -> None:
        from . import settings_copy

        try:
            settings_copy.keep(self.flash, self.settings_path)
        except OSError as error:
            self.complain(error)
