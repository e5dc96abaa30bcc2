"""For every policy and reading: the first rule that fits decides, and nothing denied gets out."""

import contextlib
import io
import json
import logging
import math
import re
from fractions import Fraction

from hypothesis import assume, event, given
from hypothesis import strategies as st
from profiles import examples
from pyv_edge_agent.types import SensorReading
from pyv_edge_core.disclosure import ACCOUNTING_KEYS, MASK
from pyv_edge_core.errors import TableError
from pyv_edge_core.hmac import pseudonym
from pyv_edge_core.pattern import Pattern
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.privacy_rule import KEY_ACTIONS, Gate, PrivacyRule
from pyv_edge_core.reading import LIMITS

_SETTINGS = examples(250)

KEY = b"SECRET-KEY-of-the-installation"
DEVICES = ["cam", "room-1", "room-2", "caf\u00e9", ""]
CHANNELS = ["face", "co2", "a.b", ""]
WORDS = ["who", "gps", "gps.lat", "lat", "mac", "id", "seen", "caf\u00e9", "", "x y"]

# -- what is generated -------------------------------------------------------------

texts = st.text(st.sampled_from("ab.*?\u00e9"), min_size=1, max_size=12)
names = st.text(st.sampled_from("ab.\u00e9"), max_size=12)
sensor_patterns = st.sampled_from(
    ["*", "cam.*", "room-?.*", "*.co2", "*face", "caf\u00e9*", "zzz"]
)
part_patterns = st.sampled_from(["*", "cam", "room-?", "c*", "face", "co2", "a.b", "?*"])
key_patterns = st.sampled_from(
    ["*", "who", "gps", "gps.*", "gps.lat", "*.lat", "lat", "m??", "seen.id", "device"]
)
steps = st.sampled_from([1, 5, "0.5", "0.01", 1000, "1e-9", "3.7"])
levels = st.integers(-2000, 2000)


@st.composite
def rules(draw):
    """One table of a policy; mostly about a key, or few readings would get as far."""
    is_about_key = draw(st.integers(0, 3)) > 0
    if is_about_key:
        table = {"key": draw(key_patterns), "action": draw(st.sampled_from(KEY_ACTIONS))}
    else:
        actions = [*KEY_ACTIONS, "quantize", "clamp", "aggregate_only"]
        table = {"action": draw(st.sampled_from(actions))}
        if table["action"] == "quantize":
            table["step"] = draw(steps)
        elif table["action"] == "clamp":
            low, high = sorted([draw(levels), draw(levels)])
            table |= {"low": low, "high": high}
    for name, patterns in (
        ("pattern", sensor_patterns),
        ("device", part_patterns),
        ("channel", part_patterns),
    ):
        if draw(st.integers(0, 9 if is_about_key else 2)) == 0:
            table[name] = draw(patterns)
    return table


policies = st.tuples(st.lists(rules(), max_size=8), st.sampled_from(["allow", "deny"]))
# Values that no other text contains, so that one that got out is found.
secrets = st.integers(0, 10**9).map(lambda number: f"SECRET{number:09d}")
numbers = st.integers(10**6, 10**7).map(lambda number: number + 0.40625)
scalars = st.one_of(secrets, numbers, st.none(), st.booleans())
kinds = st.one_of(
    secrets.map(str.encode), secrets.map(lambda text: {text}), secrets.map(lambda text: (text,))
)
trees = st.recursive(
    st.one_of(scalars, kinds),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=8,
)
metadata = st.builds(
    lambda ours, rest: {**rest, **ours},
    st.fixed_dictionaries(
        {},
        optional={
            "device": st.sampled_from(DEVICES),
            "channel": st.sampled_from(CHANNELS),
            "quality": st.sampled_from(["good", "bad"]),
            "seq": st.integers(0, 99),
            "gps": st.fixed_dictionaries({"lat": secrets, "who": secrets}),
        },
    ),
    st.dictionaries(st.sampled_from(WORDS), trees, max_size=5),
)
sensors = st.builds(
    lambda device, channel: f"{device}.{channel}", *map(st.sampled_from, (DEVICES, CHANNELS))
)
readings = st.builds(
    SensorReading,
    st.one_of(sensors, st.sampled_from(DEVICES)),
    st.just(1000.5),
    st.one_of(numbers, numbers.map(lambda number: -number), st.just(0.0)),
    st.just("Cel"),
    metadata,
)


# -- a policy as plain as it can be ------------------------------------------------


def like(pattern, name):
    """Match by regular expression."""
    parts = {"*": ".*", "?": "."}
    expression = "".join(parts.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, name, re.DOTALL) is not None


def text_of(value):
    """Return what stands for a value when it is hashed, whatever the order of its keys."""
    if isinstance(value, dict):
        return (
            "{" + ",".join(sorted(f"{key}:{text_of(part)}" for key, part in value.items())) + "}"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(text_of, value)) + "]"
    return str(value)


