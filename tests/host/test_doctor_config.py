"""doctor about the configuration: faults, secrets that others can read, packages it needs."""

import sys

from host.doctor_rig import config_file, lines, only, write
from pyv_edge_agent.cli.checks import configuration
from pyv_edge_agent.config import Config


def test_each_fault_and_each_doubt_is_a_line_with_what_to_do():
    faults = ["edge.toml:2: health.prot: is not a setting; did you mean port?", "edge.toml: odd"]
    doubts = ["edge.toml:4: health.host: lets everybody see it; 127.0.0.1 keeps it here"]
    found = configuration.check_config("edge.toml", faults, doubts)
    assert [(one.level, one.text, one.fix) for one in found] == [
        ("fail", "edge.toml:2: health.prot: is not a setting", "did you mean port?"),
        ("fail", "edge.toml: odd", "correct it"),
        ("warn", "edge.toml:4: health.host: lets everybody see it", "127.0.0.1 keeps it here"),
    ]
    (found,) = configuration.check_config("x", ["x: can't be read: Permission denied"], [])
    assert found.fix == "run this as root (sudo)"
    assert only(configuration.check_config("edge.toml", [], [])).level == "ok"


# -- files with keys -----------------------------------------------------------------------


def check_secrets(path, root):
    return lines(configuration.check_secrets(Config.from_file(path), root))


def test_files_with_keys_and_the_environment_of_the_service(tmp_path):
    device = {"name": "porch", "ingest_type": "serial", "port": "/dev/ttyACM0"}
    path = config_file(
        tmp_path,
        sensors={"devices": [{**device, "link_key_file": "porch.key"}]},
        privacy={"hash_key_file": "data/privacy.key"},
        sinks={"mqtt": {"key_file": "client.key"}},
    )
    files = ("porch.key", "data/privacy.key", "client.key", "etc/pyv-edge/environment")
    assert check_secrets(path, tmp_path)[0][0] == "ok"  # none of them is there
    write(tmp_path, dict.fromkeys(files, "k"))
    for name in files:
        (tmp_path / name).chmod(0o604)
    texts = [text for _, _, text in check_secrets(path, tmp_path)]
    assert sorted(text.split(" holds ")[0] for text in texts) == sorted(
        str(tmp_path / name) for name in files
    )
    for name in files:
        (tmp_path / name).chmod(0o640)
    assert check_secrets(path, tmp_path)[0][0] == "ok"


# -- packages ----------------------------------------------------------------------------


def test_packages_that_are_needed_and_not_installed(tmp_path, monkeypatch):
    device = {"name": "hall", "ingest_type": "mqtt", "topic": "hall/#"}
    path = config_file(tmp_path, sinks={"nats": {"enabled": True}}, sensors={"devices": [device]})
    config = Config.from_file(path)
    assert only(configuration.check_extras(config)).level == "ok"
    for module in ("paho", "nats"):
        monkeypatch.setitem(sys.modules, module, None)
    found = configuration.check_extras(config)
    assert [(one.level, one.text, one.fix) for one in found] == [
        ("fail", "sinks.nats: nats-py is not installed", "pip install '.[nats]' in a clone"),
        ("fail", "device hall: paho-mqtt is not installed", "pip install '.[mqtt]' in a clone"),
    ]
