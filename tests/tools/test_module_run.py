"""Modules of ours run in a Python of their own, whatever files the user's folder has."""

import fcntl
import json
from pathlib import Path

import pytest
from pyv_edge_tools import board_settings
from pyv_edge_tools.board_settings import BoardSettingsError
from pyv_edge_tools.flash import loan
from pyv_edge_tools.flash.problem import FlashError
from pyv_edge_tools.flash.telling import Telling
from pyv_edge_tools.module_run import run_module

# As a project for MicroPython has them, and one that Python itself begins with.
NAMES = ("typing", "json", "dataclasses", "runpy", "pyv_edge_core")


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A folder whose files must not be run, where the user is."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('theirs is run')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_settings_are_judged_by_ours_and_named_as_the_user_does():
    path = Path("device.json")
    sensor = {"type": "simulated", "channel": "s", "interval_ms": 100}
    path.write_text(json.dumps({"sensors": [sensor]}))
    assert board_settings.read(path).own_types == ()
    path.write_text(json.dumps({"sensors": [{**sensor, "interval_ms": 0}]}))
    with pytest.raises(BoardSettingsError, match=r"^device\.json\.sensors\[0\]\.interval_ms: 0 "):
        board_settings.read(path)


def test_agent_is_asked_by_ours_with_a_configuration_beside_the_user():
    Path("agent.toml").write_text("nonsense = 1\n")
    with Path("port").open("w") as port:
        fcntl.flock(port, fcntl.LOCK_EX)
        borrowed = loan.borrow("port", "agent.toml", Telling(is_json=True))
        with pytest.raises(FlashError, match=r"device ls says: .*agent\.toml"), borrowed:
            pass


def test_input_arguments_and_ending_are_the_modules():
    done = run_module("pyv_edge_tools.settings_judge", "a name", content=b"{")
    assert json.loads(done.stdout)["problem"].startswith("a name: is not JSON")
    done = run_module("pyv_edge_agent.cli", "no-such-command")
    assert (done.returncode, done.stdout) == (2, b"") and b"no-such-command" in done.stderr
