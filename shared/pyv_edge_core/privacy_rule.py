"""One rule of a privacy policy: what it is about, and what it does.

    pattern   the sensor's name: device and channel with a dot between
    device    the device's name        channel   the channel's name
    key       a key of the metadata: the rule is then about that key only
    action    one of ACTIONS           step, low, high   numbers of quantize and clamp

What isn't given fits anything; all that is given has to fit. `Gate` is what a
rule makes of the values of one channel: everything decided beforehand, so that
a reading costs a comparison and no heap.
"""

from . import table
from ._compat import TYPE_CHECKING
from .errors import FieldError
from .pattern import Pattern
from .quantity import decimal, is_below, real, scaled, show
from .reading import LIMITS

if TYPE_CHECKING:
    from typing import Any

ACTIONS = (
    "allow",
    "drop",
    "mask",
    "redact",
    "hash",
    "quantize",
    "clamp",
    "local_only",
    "aggregate_only",
)
KEY_ACTIONS = ("allow", "drop", "mask", "redact", "hash", "local_only")
_STEP_COUNT_MAX = 2 * 10**14  # a float tells multiples of a step apart up to there
LISTS = ("drop_fields", "redact_fields", "mask_fields", "hash_fields", "local_only")
KEYS = ("name", "pattern", "device", "channel", "key", "action", "step", "low", "high")


class PrivacyRule:
    """One line of a policy, checked."""

    def __init__(self, values: "Any", path: str, faults: "list[str]") -> None:
        """Read a table of the KEYS or a pair (pattern, action); faults go into `faults`."""
        if isinstance(values, (tuple, list)) and len(values) == 2:
            values = {"pattern": values[0], "action": values[1]}
        rule = table.Table(values, path, faults)
        self._pattern: Pattern | None = rule.take("pattern", Pattern)
        self._device: Pattern | None = rule.take("device", Pattern)
        self._channel: Pattern | None = rule.take("channel", Pattern)
        self._key: Pattern | None = rule.take("key", Pattern)
        is_missing = isinstance(values, dict) and "action" not in values
        self.is_about_key = self._key is not None
        choices = KEY_ACTIONS if self.is_about_key else ACTIONS
        self.action: str = rule.take("action", table.choice(choices), "")
        self.step: tuple[int, int] | None = None
        self.low: tuple[int, int] | None = None
        self.high: tuple[int, int] | None = None
        if is_missing:
            rule.fault("action", "is missing; it must be one of %s" % ", ".join(choices))
        elif self.action == "quantize":
            if "step" not in rule:
                rule.fault("step", "is missing; quantize needs a number above 0")
            self.step = rule.take("step", decimal)
            if self.step and self.step[0] <= 0:
                rule.fault("step", "%s is not above 0" % show(self.step))
        elif self.action == "clamp":
            if "low" not in rule and "high" not in rule:
                rule.fault("low", "is missing; clamp needs low, high or both")
            self.low = low = rule.take("low", decimal)
            self.high = high = rule.take("high", decimal)
            if low and high and is_below(high, low):
                rule.fault("low", "%s is above high, %s" % (show(low), show(high)))
        patterns = [self._pattern, self._device, self._channel, self._key]
        shown = [part.text for part in patterns if part is not None]
        self.name: str = rule.take("name", table.text, " ".join([self.action] + shown))
        rule.end(KEYS)
        # What fingerprints are made of: all that decides. No pattern has a tab; a repr() of
        # them would not be the same on both interpreters.
        parts = [part.text if part is not None else "" for part in patterns]
        numbers = (self.action, self.step, self.low, self.high)
        self.canonical = "%s\t%s\n" % ("\t".join(parts), numbers)

    def fits(self, device: str, channel: str, sensor: str) -> bool:
        """Return whether readings of that channel are what the rule is about."""
        for pattern, name in (
            (self._pattern, sensor),
            (self._device, device),
            (self._channel, channel),
        ):
            if pattern is not None and not pattern.matches(name):
                return False
        return True

    def fits_key(self, key: str) -> bool:
        """Return whether that key of the metadata is what the rule is about."""
        return self._key is not None and self._key.matches(key)


