"""How much room the core takes: bytecode in the flash, and heap once it is imported.

The same on every run with the same compiler and interpreter, so that one run
serves all figures, and tests/test_budgets.py checks them too.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import bytecode, workload
from .figure import Measured

Sizes = dict[str, int]  # bytes by dotted name


@cache
def core_sizes() -> Sizes:
    """Return the size of each module of the core. Raises FileNotFoundError without mpy-cross."""
    with TemporaryDirectory() as folder:
        sizes = bytecode.compile_into(Path(folder))
    return {name: size for name, size in sizes.items() if name.startswith("pyv_edge_core")}


@cache
def footprint() -> dict[str, Any]:
    """Return free heap in bytes and the modules of the core that a node imports.

    `heap_free` and `board_modules` of a board with rules and a policy,
    `heap_free_plain` and `plain_modules` of one without, and `heap_free_all` with
    the whole core, the host's end of the link included.

    Raises FileNotFoundError without MicroPython or mpy-cross.
    """
    with TemporaryDirectory() as folder:
        lines = workload.on_micropython("footprint", folder=Path(folder))
    return {key: value for line in lines for key, value in line.items()}


def mpy_bytes() -> list[Measured]:
    """Measure the whole core."""
    return [Measured("core.mpy_bytes", "bytes", [sum(core_sizes().values())], True)]


def mpy_bytes_board() -> list[Measured]:
    """Measure what a node with rules and a policy imports of the core."""
    return [_imported("core.mpy_bytes_board", "board_modules")]


def mpy_bytes_board_plain() -> list[Measured]:
    """Measure what a node without them imports of the core."""
    return [_imported("core.mpy_bytes_board_plain", "plain_modules")]


def _imported(name: str, modules: str) -> Measured:
    sizes = core_sizes()
    return Measured(name, "bytes", [sum(sizes[module] for module in footprint()[modules])], True)


def mpy_module_bytes() -> list[Measured]:
    """Measure the largest module of the core."""
    return [Measured("core.mpy_module_bytes", "bytes", [max(core_sizes().values())], True)]


def heap_free_bytes() -> list[Measured]:
    """Measure the heap that is left with the node and what it can use of the core imported."""
    found = footprint()
    return [
        Measured("core.heap_free_bytes", "bytes", [found["heap_free"]], True),
        Measured("core.heap_free_bytes_plain", "bytes", [found["heap_free_plain"]], True),
        Measured("core.heap_free_bytes_all", "bytes", [found["heap_free_all"]], True),
    ]
