"""The bridge between real firmware and a real agent: seen, recorded, damaged, played again."""

import json
import signal
import sqlite3
import subprocess
import sys

import pytest
from bridge_rig import COMMAND, BridgeProcess, run
from rig import DEADLINE_S, numbers, serial_device, wait_for


@pytest.fixture
def bridges(tmp_path):
    """Start bridges that are killed at the end, if they still run."""
    started = []

    def start(*words):
        started.append(BridgeProcess(tmp_path / f"bridge-{len(started)}", *words))
        return started[-1]

    yield start
    for bridge in started:
        bridge.kill()


def told_of_link(agent):
    """Return what `pyv-edge-host status` says of the agent's only link."""
    done = subprocess.run(
        [sys.executable, "-m", "pyv_edge_agent.cli", "status", "--json"]
        + ["--config", str(agent.config)],
        capture_output=True,
        text=True,
        check=True,
    )
    (link,) = json.loads(done.stdout)["links"]
    return link


def stored(agent):
    """Return what a store has of each reading, but when that was: by boot and number."""
    with sqlite3.connect(agent.db) as connection:
        rows = connection.execute(
            "SELECT boot, seq, sensor, value, unit, quality FROM readings ORDER BY boot, seq"
        ).fetchall()
    connection.close()
    return rows


def times(agent):
    """Return when each reading was taken, in order, and the bound on the error: ms."""
    with sqlite3.connect(agent.db) as connection:
        rows = connection.execute("SELECT utc_ms, error_ms FROM reading ORDER BY id").fetchall()
    connection.close()
    return rows


def are_as_far_apart(one, other):
    """Return whether two stores can be right about the same readings, but for when that was."""
    lowest, highest = float("-inf"), float("inf")
    for (at_ms, error_ms), (again_ms, again_error_ms) in zip(one, other, strict=True):
        bound_ms = error_ms + again_error_ms
        lowest = max(lowest, again_ms - at_ms - bound_ms)
        highest = min(highest, again_ms - at_ms + bound_ms)
    return lowest <= highest


def finish(agent, boards=1):
    """Wait until all is stored; stop the agent; see that nothing is missing."""
    ledger = agent.wait_finished(boards)
    assert agent.stop() == 0
    assert ledger.is_balanced
    assert ledger.total("stored") == ledger.total("sampled") > 100
    assert ledger.gaps == 0
    for found in numbers(agent.db).values():
        assert found == list(range(len(found)))
    return ledger


def through(path, name="north"):
    return {"sensors": {"devices": [serial_device(name, path)]}}


def test_monitor_in_between_sees_all_and_changes_nothing(boards, agents, bridges, tmp_path):
    board = boards("north")
    board.start()
    link = tmp_path / "usb"
    bridge = bridges("monitor", board.path, "--link", link)
    assert bridge.wait_ready()["link"] == str(link)
    agent = agents(through(link))
    agent.start()
    ledger = finish(agent)
    status, summary = bridge.stop()
    assert status == 0
    assert not link.is_symlink()
    for name in ("bad_fcs_total", "oversize_total", "unreadable_total", "noise_bytes_total"):
        assert summary[name] == 0, name
    carried = summary["carried"]
    assert (carried["lost_bytes_total"], carried["unseen_bytes_total"]) == (0, 0)
    assert carried["programs_total"] == 1
    seen = {
        reading["seq"]: reading
        for event in bridge.told("message")
        if event["type"] == "DATA" and event["fields"]["stream"] == "telemetry"
        for reading in event["fields"]["readings"]
    }
    assert len(seen) == ledger.total("stored") == summary["streams"]["telemetry"]["readings_total"]
    for _, seq, sensor, value, unit, _ in stored(agent):
        reading = seen[seq]
        assert (f"north.{reading['channel']}", reading["unit"]) == (sensor, unit)
        assert float(reading["value"]) == pytest.approx(value)
    assert summary["time_ms"] and summary["data_ms"]
    assert {"HELLO", "WELCOME", "ACK", "TIME_RESPONSE"} <= {
        event["type"] for event in bridge.told("message")
    }


