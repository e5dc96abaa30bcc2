"""Trials of a boot that first has to deliver what earlier ones have left: only its own counts."""

from fake_board import FakeFlash
from pyv_edge_core.host_session import HostSession
from pyv_edge_node.app import App
from pyv_edge_node.boots import Boots
from pyv_edge_node.trial import BACKLOG_S as SETTINGS_BACKLOG_S
from pyv_edge_node.trial import TRIAL_MS, Trial
from pyv_edge_node.trouble import BACKLOG_S, TRIAL_S
from spill_rig import Site

HEAP_KB_MIN = 384  # a node, its host and its flash in one heap

PATH = "device.json"
_TRIAL_S = TRIAL_MS // 1000


class _Slots:
    """What slots.py is to a node whose set is on trial."""

    running = "b"
    folder = "app_b"
    settings_path = "app_b/device.json"
    is_on_trial = True

    def __init__(self):
        self.kept_total = 0
        self.reasons = []

    def keep(self):
        self.kept_total += 1

    def give_up(self, reason):
        self.reasons.append(reason)

    def forgive(self):
        pass


class _Site(Site):
    """One device, one boot of which has left readings, and which then has something on trial."""

    def __init__(self):
        super().__init__(FakeFlash(), {"after_s": 5, "pages_per_day": 17280}, interval_ms=1000)
        self.slots = None
        self.trial = None
        self.first = self.boot()
        self.run(30)

    def open_app(self, config):
        boots = None
        if self.slots is not None:
            boots = Boots(self.flash, self.slots, self.board)
            boots.begin(self.slots)
        return App(config, self.board, self.port, self.flash, self.trial, None, boots)

    def try_set(self):
        """Boot with a set on trial."""
        self.slots = _Slots()
        self.boot()
        assert self.app.session.is_over

    def try_settings(self):
        """Boot with settings on trial."""
        self.flash.files[PATH] = b"old settings"
        trial = Trial(self.flash, PATH)
        trial.stage(0, b"new settings")
        trial.apply()
        self.trial = Trial(self.flash, PATH)
        self.trial.boot()
        self.boot()
        assert self.app.session.is_over and self.trial.is_running

    def have_host(self, *takes):
        """Have a host that knows nothing yet, and commits readings of some boots."""
        self.has_host = True
        self.host = HostSession()
        self.takes = takes


def test_readings_of_an_earlier_boot_keep_no_set():
    site = _Site()
    site.try_set()
    site.run(62)
    assert site.app.boots.is_healthy
    site.have_host(site.first)
    site.run(10)
    assert len(site.store.numbers(site.first)) > 15
    assert site.app.session is site.app.own_session and not site.app.session.is_acknowledged
    assert site.slots.kept_total == 0
    site.have_host(site.boot_id)
    site.run(5)
    assert (site.slots.kept_total, site.slots.reasons) == (1, [])


def test_no_set_is_given_up_while_a_host_takes_what_was_before():
    site = _Site()
    site.try_set()
    site.turns = 1
    site.have_host()  # which takes its time
    site.run(TRIAL_S + 60)
    assert site.app.session.is_over and (site.slots.kept_total, site.slots.reasons) == (0, [])
    site.have_host(site.first, site.boot_id)
    site.run(50)  # it is sent again after 30 s only
    assert (site.slots.kept_total, site.slots.reasons) == (1, [])


def test_set_is_given_up_if_a_host_never_takes_what_was_before():
    site = _Site()
    site.try_set()
    site.turns = 1
    site.have_host()
    site.run(60)
    site.app.uptime.s += BACKLOG_S - 120  # nothing else is to happen in the meantime
    site.run(TRIAL_S)
    assert site.slots.reasons == []
    site.run(70)
    assert site.slots.reasons == ["no host has acknowledged readings within 4199 s"]


def test_set_is_given_up_without_a_host_whatever_was_before():
    site = _Site()
    site.try_set()
    site.app.uptime.s += TRIAL_S - 10
    site.run(9)
    assert site.slots.reasons == []
    site.run(2)
    assert site.slots.reasons == ["no host has acknowledged readings within 600 s"]


def test_welcome_of_an_earlier_boot_confirms_no_settings():
    site = _Site()
    site.try_settings()
    site.turns = 1
    site.have_host()
    site.run(_TRIAL_S + 30)
    # Long enough, but the host has had no look at these settings so far.
    assert site.app.session.is_over and site.trial.is_running
    site.have_host(site.first)
    site.run(50)  # it is sent again after 30 s only
    assert site.app.session is site.app.own_session
    assert site.app.trial is None and site.flash.read(PATH) == b"new settings"
    assert not site.flash.has(PATH + ".trial") and site.board.resets_total == 0


def test_settings_that_a_host_does_not_welcome_are_taken_back_behind_the_backlog():
    site = _Site()
    site.try_settings()
    site.have_host(site.first)
    welcome = site.host.welcome
    site.host.welcome = lambda boot, *resume: boot == site.first and welcome(boot, *resume)
    site.run(_TRIAL_S - 5)
    assert site.app.session is site.app.own_session and site.trial.is_running
    site.run(10)
    assert site.flash.read(PATH) == b"old settings" and site.board.resets_total > 0


def test_settings_are_taken_back_if_a_host_never_takes_what_was_before():
    site = _Site()
    site.try_settings()
    site.turns = 1
    site.have_host()
    site.run(10)
    site.app.uptime.s += SETTINGS_BACKLOG_S - 20
    site.run(_TRIAL_S)
    assert site.trial.is_running
    site.run(15)
    assert site.flash.read(PATH) == b"old settings" and site.board.resets_total > 0
