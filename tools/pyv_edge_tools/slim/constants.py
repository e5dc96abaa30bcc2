"""Puts numbers in place of the constants that modules import from one another.

`from .session import FLUSH_MS` becomes nothing, `FLUSH_MS` becomes 200, and where it is
made it becomes `_FLUSH_MS`, which mpy-cross keeps nowhere. Blocks `if TYPE_CHECKING:` go.
"""

import ast
from collections.abc import Iterator

from .source import FOR_CHECKERS, Edit, Source, bound_by, replaced

_FOLDED = (FOR_CHECKERS, "const")  # names that bytecode has no use for
_Key = tuple[str, str]  # (module, name)


def without_constants(sources: list[Source], public: tuple[str, ...]) -> dict[str, bytes]:
    """Return the sources, by path, with numbers for all constants but those of `public`."""
    found: dict[_Key, int] = {}
    for source in sources:
        if not source.module.startswith(public):
            found.update(_defined(source))
    for source in sources:
        for name in _in_the_way(source, found):
            for key in [key for key in found if key[1] == name]:
                del found[key]
    return {source.path: source.edited(_edits(source, found)) for source in sources}


def _defined(source: Source) -> Iterator[tuple[_Key, int]]:
    """Find `NAME = const(number)` at the top of a module, used only below it."""
    taken = {name.id for name in source.names}
    for node in source.tree.body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        target, call = node.targets[0], node.value
        if not (isinstance(target, ast.Name) and ast.unparse(call.func) == "const"):
            continue
        try:
            value = ast.literal_eval(call.args[0])
        except ValueError:
            continue  # made of others
        is_first = all(
            name.lineno > node.lineno
            for name in source.names
            if name.id == target.id and name is not target
        )
        is_free = not target.id.startswith("_") and f"_{target.id}" not in taken
        if isinstance(value, int) and is_first and is_free:
            yield (source.module, target.id), value


def _in_the_way(source: Source, constants: dict[_Key, int]) -> set[str]:
    """Return names that are more, somewhere, than those of constants."""
    modules = _modules(source, constants)
    imported = _imported(source, constants)
    found = set(source.words)
    for statement, origin in source.imports:
        for alias in statement.names:
            if alias.name == "*":
                found |= {name for module, name in constants if module == origin}
            elif alias.asname is not None or (origin, alias.name) not in constants:
                found |= {alias.name, alias.asname or alias.name}  # or imported once more
    bound = {name for node in source.nodes for name in bound_by(node)}
    found |= {name for module, name in constants if bound & _names_of(modules, module)}
    found |= bound & set(imported)
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and (
            _key(node, modules) not in constants or not isinstance(node.ctx, ast.Load)
        ):
            found.add(node.attr)
        elif isinstance(node, ast.JoinedStr):  # whose names have no place before Python 3.12
            found |= {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
            found |= {name.attr for name in ast.walk(node) if isinstance(name, ast.Attribute)}
        elif isinstance(node, ast.keyword) and node.arg is not None:
            found.add(node.arg)
    return found


def _names_of(modules: dict[str, str], module: str) -> set[str]:
    return {name for name, found in modules.items() if found == module}


def _key(node: ast.Attribute, modules: dict[str, str]) -> _Key:
    base = node.value.id if isinstance(node.value, ast.Name) else ""
    return modules.get(base, ""), node.attr


def _modules(source: Source, constants: dict[_Key, int]) -> dict[str, str]:
    """Return {name here: module} of the modules with constants that a source imports."""
    known = {module for module, _ in constants}
    return {
        alias.asname or alias.name: f"{origin}.{alias.name}"
        for node, origin in source.imports
        for alias in node.names
        if f"{origin}.{alias.name}" in known
    }


def _imported(source: Source, constants: dict[_Key, int]) -> dict[str, int]:
    """Return {name here: value} of the constants that a source imports by name."""
    return {
        alias.asname or alias.name: constants[(origin, alias.name)]
        for node, origin in source.imports
        for alias in node.names
        if (origin, alias.name) in constants
    }


def _edits(source: Source, constants: dict[_Key, int]) -> Iterator[Edit]:
    modules = _modules(source, constants)
    imported = _imported(source, constants)
    for block in source.for_checkers:
        assert isinstance(block, ast.stmt)
        yield replaced(block, "pass")
    yield from _imports(source, constants)
    for node in source.names:
        if (source.module, node.id) in constants:
            yield replaced(node, f"_{node.id}")
        elif node.id in imported:
            yield replaced(node, f"({imported[node.id]})")
    for attribute in source.attributes:
        key = _key(attribute, modules)
        if key in constants:
            yield replaced(attribute, f"({constants[key]})")


def _imports(source: Source, constants: dict[_Key, int]) -> Iterator[Edit]:
    """Leave what is imported and still needed."""
    folds = FOR_CHECKERS not in {name.id for name in source.names} and _folds_all(source)
    for node, origin in source.imports:
        rest = [
            alias
            for alias in node.names
            if (origin, alias.name) not in constants
            and not (folds and origin == "pyv_edge_core._compat" and alias.name in _FOLDED)
        ]
        if len(rest) == len(node.names):
            continue
        start = "." * node.level + (node.module or "")
        left = ", ".join(ast.unparse(alias) for alias in rest)
        yield replaced(node, f"from {start} import {left}" if rest else "pass")


def _folds_all(source: Source) -> bool:
    """Return whether `const` is used only as mpy-cross folds it: `NAME = const(...)`."""
    folded = {
        id(node.value.func)
        for node in source.tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
    }
    return all(name.id != "const" or id(name) in folded for name in source.names)
