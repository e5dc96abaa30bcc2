"""What stands between backticks in the text: settings are settings, calls can be called."""

import ast
import inspect
import re
import sys

import pytest
from document_blocks import ROOT, snippets
from pyv_edge_agent.agent import EdgeAgent
from pyv_edge_agent.board_request import OPS, Outcome
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_tools.virtual import Board
from pyv_edge_tools.virtual.image import FlashImage

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCUMENTS = sorted(path.name for path in ROOT.glob("*.md"))
ASSIGNMENT = re.compile(r"(?:[\w.]+\.)?(\w+) = (.+)")
# What is called in the documents, and what that is. The calls of ADAPTERS.md and SENSORS.md
# have tests of their own, those of the others are of Python or MicroPython.
CALLED = {
    "CHANGELOG.md": {"agent.reload_config()": EdgeAgent.reload_config},
    "FLASHING.md": {
        "board.hard_reset()": Board.hard_reset,
        "board.unplug()": Board.unplug,
        "board.unplug_after(input_bytes)": Board.unplug_after,
        "board.flash.cut_power_after(writes)": FlashImage.cut_power_after,
    },
    "OPERATIONS.md": {
        'agent.command("greenhouse", "set_rate", "temperature", 500)': EdgeAgent.command,
        "agent.reload_config()": EdgeAgent.reload_config,
    },
    "PRIVACY.md": {"PrivacyPolicy.explain(reading)": PrivacyPolicy.explain},
}


def kinds():
    """Return what may stand in each setting, by key: CONFIGURATION.md, which the code writes."""
    text = (ROOT / "CONFIGURATION.md").read_text("utf-8").split("## All settings")[1]
    found = {"ingest_type": []}
    for keys, what in re.findall(r"^\| (`\w+`.*?) \| ([^|]*) \|", text, re.MULTILINE):
        for key in re.findall(r"`(\w+)`", keys):
            found.setdefault(key, []).append(what)
    return found


def fault_of(key, value, known):
    """Return what is wrong with a setting that stands in a text, or an empty text."""
    if key not in known:
        return "is no setting"
    for what in known[key]:
        choices = re.findall(r"`([^`]*)`", what)
        if isinstance(value, bool):
            is_right = what.startswith("true or false")
        elif isinstance(value, (int, float)):
            is_right = "number" in what
        else:
            is_right = not isinstance(value, str) or not choices or value in choices
        if is_right:
            return ""
    return f"can't be {value!r}"


def settings_of(document):
    """Return (line, key, value) of the settings in the text that are TOML."""
    text = (ROOT / document).read_text("utf-8").splitlines()
    for number, one in snippets(document):
        found = ASSIGNMENT.fullmatch(one)
        is_wrong_on_purpose = document == "CONFIGURATION.md" and text[number - 1].startswith(
            "| `["
        )
        if found is None or is_wrong_on_purpose:
            continue
        try:
            yield number, found[1], tomllib.loads(f"value = {found[2]}")["value"]
        except tomllib.TOMLDecodeError:
            continue  # it is Python, or a field of a protocol


@pytest.mark.parametrize("document", DOCUMENTS)
def test_settings_in_the_text_are_settings(document):
    known = kinds()
    assert len(known) > 100
    faults = [
        (line, key, fault_of(key, value, known)) for line, key, value in settings_of(document)
    ]
    assert [one for one in faults if one[2]] == []


def test_settings_that_are_none_are_found(tmp_path):
    known = kinds()
    assert len(list(settings_of("OPERATIONS.md"))) >= 8
    for key, value in (("lop", True), ("times", "nwo"), ("loop", 1), ("speed", True)):
        assert fault_of(key, value, known), key
    for key, value in (("loop", True), ("times", "now"), ("speed", 0), ("columns", "a, b")):
        assert not fault_of(key, value, known), key


@pytest.mark.parametrize("document", CALLED)
def test_calls_in_the_text_can_be_made(document):
    shown = [text for _, text in snippets(document)]
    for text, called in CALLED[document].items():
        assert text in shown, text
        call = ast.parse(text).body[0].value
        bound = inspect.signature(called).bind(None, *call.args).arguments
        assert call.func.attr == called.__name__
        for name, argument in bound.items():
            assert not isinstance(argument, ast.Name) or argument.id == name, text


@pytest.mark.parametrize("document", sorted({*DOCUMENTS} - {"ADAPTERS.md", "SENSORS.md"}))
def test_every_call_of_ours_in_the_text_is_in_the_list(document):
    ours = re.compile(r"(agent|board|PrivacyPolicy)\.[\w.]+\(.*\)")
    shown = {text for _, text in snippets(document) if ours.fullmatch(text)}
    assert shown == CALLED.get(document, {}).keys()


def test_requests_from_python_are_those_of_the_code():
    text = (ROOT / "OPERATIONS.md").read_text("utf-8").split("\n## From Python\n")[1]
    names = set(re.findall(r"`(\w+)`", text.split("\n## ")[0]))
    assert names >= OPS.keys()
    assert set(re.findall(r"\w+", re.search(r"`Outcome` \((.+?)\)", text)[1])) <= {
        *inspect.get_annotations(Outcome)
    }
