"""Settings for bad days: the copy of what ran last, or none but the link's."""

import gc
import json
from binascii import crc32

from pyv_edge_core._compat import TYPE_CHECKING

from . import settings_copy
from .settings import Section, Settings, SettingsError

if TYPE_CHECKING:
    from typing import Any

    from .app import App
    from .flash import Flash
    from .start import Start
    from .trial import Trial


def build_copy(start: "Start", path: str, trial: "Trial | None", problem: str) -> "App":
    """Return the node with the settings that ran last. Raises SettingsError of the others."""
    content = settings_copy.read(start.flash, path)
    if content is None:
        raise SettingsError(problem)
    gc.collect()
    app = start.build(path, content, trial)
    lines = problem.split("\n") + ["%s: its copy of what ran last is in force" % path]
    for line in lines:
        start.board.say(line)
        if start.boots is not None:
            start.boots.trouble().tell(line)
    return app


def safe(content: "bytes | None", path: str, flash: "Flash") -> Settings:
    """Return settings that need nothing but the link: who the board is, its key, its UART.

    Of a document that can't be used at all only the name of the file is taken.
    """
    kept = {}
    try:
        values = json.loads((content or b"{}").decode())
        for key in ("device_id", "link_key_file", "uart", "led"):
            if key in values:
                kept[key] = values[key]
        settings = _made(kept, path, flash)
    except (ValueError, RuntimeError, TypeError):
        settings = _made({}, path, flash)
    settings.config_hash = crc32(content or b"")
    return settings


def _made(kept: "dict[str, Any]", path: str, flash: "Flash") -> Settings:
    kept.update({"telemetry_capacity": 16, "events_capacity": 16, "sensors": [{}]})
    settings = Settings(Section(kept, path), flash)
    settings.sensors = []
    return settings
