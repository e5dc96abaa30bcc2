"""Every fault of a configuration is a line: file, key, what is wrong, what is allowed."""

import json
import math
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from host.refusals import refusals
from pyv_edge_agent import settings
from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import ConfigError
from pyv_edge_agent.settings import DEVICES, SECTIONS
from pyv_edge_agent.store.schema import SCHEMA_VERSION
from pyv_edge_core.rule import read_rules

SERIAL = "[[sensors.devices]]\nname = '{}'\ningest_type = 'serial'\nport = '{}'\n"
FILE = "[[sensors.devices]]\nname = 'a'\ningest_type = 'file'\n"
SIMULATOR = '[[sensors.devices]]\nname = "t1"\ningest_type = "simulator"\n'


def problems(tmp_path, content, name="bad.toml"):
    """Return the lines that a file of `content` is refused with, without its path."""
    return refusals(tmp_path / name, content)


# -- the file ----------------------------------------------------------------------


def test_missing_file_names_itself_and_a_remedy(tmp_path):
    with pytest.raises(FileNotFoundError) as missing:
        Config.from_file(tmp_path / "absent.toml")
    text = str(missing.value)
    assert text == f"{tmp_path}/absent.toml: no such config file; write one or name another"


@pytest.mark.parametrize(
    ("name", "content", "start"),
    [
        ("a.toml", "[sensors\n", "1: is not TOML: Expected ']'"),
        ("a.toml", "a = 1\na = 2\n", "2: a: stands twice; join the two, or leave one out"),
        ("a.json", '{"sensors":\n', "2: is not JSON: Expecting value, column 1"),
        ("a.json", "[" * 100_000, "is not JSON: "),
        ("a.json", "[]", "must hold a table, not a list"),
        ("a.json", "3", "must hold a table, not a number"),
        ("a.toml", b"#\n\xff\xfe", "2: can't be read: it is not UTF-8; save it as such"),
    ],
)
def test_content_that_is_no_table(tmp_path, name, content, start):
    (line,) = problems(tmp_path, content, name)
    assert line.startswith(start)


def test_folder_instead_of_a_file(tmp_path):
    folder = tmp_path / "config.toml"
    folder.mkdir()
    with pytest.raises(ConfigError, match="can't be read"):
        Config.from_file(folder)


@pytest.mark.parametrize("key", ["config", "secret", "ca"])
def test_pipe_is_no_file_that_is_waited_for(tmp_path, key):
    """Nobody may ever write into it."""
    path = tmp_path / "edge.toml"
    pipe = path if key == "config" else tmp_path / "pipe"
    os.mkfifo(pipe)
    if key != "config":
        setting = "api_key_file" if key == "secret" else "ca_file"
        cloud = f'[cloud]\nenabled = true\nendpoint = "https://c.example"\n{setting} = "pipe"\n'
        path.write_text(cloud)
    with pytest.raises(ConfigError, match="can't be read: is no plain file"):
        Config.from_file(path).validate()


# -- one fault each ----------------------------------------------------------------

