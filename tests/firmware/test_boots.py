"""Boots that crash, that are healthy, that are meant; and trials of firmware."""

from binascii import crc32

from fake_board import FakeBoard, FakeFlash, FakePort, simulated
from pyv_edge_core import message
from pyv_edge_core.host_event import Batch, Greeting, Report
from pyv_edge_core.host_session import HostSession
from pyv_edge_node.boots import CRASHES_MAX, SAFE_S, Boots
from pyv_edge_node.start import Start
from pyv_edge_node.trouble import TRIAL_S

HEAP_KB_MIN = 256  # a node and its host in one heap
PATH = "app_a/device.json"
_POWER, _PIN, _WATCHDOG, _SOFT = 1, 2, 3, 4


class _Slots:
    """What slots.py is to a node."""

    def __init__(self, flash):
        self.flash = flash
        self.running = "a"
        self.folder = "app_a"
        self.settings_path = PATH
        self.is_on_trial = False
        self.boots = 0  # in a row, of a kept set
        self.damaged = ""
        self.reasons = []
        self.kept_total = 0
        self.forgiven_total = 0
        self.is_full = False

    def keep(self):
        if self.is_full:
            raise OSError(28)
        self.is_on_trial = False
        self.kept_total += 1

    def forgive(self):
        self.forgiven_total += 1

    def damage(self):
        return self.damaged

    def give_up(self, reason):
        self.reasons.append(reason)
        self.is_on_trial = False


