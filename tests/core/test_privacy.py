"""The policy: which rule decides, what each action leaves of a reading and its metadata."""

from collections import OrderedDict, namedtuple

from check import raises, without_heap
from pyv_edge_core.disclosure import ACCOUNTING_KEYS, MASK
from pyv_edge_core.errors import TableError
from pyv_edge_core.hmac import pseudonym
from pyv_edge_core.privacy import KEY_SIZE_MIN, PrivacyPolicy

HEAP_KB_MIN = 192  # so many tests of it beside the policy are more than the smallest heap

Reading = namedtuple("Reading", ("sensor_name", "timestamp", "value", "unit", "metadata"))
KEY = b"a secret of 24 bytes ..."


def reading_of(sensor="cam.face", value=21.25, metadata=None):
    return Reading(sensor, 1000.0, value, "Cel", {} if metadata is None else metadata)


def policy_of(rules=(), default="allow", fields=None):
    return PrivacyPolicy(rules, default, True, KEY, fields)


def metadata_after(rules, metadata, default="allow", is_leaving=False):
    policy = policy_of(rules, default)
    reading = reading_of(metadata=metadata)
    return (policy.release(reading) if is_leaving else policy.evaluate(reading)).metadata


def key_rule(key, action):
    return {"key": key, "action": action}


# -- which rule decides ------------------------------------------------------------


def test_first_match_wins():
    allow_face = ("cam.face", "allow")
    drop_all = ("cam.*", "drop")
    assert policy_of([allow_face, drop_all]).evaluate(reading_of()) is not None
    assert policy_of([drop_all, allow_face]).evaluate(reading_of()) is None
    assert policy_of([allow_face, drop_all]).evaluate(reading_of("cam.body")) is None
    assert policy_of([("x", "drop"), drop_all, allow_face]).decide("cam", "face", "cam.face").name


def test_default():
    reading = reading_of()
    assert PrivacyPolicy().evaluate(reading) == reading
    assert policy_of(default="allow").evaluate(reading) == reading
    for default in ("deny", "drop"):
        policy = policy_of([("light.*", "allow")], default)
        assert policy.default == "deny"
        assert policy.evaluate(reading) is None and policy.release(reading) is None
        assert policy.evaluate(reading_of("light.a")) is not None
        assert policy.action(policy.decide("cam", "face", "cam.face")) == "drop"


def test_names_come_from_metadata_or_the_sensor():
    for rule, sensor, metadata, is_dropped in (
        ({"device": "cam"}, "cam.face", {}, True),
        ({"channel": "face.left"}, "cam.face.left", {}, True),
        ({"device": "cam", "channel": "cam"}, "cam", {}, True),
        ({"device": "board-1"}, "cam.face", {"device": "board-1"}, True),
        ({"device": "cam"}, "cam.face", {"device": "board-1"}, False),
        ({"pattern": "cam.*"}, "cam.face", {"device": "board-1", "channel": "x"}, True),
        ({"channel": "x"}, "cam.face", {"channel": "x"}, True),
        ({"device": "7"}, "cam.face", {"device": 7}, True),
        ({"device": "cam", "channel": "face"}, "cam.face", {"device": None, "channel": ""}, True),
        ({"channel": ""}, "cam.", {}, None),
        ({"channel": "*", "device": "*"}, "", {}, True),
    ):
        rule["action"] = "drop"
        if is_dropped is None:
            raises(TableError, policy_of, [rule])
            continue
        shown = policy_of([rule]).evaluate(reading_of(sensor, 1.0, metadata))
        assert (shown is None) is is_dropped, (rule, sensor, metadata)


def test_key_rules_are_not_about_readings():
    reading = reading_of(metadata={"cam.face": 1})
    shown = policy_of([key_rule("*", "drop")]).evaluate(reading)
    assert shown == reading_of()


# -- actions on readings -----------------------------------------------------------


