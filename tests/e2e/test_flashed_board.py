"""From an empty flash to readings in the store: the flasher, a virtual board, the real agent."""

import json
import random
import re
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest
from profiles import IS_LONG
from pyv_edge_tools.virtual import RP2_CDC, Board
from rig import micropython_command, serial_device, wait_for
from test_operate import command

SENSOR = """
from array import array
from pyv_edge_core.reading import Channel
class Sensor:
    def __init__(self, section, board):
        self.channels = [Channel('own', '', 0)]
        self.values = array('i', [0])
        self.turns = 0
    def measure(self, uptime_s, uptime_ms):
        self.turns += 1
        self.values[0] = self.turns
        FAULT
"""


def settings(*sensors, **more):
    sensors = sensors or (
        {"type": "simulated", "channel": "temperature", "interval_ms": 50, "noise": 0},
    )
    return {
        "device_id": "flashed",
        "sensors": list(sensors),
        "healthy_after_s": 1,
        "watchdog_ms": 1500,
        "vitals_interval_ms": 200,
        **more,
    }


@pytest.fixture
def board(tmp_path):
    if find_spec("mpremote") is None:
        pytest.skip("no mpremote: pip install '.[flash]' in a clone")
    micropython = micropython_command()[0]
    with Board(tmp_path / "board", manner=RP2_CDC, micropython=micropython) as played:
        wait_for(lambda: played.is_up and played.path.exists(), "the board")
        yield played


