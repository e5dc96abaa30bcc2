"""`pyv-edge-host config`: check, show, schema, init."""

import argparse
import io
import json
import os
import pty
import select
import stat
import subprocess

import pytest
from host.command import HOST, environment, run_host
from host.waiting import wait_for
from host.wrong_configs import WRONG, lines_of
from pyv_edge_agent.cli import config_init
from pyv_edge_agent.cli.place import PLACES
from pyv_edge_agent.config import Config
from pyv_edge_agent.config.draft import draft, toml
from pyv_edge_agent.config.schema import make_schema
from pyv_edge_agent.errors import ConfigError, UsageError
from pyv_edge_agent.settings import DEVICES, MISSING, SECTIONS, SINKS
from pyv_edge_agent.settings.setting import secret_files

GOOD = '[[sensors.devices]]\nname = "a"\ningest_type = "simulator"\n[health]\nport = 0\n'


# -- check -----------------------------------------------------------------------------


def test_good_files_are_told_to_be_good(tmp_path):
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(GOOD)
    done = run_host("config", "check", "a.toml", "b.toml", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a.toml: ok\nb.toml: ok\n", "")


def test_every_fault_of_every_file_is_told(tmp_path):
    (tmp_path / "good.toml").write_text(GOOD)
    for name, text in WRONG:
        (tmp_path / name).write_text(text)
    names = [name for name, _ in WRONG]
    done = run_host("config", "check", *names, "good.toml", "no.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == "good.toml: ok\n"
    wanted = [line for name, text in WRONG for line in lines_of(name, text)]
    *lines, missing = [line for line in done.stderr.splitlines() if "warning" not in line]
    assert lines == wanted
    assert missing == "no.toml: no such config file; write one or name another"


def test_ten_wrong_files_name_their_lines():
    assert len(WRONG) == 10
    for name, text in WRONG:
        lines = lines_of(name, text)
        rows = text.split("\n")
        for line in lines:
            place, problem = line.removeprefix(f"{name}:").split(": ", 1)
            assert 1 <= int(place) <= len(rows), line
            assert problem
        assert lines == sorted(lines, key=lambda line: int(line.split(":")[1]))
    assert "hunter2" not in str([lines_of(*one) for one in WRONG])


def test_warning_is_told_and_stops_nothing(tmp_path):
    (tmp_path / "a.toml").write_text(GOOD.replace("= 0", "= 80"))
    done = run_host("config", "check", "a.toml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "a.toml: ok\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("a.toml:5: warning: health.port: is below 1024")


def test_files_that_are_named_are_looked_for(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(GOOD + "[sinks.nats]\nenabled = true\nca_file = 'ca.pem'\n")
    done = run_host("config", "check", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("edge.toml:8: sinks.nats.ca_file: ca.pem can't be read: ")
    (tmp_path / "ca.pem").touch()
    assert run_host("config", "check", "--config", path).returncode == 0


def test_check_as_json(tmp_path):
    (tmp_path / "a.toml").write_text(GOOD.replace("= 0", "= 80"))
    (tmp_path / "b.toml").write_text("[health]\nprot = 1\n")
    done = run_host("config", "check", "--json", "a.toml", "b.toml", "c.toml", cwd=tmp_path)
    good, bad, none = json.loads(done.stdout)["files"]
    assert (done.returncode, done.stderr) == (2, "")
    assert (good["file"], good["ok"], good["faults"]) == ("a.toml", True, [])
    assert [warning["path"] for warning in good["warnings"]] == ["health.port"]
    assert bad["faults"] == [
        {
            "source": "b.toml",
            "line": 2,
            "path": "health.prot",
            "problem": "is not a setting; did you mean port?",
        }
    ]
    assert none["faults"][0]["problem"] == "no such config file; write one or name another"


# -- show ------------------------------------------------------------------------------


def test_show_tells_what_the_file_sets(tmp_path):
    (tmp_path / "edge.toml").write_text(
        GOOD + "[cloud]\napi_key = '${KEY}'\nendpoint = 'https://u:p@h/in?q'\nenabled = true\n"
    )
    done = run_host("config", "show", cwd=tmp_path, KEY="hunter2")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        'sensors.devices[0].name = "a"',
        'sensors.devices[0].ingest_type = "simulator"',
        "cloud.enabled = true",
        'cloud.endpoint = "https://h/in"',
        "cloud.api_key = (set)",
        "health.port = 0",
    ]


def test_show_tells_everything_in_force_and_where_it_comes_from(tmp_path):
    (tmp_path / "edge.toml").write_text(GOOD + "[cloud]\napi_key = '${KEY}'\n")
    done = run_host("config", "show", "--effective", cwd=tmp_path, KEY="hunter2")
    rows = [line.split(" # ") for line in done.stdout.splitlines()]
    origins = {row.split(" = ")[0]: origin for row, origin in rows}
    assert origins["health.port"] == "line 5"
    assert origins["health.enabled"] == "default"
    assert origins["cloud.api_key"] == "environment variable KEY, line 7"
    assert len(origins) > 100
    assert "hunter2" not in done.stdout
    as_json = run_host("config", "show", "--effective", "--json", cwd=tmp_path, KEY="hunter2")
    shown = json.loads(as_json.stdout)
    assert shown["file"] == "edge.toml"
    assert [row["path"] for row in shown["settings"]] == list(origins)
    (key,) = [row for row in shown["settings"] if row["path"] == "cloud.api_key"]
    assert key == {
        "path": "cloud.api_key",
        "value": "(set)",
        "kind": "environment variable",
        "name": "KEY",
        "line": 7,
    }


def test_show_of_a_wrong_file_tells_its_faults(tmp_path):
    (tmp_path / "edge.toml").write_text("[health]\nport = -1\n")
    done = run_host("config", "show", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "edge.toml:2: health.port: -1 is not a whole number in 0..65535\n"


def test_schema_is_printed():
    for args in ((), ("--json",)):
        done = run_host("config", "schema", *args)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout) == make_schema()


# -- init: what it writes ------------------------------------------------------------------


def test_draft_shows_every_setting_with_its_default():
    devices = [{"name": kind, "ingest_type": kind} for kind in DEVICES]
    rows = draft({"sensors": {"devices": devices}}).splitlines()
    for name, keys in {**SECTIONS, **{f"sinks.{k}": v for k, v in SINKS.items()}}.items():
        at = rows.index(f"[{name}]")
        for key, setting in keys.items():
            shown = next(row for row in rows[at:] if row.startswith(f"#{key} = "))
            assert shown == f"#{key} = {toml(setting.default)}"
    for keys in DEVICES.values():
        for key, setting in keys.items():
            if setting.default is not MISSING:
                assert any(row.startswith(f"#{key} = ") for row in rows)
    assert max(map(len, rows)) <= 99


def test_draft_without_its_comment_signs_says_the_same(tmp_path):
    """What a comment shows as the default is the default."""
    text = draft({})
    plain = [
        row[1:] if row[:1] == "#" and row[1:2] not in ("", " ", "[") else row
        for row in text.split("\n")
    ]
    sections = "\n".join(plain).split("#[[")
    path = tmp_path / "edge.toml"
    kept = [sections[0]]
    for part in sections[1:]:
        kept.append(part[part.index("\n\n") :])  # an example is no default
    path.write_text("\n".join(kept))
    assert Config.from_file(path, {}).to_dict() == Config(environment={}).to_dict()


def test_draft_says_what_is_given(tmp_path):
    text = 'é " \\ \x7f \U0001f600'
    device = {"name": text, "ingest_type": "simulator", "baseline": 1e-9, "seed": 5}
    given = {
        "sensors": {"devices": [device], "poll_interval_seconds": 2.5},
        "cloud": {"enabled": True, "endpoint": "https://h", "api_key_file": "key"},
        "sinks": {"file": {"enabled": True}},
    }
    path = tmp_path / "edge.toml"
    path.write_text(draft(given), encoding="utf-8")
    (tmp_path / "key").write_text("k")
    config = Config.from_file(path, {})
    (found,) = config.get("sensors", "devices")
    assert {key: found[key] for key in device} == device
    assert config.get("cloud", "api_key") == "k"
    assert config.get("sinks", "file", "enabled") is True


# -- init: where nobody is asked -----------------------------------------------------------


class Port:
    def __init__(self, device, vid=0x2E8A, pid=5, serial_number="E1"):
        self.device, self.vid, self.pid, self.serial_number = device, vid, pid, serial_number


def init(*words, ports=()):
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    config_init.add_arguments(parser)
    return config_init.run(parser.parse_args(["--yes", *map(str, words)]), lambda: ports)


def devices_of(path):
    return Config.from_file(path, {}).get("sensors", "devices")


def test_boards_that_are_there_are_found(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ports = [
        Port("/dev/ttyACM1", serial_number="E2"),
        Port("/dev/ttyACM0"),
        Port("/dev/ttyS0", None),
    ]
    assert init(ports=ports) == 0
    found = [(one["name"], one["ingest_type"], one["port"]) for one in devices_of(PLACES[0])]
    assert found == [
        ("board-1", "serial", "usb:2e8a:0005:E1"),
        ("board-2", "serial", "usb:2e8a:0005:E2"),
    ]
    told = capsys.readouterr()
    assert told.out == "edge.toml: written\n"
    assert "device board-2 at usb:2e8a:0005:E2: A board on a serial port." in told.err
    assert stat.S_IMODE(os.stat(PLACES[0]).st_mode) == 0o644 & ~_umask()


def _umask():
    before = os.umask(0)
    os.umask(before)
    return before


def test_without_a_board_there_is_a_simulated_device(tmp_path):
    path = tmp_path / "a.toml"
    assert init("--output", path) == 0
    (device,) = devices_of(path)
    assert device["ingest_type"] == "simulator"
    assert [one.name for one in tmp_path.iterdir()] == ["a.toml"]


def test_options_say_what_the_file_says(tmp_path):
    path = tmp_path / "a.toml"
    (tmp_path / "cloud.key").write_text("k\n")
    init(
        *("--output", path, "--store", "s.db", "--endpoint", "https://h/in"),
        *("--api-key-file", "cloud.key", "--device", "hall=simulator:seed=5,unit=Cel"),
        *("--device", "porch=serial:port=usb:2e8a:5:E1,dtr=false"),
        ports=[Port("/dev/ttyACM0")],
    )
    config = Config.from_file(path, {})
    hall, porch = config.get("sensors", "devices")
    assert (hall["name"], hall["seed"], hall["unit"]) == ("hall", 5, "Cel")
    assert (porch["name"], porch["port"], porch["dtr"]) == ("porch", "usb:2e8a:5:E1", False)
    assert config.get("cloud", "api_key") == "k"
    assert config.store_path == tmp_path / "s.db"
    assert not config.has_secrets


def test_value_of_a_device_may_have_a_comma(tmp_path):
    path = tmp_path / "a.toml"
    init("--output", path, "--device", "hall=file:path=/log.csv,columns=at,temp,unit=Cel")
    (hall,) = devices_of(path)
    assert (hall["path"], hall["columns"], hall["unit"]) == ("/log.csv", "at,temp", "Cel")


def test_key_of_the_cloud_comes_from_the_environment(tmp_path):
    path = tmp_path / "a.toml"
    init("--output", path, "--endpoint", "https://h/in")
    assert Config.from_file(path, {}).get("cloud", "api_key") == ""
    assert Config.from_file(path, {"EDGE_API_KEY": "k"}).get("cloud", "api_key") == "k"


def test_file_with_a_secret_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "a.toml"
    before = os.umask(0)
    try:
        init("--output", path, "--endpoint", "https://user:hunter2@h/in")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_file_that_is_there_is_kept_unless_that_is_said(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("mine")
    with pytest.raises(UsageError, match=r"a\.toml: is there already; --output names another"):
        init("--output", path)
    assert path.read_text() == "mine"
    init("--output", path, "--force")
    assert devices_of(path)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--device", "a"], r"--device: 'a' is not NAME=KIND\[:KEY=VALUE,...\] with a KIND of "),
        (["--device", "a=telepathy"], "with a KIND of file, http, http_poll, mqtt, serial"),
        (["--device", "a=simulator:sed=5"], "--device: 'sed' of a is not KEY=VALUE with a KEY of"),
        (["--device", "a=simulator:seed"], "--device: 'seed' of a is not KEY=VALUE with a KEY of"),
        (["--device", "a=simulator:seed=x"], "--device: seed of a: the value is not a whole num"),
        (["--output", "a.json"], r"--output: a\.json can't have comments; name it \.toml"),
        (["--output", "no/a.toml"], r"no/a\.toml: no is no folder; make it, or name another"),
    ],
)
def test_option_that_is_wrong_is_named(tmp_path, monkeypatch, words, problem):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=problem):
        init(*words)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_that_check_would_refuse(tmp_path):
    path = tmp_path / "a.toml"
    for words in (["--endpoint", "h"], ["--device", "a=serial"]):
        with pytest.raises(ConfigError):
            init("--output", path, *words)
    with pytest.raises(ConfigError, match=r"cloud\.api_key_file: k can't be read"):
        init("--output", path, "--endpoint", "https://h", "--api-key-file", "k")
    assert list(tmp_path.iterdir()) == []


def test_ports_that_can_not_be_listed_are_told(tmp_path, capsys):
    def failing():
        raise OSError("no sysfs")

    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    config_init.add_arguments(parser)
    path = tmp_path / "a.toml"
    args = parser.parse_args(["--yes", "--json", "--output", str(path)])
    assert config_init.run(args, failing) == 0
    told = capsys.readouterr()
    assert told.err == "ports can't be listed now: no sysfs\n"
    assert json.loads(told.out) == {"file": str(path), "devices": ["simulated"]}


# -- init: at a terminal ---------------------------------------------------------------------


class Terminal(io.StringIO):
    """Somebody who has typed what they will answer."""

    def isatty(self):
        return True


def asked(monkeypatch, answers, *words, ports=()):
    monkeypatch.setattr("sys.stdin", Terminal("".join(f"{answer}\n" for answer in answers)))
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    config_init.add_arguments(parser)
    return config_init.run(parser.parse_args(list(map(str, words))), lambda: ports)


def test_answers_say_what_the_file_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ports = [
        Port("/dev/ttyACM0"),
        Port("/dev/ttyACM1", serial_number="E2"),
        Port("/dev/ttyACM2", 1, 2),
    ]
    answers = ["mine.toml", "porch", "-", "porch", "cellar", "", "store.db"]
    assert asked(monkeypatch, answers, ports=ports) == 0
    found = [(one["name"], one["port"]) for one in devices_of("mine.toml")]
    assert found == [("porch", "usb:2e8a:0005:E1"), ("cellar", "usb:0001:0002:E1")]
    assert Config.from_file("mine.toml").store_path.name == "store.db"
    told = capsys.readouterr().err
    assert "Board at /dev/ttyACM0 (usb:2e8a:0005:E1). Its name, - for none [board-1]: " in told
    assert "sensors.devices[1].name: is the same as sensors.devices[0]'s" in told


def test_enter_all_the_way_is_as_yes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked(monkeypatch, ["", "", "", ""])
    init("--output", "b.toml")
    assert (tmp_path / PLACES[0]).read_text() == (tmp_path / "b.toml").read_text()


def test_no_device_is_an_answer_too(tmp_path, monkeypatch, capsys):
    path = tmp_path / "a.toml"
    asked(monkeypatch, ["sure", "no", "", ""], "--output", path)
    assert devices_of(path) == []
    told = capsys.readouterr().err
    assert "y or n\n" in told
    assert "warning: sensors: there are no devices" in told


def test_all_devices_that_are_wrong_are_told_at_once(tmp_path):
    words = ["a=telepathy", "b=simulator", "c=simulator:sed=5"]
    with pytest.raises(UsageError) as refused:
        init(
            "--output", tmp_path / "a.toml", *[one for word in words for one in ("--device", word)]
        )
    first, second = str(refused.value).split("\n")
    assert "'a=telepathy' is not NAME=KIND" in first
    assert "'sed' of c is not KEY=VALUE" in second


def test_who_gives_no_answer_gets_no_file(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="there is no answer, so nothing is written"):
        asked(monkeypatch, ["y"], "--output", tmp_path / "a.toml")
    assert list(tmp_path.iterdir()) == []


class Session:
    """The command at a terminal of its own."""

    def __init__(self, *words, cwd):
        self.master, slave = pty.openpty()
        self.shown, self.at = "", 0
        self.process = subprocess.Popen(
            [HOST, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=environment(),
            start_new_session=True,  # its terminal is no other one
        )
        os.close(slave)

    def read_until(self, text):
        """Wait for a text behind the one that was waited for before."""

        def has_come():
            if select.select([self.master], [], [], 0)[0]:
                self.shown += os.read(self.master, 4096).decode()
            return text in self.shown[self.at :]

        wait_for(has_come, repr(text))
        self.at = self.shown.index(text, self.at) + len(text)

    def answer(self, question, text):
        self.read_until(question)
        os.write(self.master, f"{text}\n".encode())


def test_session_at_a_terminal(tmp_path):
    """What is asked, and that the key is not shown while it is typed."""
    session = Session("config", "init", "--device", "hall=simulator", cwd=tmp_path)
    session.answer("File to write [edge.toml]: ", "")
    session.answer("URL of the cloud's endpoint [none]: ", "example.com")
    session.answer("[from $EDGE_API_KEY]: ", "")
    session.read_until("cloud.endpoint: must be a URL, http://... or https://...")
    session.answer("URL of the cloud's endpoint [none]: ", "https://example.com/in")
    session.answer("[from $EDGE_API_KEY]: ", "hunter2")
    session.answer("Where the store is, from the file's folder [data/edge_store.db]: ", "")
    session.read_until("start the agent with: pyv-edge-host run --config edge.toml")
    assert "hunter2" not in session.shown
    assert session.process.wait(60) == 0
    os.close(session.master)
    config = Config.from_file(tmp_path / "edge.toml")
    assert config.get("cloud", "api_key") == "hunter2"
    assert config.warnings == []
    assert stat.S_IMODE((tmp_path / "edge.toml").stat().st_mode) == 0o600


def test_every_secret_of_a_device_may_be_an_option():
    for kind, keys in DEVICES.items():
        for name in secret_files(keys):
            assert config_init._device(f"a={kind}:{name}=f")[name] == "f"
