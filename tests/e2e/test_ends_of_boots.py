"""What the ledger knows of a boot that has ended: real node, virtual board, real agent."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
from pyv_edge_agent.port import SerialPort
from pyv_edge_core import message
from pyv_edge_core.frame import FrameDecoder, encode_for_board
from pyv_edge_tools.virtual import RP2_CDC, Board
from rig import micropython_command, serial_device, wait_for
from test_flashed_board import settings, write
from test_operate import command

PATIENCE = 3000  # reads of 10 ms and more


class Person:
    """Somebody at the board's port."""

    def __init__(self, path):
        self.port = SerialPort(str(path), 115200, wait_s=0.01)
        self.port.open()

    def read_until(self, *parts):
        text = b""
        for _ in range(PATIENCE):
            text += self.port.read()
            if all(part in text for part in parts):
                return text
        raise AssertionError(f"no {parts} in {text!r}")

    def write(self, data):
        for _ in range(PATIENCE):
            data = data[self.port.write(data) :]
            if not data:
                return
        raise AssertionError("the board takes nothing")

    def numbered(self):
        """Return which number the board's next reading will have."""
        self.write(encode_for_board(message.pack(message.HELLO_REQUEST, 0, 0, 0)))
        decoder = FrameDecoder()
        for _ in range(PATIENCE):
            for payload in decoder.feed(self.port.read()):
                if payload[1] == message.HELLO:
                    return message.parse(payload)[1].telemetry_next
        raise AssertionError("no HELLO")

    def stop(self):
        """Press Ctrl-C; return the boot that ends by that, and what it noted of its counts."""
        self.write(b"\x03")
        self.read_until(b"stopped by Ctrl-C", b">>> ")
        self.write(b"print('it is', open('boots').read(), 'all')\r")
        said = self.read_until(b"it is ", b" all\r").split(b"it is ")[-1].split()
        return f"{int(said[4]):08x}", int(said[5]), int(said[6])

    def reset(self):
        self.write(b"\x04")


@pytest.fixture
def board(tmp_path):
    if find_spec("mpremote") is None:
        pytest.skip("no mpremote: pip install '.[flash]' in a clone")
    micropython = micropython_command()[0]
    with Board(tmp_path / "board", manner=RP2_CDC, micropython=micropython) as played:
        wait_for(lambda: played.is_up and played.path.exists(), "the board")
        # Its reports are too rare to say what it has sampled.
        path = write(tmp_path / "device.json", settings(vitals_interval_ms=3_600_000))
        words = ["deploy", "--port", str(played.path), "--settings", str(path)]
        done = subprocess.run(
            [sys.executable, "-m", "pyv_edge_tools.flash", *words],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield played


@pytest.fixture
def agent(board, agents):
    made = agents({"sensors": {"devices": [serial_device("porch", board.path)]}})
    made.start()
    return made


def wait_up(agent, but_boot=None):
    """Return which boot is up, another one than `but_boot`."""

    def boot():
        told = command(agent, "device", "ls", "--json")["devices"][0]
        return told["state"] == "up" and told["boot"] != but_boot and told["boot"]

    return wait_for(boot, "the board")


def account(agent, boot):
    ledger = agent.ledger()
    assert ledger.is_balanced
    (found,) = [one for one in ledger.boots if (one.boot, one.stream) == (boot, "telemetry")]
    parts = ("stored", "denied", "aggregated", "lost", "reset", "in_flight")
    assert found.sampled == sum(getattr(found, name) for name in parts)
    return found


def sample_on(agent, board):
    """Have the port lent, and the board sample meanwhile; return who has the port."""
    wait_for(lambda: agent.ledger().total("stored") > 20, "readings")
    command(agent, "device", "pause", "porch")
    person = Person(board.path)
    until = agent.ledger().total("stored") + 50
    wait_for(lambda: person.numbered() > until, "readings that the agent doesn't hear of")
    return person


def test_what_goes_with_a_boards_memory_is_in_the_ledger(board, agent):
    first = wait_up(agent)
    person = sample_on(agent, board)
    boot, sampled, denied = person.stop()
    assert boot == first
    person.reset()
    person.read_until(b"~")
    person.port.close()
    command(agent, "device", "resume", "porch")
    second = wait_up(agent, but_boot=first)
    found = account(agent, first)
    assert (found.sampled, found.denied) == (sampled, denied)
    assert found.reset == sampled - denied - found.stored >= 50
    assert found.is_end_known
    assert "not known" not in command(agent, "ledger")

    # And where nobody can say it, that is said.
    board.hard_reset()
    wait_up(agent, but_boot=second)
    assert not account(agent, second).is_end_known
    lines = command(agent, "ledger").splitlines()
    (line,) = [one for one in lines if f" {second} " in one and "(events)" not in one]
    assert line.endswith("balances, how it ended is not known")
    assert account(agent, first) == found


def test_boot_that_the_agent_has_never_heard_is_in_the_ledger(board, agent):
    first = wait_up(agent)
    person = sample_on(agent, board)
    person.stop()
    person.reset()
    person.read_until(b"~")
    wait_for(lambda: person.numbered() > 20, "readings of a boot that the agent doesn't hear")
    boot, sampled, denied = person.stop()
    person.reset()
    person.read_until(b"~")
    person.port.close()
    command(agent, "device", "resume", "porch")
    third = wait_up(agent, but_boot=first)
    assert boot not in (first, third)
    found = account(agent, boot)
    assert (found.sampled, found.denied, found.stored) == (sampled, denied, 0)
    assert found.reset == sampled - denied >= 20
    (line,) = [one["message"] for one in agent.records() if "never heard" in one["message"]]
    assert f"boot {boot} sampled {sampled} readings and was never heard" in line
    assert not account(agent, first).is_end_known  # only the latest is told
