"""The wheel: what is in it, and that it works where nothing else is installed."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pyv_edge_tools.virtual_board import find_micropython

ROOT = Path(__file__).parents[1]
TOP_LEVEL = {"pyv_edge_agent", "pyv_edge_core", "pyv_edge_node", "pyv_edge_tools"}
SCRIPTS = ("pyv-edge", "pyv-edge-host", "pyv-edge-flash", "pyv-edge-bridge")


def run(*command, **more):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **more)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def clean(tmp_path_factory, wheel):
    """A virtual environment with the wheel and what it asks for, nothing else."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    assert run(sys.executable, "-m", "venv", folder).returncode == 0
    done = run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    assert done.returncode == 0, done.stderr
    return folder


def test_wheel_holds_the_four_packages_and_the_device_files(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == TOP_LEVEL
    for name in ("main.py", "boot.py", "device.example.json"):
        assert f"pyv_edge_tools/device_files/{name}" in names
    for name in ("pyv-edge.service", "pyv-edge.sysusers", "pyv-edge.rules"):
        assert f"pyv_edge_agent/systemd/{name}" in names
    for name in ("openapi.json", "page/index.html", "page/main.js", "page/app.css"):
        assert f"pyv_edge_agent/dashboard/{name}" in names
    assert not [name for name in names if "test_" in name.lower() or "__pycache__" in name]


def test_wheel_brings_only_its_dependencies(clean):
    done = run(clean / "bin" / "python", "-m", "pip", "list", "--format", "json")
    found = {package["name"].lower() for package in json.loads(done.stdout)}
    known = {"pip", "setuptools", "pyv-edge", "pyserial", "psutil", "requests", "tomli"}
    known |= {"prometheus_client", "prometheus-client"}  # by pip's version
    of_requests = {"certifi", "charset-normalizer", "idna", "urllib3"}
    assert found <= known | of_requests
    assert "pyv-edge" in found


def test_every_script_starts_from_the_wheel(clean, tmp_path):
    for script in SCRIPTS:
        done = run(clean / "bin" / script, "--help", cwd=tmp_path)
        assert done.returncode == 0, script
        assert "usage:" in done.stdout


def test_article_example_prints_what_it_says_and_opens_nothing(clean, tmp_path):
    code = (
        "from pyv_edge_agent.main import EdgeAgent;"
        "a = EdgeAgent(config_path='x.toml'); print(a.is_running, a.health())"
    )
    done = run(clean / "bin" / "python", "-c", code, cwd=tmp_path)
    assert done.stdout.strip() == (
        "False {'running': False, 'config_path': 'x.toml', 'buffer_count': 0,"
        " 'cloud_pending': 0, 'privacy_enabled': True}"
    )
    assert list(tmp_path.iterdir()) == []


def test_agent_without_cloud_and_port_loads_no_heavy_library(clean, tmp_path):
    config = tmp_path / "a.toml"
    config.write_text(
        '[health]\nport = 0\n[[sensors.devices]]\nname = "a"\ningest_type = "simulator"\n'
    )
    code = (
        "import sys; from pyv_edge_agent.main import EdgeAgent\n"
        f"with EdgeAgent({str(config)!r}) as a: a.run_once()\n"
        "print(sorted({'requests', 'serial', 'psutil', 'urllib3'} & set(sys.modules)))"
    )
    done = run(clean / "bin" / "python", "-c", code, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_demo_runs_from_the_wheel(clean, tmp_path):
    environment = dict(os.environ)
    micropython = find_micropython()
    if micropython:
        environment["PYV_MICROPYTHON"] = micropython
    done = run(
        clean / "bin" / "pyv-edge-host",
        *("demo", "--seconds", "2", "--boards", "1", "--rate", "40", "--json"),
        cwd=tmp_path,
        env=environment,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["conserved"] is True
    assert list(tmp_path.iterdir()) == []
