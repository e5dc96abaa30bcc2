"""What all commands share: how they start, find their configuration, and end."""

import argparse
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from host.command import HOST, environment, run_host
from host.waiting import wait_for
from interpreter import ROOT
from pyv_edge_agent import exit_status
from pyv_edge_agent.cli import COMMANDS, make_parser, output, place
from pyv_edge_agent.errors import ConfigError, StartError, StoreError, UsageError
from pyv_edge_core import __version__
from pyv_edge_core.errors import TableError

OPERATIONS = (ROOT / "OPERATIONS.md").read_text()
# They go on until they are stopped, and their output is a log, or code for a shell.
WITHOUT_JSON = {"run", "completion"}


# -- statuses --------------------------------------------------------------------------


def test_table_of_statuses_is_that_of_the_code():
    section = OPERATIONS.split("| exit status |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", section, re.MULTILINE)
    assert {int(number): text for number, text in rows} == exit_status.MEANINGS


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        (ConfigError(["a: is bad", "b: too"]), 2, ["a: is bad", "b: too"]),
        (TableError(["rules[0]: is bad"]), 2, ["rules[0]: is bad"]),
        (UsageError("--limit: is bad"), 2, ["--limit: is bad"]),
        (FileNotFoundError("x.toml: no such config file"), 2, ["x.toml: no such config file"]),
        (FileNotFoundError(2, "No such file", "/no/x"), 3, ["/no/x: No such file"]),
        (PermissionError(13, "Permission denied", "/x"), 3, ["/x: Permission denied"]),
        (OSError("no more"), 3, ["no more"]),
        (StoreError("x.db: is damaged"), 3, ["x.db: is damaged"]),
        (StartError("no port"), 3, ["no port"]),
    ],
)
def test_each_error_has_one_status_and_its_lines(error, status, lines):
    assert isinstance(error, exit_status.TOLD)
    assert exit_status.status_of(error) == (status, lines)


def test_help_names_every_command_and_imports_none():
    code = (
        "import sys; from pyv_edge_agent.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(sorted(one for one in sys.modules if 'pyv_edge' in one), file=sys.stderr)"
    )
    done = run_host("--help", code=code)
    assert all(f"  {name}" in done.stdout for name in COMMANDS)
    assert done.stderr.splitlines()[-1] == str(
        ["pyv_edge_agent", "pyv_edge_agent.cli", "pyv_edge_core"]
    )
    assert run_host("--version").stdout == f"{__version__}\n"


def test_only_the_command_that_is_called_is_imported():
    code = (
        "import sys; from pyv_edge_agent.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(sorted(m for m in sys.modules if 'agent.cli.' in m), file=sys.stderr)"
    )
    done = run_host("audit", "--help", code=code)
    assert done.stderr.splitlines()[-1] == str(
        [f"pyv_edge_agent.cli.{name}" for name in ("argument", "audit", "place")]
    )


def parsers(parser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from parsers(one)


def test_every_command_has_json_and_every_option_a_help():
    for name in COMMANDS:
        parser = next(
            one for one in parsers(make_parser([name])) if one.prog == f"pyv-edge-host {name}"
        )
        ends = [one for one in parsers(parser) if not one._subparsers]
        for one in ends:
            options = {option for action in one._actions for option in action.option_strings}
            assert ("--json" in options) == (name not in WITHOUT_JSON), one.prog
            assert all(action.help for action in one._actions if action.option_strings), one.prog


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ((), "COMMAND is missing; --help lists them"),
        (("frobnicate",), "'frobnicate' is no command; there are run, "),
        (("ledger", "--frobnicate"), "unrecognized arguments: --frobnicate"),
        (("ledger", "--db", ""), "--db: is empty"),
        (("ledger", "--config", ""), "--config: is empty"),
    ],
)
def test_wrong_usage_is_told_in_a_line(args, problem, tmp_path):
    done = run_host(*args, cwd=tmp_path)
    assert done.returncode == exit_status.USAGE
    assert problem in done.stderr.splitlines()[-1]
    assert done.stdout == ""


