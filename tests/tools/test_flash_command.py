"""The flasher's command line: what it prints, and how it ends."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest
from flash_rig import put_on, tiny
from pyv_edge_tools.flash import ports
from pyv_edge_tools.flash.command import run
from pyv_edge_tools.flash.firmware import BOARDS
from virtual_rig import played


def call(*words):
    """Run a command in this process; return (status, stdout, stderr)."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = run([str(word) for word in words])
        except SystemExit as ended:
            status = ended.code
    return status, out.getvalue(), err.getvalue()


def test_firmware_tells_the_steps_for_each_board():
    status, out, _ = call("firmware")
    assert status == 0
    for name in BOARDS:
        assert f"{name}:\n  1. Download https://micropython.org/download/" in out
    assert "BOOTSEL" in call("firmware", "rp2")[1]
    assert "--chip esp32c3 --port PORT write_flash 0x0" in call("firmware", "esp32c3")[1]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("firmware", "pdp11"), 1, "pdp11: is no board we know; there are rp2, "),
        (("firmware", "esp32", "--image", "no.bin"), 1, "--image: say which board it is for"),
        (("firmware", "esp32", "--image", "no.bin", "--port", "p"), 1, "no.bin: there is no such"),
        (("firmware", "rp2", "--image", "no.uf2", "--port", "p"), 1, "rp2: takes no esptool"),
        (("probe", "--port", "/dev/no-such"), 1, "/dev/no-such: there is no such port; `list`"),
        (("probe", "--port", "a", "--id", "b"), 1, "--port and --id name the same thing"),
        (("deploy", "--port", "x", "--settings", "no.json"), 1, "no.json: can't be read"),
        (("deploy", "--port", "x", "--own-sensors", "no"), 2, "no: there is no .py file in it"),
        (("probe", "--port", "/dev/null"), 1, "/dev/null: is no serial port; `list`"),
        (("probe", "--port", __file__), 1, f"{__file__}: is no serial port; `list`"),
        (("probe", "--port", "/dev"), 1, "/dev: is no serial port; `list`"),
        (("probe", "--port", "/dev/null", "--config", "no.toml"), 1, "no.toml: there is no such"),
        (("nonsense",), 2, "invalid choice: 'nonsense'"),
    ],
)
def test_what_is_wrong_is_one_line(words, status, said):
    found, out, err = call(*words)
    assert (found, out) == (status, "")
    assert said in err and len(err.splitlines()) <= 3


def test_settings_that_are_no_json_leave_the_board_alone(tmp_path):
    path = tmp_path / "device.json"
    path.write_text("{")
    status, _, err = call("deploy", "--port", "/dev/no-such", "--settings", path)
    assert (status, str(path) in err, "is not JSON" in err) == (1, True, True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("simulated.py", "'simulated' is a sensor of ours: give it another name"),
        ("no-name.py", "is no name for a module"),
        ("folder.py", "can't be read (Is a directory)"),
        ("dangling.py", "can't be read (No such file or directory)"),
    ],
)
def test_sensor_of_ones_own_that_cannot_be_taken_is_one_line(tmp_path, name, said):
    path = tmp_path / name
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "mine.py").write_text("")
    if "folder" in name:
        path.mkdir()
    elif "dangling" in name:
        path.symlink_to("nothing")
    else:
        path.write_text("")
    found = call("deploy", "--port", "/dev/no-such", "--own-sensors", tmp_path)
    assert found == (2, "", f"pyv-edge-flash: {path}: {said}\n")


def test_faults_are_json_too():
    status, out, err = call("probe", "--port", "/dev/no-such", "--json")
    assert (status, err) == (1, "")
    (line,) = out.splitlines()
    assert json.loads(line)["event"] == "error"


def test_everything_is_a_json_object_per_line(tmp_path):
    settings = tmp_path / "device.json"
    sensors = [{"type": "simulated", "interval_ms": 100}]
    settings.write_text(json.dumps({"device_id": "d", "sensors": sensors}))
    with played(tmp_path / "board") as board:
        words = ("deploy", "--port", board.path, "--settings", settings, "--json")
        status, out, err = call(*words)
        assert (status, err) == (0, "")
        events = [json.loads(line) for line in out.splitlines()]
        assert {event["event"] for event in events} == {"step", "progress", "result"}
        assert events[-1]["changed"] is True and events[-1]["device"] == "d"
        status, out, _ = call("probe", "--port", board.path, "--json")
        (found,) = [json.loads(line) for line in out.splitlines()]
        assert (found["slot"], found["drift"], found["damaged"]) == ("a", False, [])


def test_data_is_erased_and_sets_stay(tmp_path):
    files = {"boots": "1", "spill/1": "x", "spill/t2": "y", "own.txt": "mine"}
    with played(tmp_path / "board", files=files) as board:
        put_on(board, tiny("1"))
        status, out, _ = call("erase-data", "--port", board.path, "--yes")
        assert status == 0
        assert set(out.split()) - {"removed"} == {"boots", "spill/1", "spill/t2"}
        assert "there was nothing" in call("erase-data", "--port", board.path, "--yes")[1]
        board.unplug()
        assert board.flash.read("own.txt") == b"mine"
        assert board.flash.read("app_a/manifest") is not None


def test_erasing_asks_first(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pyv_edge_tools.flash", "erase-data", "--port", "/dev/no-such"],
        input="n\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1 and "nothing was done" in done.stderr


def test_port_that_somebody_holds_is_seen_without_opening_it(tmp_path):
    import fcntl

    path = tmp_path / "port"
    path.write_bytes(b"")
    assert not ports.is_in_use(str(path))
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert ports.is_in_use(str(path))
    assert not ports.is_in_use(str(path))


def test_nothing_is_put_over_a_program_of_somebody_else(tmp_path):
    with played(tmp_path / "board", files={"main.py": "print('theirs')\n"}) as board:
        settings = tmp_path / "device.json"
        settings.write_text('{"sensors": [{"type": "simulated", "interval_ms": 100}]}')
        status, _, err = call("deploy", "--port", board.path, "--settings", settings)
        assert status == 1 and "main.py on the board is not ours" in err
        board.unplug()
        assert board.flash.read("main.py") == b"print('theirs')\n"
