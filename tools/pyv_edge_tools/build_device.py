"""Puts together what a board's file system holds: the core, the node, main.py, settings."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = ("pyv_edge_core", "pyv_edge_node")
FILES = ("boot.py", "main.py")


def device_files() -> Path:
    """Return the folder of main.py: inside the wheel, or firmware/ of a checkout.

    Raises FileNotFoundError if the installation lacks them.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "device_files", here.parents[1] / "firmware"):
        if (folder / "main.py").is_file():
            return folder
    raise FileNotFoundError(f"{here}: no device files; install pyv-edge again")


def stage(target: Path, settings: dict[str, Any]) -> None:
    """Copy a device tree into `target`, which is made, with `settings` as its device.json."""
    target.mkdir(parents=True, exist_ok=True)
    for name in PACKAGES:
        spec = find_spec(name)
        assert spec is not None and spec.submodule_search_locations, name
        source = Path(next(iter(spec.submodule_search_locations)))
        shutil.copytree(
            source, target / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
        )
    for name in FILES:
        shutil.copy(device_files() / name, target / name)
    (target / "device.json").write_text(json.dumps(settings, ensure_ascii=True, indent=2))
