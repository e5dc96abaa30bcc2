"""Where secrets come from, where each value comes from, and that no secret is ever told."""

import os

import pytest
from host.refusals import refusals
from pyv_edge_agent.config import Config
from pyv_edge_agent.config.origin import (
    CREDENTIAL,
    DEFAULT,
    ENVIRONMENT,
    FILE,
    SECRET_FILE,
    Origin,
)
from pyv_edge_agent.config.shown import entries

SECRET = "hunter2-hunter2-hunter2"
DEVICE = "[[sensors.devices]]\nname = 'a'\ningest_type = 'simulator'\n"
CLOUD = "[cloud]\nenabled = true\nendpoint = 'https://example.com/in'\n"


@pytest.fixture
def load(tmp_path):
    """Return a function that loads a file of a text; variables are its other arguments."""

    def load(text, **environment):
        path = tmp_path / "edge.toml"
        path.write_text(f"{text}\n{DEVICE}")
        path.chmod(0o600)
        return Config.from_file(path, environment)

    return load


@pytest.fixture
def refused(tmp_path):
    def refused(text, **environment):
        lines = refusals(tmp_path / "edge.toml", text, environment=environment)
        assert SECRET not in "\n".join(lines)
        return lines

    return refused


def secret_file(path, content=SECRET + "\n", mode=0o600):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


# -- files -----------------------------------------------------------------------------


def test_secret_is_the_first_line_of_a_file_beside_the_configuration(load, tmp_path):
    secret_file(tmp_path / "cloud.key", f"  {SECRET}\t\r\nand a remark\n")
    config = load(CLOUD + "api_key_file = 'cloud.key'\n")
    assert config.get("cloud", "api_key") == SECRET
    assert "api_key_file" not in config.get("cloud")
    assert config.origin("cloud.api_key") == Origin(SECRET_FILE, "cloud.key", 4)
    assert str(config.origin("cloud.api_key")) == "secret file cloud.key, line 4"
    assert config.doubts == []


def test_every_secret_may_be_in_a_file(load, tmp_path):
    secret_file(tmp_path / "s")
    config = load(
        CLOUD + "hmac_key_file = '${WHERE}'\n"
        "[sinks.mqtt]\nenabled = true\nusername = 'u'\npassword_file = 's'\ntls = true\n"
        "[sinks.influxdb]\nenabled = true\norg = 'o'\nbucket = 'b'\ntoken_file = 's'\n",
        WHERE=str(tmp_path / "s"),
    )
    assert config.get("cloud", "hmac_key") == SECRET
    assert config.get("sinks", "mqtt", "password") == SECRET
    assert config.get("sinks", "influxdb", "token") == SECRET


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "can't be read: No such file or directory; write the secret into it"),
        (b"", "has an empty first line; write the secret into it"),
        (b"\n" + SECRET.encode(), "has an empty first line; write the secret into it"),
        (SECRET.encode() * 200, "has more than 4096 bytes; a secret is one line"),
        (SECRET.encode() + b"\xff", "is not UTF-8; write a line of text into it"),
        (SECRET.encode() + b"\x01x", "has a control character in its first line; write a line"),
    ],
)
def test_file_that_holds_no_secret_is_named(refused, tmp_path, content, problem):
    if content is not None:
        secret_file(tmp_path / "cloud.key", content)
    (line,) = refused(CLOUD + "api_key_file = 'cloud.key'\n")
    assert line.startswith(f"4: cloud.api_key_file: cloud.key {problem}")


def test_secret_that_was_put_where_its_files_name_belongs_is_not_repeated(refused):
    (line,) = refused(CLOUD + "api_key_file = '${KEY}'\n", KEY=SECRET)
    assert line.startswith("4: cloud.api_key_file: ${KEY} can't be read: ")


def test_secret_is_given_once(refused, tmp_path):
    secret_file(tmp_path / "cloud.key")
    (line,) = refused(CLOUD + f"api_key = '{SECRET}'\napi_key_file = 'cloud.key'\n")
    assert line == "5: cloud.api_key_file: api_key is given too; leave one out"
    lines = refused(CLOUD + "api_key = 5\napi_key_file = 'cloud.key'\n")
    assert [line.split(": ")[1] for line in lines] == ["cloud.api_key", "cloud.api_key_file"]


