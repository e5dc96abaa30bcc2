"""Lets names that nobody else can know share those that every MicroPython has anyway.

A parameter that no call names, a private global, an attribute that one file alone uses, and
that begins with "_" or is only ever one of `self`: all these can be called anything.
"""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator

from .source import Edit, Source, bound_by, renamed, replaced

# MicroPython numbers these for bytecode, and has them in its own memory (makeqstrdata.py,
# static_qstr_list). None of them is a keyword, or has a meaning for its compiler.
_SHARED = (
    "key value index count start stop step end sep items keys values update insert remove append"
    " clear copy extend find format get join lower lstrip next pop popitem read readinto readline"
    " replace reverse rfind rindex rsplit rstrip send setdefault sort split startswith endswith"
    " strip throw upper write close isalpha isdigit islower isspace isupper"
)
SHARED = tuple(_SHARED.split())


def with_few_names(sources: list[Source], public: tuple[str, ...]) -> dict[str, bytes]:
    """Return the sources, by path, with shared names wherever none of `public` is concerned."""
    texts = {word for source in sources for word in source.words}
    named = {text for source in sources for text in source.texts} | {
        node.arg
        for source in sources
        for node in source.nodes
        if isinstance(node, ast.keyword) and node.arg is not None
    }
    files: dict[str, set[str]] = {}  # by attribute, or what a class may have for one
    for source in sources:
        for name in _attributes_of(source):
            files.setdefault(name, set()).add(source.path)
    imported = {
        alias.name for source in sources for one, _ in source.imports for alias in one.names
    }
    free = [name for name in SHARED if name not in files and name not in texts]
    return {
        source.path: source.edited(
            []
            if source.module.startswith(public)
            else [
                *_variables(source, named, texts | imported | _others_know(source, files)),
                *_attributes(source, files, texts, free),
            ]
        )
        for source in sources
    }


def _others_know(source: Source, files: dict[str, set[str]]) -> set[str]:
    """Return the names that stand for something in other files, or for an attribute here."""
    elsewhere = {name for name, paths in files.items() if paths - {source.path}}
    return elsewhere | {node.attr for node in source.attributes}


def _attributes_of(source: Source) -> Iterator[str]:
    for node in source.nodes:
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
    for node in _class_level(source):
        if isinstance(node, ast.Name):
            yield node.id
    for statement in source.tree.body:  # of the module, for those who import it
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            for node in ast.walk(statement):
                yield from bound_by(node)


def _class_level(source: Source) -> Iterator[ast.AST]:
    """Yield what is bound in the bodies of classes, beside functions."""
    for node in source.nodes:
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                if not isinstance(statement, ast.FunctionDef):
                    yield from ast.walk(statement)


def _attributes(
    source: Source, files: dict[str, set[str]], texts: set[str], free: Iterable[str]
) -> list[Edit]:
    """Give the private attributes of a file shared names, those used most first."""
    if any(isinstance(node, ast.ClassDef) and _inherits(node, source) for node in source.nodes):
        return []
    made = {node.name for node in source.nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    made |= {node.id for node in _class_level(source) if isinstance(node, ast.Name)}
    count = Counter(node.attr for node in source.attributes)
    others = {
        node.attr
        for node in source.attributes
        if not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }
    stored = {node.attr for node in source.attributes if isinstance(node.ctx, ast.Store)}
    private = [
        name
        for name, _ in sorted(count.items(), key=lambda item: (-item[1], item[0]))
        if (name.startswith("_") or name in stored - others)
        and not name.endswith("__")
        and files[name] == {source.path}
        and name not in made | texts
    ]
    names = dict(zip(private, free, strict=False))
    return [renamed(node, names[node.attr]) for node in source.attributes if node.attr in names]


def _inherits(node: ast.ClassDef, source: Source) -> bool:
    """Return whether a class could have attributes of a class in another file."""
    here = {found.name for found in source.nodes if isinstance(found, ast.ClassDef)}
    exceptions = ("Exception", "ValueError", "OSError")
    return any(
        not (isinstance(base, ast.Name) and base.id in (*here, *exceptions)) for base in node.bases
    )


def _variables(source: Source, named: set[str], known: set[str]) -> Iterator[Edit]:
    """Give private globals shared names from the end of the list, and parameters the others."""
    taken = {name for node in source.nodes for name in bound_by(node)}
    taken |= {node.id for node in source.names}
    stored = Counter(
        name for node in source.nodes for name in bound_by(node) if name.startswith("_")
    )
    private = [
        name
        for name in _made_at_the_top(source)
        if name not in known and stored[name] == 1 and not name.endswith("__")
    ]
    free = [name for name in reversed(SHARED) if name not in taken]
    names = dict(zip(private, free, strict=False))
    for node in source.names:
        if node.id in names:
            yield replaced(node, names[node.id])
    for function in source.nodes:
        if isinstance(function, ast.FunctionDef):
            yield from _parameters_of(function, named, set(names.values()))


def _made_at_the_top(source: Source) -> Iterator[str]:
    """Yield private globals in order, but for those that mpy-cross keeps nowhere."""
    for node in source.tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            target = node.target
        if isinstance(target, ast.Name) and target.id.startswith("_"):
            call = node.value if isinstance(node, ast.Assign) else None
            is_folded = isinstance(call, ast.Call) and ast.unparse(call.func) == "const"
            if not is_folded:
                yield target.id


def _parameters_of(
    function: ast.FunctionDef, named: set[str], reserved: set[str]
) -> Iterator[Edit]:
    """Give a function's parameters shared names, if it has no other scopes in it."""
    body = [node for statement in function.body for node in ast.walk(statement)]
    if any(isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef) for node in body):
        return
    arguments = [node for node in ast.walk(function.args) if isinstance(node, ast.arg)]
    own = {node.id for node in body if isinstance(node, ast.Name)}
    bound = {node.name for node in body if isinstance(node, ast.ExceptHandler) and node.name}
    bound |= {
        alias.asname or alias.name
        for node in body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    bound |= {name for node in body if isinstance(node, ast.Global) for name in node.names}
    texts = {node.id for node in _in_strings(body)}
    taken = own | bound | reserved | {argument.arg for argument in arguments}
    free = [name for name in SHARED if name not in taken]
    positional = [*function.args.posonlyargs, *function.args.args]
    names = {
        argument.arg: shared
        for argument, shared in zip(
            [
                argument
                for argument in positional
                if argument.arg not in ("self", *SHARED)
                and argument.arg not in named | bound | texts
            ],
            free,
            strict=False,
        )
    }
    for argument in positional:
        if argument.arg in names:
            end = argument.col_offset + len(argument.arg.encode("utf-8"))
            place = replaced(argument, names[argument.arg])
            yield place._replace(end_line=place.line, end_column=end)  # not its annotation
    for node in body:
        if isinstance(node, ast.Name) and node.id in names:
            yield replaced(node, names[node.id])


def _in_strings(body: list[ast.AST]) -> Iterator[ast.Name]:
    """Yield the names within f-strings, which have no place before Python 3.12."""
    for node in body:
        if isinstance(node, ast.JoinedStr):
            yield from (name for name in ast.walk(node) if isinstance(name, ast.Name))
