"""doctor about the computer: power, heat, memory, card, clock, Python and SQLite."""

import os

import pytest
from host.doctor_rig import add_process, disk, old_clock, only, write
from host.fakes import UTC_MS, FakeClock
from pyv_edge_agent.cli.checks import clock, computer, programs
from pyv_edge_agent.store import engine

THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"


# -- power and heat --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "level", "part"),
    [
        ("0", "ok", "never too low"),
        ("50005", "fail", "the voltage is too low"),
        ("50000", "warn", "was too low since"),
        ("4", "warn", "is slowed down"),
        ("8", "warn", "is slowed down"),
        ("e0000", "warn", "was slowed down"),
    ],
)
def test_raspberry_pi_tells_of_its_power(tmp_path, bits, level, part):
    found = only(computer.check_power(write(tmp_path, {THROTTLED: f"{bits}\n"})))
    assert (found.level, part in found.text) == (level, True)


@pytest.mark.parametrize(("alarm", "level"), [("0", "ok"), ("1", "warn")])
def test_power_is_told_by_the_other_driver_too(tmp_path, alarm, level):
    place = "sys/class/hwmon/hwmon1"
    files = {f"{place}/name": "rpi_volt\n", f"{place}/in0_lcrit_alarm": f"{alarm}\n"}
    files["sys/class/hwmon/hwmon0/name"] = "cpu_thermal\n"
    assert only(computer.check_power(write(tmp_path, files))).level == level


def test_computer_that_tells_nothing_of_itself_is_skipped(tmp_path):
    root = write(tmp_path, {"proc/meminfo": "MemTotal: 1 kB\n"})
    for found in (
        computer.check_power(root),
        computer.check_temperature(root),
        computer.check_memory(root / "proc"),
        computer.check_card(0, root),
    ):
        assert only(found).level == "skip"


def zone(number, temp, **trips):
    place = f"sys/class/thermal/thermal_zone{number}"
    files = {f"{place}/temp": f"{temp}\n"}
    for index, (kind, limit) in enumerate(trips.items()):
        files[f"{place}/trip_point_{index}_type"] = f"{kind}\n"
        files[f"{place}/trip_point_{index}_temp"] = f"{limit}\n"
    return files


@pytest.mark.parametrize(
    ("files", "level", "text"),
    [
        ({**zone(0, 45_000), **zone(1, 51_400)}, "ok", "51 degrees Celsius"),
        (zone(0, 80_000), "warn", "80 degrees Celsius"),
        (zone(0, 66_000, passive=60_000, critical=70_000), "warn", "66 degrees Celsius"),
        (zone(0, 64_000, passive=60_000, critical=70_000), "ok", "64 degrees Celsius"),
        ({**zone(0, "none"), **zone(1, 30_000)}, "ok", "30 degrees Celsius"),
    ],
)
def test_heat(tmp_path, files, level, text):
    found = only(computer.check_temperature(write(tmp_path, files)))
    assert (found.level, found.text) == (level, text)


@pytest.mark.parametrize(("available", "level"), [(3_000_000, "ok"), (60_000, "warn")])
def test_memory(tmp_path, available, level):
    write(tmp_path, {"meminfo": f"MemTotal: 4000000 kB\nMemAvailable: {available} kB\n"})
    assert only(computer.check_memory(tmp_path)).level == level


# -- the card --------------------------------------------------------------------------


def block_device(root, name, **told):
    """Add a disk with a partition, 179:2, to a /sys."""
    files = {f"sys/block/{name}/device/{key}": value for key, value in told.items()}
    write(root, {**files, f"sys/block/{name}/{name}p2/partition": "2\n"})
    (root / "sys/dev/block").mkdir(parents=True)
    (root / "sys/dev/block/179:2").symlink_to(root / f"sys/block/{name}/{name}p2")
    return os.makedev(179, 2)


@pytest.mark.parametrize(
    ("name", "told", "level", "part"),
    [
        ("sda", {}, "ok", "sda, which is no card"),
        ("mmcblk0", {"type": "SD"}, "ok", "mmcblk0 (SD) does not tell"),
        ("mmcblk0", {"type": "MMC", "life_time": "0x01 0x03"}, "ok", "30 % of its life"),
        ("mmcblk0", {"type": "MMC", "life_time": "0x02 0x0a"}, "warn", "nearly worn out"),
        (
            "mmcblk0",
            {"type": "MMC", "life_time": "0x01 0x01", "pre_eol_info": "0x02"},
            "warn",
            "nearly worn out",
        ),
        ("mmcblk0", {"type": "MMC", "life_time": "0x01 0x01", "pre_eol_info": "0x01"}, "ok", "10"),
    ],
)
def test_card(tmp_path, name, told, level, part):
    number = block_device(tmp_path, name, **told)
    found = only(computer.check_card(number, tmp_path))
    assert (found.level, part in found.text) == (level, True), found


def test_room_for_temporary_files(tmp_path):
    def check(**more):
        return only(computer.check_tmp(tmp_path, **more)).level

    assert check(stat_disk=disk()) == "ok"
    assert check(stat_disk=disk(1000)) == "warn"
    assert check(stat_disk=disk(files=0)) == "warn"
    assert check(stat_disk=disk(), can=lambda *_: False) == "warn"


# -- the clock -------------------------------------------------------------------------


@pytest.fixture
def proc(tmp_path):
    add_process(tmp_path, 1, "systemd")
    return tmp_path


def test_clock_that_is_set_or_trusted(proc):
    assert only(clock.check_clock(FakeClock(), "ntp", 300, UTC_MS, proc)).level == "ok"
    found = only(clock.check_clock(FakeClock(is_set=False), "trusted", 300, None, proc))
    assert (found.level, "taken to be right" in found.text) == ("ok", True)


def test_clock_that_is_not_set_says_who_should(proc):
    found = only(clock.check_clock(FakeClock(is_set=False), "ntp", 300, None, proc))
    assert found.level == "warn"
    assert "up to 300 s" in found.text
    assert "nothing sets it" in found.fix
    add_process(proc, 2, "systemd-timesyncd")
    found = only(clock.check_clock(FakeClock(is_set=False), "ntp", 300, None, proc))
    assert found.fix.startswith("systemd-timesyncd runs")


def test_clock_that_is_behind_the_files_of_this_computer(proc):
    found = only(clock.check_clock(old_clock(), "trusted", 300, UTC_MS, proc))
    assert found.level == "fail"
    assert "s behind" in found.text


# -- Python and SQLite -----------------------------------------------------------------


def test_python_that_is_too_old():
    assert only(programs.check_python((3, 11, 2), "/usr/bin/python3")).text == (
        "3.11.2 of /usr/bin/python3"
    )
    assert only(programs.check_python((3, 9, 18), "python3")).level == "fail"


def test_sqlite_that_can_not_do_what_the_store_needs():
    assert engine.fault() == ""
    assert only(programs.check_sqlite(engine.version(), engine.fault())).level == "ok"
    old = engine.fault((3, 29, 9))
    assert old == "the store needs 3.30.0 or later"
    assert only(programs.check_sqlite("3.29.9", old)).level == "fail"
    lacking = engine.fault(tried=("SELECT no_such_function('[1]')",))
    assert "no such function" in lacking
