"""What modules of made-up packages and the tests that install them have in common."""

import threading

from pyv_edge_agent.adapters.third_party import GROUP

GATES = {}  # events that such modules wait for, by name
MADE = []  # adapters that were made


def gate(name):
    """Return an event that the test sets."""
    return GATES.setdefault(name, threading.Event())


def install(folder, name, code, *kinds):
    """Install a package whose module `name` has `code`; each kind is the name in it."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    points = "".join(f"{kind} = {name}:{kind}\n" for kind in kinds)
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}")
    (folder / f"{name}.py").write_text(code)
