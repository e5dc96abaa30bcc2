"""The portable tests once more, on MicroPython, in as much heap as a board has and in a third."""

import ast
import subprocess
from pathlib import Path

import pytest
from interpreter import ROOT, find_program
from portable import (
    FILES,
    LANES_KB,
    PORTABLE,
    TESTS,
    TREES,
    check_ran,
    constant,
    count_tests,
    heaps_kb,
    runs_on,
)

# What a portable file may not import: no board has it, and a test that needs it is not portable.
_CPYTHON_ONLY = {"dataclasses", "hypothesis", "pytest", "random", "typing", "unittest"}


def complaints(source):
    """Return what is wrong with the source of one test file."""
    tree = ast.parse(source)
    found = []
    if not count_tests(tree):
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
    if (constant(tree, "HEAP_KB_MIN") or LANES_KB[0] + 1) <= LANES_KB[0]:
        found.append(f"every module runs in {LANES_KB[0]} kB: leave HEAP_KB_MIN out")
    return found


RUNS = [(path, heap_kb) for path in PORTABLE for heap_kb in heaps_kb(TREES[path])]


@pytest.mark.parametrize(("path", "heap_kb"), RUNS, ids=[f"{p.stem}-{kb}k" for p, kb in RUNS])
def test_on_micropython(path: Path, heap_kb, compiled):
    program = find_program("micropython", "PYV_MICROPYTHON")
    options = ["-X", f"heapsize={heap_kb}k"]
    command = [program, *options, "tests/run_portable.py", "--from", str(compiled), path.stem]
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    check_ran(command, ran, path)


def test_heap_is_as_small_as_asked_for():
    program = find_program("micropython", "PYV_MICROPYTHON")
    for heap_kb in LANES_KB:
        command = [program, "-X", f"heapsize={heap_kb}k", "-c", "bytearray(%d)"]
        for size, status in ((heap_kb * 1024 // 2, 0), (heap_kb * 1024, 1)):
            command[-1] = f"bytearray({size})"
            ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert ran.returncode == status, (heap_kb, size, ran.stdout + ran.stderr)


def test_module_runs_in_every_lane_that_is_large_enough():
    for source, lanes in (
        ("", [64, 192]),
        ("HEAP_KB_MIN = 100", [192]),
        ("HEAP_KB_MIN = 192", [192]),
        ("HEAP_KB_MIN = 193", [193]),
        ("HEAP_KB_MIN = 512", [512]),
    ):
        assert heaps_kb(ast.parse(source)) == lanes, source


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
        "HEAP_KB_MIN = 64\n" + good,
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
