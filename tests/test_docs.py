"""The documents say what is so: commands exist, examples work, diagrams match the code."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import generate_config_md
import generate_differences_md
import generate_privacy_md
import generate_protocol_md
import generate_rules_md
import generate_session_md
import generate_sizes_md
from accepted import ACCEPTED
from pyv_edge_agent import http_exchange, secret_file, sizing
from pyv_edge_agent.alerting import DEFAULT_RULE
from pyv_edge_agent.config import Config, source
from pyv_edge_agent.policy import open_policy
from pyv_edge_agent.service_files import PLACES
from pyv_edge_core import __version__, disclosure, message, privacy, privacy_rule
from pyv_edge_core.event_text import FIELDS
from pyv_edge_core.pattern import SIZE_MAX
from pyv_edge_core.rule import AGGREGATES, KEYS, POLICIES, SEVERITIES, read_rules
from truth_table import CASES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(ROOT.glob("*.md"))
TYPES = {"u8": "B", "u16": "H", "u32": "I", "text": "T", "bytes": "*"}


def blocks(document, language):
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.DOTALL)


def test_session_is_what_happens(tmp_path):
    text = (ROOT / "OPERATIONS.md").read_text(encoding="utf-8")
    session = generate_session_md.play(tmp_path)
    assert text == generate_session_md.generate(text, session), "make docs"


def test_every_file_of_the_service_is_told():
    rows = re.findall(r"^\| `(/[^`]+)` \|", (ROOT / "OPERATIONS.md").read_text(), re.MULTILINE)
    assert rows == [str(path) for path in PLACES.values()]


def test_every_key_of_a_boards_settings_is_explained():
    text = section_of("FLASHING.md", "What is in `device.json`")
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text, re.MULTILINE)
    documented = set(re.findall(r"\w+", " ".join(rows)))
    source = (ROOT / "firmware/pyv_edge_node/settings.py").read_text().split("class Settings:")[1]
    known = set(re.findall(r'section\.(?:text|integer|sections|raw)\("(\w+)"', source))
    assert documented == known


def test_links_between_documents_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            assert (ROOT / target).exists(), f"{document.name}: {target}"


def test_protocol_tables_match_the_messages():
    sections = re.split(r"^### ", (ROOT / "PROTOCOL.md").read_text(), flags=re.MULTILINE)[1:]
    documented = {}
    for section in sections:
        name, number = re.match(r"(\w+) \((\d+)\)", section).groups()
        rows = re.findall(r"^\| (\w+) \| (u8|u16|u32|text|bytes) \|", section, re.MULTILINE)
        documented[int(number)] = (name, rows)
        assert getattr(message, name) == int(number)
    assert sorted(documented) == list(range(1, len(message._LAYOUTS)))
    for kind, (name, rows) in documented.items():
        assert [row[0] for row in rows] == list(message.shape(kind)._fields[1:]), name
        assert "".join(TYPES[row[1]] for row in rows) == message._LAYOUTS[kind], name


def test_protocol_has_the_states_and_the_vectors_of_the_code():
    text = (ROOT / "PROTOCOL.md").read_text(encoding="utf-8")
    assert text == generate_protocol_md.generate(text), "make docs"


def test_sizes_of_readings_are_what_the_code_calculates():
    text = (ROOT / "OPERATIONS.md").read_text()
    assert text == generate_sizes_md.generate(text), "make docs"


# -- CONFIGURATION.md ------------------------------------------------------------------

CONFIGURATION = ROOT / "CONFIGURATION.md"


def test_configuration_has_every_setting_and_what_wrong_files_say():
    text = CONFIGURATION.read_text(encoding="utf-8")
    assert text == generate_config_md.generate(text), "make docs"


def test_configuration_says_the_limits_of_the_code():
    text = CONFIGURATION.read_text(encoding="utf-8")
    for limit in (
        f"at most {source.SIZE_MAX // 1024} KiB",
        f"more than {secret_file.SIZE_MAX // 1024} KiB",
        f"({sizing.READING_SIZE:.0f} bytes each)",
    ):
        assert limit in text, limit


# -- RULES.md --------------------------------------------------------------------------

RULES = ROOT / "RULES.md"


def test_truth_table_is_the_one_that_is_tested():
    text = RULES.read_text()
    assert text == generate_rules_md.generate(text, CASES), "make docs"
    shown = re.findall(r"^\*\*.*\*\*: `(\{ .* \})`$", text, re.MULTILINE)
    assert [tomllib.loads(f"rule = {one}")["rule"] for one in shown] == [one[1] for one in CASES]


def test_accepted_differences_are_the_ones_that_are_tested():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert text == generate_differences_md.generate(text, ACCEPTED), "make docs"


def test_every_key_of_rules_is_explained_and_there_are_no_others():
    rows = re.findall(r"^\| `(\w+)` \|", RULES.read_text(), re.MULTILINE)
    assert set(rows) == set(KEYS)
    words = set(re.findall(r"`\{?(\w+)\}?`", RULES.read_text()))
    assert words.issuperset((*AGGREGATES, *POLICIES, *SEVERITIES, *FIELDS))


def test_rules_in_the_documents_load():
    tables = [tomllib.loads(text)["rules"] for text in blocks(RULES, "toml")]
    compact = [json.loads(text)["rules"] for text in blocks(RULES, "json")]
    for one in (*tables, *compact):
        read_rules(one)
    assert compact == tables[:1], "the same rule in both forms"
    assert tables[1:] == [[DEFAULT_RULE]]


def test_changelog_has_this_version():
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_device_example_is_valid(tmp_path):
    from pyv_edge_node import settings
    from pyv_edge_node.app import App
    from pyv_edge_node.flash import Flash

    path = ROOT / "firmware" / "device.example.json"
    config = settings.load(Flash(), str(path))
    assert config.device_id == json.loads(path.read_text())["device_id"]

    class Board:
        name = "unix"

        def ticks_ms(self):
            return 0

        def boot_id(self):
            return 1

        def reset_cause(self):
            return 0

        def led(self, name):
            return None

    app = App(config, Board(), None, Flash())
    assert app.sampler.channels[0].name == "temperature"


# -- PRIVACY.md --------------------------------------------------------------------


def test_generated_examples_of_privacy_are_what_the_code_does():
    text = (ROOT / "PRIVACY.md").read_text(encoding="utf-8")
    assert generate_privacy_md.generate(text) == text, "run make docs"


def test_privacy_mentions_every_action_key_list_and_limit():
    text = (ROOT / "PRIVACY.md").read_text(encoding="utf-8")
    ours = (
        *disclosure.ACCOUNTING_KEYS,
        "default",
        "enabled",
        "hash_key",
        "hash_key_file",
        "rules",
    )
    words = set(re.findall(r"\w+", text))
    assert words >= {*privacy_rule.ACTIONS, *privacy_rule.KEYS, *privacy_rule.LISTS, *ours}
    for action in privacy_rule.ACTIONS:
        assert f"- `{action}` " in text, action
    keys = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text.split("## Rules")[1], re.MULTILINE)
    assert set(re.findall(r"\w+", " ".join(keys))) >= set(privacy_rule.KEYS)
    for limit in (
        f"| {privacy.RULE_COUNT_MAX};",
        f"| {SIZE_MAX} |",
        f"at least {privacy.KEY_SIZE_MIN} bytes",
    ):
        assert limit in text, limit


def test_policies_in_privacy_are_valid(tmp_path):
    examples = blocks(ROOT / "PRIVACY.md", "toml")
    assert len(examples) >= 3
    policies = []
    for text in examples:
        path = tmp_path / "edge.toml"
        path.write_text(text, encoding="utf-8")
        config = Config.from_file(path)
        policies.append(open_policy(config.get("privacy"), config.hash_key_path))
    (text,) = blocks(ROOT / "PRIVACY.md", "json")
    section = json.loads(text)["privacy"]
    policies.append(privacy.PrivacyPolicy(section["rules"], section["default"]))
    names = [rule.name for policy in policies for rule in policy.rules]
    assert {"no pictures", "local_only debug.*", "drop *.microphone"} <= set(names)
    actions = [policy.action(policy.decide("camera", "a", "camera.a")) for policy in policies]
    assert actions == ["drop", "drop", "drop", "allow"]


def test_pseudonyms_are_found_again_as_privacy_says(tmp_path):
    (tmp_path / "edge.toml").write_text('[privacy]\nhash_fields = ["badge"]\n')
    config = Config.from_file(tmp_path / "edge.toml")
    expected = open_policy(config.get("privacy"), config.hash_key_path).pseudonym("hall.co2")
    (code,) = blocks(ROOT / "PRIVACY.md", "python")
    commands = [[sys.executable, "-c", code]]
    (line,) = blocks(ROOT / "PRIVACY.md", "console")
    if shutil.which("openssl"):
        commands.append(["sh", "-c", line.removeprefix("$ ")])
    for command in commands:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout == expected + "\n", command


# -- OPERATIONS.md: where readings come from ------------------------------------------


def section_of(document, title):
    text = (ROOT / document).read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_sources_in_operations_are_valid(tmp_path):
    examples = re.findall(
        r"```toml\n(.*?)```", section_of("OPERATIONS.md", "Where readings come from"), re.DOTALL
    )
    assert len(examples) >= 2
    for text in examples:
        for name in re.findall(r'_file = "(.+?)"', text):
            (tmp_path / name).write_text("secret\n")
        (tmp_path / "edge.toml").write_text(text, encoding="utf-8")
        assert Config.from_file(tmp_path / "edge.toml").get("sensors", "devices")


def test_answers_in_operations_are_those_that_the_receiver_gives():
    rows = re.findall(
        r"^\| ([\d, ]+) \|",
        section_of("OPERATIONS.md", "Where readings come from").split("| answer |")[1],
        re.MULTILINE,
    )
    documented = set(re.findall(r"\d{3}", " ".join(rows)))
    adapters = ROOT / "host" / "pyv_edge_agent" / "adapters"
    source = "".join(path.read_text() for path in adapters.glob("http_*.py"))
    given = set(re.findall(r"RefusalError\((\d{3})", source)) | {"200", "503"}
    # It answers 405 to a method that is not known.
    given |= {str(status) for status in http_exchange.PROBLEMS} - {"501"}
    assert documented == given
