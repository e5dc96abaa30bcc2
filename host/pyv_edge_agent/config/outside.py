"""What a configuration needs that lies outside of its file: the files that it names."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..plain_file import reading_plain
from .origin import ENVIRONMENT, Origin
from .relation import Report
from .table import tables


def check_outside(
    fault: Report,
    values: dict[str, Any],
    secret_files: Mapping[str, str],
    origins: Mapping[str, Origin],
    config: Path,
) -> None:
    """Find files that can't be read, of what is enabled, and a store in the place of another.

    Paths count from the folder of the file `config`; those of secrets are not among `values`.
    """
    folder = config.parent
    _check_store(fault, values, secret_files, config)
    for path, table, keys in tables(values):
        if table.get("enabled") is False:
            continue
        for key in [key for key, setting in keys.items() if setting.is_file and table.get(key)]:
            problem = _problem(folder / table[key])
            if not problem:
                continue
            origin = origins.get(f"{path}.{key}")
            shown = str(folder / table[key])
            if origin is not None and origin.kind == ENVIRONMENT:
                shown = f"what {origin.name} names"  # which may be a secret, put there by mistake
            fault(f"{path}.{key}", f"{shown} can't be read: {problem}; put the file there")


def _check_store(
    fault: Report, values: dict[str, Any], secret_files: Mapping[str, str], config: Path
) -> None:
    """Find a store that can't be one, or that something else would be written over."""
    store = config.parent / values["storage"]["path"]
    if os.path.isdir(store):  # which takes any name
        fault("storage.path", f"{store} is a folder; name a file in it")
        return
    place = os.path.realpath(store)
    if place == os.path.realpath(config):
        fault("storage.path", "is the configuration itself; name another file")
    for path, name in (*named_files(values), *secret_files.items()):
        if path != "storage.path" and place == _real(config.parent / name):
            fault(path, "is the file of storage.path, too; name another")


def named_files(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the settings that name files, or folders of some, and what they name."""
    for path, table, keys in tables(values):
        for key, setting in keys.items():
            if (setting.is_file or setting.is_path) and table.get(key):
                yield f"{path}.{key}", str(table[key])


def _real(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # a NUL in it: told elsewhere
        return ""


def _problem(path: Path) -> str:
    """Return why a file can't be read; "" if it can."""
    try:
        with reading_plain(path) as file:
            file.read(1)
    except OSError as error:
        return error.strerror or type(error).__name__
    except ValueError as error:
        return str(error)
    return ""
