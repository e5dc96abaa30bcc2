"""Strategies for tables of rules and of a policy, and for what is measured under them."""

from hypothesis import strategies as st
from pyv_edge_core.privacy_rule import ACTIONS
from script_parts import ANY_64, TEXTS, mostly, script, scripts_of, steps_of

# Numbers as people write them: whole, with a few decimals, as text; and what is none.
NUMBERS = st.one_of(
    st.integers(-50, 50),
    st.integers(-5000, 5000).map(lambda hundredths: hundredths / 100),
    st.integers(-5000, 5000).map(lambda thousandths: f"{thousandths / 1000}"),
    st.sampled_from([0, 1, "1e3", "2.50", "-0.0", "+7", "1E-2", ".5", "5."]),
)
NO_NUMBERS = st.one_of(
    st.sampled_from(["", "e", "1e", "-", "1e99", "1.2.3", "0x10", "1_0", "\u0661", "nan", "inf"]),
    st.booleans(),
    st.none(),
    TEXTS,
)
DURATIONS = st.one_of(
    st.integers(0, 30),
    st.sampled_from(["250ms", "10s", "5m", "2h", "3d", "1.5s", "0.0005s", "10 s"]),
    st.integers(0, 100_000).map(lambda tenths: f"{tenths}ms"),
)
NO_DURATIONS = st.one_of(st.sampled_from(["4d", "-1s", "s", "1x", "1.5ms", -1]), NO_NUMBERS)


_numbers = mostly(NUMBERS, NO_NUMBERS)
_durations = mostly(DURATIONS, NO_DURATIONS)
_pairs = mostly(
    st.tuples(NUMBERS, NUMBERS).map(list), st.one_of(NUMBERS, st.lists(NUMBERS, max_size=3))
)
_choices = {
    "aggregate": ["mean", "min", "max", "sum", "count", "range"],
    "on_bad": ["hold", "resolve", "fire"],
    "on_missing": ["hold", "resolve", "fire"],
    "severity": ["info", "warning", "critical"],
}
_LEVELS = ["above", "below", "outside", "rate_above", "rate_below"]
_OPTIONS = {
    "clear": _numbers,
    "window": _durations,
    "step": _durations,
    "per": _durations,
    "for": _durations,
    "keep_for": _durations,
    "cooldown": _durations,
    "late": _durations,
    "missing": _durations,
    "message": st.sampled_from(["{rule}: {value} {unit}", "{sensor} é {condition}", "{x}", "{"]),
    **{
        key: mostly(st.sampled_from(values), st.sampled_from(["", "x", 1]))
        for key, values in _choices.items()
    },
}
_NAMES = st.sampled_from(["a", "b", "hot", "zu heiß", "", "x" * 97])


@st.composite
def rule_tables(draw):
    """One table, mostly such that it can be used: a condition and a few options."""
    kind = draw(st.sampled_from([*_LEVELS, "stuck", "deadband", "missing"]))
    table = {"name": draw(st.text("abc", min_size=1, max_size=4))}
    if kind == "outside":
        low, high = sorted(draw(st.tuples(st.integers(-50, 50), st.integers(-50, 50))))
        table[kind] = [low, high]
    else:
        is_time = kind in ("stuck", "missing")
        table[kind] = draw(st.sampled_from([1, 5, "2s"]) if is_time else NUMBERS)
    for key in draw(
        st.lists(st.sampled_from(["for", "keep_for", "cooldown", "late"]), max_size=2)
    ):
        table[key] = draw(st.integers(0, 10))
    if kind in _LEVELS[:3] and draw(st.booleans()):
        table["aggregate"] = draw(st.sampled_from(_choices["aggregate"]))
        table["window"] = draw(st.sampled_from([4, "6s", 12]))
        if draw(st.booleans()):
            table["step"] = draw(st.sampled_from([1, 2, table["window"]]))
    elif kind.startswith("rate"):
        table["window"] = draw(st.integers(1, 20))
    elif kind == "stuck" and draw(st.booleans()):
        table["within"] = draw(st.integers(0, 5))
    if kind != "missing" and draw(st.booleans()):
        table["on_bad"] = draw(st.sampled_from(_choices["on_bad"]))
        table["missing"] = draw(st.integers(1, 20))
        table["on_missing"] = draw(st.sampled_from(_choices["on_missing"]))
    return table


