"""The privacy policy: an ordered list of rules about sensors; the first that matches decides.

Immutable once made, so that any thread may read it. A reading that is dropped
is never stored, uploaded or logged; that it was taken is still counted.
"""

from ._compat import TYPE_CHECKING
from .errors import FieldError
from .pattern import matches

if TYPE_CHECKING:
    from typing import Any

ACTIONS = ("allow", "drop")
RULE_COUNT_MAX = 256


class PrivacyPolicy:
    """Decides what may pass, by the name of its sensor."""

    def __init__(
        self,
        rules: "list[tuple[str, str]] | None" = None,
        default: str = "allow",
        is_enabled: bool = True,
    ) -> None:
        """Make a policy of `rules`, pairs of (pattern, action), and a `default` action.

        A policy that is not enabled allows everything. Raises FieldError for an
        action that is not in ACTIONS and for too many rules.
        """
        self.rules = tuple(rules or ())
        self.default = default
        self.is_enabled = is_enabled
        if len(self.rules) > RULE_COUNT_MAX:
            raise FieldError("rules: %d, at most %d" % (len(self.rules), RULE_COUNT_MAX))
        for action in [rule[1] for rule in self.rules] + [default]:
            if action not in ACTIONS:
                raise FieldError("action: %r is not one of %s" % (action, ", ".join(ACTIONS)))

    def action(self, sensor_name: str) -> str:
        """Return what is to become of readings of `sensor_name`."""
        if not self.is_enabled:
            return "allow"
        for pattern, action in self.rules:
            if matches(pattern, sensor_name):
                return action
        return self.default

    def evaluate(self, reading: "Any") -> "Any":
        """Return `reading`, by its `sensor_name`, if it may pass, None if not."""
        return reading if self.action(reading.sensor_name) == "allow" else None
