"""doctor beside real boards and agents: what is right is found right, and nothing is disturbed."""

import json
import os
import pty
import subprocess
import sys
import tarfile

import pytest
from host.doctor_rig import only
from pyv_edge_agent.cli.checks import board as checks
from pyv_edge_agent.cli.checks.finding import Check
from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.config import Config
from rig import serial_device, wait_for

BOARD, SETTINGS, KEY = (Check(name, "porch") for name in ("board", "board.settings", "board.key"))
LISTEN_MS = 20_000  # a board that is there is heard much sooner
SECRET = "0123456789abcdef-porch"


def device(board, **settings):
    """Return the checked table of a device."""
    table = {**serial_device("porch", board.path), **settings}
    (made,) = Config({"sensors": {"devices": [table]}}).get("sensors", "devices")
    return made


def listen(board, listen_ms=LISTEN_MS, folder=None, **settings):
    return checks.listen(device(board, **settings), folder, SystemClock(), listen_ms)


def doctor(agent, *words, status=0):
    """Run doctor about an agent's configuration; return what it found, by check and subject."""
    done = subprocess.run(
        [sys.executable, "-m", "pyv_edge_agent.cli", "doctor", "--json", *words]
        + ["--config", str(agent.config)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == status, (done.stdout, done.stderr)
    assert done.stderr == ""
    told = json.loads(done.stdout)
    return {f"{one['check']} {one['subject']}".rstrip(): one for one in told["findings"]}


def levels(found, *names):
    return [found[name]["level"] for name in names]


# -- the whole -------------------------------------------------------------------------


def test_nothing_fails_on_a_machine_on_which_all_is_well(boards, agents, receiver):
    board = boards("north", sample_for_ms=0)
    board.start()
    settings_file = board.folder / "flash/device.json"
    agent = agents(
        {
            "sensors": {
                "devices": [
                    {**serial_device("porch", board.path), "settings_file": str(settings_file)},
                    {"name": "t1", "ingest_type": "simulator"},
                ]
            },
            "cloud": {"enabled": True, "endpoint": receiver.url},
            "sinks": {"file": {"enabled": True, "folder": "out"}},
        }
    )
    agent.start()
    wait_for(lambda: "board north is up" in agent.text(), "the board")
    found = doctor(agent)
    assert [one for one in found.values() if one["level"] == "fail"] == []
    names = ("agent", "agent.workers", "agent.store", "store.ledger", "device porch", "device t1")
    assert set(levels(found, *names)) == {"ok"}
    names = ("port porch", "port.permission porch", "board.settings porch")
    assert set(levels(found, *names, "sink http", "sink.address http", "sink file")) == {"ok"}
    assert "north answers, with firmware" in found["board porch"]["finding"]


def test_board_that_was_listened_to_keeps_its_readings(boards, agents):
    board = boards("north", sample_for_ms=1500)
    board.start()
    agent = agents({"sensors": {"devices": [serial_device("porch", board.path)]}})
    found = doctor(agent)
    assert levels(found, "agent", "port porch", "board porch") == ["warn", "ok", "ok"]
    agent.start()
    ledger = agent.wait_finished()
    assert ledger.is_balanced
    assert (ledger.total("lost"), ledger.total("in_flight")) == (0, 0)
    assert ledger.total("stored") == ledger.total("sampled") > 0
    agent.stop()


def test_agent_that_does_not_know_of_a_change_says_so(boards, agents, receiver):
    agent = agents({"sensors": {"devices": [{"name": "t1", "ingest_type": "simulator"}]}})
    agent.start()
    board = boards("north")
    board.start()
    sections = json.loads(agent.config.read_text())
    sections["sensors"]["devices"].append(serial_device("porch", board.path))
    sections["cloud"] = {"enabled": True, "endpoint": receiver.url}
    agent.config.write_text(json.dumps(sections))
    found = doctor(agent, status=1)
    assert levels(found, "board porch", "sink http") == ["fail", "fail"]
    assert found["board porch"]["fix"].startswith("pyv-edge-host reload")


# -- one board -------------------------------------------------------------------------


def check_answer(heard, device_id=""):
    return only(checks.check_answer(BOARD, heard, device_id))


def test_board_answers_and_says_who_it_is(boards):
    board = boards("north")
    board.start()
    heard = listen(board)
    assert (heard.device, heard.problem) == ("north", "")
    assert check_answer(heard).level == "ok"
    assert check_answer(heard, "north").level == "ok"
    found = check_answer(heard, "south")
    assert (found.level, found.text) == ("fail", "board 'north' is here, and device_id is 'south'")


@pytest.fixture
def silent(tmp_path):
    """A terminal at whose other end is nobody; its far end is in `master`."""
    master, slave = pty.openpty()

    class Silent:
        path = os.ttyname(slave)

    Silent.master = master
    yield Silent
    os.close(master)
    os.close(slave)


def test_port_at_which_nobody_is(silent):
    heard = listen(silent, 300)
    assert heard.startswith("no HELLO on ")
    found = check_answer(heard)
    assert (found.level, found.fix) == ("fail", "does the board run the firmware?")


def test_port_with_something_else_behind_it(silent):
    os.write(silent.master, b"MicroPython v1.24 on 2024-10-25; Raspberry Pi Pico\r\n>>> " * 5)
    assert "does the board run the firmware?" in listen(silent, 300)


def test_port_that_can_not_be_opened(boards, tmp_path):
    (tmp_path / "plain").touch()

    class Plain:
        path = tmp_path / "plain"

    found = check_answer(listen(Plain))
    assert (found.level, "is not a serial port" in found.text) == ("fail", True)


def test_board_whose_watchdog_has_reset_it():
    heard = checks.Heard("north", "0.9", "watchdog", 1, 2)
    assert check_answer(heard).level == "warn"
    quarantined = checks.Heard("north", "0.9", "power", 1, 2, "settings_file x was refused; y")
    assert check_answer(quarantined).fix == "y"


# -- its settings, its policy, its key ---------------------------------------------------

PRIVACY = {"rules": [{"channel": "cpu_busy", "action": "drop"}], "local_only": ["*.load*"]}


def test_settings_and_policy_are_compared_with_those_of_the_file(boards, tmp_path):
    board = boards("north", privacy=PRIVACY)
    board.start()
    heard = listen(board)
    assert heard.policy_hash != 0
    file = board.folder / "flash/device.json"
    assert only(checks.check_settings(SETTINGS, heard, file)).level == "ok"
    assert only(checks.check_settings(SETTINGS, heard, None)).level == "skip"
    other = tmp_path / "other.json"
    other.write_text(file.read_text() + " ")
    found = only(checks.check_settings(SETTINGS, heard, other))
    assert (found.level, "it has others" in found.text) == ("warn", True)
    for text, part in (("{", "is not JSON"), (None, "can't be read")):
        other.write_text(text) if text is not None else other.unlink()
        found = only(checks.check_settings(SETTINGS, heard, other))
        assert (found.level, part in found.text) == ("fail", True)


def test_policy_that_its_firmware_reads_in_another_way(boards):
    board = boards("north", privacy=PRIVACY)
    board.start()
    heard = listen(board)
    file = board.folder / "flash/device.json"
    another = checks.Heard(*list(vars(heard).values())[:4], heard.policy_hash ^ 1)
    found = only(checks.check_settings(SETTINGS, another, file))
    assert (found.level, "its policy" in found.text) == ("fail", True)


def test_key_of_a_link(boards, tmp_path):
    def check(name):
        return only(checks.check_key(KEY, {"link_key_file": name}, tmp_path))

    assert check("").level == "skip"
    found = check("none.key")
    assert (found.level, found.fix) == ("fail", "write the secret into it")
    (tmp_path / "short.key").write_text("short\n")
    assert check("short.key").level == "fail"
    (tmp_path / "porch.key").write_text(SECRET + "\n")
    assert check("porch.key").level == "ok"


def test_board_that_authenticates_is_heard_by_who_has_its_key(boards, tmp_path):
    board = boards("north", link_key_file="link.key")
    (board.folder / "flash/link.key").write_text(SECRET + "\n")
    board.start()
    (tmp_path / "porch.key").write_text(SECRET + "\n")
    (tmp_path / "wrong.key").write_text(SECRET + "-not\n")
    assert "the board seals its messages: set link_key_file" in listen(board, 3000)
    wrong = listen(board, 3000, tmp_path, link_key_file="wrong.key")
    assert "another key than link_key_file" in wrong
    assert listen(board, folder=tmp_path, link_key_file="porch.key").device == "north"


# -- a bundle of a machine that works ----------------------------------------------------


def test_bundle_of_a_running_agent_has_nothing_that_must_stay(boards, agents, tmp_path):
    board = boards("north", sample_for_ms=0)
    board.start()
    agent = agents(
        {
            "sensors": {
                "devices": [
                    serial_device("porch", board.path),
                    {"name": "cellar.damp", "ingest_type": "simulator"},
                    {"name": "attic", "ingest_type": "simulator"},
                ],
                "poll_interval_seconds": 0.1,
            },
            "privacy": {
                "rules": [
                    {"pattern": "*.cpu_busy", "action": "drop"},
                    {"pattern": "cellar.*", "action": "local_only"},
                ],
            },
            "rules": [{"name": "wet", "sensor": "cellar.damp", "above": -1}],
            "cloud": {"enabled": True, "endpoint": "http://127.0.0.1:9/in", "api_key": "${KEY_X}"},
        }
    )
    environment = {**os.environ, "KEY_X": "s3cret-of-the-cloud"}
    agent.environment = environment
    agent.start()
    wait_for(lambda: "board north is up" in agent.text(), "the board")
    wait_for(lambda: agent.ledger().total("aggregated") + agent.ledger().events, "an event")
    made = tmp_path / "b.tar.gz"
    done = subprocess.run(
        [sys.executable, "-m", "pyv_edge_agent.cli", "support-bundle", "--offline"]
        + ["--config", str(agent.config), "--output", str(made)],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    with tarfile.open(made) as archive:
        parts = {
            one.name.partition("/")[2]: archive.extractfile(one).read().decode()
            for one in archive.getmembers()
        }
    whole = "".join(parts.values())
    for name in ("cpu_busy", "cellar", "damp", "wet", "s3cret-of-the-cloud"):
        assert name not in whole, name
    for name in ("porch", "north", "attic"):
        assert name in whole, name
    assert json.loads(parts["health.json"])["status"] != "unhealthy"
    assert json.loads(parts["ledger.json"])["balanced"] is True
    assert json.loads(parts["queue.json"])["sinks"]["http"]["is_configured"] is True
    assert "problem" not in json.loads(parts["doctor.json"])[0]