@st.composite
def _odd_tables(draw):
    """A table that may have anything wrong."""
    table = draw(rule_tables())
    if draw(st.booleans()):
        table["name"] = draw(_NAMES)
    for key in draw(st.lists(st.sampled_from(sorted(_OPTIONS)), max_size=3)):
        table[key] = draw(_OPTIONS[key])
    for kind in draw(st.lists(st.sampled_from(_LEVELS), max_size=1)):
        table[kind] = draw(_pairs if kind == "outside" else _numbers)
    if draw(st.integers(0, 4)) == 0:
        del table[draw(st.sampled_from(sorted(table)))]
    if draw(st.integers(0, 4)) == 0:
        table[draw(st.sampled_from(["abov", "colour", "é", "sensor"]))] = draw(_numbers)
    return table


RULES_SCRIPTS = scripts_of(
    "rules",
    st.tuples(
        st.just("read"),
        st.one_of(
            st.lists(st.one_of(rule_tables(), _odd_tables()), max_size=3),
            st.sampled_from([None, {}, [None], ["a"]]),
        ),
    ),
)


@st.composite
def watch_scripts(draw):
    """Readings in order, late, repeated and bad, and ticks between them."""
    tables = draw(st.lists(rule_tables(), min_size=1, max_size=3))
    if draw(st.integers(0, 9)) == 0:
        tables.append(draw(_odd_tables()))
    for index, table in enumerate(tables):
        table["name"] = f"rule-{index}"
    mask = draw(st.sampled_from(["board", "host"]))
    top = 2**30 if mask == "board" else 2**62
    # Near a board's wrap more often than a board would be.
    now_ms = draw(st.sampled_from([0, 12345, 2**30 - 20_000, 1_700_000_000_000])) % top
    exponent = draw(st.integers(-3, 2))
    made = [tables, exponent, mask, now_ms]
    values = st.one_of(st.integers(-60, 60).map(lambda value: value * 10 ** max(0, -exponent)))
    values = mostly(values, st.integers(-(2**31), 2**31 - 1), 3)
    steps = []
    names = st.sampled_from(["update", "update", "update", "update", "tick", "reopen"])
    for name in draw(steps_of(names, 40)):
        now_ms += draw(st.sampled_from([0, 1, 250, 1000, 1000, 3000, 10_000, 90_000]))
        if name == "update":
            age_ms = draw(st.sampled_from([0, 0, 0, 0, 100, 2500, 40_000]))
            quality = draw(st.sampled_from([0, 0, 0, 0, 1, 2]))
            time_ms = (now_ms - age_ms) % top
            steps.append([name, now_ms % top, time_ms, draw(values), quality])
        else:
            steps.append([name, now_ms % top])
    return script("watch", made, steps)


# -- privacy -----------------------------------------------------------------------

_WORDS = st.sampled_from(["cam", "mic", "room", "temp", "gps", "é", "quality", "device"])
_PATTERNS = st.one_of(
    _WORDS, _WORDS.map(lambda word: word + "*"), st.sampled_from(["*", "*", "?am", "*.temp"])
)


@st.composite
def _privacy_rules(draw):
    # The two that calculate more often.
    action = draw(st.sampled_from([*ACTIONS, "quantize", "quantize", "clamp"]))
    rule = {"action": action}
    keys = st.sampled_from(["pattern", "device", "channel", "key"])
    for target in draw(st.lists(keys, max_size=2)):
        rule[target] = draw(_PATTERNS)
    if action == "quantize":
        rule["step"] = draw(mostly(st.integers(1, 60), _numbers))
    if action == "clamp":
        low, high = sorted(draw(st.tuples(st.integers(-50, 50), st.integers(-50, 50))))
        rule.update(draw(st.sampled_from([{"low": low, "high": high}] * 3 + [{"low": low}, {}])))
    if draw(st.integers(0, 20)) == 0:
        rule[draw(st.sampled_from(["pattren", "step"]))] = draw(_numbers)
    return rule


