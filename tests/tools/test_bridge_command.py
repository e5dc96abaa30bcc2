"""`pyv-edge-bridge` as it is called: statuses, one line for what is wrong, quiet ends."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tty

import pytest
from bridge_bytes import KEY, Talk, say
from pyv_edge_core import message
from pyv_edge_core.frame import encode
from pyv_edge_tools.bridge import COMMANDS, capture

COMMAND = (sys.executable, "-m", "pyv_edge_tools.bridge")
TIMEOUT_S = 60


def run(*words, data=None):
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        capture_output=True,
        timeout=TIMEOUT_S,
        input=data,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def write_capture(path, chunks):
    with path.open("wb") as file:
        writer = capture.Writer(file, 0, 1_780_000_000_000_000_000, capture.SIZE_MAX)
        for chunk in chunks:
            writer.take(chunk)


LIMITED = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
    "from pyv_edge_tools.bridge import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A capture of a conversation."""
    path = tmp_path_factory.mktemp("capture") / "a.pyvcap"
    write_capture(path, say(Talk().run(200).chunks, b"hello\n", at=1))
    return path


def test_help_of_every_command():
    status, out, _ = run("--help")
    assert status == 0
    for name, text in COMMANDS.items():
        assert name in out
        status, told, _ = run(name, "--help")
        assert status == 0
        assert text.split(",")[0].split(":")[0] in " ".join(told.split())


def test_wrong_usage_is_2_and_says_what_is_wrong(tmp_path, recording):
    port = tmp_path / "port"
    for words, said in (
        ([], "COMMAND is missing"),
        (["listen"], "'listen' is no command; there are monitor, record"),
        (["decode"], "give bytes in hex, or --file"),
        (["decode", "7e0"], "3 digits, one is missing"),
        (["decode", "7g"], "'g' is no hex digit"),
        (["send", port, "NONSENSE"], "is neither a command (IDENTIFY"),
        (["send", port, "DATA"], "is neither a command"),
        (["send", port, "IDENTIFY", "x"], "'x' is no FIELD=VALUE"),
        (
            ["send", port, "IDENTIFY", "colour=1"],
            "IDENTIFY has no field 'colour'; there are: target",
        ),
        (["send", port, "IDENTIFY", "value=red"], "value=red is no number"),
        (["send", port, "ACK", "committed=9"], "ACK lets the board forget readings"),
        (["relay", port], "--link PATH or --tcp PORT is missing"),
        (["inject", port], "--link PATH or --tcp PORT is missing"),
        (["inject", port, "--link", "a", "--flip", "2"], "--flip: '2' must be 0, or 1e-12 to 1"),
        (["record", port, tmp_path / "a", "--max-bytes", "0"], "argument --max-bytes: invalid"),
        (["monitor", recording, "--link", "a"], "is a file; --link"),
        (["stats", recording, "--tcp", "1"], "is a file; --link"),
        (["monitor", "usb:2e8a:0005"], "name it by its path (ls /dev/serial/by-id)"),
        (["monitor", "loop://"], "the networks known here are rfc2217:// and socket://"),
        (["export", recording], "CAPTURE and FILE are needed"),
        (["export", recording, recording, "--force"], "is the capture; name another file"),
        (["monitor", port, "--baudrate", "99999999999"], "'99999999999' must be 1 to 20000000"),
        (["monitor", port, "--baudrate", "9" * 5000], "must be 1 to 20000000"),
        (["monitor", port, "--seconds", "1e300"], "'1e300' must be 0.001 to 1e+09"),
        (["monitor", port, "--seconds", "nan"], "'nan' must be 0.001 to 1e+09"),
        (["monitor", port, "--seconds", "x"], "'x' must be 0.001 to 1e+09"),
        (["send", port, "IDENTIFY", "--timeout", "1e300"], "'1e300' must be 0.001 to 1e+09"),
        (["inject", port, "--link", "a", "--flip", "5e-324"], "must be 0, or 1e-12 to 1"),
        (["replay", recording, "--link", "a", "--speed", "5e-324"], "must be 0, or 0.001 to"),
        (["monitor", "socket://nohost"], "must be socket://HOST:PORT"),
        (["monitor", "socket://127.0.0.1:99999"], "must be socket://HOST:PORT"),
    ):
        status, out, err = run(*words)
        assert (status, out) == (2, ""), (words, err)
        assert said in err.splitlines()[-1], (words, err)