def test_each_action_on_a_reading():
    given = {"device": "cam", "channel": "face", "seq": 7, "who": "Bob"}
    hidden = {"device": "cam", "channel": "face", "seq": 7, "quality": "bad"}
    names = {"device": pseudonym(KEY, "cam"), "channel": pseudonym(KEY, "cam.face")}
    names["seq"] = 7
    names["who"] = "Bob"
    # action, keys of the rule, sensor, value, metadata, leaves this machine
    cases = (
        ("allow", {}, "cam.face", 21.25, given, True),
        ("mask", {}, "cam.face", 0.0, dict(hidden, privacy="mask", who="Bob"), True),
        ("redact", {}, "cam.face", 0.0, dict(hidden, privacy="redact"), True),
        ("hash", {}, pseudonym(KEY, "cam.face"), 21.25, names, True),
        ("quantize", {"step": "0.5"}, "cam.face", 21.5, given, True),
        ("clamp", {"high": 20}, "cam.face", 20.0, given, True),
        ("local_only", {}, "cam.face", 21.25, given, False),
        ("drop", {}, None, None, None, False),
        ("aggregate_only", {}, None, None, None, False),
    )
    for action, keys, sensor, value, metadata, is_leaving in cases:
        policy = policy_of([dict(keys, pattern="cam.*", action=action)])
        reading = reading_of(metadata=dict(given))
        expected = None if sensor is None else Reading(sensor, 1000.0, value, "Cel", metadata)
        assert policy.evaluate(reading) == expected, action
        assert policy.release(reading) == (expected if is_leaving else None), action
        assert reading == reading_of(metadata=given), action  # what is given stays as it is


def test_gate_is_what_evaluate_does():
    policy = policy_of(
        [
            {"pattern": "a.*", "action": "quantize", "step": 5},
            {"pattern": "b.*", "action": "clamp", "low": 0, "high": 10},
        ],
        "deny",
    )
    assert policy.gate("a", "x", "a.x", -1).value(24) == 0
    assert policy.gate("a", "x", "a.x", -1).value(26) == 50
    assert policy.gate("b", "x", "b.x", 0).value(26) == 10
    assert policy.gate("c", "x", "c.x", 0).is_open is False
    assert policy.evaluate(reading_of("a.x", 2.6)).value == 5.0


def test_bad_quality_is_no_way_around():
    for keys, expected in (
        ({"action": "quantize", "step": 5}, 20.0),
        ({"action": "clamp", "high": 3}, 3),
    ):
        policy = policy_of([keys])
        for quality in ("good", "uncertain", "bad"):
            reading = reading_of(metadata={"quality": quality})
            assert policy.evaluate(reading).value == expected, (keys, quality)
        # A store gives readings of bad quality without a value.
        assert policy.release(reading_of(value=None, metadata={"quality": "bad"})).value is None


def test_hash_leaves_no_name():
    policy = policy_of([{"action": "hash"}])
    metadata = {"device": 7, "channel": "face"}
    shown = policy.evaluate(reading_of(metadata=metadata))
    assert shown.metadata == {"device": pseudonym(KEY, "7"), "channel": pseudonym(KEY, "cam.face")}
    assert "cam" not in repr(shown) and "face" not in repr(shown)
    assert policy.evaluate(reading_of()).metadata == {}


def test_hash_of_a_reading_does_not_undo_rules_of_its_keys():
    for action, expected in (("mask", MASK), ("hash", pseudonym(KEY, "cam")), ("drop", None)):
        policy = policy_of([key_rule("device", action), {"action": "hash"}])
        shown = policy.evaluate(reading_of(metadata={"device": "cam"}))
        assert shown.metadata.get("device") == expected, action


def test_pseudonyms_need_the_key():
    other = PrivacyPolicy([{"action": "hash"}], key=b"another key of 24 bytes.")
    mine = policy_of([{"action": "hash"}])
    assert mine.pseudonym("cam") == pseudonym(KEY, "cam") != other.pseudonym("cam")
    assert mine.evaluate(reading_of()).sensor_name != other.evaluate(reading_of()).sensor_name


