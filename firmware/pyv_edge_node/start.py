"""From power-on to a running node: settings read, tried if they are new, and heap enough.

A board that can't run says why again and again, since nobody may be listening
the first time; the agent shows it in its log. After crashes it runs the link
and nothing else. What only a start needs is forgotten behind it.
"""

import gc
import sys

from pyv_edge_core._compat import TYPE_CHECKING, const

from . import settings
from .app import PROMPT_IDLE_MS, STOPPED, App
from .board import open_board
from .boots import Boots
from .flash import Flash
from .port import StreamPort

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .trial import Trial

# With less a board would start, and then fail at each frame that it makes.
HEAP_FREE_MIN = const(8192)
_REMEDY = "lower telemetry_capacity, or use fewer sensors, rules or windows"
_COMPLAINT_MS = const(3000)
_START_MS = const(8388)  # what an RP2040's watchdog can wait
# Modules without a use once the node runs; a tenth of a board's heap. What needs one of them
# later, such as other settings over the wire, loads it again.
_FOR_THE_START = (
    "board",
    "boots_before",
    "link_key",
    "parts",
    "recovery",
    "sensors",
    "settings",
    "stages",
    "start",
    "surrogates",
)


class Start:
    """What a node is made with, beside its settings."""

    def __init__(
        self,
        board: "Any",
        flash: "Flash",
        open_port: "Callable[[settings.Settings], Any]",
        boots: "Boots | None" = None,
        open_sensor: "Callable[[str, settings.Section, Any], Any] | None" = None,
    ) -> None:
        """Open the link with `open_port`, and sensors with `open_sensor`, when they are due."""
        self.board = board
        self.flash = flash
        self.boots = boots
        self._open_port = open_port
        self._open_sensor = open_sensor

    def boot(self, path: str) -> App:
        """Return the node with the settings at `path`. Raises SettingsError if it can't run.

        Settings on trial that can't run are taken back; then the board is reset.
        Others are answered with the copy of those that ran last, if there is one.
        """
        trial = self._open_trial(path)
        if self.boots is not None and self.boots.is_safe:
            from .recovery import safe

            self.board.say("safe mode, after crashes in a row: the link and nothing else")
            return self._make(safe(self.flash.read(path), path, self.flash), trial)
        try:
            return self.build(path, settings.read(self.flash, path), trial)
        except settings.SettingsError as error:
            problem = str(error)
            if trial is not None and trial.is_running:
                trial.restore(problem)
                if self.boots is not None:
                    self.boots.end()
                self.board.reset()
                raise
        from .recovery import build_copy

        return build_copy(self, path, trial, problem)

    def _open_trial(self, path: str) -> "Trial | None":
        """Return the trial of settings, None if there is none: then its code isn't loaded."""
        if not self.flash.has(path + ".trial") and not self.flash.has(path + ".reason"):
            return None
        from .trial import Trial

        trial = Trial(self.flash, path)
        try:
            trial.boot()
        except OSError as error:
            raise settings.SettingsError("%s: can't be put in place: %s" % (path, error))
        return trial

    def build(self, path: str, content: bytes, trial: "Trial | None") -> App:
        """Return the node with these settings. Raises SettingsError if it can't run."""
        try:
            app = self._make(settings.parse(path, content, self.flash), trial)
        except MemoryError as error:
            raise settings.SettingsError("%s: %s; %s" % (path, error, _REMEDY))
        gc.collect()
        if self.board.heap_free() < HEAP_FREE_MIN:
            raise settings.SettingsError(
                "%s: leaves %d bytes of heap, at least %d are needed; %s"
                % (path, self.board.heap_free(), HEAP_FREE_MIN, _REMEDY)
            )
        return app

    def _make(self, config: settings.Settings, trial: "Trial | None") -> App:
        port = self._open_port(config)
        return App(config, self.board, port, self.flash, trial, self._open_sensor, self.boots)


def open_port(board: "Any", config: settings.Settings) -> StreamPort:
    """Return the link that the settings choose. Raises SettingsError."""
    if config.uart is None:
        return StreamPort(*board.link_streams())
    try:
        port = StreamPort(*board.link_uart(*config.uart))
    except (ValueError, OSError) as error:
        raise settings.SettingsError("%s.uart: %s" % (config.path, error))
    board.say("the link is UART %d" % config.uart[0])  # to whoever listens here
    return port


def begin(slots: "Any") -> "Callable[[], None]":
    """Return what runs the node of `slots` (see slots.py) until somebody presses Ctrl-C."""
    board = open_board()
    boots = Boots(Flash(), slots, board)
    board.start_watchdog(_START_MS)  # a sensor of one's own may hang before the loop begins
    try:
        boots.begin(slots)
        try:
            app = _boot(board, boots, slots)
            board.heap_settled()
        except Exception as error:  # top of a thread
            boots.trouble().crashed(error, "while it started")
            board.show(error)
            board.sleep_ms(_COMPLAINT_MS)
            board.reset()
            raise
    except KeyboardInterrupt:
        board.ignore_ctrl_c()
        board.stop_watchdog()
        board.boot_when_idle(PROMPT_IDLE_MS)
        boots.stop()
        board.say(STOPPED)
        board.hear_ctrl_c()
        return _do_nothing
    forget()
    return app.run_until_stopped


def _do_nothing() -> None:
    """Leave the board to a person at its prompt."""


def _boot(board: "Any", boots: Boots, slots: "Any") -> App:
    """Return the node; without settings that it can run with, say so for ever."""
    start = Start(board, Flash(), lambda config: open_port(board, config), boots)
    try:
        return start.boot(slots.settings_path)
    except (settings.SettingsError, OSError) as error:
        problem = str(error)
    damaged = "" if boots.is_on_trial else slots.damage()
    if boots.is_on_trial or damaged:  # settings belong to a set: the one before has others
        slots.give_up("%s is damaged" % damaged if damaged else problem)
        boots.end()
        board.reset()
    board.stop_watchdog()
    while True:
        for line in problem.split("\n"):
            board.say(line)
        board.sleep_ms(_COMPLAINT_MS)


def forget() -> None:
    """Let the heap have back what only a start needs."""
    package = sys.modules["pyv_edge_node"]
    for name in _FOR_THE_START:
        if sys.modules.pop("pyv_edge_node." + name, None) is not None:
            delattr(package, name)
    sys.modules.pop("slots", None)
    gc.collect()
