"""What is wrong between settings, what is doubtful, and what lies outside of the file."""

import pytest
from host.refusals import refusals
from pyv_edge_agent.config import Config
from pyv_edge_agent.config.relation import check_listeners, listeners
from pyv_edge_agent.errors import ConfigError
from pyv_edge_agent.sizing import READING_SIZE

SIMULATED = {"name": "t1", "ingest_type": "simulator"}
MQTT = {"name": "m", "ingest_type": "mqtt", "topic": "a/#"}
CLOUD = {"enabled": True, "endpoint": "https://example.com/in"}
ALL = {"pattern": "*", "action": "allow"}


def faults(**sections):
    """Return path and problem of each fault of `sections`."""
    with pytest.raises(ConfigError) as refused:
        Config(sections, environment={})
    return [(fault.path, fault.problem) for fault in refused.value.faults]


def sink(name, **values):
    return {"sinks": {name: {"enabled": True, **values}}}


@pytest.mark.parametrize(
    ("sections", "path", "problem"),
    [
        (
            {"cloud": {"retry_base_seconds": 5, "retry_max_seconds": 4}},
            "cloud.retry_base_seconds",
            "is greater than cloud.retry_max_seconds; lower it",
        ),
        (
            {"cloud": {**CLOUD, "key_file": "k"}},
            "cloud.key_file",
            "needs the certificate, cert_file",
        ),
        (
            sink("mqtt", key_file="k", tls=True),
            "sinks.mqtt.key_file",
            "needs the certificate, cert_file",
        ),
        (sink("mqtt", ca_file="c"), "sinks.mqtt.ca_file", "needs tls = true"),
        (
            {"sensors": {"devices": [{**MQTT, "cert_file": "c"}]}},
            "sensors.devices[0].cert_file",
            "needs tls = true",
        ),
        (
            sink("nats", key_file="k"),
            "sinks.nats.key_file",
            "needs the certificate, cert_file",
        ),
        (
            sink("mqtt", password="p"),
            "sinks.mqtt.password",
            "needs a username",
        ),
        (
            sink("influxdb", version="1", database="d", password="p"),
            "sinks.influxdb.password",
            "needs a username",
        ),
        (
            {"sensors": {"devices": [{**MQTT, "password": "p", "host": "h"}]}},
            "sensors.devices[0].password",
            "needs a username",
        ),
        (
            sink("nats", username="u", password="p", token="t"),
            "sinks.nats.token",
            "username and token each say who we are; keep one",
        ),
        (
            sink("nats", creds_file="c", token="t"),
            "sinks.nats.creds_file",
            "token and creds_file each say who we are; keep one",
        ),
        (
            {"storage": {"max_mb": 100, "keep_mb": 200}},
            "storage.keep_mb",
            "is greater than storage.max_mb; lower it",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_a_fault(sections, path, problem):
    assert faults(**sections) == [(path, problem)]


@pytest.mark.parametrize(
    "sections",
    [
        {"cloud": {"retry_base_seconds": 5, "retry_max_seconds": 5}},
        {"cloud": {"retry_max_seconds": 0.1}},  # retry_base_seconds is its default
        {"cloud": {"key_file": "k"}},
        {"sinks": {"mqtt": {"password": "p"}, "nats": {"token": "t", "creds_file": "c"}}},
        {"storage": {"max_mb": 10}},  # keep_mb is its default
        {"storage": {"max_mb": 200, "keep_mb": 200}},
        {"storage": {"max_mb": 0, "keep_mb": 200}},
    ],
)
def test_what_goes_together_or_is_not_enabled_is_none(sections):
    config = Config(sections, environment={})
    assert Config(config.to_dict(), environment={}).to_dict() == config.to_dict()


def test_fault_that_follows_from_another_is_not_told():
    """A setting that is wrong, or was mistyped, has its default, which says nothing."""
    assert [path for path, _ in faults(cloud={"enabled": True, "endpoint": 5})] == [
        "cloud.endpoint"
    ]
    assert [path for path, _ in faults(cloud={"enabled": True, "endpiont": "http://h"})] == [
        "cloud.endpiont"
    ]
    device = {"name": "a", "ingest_type": "serial", "prot": "/dev/x"}
    assert faults(sensors={"devices": [device]}) == [
        ("sensors.devices[0].prot", "is not a setting; did you mean port?")
    ]


# -- what listens ------------------------------------------------------------------------


def test_health_listens_if_it_is_enabled():
    assert listeners(Config().to_dict()) == [("health.port", "127.0.0.1", 8080)]
    assert listeners(Config({"health": {"enabled": False}}).to_dict()) == []


@pytest.mark.parametrize(
    ("one", "other", "is_fault"),
    [
        (("127.0.0.1", 80), ("127.0.0.1", 80), True),
        (("127.0.0.1", 80), ("127.0.0.1", 81), False),
        (("127.0.0.1", 80), ("192.168.1.5", 80), False),
        (("127.0.0.1", 80), ("0.0.0.0", 80), True),
        (("::", 80), ("192.168.1.5", 80), True),
        (("localhost", 80), ("127.0.0.1", 80), True),
        (("127.0.0.1", 0), ("127.0.0.1", 0), False),  # any free one
    ],
)
def test_two_can_not_listen_on_one_port(one, other, is_fault):
    found = []
    check_listeners(lambda *fault: found.append(fault), [("a.port", *one), ("b.port", *other)])
    assert found == ([("b.port", "80 is a.port too; choose another")] if is_fault else [])


# -- what is doubtful --------------------------------------------------------------------


def doubts(devices=(SIMULATED,), **sections):
    config = Config({"sensors": {"devices": list(devices)}, **sections}, environment={})
    assert config.warnings == [str(doubt) for doubt in config.doubts]
    return [(doubt.path, doubt.problem) for doubt in config.doubts]


def serial(**lines):
    return {"name": "b", "ingest_type": "serial", "port": "/dev/x", **lines}


@pytest.mark.parametrize(
    ("sections", "path", "part"),
    [
        ({"cloud": {"endpoint": "https://h"}}, "cloud", "is described but not enabled"),
        ({"sinks": {"mqtt": {"host": "h"}}}, "sinks.mqtt", "is described but not enabled"),
        (
            {"health": {"host": "0.0.0.0", "token": "sixteen letters!"}},
            "health.host",
            "others on that network can",
        ),
        (
            {"cloud": {"enabled": True, "endpoint": "http://h/in", "api_key": "k"}},
            "cloud.endpoint",
            "sends api_key unencrypted",
        ),
        (sink("mqtt", host="h", username="u", password="p"), "sinks.mqtt.tls", "sends password"),
        (
            sink("influxdb", url="http://h", token="t", org="o", bucket="b"),
            "sinks.influxdb.url",
            "sends token unencrypted",
        ),
        (
            {"devices": [{**MQTT, "host": "h", "username": "u", "password": "p"}]},
            "sensors.devices[0].tls",
            "sends password unencrypted",
        ),
        (
            {"privacy": {"enabled": False, "rules": [{"action": "drop"}]}},
            "privacy.enabled",
            "the rules of privacy are not in force",
        ),
        (
            {"privacy": {"hash_key": "k" * 16, "hash_key_file": "f"}},
            "privacy.hash_key_file",
            "is not used, as there is a hash_key",
        ),
        (
            {"policies": {"keep_days": 30, "summary_keep_days": 7}},
            "policies.summary_keep_days",
            "summaries go before the readings",
        ),
        (
            sink("nats", servers="tls://a:1, ws://b:1", token="t"),
            "sinks.nats.servers",
            "sends token unencrypted",
        ),
        ({"devices": [serial(dtr=False)]}, "sensors.devices[0].dtr", "differs from rts"),
        ({"health": {"port": 80}}, "health.port", "is below 1024: only root may listen there"),
        (
            {"privacy": {"enabled": True, "rules": [ALL, {"pattern": "a.*", "action": "drop"}]}},
            "privacy.rules[1]",
            "never decides: privacy.rules[0], before it, fits everything; put that one last",
        ),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(sections, path, part):
    ((found, problem),) = doubts(**sections)
    assert found == path
    assert part in problem


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"cloud": {"enabled": False, "endpoint": "https://h"}},
        {"cloud": {"retry_max_seconds": 60}},
        {"cloud": {"enabled": True, "endpoint": "https://h", "api_key": "k"}},
        {"cloud": {"enabled": True, "endpoint": "http://127.0.0.1:9/in", "api_key": "k"}},
        {"cloud": {"enabled": True, "endpoint": "http://h", "hmac_key": "k"}},
        {"devices": [{**MQTT, "host": "h", "username": "u", "password": "p", "tls": True}]},
        sink("mqtt", host="h", username="u", password="p", tls=True),
        {"health": {"enabled": False, "host": "0.0.0.0"}},
        {"policies": {"keep_days": 7, "summary_keep_days": 30}},
        {"policies": {"keep_days": 7}},
        {"privacy": {"enabled": True, "rules": [{**ALL, "device": "d"}, ALL]}},
        {"privacy": {"enabled": True, "rules": [ALL, {"key": "gps.*", "action": "drop"}]}},
        {"health": {"port": 0}},
        {"devices": [serial(dtr=False, rts=False)]},
        sink("nats", servers="nats://[::1,ws://127.0.0.1:1", token="t"),
    ],
)
def test_what_is_meant_is_no_warning(sections):
    assert doubts(**sections) == []


def test_file_without_devices_is_a_warning(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text("[health]\nport = 0\n")
    (line,) = Config.from_file(path).warnings
    assert line.startswith(f"{path}: sensors: there are no devices")
    assert doubts(devices=()) == []  # who gives values has other ways to add devices


def test_what_is_polled_and_kept_for_longer_than_there_is_room():
    """Two devices, at 1/s and 10/s, for 30 and 10 days: 30 bytes each time."""
    devices = [
        {**SIMULATED, "interval_seconds": 1},
        {**SIMULATED, "name": "t2", "interval_seconds": 0.1},
        serial(),
        {"name": "f", "ingest_type": "file", "path": "f.csv", "interval_seconds": 0.01},
    ]
    policies = {"keep_days": 30, "channels": [{"match": "t2", "keep_days": 10}]}
    size = round((30 * 86400 + 10 * 864000) * READING_SIZE / 2**20)
    storage = {"max_mb": size - 1}
    ((path, problem),) = doubts(devices, policies=policies, storage=storage)
    assert path == "storage.max_mb"
    assert problem.startswith(f"is {size - 1}, less than the {size} that 2 polled devices take")
    assert doubts(devices, policies=policies, storage={"max_mb": size + 1}) == []
    assert doubts(devices, policies=policies) == []
    assert doubts(devices, storage={"max_mb": 2}) == []  # kept as long as there is room


# -- what lies outside ---------------------------------------------------------------------


def test_files_that_are_named_must_be_there(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(
        "[cloud]\nenabled = true\nendpoint = 'https://h'\nca_file = 'ca.pem'\n"
        "[sinks.nats]\nenabled = true\ncreds_file = '/'\ncert_file = '${CERT}'\n"
        "[sinks.mqtt]\nenabled = false\nca_file = 'none.pem'\n"
        "[[sensors.devices]]\nname = 'a'\ningest_type = 'serial'\nport = '/dev/x'\n"
        "link_key_file = 'a.key'\nsettings_file = 'a.json'\n"
    )
    (tmp_path / "a.key").write_text("")
    config = Config.from_file(path, {"CERT": "hunter2"})
    with pytest.raises(ConfigError) as refused:
        config.validate()
    missing = "can't be read: No such file or directory; put the file there"
    assert refused.value.problems == [
        f"{path}:4: cloud.ca_file: {tmp_path}/ca.pem {missing}",
        f"{path}:7: sinks.nats.creds_file: / can't be read: Is a directory; put the file there",
        f"{path}:8: sinks.nats.cert_file: what CERT names {missing}",
        f"{path}:17: sensors.devices[0].settings_file: {tmp_path}/a.json {missing}",
    ]


def test_path_that_is_none_is_a_fault_of_its_file():
    config = Config({"cloud": {**CLOUD, "ca_file": "a" * 5000}})
    with pytest.raises(ConfigError, match=r"cloud\.ca_file: .* can't be read: File name too long"):
        config.validate()


def test_validate_looks_at_the_values_as_they_stand(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text("# nothing\n[health]\nport = 1\n[cloud]\napi_key = '${A}'\n")
    config = Config.from_file(path, {"A": "${B}"})
    config.validate()  # what came out of a variable is not looked at again
    config._values["health"]["port"] = -1
    with pytest.raises(ConfigError, match=r":3: health\.port: -1 is not a whole number in 0\.\."):
        config.validate()


def test_agent_tells_what_is_doubtful(agents, write_config, log):
    agent = agents(write_config(policies={"keep_days": 30, "summary_keep_days": 7}))
    agent.start()
    (line,) = log.having("policies.summary_keep_days")
    assert line.startswith(f"{agent._config_path}:1: policies.summary_keep_days: is less than")
    agent.reload_config()
    assert len(log.having("policies.summary_keep_days")) == 2


def test_agent_starts_and_reloads_with_files_that_are_there(agents, write_config):
    agent = agents(write_config())
    agent.start()
    write_config(cloud={**CLOUD, "ca_file": "ca.pem"})
    with pytest.raises(ConfigError, match=r"cloud\.ca_file: .*ca\.pem can't be read"):
        agent.reload_config()
    assert agent._config.get("cloud", "enabled") is False
    agent.stop()
    with pytest.raises(ConfigError, match=r"cloud\.ca_file: .*ca\.pem can't be read"):
        agent.start()


# -- the file --------------------------------------------------------------------------------


def test_file_that_is_too_large_or_has_too_long_a_line_is_refused(tmp_path):
    path = tmp_path / "edge.toml"
    assert refusals(path, "#" * 262_145) == [
        "has more than 256 KiB; no configuration needs so much"
    ]
    assert refusals(path, "\na = '" + "x" * 4096 + "'\n") == ["2: has more than 4096 characters"]
    path.write_text("# " + "x" * 4090 + "\n" + "# x\n" * 60_000)
    assert Config.from_file(path).get("rules") == []


def test_byte_order_mark_is_none_of_its_characters(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_bytes(b"\xef\xbb\xbf[health]\r\nport = 9\r\n")
    assert Config.from_file(path).get("health", "port") == 9


def test_what_stands_twice_in_json_is_a_fault(tmp_path):
    text = '{"health": {"port": 1},\n "health": {"port": 2}}'
    assert refusals(tmp_path / "a.json", text) == [
        "2: health: stands twice; join the two, or leave one out"
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[cloud]\n[health]\n[cloud]\n", "3: cloud: stands twice"),
        ("[sinks.mqtt]\n[sinks.mqtt]\n", "2: sinks.mqtt: stands twice"),
        ("[cloud]\nbatch_size = 1\nbatch_size = 2\n", "3: batch_size: stands twice"),
        ("['a b']\n['a b']\n", "2: 'a b': stands twice"),
    ],
)
def test_what_stands_twice_in_toml_is_a_fault(tmp_path, text, line):
    assert refusals(tmp_path / "a.toml", text) == [f"{line}; join the two, or leave one out"]


def test_json_that_python_does_not_read_is_said_in_our_words(tmp_path):
    assert refusals(tmp_path / "a.json", "[" * 100_000) == ["is not JSON: it has too many levels"]
    assert refusals(tmp_path / "a.json", '{"a":\n' + "1" * 5000 + "}") == [
        "2: is not JSON: has a number of more than 4300 digits"
    ]


def test_what_is_too_deep_or_too_great_is_refused_at_once(tmp_path):
    deep = "[" * 20 + "]" * 20
    assert refusals(tmp_path / "a.toml", f"[privacy]\ndrop_fields = {deep}\n") == [
        f"2: privacy.drop_fields{'[0]' * 14}: has too many levels; nothing here needs 16"
    ]
    assert refusals(tmp_path / "a.toml", "a." * 100 + "a = 1") == [
        f"1: {'.'.join('a' * 16)}: has too many levels; nothing here needs 16"
    ]
    huge = f"[[rules]]\nname = 'r'\nabove = 0x{'F' * 4000}\n"
    assert refusals(tmp_path / "a.toml", huge) == [
        "3: rules[0].above: the value has more than 64 bits"
    ]


def test_number_that_is_too_great_hides_no_other_fault(tmp_path):
    text = f"[health]\nport = {2**64}\nhsot = 'a'\n[cloud]\nbatch_size = 0\n"
    assert refusals(tmp_path / "a.toml", text) == [
        "2: health.port: the value has more than 64 bits",
        "3: health.hsot: is not a setting; did you mean host?",
        "5: cloud.batch_size: 0 is not a whole number in 1..10000",
    ]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "must not be empty"),
        ("n" * 65, "has 65 characters; at most 64"),
        ("a*", "has a *, which means something else in patterns; leave it out"),
        ("a[0]", "has a [, which means something else in patterns; leave it out"),
    ],
)
def test_name_that_no_pattern_could_have(tmp_path, name, problem):
    text = f"[[sensors.devices]]\nname = '{name}'\ningest_type = 'simulator'\n"
    assert refusals(tmp_path / "a.toml", text) == [f"2: sensors.devices[0].name: {problem}"]


def test_empty_file_is_warned_of(tmp_path):
    path = tmp_path / "a.toml"
    path.touch()
    (warning,) = Config.from_file(path).warnings
    assert "there are no devices" in warning


def test_faults_are_not_without_end(tmp_path):
    lines = refusals(tmp_path / "a.toml", "".join(f"a{index} = 1\n" for index in range(1000)))
    assert len(lines) == 201
    assert lines[0].startswith("1: a0: is not a setting; known here: ")
    assert lines[-1] == "there are 800 more; mend these first"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1 b", "1: is not TOML: Expected newline or end of document after a statement,"),
        (
            "[health]\nhost = localhost\n",
            "2: is not TOML: Invalid value, column 8; texts stand in",
        ),
        ("a = [\n\n1\n\n\n", "3: is not TOML: Unclosed array, at the end"),
        ("a = '''\n", "1: is not TOML: Expected \"'''\", at the end"),
    ],
)
def test_syntax_has_its_line(tmp_path, text, line):
    (found,) = refusals(tmp_path / "a.toml", text)
    assert found.startswith(line)


def test_keys_are_shown_on_one_line(tmp_path):
    lines = refusals(
        tmp_path / "a.toml", '"a\\nb" = 1\n"' + "x" * 300 + '" = 1\n[health]\n"\\u00e9" = 1'
    )
    assert [line.split(": ")[:2] for line in lines] == [
        ["1", "'a\\nb'"],
        ["2", f"'{'x' * 59}..."],
        ["4", "health.'é'"],
    ]
