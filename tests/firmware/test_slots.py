"""Which set of files runs: kept, on trial, given up, damaged. On a real file system."""

import os
import sys

import slots as loader
from check import raises
from slots import CRASH_SIZE_MAX, LOOK_BOOTS, RESTARTS_MAX, TRIAL_BOOTS_MAX, Slots


def _make_folder():
    """Return a new folder; other processes do the same."""
    for number in range(1000):
        try:
            os.mkdir("/tmp/slots-%d" % number)
            return "/tmp/slots-%d" % number
        except OSError:
            continue
    raise AssertionError("/tmp is full of slots")


class _Board:
    """A folder as a board's file system, and the working directory."""

    def __enter__(self):
        self._before = os.getcwd()
        self.folder = _make_folder()
        os.chdir(self.folder)
        return self

    def __exit__(self, *_):
        os.chdir(self._before)
        _remove(self.folder)

    def put_set(self, slot, is_whole=True):
        """Put a set of files there whose node says its name."""
        folder = "app_" + slot
        os.mkdir(folder)
        os.mkdir(folder + "/pyv_edge_node")
        _write(folder + "/pyv_edge_node/__init__.py", "name = %r\n" % slot)
        if is_whole:
            path = "pyv_edge_node/__init__.py"
            _write(folder + "/manifest", "%s %s\n" % (loader._digest(folder + "/" + path), path))

    def begin_trial_of_b(self):
        """Put both sets there; a is kept, and b on trial from the next boot on."""
        for slot in ("a", "b"):
            self.put_set(slot)
        for slot in ("a", "b"):
            Slots().begin_trial(slot)

    def boot(self):
        """Return the slots as a boot leaves them."""
        slots = Slots()
        slots.count_boot()
        return slots


class _Machine:
    """What a chip says of why it has booted, and its watchdog."""

    PWRON_RESET, WDT_RESET = 1, 3

    def __init__(self):
        self.cause = self.PWRON_RESET
        self.timeouts_ms = []

    def __enter__(self):
        self._before = sys.modules.get("machine")
        sys.modules["machine"] = self
        return self

    def __exit__(self, *_):
        if self._before is None:
            del sys.modules["machine"]
        else:
            sys.modules["machine"] = self._before

    def reset_cause(self):
        return self.cause

    def WDT(self, timeout):
        self.timeouts_ms.append(timeout)


class _Kept(_Board):
    """A board with two sets, of which b is kept."""

    def __enter__(self):
        super().__enter__()
        self.begin_trial_of_b()
        self.boot().keep()
        return self


def _remove(path):
    if os.stat(path)[0] & 0x4000:
        for name in os.listdir(path):
            _remove(path + "/" + name)
        os.rmdir(path)
    else:
        os.remove(path)


def _write(name, text):
    with open(name, "w") as file:
        file.write(text)


def _read(name):
    with open(name) as file:
        return file.read()


def _state(slots):
    return slots.running, slots.behind, slots.boots


def _imported():
    import pyv_edge_node

    return pyv_edge_node.name


class _Imports:
    """Modules and paths as they were, afterwards."""

    def __enter__(self):
        self._path = list(sys.path)
        self._modules = {
            name: module for name, module in sys.modules.items() if name.startswith("pyv_edge")
        }
        # A path of the tests' own would be looked at first.
        sys.path[:] = [path for path in sys.path if path in ("", ".frozen")]

    def __exit__(self, *_):
        sys.path[:] = self._path
        for name in [name for name in sys.modules if name.startswith("pyv_edge")]:
            del sys.modules[name]
        for name, module in self._modules.items():
            sys.modules[name] = module


def test_without_a_set_the_files_beside_main_py_run():
    with _Board() as board:
        slots = board.boot()
        assert (_state(slots), slots.folder) == (("", "-", 0), "")
        assert slots.settings_path == "device.json" and not slots.is_on_trial


def test_first_set_is_kept_at_once():
    with _Board() as board:
        board.put_set("a")
        Slots().begin_trial("a")
        slots = board.boot()
        assert _state(slots) == ("a", "-", 0)
        assert (slots.folder, slots.settings_path) == ("app_a", "app_a/device.json")


def test_next_set_is_on_trial_until_it_is_kept():
    with _Board() as board:
        board.begin_trial_of_b()
        slots = board.boot()
        assert _state(slots) == ("b", "a", 1) and slots.is_on_trial
        slots.keep()
        assert _state(board.boot()) == ("b", "-", 0)
        assert not slots.is_on_trial


