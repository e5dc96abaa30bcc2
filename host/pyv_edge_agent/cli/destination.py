"""Files that commands write for their users: over what nobody needs, or is said to need."""

import argparse
import os
import stat
from pathlib import Path

from ..config import Config
from ..config.path import walk
from ..config.source import Source
from ..disk import beside, identity
from ..errors import ConfigError, UsageError
from ..store.connection import BESIDE
from .place import find_config

REMEDY = "name another file, or say --force"


def destination(args: argparse.Namespace, named: str, *, remedy: str = REMEDY) -> Path:
    """Return where a file may be written, which is none of the agent's. Raises UsageError."""
    whose = _owner(args, Path(named))
    if whose:
        raise UsageError(f"{named}: is {whose}; name another file")
    return writable(named, is_forced=getattr(args, "force", False), remedy=remedy)


def writable(named: str, *, is_forced: bool, remedy: str = REMEDY) -> Path:
    """Return where a file may be written, a link followed. Raises UsageError.

    If there is one, it has to be `is_forced`, `remedy` is what else can be done; and what is
    there must be a file, since it will be replaced.
    """
    path = Path(named)
    try:
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
            return "the configuration itself"
        named, store = _named(found)
        stores += [] if store is None else [store]
    else:
        named = []
    for store in stores:
        if _is_same(path, store):
            return "the store itself"
        if any(_is_same(path, beside(store, end)) for end in BESIDE):
            return "a file of the store"
    return "a file that the configuration names" if any(_is_same(path, x) for x in named) else ""


def _named(found: str) -> tuple[list[Path], Path | None]:
    """Return the files that a configuration names, and its store; none if it can't be read."""
    try:
        source = Source.from_file(Path(found))
        given = source.parse()
        config = Config(given, source)
    except (ConfigError, OSError):
        return [], None
    texts = {
        value
        for values in (given, config.to_dict())
        for place, value in walk(values)
        if place.endswith(("_file", ".path")) and isinstance(value, str) and "\0" not in value
    }
    return [config.folder / text for text in texts], config.store_path


def _is_same(path: Path, other: Path) -> bool:
    """Return whether two paths lead to one file, or would."""
    found = identity(path)
    if found is not None:
        return found == identity(other)
    return os.path.realpath(path) == os.path.realpath(other)
