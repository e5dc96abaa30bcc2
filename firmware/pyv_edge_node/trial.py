"""Settings that came down the wire: staged, tried, then kept or taken back.

    F           the settings in force, say device.json
    F.new       staged: what has come of a document that is not yet tried
    F.trial     there while F is on trial: its CRC-32 and how often it has booted
    F.old       what was in force before: comes back if the trial fails
    F.reason    why it came back, until a host has been told

    staged -- apply, reset --> on trial -- confirm --> in force
                                  |
                                  +-- restore, reset --> the old ones in force

A trial fails if the settings can't be used, if a step of the node fails, if no
host has welcomed this boot and no measurement been taken within TRIAL_MS, and
if the board has booted BOOTS_MAX times without one of these: a hang ends by
watchdog. While a host takes what earlier boots have left, TRIAL_MS waits,
BACKLOG_S at most. Each step is one rename, and `boot` finishes what a power cut
left.
"""

from binascii import crc32

from pyv_edge_core import device_states, message
from pyv_edge_core._compat import TYPE_CHECKING, const

if TYPE_CHECKING:
    from .app import App
    from .flash import Flash

TRIAL_MS = const(60000)
BACKLOG_S = const(3600)
BOOTS_MAX = const(2)


class Trial:
    """The files of one settings file."""

    def __init__(self, flash: "Flash", path: str) -> None:
        self.is_running = False  # whether the settings in force are on trial
        self._flash = flash
        self.path = path
        self._new = path + ".new"
        self._trial = path + ".trial"
        self._old = path + ".old"
        self._reason = path + ".reason"
        self._trial_s = 0  # uptime from which TRIAL_MS counts

    def boot(self) -> None:
        """Put the right file in place, also after a power cut; count a boot of a trial.

        Raises OSError.
        """
        flash = self._flash
        trial = flash.read(self._trial)
        if trial is None:
            return
        try:
            tried_crc, _, boots = trial.decode().partition(" ")
        except ValueError:
            tried_crc = boots = ""  # it has rotten away: there is no trial
        if flash.has(self._new):
            # The cut came before the last rename of `apply`: nothing has been tried.
            if not flash.has(self.path):
                flash.rename(self._old, self.path)
            self._end()
            return
        content = flash.read(self.path)
        count = int(boots) + 1 if boots.isdigit() else BOOTS_MAX + 1
        if content is None or "%08x" % crc32(content) != tried_crc:
            self._end()  # somebody has put other settings there by hand
        elif count > BOOTS_MAX:
            self.restore("the board restarted %d times with them" % BOOTS_MAX)
        else:
            flash.replace(self._trial, ("%s %d" % (tried_crc, count)).encode())
            self.is_running = True

    def _end(self) -> None:
        self._flash.remove(self._new)
        self._flash.remove(self._trial)
        self.is_running = False

    def stage(self, offset: int, content: bytes) -> None:
        """Add a piece to the staged document, whose first one is at offset 0. Raises OSError."""
        if offset:
            self._flash.append(self._new, content)
        else:
            self._flash.write(self._new, content)

    def staged(self) -> bytes:
        """Return the staged document, b"" if there is none. Raises OSError."""
        return self._flash.read(self._new) or b""

    def discard(self) -> None:
        """Drop the staged document. Raises OSError."""
        self._flash.remove(self._new)

    def apply(self) -> None:
        """Put the staged document in force, on trial: reset the board next. Raises OSError."""
        flash = self._flash
        flash.replace(self._trial, ("%08x 0" % crc32(self.staged())).encode())
        flash.rename(self.path, self._old)
        flash.rename(self._new, self.path)

    def confirm(self) -> None:
        """Keep the settings that are on trial. Raises OSError."""
        self._flash.remove(self._reason)  # of a restore that a power cut kept from ending
        self._end()

    def restore(self, reason: str) -> None:
        """Put the old settings back in force; then reset the board, or load them.

        Raises OSError.
        """
        flash = self._flash
        flash.replace(self._reason, reason.encode())
        if flash.has(self._old):
            flash.rename(self._old, self.path)
        self._end()

    def watch(self, app: "App") -> None:
        """Decide how a trial ends, and tell a host if one has failed. Raises OSError."""
        session = app.session
        is_up = session.state == device_states.UP
        if not self.is_running:
            if is_up and self._report(app):
                app.trial = None
        elif app.errors_total:
            self._fail(app, "a step of the node failed with them")
        elif session.is_over and is_up and app.uptime.s < BACKLOG_S:
            # Welcomed was an earlier boot, with its own channels. This one has its turn behind it.
            self._trial_s = app.uptime.s
        elif is_up and not session.is_over and app.sampler.sampled_total:
            self.confirm()
            app.trial = None
        elif (app.uptime.s - self._trial_s) * 1000 >= TRIAL_MS:
            self._fail(app, "no host welcomed the board within %d s" % (TRIAL_MS // 1000))

    def _report(self, app: "App") -> bool:
        """Tell the host why settings were taken back; return whether it knows."""
        reason = self._flash.read(self._reason)
        if reason is not None:
            try:
                problem = "settings taken back: %s" % reason.decode()
            except ValueError:
                problem = "settings taken back; the reason has rotten away"
            if not app.log(message.LOG_ERROR, problem):
                return False
            self._flash.remove(self._reason)
        return True

    def _fail(self, app: "App", reason: str) -> None:
        self.restore(reason)
        app.reset()
