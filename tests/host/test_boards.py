"""Boards of a running EdgeAgent: how they are asked, and what happens at its start and end."""

import threading

import pytest
from host.link_rig import Rig
from host.waiting import wait_for
from pyv_edge_agent.board_command import lend_port, take_port_back
from pyv_edge_agent.errors import ConfigError, ImpossibleRequestError, RequestError
from pyv_edge_agent.link_state import LENT
from pyv_edge_agent.port_loan import DRAIN_MS

SERIAL = {"name": "porch", "ingest_type": "serial", "port": "/dev/no/such"}


@pytest.fixture
def start(write_config, agents):
    def start(*devices):
        agent = agents(write_config(devices))
        agent.start()
        return agent

    return start


def test_command_to_a_board_that_is_not_there_ends_in_time(start):
    agent = start(SERIAL)
    outcome = agent.command("porch", "identify", timeout_ms=1).result(10)
    assert outcome.name == "not sent, the board was not there in time"


def test_command_is_answered_when_the_agent_stops(start):
    agent = start(SERIAL)
    futures = [agent.command("porch", "read_now", "temp", timeout_ms=600_000) for _ in range(3)]
    agent.stop()
    for future in futures:
        with pytest.raises(RequestError, match="the link has stopped"):
            future.result(0)
    with pytest.raises(RequestError, match=r"'porch' is no board .*: none"):
        agent.command("porch", "identify")


@pytest.mark.parametrize("device", ["cellar", "t1"])
def test_command_to_what_is_no_board(start, device):
    agent = start(SERIAL, {"name": "t1", "ingest_type": "simulator"})
    with pytest.raises(RequestError, match=f"'{device}' is no board .*; there are: porch"):
        agent.command(device, "identify")
    with pytest.raises(RequestError, match="'explode' is no command"):
        agent.command("porch", "explode")
    with pytest.raises(
        RequestError, match="safe_mode is about no channel; if 1 is its value, say"
    ):
        agent.command("porch", "safe_mode", 1)


@pytest.mark.parametrize("key", ["link_key_file", "settings_file"])
def test_agent_does_not_start_without_a_file_of_a_board(start, tmp_path, key):
    with pytest.raises(ConfigError) as refused:
        start({**SERIAL, key: "porch.key"})
    (line,) = refused.value.problems
    assert line == (
        f"{tmp_path}/config.json:1: sensors.devices[0].{key}: {tmp_path}/porch.key can't be read:"
        " No such file or directory; put the file there"
    )


def test_agent_does_not_start_with_a_key_that_is_none(start, tmp_path):
    (tmp_path / "porch.key").write_text("short")
    with pytest.raises(ConfigError) as refused:
        start({**SERIAL, "link_key_file": "porch.key"})
    (line,) = refused.value.problems
    assert line.startswith("link_key_file of device porch: the first line of ")


def test_settings_file_that_no_board_could_use_is_a_problem_that_shows(start, tmp_path):
    (tmp_path / "porch.json").write_text("[]")
    agent = start({**SERIAL, "settings_file": "porch.json"})
    problem = f"settings_file {tmp_path / 'porch.json'} must hold a JSON object"
    assert problem in agent.links[0].problem


def test_two_devices_of_one_port_show_which_one_waits(start, tmp_path):
    place = tmp_path / "ttyX"
    place.touch()  # no serial port: whoever has it can't open it
    link = tmp_path / "by-id"
    link.symlink_to(place)
    agent = start({**SERIAL, "port": str(place)}, {**SERIAL, "name": "cellar", "port": str(link)})
    links = {one.name: one for one in agent.links}
    wait_for(lambda: all(one.problem for one in links.values()), "both problems")
    problems = sorted(one.problem for one in links.values())
    waiting = [line for line in problems if line.endswith("has; name another port")]
    assert len(waiting) == 1
    assert sorted(one.state for one in links.values()) == ["opening", "searching"]


# -- ports that are lent -----------------------------------------------------------


def actions(agent):
    return [row["action"] for row in agent.store.audit_logs() if "device_" in row["action"]]


def test_loan_is_in_the_audit_log_before_anything_is_done(start):
    agent = start(SERIAL)
    (link,) = agent.links
    agent.store._writer.execute("PRAGMA query_only = ON")
    with pytest.raises(RequestError, match="can't be recorded, and so isn't done"):
        lend_port(link, agent.store, 10)
    assert link.state != LENT
    agent.store._writer.execute("PRAGMA query_only = OFF")
    lend_port(link, agent.store, 10)
    assert link.state == LENT
    agent.store._writer.execute("PRAGMA query_only = ON")
    with pytest.raises(RequestError, match="can't be recorded, and so isn't done"):
        take_port_back(link, agent.store)
    assert link.state == LENT
    agent.store._writer.execute("PRAGMA query_only = OFF")
    assert take_port_back(link, agent.store) is True
    assert take_port_back(link, agent.store) is False
    assert sorted(actions(agent)) == ["device_paused", "device_resumed", "device_resumed"]


@pytest.mark.parametrize("minutes", [0, 121, -5])
def test_minutes_of_a_loan_are_bounded(start, minutes):
    agent = start(SERIAL)
    with pytest.raises(ImpossibleRequestError, match=f"minutes: {minutes} is outside 1..120"):
        lend_port(agent.links[0], agent.store, minutes)
    assert actions(agent) == []


def test_nothing_is_lent_of_a_link_that_does_not_answer(start):
    """Nor later: nobody would know that he has the port."""
    store = start(SERIAL).store
    rig = Rig()  # whose thread does nothing
    with pytest.raises(RequestError, match=r"the link of porch does not answer; is it stuck\?"):
        lend_port(rig.link, store, 10, answer_ms=1 - DRAIN_MS)
    rig.link.step()
    assert rig.link.state != LENT


def test_loans_end_with_the_agent(start):
    agent = start(SERIAL)
    (link,) = agent.links
    lend_port(link, agent.store, 120)
    ended = threading.Thread(target=agent.stop)
    ended.start()
    ended.join(30)
    assert not ended.is_alive()
    with pytest.raises(RequestError, match="the port of porch: the link has stopped"):
        link.loan.lend(1)
