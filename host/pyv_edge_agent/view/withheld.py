"""Which names the policy keeps from sinks: of devices and channels that are configured or stored.

What is not known to be withheld is known; what only a board could tell is in no text of ours.
"""

from collections.abc import Iterable
from typing import Any

from pyv_edge_core.errors import FieldError
from pyv_edge_core.pattern import Pattern
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.privacy_rule import LISTS

from ..egress import JudgedChannel
from ..series import polled_names
from ..settings import POLLED
from ..store.channel import StoredChannel

_ANY = "a channel that nobody has named"
_WITHHELD = ("drop", "local_only", "aggregate_only")


class WithheldNames:
    """Gathers names, and says what stands in the place of each that must not be told."""

    def __init__(self, policy: PrivacyPolicy, *, has_key: bool, is_leaving: bool = True) -> None:
        """Judge by `policy`; without its key there are no pseudonyms.

        What is not `is_leaving` stays with somebody at this machine.
        """
        self._policy = policy
        self._actions = {*_WITHHELD} if is_leaving else {"drop"}
        self._is_leaving = is_leaving
        self._has_key = has_key
        self._known: set[str] = set()
        self._hidden: dict[str, str] = {}  # and its pseudonym, "" if it has none
        self._own: set[str] = set()  # hidden devices of one channel, whatever else is called so
        self._stored: set[str] = set()  # devices whose channels are known

    # -- what there is -------------------------------------------------------------

    def add_stored(self, channels: Iterable[StoredChannel]) -> None:
        """Add the names of channels of a store."""
        for one in channels:
            judged = JudgedChannel(
                self._policy, one.device, (one.alias, one.name, one.sensor, one.marks)
            )
            self._add(judged, one.device, one.alias, one.name, one.sensor)
            self._stored.add(one.alias)

    def add_device(self, table: dict[str, Any]) -> None:
        """Add the names that a configured device has, after those that are stored."""
        name = table["name"]
        named = table.get("fields", {})
        for channel in named:
            self._judge(name, channel, (name, channel, f"{name}.{channel}"))
        if named:
            return
        # A device with one channel has only its own name, whoever brings its readings.
        is_single = table.get("channel_path") == "" and not table.get("channel")
        if table["ingest_type"] in POLLED or is_single:
            if self._judge(name, "", (name, *polled_names(name))):
                self._own.add(name)
        elif name not in self._stored:
            self._judge(name, _ANY, (name,))

    def add_board(self, device: str, alias: str) -> None:
        """Add what a device calls itself that is known by an alias."""
        if alias not in self._known and alias not in self._hidden:
            self._judge(alias, _ANY, (device, alias))
        elif self.is_hidden(alias):
            self._hide(device, "")

    def _judge(self, alias: str, channel: str, names: tuple[str, ...]) -> bool:
        """Add names that go with a channel, or with a device that has one only.

        Returns whether they are hidden.
        """
        sensor = f"{alias}.{channel}" if channel else alias
        return self._add(JudgedChannel(self._policy, alias, (alias, channel, sensor, "")), *names)

    def add_rules(self, section: dict[str, Any]) -> None:
        """Add the names that rules of a [privacy] section spell out."""
        if not section["enabled"]:
            return
        patterns = [
            rule.get(key, "")
            for rule in section["rules"]
            if rule["action"] in (*self._actions, "hash")
            for key in ("pattern", "device", "channel")
        ]
        for name in LISTS:
            if name.split("_")[0] in ("drop", "hash", *(["local"] if self._is_leaving else [])):
                patterns += section[name]
        for pattern in patterns:
            for part in (pattern, *pattern.split(".")):
                if part and not set(part) & {"*", "?"}:
                    self._hide(part, "")

    def _add(self, judged: JudgedChannel, *names: str) -> bool:
        if judged.is_denied or (judged.is_local and self._is_leaving):
            for name in names:
                self._hide(name, "")
        elif judged.is_pseudonym or judged.sensor != judged.names[2]:
            for name in names:
                self._hide(name, judged.device if name == names[0] else judged.sensor)
        else:
            self._known.update(names)
            return False
        return True

    def _hide(self, name: str, pseudonym: str) -> None:
        if name:
            self._hidden[name] = self._hidden.get(name) or (pseudonym if self._has_key else "")

    # -- what comes of it ------------------------------------------------------------

    def is_hidden(self, name: str) -> bool:
        """Return whether a name must not be told."""
        return name in self._hidden and (name not in self._known or name in self._own)

    @property
    def known(self) -> set[str]:
        """The names that may be told."""
        return set(self._known)

    def is_telling(self, text: str) -> bool:
        """Return whether a pattern of sensors tells of one that must not be known."""
        if not text.strip("*?."):
            return False
        device, channel = polled_names(text)
        judged = JudgedChannel(self._policy, device, (device, channel, text, ""))
        if judged.is_denied or judged.is_local or judged.sensor != text:
            return True
        try:
            pattern = Pattern(text)
        except FieldError:
            return True
        fits_known = any(pattern.matches(name) for name in self._known)
        fits_hidden = any(map(pattern.matches, self._hidden))
        return fits_hidden and not fits_known

    def replacements(self) -> dict[str, str]:
        """Return what stands in the place of each name that must not be told."""
        hidden = sorted(name for name in self._hidden if self.is_hidden(name))
        return {
            name: self._hidden[name] or f"withheld-{number}"
            for number, name in enumerate(hidden, 1)
        }
