"""Output that is full, closed, stopped or gone: the line goes on, and the end says so."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
import tty
from contextlib import suppress

import pytest
from bridge_bytes import Talk, say
from pyv_edge_core import message
from pyv_edge_core.frame import encode
from pyv_edge_tools.bridge import capture

COMMAND = (sys.executable, "-m", "pyv_edge_tools.bridge")
TIMEOUT_S = 60
FULL = "/dev/full"
WHY = "standard output can't be written: No space left on device"
ONWARD = "; all else goes on, Ctrl-C ends it"
# Python writes at once or in pieces, as this says; both have to be right.
ENVIRONMENTS = tuple({**os.environ, "PYTHONUNBUFFERED": word} for word in ("", "1"))


def called(*words, redirection=""):
    """Return the command as a shell with `redirection` runs it."""
    return ["sh", "-c", f'exec "$@" {redirection}', "sh", *COMMAND, *map(str, words)]


def run(*words, redirection="", env=None):
    done = subprocess.run(
        called(*words, redirection=redirection),
        capture_output=True,
        timeout=TIMEOUT_S,
        stdin=subprocess.DEVNULL,
        check=False,
        env=env,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Line:
    """A bridge between a board and a program, both of them here."""

    def __init__(self, folder):
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.link = folder / "link"
        self.program = None
        self.process = None

    @property
    def port(self):
        return os.ttyname(self.slave)

    def start(self, *words, redirection="", **streams):
        """Begin, and wait until the program's port is there."""
        self.process = subprocess.Popen(
            called(
                *(words[0], self.port, *words[1:], "--link", self.link), redirection=redirection
            ),
            stdin=subprocess.DEVNULL,
            # The tests themselves may run under nohup.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
            **{"stderr": subprocess.PIPE, **streams},
        )
        wait_for(self.link.is_symlink)

    def carry(self):
        """See bytes through, each way."""
        if self.program is None:
            self.program = os.open(self.link, os.O_RDWR | os.O_NOCTTY)
            tty.setraw(self.program)
        # What the program says first tells that the bridge knows of it.
        for target, source in ((self.program, self.master), (self.master, self.program)):
            os.write(target, b"0123456789" * 20)
            got = b""
            while len(got) < 200:
                got += os.read(source, 200)
            assert got == b"0123456789" * 20

    def leave(self):
        os.close(self.program)
        self.program = None

    def end(self, signum=signal.SIGINT):
        """Return (exit status, standard error)."""
        self.process.send_signal(signum)
        status = self.process.wait(TIMEOUT_S)
        assert not self.link.is_symlink()
        return status, self.process.stderr.read().decode() if self.process.stderr else ""

    def close(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()
        for descriptor in (self.master, self.slave, self.program):
            if descriptor is not None:
                os.close(descriptor)


def wait_for(condition):
    pause = threading.Event()
    until = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < until
        pause.wait(0.01)


@pytest.fixture
def line(tmp_path):
    made = Line(tmp_path)
    yield made
    made.close()


@pytest.fixture
def start():
    """Start processes that are killed at the end, if they still run."""
    started = []

    def popen(words, **streams):
        started.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, **streams))
        return started[-1]

    yield popen
    for process in started:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A capture of a conversation."""
    path = tmp_path_factory.mktemp("capture") / "a.pyvcap"
    with path.open("wb") as file:
        writer = capture.Writer(file, 0, 1_780_000_000_000_000_000, capture.SIZE_MAX)
        for chunk in say(Talk().run(200).chunks, b"hello\n", at=1):
            writer.take(chunk)
    return path


STANDING = ("relay", "inject", "monitor", "monitor --json", "stats", "record")


def words_of(standing, folder):
    words = standing.split()
    if words[0] == "record":
        words.append(str(folder / "a.pyvcap"))
    if words[0] == "inject":
        words += ["--flip", "0"]
    return words


@pytest.mark.parametrize("standing", STANDING)
def test_line_goes_on_when_the_output_can_not_be_written(line, tmp_path, standing):
    with open(FULL, "w") as full:
        line.start(*words_of(standing, tmp_path), stdout=full)
    for _ in range(3):
        line.carry()
        line.leave()  # what is remarked on
    assert line.end() == (1, f"pyv-edge-bridge: {WHY}{ONWARD}\n")


def test_line_goes_on_when_neither_stream_can_be_written(line, tmp_path):
    with open(FULL, "w") as full:
        line.start("relay", stdout=full, stderr=full)
    line.carry()
    assert line.end()[0] == 1


@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_nothing_is_printed_to_the_board_that_has_the_number_of_a_closed_output(
    line, tmp_path, redirection
):
    for standing in ("relay", "monitor"):
        line.start(*words_of(standing, tmp_path), redirection=redirection)
        line.carry()  # which is all that the board and the program get
        line.leave()
        status, told = line.end()
        assert status == 1
        assert told in ("", f"pyv-edge-bridge: standard output is closed{ONWARD}\n")
        os.set_blocking(line.master, False)
        with pytest.raises(BlockingIOError):
            os.read(line.master, 1)
        os.set_blocking(line.master, True)
        line.process.stderr.close()


@pytest.mark.parametrize("standing", STANDING)
def test_line_goes_on_when_nobody_reads_the_output_any_more(line, tmp_path, standing):
    line.start(*words_of(standing, tmp_path), stdout=subprocess.PIPE)
    assert line.process.stdout.readline()
    line.process.stdout.close()
    for _ in range(3):
        line.carry()
        line.leave()
    status, told = line.end()
    assert status == 0
    expected = f"pyv-edge-bridge: nobody reads standard output{ONWARD}\n"
    # Those that print nothing meanwhile have missed nothing.
    assert told == ("" if standing in ("stats", "record") else expected)


def test_output_is_whole_when_a_reader_has_come_back(line, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    first = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with open(fifo, "wb") as out:
        line.start("relay", "--json", stdout=out)
    wait_for(lambda: select.select([first], [], [], 0)[0])
    got = os.read(first, 65536)
    os.close(first)
    line.carry()
    assert line.process.stderr.readline().endswith(f"{ONWARD}\n".encode())
    again = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    line.carry()
    assert line.end() == (0, "")
    got += os.read(again, 65536)
    os.close(again)
    events = [json.loads(one) for one in got.splitlines()]
    assert [one["event"] for one in events] == ["ready", "port", "summary"]
    assert events[-1]["carried"]["unwritten_lines_total"] == 0


LIMIT = 4000
LIMITED = (
    f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT}, {LIMIT}));"
    "from pyv_edge_tools.bridge import main; sys.exit(main(sys.argv[1:]))"
)


def test_capture_and_complaint_without_room_hold_up_nobody(line, tmp_path):
    path = tmp_path / "a.pyvcap"
    with open(FULL, "w") as full:
        line.process = subprocess.Popen(
            [sys.executable, "-c", LIMITED, "record", line.port, str(path)]
            + ["--link", str(line.link)],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=full,
        )
    wait_for(line.link.is_symlink)
    for _ in range(2 * LIMIT // 400):
        line.carry()
    assert path.stat().st_size <= LIMIT
    assert line.end()[0] == 1


def test_recording_goes_on_though_its_output_can_not_be_written(line, tmp_path):
    path = tmp_path / "a.pyvcap"
    with open(FULL, "w") as full:
        line.process = subprocess.Popen(
            [*COMMAND, "record", line.port, str(path)], stdout=full, stderr=subprocess.PIPE
        )
    assert line.process.stderr.readline().decode() == f"pyv-edge-bridge: {WHY}{ONWARD}\n"
    os.write(line.master, b"still here")
    wait_for(lambda: b"still here" in path.read_bytes())
    assert line.end() == (1, "")


def test_monitor_that_nobody_depends_on_ends_with_its_output(line, tmp_path):
    for redirection, why in ((f">{FULL}", WHY), (">&-", "standard output is closed")):
        assert run("monitor", line.port, redirection=redirection) == (
            *(1, ""),
            f"pyv-edge-bridge: {why}\n",
        )


def test_replay_goes_on_without_its_output(start, tmp_path, recording):
    link = tmp_path / "link"
    with open(FULL, "w") as full:
        process = start(
            [*COMMAND, "replay", str(recording), "--link", str(link), "--speed", "0"],
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert process.stderr.readline().decode() == f"pyv-edge-bridge: {WHY}{ONWARD}\n"
    assert link.is_symlink()
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=TIMEOUT_S)[1] == b""
    assert process.returncode == 1
    assert not link.is_symlink()


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_closed_and_full_streams_are_a_line_and_a_status(line, tmp_path, recording, env):
    commands = [
        ["decode", "7e010700000500535ac9b57e"],
        ["decode", "--file", recording],
        ["stats", recording],
        ["stats", line.port, "--seconds", "0.01"],
        ["export", recording, tmp_path / "a.pcapng", "--force"],
        ["export", "--dissector"],
        ["monitor", recording],
        ["monitor", line.port],
    ]
    for words in commands:
        for redirection, why in ((">&-", "standard output is closed"), (f">{FULL}", WHY)):
            status, _, err = run(*words, redirection=redirection, env=env)
            assert (status, err) == (1, f"pyv-edge-bridge: {why}\n"), words
            status, out, err = run(*words, redirection=f"{redirection} 2>&-", env=env)
            assert (status, out, err) == (1, "", ""), words
    # What is wrong otherwise is said, and not beneath it that the output is closed.
    status, _, err = run("decode", "7g", redirection=">&-", env=env)
    assert (status, err) == (2, "pyv-edge-bridge: decode: 'g' is no hex digit\n")
    status, _, err = run("decode", "--file", "-", redirection="<&-", env=env)
    assert (status, err) == (1, "pyv-edge-bridge: -: can't be read: Bad file descriptor\n")
    # And what is wrong is never in the output.
    status, out, err = run("decode", "7g", redirection="2>&-", env=env)
    assert (status, out, err) == (2, "", "")


def test_send_says_that_its_output_is_closed(start, line):
    process = start(
        called("send", line.port, "TIME_REQUEST", "token=7", redirection=">&-"),
        stderr=subprocess.PIPE,
    )
    assert os.read(line.master, 100)  # it has asked
    os.write(line.master, encode(message.pack(message.TIME_RESPONSE, 0, 7, 1, 2)))
    err = process.communicate(timeout=TIMEOUT_S)[1].decode()
    assert (process.returncode, err) == (1, "pyv-edge-bridge: standard output is closed\n")


def filled_pipe():
    """Return a pipe that takes no more: the output of a command that was stopped."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while os.write(write, bytes(4096)):
            pass
    os.set_blocking(write, True)
    return read, write


