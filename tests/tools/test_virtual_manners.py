"""What each serial port of the virtual boards does at its limits, and to whom it happens."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import serial
from flash_rig import keep_set, put_on, tiny
from pyv_edge_tools import build_device
from pyv_edge_tools.flash import hello
from pyv_edge_tools.flash.repl import Repl
from pyv_edge_tools.virtual import ESP32_UART, MANNERS, RP2_CDC, USB_JTAG, Board, FlashImage
from pyv_edge_tools.virtual.output import Newlines, Output, Pace
from pyv_edge_tools.virtual.port import HOST_BUFFER_SIZE
from pyv_edge_tools.virtual.watchdog import Watchdog
from virtual_rig import (
    DEADLINE_S,
    RAW_PROMPT,
    Port,
    Prompt,
    need_micropython,
    need_mpremote,
    played,
    wait_up,
)
from waiting import wait_for

EACH_MANNER = pytest.mark.parametrize("manner", MANNERS.values(), ids=MANNERS)
WAITS = "import sys\nwhile sys.stdin.buffer.read(1) != b'!':\n    pass\n"
# Reads nothing until Ctrl-C: what came until then is in the input ring.
READS_LATE = (
    "import select, sys\n"
    "poll = select.poll()\n"
    "poll.register(sys.stdin, select.POLLIN)\n"
    "try:\n"
    "    while True:\n"
    "        pass\n"
    "except KeyboardInterrupt:\n"
    "    got = 0\n"
    "while poll.poll(0):\n"
    "    got += sys.stdin.buffer.read(1) == b'x'\n"
    "print(got)\n"
)


def read_for_ever(port):
    while True:
        port.read(1)


def test_a_uart_loses_what_nobody_reads(tmp_path):
    with played(tmp_path, ESP32_UART) as board, Prompt(board) as prompt:
        prompt.enter_raw()
        prompt.begin(READS_LATE)
        size = ESP32_UART.input_size
        prompt.send(b"x" * (size + 740))
        wait_for(lambda: board.input_dropped_total == 740, "the loss")
        prompt.send(b"\x03")
        assert prompt.until(b"\x04>") == b"%d\r\n\x04\x04>" % size


@pytest.mark.parametrize("manner", [RP2_CDC, USB_JTAG], ids=lambda manner: manner.name)
def test_usb_makes_the_host_wait(tmp_path, manner):
    code = "import sys, time; time.sleep_ms(200); print(len(sys.stdin.buffer.read(3000)))"
    with played(tmp_path, manner) as board, Prompt(board) as prompt:
        prompt.enter_raw()
        prompt.begin(code)
        prompt.send(b"x" * 3000)
        assert prompt.until(b"\x04>") == b"3000\r\n\x04\x04>"
        assert board.input_dropped_total == 0


@pytest.mark.parametrize(("manner", "got"), [(RP2_CDC, 0), (USB_JTAG, 100)])
def test_ctrl_c_clears_what_waits_where_the_driver_does_so(tmp_path, manner, got):
    with played(tmp_path, manner) as board, Prompt(board) as prompt:
        prompt.enter_raw()
        prompt.begin(READS_LATE)
        before = board.input_total
        prompt.send(b"x" * 100)
        wait_for(lambda: board.input_total == before + 100, "the bytes are there")
        prompt.send(b"\x03")
        assert prompt.until(b"\x04>") == b"%d\r\n\x04\x04>" % got


@EACH_MANNER
def test_what_a_host_does_not_read_is_lost_and_counted(tmp_path, manner):
    """The program goes on all the same, and what arrives is whole up to the first loss."""
    lines = 400
    code = f"for i in range({lines}):\n    print('%063d' % i)\nopen('done', 'w').close()\n"
    with played(tmp_path, manner, baud=2_000_000) as board, Prompt(board) as prompt:
        prompt.enter_raw()
        prompt.begin(code)
        wait_for(lambda: board.output_dropped_total, "a loss", DEADLINE_S)
        said = prompt.until(b"%063d\r\n" % 40)
        assert said == b"".join(b"%063d\r\n" % i for i in range(41))


def test_a_cdc_without_host_keeps_the_latest(tmp_path):
    code = "for i in range(100):\n    print(i)\n" + WAITS
    with played(tmp_path, RP2_CDC, files={"main.py": code}) as board:
        wait_for(lambda: board.output_dropped_total, "a loss")
        wait_for(lambda: board.output_dropped_total >= 390 - RP2_CDC.output_size, "all is printed")
        with Prompt(board) as prompt:
            said = prompt.until(b"99\r\n")
            assert len(said) == RP2_CDC.output_size


def test_a_jtag_without_host_keeps_what_fits(tmp_path):
    code = "for i in range(100):\n    print(i)\n" + WAITS + "print('end')\n"
    with played(tmp_path, USB_JTAG, files={"main.py": code}) as board:
        wait_for(lambda: board.output_dropped_total >= 390 - USB_JTAG.output_size, "a loss")
        with Prompt(board) as prompt:
            prompt.send(b"!")
            said = prompt.until(b"end\r\n")
            assert said.startswith(b"0\r\n1\r\n2\r\n") and len(said) == USB_JTAG.output_size + 5


def test_a_uart_stays_over_a_hard_reset_and_tells_its_cause(tmp_path):
    with played(tmp_path, ESP32_UART) as board, Prompt(board) as prompt:
        target = os.readlink(board.path)
        prompt.enter_raw()
        board.hard_reset()
        prompt.until(b"rst:0x1 (POWERON_RESET)")
        prompt.until(b">>> ")
        prompt.enter_raw()
        prompt.send(b"import machine; machine.reset()\x04")
        prompt.until(b"rst:0xc (SW_CPU_RESET)")
        prompt.until(b">>> ")
        assert os.readlink(board.path) == target


@pytest.mark.parametrize("manner", [RP2_CDC, USB_JTAG], ids=lambda manner: manner.name)
def test_usb_vanishes_and_comes_back(tmp_path, manner):
    with played(tmp_path, manner) as board:
        with Prompt(board) as prompt:
            prompt.enter_raw()
            board.hard_reset()
            with pytest.raises((serial.SerialException, OSError)):
                read_for_ever(prompt.port)
        wait_up(board)
        with Prompt(board) as prompt:
            prompt.enter_raw()
            assert prompt.run("print(1)") == ("1\r\n", "")


@EACH_MANNER
def test_a_pulled_cable_is_seen_and_put_back(tmp_path, manner):
    code = "import machine; cause = machine.reset_cause()\n"
    with played(tmp_path, manner, files={"main.py": code}) as board:
        with Prompt(board) as prompt:
            prompt.enter_raw()
            board.unplug()
            assert not board.path.exists()
            with pytest.raises((serial.SerialException, OSError)):
                read_for_ever(prompt.port)
        board.hard_reset()  # nobody is there to hear
        assert not board.is_up
        board.plug()
        wait_up(board)
        with Prompt(board) as prompt:
            prompt.enter_raw()
            assert prompt.run("print(cause)") == ("1\r\n", "")


@EACH_MANNER
def test_a_cable_is_pulled_at_any_byte(tmp_path, manner):
    """With power from elsewhere: the program goes on, and has got just those bytes."""
    code = (
        "import sys\n"
        "f = open('got', 'wb')\n"
        "while True:\n"
        "    byte = sys.stdin.buffer.read(1)\n"
        "    n = f.write(byte)\n"
        "    if byte == b'X':\n"
        "        print('got X')\n"
    )
    with played(tmp_path, manner) as board:
        with Prompt(board) as prompt:
            prompt.enter_raw()
            prompt.begin(code)
            board.unplug_after(10, keeps_power=True)
            prompt.send(b"0123456789abcdef")
            wait_for(lambda: not board.path.exists(), "the cable is out")
            with pytest.raises((serial.SerialException, OSError)):
                read_for_ever(prompt.port)
        assert board.is_powered and board.is_up
        board.plug()
        with Prompt(board) as prompt:
            prompt.send(b"X")
            prompt.until(b"got X\r\n")
            prompt.enter_raw()
            assert prompt.run("f.close(); print(open('got').read())") == ("0123456789X\r\n", "")
            board.unplug_after(3)
            prompt.send(b"abcdef")
            wait_for(lambda: not board.is_powered, "the power is gone")


def test_the_watchdog_bites_who_does_not_feed_it(tmp_path):
    code = (
        "import machine, os, time\n"
        "cause = machine.reset_cause()\n"
        "if cause == 1:\n"
        "    dog = machine.WDT(timeout=1500)\n"
        "    for _ in range(40):\n"
        "        dog.feed()\n"
        "        time.sleep_ms(50)\n"
        "    open('fed', 'w').close()\n"
        "    while True:\n"
        "        pass\n"
    )
    with played(tmp_path, ESP32_UART, files={"main.py": code}) as board, Prompt(board) as prompt:
        prompt.until(b"rst:0x8 (TG1WDT_SYS_RESET)")
        prompt.until(b">>> ")
        prompt.enter_raw()
        assert prompt.run("print(cause, os.listdir())") == ("3 ['fed', 'main.py']\r\n", "")
        assert board.watchdog_resets_total == board.hard_resets_total == 1


def test_the_watchdog_survives_a_soft_reset(tmp_path):
    """As a chip's does: who breaks into a program has to go on feeding, or is bitten."""
    code = "import machine\nif machine.reset_cause() == 1:\n    dog = machine.WDT(timeout=1000)\n"
    with played(tmp_path, ESP32_UART, files={"main.py": code}) as board, Prompt(board) as prompt:
        prompt.enter_raw()
        prompt.send(b"\x04")
        prompt.until(RAW_PROMPT)
        prompt.until(b"rst:0x8 (TG1WDT_SYS_RESET)")
        assert board.watchdog_resets_total == 1


