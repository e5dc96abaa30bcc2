"""Whatever is in a config file: it is loaded, or refused in lines that tell no secret."""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from interpreter import ROOT
from profiles import examples
from pyv_edge_agent.config import Config
from pyv_edge_agent.config.draft import draft, toml
from pyv_edge_agent.config.shown import entries
from pyv_edge_agent.config.source import FAULTS_MAX, PROBLEM_SIZE_MAX, SIZE_MAX
from pyv_edge_agent.errors import ConfigError
from pyv_edge_agent.settings import DEVICE, DEVICES, SECTIONS, SINKS
from pyv_edge_agent.settings.table import CHANNEL, PRIVACY_LISTS, PRIVACY_RULE, RULE

# What an environment holds: a secret, and one that could be meant as a number.
ENVIRONMENT = {
    "SECRET": "hunter2-'\"-swordfish",
    "PIN": "60221023",
    "EMPTY": "",
    "HUGE": "9" * 400,
    "DEEP": "[" * 5000,
}
IN_FILE = "swordfish-in-the-file"  # only ever the value of a secret setting
TOLD = ("hunter2", "swordfish", "60221023")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("config")


def load(folder, content, name):
    """Load a file; return its configuration, None if it is refused."""
    path = folder / name
    path.write_bytes(content)
    try:
        config = Config.from_file(path, ENVIRONMENT)
    except ConfigError as error:
        check_lines(error.problems, path)
        return None
    check_lines(config.warnings, path)
    try:
        config.validate()
    except ConfigError as error:
        check_lines(error.problems, path)
    shown = {entry.path: entry.value for entry in entries(config)}
    assert all(IN_FILE not in repr(value) for value in shown.values())
    assert Config(config.to_dict(), environment={}).to_dict() == config.to_dict()
    return config


def check_lines(lines, path):
    assert len(lines) <= FAULTS_MAX + 1
    for line in lines:
        assert line.startswith(str(path))
        assert line.isprintable()
        assert len(line) < len(str(path)) + 20 * 64 + PROBLEM_SIZE_MAX
        assert not [secret for secret in TOLD if secret in line], line


NAMES = st.sampled_from(["a.toml", "a.json"])


@examples(300)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode), NAMES)
@example(b"[" * 100_000, "a.json")
@example(b'{"a":' * 50_000, "a.json")
@example(b"x = " + b"[" * 4000, "a.toml")
@example(b"a." * 2000 + b"a = 1", "a.toml")
@example(b"[" + b"a." * 2000 + b"a]\nb = 1", "a.toml")
@example((b"a." * 2000 + b"b = 1\n") * 60, "a.toml")
@example(b"x = 0x" + b"F" * 4000, "a.toml")
@example(b"[[rules]]\nname = 'r'\nabove = 0x" + b"F" * 4000, "a.toml")
@example(b"[privacy]\ndrop_fields = " + b"[" * 150 + b"]" * 150, "a.toml")
@example(b'{"health": {"port": ' + b"9" * 5000 + b"}}", "a.json")
@example(b"".join(b"a%d = 1\n" % index for index in range(20_000)), "a.toml")
@example(b"[[rules]]\n" * 26_000, "a.toml")
@example(b"[[privacy.rules]]\n" * 14_000, "a.toml")
@example(b"[[policies.channels]]\n" * 11_000, "a.toml")
@example(b"[[sensors.devices]]\n" * 13_000, "a.toml")
@example(b"a = [\n" + b'"]",\n' * 40_000 + b"]\n[sensers]\n", "a.toml")
@example(b"[privacy]\ndrop_fields = [\n" + b"'${PIN}',\n" * 20_000 + b"]\n", "a.toml")
def test_any_bytes_are_loaded_or_refused(folder, content, name):
    assert len(content) <= SIZE_MAX
    load(folder, content, name)


# -- anything where something else belongs ---------------------------------------------

SECRETS = {
    key
    for keys in (*SECTIONS.values(), *SINKS.values(), *DEVICES.values())
    for key, setting in keys.items()
    if setting.is_secret
}
TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            *(
                "${SECRET}",
                "x${SECRET}y",
                "${PIN}",
                "${EMPTY}",
                "${NO}",
                "${NO:-5}",
                "true",
                "1.5",
            ),
            *("*", "a.*", "5m", "raw", "mean", "drop", "deny", "hot", "{value}", "simulator"),
            *("serial", "usb:2e8a:5", "http://[::1", "https://${SECRET}:x@h/in", "http://h/in"),
        ]
    ),
)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-5, 100),
    st.sampled_from([2**63, -(2**64), 10**300]),
    st.floats(allow_nan=True, allow_infinity=True),
    TEXTS,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def tables(keys):
    """Return tables with some of `keys`, or others, and anything as their values."""
    known = st.sampled_from(sorted(keys))
    secret = st.sampled_from([IN_FILE, {"X-Key": IN_FILE}])

    def with_values(names):
        return st.fixed_dictionaries(
            {name: (VALUES | secret) if name in SECRETS else VALUES for name in names}
        )

    return st.one_of(
        st.sets(known, max_size=5).flatmap(with_values), st.dictionaries(TEXTS, VALUES, max_size=2)
    )


def lists_of(keys):
    return st.lists(tables(keys), max_size=3) | VALUES


