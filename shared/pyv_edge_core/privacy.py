"""The privacy policy: ordered rules about readings and their metadata; the first fit decides.

Enforced before a board's ring, before the host's store and before each sink.
Immutable once made, so any thread may read it. What it drops is counted by its
callers and appears nowhere: not in an output, a log line or an error's text.

    action          a reading                                a key of its metadata
    allow           passes                                   stays
    drop            is dropped                               is removed
    mask            passes with its value withheld           stays with "***"
    redact          and its metadata removed as well         is removed
    hash            its names become pseudonyms (HMAC)       its value becomes one
    quantize        value to the nearest multiple of step    -
    clamp           value limited to low..high               -
    local_only      is stored, never leaves this machine     is removed at every sink
    aggregate_only  only its summaries are stored and sent   -
"""

from binascii import crc32
from collections import namedtuple

from ._compat import TYPE_CHECKING, const
from .errors import FieldError, TableError
from .hmac import pseudonym
from .pattern import Pattern
from .privacy_rule import Gate, PrivacyRule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

RULE_COUNT_MAX = const(256)
KEY_SIZE_MIN = const(16)  # bytes of a secret that isn't found by trying
MASK = "***"
# Our own figures, without which nothing could be accounted for. No rule is about them.
ACCOUNTING_KEYS = ("quality", "boot", "stream", "seq", "time_error_ms", "privacy")
_IDENTITY_KEYS = ("device", "channel")
LISTS = ("drop_fields", "redact_fields", "mask_fields", "hash_fields", "local_only")
_CACHE_MAX = const(1024)
_DEPTH_MAX = const(8)  # of metadata within metadata

Explanation = namedtuple("Explanation", ("action", "rule", "keys"))


