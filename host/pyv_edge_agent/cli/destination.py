"""Files that commands write for their users: over what nobody needs, or is said to need."""

import argparse
import glob
import os
import stat
from pathlib import Path

from ..config import Config
from ..config.path import walk
from ..config.source import Source
from ..disk import beside, identity
from ..errors import ConfigError, UsageError
from ..store.connection import is_beside, is_store
from .place import find_config

_CONFIG = "the configuration itself"
REMEDY = "name another file, or say --force"


def destination(
    args: argparse.Namespace,
    named: str,
    *,
    remedy: str = REMEDY,
    is_config: bool = False,
    is_backup: bool = False,
) -> Path:
    """Return where a file may be written, which is none of the agent's. Raises UsageError.

    Its configuration is, unless the file `is_config` itself; and so is every store, but an
    earlier one that nobody has used if the file `is_backup`.
    """
    whose = _owner(args, Path(named))
    if whose and not (is_config and whose == _CONFIG):
        raise UsageError(f"{named}: is {whose}; name another file")
    if is_store(Path(named)) and (not is_backup or beside(Path(named), ".lock").exists()):
        raise UsageError(f"{named}: is a store; name another file, or move it away")
    return writable(named, is_forced=getattr(args, "force", False), remedy=remedy)


def writable(named: str, *, is_forced: bool, remedy: str = REMEDY) -> Path:
    """Return where a file may be written, a link followed. Raises UsageError.

    If there is one, it has to be `is_forced`, `remedy` is what else can be done; and what is
    there must be a file, since it will be replaced.
    """
    path = Path(named)
    try:
        if named.endswith(os.sep) and not path.is_dir():
            raise UsageError(f"{named}: is no folder; make it, or name a file")
        if path.is_symlink():
            path = Path(os.path.realpath(path))
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{named}: can't be looked at: {reason}") from None
    if mode is None:
        if not path.parent.is_dir():
            raise UsageError(f"{named}: {path.parent} is no folder; make it, or name another")
    elif stat.S_ISDIR(mode):
        raise UsageError(f"{named}: is a folder; name a file")
    elif not stat.S_ISREG(mode):
        raise UsageError(f"{named}: is there and is no file; name a file")
    elif not is_forced:
        raise UsageError(f"{named}: is there already; {remedy}")
    return path


def _owner(args: argparse.Namespace, path: Path) -> str:
    """Return what of the agent a file is, or would be, "" if nothing."""
    stores = [Path(args.db)] if getattr(args, "db", None) else []
    found = find_config(args)
    if found is not None:
        if _is_same(path, Path(found)):
            return _CONFIG
        named, store = _named(found)
        stores += [] if store is None else [store]
    else:
        named = []
    for store in stores:
        if _is_same(path, store):
            return "the store itself"
        if _is_beside(path, store):
            return "a file of the store"
    if any(_is_same(path, one) for one in named):
        return "a file or a folder that the configuration names"
    if any(_is_same(path.parent, one) for one in named):
        return "in a folder that the agent writes to"
    return ""


def _is_beside(path: Path, store: Path) -> bool:
    place, found = Path(os.path.realpath(store)), identity(path)
    if is_beside(Path(os.path.realpath(path)), place):
        return True
    near = place.parent.glob(f"{glob.escape(place.name)}?*") if found is not None else ()
    return any(is_beside(one, place) and identity(one) == found for one in near)


def _named(found: str) -> tuple[list[Path], Path | None]:
    """Return the files that a configuration names, and its store; none if it can't be read."""
    try:
        config = Config.from_file(found)
    except (ConfigError, OSError):
        return _guessed(Path(found))
    return config.named_files, config.store_path


def _guessed(found: Path) -> tuple[list[Path], Path | None]:
    """Return the same of a file with a fault: what it seems to name, and what it would if not."""
    named = {place: value for place, value in walk(Config().to_dict()) if _is_path(place, value)}
    try:
        given = Source.from_file(found).parse()
    except (ConfigError, OSError):
        given = {}
    named |= {place: value for place, value in walk(given) if _is_path(place, value)}
    return [found.parent / name for name in named.values()], found.parent / named["storage.path"]


def _is_path(place: str, value: object) -> bool:
    is_named = place.endswith(("_file", ".path", ".folder"))
    return is_named and isinstance(value, str) and bool(value) and "\0" not in value


def _is_same(path: Path, other: Path) -> bool:
    """Return whether two paths lead to one file, or would."""
    found = identity(path)
    if found is not None:
        return found == identity(other)
    return os.path.realpath(path) == os.path.realpath(other)
