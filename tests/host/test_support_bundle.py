"""support-bundle: what is in it, what is not, and that it is whole or not there."""

import json
import os
import sqlite3
import stat
import tarfile

import pytest
from host.bundle_rig import BOOT, VALUE, fill, forms, members, report, unpacked
from host.command import run_host
from host.doctor_rig import config_file
from host.processes import small_disk
from pyv_edge_agent.cli import bundle
from pyv_edge_agent.cli.bundle import Contents, Part
from pyv_edge_agent.cli.checks.finding import Check
from pyv_edge_agent.cli.checks.plan import Case
from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.config import Config
from pyv_edge_agent.view.redaction import SECRET, Redaction, secret_parts

SECRET_KEY = "kG7/+secret=="
DEVICES = [
    ("north-id", "porch", ["temp", "lumen"]),
    ("south-id", "cellar", ["microphone"]),
    ("east-id", "hall", ["badge"]),
]
PRIVACY = {
    "hash_key": "0123456789abcdef-privacy",
    "rules": [
        {"pattern": "cellar.*", "action": "drop", "name": "no cellar"},
        {"pattern": "*.badge", "action": "hash"},
        {"device": "porch", "channel": "lumen", "action": "local_only"},
    ],
}
ALL = {"MANIFEST", "versions.json", "doctor.json", "journal.txt", "config.json", "files.json"}
OF_STORE = {"health.json", "queue.json", "ledger.json", "audit.json", "gaps.json"}


@pytest.fixture
def path(tmp_path):
    """A configuration with something in every section, and a store under it."""
    devices = [
        {"name": alias, "ingest_type": "serial", "port": f"/dev/ttyACM{number}"}
        for number, (_, alias, _) in enumerate(DEVICES)
    ]
    devices.append(
        {
            "name": "weather",
            "ingest_type": "mqtt",
            "topic": "w/#",
            "fields": {"rain": "r", "badge": "b"},
        }
    )
    made = config_file(
        tmp_path,
        sensors={"devices": devices},
        privacy=PRIVACY,
        rules=[
            {"name": "warm porch", "sensor": "porch.temp", "above": 30},
            {"name": "noisy", "sensor": "cellar.mic*", "above": 3, "message": "noise"},
            {"name": "any", "sensor": "*", "missing": "1h"},
        ],
        policies={
            "channels": [
                {"match": "cellar.*", "class": "bulk"},
                {"match": "*.temp", "class": "event"},
            ]
        },
        cloud={
            "enabled": True,
            "endpoint": f"https://me:{'pa55word'}@cloud.example/in?token=tok123",
            "api_key": SECRET_KEY,
        },
    )
    fill(tmp_path / "data/edge_store.db", DEVICES)
    return made


def settings(found):
    return {one["path"]: one["value"] for one in json.loads(found["config.json"])}


# -- what is in it -----------------------------------------------------------------------


def test_parts_and_what_they_are(path):
    status, findings = report(DEVICES, ["all is well"])
    found = members(path, status, findings)
    assert set(found) == ALL | OF_STORE
    for name in set(found) - {"MANIFEST"}:
        assert f"\n{name:<14} " in found["MANIFEST"]
    assert "journalctl -u pyv-edge" in found["journal.txt"]
    assert json.loads(found["versions.json"])["sqlite"] == sqlite3.sqlite_version
    assert json.loads(found["ledger.json"])["balanced"] is True
    actions = [row["action"] for row in json.loads(found["audit.json"])]
    assert actions.count("command") == 3
    assert json.loads(found["files.json"]).keys() >= {str(path.parent / "data/edge_store.db")}


def test_settings_are_there_without_secrets_and_with_their_origin(path):
    rows = json.loads(members(path)["config.json"])
    found = {one["path"]: one for one in rows}
    assert found["cloud.endpoint"]["value"] == "https://cloud.example/in"
    assert found["cloud.api_key"]["value"] == "(set)"
    assert found["health.port"]["origin"].startswith("line ")
    assert found["health.host"]["origin"] == "default"


def test_names_are_told_as_sinks_are_told_them(path):
    found = members(path, *report(DEVICES, ["it"]))
    told = settings(found)
    assert told["sensors.devices[0].name"] == "porch"
    assert told["sensors.devices[1].name"] == bundle.WITHHELD
    assert told["sensors.devices[1].ingest_type"] == "serial"
    assert told["privacy.rules[0].action"] == "drop"
    assert told["privacy.rules[0].pattern"] == bundle.WITHHELD
    assert told["rules[0].sensor"] == "porch.temp"
    assert (told["rules[1].sensor"], told["rules[1].message"]) == (bundle.WITHHELD,) * 2
    assert (told["rules[1].above"], told["rules[2].sensor"]) == (3, "*")
    assert told["policies.channels[0].match"] == bundle.WITHHELD
    assert told["policies.channels[1].match"] == "*.temp"
    assert "sensors.devices[3].fields.rain" in told
    whole = "".join(found.values())
    for name in ("cellar", "south-id", "microphone", "badge", "lumen", "hall", "east-id", "noisy"):
        assert name not in whole, name
    for name in ("porch", "north-id", "temp", "weather", "rain"):
        assert name in whole, name


def test_name_that_is_hashed_is_the_pseudonym_that_sinks_know(path):
    from pyv_edge_agent.policy import open_policy

    config = Config.from_file(path, {})
    policy = open_policy(config.get("privacy"), config.hash_key_path)
    found = members(path, *report(DEVICES, ["it"]))
    assert policy.pseudonym("east-id") in found["ledger.json"]
    assert policy.pseudonym("hall.badge") in found["health.json"]


