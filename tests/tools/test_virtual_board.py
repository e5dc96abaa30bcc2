"""Stock mpremote, and bare hands, against virtual boards: they do what boards do."""

import hashlib
import json

import pytest
import serial
from pyv_edge_tools.virtual import ESP32_UART, MANNERS, RP2_CDC
from virtual_rig import Prompt, mpremote, need_micropython, played, put, wait_up
from waiting import wait_for

BUSY = "print('main runs')\nturns = 0\nwhile True:\n    turns += 1\n"
EACH_MANNER = pytest.mark.parametrize("manner", MANNERS.values(), ids=MANNERS)


@EACH_MANNER
def test_code_runs(tmp_path, manner):
    script = tmp_path / "script.py"
    script.write_text("for name in ('a', 'b'):\n    print(name)\n")
    with played(tmp_path / "board", manner) as board:
        assert mpremote(board, "exec", "print(1 + 1)") == "2\n"
        assert mpremote(board, "eval", "6 * 7") == "42\n"
        assert mpremote(board, "run", script) == "a\nb\n"
        said = mpremote(board, "exec", "1 / 0", is_refused=True)
        assert "ZeroDivisionError" in said


@EACH_MANNER
def test_files_go_there_and_back(tmp_path, manner):
    sent = tmp_path / "sent.py"
    sent.write_bytes(bytes(range(256)) * 8)
    back = tmp_path / "back.py"
    with played(tmp_path / "board", manner) as board:
        mpremote(board, "fs", "cp", sent, ":there.py", "+", "fs", "cp", ":there.py", back)
        assert back.read_bytes() == sent.read_bytes()
        digest = hashlib.sha256(sent.read_bytes()).hexdigest()
        assert digest in mpremote(board, "fs", "sha256sum", "there.py")
        assert "Up to date" in mpremote(board, "fs", "cp", sent, ":there.py")


def test_folders_are_made_copied_shown_and_removed(tmp_path):
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "top.txt").write_text("top\n")
    (tree / "inner" / "deep.txt").write_text("deep\n")
    with played(tmp_path / "board") as board:
        mpremote(board, "fs", "mkdir", ":kept")
        mpremote(board, "fs", "cp", "-r", "tree", ":kept", cwd=tmp_path)
        mpremote(board, "fs", "cp", "-r", "tree", ":", cwd=tmp_path)
        shown = mpremote(board, "fs", "tree")
        assert shown.count("deep.txt") == 2
        assert "tree/" in mpremote(board, "fs", "ls")
        mpremote(board, "fs", "rm", "-r", ":kept")
        assert mpremote(board, "exec", "import os; print(os.listdir())") == "['tree']\n"
        assert mpremote(board, "exec", "print(open('tree/inner/deep.txt').read())") == "deep\n\n"


def test_space_is_shown_as_on_a_board(tmp_path):
    with played(tmp_path / "board", size_kb=256) as board:
        size, used, free = mpremote(board, "df").splitlines()[1].split()[1:4]
        assert int(size) == 256 * 1024
        assert int(used) + int(free) == int(size)
        found = mpremote(board, "exec", "import os; print(os.statvfs('/')[:3], os.stat('')[0])")
        assert found == "(4096, 4096, 64) 16384\n"


def test_a_folder_of_the_host_is_mounted(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "of_host.py").write_text("VALUE = 7\n")
    with played(tmp_path / "board") as board:
        code = (
            "import of_host; print(of_host.VALUE);"
            "f = open('made', 'wb'); f.write(bytes(range(256)) * 4); f.close();"
            "print(open('made', 'rb').read() == bytes(range(256)) * 4)"
        )
        assert "7\nTrue\n" in mpremote(board, "mount", shared, "exec", code)
    assert (shared / "made").read_bytes() == bytes(range(256)) * 4


def test_a_local_package_is_installed(tmp_path):
    (tmp_path / "one.py").write_text("VALUE = 7\n")
    package = tmp_path / "package.json"
    package.write_text(json.dumps({"urls": [["one.py", "one.py"]], "version": "1"}))
    with played(tmp_path / "board") as board:
        mpremote(board, "mip", "install", package)
        assert mpremote(board, "exec", "import one; print(one.VALUE, one.__file__)") == (
            "7 /lib/one.py\n"
        )


def test_soft_reset_by_mpremote_runs_boot_and_not_main(tmp_path):
    files = {"boot.py": "booted = 1\n", "main.py": "ran = 1\n"}
    with played(tmp_path / "board", files=files) as board:
        mpremote(board, "resume", "exec", "left = 1")
        assert mpremote(board, "resume", "eval", "'left' in globals()") == "True\n"
        mpremote(board, "soft-reset")
        found = mpremote(
            board, "resume", "exec", "print([n in globals() for n in ('left', 'booted', 'ran')])"
        )
        assert found == "[False, True, False]\n"
        assert board.hard_resets_total == 0


