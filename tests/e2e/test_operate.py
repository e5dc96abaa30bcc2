"""What an operator's commands do to a running agent, and to its store while it does not run."""

import json
import subprocess
import sys

import pytest
from host.servers import Answer, serving
from rig import wait_for

SIMULATED = {"name": "t1", "ingest_type": "simulator", "unit": "Cel", "noise_std": 0.0}


def command(agent, *words, status=0):
    """Run `pyv-edge-host` about an agent; return what it printed, parsed if it was asked to be."""
    done = subprocess.run(
        [sys.executable, "-m", "pyv_edge_agent.cli", *words, "--config", str(agent.config)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, (words, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout) if "--json" in words else done.stdout + done.stderr


@pytest.fixture
def agent(agents):
    made = agents(
        {
            "sensors": {"devices": [SIMULATED], "poll_interval_seconds": 0.05},
            "rules": [{"name": "warm", "above": 19.0}],
        }
    )
    made.start()
    return made


def rewrite(agent, **sections):
    agent.config.write_text(json.dumps({**json.loads(agent.config.read_text()), **sections}))


def test_status_and_devices(agent):
    told = command(agent, "status", "--json")
    assert told["agent"]["running"] is True
    shown = command(agent, "status")
    assert "agent    healthy" in shown
    assert "t1                       simulator  polled" in shown
    assert command(agent, "device", "ls").split() == ["t1", "simulator", "polled"]
    assert command(agent, "device", "info", "t1", "--json")["ingest_type"] == "simulator"
    assert "there are: t1" in command(agent, "device", "info", "t2", status=2)
    assert "is no board" in command(agent, "device", "cmd", "t1", "identify", status=2)


def test_board_is_asked_and_answers(boards, agents):
    board = boards("board-1", sample_for_ms=0)
    board.start()
    agent = agents(
        {
            "sensors": {
                "devices": [{"name": "porch", "ingest_type": "serial", "port": str(board.path)}]
            }
        }
    )
    agent.start()
    wait_for(
        lambda: command(agent, "status", "--json")["devices"][0]["state"] == "up", "the board"
    )
    told = command(agent, "device", "cmd", "porch", "identify", "--json")
    assert told["is_done"] is True
    told = command(agent, "device", "cmd", "porch", "read_now", "temperature", "--json")
    assert told["is_done"] is True
    shown = command(agent, "device", "cmd", "porch", "read_now", "no such", status=2)
    assert "there are temperature" in shown
    shown = command(agent, "device", "info", "porch")
    assert "porch" in shown
    assert not {"None", "True", "False"} & set(shown.split())


def test_reload_by_command(agent):
    rewrite(agent, rules=[{"name": "hot", "above": 99.0}])
    assert command(agent, "reload").split() == ["rules[warm]", "rules[hot]"]
    assert "as it was" in command(agent, "reload")
    rewrite(agent, cloud={"batch": 1})
    assert "cloud.batch" in command(agent, "reload", status=2)


def test_queue_is_looked_at_drained_and_purged(agent):
    told = wait_for(lambda: command(agent, "queue", "list", "--json")["items"], "an event")
    assert told[0]["payload"]["rule_name"] == "warm"
    assert "1 items take" in command(agent, "queue", "stats")
    assert "say --yes" in command(agent, "queue", "purge", status=2)
    assert "there is no sink 'x'" in command(
        agent, "queue", "purge", "--sink", "x", "--yes", status=2
    )
    assert command(agent, "queue", "purge", "--priority", "4", "--yes", "--json") == {"purged": 0}
    assert command(agent, "queue", "purge", "--yes", "--json") == {"purged": 1}
    with serving(Answer(503)) as cloud:
        rewrite(
            agent,
            cloud={"enabled": True, "endpoint": cloud.url, "retry_max_seconds": 0.1},
            sensors={"devices": [SIMULATED], "poll_interval_seconds": 600},
        )
        command(agent, "reload")
        shown = command(agent, "queue", "drain", "--timeout", "1", status=1)
        assert "are left" in shown
        assert "503" in shown
        cloud.answers[:] = [Answer(200)]
        assert command(agent, "queue", "drain", "--json") == {"left": 0, "problems": {}}


def test_dead_letters_are_shown_sent_again_and_dropped(agent):
    def refuse_the_first(body):
        bad = [one for one in body["items"] if one.get("metadata", {}).get("seq") in (0, 1)]
        return Answer(422 if bad else 200)

    with serving(refuse_the_first) as cloud:
        rewrite(
            agent,
            cloud={
                "enabled": True,
                "endpoint": cloud.url,
                "retry_base_seconds": 0.01,
                "retry_max_seconds": 0.02,
            },
        )
        command(agent, "reload")
        letters = wait_for(
            lambda: (
                len(found := command(agent, "queue", "dlq", "ls", "--json")["letters"]) == 2
                and found
            ),
            "two dead letters",
        )
        first, second = (str(one["id"]) for one in letters)
        assert "422" in command(agent, "queue", "dlq", "show", first)
        assert "no dead letter 99" in command(agent, "queue", "dlq", "show", "99", status=1)
        assert "say which" in command(agent, "queue", "dlq", "drop", status=2)
        assert command(agent, "queue", "dlq", "drop", first) == "1 dropped\n"
        assert command(agent, "queue", "dlq", "drop", first, status=1) == "0 dropped\n"
        cloud.answers[:] = [Answer(200)]
        rewrite(agent, sensors={"devices": [SIMULATED], "poll_interval_seconds": 600})
        command(agent, "reload")
        assert command(agent, "queue", "dlq", "retry", "--all") == "1 retried\n"
        assert command(agent, "queue", "dlq", "show", second, status=1)
        assert command(agent, "queue", "drain", "--json")["left"] == 0


def test_without_an_agent_the_store_is_opened_and_the_rest_says_so(agent):
    wait_for(lambda: command(agent, "queue", "list", "--json")["items"], "an event")
    agent.stop()
    assert "no agent runs with" in command(agent, "status", status=4)
    assert "no agent runs with" in command(agent, "queue", "drain", status=4)
    count = command(agent, "queue", "stats", "--json")["items"]
    assert count >= 1
    assert command(agent, "queue", "purge", "--yes", "--json") == {"purged": count}
    assert command(agent, "queue", "stats", "--json")["items"] == 0
    assert command(agent, "ledger", "--json")["balanced"] is True
    agent.start()
    agent.kill()
    assert "no agent runs with" in command(agent, "status", status=4)


def test_sink_that_is_gone_can_be_let_go(agent):
    folder = {"file": {"enabled": True, "folder": "out"}}
    rewrite(agent, sinks=folder)
    command(agent, "reload")
    assert "is configured; take it out" in command(
        agent, "queue", "forget", "file", "--yes", status=2
    )
    rewrite(agent, sinks={})
    command(agent, "reload")
    assert "not configured any more" in command(agent, "queue", "stats")
    assert "say --yes" in command(agent, "queue", "forget", "file", status=2)
    assert "is forgotten" in command(agent, "queue", "forget", "file", "--yes")
    assert "file" not in command(agent, "queue", "stats", "--json")["sinks"]