def test_without_the_key_there_are_no_pseudonyms(tmp_path):
    sections = {"rules": [{"pattern": "*.badge", "action": "hash"}]}
    path = config_file(tmp_path, privacy=sections)
    fill(tmp_path / "data/edge_store.db", DEVICES[2:])
    found = members(path)
    assert "badge" not in "".join(found.values())
    assert "withheld-" in found["ledger.json"]
    assert "hash_key_file" in json.loads(found["gaps.json"])["problem"]


def test_values_of_readings_are_in_none_of_it(path):
    whole = "".join(members(path, *report(DEVICES, ["it"])).values())
    assert str(abs(VALUE)) not in whole
    assert f"{BOOT:08x}" in whole  # as the ledger accounts for boots


# -- what is broken ------------------------------------------------------------------------


def test_without_an_agent_and_a_store(tmp_path):
    found = members(config_file(tmp_path))
    assert set(found) == ALL | OF_STORE
    assert "there is no store" in json.loads(found["ledger.json"])["problem"]


def test_store_that_can_not_be_read_leaves_out_what_could_name_its_devices(path):
    (path.parent / "data/edge_store.db").write_text("damaged" * 1000)
    status, findings = report(DEVICES[:1], ["it"])
    assert set(members(path, status, findings)) == ALL


def test_configuration_with_faults_leaves_little(tmp_path):
    (tmp_path / "edge.toml").write_text('[sensors]\ndevice = "cellar"\n')
    findings = [Check("config").fail("edge.toml:2: cellar is odd", "mend cellar")]
    case = Case("edge.toml", None, ("edge.toml:2: cellar",))
    found = unpacked(Contents(case, findings, dict, SystemClock()))
    assert set(found) == {"MANIFEST", "versions.json", "doctor.json", "journal.txt"}
    assert "cellar" not in "".join(found.values())
    assert json.loads(found["doctor.json"])[0]["check"] == "config"


def test_part_that_is_too_long_is_cut_and_said_to_be():
    class Long(Contents):
        def parts(self):
            yield Part("long.txt", "something long", lambda: "x" * (bundle.PART_SIZE_MAX + 5))

    found = unpacked(Long(Case(""), [], dict, SystemClock()))
    assert len(found["long.txt"]) == bundle.PART_SIZE_MAX
    assert f"(cut: it has {bundle.PART_SIZE_MAX + 5} characters)" in found["MANIFEST"]


# -- redaction -----------------------------------------------------------------------------


def test_secrets_are_taken_out_in_every_form():
    redaction = Redaction([SECRET_KEY, "x"], {})
    for form in forms(SECRET_KEY):
        assert redaction.text(f"<{form}>") in (f"<{SECRET}>", f"<{SECRET}==>"), form
    assert redaction.text("x, axe") == f"{SECRET}, axe"  # what is short, only by itself
    tree = {"a": [SECRET_KEY, 1, None, {SECRET_KEY: True}]}
    assert redaction.tree(tree) == {"a": [SECRET, 1, None, {SECRET: True}]}
    assert Redaction([], {}).text("as it is") == "as it is"


def test_longer_names_go_before_those_that_they_begin_with():
    redaction = Redaction((), {"cellar": "withheld-1", "cellar.mic": "withheld-2"})
    assert redaction.text("edge-link-cellar: cellar.mic") == "edge-link-withheld-1: withheld-2"


@pytest.mark.parametrize(
    ("value", "is_url", "parts"),
    [
        ("abc", False, {"abc"}),
        ({"X-Key": "k", "Y": "l"}, False, {"k", "l"}),
        ("https://cloud.example/in", True, set()),
        (
            "https://me:pw@c/in?k=1&t=2#f",
            True,
            {"me:pw", "me", "pw", "k=1&t=2", "1", "2", "f"},
        ),
        ("nats://a, nats://me@b", True, {"me"}),
        ("http://[odd", True, {"http://[odd"}),
    ],
)
def test_what_is_secret_of_a_value(value, is_url, parts):
    assert secret_parts(value, is_url=is_url) == parts


# -- the file ------------------------------------------------------------------------------


def run_bundle(folder, *args, **more):
    return run_host("support-bundle", "--offline", *args, cwd=folder, **more)


def test_file_is_the_owners_alone_and_never_overwritten(path, tmp_path):
    done = run_bundle(tmp_path, "--config", path, "--output", "b.tar.gz", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    made = tmp_path / "b.tar.gz"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert (told["path"], told["bytes"]) == ("b.tar.gz", made.stat().st_size)
    assert set(told["members"]) == ALL | OF_STORE
    with tarfile.open(made) as archive:
        names = archive.getnames()
    assert {os.path.dirname(name) for name in names} == {names[0].split("/")[0]}
    again = run_bundle(tmp_path, "--config", path, "--output", "b.tar.gz")
    assert (again.returncode, "is there already" in again.stderr) == (2, True)


def test_file_has_the_time_in_its_name_unless_it_is_given_one(path, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    done = run_bundle(folder, "--config", path)
    (made,) = folder.iterdir()
    assert made.name.startswith("pyv-edge-support-2")
    assert done.stdout.startswith(f"{made.name}: ")


def test_file_is_whole_or_not_there(path, tmp_path):
    done = run_bundle(tmp_path, "--config", path, "--output", "no/such/folder.tar.gz")
    assert done.returncode == 2
    with small_disk(tmp_path / "disk", "64k") as folder:
        (folder / "filler").write_bytes(bytes(60_000))
        done = run_bundle(tmp_path, "--config", path, "--output", folder / "b.tar.gz")
        assert (done.returncode, "No space left" in done.stderr) == (3, True)
        assert [one.name for one in folder.iterdir()] == ["filler"]
