"""Files that commands write for their users: nothing of the agent's is ever one of them."""

import os
from argparse import Namespace

import pytest
from host.command import run_host
from pyv_edge_agent.cli.destination import destination, writable
from pyv_edge_agent.errors import UsageError
from pyv_edge_agent.store import SQLiteStore

KEPT = ("edge.db.broken-1", "edge.db.replaced-2")


@pytest.fixture
def args(tmp_path):
    config = tmp_path / "edge.toml"
    config.write_text(
        '[storage]\npath = "edge.db"\n[cloud]\nenabled = true\nendpoint = "https://c.example/in"\n'
        'api_key_file = "key"\n[privacy]\nhash_key_file = "hash.key"\n'
        '[sinks.file]\nfolder = "sent"\n[[sensors.devices]]\nname = "f"\ningest_type = "file"\n'
        'path = "readings.csv"\n'
    )
    for name in ("key", "edge.db", "edge.db-wal", "edge.db.lock", "hash.key", "mine", *KEPT):
        (tmp_path / name).write_text(name)
    return Namespace(config=str(config), db=None, force=True)


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("edge.toml", "the configuration itself"),
        ("edge.db", "the store itself"),
        ("edge.db-wal", "a file of the store"),
        ("edge.db.lock", "a file of the store"),
        ("edge.db-shm", "a file of the store"),  # which is not there now
        ("edge.db.reserve", "a file of the store"),
        ("edge.db.v3.backup", "a file of the store"),
        ("edge.db.broken-1", "a file of the store"),
        ("edge.db.broken-12-wal", "a file of the store"),
        ("edge.db.replaced-2", "a file of the store"),
        ("hash.key", "a file or a folder that the configuration names"),
        ("key", "a file or a folder that the configuration names"),
        ("sent", "a file or a folder that the configuration names"),  # once a sink makes it
        ("readings.csv", "a file or a folder that the configuration names"),
    ],
)
def test_nothing_of_the_agent_is_written_over_even_by_force(args, tmp_path, name, whose):
    for path in (tmp_path / name, tmp_path / "link"):
        if path.name == "link":
            path.symlink_to(tmp_path / name)
        with pytest.raises(UsageError, match=f"{path.name}: is {whose}; name another file"):
            destination(args, str(path))
    (tmp_path / "link").unlink()
    (tmp_path / name).exists() and os.link(tmp_path / name, tmp_path / "same")
    if (tmp_path / "same").exists():
        with pytest.raises(UsageError, match="same: is "):
            destination(args, str(tmp_path / "same"))


def test_folder_of_a_sink_is_its_own(args, tmp_path):
    (tmp_path / "sent").mkdir()
    with pytest.raises(UsageError, match=r"sent/1\.ndjson: is in a folder that the agent writes"):
        destination(args, str(tmp_path / "sent" / "1.ndjson"))


def test_what_only_begins_like_the_store_is_free(args, tmp_path):
    for name in ("edge.db.csv", "edge.db.bak", "edge.db2"):
        assert destination(args, str(tmp_path / name)) == tmp_path / name


def test_store_is_known_without_a_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYV_EDGE_CONFIG", raising=False)
    (tmp_path / "other.db").touch()
    with pytest.raises(UsageError, match=r"other\.db: is the store itself"):
        destination(Namespace(config=None, db="other.db", force=True), "other.db")


@pytest.mark.parametrize("fault", ["[nonsense", 'host = "${PYV_TEST_ABSENT}"', "x = 1"])
def test_configuration_with_a_fault_protects_as_far_as_it_can_be_guessed(args, tmp_path, fault):
    config = tmp_path / "edge.toml"
    config.write_text(config.read_text() + f"[health]\n{fault}\n")
    if fault == "[nonsense":
        (tmp_path / "edge.db").rename(tmp_path / "data_edge.db")
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "edge_store.db").touch()
        names = ["data/edge_store.db", "data/edge_store.db-wal", "data/export", "edge.toml"]
    else:
        names = ["edge.db", "edge.db-wal", "key", "sent", "readings.csv"]
    for name in names:
        with pytest.raises(UsageError, match="name another file"):
            destination(args, str(tmp_path / name))


