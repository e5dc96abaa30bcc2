"""What a privacy policy lets be known of whole readings, their names and their metadata.

The half of `privacy` that only hosts need: boards have values and no metadata.
Metadata are what JSON has; see `privacy` for what each action does.
"""

from collections import namedtuple

from ._compat import TYPE_CHECKING, const

if TYPE_CHECKING:
    from typing import Any

    from .privacy import PrivacyPolicy
    from .privacy_rule import PrivacyRule

    Names = tuple[str, str, str]
    Decided = tuple[int, str, int]  # (depth, action, place of the rule)

MASK = "***"
# Our own figures, without which nothing could be accounted for. No rule is about them.
_TIME_KEYS = ("time_error_ms", "time_quality")
ACCOUNTING_KEYS = ("quality", "boot", "stream", "seq", "privacy") + _TIME_KEYS
_IDENTITY_KEYS = ("device", "channel")
_KEPT_KEYS = ACCOUNTING_KEYS + _IDENTITY_KEYS  # of a redacted reading
_DEPTH_MAX = const(8)  # of metadata within metadata

Explanation = namedtuple("Explanation", ("action", "rule", "keys"))


def reading(policy: "PrivacyPolicy", reading: "Any", is_leaving: bool) -> "Any":
    """Return what may be known of a reading, here or beyond this machine; None if nothing."""
    if not policy.is_enabled:
        return reading
    device, channel, sensor = names = _names(reading)
    gate = policy.gate(device, channel, sensor, None)
    if not gate.is_open or gate.action == "aggregate_only" or (is_leaving and gate.is_local):
        return None
    given = reading.metadata
    if gate.action == "redact":
        given = {key: given[key] for key in _KEPT_KEYS if key in given}
    metadata = _metadata(policy, (names, is_leaving), given, "", _outset(policy))
    value = reading.value
    if gate.is_hidden:
        value = 0
        metadata["quality"] = "bad"
        metadata["privacy"] = gate.action
    elif not gate.is_plain and value is not None:
        value = gate.value(value)
    if gate.action == "hash":
        sensor = policy.pseudonym(sensor)
        for key, name in (("device", device), ("channel", reading.sensor_name)):
            if metadata.get(key, MASK) != MASK:
                metadata[key] = policy.pseudonym(name)
    return reading.__class__(sensor, reading.timestamp, value, reading.unit, metadata)


def metadata(
    policy: "PrivacyPolicy", names: "Names", given: "dict[Any, Any]", is_leaving: bool = True
) -> "dict[str, Any]":
    """Return what may be known of the metadata of a reading, beyond this machine or here."""
    return _metadata(policy, (names, is_leaving), given, "", _outset(policy))


def _outset(policy: "PrivacyPolicy") -> "Decided":
    return 0, "allow", len(policy.rules)


def _decide(
    policy: "PrivacyPolicy", names: "Names", path: str, key: str, above: "Decided"
) -> "Decided":
    """Return (depth, action, place of the rule) for a key, which is nested as `path` says.

    `above` is that of what it is a part of; the place behind the last rule is
    the default's.
    """
    depth, action, place = above
    if policy.is_enabled and path not in ACCOUNTING_KEYS:
        for index in range(place):
            rule = policy.rules[index]
            if (rule.fits_key(path) or rule.fits_key(key)) and rule.fits(*names):
                return depth + 1, rule.action, index
        if place == len(policy.rules) and policy.default == "deny":
            action = "allow" if path in _IDENTITY_KEYS else "drop"
    return depth + 1, action, place


def _metadata(
    policy: "PrivacyPolicy",
    about: "tuple[Names, bool]",
    given: "dict[Any, Any]",
    prefix: str,
    above: "Decided",
) -> "dict[str, Any]":
    """Return what may be known of `given`, which stands at `prefix` in the metadata.

    `about` is (the reading's names, whether it is to leave this machine).
    """
    kept = {}
    names, is_leaving = about
    for key in given:
        if not isinstance(key, str):
            continue
        value = given[key]
        path = prefix + key
        decided = _decide(policy, names, path, key, above)
        _, action, place = decided
        is_kept = action == "allow" or (action == "local_only" and not is_leaving)
        if action == "mask":
            value = MASK
        elif action == "hash":
            value = policy.pseudonym(_canonical(value, 0))
        elif is_kept:
            value = _nested(policy, about, value, path + ".", decided)
        elif place == len(policy.rules) and isinstance(value, dict):
            # What only the default denies may have a part that a rule allows.
            value = _nested(policy, about, value, path + ".", decided)
            if not value or value == MASK:
                continue
        else:
            continue
        kept[key] = value
    return kept


def _nested(
    policy: "PrivacyPolicy",
    about: "tuple[Names, bool]",
    value: "Any",
    prefix: str,
    above: "Decided",
) -> "Any":
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    depth, action, place = above
    if depth <= _DEPTH_MAX:  # deeper than anybody's rules: better hidden than known
        if isinstance(value, dict):
            return _metadata(policy, about, value, prefix, above)
        if isinstance(value, (list, tuple)):
            above = (depth + 1, action, place)
            return [_nested(policy, about, item, prefix, above) for item in value]
    return MASK


def explain(policy: "PrivacyPolicy", reading: "Any") -> Explanation:
    """Return which rules decide about a reading, see `PrivacyPolicy.explain`."""
    names = _names(reading)
    rule = policy.decide(*names)
    keys: list[tuple[str, str, str]] = []
    _explain_keys(policy, names, reading.metadata, "", _outset(policy), keys)
    return Explanation(policy.action(rule), _name(policy, rule), keys)


def _explain_keys(
    policy: "PrivacyPolicy",
    names: "Names",
    given: "dict[Any, Any]",
    prefix: str,
    above: "Decided",
    keys: "list[tuple[str, str, str]]",
) -> None:
    for key in sorted([key for key in given if isinstance(key, str)]):
        path = prefix + key
        decided = _decide(policy, names, path, key, above)
        depth, action, place = decided
        by = policy.rules[place] if place < len(policy.rules) else None
        keys.append((path, action, _name(policy, by, path)))
        if isinstance(given[key], dict) and depth <= _DEPTH_MAX:
            if action in ("allow", "local_only") or by is None:
                _explain_keys(policy, names, given[key], path + ".", decided, keys)


def _name(policy: "PrivacyPolicy", rule: "PrivacyRule | None", path: str = "") -> str:
    if rule is not None:
        return rule.name
    if not policy.is_enabled:
        return "not enabled"
    return "accounting" if path in ACCOUNTING_KEYS else "default"


def _canonical(value: "Any", depth: int) -> str:
    """Return a text that is the same for the same value, whatever the order of its keys."""
    if depth > _DEPTH_MAX:
        return MASK
    if isinstance(value, dict):
        parts = ["%s:%s" % (key, _canonical(value[key], depth + 1)) for key in value]
        return "{%s}" % ",".join(sorted(parts))
    if isinstance(value, (list, tuple)):
        return "[%s]" % ",".join([_canonical(item, depth + 1) for item in value])
    return _text(value)


def _text(value: "Any") -> str:
    return value if isinstance(value, str) else str(value)


def _names(reading: "Any") -> "tuple[str, str, str]":
    """Return (device, channel, sensor) of a reading."""
    sensor = reading.sensor_name
    device, dot, channel = sensor.partition(".")
    metadata = reading.metadata
    return (
        _text(metadata.get("device") or device),
        _text(metadata.get("channel") or (channel if dot else sensor)),
        sensor,
    )
