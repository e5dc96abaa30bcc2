"""doctor about a board's port: there, allowed, and nobody else's."""

import os
import pty
from pathlib import Path
from types import SimpleNamespace

import pytest
from host.doctor_rig import SOMEBODY, FakeAccounts, Opened, add_process, only
from pyv_edge_agent.cli.checks import port
from pyv_edge_agent.cli.checks.access import Accounts, Person, asker
from pyv_edge_agent.cli.checks.finding import Check

ABOUT = Check("port", "porch")
PROC = Path("/proc")


@pytest.fixture
def terminal():
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def usb(device, serial_number="E661"):
    return SimpleNamespace(device=device, vid=0x2E8A, pid=5, serial_number=serial_number)


# -- there or not ----------------------------------------------------------------------


def check_presence(text, ports=(), root=Path("/nowhere")):
    found, path = port.check_presence(ABOUT, text, lambda: list(ports), root)
    return only(found), path


def test_port_that_is_there(terminal):
    found, path = check_presence(terminal)
    assert (found.level, path) == ("ok", terminal)
    found, path = check_presence("usb:2e8a:5", [usb("/dev/ttyACM3")])
    assert (found.level, found.text) == ("ok", "usb:2e8a:5 is /dev/ttyACM3 is there")
    assert path == "/dev/ttyACM3"


def test_port_that_is_not_there_is_told_with_those_that_are(tmp_path):
    found, path = check_presence("/dev/ttyACM9")
    assert (found.level, path) == ("fail", None)
    assert "there is no serial port at all" in found.text
    links = tmp_path / "dev/serial/by-id"
    links.mkdir(parents=True)
    (links / "usb-Pico_E661").symlink_to("/dev/ttyACM0")
    found, _ = check_presence("/dev/ttyACM9", [usb("/dev/ttyACM0"), usb("/dev/ttyS0")], tmp_path)
    assert f"there are {links}/usb-Pico_E661 (/dev/ttyACM0), /dev/ttyS0" in found.text
    assert found.fix.startswith("plug the board in")


def test_port_that_can_not_be_told_from_another():
    found, _ = check_presence("usb:2e8a:5", [usb("/dev/ttyACM0", "1"), usb("/dev/ttyACM1", "2")])
    assert (found.level, "fits 2 ports" in found.text) == ("fail", True)
    assert found.fix == "write usb:2e8a:0005:SERIAL"


def test_ports_that_can_not_be_listed():
    def ports():
        raise OSError("a device went")

    found, _ = port.check_presence(ABOUT, "/dev/ttyACM9", ports, Path("/"))
    assert "ports can't be listed: a device went" in only(found).text


# -- who may open it ---------------------------------------------------------------------


def status(mode=0o660, uid=0, gid=20):
    return SimpleNamespace(st_mode=0o020000 | mode, st_uid=uid, st_gid=gid)


def check_permission(found, person=SOMEBODY, can_open=False):
    return only(
        port.check_permission(
            Check("port.permission"), found, person, FakeAccounts(), can_open=can_open
        )
    )


def test_user_outside_the_group_is_told_how_to_get_in():
    found = check_permission(status())
    assert (found.level, found.text) == ("fail", "user pi may not open it (0:dialout 0660)")
    assert found.fix.startswith("sudo usermod -aG dialout pi, then log in anew")


@pytest.mark.parametrize(
    ("found", "person"),
    [
        (status(), Person("pi", 1000, frozenset({1000, 20}))),
        (status(uid=1000, mode=0o600), SOMEBODY),
        (status(mode=0o666), SOMEBODY),
        (status(mode=0o600), Person("root", 0, frozenset({0}))),
    ],
)
def test_user_who_may(found, person):
    assert check_permission(found, person).level == "ok"


def test_group_that_may_not_needs_the_rules():
    for found in (status(mode=0o600), status(mode=0o660, gid=7), status(mode=0o640)):
        told = check_permission(found, SOMEBODY)
        assert told.level == "fail"
    assert "service install" in check_permission(status(mode=0o600)).fix
    assert "usermod -aG 7 pi" in check_permission(status(gid=7)).fix


def test_access_list_counts_too(terminal):
    assert check_permission(status(), can_open=True).level == "ok"
    assert port.can_open(terminal)
    assert not port.can_open("/no/such/port")


def test_users_of_this_computer():
    accounts, me = Accounts(), asker()
    assert accounts.person("no-such-user") is None
    assert accounts.gid("no-such-group") is None
    assert accounts.group(987_654) == accounts.user(987_654) == "987654"
    root = accounts.person("root", "daemon")
    assert (root.uid, accounts.gid("daemon") in root.gids) == (0, True)
    assert accounts.user(0) == "root"
    assert me.uid == os.geteuid()


# -- who has it open -------------------------------------------------------------------


def check_holder(path, proc=PROC, own_pids=()):
    return only(port.check_holder(Check("port.holder"), path, proc, own_pids))


def test_program_that_has_the_port_is_named(terminal, tmp_path):
    link = tmp_path / "porch"
    link.symlink_to(terminal)
    mine = (os.getpid(),)
    assert check_holder(link, own_pids=(*mine, 0)).text == "the agent has it open"
    with Opened(terminal) as pid:
        found = check_holder(link, own_pids=mine)
        assert found.level == "fail"
        assert f"(process {pid}) has it open" in found.text
        assert found.fix == f"end it (kill {pid})"
        assert check_holder(link, own_pids=(*mine, pid)).level == "ok"


@pytest.mark.parametrize(
    ("command", "fix"),
    [
        ("ModemManager", "sudo pyv-edge-host service install"),
        ("agetty", "it offers a login there: sudo systemctl disable --now serial-getty@ttyS0"),
        ("brltty", "sudo apt purge brltty"),
        ("mpremote", "end it (kill 77)"),
    ],
)
def test_programs_that_are_known_to_take_ports(tmp_path, command, fix):
    add_process(tmp_path, 1, "systemd", "/dev/null")
    add_process(tmp_path, 77, command, "/dev/null", "/dev/ttyS0")
    found = check_holder("/dev/ttyS0", tmp_path)
    assert (found.level, found.fix.startswith(fix)) == ("fail", True)
    assert found.text == f"{command} (process 77) has it open"
    assert check_holder("/dev/ttyS1", tmp_path).text == "nobody has it open"


def test_processes_that_end_or_are_hidden_do_no_harm(tmp_path, monkeypatch):
    add_process(tmp_path, 5, "gone")
    (tmp_path / "5/comm").unlink()
    add_process(tmp_path, 6, "half gone")
    (tmp_path / "6/fd").rmdir()
    add_process(tmp_path, 7, "closing")
    (tmp_path / "7/fd/3").write_text("no link: it is closed by now")
    (tmp_path / "self").mkdir()
    assert check_holder("/dev/ttyS0", tmp_path).text == "nobody has it open"

    scan = os.scandir

    def refuse(path):
        if str(path).endswith("/fd"):
            raise PermissionError(path)
        return scan(path)  # with which Python 3.13 lists folders

    monkeypatch.setattr(os, "scandir", refuse)  # root may look everywhere
    assert "as far as this user can see" in check_holder("/dev/ttyS0", tmp_path).text


def test_modem_manager_disturbs_unless_it_is_kept_away(tmp_path):
    def check(has_rules):
        return only(port.check_modem_manager(tmp_path, has_rules=has_rules))

    assert check(has_rules=False).level == "skip"
    add_process(tmp_path, 9, "ModemManager")
    assert check(has_rules=True).level == "ok"
    found = check(has_rules=False)
    assert (found.level, "service install" in found.fix) == ("warn", True)