def test_store_is_replaced_by_nothing_but_a_backup_of_which_it_is_one(args, tmp_path):
    store = tmp_path / "old.db"
    SQLiteStore(store).close()
    for is_backup in (False, True):
        with pytest.raises(UsageError, match=r"old\.db: is a store; name another file, or move"):
            destination(args, str(store), is_backup=is_backup)
    (tmp_path / "old.db.lock").unlink()
    with pytest.raises(UsageError, match=r"old\.db: is a store; name another file, or move"):
        destination(args, str(store))
    assert destination(args, str(store), is_backup=True) == store


def test_configuration_that_can_not_be_read_hinders_no_rescue(args, tmp_path):
    (tmp_path / "edge.toml").write_text("[nonsense")
    args.db = str(tmp_path / "edge.db")
    assert destination(args, str(tmp_path / "mine")) == tmp_path / "mine"
    with pytest.raises(UsageError, match="is the store itself"):
        destination(args, args.db)


def test_what_is_there_is_replaced_only_if_that_is_said(args, tmp_path):
    assert destination(args, str(tmp_path / "mine")) == tmp_path / "mine"
    args.force = False
    with pytest.raises(UsageError, match="mine: is there already; name another file, or say"):
        destination(args, str(tmp_path / "mine"))
    assert destination(args, str(tmp_path / "new")) == tmp_path / "new"


def test_link_stays_and_what_it_leads_to_is_written(args, tmp_path):
    (tmp_path / "link").symlink_to("mine")
    assert destination(args, str(tmp_path / "link")) == tmp_path / "mine"
    (tmp_path / "nowhere").symlink_to("later")
    assert destination(args, str(tmp_path / "nowhere")) == tmp_path / "later"
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(UsageError, match="round: can't be looked at: "):
        destination(args, str(tmp_path / "round"))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("/dev/null", "is there and is no file; name a file"),
        ("pipe", "is there and is no file; name a file"),
        ("folder", "is a folder; name a file"),
        ("later/", "later/: is no folder; make it, or name a file"),
        ("no/such/file", "is no folder; make it, or name another"),
        ("mine/file", "can't be looked at: Not a directory"),
        ("a\0b", "can't be looked at: .*embedded null"),
    ],
)
def test_what_is_no_file_stays(tmp_path, name, problem):
    (tmp_path / "mine").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=problem):
        writable(f"{tmp_path}/{name}" if name[0] != "/" else name, is_forced=True)
    assert sorted(tmp_path.iterdir()) == before


def test_commands_refuse_it_in_a_line(args, tmp_path):
    (tmp_path / "edge.toml").write_text('[storage]\npath = "edge.db"\n')
    for words in (["export"], ["query"]):
        done = run_host(*words, "--output", "edge.db", "--force", cwd=tmp_path)
        assert done.stderr == "edge.db: is the store itself; name another file\n"
        assert done.returncode == 2
    (tmp_path / "edge.toml.new").write_text("mine")
    for name in ("edge.db", "edge.db-wal"):
        done = run_host("config", "init", "--output", name, "--yes", "--force", cwd=tmp_path)
        assert "of the store" in done.stderr or "is the store itself" in done.stderr
    done = run_host("config", "init", "--yes", "--force", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "edge.toml: written\n")
    assert (tmp_path / "edge.toml.new").read_text() == "mine"
    done = run_host("config", "init", "--output", "/dev/null", "--yes", "--force", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "/dev/null: is there and is no file; name a file\n",
    )
    assert (tmp_path / "edge.db").read_text() == "edge.db"


def test_configuration_goes_to_stdout_if_that_is_named(tmp_path):
    done = run_host("config", "init", "--output", "-", "--yes", cwd=tmp_path)
    assert done.returncode == 0
    assert "[[sensors.devices]]" in done.stdout
    assert not list(tmp_path.iterdir())
    done = run_host("config", "init", "--output", "-", "--yes", "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