def test_recorded_run_replays_to_the_same_readings(boards, agents, bridges, tmp_path):
    board = boards("north", sample_for_ms=2500)
    board.start()
    link, capture = tmp_path / "usb", tmp_path / "run.pyvcap"
    recorder = bridges("record", board.path, capture, "--link", link)
    recorder.wait_ready()
    follower = bridges("monitor", capture)
    first = agents(through(link))
    first.start()
    finish(first)
    status, summary = recorder.stop()
    assert status == 0
    assert summary["left_out_bytes_total"] == 0
    assert capture.stat().st_mode & 0o077 == 0
    wait_for(lambda: follower.told("message"), "the follower of the capture")
    assert follower.stop()[0] == 0

    for speed in ("1", "20", "0"):
        player = bridges("replay", capture, "--link", link, "--speed", speed)
        player.wait_ready()
        again = agents(through(link))
        again.start()
        finish(again)
        assert player.wait() == 0, player.errors.read_text()
        (played,) = player.told("summary")
        assert (played["boots_played"], played["missing_total"]) == (1, 0)
        assert stored(again) == stored(first)
        assert are_as_far_apart(times(first), times(again))


def test_agent_that_has_a_recorded_boot_is_told_from_a_fresh_one(
    boards, agents, bridges, tmp_path
):
    board = boards("north", sample_for_ms=1500)
    board.start()
    link, capture = tmp_path / "usb", tmp_path / "run.pyvcap"
    recorder = bridges("record", board.path, capture, "--link", link)
    recorder.wait_ready()
    agent = agents(through(link))
    agent.start()
    finish(agent)
    assert recorder.stop()[0] == 0
    player = bridges("replay", capture, "--link", link, "--speed", "0")
    player.wait_ready()
    agent.start()
    assert player.wait() == 1
    assert "has this boot up to number" in player.errors.read_text()
    assert agent.stop() == 0


def test_faults_are_in_the_agents_counters_and_cost_nothing(boards, agents, bridges, tmp_path):
    board = boards("north", sample_for_ms=4000)
    board.start()
    link = tmp_path / "usb"
    faults = ("--flip", "0.0005", "--loss", "0.0003", "--garbage", "0.0003", "--repeat", "0.0002")
    more = ("--cut", "0.00005", "--cut-ms", "200", "--delay", "0.0005", "--delay-ms", "60")
    bridge = bridges("inject", board.path, "--link", link, "--seed", "7", *faults, *more)
    bridge.wait_ready()
    agent = agents(through(link))
    agent.start()
    agent.wait_finished()
    counted = told_of_link(agent)
    finish(agent)
    status, summary = bridge.stop()
    assert (status, summary["seed"]) == (0, 7)
    struck = summary["faults"]["from_board"]
    assert struck["flip_total"] and struck["loss_total"] and struck["garbage_total"]
    assert counted["bad_fcs_total"] > 0
    assert counted["resend_requests_total"] > 0


def test_relay_over_rfc_2217_and_plain_tcp(boards, agents, bridges, tmp_path):
    board = boards("north", sample_for_ms=2500)
    board.start()
    for options, scheme in ((["--rfc2217"], "rfc2217"), ([], "socket")):
        served = bridges("relay", board.path, "--tcp", "0", *options)
        address = served.wait_ready()["tcp"]
        link = tmp_path / scheme
        joined = bridges("relay", f"{scheme}://{address}", "--link", link)
        joined.wait_ready()
        agent = agents(through(link))
        agent.start()
        finish(agent) if scheme == "rfc2217" else agent.wait_finished()
        for bridge in (joined, served):
            status, summary = bridge.stop()
            assert status == 0
            assert summary["carried"]["lost_bytes_total"] == 0
        if scheme == "socket":
            # The board has let go of what the first agent has.
            assert agent.stop() == 0
            assert agent.ledger().is_balanced


