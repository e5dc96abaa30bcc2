"""What may be shown of a configuration: everything but its secrets."""

from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..sinks.http_reply import shown_url
from . import Config, Origin
from .origin import DEFAULT
from .path import walk
from .table import tables

SET, NOT_SET = "(set)", "(not set)"


class Entry(NamedTuple):
    """One value in force."""

    path: str
    value: Any  # as JSON has it; of a secret, SET or NOT_SET
    is_secret: bool
    origin: Origin


def entries(config: Config, *, with_defaults: bool = True) -> list[Entry]:
    """Return all values, or those that are given somewhere, without secrets."""
    values = config.to_dict()
    settings = {
        f"{path}.{key}": setting
        for path, _, keys in tables(values)
        for key, setting in keys.items()
    }
    found = []
    hidden = ""  # a table that is a secret as a whole
    for path, value in walk(values):
        setting = settings.get(path)
        is_secret = setting is not None and setting.is_secret
        if hidden and path.startswith(f"{hidden}."):
            continue
        if isinstance(value, (dict, list)) and value and not is_secret:
            continue  # what is in it comes next
        hidden = path if is_secret else hidden
        origin = config.origin(path)
        if origin.kind == DEFAULT and not with_defaults:
            continue
        if is_secret:
            value = SET if value else NOT_SET
        elif setting is not None and setting.is_url:
            value = ", ".join(_shown(one.strip()) for one in value.split(","))
        found.append(Entry(path, value, is_secret, origin))
    return found


def _shown(url: str) -> str:
    """Return a URL without what may be secret; of what is none, only that it is there."""
    try:
        is_url = bool(urlsplit(url).netloc)
    except ValueError:
        is_url = False
    return shown_url(url) if is_url else url and SET