class _Rig:
    """A board over its boots, and the host that it has if it has one."""

    def __init__(self):
        self.board = FakeBoard()
        self.flash = FakeFlash()
        self.slots = _Slots(self.flash)
        self.flash.files[PATH] = _settings()
        self.flash.files["app_a/manifest"] = b"m"
        self.has_host = False
        self.is_committing = True
        self.reports = []

    def boot(self, cause=_WATCHDOG):
        """Boot after a reset of a cause, with a host that knows nothing yet."""
        self.board.cause = cause
        self.board.said = []
        self.port = FakePort()
        self.host = HostSession()
        self.boots = Boots(self.flash, self.slots, self.board)
        self.boots.begin(self.slots)
        self.app = Start(self.board, self.flash, lambda _: self.port, self.boots).boot(PATH)
        return self.boots

    def run(self, duration_ms, step_ms=250):
        for _ in range(duration_ms // step_ms):
            self.board.now_ms += step_ms
            self.app.step()
            taken = self.port.take()
            if self.has_host:
                self._run_host(taken)

    def _run_host(self, taken):
        for event in self.host.receive(taken, self.board.now_ms):
            if isinstance(event, Greeting):
                self.hello = event.hello
                self.host.welcome(event.hello.boot, 0, 0)
            elif isinstance(event, Batch) and self.is_committing:
                end = event.first_seq + len(event.records) // 8
                self.host.committed(event.boot, event.stream, end)
            elif isinstance(event, Report):
                self.reports.append(event.message)
        self.port.incoming += self.host.transmit(self.board.now_ms)

    def logged(self):
        return [report.text for report in self.reports if hasattr(report, "text")]


def _settings(**others):
    import json

    values = {"device_id": "d", "sensors": [simulated()], "telemetry_capacity": 64}
    values.update(others)
    return json.dumps(values).encode()


def test_boots_are_counted_and_told_with_what_runs():
    rig = _Rig()
    rig.has_host = True
    rig.boot(_POWER)
    rig.boot(_WATCHDOG)
    rig.run(500)
    hello = rig.hello
    assert (hello.boots, hello.reset_cause, hello.flags) == (2, _WATCHDOG, 0)
    assert hello.firmware_hash == crc32(b"m")


def test_crashes_in_a_row_end_in_safe_mode():
    rig = _Rig()
    rig.boot(_POWER)
    for crashes in range(1, CRASHES_MAX):
        assert rig.boot().crashes == crashes and not rig.boots.is_safe
    assert rig.boot().is_safe
    rig.has_host = True
    rig.run(500)
    assert rig.hello.flags == message.HELLO_SAFE
    assert (rig.hello.device, rig.hello.channel_count) == ("d", 0)
    assert "safe mode" in rig.board.said[0]
    assert rig.app.is_paused and rig.app.sampler.sampled_total == 0


def test_power_and_pin_are_no_crashes_and_forgive_none():
    rig = _Rig()
    rig.boot(_POWER)
    for cause in (_POWER, _PIN) * CRASHES_MAX:
        assert rig.boot(cause).crashes == 0
    rig.boot()
    rig.boot()
    assert rig.boot(_POWER).crashes == 2


def test_healthy_boot_forgives_the_crashes_before():
    rig = _Rig()
    rig.boot(_POWER)
    rig.boot()
    rig.boot()
    assert rig.boots.crashes == 2
    rig.run(59000)
    assert b" run " in rig.flash.files["boots"]
    rig.run(2000)
    assert b" ok " in rig.flash.files["boots"]
    assert rig.boot().crashes == 0


def test_boot_with_a_failed_step_is_not_healthy():
    rig = _Rig()
    rig.boot(_POWER)
    rig.app.errors_total = 1
    rig.run(61000)
    assert rig.boot().crashes == 1


def test_time_until_healthy_is_a_setting():
    rig = _Rig()
    rig.flash.files[PATH] = _settings(healthy_after_s=2)
    rig.boot(_POWER)
    rig.run(2100)
    assert rig.boot().crashes == 0


def test_reset_that_is_meant_is_no_crash_and_no_watchdog():
    rig = _Rig()
    rig.boot(_POWER)
    for _ in range(2 * CRASHES_MAX):
        rig.app.reset()
        boots = rig.boot(_WATCHDOG)  # as a Pico's own reset looks
        assert (boots.crashes, boots.reset_cause) == (0, _SOFT)


def test_safe_mode_tries_again_after_an_hour_and_comes_back_with_the_next_crash():
    rig = _Rig()
    rig.boot(_POWER)
    for _ in range(CRASHES_MAX):
        rig.boot()
    assert rig.boots.is_safe
    rig.run(SAFE_S * 1000 - 2000, 2000)
    assert rig.board.resets_total == 0
    rig.run(4000, 2000)
    assert rig.board.resets_total >= 1
    assert not rig.boot().is_safe
    assert rig.boot().is_safe


def test_damaged_count_begins_anew():
    for content in (b"", b"x", b"1 2 run", b"7 9 run 0 00000000", b"\xff\xfe 1 2", b"1 -3 ok 0 1"):
        rig = _Rig()
        rig.flash.files["boots"] = content
        boots = rig.boot()
        assert (boots.total, boots.crashes) == (1, 0), content


def _last(rig):
    rig.has_host = True
    rig.run(500)
    hello = rig.hello
    return hello.last_boot, hello.last_sampled, hello.last_denied


def test_next_boot_tells_what_one_that_ended_on_purpose_had_sampled():
    ends = (
        ("a reset", lambda rig: rig.app.reset()),
        ("Ctrl-C", lambda rig: _press_ctrl_c(rig)),
    )
    for name, end in ends:
        rig = _Rig()
        rig.boot(_POWER)
        assert _last(rig) == (0, 0, 0), name
        rig.has_host = False
        rig.run(5000)
        boot = rig.app.own_session.identity.boot
        rig.app.pipeline.denied_total = 3
        end(rig)
        told = (boot, rig.app.sampler.sampled_total, 3)
        assert told[1] >= 5
        rig.board.boot += 1
        rig.boot(_WATCHDOG)
        assert _last(rig) == told, name
        rig.run(61000)  # it is healthy, which is written
        rig.boot(_POWER)
        assert _last(rig) == told, name  # of the boot before nobody knows how it ended


def _press_ctrl_c(rig):
    def interrupt():
        raise KeyboardInterrupt

    rig.app.run = interrupt
    rig.app.run_until_stopped()


def test_boot_that_ends_before_there_is_a_node_tells_of_the_one_before():
    rig = _Rig()
    rig.boot(_POWER)
    rig.run(3000)
    told = (rig.app.own_session.identity.boot, rig.app.sampler.sampled_total, 0)
    rig.app.reset()
    rig.boot()
    rig.boots.stop()  # Ctrl-C while it starts
    rig.boot()
    assert _last(rig) == told
    damaged = rig.flash.files["boots"].replace(b"%d" % told[0], b"%d" % (told[0] ^ 1))
    assert damaged != rig.flash.files["boots"]
    rig.flash.files["boots"] = damaged
    rig.boot()
    assert _last(rig) == (0, 0, 0)


def test_counts_beyond_32_bits_are_told_as_in_vitals():
    rig = _Rig()
    rig.boot(_POWER)
    rig.app.sampler.sampled_total = 0x100000005
    rig.app.reset()
    rig.boot()
    assert _last(rig)[1] == 5


def test_full_flash_keeps_no_board_from_running():
    rig = _Rig()
    flash = rig.flash

    def replace(name, content):
        raise OSError(28)

    flash.replace = replace
    rig.slots.is_full = True
    rig.boot(_POWER)
    assert "is the flash full?" in rig.board.said[0]
    rig.boots.trouble().crashed(ValueError("x"), "somewhere")
    rig.run(61000)
    assert rig.app.errors_total == 0 and rig.app.sampler.sampled_total > 60


def test_traceback_of_a_crash_is_told_once_a_host_is_there():
    rig = _Rig()
    rig.boot(_POWER)
    rig.boots.trouble().crashed(_deep_error("first"), "at uptime 3 s")
    rig.boots.trouble().crashed(ValueError("second"), "at uptime 9 s")
    rig.boot()
    rig.has_host = True
    rig.run(5000)
    logged = rig.logged()
    assert logged[0] == "boot 1, at uptime 3 s" and logged[1].startswith("Traceback")
    assert logged[-1] == "ValueError: first"
    assert len(logged) == 12  # its middle is left out
    assert "crash" not in rig.flash.files and b"first" in rig.flash.files["crash.told"]
    rig.reports = []
    rig.boot()
    rig.run(2000)
    assert rig.logged() == []


def _deep_error(text, depth=12):
    """Return an error with a long traceback."""

    def fall(left):
        if not left:
            raise ValueError(text)
        fall(left - 1)

    try:
        fall(depth)
    except ValueError as error:
        return error


def test_crash_of_this_boot_is_told_in_this_boot():
    rig = _Rig()
    rig.has_host = True
    rig.boot(_POWER)
    rig.run(1000)
    rig.boots.trouble().crashed(ValueError("now"), "at uptime 1 s")
    rig.run(1000)
    assert rig.logged()[0] == "boot 1, at uptime 1 s"


def test_trial_is_kept_after_a_healthy_minute_and_a_hosts_acknowledgement():
    rig = _Rig()
    rig.slots.is_on_trial = True
    rig.has_host = True
    rig.boot(_POWER)
    rig.run(59000)
    assert rig.hello.flags == message.HELLO_TRIAL
    assert rig.slots.kept_total == 0 and rig.app.session.is_acknowledged
    rig.run(3000)
    assert rig.slots.kept_total == 1
    assert "firmware in app_a is kept" in rig.logged()
    vitals = [report for report in rig.reports if hasattr(report, "flags")]
    assert vitals[-1].flags == 0  # told at once


def test_trial_is_given_up_without_an_acknowledgement():
    rig = _Rig()
    rig.slots.is_on_trial = True
    rig.has_host = True
    rig.is_committing = False
    rig.boot(_POWER)
    rig.run(TRIAL_S * 1000 - 1000, 500)
    assert rig.slots.reasons == [] and rig.slots.kept_total == 0
    rig.run(1500, 500)
    assert rig.slots.reasons == ["no host has acknowledged readings within 600 s"]
    assert rig.board.resets_total == 1
    assert rig.boot().crashes == 0


def test_trial_of_firmware_whose_steps_fail_is_not_kept():
    rig = _Rig()
    rig.slots.is_on_trial = True
    rig.has_host = True
    rig.boot(_POWER)
    rig.run(1000)
    rig.app.errors_total = 1
    rig.run(70000)
    assert rig.slots.kept_total == 0


def test_trial_that_cannot_be_kept_is_given_up():
    rig = _Rig()
    rig.slots.is_on_trial = True
    rig.slots.is_full = True
    rig.has_host = True
    rig.boot(_POWER)
    rig.run(62000)
    assert "can't be kept" in rig.slots.reasons[0] and rig.board.resets_total == 1


def test_healthy_boot_has_the_loader_forget_those_that_were_not():
    for crashes in (0, CRASHES_MAX):  # safe mode is healthy, too: a host can mend it
        rig = _Rig()
        rig.boot(_POWER)
        for _ in range(crashes):
            rig.boot()
        rig.slots.boots = 2
        rig.boot()
        rig.run(59_000)
        assert rig.slots.kept_total == 0
        rig.run(2000)
        assert (rig.slots.kept_total, rig.boots.slots) == (1, None)
    rig = _Rig()
    rig.slots.boots = 2
    rig.slots.is_full = True
    rig.boot()
    rig.run(61_000)
    assert rig.boots.slots is None and "is the flash full?" in " ".join(rig.board.said)


def test_boot_of_a_kept_set_that_ends_on_purpose_is_not_counted():
    rig = _Rig()
    rig.slots.boots = 2
    rig.boot()
    rig.app.reset()
    assert rig.slots.forgiven_total == 1


def test_crashes_of_other_firmware_or_settings_do_not_count():
    for path, content in (("app_a/manifest", b"other"), (PATH, _settings(vitals_interval_ms=900))):
        rig = _Rig()
        rig.boot(_POWER)
        for _ in range(CRASHES_MAX):
            rig.boot()
        assert rig.boots.is_safe
        rig.flash.files[path] = content
        assert rig.boot().crashes == 0, path


def test_stopping_the_program_forgives_no_crash():
    rig = _Rig()
    rig.boot(_POWER)
    rig.boot()
    rig.boot()
    rig.boots.stop()  # Ctrl-C, by a person or a flasher that only looks
    assert rig.boot().crashes == 2


# -- settings twice ------------------------------------------------------------------


def test_settings_that_ran_well_come_back_for_ones_that_cannot():
    rig = _Rig()
    good = rig.flash.files[PATH]
    rig.boot(_POWER)
    rig.run(61000)
    for content in (b"{", b"\xff", _settings(no_such_key=1), _settings(sensors=[{"type": "x"}])):
        rig.flash.files[PATH] = content
        rig.has_host = True
        rig.reports = []
        rig.boot(_POWER)
        assert rig.app.session.identity.config_hash == crc32(good), content
        rig.run(3000)
        assert "its copy of what ran last is in force" in rig.logged()[-1], content
        assert rig.flash.files[PATH] == content  # for somebody to look at
    del rig.flash.files[PATH]
    rig.boot(_POWER)
    assert rig.app.session.identity.config_hash == crc32(good)


def test_damaged_copy_is_no_copy():
    from check import raises
    from pyv_edge_node.settings import SettingsError

    rig = _Rig()
    rig.boot(_POWER)
    rig.run(61000)
    copy = rig.flash.files[PATH + ".copy"]
    rig.flash.files[PATH] = b"{"
    for damaged in (b"", copy[:-1], copy[1:], copy[:20] + b"x" + copy[21:]):
        rig.flash.files[PATH + ".copy"] = damaged
        assert "is not JSON" in str(raises(SettingsError, rig.boot, _POWER)), damaged


def test_copy_is_written_when_the_settings_are_others():
    rig = _Rig()
    rig.boot(_POWER)
    rig.run(61000)
    first = rig.flash.files[PATH + ".copy"]
    rig.flash.files[PATH] = _settings(vitals_interval_ms=5000)
    rig.boot(_POWER)
    assert rig.flash.files[PATH + ".copy"] == first
    rig.run(61000)
    assert rig.flash.files[PATH + ".copy"] != first


def test_safe_mode_needs_no_sound_settings():
    for content in (b"{", b"[]", b'{"device_id": 7}', _settings(rules=[{"name": "x"}])):
        rig = _Rig()
        rig.flash.files[PATH] = content
        what = "%08x" % (crc32(b"m") ^ crc32(content))
        rig.flash.files["boots"] = _counted(9, CRASHES_MAX, "run " + what)
        rig.has_host = True
        rig.boot()
        rig.run(1000)
        assert rig.hello.flags == message.HELLO_SAFE, content


def _counted(total, crashes, state):
    said = "%d %d %s 0 0 0" % (total, crashes, state)
    return ("%s %08x" % (said, crc32(said.encode()))).encode()
