"""The README: its five minutes are played on a virtual board, its guarantees name real tests."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import generate_benchmarks_md
import generate_pictures
import pytest
from host.waiting import wait_for
from pyv_edge_agent.config import Config
from pyv_edge_agent.store import read_ledger
from pyv_edge_core import __version__
from pyv_edge_tools import board_settings
from rig import micropython_command

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEADLINE_S = 60
# What a reader without a Pico writes instead.
INSTEAD = {"/dev/ttyACM0": "board/tty", "mcu_temperature": "simulated"}
SENSOR = "greenhouse.simulated"
PICTURE_BYTES_MAX = 150_000


def section(title):
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


# -- five minutes ----------------------------------------------------------------------

WALK, PLAYED, _ = re.split(
    "\n### (?:Without a Pico|From here)\n", section("Five minutes from a bare Pico to a chart")
)
# What takes hands, or a USB bus; and what takes their place.
ONLY_REAL = ("pyv-edge-flash firmware", "pyv-edge-flash list")
ONLY_PLAYED = ("pyv-edge-flash virtual board",)


def commands(text):
    """Return the commands of a text, in their order."""
    lines = "".join(blocks(text, "sh")).splitlines()
    return [line.split("#")[0].strip() for line in lines]


def instead(text):
    for real, played in INSTEAD.items():
        text = text.replace(real, played)
    return text


def test_steps_with_a_pico_are_those_that_are_played():
    (install, *real), (install_played, *played) = commands(WALK), commands(PLAYED)
    assert {*ONLY_REAL} <= {*real} and {*ONLY_PLAYED} <= {*played}
    assert [instead(one) for one in real if one not in ONLY_REAL] == [
        one for one in played if one not in ONLY_PLAYED
    ]
    assert install_played == install.replace("]", ",micropython]")


def test_settings_of_the_bare_pico_are_those_that_are_played(tmp_path):
    (real,), (played,) = blocks(WALK, "json"), blocks(PLAYED, "json")
    assert instead(real) == played
    (tmp_path / "device.json").write_text(real)
    assert board_settings.read(tmp_path / "device.json").own_types == ()
    assert [one["type"] for one in json.loads(real)["sensors"]] == ["mcu_temperature"]


def test_port_of_the_played_board_is_told():
    (configuration,) = blocks(WALK, "toml")
    assert 'port = "/dev/ttyACM0"' in configuration
    assert '`edge.toml` is that of step 4 with `port = "board/tty"`' in PLAYED
    assert "**4. The agent.**" in WALK


@pytest.mark.parametrize("text", [WALK, PLAYED])
def test_extras_of_the_readme_are_there(text):
    (command,) = [line for line in commands(text) if line.startswith("pip ")]
    extras = re.search(r"'\.\[(.+)\]'", command)[1].split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras) <= set(project["optional-dependencies"])


def test_interpreter_of_the_played_board_comes_where_the_readme_says():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (needed,) = project["optional-dependencies"]["micropython"]
    assert "'linux'" in needed and "'x86_64'" in needed
    assert "python_version >= '3.11' and python_version < '3.14'" in needed
    assert "on Linux on x86-64 with Python 3.11 to 3.13" in " ".join(PLAYED.split())


def test_version_and_licence_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"\nVersion {__version__}, " in README
    assert f"[{project['license']}](LICENSE)" in README and (ROOT / "LICENSE").is_file()


class Reader:
    """Somebody who follows the README in a folder, without a Pico."""

    def __init__(self, folder):
        self.folder = folder
        self.told = {}  # what each command has said, by its first two words
        self.environment = {**os.environ, "TZ": "UTC", "NO_PROXY": "*"}
        self.environment.pop("PYV_EDGE_CONFIG", None)

    def write(self, name, text):
        (self.folder / name).write_text(text)

    @contextmanager
    def beside(self, command, log):
        """Run a command in another terminal while the block lasts."""
        with (self.folder / log).open("wb") as file:
            process = subprocess.Popen(
                self._words(command),
                cwd=self.folder,
                stdout=file,
                stderr=file,
                env={**self.environment, "PYTHONUNBUFFERED": "1"},
            )
        try:
            yield lambda: (self.folder / log).read_text()
        finally:
            process.terminate()
            process.wait(DEADLINE_S)

    def type(self, command, status=0):
        done = subprocess.run(
            self._words(command),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * DEADLINE_S,
            env=self.environment,
        )
        assert done.returncode == status, (command, done.stdout)
        self.told[" ".join(command.split()[:2])] = done.stdout
        return done.stdout

    def _words(self, command):
        first, *rest = shlex.split(command)
        return [str(BIN / first), *rest]


def ask(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=DEADLINE_S) as reply:
        return reply.read().decode()


@pytest.mark.timeout(300)
def test_five_minutes_lead_to_a_chart(tmp_path):
    micropython_command()
    install, virtual, deploy, check, run, *look = commands(PLAYED)
    # It would take an index of packages: see test_wheel.
    assert install.startswith("pip install")
    (settings,), (configuration,) = blocks(PLAYED, "json"), blocks(WALK, "toml")
    reader = Reader(tmp_path)
    with reader.beside(virtual, "board.log"):
        wait_for((tmp_path / "board" / "tty").exists, "the board", DEADLINE_S)
        reader.write("device.json", settings)
        reader.type(deploy)
        said = reader.told["pyv-edge-flash deploy"]
        assert "HELLO of greenhouse-1" in said and "app_a is in force" in said
        own = "\n[health]\nport = 0\n[time]\nsource = 'trusted'\n"  # of a test
        reader.write("edge.toml", instead(configuration) + own)
        reader.type(check)
        assert reader.told["pyv-edge-host config"] == "edge.toml: ok\n"
        assert run == "pyv-edge-host run"
        with reader.beside(run, "agent.log") as log:
            wait_for(lambda: "EdgeAgent started" in log(), "the agent", DEADLINE_S)
            wait_for(lambda: stored(tmp_path) >= 3, "three readings", DEADLINE_S)
            for command in look:
                reader.type(command)
            page = re.search(r"health is served at (http://[\d.:]+)/health", log())[1]
            assert "<title>Pyvorin Edge</title>" in ask(f"{page}/")
            query = f"sensor={SENSOR}&start_ms=0&end_ms=4000000000000&points=100"
            chart = json.loads(ask(f"{page}/api/v1/readings?{query}"))
    assert sum(chart["count"]) >= 3
    assert reader.told["pyv-edge-host status"].startswith("agent    healthy\n")
    assert re.search(rf"^{SENSOR}: \d+ readings from", reader.told["pyv-edge-host plot"], re.M)
    assert re.search(r"^greenhouse-1 .* balances$", reader.told["pyv-edge-host ledger"], re.M)


@pytest.mark.timeout(300)
def test_settings_of_a_pico_on_a_played_board_are_refused_with_what_to_type(tmp_path):
    micropython_command()
    _, virtual, deploy, *_ = commands(PLAYED)
    (settings,) = blocks(WALK, "json")
    reader = Reader(tmp_path)
    with reader.beside(virtual, "board.log"):
        wait_for((tmp_path / "board" / "tty").exists, "the board", DEADLINE_S)
        reader.write("device.json", settings)
        told = reader.type(deploy, status=1)
    assert "type: needs a real board; this one (rp2) is played: use simulated" in told


def test_firmware_tells_how_micropython_gets_onto_a_pico(tmp_path):
    reader = Reader(tmp_path)
    assert "RPI_PICO" in reader.type(ONLY_REAL[0])


def test_clock_that_is_not_set_is_told_as_the_readme_says():
    text = " ".join(WALK.split())
    shown = re.search(r"`status` begins with `(\w+)` and `(clock): ([^`]+)`", text)
    table = (ROOT / "MONITORING.md").read_text("utf-8")  # made by breaking each part
    assert f"| `{shown[2]}` | {shown[1]} | {shown[3]} |" in table


def stored(folder):
    return read_ledger(folder / "data" / "edge_store.db").total("stored")


# -- what else it shows ----------------------------------------------------------------


def test_configurations_are_valid(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_API_KEY", "k")
    path = tmp_path / "edge.toml"
    board, cloud = blocks(README, "toml")
    path.write_text(board)
    assert Config.from_file(path).get("sensors", "devices")[0]["port"] == "/dev/ttyACM0"
    path.write_text(board + cloud)
    assert Config.from_file(path).get("cloud", "api_key") == "k"


def test_python_runs(tmp_path):
    (code,) = blocks(README, "python")
    (tmp_path / "edge.toml").write_text(
        '[health]\nport = 0\n[[sensors.devices]]\nname = "a"\ningest_type = "simulator"\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    shown = next(line for line in done.stdout.splitlines() if line.startswith("{'running'"))
    assert ast.literal_eval(shown)["running"] is True


def anchors(document):
    """Return what GitHub calls the headings of a document in links."""
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


def test_links_lead_to_headings_that_are_there():
    links = re.findall(r"\]\(([\w.]*)#([\w-]+)\)", README)
    assert len(links) >= 4
    for name, anchor in links:
        assert anchor in anchors(ROOT / (name or "README.md")), f"{name}#{anchor}"


def test_every_document_is_listed():
    listed = set(re.findall(r"^\| \[(\w+\.md)\]", section("Where to read on"), re.MULTILINE))
    there = {path.name for path in ROOT.glob("*.md")} - {"README.md"}
    assert listed == there


def test_comparison_is_what_was_measured():
    assert generate_benchmarks_md.generate_readme(README) == README, "make docs"


# -- what is guaranteed ----------------------------------------------------------------


def functions(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_each_guarantee_names_tests_that_exist():
    rows = re.findall(r"^\| \*\*(.+) \|$", section("What is guaranteed"), re.MULTILINE)
    assert len(rows) >= 10
    for row in rows:
        _, is_not, tried_by = row.split(" | ")
        assert is_not, row
        tests = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", tried_by)
        assert tests and len(tests) == tried_by.count("`") // 2, row
        for path, name in tests:
            assert name in functions(ROOT / path), f"{path}::{name}"


# -- pictures; tests/browser/test_pictures.py makes them anew ----------------------------


def test_pictures_are_small_and_shown():
    shown = set(re.findall(r"!\[[^\]]{20,}\]\((images/[\w.]+)\)", README))
    assert shown == {f"images/{path.name}" for path in (ROOT / "images").iterdir()}
    for name in shown:
        assert (ROOT / name).stat().st_size < PICTURE_BYTES_MAX, f"{name}: make pictures"


def test_picture_of_the_page_is_one():
    found = generate_pictures.Png((ROOT / "images/page.png").read_bytes())
    assert (found.width, found.height) == (generate_pictures.WIDTH, generate_pictures.HEIGHT)
    assert len(found.lines) == found.height
    assert len(found.colours()) > 100


def test_picture_of_the_terminal_ends_as_the_demo_does():
    lines = generate_pictures.shown_in((ROOT / "images/demo.svg").read_text(encoding="utf-8"))
    assert "$ make demo" in lines
    assert lines[-1] == "every reading is accounted for: yes"