def test_file_of_a_secret_must_be_a_text_and_may_be_empty(refused, load):
    assert refused(CLOUD + "api_key_file = 5\n") == ["4: cloud.api_key_file: 5 is not a text"]
    assert load(CLOUD + "api_key_file = ''\n").get("cloud", "api_key") == ""


def test_what_is_not_enabled_needs_no_secret(load):
    config = load("[cloud]\nenabled = false\napi_key_file = 'cloud.key'\n")
    assert config.get("cloud", "api_key") == ""
    config.validate()


@pytest.mark.parametrize(("mode", "is_open"), [(0o600, False), (0o640, True), (0o604, True)])
def test_file_that_others_can_read_is_a_warning(load, tmp_path, mode, is_open):
    secret_file(tmp_path / "cloud.key", mode=mode)
    config = load(CLOUD + "api_key_file = 'cloud.key'\n")
    line = f"{tmp_path}/edge.toml:4: cloud.api_key_file: cloud.key can be read by others;"
    assert config.warnings == ([f"{line} chmod 600 it"] if is_open else [])


# -- credentials of systemd --------------------------------------------------------------


def test_credential_is_called_as_the_setting(load, tmp_path):
    folder = tmp_path / "credentials"
    folder.mkdir()
    secret_file(folder / "cloud.api_key", mode=0o644)
    secret_file(folder / "privacy.hash_key", "k" * 20)
    config = load(CLOUD, CREDENTIALS_DIRECTORY=str(folder))
    assert config.get("cloud", "api_key") == SECRET
    assert config.get("privacy", "hash_key") == "k" * 20
    assert config.origin("cloud.api_key") == Origin(CREDENTIAL, "cloud.api_key")
    assert str(config.origin("cloud.api_key")) == "credential cloud.api_key"
    assert config.warnings == []  # systemd knows who may read it


def test_file_and_value_come_before_a_credential(load, tmp_path):
    secret_file(tmp_path / "cloud.api_key", "credential")
    secret_file(tmp_path / "privacy.hash_key", "short")
    secret_file(tmp_path / "own", "own")
    more = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    text = "[privacy]\nhash_key_file = 'made.key'\n" + CLOUD
    assert load(text + "api_key_file = 'own'", **more).get("cloud", "api_key") == "own"
    assert load(text + "api_key = 'value'", **more).get("cloud", "api_key") == "value"
    assert load(text + "api_key = '${NO:-}'", **more).get("cloud", "api_key") == "credential"
    assert load(text, **more).get("privacy", "hash_key") == ""


def test_credential_that_is_no_secret_is_named(refused, tmp_path):
    secret_file(tmp_path / "cloud.api_key", "")
    (line,) = refused(CLOUD, CREDENTIALS_DIRECTORY=str(tmp_path))
    assert line.startswith("1: cloud.api_key: credential cloud.api_key has an empty first line")


# -- where values come from --------------------------------------------------------------


def test_origin_of_each_value(load):
    config = load(
        "[cloud]\n# a remark\nbatch_size = '${SIZE}'\ntimeout_seconds = '${NO:-5}'\n"
        "endpoint = 'https://${A}:${B}@${A}'\n"
        "[[rules]]\nname = 'r'\nabove = '${SIZE}'\n",
        SIZE="7",
        A="a",
        B="b",
    )
    assert config.origin("cloud.batch_size") == Origin(ENVIRONMENT, "SIZE", 3)
    assert str(config.origin("cloud.batch_size")) == "environment variable SIZE, line 3"
    assert config.origin("cloud.timeout_seconds") == Origin(FILE, "", 4)
    assert str(config.origin("cloud.timeout_seconds")) == "line 4"
    assert config.origin("cloud.endpoint") == Origin(ENVIRONMENT, "A, B", 5)
    assert config.origin("rules[0].name") == Origin(FILE, "", 7)
    assert config.origin("rules[0].above") == Origin(ENVIRONMENT, "SIZE", 8)
    assert config.origin("health.port") == Origin(DEFAULT)
    assert str(config.origin("health.port")) == "default"
    with pytest.raises(KeyError):
        config.origin("health.prot")


