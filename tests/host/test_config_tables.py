"""Every setting has all there is to say of it, and the schema says the same as the loader."""

import json
import os
import re
import subprocess
import sys

import jsonschema
import pytest
from interpreter import ROOT
from pyv_edge_agent import channel_policy, settings
from pyv_edge_agent.config import Config
from pyv_edge_agent.config.schema import make_schema
from pyv_edge_agent.errors import ConfigError
from pyv_edge_agent.settings.setting import secret_files
from pyv_edge_agent.settings.table import CHANNEL, PRIVACY_LISTS, PRIVACY_RULE, RULE
from pyv_edge_core import privacy_rule, rule

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLES = {
    **settings.SECTIONS,
    **{f"sinks.{name}": keys for name, keys in settings.SINKS.items()},
    "device": settings.DEVICE,
    **{f"device.{kind}": keys for kind, keys in settings.DEVICES.items()},
}
EVERY = [
    pytest.param(key, setting, id=f"{table}.{key}")
    for table, keys in TABLES.items()
    for key, setting in keys.items()
]
# Numbers that count or measure nothing.
WITHOUT_UNIT = {"port", "seed"}


@pytest.mark.parametrize(("key", "setting"), EVERY)
def test_setting_is_described(key, setting):
    assert re.fullmatch(r"[a-zA-Z/].*[^.\s]", setting.doc), setting.doc
    if setting.kind in (int, float) and not 0 <= setting.low <= setting.high <= 1:
        assert setting.unit_of(key) or key in WITHOUT_UNIT
    if setting.is_secret:
        assert setting.kind in (str, dict)
        assert not setting.choices
        assert setting.default in ("", {}, settings.MISSING)
    assert not (setting.is_secret and setting.is_url)
    is_url = bool(re.fullmatch(r"url|endpoint|servers|\w+_url", key))
    is_url = is_url and not str(setting.default).startswith("/")  # what a listener answers at
    assert setting.is_url == is_url, "a URL is no secret text: is_url=True"
    if re.search(r"password|token|api_key|secret", key) and not key.endswith("_file"):
        assert setting.is_secret
    if setting.is_file:
        assert key.endswith("_file")


def test_every_table_has_its_sentence():
    assert list(settings.SECTION_DOCS) == list(settings.SECTIONS)
    assert list(settings.SINK_DOCS) == list(settings.SINKS)
    assert list(settings.DEVICE_DOCS) == list(settings.DEVICES)
    for docs in (settings.SECTION_DOCS, settings.SINK_DOCS, settings.DEVICE_DOCS):
        assert all(re.fullmatch(r"[A-Z].*\.", doc) for doc in docs.values())
    assert set(settings.DEVICES) >= settings.POLLED
    assert all("interval_seconds" in settings.DEVICES[kind] for kind in settings.POLLED)
    for kind, keys in settings.LISTENING.items():
        assert set(keys) <= set(settings.DEVICES[kind])


def test_secret_has_a_file_unless_that_is_a_setting():
    assert secret_files(settings.SECTIONS["cloud"]) == {
        "api_key_file": "api_key",
        "hmac_key_file": "hmac_key",
    }
    assert secret_files(settings.SECTIONS["privacy"]) == {}


def test_keys_of_the_core_are_all_described():
    assert set(RULE) == set(rule.KEYS)
    assert set(PRIVACY_RULE) == set(privacy_rule.KEYS)
    assert tuple(PRIVACY_LISTS) == privacy_rule.LISTS
    assert tuple(CHANNEL) == channel_policy.KEYS


# -- the schema ------------------------------------------------------------------------------

SCHEMA = make_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def documented():
    for name in ("README", "OPERATIONS", "PRIVACY", "RULES", "CONFIGURATION"):
        text = (ROOT / f"{name}.md").read_text()
        for index, block in enumerate(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)):
            yield pytest.param(block, id=f"{name}-{index}")


DOCUMENTED = list(documented())


def test_there_are_documented_examples():
    assert len(DOCUMENTED) >= 8


