"""What only CPython has: threads, kinds of values no board knows, and room for full limits."""

import sys
import threading
import types
from collections import ChainMap, UserDict
from decimal import Decimal
from enum import Enum

from check import raises
from pyv_edge_agent.types import SensorReading
from pyv_edge_core.disclosure import MASK
from pyv_edge_core.errors import TableError
from pyv_edge_core.hmac import pseudonym
from pyv_edge_core.privacy import RULE_COUNT_MAX, PrivacyPolicy

RUNS_ON = ("cpython",)
KEY = b"a secret of 24 bytes ..."


class Word(str, Enum):
    WHO = "who"
    CAM = "cam"


def reading_of(metadata, sensor="cam.face", value=1.0):
    return SensorReading(sensor, 1000.0, value, "Cel", metadata)


def drop_key(key, action="drop"):
    return PrivacyPolicy([{"key": key, "action": action}], key=KEY)


def test_threads_share_the_cache():
    policy = PrivacyPolicy([("a.7", "drop"), ("a.*", "local_only")])
    names = [f"a.{index}" for index in range(1100)]  # more than the cache holds
    failures = []

    def ask(step):
        try:
            for index in range(0, 4400, step):
                name = names[index % 1100]
                action = policy.action(policy.decide("a", name[2:], name))
                assert action == ("drop" if name == "a.7" else "local_only")
        except Exception as error:
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=ask, args=(step,)) for step in (1, 3, 7, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failures == []


def test_cache_that_another_thread_clears_is_asked_once():
    class Cleared(dict):
        """Forgets everything between being asked and being read."""

        def __contains__(self, key):
            self.clear()
            return True

    policy = PrivacyPolicy([("a.b", "drop")])
    policy._decided = Cleared({("a", "b", "a.b"): None})
    assert policy.decide("a", "b", "a.b") is None
    policy._decided = Cleared()
    assert policy.decide("a", "b", "a.b").action == "drop"


def test_text_of_an_enum_is_its_text():
    # str() of such a member is "Word.WHO" and its JSON is "who": rules are about the latter.
    assert drop_key("who").evaluate(reading_of({Word.WHO: 1})).metadata == {}
    shown = drop_key("x", "hash").evaluate(reading_of({"x": Word.WHO}))
    assert shown.metadata == {"x": pseudonym(KEY, "who")}
    policy = PrivacyPolicy([{"device": "cam", "action": "drop"}])
    assert policy.evaluate(reading_of({"device": Word.CAM}, "van.face")) is None


def test_mappings_that_are_no_dict_are_masked():
    secret = {"who": "Bob"}
    for value in (types.MappingProxyType(secret), UserDict(secret), ChainMap(secret)):
        assert drop_key("who").evaluate(reading_of({"x": value})).metadata == {"x": MASK}
    for value in (Decimal("1.5"), frozenset(["Bob"]), types.SimpleNamespace(who="Bob")):
        assert drop_key("who").evaluate(reading_of({"x": [value]})).metadata == {"x": [MASK]}


def test_reading_of_a_subclass_loses_what_it_has_besides():
    class Detailed(SensorReading):
        pass

    reading = Detailed("cam.face", 1000.0, 1.0, "Cel", {})
    object.__setattr__(reading, "who", "Bob")
    shown = PrivacyPolicy().evaluate(reading)
    assert type(shown) is Detailed and not hasattr(shown, "who")


def test_integers_of_any_size_are_clamped():
    policy = PrivacyPolicy([{"action": "clamp", "low": -1, "high": 1}])
    for value in (10**400, -(10**400)):
        assert abs(policy.evaluate(reading_of({}, value=value)).value) == 1


def test_secret_is_not_in_what_a_policy_shows_of_itself():
    policy = PrivacyPolicy([("a", "hash")], key=KEY)
    assert KEY.decode() not in f"{policy!r} {policy.rules!r} {policy.explain(reading_of({}))!r}"


def test_decisions_are_remembered_within_limits():
    policy = PrivacyPolicy([("a.7", "drop")])
    for _ in range(2):
        for index in range(1500):
            name = "a.%d" % index
            action = policy.action(policy.decide("a", str(index), name))
            assert action == ("drop" if index == 7 else "allow"), index
    assert len(policy._decided) <= 1024


def test_count_of_rules_is_limited():
    rules = [("a", "drop")] * RULE_COUNT_MAX
    assert len(PrivacyPolicy(rules).rules) == RULE_COUNT_MAX
    error = raises(TableError, PrivacyPolicy, rules, "allow", True, KEY, {"drop_fields": ["a"]})
    assert error.faults == ["rules: 258, where a pattern of a list counts twice; at most 256"]
