"""A running agent lends a board's port to another program, and takes it back."""

import os

import pytest
from pyv_edge_agent.errors import PortError
from pyv_edge_agent.link_state import LENT, UP
from pyv_edge_agent.port import SerialPort
from rig import numbers, serial_device, wait_for
from test_operate import command, rewrite
from test_requests import Site


class Flasher:
    """Another program that opens a port for itself alone."""

    def __init__(self, path):
        self.port = SerialPort(path, 115200, wait_s=0.01)
        self.port.open()

    def close(self):
        self.port.close()


@pytest.fixture
def porch(boards, agents):
    """Return a function that starts an agent with a board at device porch."""

    def start(**settings):
        board = boards("board-1", **settings)
        board.start()
        agent = agents({"sensors": {"devices": [serial_device("porch", board.path)]}})
        agent.start()
        wait_for(lambda: device(agent)["state"] == UP, "the board")
        return board, agent

    return start


def device(agent):
    """Return what `device ls` says of the first device."""
    return command(agent, "device", "ls", "--json")["devices"][0]


def check_all_there(agent):
    """Every number of every boot is stored once, and all adds up."""
    ledger = agent.wait_finished()
    assert ledger.is_balanced
    assert ledger.total("lost") == 0
    assert ledger.total("duplicates") == 0
    for found in numbers(agent.db).values():
        assert len(found) == len(set(found))
    return ledger


def test_port_is_lent_used_and_taken_back(porch):
    board, agent = porch(sample_for_ms=6000)
    told = device(agent)
    path = os.path.realpath(board.path)
    assert (told["port"], told["path"]) == (str(board.path), path)
    assert (told["device"], told["lent_until"]) == ("board-1", None)
    with pytest.raises(PortError, match="in use"):
        Flasher(path)
    lent = command(agent, "device", "pause", "porch", "--json")
    assert lent.pop("lent_until") > 0
    assert lent == {
        "name": "porch",
        "port": str(board.path),
        "path": path,
        "device": "board-1",
        "boot": told["boot"],
        "firmware": told["firmware"],
        "is_settled": True,
        "is_prolonged": False,
    }
    flasher = Flasher(lent["path"])
    flasher.port.write(b"\r\n")  # which a board takes for noise

    status = command(agent, "status", "--json")
    part = status["components"]["device/porch"]
    assert (status["status"], part["status"]) == ("healthy", "healthy")
    assert part["reason"].startswith("lent until ") and part["reason"].endswith(" UTC")
    assert device(agent)["state"] == LENT
    found = command(agent, "doctor", "--json")["findings"]
    (port,) = (one for one in found if one["subject"] == "porch" and one["check"] == "port")
    assert port["level"] == "skip"
    assert port["finding"].startswith("the agent has lent it until 20")
    shown = command(agent, "device", "ls").split()
    assert shown[:4] == ["porch", "serial", "lent", "until"]
    assert "porch is lent already, now until" in command(
        agent, "device", "pause", "porch", "--minutes", "30"
    )

    assert "porch is taken back" in command(agent, "device", "resume", "porch")
    wait_for(lambda: "in use" in device(agent)["problem"], "the port to be found in use")
    assert device(agent)["state"] == "opening"
    flasher.close()
    wait_for(lambda: device(agent)["state"] == UP, "the board again")
    assert "porch was not lent" in command(agent, "device", "resume", "porch")
    check_all_there(agent)
    rows = command(agent, "audit", "list", "--json")["audit_logs"]
    found = sorted(
        (one["id"], one["action"], one["details"]) for one in rows if "device_" in one["action"]
    )
    assert [(action, details) for _, action, details in found] == [
        ("device_paused", {"device": "porch", "minutes": 10}),
        ("device_paused", {"device": "porch", "minutes": 30}),
        ("device_resumed", {"device": "porch"}),
        ("device_resumed", {"device": "porch"}),
    ]
    assert [one["message"] for one in agent.records() if "the loan" in one["message"]] == [
        "link porch: the loan of its port is over: it is taken back"
    ]


def test_nothing_is_lost_of_a_board_that_sends_much(porch):
    _, agent = porch(sample_for_ms=5000, interval_ms=10)
    for _ in range(4):
        lent = command(agent, "device", "pause", "porch", "--json")
        assert lent["is_settled"]
        Flasher(lent["path"]).close()
        command(agent, "device", "resume", "porch")
        wait_for(lambda: device(agent)["state"] == UP, "the board again")
    assert check_all_there(agent).total("stored") > 500


