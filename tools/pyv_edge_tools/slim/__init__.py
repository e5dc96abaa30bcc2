"""Takes out of a board's sources what only people read, before bytecode is made of them.

MicroPython keeps each name for ever, and each public constant in the dictionaries of the
module that has it and of those that import it: a fifth of what the code takes of a board's
heap. No line moves and no function gets another name, so tracebacks stay what they are.
"""

from .constants import without_constants
from .names import with_few_names
from .source import Source, SourceError

# What a user's own sensors may import, who are slimmed with nobody; some may be older than this.
PUBLIC = (
    "pyv_edge_core._compat",
    "pyv_edge_core.errors",
    "pyv_edge_core.reading",
    "pyv_edge_node.board",
    "pyv_edge_node.sensors",
    "pyv_edge_node.settings",
)


def slimmed(files: dict[str, bytes], public: tuple[str, ...] = PUBLIC) -> dict[str, bytes]:
    """Return the sources of a set, by path, without what a board has no use for.

    Modules whose names begin like one of `public` keep their own names. Raises
    SourceError for a source that is no Python.
    """
    for change in (without_constants, with_few_names):
        sources = [Source(path, content) for path, content in files.items()]
        files = change(sources, public)
    return files


__all__ = ["PUBLIC", "SourceError", "slimmed"]