def test_the_watchdog_can_be_stopped_by_its_pipe(tmp_path):
    """Which no chip offers, but the firmware's tests want."""
    code = (
        "import os, time, vfs\n"
        "dog = vfs.VfsPosix('/').open(os.getenv('PYV_BOARD_WATCHDOG'), 'wb')\n"
        "dog.write(b'T800\\n.S')\n"
        "time.sleep_ms(1000)\n"
        "print('ok')\n"
    )
    with played(tmp_path, ESP32_UART, files={"main.py": code}) as board, Prompt(board) as prompt:
        prompt.until(b"ok\r\n")
        assert board.watchdog_resets_total == 0


def test_watchdog_reads_what_the_firmware_writes():
    watchdog = Watchdog()
    assert watchdog.left_s(5.0) is None
    watchdog.take(b".", 5.0)
    assert watchdog.left_s(5.0) is None
    watchdog.take(b"T50", 6.0)
    watchdog.take(b"0\n..", 6.5)
    assert watchdog.left_s(6.75) == 0.25
    watchdog.take(b"T\nx", 7.0)
    assert watchdog.left_s(7.0) == 0.5
    watchdog.take(b".S", 7.2)
    assert watchdog.left_s(9.0) is None


def test_watchdog_waits_for_a_host_that_uses_the_prompt():
    watchdog = Watchdog()
    watchdog.take(b"T5000\nI300", 1.0)
    assert watchdog.idle_left_s(1.0) is None
    watchdog.take(b"000\nS", 2.0)
    assert (watchdog.left_s(2.0), watchdog.idle_left_s(2.0)) == (None, 300.0)
    watchdog.hear(100.0)
    assert watchdog.idle_left_s(350.0) == 50.0
    watchdog.take(b".", 300.0)  # that is no host
    assert watchdog.idle_left_s(400.0) == 0.0
    watchdog.take(b"T5000\n", 400.0)
    assert (watchdog.left_s(400.0), watchdog.idle_left_s(400.0)) == (5.0, None)