def read_rules(rules: "Any", lists: "Any", faults: "list[str]") -> "tuple[PrivacyRule, ...]":
    """Return the rules of a list of tables, then those of the LISTS; faults go into `faults`.

    Each pattern of a list makes two: one about sensors, one about keys of the metadata.
    """
    found = []
    if not isinstance(rules, (list, tuple)):
        faults.append("rules: must be a list of tables")
        rules = ()
    for index in range(len(rules)):
        found.append(PrivacyRule(rules[index], "rules[%d]" % index, faults))
    if not isinstance(lists, dict):
        faults.append("lists: must be a table of %s" % ", ".join(LISTS))
        lists = {}
    for name in sorted(lists, key=str):
        if name not in LISTS:
            faults.append("%s: is not known; there are %s" % (name, ", ".join(LISTS)))
    for name in LISTS:
        patterns = lists.get(name, ())
        if not isinstance(patterns, (list, tuple)):
            faults.append("%s: must be a list of patterns" % name)
            continue
        action = name if name == "local_only" else name.split("_")[0]
        for index in range(len(patterns)):
            path = "%s[%d]" % (name, index)
            try:
                Pattern(patterns[index])
            except FieldError as error:
                faults.append("%s: %s" % (path, error))
                continue
            for target in ("pattern", "key"):
                values = {target: patterns[index], "action": action}
                found.append(PrivacyRule(values, path, faults))
    return tuple(found)


class Gate:
    """What becomes of the values of one channel."""

    def __init__(self, action: str, rule: "PrivacyRule | None", exponent: "int | None") -> None:
        """Prepare for scaled integers of `exponent`, for plain numbers if that is None."""
        self.action = action
        self.is_open = action != "drop"
        self.is_hidden = action in ("mask", "redact")  # the value is withheld, not the fact
        self.has_values = self.is_open and not self.is_hidden  # for rules to see
        self.is_local = action in ("local_only", "aggregate_only")
        self._exponent = exponent
        self._step = 0
        self._low, self._high = LIMITS["value"]
        self._fraction: tuple[int, int] | None = None
        if rule is not None and rule.step is not None:
            self._fraction = rule.step
            # A channel can't show less than its own resolution: a finer step is rounded up.
            self._step = 0 if exponent is None else scaled(rule.step, exponent, True)
        if rule is not None and rule.action == "clamp":
            self._clamp(rule)
        # Whether a value needs to be asked about at all.
        self.is_plain = action not in ("drop", "mask", "redact", "quantize", "clamp")

    def _clamp(self, rule: PrivacyRule) -> None:
        low: Any
        high: Any
        low, high = LIMITS["value"]
        if self._exponent is None:  # a host's floats have no such limits
            low = real(rule.low) if rule.low else float("-inf")
            high = real(rule.high) if rule.high else float("inf")
        else:
            if rule.high:
                high = max(low, min(high, scaled(rule.high, self._exponent, False)))
            if rule.low:
                low = min(high, max(low, scaled(rule.low, self._exponent, True)))
        self._low, self._high = low, high

    def value(self, value: "Any") -> "Any":
        """Return what may be known of `value`; 0 if nothing may."""
        if self.action == "clamp":
            return min(max(value, self._low), self._high)
        if self.action == "quantize":
            step = self._step
            if not step:
                assert self._fraction is not None
                numerator, digits = self._fraction
                count = value * 10**digits / numerator
                if not -_STEP_COUNT_MAX < count < _STEP_COUNT_MAX:
                    return value  # no number, or one whose digits end before the step
                return (count * 2 + 1) // 2 * numerator / 10**digits
            value = (value + (step >> 1)) // step * step
            if value > self._high:
                return value - step
            return value + step if value < self._low else value
        return 0 if self.is_hidden else value