class Naive:
    """Goes through the tables one by one, each time anew, by the words of PRIVACY.md."""

    def __init__(self, tables, default):
        self.tables = tables
        self.default = "drop" if default == "deny" else "allow"

    def names(self, reading):
        device, _, channel = reading.sensor_name.partition(".")
        if "." not in reading.sensor_name:
            channel = reading.sensor_name
        return {
            "pattern": reading.sensor_name,
            "device": reading.metadata.get("device") or device,
            "channel": reading.metadata.get("channel") or channel,
        }

    def rule_for(self, names, chain):
        """Return the first table that fits: a reading, or a key and all that it is within."""
        for table in self.tables:
            if ("key" in table) != bool(chain):
                continue
            if not all(like(table[part], names[part]) for part in names if part in table):
                continue
            if not chain or any(like(table["key"], name) for pair in chain for name in pair):
                return table
        return None

    def key_action(self, names, chain):
        if chain[-1][0] in ACCOUNTING_KEYS and len(chain) == 1:
            return "allow", False
        rule = self.rule_for(names, chain)
        if rule is not None:
            return rule["action"], True
        if chain[-1][0] in ("device", "channel") and len(chain) == 1:
            return "allow", False
        return self.default, False

    def value(self, names, value, chain, is_leaving):
        if isinstance(value, dict):
            return self.tree(names, value, chain, is_leaving)
        if isinstance(value, list | tuple):
            return [self.value(names, item, chain, is_leaving) for item in value]
        return MASK if isinstance(value, bytes | set) else value

    def tree(self, names, tree, chain, is_leaving):
        kept = {}
        for key, value in tree.items():
            here = [*chain, (".".join([pair[1] for pair in chain] + [key]), key)]
            action, is_by_rule = self.key_action(names, here)
            if action == "mask":
                kept[key] = MASK
            elif action == "hash":
                kept[key] = pseudonym(KEY, text_of(value))
            elif action == "allow" or (action == "local_only" and not is_leaving):
                kept[key] = self.value(names, value, here, is_leaving)
            elif not is_by_rule and isinstance(value, dict):
                part = self.tree(names, value, here, is_leaving)
                if part:
                    kept[key] = part
        return kept

    def pass_on(self, reading, is_leaving):
        names = self.names(reading)
        rule = self.rule_for(names, [])
        action = rule["action"] if rule else self.default
        withheld = ["drop", "aggregate_only"] + ["local_only"] * is_leaving
        if action in withheld:
            return None
        tree, value, sensor = reading.metadata, reading.value, reading.sensor_name
        if action == "redact":
            kept = (*ACCOUNTING_KEYS, "device", "channel")
            tree = {key: tree[key] for key in tree if key in kept}
        tree = self.tree(names, tree, [], is_leaving)
        if action in ("mask", "redact"):
            value = 0
            tree |= {"quality": "bad", "privacy": action}
        elif action == "clamp":
            value = sorted([rule["low"], value, rule["high"]])[1]
        elif action == "quantize":
            step = Fraction(str(rule["step"]))
            value = float(math.floor(Fraction(value) / step + Fraction(1, 2)) * step)
        elif action == "hash":
            sensor = pseudonym(KEY, sensor)
            for part in ("device", "channel"):
                if tree.get(part, MASK) != MASK:
                    whole = names[part] if part == "device" else reading.sensor_name
                    tree[part] = pseudonym(KEY, whole)
        return SensorReading(sensor, reading.timestamp, value, reading.unit, tree)


def same(found, expected):
    """Compare two readings; quantized floats may differ in their last digit."""
    if found is None or expected is None:
        return found is expected
    return (
        math.isclose(found.value, expected.value, rel_tol=1e-15)
        and (found.sensor_name, found.timestamp) == (expected.sensor_name, expected.timestamp)
        and (found.unit, found.metadata) == (expected.unit, expected.metadata)
    )


# -- what must not be seen ---------------------------------------------------------


def marks(value):
    """Yield every secret within a value, as a text that would show it."""
    if isinstance(value, dict):
        for part in value.values():
            yield from marks(part)
    elif isinstance(value, list | tuple | set):
        for part in value:
            yield from marks(part)
    elif isinstance(value, bytes):
        yield value.decode()
    elif isinstance(value, float) and value:
        yield repr(value)
    elif isinstance(value, str) and "SECRET" in value:
        yield value


def keys_of(value, found=()):
    """Return the names of all keys within a value."""
    found = set(found)
    if isinstance(value, dict):
        found |= set(value).union(*map(keys_of, value.values()))
    elif isinstance(value, list | tuple):
        found = found.union(*map(keys_of, value))
    return found