# -- actions on metadata -----------------------------------------------------------


def test_each_action_on_a_key():
    for action, stored, sent in (
        ("allow", {"who": "Bob"}, {"who": "Bob"}),
        ("drop", {}, {}),
        ("redact", {}, {}),
        ("mask", {"who": MASK}, {"who": MASK}),
        ("hash", {"who": pseudonym(KEY, "Bob")}, {"who": pseudonym(KEY, "Bob")}),
        ("local_only", {"who": "Bob"}, {}),
    ):
        rules = [key_rule("who", action)]
        stored["x"] = sent["x"] = 1
        assert metadata_after(rules, {"who": "Bob", "x": 1}) == stored, action
        assert metadata_after(rules, {"who": "Bob", "x": 1}, is_leaving=True) == sent, action


def test_default_deny_removes_keys_too():
    given = {"who": "Bob", "device": "cam", "channel": "face", "seq": 1, "quality": "good"}
    rules = [("cam.*", "allow")]
    kept = {"device": "cam", "channel": "face", "seq": 1, "quality": "good"}
    assert metadata_after(rules, given, "deny") == kept
    assert metadata_after([key_rule("w*", "allow")] + rules, given, "deny") == given


def test_accounting_keys_stay_whatever_the_rules_say():
    given = dict.fromkeys(ACCOUNTING_KEYS, 1)
    for default in ("allow", "deny"):
        rules = [key_rule("*", "drop"), ("*", "allow")]
        assert metadata_after(rules, dict(given, device="cam"), default) == given, default
    # Only as keys of their own, and only themselves: what is put below them isn't ours.
    rules = [key_rule("*", "drop")]
    assert metadata_after(rules, {"a": {"seq": 1}, "seq": {"a": 1}}) == {"seq": {}}


def test_key_rules_are_for_their_readings_only():
    rules = [{"key": "who", "device": "cam", "action": "drop"}]
    policy = policy_of(rules)
    assert policy.evaluate(reading_of("cam.face", 1, {"who": 1})).metadata == {}
    assert policy.evaluate(reading_of("van.face", 1, {"who": 1})).metadata == {"who": 1}


def test_nested_keys_are_named_with_dots_or_by_themselves():
    given = {"gps": {"lat": 1, "lon": 2}, "lat": 3, "x.lat": 4}
    for key, expected in (
        ("gps", {"lat": 3, "x.lat": 4}),
        ("gps.lat", {"gps": {"lon": 2}, "lat": 3, "x.lat": 4}),
        ("gps.*", {"gps": {}, "lat": 3, "x.lat": 4}),
        ("lat", {"gps": {"lon": 2}, "x.lat": 4}),
        ("*lat", {"gps": {"lon": 2}}),
        ("*", {}),
    ):
        assert metadata_after([key_rule(key, "drop")], given) == expected, key
    assert metadata_after([key_rule("lat", "mask")], given)["gps"] == {"lat": MASK, "lon": 2}


def test_rule_about_a_key_covers_what_is_below_unless_one_before_it_does():
    given = {"gps": {"lat": 1, "alt": {"m": 2}}}
    drop_lat = key_rule("gps.lat", "drop")
    drop_m = key_rule("m", "drop")
    allow_gps = key_rule("gps", "allow")
    assert metadata_after([allow_gps, drop_lat, drop_m], given) == given
    assert metadata_after([drop_lat, allow_gps], given) == {"gps": {"alt": {"m": 2}}}
    assert metadata_after([drop_m, allow_gps], given) == {"gps": {"lat": 1, "alt": {}}}
    local = key_rule("gps", "local_only")
    assert metadata_after([drop_lat, local, drop_m], given) == {"gps": {"alt": {"m": 2}}}
    assert metadata_after([drop_lat, local], given, is_leaving=True) == {}
    # What is removed or masked is so with all that is in it.
    assert metadata_after([key_rule("gps.lat", "allow"), key_rule("gps", "drop")], given) == {}
    assert metadata_after([key_rule("gps", "mask")], given) == {"gps": MASK}


