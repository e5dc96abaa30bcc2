"""One source: its tree, and edits of its text that leave every line where it is."""

import ast
from collections.abc import Iterable
from typing import NamedTuple

FOR_CHECKERS = "TYPE_CHECKING"
Node = ast.stmt | ast.expr | ast.arg


class Edit(NamedTuple):
    """Text in place of another one, which may begin and end on different lines."""

    line: int  # from 1
    column: int  # in bytes
    end_line: int
    end_column: int
    text: str


def replaced(node: Node, text: str) -> Edit:
    """Return the edit that puts `text` in place of a node."""
    end_line, end_column = node.end_lineno, node.end_col_offset
    assert end_line is not None and end_column is not None
    return Edit(node.lineno, node.col_offset, end_line, end_column, text)


def renamed(node: ast.Attribute, name: str) -> Edit:
    """Return the edit that gives an attribute another name: only what is behind the dot."""
    whole = replaced(node, name)
    return whole._replace(
        line=whole.end_line, column=whole.end_column - len(node.attr.encode("utf-8"))
    )


class SourceError(Exception):
    """A source is no Python; the text is one line: which, why and where."""


class Source:
    """One file of a set."""

    def __init__(self, path: str, content: bytes) -> None:
        """Parse it. Raises SourceError."""
        self.content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self.path = path
        parts = path.removesuffix(".py").split("/")
        self._is_package = parts[-1] == "__init__"
        self.module = ".".join(parts[:-1] if self._is_package else parts)
        try:
            # Decoded: columns are those of UTF-8, which is also all that MicroPython reads.
            self.tree = ast.parse(self.content.decode("utf-8"))
        except SyntaxError as error:
            where = f" line {error.lineno}" if error.lineno else ""
            raise SourceError(f"{path}: can't be compiled: {error.msg}{where}") from error
        except ValueError as error:  # not UTF-8; of some versions, for a zero
            raise SourceError(f"{path}: can't be compiled: {error}") from error
        self.nodes = list(ast.walk(self.tree))
        self.for_checkers = [node for node in self.nodes if _is_for_checkers(node)]
        skipped = {id(node) for block in self.for_checkers for node in ast.walk(block)}
        self.nodes = [node for node in self.nodes if id(node) not in skipped]
        self.names = [node for node in self.nodes if isinstance(node, ast.Name)]
        self.attributes = [node for node in self.nodes if isinstance(node, ast.Attribute)]
        documentation = {id(text) for node in self.nodes for text in _documentation(node)}
        # What `getattr` or a call with ** could make a name of.
        self.texts = {
            node.value
            for node in self.nodes
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documentation
        }
        lists = [text.split() for text in self.texts]
        self.words = self.texts | {
            word for words in lists if all(map(str.isidentifier, words)) for word in words
        }
        self.imports = [
            (node, self._origin(node)) for node in self.nodes if isinstance(node, ast.ImportFrom)
        ]

    def _origin(self, node: ast.ImportFrom) -> str:
        """Return the whole name of the module that something is imported from."""
        if not node.level:
            return node.module or ""
        parts = self.module.split(".")
        start = parts[: len(parts) - node.level + self._is_package]
        return ".".join([*start, node.module] if node.module else start)

    def edited(self, edits: Iterable[Edit]) -> bytes:
        """Return the content with these edits, of which no two overlap."""
        lines = self.content.split(b"\n")
        for edit in sorted(set(edits), reverse=True):  # so that places stay what they are
            end = lines[edit.end_line - 1][edit.end_column :]
            start = lines[edit.line - 1][: edit.column]
            empty = [b""] * (edit.end_line - edit.line)
            lines[edit.line - 1 : edit.end_line] = [start + edit.text.encode() + end, *empty]
        return b"\n".join(lines)


def _is_for_checkers(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == FOR_CHECKERS
        and not node.orelse
    )


def _documentation(node: ast.AST) -> list[ast.expr]:
    """Return the text that is a statement: a docstring."""
    return [node.value] if isinstance(node, ast.Expr) else []


def bound_by(node: ast.AST) -> list[str]:
    """Return the names that a node gives a meaning, but for those of `from ... import`."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        return [node.id]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.ExceptHandler) and node.name is not None:
        return [node.name]
    if isinstance(node, ast.Import):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    return node.names if isinstance(node, ast.Global | ast.Nonlocal) else []
