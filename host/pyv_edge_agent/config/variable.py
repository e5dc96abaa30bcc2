"""Variables of the environment in the texts of a file: `${VAR}` and `${VAR:-default}`.

What a variable holds may be a secret, put where it does not belong: no message repeats it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pyv_edge_core.errors import FieldError
from pyv_edge_core.quantity import decimal, show

from .path import join, parents
from .relation import Report

# $${ stands for ${ itself; what else begins with ${ is a fault.
_VARIABLE = re.compile(r"\$(?:(\$\{)|\{(?:([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\})?)")
_NO_VARIABLE = (
    "has a ${ that begins no variable: write ${NAME} or ${NAME:-default}, without another in it,"
    " and $${ for the characters themselves"
)


class Variables:
    """Puts what variables hold into the texts of one file."""

    def __init__(
        self,
        environment: Mapping[str, str] | None,
        fault: Report,
        found: Callable[[str, str], None],
    ) -> None:
        """Tell each fault, and which variables were `found` in the text at a path.

        Without an environment, texts are what they are.
        """
        self._environment = environment
        self._fault = fault
        self._found = found
        self._faulty: set[str] = set()  # paths of texts with a variable that can't be had
        self._texts: dict[str, str] = {}  # what became of texts with variables, by path
        self._texts_in: dict[str, list[str]] = {}  # the same, by path of what they are in

    def plain(self, values: Any, path: str, *, is_needed: bool = True) -> Any:
        """Return `values` with the variables in all its texts replaced.

        One that isn't set is a fault only if it `is_needed`.
        """
        if isinstance(values, str):
            return self._substitute(values, path, is_needed)
        if isinstance(values, dict):
            return {key: self.plain(value, join(path, key)) for key, value in values.items()}
        if isinstance(values, list):
            return [self.plain(value, f"{path}[{i}]") for i, value in enumerate(values)]
        return values

    def _substitute(self, text: str, path: str, is_needed: bool) -> str:
        environment = self._environment
        if environment is None or "${" not in text:
            return text
        if path in self._texts:
            return self._texts[path]
        names = []

        def refuse(problem: str) -> str:
            self._faulty |= {path, *parents(path)}
            self._fault(path, problem)
            return ""

        def value(match: re.Match[str]) -> str:
            literal, name, _, default = match.groups()
            if literal is not None:
                return "${"
            if name is None or "${" in (default or ""):
                return refuse(_NO_VARIABLE)
            if name in environment:
                names.append(name)
                return environment[name]
            if default is None and is_needed:
                return refuse(f"environment variable {name} is not set and has no default")
            return str(default or "")

        plain = _VARIABLE.sub(value, text)
        self._texts[path] = plain
        for place in (path, *parents(path)):
            self._texts_in.setdefault(place, []).append(plain)
        if names:
            self._found(path, ", ".join(dict.fromkeys(names)))
        return plain

    def is_faulty(self, path: str) -> bool:
        """Return whether a variable in the value at `path` can't be had."""
        return path in self._faulty

    def hide(self, problem: str, path: str) -> str:
        """Return what the core says of the value at `path`, without what variables hold."""
        table = next(parents(path), "")
        texts = self._texts_in.get(path, [])
        if table.endswith("]"):  # its keys are judged together
            texts = texts + self._texts_in.get(table, [])
        for text in texts:
            problem = problem.replace(repr(text), "the value")
            try:
                number = re.escape(show(decimal(text)))
            except FieldError:
                continue
            problem = re.sub(rf"(?<![\w.]){number}(?![\w.])", "the value", problem)
        return problem