@pytest.mark.parametrize("standing", ["relay", "record"])
def test_line_goes_on_and_ends_though_its_output_was_stopped_before(line, tmp_path, standing):
    read, write = filled_pipe()
    line.start(*words_of(standing, tmp_path), stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    line.carry()
    status, told = line.end(signal.SIGTERM)
    assert status == 1
    assert told == (
        "pyv-edge-bridge: what was seen last can't be written; is the output stopped?\n"
    )
    os.close(read)


def test_capture_that_is_followed_ends_though_its_output_is_stopped(start, recording):
    read, write = filled_pipe()
    process = start([*COMMAND, "monitor", str(recording)], stdout=write, stderr=write)
    os.close(write)
    wait_for(lambda: _is_heeding(process.pid, signal.SIGTERM))
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT_S) == 1  # it could tell nobody, and has not waited for it
    os.close(read)


def _is_heeding(pid, signum):
    """Return whether a process has taken a signal into its own hands."""
    with open(f"/proc/{pid}/status") as file:
        (caught,) = [one.split()[1] for one in file if one.startswith("SigCgt")]
    return bool(int(caught, 16) & 1 << (signum - 1))


@pytest.mark.parametrize("term", ["xterm", "dumb"])
@pytest.mark.parametrize("words", [["monitor"], ["monitor", "--plain"], ["relay"]])
def test_terminal_that_hangs_up_does_not_cut_the_line(line, words, term):
    master, slave = pty.openpty()
    line.start(*words, stdout=slave, env={**os.environ, "TERM": term})
    os.close(slave)
    assert select.select([master], [], [], TIMEOUT_S)[0], "nothing is shown"
    assert (b"\x1b" in os.read(master, 65536)) is (words == ["monitor"] and term == "xterm")
    os.close(master)
    line.carry()
    assert "Input/output error" in line.process.stderr.readline().decode()
    status, told = line.end(signal.SIGHUP)
    assert (status, told) == (1, "")