FAULTS = [
    # content, the whole line behind the path
    ("[sensers]\n", "1: sensers: is not a setting; did you mean sensors?"),
    ("[cloud]\nendpiont = ''\n", "2: cloud.endpiont: is not a setting; did you mean endpoint?"),
    (
        "[privacy]\nxyzzy = 1\n",
        (
            "2: privacy.xyzzy: is not a setting; known here: default, drop_fields, enabled,"
            " hash_fields, hash_key, hash_key_file, local_only, mask_fields, redact_fields, rules"
        ),
    ),
    (
        "[cloud]\nbatch_size = '5'\n",
        "2: cloud.batch_size: '5' is not a whole number in 1..10000; leave the quotes out",
    ),
    ("[cloud]\nenabled = 1\n", "2: cloud.enabled: 1 is not true or false"),
    ("[cloud]\napi_key = []\n", "2: cloud.api_key: the value is not a text"),
    (
        "[sensors]\npoll_interval_seconds = true\n",
        "2: sensors.poll_interval_seconds: true is not a number in 0.01..86400",
    ),
    (
        "[windows]\ndefault_size = true\n",
        "2: windows.default_size: true is not a whole number in 1..1000000",
    ),
    (
        "[windows]\ndefault_size = 2.0\n",
        "2: windows.default_size: 2.0 is not a whole number in 1..1000000",
    ),
    ("[health]\nport = 65536\n", "2: health.port: 65536 is not a whole number in 0..65535"),
    ("[health]\nport = -1\n", "2: health.port: -1 is not a whole number in 0..65535"),
    (
        "[sensors]\npoll_interval_seconds = nan\n",
        "2: sensors.poll_interval_seconds: nan is not a number in 0.01..86400",
    ),
    ("[sensors]\non_error = 'null'\n", "2: sensors.on_error: 'null' is not one of zero, skip"),
    (
        "[windows]\ndtype = 'dd'\n",
        "2: windows.dtype: 'dd' is not one of f, d",
    ),
    ("sensors = 3\n", "1: sensors: must be a table ([sensors]), not a number"),
    (
        "[sensors]\ndevices = 'x'\n",
        "2: sensors.devices: must be a list of tables ([[sensors.devices]]), not a text",
    ),
    (
        "[sensors.devices]\nname = 'x'\n",
        "1: sensors.devices: must be a list of tables ([[sensors.devices]]), not a table",
    ),
    ("rules = 3\n", "1: rules: must be a list of tables ([[rules]]), not a number"),
    (
        "[[rules]]\nname = 'r'\n",
        (
            "1: rules[0]: has none of above, below, outside, rate_above, rate_below, stuck,"
            " deadband, missing; needs one"
        ),
    ),
    (
        "[[rules]]\nname = 'r'\nabove = 1\nseverity = 'bad'\n",
        "4: rules[0].severity: 'bad' is not one of info, warning, critical",
    ),
    (
        "[[rules]]\nname = 'r'\nabove = nan\n",
        "3: rules[0].above: nan is not a number (at most 1e30, 32 characters)",
    ),
    (
        "[[rules]]\nname = 'r'\nabove = 1\nseveritty = 'info'\n",
        "4: rules[0].severitty: is not a setting; did you mean severity?",
    ),
    ("[[rules]]\nabove = 1\n", "1: rules[0].name: is missing; events are called by it"),
    (
        "[privacy]\nmask_field = ['x']\n",
        "2: privacy.mask_field: is not a setting; did you mean mask_fields?",
    ),
    (
        "[privacy]\ndefault = 'mask'\n",
        "2: privacy.default: 'mask' is not one of allow, deny, drop",
    ),
    (
        "[[privacy.rules]]\npattern = '*'\naction = 'masc'\n",
        (
            "3: privacy.rules[0].action: 'masc' is not one of allow, drop, mask, redact, hash,"
            " quantize, clamp, local_only, aggregate_only"
        ),
    ),
    (
        "[[privacy.rules]]\npatern = '*'\naction = 'mask'\n",
        "2: privacy.rules[0].patern: is not a setting; did you mean pattern?",
    ),
    (
        "[[privacy.rules]]\npattern = '*'\naction = 'quantize'\n",
        "1: privacy.rules[0].step: is missing; quantize needs a number above 0",
    ),
    (
        "[[sensors.devices]]\nname = 'a'\ningest_type = 'simulater'\n",
        (
            "3: sensors.devices[0].ingest_type: 'simulater' is unknown;"
            " known: file, http, http_poll, mqtt, serial, simulator, system; by packages: none"
        ),
    ),
    (
        "[[sensors.devices]]\nname = 'a'\n",
        "1: sensors.devices[0].ingest_type: is missing; it must be a text",
    ),
    (
        "[[sensors.devices]]\nname = 'a'\ningest_type = 3\n",
        "3: sensors.devices[0].ingest_type: 3 is not a text",
    ),
    (
        "[[sensors.devices]]\ningest_type = 'simulator'\n",
        "1: sensors.devices[0].name: is missing; it must be a text",
    ),
    (
        "[[sensors.devices]]\nname = ''\ningest_type = 'simulator'\n",
        "2: sensors.devices[0].name: must not be empty",
    ),
    (
        "[[sensors.devices]]\nname = 'a'\ningest_type = 'serial'\n",
        "1: sensors.devices[0].port: is missing; it must be a text",
    ),
    (
        SIMULATOR + "min_value = 2\nmax_value = 1\n",
        "4: sensors.devices[0].min_value: is greater than max_value",
    ),
    (FILE, "1: sensors.devices[0].path: is missing; it must be a text"),
    (FILE + "path = ''\n", "4: sensors.devices[0].path: must not be empty"),
    (
        FILE + "path = 'x'\nvalue_path = 'a['\n",
        "5: sensors.devices[0].value_path: 'a[' has a [ without its ]",
    ),
    (
        FILE + "path = 'x.gz'\n",
        '4: sensors.devices[0].path: is packed; only mode = "replay" unpacks',
    ),
    (
        FILE + "path = 'x'\nmode = 'replay'\nloop = true\n",
        '6: sensors.devices[0].loop: would store the same times again; it needs times = "now"',
    ),
    (
        FILE + "path = 'x'\nmode = 'replay'\ntime_path = ''\n",
        (
            "6: sensors.devices[0].time_path: must be given, unless speed is 0: it says what is"
            " due when"
        ),
    ),
    (
        SIMULATOR + "spike_probability = 0.6\nstuck_probability = 0.6\n",
        (
            "4: sensors.devices[0].spike_probability: the probabilities of spikes, dropouts and"
            " stuck values must add up to at most 1"
        ),
    ),
    (
        SIMULATOR + "port = '/dev/ttyUSB0'\n",
        (
            "4: sensors.devices[0].port: is not a setting; known here: baseline, drift_amplitude,"
            " drift_model, drift_period_seconds, drift_rate, dropout_count,"
            " dropout_probability, ingest_type, interval_seconds, max_value, min_value, name,"
            " noise_model, noise_std, seed, sensor_type, silent_after_seconds, spike_count,"
            " spike_probability, spike_size, stuck_count, stuck_probability, unit"
        ),
    ),
    (
        SIMULATOR + SIMULATOR,
        "5: sensors.devices[1].name: is the same as sensors.devices[0]'s; each needs its own",
    ),
    (
        (
            "[[sensors.devices]]\nname = 'a'\ningest_type = 'serial'\nport = '/dev/x'\n"
            "[[sensors.devices]]\nname = 'b'\ningest_type = 'serial'\nport = '/dev/x'\n"
        ),
        "8: sensors.devices[1].port: is the same as sensors.devices[0]'s; each needs its own",
    ),
    (
        SERIAL.format("a", "/dev/x") + SERIAL.format("b", "/dev/../dev//x"),
        "8: sensors.devices[1].port: is the same as sensors.devices[0]'s; each needs its own",
    ),
    (
        SERIAL.format("a", "usb:2e8a:5") + SERIAL.format("b", "USB:2E8A:0005"),
        "8: sensors.devices[1].port: is the same as sensors.devices[0]'s; each needs its own",
    ),
    (
        SERIAL.format("a", "/dev/x")
        + "device_id = 'p'\n"
        + SERIAL.format("b", "/dev/y")
        + "device_id = 'p'\n",
        (
            "10: sensors.devices[1].device_id: is the same as sensors.devices[0]'s;"
            " each needs its own"
        ),
    ),
    (
        SERIAL.format("a", "/dev/x") + "device_id = 'p'\naccept_new = true\n",
        "6: sensors.devices[0].accept_new: takes any board, device_id only one; leave one out",
    ),
    (SERIAL.format("a", ""), "4: sensors.devices[0].port: must not be empty"),
    (
        SERIAL.format("a", "usb:2e8a"),
        (
            "4: sensors.devices[0].port: must be a path, usb:VID:PID or usb:VID:PID:SERIAL,"
            " VID and PID in hex"
        ),
    ),
    (
        SERIAL.format("a", "/dev/x") + "dtr = 1\n",
        "5: sensors.devices[0].dtr: 1 is not true or false",
    ),
    (
        "[cloud]\nenabled = true\n",
        "1: cloud.endpoint: must be a URL, http://... or https://..., if cloud.enabled is true",
    ),
    (
        "[cloud]\nenabled = true\nendpoint = 'example.com/in'\n",
        "3: cloud.endpoint: must be a URL, http://... or https://..., if cloud.enabled is true",
    ),
    (
        "[sinks.influxdb]\nenabled = true\nversion = 1\ndatabase = 'd'\npassword = '${NONE}'\n",
        "5: sinks.influxdb.password: environment variable NONE is not set and has no default",
    ),
    (
        "[health]\nport = '${NONE}'\n",
        "2: health.port: environment variable NONE is not set and has no default",
    ),
    (
        "[[rules]]\nname = 'r'\nabove = '${NONE}'\n",
        "3: rules[0].above: environment variable NONE is not set and has no default",
    ),
    (
        "[cloud]\nenabled = true\nendpoint = 'https://c.example/a b'\n",
        "3: cloud.endpoint: must be a URL, http://... or https://..., if cloud.enabled is true",
    ),
    (
        "[cloud]\ntimeout_seconds = '${PYV_TEST_ABSENT:-soon}'\n",
        "2: cloud.timeout_seconds: the value is not a number in 0.1..600",
    ),
    (
        "[health]\nport = '${PYV_TEST_ABSENT:-true}'\n",
        "2: health.port: the value is not a whole number in 0..65535",
    ),
]


