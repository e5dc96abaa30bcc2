"""doctor as a whole: which checks there are, that each comes to an end, and how it is told."""

import ast
import json
import re
import socket
import threading

import pytest
from host.command import run_host
from host.doctor_rig import FakeAccounts, config_file, healthy_root, lines
from host.store_rig import StoreRig
from interpreter import ROOT
from pyv_edge_agent.cli import doctor
from pyv_edge_agent.cli.checks import finding
from pyv_edge_agent.cli.checks.bounded import Job, carry_out
from pyv_edge_agent.cli.checks.finding import FAIL, HEADINGS, LEVELS, OK, SKIP, Check, Finding
from pyv_edge_agent.cli.checks.plan import Case, Machine, Plan
from pyv_edge_agent.cli.checks.programs import PYTHON_MIN
from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import StoreError
from pyv_edge_agent.store import engine

CHECKS = ROOT / "host/pyv_edge_agent/cli/checks"
RUNBOOK = (ROOT / "OPERATIONS.md").read_text().split("\n## Runbook\n")[1].split("\n## ")[0]


# -- the runbook -------------------------------------------------------------------------


def test_runbook_has_each_heading_and_mentions_each_check_below_it():
    parts = dict(part.split("\n", 1) for part in RUNBOOK.split("\n### ")[1:])
    for name, heading in HEADINGS.items():
        assert heading in parts, name
        assert f"`{name}`" in parts[heading], name
    named = {
        name
        for text in parts.values()
        for words in re.findall(r"^((?:`[\w.]+`(?:, )?)+)\. ", text, re.MULTILINE)
        for name in re.findall(r"[\w.]+", words)
    }
    assert named == set(HEADINGS)
    assert f"SQLite {'.'.join(map(str, engine.VERSION_MIN[:2]))} " in RUNBOOK
    assert f"Python {'.'.join(map(str, PYTHON_MIN))} " in RUNBOOK


def test_each_check_is_made_somewhere_and_no_other():
    made = set()
    for path in CHECKS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Check", "_job"):
                name = node.args[0] if node.args else None
                if isinstance(name, ast.Constant):
                    made.add(name.value)
    assert made == set(HEADINGS)


# -- how checks are carried out ----------------------------------------------------------


def job(name, carry_out):
    return Job(Check(name), carry_out)


def test_jobs_are_told_in_their_order_whichever_is_done_first():
    second_is_done = threading.Event()

    def first():
        assert second_is_done.wait(20)
        return [Check("config").ok("first")]

    def second():
        second_is_done.set()
        return [Check("clock").ok("second")]

    found = carry_out([job("config", first), job("clock", second)], SystemClock())
    assert [one.text for some in found for one in some] == ["first", "second"]


def test_job_that_hangs_or_fails_can_not_be_told():
    never = threading.Event()

    def hang():
        never.wait(60)
        return []

    def fail(error):
        def run():
            raise error

        return run

    jobs = [
        job("clock", hang),
        job("store.ledger", fail(StoreError("x.db: is\ndamaged"))),
        job("board", fail(ZeroDivisionError("oh"))),
        job("store.file", fail(PermissionError(13, "Permission denied", "/var/lib/x"))),
    ]
    found = [one for some in carry_out(jobs, SystemClock(), within_s=0.2) for one in some]
    never.set()
    assert lines(found) == [
        ("warn", "clock", "can't be told: no result within 0.2 s"),
        ("warn", "store.ledger", "can't be told: x.db: is damaged"),
        ("warn", "board", "can't be told: internal error: ZeroDivisionError: oh"),
        (
            "warn",
            "store.file",
            "can't be told: [Errno 13] Permission denied: '/var/lib/x'",
        ),
    ]
    assert all(one.fix for one in found)
    assert found[-1].fix == "run this as root (sudo)"


# -- which checks there are ----------------------------------------------------------------


def examine(case, root, **more):
    """Carry out all checks on a machine; return the findings by what they are about."""
    machine = Machine(root=root, clock=SystemClock(), accounts=FakeAccounts(), ports=list, **more)
    found = [one for some in carry_out(Plan(machine, case).jobs(), SystemClock()) for one in some]
    assert all(one.level in LEVELS and one.check in HEADINGS for one in found)
    return {one.what: one for one in found}


@pytest.fixture
def root(tmp_path):
    return healthy_root(tmp_path / "root")


def test_machine_on_which_nothing_is_wrong(root, tmp_path):
    case = of(config_file(tmp_path))
    StoreRig(case.config.store_path).close()
    found = examine(case, root)
    assert {one.level for one in found.values() if one.check != "agent"} == {OK, SKIP}
    assert {"config", "python", "sqlite", "clock", "store.file", "store.ledger", "agent"} <= set(
        found
    )


def test_configuration_with_faults_leaves_what_can_be_checked_without(root):
    found = examine(Case("edge.toml", None, ("edge.toml: health.port: 9e9 is not ...",)), root)
    assert found["config"].level == FAIL
    assert {"python", "sqlite", "computer.memory", "service", "agent"} <= set(found)
    assert not [name for name in found if name.startswith(("store", "port", "sink"))]


EVERYTHING = {
    "sensors": {
        "devices": [
            {"name": "porch", "ingest_type": "serial", "port": "/dev/ttyACM99"},
            {"name": "hall", "ingest_type": "mqtt", "topic": "hall/#", "host": "broker.invalid"},
            {"name": "post", "ingest_type": "http", "port": 0},
            {"name": "web", "ingest_type": "http_poll", "url": "https://weather.invalid/now"},
            {"name": "t1", "ingest_type": "simulator"},
        ]
    },
    "cloud": {"enabled": True, "endpoint": "https://cloud.invalid/in"},
    "sinks": {
        "mqtt": {"enabled": True, "host": "broker.invalid"},
        "nats": {"enabled": True, "servers": "nats://n1.invalid, nats://n2.invalid"},
        "influxdb": {
            "enabled": True,
            "url": "http://db.invalid:8086",
            "version": "1",
            "database": "d",
        },
        "file": {"enabled": True, "folder": "out"},
    },
}