@pytest.mark.parametrize("scheme", ["rfc2217", "socket"])
def test_shared_port_that_goes_is_opened_again(boards, agents, bridges, tmp_path, scheme):
    board = boards("north", sample_for_ms=2500)
    board.start()
    options = ["--rfc2217"] if scheme == "rfc2217" else []
    served = bridges("relay", board.path, "--tcp", "0", *options)
    address = served.wait_ready()["tcp"]
    joined = bridges("relay", f"{scheme}://{address}", "--link", tmp_path / "usb")
    joined.wait_ready()
    agent = agents(through(tmp_path / "usb"))
    agent.start()
    wait_for(lambda: agent.db.exists() and agent.ledger().total("stored") > 20, "some readings")
    served.kill()
    wait_for(lambda: any("went away" in one["text"] for one in joined.told("port")), "the notice")
    bridges("relay", board.path, "--tcp", address, *options).wait_ready()
    finish(agent)
    status, summary = joined.stop()
    assert status == 0
    assert summary["carried"]["port_went_away_total"] == 1


@pytest.mark.parametrize("command", ["relay", "monitor", "inject"])
def test_agent_stays_up_when_the_bridges_log_has_no_room(boards, agents, tmp_path, command):
    board = boards("north", sample_for_ms=2000)
    board.start()
    link = tmp_path / "usb"
    words = [command, str(board.path), "--link", str(link)]
    words += ["--flip", "0"] if command == "inject" else []
    with open("/dev/full", "w") as full:
        bridge = subprocess.Popen([*COMMAND, *words], stdout=full, stderr=subprocess.PIPE)
    try:
        wait_for(link.is_symlink, "the link")
        agent = agents(through(link))
        agent.start()
        finish(agent)
        assert "went away" not in agent.text()
        bridge.send_signal(signal.SIGINT)
        told = bridge.communicate(timeout=DEADLINE_S)[1].decode()
    finally:
        bridge.kill()
        bridge.wait()
        bridge.stderr.close()
    assert bridge.returncode == 1
    assert len(told.splitlines()) == 1
    assert "standard output can't be written: No space left on device" in told


def test_board_unplugged_and_back(boards, agents, bridges, tmp_path):
    board = boards("north", sample_for_ms=2000)
    board.start()
    link = tmp_path / "usb"
    bridge = bridges("relay", board.path, "--link", link)
    bridge.wait_ready()
    agent = agents(through(link))
    agent.start()
    wait_for(lambda: agent.db.exists() and agent.ledger().total("stored") > 20, "some readings")
    board.kill()
    wait_for(lambda: any("went away" in one["text"] for one in bridge.told("port")), "the notice")
    assert link.is_symlink()
    board.start()
    ledger = wait_for(
        lambda: (
            (found := agent.ledger()).boots[-1].is_finished
            and len(found.boots) == 2
            and not found.boots[-1].in_flight
            and found
        ),
        "the second boot",
    )
    assert "went away" not in agent.text()  # the agent's port has stayed
    assert agent.stop() == 0
    assert ledger.is_balanced
    assert ledger.boots[1].stored == ledger.boots[1].sampled
    status, summary = bridge.stop()
    assert status == 0
    carried = summary["carried"]
    assert (carried["port_opened_total"], carried["port_went_away_total"]) == (2, 1)


def test_agent_killed_behind_the_bridge_loses_nothing(boards, agents, bridges, tmp_path):
    board = boards("north", sample_for_ms=3000)
    board.start()
    link = tmp_path / "usb"
    bridge = bridges("monitor", board.path, "--link", link)
    bridge.wait_ready()
    agent = agents(through(link))
    agent.start()
    wait_for(lambda: agent.db.exists() and agent.ledger().total("stored") > 20, "some readings")
    agent.kill()
    agent.start()
    finish(agent)
    status, summary = bridge.stop()
    assert status == 0
    assert summary["carried"]["programs_total"] == 2


def test_port_that_the_agent_has_is_refused_in_one_line(boards, agents, tmp_path):
    board = boards("north")
    board.start()
    agent = agents(through(board.path))
    agent.start()
    wait_for(lambda: agent.db.exists() and agent.ledger().total("stored"), "some readings")
    for words in (["monitor", board.path], ["send", board.path, "IDENTIFY"]):
        done = run(*words)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "in use by another program" in line
    assert "pyv-edge-host device cmd" in line
    finish(agent)


