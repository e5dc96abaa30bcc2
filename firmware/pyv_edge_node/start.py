"""From power-on to a running node: settings read, tried if they are new, and heap enough.

A board that can't run says why again and again, since nobody may be listening
the first time; the agent shows it in its log.
"""

import gc

from pyv_edge_core._compat import TYPE_CHECKING, const

from . import settings
from .app import App
from .board import open_board
from .flash import Flash
from .port import StreamPort
from .sensors import open_sensor

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .trial import Trial

# With less a board would start, and then fail at each frame that it makes.
HEAP_FREE_MIN = const(8192)
_REMEDY = "lower telemetry_capacity, or use fewer sensors, rules or windows"
_COMPLAINT_MS = const(3000)


def boot(
    path: str,
    board: "Any",
    port: "Any",
    flash: "Flash",
    open_sensor: "Callable[[str, settings.Section], Any]" = open_sensor,
) -> App:
    """Return the node with the settings at `path`. Raises SettingsError if it can't run.

    Settings on trial that can't run are taken back; then the board is reset.
    """
    trial = _open_trial(path, flash)
    try:
        return _build(path, board, port, flash, trial, open_sensor)
    except settings.SettingsError as error:
        if trial is None or not trial.is_running:
            raise
        trial.restore(str(error))
        board.reset()
        raise


def _open_trial(path: str, flash: "Flash") -> "Trial | None":
    """Return the trial of settings, None if there is none: then its code isn't loaded."""
    if not flash.has(path + ".trial") and not flash.has(path + ".reason"):
        return None
    from .trial import Trial

    trial = Trial(flash, path)
    try:
        trial.boot()
    except OSError as error:
        raise settings.SettingsError("%s: can't be put in place: %s" % (path, error))
    return trial


def _build(
    path: str,
    board: "Any",
    port: "Any",
    flash: "Flash",
    trial: "Trial | None",
    open_sensor: "Callable[[str, settings.Section], Any]",
) -> App:
    try:
        app = App(settings.load(flash, path), board, port, flash, trial, open_sensor)
    except MemoryError as error:
        raise settings.SettingsError("%s: %s; %s" % (path, error, _REMEDY))
    gc.collect()
    if board.heap_free() < HEAP_FREE_MIN:
        raise settings.SettingsError(
            "%s: leaves %d bytes of heap, at least %d are needed; %s"
            % (path, board.heap_free(), HEAP_FREE_MIN, _REMEDY)
        )
    return app


def main(path: str) -> int:
    """Run the node with the settings at `path`; return the exit status."""
    board = open_board()
    app = None
    try:
        try:
            app = boot(path, board, StreamPort(*board.link_streams()), Flash())
        except (settings.SettingsError, OSError) as error:
            problem = str(error)
        while app is None:
            for line in problem.split("\n"):
                board.say(line)
            board.sleep_ms(_COMPLAINT_MS)
        board.heap_settled()
        app.run()
    except KeyboardInterrupt:
        board.say("stopped by Ctrl-C")
    return 0