def test_soft_reset_ends_the_wait_for_a_host_and_not_the_watchdog():
    watchdog = Watchdog()
    watchdog.take(b"T5000\nI300000\n", 1.0)
    watchdog.end_timers()
    assert (watchdog.left_s(2.0), watchdog.idle_left_s(2.0)) == (4.0, None)
    watchdog.take(b"I300000\n", 2.0)
    watchdog.stop()
    assert (watchdog.left_s(2.0), watchdog.idle_left_s(2.0)) == (None, None)


# Says once that it is to boot when its prompt is idle; the boot behind that finds `said`.
WAITS_FOR_A_HOST = (
    "import os, vfs\n"
    "if 'said' not in os.listdir():\n"
    "    open('said', 'w').close()\n"
    "    outside = vfs.VfsPosix('/').open(os.getenv('PYV_BOARD_WATCHDOG'), 'wb')\n"
    "    outside.write(b'I%d\\n')\n"
    "print('main')\n"
)


def test_board_boots_when_its_prompt_is_idle(tmp_path):
    files = {"main.py": WAITS_FOR_A_HOST % 300}
    with played(tmp_path, ESP32_UART, files=files) as board, Prompt(board) as prompt:
        prompt.until(b"rst:0xc (SW_CPU_RESET)")
        prompt.until(b"main\r\n")
        assert (board.hard_resets_total, board.watchdog_resets_total) == (1, 0)