def test_strict_policy_allows_parts():
    given = {"gps": {"lat": 1, "alt": {"m": 2, "ft": 6}}, "who": {"name": "Bob"}, "tags": ["a"]}
    for key, expected in (
        ("gps", {"gps": given["gps"]}),
        ("gps.lat", {"gps": {"lat": 1}}),
        ("gps.alt.m", {"gps": {"alt": {"m": 2}}}),
        ("m", {"gps": {"alt": {"m": 2}}}),
        ("tags", {"tags": ["a"]}),
        ("none", {}),
    ):
        rules = [key_rule(key, "allow"), {"action": "allow"}]
        assert metadata_after(rules, given, "deny") == expected, key


def test_lists_are_looked_into():
    given = {"seen": [{"who": "Bob", "n": 1}, [{"who": "Eve"}], "plain", 5], "t": (1, 2)}
    rules = [key_rule("seen.who", "drop")]
    expected = {"seen": [{"n": 1}, [{}], "plain", 5], "t": [1, 2]}
    assert metadata_after(rules, given) == expected
    assert metadata_after([key_rule("who", "mask")], given)["seen"][1] == [{"who": MASK}]
    assert metadata_after([key_rule("seen", "drop")], given) == {"t": [1, 2]}


def _deep(depth, inner, wrap):
    for _ in range(depth):
        inner = wrap(inner)
    return inner


def test_too_deep_is_hidden():
    rules = [key_rule("who", "drop")]
    for wrap in (lambda inner: {"a": inner}, lambda inner: [inner]):
        shown = metadata_after(rules, {"top": _deep(8, {"n": 1}, wrap)})
        assert repr(shown).count("***") == 1 and "'n'" not in repr(shown)
        shown = metadata_after(rules, {"top": _deep(7, {"n": 1, "who": 2}, wrap)})
        assert "***" not in repr(shown) and "'n'" in repr(shown) and "who" not in repr(shown)
        shown = metadata_after([("*", "allow")], {"top": _deep(200, 1, wrap)}, "deny")
        assert shown == {}
    loop = {}
    loop["again"] = loop
    assert "***" in repr(metadata_after(rules, loop))


def test_strict_policy_shows_nothing_of_what_is_too_deep():
    given = {"top": _deep(20, {"n": 1}, lambda inner: {"a": inner})}
    assert metadata_after([key_rule("n", "allow"), ("*", "allow")], given, "deny") == {}


def test_json_values_pass_and_others_are_masked():
    given = {"a": None, "b": True, "c": 1, "d": 1.5, "e": "", "f": [], "g": {}, "h": 10**30}
    assert metadata_after([key_rule("x", "drop")], given) == given
    for value in ({1, 2}, b"who", bytearray(b"who"), KEY, object(), range(3), lambda: 1):
        assert metadata_after([key_rule("who", "drop")], {"x": value}) == {"x": MASK}, value
        assert metadata_after([], {"x": [value]}) == {"x": [MASK]}, value
    ordered = OrderedDict()
    ordered["who"] = "Bob"
    assert metadata_after([key_rule("who", "drop")], {"x": ordered}) == {"x": {}}
    point = namedtuple("Point", ("who", "y"))("Bob", 2)
    assert metadata_after([key_rule("x", "mask")], {"x": point, "y": point}) == {
        "x": MASK,
        "y": ["Bob", 2],
    }


def test_keys_that_are_not_text_are_removed():
    for key in (5, None, True, b"who", 1.5, ("who",)):
        assert metadata_after([], {key: "Bob", "x": {key: "Bob"}}) == {"x": {}}, key