def test_values_without_a_file_have_origins_too():
    config = Config({"health": {"port": 1}}, environment={})
    assert str(config.origin("health.port")) == "file"
    assert config.folder.as_posix() == "."


def test_environment_is_the_one_that_is_given(load, monkeypatch):
    monkeypatch.setenv("PYV_TEST_PORT", "1")
    text = "[health]\nport = '${PYV_TEST_PORT:-2}'\n"
    assert load(text).get("health", "port") == 2
    assert load(text, **os.environ).get("health", "port") == 1


# -- what is shown -------------------------------------------------------------------------


def test_no_secret_is_shown(load, tmp_path):
    secret_file(tmp_path / "s")
    config = load(
        f"[cloud]\nenabled = true\nendpoint = 'https://{SECRET}:{SECRET}@h.de:1/in?{SECRET}#"
        f"{SECRET}'\napi_key_file = 's'\nhmac_key = '{SECRET}'\n"
        f"[sinks.nats]\nservers = 'nats://{SECRET}@a:1, tls://b:2/'\ntoken = '{SECRET}'\n"
        f"[sinks.influxdb]\nurl = '{SECRET}@h'\n"
        "[[sensors.devices]]\nname = 'p'\ningest_type = 'http_poll'\nurl = 'http://h/a?b'\n"
        f"headers = {{ Authorization = '{SECRET}', b = 'c' }}\n"
    )
    shown = {entry.path: entry.value for entry in entries(config)}
    assert SECRET not in repr(shown)
    assert shown["cloud.endpoint"] == "https://h.de:1/in"
    assert shown["cloud.api_key"] == shown["cloud.hmac_key"] == "(set)"
    assert shown["sinks.nats.servers"] == "nats://a:1, tls://b:2/"
    assert shown["sinks.influxdb.url"] == "(set)"
    assert shown["sinks.mqtt.password"] == "(not set)"
    assert shown["sensors.devices[0].headers"] == "(set)"
    assert shown["sensors.devices[0].url"] == "http://h/a"
    given = {entry.path for entry in entries(config, with_defaults=False)}
    assert "cloud.api_key" in given
    assert given < set(shown)
    assert "cloud.batch_size" not in given


def test_everything_in_force_is_shown_once(load):
    config = load("[privacy]\ndrop_fields = ['a', 'b']\n[[rules]]\nname = 'r'\noutside = [1, 2]\n")
    shown = [entry.path for entry in entries(config)]
    assert len(set(shown)) == len(shown)
    assert {"privacy.drop_fields[1]", "rules[0].outside[0]", "privacy.rules"} <= set(shown)
    for section in config.to_dict():
        assert any(path.startswith(section) for path in shown)


@pytest.mark.parametrize(("value", "is_there"), [("${KEY}", False), (SECRET, True)])
def test_table_of_secrets_is_one_if_a_value_stands_there(load, value, is_there):
    config = load(
        "[[sensors.devices]]\nname = 'p'\ningest_type = 'http_poll'\nurl = 'https://h'\n"
        f"headers = {{ Authorization = '{value}' }}\n",
        KEY=SECRET,
    )
    assert config.get("sensors", "devices")[0]["headers"] == {"Authorization": SECRET}
    assert config.has_secrets is is_there


def test_secrets_in_a_file_that_everybody_can_read_are_a_warning(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(
        CLOUD.replace("example", f"u:{SECRET}@example") + f"api_key = '{SECRET}'\n"
        f"hmac_key = '${{KEY}}'\n{DEVICE}"
    )
    path.chmod(0o644)
    config = Config.from_file(path, {"KEY": SECRET})
    assert [(doubt.line, doubt.path) for doubt in config.doubts] == [
        (3, "cloud.endpoint"),
        (4, "cloud.api_key"),
    ]
    assert SECRET not in "".join(config.warnings)
    assert config.has_secrets
    path.chmod(0o640)  # a service's group may read it
    assert Config.from_file(path, {"KEY": SECRET}).warnings == []