def test_set_that_is_not_kept_is_given_up_after_so_many_boots():
    with _Board() as board:
        board.begin_trial_of_b()
        for boots in range(1, TRIAL_BOOTS_MAX + 1):
            assert _state(board.boot()) == ("b", "a", boots)
        slots = board.boot()
        assert _state(slots) == ("a", "-", 0)
        assert "app_b was given up: it restarted 3 times" in _read("crash")
        assert _state(board.boot()) == ("a", "-", 0)


def test_boots_that_end_on_purpose_are_not_counted():
    with _Board() as board:
        board.begin_trial_of_b()
        for _ in range(2 * TRIAL_BOOTS_MAX):
            slots = board.boot()
            assert _state(slots) == ("b", "a", 1)
            slots.forgive()
        slots.keep()
        slots.forgive()
        assert _state(board.boot()) == ("b", "-", 0)


def test_set_that_is_replaced_on_trial_gives_way_to_the_kept_one():
    with _Board() as board:
        board.begin_trial_of_b()
        Slots().abandon()
        assert _state(Slots()) == ("a", "-", 0)
        Slots().abandon()
        assert _state(Slots()) == ("a", "-", 0)


def test_rolling_back_takes_the_other_set():
    with _Board() as board:
        board.put_set("a")
        Slots().begin_trial("a")
        assert "app_b is not there" in str(raises(OSError, Slots().roll_back))
        board.put_set("b")
        Slots().roll_back()
        assert _state(board.boot()) == ("b", "-", 0)
        Slots().begin_trial("a")
        Slots().roll_back()
        assert _state(board.boot()) == ("b", "-", 0)


def test_trial_of_a_set_that_replaces_one_on_trial_goes_back_to_the_kept_one():
    with _Board() as board:
        board.begin_trial_of_b()
        board.boot()
        Slots().begin_trial("b")
        assert _state(Slots()) == ("b", "a", 0)


def test_set_that_is_not_whole_is_not_tried():
    with _Board() as board:
        board.put_set("a")
        board.put_set("b", is_whole=False)
        Slots().begin_trial("a")
        assert "app_b has no manifest" in str(raises(OSError, Slots().begin_trial, "b"))
        assert _state(board.boot()) == ("a", "-", 0)


def test_set_on_trial_whose_files_are_being_replaced_is_given_up():
    with _Board() as board:
        board.begin_trial_of_b()
        os.remove("app_b/manifest")
        assert _state(board.boot()) == ("a", "-", 0)


def test_damaged_pointer_is_guessed():
    for text in ("", "a", "a - 0", "a - 0 00000000", "c - 0 %08x" % 0, "\xff\xfe", "a - x 1"):
        with _Board() as board:
            board.put_set("b")
            _write("slot", text)
            assert _state(board.boot()) == ("b", "-", 0), text


def test_copy_counts_where_the_pointer_is_damaged():
    with _Board() as board:
        board.put_set("a")
        board.put_set("b")
        Slots().begin_trial("b")
        Slots().begin_trial("b")
        board.boot().keep()
        _write("slot", "b - 0 rotten")
        assert _state(board.boot()) == ("b", "-", 0)
        with open("slot.copy", "wb") as file:
            file.write(b"\xff\xfe\x00")
        assert _state(board.boot()) == ("a", "-", 0)  # nobody knows: the first that is whole


def test_pointer_that_fat_has_under_its_other_name_only_counts():
    with _Board() as board:
        board.put_set("a")
        board.put_set("b")
        Slots().begin_trial("b")
        os.rename("slot", "slot~")
        assert _state(board.boot()) == ("b", "a", 1)


def test_set_that_cannot_be_imported_gives_way_to_the_one_behind_it():
    with _Board() as board, _Imports():
        board.begin_trial_of_b()
        slots = board.boot()
        slots.enter()
        assert _imported() == "b"
        slots.fail(ImportError("no module named 'x'"))
        slots.enter()
        assert _imported() == "a"
        crash = _read("crash")
        assert "app_b can't be started" in crash and "no module named 'x'" in crash
        assert _state(board.boot()) == ("a", "-", 0)