def of(path, **more):
    return Case(str(path), Config.from_file(path), **more)


def unknown(host, port):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_everything_that_can_be_broken_is(root, tmp_path):
    found = examine(of(config_file(tmp_path, **EVERYTHING)), root, look_up=unknown)
    failed = {name for name, one in found.items() if one.level == FAIL}
    assert failed == {
        "port porch",
        *(f"source.address {name}" for name in ("hall", "web")),
        *(f"sink.address {name}" for name in ("http", "mqtt", "nats", "influxdb")),
    }
    assert found["sink file"].level == OK
    assert found["source.port post"].level == OK


def test_offline_nothing_goes_to_the_network(root, tmp_path):
    asked = []

    def look_up(host, port):
        asked.append(host)
        return unknown(host, port)

    case = of(config_file(tmp_path, **EVERYTHING), is_offline=True)
    found = examine(case, root, look_up=look_up)
    assert asked == []
    assert not [name for name in found if ".address" in name or name == "sink http"]
    assert found["sink file"].level == OK


def test_servers_that_stand_for_one_another_need_not_all_be_there(root, tmp_path):
    nats = {"enabled": True, "servers": "nats://127.0.0.1, nats://gone.invalid"}
    case = of(config_file(tmp_path, sinks={"nats": nats}), is_hidden=True)

    def look_up(host, port):
        return [] if host != "127.0.0.1" else [(socket.AF_INET, (host, port))]

    machine = {"look_up": look_up, "connect": lambda place: socket.socket()}
    found = Plan(Machine(root=root, **machine), case)._sink(
        "nats", case.config.get("sinks", "nats"), tmp_path
    )()
    assert [one.level for one in found] == ["ok", "warn"]


def test_agent_that_may_not_be_asked_is_left_alone(root, tmp_path):
    """Its ports are taken, its board is in use: that is as it should be."""
    case = of(
        config_file(tmp_path, **EVERYTHING),
        agent_problem="/run/x.sock: may not be opened; run this as root",
        is_hidden=True,
    )
    found = examine(case, root, look_up=unknown)
    assert (found["agent"].level, found["agent"].fix) == ("warn", "run this as root")
    assert not {"agent.port", "source.port post", "sink file"} & set(found)


# -- the command ---------------------------------------------------------------------------


def run_doctor(folder, *args):
    return run_host("doctor", "--offline", *args, cwd=folder)


def test_lines_say_what_is_so_what_to_do_and_where_that_is_told(tmp_path):
    (tmp_path / "edge.toml").write_text('[health]\nprot = 1\n[storage]\npath = "x.db"\n')
    done = run_doctor(tmp_path)
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if " config: " in line)
    assert line == (
        "fail  config: edge.toml:2: health.prot: is not a setting; did you mean port?"
        ' (see OPERATIONS.md, "The configuration has a fault")'
    )
    for line in done.stdout.splitlines()[:-1]:
        assert re.match(r"(ok  |warn|fail)  [\w.]+( \w+)?: .", line), line
        if not line.startswith("ok"):
            heading = re.search(r'\(see OPERATIONS\.md, "(.+)"\)$', line)[1]
            assert f"\n### {heading}\n" in RUNBOOK
    assert re.fullmatch(r"\d+ ok, \d+ warn, 1 fail", done.stdout.splitlines()[-1])
    assert done.stderr == ""
    assert "\nskip  service: " in run_doctor(tmp_path, "--verbose").stdout


def test_without_a_configuration_that_is_the_fault(tmp_path):
    done = run_doctor(tmp_path, "--config", "none.toml", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    first = told["findings"][0]
    assert (first["check"], first["level"]) == ("config", "fail")
    assert "none.toml: no such config file" in first["finding"]


def test_json_has_a_form_that_stays(tmp_path):
    config_file(tmp_path)
    done = run_doctor(tmp_path, "--config", "edge.json", "--json")
    told = json.loads(done.stdout)
    assert list(told) == ["ok", "warn", "fail", "skip", "findings"]
    assert {tuple(one) for one in told["findings"]} == {
        ("check", "subject", "level", "finding", "fix", "see")
    }
    for level in LEVELS:
        assert told[level] == sum(one["level"] == level for one in told["findings"])
    assert done.returncode == (1 if told["fail"] else 0)


def test_agent_that_is_there_and_does_not_answer_is_a_fault(tmp_path):
    path = config_file(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        agent.bind(f"{path}.sock")
        agent.listen()

        def hang_up():
            agent.accept()[0].close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        done = run_doctor(tmp_path, "--config", path, "--json")
        thread.join(10)
    found = {one["check"]: one for one in json.loads(done.stdout)["findings"]}
    assert found["agent"]["level"] == "fail"
    assert found["agent"]["finding"] == "the agent went away before it answered"
    assert "agent.port" not in found  # it may have that


def test_colour_is_for_terminals_only(monkeypatch):
    found = Finding("config", "", FAIL, "bad", "mend it")
    plain = doctor.shown(found)
    assert plain.startswith("fail  config: bad; mend it (see ")
    assert doctor.shown(found, colour=True) == plain  # stdout is none
    assert finding.Check("device", "porch").ok("x").what == "device porch"