_METADATA = st.recursive(
    st.one_of(st.integers(-5, 5), st.text("ab", max_size=4), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(_WORDS, inner, max_size=3)
    ),
    max_leaves=6,
)
_READINGS = st.tuples(
    st.sampled_from(["evaluate", "release", "explain"]),
    st.one_of(st.builds(lambda one, two: f"{one}.{two}", _WORDS, _WORDS), _WORDS, TEXTS),
    st.just(0),
    st.integers(-(2**31), 2**31 - 1),
    st.just("Cel"),
    st.dictionaries(_WORDS, _METADATA, max_size=4),
)
_GATES = st.tuples(
    st.just("gate"),
    _WORDS,
    _WORDS,
    mostly(st.integers(-2, 1), st.integers(-9, 9), 3),
    st.lists(st.one_of(st.integers(-99, 99), st.integers(-(2**31), 2**31 - 1)), max_size=5),
)
_LISTS = st.dictionaries(
    st.sampled_from(["drop_fields", "redact_fields", "mask_fields", "hash_fields", "local_only"]),
    st.lists(_PATTERNS, max_size=2),
    max_size=2,
)
PRIVACY_SCRIPTS = st.builds(
    lambda rules, default, is_enabled, key, fields, steps: script(
        "privacy", [rules, default, is_enabled, key, fields], steps
    ),
    st.lists(
        mostly(_privacy_rules(), st.tuples(_PATTERNS, st.sampled_from(ACTIONS)).map(list), 4),
        max_size=3,
    ),
    mostly(st.sampled_from(["allow", "deny", "drop"]), st.just("x")),
    mostly(st.just(True), st.just(False)),
    mostly(st.just("00" * 16), st.just("")),
    _LISTS,
    steps_of(st.one_of(_READINGS, _GATES), 12).map(lambda steps: [*steps, ("fingerprint",)]),
)

# -- windows, rollups, quantities, HMAC --------------------------------------------

_STEPS_MS = st.sampled_from([1, 7, 1000, 60_000])


@st.composite
def window_scripts(draw):
    step_ms = draw(_STEPS_MS)
    panes = draw(mostly(st.integers(1, 12), st.sampled_from([0, 64, 65, 10**6])))
    mask = draw(st.sampled_from([2**30 - 1, 2**62 - 1]))
    time_ms = draw(st.sampled_from([0, 2**30 - 3000, 1_700_000_000_000])) % (mask + 1)
    steps = []
    odd = draw(mostly(st.just(0), st.integers(-1, 1)))
    names = st.sampled_from(["add"] * 8 + ["is_over", "restart"])
    for name in draw(steps_of(names, 40)):
        time_ms += draw(st.sampled_from([-3, -1, 0, 0, 1, 1, 5])) * step_ms // 2
        time_ms += draw(st.integers(0, 5))
        time_ms &= mask
        value = draw(st.one_of(st.integers(-99, 99), st.integers(-(2**31), 2**31 - 1)))
        steps.append([name, *{"add": [time_ms, value], "is_over": [time_ms]}.get(name, [])])
    return script("window", [step_ms * panes + odd, step_ms, mask], steps)


@st.composite
def rollup_scripts(draw):
    period_ms = draw(_STEPS_MS)
    add = st.tuples(
        st.just("add"),
        st.integers(0, 5 * period_ms).map(lambda ms: 1_700_000_000_000 + ms),
        st.integers(-(2**31), 2**31 - 1),
        st.booleans(),
    )
    steps = draw(steps_of(st.one_of(add, add, add, st.just(("buckets",)))))
    return script("rollup", [period_ms], [*steps, ("buckets",)])


_ALL_NUMBERS = st.one_of(NUMBERS, NO_NUMBERS, ANY_64, ANY_64.map(str))
QUANTITY_SCRIPTS = scripts_of(
    "quantity",
    st.one_of(
        st.tuples(st.sampled_from(["decimal", "show"]), _ALL_NUMBERS),
        st.tuples(st.just("scaled"), NUMBERS, st.integers(-9, 9), st.booleans()),
        st.tuples(st.just("show_ms"), st.integers(0, 259_200_000)),
        st.tuples(st.just("duration_ms"), st.one_of(DURATIONS, NO_DURATIONS, _ALL_NUMBERS)),
    ),
)
_KEYS = st.one_of(st.binary(max_size=40), st.binary(min_size=62, max_size=66)).map(bytes.hex)
HMAC_SCRIPTS = scripts_of(
    "hmac",
    st.one_of(
        st.tuples(st.just("hmac_sha256"), _KEYS, st.binary(max_size=130).map(bytes.hex)),
        st.tuples(st.just("pseudonym"), _KEYS, TEXTS),
    ),
)