@pytest.mark.parametrize(("content", "wanted"), FAULTS)
def test_fault_is_one_line_of_key_fault_and_remedy(tmp_path, monkeypatch, content, wanted):
    for name in ("PYV_TEST_ABSENT", "NONE"):
        monkeypatch.delenv(name, raising=False)
    assert problems(tmp_path, content) == [wanted]


@pytest.mark.parametrize("enabled", ["false", "'${PYV_TEST_OFF:-false}'"])
def test_what_is_not_enabled_needs_no_secret(tmp_path, monkeypatch, enabled):
    monkeypatch.delenv("PYV_TEST_ABSENT", raising=False)
    path = tmp_path / "edge.toml"
    path.write_text(f"[cloud]\nenabled = {enabled}\napi_key = '${{PYV_TEST_ABSENT}}'\n")
    assert Config.from_file(path).get("cloud", "api_key") == ""


def test_rule_of_two_conditions_is_refused(tmp_path):
    line, _ = problems(tmp_path, "[[rules]]\nname = 'r'\nabove = 1\nbelow = 0\n")
    assert line.startswith("1: rules[0]: has above and below of above, below, ")


def test_elements_that_are_no_tables(tmp_path):
    content = json.dumps({"sensors": {"devices": [7]}, "rules": [[]]})
    assert problems(tmp_path, content, "a.json") == [
        "1: sensors.devices[0]: must be a table, not a number",
        "1: rules[0]: must be a table",
    ]


