"""[privacy] and its secret: what is accepted, what is refused, and what nobody ever sees."""

import logging
import os
import re
import stat

import pytest
from host.fakes import UTC_MS
from host.refusals import refusals
from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import ConfigError, StartError
from pyv_edge_agent.policy import KEY_SIZE, load_key, open_policy
from pyv_edge_agent.types import SensorReading

HASHES = {"rules": [{"pattern": "secret.*", "action": "hash"}]}


def section(**given):
    return Config({"privacy": given}).get("privacy")


def faults(path, content):
    """Return the lines that a file of `content` is refused with, from the key on."""
    return [re.sub(r"^\d+: ", "", line) for line in refusals(path, content)]


# -- the secret --------------------------------------------------------------------


def test_secret_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "deep" / "privacy.key"
    before = os.umask(0)  # whatever the umask says
    try:
        key = load_key(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(bytes.fromhex(key.decode())) == KEY_SIZE
    assert load_key(path) == key
    assert list(path.parent.iterdir()) == [path]


def test_two_installations_have_different_secrets(tmp_path):
    assert load_key(tmp_path / "a") != load_key(tmp_path / "b")


def test_pseudonyms_stay_the_same_over_a_restart_and_differ_elsewhere(tmp_path):
    names = [
        open_policy(section(**HASHES), tmp_path / place).pseudonym("secret.a")
        for place in ("here", "here", "elsewhere")
    ]
    assert names[0] == names[1] != names[2]


def test_no_secret_is_made_if_nothing_hashes(tmp_path):
    open_policy(section(rules=[{"pattern": "*", "action": "mask"}]), tmp_path / "key")
    assert list(tmp_path.iterdir()) == []


def test_secret_of_the_configuration_is_used_and_no_file_made(tmp_path):
    policy = open_policy(section(**HASHES, hash_key="k" * 16), tmp_path / "key")
    assert policy.pseudonym("a") != open_policy(
        section(**HASHES, hash_key="l" * 16), tmp_path / "key"
    ).pseudonym("a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\n", b"a" * (KEY_SIZE - 1) + b"\n  "])
def test_secret_that_is_too_short_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "privacy.key"
    path.write_bytes(content)
    with pytest.raises(StartError) as refused:
        load_key(path)
    assert str(refused.value) == (
        f"privacy.hash_key_file: {path} holds less than 32 bytes;"
        " put it back from a backup, or remove it for new pseudonyms"
    )
    assert path.read_bytes() == content  # it may be all that is left of it


def test_secret_that_cannot_be_read_or_made_is_refused_in_one_line(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "folder", tmp_path / "file" / "key"):
        with pytest.raises(StartError) as refused:
            load_key(path)
        line = str(refused.value)
        assert line.startswith(f"privacy.hash_key_file: {path} can't be ")
        assert "\n" not in line


@pytest.mark.parametrize("content", [b"\xff" * KEY_SIZE, b" " + b"k" * KEY_SIZE + b"\n"])
def test_secret_may_be_any_bytes(tmp_path, content):
    path = tmp_path / "key"
    path.write_bytes(content)
    assert load_key(path) == content.strip()


def test_agent_makes_the_secret_beside_its_config_and_shows_it_nowhere(
    agents, write_config, tmp_path, log
):
    devices = [{"name": "secret.a", "ingest_type": "simulator", "noise_std": 0.0}]
    path = write_config(
        devices,
        privacy={**HASHES, "hash_key_file": "keys/privacy.key"},
        logging={"level": "DEBUG"},
    )
    for _ in range(2):
        agent = agents(path)
        agent.start()
        agent.run_once()
        agent.stop()
    key = (tmp_path / "keys" / "privacy.key").read_text().strip()
    shown = [log.whole(), repr(agent.health()), repr(vars(agent._privacy).get("rules"))]
    shown.append(repr(agent._config.to_dict()["privacy"]))
    store = b"".join(file.read_bytes() for file in tmp_path.glob("edge.db*"))
    assert all(key not in text for text in shown)
    assert key.encode() not in store
    assert stat.S_IMODE((tmp_path / "keys" / "privacy.key").stat().st_mode) == 0o600


