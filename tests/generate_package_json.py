"""Writes what `mpremote mip install` reads: the core alone, and the node with it. `make docs`."""

import json
from pathlib import Path

from pyv_edge_core import __version__
from pyv_edge_tools import build_device

ROOT = Path(__file__).resolve().parent.parent


def packages():
    """Return the content of each package.json, by path."""
    names = sorted(build_device.sources())
    core = [name for name in names if name.startswith("pyv_edge_core/")]
    node = [name for name in names if name.startswith("pyv_edge_node/")]
    return {
        # Where the files are is said from the package.json's own place.
        "shared/package.json": _package([(name, name) for name in core]),
        "firmware/package.json": _package(
            [*((name, f"../shared/{name}") for name in core), *((name, name) for name in node)]
        ),
    }


def _package(urls):
    made = {"urls": [list(pair) for pair in urls], "deps": [], "version": __version__}
    return json.dumps(made, indent=2) + "\n"


if __name__ == "__main__":
    for path, content in packages().items():
        (ROOT / path).write_text(content, encoding="utf-8")