@pytest.mark.parametrize("text", DOCUMENTED)
def test_documented_example_fits(text, tmp_path):
    VALIDATOR.validate(tomllib.loads(text))
    (tmp_path / "edge.toml").write_text(text, encoding="utf-8")
    for name in re.findall(r'^\w+_file = "([\w.]+)"', text, re.MULTILINE):
        (tmp_path / name).write_text("k\n")
    environment = dict.fromkeys(re.findall(r"\$\{(\w+)", text), "k")
    assert Config.from_file(tmp_path / "edge.toml", environment)


def test_defaults_fit():
    values = Config().to_dict()
    VALIDATOR.validate(values)
    device = {"name": "a", "ingest_type": "serial", "port": "/dev/x"}
    full = Config({"sensors": {"devices": [device]}}).to_dict()
    VALIDATOR.validate(full)


@pytest.mark.parametrize(
    "values",
    [
        {"health": {"port": "${PORT:-8080}", "enabled": "${ON:-true}"}},
        {"sinks": {"mqtt": {"protocol": 5, "password_file": "p"}}},
        {"rules": {}},
        {"rules": [{"name": "r", "outside": ["1", 2.5], "for": "5m", "clear": [1.1, 2]}]},
        {"rules": [{"name": "r", "missing": 90}]},
        {"privacy": {"rules": [["camera.*", "drop"]]}},
        {"sensors": {"devices": [{"name": "a", "ingest_type": "${KIND:-simulator}"}]}},
    ],
)
def test_schema_and_loader_take(values):
    VALIDATOR.validate(values)
    assert Config(values, environment={})


@pytest.mark.parametrize(
    "values",
    [
        {"sensers": {}},
        {"cloud": {"endpiont": "http://h"}},
        {"cloud": {"enabled": 1}},
        {"cloud": {"batch_size": 0}},
        {"cloud": {"batch_size": "5"}},
        {"cloud": {"api_key": 5}},
        {"cloud": {"api_key_file": 5}},
        {"health": []},
        {"logging": {"level": "LOUD"}},
        {"sensors": {"devices": {"name": "a"}}},
        {"sensors": {"devices": [{"name": "a"}]}},
        {"sensors": {"devices": [{"name": "a", "ingest_type": "telepathy"}]}},
        {"sensors": {"devices": [{"name": "a", "ingest_type": "serial"}]}},
        {"sensors": {"devices": [{"name": "a", "ingest_type": "simulator", "port": "x"}]}},
        {"rules": [{"name": "r"}]},
        {"rules": [{"above": 1}]},
        {"rules": [{"name": "r", "above": True}]},
        {"rules": [{"name": "r", "above": 1, "severity": "bad"}]},
        {"rules": [{"name": "r", "above": 1, "severitty": "info"}]},
        {"privacy": {"rules": [{"pattern": "*"}]}},
        {"privacy": {"rules": [{"action": "forget"}]}},
        {"privacy": {"drop_fields": "x"}},
        {"policies": {"channels": [{"class": "bulk"}]}},
        {"policies": {"channels": [{"match": "a", "sync": ["all"]}]}},
        {"sinks": {"mqttt": {}}},
        {"sinks": {"mqtt": {"port": 70000}}},
    ],
)
def test_schema_and_loader_refuse(values):
    assert not VALIDATOR.is_valid(values)
    with pytest.raises(ConfigError):
        Config(values, environment={})


def test_schema_has_every_setting_and_its_sentence():
    described = json.dumps(SCHEMA)
    for keys in TABLES.values():
        for key, setting in keys.items():
            if key != "ingest_type":
                assert json.dumps(setting.described(key))[1:-1] in described, key


# -- what it costs -----------------------------------------------------------------------------


def test_loading_imports_no_more_than_it_needs(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text("[health]\nport = 0\n")
    code = (
        "import sys; from pyv_edge_agent.config import Config; Config.from_file(sys.argv[1])\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
    )
    heavy = {"requests", "psutil", "serial", "sqlite3", "paho", "nats", "ssl", "socket", "http"}
    heavy |= {"json", "difflib", "rich", "subprocess", "argparse", "random", "urllib.request"}
    assert not heavy & set(done.stdout.split())


def test_setting_that_is_a_table_holds_texts():
    setting = settings.Setting(dict, {}, "paths")
    assert setting.check({"a": "b"}, False) == {"a": "b"}
    for value in ({"a": 1}, "a", []):
        with pytest.raises(ValueError, match="is not a table"):
            setting.check(value, False)