def test_agent_with_a_spoilt_secret_does_not_start(agents, write_config, tmp_path):
    (tmp_path / "k").write_text("short")
    agent = agents(write_config(privacy={**HASHES, "hash_key_file": "k"}))
    with pytest.raises(StartError, match=r"^privacy\.hash_key_file: .* less than 32 bytes"):
        agent.start()
    assert not agent.is_running
    (tmp_path / "k").unlink()
    agent.start()
    assert agent.is_running


@pytest.mark.parametrize("key", ["hunter2", "hunter2 hunter2"])
def test_secret_that_is_too_short_in_the_configuration_is_a_fault_and_not_shown(tmp_path, key):
    content = f'[privacy]\nhash_key = "{key}"\n'
    content += '[[privacy.rules]]\npattern = "*"\naction = "hash"\n'
    (line,) = faults(tmp_path / "a.toml", content)
    assert line.startswith("privacy.hash_key: ")
    assert "at least 16 bytes" in line
    assert "hunter2" not in line


def test_secret_of_the_wrong_type_is_not_shown(tmp_path):
    (line,) = faults(tmp_path / "a.toml", "[privacy]\nhash_key = 60221023\n")
    assert line == "privacy.hash_key: the value is not a text"


# -- faults ------------------------------------------------------------------------

MANY = """
[privacy]
default = "denied"
enabled = 1
drop_fields = "x"
mask_fields = ["a.*", ""]
hash_field = ["b"]
[[privacy.rules]]
pattern = "*"
actoin = "drop"
[[privacy.rules]]
pattern = "*"
action = "quantize"
step = -1
[[privacy.rules]]
key = "gps"
action = "clamp"
[[rules]]
abov = 3
[[rules]]
name = "hot"
above = "warm"
for = "long"
[[rules]]
name = "hot"
below = 3
clear = 2
"""


def test_all_faults_of_rules_and_policy_are_reported_at_once(tmp_path):
    found = faults(tmp_path / "a.toml", MANY)
    by_key = {line.split(": ")[0]: line for line in found}
    assert sorted(by_key) == [
        "privacy.default",
        "privacy.drop_fields",
        "privacy.enabled",
        "privacy.hash_field",
        "privacy.mask_fields[1]",
        "privacy.rules[0].action",
        "privacy.rules[0].actoin",
        "privacy.rules[1].step",
        "privacy.rules[2].action",
        "rules[0]",
        "rules[0].abov",
        "rules[0].name",
        "rules[1].above",
        "rules[1].for",
        "rules[2].below",
        "rules[2].name",
    ]
    for key, hint in (
        ("privacy.hash_field", "hash_fields"),
        ("privacy.rules[0].actoin", "action"),
        ("rules[0].abov", "above"),
    ):
        assert by_key[key] == f"{key}: is not a setting; did you mean {hint}?"


@pytest.mark.parametrize("text", ["**", "a.**", "[a-z]", "a\tb", "x" * 500])
def test_pattern_is_taken_or_refused_and_never_fails_later(tmp_path, text):
    path = tmp_path / "a.json"
    import json

    path.write_text(json.dumps({"privacy": {"rules": [{"pattern": text, "action": "drop"}]}}))
    try:
        config = Config.from_file(path)
    except ConfigError as error:
        (line,) = error.problems
        assert line.startswith(f"{path}:1: privacy.rules[0].pattern: ")
        assert " is not a pattern of 1 to 64 characters" in line
    else:
        open_policy(config.get("privacy"), tmp_path / "key").evaluate(SensorReading("a", 0.0, 1.0))


# -- what is accepted --------------------------------------------------------------