def test_kept_set_that_is_damaged_gives_way_to_an_older_one_for_this_boot():
    with _Board() as board, _Imports():
        board.put_set("a")
        board.put_set("b")
        Slots().begin_trial("a")
        slots = board.boot()
        slots.enter()
        slots.fail(SyntaxError("rotten"))
        slots.enter()
        assert _imported() == "b"
        # Nothing is left now; and the next boot looks at the kept one first.
        assert "worse" in str(raises(ValueError, slots.fail, ValueError("worse")))
        assert _state(board.boot()) == ("a", "-", 0)


def test_kept_set_is_counted_unless_power_or_a_finger_begins_it():
    with _Machine() as machine, _Kept() as board:
        assert _state(board.boot()) == ("b", "-", 0)
        machine.cause = machine.WDT_RESET
        assert _state(board.boot()) == ("b", "-", 1)
        slots = board.boot()
        assert _state(slots) == _state(Slots()) == ("b", "-", 2)
        slots.forgive()
        assert _state(Slots()) == ("b", "-", 1)
        slots.keep()
        assert _state(slots) == _state(Slots()) == ("b", "-", 0)
        board.boot()
        machine.cause = machine.PWRON_RESET
        assert _state(board.boot()) == _state(Slots()) == ("b", "-", 0)


def test_kept_set_that_is_damaged_and_restarts_is_given_up():
    for path in ("pyv_edge_node/__init__.py", "manifest"):
        for spoil in (lambda name: _write(name, "rotten"), os.remove):
            if path == "manifest" and spoil is os.remove:
                continue  # a set without one is none
            with _Machine() as machine, _Kept() as board:
                spoil("app_b/" + path)
                machine.cause = machine.WDT_RESET
                for boots in range(1, LOOK_BOOTS):
                    assert _state(board.boot()) == ("b", "-", boots)
                assert _state(board.boot()) == _state(Slots()) == ("a", "-", 0)
                assert "app_b was given up: app_b/%s is damaged" % path in _read("crash")


def test_kept_set_that_never_comes_far_is_given_up():
    with _Machine() as machine, _Kept() as board:
        machine.cause = machine.WDT_RESET
        for boots in range(1, RESTARTS_MAX):
            assert _state(board.boot()) == ("b", "-", boots)
        assert _state(board.boot()) == _state(Slots()) == ("a", "-", 0)
        assert "app_b was given up: it restarted 12 times in a row" in _read("crash")


def test_kept_set_stays_where_the_other_is_no_better():
    for spoil in (lambda: _write("app_a/manifest", "x"), lambda: os.remove("app_a/manifest")):
        with _Machine() as machine, _Kept() as board:
            _write("app_b/pyv_edge_node/__init__.py", "rotten")
            spoil()
            machine.cause = machine.WDT_RESET
            for _ in range(3 * RESTARTS_MAX):
                slots = board.boot()
                assert slots.running == "b" and slots.damage() == ""
            assert _state(Slots()) == ("b", "-", RESTARTS_MAX)


def test_damage_is_looked_for_in_a_kept_set():
    with _Kept() as board:
        assert board.boot().damage() == ""
        os.remove("app_b/pyv_edge_node/__init__.py")
        assert board.boot().damage() == "app_b/pyv_edge_node/__init__.py"
    with _Board() as board:
        assert board.boot().damage() == ""


def test_what_is_imported_as_bytecode_has_a_watchdog():
    with _Machine() as machine, _Kept() as board, _Imports():
        board.boot().enter()
        assert machine.timeouts_ms == []  # compiling takes its time
        _write("app_b/pyv_edge_node/start.mpy", "")
        board.boot().enter()
        assert machine.timeouts_ms == [8388]
        loader.stop_watchdog()
        assert machine.timeouts_ms == [8388, 86_400_000]


def test_set_that_runs_in_place_of_a_damaged_one_leaves_the_pointer():
    with _Machine() as machine, _Kept() as board, _Imports():
        machine.cause = machine.WDT_RESET
        slots = board.boot()
        slots.fail(SyntaxError("rotten"))
        assert _state(slots) == ("a", "-", 0)
        slots.forgive()
        assert _state(Slots()) == ("b", "-", 1)


def test_without_another_set_the_error_is_shown():
    with _Board() as board:
        board.put_set("a")
        Slots().begin_trial("a")
        error = OSError("rotten")
        assert raises(OSError, board.boot().fail, error) is error
        assert "rotten" in _read("crash")


def test_traceback_is_bounded_and_its_end_is_kept():
    with _Board():
        Slots().keep_crash("x" * 5000 + "the end")
        kept = _read("crash")
        assert len(kept) == CRASH_SIZE_MAX and kept.endswith("the end")
