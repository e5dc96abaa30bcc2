"""How the flasher ends when it is stopped, or can't tell anybody: the board runs on."""

import json
import os
import signal
import subprocess
import sys

import pytest
from flash_rig import put_on, tiny
from pyv_edge_tools.flash import hello
from pyv_edge_tools.flash.repl import Repl
from virtual_rig import DEADLINE_S, need_micropython, need_mpremote, played, wait_up

COMMAND = (sys.executable, "-m", "pyv_edge_tools.flash")
SETTINGS = {"sensors": [{"type": "simulated", "channel": "s", "interval_ms": 100}]}


@pytest.fixture
def board(tmp_path):
    """A board that runs a set which says it is "1"."""
    need_micropython()
    need_mpremote()
    with played(tmp_path / "board") as found:
        put_on(found, tiny("1"))
        yield found


def started(*words, signum=signal.SIGHUP, action=signal.SIG_DFL, **more):
    """Start a command; the tests themselves may run under nohup, or behind a shell's &."""
    return subprocess.Popen(
        [*COMMAND, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signum, action),
        **more,
    )


def sending(board, tmp_path, *words, **more):
    """Start a deploy; return it, and what it has told, as soon as it is in the middle."""
    path = tmp_path / "device.json"
    path.write_text(json.dumps(SETTINGS))
    deploy = ("deploy", "--port", board.path, "--settings", path, "--json")
    process = started(*deploy, *words, **more)
    told = []
    while not told or told[-1]["event"] != "progress":
        told.append(json.loads(process.stdout.readline()))
    assert told[-1]["done"] < told[-1]["total"]
    return process, told


def runs(board):
    """Return the version that a board says without having been reset."""
    wait_up(board)
    with Repl(str(board.path)) as repl:
        return hello.wait(repl).hello.firmware


@pytest.mark.parametrize(
    "signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT], ids=lambda s: s.name
)
def test_whatever_stops_a_deploy_lets_the_board_run_what_it_has(board, tmp_path, signum):
    action = signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL
    process, _ = sending(board, tmp_path, "--source", signum=signum, action=action)
    process.send_signal(signum)
    if signum != signal.SIGINT:
        process.send_signal(signum)  # a terminal that is closed says so more than once
    out, err = process.communicate(timeout=DEADLINE_S)
    name = "Ctrl-C" if signum == signal.SIGINT else signum.name
    assert json.loads(out.splitlines()[-1]) == {"event": "error", "text": f"stopped by {name}"}
    assert (process.returncode, err) == (130, "")
    assert runs(board) == "1"


def test_hang_up_under_nohup_stops_nothing(board, tmp_path):
    process, _ = sending(board, tmp_path, action=signal.SIG_IGN)
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=2 * DEADLINE_S)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out.splitlines()[-1])["changed"] is True


def test_deploy_whose_reader_is_gone_says_no_more_and_lets_the_board_run(board, tmp_path):
    process, _ = sending(board, tmp_path, "--source")
    process.stdout.close()
    assert process.wait(DEADLINE_S) == 1
    assert process.stderr.read() == ""
    process.stderr.close()
    assert runs(board) == "1"


def written_to(stdout, stderr, *words):
    """Run a command in a shell, as people do; return (exit status, what it says on stderr)."""
    script = f'exec "$@" {stdout} {stderr}'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *COMMAND, *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return done.returncode, done.stderr


FULL = "pyv-edge-flash: output can't be written: No space left on device\n"
CLOSED = "pyv-edge-flash: output can't be written: it is closed\n"


@pytest.mark.parametrize(("stdout", "said"), [(">/dev/full", FULL), (">&-", CLOSED)])
def test_output_that_cannot_be_written_at_the_prompt_lets_the_board_run(
    board, tmp_path, stdout, said
):
    path = tmp_path / "device.json"
    path.write_text(json.dumps(SETTINGS))
    words = ("deploy", "--dry-run", "--source", "--port", board.path, "--settings", path)
    assert written_to(stdout, "", *words) == (1, said)
    assert runs(board) == "1"
    assert written_to(stdout, "", "probe", "--port", board.path) == (1, said)


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("list", "--json"),
        ("firmware",),
        ("erase-data", "--port", "/dev/no-such"),
        ("probe", "--port", "/dev/no-such", "--json"),
    ],
    ids=" ".join,
)
def test_output_that_cannot_be_written_is_one_line(words):
    assert written_to(">/dev/full", "", *words) == (1, FULL)
    assert written_to(">&-", "", *words) == (1, CLOSED)


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-"])
@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("probe", "--port", "/dev/no-such"), 1),
        (("deploy", "--port", "/dev/no-such", "--own-sensors", "/dev/no-such"), 2),
    ],
)
def test_problem_that_cannot_be_told_is_in_the_exit_status(words, status, stderr):
    assert written_to("", stderr, *words) == (status, "")
    assert written_to(">&-", stderr, *words) == (status, "")


def test_virtual_board_whose_path_cannot_be_told_ends(tmp_path):
    need_micropython()
    words = ("virtual", tmp_path / "board")
    assert written_to(">/dev/full", "", *words) == (1, FULL)
    assert written_to(">&-", "", *words) == (1, CLOSED)
    assert not os.path.lexists(tmp_path / "board" / "tty")