def test_soft_reset_at_the_prompt_runs_boot_and_main(tmp_path):
    files = {"boot.py": "print('boot runs')\n", "main.py": "print('main ran')\n"}
    with played(tmp_path / "board", files=files) as board, Prompt(board) as prompt:
        prompt.enter_raw()
        prompt.send(b"\x02")
        prompt.until(b">>> ")
        prompt.send(b"\x04")
        said = prompt.until(b">>> ")
        assert b"MPY: soft reboot\r\nboot runs\r\nmain ran\r\nMicroPython " in said


def test_soft_reset_at_the_raw_prompt_comes_back_to_it(tmp_path):
    files = {"boot.py": "print('boot runs')\n", "main.py": "print('main ran')\n"}
    with played(tmp_path / "board", files=files) as board, Prompt(board) as prompt:
        prompt.enter_raw()
        prompt.send(b"\x04")
        said = prompt.until(b"raw REPL; CTRL-B to exit\r\n>")
        assert said == (b"OK\r\nMPY: soft reboot\r\nboot runs\r\nraw REPL; CTRL-B to exit\r\n>")
        assert prompt.run("print(3)") == ("3\r\n", "")


@EACH_MANNER
def test_reset_is_a_hard_one(tmp_path, manner):
    code = "import machine; cause = machine.reset_cause()\n"
    with played(tmp_path / "board", manner, files={"main.py": code}) as board:
        assert mpremote(board, "resume", "eval", "cause") == "1\n"
        mpremote(board, "reset")
        wait_for(lambda: board.hard_resets_total == 1, "the reset")
        wait_up(board)
        assert mpremote(board, "resume", "eval", "cause") == "4\n"
        board.hard_reset()
        wait_up(board)
        assert mpremote(board, "resume", "eval", "cause") == "2\n"


@pytest.mark.parametrize("text", ["raise SystemExit(3)", "import sys; sys.exit(3)"])
def test_firmware_ends_with_a_hard_reset(tmp_path, text):
    code = f"import machine\nif machine.reset_cause() == 1:\n    {text}\nprint('after')\n"
    with played(tmp_path / "board", ESP32_UART, files={"main.py": code}) as board:
        wait_for(lambda: board.hard_resets_total == 1, "the reset")
        with Prompt(board) as prompt:
            prompt.enter_raw()
            assert prompt.run("print(machine.reset_cause())") == ("4\r\n", "")


@EACH_MANNER
def test_busy_main_is_interrupted(tmp_path, manner):
    with played(tmp_path / "board", manner, files={"main.py": BUSY}) as board:
        assert mpremote(board, "resume", "eval", "turns > 0") == "True\n"
        # And once more after a reset, where it is in the way of a whole connection.
        board.hard_reset()
        wait_up(board)
        assert mpremote(board, "exec", "print('turns' in globals())") == "False\n"


def test_ctrl_c_can_be_switched_off(tmp_path):
    code = "import micropython, sys\nmicropython.kbd_intr(-1)\nprint(sys.stdin.buffer.read(3))"
    with played(tmp_path / "board") as board, Prompt(board) as prompt:
        prompt.enter_raw()
        prompt.begin(code)
        prompt.send(b"a\x03b")
        assert b"b'a\\x03b'" in prompt.until(b"\x04>")


def test_errors_of_main_lead_to_the_prompt(tmp_path):
    with played(tmp_path / "board", ESP32_UART) as board, Prompt(board) as prompt:
        prompt.enter_raw()
        prompt.run("open('main.py', 'w').write('kept = 1\\n1 / 0\\n')")
        prompt.send(b"\x02\x04")
        said = prompt.until(b'"help()" for more information.\r\n>>> ')
        said += prompt.until(b'"help()" for more information.\r\n>>> ')
        assert b'File "main.py", line 2, in <module>\r\nZeroDivisionError' in said
        prompt.send(b"print('kept is', kept)\r")
        prompt.until(b"kept is 1\r\n>>> ")


def test_a_boot_that_fails_keeps_main_from_running(tmp_path):
    files = {"boot.py": "1 / 0\n", "main.py": "ran = 1\n"}
    with played(tmp_path / "board", files=files) as board:
        assert mpremote(board, "resume", "eval", "'ran' in globals()") == "False\n"