def test_all_faults_are_reported_at_once(tmp_path):
    content = (
        "[sensers]\n[cloud]\nenabled = 'yes'\nbatch_size = 0\n[health]\nport = 'x'\n" + SIMULATOR
    )
    found = problems(tmp_path, content + "colour = 'red'\n")
    assert [line.split(": ")[:2] for line in found] == [
        ["1", "sensers"],
        ["3", "cloud.enabled"],
        ["4", "cloud.batch_size"],
        ["6", "health.port"],
        ["10", "sensors.devices[0].colour"],
    ]


@pytest.mark.parametrize("key", ["poll_interval_seconds"])
def test_number_too_large_for_a_float_is_a_fault_like_any_other(tmp_path, key):
    (line,) = problems(tmp_path, f"[sensors]\n{key} = 1{'0' * 400}\n")
    assert line == f"2: sensors.{key}: the value has more than 64 bits"


@pytest.mark.parametrize("key", ["baseline", "drift_rate", "drift_amplitude"])
def test_simulator_that_can_give_no_number_is_refused(tmp_path, key):
    (line,) = problems(tmp_path, SIMULATOR + f"{key} = inf\n")
    assert line.startswith(f"4: sensors.devices[0].{key}: inf ")


def test_endpoint_that_no_client_can_parse_is_refused(tmp_path):
    # Accepted, it would end the uploader's thread and /health: urlsplit raises.
    (line,) = problems(tmp_path, "[cloud]\nenabled = true\nendpoint = 'http://[::1/in'\n")
    assert line.startswith("3: cloud.endpoint: must be a URL, ")


def test_two_rules_of_one_name_are_refused(tmp_path):
    # Which of them fires is kept by name: they would switch each other off and on.
    rule = "[[rules]]\nname = 'hot'\nabove = %d\n"
    (line,) = problems(tmp_path, rule % 10 + rule % 30)
    assert line == "5: rules[1].name: 'hot' is there twice"


