"""The service: files that systemd takes, that are as strict as promised, and that let it work."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tty
import urllib.request
from pathlib import Path

import pytest
from host.command import run_host
from host.notified import Manager
from host.processes import find
from host.sandbox import CAN_NOT
from host.servers import serving
from host.waiting import wait_for
from interpreter import ROOT
from pyv_edge_agent import service_files
from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import UsageError
from pyv_edge_tools.commands import run_in_turn

UNIT = "etc/systemd/system/pyv-edge.service"
USERS = "etc/sysusers.d/pyv-edge.conf"
RULES = "etc/udev/rules.d/65-pyv-edge.rules"
EXPOSURE_MAX = 2.0
CONFIG = '[storage]\npath = "/var/lib/pyv-edge/edge_store.db"\n'


@pytest.fixture
def install(tmp_path):
    """Return a function that installs below tmp_path/root with a good configuration."""
    root = tmp_path / "root"
    config = tmp_path / "edge.toml"
    config.write_text(CONFIG)

    def run(*args, what="install"):
        places = ("--root", root, *(("--config", config) if what == "install" else ()))
        return run_host("service", what, *places, *args)

    run.root, run.config = root, config
    return run


def states(done):
    assert done.returncode == 0, done.stderr
    return [line.rpartition(": ")[2] for line in done.stdout.splitlines()]


def texts(root):
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob("*")
        if path.is_file()
    }


# -- what is written -------------------------------------------------------------------


def test_install_writes_three_files_and_the_second_time_nothing(install):
    assert states(install()) == ["new", "new", "new"]
    first = texts(install.root)
    assert set(first) == {UNIT, USERS, RULES}
    times = {name: (install.root / name).stat().st_mtime_ns for name in first}
    assert states(install()) == ["unchanged", "unchanged", "unchanged"]
    assert {name: (install.root / name).stat().st_mtime_ns for name in first} == times
    assert states(install("--user", "pi")) == ["changed", "changed", "unchanged"]
    assert "\nUser=pi\n" in texts(install.root)[UNIT]
    assert "\nu pi - " in texts(install.root)[USERS]
    assert {(install.root / name).stat().st_mode & 0o777 for name in first} == {0o644}


def test_files_are_filled_in_with_this_program_and_what_was_asked_for(install):
    install()
    unit = texts(install.root)[UNIT]
    program = Path(sys.executable).parent / "pyv-edge-host"
    assert f"\nExecStart={program} run --config {install.config}\n" in unit
    assert f"\nExecStartPre={program} config check {install.config}\n" in unit
    for text in texts(install.root).values():
        assert text.startswith(f"# {service_files.MARK}\n")
        assert not re.search("@[A-Z]+@", text)
    # Where it is installed may be hidden from services: then just that is shown.
    folders = [Path(sys.prefix), Path(sys.base_prefix), ROOT / "host", ROOT / "shared"]
    for folder in (*folders, install.config.parent):
        is_hidden = str(folder).startswith(("/home/", "/root/", "/tmp/"))
        shown = [one for one in folder.parents if f"BindReadOnlyPaths={one}\n" in unit]
        assert (f"BindReadOnlyPaths={folder}\n" in unit or bool(shown)) == is_hidden


def test_folders_of_files_that_devices_read_are_opened(install):
    devices = "".join(
        f'[[sensors.devices]]\nname = "{name}"\ningest_type = "file"\npath = "{path}"\n'
        for name, path in (("a", "/home/bob/in/x.csv"), ("b", "/srv/y.csv"))
    )
    install.config.write_text(devices)
    install()
    unit = texts(install.root)[UNIT]
    assert "\nBindReadOnlyPaths=-/home/bob/in\n" in unit
    assert "/srv" not in unit  # what is not hidden can be read


def test_print_shows_everything_and_does_nothing(install):
    done = install("--print")
    assert done.returncode == 0
    assert not install.root.exists()
    for text in ("ExecReload=", 'u pyv-edge - "Pyvorin Edge agent"', 'ENV{ID_MM_PORT_IGNORE}="1"'):
        assert text in done.stdout
    real = run_host("service", "install", "--print", "--json", "--config", install.config)
    shown = json.loads(real.stdout)
    assert shown["is_done"] is False
    assert [one["path"] for one in shown["files"]] == [f"/{name}" for name in (UNIT, USERS, RULES)]
    assert shown["commands"] == [
        ["systemd-sysusers", f"/{USERS}"],
        ["udevadm", "control", "--reload"],
        ["udevadm", "trigger", "--subsystem-match=usb", "--subsystem-match=tty"],
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "pyv-edge.service"],
        ["systemctl", "restart", "pyv-edge.service"],
    ]
    install()
    assert json.loads(install("--json").stdout)["commands"] == []  # of a package, the system runs
    assert {one["path"]: one["text"] for one in shown["files"]} == {
        f"/{name}": text for name, text in texts(install.root).items()
    }


def test_folders_that_the_configuration_writes_to_are_opened(install, tmp_path):
    install.config.write_text(
        '[storage]\npath = "/mnt/disk/edge.db"\n[sinks.file]\nenabled = true\nfolder = "export"\n'
        '[privacy]\nhash_fields = ["badge"]\nhash_key_file = "/srv/keys/privacy.key"\n'
    )
    install()
    unit = texts(install.root)[UNIT]
    assert "\nReadWritePaths=-/mnt/disk\n" in unit
    assert "\nReadWritePaths=-/srv/keys\n" in unit
    assert f"\nBindPaths=-{tmp_path}/export\n" in unit
    done = run_host("service", "install", "--print", "--json", "--config", install.config)
    commands = json.loads(done.stdout)["commands"]
    made = [command[-1] for command in commands if command[0] == "install"]
    assert made == ["/mnt/disk", "/srv/keys", f"{tmp_path}/export"]


def test_without_hashing_no_folder_is_opened_for_a_secret(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(CONFIG)
    assert service_files.written_folders(Config.from_file(path)) == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [(None, "no such config file"), ("[health]\nport = 99999\n", "health.port: 99999")],
)
def test_configuration_that_can_not_be_read_is_noted_and_told_what_it_costs(install, text, line):
    install.config.unlink()
    if text is not None:
        install.config.write_text(text)
    done = install()
    assert done.returncode == 0
    assert line in done.stderr.splitlines()[0]
    assert "may write below /var/lib/pyv-edge only" in done.stderr.splitlines()[1]
    assert UNIT in texts(install.root)


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("--user", "root"), "--user: 'root' won't do"),
        (("--user", "a b"), "--user: 'a b' won't do"),
        (("--config", "/etc/my edge.toml"), "'/etc/my edge.toml': a unit can't hold such a path"),
        (("--config", "/etc/%n.toml"), "'/etc/%n.toml': a unit can't hold such a path"),
        (("--now",), "--now: is about this computer"),
    ],
)
def test_what_a_unit_can_not_hold_is_refused_and_nothing_is_written(install, args, line):
    done = install(*args)
    assert done.returncode == 2
    assert line in done.stderr.splitlines()[-1]
    assert not install.root.exists()


def test_start_without_a_configuration_is_refused():
    done = run_host("service", "install", "--now", "--config", "/nowhere/edge.toml")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "/nowhere/edge.toml: no such config file; write it before --now"
    )


@pytest.mark.parametrize("what", ["install", "uninstall"])
def test_file_of_somebody_else_is_left_alone(install, what):
    foreign = install.root / RULES
    foreign.parent.mkdir(parents=True)
    foreign.write_text("# mine\n")
    done = install(what=what)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"{foreign}: was not written by")
    assert texts(install.root) == {RULES: "# mine\n"}


def test_only_who_may_write_there_can_install(install, tmp_path):
    (tmp_path / "root").write_text("")  # no folder: nobody may, not even root
    done = install()
    assert done.returncode == 3
    assert str(tmp_path / "root") in done.stderr.splitlines()[-1]


# -- uninstall -------------------------------------------------------------------------


def test_uninstall_removes_exactly_what_was_installed(install):
    install()
    drop_in = install.root / "etc/systemd/system/pyv-edge.service.d/mine.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nWatchdogSec=120\n")
    assert states(install("--print", what="uninstall")) == ["removed", "removed", "removed"]
    assert len(texts(install.root)) == 4
    assert states(install(what="uninstall")) == ["removed", "removed", "removed"]
    assert set(texts(install.root)) == {drop_in.relative_to(install.root).as_posix()}
    assert states(install(what="uninstall")) == ["not there", "not there", "not there"]


def test_enabled_service_is_not_removed_under_systemd(install):
    install()
    wants = install.root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    (wants / "pyv-edge.service").symlink_to("/etc/systemd/system/pyv-edge.service")
    done = install(what="uninstall")
    assert done.returncode == 2
    assert "systemctl disable --now pyv-edge.service" in done.stderr
    assert len(texts(install.root)) == 3


# -- commands --------------------------------------------------------------------------


def test_commands_are_run_in_turn_until_one_fails(tmp_path):
    log = tmp_path / "log"
    program = tmp_path / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$1" >> {log}\ntest "$1" != enable\n')
    program.chmod(0o755)
    run = [[str(program), word] for word in ("daemon-reload", "enable", "restart")]
    assert run_in_turn(run[:1]) == ""
    assert run_in_turn(run) == f"{program} enable: ended with status 1"
    assert log.read_text().split() == ["daemon-reload", "daemon-reload", "enable"]
    missing = [str(tmp_path / "udevadm"), "control"]
    assert (
        run_in_turn([missing]) == f"{' '.join(missing)}: can't be run: No such file or directory"
    )


# -- what systemd says of it -----------------------------------------------------------


def analyze(*args):
    return subprocess.run(
        [find("systemd-analyze"), *map(str, args)], capture_output=True, text=True, timeout=60
    )


def test_systemd_finds_nothing_wrong_with_the_unit(install):
    install()
    done = analyze("verify", install.root / UNIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    wrong = install.root / UNIT
    wrong.write_text(wrong.read_text().replace("WatchdogSec=60", "WatchdogSecs=60"))
    assert "WatchdogSecs" in analyze("verify", wrong).stderr  # it would have been told


def test_exposure_is_as_low_as_the_documents_say(install):
    install()
    done = analyze("security", "--offline=true", "--no-pager", install.root / UNIT)
    found = float(
        re.search(r"Overall exposure level for pyv-edge.service: ([0-9.]+)", done.stdout)[1]
    )
    assert found <= EXPOSURE_MAX
    said = re.search(
        r"`systemd-analyze security` of systemd (\d+)\s+gives it ([0-9.]+)",
        (ROOT / "OPERATIONS.md").read_text(),
    )
    if f"systemd {said[1]} " in analyze("--version").stdout:  # another one asks for other things
        assert float(said[2]) == found


def test_user_is_made_and_may_open_serial_ports(install):
    install()
    (install.root / "etc/group").write_text("dialout:x:20:\n")
    subprocess.run(
        [find("systemd-sysusers"), f"--root={install.root}"], check=True, capture_output=True
    )
    users = (install.root / "etc/passwd").read_text()
    assert re.search(
        r"^pyv-edge:x:\d+:\d+:Pyvorin Edge agent:/var/lib/pyv-edge:\S+nologin$", users, re.M
    )
    assert "dialout:x:20:pyv-edge\n" in (install.root / "etc/group").read_text()


# -- rules for boards --------------------------------------------------------------------

_RULE = re.compile(r'([A-Z]+)(?:\{(\w+)\})?(==|!=|\+=|=)"([^"]*)"')
_MATCHED = {"ACTION", "SUBSYSTEM", "SUBSYSTEMS", "ENV", "ATTR", "ATTRS"}


def rules(text):
    """Return the rules of a file, each a list of (key, attribute, operator, value)."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            parts = [_RULE.fullmatch(part) for part in re.split(r",\s*(?=[A-Z])", line)]
            assert all(parts), line
            found.append([part.groups() for part in parts])
    return found


