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
    aggregate_only  only its summaries are stored            -

What a rule says of a key holds for all below it, as far as no rule before it says
otherwise of a part. Metadata are what JSON has: of any other kind of value only
"***" remains, and a key that isn't text is removed, since no rule could name it.
"""

from binascii import crc32

from ._compat import TYPE_CHECKING, const
from .errors import TableError
from .privacy_rule import Gate, PrivacyRule, read_rules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

RULE_COUNT_MAX = const(256)
KEY_SIZE_MIN = const(16)  # bytes of a secret that isn't found by trying
_CACHE_MAX = const(1024)


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
        elif (hashes or key) and len(key) < KEY_SIZE_MIN:
            faults.append("hash_key: hashing needs a secret of at least %d bytes" % KEY_SIZE_MIN)
        self._key = bytes(key)
        if faults:
            raise TableError(faults)
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
        from .hmac import pseudonym  # few boards hash

        return pseudonym(self._key, text)

    def evaluate(self, reading: "Any") -> "Any":
        """Return what may be stored of `reading`, None if nothing may.

        A reading has sensor_name, timestamp, value, unit and metadata, and its
        class takes them in this order. Without "device" and "channel" in the
        metadata, they are what stands before and behind the name's first dot.
        """
        from . import disclosure  # a board has no metadata and never loads it

        return disclosure.reading(self, reading, False)

    def release(self, reading: "Any") -> "Any":
        """Return what may leave this machine of `reading`, None if nothing may."""
        from . import disclosure

        return disclosure.reading(self, reading, True)

    def release_metadata(
        self, names: "tuple[str, str, str]", given: "dict[Any, Any]"
    ) -> "dict[str, Any]":
        """Return what may leave this machine of the metadata of a reading of `names`."""
        from . import disclosure

        return disclosure.metadata(self, names, given)

    def explain(self, reading: "Any") -> "Any":
        """Return (action, name of the deciding rule, [(key, action, rule) of each metadata key]).

        Keys within a key are named with a dot between. Names the rules and the
        keys, never a value.
        """
        from . import disclosure

        return disclosure.explain(self, reading)

    @property
    def fingerprint(self) -> int:
        """32 bits that tell this policy from another; 0 if it allows everything."""
        if not self._is_enabled or (not self._rules and self._default == "allow"):
            return 0
        total = crc32(self._default.encode())
        for rule in self._rules:
            total = crc32(rule.canonical.encode(), total)
        return total
