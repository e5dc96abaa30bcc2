"""The control socket of a running agent: who may ask, and what is answered to nonsense."""

import json
import os
import socket
import stat

import pytest
from host.waiting import wait_for
from pyv_edge_agent.control import OPEN_MAX, REQUEST_SIZE_MAX, Control
from pyv_edge_agent.control_path import VARIABLE, address, own_path, run_path


@pytest.fixture
def controls(agents, write_config):
    """Return a function that starts an agent with a control socket; all are closed at the end."""
    made = []

    def make(environment=None, name="config.json", **sections):
        path = write_config(name=name, **sections)
        agent = agents(path)
        agent.start()
        made.append(Control(agent, path, environment or {}))
        return made[-1], agent

    yield make
    for one in made:
        one.close()


def converse(path, line):
    with address(path) as reachable, socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(30)
        asking.connect(reachable)
        asking.sendall(line)
        with asking.makefile("rb") as answers:
            return json.loads(answers.readline())


def ask(path, do, **asked):
    return converse(path, json.dumps({"do": do, **asked}).encode() + b"\n")


def test_socket_is_its_owners_alone_and_gone_at_the_end(controls):
    control, agent = controls()
    assert control.path == own_path(agent._config_path)
    assert stat.S_IMODE(os.stat(control.path).st_mode) == 0o600
    assert ask(control.path, "status")["ok"]["agent"]["running"] is True
    control.close()
    assert not os.path.exists(control.path)


def test_service_has_it_in_its_runtime_folder(controls, tmp_path):
    (tmp_path / "run").mkdir()
    control, agent = controls({VARIABLE: f"{tmp_path}/run:/other"})
    assert control.path == run_path(agent._config_path, f"{tmp_path}/run")
    assert "ok" in ask(control.path, "queue_stats")


def test_path_longer_than_an_address_is_reached_all_the_same(controls, tmp_path):
    folder = tmp_path / ("deep" * 20) / ("er" * 40)
    folder.mkdir(parents=True)
    control, _ = controls(name=str((folder / "edge.json").relative_to(tmp_path)))
    assert len(control.path) > 108
    assert "ok" in ask(control.path, "status")


def test_socket_of_an_agent_that_was_killed_is_in_nobodys_way(controls, write_config):
    path = own_path(write_config())
    with socket.socket(socket.AF_UNIX) as left, address(path) as reachable:
        left.bind(reachable)
    control, _ = controls()
    assert "ok" in ask(control.path, "status")


def test_agent_goes_on_without_a_socket_and_says_why(controls, log):
    control, agent = controls({VARIABLE: "/no/such/folder"})
    assert log.having("no commands can reach this agent: /no/such/folder")
    assert agent.is_running
    control.close()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"\n", "a request is a line of JSON"),
        (b"[1]\n", "a request is a line of JSON"),
        (b'{"do": []}\n', "a request is a line of JSON"),
        (b'{"undo": 1}\n', "a request is a line of JSON"),
        (b"\xff\xfe\n", "a request is a line of JSON"),
        (b"[" * 5000 + b"\n", "a request is a line of JSON"),
        (b'{"do": "explode"}\n', "'explode' is unknown; there are: queue_stats"),
        (b'{"do": "queue_forget"}\n', "queue_forget: 'sink' is missing"),
        (b'{"do": "command", "device": "t1", "op": "identify"}\n', "'t1' is no board"),
        (b'{"do": "device_pause"}\n', "device_pause: 'device' is missing"),
        (b'{"do": "device_pause", "device": ["t1"]}\n', "['t1'] is no board"),
        (b'{"do": "device_resume", "device": "t1"}\n', "'t1' is no board"),
        (b'{"do": "queue_purge", "priority": "x"}\n', "priority 'x' is none of 1, 2, 3, 4"),
        (b'{"do": "queue_list", "limit": "many"}\n', "'limit' is no number"),
        (b'{"do": "letter_drop", "ids": 5}\n', "'ids' is no list of numbers"),
        (b"x" * (REQUEST_SIZE_MAX + 5) + b"\n", "too long"),
    ],
)
def test_nonsense_is_answered_and_the_next_is_served(controls, line, problem):
    control, _ = controls()
    assert problem in converse(control.path, line)["error"]
    assert "ok" in ask(control.path, "status")


def test_requests_under_way_are_limited(controls):
    control, _ = controls()
    server = control._server
    for _ in range(OPEN_MAX):
        assert server.places.acquire(blocking=False)
    assert "are under way" in ask(control.path, "status")["error"]
    assert server.refused_total == 1
    for _ in range(OPEN_MAX):
        server.places.release()
    assert "ok" in ask(control.path, "status")


def test_who_says_nothing_holds_nobody_up(controls):
    control, _ = controls()
    with address(control.path) as reachable, socket.socket(socket.AF_UNIX) as silent:
        silent.connect(reachable)
        assert "ok" in ask(control.path, "status")


def test_reload_tells_faults_line_by_line(controls, write_config):
    control, agent = controls()
    write_config(sensors={"poll_interval_seconds": "often"}, cloud={"batch": 1})
    lines = ask(control.path, "reload")["error"].splitlines()
    assert len(lines) == 2
    write_config(rules=[{"name": "hot", "above": 3}])
    assert ask(control.path, "reload")["ok"] == {"changed": ["rules[hot]"], "needs_restart": []}
    wait_for(lambda: agent._ingest.pipeline.alerting.rules[0].name == "hot", "the rule")