def test_hash_of_values_that_are_no_text():
    for value, text in (
        (5, "5"),
        (True, "True"),
        (None, "None"),
        (1.5, "1.5"),
        (["a", 1], "[a,1]"),
        ({"b": 1, "a": [None]}, "{a:[None],b:1}"),  # whatever the order of its keys
    ):
        shown = metadata_after([key_rule("who", "hash")], {"who": value})
        assert shown == {"who": pseudonym(KEY, text)}, value
    deep = []
    for _ in range(50):
        deep = [deep]
    assert len(metadata_after([key_rule("who", "hash")], {"who": deep})["who"]) == 32
    half = "a" + chr(0xD800)
    assert len(metadata_after([key_rule("who", "hash")], {"who": half})["who"]) == 32


def test_awkward_names_of_keys():
    given = {"": 1, ".": 2, "a.": {"b": 3}, "***": 4, "[": 5, "\u00e9": 6, " who": 7}
    assert metadata_after([key_rule("who", "drop")], given) == given
    assert metadata_after([key_rule("*", "drop")], given) == {}
    assert metadata_after([key_rule("a..b", "drop")], given)["a."] == {}
    assert "\u00e9" not in metadata_after([key_rule("\u00e9", "drop")], given)
    assert "" in metadata_after([key_rule("?*", "drop")], given)


# -- both together -----------------------------------------------------------------


def test_release_of_what_was_evaluated():
    policy = policy_of(
        [
            {"pattern": "a.*", "action": "quantize", "step": 1},
            {"pattern": "b.*", "action": "redact"},
            {"pattern": "c.*", "action": "local_only"},
            key_rule("who", "local_only"),
            key_rule("mac", "mask"),
        ]
    )
    for sensor in ("a.x", "b.x", "c.x", "d.x"):
        reading = reading_of(sensor, 21.4, {"who": "Bob", "mac": "00:11", "device": sensor[0]})
        stored = policy.evaluate(reading)
        assert policy.evaluate(stored) == stored, sensor
        assert policy.release(stored) == policy.release(reading), sensor


def test_not_enabled_allows_everything():
    policy = PrivacyPolicy([("*", "drop"), key_rule("*", "drop")], "deny", False)
    reading = reading_of(metadata={"who": {"is": "Bob"}, 5: 6})
    assert policy.evaluate(reading) is reading and policy.release(reading) is reading
    assert policy.gate("a", "b", "a.b", -2).is_plain
    assert policy.is_enabled is False and policy.fingerprint == 0 and len(policy.rules) == 2
    explained = policy.explain(reading)
    assert explained == (
        "allow",
        "not enabled",
        [("who", "allow", "not enabled"), ("who.is", "allow", "not enabled")],
    )
    # That it isn't in force is no reason to accept what could never be.
    raises(TableError, PrivacyPolicy, [("*", "forget")], "deny", False)


def test_documented_lists():
    lists = {
        "drop_fields": ["camera.*"],
        "redact_fields": ["motion.patient_room.*", "badge"],
        "mask_fields": ["mac"],
        "hash_fields": ["device_id"],
        "local_only": ["debug.*"],
    }
    policy = policy_of(fields=lists)
    assert policy.evaluate(reading_of("camera.front")) is None
    shown = policy.evaluate(reading_of("motion.patient_room.3b", 1.0, {"x": 1}))
    assert (shown.value, shown.metadata) == (0.0, {"quality": "bad", "privacy": "redact"})
    metadata = {"badge": "B1", "mac": "00:11", "device_id": "d1", "debug.a": 1, "camera.b": 2}
    metadata["x"] = 3
    stored = {"mac": MASK, "device_id": pseudonym(KEY, "d1"), "debug.a": 1, "x": 3}
    shown = policy.evaluate(reading_of("temp.hall", 1.0, metadata))
    assert shown.metadata == stored and shown.value == 1.0
    del stored["debug.a"]
    assert policy.release(reading_of("temp.hall", 1.0, metadata)).metadata == stored
    assert policy.release(reading_of("debug.load")) is None
    assert policy.evaluate(reading_of("debug.load")) is not None


