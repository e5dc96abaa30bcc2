"""The portable tests once more, in the official WebAssembly build of MicroPython, run by node.

A second build, of another version and by other hands. It is of 32 bits, as
boards are: an integer of 31 bits or more takes heap there, which the 64-bit one
never notices. Its file system is in memory; run_portable.mjs copies into it what
the tests read. What it can't show:

- that anything fits: its heap grows by itself beyond any size (a test below
  keeps an eye on that), so there are no lanes here;
- 32-bit floats: it has 64-bit ones.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from installation import PACKAGE, find_wasm
from interpreter import ROOT
from portable import LANES_KB, PORTABLE, check_ran

_HERE = Path(__file__).resolve().parent
_RUNNER = _HERE / "run_portable.mjs"


def _run(bytecode, *modules):
    node, package = find_wasm()
    command = [node, str(_RUNNER), str(package), str(LANES_KB[0]), str(bytecode), *modules]
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    return command, ran


@pytest.mark.parametrize("path", PORTABLE, ids=lambda path: path.stem)
def test_on_wasm(path: Path, compiled):
    command, ran = _run(compiled, path.stem)
    check_ran(command, ran, path)


def test_runner_fails_without_a_test_with_a_failing_one_and_with_none_at_all(tmp_path):
    # In source: a folder of modules is a folder of modules.
    (tmp_path / "nothing.py").write_text("VALUE = 1\n")
    (tmp_path / "failing.py").write_text("def test_a():\n    assert 1 == 2\n")
    (tmp_path / "passing.py").write_text("def test_a():\n    assert 1 == 1\n")
    for module, status, line in (
        ("nothing", 1, "0 passed, 0 failed"),
        ("failing", 1, "0 passed, 1 failed"),
        ("absent", 1, "ImportError: no module named 'absent'"),
        ("passing", 0, "1 passed, 0 failed"),
    ):
        _, ran = _run(tmp_path, module)
        assert (ran.returncode, ran.stdout.strip().splitlines()[-1]) == (status, line), ran
        assert "async function" not in ran.stdout + ran.stderr, "node shows its source"


def test_it_is_what_it_is_said_to_be(tmp_path):
    (tmp_path / "facts.py").write_text(
        "import sys\n"
        "def test_a():\n"
        "    assert sys.implementation.name == 'micropython'\n"
        "    assert sys.implementation.version[:2] == (1, 27)\n"
        "    assert sys.maxsize == 2**31 - 1\n"
        "    assert 1e300 > 0.0\n"
        "    assert len([bytearray(1024) for _ in range(1024)]) == 1024  # out of 64 kB\n"
    )
    _, ran = _run(tmp_path, "facts")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_lock_pins_the_version_and_names_no_registry():
    package = json.loads((_HERE / "package.json").read_text())
    text = (_HERE / "package-lock.json").read_text()
    locked = json.loads(text)["packages"][f"node_modules/{PACKAGE}"]
    assert package["dependencies"] == {PACKAGE: locked["version"]}
    assert locked["integrity"].startswith("sha512-")
    assert "://" not in text, "npm install --package-lock-only in tests/wasm, where .npmrc is"


def test_missing_package_fails_in_ci_and_is_skipped_elsewhere(monkeypatch):
    for ci, outcome in (("true", pytest.fail.Exception), ("", pytest.skip.Exception)):
        monkeypatch.setenv("CI", ci)
        with monkeypatch.context() as without_node:
            without_node.setenv("PATH", "/nowhere")
            with pytest.raises(outcome, match="no node"):
                find_wasm()
        if shutil.which("node"):
            with pytest.raises(outcome, match=r"no @micropython.* build/nowhere"):
                find_wasm(ROOT / "build/nowhere")
