"""What a configuration needs that lies outside of its file: the files that it names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..plain_file import reading_plain
from .origin import ENVIRONMENT, Origin
from .relation import Report
from .table import tables


def check_outside(
    fault: Report, values: dict[str, Any], origins: Mapping[str, Origin], folder: Path
) -> None:
    """Find files that can't be read, of what is enabled; paths count from `folder`."""
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