DEVICE_KEYS = {**DEVICE, **{key: None for keys in DEVICES.values() for key in keys}}
LISTS = {
    "sensors": {"devices": lists_of(DEVICE_KEYS)},
    "policies": {"channels": lists_of(CHANNEL)},
    "privacy": {"rules": lists_of(PRIVACY_RULE), **dict.fromkeys(PRIVACY_LISTS, VALUES)},
}


def section(name):
    keys = {f"{key}_file": None for key in SECTIONS[name] if key in SECRETS} | SECTIONS[name]
    lists = st.fixed_dictionaries({}, optional=LISTS.get(name, {}))
    whole = st.tuples(tables(keys), lists).map(lambda pair: {**pair[0], **pair[1]})
    return whole | VALUES


DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        **{name: section(name) for name in SECTIONS},
        "rules": lists_of(RULE),
        "sinks": st.fixed_dictionaries({}, optional={k: tables(v) for k, v in SINKS.items()}),
        "junk": VALUES,
    },
)


@examples(400)
@given(DOCUMENTS, NAMES)
def test_any_values_are_loaded_or_refused(folder, values, name):
    if name == "a.json":
        text = json.dumps(values)
    else:
        text = "".join(f"{key} = {toml(value)}\n" for key, value in values.items())
    load(folder, text.encode(), name)


def every_place():
    """Yield a function for each key that makes a document with a value there."""
    tables = {(name,): keys for name, keys in SECTIONS.items()}
    tables |= {("sinks", name): keys for name, keys in SINKS.items()}
    for table, keys in tables.items():
        for key in (*keys, *(f"{key}_file" for key in keys if key in SECRETS)):
            yield (*table, key)
    for kind, keys in DEVICES.items():
        base = {"name": "a", "ingest_type": kind}
        yield from (("sensors", "devices", base, key) for key in (*DEVICE, *keys))
    yield from (("rules", {"name": "r", "above": 1}, key) for key in RULE)
    yield from (("privacy", "rules", {"action": "quantize"}, key) for key in PRIVACY_RULE)
    yield from (("policies", "channels", {"match": "a"}, key) for key in CHANNEL)
    yield from (("privacy", key) for key in PRIVACY_LISTS)


def document(place, value):
    for step in reversed(place):
        value = [{**step, **value}] if isinstance(step, dict) else {step: value}
    return value


SHAPES = (
    *("${SECRET}", "x${SECRET}y", "${PIN}", "${HUGE}", "${DEEP}"),
    *(["${SECRET}"], {"a": ["${PIN}"]}, [["${PIN}", 1]]),
)


def test_no_variable_is_told_wherever_it_stands(folder):
    refused = 0
    for place in every_place():
        for shape in SHAPES:
            values = {"cloud": {"enabled": True, "endpoint": "http://h"}, **document(place, shape)}
            refused += load(folder, json.dumps(values).encode(), "a.json") is None
    assert refused > 500


# -- good files with something done to them ------------------------------------------------


def good_files():
    for name in ("README", "OPERATIONS", "PRIVACY", "RULES"):
        text = (ROOT / f"{name}.md").read_text()
        for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL):
            yield re.sub(r"\$\{\w+(:-[^}]*)?\}", "${SECRET}", block)
    device = {"name": "porch", "ingest_type": "serial", "port": "/dev/x", "dtr": False}
    cloud = {"enabled": True, "endpoint": "http://${SECRET}@h/in", "api_key": IN_FILE}
    yield draft({"sensors": {"devices": [device]}, "cloud": cloud})
    yield (
        f"[cloud]\nenabled = true\nendpoint = 'https://h'\napi_key = '{IN_FILE}'\n"
        f"hmac_key = '{IN_FILE}'\n[sinks.mqtt]\nenabled = true\nusername = 'u'\n"
        f"password = '{IN_FILE}'\n[sinks.nats]\ntoken = '{IN_FILE}'\n"
        "[[rules]]\nname = '${SECRET}'\noutside = ['${PIN}', 5]\nmessage = '{x} ${SECRET}'\n"
        "[privacy]\nhash_key = '${PIN}'\nhash_fields = ['a']\ndrop_fields = ['[${SECRET}']\n"
        "[[policies.channels]]\nmatch = '${SECRET}['\nclass = '${SECRET}'\n"
    )


GOOD = list(good_files())
PIECES = st.sampled_from(
    [
        "",
        "\n",
        "[",
        "]",
        "[[",
        '"',
        "'",
        "=",
        "#",
        "\\",
        ".",
        "x",
        "-1",
        "1e999",
        '"""',
        "\x00",
        "é",
    ]
)


@st.composite
def changed_files(draw):
    text = draw(st.sampled_from(GOOD))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.sampled_from([0, 1, 3, 20])))
        text = text[:at] + draw(PIECES) + text[end:]
    if draw(st.booleans()):  # a stretch of lines comes again somewhere else
        rows = text.split("\n")
        first, at = (draw(st.integers(0, len(rows))) for _ in range(2))
        rows[at:at] = rows[first : first + draw(st.integers(1, 5))]
        text = "\n".join(rows)
    return text


@examples(400)
@given(changed_files())
def test_good_file_that_was_changed_is_loaded_or_refused(folder, text):
    load(folder, text.encode(), "a.toml")


def test_the_good_files_are_good(folder):
    for text in GOOD[:-1]:
        for name in re.findall(r'^\w+_file = "([\w.]+)"', text, re.MULTILINE):
            (folder / name).write_text("swordfish\n")
        assert load(folder, text.encode(), "a.toml") is not None, text
