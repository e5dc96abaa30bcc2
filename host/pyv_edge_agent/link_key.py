"""Reads a board's secret for an authenticated link. The secret itself is never shown."""

import logging
from pathlib import Path

from pyv_edge_core.seal import KEY_SIZE_MIN

from .errors import ConfigError
from .secret_file import read_secret

logger = logging.getLogger(__name__)


def read_link_key(path: Path, place: str) -> bytes:
    """Return the key: the first line of the file, without white space around it.

    A board makes the same of a copy. Raises ConfigError; `place` names the setting.
    """
    try:
        secret, is_open = read_secret(path)
    except ValueError as error:
        raise ConfigError([f"{place}: {path} {error}"]) from error
    key = secret.encode()
    if len(key) < KEY_SIZE_MIN:
        raise ConfigError(
            [f"{place}: the first line of {path} has {len(key)} bytes, at least {KEY_SIZE_MIN}"]
        )
    if is_open:
        logger.warning("%s: others can read the key; chmod 600 %s", place, path)
    return key