def test_fault_does_not_repeat_a_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("PYV_TEST_URL", "htps://user:hunter2@example.com/in")
    content = "[cloud]\nenabled = true\nendpoint = '${PYV_TEST_URL}'\napi_key = 60221023\n"
    text = "\n".join(problems(tmp_path, content))
    assert "cloud.endpoint" in text
    assert "cloud.api_key" in text
    assert "hunter2" not in text
    assert "60221023" not in text


# -- what is accepted --------------------------------------------------------------


def test_variables_stand_for_numbers_and_truth_values(tmp_path, monkeypatch):
    monkeypatch.setenv("PYV_TEST_PORT", "9100")
    monkeypatch.setenv("PYV_TEST_ON", "false")
    path = tmp_path / "a.toml"
    path.write_text(
        "[health]\nport = '${PYV_TEST_PORT}'\nenabled = '${PYV_TEST_ON}'\n"
        "[cloud]\ntimeout_seconds = '${PYV_TEST_ABSENT:-2}'\n"
    )
    config = Config.from_file(path)
    health = config.get("health")
    assert (health["enabled"], health["host"], health["port"]) == (False, "127.0.0.1", 9100)
    timeout = config.get("cloud", "timeout_seconds")
    assert timeout == 2.0
    assert type(timeout) is float


def test_variable_that_is_set_and_empty_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("PYV_TEST_EMPTY", "")
    path = tmp_path / "a.toml"
    path.write_text("[cloud]\napi_key = 'x${PYV_TEST_EMPTY:-default}y'\n")
    assert Config.from_file(path).get("cloud", "api_key") == "xy"


def test_value_of_a_variable_is_not_substituted_again(tmp_path, monkeypatch):
    monkeypatch.setenv("PYV_TEST_A", "${PYV_TEST_B}")
    monkeypatch.setenv("PYV_TEST_B", "secret")
    path = tmp_path / "a.toml"
    path.write_text("[cloud]\napi_key = '${PYV_TEST_A}'\n")
    assert Config.from_file(path).get("cloud", "api_key") == "${PYV_TEST_B}"


@pytest.mark.parametrize(
    "text", ["${EDGE-KEY}", "${X", "${HOME-x}", "x${}", "${1A}", "${C:-x${D}}", "a $${A} ${"]
)
def test_what_only_looks_like_a_variable_is_a_fault(text):
    """It would be taken as it stands, for a password perhaps."""
    with pytest.raises(ConfigError, match=r"api_key: has a \$\{ that begins no variable: write"):
        Config({"cloud": {"api_key": text}}, environment={"A": "1", "C": "2", "D": "3"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$${A}", "${A}"),
        ("$${A} ${A}", "${A} 1"),
        ("$$ $A {A} $5", "$$ $A {A} $5"),
        ("p$${", "p${"),
        ("${A}$${${NO:-}", "1${"),
    ],
)
def test_two_dollars_stand_for_the_characters_themselves(text, value):
    config = Config({"cloud": {"api_key": text}}, environment={"A": "1"})
    assert config.get("cloud", "api_key") == value
    config.validate()


def test_variables_work_in_devices_and_rules(tmp_path, monkeypatch):
    monkeypatch.setenv("PYV_TEST_KIND", "simulator")
    path = tmp_path / "a.toml"
    path.write_text(
        "[[sensors.devices]]\nname = 't-${PYV_TEST_KIND}'\ningest_type = '${PYV_TEST_KIND}'\n"
        "[[rules]]\nname = 'r'\nabove = '${PYV_TEST_LIMIT:-12.5}'\n"
    )
    config = Config.from_file(path)
    (device,) = config.get("sensors", "devices")
    assert device["name"] == "t-simulator"
    assert device["noise_std"] == 0.5
    assert config.get("rules") == [{"name": "r", "above": "12.5"}]
    (rule,) = read_rules(config.get("rules"))
    assert (rule.high, rule.sensor.text, rule.severity) == ((125, 1), "*", "warning")