def test_system_exit_of_main_is_a_soft_reset(tmp_path):
    code = (
        "import os\n"
        "if 'once' not in os.listdir():\n"
        "    open('once', 'w').close()\n"
        "    raise SystemExit\n"
    )
    with played(tmp_path / "board", files={"main.py": code}) as board:
        wait_for(lambda: board.soft_resets_total == 1, "the soft reset")
        assert mpremote(board, "resume", "eval", "'os' in globals()") == "True\n"
        assert board.hard_resets_total == 0


def test_what_is_open_at_a_soft_reset_is_written(tmp_path):
    with played(tmp_path / "board") as board:
        mpremote(board, "exec", "f = open('half', 'w'); f.write('half')", "soft-reset")
        assert mpremote(board, "exec", "print(open('half').read())") == "half\n"


def test_what_is_open_at_a_power_cut_is_not(tmp_path):
    with played(tmp_path / "board") as board:
        mpremote(board, "exec", "f = open('half', 'w'); f.write('half')")
        board.unplug()
        assert board.flash.read("half") in (None, b"")


def test_flash_outlives_the_board(tmp_path):
    with played(tmp_path / "board") as board:
        mpremote(board, "exec", "with open('kept', 'w') as f: f.write('kept')")
        name = mpremote(board, "exec", "import machine; print(machine.unique_id().hex())")
    with played(tmp_path / "board") as board:
        assert mpremote(board, "exec", "print(open('kept').read())") == "kept\n"
        again = mpremote(board, "exec", "import machine; print(machine.unique_id().hex())")
        assert again == name and len(name) == 17
    assert board.flash.read("kept") == b"kept"
    with played(tmp_path / "other") as board:
        other = mpremote(board, "exec", "import machine; print(machine.unique_id().hex())")
    assert other != name


def test_full_flash_says_so_and_is_sound_afterwards(tmp_path):
    fill = (
        "import os\n"
        "try:\n"
        "    with open('big', 'wb') as f:\n"
        "        while True:\n"
        "            f.write(bytes(1024))\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
    )
    with played(tmp_path / "board", size_kb=64, files={"kept": "kept"}) as board:
        assert mpremote(board, "exec", fill) == "28\n"
        big = tmp_path / "big"
        big.write_bytes(bytes(80 * 1024))
        mpremote(board, "fs", "cp", big, ":bigger", is_refused=True)
        mpremote(board, "exec", "import os; [os.remove(n) for n in os.listdir() if n != 'kept']")
        mpremote(board, "exec", "with open('after', 'w') as f: f.write('after')")
        board.unplug()
        assert board.flash.read("kept") == b"kept"
        assert board.flash.read("after") == b"after"


@pytest.mark.parametrize("is_half_done", [False, True], ids=["not done", "half done"])
def test_power_cut_at_every_write_of_a_rename(tmp_path, is_half_done):
    """A file that is replaced through a rename is the old one or the new one, never torn."""
    replace = (
        "import os\n"
        "with open('pointer~', 'w') as f:\n"
        "    f.write('new' * 2000)\n"
        "os.rename('pointer~', 'pointer')\n"
    )
    old, new = b"old" * 2000, b"new" * 2000
    seen = []
    with played(tmp_path / "board", size_kb=64, files={"pointer": old}) as board:
        for writes in range(100):
            with Prompt(board) as prompt:
                prompt.enter_raw()
                board.flash.cut_power_after(writes, is_half_done=is_half_done)
                try:
                    prompt.run(replace)
                except (AssertionError, serial.SerialException):
                    wait_for(lambda: not board.is_powered, "the power cut")
            board.flash.keep_power()
            is_cut = not board.is_powered
            board.unplug()
            seen.append(board.flash.read("pointer"))
            assert seen[-1] in (old, new), f"torn at write {writes}"
            if not is_cut:
                break
            if seen[-1] == new:
                put(board, tmp_path, {"pointer": old})
            board.plug()
            wait_up(board)
    assert seen[0] == old and seen[-1] == new
    assert len(seen) > 3, "the power was never cut in the middle"


def test_as_much_memory_is_left_as_without_a_board_around_it(tmp_path):
    import subprocess

    code = "import gc; gc.collect(); print(gc.mem_free())"
    plain = subprocess.run(
        [need_micropython(), "-X", "heapsize=192k", "-i", "-c", "1"],
        input=b"\x01" + code.encode() + b"\x04",
        capture_output=True,
        check=True,
    )
    free = int(plain.stdout.split(b">OK")[1].split()[0])
    with played(tmp_path / "board", RP2_CDC) as board:
        on_board = int(mpremote(board, "exec", code))
    assert abs(on_board - free) < 1024