def test_loan_ends_by_itself(tmp_path):
    with Site(tmp_path, interval_ms=30) as site:
        first = site.wait_up()
        loan = site.link.loan.lend(300).result(30)
        assert site.link.state == LENT
        assert loan.path == os.path.realpath(site.board.path)
        assert site.wait_up().boot == first.boot
        assert site.link.loan.current is None
        assert site.link.status()["entered_total"][LENT] == 1
        stored = site.stored()
        wait_for(lambda: site.stored() > stored + 20, "readings again")
    site.check()


def test_board_that_was_flashed_meanwhile_greets_as_another_boot(porch):
    board, agent = porch(sample_for_ms=1000)
    first = device(agent)
    command(agent, "device", "pause", "porch")
    board.kill()
    assert device(agent)["state"] == LENT  # and nobody misses it
    board.start()
    command(agent, "device", "resume", "porch")
    second = wait_for(lambda: (now := device(agent))["state"] == UP and now, "the board")
    assert first["boot"] != second["boot"]
    assert agent.wait_finished().is_balanced


def test_agent_that_is_killed_has_forgotten_the_loan(porch):
    _, agent = porch(sample_for_ms=4000)
    lent = command(agent, "device", "pause", "porch", "--minutes", "120", "--json")
    flasher = Flasher(lent["path"])
    agent.kill()
    agent.start()
    wait_for(lambda: "in use" in device(agent)["problem"], "the port to be found in use")
    flasher.close()
    wait_for(lambda: device(agent)["state"] == UP, "the board again")
    check_all_there(agent)


def test_loan_outlives_a_reload_unless_the_port_is_another(porch, tmp_path):
    board, agent = porch(sample_for_ms=4000)
    table = serial_device("porch", board.path)
    lent = command(agent, "device", "pause", "porch", "--json")
    rewrite(agent, rules=[{"name": "hot", "above": 99.0}])
    assert command(agent, "reload").split() == ["rules[hot]"]
    assert device(agent)["state"] == LENT
    rewrite(agent, sensors={"devices": [{**table, "silent_after_seconds": 5.0}]})
    assert command(agent, "reload").split() == ["sensors.devices[porch]"]
    told = device(agent)
    assert told["state"] == LENT
    assert told["lent_until"] == pytest.approx(lent["lent_until"], abs=0.1)
    again = command(agent, "device", "pause", "porch", "--json")
    assert again["is_prolonged"]
    assert (again["path"], again["boot"]) == (lent["path"], lent["boot"])
    rewrite(agent, sensors={"devices": [{**table, "port": f"{tmp_path}/none"}]})
    command(agent, "reload")
    assert "does not exist" in wait_for(lambda: device(agent)["problem"], "a look for it")
    rewrite(agent, sensors={"devices": [table]})
    command(agent, "reload")
    wait_for(lambda: device(agent)["state"] == UP, "the board again")
    check_all_there(agent)


def test_port_that_is_not_there_can_be_lent(agents, tmp_path):
    path = tmp_path / "none"
    agent = agents({"sensors": {"devices": [serial_device("porch", path)]}})
    agent.start()
    told = command(agent, "device", "pause", "porch", "--json")
    assert (told["port"], told["path"], told["boot"]) == (str(path), None, None)
    assert f"its port, {path}, is not there now" in command(agent, "device", "pause", "porch")
    assert command(agent, "device", "resume", "porch", "--json") == {
        "name": "porch",
        "was_lent": True,
    }


def test_what_can_not_be_lent(agents):
    devices = [
        {"name": "t1", "ingest_type": "simulator"},
        serial_device("porch", "/dev/no/such"),
    ]
    agent = agents({"sensors": {"devices": devices}})
    for what in ("pause", "resume"):
        assert "no agent runs with" in command(agent, "device", what, "porch", status=4)
    agent.start()
    for what in ("pause", "resume"):
        for name in ("t1", "cellar"):
            line = f"'{name}' is no board on a serial port; there are: porch\n"
            assert command(agent, "device", what, name, status=2) == line
    for minutes in ("0", "121", "1.5"):
        shown = command(agent, "device", "pause", "porch", "--minutes", minutes, status=2)
        assert "--minutes" in shown
    assert device(agent)["state"] != LENT
