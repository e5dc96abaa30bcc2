"""Reads a board's secret for an authenticated link. The secret itself is never shown."""

import logging
import stat
from pathlib import Path

from pyv_edge_core.seal import KEY_SIZE_MIN

from .errors import ConfigError

logger = logging.getLogger(__name__)

_FILE_SIZE_MAX = 4096


def read_link_key(path: Path, place: str) -> bytes:
    """Return the key: the first line of the file, without white space around it.

    A board makes the same of a copy. Raises ConfigError; `place` names the setting.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_SIZE_MAX)
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no path"
        raise ConfigError(
            [f"{place}: {path} can't be read: {reason}; write the board's key into it"]
        ) from error
    key = content.split(b"\n", 1)[0].strip()
    try:
        key.decode()
    except UnicodeDecodeError:
        raise ConfigError(
            [f"{place}: {path} is not UTF-8; write a line of text into it"]
        ) from None
    if len(key) < KEY_SIZE_MIN:
        raise ConfigError(
            [f"{place}: the first line of {path} has {len(key)} bytes, at least {KEY_SIZE_MIN}"]
        )
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        logger.warning("%s: others can read the key; chmod 600 %s", place, path)
    return key
