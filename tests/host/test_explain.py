"""privacy explain: what it says of a sensor is what the pipeline and the sinks do."""

import json

import pytest
from host.command import run_host
from host.test_egress import BOOT, HASH, Rig, policy
from pyv_edge_agent import exit_status
from pyv_edge_agent.cli.explanation import SENT, STORED, Explainer
from pyv_edge_agent.config import Config
from pyv_edge_core.privacy_rule import ACTIONS

SECRET = "0123456789abcdef"
RULES = [
    {"name": "no pictures", "pattern": "camera.*", "action": "drop"},
    {"name": "rough air", "pattern": "*.co2", "action": "quantize", "step": 50},
    {"key": "badge", "action": "mask"},
    {"name": "who", "device": "hall", "action": "hash"},
    {"key": "gps.lat", "action": "drop"},
]


def explain(names, keys=(), rules=RULES, **sections):
    config = Config({"privacy": {"rules": rules, "hash_key": SECRET}, **sections})
    return Explainer.of(config).sensor(names, list(keys))


def test_every_action_has_words():
    assert set(STORED) == set(SENT) == set(ACTIONS)


def test_the_rule_that_decides_and_those_before_it():
    found = explain(("hall", "co2", "hall.co2"))
    assert (found["action"], found["rule"]) == ("quantize", "rough air")
    assert found["do_not_fit"] == ["no pictures"]
    found = explain(("hall", "light", "hall.light"))
    assert (found["action"], found["rule"]) == ("hash", "who")
    assert found["do_not_fit"] == ["no pictures", "rough air"]
    found = explain(("lab", "light", "lab.light"))
    assert (found["action"], found["rule"]) == ("allow", "default = allow")
    assert found["do_not_fit"] == ["no pictures", "rough air", "who"]


def test_keys_of_the_metadata():
    found = explain(("lab", "x", "lab.x"), ["badge", "gps.lat", "gps.alt", "gps"])
    assert [(one["key"], one["action"], one["rule"]) for one in found["metadata"]] == [
        ("badge", "mask", "mask badge"),
        ("gps", "allow", "default"),
        ("gps.alt", "allow", "default"),
        ("gps.lat", "drop", "drop gps.lat"),
    ]


def test_a_policy_that_is_off_or_strict():
    off = Config({"privacy": {"enabled": False, "rules": RULES, "hash_key": SECRET}})
    found = Explainer.of(off).sensor(("camera", "a", "camera.a"), [])
    assert (found["action"], found["rule"], found["do_not_fit"]) == (
        *("allow", "enabled = false", []),
    )
    strict = Config({"privacy": {"default": "deny"}})
    found = Explainer.of(strict).sensor(("camera", "a", "camera.a"), [])
    assert (found["action"], found["rule"]) == ("drop", "default = deny")


def test_each_sink_that_is_enabled_is_told_of():
    sections = {
        "cloud": {"enabled": True, "endpoint": "https://example.com"},
        "sinks": {"mqtt": {"enabled": True}, "nats": {}},
        "policies": {"channels": [{"match": "*.fast", "sync": ["summary"]}]},
    }
    found = explain(("lab", "light", "lab.light"), **sections)
    assert found["sent"] == {"http": "as it is", "mqtt": "as it is"}
    found = explain(("lab", "fast", "lab.fast"), **sections)
    assert found["sent"]["http"] == "as it is; by policies.channels only summary"
    found = explain(("camera", "a", "camera.a"), **sections)
    assert found["sent"]["mqtt"] == "nothing"
    assert explain(("lab", "light", "lab.light"))["sent"] == {}


def test_what_a_board_does_is_told_as_far_as_it_is_known(tmp_path):
    (tmp_path / "north.json").write_text(
        json.dumps(
            {
                "device_id": "n-17",
                "privacy": {"rules": [{"pattern": "n-17.presence", "action": "local_only"}]},
            }
        )
    )
    (tmp_path / "bad.json").write_text("{")

    def serial(name, **more):
        return {"name": name, "ingest_type": "serial", "port": f"/dev/{name}", **more}

    (tmp_path / "edge.json").write_text(
        json.dumps(
            {
                "sensors": {
                    "devices": [
                        serial("north", settings_file="north.json"),
                        serial("south"),
                        serial("bad", settings_file="bad.json"),
                        {"name": "t1", "ingest_type": "simulator"},
                    ]
                }
            }
        )
    )
    explainer = Explainer.of(Config.from_file(tmp_path / "edge.json"))

    def board(device, channel):
        return explainer.sensor((device, channel, f"{device}.{channel}"), [])["board"]

    assert board("north", "presence") == "local_only: local_only n-17.presence"
    assert board("north", "light") == "allow: default"
    assert "is not known here" in board("south", "light")
    assert "bad.json: can't be read: " in board("bad", "light")
    assert board("t1", "t1") == "there is none"
    assert board("nobody", "x") == "no such device is configured"


