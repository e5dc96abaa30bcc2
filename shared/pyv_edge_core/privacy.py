"""The privacy policy: ordered rules about readings and their metadata; the first fit decides.

Enforced before a board's ring, before the host's store and before each sink.
Immutable once made, so any thread may read it. What it drops is counted by its
callers and appears nowhere: not in an output, a log line or an error's text.

    action          a reading                                a key of its metadata
    allow           passes                                   stays
    drop            is dropped                               is removed
    mask            passes with its value withheld           stays with "***"
    redact          and all but its identity removed too     is removed
    hash            its names become pseudonyms (HMAC)       its value becomes one
    quantize        value to the nearest multiple of step    -
    clamp           value limited to low..high               -
    local_only      is stored, never leaves this machine     is removed at every sink
    aggregate_only  only its summaries are stored and sent   -

What a rule says of a key holds for all below it, as far as no rule before it says
otherwise of a part. Metadata are what JSON has: of any other kind of value only
"***" remains, and a key that isn't text is removed, since no rule could name it.
"""

from binascii import crc32
from collections import namedtuple

from ._compat import TYPE_CHECKING, const
from .errors import TableError
from .hmac import pseudonym
from .privacy_rule import Gate, PrivacyRule, read_rules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

RULE_COUNT_MAX = const(256)
KEY_SIZE_MIN = const(16)  # bytes of a secret that isn't found by trying
MASK = "***"
# Our own figures, without which nothing could be accounted for. No rule is about them.
ACCOUNTING_KEYS = ("quality", "boot", "stream", "seq", "time_error_ms", "privacy")
_IDENTITY_KEYS = ("device", "channel")
_KEPT_KEYS = ACCOUNTING_KEYS + _IDENTITY_KEYS  # of a redacted reading
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
        LISTS of privacy_rule, patterns of sensors and of metadata keys, which
        come after the rules and in this order. `key` is the secret of this
        installation that hashing needs. A policy that is not enabled allows
        everything. Raises TableError with every fault.
        """
        faults: list[str] = []
        self._default = "deny" if default == "drop" else default
        if self._default not in ("allow", "deny"):
            faults.append("default: %r is not one of allow, deny" % (default,))
        if is_enabled is not True and is_enabled is not False:
            faults.append("enabled: %r is not true or false" % (is_enabled,))
        self._is_enabled = is_enabled
        self._rules = read_rules(rules, {} if fields is None else fields, faults)
        if len(self._rules) > RULE_COUNT_MAX:
            faults.append(
                "rules: %d, where a pattern of a list counts twice; at most %d"
                % (len(self._rules), RULE_COUNT_MAX)
            )
        hashes = [rule for rule in self._rules if rule.action == "hash"]
        if not isinstance(key, (bytes, bytearray)):
            faults.append("hash_key: must be bytes")  # and is never shown
            key = b""
        elif hashes and len(key) < KEY_SIZE_MIN:
            faults.append(
                "hash_key: rule %r hashes, which needs a secret of at least %d bytes"
                % (hashes[0].name, KEY_SIZE_MIN)
            )
        self._key = bytes(key)
        if faults:
            raise TableError(faults)
        self._outset = (0, "allow", len(self._rules))  # see _decide_key
        self._decided: dict[tuple[str, str, str], PrivacyRule | None] = {}

    @property
    def default(self) -> str:
        """What becomes of what no rule fits: allow or deny."""
        return self._default

    @property
    def is_enabled(self) -> bool:
        """Whether it is in force."""
        return self._is_enabled

    @property
    def rules(self) -> "tuple[PrivacyRule, ...]":
        """All rules in their order, those of the lists at the end."""
        return self._rules

    # -- readings ------------------------------------------------------------------

    def decide(self, device: str, channel: str, sensor: str) -> "PrivacyRule | None":
        """Return the rule that decides about a channel's readings, None if it is the default."""
        names = (device, channel, sensor)
        found: Any = self._decided.get(names, self)  # one step: another thread may clear it
        if found is not self:
            return found  # type: ignore[no-any-return]
        found = None
        if self._is_enabled:
            for rule in self._rules:
                if not rule.is_about_key and rule.fits(device, channel, sensor):
                    found = rule
                    break
        if len(self._decided) >= _CACHE_MAX:
            self._decided.clear()
        self._decided[names] = found
        return found  # type: ignore[no-any-return]

    def action(self, rule: "PrivacyRule | None") -> str:
        """Return what the outcome of `decide` comes to."""
        if rule is not None:
            return rule.action
        return "drop" if self._is_enabled and self._default == "deny" else "allow"

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
        if not self._is_enabled:
            return reading
        device, channel, sensor = names = _names(reading)
        gate = self.gate(device, channel, sensor, None)
        if not gate.is_open or gate.action == "aggregate_only" or (is_leaving and gate.is_local):
            return None
        given = reading.metadata
        if gate.action == "redact":
            given = {key: given[key] for key in _KEPT_KEYS if key in given}
        metadata = self._metadata((names, is_leaving), given, "", self._outset)
        value = reading.value
        if gate.is_hidden:
            value = 0
            metadata["quality"] = "bad"
            metadata["privacy"] = gate.action
        elif not gate.is_plain and value is not None:
            value = gate.value(value)
        if gate.action == "hash":
            sensor = self.pseudonym(sensor)
            for key, name in (("device", device), ("channel", channel)):
                if metadata.get(key, MASK) != MASK:
                    metadata[key] = self.pseudonym(name)
        return reading.__class__(sensor, reading.timestamp, value, reading.unit, metadata)

    def release_metadata(
        self, names: "tuple[str, str, str]", given: "dict[Any, Any]"
    ) -> "dict[str, Any]":
        """Return what may leave this machine of the metadata of a reading of `names`."""
        return self._metadata((names, True), given, "", self._outset)

    # -- metadata ------------------------------------------------------------------

    def _decide_key(
        self, names: "tuple[str, str, str]", path: str, key: str, above: "tuple[int, str, int]"
    ) -> "tuple[int, str, int]":
        """Return (depth, action, place of the rule) for a key, which is nested as `path` says.

        `above` is that of what it is a part of; the place behind the last rule is
        the default's.
        """
        depth, action, place = above
        if self._is_enabled and path not in ACCOUNTING_KEYS:
            for index in range(place):
                rule = self._rules[index]
                if (rule.fits_key(path) or rule.fits_key(key)) and rule.fits(*names):
                    return depth + 1, rule.action, index
            if place == len(self._rules) and self._default == "deny":
                action = "allow" if path in _IDENTITY_KEYS else "drop"
        return depth + 1, action, place

    def _metadata(
        self,
        about: "tuple[tuple[str, str, str], bool]",
        given: "dict[Any, Any]",
        prefix: str,
        above: "tuple[int, str, int]",
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
            decided = self._decide_key(names, path, key, above)
            _, action, place = decided
            is_kept = action == "allow" or (action == "local_only" and not is_leaving)
            if action == "mask":
                value = MASK
            elif action == "hash":
                value = self.pseudonym(_text(value))
            elif is_kept:
                value = self._nested(about, value, path + ".", decided)
            elif place == len(self._rules) and isinstance(value, dict):
                # What only the default denies may have a part that a rule allows.
                value = self._nested(about, value, path + ".", decided)
                if not value or value == MASK:
                    continue
            else:
                continue
            kept[key] = value
        return kept

    def _nested(
        self,
        about: "tuple[tuple[str, str, str], bool]",
        value: "Any",
        prefix: str,
        above: "tuple[int, str, int]",
    ) -> "Any":
        if value is None or isinstance(value, (str, int, float, bool)):
            return value
        depth, action, place = above
        if depth <= _DEPTH_MAX:  # deeper than anybody's rules: better hidden than known
            if isinstance(value, dict):
                return self._metadata(about, value, prefix, above)
            if isinstance(value, (list, tuple)):
                above = (depth + 1, action, place)
                return [self._nested(about, item, prefix, above) for item in value]
        return MASK

    def explain(self, reading: "Any") -> Explanation:
        """Return (action, name of the deciding rule, [(key, action, rule) of each metadata key]).

        Keys within a key are named with a dot between. Names the rules and the
        keys, never a value.
        """
        names = _names(reading)
        rule = self.decide(*names)
        keys: list[tuple[str, str, str]] = []
        self._explain_keys(names, reading.metadata, "", self._outset, keys)
        return Explanation(self.action(rule), self._name(rule), keys)

    def _explain_keys(
        self,
        names: "tuple[str, str, str]",
        given: "dict[Any, Any]",
        prefix: str,
        above: "tuple[int, str, int]",
        keys: "list[tuple[str, str, str]]",
    ) -> None:
        for key in sorted([key for key in given if isinstance(key, str)]):
            path = prefix + key
            decided = self._decide_key(names, path, key, above)
            depth, action, place = decided
            by = self._rules[place] if place < len(self._rules) else None
            keys.append((path, action, self._name(by, path)))
            if isinstance(given[key], dict) and depth <= _DEPTH_MAX:
                if action in ("allow", "local_only") or by is None:
                    self._explain_keys(names, given[key], path + ".", decided, keys)

    def _name(self, rule: "PrivacyRule | None", path: str = "") -> str:
        if rule is not None:
            return rule.name
        if not self._is_enabled:
            return "not enabled"
        return "accounting" if path in ACCOUNTING_KEYS else "default"

    @property
    def fingerprint(self) -> int:
        """32 bits that tell this policy from another; 0 if it allows everything."""
        if not self._is_enabled or (not self._rules and self._default == "allow"):
            return 0
        total = crc32(self._default.encode())
        for rule in self._rules:
            total = crc32(rule.canonical.encode(), total)
        return total


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