def test_board_stays_at_a_prompt_that_was_reset_meanwhile(tmp_path):
    files = {"main.py": WAITS_FOR_A_HOST % 1500}
    with played(tmp_path, ESP32_UART, files=files) as board, Prompt(board) as prompt:
        prompt.enter_raw()
        prompt.send(b"\x04")
        prompt.until(RAW_PROMPT)
        assert prompt.run("import time; time.sleep_ms(1600); print(1)") == ("1\r\n", "")
        assert board.hard_resets_total == 0


def test_pace_lets_through_what_the_line_takes():
    pace = Pace(115200)
    assert pace.allowance(10.0, 1000) == 46  # however long nothing was sent
    pace.spend(46)
    assert pace.allowance(10.0, 1000) == 0
    passed = 0
    for millisecond in range(1, 1001):
        count = pace.allowance(10.0 + millisecond / 1000, 1000)
        pace.spend(count)
        passed += count
    assert abs(passed - 11520) <= 1
    assert Pace(None).allowance(0.0, 100_000) == 100_000


@pytest.mark.parametrize(
    ("writes", "sent"),
    [
        ([b"a\nb", b"\n"], b"a\r\nb\r\n"),
        ([b"a\r\n"], b"a\r\n"),
        ([b"a\r", b"\nb"], b"a\r\nb"),
        ([b"\x7ea\nb\x7e", b"c\n"], b"\x7ea\nb\x7ec\r\n"),
        ([b"\x7ea\nb", b"\nc\x7e", b"\n"], b"\x7ea\nb\nc\x7e\r\n"),
        ([b"\x7ea\n\x7e\x7eb\n\x7e\n"], b"\x7ea\n\x7e\x7eb\n\x7e\r\n"),
        ([b"no ~ frame\n", b"\n"], b"no ~ frame\r\n\r\n"),
        ([b"\x18\x01", b"\n\0\0\0", b"\x04", b"\n"], b"\x18\x01\n\0\0\0\x04\r\n"),
    ],
)
def test_newlines_are_those_of_a_console(writes, sent):
    newlines = Newlines()
    assert b"".join(newlines.translated(write) for write in writes) == sent


def test_newlines_are_left_alone_until_the_host_has_answered():
    newlines = Newlines()
    assert newlines.translated(b"\x18\x05") == b"\x18\x05"
    newlines.take_answer(b"\x18")
    assert newlines.translated(b"\n") == b"\n"
    newlines.take_answer(b"\x01\0\0\0")
    assert newlines.translated(b"\n") == b"\r\n"


def test_a_write_that_gets_on_is_not_given_up():
    """The patience of a CDC counts from the latest byte that left, not from the beginning."""
    output = Output(RP2_CDC, None)
    output.take(bytes(1000), 0.0)
    for at_s in (0.4, 0.8, 1.2):
        output.settle(True, at_s)
        assert not output.is_idle
        output.sent(len(output.sendable(at_s)))
    output.settle(True, 1.3)
    assert output.is_idle and output.dropped_total == 0
    output.take(bytes(100), 2.0)
    output.settle(True, 2.1)
    output.settle(True, 2.7)
    assert output.is_idle and output.dropped_total > 0


