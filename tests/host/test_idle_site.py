"""A store of which no agent is the user now: who looks at it changes nothing in it."""

import json
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from host.command import run_host
from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.store import SQLiteStore
from pyv_edge_agent.store.schema import SCHEMA_VERSION

CONFIG = """
[storage]
path = "edge.db"
[cloud]
enabled = true
endpoint = "http://127.0.0.1:1/in"
queue_max_mb = 3
[sinks.file]
enabled = false
folder = "out"
"""

LOOKING = (
    ("queue", "stats"),
    ("queue", "list"),
    ("queue", "dlq", "ls"),
    ("queue", "dlq", "show", "1"),
)
CHANGING = (
    ("queue", "purge", "--yes"),
    ("queue", "forget", "file", "--yes"),
    ("queue", "dlq", "retry", "--all"),
    ("queue", "dlq", "drop", "1"),
)


@pytest.fixture
def site(rig, tmp_path):
    """Return a folder with a store in which something waits for two sinks."""
    (tmp_path / "edge.toml").write_text(CONFIG)
    rig.store.sinks.register("http")
    rig.store.sinks.register("file")
    rig.mixed(30)
    rig.store.items.add({"type": "note"}, 2, 0.0, 0)
    with rig.store.transaction() as tx:
        rig.store.dead_letters.write(tx, "http", "item", 2, [("item 7", "{}", "422")])
    rig.close()
    return tmp_path


def contents(folder):
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name != "edge.db-shm"}


@pytest.mark.parametrize("words", LOOKING)
def test_looking_changes_nothing(site, words):
    for name in ("edge.db.lock", "edge.db.schema"):
        (site / name).unlink(missing_ok=True)
    before = contents(site)
    done = run_host(*words, "--json", cwd=site)
    assert (done.returncode, done.stderr) == (0, "")
    after = contents(site)
    assert after.pop("edge.db-wal", b"") == b""
    before.pop("edge.db-wal", None)
    assert after == before


def test_sinks_are_those_of_the_configuration(site):
    told = json.loads(run_host("queue", "stats", "--json", cwd=site).stdout)
    assert {name: one["is_configured"] for name, one in told["sinks"].items()} == {
        "http": True,
        "file": False,
    }
    assert told["sinks"]["http"] == {
        "pending_readings": 30,
        "pending_items": 1,
        "is_configured": True,
    }
    assert (told["items"], told["dead_letters"]) == (2, 1)
    assert told["item_bytes_max"] == 3 * 1_048_576
    done = run_host("queue", "forget", "http", "--yes", cwd=site)
    assert done.stderr == "sink 'http' is configured; take it out first, and reload\n"
    assert done.returncode == 2
    assert run_host("queue", "forget", "file", "--yes", cwd=site).returncode == 0
    told = json.loads(run_host("queue", "stats", "--json", cwd=site).stdout)
    assert list(told["sinks"]) == ["http"]


def test_sink_that_nobody_knows_is_refused(site):
    done = run_host("queue", "list", "--sink", "nix", cwd=site)
    assert (done.returncode, done.stderr) == (
        2,
        "there is no sink 'nix'; there are: file, http\n",
    )


def test_letters_go_back_into_a_queue_with_the_room_of_the_configuration(site):
    assert run_host("queue", "dlq", "retry", "--all", cwd=site).stdout == "1 retried\n"
    told = json.loads(run_host("queue", "stats", "--json", cwd=site).stdout)
    assert (told["items"], told["dead_letters"]) == (3, 0)


@pytest.mark.parametrize("words", [*LOOKING, *CHANGING])
@pytest.mark.parametrize("is_whole", [False, True])
def test_damaged_store_is_left_to_the_agent(site, words, is_whole):
    path = site / "edge.db"
    content = path.read_bytes()
    path.write_bytes(b"\xff" * 4096 + (content[4096:] if is_whole else b""))
    before = contents(site)
    done = run_host(*words, cwd=site)
    assert done.returncode == 3
    assert "edge.db: " in done.stderr and done.stderr.count("\n") == 1
    assert "pyv-edge-host doctor" in done.stderr
    assert contents(site) == before


@pytest.mark.parametrize("words", [*LOOKING, *CHANGING])
@pytest.mark.parametrize(
    ("version", "remedy"),
    [(SCHEMA_VERSION - 1, "let the agent run once"), (SCHEMA_VERSION + 1, "use a newer one")],
)
def test_store_of_another_version_is_not_changed(site, words, version, remedy):
    with closing(sqlite3.connect(site / "edge.db")) as store:
        store.execute(f"PRAGMA user_version = {version}")
    before = contents(site)
    done = run_host(*words, cwd=site)
    assert (done.returncode, remedy in done.stderr) == (3, True)
    after = contents(site)
    after.pop("edge.db-wal", None)
    before.pop("edge.db-wal", None)
    assert after == before


def test_no_store_is_made(site):
    (site / "edge.db").unlink()
    done = run_host("queue", "stats", cwd=site)
    assert done.returncode == 3
    assert "edge.db: there is no store; the agent's first start makes one" in done.stderr
    assert not (site / "edge.db").exists()


def test_store_of_a_running_agent_is_its_own(site):
    with closing(SQLiteStore(site / "edge.db", SystemClock())):
        done = run_host("queue", "purge", "--yes", cwd=site)
        assert (done.returncode, "is in use by another agent" in done.stderr) == (3, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which may give files away")
def test_root_leaves_files_that_the_agents_user_can_use(site):
    with tempfile.TemporaryDirectory() as name:  # that other users can reach
        folder = Path(name)
        for one in ("edge.toml", "edge.db"):
            shutil.copy(site / one, folder)
        for one in (folder, *folder.iterdir()):
            os.chown(one, 54321, 54321)
        done = run_host("queue", "purge", "--yes", cwd=folder)
        assert (done.stdout, done.stderr) == ("2 items are deleted\n", "")
        owners = {one.name: one.stat().st_uid for one in folder.iterdir()}
        assert owners == dict.fromkeys(owners, 54321)
        assert "edge.db.lock" in owners