@contextlib.contextmanager
def everything_said():
    """Capture what is logged or printed by anybody."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            yield said
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


# -- properties --------------------------------------------------------------------


@_SETTINGS
@given(texts, names)
def test_pattern_is_like_the_regular_expression(pattern, name):
    assert Pattern(pattern).matches(name) is like(pattern, name)


@_SETTINGS
@given(policies, readings)
def test_policy_is_like_the_naive_one(tables, reading):
    policy = PrivacyPolicy(*tables, key=KEY)
    naive = Naive(*tables)
    for is_leaving, found in ((False, policy.evaluate(reading)), (True, policy.release(reading))):
        expected = naive.pass_on(reading, is_leaving)
        assert same(found, expected), (found, expected)
    explained = policy.explain(reading)
    event(explained.action)
    rule = naive.rule_for(naive.names(reading), [])
    assert explained.action == (rule["action"] if rule else naive.default)
    for key, action, _ in explained.keys:
        if key in reading.metadata and "." not in key:
            chain = [(key, key)]
            assert action == naive.key_action(naive.names(reading), chain)[0], key


@_SETTINGS
@given(policies, readings)
def test_nothing_denied_is_in_any_output(tables, reading):
    policy = PrivacyPolicy(*tables, key=KEY)
    naive = Naive(*tables)
    with everything_said() as said:
        outputs = ((False, policy.evaluate(reading)), (True, policy.release(reading)))
        explained = repr(policy.explain(reading))
    assert said.getvalue() == ""
    everything = set(marks(reading.metadata)) | set(marks([reading.value]))
    for secret in everything:
        assert secret not in explained
    for is_leaving, output in outputs:
        allowed = naive.pass_on(reading, is_leaving)
        shown = [repr(output)]
        if output is not None:
            shown.append(json.dumps(output.to_dict()))
        allowed_marks = set() if allowed is None else set(marks([allowed.value, allowed.metadata]))
        # What is a part of something allowed is seen there: 1000.5 in -1000.5.
        denied = {one for one in everything if not any(one in known for known in allowed_marks)}
        event("denied" if denied else "nothing denied")
        for text in shown:
            for secret in denied:
                assert secret not in text
            assert KEY.decode() not in text
        if output is not None:
            assert keys_of(output.metadata) <= keys_of(allowed.metadata)


@_SETTINGS
@given(policies, readings)
def test_release_never_lets_out_more_than_evaluate(tables, reading):
    policy = PrivacyPolicy(*tables, key=KEY)
    stored, released = policy.evaluate(reading), policy.release(reading)
    if stored is None:
        assert released is None
    elif released is not None:
        assert released.value == stored.value and released.sensor_name == stored.sensor_name
        assert keys_of(released.metadata) <= keys_of(stored.metadata)
        assert set(marks(released.metadata)) <= set(marks(stored.metadata))


@_SETTINGS
@given(policies, readings)
def test_what_passed_once_passes_unchanged(tables, reading):
    # A pseudonym's pseudonym is another one, and a name that a rule takes away decides no more.
    identity = ("device", "channel")
    for table in tables[0]:
        about = table.get("key")
        assume(table["action"] != "hash")
        assume(about is None or not any(like(about, name) for name in identity))
    policy = PrivacyPolicy(*tables, key=KEY)
    stored = policy.evaluate(reading)
    assume(stored is not None)
    assert policy.evaluate(stored) == stored
    released = policy.release(reading)
    assert policy.release(stored) == released
    if released is not None:
        assert policy.release(released) == released


@_SETTINGS
@given(
    st.sampled_from(["quantize", "clamp"]),
    steps,
    st.tuples(levels, levels).map(sorted),
    st.one_of(st.none(), st.integers(*LIMITS["exponent"])),
    st.one_of(st.integers(*LIMITS["value"]), st.sampled_from(LIMITS["value"])),
    st.floats(allow_nan=False),
)
def test_gate_twice_is_gate_once(action, step, between, exponent, integer, number):
    table = {"action": action, "step": step}
    if action == "clamp":
        table = {"action": action, "low": between[0], "high": between[1]}
    faults = []
    rule = PrivacyRule(table, "rule", faults)
    assert not faults
    gate = Gate(action, rule, exponent)
    value = number if exponent is None else integer
    shown = gate.value(value)
    assert gate.value(shown) == shown
    low, high = LIMITS["value"]
    assert exponent is None or (isinstance(shown, int) and low <= shown <= high)
    if action == "quantize" and exponent is None:
        assert shown == value or abs(shown - value) <= float(step) * 0.51


@_SETTINGS
@given(policies, readings, st.integers(0, 15), st.data())
def test_text_of_a_fault_shows_neither_key_nor_reading(tables, reading, size, data):
    key = data.draw(st.sampled_from([KEY[:size], KEY.decode(), [KEY], {"key": KEY}, reading]))
    wrong = data.draw(
        st.sampled_from(
            [
                {"rules": [{"action": "hash"}], "key": key},
                {"rules": [reading], "key": key},
                {"rules": reading, "key": key},
                {"rules": [reading.metadata], "key": key},
                {"rules": [("*", "hash")], "fields": reading, "key": key},
                {"rules": [{"action": "hash"}], "fields": reading.metadata, "key": key},
                {"rules": [*tables[0], {"action": "forget", "hash_key": KEY.decode()}]},
                {"rules": [{"key": "a", "action": "drop", "value": reading.value}]},
            ]
        )
    )
    with everything_said() as said:
        try:
            PrivacyPolicy(**wrong)
        except TableError as error:
            shown = f"{error} {error!r} {error.args} {error.faults}"
        else:
            raise AssertionError(f"{wrong} is no fault")
    shown += said.getvalue()
    for secret in marks([reading.metadata, reading.value]):
        assert secret not in shown
    assert "SECRET" not in shown