def test_send_asks_a_board_and_takes_no_reading_from_it(boards, agents):
    board = boards("north", sample_for_ms=1000)
    board.start()
    done = run("send", board.path, "TIME_REQUEST", "token=7", "--json")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[-1]["type"] == "TIME_RESPONSE"
    assert answers[-1]["fields"]["token"] == 7

    done = run("send", board.path, "HELLO_REQUEST", "challenge_a=3", "challenge_b=0x4", "--json")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    hello = [one["fields"] for one in answers if one["type"] == "HELLO"][-1]
    assert (hello["device"], hello["challenge_a"], hello["challenge_b"]) == ("north", 3, 4)

    done = run("send", board.path, "TIME_REQUEST", "token=70000")
    assert (done.returncode, done.stdout) == (2, "")
    assert "TIME_REQUEST: token=70000 is not 0 to 65535" in done.stderr
    # A command outside of a session is nothing to a board.
    done = run("send", board.path, "COMMAND", "op=1", "until_s=0xFFFFFFFF")
    assert done.returncode == 1
    assert "no answer came back; a board does it only for the host" in done.stderr

    for words in (["IDENTIFY"], ["READ_NOW", "target=temperature"]):
        done = run("send", board.path, *words)
        assert done.returncode == 0, (done.stdout, done.stderr)
        assert done.stdout.startswith("done (")
    done = run("send", board.path, "SET_RATE", "target=humidity", "value=100")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no channel 'humidity'" in done.stderr
    done = run("send", board.path, "SET_RATE", "target=temperature", "value=0x100000000")
    assert (done.returncode, done.stdout) == (2, "")
    assert "SET_RATE: value=4294967296 is not 0 to 4294967295" in done.stderr
    done = run("send", board.path, "SET_RATE", "target=temperature", "value=0")
    assert done.returncode == 1
    assert done.stdout.startswith("failed")

    agent = agents(through(board.path))
    agent.start()
    ledger = agent.wait_finished()
    assert agent.stop() == 0
    assert ledger.total("stored") == ledger.total("sampled")
    assert ledger.gaps == 0
    # A board that thinks its host is still there greets when it is asked.
    done = run("send", board.path, "IDENTIFY")
    assert (done.returncode, done.stderr) == (0, "")


def test_send_to_a_sealed_board_needs_its_key(boards, tmp_path):
    key = tmp_path / "key"
    key.write_text("a secret of the line, 32 bytes..")
    board = boards("north", link_key_file="key.txt")
    (board.folder / "flash" / "key.txt").write_text(key.read_text())
    board.start()
    done = run("send", board.path, "IDENTIFY", "--timeout", "3")
    assert done.returncode == 1
    assert "its link is sealed: --link-key-file" in done.stderr
    done = run("send", board.path, "IDENTIFY", "--link-key-file", key)
    assert (done.returncode, done.stderr) == (0, "")


def test_sealed_line_is_looked_at_and_replayed(boards, agents, bridges, tmp_path):
    key = tmp_path / "key"
    key.write_text("a secret of the line, 32 bytes..\n")
    key.chmod(0o600)
    board = boards("north", link_key_file="key.txt", sample_for_ms=1500)
    (board.folder / "flash" / "key.txt").write_text(key.read_text())
    board.start()
    link, capture = tmp_path / "usb", tmp_path / "run.pyvcap"
    recorder = bridges("record", board.path, capture, "--link", link)
    recorder.wait_ready()
    devices = [{**serial_device("north", link), "link_key_file": str(key)}]
    first = agents({"sensors": {"devices": devices}})
    first.start()
    finish(first)
    assert recorder.stop()[0] == 0
    seals = json.loads(run("stats", capture, "--json").stdout)["seals"]
    assert list(seals) == ["unchecked"]
    done = run("stats", capture, "--json", "--link-key-file", key)
    assert list(json.loads(done.stdout)["seals"]) == ["genuine"]
    other = tmp_path / "other"
    other.write_text("some other secret, 32 bytes.....")
    done = run("stats", capture, "--json", "--link-key-file", other)
    assert "genuine" not in json.loads(done.stdout)["seals"]
    assert "other secret" not in done.stdout + done.stderr

    player = bridges("replay", capture, "--link", link, "--speed", "0", "--link-key-file", key)
    player.wait_ready()
    again = agents({"sensors": {"devices": devices}})
    again.start()
    finish(again)
    assert player.wait() == 0
    assert stored(again) == stored(first)