@pytest.mark.parametrize("size_kb", [63, 60, 32 * 1024])
def test_a_flash_of_no_known_size_is_refused(tmp_path, size_kb):
    with pytest.raises(ValueError, match="no size of a flash; choose a multiple of 4"):
        FlashImage(tmp_path / "flash.img", need_micropython(), size_kb=size_kb)


def test_a_file_that_is_no_image_is_refused(tmp_path):
    path = tmp_path / "flash.img"
    path.write_text("something else")
    with pytest.raises(ValueError, match="no image of a flash"):
        FlashImage(path, need_micropython())


def test_a_tree_too_large_for_the_flash_is_refused(tmp_path):
    image = FlashImage(tmp_path / "flash.img", need_micropython(), size_kb=64)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "big").write_bytes(bytes(80 * 1024))
    with pytest.raises(OSError, match="no room left in the flash"):
        image.put(tmp_path / "tree")


def command(*arguments):
    code = (
        "import argparse, sys\n"
        "from pyv_edge_tools.virtual.command import add_arguments, run\n"
        "parser = argparse.ArgumentParser()\n"
        "add_arguments(parser)\n"
        "sys.exit(run(parser.parse_args()))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_command_plays_a_board_until_it_is_stopped(tmp_path):
    need_micropython()
    link = tmp_path / "port"
    process = command(tmp_path / "a" / "board.img", "--manner", "esp32-uart", "--port-link", link)
    try:
        assert process.stdout.readline() == f"{link}\n"
        assert process.stderr.readline().startswith("esp32-uart board on ")
        with Port(str(link), timeout=DEADLINE_S) as port:
            port.write(b"\r")  # what a UART has said before anybody listened is lost
            assert port.read_until(b">>> ").endswith(b">>> ")
            process.send_signal(signal.SIGUSR1)
            port.read_until(b"POWERON_RESET")
            port.read_until(b">>> ")
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=DEADLINE_S)[1]
        assert process.returncode == 0
        assert "0 soft and 1 hard resets" in said
        assert not link.is_symlink()
        assert (tmp_path / "a" / "board.img").stat().st_size == 848 * 1024
    finally:
        process.kill()
        process.wait()


def put_in(folder, *options):
    """Start a board with the firmware in its flash; return the process and the port."""
    process = command(folder, "--firmware", "node", *options)
    return process, SimpleNamespace(path=Path(process.stdout.readline().strip()))


def ended(process):
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=DEADLINE_S)[1]
    assert process.returncode == 0, said


def test_firmware_that_is_put_in_leaves_room_for_deploys(tmp_path):
    """It is in slot a, as behind a first deploy, and measures what a virtual board has."""
    micropython = need_micropython()
    need_mpremote()
    process, board = put_in(tmp_path / "board")
    try:
        assert board.path.parent == tmp_path / "board"
        files = build_device.firmware()
        outcome, said, _ = put_on(board, files, None)
        assert not outcome.is_changed and "nothing to send" in said
        for slot, version in (("b", b"1"), ("a", b"2")):
            changed = {**files, "pyv_edge_node/__init__.py": b"__version__ = '%s'\n" % version}
            del changed["pyv_edge_node/__init__.mpy"]
            outcome, _, _ = put_on(board, changed, None)
            assert (outcome.slot, outcome.is_on_trial) == (slot, True)
            assert outcome.hello.firmware == version.decode()
            keep_set(board)
    finally:
        ended(process)
    flash = FlashImage(tmp_path / "board" / "flash.img", micropython)
    settings = json.loads(flash.read("app_a/device.json"))
    assert [sensor["type"] for sensor in settings["sensors"]] == ["simulated"]
    assert flash.read("device.json") is None
    refused = command(tmp_path / "board", "--firmware", "node")
    out, said = refused.communicate(timeout=DEADLINE_S)
    assert (refused.returncode, out, len(said.splitlines())) == (2, "", 1)
    assert "has app_a/pyv_edge_node/__init__.py of another set: deploy to this board" in said