def test_all_faults_of_a_configuration_are_told_a_line_each(tmp_path):
    (tmp_path / "edge.toml").write_text("[health]\nprot = 1\n[storage]\npath = 3\n")
    done = run_host("ledger", cwd=tmp_path)
    assert done.returncode == exit_status.USAGE
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [
        ["edge.toml:2", "health.prot"],
        ["edge.toml:4", "storage.path"],
    ]


# -- which configuration -----------------------------------------------------------------


def args_of(*words):
    parser = argparse.ArgumentParser()
    place.add_store(parser)
    return parser.parse_args(words)


def test_configuration_is_looked_for_in_an_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    none = {}
    if not Path(place.PLACES[-1]).exists():
        assert place.find_config(args_of(), none) is None
        with pytest.raises(UsageError) as caught:
            place.config_path(args_of(), none)
        assert all(one in str(caught.value) for one in (place.VARIABLE, *place.PLACES))
        assert "\n" not in str(caught.value)
    Path("edge_config.toml").touch()
    assert place.config_path(args_of(), none) == "edge_config.toml"
    Path("edge.toml").touch()
    assert place.config_path(args_of(), none) == "edge.toml"
    assert place.config_path(args_of(), {place.VARIABLE: "mine.toml"}) == "mine.toml"
    assert place.config_path(args_of(), {place.VARIABLE: ""}) == "edge.toml"
    assert place.config_path(args_of("--config", "x.toml"), {place.VARIABLE: "m"}) == "x.toml"


def test_a_configuration_that_is_named_must_be_there(tmp_path):
    (tmp_path / "edge.toml").touch()
    for args, more in ((("--config", "no.toml"), {}), ((), {place.VARIABLE: "no.toml"})):
        done = run_host("ledger", *args, cwd=tmp_path, **more)
        assert (done.returncode, done.stdout) == (exit_status.USAGE, "")
        assert "no.toml: no such config file" in done.stderr


def test_the_documents_name_the_places():
    section = OPERATIONS.split("## The command line")[1].split("\n## ")[0]
    assert all(f"`{one}`" in section for one in (f"${place.VARIABLE}", *place.PLACES))


# -- how commands end ----------------------------------------------------------------------


def test_a_reader_that_has_enough_ends_a_command_quietly(tmp_path):
    """The pipe is closed before anything is written, so each write fails."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [HOST, "--help"], stdout=writer, stderr=subprocess.PIPE, env=environment(), timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (exit_status.DONE, b"")


def test_ctrl_c_ends_a_command_with_its_status():
    code = (
        "import sys, threading, pyv_edge_agent.cli as cli, pyv_edge_agent.cli.ledger as ledger\n"
        "def run(args): print('waits', flush=True); threading.Event().wait(60)\n"
        "ledger.run = run; sys.exit(cli.main(['ledger']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout.readline() == "waits\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == exit_status.INTERRUPTED


# -- what a person sees ----------------------------------------------------------------------


def on_terminal(code, **more):
    """Return what a piece of Python shows on a terminal that is its stdout and its stderr."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=slave,
        stderr=slave,
        env=environment(TERM="xterm", **more),
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # how Linux says that nobody has it open any more
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    assert process.wait(60) == 0, shown.decode()
    return shown.decode()


COLOURED = "from pyv_edge_agent.cli.output import paint; print(paint('fail', 'red'))"


def test_colour_is_for_terminals_without_no_color():
    assert on_terminal(COLOURED).strip() == "\x1b[31mfail\x1b[0m"
    assert on_terminal(COLOURED, NO_COLOR="1").strip() == "fail"
    assert run_host(code=COLOURED).stdout == "fail\n"


WORK = (
    "from pyv_edge_agent.cli.output import progress\n"
    "with progress('reading', 200) as advance:\n"
    "    for done in range(0, 201, 50): advance(done)\n"
    "print('done')"
)