def applied(text, device):
    """Return what a file's rules make of a device: what is set, as udev's man page has it."""
    env, made = dict(device["env"]), {}
    label = None
    for rule in rules(text):
        if rule[0][0] == "LABEL":
            label = None if rule[0][3] == label else label
            continue
        if label is not None:
            continue
        fits = True
        for key, name, operator, value in rule:
            known = {"ENV": env, "ATTR": device["attr"], "ATTRS": device["attr"]}.get(key, device)
            is_match = operator in ("==", "!=")
            assert not is_match or key in _MATCHED, rule
            if is_match:
                told = known.get(name or key, "")
                is_equal = bool(told) if value == "?*" else told in value.split("|")
                fits = fits and is_equal == (operator == "==")
            elif fits and key == "GOTO":
                label = value
            elif fits and key == "ENV":
                env[name] = made[name] = value
            elif fits:
                made[key] = re.sub(r"\$env\{(\w+)\}", lambda found: env[found[1]], value)
    assert label is None, "a label that is missing"
    return made


@pytest.mark.parametrize(
    ("vendor", "product", "is_board"),
    [
        ("2e8a", "0005", True),  # Pico with MicroPython
        ("303a", "1001", True),  # ESP32-S3's own USB
        ("10c4", "ea60", True),
        ("1a86", "7523", True),
        ("1a86", "55d4", True),
        ("0403", "6001", True),
        ("12d1", "1506", False),  # a modem
        ("0403", "0005", False),
    ],
)
def test_rules_are_for_boards_and_nothing_else(install, vendor, product, is_board):
    install()
    text = texts(install.root)[RULES]
    usb = {
        "ACTION": "add",
        "SUBSYSTEM": "usb",
        "env": {"DEVTYPE": "usb_device"},
        "attr": {"idVendor": vendor, "idProduct": product},
    }
    assert applied(text, usb) == ({"ID_MM_DEVICE_IGNORE": "1"} if is_board else {})
    port = {**usb, "SUBSYSTEM": "tty", "SUBSYSTEMS": "usb"}
    port["env"] = {"ID_SERIAL_SHORT": "E661", "ID_USB_INTERFACE_NUM": "00"}
    made = {"ID_MM_PORT_IGNORE": "1", "GROUP": "dialout", "MODE": "0660"}
    assert applied(text, port) == ({**made, "SYMLINK": "pyv-edge/E661"} if is_board else {})
    port["env"] = {"ID_SERIAL_SHORT": "E661", "ID_USB_INTERFACE_NUM": "02"}
    assert applied(text, port) == ({**made, "SYMLINK": "pyv-edge/E661-02"} if is_board else {})
    port["env"] = {"ID_USB_INTERFACE_NUM": "00"}  # no serial number, no name
    assert applied(text, port) == (made if is_board else {})
    assert applied(text, {**port, "ACTION": "remove"}) == {}


