"""Settings on trial: also after a power cut at any moment a board has some in force."""

from fake_board import FakeBoard, FakeFlash, FakePort, PowerCut, make_settings
from pyv_edge_core import device_states
from pyv_edge_node.app import App
from pyv_edge_node.trial import BOOTS_MAX, TRIAL_MS, Trial

HEAP_KB_MIN = 192

PATH = "device.json"
OLD, NEW = b"old settings", b"new settings"


def _flash():
    flash = FakeFlash()
    flash.files = {PATH: OLD}
    return flash


def _staged():
    """Return a flash with other settings staged, and its trial."""
    flash = _flash()
    trial = Trial(flash, PATH)
    trial.stage(0, NEW[:4])
    trial.stage(4, NEW[4:])
    return flash, trial


def _booted(flash):
    """Return the trial after a boot that puts the right file in place."""
    trial = Trial(flash, PATH)
    trial.boot()
    return trial


def _is_done(flash, changes, action, *args):
    """Return whether `action` came to its end before the power went, after so many changes."""
    flash.changes_left = changes
    try:
        action(*args)
        return True
    except PowerCut:
        return False
    finally:
        flash.changes_left = -1


def _clean(flash):
    """Return the names of the files besides the settings and the ones before them."""
    return sorted([name for name in flash.files if name not in (PATH, PATH + ".old")])


def test_boot_without_a_trial_does_nothing():
    flash = _flash()
    flash.changes_left = 0
    assert not _booted(flash).is_running
    assert flash.files == {PATH: OLD}


def test_trial_that_is_confirmed_keeps_the_new_settings():
    flash, trial = _staged()
    assert trial.staged() == NEW
    trial.apply()
    trial = _booted(flash)
    assert trial.is_running and flash.read(PATH) == NEW
    trial.confirm()
    assert not trial.is_running and _clean(flash) == []
    assert not _booted(flash).is_running
    assert (flash.read(PATH), flash.read(PATH + ".old")) == (NEW, OLD)


def test_trial_that_fails_brings_the_old_settings_back():
    flash, trial = _staged()
    trial.apply()
    trial = _booted(flash)
    trial.restore("a sensor is missing")
    assert flash.read(PATH) == OLD
    assert flash.read(PATH + ".reason") == b"a sensor is missing"
    assert not _booted(flash).is_running and flash.read(PATH) == OLD


def test_trial_ends_after_too_many_boots():
    flash, trial = _staged()
    trial.apply()
    for _ in range(BOOTS_MAX):
        assert _booted(flash).is_running
    assert not _booted(flash).is_running
    assert flash.read(PATH) == OLD
    assert str(BOOTS_MAX).encode() in flash.read(PATH + ".reason")


def test_second_trial_replaces_what_the_first_left():
    flash, trial = _staged()
    trial.apply()
    _booted(flash).confirm()
    trial = Trial(flash, PATH)
    trial.stage(0, b"third")
    trial.apply()
    trial = _booted(flash)
    assert (flash.read(PATH), flash.read(PATH + ".old")) == (b"third", NEW)
    trial.restore("no")
    assert flash.read(PATH) == NEW


def test_settings_put_there_by_hand_end_a_trial():
    flash, trial = _staged()
    trial.apply()
    flash.files[PATH] = b"by hand"
    assert not _booted(flash).is_running
    assert flash.read(PATH) == b"by hand" and _clean(flash) == []


def test_staged_settings_can_be_discarded():
    flash, trial = _staged()
    trial.discard()
    trial.discard()
    assert flash.files == {PATH: OLD} and trial.staged() == b""


def test_power_cut_at_any_moment_of_applying():
    for changes in range(20):
        flash, trial = _staged()
        is_applied = _is_done(flash, changes, trial.apply)
        trial = _booted(flash)
        # Either nothing has happened, or the new settings are on trial.
        assert flash.read(PATH) == (NEW if trial.is_running else OLD), changes
        assert trial.is_running or _clean(flash) in ([], [PATH + ".new"]), changes
        if is_applied:
            assert trial.is_running
            return
    raise AssertionError("applying never ended")