DOCUMENTED = """
[privacy]
enabled = true
default = "allow"
redact_fields = ["location", "gps.*"]
mask_fields = ["operator"]
hash_fields = ["serial_number", "temp.patient_room.*"]
drop_fields = ["camera.*", "raw_audio"]
local_only = ["motion.patient_room.*"]

[[privacy.rules]]
pattern = "camera.lobby"
action = "allow"

[[privacy.rules]]
name = "coarse"
pattern = "*.temperature"
action = "quantize"
step = 0.5
"""


@pytest.fixture
def documented(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(DOCUMENTED)
    return open_policy(Config.from_file(path).get("privacy"), tmp_path / "key")


def reading(name, value=21.3, **metadata):
    return SensorReading(name, UTC_MS / 1000, value, "Cel", metadata)


def test_documented_forms_decide_about_sensors(documented):
    assert documented.evaluate(reading("camera.door")) is None
    assert documented.evaluate(reading("camera.lobby")) is not None  # the first fit decides
    assert documented.evaluate(reading("motion.patient_room.1")) is not None
    assert documented.release(reading("motion.patient_room.1")) is None
    hashed = documented.evaluate(reading("temp.patient_room.3b"))
    assert hashed.sensor_name == documented.pseudonym("temp.patient_room.3b")
    assert (len(hashed.sensor_name), hashed.value) == (32, 21.3)
    assert documented.evaluate(reading("hall.temperature")).value == 21.5
    assert documented.evaluate(reading("hall.humidity")) == reading("hall.humidity")


def test_documented_forms_decide_about_metadata(documented):
    given = {
        "location": "ward 3",
        "gps": {"lat": 1.5, "lon": 2.5},
        "operator": "kim",
        "serial_number": "00:1b:44",
        "raw_audio": [1, 2],
        "firmware": "1.0",
    }
    kept = documented.evaluate(reading("hall.humidity", **given)).metadata
    assert kept.pop("gps", {}) == {}
    assert kept == {
        "operator": "***",
        "serial_number": documented.pseudonym("00:1b:44"),
        "firmware": "1.0",
    }


@pytest.mark.parametrize(
    ("default", "meaning"), [("allow", "allow"), ("deny", "deny"), ("drop", "deny")]
)
def test_every_name_of_a_default(default, meaning, tmp_path):
    policy = open_policy(section(default=default), tmp_path / "key")
    assert policy.default == meaning
    assert (policy.evaluate(reading("a")) is None) == (meaning == "deny")


def test_policy_that_is_off_allows_everything_and_needs_no_secret(tmp_path):
    policy = open_policy(section(enabled=False, default="deny"), tmp_path / "key")
    given = reading("a", gps=1)
    assert policy.evaluate(given) == policy.release(given) == given
    assert list(tmp_path.iterdir()) == []


def test_variables_work_in_policies(tmp_path, monkeypatch):
    monkeypatch.setenv("PYV_TEST_ROOM", "3b")
    monkeypatch.setenv("PYV_TEST_KEY", "k" * 20)
    path = tmp_path / "a.toml"
    path.write_text(
        "[privacy]\nhash_key = '${PYV_TEST_KEY}'\ndrop_fields = ['room.${PYV_TEST_ROOM}']\n"
        "[[privacy.rules]]\npattern = 'x.${PYV_TEST_ROOM}'\naction = 'hash'\n"
    )
    config = Config.from_file(path)
    policy = open_policy(config.get("privacy"), tmp_path / "key")
    assert policy.evaluate(reading("room.3b")) is None
    assert policy.evaluate(reading("x.3b")).sensor_name == policy.pseudonym("x.3b")
    assert not (tmp_path / "key").exists()


def test_faults_never_reach_the_log_with_a_secret(tmp_path, caplog):
    with caplog.at_level(logging.DEBUG):
        faults(
            tmp_path / "a.toml",
            "[privacy]\nhash_key = 'hunter2'\nhash_fields = ['a']\ndefault = 'x'\n",
        )
    assert "hunter2" not in caplog.text
