"""Boards of a running EdgeAgent: how they are asked, and what happens at its start and end."""

import pytest
from host.waiting import wait_for
from pyv_edge_agent.errors import ConfigError, RequestError

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