def test_rules_come_before_the_lists():
    policy = policy_of([("camera.front", "allow")], fields={"drop_fields": ["camera.*"]})
    assert policy.evaluate(reading_of("camera.front")) is not None
    assert policy.evaluate(reading_of("camera.back")) is None


# -- explain -----------------------------------------------------------------------


def test_explain_names_the_deciding_rule():
    policy = policy_of(
        [
            {"name": "no faces", "pattern": "cam.face", "action": "mask"},
            key_rule("gps.lat", "drop"),
            key_rule("gps", "allow"),
            ("cam.*", "local_only"),
        ]
    )
    metadata = {"seq": 1, "gps": {"lon": 1, "lat": 2}, "device": "cam", 5: 1, "x": [{"y": 1}]}
    assert policy.explain(reading_of(metadata=metadata)) == (
        "mask",
        "no faces",
        [
            ("device", "allow", "default"),
            ("gps", "allow", "allow gps"),
            ("gps.lat", "drop", "drop gps.lat"),
            ("gps.lon", "allow", "allow gps"),
            ("seq", "allow", "accounting"),
            ("x", "allow", "default"),
        ],
    )
    assert policy.explain(reading_of("cam.x"))[:2] == ("local_only", "local_only cam.*")
    assert policy.explain(reading_of("van.x"))[:2] == ("allow", "default")
    strict = policy_of([key_rule("a.b", "allow")], "deny")
    assert strict.explain(reading_of(metadata={"a": {"b": 1, "c": 2}})) == (
        "drop",
        "default",
        [
            ("a", "drop", "default"),
            ("a.b", "allow", "allow a.b"),
            ("a.c", "drop", "default"),
        ],
    )


def test_explain_never_shows_a_value():
    metadata = {
        "who": "SECRET",
        "a": {"b": "SECRET", "c": ["SECRET"]},
        "d": {"e": {"f": "SECRET"}},
    }
    for action in ("allow", "drop", "mask", "hash", "local_only"):
        for key in ("*", "who", "a", "e"):
            policy = policy_of([key_rule(key, action), ("*", action)])
            text = repr(policy.explain(reading_of(value="SECRET", metadata=metadata)))
            assert "SECRET" not in text and "who" in text, (action, key)


def test_explain_stops_where_evaluate_does():
    loop = {}
    loop["a"] = loop
    assert len(policy_of().explain(reading_of(metadata=loop)).keys) == 9


# -- as an object ------------------------------------------------------------------


def test_fingerprint():
    assert PrivacyPolicy().fingerprint == 0
    assert policy_of(default="deny").fingerprint != 0
    rules = [("a", "drop"), ("b", "mask")]
    first = policy_of(rules).fingerprint
    assert 0 < first < 2**32
    assert policy_of(rules).fingerprint == first
    assert policy_of(rules[::-1]).fingerprint != first
    assert policy_of(rules[:1]).fingerprint != first
    assert policy_of(rules, "deny").fingerprint != first
    # The same on both interpreters, so a host can compare its board's.
    assert policy_of([("caf\u00e9.*", "drop")]).fingerprint == 3288164961


def test_fingerprint_is_about_what_decides():
    named = [{"name": "x", "pattern": "a", "action": "quantize", "step": "0.50"}]
    plain = [{"pattern": "a", "action": "quantize", "step": 0.5}]
    assert policy_of(named).fingerprint == policy_of(plain).fingerprint
    lists = policy_of(fields={"drop_fields": ["a"]})
    rules = policy_of([("a", "drop"), key_rule("a", "drop")])
    assert lists.fingerprint == rules.fingerprint


def test_what_it_was_made_from_may_change():
    table = {"pattern": "cam.*", "action": "drop"}
    pair = ["van.*", "drop"]
    rules = [table, pair]
    patterns = ["bus.*"]
    fields = {"drop_fields": patterns}
    key = bytearray(KEY)
    policy = PrivacyPolicy(rules, "allow", True, key, fields)
    before = policy.fingerprint
    name = policy.pseudonym("a")
    table["action"] = pair[1] = "allow"
    rules[:] = []
    patterns[:] = []
    fields["drop_fields"] = ()
    key[0] = 0
    for sensor in ("cam.x", "van.x", "bus.x"):
        assert policy.evaluate(reading_of(sensor)) is None, sensor
    assert (policy.fingerprint, policy.pseudonym("a")) == (before, name)