def test_what_can_not_be_done_is_1_and_one_line(tmp_path, recording):
    absent, text = tmp_path / "absent", tmp_path / "text"
    text.write_text("no capture")
    short = tmp_path / "short"
    short.write_text("short")
    late = tmp_path / "late"
    late.write_bytes(capture.MAGIC + b"\xff" * 8 + recording.read_bytes()[16:])
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    old = tmp_path / "old"
    write_capture(old, Talk(up_ms=(2**32 - 10) * 1000).run(20).chunks)
    for words, said in (
        (["monitor", absent], "does not exist; plug the board in"),
        (["record", absent, tmp_path / "new"], "does not exist"),
        (["relay", absent, "--link", tmp_path / "l"], "does not exist"),
        (["inject", absent, "--link", tmp_path / "l"], "does not exist"),
        (["send", absent, "IDENTIFY"], "does not exist"),
        (["stats", absent], "does not exist"),
        (["stats", text], "is no capture"),
        (["monitor", text], "is no capture"),
        (["replay", text, "--link", tmp_path / "l"], "is no capture"),
        (["replay", recording, "--link", text], "exists"),
        (["export", text, tmp_path / "x"], "is no capture"),
        (["export", recording, text], "exists"),
        (["export", late, tmp_path / "new"], "its header is damaged"),
        (["export", recording, tmp_path / "absent" / "new"], "can't be written"),
        (["replay", old, "--link", tmp_path / "l"], "tells of an uptime of 42949672"),
        (["decode", ""], "neither a message nor text is in it"),
        (["decode", "--file", empty], "neither a message nor text is in it"),
        (["monitor", "socket://absent.invalid:7"], "names a host that can't be found"),
        (["decode", "--file", absent], "can't be read"),
        (["stats", recording, "--link-key-file", absent], "can't be read"),
        (["stats", recording, "--link-key-file", short], "has 5 bytes, at least 16"),
    ):
        status, out, err = run(*words)
        assert (status, out) == (1, ""), (words, err)
        (line,) = err.splitlines()
        assert said in line, (words, err)
    assert not (tmp_path / "new").exists()


def test_decode_takes_whatever_it_is_given(tmp_path, recording):
    payload = message.pack(message.TIME_REQUEST, 0, 5)
    framed = encode(payload)
    body = framed[1:-1]
    plain, as_text = tmp_path / "plain", tmp_path / "text"
    plain.write_bytes(framed)
    as_text.write_text(framed.hex(" ") + "\n")
    for words, data in (
        ([framed.hex()], None),
        (framed.hex(" ").split(), None),
        ([payload.hex()], None),
        ([body.hex()], None),
        (["--file", plain], None),
        (["--file", as_text], None),
        (["--file", "-"], framed),
        (["--file", "-"], framed.hex().encode()),
    ):
        status, out, err = run("decode", *words, "--json", data=data)
        assert (status, err) == (0, ""), words
        told = json.loads(out)
        assert (told["type"], told["from"], told["fields"]) == (
            *("TIME_REQUEST", "host"),
            {"token": 5},
        )
    status, out, _ = run("decode", "--file", recording)
    assert status == 0
    assert "temperature 20.00 Cel good" in out
    assert "prints    hello" in out


def test_decode_says_what_is_damaged(tmp_path, recording):
    framed = bytearray(encode(message.pack(message.LOG, 3, 40, "x")))
    framed[6] ^= 1
    status, out, _ = run("decode", framed.hex())
    assert status == 1
    assert "its FCS is" in out
    cut = tmp_path / "cut"
    cut.write_bytes(recording.read_bytes()[:-3])
    status, out, err = run("decode", "--file", cut)
    assert status == 1
    assert "is cut" in err
    assert "HELLO" in out