class PrivacyPolicy:
    """Decides what may be known of readings."""

    def __init__(
        self,
        rules: "Sequence[Any]" = (),
        default: str = "allow",
        is_enabled: bool = True,
        key: bytes = b"",
        fields: "dict[str, Any] | None" = None,
    ) -> None:
        """Make a policy of `rules`, tables as in privacy_rule or pairs (pattern, action).

        `default`, allow or deny, is for what no rule fits. `fields` may have the
        LISTS, patterns of sensors and of metadata keys, which come after the
        rules and in this order. `key` is the secret of this installation that
        hashing needs. A policy that is not enabled allows everything. Raises
        TableError with every fault.
        """
        faults: list[str] = []
        self.default = "deny" if default == "drop" else default
        if self.default not in ("allow", "deny"):
            faults.append("default: %r is not one of allow, deny" % (default,))
        self.is_enabled = is_enabled
        self._key = key
        self.rules = self._read(rules, fields or {}, faults)
        if len(self.rules) > RULE_COUNT_MAX:
            faults.append("rules: %d, at most %d" % (len(self.rules), RULE_COUNT_MAX))
        hashes = [rule for rule in self.rules if rule.action == "hash"]
        if hashes and len(key) < KEY_SIZE_MIN:
            faults.append(
                "hash_key: rule %r hashes, which needs a secret of at least %d bytes"
                % (hashes[0].name, KEY_SIZE_MIN)
            )
        if faults:
            raise TableError(faults)
        self._decided: dict[tuple[str, str, str], PrivacyRule | None] = {}

    @staticmethod
    def _read(
        rules: "Sequence[Any]", fields: "dict[str, Any]", faults: "list[str]"
    ) -> "tuple[PrivacyRule, ...]":
        found = []
        if not isinstance(rules, (list, tuple)):
            faults.append("rules: must be a list of tables")
            rules = ()
        for index in range(len(rules)):
            found.append(PrivacyRule(rules[index], "rules[%d]" % index, faults))
        for name in sorted(fields):
            if name not in LISTS:
                faults.append("%s: is not known; there are %s" % (name, ", ".join(LISTS)))
        for name in LISTS:
            patterns = fields.get(name, ())
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

    # -- readings ------------------------------------------------------------------

    def decide(self, device: str, channel: str, sensor: str) -> "PrivacyRule | None":
        """Return the rule that decides about a channel's readings, None if it is the default."""
        names = (device, channel, sensor)
        if names in self._decided:
            return self._decided[names]
        found = None
        if self.is_enabled:
            for rule in self.rules:
                if not rule.is_about_key and rule.fits(device, channel, sensor):
                    found = rule
                    break
        if len(self._decided) >= _CACHE_MAX:
            self._decided.clear()
        self._decided[names] = found
        return found

    def action(self, rule: "PrivacyRule | None") -> str:
        """Return what the outcome of `decide` comes to."""
        if rule is not None:
            return rule.action
        return "drop" if self.is_enabled and self.default == "deny" else "allow"

    def gate(self, device: str, channel: str, sensor: str, exponent: "int | None") -> Gate:
        """Return what becomes of a channel's values, decided once and for all of them."""
        rule = self.decide(device, channel, sensor)
        return Gate(self.action(rule), rule, exponent)

    def pseudonym(self, text: str) -> str:
        """Return the 32 hexadecimal digits that stand for `text` here."""
        return pseudonym(self._key, text)

    def evaluate(self, reading: "Any") -> "Any":
        """Return what may be stored of `reading`, None if nothing may.

        A reading has sensor_name, timestamp, value, unit and metadata, and its
        class takes them in this order. Without "device" and "channel" in the
        metadata, they are what stands before and behind the name's first dot.
        """
        return self._filter(reading, False)

    def release(self, reading: "Any") -> "Any":
        """Return what may leave this machine of `reading`, None if nothing may."""
        return self._filter(reading, True)

    def _filter(self, reading: "Any", is_leaving: bool) -> "Any":
        if not self.is_enabled:
            return reading
        device, channel, sensor = names = _names(reading)
        gate = self.gate(device, channel, sensor, None)
        if not gate.is_open or gate.action == "aggregate_only" or (is_leaving and gate.is_local):
            return None
        metadata = {}
        if gate.action != "redact":
            metadata = self._metadata(names, reading.metadata, "", is_leaving, 0)
        value = reading.value
        if gate.is_hidden:
            value = 0.0
            metadata["quality"] = "bad"
            metadata["privacy"] = gate.action
        elif not gate.is_plain and metadata.get("quality") != "bad":
            value = gate.value(value)
        if gate.action == "hash":
            sensor = self.pseudonym(sensor)
            for key, name in (("device", device), ("channel", channel)):
                if key in metadata:
                    metadata[key] = self.pseudonym(name)
        return reading.__class__(sensor, reading.timestamp, value, reading.unit, metadata)

    # -- metadata ------------------------------------------------------------------

    def _decide_key(
        self, names: "tuple[str, str, str]", path: str, key: str
    ) -> "tuple[str, PrivacyRule | None]":
        """Return (action, rule or None) for a key that is nested as `path` says."""
        if not self.is_enabled or path in ACCOUNTING_KEYS:
            return "allow", None
        for rule in self.rules:
            if rule.fits_key(path) or rule.fits_key(key):
                if rule.fits(*names):
                    return rule.action, rule
        if self.default == "deny" and path not in _IDENTITY_KEYS:
            return "drop", None
        return "allow", None

    def _metadata(
        self,
        names: "tuple[str, str, str]",
        given: "dict[Any, Any]",
        prefix: str,
        is_leaving: bool,
        depth: int,
    ) -> "dict[Any, Any]":
        """Return what may be known of `given`, which stands at `prefix` in the metadata."""
        kept = {}
        for key in given:
            value = given[key]
            path = prefix + str(key)
            action, rule = self._decide_key(names, path, str(key))
            if action in ("drop", "redact") or (action == "local_only" and is_leaving):
                continue
            if action == "mask":
                value = MASK
            elif action == "hash":
                value = self.pseudonym(str(value))
            elif rule is None:  # no rule is about all of it: about a part, perhaps
                value = self._nested(names, value, path + ".", is_leaving, depth + 1)
            kept[key] = value
        return kept

    def _nested(
        self,
        names: "tuple[str, str, str]",
        value: "Any",
        prefix: str,
        is_leaving: bool,
        depth: int,
    ) -> "Any":
        if not isinstance(value, (dict, list, tuple)):
            return value
        if depth > _DEPTH_MAX:
            return MASK  # deeper than anybody's rules: better hidden than known
        if isinstance(value, dict):
            return self._metadata(names, value, prefix, is_leaving, depth)
        return [self._nested(names, item, prefix, is_leaving, depth + 1) for item in value]

    def explain(self, reading: "Any") -> Explanation:
        """Return (action, name of the deciding rule, [(key, action, rule) of each metadata key]).

        Names the rules and the keys, never a value.
        """
        names = _names(reading)
        rule = self.decide(*names)
        keys = []
        for key in sorted(reading.metadata, key=str):
            action, by = self._decide_key(names, str(key), str(key))
            keys.append((key, action, self._name(by)))
        return Explanation(self.action(rule), self._name(rule), keys)

    def _name(self, rule: "PrivacyRule | None") -> str:
        if rule is not None:
            return rule.name
        return "default" if self.is_enabled else "not enabled"

    @property
    def fingerprint(self) -> int:
        """32 bits that tell this policy from another; 0 if it allows everything."""
        if not self.is_enabled or (not self.rules and self.default == "allow"):
            return 0
        total = crc32(self.default.encode())
        for rule in self.rules:
            total = crc32(rule.canonical.encode(), total)
        return total


def _names(reading: "Any") -> "tuple[str, str, str]":
    """Return (device, channel, sensor) of a reading."""
    sensor = reading.sensor_name
    device, dot, channel = sensor.partition(".")
    metadata = reading.metadata
    return (
        str(metadata.get("device", device)),
        str(metadata.get("channel", channel if dot else sensor)),
        sensor,
    )
