"""The portable tests once more, on MicroPython and in as much heap as a board has."""

import ast
import subprocess
from pathlib import Path

import pytest
from interpreter import ROOT, find_program

TESTS = ROOT / "tests"
FILES = sorted([*TESTS.glob("core/test_*.py"), *TESTS.glob("firmware/test_*.py")])
# What a portable file may not import: no board has it, and a test that needs it is not portable.
_CPYTHON_ONLY = {"dataclasses", "hypothesis", "pytest", "random", "typing", "unittest"}


HEAP_KB = 192  # of a Raspberry Pi Pico W; a module that needs more says so and why


def constant(tree, name):
    """Return the value of a constant of the module, None if it has none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    return None


def runs_on(tree):
    """Return the value of the module's RUNS_ON, None if it has none: it is portable then."""
    return constant(tree, "RUNS_ON")


def complaints(source):
    """Return what is wrong with the source of one test file."""
    tree = ast.parse(source)
    found = []
    if not [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name[:5] == "test_"]:
        found.append("it has no test: delete the file or name its functions test_...")
    if runs_on(tree) is None:
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                if name.split(".")[0] in _CPYTHON_ONLY:
                    found.append(f'it imports {name}: say RUNS_ON = ("cpython",) or do without')
    elif "micropython" in runs_on(tree):
        found.append("RUNS_ON that names micropython says nothing: leave it out")
    return found


PORTABLE = [path for path in FILES if runs_on(ast.parse(path.read_text())) is None]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """All of it as bytecode of the oldest firmware we support, as a board would have it."""
    cross = find_program("mpy-cross")
    target = tmp_path_factory.mktemp("bytecode")
    for folder in ("shared", "firmware/pyv_edge_node", "tests/core", "tests/firmware"):
        source = ROOT / folder
        base = source.parent if folder.endswith("_node") else source
        for path in source.rglob("*.py"):
            if path in FILES and path not in PORTABLE:
                continue
            out = target / path.relative_to(base).with_suffix(".mpy")
            out.parent.mkdir(parents=True, exist_ok=True)
            name = str(path.relative_to(ROOT))  # short: it is in the heap of each test
            subprocess.run([cross, "-s", name, "-o", str(out), str(path)], check=True)
    return target


@pytest.mark.parametrize("path", PORTABLE, ids=lambda path: path.stem)
def test_on_micropython(path: Path, compiled):
    program = find_program("micropython", "PYV_MICROPYTHON")
    heap_kb = constant(ast.parse(path.read_text()), "HEAP_KB") or HEAP_KB
    options = ["-X", f"heapsize={heap_kb}k"]
    command = [program, *options, "tests/run_portable.py", "--from", str(compiled), path.stem]
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}{ran.stderr}"
    passed = int(ran.stdout.splitlines()[-1].split(" passed")[0])
    # Both interpreters see the same tests: none gets lost on the way.
    tree = ast.parse(path.read_text())
    tests = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name[:5] == "test_"]
    assert passed == len(tests)


def test_runner_fails_without_a_test_and_with_a_failing_one(tmp_path):
    program = find_program("micropython", "PYV_MICROPYTHON")
    (tmp_path / "nothing.py").write_text("VALUE = 1\n")
    (tmp_path / "failing.py").write_text("def test_a():\n    assert 1 == 2\n")
    (tmp_path / "passing.py").write_text("def test_a():\n    assert 1 == 1\n")
    for module, status, line in (
        ("nothing", 1, "0 passed, 0 failed"),
        ("failing", 1, "0 passed, 1 failed"),
        ("passing", 0, "1 passed, 0 failed"),
    ):
        # The runner looks for modules beside the working directory too.
        ran = subprocess.run(
            [program, str(TESTS / "run_portable.py"), module],
            cwd=tmp_path,
            env={"MICROPYPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert (ran.returncode, ran.stdout.splitlines()[-1]) == (status, line), ran


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_has_tests_and_is_as_portable_as_it_says(path: Path):
    assert complaints(path.read_text()) == [], path


def test_guard_finds_what_it_is_for():
    good = "def test_a():\n    assert 1\n"
    assert complaints(good) == []
    assert complaints('import pytest\nRUNS_ON = ("cpython",)\n' + good) == []
    for bad in (
        "def helper():\n    pass\n",
        "import pytest\n" + good,
        "from typing import Any\n" + good,
        "import os, random\n" + good,
        'RUNS_ON = ("cpython", "micropython")\n' + good,
    ):
        assert len(complaints(bad)) == 1, bad


def test_there_is_something_to_run():
    assert len(PORTABLE) >= 10
    assert {path.parent.name for path in PORTABLE} == {"core", "firmware"}


def test_missing_program_fails_in_ci_and_is_skipped_elsewhere(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no such-program"):
        find_program("such-program")
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match="no such-program"):
        find_program("such-program")