def test_output_that_nobody_reads_on_ends_quietly(recording):
    process = subprocess.Popen(
        [*COMMAND, "decode", "--file", str(recording), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(TIMEOUT_S) == 0


def test_line_that_nobody_reads_on_ends_quietly(tmp_path):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "monitor", os.ttyname(slave), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert b"ready" in process.stdout.readline()
    process.stdout.close()
    os.write(master, b"a line\n" * 10)
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(TIMEOUT_S) == 0
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_with_the_summary(tmp_path, signum):
    master, slave = pty.openpty()
    link = tmp_path / "link"
    for words in (
        ["monitor", "--link", link],
        ["record", tmp_path / f"a{signum}"],
        ["relay", "--link", link],
        ["inject", "--link", link],
        ["stats"],
    ):
        process = subprocess.Popen(
            [*COMMAND, words[0], os.ttyname(slave), *map(str, words[1:]), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # The tests themselves may run under nohup, or behind a shell's &.
            preexec_fn=lambda: signal.signal(signum, signal.SIG_DFL),
        )
        assert b"ready" in process.stdout.readline()
        process.send_signal(signum)
        out, err = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, err) == (0, b""), words
        assert json.loads(out.splitlines()[-1])["event"] == "summary"
        assert not link.is_symlink()
    os.close(master)
    os.close(slave)


def test_full_capture_ends_a_recording_that_nobody_needs(tmp_path):
    master, slave = pty.openpty()
    path = tmp_path / "a.pyvcap"
    process = subprocess.Popen(
        [*COMMAND, "record", os.ttyname(slave), str(path), "--max-bytes", "300", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert b"ready" in process.stdout.readline()
    os.write(master, b"x" * 1000)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, b"")
    summary = json.loads(out.splitlines()[-1])
    assert summary["left_out_bytes_total"] == 1000
    assert path.stat().st_size <= 300
    os.close(master)
    os.close(slave)


def test_stats_and_the_key_is_never_shown(tmp_path):
    path, key = tmp_path / "a.pyvcap", tmp_path / "key"
    key.write_bytes(KEY)
    with path.open("wb") as file:
        writer = capture.Writer(file, 0, 0, capture.SIZE_MAX)
        for chunk in Talk(key=KEY).run(40).chunks:
            writer.take(chunk)
    for words in (["stats"], ["decode", "--file"]):
        for form in ([], ["--json"]):
            status, out, err = run(*words, path, *form, "--link-key-file", key)
            assert (status, err) == (0, "")
            assert "genuine" in out
            for secret in (KEY.decode(), KEY.hex()):
                assert secret not in out


def test_table_at_a_terminal(recording):
    if shutil.which("script") is None:
        pytest.skip("no script(1) on this computer")
    words = " ".join([*COMMAND, "monitor", str(recording), "--seconds", "0.6"])
    done = subprocess.run(
        ["script", "-qec", words, "/dev/null"],
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "50"},
    )
    out = done.stdout.decode()
    assert done.returncode == 0, out
    for text in ("message", "TIME_RESPONSE", "bytes a second", "prints    hello"):
        assert text in out


def test_output_that_is_stopped_holds_up_nobody(tmp_path):
    """A pipe that nobody reads, as a terminal after Ctrl-S: the line goes on, and it can end."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    link = tmp_path / "link"
    process = subprocess.Popen(
        [*COMMAND, "monitor", os.ttyname(slave), "--link", str(link), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert b"ready" in process.stdout.readline()
    program = os.open(link, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(program)
    os.write(program, b"!")
    assert os.read(master, 1) == b"!"  # the bridge knows by now that there is a program
    line = b"x" * 200 + b"\n"
    for _ in range(1000):  # far more than the pipe takes
        os.write(master, line)
        got = b""
        while len(got) < len(line):
            got += os.read(program, len(line))
        assert got == line
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 1
    assert "is the output stopped?" in process.stderr.read().decode()
    assert not link.is_symlink()
    process.stdout.close()
    process.stderr.close()
    for descriptor in (master, slave, program):
        os.close(descriptor)


def test_disk_that_is_full_ends_the_recording_and_not_the_line(tmp_path):
    master, slave = pty.openpty()
    tty.setraw(slave)
    link, path = tmp_path / "link", tmp_path / "a.pyvcap"
    process = subprocess.Popen(
        [sys.executable, "-c", LIMITED, "record", os.ttyname(slave), str(path)]
        + ["--link", str(link), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert b"ready" in process.stdout.readline()
    program = os.open(link, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(program)
    os.write(program, b"!")
    assert os.read(master, 1) == b"!"
    for _ in range(20):
        os.write(master, b"x" * 500)
        got = b""
        while len(got) < 500:
            got += os.read(program, 500)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    (told,) = err.decode().splitlines()
    assert told == f"{path}: File too large; nothing more is recorded"
    assert json.loads(out.splitlines()[-1])["carried"]["to_host_bytes_total"] == 10_000
    reader = capture.Reader(path)
    assert not reader.is_damaged
    assert list(reader.read())
    reader.close()
    for descriptor in (master, slave, program):
        os.close(descriptor)


def test_disk_that_is_full_ends_a_recording_that_nobody_needs(tmp_path):
    master, slave = pty.openpty()
    path = tmp_path / "a.pyvcap"
    process = subprocess.Popen(
        [sys.executable, "-c", LIMITED, "record", os.ttyname(slave), str(path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert b"ready" in process.stdout.readline()
    os.write(master, b"x" * 3000)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert err.decode() == f"{path}: File too large; nothing more is recorded\n"
    assert json.loads(out.splitlines()[-1])["event"] == "summary"
    os.close(master)
    os.close(slave)


def test_export_that_fails_leaves_no_half_of_a_file(tmp_path, recording):
    path = tmp_path / "a.pcapng"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "export", str(recording), str(path)],
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.decode() == f"pyv-edge-bridge: {path}: can't be written: File too large\n"
    assert not path.exists()


def test_terminal_that_lacks_a_boards_letters_gets_them_escaped(tmp_path):
    master, slave = pty.openpty()
    path = os.fsencode(tmp_path) + b"/br\xff"
    os.symlink(os.ttyname(slave), path)
    process = subprocess.Popen(
        [*COMMAND, "monitor", path, "--plain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert b"br\\udcff: only listening" in process.stdout.readline()
    os.write(master, "héllo\n".encode())
    assert b"board  prints    h\\xe9llo" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=TIMEOUT_S)[1] == b""
    assert process.returncode == 0
    os.close(master)
    os.close(slave)


def test_only_what_opens_a_port_loads_libraries():
    code = (
        "import sys; from pyv_edge_tools import bridge; bridge.main(['decode', '7e0107'])\n"
        "print(sorted({'serial', 'rich', 'subprocess'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_port_that_is_not_there_yet_is_waited_for(tmp_path):
    master, slave = pty.openpty()
    tty.setraw(slave)
    path = tmp_path / "board"
    process = subprocess.Popen(
        [*COMMAND, "monitor", str(path), "--wait", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert json.loads(process.stdout.readline())["is_open"] is False
    assert "does not exist" in json.loads(process.stdout.readline())["text"]
    path.symlink_to(os.ttyname(slave))
    assert json.loads(process.stdout.readline())["text"] == f"port {path} is open"
    os.write(master, b"hello\n")
    assert json.loads(process.stdout.readline())["text"] == "hello"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, b"")
    assert json.loads(out.splitlines()[-1])["carried"]["port_opened_total"] == 1
    os.close(master)
    os.close(slave)


def test_hang_up_under_nohup_ends_nothing(tmp_path):
    master, slave = pty.openpty()
    ignored = "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
    ignored += "from pyv_edge_tools.bridge import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", ignored, "monitor", os.ttyname(slave), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert b"ready" in process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    os.write(master, b"hello\n")
    assert json.loads(process.stdout.readline())["text"] == "hello"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=TIMEOUT_S)[1] == b""
    assert process.returncode == 0
    os.close(master)
    os.close(slave)