def test_firmware_that_is_put_in_runs_whatever_ran_before(tmp_path):
    need_micropython()
    need_mpremote()
    process, board = put_in(tmp_path / "board")
    try:
        outcome, _, _ = put_on(board, tiny("2"), None)
        assert (outcome.slot, outcome.hello.firmware) == ("b", "2")
        keep_set(board)
    finally:
        ended(process)
    settings = tmp_path / "device.json"
    sensor = {"type": "simulated", "channel": "s", "interval_ms": 100}
    settings.write_text(json.dumps({"device_id": "mine", "sensors": [sensor]}))
    process, board = put_in(tmp_path / "board", "--settings", settings)
    try:
        with Repl(str(board.path)) as repl:
            assert hello.wait(repl).hello.device == "mine"
    finally:
        ended(process)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--size", "7"], "7 kB is no size of a flash"),
        (["--baud", "1"], "--baud: 1 is no rate"),
        (["--heap", "much"], "heap: 'much' is no size"),
        (["--settings", "x.json"], "--settings: goes with --firmware node"),
        (["--firmware", "node", "--settings", "/none.json"], "/none.json"),
    ],
)
def test_command_says_what_is_wrong(tmp_path, arguments, said):
    need_micropython()
    process = command(tmp_path / "board", *arguments)
    out, error = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2 and out == ""
    assert error.startswith("pyv-edge-flash: virtual: ") and said in error
    assert len(error.splitlines()) == 1


def test_two_boards_never_share_a_flash(tmp_path):
    with played(tmp_path) as board:
        second = Board(tmp_path / "other", image=board.flash.path, micropython=need_micropython())
        with pytest.raises(OSError, match="a board runs on this flash"):
            second.start()
        with pytest.raises(OSError, match="a board runs on this flash"):
            board.flash.read("main.py")
        with Prompt(board) as prompt:
            prompt.enter_raw()
            assert prompt.run("print(1)") == ("1\r\n", "")
    with second:
        wait_up(second)


def test_a_file_is_never_taken_for_the_port(tmp_path):
    path = tmp_path / "precious"
    path.write_text("mine")
    board = Board(tmp_path / "board", link=path, manner=ESP32_UART, micropython=need_micropython())
    with pytest.raises(OSError, match="no link; name another path"):
        board.start()
    assert path.read_text() == "mine"


def test_a_program_is_told_when_its_host_does_not_read(tmp_path):
    code = (
        "import select, sys\n"
        "poll = select.poll()\n"
        "poll.register(sys.stdout, select.POLLOUT)\n"
        "written = 0\n"
        "while poll.poll(100) and written < 100000:\n"
        "    written += sys.stdout.buffer.write(b'x' * 64)\n"
        "f = open('written', 'w'); f.write(str(written)); f.close()\n"
    )
    with played(tmp_path, RP2_CDC) as board:
        with Prompt(board) as prompt:
            prompt.enter_raw()
            prompt.begin(code)
            prompt.until(b"x")
            wait_for(lambda: board.output_dropped_total, "the loss", DEADLINE_S)
        with Prompt(board) as prompt:
            prompt.enter_raw()
            written = int(prompt.run("print(open('written').read())")[0])
    assert RP2_CDC.output_size < written < 2 * HOST_BUFFER_SIZE


def test_nothing_is_left_when_the_tool_is_killed(tmp_path):
    """Not even a program in a busy loop, which never asks for its input."""
    image = FlashImage(tmp_path / "flash.img", need_micropython())
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "main.py").write_text("print('busy')\nwhile True:\n    pass\n")
    image.put(tmp_path / "tree")
    process = command(tmp_path)
    try:
        port = Port(process.stdout.readline().strip(), timeout=DEADLINE_S)
        with port:
            assert port.read_until(b"busy\r\n").endswith(b"busy\r\n")
        mine = f"PYV_BOARD_IMAGE={image.path}".encode()
        (child,) = processes_with(mine)
        process.kill()
        wait_for(lambda: not processes_with(mine), f"process {child} ends")
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE_S)


def processes_with(setting):
    """Return the ids of the processes whose environment has this."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if setting in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
        except OSError:  # it has ended, or is somebody else's
            continue
    return found