def test_int_is_taken_for_a_float_setting(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("[sensors]\npoll_interval_seconds = 2\n")
    value = Config.from_file(path).get("sensors", "poll_interval_seconds")
    assert type(value) is float


def test_empty_rules_table_means_no_rules(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("[rules]\n[policies]\n")
    assert Config.from_file(path).get("rules") == []


def test_empty_file_gives_the_defaults(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("")
    assert Config.from_file(path).to_dict() == Config().to_dict()


def test_get_returns_copies():
    config = Config({"sensors": {"devices": [{"name": "a", "ingest_type": "simulator"}]}})
    config.get("sensors", "devices")[0]["name"] = "b"
    config.get("cloud")["enabled"] = True
    config.to_dict()["health"]["port"] = 1
    assert config.get("sensors", "devices")[0]["name"] == "a"
    assert config.get("cloud", "enabled") is False
    assert config.get("health", "port") == 8080


def test_defaults_of_one_config_are_not_those_of_another():
    Config().to_dict()["sensors"]["devices"].append("x")
    assert Config().get("sensors", "devices") == []


def _every_setting():
    tables = dict(SECTIONS)
    tables.update({f"device {kind}": keys for kind, keys in DEVICES.items()})
    for section, keys in tables.items():
        for key, setting in keys.items():
            yield pytest.param(setting, id=f"{section}.{key}")


EVERY_SETTING = list(_every_setting())


@pytest.mark.parametrize("setting", EVERY_SETTING)
def test_every_default_passes_its_own_check(setting):
    assert setting.doc
    if setting.default is settings.MISSING:
        with pytest.raises(ValueError, match="is not"):
            setting.check(None, False)
    else:
        checked = setting.check(setting.default, False)
        assert checked == setting.default
        assert type(checked) is setting.kind


@pytest.mark.parametrize("setting", EVERY_SETTING)
def test_both_ends_of_every_range_are_allowed_and_no_more(setting):
    if setting.low == -math.inf:
        assert setting.high == math.inf
        return
    for value in (setting.low, setting.high):
        assert setting.check(setting.kind(value), False) == value
    step = 1 if setting.kind is int else max(abs(setting.high), abs(setting.low)) / 1e6
    for value in (setting.low - step, setting.high + step):
        with pytest.raises(ValueError, match="is not"):
            setting.check(setting.kind(value), False)


# -- the command -------------------------------------------------------------------


def pyv_edge(*arguments):
    program = shutil.which("pyv-edge", path=str(Path(sys.executable).parent))
    assert program is not None, "the package is not installed beside this Python"
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


BAD_FILES = [
    ("a.toml", "[sensors\n", 1),
    ("a.json", "{", 1),
    ("a.json", "[1]", 1),
    ("a.toml", "[sensers]\n", 1),
    ("a.toml", "[cloud]\nendpiont = 'x'\n", 1),
    ("a.toml", "[health]\nport = 'x'\n[cloud]\nbatch_size = 0\nenabled = 2\n", 3),
    ("a.toml", "[[sensors.devices]]\nname = 'a'\ningest_type = 'telepathy'\n", 1),
    ("a.toml", SIMULATOR + SIMULATOR, 1),
    ("a.toml", "[cloud]\nenabled = true\n", 1),
    ("a.toml", "[health]\nhost = '${PYV_TEST_ABSENT}'\n", 1),
    ("a.toml", b"\xff\xff", 1),
]


@pytest.mark.parametrize(("name", "content", "count"), BAD_FILES)
def test_command_refuses_a_bad_file_with_a_line_per_fault(tmp_path, name, content, count):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = pyv_edge("--config", str(path))
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == count
    assert all(line.startswith((f"{path}: ", f"{path}:")) for line in lines)
    assert "Traceback" not in done.stderr


def test_command_refuses_a_missing_file(tmp_path):
    done = pyv_edge("--config", str(tmp_path / "absent.toml"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "absent.toml: no such config file" in line


def starts_not(path):
    """Return the line with which the agent refuses to start with a good file."""
    done = pyv_edge("--config", path)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    return line


def test_health_port_in_use(write_config):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = starts_not(write_config(health={"port": port}))
    assert line.startswith(f"health.port: can't listen on 127.0.0.1:{port}: ")
    assert "choose another, 0 for any, or set health.enabled = false" in line


def test_health_host_that_is_not_ours(write_config):
    line = starts_not(write_config(health={"host": "192.0.2.1", "token": "t"}))
    assert "can't listen on 192.0.2.1:0" in line


def test_storage_path_below_a_file(write_config, tmp_path):
    (tmp_path / "file").write_text("")
    line = starts_not(write_config(storage={"path": "file/edge.db"}))
    assert line.startswith(f"{tmp_path}/file/edge.db: {tmp_path}/file is no folder")
    assert line.endswith("check storage.path")


def test_storage_path_is_a_directory(write_config, tmp_path):
    (tmp_path / "edge.db").mkdir()
    path = write_config()
    with pytest.raises(ConfigError) as caught:
        Config.from_file(path).validate()
    (line,) = caught.value.problems
    assert line.endswith(f"storage.path: {tmp_path}/edge.db is a folder; name a file in it")


@pytest.mark.parametrize(
    ("more", "key", "problem"),
    [
        ('path = "edge.toml"', "storage.path", "is the configuration itself; name another file"),
        ('path = "./link"', "storage.path", "is the configuration itself; name another file"),
        (
            'path = "data/privacy.key"',
            "privacy.hash_key_file",
            "is the file of storage.path, too; name another",
        ),
        (
            'path = "out"\n[sinks.file]\nenabled = true\nfolder = "./out"',
            "sinks.file.folder",
            "is the file of storage.path, too; name another",
        ),
        (
            'path = "key"\n[cloud]\nendpoint = "https://c.example"\napi_key_file = "key"',
            "cloud.api_key_file",
            "is the file of storage.path, too; name another",
        ),
        (
            'path = ":memory:"',
            "storage.path",
            "names no file; name one, such as data/edge_store.db",
        ),
        ('path = ""', "storage.path", "names no file; name one, such as data/edge_store.db"),
        ('path = "/"', "storage.path", "names no file; name one, such as data/edge_store.db"),
        ('path = "data/"', "storage.path", "names no file; name one, such as data/edge_store.db"),
    ],
)
def test_store_is_a_file_of_its_own(tmp_path, more, key, problem):
    path = tmp_path / "edge.toml"
    path.write_text(f"[storage]\n{more}\n")
    (tmp_path / "key").write_text("k")
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(ConfigError) as caught:
        Config.from_file(path).validate()
    assert [(one.path, one.problem) for one in caught.value.faults] == [(key, problem)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("true", "true"),
        ("1979-05-27", "1979-05-27"),
        ("1979-05-27T07:32:00Z", "1979-05-27T07:32:00+00:00"),
        ("[1]", "a list"),
        ("{a = 1}", "a table"),
    ],
)
def test_wrong_value_is_shown_as_it_was_written(tmp_path, text, shown):
    path = tmp_path / "edge.toml"
    path.write_text(f"[health]\nport = {text}\n")
    with pytest.raises(ConfigError, match=re.escape(f"port: {shown} is not a whole number")):
        Config.from_file(path)


def test_value_that_another_setting_gives_says_so():
    mapping = {"value_path": "v", "url": "http://127.0.0.1/"}
    device = {"name": "a", "ingest_type": "http_poll", **mapping}
    config = Config({"sensors": {"on_error": "skip", "devices": [device]}})
    assert config.get("sensors", "devices")[0]["on_error"] == "skip"
    assert str(config.origin("sensors.devices[0].on_error")) == "setting sensors.on_error"
    own = Config({"sensors": {"devices": [{**device, "on_error": "zero"}]}})
    assert str(own.origin("sensors.devices[0].on_error")) == "file"


def test_storage_path_is_another_programs_database(write_config, tmp_path):
    connection = sqlite3.connect(tmp_path / "edge.db")
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = (tmp_path / "edge.db").read_bytes()
    line = starts_not(write_config())
    assert line == f"{tmp_path}/edge.db: is a database of another program; check storage.path"
    assert (tmp_path / "edge.db").read_bytes() == before


def test_storage_path_is_no_database(write_config, tmp_path):
    (tmp_path / "edge.db").write_text("some notes, quite long enough to be read as a header " * 9)
    line = starts_not(write_config())
    assert line == f"{tmp_path}/edge.db: file is not a database; check storage.path"


def test_store_of_a_later_version(write_config, tmp_path):
    connection = sqlite3.connect(tmp_path / "edge.db")
    connection.execute("CREATE TABLE meta (x)")
    connection.execute(f"PRAGMA application_id = {0x50595645}")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    line = starts_not(write_config())
    assert f"has schema 99, this program knows {SCHEMA_VERSION}; use a newer one" in line


def test_two_kinds_of_boards_may_be_told_apart_by_their_serial_numbers(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(
        SERIAL.format("a", "usb:2e8a:5:E1")
        + SERIAL.format("b", "usb:2e8a:5:E2")
        + SERIAL.format("c", "/dev/x")
    )
    devices = Config.from_file(path).get("sensors", "devices")
    assert [device["port"] for device in devices] == ["usb:2e8a:5:E1", "usb:2e8a:5:E2", "/dev/x"]
    assert devices[0] == {
        "name": "a",
        "ingest_type": "serial",
        "sensor_type": "",
        "unit": "",
        "silent_after_seconds": 0.0,
        "port": "usb:2e8a:5:E1",
        "baudrate": 115200,
        "dtr": True,
        "rts": True,
        "device_id": "",
        "accept_new": False,
        "settings_file": "",
        "link_key_file": "",
    }
    assert Config.from_file(path).folder == tmp_path


# -- sinks and policies ------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "values", "problem"),
    [
        ("sinks", {"mqttt": {}}, "sinks.mqttt: is not a setting; did you mean mqtt?"),
        ("sinks", [], "sinks: must hold tables ([sinks.NAME]), not a list"),
        ("sinks", {"mqtt": {"port": 0}}, "sinks.mqtt.port: 0 is not a whole number in 1..65535"),
        (
            "sinks",
            {"mqtt": {"enabled": True, "topic_prefix": "a/#"}},
            "sinks.mqtt.topic_prefix: must not be empty, nor have + or # in it",
        ),
        (
            "sinks",
            {"mqtt": {"enabled": True, "mode": "batch", "discovery_prefix": "ha"}},
            "sinks.mqtt.discovery_prefix: needs mode = ",
        ),
        (
            "sinks",
            {"influxdb": {"enabled": True, "org": "o", "bucket": "b"}},
            "sinks.influxdb.token: must be given for version 2",
        ),
        (
            "sinks",
            {"influxdb": {"enabled": True, "version": "1"}},
            "sinks.influxdb.database: must be given for version 1",
        ),
        (
            "sinks",
            {"influxdb": {"enabled": True, "version": 1}},
            "sinks.influxdb.database: must be given for version 1",
        ),
        (
            "sinks",
            {"influxdb": {"enabled": True, "version": 3}},
            "sinks.influxdb.version: 3 is not one of 1, 2",
        ),
        (
            "sinks",
            {"nats": {"enabled": True, "servers": "localhost"}},
            "sinks.nats.servers: must be URLs, nats://HOST:PORT or tls://HOST:PORT",
        ),
        (
            "policies",
            {"channels": [{"match": "a.*", "class": "huge"}]},
            "policies.channels[0].class: 'huge' is not one of event, telemetry, bulk",
        ),
        ("policies", {"channels": [{}]}, "policies.channels[0].match: is missing"),
        ("policies", {"channels": [{"match": "["}]}, "policies.channels[0].match: '[' is not a"),
        (
            "policies",
            {"channels": [{"match": "a", "sync": ["all"]}]},
            "policies.channels[0].sync: must be a list of raw, summary, events; [] for nothing",
        ),
        (
            "policies",
            {"channels": [{"match": "a", "keep_days": -1}]},
            "policies.channels[0].keep_days: must be a number in 0..36500",
        ),
        (
            "policies",
            {"channels": [{"match": "a", "keep": 1}]},
            "policies.channels[0].keep: is not a setting; did you mean keep_days?",
        ),
        ("storage", {"low_water": 0.99}, "storage.low_water: must be below storage.high_water"),
        ("storage", {"max_mb": 1.0}, "storage.max_mb: must be 0 or at least 2"),
    ],
)
def test_fault_in_sinks_and_policies_is_named(section, values, problem):
    with pytest.raises(ConfigError) as caught:
        Config({section: values})
    (line,) = caught.value.problems
    assert line.startswith(f"defaults: {problem}")


def test_secrets_of_sinks_are_not_repeated():
    secrets = {"mqtt": {"password": 5}, "nats": {"token": 5}, "influxdb": {"token": 5}}
    with pytest.raises(ConfigError) as caught:
        Config({"sinks": secrets})
    assert all("the value is not a text" in line for line in caught.value.problems)