@pytest.fixture
def flash(board, tmp_path):
    """Return a function that runs pyv-edge-flash on the board, and returns what it prints."""

    def run(name, *arguments, status=0):
        words = [sys.executable, "-m", "pyv_edge_tools.flash", name, "--port", str(board.path)]
        done = subprocess.run(
            [*words, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def write(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def own_sensor(tmp_path, fault="pass"):
    """Return a folder with a sensor, and the settings of one that has it."""
    folder = write(tmp_path / "own" / "mine.py", SENSOR.replace("FAULT", fault)).parent
    with_it = settings({"type": "mine", "interval_ms": 100})
    return folder, write(tmp_path / "mine.json", with_it)


def info(agent):
    return command(agent, "device", "info", "greenhouse", "--json")


@pytest.fixture
def agent(board, agents):
    return agents({"sensors": {"devices": [serial_device("greenhouse", board.path)]}})


def is_up(agent):
    return info(agent)["state"] == "up"


def test_board_is_flashed_updated_under_an_agent_and_rolled_back(board, flash, agent, tmp_path):
    first = write(tmp_path / "device.json", settings())
    flash("deploy", "--settings", first)
    agent.start()
    wait_for(lambda: is_up(agent) and agent.ledger().total("stored") > 20, "readings")
    before = info(agent)
    assert not before["on_trial"] and before["boots"] >= 1

    folder, second = own_sensor(tmp_path)
    said = flash(
        *("deploy", "--settings", second, "--own-sensors", folder, "--config", agent.config)
    )
    assert "the agent lends the port of greenhouse" in said
    assert "greenhouse keeps" in said
    wait_for(lambda: is_up(agent), "the board")
    after = info(agent)
    assert after["firmware_hash"] != before["firmware_hash"] and not after["on_trial"]
    assert "drift" in flash("probe", "--config", agent.config)

    flash("rollback", "--config", agent.config)
    old = before["firmware_hash"]
    wait_for(lambda: info(agent).get("firmware_hash") == old, "the old set")
    wait_for(lambda: is_up(agent), "the board")
    assert agent.ledger().is_balanced
    assert agent.ledger().total("duplicates") == 0


def test_deploy_whose_terminal_is_closed_gives_the_port_back(board, flash, agent, tmp_path):
    settings_path = write(tmp_path / "device.json", settings())
    flash("deploy", "--settings", settings_path)
    agent.start()
    wait_for(lambda: is_up(agent), "the board")
    before = info(agent)
    folder, second = own_sensor(tmp_path)
    write(folder / "much.py", f"DATA = {random.Random(1).randbytes(20_000)!r}\n")
    words = ("deploy", "--json", "--port", board.path, "--config", agent.config)
    words += ("--settings", second, "--own-sensors", folder)
    process = subprocess.Popen(
        [sys.executable, "-m", "pyv_edge_tools.flash", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # The tests themselves may run under nohup.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    assert "the agent lends the port" in process.stdout.readline()
    while json.loads(process.stdout.readline())["event"] != "progress":
        pass
    process.send_signal(signal.SIGHUP)
    process.stdout.close()  # nobody can be told: a terminal is closed, too
    assert process.wait(200) == 1
    assert process.stderr.read() == ""
    process.stderr.close()
    wait_for(lambda: is_up(agent), "the board runs on, and the agent has its port")
    assert info(agent)["firmware_hash"] == before["firmware_hash"]


def test_update_that_hangs_is_taken_back_by_the_board_itself(board, flash, agent, tmp_path):
    flash("deploy", "--settings", write(tmp_path / "device.json", settings()))
    agent.start()
    wait_for(lambda: is_up(agent), "the board")
    before = info(agent)["firmware_hash"]
    hang = "\n        while self.turns == 3:\n            pass"
    folder, second = own_sensor(tmp_path, fault=hang)
    words = ("deploy", "--settings", second, "--own-sensors", folder, "--config", agent.config)
    said = flash(*words, status=1)
    assert f"greenhouse: went back to {before}" in said
    assert board.watchdog_resets_total == 3
    told = flash("logs", "--config", agent.config)
    assert "app_b was given up: it restarted 3 times and was not kept" in told
    wait_for(lambda: agent.ledger().is_balanced and is_up(agent), "the board")


@pytest.mark.skipif(not IS_LONG, reason="three times the eight seconds of a start; PYV_LONG=1")
def test_update_that_hangs_before_its_loop_is_taken_back_too(board, flash, tmp_path):
    flash("deploy", "--settings", write(tmp_path / "device.json", settings()))
    before = json.loads(flash("probe", "--json"))["firmware_hash"]
    folder, second = own_sensor(tmp_path)
    write(folder / "mine.py", "while True:\n    pass\n")
    said = flash("deploy", "--settings", second, "--own-sensors", folder, status=1)
    assert "no HELLO within" in said
    wait_for(lambda: board.watchdog_resets_total == 3, "three bites of the watchdog")
    assert json.loads(flash("probe", "--json"))["firmware_hash"] == before


def test_mistake_in_a_sensor_of_ones_own_stops_no_other(board, flash, agent, tmp_path):
    folder, _ = own_sensor(tmp_path, fault="self.values[0] = 20.5")
    both = settings({"type": "mine", "interval_ms": 100}, *settings()["sensors"])
    flash("deploy", "--settings", write(tmp_path / "both.json", both), "--own-sensors", folder)
    agent.start()
    wait_for(lambda: is_up(agent) and agent.ledger().total("stored") > 20, "readings")
    said = re.compile(r"own_sensors\.mine: mistake \d+: TypeError: can't convert float to int")
    wait_for(lambda: said.search(agent.text()), "the mistake in the agent's log")
    wait_for(lambda: "in measure" in agent.text(), "where it was")
    assert not info(agent)["safe_mode"]


def test_crashes_in_a_row_end_in_safe_mode_and_a_deploy_mends_it(board, flash, agent, tmp_path):
    folder, first = own_sensor(tmp_path, fault="raise MemoryError")  # of the board, not the sensor
    said = flash("deploy", "--settings", first, "--own-sensors", folder, status=1)
    assert "the board has crashed again and again, and is in safe mode" in said
    agent.start()
    wait_for(lambda: is_up(agent) and info(agent)["safe_mode"], "safe mode")
    assert board.watchdog_resets_total == 0  # steps that fail are no hang
    status = command(agent, "status", "--json")
    part = status["components"]["device/greenhouse"]
    assert (part["status"], "safe mode" in part["reason"]) == ("degraded", True)
    wait_for(lambda: "MemoryError" in agent.text(), "the traceback in the agent's log")

    folder, _ = own_sensor(tmp_path)
    flash("deploy", "--own-sensors", folder, "--config", agent.config)
    wait_for(lambda: is_up(agent) and not info(agent)["safe_mode"], "the board")
    wait_for(lambda: agent.ledger().total("stored") > 5, "readings")