def test_policy_is_read_only():
    policy = policy_of([("cam.*", "drop")])
    for name, value in (("rules", ()), ("default", "allow"), ("is_enabled", False)):
        raises(AttributeError, setattr, policy, name, value)
    assert policy.evaluate(reading_of()) is None
    raises((AttributeError, TypeError), lambda: policy.rules.append(1))


def test_output_shares_nothing_with_the_reading():
    metadata = {"a": {"b": [1]}}
    shown = policy_of([("x", "drop")]).evaluate(reading_of(metadata=metadata))
    shown.metadata["a"]["b"].append(2)
    shown.metadata["c"] = 3
    assert metadata == {"a": {"b": [1]}}


def test_all_faults_come_at_once():
    error = raises(
        TableError,
        PrivacyPolicy,
        [("a", "forget"), {"pattern": "[", "action": "hash"}, 5],
        "ask",
        "yes",
        "text",
        {"drop_fields": [""], "drops": []},
    )
    starts = (
        "default: 'ask' is not one of allow, deny",
        "enabled: 'yes' is not true or false",
        "rules[0].action: 'forget' is not one of",
        "rules[1].pattern: '[' is not a pattern",
        "rules[2]: must be a table",
        "drops: is not known; there are drop_fields",
        "drop_fields[0]: '' is not a pattern",
        "hash_key: must be bytes",
    )
    assert len(error.faults) == len(starts), error.faults
    for index in range(len(starts)):
        assert error.faults[index].startswith(starts[index]), error.faults[index]
    assert str(error) == "\n".join(error.faults)


def test_hash_key_is_demanded_and_never_shown():
    fault = "hash_key: hashing needs a secret of at least 16 bytes"
    for size in (0, KEY_SIZE_MIN - 1):
        key = b"K" * size
        error = raises(TableError, PrivacyPolicy, [("a", "hash")], "allow", True, key)
        assert error.faults == [fault]
    PrivacyPolicy([("a", "drop")], "allow", True, b"")
    # A short one is told also before there is a rule that needs it.
    error = raises(TableError, PrivacyPolicy, [("a", "drop")], "allow", True, key)
    assert error.faults == [fault]
    for key in ("KKKKKKKKKKKKKKKKKKKK", None, 5, ["K"]):
        error = raises(TableError, PrivacyPolicy, [("a", "hash")], "allow", True, key)
        assert error.faults == ["hash_key: must be bytes"], key
    PrivacyPolicy([("a", "hash")], "allow", True, bytearray(b"K" * KEY_SIZE_MIN))


def test_steady_state_needs_no_heap():
    policy = policy_of([("x.%d" % index, "drop") for index in range(6)])
    gates = [policy.gate("a", "b", "a.b", -2)]
    quantizing = policy_of([{"action": "quantize", "step": "0.5"}])
    gates.append(quantizing.gate("a", "b", "a.b", -2))
    gates.append(policy.gate("x", "1", "x.1", -2))

    def thousand_rounds():
        count = 0
        while count < 1000:
            if gates[0].is_open and not gates[0].is_plain:
                gates[0].value(count)
            gates[1].value(count)
            count += gates[2].is_open
            count += 1

    without_heap(thousand_rounds)


def test_metadata_alone_are_released_as_with_their_reading():
    policy = policy_of([{"key": "who", "device": "cam", "action": "local_only"}])
    given = {"who": "Bob", "seq": 1}
    assert policy.release_metadata(("cam", "face", "cam.face"), given) == {"seq": 1}
    assert policy.release_metadata(("van", "face", "van.face"), given) == given
