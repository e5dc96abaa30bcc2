"""Crashes: kept on the flash and told to a host. And firmware on trial, which is kept or given up.

A set on trial (see slots.py) is kept once a boot is healthy and a host has
acknowledged readings of this boot, and given up after TRIAL_S without that;
while a host takes what earlier boots have left, that time waits, BACKLOG_S at
most.
"""

import io
import sys

from pyv_edge_core import message
from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.device_states import UP

if TYPE_CHECKING:
    from .app import App
    from .boots import Boots

TRIAL_S = const(600)
BACKLOG_S = const(3600)
_MARGIN_S = const(60)  # beyond `healthy_after_s`, for a host to acknowledge
_LINES_MAX = const(12)  # of a traceback that a host is told
_SIZE_MAX = const(1000)  # bytes of a traceback that are kept
_CRASH = "crash"  # slots.py writes it, too
_TOLD = "crash.told"


class Trouble:
    """What a boot has to tell, and to prove."""

    def __init__(self, boots: "Boots") -> None:
        self._boots = boots
        self._has_crashed = False  # whether this boot has left a traceback
        self._has_looked = False  # whether the traceback is in `_lines`
        self._is_told = False  # whether a host knows all
        self._lines: list[str] = []  # what it is still to be told
        self._trial_s = 0  # uptime from which TRIAL_S counts

    def tell(self, problem: str) -> None:
        """Have a host be told of `problem` once one is there."""
        self._lines.append(problem)
        self._is_told = False

    def crashed(self, error: BaseException, where: str) -> None:
        """Keep the first traceback of this boot."""
        if self._has_crashed:
            return
        self._has_crashed = True
        text = "boot %d, %s\n%s" % (self._boots.total, where, _traceback_of(error))
        try:
            self._boots.flash.replace(_CRASH, text[-_SIZE_MAX:].encode())
            self._has_looked = False
            self._is_told = False
        except OSError as problem:
            self._boots.complain(problem)

    def watch(self, app: "App") -> None:
        """Tell what there is to tell; judge what is on trial."""
        boots = self._boots
        if not self._is_told and app.session.state == UP:
            self._tell(app)
        if boots.is_on_trial:
            uptime_s = app.uptime.s
            # Readings of earlier boots say nothing of this set; a host takes them before its own.
            if app.session.is_over and app.session.state == UP and uptime_s < BACKLOG_S:
                self._trial_s = uptime_s
            waited_s = uptime_s - self._trial_s
            if boots.is_healthy and not boots.is_safe and app.own_session.is_acknowledged:
                self._keep(app)
            elif waited_s >= max(TRIAL_S, app.healthy_after_s + _MARGIN_S):
                problem = "no host has acknowledged readings"
                if not boots.is_healthy:
                    problem = "a step has failed"
                self._give_up(app, "%s within %d s" % (problem, uptime_s))

    def _keep(self, app: "App") -> None:
        boots = self._boots
        try:
            boots.slots.keep()
        except OSError as error:
            self._give_up(app, "it can't be kept (%s)" % error)
            return
        boots.is_on_trial = False
        app.log(message.LOG_INFO, "firmware in %s is kept" % boots.slots.folder)
        app.report_vitals(app.board.ticks_ms())

    def _give_up(self, app: "App", reason: str) -> None:
        self._boots.slots.give_up(reason)
        self._boots.is_on_trial = False
        app.reset()

    def _tell(self, app: "App") -> None:
        """Send the host a line as LOG."""
        flash = self._boots.flash
        try:
            if not self._has_looked:
                self._has_looked = True
                self._lines.extend(self._latest_crash())
            if self._lines and app.log(message.LOG_ERROR, self._lines[0]):
                self._lines.pop(0)
            if not self._lines:
                self._is_told = True
                if flash.has(_CRASH):
                    flash.rename(_CRASH, _TOLD)
        except OSError as error:
            self._is_told = True
            self._boots.complain(error)

    def _latest_crash(self) -> "list[str]":
        """Return the traceback that no host knows of, its middle left out."""
        content = self._boots.flash.read(_CRASH)
        if content is None:
            return []
        try:
            lines = content.decode().strip().split("\n")
        except ValueError:
            lines = ["the traceback of a crash has rotten away"]
        return lines if len(lines) <= _LINES_MAX else lines[:2] + lines[2 - _LINES_MAX :]


def _traceback_of(error: BaseException) -> str:
    """Return an exception with its traceback, as text."""
    if hasattr(sys, "print_exception"):  # MicroPython's
        text = io.StringIO()
        sys.print_exception(error, text)
        return text.getvalue()
    import traceback

    return "".join(traceback.format_exception(type(error), error, error.__traceback__))
