"""doctor about the service: unit, user and rules as `service install` has written them."""

import pytest
from host.command import run_host
from host.doctor_rig import FakeAccounts, only, write
from pyv_edge_agent.cli.checks import service
from pyv_edge_agent.config import Config
from pyv_edge_agent.service_files import ENABLED, PLACES, UNIT

CONFIG = '[storage]\npath = "/var/lib/pyv-edge/edge_store.db"\n'


@pytest.fixture
def installed(tmp_path):
    """Install below a root; return that and the configuration."""
    root, path = tmp_path / "root", tmp_path / "edge.toml"
    path.write_text(CONFIG)
    done = run_host("service", "install", "--root", root, "--config", path)
    assert done.returncode == 0, done.stderr
    enabled = root / ENABLED.relative_to("/")
    enabled.parent.mkdir(parents=True)
    enabled.symlink_to(PLACES[UNIT])
    return root, path


def place(root, name):
    return root / PLACES[name].relative_to("/")


def check(root, path):
    config = Config.from_file(path)
    return only(service.check_service(service.read_service(root), str(path), config, root))


def check_rules(root, path):
    config = None if path is None else Config.from_file(path)
    return only(service.check_rules(service.read_service(root), config, root))


def test_service_that_is_right(installed):
    root, path = installed
    found = service.read_service(root)
    assert (found.user, found.config, found.groups) == ("pyv-edge", str(path), ("dialout",))
    assert found.is_enabled
    assert check(root, path).level == "ok"
    assert check_rules(root, path).level == "ok"
    assert service.has_rules(root)


def test_computer_without_a_service(tmp_path):
    assert service.read_service(tmp_path) is None
    assert not service.has_rules(tmp_path)
    assert only(service.check_service(None, "", None, tmp_path)).level == "skip"
    assert check_rules(tmp_path, None).level == "skip"
    assert only(service.check_user(None, FakeAccounts())).level == "skip"
    assert service.service_person(None, FakeAccounts()) is None


def test_unit_of_another_version(installed):
    root, path = installed
    unit = place(root, UNIT)
    unit.write_text(unit.read_text().replace("WatchdogSec=60", "WatchdogSec=30"))
    found = check(root, path)
    assert (found.level, "is not what this version would write" in found.text) == ("warn", True)


def test_unit_that_somebody_else_has_written(installed):
    root, path = installed
    unit = place(root, UNIT)
    unit.write_text(unit.read_text().partition("\n")[2])
    found = check(root, path)
    assert (found.level, "can't be compared" in found.text) == ("warn", True)


def test_unit_that_runs_another_program_or_configuration(installed, tmp_path):
    root, path = installed
    unit = place(root, UNIT)
    text = unit.read_text()
    program = service.read_service(root).program
    unit.write_text(text.replace(program, "/opt/other/bin/pyv-edge-host"))
    assert "it runs /opt/other/bin/pyv-edge-host" in check(root, path).text
    assert check_rules(root, path).level == "skip"
    unit.write_text(text.replace(str(path), "/etc/pyv-edge/edge.toml"))
    found = check(root, path)
    assert (found.level, "it has another configuration" in found.text) == ("warn", True)
    unit.write_text(text)
    found = only(service.check_service(service.read_service(root), str(path), None, root))
    assert "without a configuration" in found.text


def test_unit_that_is_not_started_at_boot(installed):
    root, path = installed
    (root / ENABLED.relative_to("/")).unlink()
    found = check(root, path)
    assert (found.level, found.fix) == ("warn", "sudo systemctl enable --now pyv-edge.service")


@pytest.mark.parametrize("name", ["pyv-edge.rules", "pyv-edge.sysusers"])
def test_rules_that_are_not_there_or_changed(installed, name):
    root, path = installed
    file = place(root, name)
    file.write_text(file.read_text() + "# more\n")
    found = check_rules(root, path)
    assert (found.level, "is not what this version would write" in found.text) == ("warn", True)
    file.unlink()
    assert "is not there" in check_rules(root, path).text
    assert check(root, path).level == "ok"  # the unit is


def test_user_of_the_service(installed):
    found = service.read_service(installed[0])
    assert only(service.check_user(found, FakeAccounts())).level == "fail"
    accounts = FakeAccounts({"pyv-edge": (990, [990])})
    assert only(service.check_user(found, accounts)).level == "ok"  # by the unit's groups
    without = service.Service("pyv-edge", found.program, found.config, (), is_enabled=True)
    told = only(service.check_user(without, accounts))
    assert (told.level, told.fix) == ("fail", "sudo usermod -aG dialout pyv-edge")
    accounts = FakeAccounts({"pyv-edge": (990, [990, 20])})
    assert only(service.check_user(without, accounts)).level == "ok"


def test_variables_of_the_service_are_known_for_its_own_configuration(installed):
    root, path = installed
    found = service.read_service(root)
    assert service.service_environment(found, str(path), root) == {}
    write(
        root,
        {
            "etc/pyv-edge/environment": "# of the agent\nKEY=abc=1\n\n;OFF=1\n"
            'QUOTED="with space"\nODD=\'x\nnothing\n'
        },
    )
    assert service.service_environment(found, str(path), root) == {
        "KEY": "abc=1",
        "QUOTED": "with space",
        "ODD": "'x",
    }
    assert service.service_environment(found, "other.toml", root) == {}
    assert service.service_environment(None, str(path), root) == {}
    (root / "etc/pyv-edge/environment").write_bytes(b"\xff\xfe")
    assert service.service_environment(found, str(path), root) == {}
