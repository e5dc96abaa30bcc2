"""What a host asks of a board: commands, and other settings.

Loaded with the first request. The session sees to it that each is carried out
once; here it is done, between two samples, and answered. What ends in a reset
waits until the host has acknowledged all readings, for ENDING_MS at most:
meanwhile nothing is sampled, and if it is not to be, sampling goes on. Other
settings wait longer, and without a pause, until the host acknowledges again.
"""

from binascii import crc32

from pyv_edge_core import message, request
from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.device_states import UP
from pyv_edge_core.errors import FieldError
from pyv_edge_core.session import elapsed_ms

from .settings import SettingsError, parse
from .trial import Trial

if TYPE_CHECKING:
    from typing import Any

    from .app import App
    from .flash import Flash

ENDING_MS = const(10000)
_COMMANDS = {
    request.IDENTIFY: "_identify",
    request.SET_RATE: "_set_rate",
    request.READ_NOW: "_read_now",
    request.RESET: "_reset",
    request.SAFE_MODE: "_set_safe",
}


class Remote:
    """Carries out a host's requests on one node."""

    def __init__(self, app: "App", flash: "Flash", path: str) -> None:
        """Serve `app`, whose settings are the file at `path`."""
        self._app = app
        self._flash = flash
        self._trial = Trial(flash, path)
        self._staging = 0  # request whose document is arriving
        self._offset = 0  # bytes of it that have come
        self._ending_ms = -1  # since when the board waits for its reset; -1: it doesn't
        self._is_forced = False  # whether it resets even with readings unacknowledged
        self._is_resetting = False  # whether a host has asked for that
        self._applying = -1  # hash of the settings that are put in force then; -1: none are
        self._marks = (0, 0)  # numbers up to which the host has to acknowledge before

    # -- requests ------------------------------------------------------------------

    def carry_out(self, asked: "Any", now_ms: int) -> None:
        """Do what `asked` says, a COMMAND or CONFIG, and answer it."""
        answer = self._app.session.answer
        try:
            if isinstance(asked, message.shape(message.CONFIG)):
                code, value = self._take_settings(asked, now_ms)
                answer(code, value)
            elif self._app.uptime.s > asked.until_s:
                answer(message.RESULT_LATE)
            elif asked.op not in _COMMANDS:
                answer(message.RESULT_UNKNOWN)
            else:
                answer(message.RESULT_DONE, getattr(self, _COMMANDS[asked.op])(asked, now_ms))
        except (FieldError, SettingsError, OSError, MemoryError) as error:
            answer(message.RESULT_FAILED, 0, message.fitting(str(error) or "not enough memory"))

    def _identify(self, asked: "Any", now_ms: int) -> int:
        self._app.identify(now_ms)
        return 0

    def _set_rate(self, asked: "Any", now_ms: int) -> int:
        self._app.sampler.set_interval(asked.target, asked.value, now_ms)
        return int(asked.value)

    def _read_now(self, asked: "Any", now_ms: int) -> int:
        app = self._app
        if app.is_paused:
            raise FieldError("read_now: the board is in safe mode, or about to reset")
        return app.sampler.take_now(asked.target, app.board.ticks_ms, app.uptime, app.pipeline)

    def _reset(self, asked: "Any", now_ms: int) -> int:
        self._end(now_ms)
        self._is_forced = bool(asked.value)
        self._is_resetting = True
        return 0

    def _set_safe(self, asked: "Any", now_ms: int) -> int:
        app = self._app
        if app.boots is not None and app.boots.is_safe:
            if not asked.value:  # its sensors come back with the next boot only
                self._end(now_ms)
            return int(bool(asked.value))
        if app.is_safe and not asked.value:
            app.sampler.restart(now_ms)
        app.is_safe = bool(asked.value)
        return int(app.is_safe)

    def _take_settings(self, asked: "Any", now_ms: int) -> "tuple[int, int]":
        """Stage a piece of other settings; return the answer's code and value."""
        if asked.size > request.CONFIG_SIZE_MAX:
            raise FieldError(
                "%d bytes of settings, at most %d" % (asked.size, request.CONFIG_SIZE_MAX)
            )
        trial = self._app.trial
        if trial is not None and trial.is_running:
            raise FieldError("other settings are being tried; send these later")
        if asked.hash == self._app.session.identity.config_hash or asked.hash == self._applying:
            return message.RESULT_DONE, 0  # in force, or about to be
        if asked.request != self._staging:
            self._staging = asked.request
            self._offset = 0
            self._applying = -1  # these take the place of the ones that wait
            if not self._is_resetting:
                self._go_on()
        if asked.offset != self._offset:
            return message.RESULT_MORE, self._offset  # the piece came before, or one is missing
        self._trial.stage(asked.offset, asked.content)
        self._offset += len(asked.content)
        if self._offset < asked.size:
            return message.RESULT_MORE, self._offset
        self._staging = 0
        try:
            self._check(asked.hash)
        except (FieldError, SettingsError, MemoryError):
            self._trial.discard()
            raise
        self._applying = asked.hash
        self._mark()
        return message.RESULT_DONE, 0

    def _check(self, expected_crc: int) -> None:
        """Raise what is wrong with the staged settings."""
        content = self._trial.staged()
        if crc32(content) != expected_crc:
            raise FieldError("the settings came with another hash than announced")
        if parse(self._trial.path, content, self._flash).link_key != self._app.link_key:
            raise FieldError("link_key is not the present one; it can't be changed over the wire")

    # -- resets --------------------------------------------------------------------

    def _end(self, now_ms: int) -> None:
        """Sample no more, and wait for the host."""
        self._ending_ms = now_ms
        self._app.is_ending = True

    def _go_on(self) -> None:
        """Sample again."""
        self._ending_ms = -1
        self._is_forced = self._is_resetting = self._app.is_ending = False

    def _mark(self) -> None:
        self._marks = (self._app.telemetry.next_seq, self._app.events.next_seq)

    def _is_delivered(self) -> bool:
        """Return whether the host has acknowledged what there was: then the rest takes no time."""
        app = self._app
        for outbound, mark in zip(app.session.streams, self._marks):
            if outbound.acked_seq < mark:
                return False
        return app.session.state == UP and app.port.is_idle

    def run(self, now_ms: int) -> None:
        """Reset the board if that is due and can be done."""
        app = self._app
        if self._ending_ms < 0:
            if self._applying < 0 or not self._is_delivered():
                return
            self._end(now_ms)
        is_idle = app.session.is_idle and app.port.is_idle
        is_over = elapsed_ms(now_ms, self._ending_ms) >= ENDING_MS
        if not is_idle and not is_over:
            return
        problem = ""
        if is_idle or self._is_forced:
            try:
                if self._applying >= 0:
                    self._trial.apply()
                app.reset()
            except OSError as error:
                problem = "other settings can't be put in force: %s" % error
                self._applying = -1
        else:
            self._mark()
            if self._is_resetting:
                problem = "no reset: the host does not acknowledge readings"
        self._go_on()  # only if there was no reset
        if problem:
            app.log(message.LOG_ERROR, problem)