@pytest.mark.parametrize("stored", [policy(), policy(HASH)])
@pytest.mark.parametrize("action", ["allow", "drop", "local_only", "mask", "aggregate_only"])
def test_what_is_said_of_a_store_is_what_a_sink_gets(tmp_path, stored, action):
    rig = Rig(tmp_path / "edge.db", policy=stored)
    rig.add(2153)
    rig.poll("t1", 47.11)
    rules = [{"pattern": "porch.temp", "action": action}]
    config = Config(
        {
            "privacy": {"rules": rules, "hash_key": SECRET},
            "cloud": {"enabled": True, "endpoint": "https://example.com"},
        }
    )
    rows = {row["sensor"]: row for row in Explainer.of(config).store(rig.store.path)}
    assert set(rows) == {
        *("porch.hum", "t1", "hall.air"),
        *("porch.temp",) * (stored.rules == ()),
        *(stored.pseudonym("porch.temp"),) * (stored.rules != ()),
    }
    worker = rig.send(policy(*rules))
    told = [
        row["sent"]["http"] for name, row in rows.items() if name not in ("porch.hum", "hall.air")
    ]
    assert sum(one.startswith("nothing") for one in told) == worker.withheld_total
    assert rows["t1"] == {
        "sensor": "t1",
        "action": "allow",
        "rule": "default = allow",
        "stored": "as it is",
        "sent": {"http": "as it is"},
    }
    rig.store.close()


def test_what_was_local_when_it_was_stored_is_told(tmp_path):
    rig = Rig(
        tmp_path / "edge.db", policy=policy({"pattern": "porch.temp", "action": "local_only"})
    )
    cloud = {"enabled": True, "endpoint": "https://example.com"}
    rows = Explainer.of(Config({"cloud": cloud})).store(rig.store.path)
    told = {row["sensor"]: row["sent"]["http"] for row in rows}
    assert told["porch.temp"] == "nothing: it was local when it was stored"
    assert told["porch.hum"] == "as it is"
    rig.store.close()


# -- the command -----------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path):
    rig = Rig(tmp_path / "edge.db")
    rig.store.close()
    (tmp_path / "edge_config.toml").write_text(
        '[storage]\npath = "edge.db"\n'
        '[[privacy.rules]]\nname = "who"\npattern = "hall.*"\naction = "hash"\n'
    )
    return tmp_path


def test_command_for_one_sensor(site):
    done = run_host("privacy", "explain", "hall.co2", "--metadata", "badge", cwd=site)
    assert done.returncode == exit_status.DONE
    assert done.stdout.splitlines() == [
        "hall.co2 (device hall, channel co2): hash, by who",
        "on a board: no such device is configured",
        "stored here: under a pseudonym",
        "sent to nobody: no sink is enabled",
        "metadata badge: allow, by default",
    ]
    done = run_host(
        *("privacy", "explain", "x", "--device", "hall", "--channel", "c", "--json"), cwd=site
    )
    told = json.loads(done.stdout)
    assert (told["device"], told["channel"], told["action"]) == ("hall", "c", "allow")
    assert told["do_not_fit"] == ["who"]


def test_pseudonym_is_told_to_who_asks_for_it_at_the_machine(site):
    done = run_host("privacy", "explain", "hall.co2", "--local", "--json", cwd=site)
    assert "privacy.key is not there" in json.loads(done.stdout)["pseudonym"]
    assert not (site / "data").exists()
    (site / "data").mkdir()
    (site / "data" / "privacy.key").write_bytes(b"k" * 32)
    done = run_host("privacy", "explain", "hall.co2", "--local", cwd=site)
    assert done.stdout.splitlines()[-1] == f"its pseudonym: {policy().pseudonym('hall.co2')}"
    done = run_host("privacy", "explain", "hall.co2", cwd=site)
    assert policy().pseudonym("hall.co2") not in done.stdout


def test_command_for_every_channel(site):
    done = run_host("privacy", "explain", cwd=site)
    assert done.returncode == exit_status.DONE
    lines = done.stdout.splitlines()
    assert lines[0] == "porch.temp  allow, by default = allow"
    assert "hall.air    hash, by who" in lines
    done = run_host("privacy", "explain", "--json", "--db", "edge.db", cwd=site)
    assert len(json.loads(done.stdout)["channels"]) == 4
    assert f"{BOOT:08x}" not in done.stdout


@pytest.mark.parametrize(
    ("args", "status", "problem"),
    [
        (("--device", "x"), exit_status.USAGE, "SENSOR: is missing"),
        (("--db", "no.db"), exit_status.REFUSED, "no.db: there is no store"),
        (("a", "--config", "no.toml"), exit_status.USAGE, "no.toml: no such config file"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(site, args, status, problem):
    done = run_host("privacy", "explain", *args, cwd=site)
    assert (done.returncode, done.stdout) == (status, "")
    assert problem in done.stderr.splitlines()[-1]
