"""Finds node and the WebAssembly build of MicroPython, and says what their absence means.

`make test` installs the package by npm into build/wasm, if npm is there and
reaches its registry.
"""

import os
import shutil

import pytest
from interpreter import ROOT

PACKAGE = "@micropython/micropython-webassembly-pyscript"
_FOLDER = ROOT / "build/wasm/node_modules" / PACKAGE
_STAMP = "build/wasm/.ready"  # what the Makefile makes


def find_wasm(folder=_FOLDER):
    """Return (path of node, folder of the package).

    Without them the test is skipped, except in CI, where they have to be there.
    """
    node = shutil.which("node")
    reason = ""
    if node is None:
        reason = "no node on PATH: apt-get install nodejs npm"
    elif not (folder / "micropython.wasm").exists():
        reason = f"no {PACKAGE} in {folder.relative_to(ROOT)}: `make {_STAMP}` says why"
    if not reason:
        return node, folder
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
