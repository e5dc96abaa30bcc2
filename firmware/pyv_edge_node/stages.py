"""The settings of what comes between sensors and rings: privacy and rules."""

from pyv_edge_core._compat import TYPE_CHECKING
from pyv_edge_core.errors import TableError

from .settings import Section, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyv_edge_core.privacy import PrivacyPolicy
    from pyv_edge_core.rule import Rule


def read_stages(
    path: str, rules: "Any", privacy: "Any"
) -> "tuple[tuple[Rule, ...], PrivacyPolicy | None]":
    """Return what the settings' `rules` and `privacy` stand for; either may be None.

    Raises SettingsError with a line for every fault of both.
    """
    faults: list[str] = []
    checked: Any = ()
    policy: Any = None
    if rules is not None:
        from pyv_edge_core.rule import read_rules

        checked = _gather(faults, "", read_rules, rules)
    if privacy is not None:
        policy = _gather(faults, "privacy.", _policy, Section(privacy, path + ".privacy"))
    if faults:
        raise SettingsError("\n".join(["%s.%s" % (path, fault) for fault in faults]))
    return checked, policy


def _gather(
    faults: "list[str]", prefix: str, make: "Callable[[Any], Any]", values: "Any"
) -> "Any":
    """Return what `make` makes of `values`; None, and its faults in `faults`, if it can't."""
    try:
        return make(values)
    except TableError as error:
        faults.extend([prefix + fault for fault in error.faults])
        return None


def _policy(section: Section) -> "PrivacyPolicy":
    from pyv_edge_core.privacy import PrivacyPolicy
    from pyv_edge_core.privacy_rule import LISTS

    rules = section.raw("rules", [])
    default = section.text("default", "allow")
    key = section.text("hash_key", "")
    fields = {name: section.raw(name, []) for name in LISTS}
    section.end()
    return PrivacyPolicy(rules, default, True, key.encode(), fields)
