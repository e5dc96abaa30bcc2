"""The keys of tables that the core or `channel_policy` checks: for people, editors and the schema.

What may stand there is decided where it is checked; tests compare the two.
"""

from dataclasses import dataclass

from pyv_edge_core import privacy_rule, rule
from pyv_edge_core.event_text import MESSAGE

from ..channel_policy import CLASSES, KEEP_DAYS_MAX, SYNCS

# What may stand there; some are lists of another one, or of choices
TEXT, PATTERN, NUMBER, DURATION, CHOICE = "text", "pattern", "number", "duration", "choice"
PAIR, LEVEL, DAYS = "two numbers", "number, or two with outside", f"number in 0..{KEEP_DAYS_MAX}"
PATTERNS, CHOICES = "list of patterns", "list of choices"


@dataclass(frozen=True)
class Key:
    """One key of such a table."""

    kind: str  # one of the above
    default: str  # in words; "": must be given
    doc: str  # a sentence without its capital and its full stop
    choices: tuple[str, ...] = ()


_ONE = "one of them is needed"  # of the conditions of a rule

RULE: dict[str, Key] = {
    "name": Key(TEXT, "", "what its events are called; no two rules share one"),
    "sensor": Key(PATTERN, "*", "which sensors it is about: DEVICE.CHANNEL, or a device's name"),
    "above": Key(NUMBER, _ONE, "holds while the value is greater"),
    "below": Key(NUMBER, _ONE, "holds while the value is less"),
    "outside": Key(PAIR, _ONE, "holds while the value is not between these two"),
    "rate_above": Key(NUMBER, _ONE, "holds while the change per `per` is greater"),
    "rate_below": Key(NUMBER, _ONE, "holds while the change per `per` is less"),
    "stuck": Key(DURATION, _ONE, "holds once the value has not moved for so long"),
    "deadband": Key(NUMBER, _ONE, "an event whenever the value has moved by more than this"),
    "missing": Key(
        DURATION,
        _ONE,
        "holds once there has been no measurement for so long; beside another condition, the"
        " time after which `on_missing` is in force",
    ),
    "clear": Key(LEVEL, "the level", "level at which the condition is over"),
    "aggregate": Key(
        CHOICE,
        "none",
        "what of the last `window` is judged in place of the value",
        rule.AGGREGATES,
    ),
    "window": Key(DURATION, "1m, of a rate", "how far an `aggregate` or a rate looks back"),
    "step": Key(DURATION, "a twelfth", "by how much the window of an `aggregate` moves on"),
    "per": Key(DURATION, "1s", "time that a rate is a change per"),
    "within": Key(NUMBER, "0", "by how much a `stuck` value may move"),
    "for": Key(DURATION, "0", "how long it must hold to fire"),
    "keep_for": Key(DURATION, "0", "how long it must be over to resolve"),
    "cooldown": Key(DURATION, "0", "shortest time from one firing to the next"),
    "late": Key(DURATION, "5m", "how old a reading may be when it comes, and still fire"),
    "on_bad": Key(CHOICE, "hold", "what a reading of bad quality does", rule.POLICIES),
    "on_missing": Key(CHOICE, "hold", "what a missing measurement does", rule.POLICIES),
    "severity": Key(CHOICE, "warning", "how urgent its events are", rule.SEVERITIES),
    "message": Key(TEXT, MESSAGE, "text of its events, with {fields}"),
}

PRIVACY_RULE: dict[str, Key] = {
    "name": Key(TEXT, "action, patterns", "what explanations call it"),
    "pattern": Key(PATTERN, "any", "which sensors it is about: DEVICE.CHANNEL"),
    "device": Key(PATTERN, "any", "which devices it is about"),
    "channel": Key(PATTERN, "any", "which channels it is about"),
    "key": Key(PATTERN, "none", "which keys of the metadata it is about, and nothing else"),
    "action": Key(CHOICE, "", "what becomes of that", privacy_rule.ACTIONS),
    "step": Key(NUMBER, "none", "of quantize: values become multiples of it"),
    "low": Key(NUMBER, "none", "of clamp: no value is less; low, high or both"),
    "high": Key(NUMBER, "none", "of clamp: no value is greater"),
}

PRIVACY_LISTS: dict[str, Key] = {
    "drop_fields": Key(PATTERNS, "[]", "sensors, and keys of metadata, that are dropped"),
    "redact_fields": Key(PATTERNS, "[]", "sensors, and keys of metadata, that are redacted"),
    "mask_fields": Key(PATTERNS, "[]", "sensors, and keys of metadata, that are masked"),
    "hash_fields": Key(PATTERNS, "[]", "sensors, and keys of metadata, that become pseudonyms"),
    "local_only": Key(PATTERNS, "[]", "sensors, and keys of metadata, that stay here"),
}

CHANNEL: dict[str, Key] = {
    "match": Key(PATTERN, "", "which sensors it is about; the first row that fits decides"),
    "class": Key(
        CHOICE, "telemetry", "what is evicted first: bulk, telemetry, event last", CLASSES
    ),
    "sync": Key(CHOICES, '["raw", "events"]', "what sinks get of them", tuple(SYNCS)),
    "keep_days": Key(
        DAYS, "that of [policies]", "how long their readings are kept; 0: until there is no room"
    ),
}