def test_power_cut_at_any_moment_of_the_first_boot_after_a_cut():
    # A cut in the middle of applying, and another one while the boot after it mends that.
    for first in range(3):
        for second in range(10):
            flash, trial = _staged()
            _is_done(flash, first, trial.apply)
            _is_done(flash, second, Trial(flash, PATH).boot)
            trial = _booted(flash)
            assert flash.read(PATH) == (NEW if trial.is_running else OLD), (first, second)


def test_power_cut_at_any_moment_of_restoring_or_confirming():
    for action in ("restore", "confirm"):
        for changes in range(10):
            flash, trial = _staged()
            trial.apply()
            trial = _booted(flash)
            if action == "restore":
                is_done = _is_done(flash, changes, trial.restore, "why")
            else:
                is_done = _is_done(flash, changes, trial.confirm)
            trial = _booted(flash)
            case = (action, changes)
            assert flash.read(PATH) in (OLD, NEW), case
            if is_done:
                assert flash.read(PATH) == (OLD if action == "restore" else NEW), case
                assert not trial.is_running, case
            if action == "confirm":
                # A trial that came up is not reported as failed.
                if trial.is_running:
                    trial.confirm()
                assert not flash.has(PATH + ".reason"), case


class _Node:
    """A node whose settings are on trial, without a host."""

    def __init__(self, is_running=True):
        self.flash, trial = _staged()
        trial.apply()
        self.trial = _booted(self.flash)
        if not is_running:
            self.trial.restore("of before")
        self.board = FakeBoard()
        self.app = App(make_settings(), self.board, FakePort(), self.flash, self.trial)

    def run(self, duration_ms):
        for _ in range(duration_ms // 50):
            if self.board.resets_total:
                return
            self.board.now_ms += 50
            self.app.step()


def test_node_confirms_once_a_host_has_welcomed_it_and_something_was_measured():
    node = _Node()
    node.run(5000)
    assert node.app.trial.is_running and node.flash.has(PATH + ".trial")
    node.app.session.state = device_states.UP
    node.run(100)
    assert (node.app.trial, _clean(node.flash)) == (None, [])
    assert node.flash.read(PATH) == NEW
    node.run(TRIAL_MS + 5000)
    assert node.board.resets_total == 0


def test_node_that_no_host_welcomes_goes_back():
    node = _Node()
    node.run(TRIAL_MS - 1000)
    assert (node.board.resets_total, node.flash.read(PATH)) == (0, NEW)
    node.run(2000)
    assert (node.board.resets_total, node.flash.read(PATH)) == (1, OLD)
    assert b"60 s" in node.flash.read(PATH + ".reason")


def test_node_of_which_a_step_fails_goes_back():
    node = _Node()
    node.app.errors_total = 1
    node.run(100)
    assert (node.board.resets_total, node.flash.read(PATH)) == (1, OLD)


def test_node_reports_why_it_went_back_once_there_is_a_host():
    node = _Node(is_running=False)
    node.run(1000)
    assert node.flash.has(PATH + ".reason")
    node.app.session.state = device_states.UP
    node.run(50)
    assert (node.app.trial, _clean(node.flash)) == (None, [])
    assert node.app.session.is_idle is False  # the LOG is on its way


def test_reason_waits_until_there_is_room_for_it():
    node = _Node(is_running=False)
    node.app.session.state = device_states.UP
    node.app.session._outgoing = [b"x"] * 40
    node.trial.watch(node.app)
    assert node.flash.has(PATH + ".reason") and node.app.trial is not None


def test_nothing_to_report_is_the_end_of_it():
    node = _Node(is_running=False)
    node.flash.remove(PATH + ".reason")
    node.app.session.state = device_states.UP
    node.trial.watch(node.app)
    assert node.app.trial is None