@pytest.mark.parametrize("without", ["", "import sys; sys.modules['rich'] = None\n"])
def test_progress_is_for_terminals_with_or_without_a_library(without):
    shown = on_terminal(without + WORK)
    assert "reading" in shown and "%" in shown
    assert shown.rstrip().endswith("done")
    done = run_host(code=without + WORK)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_nothing_is_divided_by_no_work(capsys):
    with output._count("reading", 0) as advance:
        advance(0)
    assert "100 %" in capsys.readouterr().err


def test_receive_says_where_it_listens_as_json(tmp_path):
    process = subprocess.Popen(
        [HOST, "receive", "--port", "0", "--db", str(tmp_path / "r.db"), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        line = wait_for(process.stdout.readline, "a line")
        assert re.fullmatch(r'\{"url": "http://127\.0\.0\.1:\d+/.*", "stats_url": ".*"\}\n', line)
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("queue", "drain", "--timeout", "nan"), "nan is outside 0..2.592e+06"),
        (("queue", "drain", "--timeout", "inf"), "inf is outside 0.."),
        (("queue", "purge", "--priority", "5"), "5 is outside 1..4"),
        (("queue", "list", "--limit", "0"), "'0' is no number of at least 1"),
        (("queue", "dlq", "show", "9" * 30), "is no number of at least 1 and below 2^53"),
        (("queue", "dlq", "retry", "9" * 30), "is no number of at least 1 and below 2^53"),
        (("device", "cmd", "a", "identify", "--timeout", "nan"), "nan is outside 0.001..3600"),
        (("device", "cmd", "a", "identify", "--timeout", "0"), "0 is outside 0.001..3600"),
        (("device", "cmd", "a", "identify", "--value", "-1"), "-1 is outside 0..4294967295"),
        (("device", "pause", "a", "--minutes", "0"), "0 is outside 1..120"),
        (("device", "pause", "a", "--minutes", "121"), "121 is outside 1..120"),
        (("audit", "list", "--limit", str(2**63)), "is no number of at least 1 and below 2^53"),
        (("tail", "-n", str(2**63)), "is outside 0..1000000"),
        (("receive", "--db", "a.db", "--port", "99999"), "99999 is outside 0..65535"),
        (("receive", "--db", "a.db", "--port", "5" * 5000), "invalid number value"),
    ],
)
def test_number_that_is_none_of_its_option_is_refused_in_a_line(words, problem):
    done = run_host(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_port_that_is_in_use_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run_host("receive", "--db", tmp_path / "a.db", "--port", port)
    assert done.returncode == 3
    problem = "can't listen on 127.0.0.1: [Errno 98] Address already in use; try 0 for any"
    assert done.stderr == f"--port {port}: {problem}\n"


@pytest.mark.parametrize("words", ["config schema", "--help"])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_stream_that_is_closed_ends_nothing(tmp_path, words, closed):
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{HOST}" {words} {closed}'],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (">&-" not in closed.replace("2>&-", ""))


def test_disk_that_is_full_is_told_for_help_too(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [HOST, "--help"], env=environment(), stdout=full, stderr=subprocess.PIPE, timeout=60
        )
    assert (done.returncode, done.stderr) == (3, b"[Errno 28] No space left on device\n")


def test_text_that_a_terminal_has_not_is_told(tmp_path):
    (tmp_path / "edge.toml").write_text('[[rules]]\nname = "wärme"\nabove = 1\n')
    done = run_host(
        *("config", "show", "--effective"), cwd=tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0"
    )
    assert (done.returncode, done.stderr) == (
        3,
        "'\\xe4' can't be written as ascii; set PYTHONUTF8=1, or LANG=C.UTF-8\n",
    )


@pytest.mark.parametrize("words", [("status",), ("reload",), ("device", "ls"), ("queue", "drain")])
def test_configuration_that_is_not_there_is_no_agent_that_is_not_there(tmp_path, words):
    done = run_host(*words, "--config", "nix.toml", cwd=tmp_path)
    problem = "nix.toml: no such config file; write one or name another\n"
    assert (done.returncode, done.stderr) == (2, problem)