# -- the agent under the unit's filter ---------------------------------------------------


def confined(unit, *command):
    return [sys.executable, str(ROOT / "tests/host/sandbox.py"), str(unit), *map(str, command)]


def test_filter_refuses_what_the_agent_does_not_need(install):
    find("systemd-analyze")
    install()
    code = (
        "import os\n"
        "for call in (lambda: os.setpriority(0, 0, 5), lambda: os.chroot('/')):\n"
        "    try: call()\n"
        "    except PermissionError: print('refused')\n"
    )
    done = subprocess.run(
        confined(install.root / UNIT, sys.executable, "-c", code), capture_output=True, text=True
    )
    if done.returncode == CAN_NOT:
        pytest.skip(done.stderr)
    assert done.stdout.split() == ["refused", "refused"]


def test_agent_works_under_the_filter(install, tmp_path):
    """It polls, opens a port, uploads, answers for its health, and asks for the clock."""
    find("systemd-analyze")
    install()
    manager = Manager(tmp_path / "notify")
    master, slave = pty.openpty()
    tty.setraw(slave)
    devices = [
        {"name": "t1", "ingest_type": "simulator"},
        {"name": "board", "ingest_type": "serial", "port": os.ttyname(slave)},
    ]
    config = tmp_path / "agent.json"
    with serving() as cloud:
        settings = {
            "sensors": {"poll_interval_seconds": 0.1, "devices": devices},
            "cloud": {"enabled": True, "endpoint": cloud.url},
            "time": {"upload_wait_seconds": 0},
            "health": {"port": 0},
        }
        config.write_text(json.dumps(settings))
        process = subprocess.Popen(
            confined(
                install.root / UNIT, sys.executable, "-m", "pyv_edge_agent", "--config", config
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=manager.environment(PYTHONUNBUFFERED="1", NO_PROXY="*"),
        )
        try:
            wait_for(
                lambda: process.poll() is not None or manager.count("READY=1"), "the start", 60
            )
            if process.poll() == CAN_NOT:
                pytest.skip(process.stderr.read())
            lines = []
            while not (lines and "health_url" in lines[-1]):
                lines.append(json.loads(process.stdout.readline()))
            wait_for(lambda: cloud.requests, "an upload", 60)

            def link():
                with urllib.request.urlopen(lines[-1]["health_url"], timeout=10) as reply:
                    return json.loads(reply.read())

            report = wait_for(
                lambda: (found := link())["links"][0]["state"] == "handshaking" and found,
                "the port to be open",
                60,
            )
            assert report["status"] == "degraded"  # nobody answers at that port
            assert report["metrics"]["ram_percent"] > 0
            process.send_signal(signal.SIGTERM)
            out, errors = process.communicate(timeout=60)
        finally:
            process.kill()
            os.close(master)
            os.close(slave)
            manager.close()
    messages = [line["message"] for line in lines]
    messages += [json.loads(line)["message"] for line in out.splitlines()]
    assert process.returncode == 0
    assert errors.splitlines()[1:] == []
    assert messages[-1] == "EdgeAgent stopped"
    assert not [line for line in messages if "can't ask the kernel" in line]


def test_paths_of_a_unit_are_checked_before_anything_is_read():
    needs = service_files.Needs(Path("/opt/a b/pyv-edge-host"), Path("/etc/x"), "pi")
    with pytest.raises(UsageError, match="a unit can't hold such a path"):
        needs.check()
